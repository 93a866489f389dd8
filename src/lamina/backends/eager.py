"""The eager backend: a graph run node by node with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.dtypes import NAMES
from lamina.core.errors import ArgumentError
from lamina.core.primitive import wrap
from lamina.graph.interpret import Program
from lamina.graph.ir import Graph


class EagerExecutable:
    """Interprets its graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._program = Program(graph)

    def run(self, inputs: Sequence[np.ndarray], times: int = 1) -> list[np.ndarray]:
        if times < 1:
            raise ArgumentError(f"times is at least 1, got {times}.")
        outputs: list[np.ndarray] = []
        for _ in range(times):
            stored = [variable._data for variable, _ in self.graph.reads]
            results = self._program.run(inputs, stored)
            # Views of inputs and of variables are copied: both may change after this call.
            outputs = [_apart(array, [*stored, *inputs]) for array in results[: len(self.graph.outputs)]]
            written = [_apart(array, stored) for array in results[len(outputs) :]]
            for (variable, _), array in zip(self.graph.writes, written, strict=True):
                variable.assign(wrap(array))
        return outputs


def _apart(array: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """The array, or a copy of it if it may share memory with one of the others."""
    return array.copy() if any(np.may_share_memory(array, other) for other in others) else array


class EagerBackend:
    """NumPy, one primitive at a time."""

    name = "eager"

    def compile(self, captured: Graph, optimized: Callable[[], Graph]) -> EagerExecutable:
        return EagerExecutable(optimized())

    def capabilities(self) -> dict[str, Any]:
        return {"devices": ["cpu"], "dtypes": [*NAMES, "bfloat16"], "threads": 1, "features": []}
