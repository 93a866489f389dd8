"""Batch normalization."""

from __future__ import annotations

import math
from typing import Any

from lamina import config, initializers, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.graph.custom_gradient import custom_gradient
from lamina.layers.base import Layer
from lamina.layers.normalization import axes_of, no_axis
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

    Example:
        >>> import lamina
        >>> layer = lamina.layers.BatchNormalization(epsilon=0.0)
        >>> layer([[1.0], [3.0]], training=True).tolist()
        [[-1.0], [1.0]]
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
            raise no_axis(self.axis, self.axis, input_shape)
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
            return ops.astype(output, inputs.dtype) if low else output
        if training and self.trainable:
            if mask is None:
                output, mean, variance = _batch_normalized(self.epsilon, axis, x, self.gamma, self.beta)
            else:
                mean, variance = self._masked_moments(x, mask, reduced, spread)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving.value * self.momentum + ops.stop_gradient(batch) * (1.0 - self.momentum))
            if mask is None:
                return ops.astype(output, inputs.dtype) if low else output
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
        return ops.astype(output, inputs.dtype) if low else output

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
        axes_of(self.axis, len(input_shape), input_shape)
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
