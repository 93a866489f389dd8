"""Markers: nodes that only say how to differentiate are dropped from a graph that will be run."""

from __future__ import annotations

from lamina.graph.custom_gradient import CUSTOM_GRADIENT
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, rewrite
from lamina.ops.selection import STOP_GRADIENT


def remove_markers(graph: Graph) -> bool:
    """Replace ``stop_gradient`` and custom gradients by the values they pass on."""
    return rewrite(graph, _rule)


def is_marker(node: Node) -> bool:
    """Whether a node only passes on its first inputs."""
    return node.primitive is STOP_GRADIENT or node.primitive is CUSTOM_GRADIENT


def _rule(node: Node, emitter: Emitter) -> tuple[Value, ...] | None:
    return node.inputs[: len(node.outputs)] if is_marker(node) else None
