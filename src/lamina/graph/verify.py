"""The verifier: checks a graph against the rules of the IR."""

from __future__ import annotations

from typing import Any

from lamina.core.errors import GraphError, LaminaError
from lamina.core.primitive import Spec
from lamina.graph.ir import Graph, Node, Value


def verify(graph: Graph) -> None:
    """Check a graph: single assignment, order, shapes and dtypes, variables, sub-graphs.

    Raises:
        GraphError: the first broken rule, naming the node or value.
    """
    defined: dict[Value, str] = {}

    def define(value: Value, where: str) -> None:
        if value in defined:
            raise GraphError(f"{graph.name}: {value} is defined twice, by {defined[value]} and by {where}.")
        if value.constant is not None:
            raise GraphError(f"{graph.name}: {value} is defined by {where} and is a constant too.")
        if not all(type(n) is int and n >= 0 for n in value.shape) or type(value.shape) is not tuple:
            raise GraphError(f"{graph.name}: {value} has the shape {value.shape!r}, which is no tuple of sizes.")
        defined[value] = where

    def use(value: Value, where: str) -> None:
        if value.constant is not None:
            if value.constant.shape != value.shape or value.constant.dtype != value.dtype:
                raise GraphError(
                    f"{graph.name}: the constant {value} holds {value.constant.dtype}{list(value.constant.shape)}."
                )
        elif value not in defined:
            raise GraphError(f"{graph.name}: {where} uses {value}, which nothing before it defines.")

    for i, value in enumerate(graph.inputs):
        define(value, f"input {i}")
    _verify_variables(graph)
    for variable, value in graph.reads:
        define(value, f"variable {variable.name!r}")
    for i, node in enumerate(graph.nodes):
        where = f"node {i} ({node.primitive.name})"
        for value in node.inputs:
            use(value, where)
        _verify_node(graph, node, where)
        for value in node.outputs:
            if value.node is not node:
                raise GraphError(f"{graph.name}: {value} is an output of {where} but names another node as its own.")
            define(value, where)
    for value in graph.outputs:
        use(value, "the output")
    for variable, value in graph.writes:
        use(value, f"the assignment of {variable.name!r}")


def _verify_node(graph: Graph, node: Node, where: str) -> None:
    """The shape rule must give what the outputs say."""
    try:
        specs: Any = node.primitive.shape(*[Spec(v.shape, v.dtype) for v in node.inputs], **node.params)
    except LaminaError as error:
        raise GraphError(f"{graph.name}: {where} has inputs that its shape rule refuses: {error}") from error
    specs = [specs] if isinstance(specs, Spec) else list(specs)
    found = [Spec(v.shape, v.dtype) for v in node.outputs]
    if [(tuple(s.shape), s.dtype) for s in specs] != [(s.shape, s.dtype) for s in found]:
        raise GraphError(f"{graph.name}: {where} has outputs {found}, and its shape rule gives {specs}.")
    for param in node.params.values():
        if isinstance(param, Graph):
            if param.reads or param.writes:
                raise GraphError(f"{graph.name}: the sub-graph {param.name} of {where} uses variables directly.")
            verify(param)


def _verify_variables(graph: Graph) -> None:
    """Each variable is read and assigned once at most, with its own shape and dtype."""
    for kind, pairs in (("read", graph.reads), ("assigned", graph.writes)):
        names = set()
        for variable, value in pairs:
            if id(variable) in names:
                raise GraphError(f"{graph.name}: variable {variable.name!r} is {kind} twice.")
            names.add(id(variable))
            if (variable._data.shape, variable.dtype) != (value.shape, value.dtype):
                stored = f"{variable.dtype}{list(variable._data.shape)}"
                raise GraphError(f"{graph.name}: variable {variable.name!r} ({stored}) is {kind} as {value}.")
