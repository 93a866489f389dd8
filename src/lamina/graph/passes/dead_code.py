"""Dead code: nodes that no output and no assignment needs are dropped."""

from __future__ import annotations

from lamina.graph.ir import Graph


def remove_dead_code(graph: Graph) -> bool:
    """Drop nodes and variable reads that nothing uses, and assignments of a variable to itself.

    Inputs stay: they are the function's arguments.
    """
    entry = {id(variable): value for variable, value in graph.reads}
    writes = [(variable, value) for variable, value in graph.writes if entry.get(id(variable)) is not value]
    needed = {*graph.outputs, *[value for _, value in writes]}
    kept = []
    for node in reversed(graph.nodes):
        if not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    reads = [(variable, value) for variable, value in graph.reads if value in needed]
    changed = len(kept) < len(graph.nodes) or len(reads) < len(graph.reads) or len(writes) < len(graph.writes)
    graph.nodes, graph.reads, graph.writes = kept[::-1], reads, writes
    return changed
