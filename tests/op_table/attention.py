"""Rows of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import nn
from op_table.case import both, fixed, normal, row


def weights(q: Any, k: Any, mask: Any = None, causal: bool = False, scale: float | None = None) -> Any:
    """The softmax of the scores, written out; zeros where all are hidden."""
    if q.ndim > 2:
        k = np.repeat(k, q.shape[-3] // k.shape[-3], -3)
    scores = np.einsum("...td,...sd->...ts", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    exponentials = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = exponentials.sum(-1, keepdims=True)
    return exponentials / np.where(total == 0, 1, total)


def attention(q: Any, k: Any, v: Any, mask: Any = None, causal: bool = False, scale: float | None = None) -> Any:
    if q.ndim > 2:
        v = np.repeat(v, q.shape[-3] // v.shape[-3], -3)
    return weights(q, k, mask, causal, scale) @ v


HIDING = np.array([[[True, False, True], [False, False, False]], [[True, True, True], [False, True, False]]])
PADDING = np.array([[[[True, True, False]]], [[[True, False, False]]]])

row(
    "nn.scaled_dot_product_attention",
    nn.scaled_dot_product_attention,
    attention,
    normal((2, 3, 4), (2, 5, 4), (2, 5, 3)),
    tolerance=64,
)
row(
    "nn.scaled_dot_product_attention/matrices",
    lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, scale=0.3),
    lambda q, k, v: attention(q, k, v, scale=0.3),
    normal((2, 3), (4, 3), (4, 1)),
    tolerance=64,
)
row(
    "nn.scaled_dot_product_attention/causal groups",
    lambda q, k, v: nn.scaled_dot_product_attention(q, k, v, causal=True),
    lambda q, k, v: attention(q, k, v, causal=True),
    normal((1, 4, 3, 2), (1, 2, 4, 2), (1, 2, 4, 2)),
    tolerance=64,
)
row(
    "nn.scaled_dot_product_attention/hidden rows",
    nn.scaled_dot_product_attention,
    attention,
    both(normal((2, 2, 3), (2, 3, 3), (2, 3, 2)), fixed(HIDING)),
    tolerance=64,
)
row(
    "nn.scaled_dot_product_attention/padding",
    nn.scaled_dot_product_attention,
    attention,
    both(normal((2, 2, 2, 3), (2, 1, 3, 3), (2, 1, 3, 2)), fixed(PADDING)),
    tolerance=64,
)
row(
    "nn.scaled_dot_product_attention/added mask",
    lambda q, k, v, mask: nn.scaled_dot_product_attention(q, k, v, mask, causal=True),
    lambda q, k, v, mask: attention(q, k, v, mask, causal=True),
    normal((2, 2, 2, 3), (2, 2, 3, 3), (2, 2, 3, 2), (2, 2, 3)),
    tolerance=64,
)
row(
    "nn.dot_product_attention",
    lambda q, k, v, bias: nn.dot_product_attention(q, k, v, bias, mask=PADDING, is_causal=True),
    lambda q, k, v, bias: np.swapaxes(
        attention(*(np.swapaxes(x, 1, 2) for x in (q, k, v)), np.where(PADDING, bias, -np.inf), causal=True), 1, 2
    ),
    normal((2, 2, 4, 3), (2, 3, 2, 3), (2, 3, 2, 2), (4, 2, 3)),
    tolerance=64,
)
row(
    "nn.attention_weights",
    lambda q, k: nn.attention_weights(q, k, causal=True),
    lambda q, k: weights(q, k, causal=True),
    normal((1, 2, 3, 2), (1, 1, 3, 2)),
    tolerance=64,
)
row(
    "nn.attention_weights/hidden rows",
    nn.attention_weights,
    weights,
    both(normal((2, 2, 3), (2, 3, 3)), fixed(HIDING)),
    tolerance=64,
)
