"""The graph IR: static single assignment over primitives.

A ``Graph`` has inputs, constants, variables that it reads and writes, nodes in execution order
and outputs.  Every ``Value`` is defined once, by an input, a constant, a variable or a node.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lamina.core.primitive import Primitive


class Value:
    """One array that flows through a graph: shape, dtype and the node that defines it."""

    __slots__ = ("shape", "dtype", "node", "name", "constant", "__weakref__")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], name: str = "") -> None:
        self.shape, self.dtype, self.name = shape, dtype, name
        self.node: Node | None = None
        self.constant: np.ndarray | None = None  # set for constants

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"%{self.name or '?'}: {self.dtype}[{','.join(map(str, self.shape))}]"


class Node:
    """One application of a primitive.  ``source`` is the user's line, ``scope`` the layer's path."""

    __slots__ = ("primitive", "inputs", "params", "outputs", "source", "scope", "single")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Value],
        params: dict[str, Any],
        outputs: Sequence[Value],
        single: bool,
        source: str | None = None,
        scope: tuple[str, ...] = (),
    ) -> None:
        self.primitive, self.inputs, self.params = primitive, tuple(inputs), params
        self.outputs, self.single, self.source, self.scope = tuple(outputs), single, source, scope
        for value in self.outputs:
            value.node = self

    def __repr__(self) -> str:
        return f"Node({self.primitive.name})"


class Graph:
    """A captured computation.

    Attributes:
        inputs: values fed by the caller, in order.
        nodes: in an order in which they can run.
        outputs: values handed back to the caller, in order.
        reads: ``(variable, value)`` for every Variable whose value on entry is used.
        writes: ``(variable, value)`` for every Variable that the graph assigns, with its last value.
    """

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []
        self.reads: list[tuple[Any, Value]] = []
        self.writes: list[tuple[Any, Value]] = []
        self.program: Any = None  # how the interpreter runs it, where it runs many times (see interpret.Program)

    def constants(self) -> list[Value]:
        """Constant values that the nodes or outputs use, in order of first use."""
        seen: dict[int, Value] = {}
        for value in self.used_values():
            if value.constant is not None:
                seen.setdefault(id(value), value)
        return list(seen.values())

    def used_values(self) -> Iterator[Value]:
        """Every value that a node, an output or a write uses (with repeats)."""
        for node in self.nodes:
            yield from node.inputs
        yield from self.outputs
        for _, value in self.writes:
            yield value

    def clone(self) -> Graph:
        """A copy with values and nodes of its own (constant arrays and sub-graphs are shared)."""
        copies: dict[int, Value] = {}

        def copy(value: Value) -> Value:
            found = copies.get(id(value))
            if found is None:
                found = copies[id(value)] = Value(value.shape, value.dtype, value.name)
                found.constant = value.constant
            return found

        graph = Graph(self.name)
        graph.inputs = [copy(v) for v in self.inputs]
        graph.reads = [(variable, copy(v)) for variable, v in self.reads]
        for n in self.nodes:
            inputs, outputs = [copy(v) for v in n.inputs], [copy(v) for v in n.outputs]
            graph.nodes.append(Node(n.primitive, inputs, n.params, outputs, n.single, n.source, n.scope))
        graph.outputs = [copy(v) for v in self.outputs]
        graph.writes = [(variable, copy(v)) for variable, v in self.writes]
        return graph

    def __str__(self) -> str:
        from lamina.graph.printing import to_text

        return to_text(self)

    def run(self, feeds: dict[str, Any], fetches: Sequence[str | Value] | None = None) -> list[np.ndarray]:
        """Run with NumPy, feeding values and fetching any of them, inner nodes included.

        Args:
            feeds: arrays by the name of an input, or of any inner value, which then is not computed.
            fetches: names of values (as ``print(graph)`` shows them); default the outputs.

        Returns:
            The fetched arrays in order.  Variables are read at their current values and not written.
        """
        from lamina.graph.interpret import run_named

        return run_named(self, feeds, fetches)


def extract(graph: Graph, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
    """A new graph of the nodes that lead from ``inputs`` (any values of the graph) to ``outputs``."""
    given, needed = set(inputs), set(outputs)
    kept = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(set(node.outputs) - given):
            needed.update(node.inputs)
            kept.append(node)
    part = Graph(graph.name)
    part.inputs, part.nodes, part.outputs = list(inputs), kept[::-1], list(outputs)
    return part.clone()


def name_values(graph: Graph) -> None:
    """Give every value of the graph a name that is unique in it."""
    taken: set[str] = set()

    def give(value: Value, wanted: str) -> None:
        name, n = wanted, 1
        while name in taken:
            n += 1
            name = f"{wanted}_{n}"
        value.name = name
        taken.add(name)

    for i, value in enumerate(graph.inputs):
        give(value, value.name or f"input{i}")
    for variable, value in graph.reads:
        give(value, variable.path)
    for i, value in enumerate(graph.constants()):
        give(value, f"c{i}")
    for i, node in enumerate(graph.nodes):
        for j, value in enumerate(node.outputs):
            give(value, f"v{i}" if node.single else f"v{i}.{j}")
