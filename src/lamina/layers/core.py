"""The basic layers: ``Dense``, ``Embedding``, ``Masking``, ``Dropout``, ``Flatten``, ``Reshape``, ...."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import activations, initializers, ops, random
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.masks import set_mask
from lamina.layers.base import Layer
from lamina.layers.low_rank import LowRankUpdate, adapted
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.pool import data_format_of
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


@_register
class Dense(LowRankUpdate, Layer):
    """``activation(inputs @ kernel + bias)``: every output unit is connected to every input.

    Args:
        units: size of the output's last axis.
        activation: name or function; default none (linear).
        use_bias: whether to add a bias.
        kernel_initializer: initial ``kernel``, of shape ``(inputs, units)``.
        bias_initializer: initial ``bias``, of shape ``(units,)``.
        lora_rank: rank of a trained update beside the frozen kernel; see ``enable_lora``.
        lora_alpha: factor of the update times the rank; default ``lora_rank``.
        kwargs: ``kernel_regularizer``, ``bias_regularizer``, ``kernel_constraint``, ``bias_constraint``, and the
            arguments of ``Layer``.

    Input shape ``(batch, ..., inputs)``, output shape ``(batch, ..., units)``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Dense(3, activation="relu")
        >>> layer(lamina.ones((2, 4))).shape
        (2, 3)
    """

    _penalized = ("kernel", "bias")
    kernel = adapted("kernel")

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_lora(lora_rank, lora_alpha)
        self.units = _positive("Dense", "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        inputs = input_shape[-1]
        self.kernel = self.add_weight(
            (inputs, self.units),
            self.kernel_initializer,
            name="kernel",
            **self._penalties("kernel"),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((self.units,), self.bias_initializer, name="bias", **self._penalties("bias"))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: inputs})
        self._build_lora()

    def call(self, inputs: Any) -> Tensor:
        x = ops.matmul(inputs, self._kernel)
        if self.lora_enabled:
            a, b, scale = self._update
            x = ops.add(x, ops.multiply(ops.matmul(ops.matmul(inputs, a), b), scale))
        if self.bias is not None:
            x = ops.add(x, self.bias)
        return self.activation(x)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def _shape_advice(self, shape: Sequence[int | None]) -> str:
        if len(shape) < 2:
            return "The first axis is the batch: use x[None] or x.reshape(1, -1) for one sample."
        advice = super()._shape_advice(shape)
        return f"{advice} For images, put a Flatten layer before it." if len(shape) > 2 and self.built else advice

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            **self._lora_config(),
        }


@_register
class Embedding(LowRankUpdate, Layer):
    """Turns integers into vectors: row ``i`` of a learned table for input ``i``.

    Args:
        input_dim: number of rows: the largest integer plus one.
        output_dim: size of the vectors.
        embeddings_initializer: initial table, of shape ``(input_dim, output_dim)``.
        mask_zero: whether 0 is padding: the output carries a mask that is false there, which recurrent layers,
            losses and others heed.
        weights: the table as an array, or a list of it, instead of an initializer.
        lora_rank: rank of a trained update beside the frozen table; see ``enable_lora``.
        lora_alpha: factor of the update times the rank; default ``lora_rank``.
        kwargs: ``embeddings_regularizer``, ``embeddings_constraint``, and the arguments of ``Layer``.

    Input shape ``(batch, ...)`` of integers, output shape ``(batch, ..., output_dim)``.

    Raises:
        ArgumentError: (eagerly) an input is not between 0 and ``input_dim - 1``.

    Example:
        >>> import lamina
        >>> lamina.layers.Embedding(1000, 16)(lamina.tensor([[4, 10, 7]])).shape
        (1, 3, 16)
    """

    autocast = False
    _penalized = ("embeddings",)
    _adapted = "embeddings"
    embeddings = adapted("embeddings")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # of old models; the length is that of the input
        super().__init__(**kwargs)
        self._set_lora(lora_rank, lora_alpha)
        self.input_dim = _positive("Embedding", "input_dim", input_dim)
        self.output_dim = _positive("Embedding", "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.mask_zero = self.supports_masking = bool(mask_zero)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            name="embeddings",
            **self._penalties("embeddings"),
        )
        self._build_lora()

    def call(self, inputs: Any) -> Tensor:
        if not dtypes.is_integer(inputs.dtype):
            inputs = ops.astype(inputs, "int32")
        if not inputs.is_symbolic:
            self._check_range(inputs)
        rows = ops.take(self._embeddings, inputs, axis=0)
        if self.lora_enabled:
            a, b, scale = self._update
            rows = ops.add(rows, ops.multiply(ops.matmul(ops.take(a, inputs, axis=0), b), scale))
        return ops.astype(rows, self._dtype)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """With ``mask_zero``, where the inputs are not 0."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def _check_range(self, inputs: Tensor) -> None:
        values = inputs.__array__()
        if values.size and not (values.min() >= 0 and values.max() < self.input_dim):
            raise ArgumentError(
                f"an input is {values.min() if values.min() < 0 else values.max()}, expected integers from 0 to "
                f"{self.input_dim - 1}. Make input_dim larger or map rare values to one index."
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "mask_zero": self.mask_zero,
            **self._lora_config(),
        }


@_register
class Masking(Layer):
    """Marks steps of a sequence to be passed over: those whose features all equal ``mask_value``.

    The output is the input with 0 in these steps.  It carries a mask, which the layers, losses and metrics after
    it heed.

    Args:
        mask_value: the number that stands for nothing.

    Input shape ``(batch, steps, features)``, output the same.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Masking()
        >>> layer.compute_mask(lamina.tensor([[[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]]])).tolist()
        [[True, True, False]]
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        real = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        output: Tensor = ops.where(real, inputs, 0)
        set_mask(output, ops.squeeze(real, axis=-1))
        return output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where some feature is not ``mask_value``."""
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}


