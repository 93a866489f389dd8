"""The native backend: graphs compiled to machine code of this CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.graph.ir import Graph


class NativeBackend:
    """Lamina's own compiler for CPUs."""

    name = "native"

    def compile(self, captured: Graph, optimized: Callable[[], Graph]) -> Any:
        from lamina.backends.native.program import NativeExecutable

        return NativeExecutable(captured, optimized=optimized)

    def capabilities(self) -> dict[str, Any]:
        from lamina.backends.native.emit import TYPES
        from lamina.backends.native.target import host
        from lamina.backends.native.threads import get_num_threads

        target = host()
        return {
            "devices": ["cpu"],
            "dtypes": list(TYPES),
            "threads": get_num_threads(),
            "features": [target.simd, f"{8 * target.vector_bytes}-bit vectors"],
        }
