"""Fusion: which nodes are computed together in one kernel.

Every computing node starts as a group of its own.  Walking the graph in order, the groups at
the two ends of an edge are merged where one loop nest can do the work of both without storing
the value between them.  Views (reshape, transpose, slice, broadcast) belong to no group: their
consumers look through them.

Kinds of group, each over an *iteration shape* ``domain + (length,)`` whose last axis is in lanes:

* ``map``: elementwise or indexed values of the iteration shape;
* ``row``: with reductions over the last axis; values of shape ``domain`` are one number a row;
* ``column``: with reductions over other axes, one result for each point of the iteration shape;
* ``contract``: a matrix product whose epilogue is a ``map`` over its output;
* ``scatter``: updates that join rows in order, alone in its group;
* ``cumulative``: running sums or products, alone in its group;
* ``joined``: values side by side, each computed straight into its place: nothing to do;
* ``sweep``: a loop over a sub-graph, alone in its group;
* ``attention``: attention or its gradient, alone in its group;
* ``opaque``: a node without a native lowering.
"""

from __future__ import annotations

from typing import Any

from lamina.core.lowering import (
    Attention,
    Contraction,
    Cumulative,
    Elementwise,
    Indexed,
    Joined,
    Reduction,
    Scatter,
    Sweep,
    View,
)
from lamina.graph.ir import Graph, Node, Value
from lamina.ops.shape import size_of

ALONE = {"opaque", "scatter", "cumulative", "joined", "sweep", "attention"}  # kinds of group that hold one node
SMALL = 64  # iteration shapes up to this size are also merged when no edge joins them
MOST_NODES = 24  # in a map that was several


class Group:
    """Nodes that one kernel computes."""

    def __init__(self, index: int, kind: str, shape: tuple[int, ...], node: Node) -> None:
        self.index, self.kind, self.shape = index, kind, shape
        self.nodes = [node]
        self.before: set[int] = set()  # groups whose values this one uses
        self.after: set[int] = set()  # groups that use this one's values
        self.inlined: set[int] = set()  # ids of nodes that live inside a column reduction's loop
        self.first = self.last = index  # positions in the graph between which the nodes lie

    @property
    def domain(self) -> tuple[int, ...]:
        return self.shape[:-1]

    @property
    def length(self) -> int:
        return self.shape[-1] if self.shape else 1

    def __repr__(self) -> str:
        names = ", ".join(n.primitive.name for n in self.nodes)
        return f"{self.kind}{self.shape}: {names}"


def is_view(node: Node | None) -> bool:
    """Whether a node only renames positions of its input (or makes values from positions): a ``View``."""
    return node is not None and isinstance(node.primitive.native, View)


def source_of(value: Value) -> Value:
    """The value that holds the data of a view (itself if it is none, or a view of nothing: full, iota)."""
    while value.node is not None and is_view(value.node) and value.node.inputs:
        value = value.node.inputs[0]
    return value


def producer_of(value: Value) -> Node | None:
    """The computing node behind a value; None for inputs, variables, constants, full and iota."""
    node = source_of(value).node
    return None if is_view(node) else node


