"""The text form of a graph, one line for each value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.graph.ir import Graph, Node, Value


def _spec(value: Value) -> str:
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


def _param(value: Any) -> str:
    if isinstance(value, Graph):
        return f"<graph {value.name}>"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    return repr(value)


def node_text(node: Node, operands: Mapping[int, str] | None = None) -> str:
    """``outputs = primitive(inputs, params)`` of one node, without its layer.

    Args:
        node: the node.
        operands: what to write for an input in place of its name, by ``id(value)``.
    """
    written = operands or {}
    outputs = ", ".join(f"%{v.name}: {_spec(v)}" for v in node.outputs)
    inputs = ", ".join(written.get(id(v), f"%{v.name}") for v in node.inputs)
    params = ", ".join(f"{k}={_param(p)}" for k, p in node.params.items())
    return f"{outputs} = {node.primitive.name}({inputs}{', ' if params and inputs else ''}{params})"


def constant_text(value: Value) -> str:
    """The number of a constant, or dots where it has several."""
    constant = value.constant
    assert constant is not None
    return str(constant.item()) if constant.size == 1 else "..."


def to_text(graph: Graph) -> str:
    """Inputs, variables, constants, nodes and outputs, in order."""
    lines = [f"graph {graph.name}:"]
    lines += [f"  input     %{v.name}: {_spec(v)}" for v in graph.inputs]
    written = {id(variable) for variable, _ in graph.writes}
    lines += [
        f"  variable  %{v.name}: {_spec(v)}{'  (assigned)' if id(variable) in written else ''}"
        for variable, v in graph.reads
    ]
    for value in graph.constants():
        lines.append(f"  constant  %{value.name}: {_spec(value)} = {constant_text(value)}")
    for node in graph.nodes:
        place = "/".join(node.scope)
        lines.append(f"  {node_text(node)}{f'  # {place}' if place else ''}")
        for param in node.params.values():
            if isinstance(param, Graph):
                lines += ["    " + line for line in to_text(param).splitlines()]
    for variable, value in graph.writes:
        lines.append(f"  assign    {variable.path} = %{value.name}")
    lines.append(f"  return    {', '.join('%' + v.name for v in graph.outputs)}")
    return "\n".join(lines)
