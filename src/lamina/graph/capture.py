"""Capture: running a Python function once on abstract values and keeping the graph it made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina.core.dtypes import is_float
from lamina.core.errors import CaptureError, LaminaError
from lamina.core.primitive import Primitive, Spec, located, state, user_location, wrap
from lamina.core.trees import flatten
from lamina.graph.ir import Graph, Node, Value, name_values
from lamina.ops.creation import as_tensor
from lamina.ops.selection import STOP_GRADIENT


class Capture:
    """A graph in the making.  ``bind`` adds nodes; Variables report reads and writes."""

    def __init__(self, name: str, outer: Capture | None, outer_tapes: tuple[Any, ...] = ()) -> None:
        self.graph = Graph(name)
        self.outer = outer  # the capture around this one, for the bodies of control flow
        self.source: str | None = None  # the user's line of the nodes to come, where it is known (replay)
        self._outer_tapes = outer_tapes
        self._values: set[int] = set()  # ids of the values that belong to this graph
        self._constants: dict[int, tuple[Any, Value]] = {}  # concrete Tensor -> constant
        self._lifted: dict[int, tuple[Any, Value]] = {}  # Tensor of the outer capture -> input of this graph
        self._current: dict[int, Value] = {}  # variable -> its latest value
        self._variables: dict[int, Any] = {}
        self._written: set[int] = set()
        self._reread: dict[Value, tuple[Any, Value]] = {}  # assigned value -> its variable, what is read
        self.hidden: list[Any] = []  # concrete Tensors that are constants of the bodies of control flow

    # --- called by bind -----------------------------------------------------------------------
    def wants(self, inputs: Sequence[Any]) -> bool:
        """Whether an op on these Tensors belongs to the graph (else it folds right away)."""
        if not inputs:
            return True
        for x in inputs:  # noqa: SIM110  a generator would double the time of the commonest check
            if type(x._data) is Value:
                return True
        return False

    def add(self, primitive: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        """Add a node; returns its output value, or a tuple of them."""
        source = self.source or user_location()
        try:
            specs = primitive.shape(*[Spec(x._data.shape, x._data.dtype) for x in inputs], **params)
        except LaminaError as error:
            raise located(error, source) from None
        single = isinstance(specs, Spec)
        outputs = [self._own(Value(s.shape, s.dtype)) for s in ([specs] if single else specs)]
        values = [self.value_of(x) for x in inputs]
        self.graph.nodes.append(Node(primitive, values, params, outputs, single, source, state.scope))
        return outputs[0] if single else tuple(outputs)

    def _own(self, value: Value) -> Value:
        self._values.add(id(value))
        return value

    def value_of(self, tensor: Any) -> Value:
        """The graph's value for a Tensor: its own, one lifted from outside, or a constant."""
        data = tensor._data
        if type(data) is Value:
            return data if id(data) in self._values else self._lift(tensor)
        found = self._constants.get(id(tensor))
        if found is None:
            value = self._own(Value(data.shape, data.dtype))
            value.constant = data
            found = self._constants[id(tensor)] = (tensor, value)
        return found[1]

    def _lift(self, tensor: Any) -> Value:
        """A Tensor of an enclosing capture becomes an extra input of this graph."""
        data = tensor._data
        if self.outer is None or not self.outer.knows(data):
            raise CaptureError(
                "A tensor from another captured function is used here "
                f"(shape {data.shape}, at {user_location()}). Symbolic tensors live only inside the call that "
                "made them: return them from the function instead of storing them."
            )
        if id(tensor) not in self._lifted:
            self._lifted[id(tensor)] = (tensor, self._own(Value(data.shape, data.dtype)))
        return self._lifted[id(tensor)][1]

    def knows(self, data: Value) -> bool:
        return id(data) in self._values or (self.outer is not None and self.outer.knows(data))

    def lifted(self) -> list[tuple[Any, Value]]:
        """``(outer Tensor, inner input)`` for everything taken from the enclosing capture."""
        return list(self._lifted.values())

    def closed_over(self) -> list[tuple[Any, Value]]:
        """``(concrete Tensor, constant)`` for every Tensor that became a constant of the graph."""
        return list(self._constants.values())

    def read_after_assignment(self) -> list[Any]:
        """Variables whose new value the graph itself used."""
        return [variable for variable, _ in self._reread.values()]

    # --- called by Variable ---------------------------------------------------------------------
    def read(self, variable: Any) -> Value:
        value = self._current.get(id(variable))
        if value is not None:
            if id(variable) in self._written and is_float(value.dtype):
                # No gradient flows through an assignment, as with eager Variables.
                if value not in self._reread:
                    self._reread[value] = variable, self.add(STOP_GRADIENT, (wrap(value),), {})
                return self._reread[value][1]
            return value
        self._variables[id(variable)] = variable
        if self.outer is not None:
            # Bodies of control flow see variables through the outer graph; the read is made there,
            # so that the tapes there learn where the value comes from.
            here, state.capture, state.tapes = (state.capture, state.tapes), self.outer, self._outer_tapes
            try:
                tensor = variable.value
            finally:
                state.capture, state.tapes = here
            value = self.value_of(tensor)
        else:
            value = self._own(Value(variable._data.shape, variable._data.dtype, variable.path))
            self.graph.reads.append((variable, value))
        self._current[id(variable)] = value
        return value

    def write(self, variable: Any, tensor: Any) -> None:
        if self.outer is not None:
            raise CaptureError(
                f"Variable {variable.path!r} is assigned inside cond, while_loop or scan (at {user_location()}). "
                "Carry the value through the loop or return it from the branch, and assign it outside."
            )
        self._current[id(variable)] = self.value_of(tensor)
        self._variables[id(variable)] = variable
        self._written.add(id(variable))

    # --- inputs and outputs ---------------------------------------------------------------------
    def input(self, shape: tuple[int, ...], dtype: Any, name: str = "") -> Any:
        """A new symbolic Tensor that is an input of the graph."""
        value = self._own(Value(tuple(shape), np.dtype(dtype), name))
        self.graph.inputs.append(value)
        return wrap(value)

    def finish(self, outputs: Sequence[Any]) -> Graph:
        """Close the graph with these output Tensors; what was lifted becomes its last inputs."""
        graph = self.graph
        graph.outputs = [self.value_of(t) for t in outputs]
        graph.inputs += [inner for _, inner in self._lifted.values()]
        graph.writes = [(self._variables[k], self._current[k]) for k in self._current if k in self._written]
        name_values(graph)
        return graph


