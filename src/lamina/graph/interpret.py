"""Running a graph with NumPy, node by node: the oracle of every backend, and a way to look inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, LaminaError
from lamina.core.primitive import located, ndarray
from lamina.graph.ir import Graph, Node, Value


def run_node(node: Node, inputs: Sequence[ndarray]) -> list[ndarray]:
    """The outputs of one node by its primitive's NumPy meaning."""
    try:
        result = node.primitive.numpy(*inputs, **node.params)
    except LaminaError as error:
        raise located(error, node.source) from error.__cause__
    return [np.asarray(result)] if node.single else [np.asarray(r) for r in result]


class Program:
    """A graph prepared for running: values numbered, each freed after its last use."""

    def __init__(self, graph: Graph) -> None:
        self._slots: dict[Value, int] = {}
        for value in [*graph.inputs, *[v for _, v in graph.reads]]:
            self._slots[value] = len(self._slots)
        self._entry = len(self._slots)
        results = [*graph.outputs, *[v for _, v in graph.writes]]
        last: dict[Value, int] = {}
        for i, node in enumerate(graph.nodes):
            for value in [*node.inputs, *node.outputs]:
                last[value] = i
        for value in results:
            last[value] = -1
        constants: dict[int, Any] = {}
        self._steps = []
        for i, node in enumerate(graph.nodes):
            for value in node.inputs:
                self._slot(value, constants)
            outputs = tuple([self._slot(v, constants) for v in node.outputs])
            inputs = tuple([self._slots[v] for v in node.inputs])
            free = {self._slots[v] for v in [*node.inputs, *node.outputs] if last[v] == i and v.constant is None}
            self._steps.append((node, inputs, outputs, tuple(free)))
        self._results = [self._slot(v, constants) for v in results]
        rest = len(self._slots) - self._entry
        self._start = [constants.get(self._entry + i) for i in range(rest)]

    def _slot(self, value: Value, constants: dict[int, Any]) -> int:
        slot = self._slots.setdefault(value, len(self._slots))
        if value.constant is not None:
            constants[slot] = value.constant
        return slot

    @classmethod
    def of(cls, graph: Graph) -> Program:
        """The program of a graph that does not change any more (the body of a loop), made once."""
        if graph.program is None:
            graph.program = cls(graph)
        return graph.program

    def run(self, inputs: Sequence[ndarray], variables: Sequence[ndarray] = ()) -> list[ndarray]:
        """The outputs, then the new values of the variables that are assigned."""
        env: list[Any] = [*inputs, *variables, *self._start]
        for node, sources, outputs, free in self._steps:
            try:
                result = node.primitive.numpy(*[env[i] for i in sources], **node.params)
            except LaminaError as error:
                raise located(error, node.source) from error.__cause__
            if node.single:
                env[outputs[0]] = result if type(result) is ndarray else np.asarray(result)
            else:
                for slot, array in zip(outputs, result, strict=True):
                    env[slot] = array if type(array) is ndarray else np.asarray(array)
            for slot in free:
                env[slot] = None
        return [env[i] for i in self._results]


Runner = Callable[[Sequence[ndarray]], list[ndarray]]

_runner_of: ContextVar[Callable[[Graph], Runner] | None] = ContextVar("runner_of", default=None)


def body_runner(graph: Graph) -> Runner:
    """What runs the body of a loop or branch: node by node, or as the backend says that came upon it."""
    choose = _runner_of.get()
    return Program.of(graph).run if choose is None else choose(graph)


@contextmanager
def bodies_run_by(choose: Callable[[Graph], Runner]) -> Iterator[None]:
    """While this lasts, bodies of loops and branches are run by what ``choose`` gives for them."""
    token = _runner_of.set(choose)
    try:
        yield
    finally:
        _runner_of.reset(token)


def run_graph(graph: Graph, inputs: Sequence[ndarray]) -> tuple[list[ndarray], list[ndarray]]:
    """Run a graph; returns its outputs and the new values of the variables it writes."""
    results = Program(graph).run(inputs, [variable._data for variable, _ in graph.reads])
    return results[: len(graph.outputs)], results[len(graph.outputs) :]


def run_named(graph: Graph, feeds: dict[str, Any], fetches: Sequence[str | Value] | None) -> list[ndarray]:
    """``Graph.run``: feeds and fetches by name, computing only what the fetches need."""
    by_name: dict[str, Value] = {v.name: v for v in graph.inputs}
    by_name.update({v.name: v for _, v in graph.reads})
    by_name.update({v.name: v for v in graph.constants()})
    by_name.update({v.name: v for node in graph.nodes for v in node.outputs})
    env: dict[int, ndarray] = {id(value): variable._data for variable, value in graph.reads}

    def find(name: str | Value) -> Value:
        if isinstance(name, Value):
            return name
        if name.lstrip("%") not in by_name:
            raise ArgumentError(f"The graph has no value named {name!r}. Its values: {', '.join(by_name)}.")
        return by_name[name.lstrip("%")]

    for name, array in feeds.items():
        value = find(name)
        array = np.asarray(array, value.dtype)
        if array.shape != value.shape:
            raise ArgumentError(f"Feed {name!r}: expected shape {value.shape}, got {array.shape}.")
        env[id(value)] = array
    wanted = graph.outputs if fetches is None else [find(f) for f in fetches]

    needed: set[int] = set()
    stack = list(wanted)
    while stack:
        value = stack.pop()
        if id(value) in env or value.constant is not None or id(value) in needed:
            continue
        if value.node is None:
            raise ArgumentError(f"Input {value.name!r} is needed and was not fed (shape {value.shape}).")
        needed.update(id(o) for o in value.node.outputs)
        stack.extend(value.node.inputs)
    for node in graph.nodes:
        if any(id(o) in needed for o in node.outputs):
            arrays = [v.constant if v.constant is not None else env[id(v)] for v in node.inputs]
            for value, array in zip(node.outputs, run_node(node, arrays), strict=True):
                env.setdefault(id(value), array)
    return [v.constant if v.constant is not None else env[id(v)] for v in wanted]
