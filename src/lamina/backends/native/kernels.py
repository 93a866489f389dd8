"""All kernels of a module: each is written once and shared by the groups of its form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native import target as targets
from lamina.backends.native.attention import emit_attention
from lamina.backends.native.attention_plan import AttentionPlan, plan_attention
from lamina.backends.native.contraction import ContractPlan, Rows, plan_contract
from lamina.backends.native.cumulative import emit_cumulative, plan_cumulative
from lamina.backends.native.form import describe
from lamina.backends.native.kernel import Kernel, Storage
from lamina.backends.native.loops import LoopPlan, emit_loops, plan_loops
from lamina.backends.native.operands import problem_of
from lamina.backends.native.scatter import emit_scatter, plan_scatter
from lamina.backends.native.support import supported
from lamina.backends.native.tiles import emit_contract
from lamina.core.lowering import Contraction
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import Fusion, Group
from lamina.ops.shape import size_of
from lamina.tensor import row_pitch

Place = tuple[int, int]  # (slot, byte offset) of an address
KernelPlan = LoopPlan | ContractPlan | AttentionPlan


class Written(NamedTuple):
    """A group's kernel: its function, how it is cut, and the addresses that its table holds."""

    name: str
    plan: KernelPlan
    places: list[Place]


class Fused:
    """A prepared graph in groups.  ``stored`` has the ids of the values that lie in memory."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.fusion = Fusion(graph, supported)
        self.stored = self.fusion.materialised()

    def results(self, group: Group) -> list[Value]:
        return [v for n in group.nodes for v in n.outputs if id(v) in self.stored]


class Kernels:
    """Writes kernels for one CPU.

    Attributes:
        texts: the functions written so far.
        needs: declarations that they need.
    """

    def __init__(self, target: targets.Target) -> None:
        self.target = target
        self.lanes = target.lanes(np.float32)
        self.texts: list[str] = []
        self.needs: set[str] = set()
        self._names = 0
        self._written: dict[Any, tuple[str, KernelPlan, list[int]]] = {}  # by form

    def fresh_name(self) -> str:
        """A name that no other function of the module has."""
        self._names += 1
        return f"k{self._names - 1}"

    def contract_plan(
        self, fused: Fused, group: Group, storage: dict[int, Storage] | None, rows: Rows | None = None
    ) -> ContractPlan:
        """How a contraction group is cut; before values are placed, ``storage`` is None."""
        root = contraction_of(group)
        lanes = self.lanes * 4 // root.outputs[0].dtype.itemsize
        problem = problem_of(root, fused.graph, storage)
        return plan_contract(problem, fused.results(group), lanes, self.target.registers, rows)

    def scratch_size(self, fused: Fused, group: Group) -> tuple[int, int, np.dtype[Any]] | None:
        """``(rows, pitch, dtype)`` of the partial sums that a group needs room for."""
        if group.kind != "contract":
            return None
        plan = self.contract_plan(fused, group, None)
        if plan.k_blocks == 1:
            return None
        pitch = row_pitch(-(-plan.n // plan.lanes) * plan.lanes, plan.dtype.itemsize)
        return plan.count * plan.m, pitch, plan.dtype

    def write(
        self,
        fused: Fused,
        group: Group,
        storage: dict[int, Storage],
        scratch: Storage | None = None,
        rows: Rows | None = None,
    ) -> Written:
        """A group's kernel, new or that of a group which does the same work on other values.

        Args:
            fused: the graph that the group is part of.
            group: any but an opaque, a joined or a sweep group.
            storage: where all its values lie.
            scratch: where its partial sums lie, if it has any.
            rows: how the leading dimension is cut into chunks, where this is given.
        """
        form, walk = describe(group, storage, scratch)
        key = (form, rows)
        if key not in self._written:
            self._written[key] = self._new(fused, group, storage, scratch, rows, walk)
        name, plan, order = self._written[key]
        return Written(name, plan, [walk[i] for i in order])

    def _new(
        self,
        fused: Fused,
        group: Group,
        storage: dict[int, Storage],
        scratch: Storage | None,
        rows: Rows | None,
        walk: list[Place],
    ) -> tuple[str, KernelPlan, list[int]]:
        name = self.fresh_name()
        plan: KernelPlan
        if group.kind == "contract":
            plan = self.contract_plan(fused, group, storage, rows)
            plan.scratch = scratch
            text, places, needs = emit_contract(name, plan, storage, group.nodes, self.target.hardware)
        elif group.kind == "attention":
            plan = plan_attention(group, self.target)
            text, places, needs = emit_attention(name, plan, storage)
        else:
            places = []
            own = {id(n) for n in group.nodes}
            kernel = Kernel(name, self.lanes, storage, own, places, self.target.hardware)
            if group.kind == "scatter":
                plan = plan_scatter(group)
                emit_scatter(kernel, plan)
            elif group.kind == "cumulative":
                plan = plan_cumulative(group, self.lanes)
                emit_cumulative(kernel, plan)
            else:
                plan = plan_loops(group, fused.results(group), lambda v: storage.get(id(v)), self.lanes, rows)
                emit_loops(kernel, plan)
            text, needs = kernel.text(), kernel.f.needs
        self.needs |= needs
        self.texts.append(text)
        return name, plan, [walk.index(place) for place in places]


def contraction_of(group: Group) -> Node:
    """The contraction that a group of this kind is built around."""
    return next(n for n in group.nodes if isinstance(n.primitive.native, Contraction))


def work_of(plan: KernelPlan) -> int:
    """How much a kernel does, roughly, in elementwise operations on one element."""
    if isinstance(plan, AttentionPlan):
        return plan.work
    if isinstance(plan, ContractPlan):
        return plan.count * plan.m * plan.n * plan.k // 8
    return size_of(plan.group.shape) * len(plan.group.nodes)
