"""Loops over a sub-graph (``lamina.scan``): the body's kernels, called turn by turn from one function.

A kernel knows the addresses of its values from a table only.  So the body's kernels are ordinary
ones, and a turn is: fill in a table with where this turn's slices and states lie, call them.

Where every row of the batch goes through the loop by itself, a chunk is a block of rows: it walks
through all turns without waiting for anyone, and its states stay in the cache.  Otherwise all
threads do each turn together, with a barrier wherever one kernel needs what another has written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lamina.backends.native.contraction import ACCUMULATORS, Rows
from lamina.backends.native.emit import Function
from lamina.backends.native.kernel import PARAMETERS, Storage
from lamina.backends.native.kernels import Fused, Kernels, Place, Written, work_of
from lamina.backends.native.layout import dense_strides, through_views
from lamina.backends.native.schedule import place_parts
from lamina.backends.native.sharing import share_out
from lamina.core.lowering import Contraction, Elementwise, Joined, Reduction, View
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import Group, is_view, source_of
from lamina.graph.passes.memory import Lifetime, plan_arena
from lamina.ops.joining import CONCAT, PAD

TOGETHER = [("ptr", "table"), ("i64", "tid"), ("i64", "nt"), ("ptr", "ctx")]
LARGE_WEIGHTS = 1 << 20  # bytes that leave the nearest caches: fewer, larger blocks of rows share a reading


@dataclass
class SweepPlan:
    """How a loop is cut: ``chunks`` blocks of rows, or (``together``) all threads in every turn."""

    group: Node
    chunks: int
    together: bool
    work: int
    parts: list[Written]


class Swept(NamedTuple):
    """The function of a loop: its name, its plan, and the addresses that its table holds."""

    name: str
    plan: SweepPlan
    places: list[Place]


class _Slot(NamedTuple):
    """What an address in a turn's table starts from."""

    kind: str  # "fixed", "slice", "in", "out" or "local"
    place: Place | None = None  # outside the loop
    step: int = 0  # bytes from one slice to the next
    which: int = 0  # number of the state


