"""The same work in each framework.

Every module has functions named after the subjects.  Each takes the subject's arguments, sets the work
up and warms it, and returns a function that does one measurement and gives its figures, and a
description to be kept.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

Measurement = Callable[[], dict[str, Any]]


def per_call(call: Callable[[], Any], seconds: float, wait: Callable[[Any], Any] = lambda result: None) -> float:
    """Median seconds of a call, from as many groups of calls as fit into ``seconds``.

    Args:
        call: the work.
        seconds: for all together.
        wait: waits for the result of the last call of a group, where calls only start the work.
    """
    wait(call())
    started = time.perf_counter()
    wait(call())
    group = max(1, int(seconds / 10 / max(time.perf_counter() - started, 1e-7)))
    found, end = [], time.perf_counter() + seconds
    while not found or time.perf_counter() < end:
        started = time.perf_counter()
        for _ in range(group - 1):
            call()
        wait(call())
        found.append((time.perf_counter() - started) / group)
    return statistics.median(found)


def fastest(variants: dict[str, Measurement], key: str, tries: int = 3) -> tuple[str, Measurement]:
    """The variant whose figure is smallest, each the better of ``tries``."""
    found = {name: min(run()[key] for _ in range(tries)) for name, run in variants.items()}
    best = min(found, key=lambda name: found[name])
    return best, variants[best]


def timed(call: Callable[[], Any]) -> Measurement:
    """The measurement whose figure is the seconds of one call."""

    def run() -> dict[str, Any]:
        started = time.perf_counter()
        call()
        return {"seconds": time.perf_counter() - started}

    return run