@contextmanager
def capturing(name: str, nested: bool = False) -> Iterator[Capture]:
    """Make a ``Capture`` the place where this thread's ops go.

    With ``nested`` the values of the capture around it may be used: they become extra inputs.
    """
    outer, tapes = state.capture, state.tapes
    capture = Capture(name, outer, tapes) if nested else Capture(name, None)
    state.capture, state.tapes = capture, ()
    try:
        yield capture
    finally:
        state.capture, state.tapes = outer, tapes


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
    with capturing(name) as capture:
        labels = list(names) + [""] * (len(specs) - len(names))
        arguments = [capture.input(s.shape, s.dtype, n) for s, n in zip(specs, labels, strict=True)]
        leaves, structure = flatten(function(*arguments))
        graph = capture.finish([as_tensor(leaf) for leaf in leaves])
    return graph, structure


def capture_nested(function: Callable[..., Any], specs: Sequence[Any], name: str) -> tuple[Graph, Any, list[Any]]:
    """Capture the body of a control-flow op inside the capture in progress (or by itself, eagerly).

    Returns:
        ``(graph, structure, lifted)``: the graph's inputs are one for each spec, then one for each
        Tensor in ``lifted``, which the body took from outside.
    """
    with capturing(name, nested=True) as capture:
        arguments = [capture.input(s.shape, s.dtype) for s in specs]
        leaves, structure = flatten(function(*arguments))
        graph = capture.finish([as_tensor(leaf) for leaf in leaves])
    if capture.outer is not None:
        capture.outer.hidden += [tensor for tensor, _ in capture.closed_over()] + capture.hidden
    return graph, structure, [tensor for tensor, _ in capture.lifted()]
