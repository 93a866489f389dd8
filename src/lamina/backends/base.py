"""What a backend is: ``compile`` gives an ``Executable`` for a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.graph.ir import Graph


class Executable(Protocol):
    """A compiled graph."""

    def run(self, inputs: Sequence[np.ndarray], times: int = 1) -> list[np.ndarray]:
        """Run the whole graph ``times`` times in a row on the same inputs.

        Variables are read before and written after each run, so a graph that advances a counter
        Variable walks through its inputs.

        Returns:
            The outputs of the last run.
        """
        ...


class Backend(Protocol):
    """A way of running graphs."""

    name: str

    def compile(self, captured: Graph, optimized: Callable[[], Graph]) -> Executable:
        """Make a graph ready to run.

        Args:
            captured: the graph as it was captured; it is not changed.
            optimized: gives the same graph with all passes run, which takes a while and is not always needed.
        """
        ...

    def capabilities(self) -> dict[str, Any]:
        """What this backend offers here: ``devices``, ``dtypes``, ``threads``, ``features``."""
        ...


def get_backend(name: str) -> Backend:
    """The backend of this name: ``"native"`` or ``"eager"``.

    Raises:
        ArgumentError: there is no such backend.
    """
    if name == "eager":
        from lamina.backends.eager import EagerBackend

        return EagerBackend()
    if name == "native":
        from lamina.backends.native import NativeBackend

        return NativeBackend()
    raise ArgumentError(f"There is no backend {name!r}. Use 'native' or 'eager'.")
