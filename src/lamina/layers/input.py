"""``Input``: where a model begins."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from lamina import config
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.symbolic import Node, Shape, SymbolicTensor
from lamina.serialization import register_serializable


@register_serializable("lamina.layers")
class InputLayer(Layer):
    """The beginning of a model; usually made by ``Input``.

    Args:
        shape: shape of one sample, without the batch; ``None`` where a size is not known.
        batch_size: size of the batch, if it is always the same.
        dtype: dtype of the data; default ``lamina.config.floatx()``.
        sparse: only false: Lamina has no sparse tensors.
        ragged: only false: Lamina has no ragged tensors; pad the rows and use a mask.
        batch_shape: the shape with the batch, instead of ``shape`` and ``batch_size``.
        input_tensor: a placeholder to begin with, instead of a new one.
        optional: whether the model may be given ``None`` here.
        name: name of the layer.

    Raises:
        ArgumentError: there is no shape, or what is given does not agree; or sparse or ragged data is asked for.
    """

    autocast = False

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            warnings.warn("Argument `input_shape` is deprecated. Use `shape` instead.", UserWarning, stacklevel=2)
            shape = kwargs.pop("input_shape")
        for kind, wanted in (("sparse", sparse), ("ragged", ragged)):
            if wanted and input_tensor is None:
                raise ArgumentError(
                    f"`{kind}=True` is not supported: Lamina's tensors are dense. "
                    + ("Pad the rows to one length, and mark the padding with a mask." if kind == "ragged" else "")
                )
        if input_tensor is not None:
            _check_tensor(input_tensor, shape, batch_size, batch_shape, dtype, sparse or ragged)
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        elif shape is None and batch_shape is None:
            raise ArgumentError("You must pass a `shape` argument: the shape of one sample without the batch, (784,).")
        elif shape is not None and batch_shape is not None:
            raise ArgumentError("You cannot pass both `shape` and `batch_shape` at the same time.")
        elif batch_shape is not None and batch_size is not None:
            raise ArgumentError("You cannot pass both `batch_size` and `batch_shape` at the same time.")
        dtype = config.floatx() if dtype is None else dtype  # data is not in mixed precision
        super().__init__(name=name, dtype=dtype, _name_like="input_layer", **kwargs)
        if batch_shape is None:
            batch_shape = (batch_size, *((shape,) if isinstance(shape, int) else shape or ()))
        self.batch_shape: Shape = tuple(None if n is None else int(n) for n in batch_shape)
        if any(n is not None and n < 0 for n in self.batch_shape):
            raise ShapeError(f"Input: a shape has no negative sizes; got {self.batch_shape}. Use None if unknown.")
        self.sparse = self.ragged = False
        self.optional = bool(optional)
        self.built = True
        output = input_tensor if input_tensor is not None else SymbolicTensor(self.batch_shape, self._dtype, self.name)
        Node(self, (), {}, output)

    def call(self, inputs: Any = None) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "name": self.name}
        return {**config, "optional": True} if self.optional else config


def _check_tensor(tensor: Any, shape: Any, batch_size: Any, batch_shape: Any, dtype: Any, not_dense: Any) -> None:
    """What is given beside a placeholder says the same as the placeholder."""
    if not isinstance(tensor, SymbolicTensor):
        raise ArgumentError(f"Argument `input_tensor` must be a KerasTensor, a placeholder; got a {type(tensor)}.")
    given = (
        ("shape", None if shape is None else tuple(shape) == tensor.shape[1:], shape),
        ("batch_shape", None if batch_shape is None else tuple(batch_shape) == tensor.shape, batch_shape),
        ("batch_size", None if batch_size is None else batch_size == tensor.shape[0], batch_size),
        ("dtype", None if dtype is None else dtypes.as_dtype(dtype) == tensor.dtype, dtype),
        ("sparse", False if not_dense else None, True),
    )
    for name, agrees, value in given:
        if agrees is False:
            raise ArgumentError(
                f"With `input_tensor` you cannot provide an incompatible `{name}`: it is {value}, and the placeholder "
                f"has shape {tensor.shape} and dtype {tensor.dtype}."
            )


def Input(
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
    **kwargs: Any,
) -> SymbolicTensor:
    """A placeholder for data, from which the functional API builds a model.

    Args:
        shape: shape of one sample, without the batch; ``None`` where a size is not known.
        batch_size: size of the batch, if it is always the same.
        dtype: dtype of the data; default ``lamina.config.floatx()``.
        sparse: only false: Lamina has no sparse tensors.
        ragged: only false: Lamina has no ragged tensors.
        batch_shape: the shape with the batch, instead of ``shape`` and ``batch_size``.
        name: name of the input.
        tensor: a placeholder to begin with, instead of a new one.
        optional: whether the model may be given ``None`` here.
        kwargs: ``input_shape``, an older name of ``shape``.

    Raises:
        ArgumentError: there is no shape, or what is given does not agree; or sparse or ragged data is asked for.

    Example:
        >>> import lamina
        >>> x = lamina.Input((784,))
        >>> y = lamina.layers.Dense(10)(x)
        >>> y.shape
        (None, 10)
        >>> model = lamina.Model(x, y)
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name, **kwargs)
    output: SymbolicTensor = layer.output
    return output
