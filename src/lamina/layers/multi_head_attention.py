"""Attention of several heads with learned projections: ``MultiHeadAttention`` and ``GroupedQueryAttention``."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from lamina import config, initializers, nn, ops, random
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.attention import as_bool, check_dropout
from lamina.layers.base import Layer
from lamina.layers.calls import calls
from lamina.layers.einsum_dense import EinsumDense
from lamina.layers.symbolic import Shape
from lamina.serialization import deserialize, register_serializable, serialize

_register = register_serializable("lamina.layers")


def _positive(layer: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ArgumentError(
            f"{layer}: Received an invalid value for argument `{name}`, expected a positive integer. "
            f"Received: {name}={value!r}"
        )
    return value


class _Projected(Layer):
    """Projections to heads, attention, and the projection back."""

    _penalized = ("kernel", "bias")

    def __init__(
        self,
        sizes: tuple[int, int, int, int],
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        use_gate: bool,
        seed: int | None,
        position_embedding: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        name = type(self).__name__
        self.position_embedding = _layer_of_places(name, position_embedding)
        self._sizes = sizes  # heads of queries, heads of keys, size of keys, size of values
        self.dropout = check_dropout(name, dropout)
        self.use_bias, self.use_gate, self.seed = use_bias, use_gate, seed
        self.sliding_window = None if sliding_window is None else _positive(name, "sliding_window", sliding_window)
        self._flash_attention = flash_attention if flash_attention is not None else config.is_flash_attention_enabled()
        if self._flash_attention and self.dropout > 0:
            raise ArgumentError(
                f"{name}: Dropout is not supported when flash attention is enabled. Please set dropout to 0.0, or "
                "flash_attention to False."
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        # As in Keras, the projections are what is regularized, not the output as a whole.
        self._projections_activity: Any = vars(self).pop("activity_regularizer")
        self.activity_regularizer = None
        self.seed_generator = random.SeedGenerator(seed) if self.dropout > 0 else None
        self._axes: tuple[int, ...] = (1,)
        self._output_sizes: tuple[int, ...] | None = None
        self.supports_masking = True

    # --- weights ----------------------------------------------------------------------------------
    def build(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        key_shape = self._check_shapes(query_shape, value_shape, key_shape)
        heads, groups, size, value_size = self._sizes
        self._query_dense = self._to_heads("query", query_shape, heads, size)
        self._key_dense = self._to_heads("key", key_shape, groups, size)
        if self.use_gate:
            self._gate_dense = self._to_heads("gate", query_shape, heads, value_size, activation="sigmoid")
        self._value_dense = self._to_heads("value", value_shape, groups, value_size)
        shape = self._output_sizes or (query_shape[-1],)
        letters = string.ascii_letters
        steps = letters[: len(query_shape) - 1]
        sources, results = letters[26:28], letters[28 : 28 + len(shape)]
        self._output_dense = self._projection(
            "attention_output", f"{steps}{sources},{sources}{results}->{steps}{results}",
            (*query_shape[1:-1], *shape), results, (*query_shape[:-1], heads, value_size),
        )  # fmt: skip
        self.built = True

    def _check_shapes(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None) -> Shape:
        """The shape of the key.

        Raises:
            ShapeError: the shapes do not go together.
        """
        key_shape = value_shape if key_shape is None else key_shape
        ranks = {len(query_shape), len(value_shape), len(key_shape)}
        if len(ranks) > 1 or min(ranks) < 3:
            raise ShapeError(
                "the ranks of query, value and key must be equal, (batch, steps, size) or more; got shapes "
                f"{tuple(query_shape)}, {tuple(value_shape)} and {tuple(key_shape)}."
            )
        if value_shape[1:-1] != key_shape[1:-1]:
            raise ShapeError(
                "All dimensions of `value` and `key`, except the last one, must be equal. "
                f"Received: value_shape={tuple(value_shape)} and key_shape={tuple(key_shape)}"
            )
        return key_shape

    def compute_output_shape(self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None) -> Shape:
        self._check_shapes(query_shape, value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_sizes or query_shape[-1:]))

    def _to_heads(self, name: str, shape: Shape, heads: int, size: int, activation: Any = None) -> EinsumDense:
        steps = string.ascii_letters[: len(shape) - 1]
        return self._projection(
            name, f"{steps}X,XYZ->{steps}YZ", (*shape[1:-1], heads, size), "YZ", shape, activation=activation
        )

    def _projection(
        self, name: str, equation: str, output_shape: Sequence[int | None], bias: str, shape: Shape, **more: Any
    ) -> EinsumDense:
        # Sizes of steps are left open: the layer may be called on sequences of other lengths.
        sizes = [None if i < len(output_shape) - len(bias) else n for i, n in enumerate(output_shape)]
        layer = EinsumDense(
            equation,
            sizes,
            bias_axes=bias if self.use_bias else None,
            kernel_initializer=_another(self.kernel_initializer),
            bias_initializer=_another(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            activity_regularizer=self._projections_activity,
            dtype=self._sublayer_dtype(),
            name=name,
            **more,
        )
        layer.supports_masking = True
        layer.build(shape)
        return layer

    def _sublayer_dtype(self) -> Any:
        return getattr(self, "dtype_policy", None) or self.dtype

    @property
    def query_dense(self) -> EinsumDense:
        """The projection of the queries; its kernel has shape (size, heads, key size)."""
        return self._query_dense

    @property
    def key_dense(self) -> EinsumDense:
        """The projection of the keys."""
        return self._key_dense

    @property
    def value_dense(self) -> EinsumDense:
        """The projection of the values."""
        return self._value_dense

    @property
    def output_dense(self) -> EinsumDense:
        """The projection of all heads' outputs; its kernel has shape (heads, value size, *output sizes)."""
        return self._output_dense

    # --- calling ------------------------------------------------------------------------------------
    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        if self._flash_attention and return_attention_scores:
            raise ArgumentError(
                "Returning attention scores is not supported when flash attention is enabled. Please disable flash "
                "attention to access attention scores."
            )
        if use_causal_mask and len(self._axes) > 1:
            raise ArgumentError(f"use_causal_mask is for attention along one axis, not {self._axes}.")
        cache = calls.cache.of(self) if calls.cache and use_causal_mask and self._axes == (1,) else None
        if cache is None:
            mask = self._mask((query.shape, key.shape), value_mask, key_mask, attention_mask)
        gate = self._gate_dense(query) if self.use_gate else None
        query, key, value = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        if self.position_embedding is not None:
            read = 0 if calls.cache is None else calls.cache.position.value
            query = self.position_embedding(query, start_index=read)
            key = self.position_embedding(key, start_index=0 if cache is None else read)
        if cache is not None:
            key, value = cache.history("key", key), cache.history("value", value)
            mask = self._mask_with_cache(cache, query.shape, value_mask, key_mask, attention_mask)
            use_causal_mask = False
        own = type(self)._compute_attention is not _Projected._compute_attention
        attend = self._customized if own else self._attend
        output, weights = attend(query, key, value, mask, use_causal_mask, training, return_attention_scores)
        if query_mask is not None:
            query_mask = as_bool(query_mask)
            output = ops.where(ops.expand_dims(query_mask, tuple(range(query_mask.ndim, output.ndim))), output, 0)
        output = self._output_dense(output if gate is None else ops.multiply(output, gate))
        return (output, weights) if return_attention_scores else output

    def _attend(
        self, query: Any, key: Any, value: Any, mask: Any, causal: bool, training: bool | None, scores: bool
    ) -> tuple[Any, Any]:
        """The heads' outputs for projected tensors, and the weights if they are wanted."""
        steps = query.shape
        query, key, value = (self._heads_first(x) for x in (query, key, value))
        sizes = [[x.shape[2 + i] for i in range(-len(self._axes) - 3, -3)] for x in (query, key)]
        query, key, value = (self._joined(x) for x in (query, key, value))
        scale = 1 / math.sqrt(self._sizes[2])
        weights = None
        if scores or (training and self.seed_generator is not None) or self._flash_attention is False:
            weights = nn.attention_weights(query, key, mask, causal=causal, scale=scale)
            dropped = weights
            if training and self.seed_generator is not None:
                dropped = random.dropout(weights, self.dropout, key=self.seed_generator)
            output = self._weighted(dropped, value)
        else:
            output = nn.scaled_dot_product_attention(query, key, value, mask, causal=causal, scale=scale)
        output = self._steps_first(output, steps)
        if not scores or weights is None:
            return output, None
        return output, ops.reshape(weights, (*weights.shape[:-2], *sizes[0], *sizes[1]))

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        """What a subclass may override: outputs ``(batch, steps, heads, size)`` of projected tensors, and weights."""
        query, key, value = (ops.as_tensor(x) for x in (query, key, value))
        mask = None
        if attention_mask is not None:
            mask = as_bool(attention_mask)
            mask = ops.expand_dims(mask, 1) if mask.ndim == 3 else mask
        return self._attend(query, key, value, mask, use_causal_mask, training, return_attention_scores)

    def _customized(
        self, query: Any, key: Any, value: Any, mask: Any, causal: bool, training: bool | None, scores: bool
    ) -> tuple[Any, Any]:
        """As ``_attend``, by a subclass's ``_compute_attention``, which gets one mask that says everything."""
        if causal:
            before = ops.tril(ops.ones((query.shape[1], key.shape[1]), dtype="bool"))
            mask = before[None, None] if mask is None else ops.logical_and(mask, before)
        mask = mask[:, 0] if mask is not None and mask.ndim == 4 and mask.shape[1] == 1 else mask
        more = (scores,) if isinstance(self, MultiHeadAttention) else ()
        return self._compute_attention(query, key, value, mask, training, *more)

    def _weighted(self, weights: Any, value: Any) -> Any:
        """``weights @ value``, where a head of values serves several of weights."""
        groups = value.shape[-3]
        shape = weights.shape
        grouped = ops.reshape(weights, (*shape[:-3], groups, shape[-3] // groups, *shape[-2:]))
        output = ops.matmul(grouped, ops.expand_dims(value, -3))
        return ops.reshape(output, (*shape[:-1], value.shape[-1]))

    # Projected tensors are (batch, *axes, heads, size).  Attention takes (batch, *other axes, heads, steps, size),
    # where the steps are all positions along the axes that are attended to.
    def _order(self, rank: int) -> list[int]:
        others = [axis for axis in range(1, rank - 2) if axis not in self._axes]
        return [0, *others, rank - 2, *self._axes, rank - 1]

    def _heads_first(self, x: Any) -> Any:
        return ops.permute_dims(x, self._order(x.ndim))

    def _joined(self, x: Any) -> Any:
        lead = x.ndim - 1 - len(self._axes)
        return x if len(self._axes) == 1 else ops.reshape(x, (*x.shape[:lead], -1, x.shape[-1]))

    def _steps_first(self, x: Any, steps: tuple[int, ...]) -> Any:
        order = self._order(len(steps))
        x = ops.reshape(x, (*(steps[axis] for axis in order[:-1]), x.shape[-1]))
        return ops.permute_dims(x, [order.index(axis) for axis in range(len(order))])

    def _mask(self, shapes: tuple[Any, Any], value_mask: Any, key_mask: Any, attention_mask: Any) -> Any:
        """All masks as one that broadcasts to (batch, *other axes, heads, queries, keys)."""
        found = None
        for mask in (value_mask, key_mask):
            if mask is not None:
                mask = ops.expand_dims(as_bool(mask), 1)
                found = mask if found is None else ops.logical_and(found, mask)
        if self.sliding_window is not None:
            rows, columns = ops.expand_dims(ops.arange(shapes[0][1]), 1), ops.arange(shapes[1][1])
            mask = ops.expand_dims(ops.less(ops.abs(ops.subtract(rows, columns)), self.sliding_window), 0)
            found = mask if found is None else ops.logical_and(found, mask)
        if attention_mask is not None:
            mask = as_bool(attention_mask)
            found = mask if found is None else ops.logical_and(found, mask)
        if found is None:
            return None
        count = len(self._axes)
        rank = len(shapes[0]) + count  # of the weights: batch, other axes, heads, and twice the axes
        if found.ndim < rank:
            at = found.ndim - 2 * count
            found = ops.expand_dims(found, tuple(range(at, at + rank - found.ndim)))
        if count > 1:
            lead = found.shape[: -2 * count]
            ends = [[shape[axis] for axis in self._axes] for shape in shapes]
            found = ops.broadcast_to(found, (*lead, *ends[0], *ends[1]))
            found = ops.reshape(found, (*lead, math.prod(ends[0]), math.prod(ends[1])))
        return found

    def _mask_with_cache(self, cache: Any, shape: Any, value_mask: Any, key_mask: Any, attention_mask: Any) -> Any:
        """As ``_mask``, for queries that go on after others and the keys of all steps so far."""
        if attention_mask is not None:
            raise ArgumentError(
                "attention_mask says nothing of the steps that were read before; give use_causal_mask=True alone, or "
                "read the whole sequence at once."
            )
        masks = {"value_mask": value_mask, "key_mask": key_mask}
        masks = {name: None if mask is None else as_bool(mask) for name, mask in masks.items()}
        found = cache.visible(shape[1], self.sliding_window, **masks)
        return ops.expand_dims(found, (0, 1) if found.ndim == 2 else 1)

    def get_config(self) -> dict[str, Any]:
        found = {
            **super().get_config(),
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }
        if self.position_embedding is not None:
            found["position_embedding"] = serialize(self.position_embedding)
        if self._projections_activity is not None:
            from lamina import regularizers

            found["activity_regularizer"] = regularizers.serialize(self._projections_activity)
        return found


def _layer_of_places(name: str, given: Any) -> Any:
    """The layer, or that of its configuration."""
    layer = deserialize(given) if isinstance(given, dict) else given
    if layer is not None and not isinstance(layer, Layer):
        raise ArgumentError(f"{name}: position_embedding is a layer, such as RotaryEmbedding(); got {given!r}.")
    return layer


def _another(initializer: Any) -> Any:
    """An equal initializer that draws other numbers, unless it was given a seed."""
    return initializers.get(initializers.serialize(initializer))


@_register
class MultiHeadAttention(_Projected):
    """``concat(softmax(Q_h K_h^T / sqrt(key_dim)) V_h) W``, where each head projects query, key and value its own way.

    Called with ``(query, value)``, or ``(query, value, key)``, of shape ``(batch, steps, size)``; without a key
    the value is the key too.  ``layer(x, x)`` is self-attention.  Returns the query's shape, with
    ``output_shape`` in place of its last size where that is given.

    Args:
        num_heads: number of heads.
        key_dim: size of each head's queries and keys.
        value_dim: size of each head's values; default ``key_dim``.
        dropout: fraction of the weights that training sets to 0.
        use_bias: whether the projections add a bias.
        output_shape: size, or sizes, of the output's last axis; default the query's.
        attention_axes: the axes along which to attend, counted with the batch as 0; default all between the
            batch and the last.
        sliding_window: attend only to keys fewer than so many steps away.
        flash_attention: ``False`` computes all weights before the output; else compiled code streams over the keys.
            Default: what ``lamina.config`` says.
        kernel_initializer: initial kernels.
        bias_initializer: initial biases.
        use_gate: multiply the heads' outputs by ``sigmoid`` of one more projection of the query.
        seed: an int, or ``None`` for one from the default generator.
        position_embedding: a layer that is applied to the projected queries and keys,
            ``(batch, steps, heads, size)``, such as ``RotaryEmbedding``.
        kwargs: ``kernel_regularizer``, ``bias_regularizer``, ``kernel_constraint``, ``bias_constraint`` and
            ``activity_regularizer``, all of the projections, and the arguments of ``Layer``.

    Call arguments:
        query_mask: bool, shape ``(batch, query steps)``; where it is false the heads' outputs are 0.
        value_mask: bool, shape ``(batch, steps)``; what it hides is not attended to.
        key_mask: likewise.  These three are filled in from masks that the tensors carry.
        attention_mask: bool, shape ``(batch, query steps, steps)``; or with the heads after the batch.
        return_attention_scores: return ``(output, weights)``, weights of shape ``(batch, heads, query steps, steps)``.
        use_causal_mask: query ``i`` attends to the steps 0 to ``i`` only.

    A query that may attend to nothing gets zeros.  Compiled code holds memory for the steps, not for their
    square, unless weights are returned or dropped, or a mask of queries by keys is given.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> x = lamina.ones((3, 5, 8))
        >>> layer(x, x).shape
        (3, 5, 8)

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        use_gate: bool = False,
        seed: int | None = None,
        position_embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        self.num_heads, self.key_dim = _positive(name, "num_heads", num_heads), _positive(name, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else _positive(name, "value_dim", value_dim)
        super().__init__(
            (self.num_heads, self.num_heads, self.key_dim, self.value_dim), dropout, use_bias, sliding_window,
            flash_attention, kernel_initializer, bias_initializer, use_gate, seed, position_embedding,
            **kwargs,
        )  # fmt: skip
        if output_shape is not None:
            sizes = (output_shape,) if isinstance(output_shape, int) else output_shape
            if not isinstance(sizes, list | tuple):
                raise ArgumentError(
                    f"{name}: Invalid `output_shape`: it is an int or several of them. "
                    f"Received: output_shape={output_shape}"
                )
            self._output_sizes = tuple(_positive(name, "each size of output_shape", n) for n in sizes)
        self.attention_axes = (
            None if attention_axes is None
            else (attention_axes,) if isinstance(attention_axes, int) else tuple(attention_axes)
        )  # fmt: skip

    def build(  # type: ignore[override]
        self, query_shape: Shape, value_shape: Shape, key_shape: Shape | None = None
    ) -> None:
        rank = len(query_shape)
        given = range(1, rank - 1) if self.attention_axes is None else self.attention_axes
        axes = tuple(axis if axis >= 0 else rank + axis for axis in given)
        if any(not 0 < axis < rank - 1 for axis in axes) or len(set(axes)) < len(axes) or not axes:
            raise ArgumentError(
                f"attention_axes={self.attention_axes} are not axes between the batch and the last of {rank}."
            )
        if axes != (1,) and self.position_embedding is not None:
            raise ArgumentError(f"position_embedding is for attention along one axis, that of the steps; got {axes}.")
        self._axes = axes
        super().build(query_shape, value_shape, key_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": None if self._output_sizes is None else list(self._output_sizes),
            "attention_axes": None if self.attention_axes is None else list(self.attention_axes),
        }


@_register
class GroupedQueryAttention(_Projected):
    """Multi-head attention whose heads of keys and values serve several heads of queries each.

    Called as ``MultiHeadAttention`` is, on tensors of shape ``(batch, steps, size)``.

    Args:
        head_dim: size of each head's queries, keys and values.
        num_query_heads: number of heads of queries.
        num_key_value_heads: number of heads of keys and values, a divisor of ``num_query_heads``.
        dropout: fraction of the weights that training sets to 0.
        use_bias: whether the projections add a bias.
        sliding_window: attend only to keys fewer than so many steps away.
        flash_attention: ``False`` computes all weights before the output; else compiled code streams over the keys.
            Default: what ``lamina.config`` says.
        kernel_initializer: initial kernels.
        bias_initializer: initial biases.
        use_gate: multiply the heads' outputs by ``sigmoid`` of one more projection of the query.
        seed: an int, or ``None`` for one from the default generator.
        position_embedding: a layer that is applied to the projected queries and keys,
            ``(batch, steps, heads, size)``, such as ``RotaryEmbedding``.
        kwargs: as for ``MultiHeadAttention``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.GroupedQueryAttention(head_dim=4, num_query_heads=4, num_key_value_heads=2)
        >>> x = lamina.ones((3, 5, 8))
        >>> layer(x, x, use_causal_mask=True).shape
        (3, 5, 8)

    Source: Ainslie et al., "GQA: Training generalized multi-query transformer models", EMNLP 2023.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        use_gate: bool = False,
        seed: int | None = None,
        position_embedding: Any = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        self.head_dim = _positive(name, "head_dim", head_dim)
        self.num_query_heads = _positive(name, "num_query_heads", num_query_heads)
        self.num_key_value_heads = _positive(name, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ArgumentError(
                f"{name}: `num_query_heads` must be divisible by `num_key_value_heads`; got {num_query_heads} and "
                f"{num_key_value_heads}."
            )
        super().__init__(
            (num_query_heads, num_key_value_heads, head_dim, head_dim), dropout, use_bias, sliding_window,
            flash_attention, kernel_initializer, bias_initializer, use_gate, seed, position_embedding,
            **kwargs,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }


GroupQueryAttention = GroupedQueryAttention  # keras.layers has it by this name
