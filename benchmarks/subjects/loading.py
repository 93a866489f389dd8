"""Batches of a data set: rows of arrays, samples that Python makes, and the same in two worker processes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.arena import Arena, median
from benchmarks.report import Goal, Row, ratio, seconds

WORK = {
    "rows": ("an epoch of shuffled batches, rows of arrays", 1.0),
    "samples": ("an epoch of shuffled batches, samples one by one", 1.0),
    "workers": ("an epoch of shuffled batches, samples in two workers that live on", 1.0),
}
SHAPE = {"rows": 60_000, "features": 784, "batch": 32}


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """A row for each kind of data set, beside PyTorch's ``DataLoader``; one for what a loader adds to ``fit``."""
    shape = {**SHAPE, "rows": SHAPE["rows"] // (50 if small else 1)}
    said = arena.prepare("loading", ["lamina", "torch"], **shape)
    found, disturbed = arena.measure(list(said))
    for key, (title, target) in WORK.items():
        times = {name: median(found[name], key) for name in said}
        row = Row(title, {name: seconds(t) for name, t in times.items()}, samples=found)
        row.goals = ratio("PyTorch", target, times.get("torch"), times["lamina"])
        if disturbed:
            row.notes.append("other programs disturbed some measurements of this row")
        yield row
    arrays, loader = (median(found["lamina"], key) for key in ("fit arrays", "fit loader"))
    row = Row("fit on a loader over arrays, CPU time", {"lamina": seconds(loader)}, samples=found)
    row.goals = [Goal("× fit on the arrays", 1.1, loader / arrays, most=True)]
    yield row
