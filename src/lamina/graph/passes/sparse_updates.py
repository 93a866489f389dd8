"""Sparse updates: a step along a gradient that is zero in most rows touches the other rows only.

``w - rate * scatter_add(zeros, rows, g)``, which is gradient descent on an embedding, becomes
``scatter_add(w, rows, -rate * g)``: no pass over the table, and no table of gradients.  Where a row
comes several times its updates are subtracted one after another instead of in one sum, which may
round differently; all else is the same to the bit.
"""

from __future__ import annotations

from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, rewrite
from lamina.graph.passes.simplify import uniform
from lamina.ops.elementwise import MULTIPLY, NEGATIVE, SUBTRACT
from lamina.ops.indexing import SCATTER_ADD


def use_sparse_updates(graph: Graph) -> bool:
    """Rewrite dense steps along sparse gradients."""
    variables = {value for _, value in graph.reads}
    uses: dict[Value, int] = {}
    for value in graph.used_values():
        uses[value] = uses.get(value, 0) + 1

    def rule(node: Node, emitter: Emitter) -> list[Value] | None:
        if node.primitive is not SUBTRACT or node.inputs[0] not in variables:
            return None
        weights, step = node.inputs
        if uses.get(step) != 1 or step.node is None or step.node.primitive is not MULTIPLY:
            return None
        for gradient, rate in (step.node.inputs, step.node.inputs[::-1]):
            scatter = gradient.node
            if rate.shape != () or scatter is None or scatter.primitive is not SCATTER_ADD or uses[gradient] != 1:
                continue
            zeros, rows, updates = scatter.inputs
            if uniform(zeros) != 0 or scatter.params["axis"] != 0 or gradient.shape != weights.shape:
                continue
            change = emitter.emit(NEGATIVE, emitter.emit(MULTIPLY, updates, rate))
            return [emitter.emit(SCATTER_ADD, weights, rows, change, axis=0)]
        return None

    return rewrite(graph, rule)
