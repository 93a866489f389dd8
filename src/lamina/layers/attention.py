"""Attention over single heads: ``Attention`` (Luong) and ``AdditiveAttention`` (Bahdanau)."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops, random
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.layers.base import Layer
from lamina.layers.calls import calls
from lamina.ops.attention import masked_softmax
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


def as_bool(mask: Any) -> Any:
    """A mask as bools: numbers are true where they are not 0."""
    mask = ops.as_tensor(mask)
    return mask if dtypes.is_bool(mask.dtype) else ops.not_equal(mask, 0)


def check_dropout(layer: str, rate: float) -> float:
    """A fraction from 0 to 1."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise ArgumentError(f"{layer}: dropout is the fraction of weights to drop, from 0 to 1; got {rate!r}.")
    return float(rate)


@_register
class Attention(Layer):
    """``softmax(query @ key^T) @ value``, dot-product attention of one head.

    Called on a list ``[query, value]`` or ``[query, value, key]`` of tensors of shape ``(batch, steps, size)``;
    without a key the value is the key too.  Returns shape ``(batch, query steps, value size)``.

    Args:
        use_scale: multiply the scores by a learned number that begins at 1 (in mode ``"concat"``: the sum
            inside the tanh).
        score_mode: ``"dot"``, or ``"concat"`` for scores ``sum(tanh(query + key))`` times a learned number.
        dropout: fraction of the weights that training sets to 0.
        seed: an int, or ``None`` for one from the default generator.

    Call arguments:
        mask: a list ``[query_mask, value_mask]`` of bool tensors of shape ``(batch, steps)``, or ``None`` for
            either.  Values whose mask is false are not attended to; the output is 0 where the query's is.
        return_attention_scores: return ``(output, weights)``, weights of shape ``(batch, query steps, value steps)``.
        use_causal_mask: query ``i`` attends to the values 0 to ``i`` only.

    A query that may attend to nothing gets zeros.  Without dropout in training and without returned weights,
    compiled code streams over the values: memory grows with the steps, not their square.

    Example:
        >>> import lamina
        >>> query, value = lamina.ones((2, 3, 4)), lamina.ones((2, 5, 4))
        >>> lamina.layers.Attention()([query, value]).shape
        (2, 3, 4)

    Source: Luong et al., "Effective approaches to attention-based neural machine translation", EMNLP 2015.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ArgumentError(
                f"{type(self).__name__}: Invalid value for argument score_mode. Expected one of {{'dot', 'concat'}}. "
                f"Received: score_mode={score_mode}"
            )
        self.use_scale, self.score_mode, self.seed = use_scale, score_mode, seed
        self.dropout = check_dropout(type(self).__name__, dropout)
        self.seed_generator = random.SeedGenerator(seed) if self.dropout > 0 else None
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self._check_shape(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")
        self.built = True

    def _check_shape(self, shape: Any) -> None:
        single = isinstance(shape, list | tuple) and all(n is None or isinstance(n, int) for n in shape)
        self._check("inputs", f"shape {tuple(shape)}" if single else shape)

    def _check(self, what: str, given: Any) -> None:
        name, inputs = type(self).__name__, what == "inputs"
        names = "[query, value] or [query, value, key]" if inputs else "[query_mask, value_mask]"
        if not isinstance(given, list | tuple):
            must = "layer must be called on a list of inputs" if inputs else "layer mask must be a list"
            raise ArgumentError(f"{name} {must}, namely {names}. Received: {given!r}.")
        if len(given) not in (2, 3):
            raise ArgumentError(
                f"{name} layer takes a list of {what} of length 2 or 3, {names}. Received: {len(given)}."
            )

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check("inputs", inputs)
        if mask is not None:
            self._check("masks", mask)
        query, value = inputs[:2]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        value_mask = None if value_mask is None else as_bool(value_mask)
        if calls.cache is not None and use_causal_mask:
            cache = calls.cache.of(self)
            key, value = cache.history("key", key), cache.history("value", value)
            value_mask, use_causal_mask = cache.visible(query.shape[1], value_mask=value_mask), False
            value_mask = ops.expand_dims(value_mask, 0) if value_mask.ndim == 2 else value_mask
        elif value_mask is not None:
            value_mask = ops.expand_dims(value_mask, -2) if value_mask.ndim == query.ndim - 1 else value_mask
        drops = training and self.seed_generator is not None
        if self.score_mode == "dot" and type(self) is Attention and not drops and not return_attention_scores:
            query = query if self.scale is None else ops.multiply(query, self.scale)
            weights = None
            output = nn.scaled_dot_product_attention(query, key, value, value_mask, causal=use_causal_mask, scale=1.0)
        else:
            weights = masked_softmax(self._scores(query, key), value_mask, use_causal_mask)
            if drops:
                weights = random.dropout(weights, self.dropout, key=self.seed_generator)
            output = ops.matmul(weights, value)
        if query_mask is not None:
            output = ops.where(ops.expand_dims(as_bool(query_mask), -1), output, 0)
        return (output, weights) if return_attention_scores else output

    def _scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.matrix_transpose(key))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        both = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        both = both if self.scale is None else ops.multiply(both, self.scale)
        return ops.multiply(ops.sum(ops.tanh(both), axis=-1), self.concat_score_weight)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The query's mask."""
        return None if mask is None or mask[0] is None else ops.as_tensor(mask[0])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


@_register
class AdditiveAttention(Attention):
    """``softmax(sum(scale * tanh(query + key))) @ value``, additive attention.

    Called as ``Attention`` is; query and key have the same size.

    Args:
        use_scale: learn ``scale``, a vector of that size; else it is 1.
        dropout: fraction of the weights that training sets to 0.
        kwargs: ``seed``, and the arguments of ``Layer``.

    Example:
        >>> import lamina
        >>> query, value = lamina.ones((2, 3, 4)), lamina.ones((2, 5, 4))
        >>> output, weights = lamina.layers.AdditiveAttention()([query, value], return_attention_scores=True)
        >>> output.shape, weights.shape
        ((2, 3, 4), (2, 3, 5))

    Source: Bahdanau et al., "Neural machine translation by jointly learning to align and translate", ICLR 2015.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._check_shape(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")
        self.built = True

    def _scores(self, query: Any, key: Any) -> Any:
        x = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(x if self.scale is None else ops.multiply(x, self.scale), axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config
