"""Graph passes, one file each.

A pass is a function that rewrites a graph in place and says whether it changed anything.  Passes
keep every value that the graph computes to the last bit: an optimized graph gives what the
captured one gives.  Three rules that may differ in a rounding or in the sign of a zero say so where
they stand (``sparse_updates.py``, ``simplify.py``, ``transposes.py``).
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.graph.ir import Graph, name_values
from lamina.graph.passes.common_subexpressions import merge_common_subexpressions
from lamina.graph.passes.constant_folding import fold_constants
from lamina.graph.passes.dead_code import remove_dead_code
from lamina.graph.passes.loops import tidy_loops
from lamina.graph.passes.markers import remove_markers
from lamina.graph.passes.simplify import simplify
from lamina.graph.passes.sparse_updates import use_sparse_updates
from lamina.graph.passes.transposes import sink_transposes
from lamina.graph.verify import verify as verify_graph

PASSES: tuple[Callable[[Graph], bool], ...] = (fold_constants, simplify, merge_common_subexpressions, remove_dead_code)
MAX_ROUNDS = 4  # one round finds nearly everything; the bound only keeps odd graphs from costing time


Watch = Callable[[str, Graph], None]


def optimize(
    graph: Graph, verify: bool = False, differentiable: bool = False, watch: Watch | None = None
) -> Graph:
    """Run all passes, in place, until none changes the graph.

    Args:
        graph: the graph to rewrite.
        differentiable: keep what only differentiation needs (for the bodies of loops, which are
            replayed to differentiate the loop).
        verify: check the graph's rules after every pass (tests do).
        watch: told the name of every pass that has run, and the graph as it left it.

    Returns:
        The same graph, its values named anew.

    Raises:
        GraphError: with ``verify``, a pass broke the graph.
    """
    tell = watch or _tell_nobody
    if not differentiable:
        remove_markers(graph)
        tell("remove_markers", graph)
    _rounds(graph, verify, tell)
    if not differentiable and sink_transposes(graph, _rounds) and verify:
        verify_graph(graph)
    if not differentiable:
        tell("sink_transposes", graph)
    if not differentiable and (use_sparse_updates(graph) | tidy_loops(graph, optimize)):
        remove_dead_code(graph)
        tell("use_sparse_updates, tidy_loops", graph)
    name_values(graph)
    return graph


def _tell_nobody(name: str, graph: Graph) -> None:
    """What is told where nobody watches."""


def _rounds(graph: Graph, verify: bool = False, tell: Watch = _tell_nobody) -> None:
    """The passes that serve each other, until there is nothing left to do."""
    for _ in range(MAX_ROUNDS):
        changed = False
        for run in PASSES:
            if run(graph):
                # Only these two find work in what another pass left behind.
                changed = changed or run is simplify or run is fold_constants
            tell(run.__name__, graph)
            if verify:
                verify_graph(graph)
        if not changed:
            break
