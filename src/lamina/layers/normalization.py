"""Normalization layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import config, initializers, ops
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.graph.custom_gradient import custom_gradient
from lamina.layers.base import Layer
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.serialization import register_serializable
from lamina.tensor import Tensor


@register_serializable("lamina.layers")
class BatchNormalization(Layer):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, for each channel.

    In training, mean and variance are those of the batch (the variance of the population, divided
    by the count), and the moving statistics become ``moving * momentum + batch * (1 - momentum)``.
    In inference, and while ``trainable`` is ``False``, the moving statistics are used.

    With ``renorm`` (batch renormalization, for small batches) training normalizes with statistics that follow the
    batches, too: ``(x - mean) / std`` of the batch is multiplied by ``r = std / renorm_stddev`` and shifted by
    ``d = (mean - renorm_mean) / renorm_stddev``, through which no gradient flows.

    Args:
        axis: the axis of the channels.
        momentum: how slowly the moving statistics follow.
        epsilon: added to the variance.
        center: whether there is a ``beta``.
        scale: whether there is a ``gamma``.
        beta_initializer: initial ``beta``.
        gamma_initializer: initial ``gamma``.
        moving_mean_initializer: initial moving mean.
        moving_variance_initializer: initial moving variance.
        renorm: whether to renormalize.
        renorm_clipping: bounds ``{"rmin": ..., "rmax": ..., "dmax": ...}`` of ``r`` and ``d``, any of them.
        renorm_momentum: how slowly ``renorm_mean`` and ``renorm_stddev`` follow.
        synchronized: for code written for Keras; only ``False``.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015; Ioffe, "Batch Renormalization", NeurIPS 2017.
    """

    _penalized = ("beta", "gamma")

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if synchronized:
            raise ArgumentError("BatchNormalization: synchronized=True is not offered: there is one device.")
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError(f"BatchNormalization: axis is an int; got {axis!r}.")
        self.axis, self.momentum, self.epsilon = axis, float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm, self.renorm_momentum, self.synchronized = bool(renorm), renorm_momentum, synchronized
        self.renorm_clipping = _renorm_bounds(renorm_clipping) if renorm else renorm_clipping
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise _no_axis(self.axis, self.axis, input_shape)
        shape: Any = (input_shape[self.axis],)
        self.gamma = (
            self.add_weight(shape, self.gamma_initializer, name="gamma", autocast=False, **self._penalties("gamma"))
            if self.scale
            else None
        )
        self.beta = (
            self.add_weight(shape, self.beta_initializer, name="beta", autocast=False, **self._penalties("beta"))
            if self.center
            else None
        )
        self.moving_mean = self.add_weight(
            shape, self.moving_mean_initializer, name="moving_mean", trainable=False, autocast=False
        )
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False, autocast=False
        )
        if self.renorm:
            self._add_renorm_weights(shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: input_shape[self.axis]})
        self.built = True

    def _add_renorm_weights(self, shape: Any) -> None:
        def deviation(shape: Any, dtype: Any = None) -> Any:
            return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

        makers = {
            "moving_stddev": deviation,
            "renorm_mean": self.moving_mean_initializer,
            "renorm_stddev": deviation,
        }
        self.moving_stddev, self.renorm_mean, self.renorm_stddev = (
            self.add_weight(shape, make, name=name, trainable=False, autocast=False) for name, make in makers.items()
        )

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Tensor:
        if mask is not None and mask.ndim != inputs.ndim - 1:
            raise ShapeError(
                "The mask provided should be one dimension less than the inputs. "
                f"Received: mask.shape={mask.shape}, inputs.shape={inputs.shape}"
            )
        x = inputs
        low = x.dtype.itemsize < 4  # half precision overflows in the sums
        if low:
            x = ops.astype(x, "float32")
        axis = self.axis % x.ndim
        reduced = tuple(i for i in range(x.ndim) if i != axis)
        # Channels on the last axis broadcast by themselves; elsewhere they need axes of size 1 behind.
        wide = (x.shape[axis], *(1,) * (x.ndim - 1 - axis))

        def spread(v: Any) -> Any:
            v = ops.as_tensor(v)
            return v if len(wide) == 1 else ops.reshape(v, wide)

        if training and self.trainable and self.renorm:
            output = self._renormalized(x, mask, reduced, spread)
            return ops.astype(output, inputs.dtype) if low else output  # type: ignore[no-any-return]
        if training and self.trainable:
            if mask is None:
                output, mean, variance = _batch_normalized(self.epsilon, axis, x, self.gamma, self.beta)
            else:
                mean, variance = self._masked_moments(x, mask, reduced, spread)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving.value * self.momentum + ops.stop_gradient(batch) * (1.0 - self.momentum))
            if mask is None:
                return ops.astype(output, inputs.dtype) if low else output  # type: ignore[no-any-return]
            centered = ops.subtract(x, spread(mean))
        else:
            variance = ops.as_tensor(self.moving_variance)
            centered = ops.subtract(x, spread(self.moving_mean))
        factor = ops.rsqrt(ops.add(variance, self.epsilon))
        if self.gamma is not None:
            factor = ops.multiply(factor, self.gamma)
        output = ops.multiply(centered, spread(factor))
        if self.beta is not None:
            output = ops.add(output, spread(self.beta))
        return ops.astype(output, inputs.dtype) if low else output  # type: ignore[no-any-return]

    def _renormalized(self, x: Any, mask: Any, reduced: tuple[int, ...], spread: Any) -> Any:
        """Normalized as batch renormalization does it; all moving statistics follow."""
        if mask is None:
            mean, variance = ops.mean(x, axis=reduced), ops.var(x, axis=reduced)
        else:
            mean, variance = self._masked_moments(x, mask, reduced, spread)
        deviation = ops.sqrt(ops.add(variance, self.epsilon))
        normalized = ops.divide(ops.subtract(x, spread(mean)), spread(deviation))
        mean, deviation = ops.stop_gradient(mean), ops.stop_gradient(deviation)
        steady = ops.maximum(self.renorm_stddev.value, math.sqrt(self.epsilon))
        bounds = self.renorm_clipping or {}
        r, d = ops.divide(deviation, steady), ops.divide(ops.subtract(mean, self.renorm_mean.value), steady)
        r = ops.maximum(r, bounds["rmin"]) if "rmin" in bounds else r
        r = ops.minimum(r, bounds["rmax"]) if "rmax" in bounds else r
        d = ops.clip(d, -bounds["dmax"], bounds["dmax"]) if "dmax" in bounds else d
        for moving, batch, momentum in (
            (self.renorm_mean, mean, self.renorm_momentum),
            (self.renorm_stddev, deviation, self.renorm_momentum),
            (self.moving_mean, mean, self.momentum),
            (self.moving_stddev, deviation, self.momentum),
        ):
            moving.assign(moving.value * momentum + batch * (1.0 - momentum))
        self.moving_variance.assign(ops.maximum(ops.square(self.moving_stddev.value) - self.epsilon, 0.0))
        output = ops.add(ops.multiply(normalized, spread(r)), spread(d))
        output = output if self.gamma is None else ops.multiply(output, spread(self.gamma))
        return output if self.beta is None else ops.add(output, spread(self.beta))

    def _masked_moments(self, x: Any, mask: Any, reduced: tuple[int, ...], spread: Any) -> tuple[Any, Any]:
        """Mean and variance of the positions where the mask, which has all axes of ``x`` but the last, is true."""
        real = ops.broadcast_to(ops.expand_dims(ops.astype(mask, "bool"), mask.ndim), x.shape)
        count = ops.add(ops.sum(ops.astype(real, x.dtype), axis=reduced), config.epsilon())
        mean = ops.divide(ops.sum(ops.where(real, x, 0), axis=reduced), count)
        centered = ops.where(real, ops.subtract(x, spread(mean)), 0)
        return mean, ops.divide(ops.sum(ops.square(centered), axis=reduced), count)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _axes(self.axis, len(input_shape), input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }


