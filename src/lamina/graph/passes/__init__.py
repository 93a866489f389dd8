"""Graph passes, one file each.  A pass rewrites a graph in place and says whether it changed it."""

from __future__ import annotations

from lamina.graph.ir import Graph


def optimize(graph: Graph, verify: bool = False) -> Graph:
    return graph
