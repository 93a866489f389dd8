"""Locally connected layers: convolutions whose kernel is another one at every position."""

from __future__ import annotations

import itertools
import math
from typing import Any

from lamina import activations, initializers, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.core import _positive
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.ops.pool import data_format_of
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class _LocallyConnected(Layer):
    """What both have in common; see ``LocallyConnected1D``."""

    _rank = 1
    _penalized = ("kernel", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        self.filters = _positive(name, "filters", filters)
        self.kernel_size, self.strides = self._sizes("kernel_size", kernel_size), self._sizes("strides", strides)
        if padding != "valid":
            raise ArgumentError(f"{name}: padding is 'valid' only, since a padded position has no inputs to weight.")
        self.padding, self.data_format = padding, data_format_of(name, data_format)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.input_spec = InputSpec(ndim=self._rank + 2)

    def _sizes(self, name: str, value: Any) -> tuple[int, ...]:
        values = (value,) * self._rank if isinstance(value, int) else tuple(value)
        if len(values) != self._rank:
            raise ArgumentError(f"{type(self).__name__}: {name} has {self._rank} sizes; got {value!r}.")
        return tuple(_positive(type(self).__name__, name, n) for n in values)

    def _positions(self, sizes: Any) -> tuple[int, ...]:
        if any(n is None or n < k for n, k in zip(sizes, self.kernel_size, strict=True)):
            raise ShapeError(
                f"expected known sizes of at least the kernel's {self.kernel_size}, got {tuple(sizes)}: every position "
                "has weights of its own."
            )
        return tuple((n - k) // s + 1 for n, k, s in zip(sizes, self.kernel_size, self.strides, strict=True))

    def _split(self, shape: Any) -> tuple[Any, Any]:
        """Sizes of the positions, and channels."""
        return (shape[1:-1], shape[-1]) if self.data_format == "channels_last" else (shape[2:], shape[1])

    def build(self, input_shape: Shape) -> None:
        sizes, channels = self._split(input_shape)
        positions = self._positions(sizes)
        inputs = math.prod(self.kernel_size) * channels
        self.kernel = self.add_weight(
            (math.prod(positions), inputs, self.filters),
            self.kernel_initializer,
            name="kernel",
            **self._penalties("kernel"),
        )
        self.bias = None
        if self.use_bias:
            shape = (*positions, self.filters)
            self.bias = self.add_weight(shape, self.bias_initializer, name="bias", **self._penalties("bias"))
        self.input_spec = InputSpec(shape=(None, *input_shape[1:]))
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        first = self.data_format == "channels_first"
        x = ops.moveaxis(inputs, 1, -1) if first else inputs
        positions = self._positions(x.shape[1:-1])
        pieces = []
        for offsets in itertools.product(*(range(k) for k in self.kernel_size)):
            spans = zip(offsets, self.strides, positions, strict=True)
            pieces.append(x[(slice(None), *(slice(o, o + s * (n - 1) + 1, s) for o, s, n in spans))])
        patches = ops.concat(pieces, axis=-1)  # at each position all inputs under the kernel
        patches = ops.reshape(patches, (x.shape[0], math.prod(positions), patches.shape[-1]))
        y = ops.matmul(ops.moveaxis(patches, 1, 0), self.kernel)  # (positions, batch, filters)
        y = ops.reshape(ops.moveaxis(y, 0, 1), (x.shape[0], *positions, self.filters))
        if self.bias is not None:
            y = ops.add(y, self.bias)
        y = self.activation(y)
        return ops.moveaxis(y, -1, 1) if first else y

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        positions = self._positions(self._split(input_shape)[0])
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, *positions)
        return (input_shape[0], *positions, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "data_format": self.data_format,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
        }


@_register
class LocallyConnected1D(_LocallyConnected):
    """A ``Conv1D`` whose weights are not shared: every position has a kernel and a bias of its own.

    Args:
        filters: number of output channels.
        kernel_size: width of the window.
        strides: step of the window.
        padding: ``"valid"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        activation: name or function; default none.
        use_bias: whether to add a bias.
        kernel_initializer: initial ``kernel``, of shape ``(positions, kernel_size * channels, filters)``.
        bias_initializer: initial ``bias``, of shape ``(positions, filters)``.
        kwargs: ``kernel_regularizer``, ``bias_regularizer``, ``kernel_constraint``, ``bias_constraint``, and the
            arguments of ``Layer``.

    Example:
        >>> import lamina
        >>> lamina.layers.LocallyConnected1D(4, 3)(lamina.ones((2, 10, 5))).shape
        (2, 8, 4)
    """


@_register
class LocallyConnected2D(_LocallyConnected):
    """A ``Conv2D`` whose weights are not shared: every position has a kernel and a bias of its own.

    Args:
        filters: number of output channels.
        kernel_size: height and width of the window, or one int for both.
        strides: steps of the window.
        padding: ``"valid"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        activation: name or function; default none.
        use_bias: whether to add a bias.
        kernel_initializer: initial ``kernel``, of shape ``(rows * columns, height * width * channels, filters)``.
        bias_initializer: initial ``bias``, of shape ``(rows, columns, filters)``.
        kwargs: as for ``LocallyConnected1D``.

    Example:
        >>> import lamina
        >>> lamina.layers.LocallyConnected2D(4, 3)(lamina.ones((2, 6, 5, 3))).shape
        (2, 4, 3, 4)
    """

    _rank = 2
