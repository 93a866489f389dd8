"""Layers around functions and other layers: ``Lambda``, ``Identity``, ``SpectralNormalization``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lamina import config, initializers, ops
from lamina.core.errors import ArgumentError
from lamina.layers.base import Layer
from lamina.layers.recurrent_wrappers import Wrapper
from lamina.layers.symbolic import Shape
from lamina.serialization import deserialize, is_serialized, register_serializable, serialize
from lamina.tensor import Variable

_register = register_serializable("lamina.layers")


@_register
class Identity(Layer):
    """Hands its input through.

    Example:
        >>> import lamina
        >>> lamina.layers.Identity()(lamina.tensor([1.0])).tolist()
        [1.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape


@_register
class Lambda(Layer):
    """Applies a function of tensors.

    The function should have no Variables of its own: a ``Lambda`` does not know of them, so they would be
    neither trained nor saved.  Only a registered function (``lamina.register_serializable``) can be saved:
    code is never written into a file or read from one.  Nothing else is lost by writing a small ``Layer``
    instead, which has neither limit.

    Args:
        function: takes the inputs (and the ``arguments``) and returns a tensor.
        output_shape: accepted for Keras's sake; the shape is found by tracing the function.
        mask: a mask, or a function ``(inputs, mask)`` that makes one, for the layers that follow.
        arguments: keyword arguments for the function.

    Example:
        >>> import lamina
        >>> lamina.layers.Lambda(lambda x: x ** 2)(lamina.tensor([3.0])).tolist()
        [9.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if is_serialized(function):
            function = deserialize(function)
        if not callable(function):
            raise ArgumentError(f"Lambda takes a function of tensors; got {function!r}.")
        self.function, self.arguments, self.mask = function, dict(arguments or {}), mask
        self._output_shape = output_shape
        self.supports_masking = mask is not None
        self._takes_training = "training" in inspect.signature(function).parameters

    def call(self, inputs: Any, training: Any = None) -> Any:
        more = {"training": training} if self._takes_training else {}
        return self.function(inputs, **{**self.arguments, **more})

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return self.mask(inputs, previous_mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": serialize(self.function), "arguments": serialize(self.arguments)}


@_register
class SpectralNormalization(Wrapper):
    """Divides the kernel of a layer by its largest singular value before each training call (while it is trainable).

    That value is estimated by power iteration, from a vector that is kept between calls.

    Args:
        layer: a layer with a ``kernel`` or ``embeddings``.
        power_iterations: how many iterations each call does.

    Raises:
        ArgumentError: the layer has neither, or ``power_iterations`` is not positive.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.SpectralNormalization(lamina.layers.Dense(2, kernel_initializer="ones"), 5)
        >>> y = layer(lamina.ones((1, 3)), training=True)
        >>> round(lamina.linalg.svdvals(layer.layer.kernel)[0].item(), 3)
        1.0
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ArgumentError(
                f"`power_iterations` should be greater than zero. Received: `power_iterations={power_iterations}`"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", None)
        if kernel is None:
            kernel = getattr(self.layer, "embeddings", None)
        if kernel is None:
            raise ArgumentError(f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'")
        self.kernel: Variable = kernel
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]),
            initializers.TruncatedNormal(stddev=0.02),
            dtype=self.kernel.dtype,
            trainable=False,
            name="vector_u",
        )
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training and self.trainable:
            u, kernel = self.normalized_weights()
            nothing = ops.all(ops.equal(self.kernel.value, 0))
            self.vector_u.assign(ops.where(nothing, self.vector_u.value, u))
            self.kernel.assign(ops.where(nothing, self.kernel.value, kernel))
        return self.layer(inputs)

    def normalized_weights(self) -> tuple[Any, Any]:
        """The next vector of the power iteration, and the kernel divided by the singular value it leads to."""
        columns = self.kernel.shape[-1]
        matrix = ops.reshape(self.kernel.value, (self.kernel.size // columns, columns))
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(u, ops.matrix_transpose(matrix)))
            u = _unit(ops.matmul(v, matrix))
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        return u, self.kernel.value / sigma

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}


def _unit(x: Any) -> Any:
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x)), config.epsilon() ** 2))
