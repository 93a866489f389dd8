"""ResNet-18 in new processes: how long the first training step takes, and the memory of a step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks import arena as arenas
from benchmarks.report import NAMES, Goal, Row, seconds
from benchmarks.subjects.fresh import new_process

FIRST_STEP = "first training step of ResNet-18, batch 32, new process"
MEMORY = "peak memory of a training step of ResNet-18, batch 32"
FIRST_STEP_SECONDS = {"nothing cached": 2.5, "cached": 0.3}
ROUNDS = 2  # at most: each starts half a dozen processes
# How each framework does it, the default form first.
FORMS = {"lamina": ["fit"], "torch": ["contiguous", "channels_last"], "jax": ["jit"], "keras": ["fit"]}
Figures = dict[str, list[dict[str, Any]]]


def rows(arena: arenas.Arena, small: bool) -> Iterator[Row]:
    """Rows for the first step with and without cache, and for the memory."""
    titles = {state: f"{FIRST_STEP}, {state}" for state in FIRST_STEP_SECONDS}
    if not any(map(arena.wants, [*titles.values(), MEMORY])):
        return
    found: Figures = {}
    failures: dict[str, str] = {}
    disturbed = False
    for turn in range(1 if small else min(arena.rounds, ROUNDS)):
        for framework in arena.frameworks:
            for form in FORMS.get(framework, []):
                # A compiler takes so long that one run says enough.
                forms = [form, "torch.compile"] if form == "contiguous" and not turn and not small else [form]
                for each in forms:
                    try:
                        disturbed |= not _run(arena, framework, each, found)
                    except arenas.WorkFailedError as error:
                        print(f"  {error}")
                        failures[framework] = str(error).strip().splitlines()[-1]
    notes = ["other programs disturbed some measurements of this row"] if disturbed else []
    if "lamina" in failures:
        notes.append(f"Lamina: {failures['lamina']}")
    for state, title in titles.items():
        if arena.wants(title):
            yield _first_step_row(title, state, found, list(notes))
    if arena.wants(MEMORY):
        yield _memory_row(found, list(notes))


def _run(arena: arenas.Arena, framework: str, form: str, found: Figures) -> bool:
    """One new process for each state of the cache.  Returns whether the machine was quiet."""
    quiet = True
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
        for state in FIRST_STEP_SECONDS if framework == "lamina" else ["nothing cached"]:
            request = {"framework": framework, "engine": True, "form": form}
            extra = {"LAMINA_CACHE": cache, "TORCHINDUCTOR_CACHE_DIR": cache}
            figures, calm = new_process(arena, request, extra)
            quiet &= calm
            found.setdefault(f"{framework} {form} {state}", []).append(figures)
    return quiet


def _best(found: Figures, name: str, figure: str) -> dict[str, float]:
    """The median of a figure by framework, in the framework's better form."""
    best: dict[str, float] = {}
    for framework, forms in FORMS.items():
        for form in forms:
            results = found.get(f"{framework} {form} {name}")
            if results:
                value = median(result[figure] for result in results)
                best[framework] = min(value, best.get(framework, value))
    return best


def _first_step_row(title: str, state: str, found: Figures, notes: list[str]) -> Row:
    steps = _best(found, "nothing cached", "first")
    steps.pop("lamina", None)
    own = _best(found, state, "first").get("lamina")
    figures = {"lamina": "not available" if own is None else seconds(own)}
    row = Row(title, figures | {name: seconds(t) for name, t in steps.items()}, notes=notes, samples=found)
    if own is not None:
        row.goals = [Goal(" s", FIRST_STEP_SECONDS[state], own, most=True)]
    compiled = found.get(f"torch torch.compile {state}")
    row.notes.append("PyTorch: eager")
    if compiled:
        row.notes[-1] += f"; torch.compile takes {seconds(compiled[0]['first'])}"
    if state == "cached":
        row.notes.append("peers keep no cache of compiled code by default: their figures are the row above")
    return row


def _memory_row(found: Figures, notes: list[str]) -> Row:
    later, first = (_best(found, "nothing cached", figure) for figure in ("more", "first more"))
    figures = {name: f"{later[name]:.0f} MiB (first step {first[name]:.0f})" for name in NAMES if name in later}
    row = Row(MEMORY, {"lamina": "not available", **figures}, notes=notes, samples=found)
    row.limit = "weights, gradients and Adam's state 171 MiB"
    peers = [value for name, value in later.items() if name != "lamina"]
    if "lamina" in later and peers:
        row.goals = [Goal(" MiB, the best peer", min(peers), later["lamina"], most=True)]
    row.notes.append("the most resident memory of later steps beyond the imported framework and the data")
    return row
