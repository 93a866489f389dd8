"""Activation functions that are layers: those with arguments, and ``PReLU`` with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import activations, initializers, nn, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


def _not_negative(layer: str, name: str, value: Any) -> float:
    """A finite number that is not below zero.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        none = "" if name == "max_value" else "None or "
        raise ArgumentError(
            f"{name} of a {layer} layer cannot be {none}a negative value; it is a finite number. "
            f"Received: {name}={value!r}"
        )
    return float(value)


class _Elementwise(Layer):
    """An activation that keeps the shape."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """That of the input."""
        return input_shape


@_register
class ReLU(_Elementwise):
    """``max(x, 0)``; with arguments, capped, with a slope below the threshold, and 0 between.

    Args:
        max_value: the largest value given out, or ``None``.
        negative_slope: slope below ``threshold``.
        threshold: below it the output is ``negative_slope * (x - threshold)``.

    Example:
        >>> import lamina
        >>> lamina.layers.ReLU(max_value=2.0)([-1.0, 1.0, 3.0]).tolist()
        [0.0, 1.0, 2.0]
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative("ReLU", "max_value", max_value)
        self.negative_slope = _not_negative("ReLU", "negative_slope", negative_slope)
        self.threshold = _not_negative("ReLU", "threshold", threshold)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


@_register
class LeakyReLU(_Elementwise):
    """``x`` where positive, ``negative_slope * x`` elsewhere.

    Args:
        negative_slope: slope below 0.

    Example:
        >>> import lamina
        >>> lamina.layers.LeakyReLU(0.5)([-1.0, 1.0]).tolist()
        [-0.5, 1.0]
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(negative_slope, int | float) or negative_slope < 0:
            raise ArgumentError(
                "The negative_slope value of a Leaky ReLU layer cannot be None or negative value. Expected a float. "
                f"Received: negative_slope={negative_slope}"
            )
        self.negative_slope = _not_negative("LeakyReLU", "negative_slope", negative_slope)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


@_register
class ELU(_Elementwise):
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere.

    Args:
        alpha: minus the value that the output approaches far below 0.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by ELUs", ICLR 2016.

    Example:
        >>> import lamina
        >>> lamina.layers.ELU()([0.0, 1.0]).tolist()
        [0.0, 1.0]
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


@_register
class Softmax(_Elementwise):
    """``exp(x) / sum(exp(x))`` along an axis: probabilities from logits.

    Called with ``mask=``, a bool tensor that broadcasts to the inputs, it gives positions where the
    mask is false probability 0.

    Args:
        axis: the axis, or a list of axes, along which the output adds up to 1.

    Example:
        >>> import lamina
        >>> lamina.layers.Softmax()([[0.0, 0.0, 5.0]], mask=lamina.tensor([[True, True, False]])).tolist()
        [[0.5, 0.5, 0.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        if mask is None:
            return activations.softmax(inputs, axis) if isinstance(axis, int) else nn.softmax(inputs, axis=axis)
        mask = ops.as_tensor(mask)
        if not dtypes.is_bool(mask.dtype):
            mask = ops.greater(mask, 0.5)
        if mask.ndim > inputs.ndim or any(m not in (1, n) for m, n in zip(mask.shape[::-1], inputs.shape[::-1])):
            raise ShapeError(
                "The `mask` must be broadcastable to `inputs` and must not have more dimensions. Each mask dimension "
                f"must be 1 or match the input's. Received: inputs.shape={inputs.shape}, mask.shape={mask.shape}"
            )
        # Where the whole axis is masked the probabilities mean nothing, and become 0 afterwards.
        lowest = -3e4 if inputs.dtype.itemsize < 4 else -1e9
        output = nn.softmax(ops.where(mask, inputs, lowest), axis=axis)
        return ops.where(mask, output, 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


@_register
class PReLU(_Elementwise):
    """``x`` where positive, ``alpha * x`` elsewhere, with a learned ``alpha`` for each element of a sample.

    Args:
        alpha_initializer: initial ``alpha``, of the shape of one sample.
        shared_axes: axes along which one ``alpha`` serves all elements, counted with the batch as 0:
            ``(1, 2)`` for one ``alpha`` for each channel of an image.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015.

    Example:
        >>> import lamina
        >>> lamina.layers.PReLU("ones")(lamina.tensor([[-1.0, 1.0]])).tolist()
        [[-1.0, 1.0]]
    """

    _penalized = ("alpha",)

    def __init__(
        self, alpha_initializer: Any = "zeros", shared_axes: int | Sequence[int] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if axes is None else [int(a) for a in axes]

    def build(self, input_shape: Shape) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis < len(input_shape):
                raise ShapeError(f"shared_axes holds axis {axis}; an input of shape {tuple(input_shape)} does not.")
            shape[axis - 1] = 1
        self.alpha = self.add_weight(shape, self.alpha_initializer, name="alpha", **self._penalties("alpha"))
        axes = {i: n for i, n in enumerate(input_shape) if i and i not in (self.shared_axes or ())}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        negative = ops.relu(ops.negative(inputs))
        return ops.subtract(ops.relu(inputs), ops.multiply(self.alpha, negative))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": initializers.serialize(self.alpha_initializer),
            "shared_axes": self.shared_axes,
        }
