"""Rows of the attention layers, and of the layer that their projections are."""

from __future__ import annotations

from typing import Any

from lamina import layers
from layer_table.case import Case

CASES: list[Case] = []


def row(name: str, cls: type, arguments: dict[str, Any], shapes: Any, output: tuple[int, ...], **more: Any) -> None:
    CASES.append(Case(name, cls, arguments, shapes, output, **more))


row(
    "einsum-dense",
    layers.EinsumDense,
    {"equation": "abc,cde->abde", "output_shape": (None, 2, 5), "bias_axes": "de", "activation": "tanh"},
    (4, 3, 6),
    (4, 3, 2, 5),
    weights=2,
)
row(
    "einsum-dense-dots",
    layers.EinsumDense,
    {"equation": "...bc,dc->...db", "output_shape": (5, 3), "bias_axes": "d"},
    (4, 2, 3, 6),
    (4, 2, 5, 3),
    weights=2,
)
row("attention", layers.Attention, {}, [(4, 3, 6), (4, 5, 6)], (4, 3, 6))
row(
    "attention-key",
    layers.Attention,
    {"use_scale": True, "dropout": 0.3, "seed": 2},
    [(4, 3, 6), (4, 5, 2), (4, 5, 6)],
    (4, 3, 2),
    weights=1,
    random=True,
)
row(
    "attention-concat",
    layers.Attention,
    {"score_mode": "concat", "use_scale": True},
    [(4, 3, 6), (4, 5, 6)],
    (4, 3, 6),
    weights=2,
)
row("additive-attention", layers.AdditiveAttention, {}, [(4, 3, 6), (4, 5, 6)], (4, 3, 6), weights=1)
row(
    "additive-attention-bare",
    layers.AdditiveAttention,
    {"use_scale": False, "dropout": 0.3, "seed": 2},
    [(4, 3, 6), (4, 5, 6)],
    (4, 3, 6),
    random=True,
)
row(
    "multi-head-attention",
    layers.MultiHeadAttention,
    {"num_heads": 2, "key_dim": 3},
    [(4, 3, 6), (4, 5, 7)],
    (4, 3, 6),
    weights=8,
    apart=True,
)
row(
    "multi-head-attention-key",
    layers.MultiHeadAttention,
    {
        "num_heads": 2, "key_dim": 3, "value_dim": 4, "output_shape": (2, 3), "use_bias": False, "dropout": 0.3,
        "sliding_window": 2, "use_gate": True, "seed": 2,
    },
    [(4, 3, 6), (4, 5, 7), (4, 5, 2)],
    (4, 3, 2, 3),
    weights=5,
    random=True,
    apart=True,
)  # fmt: skip
row(
    "multi-head-attention-axes",
    layers.MultiHeadAttention,
    {"num_heads": 2, "key_dim": 3, "attention_axes": (-2,), "kernel_initializer": "he_normal"},
    [(4, 2, 3, 6), (4, 2, 5, 6)],
    (4, 2, 3, 6),
    weights=8,
    apart=True,
)
row(
    "grouped-query-attention",
    layers.GroupedQueryAttention,
    {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
    [(4, 3, 6), (4, 5, 7)],
    (4, 3, 6),
    weights=8,
    apart=True,
)
row("position-embedding", layers.PositionEmbedding, {"sequence_length": 5}, (4, 3, 6), (4, 3, 6), weights=1)
row("rotary-embedding", layers.RotaryEmbedding, {"max_wavelength": 100}, (4, 3, 6), (4, 3, 6), weights=0)
