"""What a contraction is to the code generator, and how it is cut into tiles, blocks and chunks.

Matrix products, convolutions and their weight gradients are one problem:

    out[z, m, n] = sum over k of A[z, m, k] * B[z, k, n]

``m`` is one of the output's leading dimensions, ``z`` the others, ``n`` its last.  ``A`` has a
stride for every dimension of z, for m, and for each of several nested dimensions of k (a window's
rows, columns and channels); ``B`` has one stride along k and is contiguous along n.

Where columns are few, lanes go along k instead: A and B are contiguous along k, every sum is a vector,
and its lanes are added up at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.kernel import Storage
from lamina.graph.ir import Node, Value
from lamina.ops.shape import size_of

ACCUMULATORS = {32: 28, 16: 12}  # by the number of vector registers: the rest hold B and one of A
PANEL_BLOCK_K = 1024  # depth of a block when operands do not fit the cache, of four bytes an element
BLOCK_K = 512  # the same where B does not lie in panels, so that rows of a block share sets of the cache
WINDOW_BLOCK_K = 1024  # the same where k runs over images
TURNED_BYTES = 1 << 20  # A and B above this, A transposed, are walked in blocks of k
TURNED_BLOCK_K = 256  # the least of them
TILES_PER_BLOCK = 18  # rows of A that are copied together: 18 tiles x 13 rows x 4 KiB fill a 1 MiB L2
PACK_BYTES = 1 << 19  # B above this is copied into panels first, if enough rows use it
PANEL_BYTES = 1 << 18  # a panel of B above this is walked in blocks of k, to stay in the cache
COPY_PANELS = 24  # panels that must share a copy of A before it pays
TALL_BYTES = 1 << 20  # an A above this is cut into blocks of rows, each read once for all columns
FEW_TILES = 6
FEW_POSITIONS = 64  # so many rows in all, and no more, read B where it lies
FEW_PANELS = 4  # so many panels at least are left for the threads then
ACROSS = 8  # what it takes to add up the lanes of a sum, in multiply-adds
CACHE_LINE = 64
M = -1  # the output dimension of a window that goes along m
TARGET_CHUNKS = 16
CHUNK_FMAS = 1 << 16


class Rows(NamedTuple):
    """A given cut of the leading dimension: ``chunks * per_chunk`` tiles of as equal a size as can be.

    The kernels of a loop's body are cut like this, so that a chunk of one reads what the same chunk
    of the others has written.
    """

    size: int
    chunks: int
    per_chunk: int

    @property
    def tiles(self) -> int:
        return self.chunks * self.per_chunk


@dataclass
class Operand2D:
    """An operand in memory.  All strides are in elements.

    Attributes:
        storage: where it lies; the first element is ``offset`` elements further.
        batch: strides for the dimensions of z.
        row: stride along m (of A), or along k (of B).
        k: ``(count, stride)`` of A's nested dimensions of k, outermost first.
        panel: of B: elements from one panel of columns to the next, where it is packed in panels.
        column: of B: elements from one column to the next, where lanes go along k; None where they do not.
        gathered: of A: ``"m"`` or ``"k"``, the dimension that goes through the numbers in ``rows``.
        rows: storage of the row numbers.
        rows_stride: elements from one gathered row to the next.
        in_lanes: of A: each column of the output has an A of its own, which lie side by side.
    """

    storage: Storage
    offset: int
    batch: tuple[int, ...]
    row: int
    k: tuple[tuple[int, int], ...] = ()
    panel: int = 0
    column: int | None = None
    gathered: str = ""
    rows: Storage | None = None
    rows_stride: int = 0
    in_lanes: bool = False


@dataclass(frozen=True)
class Window:
    """A dimension of k of which an output position only meets the steps that lie inside the image.

    So padding is neither stored nor multiplied.

    Attributes:
        k: which of A's dimensions of k.
        out: which dimension of z, or ``M``.
        bounds: for each position along that dimension, the steps ``[first, last)`` that count.
    """

    k: int
    out: int
    bounds: tuple[tuple[int, int], ...]


@dataclass
class Problem:
    """Sizes and operands of one contraction.  ``m_axis`` is the output dimension that m stands for."""

    node: Node
    m_axis: int
    a: Operand2D
    b: Operand2D
    windows: tuple[Window, ...] = ()

    @property
    def batch(self) -> tuple[int, ...]:
        lead = self.node.outputs[0].shape[:-1]
        return (*lead[: self.m_axis], *lead[self.m_axis + 1 :])

    @property
    def m(self) -> int:
        return self.node.outputs[0].shape[self.m_axis]

    @property
    def n(self) -> int:
        return self.node.outputs[0].shape[-1]


@dataclass
class ContractPlan:
    """Tiles and chunks of one contraction.  All of it follows from shapes and the CPU."""

    node: Node
    stored: list[Value]
    batch: tuple[int, ...]
    m_axis: int
    m: int
    n: int
    k: int
    dtype: np.dtype[Any]
    lanes: int
    vectors: int  # of a full panel
    tiles: int  # number of row tiles
    k_block: int
    k_outermost: bool  # blocks of k around the chunks instead of inside each
    copy_a: bool
    z_blocks: int
    z_per_block: int
    row_blocks: int
    tiles_per_block: int
    panels: int
    panel_groups: int
    panels_per_group: int
    a: Operand2D
    b: Operand2D
    windows: tuple[Window, ...] = ()
    columns: int = 0  # of a panel whose lanes go along k
    rows_per_block: int = 0  # of the second dimension of k, where a block is a part of one step of the first
    scratch: Storage | None = None  # partial sums, where k is cut into blocks

    @property
    def width(self) -> int:
        """Columns of a full panel."""
        return self.columns or self.vectors * self.lanes

    @property
    def chunks(self) -> int:
        return self.z_blocks * self.row_blocks * self.panel_groups

    @property
    def count(self) -> int:
        """How many z there are."""
        return size_of(self.batch)

    @property
    def k_inner(self) -> int:
        """Steps of k for each step of its outermost dimension."""
        return self.k // self.a.k[0][0]

    @property
    def blocks_per_step(self) -> int:
        """Blocks of k that each step of its outermost dimension is cut into."""
        return -(-self.a.k[1][0] // self.rows_per_block) if self.rows_per_block else 1

    @property
    def k_blocks(self) -> int:
        if self.rows_per_block:
            return self.a.k[0][0] * self.blocks_per_step
        return -(-self.k // self.k_block)

    def tile_rows(self) -> tuple[int, int]:
        """``(base, extra)``: the first ``extra`` tiles have ``base + 1`` rows, the others ``base``."""
        return divmod(self.m, self.tiles)


def wants_panels(m: int, n: int, k: int, itemsize: int, width: int) -> bool:
    """Whether B should be copied into panels: it is large and many rows share the copy."""
    return n > width and k * n * itemsize > PACK_BYTES and m >= 256


def reads_transposed(m: int, k: int, lanes: int) -> bool:
    """Whether so few rows meet a transposed B that it had better be read where it lies than copied into panels."""
    return m <= FEW_POSITIONS and k >= 4 * lanes


def lanes_along_k(n: int, k: int, inner: int, lanes: int) -> bool:
    """Whether lanes had better go along k, of which ``inner`` steps each lie side by side."""
    steps = k // inner * -(-inner // lanes)
    return inner >= lanes and n * (steps + ACROSS) < k


def panel_vectors(n: int, lanes: int, registers: int) -> int:
    """Vectors in a full panel of columns."""
    needed = -(-n // lanes)
    if registers >= 32 and lanes <= 4:
        return min(needed, 4)  # NEON: short vectors, many registers
    return min(needed, 2)


def nested(
    dims: list[tuple[int, int]], windows: dict[int, Window] | None = None
) -> tuple[tuple[tuple[int, int], ...], tuple[Window, ...]]:
    """Dimensions of k without those of size 1, and joined where one runs on into the next.

    Args:
        dims: ``(count, stride)``, outermost first.
        windows: those of some dimensions; such a dimension is left as it is.

    Returns:
        The dimensions, and the windows with the dimensions' new numbers.
    """
    windows = windows or {}
    out: list[tuple[int, int]] = []
    kept: list[Window] = []
    free = False  # whether the last dimension may be joined
    for i, (count, stride) in enumerate(dims):
        window = windows.get(i)
        if window is not None:
            kept.append(Window(len(out), window.out, window.bounds))
            out.append((count, stride))
        elif count == 1:
            continue
        elif free and out[-1][1] == count * stride:
            out[-1] = (out[-1][0] * count, stride)
        else:
            out.append((count, stride))
        free = window is None
    return tuple(out) or ((1, 1),), tuple(kept)


def _wide(needed: int, least: int, most: int) -> int:
    """How many vectors a panel has that may be wider than usual: as many as leave no part of a panel over."""
    wide = max(least, min(needed, most))
    return next((v for v in range(wide, least, -1) if needed % v == 0), wide if needed <= most else least)


def plan_contract(
    problem: Problem, stored: list[Value], lanes: int, registers: int, rows: Rows | None = None
) -> ContractPlan:
    """Choose tiles and chunks; with ``rows`` only how wide a panel is remains to be chosen."""
    node, a, b = problem.node, problem.a, problem.b
    batch, m, n = problem.batch, problem.m, problem.n
    k = size_of([length for length, _ in a.k])
    count = size_of(batch)
    dtype = node.outputs[0].dtype
    size = dtype.itemsize
    window = len(a.k) > 1 or bool(problem.windows) or a.in_lanes
    vectors = panel_vectors(n, lanes, registers)
    turned = b.column is not None  # lanes go along k: a vector of sums for each row and column of a tile
    # Few rows of A and much of B: the sums for all rows and many columns at a time, so that B is read once.
    few = not (a.in_lanes or b.panel or turned or a.gathered or any(b.batch)) and count * m <= FEW_POSITIONS
    few = few and rows is None and k * n * size > PACK_BYTES
    if few:
        needed = -(-n // lanes)
        vectors = _wide(needed, vectors, min(needed // FEW_PANELS, (ACCUMULATORS[registers] - 4) // min(m, 8)))
    elif a.in_lanes and m <= 4:
        vectors = min(-(-n // lanes), 2 * vectors)  # few rows: more sums at a time
    columns = 0
    if turned:
        most_sums, high = ACCUMULATORS[registers], min(m, 8 if registers >= 32 else 4)
        columns = n if 2 * n <= most_sums and n <= lanes else min(n, 8, max(1, most_sums // (high + 1)))
    panels = -(-n // (columns or lanes * vectors))
    if rows is not None:
        return ContractPlan(
            node, stored, batch, problem.m_axis, m, n, k, dtype, lanes, vectors, rows.tiles, k, False, False,
            1, count, rows.chunks, rows.per_chunk, panels, 1, panels, a, b,
        )  # fmt: skip
    # A transposed: each step of k is on another page.
    far_rows = not window and a.k[0][1] * size >= 2048 and a.row == 1
    # A full tile of a plain product is one row lower: with all of its k in one loop LLVM reads ahead and spills sums.
    most = max(1, ACCUMULATORS[registers] // vectors - (not window and vectors > 1))
    if turned:
        most = max(1, (ACCUMULATORS[registers] - 2) // columns)
    if far_rows and vectors == 1:
        most = min(most, CACHE_LINE // size)  # whole cache lines of A for each step of k
    tiles = max(1, -(-m // most))
    if tiles > 4 and tiles % 4 and -(-m // (tiles + 4 - tiles % 4)) >= most - 3:
        tiles += 4 - tiles % 4  # an even share for 2 and 4 threads
    large = b.panel != 0 and not window
    panel_bytes = 0 if turned else k * lanes * vectors * size
    k_block, k_outermost, rows_per_block = k, False, 0
    if window and panel_bytes > 2 * PANEL_BYTES and all(w.k > 0 for w in problem.windows):
        inner, k_outermost = k // a.k[0][0], True
        if inner > WINDOW_BLOCK_K and len(a.k) > 1 and not any(w.k == 1 and w.out == M for w in problem.windows):
            high, across = a.k[1][0], inner // a.k[1][0]
            rows_per_block = -(-high // -(-high // max(1, WINDOW_BLOCK_K // across)))
            k_block = rows_per_block * across
        else:
            k_block = inner * min(a.k[0][0], max(1, WINDOW_BLOCK_K // inner))
    elif not window and a.row == 1 and not a.gathered and count == 1 and m > 1 and k * (m + n) * size > TURNED_BYTES:
        # A transposed: each block of its rows, as they lie in memory, is used by all tiles while it is in the cache.
        k_block = min(k, max(TURNED_BLOCK_K, 2 * PANEL_BYTES // ((m + n) * size)))
        k_outermost = k_block < k
    elif not window and k > BLOCK_K and (large or panel_bytes > PANEL_BYTES) and not far_rows:
        k_block = -(-k // -(-k // (PANEL_BLOCK_K * 4 // size if large else BLOCK_K)))
    if a.gathered == "m":
        k_block = min(k, BLOCK_K)
    collides = (a.row * size) % 1024 == 0 or k_block != k
    copy_a = not window and (a.gathered == "m" or (panels >= COPY_PANELS and a.k[0][1] == 1 and large and collides))
    tall = not window and not a.gathered and a.row != 1 and count == 1 and m * k * size > TALL_BYTES and m >= n
    if (copy_a and large) or tall:
        # Blocks of rows rather than of columns: a block of A is copied once for each group of columns.
        row_blocks = min(tiles, max(-(-tiles // TILES_PER_BLOCK), TARGET_CHUNKS // 2))
        per_block = -(-tiles // (row_blocks + row_blocks % 2))
        row_blocks, z_blocks = -(-tiles // per_block), count
        groups = min(panels, max(1, -(-TARGET_CHUNKS // (row_blocks * count))))
    else:
        most_chunks = max(1, count * m * n * k // CHUNK_FMAS)
        z_blocks = 1 if few else min(count, 4 * TARGET_CHUNKS if b.batch == (0,) * len(batch) else count, most_chunks)
        groups = min(panels, 32, max(1, most_chunks // z_blocks), max(1, 4 * TARGET_CHUNKS // z_blocks))
        wanted = min(max(1, -(-2 * TARGET_CHUNKS // (groups * z_blocks))), max(1, most_chunks // (groups * z_blocks)))
        if k_block != k and not window and tiles <= FEW_TILES and groups * z_blocks >= 4:
            wanted = 1  # so that the block of B is read from the nearest cache by all of them
        row_blocks = min(tiles, wanted)
        per_block = -(-tiles // row_blocks)
        row_blocks = -(-tiles // per_block)
    per_z = -(-count // z_blocks)
    per_group = -(-panels // groups)
    return ContractPlan(
        node, stored, batch, problem.m_axis, m, n, k, dtype, lanes, vectors, tiles, k_block, k_outermost, copy_a,
        -(-count // per_z), per_z, row_blocks, per_block, panels, -(-panels // per_group), per_group, a, b,
        problem.windows, columns, rows_per_block,
    )  # fmt: skip
