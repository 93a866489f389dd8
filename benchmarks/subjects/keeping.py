"""What trust costs: a checkpoint after each epoch, watching for NaN, and the checks before the first step."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.arena import Arena, median
from benchmarks.report import Goal, Row, seconds

SHAPE = {"rows": 60_000, "features": 784, "units": 512, "batch": 128, "epochs": 4}


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """Four epochs with and without each; Keras beside it with ``BackupAndRestore``."""
    shape = {**SHAPE, "rows": SHAPE["rows"] // (5 if small else 1)}  # fewer, and an epoch is over before a file is
    said = arena.prepare("keeping", ["lamina", "keras"], **shape)
    found, disturbed = arena.measure(list(said))
    times = {name: {key: median(found[name], key) for key in found[name][0] if "fit" in key} for name in said}
    own = times["lamina"]
    row = Row(
        "fit with a checkpoint after each epoch: time beyond that of fit alone",
        {name: seconds(max(0.0, t["fit, kept"] - t["fit"])) for name, t in times.items()},
        samples=found,
    )
    row.goals = [Goal("× fit alone", 1.05, own["fit, kept"] / own["fit"], most=True)]
    if disturbed:
        row.notes.append("other programs disturbed some measurements of this row")
    yield row
    watched = median(found["lamina"], "cpu of fit, watched") / median(found["lamina"], "cpu of fit")
    row = Row("fit that watches for NaN, CPU time", {"lamina": seconds(own["fit, watched"])}, samples=found)
    row.goals = [Goal("× fit that does not", 1.02, watched, most=True)]
    yield row
    checked = median(found["lamina"], "preflight")
    row = Row("preflight", {"lamina": seconds(checked)}, samples=found)
    row.goals = [Goal("× one epoch", 1.0, checked / (own["fit"] / shape["epochs"]), most=True)]
    yield row
