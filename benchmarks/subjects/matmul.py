"""Products of large square matrices against the arithmetic peak of this machine."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.arena import Arena, median
from benchmarks.report import Goal, Row, ratio, seconds

SIZES = [512, 1024, 2048, 4096]
SECONDS = 0.1  # for each size in each round
OF_PEAK = 0.8
TIMES_JAX = 1.0
TIMES_TORCH = 2.0
FULL_WIDTH = 0.6  # a BLAS below this share of the peak has no code for this CPU's vector width


def rows(arena: Arena, small: bool) -> Iterator[Row]:
    """A row per size."""
    sizes = SIZES[:2] if small else SIZES
    said = arena.prepare("matmul", ["lamina", "torch", "jax"], sizes=sizes, seconds=SECONDS)
    found, disturbed = arena.measure(list(said))
    peak = median(found["limits"], "flops")
    for n in sizes:
        times = {name: median(found[name], str(n)) for name in said}
        own, flops = times["lamina"], 2 * n**3
        row = Row(f"{n} × {n} × {n} matrix product, float32", {}, samples={"seconds": times, "peak": peak})
        row.figures = {name: f"{seconds(t)} ({flops / t / 1e9:.0f} GFLOP/s)" for name, t in times.items()}
        eager = median(found["lamina"], f"eager {n}")
        row.figures["lamina"] += f"; eager {seconds(eager)}"
        row.limit = f"{peak / 1e9:.0f} GFLOP/s"
        row.goals = [Goal(" of the peak", OF_PEAK, flops / own / peak)]
        row.goals += ratio("JAX", TIMES_JAX, times.get("jax"), own)
        if "torch" in times:
            share = flops / times["torch"] / peak
            if share < FULL_WIDTH:
                row.goals += ratio("PyTorch", TIMES_TORCH, times["torch"], own)
            else:
                ahead = times["torch"] / own
                row.notes.append(f"PyTorch's BLAS uses the full width here ({share:.0%}): {ahead:.2f} × PyTorch")
        if disturbed:
            row.notes.append("other programs disturbed some measurements of this row")
        yield row
