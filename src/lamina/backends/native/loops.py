"""Loop kernels: elementwise maps, row reductions and column reductions over one iteration shape.

A kernel runs over chunks of its iteration space.  How the space is cut, and the order in which
partial sums meet, depend on shapes only, never on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lamina.backends.native.contraction import Rows
from lamina.backends.native.emit import Function, Operand
from lamina.backends.native.index import FlatIndex, Index, unflatten_index
from lamina.backends.native.kernel import Kernel, Storage
from lamina.backends.native.layout import through_views
from lamina.backends.native.reductions import Column, combine, horizontal, initial, mask_lanes, reduce_columns
from lamina.core.lowering import Elementwise, Reduction, View
from lamina.graph.ir import Node, Value
from lamina.graph.passes.fusion import Group, source_of
from lamina.ops.shape import size_of

UNROLLED = 4  # rows of up to this many vectors stay in registers
CHUNK_WORK = 16384  # elements (weighted) that make a chunk worth handing out
MAX_CHUNKS = 64
ALIASED = 2048  # bytes: lines so far apart, or a multiple of it, share a few places of the cache
FOLLOWING = 16  # rows that share the cache lines of a vector read across them


@dataclass
class LoopPlan:
    """How a loop group is cut into chunks."""

    group: Group
    stored: list[Value]
    flat: bool  # the whole iteration space is one axis of lanes
    by_lanes: bool  # chunks are ranges of lanes (no domain) instead of ranges of rows
    chunks: int
    per_chunk: int  # rows, or vectors of lanes, in a chunk
    rows: Rows | None = None  # chunks of the leading dimension, where they are given
    along: int | None = None  # the axis before the last that is walked innermost, below each vector of lanes


def plan_loops(
    group: Group,
    stored: list[Value],
    storage: Callable[[Value], Storage | None],
    lanes: int,
    cut: Rows | None = None,
) -> LoopPlan:
    """Choose the cut of a loop group.  ``storage`` tells where outside values lie."""
    if cut is not None:
        return LoopPlan(group, stored, False, False, cut.chunks, 0, cut)
    flat = group.kind == "map" and len(group.shape) > 1 and _can_flatten(group, stored, storage)
    shape = (size_of(group.shape),) if flat else group.shape
    length = shape[-1] if shape else 1
    rows = size_of(shape[:-1]) if shape else 1
    weight = sum(8 if getattr(n.primitive.native, "expensive", False) else 1 for n in group.nodes)
    if group.kind == "column":
        for node in group.nodes:
            if isinstance(node.primitive.native, Reduction):
                weight += size_of(tuple(node.inputs[0].shape[a] for a in node.params["axis"]))
    has_rows = len(shape) > 1
    if has_rows:
        per = max(1, CHUNK_WORK // max(1, length * weight))
        per = max(per, -(-rows // MAX_CHUNKS))
        along = None if flat or length < lanes else _contiguous_axis(group, storage)
        return LoopPlan(group, stored, flat, False, -(-rows // per), per, along=along)
    vectors = -(-length // lanes)
    if group.kind == "row":
        return LoopPlan(group, stored, flat, True, 1, vectors)
    per = max(1, CHUNK_WORK // max(1, lanes * weight))
    per = max(per, -(-vectors // MAX_CHUNKS))
    return LoopPlan(group, stored, flat, True, -(-vectors // per), per)


def _contiguous_axis(group: Group, storage: Callable[[Value], Storage | None]) -> int | None:
    """Of a map that reads an operand across its rows: the axis that is contiguous there, if it is not the last.

    A vector of lanes takes a cache line for each of its elements then; their neighbours are in the rows that follow.
    Where these lines push one another out of the cache before that, the rows must follow at once.  Elsewhere it is
    better to write whole rows.
    """
    if group.kind != "map":
        return None

    def own(value: Value) -> tuple[int, ...]:
        where = storage(value)
        return where.strides if where is not None else ()

    inside = {id(v) for n in group.nodes for v in n.outputs}
    for value in (v for n in group.nodes for v in n.inputs):
        if id(source_of(value)) in inside or value.shape != group.shape or storage(source_of(value)) is None:
            continue
        found = through_views(value, own)
        if found is None or not found[2][-1] or found[2][-1] * value.dtype.itemsize % ALIASED:
            continue
        axes = [d for d, step in enumerate(found[2][:-1]) if step == 1 and 2 * value.shape[d] >= FOLLOWING]
        if axes:
            return axes[0]
    return None


def _can_flatten(group: Group, stored: list[Value], storage: Callable[[Value], Storage | None]) -> bool:
    inside = {id(v) for n in group.nodes for v in n.outputs}
    for node in group.nodes:
        if not isinstance(node.primitive.native, Elementwise):
            return False
        for value in node.inputs:
            if id(value) in inside or (value.constant is not None and value.constant.size == 1):
                continue
            if value.node is not None and isinstance(value.node.primitive.native, View):
                return False
            where = storage(value)
            if where is None or value.shape != group.shape or not where.contiguous:
                return False
    return all((w := storage(v)) is not None and w.contiguous for v in stored)


def emit_loops(kernel: Kernel, plan: LoopPlan) -> None:
    """Write the kernel's body: its chunks ``[c0, c1)``."""
    writer = _Writer(kernel, plan)
    f = kernel.f
    if not plan.by_lanes:
        rows = size_of(plan.group.domain)
        first = f.imul("%c0", plan.per_chunk)
        last = f.imin(f.imul("%c1", plan.per_chunk), rows)
        if plan.rows is not None:
            first, last = (_first_row(f, c, plan.rows, rows) for c in ("%c0", "%c1"))

        def row(r: str | int, _: list[str]) -> None:
            kernel.push()
            writer.row(unflatten_index(Index(f, r), plan.group.domain))
            kernel.pop()

        if plan.along is not None:
            writer.down(first, last, plan.along)
        else:
            f.loop(first, last, 1, row)
    elif plan.chunks == 1:
        kernel.push()
        writer.row([])
        kernel.pop()
    else:
        writer.lane_chunks()