@_register
class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: name or function.

    Example:
        >>> import lamina
        >>> lamina.layers.Activation("relu")(lamina.tensor([-1.0, 1.0])).tolist()
        [0.0, 1.0]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


@_register
class Dropout(Layer):
    """In training, sets a fraction ``rate`` of the inputs to 0 and multiplies the rest by ``1 / (1 - rate)``.

    Args:
        rate: the fraction, from 0 to 1.
        noise_shape: shape of the random mask where it is to be broadcast (``None`` for the input's size).
        seed: an int, or ``None`` for one from the default generator.

    Source: Srivastava et al., "Dropout", JMLR 15, 2014.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Dropout(0.5, seed=0)
        >>> layer(lamina.ones((1, 4))).tolist()  # outside of training nothing is left out
        [[1.0, 1.0, 1.0, 1.0]]
        >>> sorted(set(layer(lamina.ones((1, 100)), training=True)[0].tolist()))
        [0.0, 2.0]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ArgumentError(
                "Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
                f"Received: rate={rate}"
            )
        self.rate, self.seed = float(rate), seed
        self.noise_shape = _noise_shape(noise_shape)
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Tensor:
        if not training or self.seed_generator is None:
            return inputs
        return random.dropout(inputs, self.rate, noise_shape=self.noise_shape, key=self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        noise_shape = list(self.noise_shape) if self.noise_shape is not None else None
        return {**super().get_config(), "rate": self.rate, "noise_shape": noise_shape, "seed": self.seed}


@_register
class Flatten(Layer):
    """Makes one axis of all but the batch: ``(batch, a, b)`` becomes ``(batch, a * b)``.

    Args:
        data_format: ``"channels_last"`` (default), or ``"channels_first"``, whose channels are moved
            to the end before.

    Example:
        >>> import lamina
        >>> lamina.layers.Flatten()(lamina.ones((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of("Flatten", data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = ops.permute_dims(inputs, (0, *range(2, inputs.ndim), 1))
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_spec(self, inputs: SymbolicTensor) -> SymbolicTensor:
        rest = inputs.shape[1:]
        size = None if None in rest else math.prod(rest)  # type: ignore[arg-type]
        return SymbolicTensor((inputs.shape[0] if inputs.shape else None, size), inputs.dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


@_register
class Reshape(Layer):
    """Gives each sample another shape.

    Args:
        target_shape: the new shape without the batch; one size may be -1, which is then worked out.

    Raises:
        ShapeError: the numbers of elements do not agree.

    Example:
        >>> import lamina
        >>> lamina.layers.Reshape((2, -1))(lamina.ones((5, 6))).shape
        (5, 2, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(n) for n in target_shape)
        if any(n < -1 for n in self.target_shape):
            raise ShapeError(
                "Each dimension in `target_shape` must be a non-negative integer, or `-1` for a single unknown "
                f"dimension. Received: target_shape={self.target_shape}."
            )
        if self.target_shape.count(-1) > 1:
            raise ShapeError(
                "There must be at most one unknown dimension (-1) in `target_shape`. "
                f"Received: target_shape={self.target_shape}."
            )
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        target = self._resolve(inputs.shape[1:])
        return ops.reshape(inputs, (inputs.shape[0], *target))

    def _resolve(self, sample: Sequence[int]) -> tuple[int, ...]:
        size, known = math.prod(sample), math.prod(n for n in self.target_shape if n != -1)
        if -1 in self.target_shape and known and size % known == 0:
            return tuple(size // known if n == -1 else n for n in self.target_shape)
        if size != known or -1 in self.target_shape:
            raise ShapeError(
                f"The total size of the tensor must be unchanged: a sample of shape {tuple(sample)} has {size} "
                f"elements and does not become {self.target_shape}. Choose sizes whose product agrees."
            )
        return self.target_shape

    def compute_output_spec(self, inputs: SymbolicTensor) -> SymbolicTensor:
        rest = inputs.shape[1:]
        target: Shape = tuple(None if n == -1 else n for n in self.target_shape)
        if None not in rest:
            target = self._resolve(rest)  # type: ignore[arg-type]
        return SymbolicTensor((inputs.shape[0], *target), inputs.dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


def _positive(layer: str, name: str, value: Any) -> int:
    """An int above zero.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 1:
        raise ArgumentError(
            f"Invalid value for argument `{name}`. Expected a strictly positive value. Received {name}={value!r}. "
            f"In {layer} `{name}` must be a positive integer."
        )
    return int(value)


def _noise_shape(shape: Any) -> tuple[int | None, ...] | None:
    """The shape of a dropout mask.

    Raises:
        ArgumentError: it is no tuple of positive sizes and ``None``.
    """
    if shape is None:
        return None
    wrong = "Invalid value received for argument `noise_shape`. Expected"
    if not isinstance(shape, list | tuple):
        raise ArgumentError(f"{wrong} a tuple or list of integers. Received: noise_shape={shape}")
    if any(n is not None and type(n) is not int for n in shape):
        raise ArgumentError(f"{wrong} all elements to be integers or None. Received: noise_shape={shape}")
    if any(n is not None and n < 1 for n in shape):
        raise ArgumentError(f"{wrong} all dimensions to be positive integers or None. Received: noise_shape={shape}")
    return tuple(shape)
