"""Capture: running a Python function once on abstract values and keeping the graph it made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina.core.errors import CaptureError, LaminaError
from lamina.core.primitive import Primitive, Spec, state, user_location, wrap
from lamina.graph.ir import Graph, Node, Value

ndarray = np.ndarray


class Capture:
    """A graph in the making.  ``bind`` adds nodes; Variables report reads and writes."""

    def __init__(self, name: str, outer: Capture | None) -> None:
        self.graph = Graph(name)
        self.outer = outer  # the capture around this one, for the bodies of control flow
        self._values: set[int] = set()  # ids of the values that belong to this graph
        self._constants: dict[int, tuple[ndarray, Value]] = {}
        self._lifted: dict[int, tuple[Value, Value]] = {}  # outer value -> input of this graph
        self._current: dict[int, Value] = {}  # variable -> its latest value
        self._variables: dict[int, Any] = {}
        self._written: set[int] = set()

    # --- called by bind -----------------------------------------------------------------------
    def wants(self, inputs: Sequence[Any]) -> bool:
        """Whether an op on these Tensors belongs to the graph (else it folds right away)."""
        if not inputs:
            return True
        for x in inputs:
            if type(x._data) is Value:
                return True
        return False

    def add(self, primitive: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        """Add a node; returns its output value, or a tuple of them."""
        specs = primitive.shape(*[Spec(x._data.shape, x._data.dtype) for x in inputs], **params)
        single = isinstance(specs, Spec)
        outputs = [self._own(Value(s.shape, s.dtype)) for s in ([specs] if single else specs)]
        values = [self.value_of(x._data) for x in inputs]
        self.graph.nodes.append(Node(primitive, values, params, outputs, single, user_location(), state.scope))
        return outputs[0] if single else tuple(outputs)

    def _own(self, value: Value) -> Value:
        self._values.add(id(value))
        return value

    def value_of(self, data: Any) -> Value:
        """The graph's value for an ndarray (a constant) or a value (its own, or lifted from outside)."""
        if type(data) is Value:
            if id(data) in self._values:
                return data
            return self._lift(data)
        found = self._constants.get(id(data))
        if found is None:
            value = self._own(Value(data.shape, data.dtype))
            value.constant = data
            found = self._constants[id(data)] = (data, value)
        return found[1]

    def _lift(self, data: Value) -> Value:
        """A value of an enclosing capture becomes an extra input of this graph."""
        if self.outer is None or not self.outer.knows(data):
            raise CaptureError(
                "A tensor from another captured function is used here "
                f"(shape {data.shape}, at {user_location()}). Symbolic tensors live only inside the call that "
                "made them: return them from the function instead of storing them."
            )
        if id(data) not in self._lifted:
            inner = self._own(Value(data.shape, data.dtype))
            self._lifted[id(data)] = (data, inner)
        return self._lifted[id(data)][1]

    def knows(self, data: Value) -> bool:
        return id(data) in self._values or (self.outer is not None and self.outer.knows(data))

    def lifted(self) -> list[tuple[Value, Value]]:
        """``(outer value, inner input)`` for every value taken from the enclosing capture."""
        return list(self._lifted.values())

    # --- called by Variable ---------------------------------------------------------------------
    def read(self, variable: Any) -> Value:
        if self.outer is not None:  # bodies of control flow see variables through the outer graph
            return self.value_of(self.outer.read(variable))
        value = self._current.get(id(variable))
        if value is None:
            value = self._own(Value(variable._data.shape, variable._data.dtype, variable.name))
            self.graph.reads.append((variable, value))
            self._current[id(variable)] = value
            self._variables[id(variable)] = variable
        return value

    def write(self, variable: Any, tensor: Any) -> None:
        if self.outer is not None:
            raise CaptureError(
                f"Variable {variable.name!r} is assigned inside cond, while_loop or scan (at {user_location()}). "
                "Carry the value through the loop or return it from the branch, and assign it outside."
            )
        self._current[id(variable)] = self.value_of(tensor._data)
        self._variables[id(variable)] = variable
        self._written.add(id(variable))

    # --- inputs and outputs ---------------------------------------------------------------------
    def input(self, shape: tuple[int, ...], dtype: Any, name: str = "") -> Any:
        """A new symbolic Tensor that is an input of the graph."""
        value = self._own(Value(tuple(shape), np.dtype(dtype), name))
        self.graph.inputs.append(value)
        return wrap(value)

    def finish(self, outputs: Sequence[Any]) -> Graph:
        """Close the graph with these output Tensors."""
        graph = self.graph
        graph.outputs = [self.value_of(t._data) for t in outputs]
        graph.writes = [(self._variables[k], self._current[k]) for k in self._current if k in self._written]
        name_values(graph)
        return graph


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
        give(value, variable.name)
    for i, value in enumerate(graph.constants()):
        give(value, f"c{i}")
    for i, node in enumerate(graph.nodes):
        for j, value in enumerate(node.outputs):
            give(value, f"v{i}" if node.single else f"v{i}.{j}")


@contextmanager
def capturing(name: str, nested: bool = False) -> Any:
    """Make a ``Capture`` the place where this thread's ops go.

    With ``nested`` the values of the capture around it may be used: they become extra inputs.
    """
    outer = state.capture
    capture = Capture(name, outer if nested else None)
    state.capture = capture
    tapes, state.tapes = state.tapes, ()
    try:
        yield capture
    finally:
        state.capture = outer
        state.tapes = tapes


def capture_graph(
    function: Callable[..., Any], specs: Sequence[Any], names: Sequence[str] = (), name: str = "graph"
) -> tuple[Graph, Any]:
    """Run ``function`` on symbolic Tensors and return the graph and the structure it returned.

    Args:
        function: takes ``len(specs)`` Tensors, returns Tensors in any nesting of lists, tuples and dicts.
        specs: objects with ``.shape`` and ``.dtype``, one for each argument.
        names: names for the inputs.
        name: name of the graph.

    Returns:
        ``(graph, structure)``: the graph's outputs are the Tensors of the structure, in order.
    """
    from lamina.core.trees import flatten

    with capturing(name) as capture:
        labels = list(names) + [""] * (len(specs) - len(names))
        arguments = [capture.input(s.shape, s.dtype, n) for s, n in zip(specs, labels, strict=True)]
        try:
            result = function(*arguments)
        except LaminaError:
            raise
        leaves, structure = flatten(result)
        from lamina.ops.creation import as_tensor

        graph = capture.finish([as_tensor(leaf) for leaf in leaves])
    return graph, structure
