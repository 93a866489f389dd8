"""Layers around functions and other layers: ``Lambda``, ``Identity``, ``Pipeline``, ``SpectralNormalization``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lamina import config, initializers, ops
from lamina.core.errors import ArgumentError
from lamina.core.masks import set_mask
from lamina.layers.base import Layer
from lamina.layers.core import Embedding
from lamina.layers.masking import with_mask
from lamina.layers.recurrent_wrappers import Wrapper
from lamina.layers.symbolic import Shape, SymbolicTensor
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
        epsilon = config.epsilon()
        for _ in range(self.power_iterations):
            v = ops.normalization.normalize(ops.matmul(u, ops.matrix_transpose(matrix)), epsilon=epsilon)
            u = ops.normalization.normalize(ops.matmul(v, matrix), epsilon=epsilon)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.sum(ops.matmul(v, matrix) * u)
        return u, self.kernel.value / sigma

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}


@_register
class Pipeline(Layer):
    """Applies layers one after the other: to prepare data, say.

    Args:
        layers: the layers, in order.
        name: name of the layer.

    Example:
        >>> import lamina
        >>> prepare = lamina.layers.Pipeline([lamina.layers.Rescaling(1 / 255), lamina.layers.CenterCrop(2, 2)])
        >>> prepare(lamina.ones((1, 4, 4, 3))).shape
        (1, 2, 2, 3)
    """

    autocast = False

    def __init__(self, layers: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.layers = [deserialize(x) if is_serialized(x) else x for x in layers]

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        if mask is not None:
            inputs = with_mask(inputs, mask)
        for layer in self.layers:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layers": serialize(self.layers)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        layers = config.get("layers")
        if not isinstance(layers, list | tuple):
            raise ArgumentError(
                "`Pipeline` config must contain a `layers` key mapping to a list of serialized layers. "
                f"Received config with layers={layers}."
            )
        return cls(**config)


@_register
class ReversibleEmbedding(Embedding):
    """An ``Embedding`` that also turns vectors back to scores of the integers, with ``reverse=True``.

    Args:
        input_dim: number of rows: the largest integer plus one.
        output_dim: size of the vectors.
        tie_weights: whether the way back uses the same table (transposed), or one of its own.
        embeddings_initializer: initial tables.
        reverse_dtype: dtype of the way back; default that of the layer.
        logit_soft_cap: ``c``: scores become ``c * tanh(score / c)``; ``None`` for no bound.
        kwargs: as for ``Embedding``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.ReversibleEmbedding(10, 4)
        >>> vectors = layer(lamina.tensor([[1, 2, 3]]))
        >>> layer(vectors, reverse=True).shape
        (1, 3, 10)

    Source: Press and Wolf, "Using the Output Embedding to Improve Language Models", EACL 2017.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, embeddings_initializer, **kwargs)
        self.tie_weights, self.reverse_dtype, self.logit_soft_cap = tie_weights, reverse_dtype, logit_soft_cap

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim), self.embeddings_initializer, name="reverse_embeddings"
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            vectors = super().call(inputs)
            set_mask(vectors, super().compute_mask(inputs))
            return vectors
        table = ops.matrix_transpose(self.embeddings) if self.tie_weights else ops.as_tensor(self.reverse_embeddings)
        if self.reverse_dtype is not None:
            inputs, table = (ops.astype(x, self.reverse_dtype) for x in (inputs, table))
        scores = ops.matmul(inputs, table)
        cap = self.logit_soft_cap
        return scores if cap is None else ops.tanh(scores / cap) * cap

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: ``call`` puts the mask on vectors; scores have none."""
        return None

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        return (*input_shape[:-1], self.input_dim) if reverse else (*input_shape, self.output_dim)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        dtype = self.reverse_dtype if reverse and self.reverse_dtype is not None else self.compute_dtype
        return SymbolicTensor(self.compute_output_shape(inputs.shape, reverse), dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tie_weights": self.tie_weights,
            "reverse_dtype": self.reverse_dtype,
            "logit_soft_cap": self.logit_soft_cap,
        }
