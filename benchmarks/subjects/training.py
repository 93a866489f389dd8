"""Whole epochs of small networks, where a framework's own cost shows beside the arithmetic."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import work
from benchmarks.arena import Arena, median
from benchmarks.report import NAMES, Goal, Row, ratio, seconds

TARGETS = {
    "mlp": {"torch": 3.0, "jax": 1.4, "keras": 2.0},
    "small": {"torch": 4.0, "jax": 1.3},
    "multihot": {"torch": 2.5, "jax": 1.2},
    "tiny": {},
}
TINY_STEP_SECONDS = 10e-6
LOSS_TOLERANCE = 0.03  # relative: the orders of the samples differ


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """A row per network."""
    for network in work.NETWORKS.values():
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield _row(arena, network.smaller(20) if small else network, folder)


def _row(arena: Arena, network: work.Network, folder: str) -> Row:
    work.write_data(network, Path(folder))
    # Some hundred thousand steps through Keras's loop in Python would take minutes and show nothing new.
    frameworks = [name for name in NAMES if name != "keras" or network.name != "tiny"]
    said = arena.prepare("training", frameworks, network=asdict(network), folder=folder)
    found, disturbed = arena.measure(list(said))
    times = {name: median(found[name], "seconds") for name in said}
    own = times["lamina"]

    shape = "-".join(map(str, network.sizes))
    title = f"{shape}, {network.optimizer}, batch {network.batch}"
    tiny = network.name == "tiny"
    parts = network.steps if tiny else 1  # the figures are for an epoch, or for one of its steps
    title += f": a step of fit ({parts:,} steps)" if tiny else f", {network.rows:,} samples: an epoch"
    row = Row(title, {name: seconds(value / parts) for name, value in times.items()}, samples={"rounds": found})
    flops, bandwidth = median(found["limits"], "flops"), median(found["limits"], "bytes")
    arithmetic, reading = network.flops / flops, network.bytes_read / bandwidth
    row.limit = (
        f"{seconds(arithmetic / parts)} at {flops / 1e9:.0f} GFLOP/s, "
        f"{seconds(reading / parts)} at {bandwidth / 1e9:.0f} GB/s; "
        f"Lamina {network.flops / own / 1e9:.3g} GFLOP/s, {network.bytes_read / own / 1e9:.2g} GB/s"
    )
    if tiny:
        row.goals = [Goal(" µs", TINY_STEP_SECONDS * 1e6, own / parts * 1e6, most=True)]
    for name, target in TARGETS[network.name].items():
        row.goals += ratio(NAMES[name], target, times.get(name), own)
    row.notes = [f"{NAMES[name]}: {answer['how']}" for name, answer in said.items() if name in ("torch", "keras")]
    losses = {name: answer["loss"] for name, answer in said.items()}
    if any(abs(loss / losses["lamina"] - 1) > LOSS_TOLERANCE for loss in losses.values()):
        row.notes.append(f"the losses of the first epoch differ: {losses}")
    row.samples["losses"] = losses
    if disturbed:
        row.notes.append("other programs disturbed some measurements of this row")
    return row
