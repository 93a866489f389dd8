"""How attention is cut: register tiles, strips and blocks of queries, tiles and ranges of keys.

A *strip* is as many queries as a register tile has columns; a *block* is a few strips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.backends.native.contraction import ACCUMULATORS, TARGET_CHUNKS, panel_vectors
from lamina.backends.native.target import Target
from lamina.core.lowering import Attention
from lamina.graph.ir import Node
from lamina.graph.passes.fusion import Group
from lamina.ops.shape import size_of

FORWARD_STRIPS = 4  # in a block of queries, at most
GRADIENT_STRIPS = 4
SCRATCH_BYTES = 1 << 18  # scratch of a chunk above this would leave the second cache
SPLIT_KEYS = 128  # a range of keys has at least so many
SPLIT_WORK = 1 << 21  # and so many products of the scores


@dataclass
class AttentionPlan:
    """Sizes of an attention group and how it is cut.  All follows from shapes and the CPU."""

    group: Group
    node: Node
    gradient: bool
    lead: tuple[int, ...]
    heads: int
    groups: int  # heads of keys and values
    queries: int
    keys: int
    size: int  # of queries and keys
    value_size: int
    dtype: np.dtype[Any]
    lanes: int
    vectors: int  # of queries in a strip
    rows: int  # of a register tile, at most
    strips: int  # in a block of queries
    tiles: int  # of keys
    tiles_per_block: int
    splits: int = 1  # of the keys, in the gradient

    @property
    def width(self) -> int:
        return self.lanes * self.vectors

    @property
    def block(self) -> int:
        return self.strips * self.width

    @property
    def blocks(self) -> int:
        return -(-self.queries // self.block)

    @property
    def chunks(self) -> int:
        return size_of(self.lead) * (self.groups * self.splits if self.gradient else self.heads * self.blocks)

    @property
    def work(self) -> int:
        """Arithmetic, in elementwise operations."""
        return size_of(self.lead) * self.heads * self.queries * self.keys * (self.size + self.value_size)

    def key_tiles(self) -> tuple[int, int]:
        """``(base, extra)``: the first ``extra`` tiles have ``base + 1`` keys, the others ``base``."""
        return divmod(self.keys, self.tiles)

    @property
    def block_keys(self) -> int:
        """The most keys in a block of tiles."""
        base, extra = self.key_tiles()
        return self.tiles_per_block * (base + (extra > 0))


def plan_attention(group: Group, target: Target) -> AttentionPlan:
    """Choose tiles and blocks."""
    node = group.nodes[0]
    native = node.primitive.native
    assert isinstance(native, Attention)
    q, k, v = node.inputs[:3]
    dtype, size = q.dtype, q.dtype.itemsize
    lanes = target.lanes(dtype)
    vectors = panel_vectors(q.shape[-2], lanes, target.registers)
    rows = max(1, ACCUMULATORS[target.registers] // vectors)
    width = lanes * vectors
    d, e = q.shape[-1], v.shape[-1]
    most = GRADIENT_STRIPS if native.gradient else FORWARD_STRIPS
    per_query = (3 * d + 2 * e if native.gradient else d + e) * size
    most = max(1, min(most, SCRATCH_BYTES // 2 // (per_query * width)))
    strips = -(-q.shape[-2] // width)
    strips = -(-strips // -(-strips // most))
    tiles = -(-k.shape[-2] // rows)
    # The scores of a block of keys: of one strip in the first cache, or of all strips beside the rest of the scratch.
    room = SCRATCH_BYTES // 4 // (2 * strips) if native.gradient else target.l1_bytes // 3
    per_block = max(1, min(tiles, room // (width * size * rows)))
    per_block = -(-tiles // -(-tiles // per_block))
    return AttentionPlan(
        group, node, native.gradient, q.shape[:-3], q.shape[-3], k.shape[-3], q.shape[-2], k.shape[-2], d, e, dtype,
        lanes, vectors, rows, strips, tiles, per_block, node.params.get("splits", 1),
    )  # fmt: skip


def gradient_splits(q: tuple[int, ...], k: tuple[int, ...]) -> int:
    """Into how many ranges the gradient cuts the keys of a head, given the shapes of query and key.

    More than one where there are too few heads for many threads; the query's gradient then comes in as many parts.
    """
    heads = size_of(k[:-2])
    return max(1, min(TARGET_CHUNKS // heads, k[-2] // SPLIT_KEYS, size_of(q) * k[-2] // SPLIT_WORK))
