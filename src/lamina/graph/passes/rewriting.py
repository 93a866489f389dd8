"""The walk that the rewriting passes share: nodes in order, each kept or replaced by other values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.primitive import Primitive, Spec
from lamina.graph.ir import Graph, Node, Value


class Emitter:
    """Adds nodes and constants in place of the node that a rule replaces."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._like: Node | None = None

    def at(self, node: Node) -> None:
        """New nodes take their source line and scope from this one."""
        self._like = node

    def emit(self, primitive: Primitive, *inputs: Value, **params: Any) -> Value:
        """A new node with one output."""
        spec = primitive.shape(*[Spec(v.shape, v.dtype) for v in inputs], **params)
        output, like = Value(spec.shape, spec.dtype), self._like
        assert like is not None
        self.nodes.append(Node(primitive, inputs, params, [output], True, like.source, like.scope))
        return output


def constant(array: np.ndarray) -> Value:
    """A constant value."""
    value = Value(array.shape, array.dtype)
    value.constant = array
    return value


Rule = Callable[[Node, Emitter], Sequence[Value] | None]


def rewrite(graph: Graph, rule: Rule) -> bool:
    """Walk the nodes in order; where ``rule`` gives values, they replace the node's outputs.

    Returns:
        Whether anything was replaced.
    """
    swap: dict[Value, Value] = {}
    emitter = Emitter()
    for node in graph.nodes:
        if swap and any(v in swap for v in node.inputs):
            node.inputs = tuple([swap.get(v, v) for v in node.inputs])
        emitter.at(node)
        replaced = rule(node, emitter)
        if replaced is None:
            emitter.nodes.append(node)
        else:
            swap.update(zip(node.outputs, replaced, strict=True))
    if not swap:
        return False
    graph.nodes = emitter.nodes
    graph.outputs = [swap.get(v, v) for v in graph.outputs]
    graph.writes = [(variable, swap.get(v, v)) for variable, v in graph.writes]
    return True
