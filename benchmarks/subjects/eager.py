"""Single operations on small matrices, where nothing but the framework's own cost is seen."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.arena import Arena, median
from benchmarks.report import Goal, Row, seconds

WORK = {"add": ("eager x + y", 2e-6), "gradient": ("eager product, tanh, sum and both gradients", 60e-6)}
SIZES = {"add": 4, "gradient": 16}
SECONDS = 0.1


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """A row for a sum, one for a forward and backward pass."""
    for key, (title, ceiling) in WORK.items():
        size = SIZES[key]
        said = arena.prepare("eager", ["lamina", "torch", "jax"], size=size, seconds=SECONDS / (5 if small else 1))
        found, disturbed = arena.measure(list(said))
        times = {name: median(found[name], key) for name in said}
        row = Row(f"{title}, {size} × {size}", {name: seconds(t) for name, t in times.items()}, samples=found)
        row.goals = [Goal(" µs", ceiling * 1e6, times["lamina"] * 1e6, most=True)]
        if key == "gradient" and "jax" in times:
            row.notes.append("JAX: under jit, as it is used")
        if disturbed:
            row.notes.append("other programs disturbed some measurements of this row")
        row.limit = "none of the machine: arithmetic takes nanoseconds"
        yield row