def _renorm_bounds(given: dict[str, float] | None) -> dict[str, float]:
    """The bounds of batch renormalization.

    Raises:
        ArgumentError: there is another key, or a bound that nothing satisfies.
    """
    bounds = {k: v for k, v in (given or {}).items() if v is not None}
    unknown = set(bounds) - {"rmin", "rmax", "dmax"}
    if unknown:
        raise ArgumentError(
            f"Received invalid keys for `renorm_clipping` argument: {given}. Supported values: rmax, rmin, dmax."
        )
    if "rmin" in bounds and "rmax" in bounds and bounds["rmax"] < bounds["rmin"]:
        raise ArgumentError(f"rmax should be greater than rmin in the `renorm_clipping` argument. Received: {given}.")
    if bounds.get("dmax", 0) < 0:
        raise ArgumentError(f"dmax should be non-negative in the `renorm_clipping` argument. Received: {given}.")
    return bounds


def _batch_normalized(epsilon: float, axis: int, x: Any, gamma: Any, beta: Any) -> Any:
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, and the mean and variance of each channel.

    The gradient is given by hand: it needs two sums, of the cotangent and of its product with
    ``x - mean``, where the derivatives of the formula would be four passes more over the data.
    No gradient flows through the mean and the variance that are returned.
    """
    reduced = tuple(i for i in range(x.ndim) if i != axis)
    count = max(1, math.prod(x.shape[i] for i in reduced))
    wide = (x.shape[axis], *(1,) * (x.ndim - 1 - axis))

    def spread(v: Any) -> Any:
        return v if len(wide) == 1 else ops.reshape(v, wide)

    @custom_gradient
    def batch_normalized(x: Any, *weights: Any) -> Any:
        scale = weights[0] if gamma is not None else None
        mean = ops.mean(x, axis=reduced)
        centered = ops.subtract(x, spread(mean))
        variance = ops.mean(ops.square(centered), axis=reduced)
        inverse = ops.rsqrt(ops.add(variance, epsilon))
        factor = inverse if scale is None else ops.multiply(inverse, scale)
        output = ops.multiply(centered, spread(factor))
        if beta is not None:
            output = ops.add(output, spread(weights[-1]))

        def gradient(cotangents: Any) -> tuple[Any, ...]:
            ct = cotangents[0]
            total = ops.sum(ct, axis=reduced)
            along = ops.multiply(ops.sum(ops.multiply(ct, centered), axis=reduced), inverse)
            slope = ops.multiply(ops.multiply(along, inverse), 1 / count)
            back = ops.subtract(ct, spread(ops.multiply(total, 1 / count)))
            back = ops.multiply(ops.subtract(back, ops.multiply(centered, spread(slope))), spread(factor))
            return (back, *([] if gamma is None else [along]), *([] if beta is None else [total]))

        return (output, ops.stop_gradient(mean), ops.stop_gradient(variance)), gradient

    return batch_normalized(x, *(w for w in (gamma, beta) if w is not None))


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
        _axes(self.axis, len(input_shape), input_shape)
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
        axes = _axes(self.axis, len(input_shape), input_shape)
        shape = tuple(input_shape[a] for a in axes)
        self._add_weights(shape, self.scale or self.rms_scaling, self.center and not self.rms_scaling)
        self.input_spec = _spec(self.axis, input_shape)

    def call(self, inputs: Any) -> Tensor:
        axes = _axes(self.axis, inputs.ndim, inputs.shape)
        x = _standardized(_widened(inputs), axes, self.epsilon, centered=not self.rms_scaling)
        # Weights over the last axes broadcast by themselves; others need axes of size 1 behind.
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)][axes[0] :]
        return ops.astype(self._scale_and_center(x, shape), self.compute_dtype)  # type: ignore[no-any-return]

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
        (axis,) = _axes(self.axis, len(input_shape), input_shape)
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
        channels = inputs.shape[axis]
        groups = self._groups(channels)
        apart = (*inputs.shape[:axis], groups, channels // groups, *inputs.shape[axis + 1 :])
        axes = tuple(i for i in range(1, inputs.ndim + 1) if i != axis)
        x = _standardized(ops.reshape(_widened(inputs), apart), axes, self.epsilon)
        x = ops.reshape(x, inputs.shape)
        shape = (channels, *(1,) * (inputs.ndim - 1 - axis))
        return ops.astype(self._scale_and_center(x, shape), self.compute_dtype)  # type: ignore[no-any-return]

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
        axes = _axes(self.axis, len(input_shape), input_shape)
        shape: Any = tuple(input_shape[a] for a in axes)
        self.scale = self.add_weight(shape, "ones", name="scale", autocast=False)
        self.input_spec = _spec(self.axis, input_shape)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        axes = _axes(self.axis, inputs.ndim, inputs.shape)
        x = _widened(inputs)
        power = ops.mean(ops.square(x), axis=axes, keepdims=True)
        shape = [n if axis in axes else 1 for axis, n in enumerate(inputs.shape)][axes[0] :]
        x = ops.multiply(ops.multiply(x, ops.rsqrt(ops.add(power, self.epsilon))), ops.reshape(self.scale, shape))
        return ops.astype(x, inputs.dtype)  # type: ignore[no-any-return]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _axes(self.axis, len(input_shape), input_shape)
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
        axes = _axes(self.axis, inputs.ndim, inputs.shape)
        x = _widened(inputs)
        power = ops.sum(ops.square(x), axis=axes, keepdims=True)
        return ops.astype(ops.multiply(x, ops.rsqrt(ops.maximum(power, 1e-24))), inputs.dtype)  # type: ignore[no-any-return]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        _axes(self.axis, len(input_shape), input_shape)
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


def _axes(axis: int | list[int], ndim: int, shape: Sequence[int | None]) -> tuple[int, ...]:
    """The axes in order, counted from the front.

    Raises:
        ArgumentError: one does not exist, or is given twice.
    """
    given = [axis] if isinstance(axis, int) else axis
    for a in given:
        if not -ndim <= a < ndim:
            raise _no_axis(a, axis, shape)
    axes = sorted(a % ndim for a in given)
    if len(set(axes)) < len(axes):
        raise ArgumentError(f"axis {axis} names an axis of shape {tuple(shape)} twice.")
    return tuple(axes)


def _no_axis(axis: int, given: Any, shape: Sequence[int | None]) -> ArgumentError:
    return ArgumentError(f"Axis {axis} is out of bounds for input shape {tuple(shape)}. Received: axis={given}")


def _widened(x: Any) -> Any:
    """Half precision as float32: its sums overflow."""
    return ops.astype(x, "float32") if x.dtype.itemsize < 4 else x


def _standardized(x: Any, axes: tuple[int, ...], epsilon: float, centered: bool = True) -> Any:
    """``x - mean``, or ``x``, over ``sqrt(variance + epsilon)``; the variance from differences, which do not cancel."""
    difference = ops.subtract(x, ops.mean(x, axis=axes, keepdims=True))
    variance = ops.mean(ops.square(difference), axis=axes, keepdims=True)
    return ops.multiply(difference if centered else x, ops.rsqrt(ops.add(variance, epsilon)))
