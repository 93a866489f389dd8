"""Running a graph with NumPy, node by node: the oracle of every backend, and a way to look inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.primitive import ndarray
from lamina.graph.ir import Graph, Node, Value


def run_node(node: Node, inputs: Sequence[ndarray]) -> list[ndarray]:
    """The outputs of one node by its primitive's NumPy meaning."""
    result = node.primitive.numpy(*inputs, **node.params)
    return [np.asarray(result)] if node.single else [np.asarray(r) for r in result]


def run_graph(graph: Graph, inputs: Sequence[ndarray]) -> tuple[list[ndarray], list[ndarray]]:
    """Run a graph; returns its outputs and the new values of the variables it writes."""
    env: dict[int, ndarray] = {id(v): a for v, a in zip(graph.inputs, inputs, strict=True)}
    for variable, value in graph.reads:
        env[id(value)] = variable._data
    remaining: dict[int, int] = {}
    for value in graph.used_values():
        remaining[id(value)] = remaining.get(id(value), 0) + 1

    def get(value: Value) -> ndarray:
        return value.constant if value.constant is not None else env[id(value)]

    for node in graph.nodes:
        arrays = [get(v) for v in node.inputs]
        for value, array in zip(node.outputs, run_node(node, arrays), strict=True):
            if remaining.get(id(value)):
                env[id(value)] = array
        for value in node.inputs:  # free what nobody needs any more
            remaining[id(value)] -= 1
            if not remaining[id(value)]:
                env.pop(id(value), None)
    return [get(v) for v in graph.outputs], [get(v) for _, v in graph.writes]


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
    stack = [v for v in wanted]
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