class Fusion:
    """The partition of a graph's computing nodes into groups.

    Args:
        graph: the graph; multi-axis reductions that include the last axis must be split already.
        supported: whether a node's dtypes and rules allow it to be compiled; others become opaque.
    """

    def __init__(self, graph: Graph, supported: Any) -> None:
        self.graph = graph
        self.groups: dict[int, Group] = {}
        self.group_of: dict[int, int] = {}  # id(node) -> group index
        self.position: dict[int, int] = {id(n): i for i, n in enumerate(graph.nodes)}
        self.users: dict[int, list[Node]] = {}  # id(value) -> nodes that use it, through views too
        self._collect_users()
        for node in graph.nodes:
            if not is_view(node):
                self._start(node, supported(node))
        self._link()
        self.pinned = {id(source_of(v)) for v in graph.outputs} | {id(source_of(v)) for _, v in graph.writes}
        self._inline_columns()
        self._merge_edges()
        self._merge_through_views()
        self._merge_columns()
        self._merge_maps()
        self._merge_small()
        for group in self.groups.values():
            group.nodes.sort(key=lambda n: self.position[id(n)])

    # --- building -------------------------------------------------------------------------------
    def _collect_users(self) -> None:
        for node in self.graph.nodes:
            if is_view(node):
                continue
            for value in node.inputs:
                self.users.setdefault(id(source_of(value)), []).append(node)

    def _start(self, node: Node, supported: bool) -> None:
        index = len(self.groups)
        native, out = node.primitive.native, node.outputs[0]
        kind, shape = "opaque", out.shape
        if supported:
            if isinstance(native, Elementwise | Indexed):
                kind = "map"
            elif isinstance(native, Contraction):
                kind = "contract"
            elif isinstance(native, Scatter):
                kind = "scatter"
            elif isinstance(native, Cumulative):
                kind = "cumulative"
            elif isinstance(native, Joined):
                kind = "joined"
            elif isinstance(native, Sweep):
                kind = "sweep"
            elif isinstance(native, Attention):
                kind = "attention"
            elif isinstance(native, Reduction):
                source = node.inputs[0]
                row = node.params["axis"] == (len(source.shape) - 1,)
                kind, shape = ("row", source.shape) if row else ("column", out.shape)
        self.groups[index] = Group(index, kind, shape, node)
        self.group_of[id(node)] = index

    def _link(self) -> None:
        for node in self.graph.nodes:
            if is_view(node):
                continue
            mine = self.groups[self.group_of[id(node)]]
            for value in node.inputs:
                producer = producer_of(value)
                if producer is not None:
                    other = self.group_of[id(producer)]
                    mine.before.add(other)
                    self.groups[other].after.add(mine.index)

    # --- merging --------------------------------------------------------------------------------
    def _inline_columns(self) -> None:
        """What is only there to be summed is computed in the loop of the sum, not beside where it comes from."""
        for node in reversed(self.graph.nodes):
            if is_view(node):
                continue
            for value in node.inputs:
                producer = producer_of(value)
                if producer is None:
                    continue
                a, b = (self.groups[self.group_of[id(n)]] for n in (producer, node))
                if a is not b and a.kind == "map" and b.kind == "column" and self._can_inline(a, b):
                    self._try(a, b)

    def _merge_edges(self) -> None:
        for node in self.graph.nodes:
            if is_view(node):
                continue
            for value in node.inputs:
                producer = producer_of(value)
                if producer is None:
                    continue
                a, b = self.group_of[id(producer)], self.group_of[id(node)]
                if a != b:
                    self._try(self.groups[a], self.groups[b])

    def _merge_through_views(self) -> None:
        """A map that one other map reads through a reshape is computed there, each element at its place."""
        for node in self.graph.nodes:
            if is_view(node):
                continue
            for value in node.inputs:
                producer = producer_of(value)
                if producer is None or not is_view(value.node):
                    continue
                a, b = (self.groups[self.group_of[id(n)]] for n in (producer, node))
                if a is not b and a.kind == b.kind == "map" and self._only_reshaped(a, b, value):
                    b.inlined |= {id(n) for n in a.nodes} | a.inlined
                    self._merge(b, a, b.kind, b.shape)

    def _only_reshaped(self, a: Group, b: Group, value: Value) -> bool:
        """Whether all that ``b`` or anybody reads of map ``a`` is this value, which has the same elements and lanes."""
        source = source_of(value)
        if a.after != {b.index} or a.shape != source.shape or self._path(a, b, direct=False):
            return False
        while value is not source:
            assert value.node is not None
            inner = value.node.inputs[0]
            if value.node.primitive.name != "reshape" or inner.shape[-1:] != value.shape[-1:]:
                return False
            value = inner
        for node in a.nodes:
            if not isinstance(node.primitive.native, Elementwise) or id(node.outputs[0]) in self.pinned:
                return False
            outside = [u for u in self.users.get(id(node.outputs[0]), []) if self.group_of[id(u)] != a.index]
            if len(outside) != (node.outputs[0] is source):
                return False
        return True

    def _merge_maps(self) -> None:
        """Maps of one shape that wait for the same groups and read the same large array, which then is read once."""
        alike: dict[Any, list[Group]] = {}
        for group in list(self.groups.values()):
            if group.kind == "map" and size_of(group.shape) > SMALL:
                alike.setdefault((group.shape, frozenset(group.before)), []).append(group)
        for groups in alike.values():
            first, *others = groups
            for other in others:
                shared = self._large_sources(first) & self._large_sources(other)
                if shared and len(first.nodes) + len(other.nodes) <= MOST_NODES:
                    self._merge(first, other, "map", first.shape)

    def _large_sources(self, group: Group) -> set[int]:
        """Ids of the values, at least as large as the iteration shape, that a group reads from outside."""
        inside = {id(v) for n in group.nodes for v in n.outputs}
        sources = (source_of(v) for n in group.nodes for v in n.inputs)
        return {id(v) for v in sources if id(v) not in inside and v.size >= size_of(group.shape)}

    def _merge_columns(self) -> None:
        """Column reductions over the same elements, which then are read once."""
        by_source: dict[Any, list[Group]] = {}
        for group in list(self.groups.values()):
            reductions = [n for n in group.nodes if isinstance(n.primitive.native, Reduction)]
            if group.kind != "column" or len(reductions) != 1:
                continue
            (node,) = reductions
            for source in self._full_sources(group, node.inputs[0].shape):
                by_source.setdefault((source, node.inputs[0].shape, node.params["axis"]), []).append(group)
        merged: set[int] = set()
        for groups in by_source.values():
            groups = [g for g in groups if g.index not in merged]
            for other in groups[1:]:
                first = groups[0]
                if first is not other and not self._path(first, other) and not self._path(other, first):
                    merged.add(other.index)
                    self._merge(first, other, "column", first.shape)

    def _full_sources(self, group: Group, shape: tuple[int, ...]) -> list[int]:
        """Ids of the values of this shape that a group reads from outside."""
        inside = {id(v) for n in group.nodes for v in n.outputs}
        found = {id(v): v for n in group.nodes for v in n.inputs if v.shape == shape and id(v) not in inside}
        return list(found)

    def _merge_small(self) -> None:
        by_shape: dict[tuple[int, ...], list[Group]] = {}
        for group in list(self.groups.values()):
            if group.kind == "map" and size_of(group.shape) <= SMALL:
                by_shape.setdefault(group.shape, []).append(group)
        for groups in by_shape.values():
            first = groups[0]
            for other in groups[1:]:
                if not self._path(first, other) and not self._path(other, first):
                    self._merge(first, other, "map", first.shape)
                elif not self._path(other, first) and not self._path(first, other, direct=False):
                    if self._aligned(first, other, first.shape):
                        self._merge(first, other, "map", first.shape)

    def _try(self, a: Group, b: Group) -> None:
        """Merge ``a`` (which produces for ``b``) and ``b`` where that is legal."""
        verdict = self._combined(a, b)
        if verdict is None or self._path(a, b, direct=False):
            return
        kind, shape = verdict
        if kind == "inline":
            b.inlined |= {id(n) for n in a.nodes} | a.inlined
            self._merge(b, a, b.kind, b.shape)
        elif self._aligned(a, b, shape):
            self._merge(a, b, kind, shape)

    def _combined(self, a: Group, b: Group) -> tuple[str, tuple[int, ...]] | None:
        kinds = {a.kind, b.kind}
        if kinds & ALONE:
            return None
        if "contract" in kinds:
            map_nodes = a.nodes if a.kind == "map" else b.nodes
            if any(n.primitive.name == "random_bits" for n in map_nodes):
                return None  # an epilogue is written out for every vector of a tile: too much code
            if a.kind == "contract" and b.kind == "map" and a.shape == b.shape:
                return "contract", a.shape
            if b.kind == "contract" and a.kind == "map" and a.shape == b.shape and not self._feeds_operand(a, b):
                return "contract", a.shape
            return None
        if kinds == {"row", "column"}:
            return None
        if a.kind == "map" and b.kind == "column" and self._can_inline(a, b):
            return "inline", b.shape
        if a.shape == b.shape:
            kind = "row" if "row" in kinds else "column" if "column" in kinds else "map"
            if kind == "column" and a.kind == "map" and b.kind == "column":
                return None  # its values would be pulled again and again inside the reduction
            return kind, a.shape
        for main, side in ((a, b), (b, a)):
            if main.kind == "row" and side.kind == "map" and side.shape in (main.domain, (*main.domain, 1)):
                return "row", main.shape
        return None

    def _feeds_operand(self, a: Group, b: Group) -> bool:
        root = next(n for n in b.nodes if isinstance(n.primitive.native, Contraction))
        produced = {id(v) for n in a.nodes for v in n.outputs}
        return any(id(source_of(v)) in produced for v in root.inputs)

    def _can_inline(self, a: Group, b: Group) -> bool:
        """Whether map ``a`` is only there to be summed by the column reductions of ``b``."""
        if a.after != {b.index}:
            return False
        users = 0
        for node in a.nodes:
            value = node.outputs[0]
            if id(value) in self.pinned or not isinstance(node.primitive.native, Elementwise):
                return False
            for user in self.users.get(id(value), []):
                if self.group_of[id(user)] == a.index:
                    continue
                if id(user) in b.inlined:
                    continue
                if not isinstance(user.primitive.native, Reduction):
                    return False
                users += 1
        return users <= 1

    def _aligned(self, a: Group, b: Group, shape: tuple[int, ...]) -> bool:
        """Whether every value passed between the two groups is used at the point where it is made."""
        inside = {a.index, b.index}
        row = "row" in (a.kind, b.kind)
        for group in (a, b):
            other = b if group is a else a
            for node in group.nodes:
                for value in node.inputs:
                    producer = producer_of(value)
                    if producer is None or self.group_of[id(producer)] != other.index:
                        continue
                    if self.group_of[id(node)] not in inside or not self._edge_aligned(node, value, shape, row):
                        return False
        return True

    def _edge_aligned(self, node: Node, value: Value, shape: tuple[int, ...], row: bool) -> bool:
        native = node.primitive.native
        role = self._role(value, shape, row)
        if role is None:
            return False
        if isinstance(native, Reduction):
            return role == "full" and node.params["axis"] == (len(shape) - 1,)
        if isinstance(native, Indexed):
            return role == "full" and not row and self._numbers_elements(node, value)
        if not isinstance(native, Elementwise):
            return False
        out = node.outputs[0].shape
        if value.shape == out:
            return True
        if out != shape:  # among values of one number a row only equal shapes meet
            return value.shape == ()
        return role == "keep" or value.shape == ()

    def _numbers_elements(self, node: Node, value: Value) -> bool:
        """Whether a node gives the elements of a vector that a value of its own shape numbers (and is nothing else)."""
        if node.primitive.name != "take" or value is not node.inputs[1] or value.shape != node.outputs[0].shape:
            return False
        return len(node.inputs[0].shape) == 1 and source_of(node.inputs[0]) is not source_of(value)

    def _role(self, value: Value, shape: tuple[int, ...], row: bool) -> str | None:
        """How a value of the group stands to the iteration shape: full, keep (..., 1), drop, or None."""
        domain = shape[:-1]

        def of(v: Value) -> str | None:
            if v.shape == shape:
                return "full"
            if row and v.shape == (*domain, 1):
                return "keep"
            if row and v.shape == domain:
                return "drop"
            return None

        role = of(value)
        while is_view(value.node):
            node = value.node
            assert node is not None
            inner = node.inputs[0]
            inner_role = of(inner)
            name = node.primitive.name
            if inner_role is None:
                return None
            squeezed = name == "reshape" and {role, inner_role} <= {"keep", "drop"}
            spread = name == "broadcast_to" and inner_role == "keep" and role == "full"
            same = name in ("reshape", "broadcast_to") and inner.shape == node.outputs[0].shape
            if not (squeezed or spread or same):
                return None
            value = inner
        return role

    def _merge(self, a: Group, b: Group, kind: str, shape: tuple[int, ...]) -> None:
        """``a`` takes over ``b``."""
        a.kind, a.shape = kind, shape
        a.nodes += b.nodes
        a.inlined |= b.inlined
        a.first, a.last = min(a.first, b.first), max(a.last, b.last)
        for node in b.nodes:
            self.group_of[id(node)] = a.index
        for other in b.before:
            self.groups[other].after.discard(b.index)
            if other != a.index:
                self.groups[other].after.add(a.index)
                a.before.add(other)
        for other in b.after:
            self.groups[other].before.discard(b.index)
            if other != a.index:
                self.groups[other].before.add(a.index)
                a.after.add(other)
        a.before.discard(b.index)
        a.after.discard(b.index)
        del self.groups[b.index]

    def _path(self, a: Group, b: Group, direct: bool = True) -> bool:
        """Whether ``b`` depends on ``a``; without ``direct``, by way of a third group."""
        stack = [i for i in a.after if direct or i != b.index]
        seen = set(stack)
        while stack:
            i = stack.pop()
            if i == b.index:
                return True
            for j in self.groups[i].after:
                # Values only flow forwards: what begins behind the end of b does not lead to it.
                if j not in seen and self.groups[j].first <= b.last:
                    seen.add(j)
                    stack.append(j)
        return False

    # --- results --------------------------------------------------------------------------------
    def materialised(self) -> set[int]:
        """Ids of the values that must be stored: used by another group, or leaving the graph."""
        stored = set(self.pinned)
        for node in self.graph.nodes:
            if is_view(node):
                continue
            mine = self.group_of[id(node)]
            alone = self.groups[mine].kind in ALONE
            for value in node.inputs:
                source, producer = source_of(value), producer_of(value)
                if producer is not None and (alone or self.group_of[id(producer)] != mine):
                    stored.add(id(source))
        return stored
