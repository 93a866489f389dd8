"""Counts that the end of a test run shows: kills survived, mutated files tried, mistakes found, megabytes grown."""

from __future__ import annotations

from collections import Counter
from typing import Any

_told: list[dict[str, Any]] = []


def tell(line: str, **counts: int) -> None:
    """Have the summary of the run show a line.

    Args:
        line: what was found.
        counts: numbers that are added up over all tests, by name; ``_`` becomes a space.
    """
    _told.append({"line": line, "counts": counts})


def take() -> list[tuple[str, Any]]:
    """What was told since the last call, as properties that a report of a test carries to the summary."""
    taken = [("told", told) for told in _told]
    _told.clear()
    return taken


def summary(properties: list[tuple[str, Any]]) -> list[str]:
    """The lines of the summary: what was told, and the sums."""
    told = [value for name, value in properties if name == "told"]
    sums: Counter[str] = Counter()
    for one in told:
        sums.update(one["counts"])
    totals = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(sums.items()))
    return sorted(one["line"] for one in told) + ([f"in all: {totals}"] if totals else [])
