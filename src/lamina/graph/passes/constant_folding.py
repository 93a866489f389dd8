"""Constant folding: nodes whose inputs are all constants are computed now."""

from __future__ import annotations

import numpy as np

from lamina.core.errors import LaminaError
from lamina.graph.interpret import run_node
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, constant, rewrite
from lamina.ops.shape import BROADCAST

MAX_SIZE = 1024  # elements; larger results are cheaper to compute than to carry with the program


def fold_constants(graph: Graph) -> bool:
    """Replace nodes on constants by small constants.

    Filled arrays stay nodes (they cost nothing and say more), except those of a single element.
    """
    return rewrite(graph, _rule)


def _rule(node: Node, emitter: Emitter) -> list[Value] | None:
    for value in node.inputs:
        if value.constant is None:
            return None
    largest = max([o.size for o in node.outputs], default=0)
    if largest > (MAX_SIZE if node.inputs else 1):
        return None
    if node.primitive is BROADCAST:
        return None  # filled arrays: simplification makes them so
    if any(isinstance(p, Graph) for p in node.params.values()):
        return None  # a loop may take long, or never end: that belongs to the run
    arrays = [v.constant for v in node.inputs if v.constant is not None]
    try:
        results = run_node(node, arrays)
    except (LaminaError, ValueError, IndexError, ZeroDivisionError, np.linalg.LinAlgError):
        return None  # the error belongs to the run, where the node names itself
    return [constant(r) for r in results]
