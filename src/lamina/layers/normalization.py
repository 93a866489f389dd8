"""Normalization layers, but for batch normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import initializers, ops
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.graph.custom_gradient import custom_gradient
from lamina.layers.base import Layer
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable
from lamina.tensor import Tensor


class _ScaleAndCenter(Layer):
    """A normalization with a learned ``gamma`` and ``beta``."""

    axis: int | list[int]

    autocast = False  # inputs beyond the range of half precision are normalized before they are rounded
    _penalized = ("beta", "gamma")

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.epsilon, self.center, self.scale = float(epsilon), center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.supports_masking = True

    def _add_weights(self, shape: Any, scale: bool, center: bool) -> None:
        made = [
            self.add_weight(shape, initializer, name=name, autocast=False, **self._penalties(name)) if wanted else None
            for name, initializer, wanted in (
                ("gamma", self.gamma_initializer, scale),
                ("beta", self.beta_initializer, center),
            )
        ]
        self.gamma, self.beta = made
        self.built = True

    def _scale_and_center(self, x: Any, shape: Sequence[int]) -> Any:
        """``gamma * x + beta``, both reshaped so that they broadcast."""
        if self.gamma is not None:
            x = ops.multiply(x, ops.reshape(self.gamma, shape))
        return x if self.beta is None else ops.add(x, ops.reshape(self.beta, shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        axes_of(self.axis, len(input_shape), input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
        }


@register_serializable("lamina.layers")
class LayerNormalization(_ScaleAndCenter):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with mean and variance of each sample.

    Args:
        axis: the axis, or axes, that mean and variance are taken over; ``gamma`` and ``beta`` have
            their shape.
        epsilon: added to the variance.
        center: whether there is a ``beta``.
        scale: whether there is a ``gamma``.
        beta_initializer: initial ``beta``.
        gamma_initializer: initial ``gamma``.
        rms_scaling: ``gamma * x / sqrt(variance + epsilon)`` instead, without ``beta``.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016, arXiv:1607.06450.

    Example:
        >>> import lamina
        >>> lamina.layers.LayerNormalization(epsilon=0.0)(lamina.tensor([[1.0, 3.0]])).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **kwargs)
        self.axis, self.rms_scaling = _axes_argument("LayerNormalization", axis), rms_scaling

    def build(self, input_shape: Shape) -> None:
        axes = axes_of(self.axis, len(input_shape), input_shape)
        shape = tuple(input_shape[a] for a in axes)
        self._add_weights(shape, self.scale or self.rms_scaling, self.center and not self.rms_scaling)
        self.input_spec = _spec(self.axis, input_shape)

    def call(self, inputs: Any) -> Tensor:
        axes = axes_of(self.axis, inputs.ndim, inputs.shape)
        x = _standardized(_widened(inputs), axes, self.epsilon, centered=not self.rms_scaling)
        # Weights over the last axes broadcast by themselves; others need axes of size 1 behind.
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)][axes[0] :]
        return ops.astype(self._scale_and_center(x, shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "rms_scaling": self.rms_scaling}


@register_serializable("lamina.layers")
class GroupNormalization(_ScaleAndCenter):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with mean and variance of each group of channels.

    They are taken over a sample's channels of one group and all axes but the batch.  With one group
    for each channel (``groups=-1``) it is instance normalization.

    Args:
        groups: the number of groups, a divisor of the number of channels; -1 for one for each channel.
        axis: the axis of the channels.
        epsilon: added to the variance.
        center: whether there is a ``beta`` for each channel.
        scale: whether there is a ``gamma`` for each channel.
        beta_initializer: initial ``beta``.
        gamma_initializer: initial ``gamma``.

    Source: Wu and He, "Group Normalization", ECCV 2018.

    Example:
        >>> import lamina
        >>> lamina.layers.GroupNormalization(groups=2)(lamina.ones((4, 8, 8, 6))).shape
        (4, 8, 8, 6)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **kwargs)
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            raise ArgumentError(
                "Received an invalid value for argument `groups`, expected a positive integer (or `-1` for instance "
                f"normalization). Received: groups={groups!r}"
            )
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError(f"GroupNormalization: axis is an int; got {axis!r}.")
        self.groups, self.axis = groups, axis

    def build(self, input_shape: Shape) -> None:
        (axis,) = axes_of(self.axis, len(input_shape), input_shape)
        channels = input_shape[axis]
        if axis == 0:
            raise ArgumentError("axis 0 is the batch; the channels are another.")
        if channels is None:
            raise ShapeError(
                f"Axis {self.axis} of input tensor should have a defined dimension but the layer received an input "
                f"with shape {tuple(input_shape)}."
            )
        if channels % self._groups(channels):
            raise ShapeError(
                f"Number of groups ({self.groups}) cannot be more than the number of channels ({channels})."
                if self.groups > channels
                else f"The number of channels ({channels}, in shape {tuple(input_shape)}, axis {self.axis}) must be "
                f"a multiple of the number of groups ({self.groups})."
            )
        self._add_weights((channels,), self.scale, self.center)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: channels})

    def _groups(self, channels: int) -> int:
        return channels if self.groups == -1 else self.groups

    def call(self, inputs: Any) -> Tensor:
        axis = self.axis % inputs.ndim
        groups = self._groups(inputs.shape[axis])
        x = group_normalized(_widened(inputs), axis, groups, self.gamma, self.beta, self.epsilon)
        return ops.astype(x, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}


@register_serializable("lamina.layers")
class RMSNormalization(Layer):
    """``scale * x / sqrt(mean(x**2) + epsilon)``, with the mean over each sample's features.

    Args:
        axis: the axis, or axes, that the mean is taken over; ``scale`` has their shape.
        epsilon: added to the mean.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.

    Example:
        >>> import lamina
        >>> lamina.layers.RMSNormalization(epsilon=0.0)(lamina.tensor([[2.0, -2.0]])).tolist()
        [[1.0, -1.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = _axes_argument("RMSNormalization", axis), float(epsilon)

    def build(self, input_shape: Shape) -> None:
        axes = axes_of(self.axis, len(input_shape), input_shape)
        shape: Any = tuple(input_shape[a] for a in axes)
        self.scale = self.add_weight(shape, "ones", name="scale", autocast=False)
        self.input_spec = _spec(self.axis, input_shape)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        axes = axes_of(self.axis, inputs.ndim, inputs.shape)
        x = _widened(inputs)
        power = ops.mean(ops.square(x), axis=axes, keepdims=True)
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)][axes[0] :]
        x = ops.multiply(ops.multiply(x, ops.rsqrt(ops.add(power, self.epsilon))), ops.reshape(self.scale, shape))
        return ops.astype(x, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        axes_of(self.axis, len(input_shape), input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}


@register_serializable("lamina.layers")
class UnitNormalization(Layer):
    """``x / sqrt(sum(x**2))``: vectors of length 1.  A vector of zeros stays one.

    Args:
        axis: the axis, or axes, along which the length is 1.

    Example:
        >>> import lamina
        >>> lamina.layers.UnitNormalization()(lamina.tensor([[0.0, 2.0], [0.0, 0.0]])).tolist()
        [[0.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axes_argument("UnitNormalization", axis)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        axes = axes_of(self.axis, inputs.ndim, inputs.shape)
        unit = ops.normalization.normalize(_widened(inputs), axes, epsilon=1e-12)
        return ops.astype(unit, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        axes_of(self.axis, len(input_shape), input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _axes_argument(layer: str, axis: Any) -> int | list[int]:
    """An int or a list of different ints, as it was given.

    Raises:
        ArgumentTypeError: it is neither.
    """
    given = [axis] if isinstance(axis, int) else axis
    if not isinstance(given, list | tuple) or not given or not all(type(a) is int for a in given):
        raise ArgumentTypeError(
            f"{layer}: Invalid value for `axis` argument: expected an int or a list/tuple of ints. "
            f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}"
        )
    return axis if isinstance(axis, int) else list(given)


def _spec(axis: int | list[int], shape: Shape) -> InputSpec:
    """That later inputs have the same sizes along the axes as the first; axes from the end allow any rank."""
    given = [axis] if isinstance(axis, int) else axis
    least = max(-a if a < 0 else a + 1 for a in given)
    return InputSpec(min_ndim=least, axes={a: shape[a] for a in given})


def axes_of(axis: int | list[int], ndim: int, shape: Sequence[int | None]) -> tuple[int, ...]:
    """The axes in order, counted from the front.

    Raises:
        ArgumentError: one does not exist, or is given twice.
    """
    given = [axis] if isinstance(axis, int) else axis
    for a in given:
        if not -ndim <= a < ndim:
            raise no_axis(a, axis, shape)
    axes = sorted(a % ndim for a in given)
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"axis {axis} names an axis of shape {tuple(shape)} twice.")
    return tuple(axes)


def no_axis(axis: int, given: Any, shape: Sequence[int | None]) -> ArgumentError:
    """The error for an axis that a shape does not have."""
    return ArgumentError(f"Axis {axis} is out of bounds for input shape {tuple(shape)}. Received: axis={given}")


def _widened(x: Any) -> Any:
    """Half precision as float32: its sums overflow."""
    return ops.astype(x, "float32") if x.dtype.itemsize < 4 else x


def group_normalized(x: Any, axis: int, groups: int, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> Any:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, with the statistics of groups of channels.

    Sums go over each sample's channels first, which lie side by side; those of a group are few numbers more.  The
    gradient is given by hand: it needs two sums, of the cotangent and of its product with ``x - mean``.

    Args:
        x: tensor of at least 32 bits; axis 0 is the batch.
        axis: the axis of the channels, from 1.
        groups: the number of groups, a divisor of the number of channels.
        gamma, beta: vectors, a number for each channel; default 1 and 0.
        epsilon: added to the variance.
    """
    samples, channels = x.shape[0], x.shape[axis]
    reduced = tuple(i for i in range(1, x.ndim) if i != axis)
    share = 1 / max(1, math.prod(x.shape[1:]) // groups)
    wide = [n if i in (0, axis) else 1 for i, n in enumerate(x.shape)]

    def spread(v: Any) -> Any:
        return ops.reshape(v, wide)

    def grouped(v: Any) -> Any:
        """The mean over a group, for each of its channels."""
        if groups < channels:
            v = ops.sum(ops.reshape(v, (samples, groups, channels // groups)), axis=-1, keepdims=True)
            v = ops.reshape(ops.broadcast_to(v, (samples, groups, channels // groups)), (samples, channels))
        return ops.multiply(v, share)

    @custom_gradient
    def group_normalized(x: Any, *weights: Any) -> Any:
        centered = ops.subtract(x, spread(grouped(ops.sum(x, axis=reduced))))
        variance = grouped(ops.sum(ops.square(centered), axis=reduced))
        inverse = ops.rsqrt(ops.add(variance, epsilon))
        factor = inverse if gamma is None else ops.multiply(inverse, weights[0])
        output = ops.multiply(centered, spread(factor))
        if beta is not None:
            output = ops.add(output, ops.reshape(weights[-1], wide[1:]))

        def gradient(ct: Any) -> Any:
            total = ops.sum(ct, axis=reduced)
            along = ops.multiply(ops.sum(ops.multiply(ct, centered), axis=reduced), inverse)
            scaled = (total, along) if gamma is None else (ops.multiply(v, weights[0]) for v in (total, along))
            shift, slope = (ops.multiply(grouped(v), inverse) for v in scaled)
            back = ops.subtract(ops.multiply(ct, spread(factor)), spread(shift))
            back = ops.subtract(back, ops.multiply(centered, spread(ops.multiply(slope, inverse))))
            return (
                back,
                *([] if gamma is None else [ops.sum(along, axis=0)]),
                *([] if beta is None else [ops.sum(total, axis=0)]),
            )

        return output, gradient

    return group_normalized(x, *(w for w in (gamma, beta) if w is not None))


def _standardized(x: Any, axes: tuple[int, ...], epsilon: float, centered: bool = True) -> Any:
    """``x - mean``, or ``x``, over ``sqrt(variance + epsilon)``; the variance from differences, which do not cancel."""
    difference = ops.subtract(x, ops.mean(x, axis=axes, keepdims=True))
    variance = ops.mean(ops.square(difference), axis=axes, keepdims=True)
    return ops.multiply(difference if centered else x, ops.rsqrt(ops.add(variance, epsilon)))