class Sweeper:
    """One loop, from its node to its function.

    Args:
        node: a scan whose body is prepared.
        book: where the kernels are written.
    """

    def __init__(self, node: Node, book: Kernels) -> None:
        self.node, self.book = node, book
        self.body: Graph = node.params["body"]
        self.carried, self.walked = node.params["carried"], node.params["walked"]
        self.length, self.reverse = node.params["length"], node.params["reverse"]
        self.fused = Fused(self.body)
        self.rows = self._rows()
        self.levels = self._levels()
        self.slots: list[_Slot] = []
        self.storage: dict[int, Storage] = {}
        self._place_locals()

    # --- how it is cut ----------------------------------------------------------------------------
    def _rows(self) -> Rows | None:
        """Blocks of rows, where each row goes through the loop by itself."""
        states = self.body.inputs[: self.carried]
        if not states or any(len(v.shape) < 2 for v in states) or len({v.shape[0] for v in states}) > 1:
            return None
        count = states[0].shape[0]
        if not _rows_are_apart(self.body, set(states), count):
            return None
        weights = sum(
            v.size * v.dtype.itemsize for n in self.body.nodes if isinstance(n.primitive.native, Contraction)
            for v in n.inputs[1:]
        )  # fmt: skip
        most = max(1, ACCUMULATORS[self.book.target.registers] // 2)
        if count < 4:
            return Rows(count, 1, 1)
        if weights > LARGE_WEIGHTS:
            chunks = 2
        elif count <= 4 * most:
            chunks = 2 if count < 16 else 4
        else:
            chunks = 4 * -(-count // (4 * most))
        return Rows(count, chunks, -(-count // (chunks * most)))

    def _levels(self) -> list[list[Group]]:
        """The body's groups in order; those of one level do not need each other."""
        groups = self.fused.fusion.groups
        level: dict[int, int] = {}

        def find(i: int) -> int:
            if i not in level:
                own = groups[i].kind != "joined"
                level[i] = max((find(j) + own for j in groups[i].before), default=0)
            return level[i]

        out: list[list[Group]] = [[] for _ in range(1 + max((find(i) for i in groups), default=-1))]
        for i in sorted(groups):
            out[level[i]].append(groups[i])
        return out

    # --- memory -----------------------------------------------------------------------------------
    def _slot(self, slot: _Slot) -> int:
        self.slots.append(slot)
        return len(self.slots) - 1

    def _place_locals(self) -> None:
        """Where values between the body's kernels lie in the loop's own memory; the states' two buffers."""
        body, groups = self.body, self.fused.fusion
        level_of = {id(n): i for i, level in enumerate(self.levels) for g in level for n in g.nodes}
        joins = [n for n in body.nodes if isinstance(n.primitive.native, Joined)]
        outside = {id(v) for v in body.outputs} | {id(v) for n in joins for v in n.inputs}
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for node in body.nodes:
            if is_view(node):
                continue
            for value in node.outputs:
                first[id(value)] = level_of[id(node)]
            for value in node.inputs:
                source = id(source_of(value))
                last[source] = max(last.get(source, 0), level_of[id(node)])  # levels are not in the nodes' order
        for node in joins:
            whole = id(node.outputs[0])
            first[whole] = min([first[whole], *[first[id(v)] for v in node.inputs]])
            last[whole] = max([last.get(whole, 0), *[last[id(v)] for v in node.inputs]])
        values = [
            v for n in body.nodes if not is_view(n) for v in n.outputs
            if id(v) in self.fused.stored and id(v) not in outside
        ]  # fmt: skip
        lives = [Lifetime(_bytes(v), first[id(v)], last.get(id(v), first[id(v)])) for v in values]
        sizes = {g.index: s for g in groups.groups.values() if self.rows is None
                 and (s := self.book.scratch_size(self.fused, g)) is not None}  # fmt: skip
        for index, (rows, pitch, dtype) in sizes.items():
            level = next(i for i, found in enumerate(self.levels) if groups.groups[index] in found)
            lives.append(Lifetime(rows * pitch * dtype.itemsize, level, level))
        offsets, total = plan_arena(lives)
        local = self._slot(_Slot("local"))
        for value, offset in zip(values, offsets, strict=False):
            self.storage[id(value)] = Storage(local, offset, value.shape, _dense(value), value.dtype)
        self.scratch = {
            index: Storage(local, offset, (rows, pitch), (pitch, 1), dtype)
            for (index, (rows, pitch, dtype)), offset in zip(sizes.items(), offsets[len(values) :], strict=True)
        }
        self._buffers = []  # of each state: the offset of the first, and the distance of the second
        for value in body.inputs[: self.carried]:
            size = -(-_bytes(value) // 64) * 64
            self._buffers.append((total, size))
            total += 2 * size
        self._size = total
        self._joins = joins

    def scratch_size(self) -> tuple[int, int, np.dtype[np.int8]]:
        """The loop's own memory, as ``Schedule`` wants it."""
        return 1, max(self._size, 1), np.dtype(np.int8)

    def _place_outside(self, graph: Graph, storage: dict[int, Storage]) -> None:
        """Where states, slices, outputs and what comes from outside lie."""
        own = self.storage
        for i, (inner, value) in enumerate(zip(self.body.inputs, self.node.inputs, strict=True)):
            found = through_views(value, lambda v: storage[id(v)].strides)
            assert found is not None
            source, offset, strides = found
            where = storage[id(source)]
            place = (where.slot, where.offset + offset * where.dtype.itemsize)
            if i < self.carried:
                slot = self._slot(_Slot("in", place, which=i))
            elif i < self.carried + self.walked:
                slot = self._slot(_Slot("slice", place, strides[0] * where.dtype.itemsize))
                strides = strides[1:]
            else:
                slot = self._slot(_Slot("fixed", place))
            own[id(inner)] = Storage(slot, 0, inner.shape, tuple(strides), inner.dtype)
        for i, (inner, value) in enumerate(zip(self.body.outputs, self.node.outputs, strict=True)):
            where = storage[id(value)]
            place = (where.slot, where.offset)
            if i < self.carried:
                slot, strides = self._slot(_Slot("out", place, which=i)), where.strides
                assert strides == _dense(inner), "the last state lies like the states before it"
            else:
                slot = self._slot(_Slot("slice", place, where.strides[0] * where.dtype.itemsize))
                strides = where.strides[1:]
            own[id(inner)] = Storage(slot, 0, inner.shape, tuple(strides), inner.dtype)
        for node in reversed(self._joins):
            place_parts(node, own)

    # --- the function -----------------------------------------------------------------------------
    def write(self, graph: Graph, storage: dict[int, Storage], scratch: Storage) -> Swept:
        """Write the body's kernels and the function that calls them.

        Args:
            graph: the graph that the loop is part of.
            storage: where that graph's values lie.
            scratch: the loop's own memory.
        """
        self._place_outside(graph, storage)

        def kernel(group: Group) -> Written:
            return self.book.write(self.fused, group, self.storage, self.scratch.get(group.index), self.rows)

        levels = [[kernel(g) for g in level if g.kind != "joined"] for level in self.levels]
        name = self.book.fresh_name()
        writer = _Writer(self, name, [level for level in levels if level], (scratch.slot, scratch.offset))
        self.book.texts.append(writer.text())
        parts = [part for level in levels for part in level]
        work = self.length * sum(work_of(part.plan) for part in parts)
        chunks = 1 if self.rows is None else self.rows.chunks
        return Swept(name, SweepPlan(self.node, chunks, self.rows is None, work, parts), writer.places)


class _Writer:
    """Writes the function of a loop."""

    def __init__(self, sweep: Sweeper, name: str, levels: list[list[Written]], memory: Place) -> None:
        self.sweep, self.levels = sweep, levels
        self.f = Function(name, PARAMETERS if sweep.rows is not None else TOGETHER, 1)
        self.places: list[Place] = []  # outside the loop
        self.inner: list[Place] = []  # in a turn's table: (slot of the sweep, offset)
        self.blocks = []
        for level in levels:
            for part in level:
                self.blocks.append(len(self.inner))
                self.inner += part.places
        f = self.f
        self.local = f.v(f"alloca i64, i64 {max(len(self.inner), 1)}, align 64")
        self.base = [self._outside(memory if s.place is None else s.place) for s in sweep.slots]
        self.memory = self._outside(memory)

    def text(self) -> str:
        f, sweep = self.f, self.sweep
        kinds = [sweep.slots[slot].kind for slot, _ in self.inner]
        for i, kind in enumerate(kinds):
            if kind in ("fixed", "local"):
                self._enter(i, self.base[self.inner[i][0]])

        def turns(c: str | int) -> None:
            def turn(k: str | int, _: list[str]) -> None:
                t = f.isub(sweep.length - 1, k) if sweep.reverse else k
                starts: dict[int, str] = {}
                for i, kind in enumerate(kinds):
                    slot = self.inner[i][0]
                    if kind in ("fixed", "local"):
                        continue
                    if slot not in starts:
                        starts[slot] = self._start(slot, k, t)
                    self._enter(i, starts[slot])
                self._calls(c)

            f.loop(0, sweep.length, 1, turn)

        if sweep.rows is None:
            turns(0)
        else:
            f.loop("%c0", "%c1", 1, lambda c, _: turns(c))
        return f.text()

    def _outside(self, place: Place) -> str:
        """An address outside the loop, from the function's table."""
        if place not in self.places:
            self.places.append(place)
        return self.f.v(f"load ptr, ptr {self.f.address('%table', self.places.index(place), 'ptr')}, align 8")

    def _start(self, slot: int, k: str | int, t: str | int) -> str:
        """Where a slot's memory begins in turn ``k``, which is about slice ``t``."""
        f, what = self.f, self.sweep.slots[slot]
        if what.kind == "slice":
            return f.address(self.base[slot], f.imul(t, what.step), "i8")
        at, distance = self.sweep._buffers[what.which]
        coming = what.kind == "in"
        turn = f.isub(k, 1) if coming else k
        odd = f.v(f"and i64 {turn}, 1")
        buffer = f.address(self.memory, f.iadd(f.imul(odd, distance), at), "i8")
        edge = f.v(f"icmp eq i64 {k}, {0 if coming else self.sweep.length - 1}")
        return f.v(f"select i1 {edge}, ptr {self.base[slot]}, ptr {buffer}")

    def _enter(self, i: int, start: str) -> None:
        f = self.f
        at = f.address(start, self.inner[i][1], "i8")
        f.e(f"store ptr {at}, ptr {f.address(self.local, i, 'i64')}, align 8")

    def _calls(self, c: str | int) -> None:
        """The kernels of one turn."""
        f, number = self.f, 0
        for level in self.levels:
            single = 0
            for part in level:
                block = f.address(self.local, self.blocks[number], "i64")
                number += 1
                call = f"call void @{part.name}(ptr {block}, i64 "
                if self.sweep.rows is not None:
                    f.e(f"{call}{c}, i64 {f.iadd(c, 1)})")
                    continue
                share_out(f, part.plan.chunks, single, lambda low, high, call=call: f.e(f"{call}{low}, i64 {high})"))  # type: ignore[misc]
                single += part.plan.chunks == 1
            if self.sweep.rows is None:
                several = f.v("icmp ugt i64 %nt, 1")
                f.when(several, lambda: f.e("call void @lamina_barrier(ptr %ctx)"))


def _rows_are_apart(body: Graph, states: set[Value], count: int) -> bool:
    """Whether row ``i`` of everything that the body computes depends on row ``i`` of the states only."""
    own = set(states)

    def led(value: Value) -> bool:
        return len(value.shape) >= 2 and value.shape[0] == count

    for node in body.nodes:
        native, out = node.primitive.native, node.outputs[0]
        mine = [v for v in node.inputs if v in own]
        if isinstance(native, View):
            if mine:
                if not (led(mine[0]) and led(out) and _keeps_rows(node, count)):
                    return False
                own.add(out)
            continue
        if not node.single or not led(out) or not all(led(v) for v in mine):
            return False
        if isinstance(native, Elementwise):
            right = all(len(v.shape) == len(out.shape) for v in mine)
        elif isinstance(native, Reduction):
            right = 0 not in node.params["axis"]
        elif isinstance(native, Contraction):
            right = len(out.shape) == 2 and all(v not in own for v in node.inputs[1:]) and len(node.inputs) == 2
        elif isinstance(native, Joined) or node.primitive is CONCAT:
            right = node.params["axis"] != 0
        elif node.primitive is PAD:
            right = all(node.params[side][0] == 0 for side in ("low", "high", "interior"))
        else:
            right = not mine
        if not right:
            return False
        own.add(out)
    return all(v in own for v in body.outputs)


def _keeps_rows(node: Node, count: int) -> bool:
    """Whether row ``i`` of a view is made of row ``i`` of its input."""
    name, params, x = node.primitive.name, node.params, node.inputs[0]
    if name == "transpose":
        return bool(params["axes"][0] == 0)
    if name == "slice":
        return bool(params["starts"][0] == 0 and params["steps"][0] == 1)  # the size says the rest
    if name == "broadcast_to":
        return len(x.shape) == len(node.outputs[0].shape)
    return name == "reshape"  # of the same leading size


def _dense(value: Value) -> tuple[int, ...]:
    return dense_strides(value.shape, value.dtype.itemsize)


def _bytes(value: Value) -> int:
    extent = _dense(value)[0] * value.shape[0] if value.shape else 1
    return max(extent, 1) * value.dtype.itemsize
