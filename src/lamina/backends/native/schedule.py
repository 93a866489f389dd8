"""From groups to a schedule: their order, the phases between barriers, and where values lie."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.kernel import Storage
from lamina.backends.native.layout import compact_strides, dense_strides
from lamina.backends.native.primitives import COPY
from lamina.core.lowering import Elementwise, Joined
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import ALONE, Fusion, Group, is_view, source_of
from lamina.graph.passes.memory import Lifetime, plan_arena

ARENA, TIMES, CALLBACK, CLAIMS, FRESH, FIRST_SLOT = 0, 1, 2, 3, 4, 5  # entries of the pointer table


class Slot(NamedTuple):
    """What an entry of the pointer table points to."""

    kind: str  # "input", "variable", "constant" or "output"
    which: Any  # position of the input or output; the Variable; the constant's array


class Buffer(NamedTuple):
    """A piece of the arena: for a value, or for the partial sums of a group."""

    value: Value | None
    group: int  # index of the group that fills it
    lifetime: Lifetime
    offset: int


class Schedule:
    """Groups in phases, and the storage of every value that lies in memory.

    Attributes:
        phases: lists of groups; those of one phase run side by side, with a barrier after it.
        leading: how many of the first phases are for groups whose results are kept from run to run.
        storage: by ``id(value)``.
        slots: the pointer table from ``FIRST_SLOT`` on.
        arena_bytes: size of the arena.
        scratch: by group index, storage for a contraction's partial sums.
        buffers: the pieces of the arena.
    """

    def __init__(
        self,
        graph: Graph,
        fusion: Fusion,
        stored: set[int],
        scratch_sizes: dict[int, tuple[int, int, np.dtype[Any]]],
        kept: Set[int],
    ) -> None:
        self.graph, self.fusion, self.kept = graph, fusion, kept
        self.slots: list[Slot] = []
        self.storage: dict[int, Storage] = {}
        self.scratch: dict[int, Storage] = {}
        self.joins = [n for n in graph.nodes if isinstance(n.primitive.native, Joined)]
        self.stored = stored  # ids of the values that lie in memory; copies into variables join them
        self._place_outside()
        self._place_writes()
        self.phases = self._order()
        self._place_arena(scratch_sizes)

    def _slot(self, kind: str, which: Any) -> int:
        self.slots.append(Slot(kind, which))
        return FIRST_SLOT + len(self.slots) - 1

    # --- inputs, variables, constants, outputs ----------------------------------------------------
    def _place_outside(self) -> None:
        graph = self.graph
        for i, value in enumerate(graph.inputs):
            slot = self._slot("input", i)
            self.storage[id(value)] = Storage(slot, 0, value.shape, compact_strides(value.shape), value.dtype)
        self.variable_slots: dict[int, int] = {}
        for variable, value in graph.reads:
            slot = self._slot("variable", variable)
            self.variable_slots[id(variable)] = slot
            self.storage[id(value)] = self._variable_storage(slot, value)
        for value in graph.constants():
            assert value.constant is not None
            array = np.ascontiguousarray(value.constant).reshape(value.constant.shape)
            slot = self._slot("constant", array)
            self.storage[id(value)] = Storage(slot, 0, value.shape, compact_strides(value.shape), value.dtype)
        for i, value in enumerate(graph.outputs):
            slot = self._slot("output", i)
            whole = source_of(value)  # the output may be of another shape, and lies in memory as this does
            self.storage[id(whole)] = Storage(slot, 0, whole.shape, compact_strides(whole.shape), whole.dtype)

    def _variable_storage(self, slot: int, value: Value) -> Storage:
        return Storage(slot, 0, value.shape, dense_strides(value.shape, value.dtype.itemsize), value.dtype)

    # --- writing variables in place ---------------------------------------------------------------
    def _place_writes(self) -> None:
        """A new value goes straight into its variable where nobody still needs the old one."""
        graph, fusion = self.graph, self.fusion
        old = {id(variable): value for variable, value in graph.reads}
        for i, (variable, value) in enumerate(list(graph.writes)):
            slot = self.variable_slots.get(id(variable))
            if slot is None:
                slot = self._slot("variable", variable)
            where = self._variable_storage(slot, value)
            assert value.node is not None
            group = fusion.groups[fusion.group_of[id(value.node)]]
            before = old.get(id(variable))
            if before is None or self._can_overwrite(before, group):
                self.storage[id(value)] = where
                continue
            copy = Value(value.shape, value.dtype)
            node = Node(COPY, [value], {}, [copy], True)
            index = 1 + max(fusion.groups)
            late = Group(index, "map", copy.shape, node)
            fusion.groups[index] = late
            fusion.group_of[id(node)] = index
            self._edge(group, late)
            for reader in self._readers(before):
                self._edge(reader, late)
            graph.writes[i] = (variable, copy)
            graph.nodes.append(node)
            self.stored |= {id(copy), id(value)}
            self.storage[id(copy)] = where

    def _edge(self, a: Group, b: Group) -> None:
        if a is not b:
            a.after.add(b.index)
            b.before.add(a.index)

    def _readers(self, value: Value) -> list[Group]:
        fusion = self.fusion
        return [fusion.groups[i] for i in {fusion.group_of[id(n)] for n in self._uses(value)}]

    def _uses(self, value: Value) -> list[Node]:
        return self.fusion.users.get(id(value), [])

    def _can_overwrite(self, old: Value, group: Group) -> bool:
        """Whether the group may write over ``old``: all other readers can come first, and inside the
        group each element is only read where it is written."""
        fusion = self.fusion
        if group.kind == "scatter":
            node = group.nodes[0]  # it reads each row where it writes it, and nothing else of the old value
            if node.inputs[0] is old and not any(source_of(v) is old for v in node.inputs[1:]):
                return self._orders(old, group)
        if group.kind in ALONE:
            return not any(fusion.group_of[id(n)] == group.index for n in self._uses(old)) and self._orders(old, group)
        for node in self._uses(old):
            if fusion.group_of[id(node)] != group.index:
                continue
            native = node.primitive.native
            direct = any(v is old for v in node.inputs) and not any(
                v is not old and source_of(v) is old for v in node.inputs
            )
            if not isinstance(native, Elementwise) or not direct:
                return False
            if node.outputs[0].shape != old.shape or old.shape != group.shape or id(node) in group.inlined:
                if not (old.shape == () and group.shape == ()):
                    return False
        if group.kind == "row" and group.length > 1 and any(
            fusion.group_of[id(n)] == group.index for n in self._uses(old)
        ):
            return False  # a later stage would read what an earlier one has overwritten
        return self._orders(old, group)

    def _orders(self, old: Value, group: Group) -> bool:
        readers = [r for r in self._readers(old) if r is not group]
        if any(self.fusion._path(group, r) for r in readers):
            return False
        for reader in readers:
            self._edge(reader, group)
        return True

    # --- order ----------------------------------------------------------------------------------
    def _order(self) -> list[list[Group]]:
        """Groups by level: a group comes one phase after the last that it waits for.

        Values that are only put side by side need no phase: they are in place with the last of their parts.
        """
        groups = self.fusion.groups
        waiting = {i: len(g.before) for i, g in groups.items()}
        level = dict.fromkeys(groups, 0)
        ready = [i for i, n in waiting.items() if n == 0]
        done = 0
        while ready:
            i = ready.pop()
            done += 1
            for j in groups[i].after:
                level[j] = max(level[j], level[i] + (groups[j].kind != "joined"))
                waiting[j] -= 1
                if waiting[j] == 0:
                    ready.append(j)
        assert done == len(groups), "fusion made a cycle"
        phases: list[list[Group]] = [[] for _ in range(1 + max(level.values(), default=-1))]
        for i in sorted(groups):
            phases[level[i]].append(groups[i])
        # What is kept needs nothing but variables.
        lead = [g for g in phases[0] if g.index in self.kept] if self.kept else []
        assert len(lead) == len(self.kept), "a group that is kept waits for another"
        self.leading = int(bool(lead))
        if lead:
            phases[0] = [g for g in phases[0] if g.index not in self.kept]
            phases = [lead, *(phase for phase in phases if phase)]
        return phases

    # --- the arena --------------------------------------------------------------------------------
    def _place_arena(self, scratch_sizes: dict[int, tuple[int, int, np.dtype[Any]]]) -> None:
        phase_of = {g.index: p for p, groups in enumerate(self.phases) for g in groups}
        last_use: dict[int, int] = {}
        for node in self.graph.nodes:
            if is_view(node):
                continue
            phase = phase_of[self.fusion.group_of[id(node)]]
            for v in node.inputs:
                source = source_of(v)
                last_use[id(source)] = max(last_use.get(id(source), 0), phase)
        computing = [n for n in self.graph.nodes if not is_view(n)]
        first_use = {id(v): phase_of[self.fusion.group_of[id(n)]] for n in computing for v in n.outputs}
        for node in self.joins:
            for value in node.inputs:
                whole = id(node.outputs[0])
                first_use[whole] = min(first_use[whole], first_use[id(value)])
                last_use[whole] = max(last_use.get(whole, 0), last_use[id(value)])
        values: list[Value] = []
        lifetimes: list[Lifetime] = []
        parts = {id(v) for node in self.joins for v in node.inputs}
        for node in self.graph.nodes:
            for value in node.outputs:
                if id(value) in self.storage or id(value) in parts or is_view(node):
                    continue
                if id(value) not in self.stored and not self._keeps_all(node):
                    continue
                first = first_use[id(value)]
                last = last_use.get(id(value), first)
                if self.fusion.group_of[id(node)] in self.kept:
                    last = len(self.phases)  # until the next run
                strides = dense_strides(value.shape, value.dtype.itemsize)
                extent = strides[0] * value.shape[0] if value.shape else 1
                values.append(value)
                lifetimes.append(Lifetime(max(extent, 1) * value.dtype.itemsize, first, last))
        extra = list(scratch_sizes.items())
        for index, (rows, pitch, dtype) in extra:
            phase = phase_of[index]
            lifetimes.append(Lifetime(rows * pitch * dtype.itemsize, phase, phase))
        offsets, self.arena_bytes = plan_arena(lifetimes)
        for value, offset in zip(values, offsets, strict=False):
            strides = dense_strides(value.shape, value.dtype.itemsize)
            self.storage[id(value)] = Storage(ARENA, offset, value.shape, strides, value.dtype)
        for node in reversed(self.joins):
            place_parts(node, self.storage)
        for (index, (rows, pitch, dtype)), offset in zip(extra, offsets[len(values) :], strict=True):
            self.scratch[index] = Storage(ARENA, offset, (rows, pitch), (pitch, 1), dtype)
        filled_by = [self.fusion.group_of[id(value.node)] for value in values] + [index for index, _ in extra]
        owners: list[Value | None] = [*values, *(None for _ in extra)]
        self.buffers = [Buffer(*piece) for piece in zip(owners, filled_by, lifetimes, offsets, strict=True)]

    def _keeps_all(self, node: Node) -> bool:
        """Whether outputs that nobody uses are written all the same."""
        return self.fusion.groups[self.fusion.group_of[id(node)]].kind in ("opaque", "sweep")


def place_parts(node: Node, storage: dict[int, Storage]) -> None:
    """Give the values that a ``Joined`` node puts side by side their places in its output's memory."""
    whole, axis, at = storage[id(node.outputs[0])], node.params["axis"], 0
    for value in node.inputs:
        offset = whole.offset + at * whole.strides[axis] * whole.dtype.itemsize
        storage[id(value)] = Storage(whole.slot, offset, value.shape, whole.strides, whole.dtype)
        at += value.shape[axis]