def _first_row(f: Function, chunk: str | int, cut: Rows, rows: int) -> str | int:
    """Where a chunk of a given cut begins, in rows of the iteration space."""
    base, extra = divmod(cut.size, cut.tiles)
    tile = f.imul(chunk, cut.per_chunk)
    start = f.iadd(f.imul(tile, base), f.imin(tile, extra) if extra else 0)
    return f.imul(start, rows // cut.size)


class _Writer:
    """Writes one row of a loop kernel, stage by stage.

    A value that needs a row's finished reduction belongs to a later stage than the reduction.
    """

    def __init__(self, kernel: Kernel, plan: LoopPlan) -> None:
        self.k, self.plan, self.f = kernel, plan, kernel.f
        group = plan.group
        self.length = size_of(group.shape) if plan.flat else group.length
        self.stage: dict[int, int] = {}
        self._assign_stages()
        self.stages = 1 + max(self.stage.values(), default=0)
        self.reductions = [
            n for n in group.nodes if isinstance(n.primitive.native, Reduction) and group.kind == "row"
        ]
        self.columns = [
            n for n in group.nodes if isinstance(n.primitive.native, Reduction) and group.kind == "column"
        ]
        self.full = [v for v in plan.stored if v.shape == group.shape]
        self.scalars = [v for v in plan.stored if v.shape != group.shape]

    def _assign_stages(self) -> None:
        group = self.plan.group
        row = group.kind == "row"
        inside = {id(v) for n in group.nodes for v in n.outputs}
        for node in group.nodes:
            stage = 0
            for value in node.inputs:
                source = source_of(value)
                if id(source) not in inside:
                    continue
                before = self.stage[id(source)]
                producer = source.node
                if row and producer is not None and isinstance(producer.primitive.native, Reduction):
                    before += 1
                stage = max(stage, before)
            for value in node.outputs:
                self.stage[id(value)] = stage

    # --- one row --------------------------------------------------------------------------------
    def row(self, domain: list[Index]) -> None:
        lanes = self.f.lanes
        whole, tail = divmod(self.length, lanes)
        straight = self.length == 1 or whole + (tail > 0) <= UNROLLED
        self.k.ready.clear()
        for stage in range(self.stages):
            reductions = [n for n in self.reductions if self.stage[id(n.outputs[0])] == stage]
            full = [v for v in self.full if self.stage[id(v)] == stage]
            scalars = [v for v in self.scalars if self.stage[id(v)] == stage]
            if reductions or full:
                if straight:
                    self._straight(domain, reductions, full)
                else:
                    self._looped(domain, reductions, full, whole, tail)
            # A row's numbers are stored once the reductions that they come from are there.
            for value in scalars:
                if not self._is_reduction(value):
                    self._store_scalar(value, domain)
            for node in reductions:
                if node.outputs[0] in self.scalars:
                    self._store_scalar(node.outputs[0], domain)
            if not straight:
                self.k.ready |= {id(v) for v in full}

    def _is_reduction(self, value: Value) -> bool:
        return value.node is not None and isinstance(value.node.primitive.native, Reduction)

    def _store_scalar(self, value: Value, domain: list[Index]) -> None:
        index = list(domain)
        if len(value.shape) > len(domain):
            index.append(Index(self.f, 0))
        self.k.store(value, index, self.k.pull(value, index))

    def _blocks(self) -> list[tuple[Index, int | None]]:
        """Lane indices of a short row with the number of lanes in use."""
        if self.length == 1:
            return [(Index(self.f, 0), None)]
        n = self.f.lanes
        out: list[tuple[Index, int | None]] = []
        for start in range(0, self.length, n):
            left = self.length - start
            out.append((Index(self.f, start, 1), None if left >= n else left))
        return out

    def _reduce(self, domain: list[Index], blocks: list[tuple[Index, int | None]]) -> None:
        """All column reductions for these blocks of lanes, those over the same elements in one loop.

        They come before anything pulls them inside another column's loop.
        """
        alike: dict[Any, list[Node]] = {}
        for node in self.columns:
            alike.setdefault((node.params["axis"], node.inputs[0].shape), []).append(node)
        for nodes in alike.values():
            columns = [Column(n, self._index(domain, lane), count) for lane, count in blocks for n in nodes]
            for column, result in zip(columns, reduce_columns(self.k, columns), strict=True):
                self.k.remember(column.node.outputs[0], column.at, result)

    def _visit(self, domain: list[Index], lane: Index, full: list[Value], ready: bool = False) -> None:
        """Compute and store one block of lanes; with ``ready`` its column reductions are there."""
        index = self._index(domain, lane)
        if not ready:
            self._reduce(domain, [(lane, self.k.count)])
        # Everything is read before anything is written: a variable that gets its new value here may be
        # read, at the same element, by another of the values.
        operands = [self.k.pull(value, index) for value in full]
        for value, operand in zip(full, operands, strict=True):
            self.k.store(value, index, operand)

    def _index(self, domain: list[Index], lane: Index) -> list[Index]:
        if self.plan.flat:
            return FlatIndex(lane, self.plan.group.shape)
        return [*domain, lane] if self.plan.group.shape else []

    def _straight(self, domain: list[Index], reductions: list[Node], full: list[Value]) -> None:
        carries: dict[int, list[Operand]] = {}
        blocks = self._blocks()
        self._reduce(domain, blocks)
        for lane, count in blocks:
            self.k.count = count
            for node in reductions:
                carries[id(node)] = self._accumulate(node, domain, lane, carries.get(id(node)))
            self._visit(domain, lane, full, ready=True)
        self.k.count = None
        for node in reductions:
            self._finish(node, domain, carries[id(node)])

    def _looped(self, domain: list[Index], reductions: list[Node], full: list[Value], whole: int, tail: int) -> None:
        f, lanes = self.f, self.f.lanes
        start: list[Operand] = [c for n in reductions for c in initial(n, lanes)]
        widths = [len(initial(n, lanes)) for n in reductions]
        # Column reductions of several vectors go side by side.
        wide = next(w for w in (UNROLLED, 2, 1) if whole % w == 0) if self.columns else 1

        def body(i: str | int, carried: list[str]) -> list[str]:
            self.k.push()
            lane = Index(f, i, 1, align=lanes)
            out: list[str] = []
            at = 0
            for node, width in zip(reductions, widths, strict=True):
                state = [
                    Operand(ssa, c.dtype, c.lanes)
                    for ssa, c in zip(carried[at : at + width], start[at : at + width], strict=True)
                ]
                out += [c.ssa for c in self._accumulate(node, domain, lane, state)]
                at += width
            blocks = [Index(f, f.iadd(i, j * lanes), 1, align=lanes) for j in range(wide)]
            if wide > 1:
                self._reduce(domain, [(block, None) for block in blocks])
            for block in blocks:
                self._visit(domain, block, full, ready=wide > 1)
            self.k.pop()
            return out

        carry = [(c.type, c.ssa) for c in start]
        values = f.loop(0, whole * lanes, wide * lanes, body, carry)
        state = [Operand(ssa, c.dtype, c.lanes) for ssa, c in zip(values, start, strict=True)]
        if tail:
            self.k.push()
            self.k.count = tail
            lane = Index(f, whole * lanes, 1)
            at, after = 0, []
            for node, width in zip(reductions, widths, strict=True):
                after += self._accumulate(node, domain, lane, state[at : at + width])
                at += width
            self._visit(domain, lane, full)
            self.k.count = None
            self.k.pop()
            state = after
        at = 0
        for node, width in zip(reductions, widths, strict=True):
            self._finish(node, domain, state[at : at + width])
            at += width

    def _accumulate(self, node: Node, domain: list[Index], lane: Index, state: list[Operand] | None) -> list[Operand]:
        x = self.k.pull(node.inputs[0], [*domain, lane])
        if not lane.uniform:
            x = self.f.spread(x)
        first = initial(node, x.lanes)
        if self.k.count is not None and self.k.count < x.lanes:
            x = mask_lanes(self.k, x, first[0])
        return combine(self.k, node, state if state is not None else first, x, lane)

    def _finish(self, node: Node, domain: list[Index], state: list[Operand]) -> None:
        result = horizontal(self.k, node, state)
        self.k.remember(node.outputs[0], domain, result)

    # --- down the rows ----------------------------------------------------------------------------
    def down(self, first: str | int, last: str | int, along: int) -> None:
        """Tiles: each vector of lanes through as many rows, one after the other along an axis, as a cache line has."""
        f, lanes, domain = self.f, self.f.lanes, self.plan.group.domain
        whole, tail = divmod(self.length, lanes)
        order = [d for d in range(len(domain)) if d != along] + [along]

        def tile(top: str | int, _: list[str]) -> None:
            bottom = f.imin(f.iadd(top, FOLLOWING), last)

            def through(lane: Index) -> None:
                def row(r: str | int, _: list[str]) -> None:
                    self.k.push()
                    found = zip(order, unflatten_index(Index(f, r), tuple(domain[d] for d in order)), strict=True)
                    self._visit([at for _, at in sorted(found, key=lambda pair: pair[0])], lane, self.full)
                    self.k.pop()

                f.loop(top, bottom, 1, row)

            f.loop(0, whole * lanes, lanes, lambda i, _: through(Index(f, i, 1, align=lanes)))
            if tail:
                self.k.count = tail
                through(Index(f, whole * lanes, 1))
                self.k.count = None

        f.loop(first, last, FOLLOWING, tile)

    # --- chunks of lanes --------------------------------------------------------------------------
    def lane_chunks(self) -> None:
        """No domain: each chunk is a range of vectors along the lanes."""
        f, lanes = self.f, self.f.lanes
        whole, tail = divmod(self.length, lanes)
        first = f.imul("%c0", self.plan.per_chunk)
        last = f.imul("%c1", self.plan.per_chunk)
        stop = f.imin(last, whole)

        def body(v: str | int, _: list[str]) -> None:
            self.k.push()
            self._visit([], Index(f, f.imul(v, lanes), 1, align=lanes), self.full)
            self.k.pop()

        f.loop(first, stop, 1, body)
        if tail:
            mine = f.v(f"icmp sgt i64 {last}, {whole}")

            def rest() -> None:
                self.k.push()
                self.k.count = tail
                self._visit([], Index(f, whole * lanes, 1), self.full)
                self.k.count = None
                self.k.pop()

            f.when(mine, rest)
