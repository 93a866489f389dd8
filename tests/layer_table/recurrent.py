"""Rows of the recurrent layers, and of those that make masks for them."""

from __future__ import annotations

from typing import Any

from lamina import layers
from layer_table.case import Case

CASES: list[Case] = []


def row(
    name: str, cls: type, arguments: dict[str, Any], shape: tuple[int, ...], output: tuple[int, ...], **more: Any
) -> None:
    CASES.append(Case(name, cls, arguments, shape, output, **more))


# --- masks ----------------------------------------------------------------------------------------
row("masking", layers.Masking, {"mask_value": 0.5}, (4, 5, 3), (4, 5, 3))
row(
    "embedding-mask",
    layers.Embedding,
    {"input_dim": 7, "output_dim": 3, "mask_zero": True},
    (4, 5),
    (4, 5, 3),
    integers=7,
    weights=1,
)
