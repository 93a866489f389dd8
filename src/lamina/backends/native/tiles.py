"""The contraction kernel: ``C[m, n] = sum_k A[m, k] B[k, n]`` over register tiles, with an epilogue.

A tile holds ``rows x vectors`` accumulators in registers.  ``A`` may have any strides (its
elements are broadcast), ``B`` is contiguous along ``n``.  The epilogue is whatever the group's
other nodes compute at ``(m, n)``, pulled while the sums are still in registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.backends.native.emit import ATTRIBUTES, Function, Operand, scalar_type, vector_type
from lamina.backends.native.index import Index, unflatten_index
from lamina.backends.native.kernel import Kernel, Storage
from lamina.graph.ir import Node, Value

__all__ = ["ATTRIBUTES", "ContractPlan", "emit_contract", "plan_contract"]

ACCUMULATORS = {32: 28, 16: 12}  # by the number of vector registers: the rest hold B and one of A
BLOCK_K = 512  # depth of a block when operands do not fit the cache
TILES_PER_BLOCK = 18  # rows of A that are copied together: 18 tiles x 14 rows x 512 is half of a 1 MiB L2
PACK_BYTES = 1 << 19  # B above this is copied into panels first, if enough rows use it
PANEL_BYTES = 1 << 18  # a panel of B above this is walked in blocks of k, to stay in the cache
CACHE_LINE = 64
TARGET_CHUNKS = 16
CHUNK_FMAS = 1 << 16


@dataclass
class Matrix:
    """An operand in memory: batch strides, then row and column strides, in elements."""

    storage: Storage
    offset: int
    batch: tuple[int, ...]
    row_stride: int
    column_stride: int
    panel: int = 0  # elements from one panel of columns to the next, where packed in panels
    gathered: str = ""  # "m" or "k": that dimension goes through the row numbers in ``rows``
    rows: Storage | None = None
    rows_stride: int = 0  # elements from one gathered row to the next


@dataclass
class ContractPlan:
    """Sizes, tiles and chunks of one contraction.  All of it follows from shapes and the CPU."""

    node: Node
    stored: list[Value]
    batch: tuple[int, ...]
    m: int
    n: int
    k: int
    dtype: np.dtype[Any]
    lanes: int
    vectors: int  # of a full panel
    tiles: int  # number of row tiles
    k_block: int
    copy_a: bool
    row_blocks: int
    tiles_per_block: int
    panels: int
    panel_groups: int
    panels_per_group: int
    chunks: int
    a: Matrix | None = None
    b: Matrix | None = None
    scratch: Storage | None = None  # partial sums, where K is cut into blocks

    @property
    def k_blocks(self) -> int:
        return -(-self.k // self.k_block)

    def tile_rows(self) -> tuple[int, int]:
        """``(base, extra)``: the first ``extra`` tiles have ``base + 1`` rows, the others ``base``."""
        return divmod(self.m, self.tiles)


def wants_panels(m: int, n: int, k: int, itemsize: int, width: int) -> bool:
    """Whether B should be copied into panels: it is large and many rows share the copy."""
    return n > width and k * n * itemsize > PACK_BYTES and m >= 256


def panel_vectors(n: int, lanes: int, registers: int) -> int:
    """Vectors in a full panel of columns."""
    needed = -(-n // lanes)
    if registers >= 32 and lanes <= 4:
        return min(needed, 4)  # NEON: short vectors, many registers
    return min(needed, 2)


def plan_contract(
    node: Node, stored: list[Value], lanes: int, registers: int, a: Matrix, b: Matrix
) -> ContractPlan:
    """Choose tiles and chunks for a matrix product."""
    *batch, m, n = node.outputs[0].shape
    k = node.inputs[-1].shape[-2]
    dtype = node.outputs[0].dtype
    size = dtype.itemsize
    vectors = panel_vectors(n, lanes, registers)
    panels = -(-n // (lanes * vectors))
    far_rows = a.column_stride * size >= 2048 and a.row_stride == 1  # A transposed: each step of k is another page
    most = max(1, ACCUMULATORS[registers] // vectors)
    if far_rows and vectors == 1:
        most = min(most, CACHE_LINE // size)  # whole cache lines of A for each step of k
    tiles = max(1, -(-m // most))
    if tiles > 4 and tiles % 4 and -(-m // (tiles + 4 - tiles % 4)) >= most - 3:
        tiles += 4 - tiles % 4  # an even share for 2 and 4 threads
    large = b.panel != 0
    k_block = k
    if k > BLOCK_K and (large or k * lanes * vectors * size > PANEL_BYTES) and not far_rows:
        k_block = -(-k // -(-k // BLOCK_K))
    if a.gathered == "m":
        k_block = min(k, BLOCK_K)
    collides = (a.row_stride * size) % 1024 == 0 or k_block != k
    copy_a = a.gathered == "m" or (panels >= 4 and a.column_stride == 1 and large and collides)
    count = 1
    for size_ in batch:
        count *= size_
    if copy_a and large:
        per_block = min(tiles, TILES_PER_BLOCK)
        row_blocks = -(-tiles // per_block)
        groups = min(panels, max(1, -(-TARGET_CHUNKS // (row_blocks * count))))
    else:
        most_chunks = max(1, m * n * k // CHUNK_FMAS)
        groups = min(panels, 32, most_chunks)
        wanted = min(max(1, -(-2 * TARGET_CHUNKS // (groups * count))), max(1, most_chunks // groups))
        row_blocks = min(tiles, wanted)
        per_block = -(-tiles // row_blocks)
        row_blocks = -(-tiles // per_block)
    per_group = -(-panels // groups)
    groups = -(-panels // per_group)
    return ContractPlan(
        node, stored, tuple(batch), m, n, k, dtype, lanes, vectors, tiles, k_block, copy_a, row_blocks, per_block,
        panels, groups, per_group, count * row_blocks * groups, a, b,
    )  # fmt: skip


class _Emitter:
    """Writes the functions of one contraction: its tiles, and the walk over a chunk."""

    def __init__(self, name: str, plan: ContractPlan, storage: dict[int, Storage], nodes: list[Node]) -> None:
        self.name, self.plan, self.storage = name, plan, storage
        self.group_nodes, self.own = nodes, {id(n) for n in nodes}
        self.places: list[tuple[int, int]] = []
        self.element = scalar_type(plan.dtype)
        self.parts: list[str] = []
        self.needs: set[str] = set()
        self._tiles: dict[tuple[int, int, bool], str] = {}
        assert plan.a is not None and plan.b is not None
        self.a, self.b = plan.a, plan.b
        self.rows = "null"  # where the row numbers of a gathered A are
        self.a_row, self.a_column = (
            (plan.k_block + 16, 1) if plan.copy_a else (self.a.row_stride, self.a.column_stride)
        )

    # --- one tile -------------------------------------------------------------------------------
    def tile(self, rows: int, columns: int, final: bool) -> str:
        """The name of the tile function for this size; written on first use.

        ``final`` tiles add what earlier blocks of k left in the scratch and run the epilogue.
        """
        key = (rows, columns, final)
        if key in self._tiles:
            return self._tiles[key]
        name = f"{self.name}_t{rows}x{columns}{'' if final else 'p'}"
        self._tiles[key] = name
        plan, lanes = self.plan, self.plan.lanes
        kernel = Kernel(name, lanes, self.storage, self.own, self.places)
        f = kernel.f
        f.parameters = [
            ("ptr", "table"), ("ptr", "a"), ("ptr", "b"), ("ptr", "s"),
            ("i64", "z"), ("i64", "m"), ("i64", "n"), ("i64", "depth"), ("i1", "more"), ("ptr", "rows"),
        ]  # fmt: skip
        counts = [min(lanes, columns - v * lanes) for v in range(-(-columns // lanes))]
        if final:
            self._prefetch(kernel, rows, len(counts))
        sums = self._accumulate(f, rows, counts)
        if plan.k_blocks > 1:
            sums = self._add_scratch(f, rows, counts, sums)
        if final:
            self._epilogue(kernel, rows, counts, sums)
        else:
            for r in range(rows):
                for v, count in enumerate(counts):
                    f.store(sums[r][v], self._scratch(f, r, v), count)
        self.parts.append(kernel.text().replace(") #0", ") noinline #0", 1))
        self.needs |= f.needs
        return name

    def _prefetch(self, kernel: Kernel, rows: int, vectors: int) -> None:
        """Ask for what the epilogue will read (weights, optimizer state) while the sums are computed."""
        f, shape = kernel.f, self.plan.node.outputs[0].shape
        batch = unflatten_index(Index(f, "%z"), self.plan.batch) if self.plan.batch else []
        seen: set[int] = set()
        for node in self.group_nodes:
            for value in node.inputs:
                where = self.storage.get(id(value))
                if node is self.plan.node or where is None or value.shape != shape or id(value) in seen:
                    continue
                if value.node is not None and id(value.node) in self.own:
                    continue
                seen.add(id(value))
                for r in range(rows):
                    for v in range(vectors):
                        index = [*batch, Index(f, f.iadd("%m", r)), Index(f, f.iadd("%n", v * self.plan.lanes), 1)]
                        at = kernel.offset(where, index)
                        address = f.address(kernel.pointer(where), at.base, scalar_type(where.dtype))
                        f.e(f"call void @llvm.prefetch.p0(ptr {address}, i32 1, i32 3, i32 1)")

    def _accumulate(self, f: Function, rows: int, counts: list[int]) -> list[list[Operand]]:
        plan, dtype, lanes = self.plan, self.plan.dtype, self.plan.lanes
        kind = vector_type(self.element, lanes)
        unroll = 4 if rows * len(counts) <= 8 else 2

        def step(pa: str, pb: str, state: list[str]) -> list[str]:
            state = list(state)
            b = [f.load(f.address(pb, v * lanes, self.element), dtype, lanes, count) for v, count in enumerate(counts)]
            for r in range(rows):
                a = f.spread(f.load(f.address(pa, r * self.a_row, self.element), dtype))
                for v in range(len(counts)):
                    at = r * len(counts) + v
                    state[at] = f.v(
                        f"call {kind} @llvm.fmuladd.v{lanes}{'f32' if self.element == 'float' else 'f64'}"
                        f"({kind} {a.ssa}, {kind} {b[v].ssa}, {kind} {state[at]})"
                    )
            return state

        b_row = self.b_row

        through_rows = self.a.gathered == "k"
        stride = self.a.rows_stride

        def body(_: str | int, carried: list[str]) -> list[str]:
            pa, pb, state = carried[0], carried[1], carried[2:]
            for _u in range(inner):
                at = pa
                if through_rows:  # here pa walks over the row numbers
                    number = f.v(f"load i64, ptr {pa}, align 8")
                    at = f.address("%a", f.imul(number, stride), self.element)
                    ahead = f.address(at, 4 * rows, self.element)  # what a later tile reads of this row
                    f.e(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 3, i32 1)")
                state = step(at, pb, state)
                pa = f.address(pa, 1, "i64") if through_rows else f.address(pa, self.a_column, self.element)
                pb = f.address(pb, b_row, self.element)
            return [pa, pb, *state]

        zero = ["zeroinitializer"] * (rows * len(counts))
        carry = [("ptr", "%rows" if through_rows else "%a"), ("ptr", "%b"), *((kind, z) for z in zero)]
        uniform = plan.k % plan.k_block == 0
        depth: str | int = plan.k_block if uniform else "%depth"
        inner = unroll if uniform and plan.k_block % unroll == 0 else 1
        if not uniform:
            inner = unroll
            whole = f.v(f"and i64 %depth, {-unroll}")
            values = f.loop(0, whole, unroll, body, carry)
            inner = 1
            carry = [(k, v) for (k, _), v in zip(carry, values, strict=True)]
            values = f.loop(whole, depth, 1, body, carry)
        else:
            values = f.loop(0, depth, inner, body, carry)
        flat = values[2:]
        wide = len(counts)
        return [[Operand(flat[r * wide + v], dtype, lanes) for v in range(wide)] for r in range(rows)]

    @property
    def b_row(self) -> int:
        return self.b.row_stride

    def _scratch(self, f: Function, r: int, v: int) -> str:
        assert self.plan.scratch is not None
        return f.address("%s", r * self.plan.scratch.strides[0] + v * self.plan.lanes, self.element)

    def _add_scratch(self, f: Function, rows: int, counts: list[int], sums: list[list[Operand]]) -> list[list[Operand]]:
        """``sums + scratch`` where an earlier block of k has been there (``%more``)."""
        n, before = f.fresh(), f.block
        f.e(f"br i1 %more, label %M{n}, label %J{n}")
        f.label(f"M{n}")
        added = [
            [
                f.v(f"fadd {x.type} {x.ssa}, {f.load(self._scratch(f, r, v), x.dtype, x.lanes, counts[v]).ssa}")
                for v, x in enumerate(row)
            ]
            for r, row in enumerate(sums)
        ]
        f.e(f"br label %J{n}")
        f.label(f"J{n}")
        return [
            [
                Operand(f.v(f"phi {x.type} [{x.ssa}, %{before}], [{added[r][v]}, %M{n}]"), x.dtype, x.lanes)
                for v, x in enumerate(row)
            ]
            for r, row in enumerate(sums)
        ]

    def _epilogue(self, kernel: Kernel, rows: int, counts: list[int], sums: list[list[Operand]]) -> None:
        f, plan = kernel.f, self.plan
        root = plan.node.outputs[0]
        batch = unflatten_index(Index(f, "%z"), plan.batch) if plan.batch else []
        for v, count in enumerate(counts):
            kernel.count = None if count == plan.lanes else count
            lane = Index(f, f.iadd("%n", v * plan.lanes), 1, align=plan.lanes)
            for r in range(rows):
                x = sums[r][v]
                if plan.n == 1:  # one column is one number a row, not a vector
                    x = Operand(f.v(f"extractelement {x.type} {x.ssa}, i64 0"), x.dtype, 1)
                    lane = Index(f, 0)
                index = kernel.broadcast([*batch, Index(f, f.iadd("%m", r)), lane], root.shape)
                kernel.remember(root, index, x)
                for value in plan.stored:
                    kernel.store(value, index, kernel.pull(value, index))
        kernel.count = None

    # --- a chunk --------------------------------------------------------------------------------
    def walk(self) -> None:
        """``void name(table, c0, c1)``: the tiles of chunks ``[c0, c1)``."""
        plan = self.plan
        kernel = Kernel(self.name, plan.lanes, self.storage, self.own, self.places)
        f = kernel.f
        a, b = self.a, self.b
        copied = ""
        if plan.copy_a:
            base, extra = plan.tile_rows()
            rows = plan.tiles_per_block * (base + (extra > 0))
            kernel.head.append(
                f"  %copy = alloca {self.element}, i64 {rows * self.a_row + 64}, align 64"
            )
            copied = "%copy"
        a_pointer, b_pointer = kernel.pointer(a.storage), kernel.pointer(b.storage)
        a_pointer = f.address(a_pointer, a.offset, self.element)
        b_pointer = f.address(b_pointer, b.offset, self.element)
        scratch = kernel.pointer(plan.scratch) if plan.scratch is not None else "null"
        self.rows = kernel.pointer(a.rows) if a.rows is not None else "null"

        def chunk(c: str | int, _: list[str]) -> None:
            group = f.imod(c, plan.panel_groups)
            rest = f.idiv(c, plan.panel_groups)
            block = f.imod(rest, plan.row_blocks)
            z = f.idiv(rest, plan.row_blocks)
            za = f.address(a_pointer, self._batch_offset(f, z, a), self.element)
            zb = f.address(b_pointer, self._batch_offset(f, z, b), self.element)
            t0 = f.imul(block, plan.tiles_per_block)
            t1 = f.imin(f.iadd(t0, plan.tiles_per_block), plan.tiles)
            p0 = f.imul(group, plan.panels_per_group)
            p1 = f.imin(f.iadd(p0, plan.panels_per_group), plan.panels)
            zs = scratch
            if plan.scratch is not None:
                zs = f.address(scratch, f.imul(z, plan.m * plan.scratch.strides[0]), self.element)
            for final in (False, True):
                first = 0 if not final else (plan.k_blocks - 1) * plan.k_block
                last = (plan.k_blocks - 1) * plan.k_block if not final else plan.k_blocks * plan.k_block

                def deep(k0: str | int, _: list[str], final: bool = final) -> None:
                    self._block(kernel, k0, z, (t0, t1), (p0, p1), za, zb, zs, copied, final)

                if last > first:
                    f.loop(first, last, plan.k_block, deep)

        f.loop("%c0", "%c1", 1, chunk)
        self.parts.append(kernel.text())

    def _batch_offset(self, f: Function, z: str | int, x: Matrix) -> str | int:
        total: str | int = 0
        for i, s in zip(unflatten_index(Index(f, z), self.plan.batch), x.batch, strict=True):
            total = f.iadd(total, f.imul(i.base, s))
        return total

    def _tile_start(self, f: Function, t: str | int) -> str | int:
        base, extra = self.plan.tile_rows()
        return f.iadd(f.imul(t, base), f.imin(t, extra) if extra else 0)

    def _block(
        self, kernel: Kernel, k0: str | int, z: str | int, tiles: Any, panels: Any, za: str, zb: str, zs: str,
        copied: str, final: bool,
    ) -> None:  # fmt: skip
        """One block of k for the tiles and panels of a chunk."""
        f, plan = kernel.f, self.plan
        a, b = self.a, self.b
        depth: str | int = plan.k - (plan.k_blocks - 1) * plan.k_block if final else plan.k_block
        more = "true" if plan.k_blocks > 1 and final else "false" if plan.k_blocks == 1 else f.v(f"icmp ne i64 {k0}, 0")
        block_row = self._tile_start(f, tiles[0])
        pa, numbers = f.address(za, f.imul(k0, a.column_stride), self.element), "null"
        if a.gathered == "k":
            pa, numbers = za, f.address(self.rows, k0, "i64")
        if plan.copy_a:
            self._copy_rows(kernel, pa, copied, block_row, self._tile_start(f, tiles[1]), int(depth))
        width = plan.vectors * plan.lanes
        base, extra = plan.tile_rows()

        def panel(p: str | int, columns: int) -> None:
            if b.panel:
                pb = f.address(zb, f.iadd(f.imul(p, b.panel), f.imul(k0, b.row_stride)), self.element)
            else:
                pb = f.address(zb, f.iadd(f.imul(p, width), f.imul(k0, b.row_stride)), self.element)
            n0 = f.imul(p, width)

            def run(t: str | int, rows: int) -> None:
                m0 = self._tile_start(f, t)
                if plan.copy_a:
                    at = f.address(copied, f.imul(f.isub(m0, block_row), self.a_row), self.element)
                else:
                    at = f.address(pa, f.imul(m0, a.row_stride), self.element)
                s = zs
                if plan.scratch is not None:
                    s = f.address(zs, f.iadd(f.imul(m0, plan.scratch.strides[0]), n0), self.element)
                f.e(
                    f"call void @{self.tile(rows, columns, final)}(ptr %table, ptr {at}, ptr {pb}, ptr {s}, "
                    f"i64 {z}, i64 {m0}, i64 {n0}, i64 {depth}, i1 {more}, ptr {numbers})"
                )

            def larger(t: str | int, _: list[str]) -> None:
                run(t, base + 1)

            def smaller(t: str | int, _: list[str]) -> None:
                run(t, base)

            if extra:
                f.loop(tiles[0], f.imin(tiles[1], extra), 1, larger)
            start = f.v(f"call i64 @llvm.smax.i64(i64 {tiles[0]}, i64 {extra})") if extra else tiles[0]
            f.loop(start, tiles[1], 1, smaller)

        whole, tail = divmod(plan.n, width)
        f.loop(panels[0], f.imin(panels[1], whole), 1, lambda p, _: panel(p, width))
        if tail:
            mine = f.v(f"icmp sgt i64 {panels[1]}, {whole}")
            f.when(mine, lambda: panel(whole, tail))

    def _copy_rows(
        self, kernel: Kernel, source: str, target: str, first: str | int, last: str | int, depth: int
    ) -> None:
        """Rows ``[first, last)`` of a block of A, copied to a pitch that does not collide in the cache."""
        f, plan = kernel.f, self.plan
        a_rows = self.a.rows_stride if self.a.gathered else self.a.row_stride
        whole, tail = divmod(depth, plan.lanes)

        def row(i: str | int, _: list[str]) -> None:
            number = i
            if self.a.gathered:
                number = f.v(f"load i64, ptr {f.address(self.rows, i, 'i64')}, align 8")
            s = f.address(source, f.imul(number, a_rows), self.element)
            d = f.address(target, f.imul(f.isub(i, first), self.a_row), self.element)

            def vector(j: str | int, _: list[str]) -> None:
                if self.a.gathered:  # the same columns of the next block, while this one is computed
                    ahead = f.address(s, f.iadd(j, depth), self.element)
                    f.e(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 2, i32 1)")
                f.store(f.load(f.address(s, j, self.element), plan.dtype, plan.lanes), f.address(d, j, self.element))

            f.loop(0, whole * plan.lanes, plan.lanes, vector)
            if tail:
                at = whole * plan.lanes
                x = f.load(f.address(s, at, self.element), plan.dtype, plan.lanes, tail)
                f.store(x, f.address(d, at, self.element), tail)

        f.loop(first, last, 1, row)


def emit_contract(
    name: str, plan: ContractPlan, storage: dict[int, Storage], nodes: list[Node]
) -> tuple[str, list[tuple[int, int]], set[str]]:
    """The text of all functions of a contraction, the places of its values, and what it needs declared."""
    emitter = _Emitter(name, plan, storage, nodes)
    emitter.walk()
    return "\n".join(emitter.parts), emitter.places, emitter.needs
