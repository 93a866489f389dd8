"""Normalization layers."""

from __future__ import annotations

from typing import Any

from lamina import initializers, ops
from lamina.core.errors import ArgumentError
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

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015.
    """

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ArgumentError(f"BatchNormalization: axis is an int; got {axis!r}.")
        self.axis, self.momentum, self.epsilon = axis, float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Shape) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape):
            raise ArgumentError(f"axis {self.axis} does not exist in an input of shape {tuple(input_shape)}.")
        shape: Any = (input_shape[self.axis],)
        self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, self.beta_initializer, name="beta") if self.center else None
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", trainable=False
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: input_shape[self.axis]})
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
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

        if training and self.trainable:
            mean = ops.mean(x, axis=reduced)
            centered = ops.subtract(x, spread(mean))
            variance = ops.mean(ops.square(centered), axis=reduced)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving.value * self.momentum + ops.stop_gradient(batch) * (1.0 - self.momentum))
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

    def compute_output_shape(self, input_shape: Shape) -> Shape:
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
        }
