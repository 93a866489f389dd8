"""Loops: a scan and the one that keeps more of the same loop become one, and give only what is used.

The gradient of a scan binds the loop once more with more outputs (see ``lamina.graph.scan``), and
says so in ``params["extends"]``.  This runs last, on graphs that are not differentiated any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.graph.ir import Graph, Node, Value, extract
from lamina.graph.passes.dead_code import remove_dead_code
from lamina.graph.passes.rewriting import Emitter, rewrite


def tidy_loops(graph: Graph, optimize: Callable[[Graph], Graph]) -> bool:
    """Merge scans that are the same loop, drop outputs and inputs that nobody uses, optimize the bodies.

    Args:
        graph: the graph to rewrite.
        optimize: the passes to run on each body.
    """
    if not any(_is_scan(node) for node in graph.nodes):
        return False
    _merge(graph)
    remove_dead_code(graph)
    used = set(graph.used_values())

    def rule(node: Node, emitter: Emitter) -> list[Value] | None:
        return _trimmed(node, used, emitter, optimize) if _is_scan(node) else None

    return rewrite(graph, rule)


def _is_scan(node: Node) -> bool:
    return node.primitive.name == "scan"


def _merge(graph: Graph) -> None:
    """Put each extended loop in the place of the loop that it extends."""
    loops: dict[Any, Node] = {}
    swap: dict[Value, Value] = {}
    moved: dict[Node, Node] = {}
    for node in graph.nodes:
        if not _is_scan(node):
            continue
        inputs = tuple([swap.get(v, v) for v in node.inputs])
        base = loops.get((id(node.params["extends"]), inputs))
        if base is None or base in moved:
            loops[id(node.params["body"]), inputs] = node
        else:
            moved[base] = node
            swap.update(zip(base.outputs, node.outputs, strict=False))
    if not moved:
        return
    late = {id(node) for node in moved.values()}
    graph.nodes = [moved.get(node, node) for node in graph.nodes if id(node) not in late]
    for node in graph.nodes:
        node.inputs = tuple([swap.get(v, v) for v in node.inputs])
    graph.outputs = [swap.get(v, v) for v in graph.outputs]
    graph.writes = [(variable, swap.get(v, v)) for variable, v in graph.writes]


def _trimmed(node: Node, used: set[Value], emitter: Emitter, optimize: Callable[[Graph], Graph]) -> list[Value]:
    """The scan again, with the outputs that are used and the inputs that these need."""
    params = node.params
    body, carried, walked = params["body"], params["carried"], params["walked"]
    wanted = [i for i, v in enumerate(node.outputs) if i < carried or v in used]
    body = optimize(extract(body, body.inputs, [body.outputs[i] for i in wanted]))
    inside = set(body.used_values())
    places = [i for i, v in enumerate(body.inputs) if i < carried or v in inside]
    body.inputs = [body.inputs[i] for i in places]
    outputs = [Value(node.outputs[i].shape, node.outputs[i].dtype) for i in wanted]
    changed = {**params, "body": body, "walked": sum(carried <= i < carried + walked for i in places), "extends": None}
    inputs = [node.inputs[i] for i in places]
    emitter.nodes.append(Node(node.primitive, inputs, changed, outputs, False, node.source, node.scope))
    new = dict(zip(wanted, outputs, strict=True))
    return [new.get(i, old) for i, old in enumerate(node.outputs)]
