"""What a new process waits for and takes: the import, the first step, memory (see ``new_process.py``)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import arena as arenas
from benchmarks import machine, work
from benchmarks.report import NAMES, Goal, Row, seconds

IMPORT_SECONDS = 0.25
FIRST_STEP_SECONDS = {"nothing cached": 0.5, "cached": 0.15}
MEMORY_MIB = 150.0


def rows(arena: arenas.Arena, small: bool) -> Iterator[Row]:
    """Rows for the import, the first step with and without cache, and the memory of training."""
    network = work.NETWORKS["mlp"].smaller(20) if small else work.NETWORKS["mlp"]
    rounds = min(arena.rounds, 3)  # half a dozen new processes each
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work.write_data(network, Path(folder))
        found: dict[str, list[dict[str, Any]]] = {}
        disturbed = False
        for turn in range(rounds):
            for framework in arena.frameworks:
                result, quiet = _quietly(arena, framework, network, folder, memory=turn == rounds - 1)
                for state, figures in result.items():
                    found.setdefault(f"{framework} {state}", []).append(figures)
                disturbed |= not quiet
    yield from _rows(network, found, disturbed)


def _rows(network: work.Network, found: dict[str, list[dict[str, Any]]], disturbed: bool) -> Iterator[Row]:
    cold = {name: found[f"{name} nothing cached"] for name in NAMES if f"{name} nothing cached" in found}
    notes = ["other programs disturbed some measurements of this row"] if disturbed else []

    both = cold["lamina"] + found["lamina cached"]
    imports = {name: median(r["import"] for r in results) for name, results in cold.items()}
    imports["lamina"] = median(r["import"] for r in both)
    row = Row("import in a new process", {name: seconds(t) for name, t in imports.items()}, notes=list(notes))
    row.limit = f"NumPy alone {seconds(median(r['numpy'] for r in both))}"
    row.goals = [Goal(" s", IMPORT_SECONDS, imports["lamina"], most=True)]
    row.goals.append(Goal(" characters printed", 0, max(r["printed"] for r in both), most=True))
    row.samples = found
    yield row

    for state, ceiling in FIRST_STEP_SECONDS.items():
        steps = {name: median(r["first"] for r in results) for name, results in cold.items()}
        steps["lamina"] = median(r["first"] for r in found[f"lamina {state}"])
        title = f"first fit call to the end of its first step, MLP, new process, {state}"
        row = Row(title, {name: seconds(t) for name, t in steps.items()}, notes=list(notes))
        row.goals = [Goal(" s", ceiling, steps["lamina"], most=True)]
        row.limit = f"reading the data once, to check it: {network.bytes_read / 1e6:.0f} MB"
        if state == "cached":
            row.notes.append("peers keep no cache of compiled code by default: their figures are the row above")
        yield row

    kept = {name: results[-1] for name, results in cold.items()}
    figures = {name: f"{r['more']:.0f} MiB (whole process {r['whole']:.0f})" for name, r in kept.items()}
    row = Row("peak memory of training the MLP beyond the imported framework and the data", figures, notes=list(notes))
    row.limit = f"the data is {network.bytes_read / 2**20:.0f} MiB, weights and Adam's state 5 MiB"
    row.goals = [Goal(" MiB", MEMORY_MIB, kept["lamina"]["more"], most=True)]
    yield row


def _quietly(
    arena: arenas.Arena, framework: str, network: work.Network, folder: str, memory: bool
) -> tuple[dict[str, Any], bool]:
    """The figures of new processes by what they found in the cache, and whether the machine was quiet meanwhile."""
    found: dict[str, Any] = {}
    quiet = False
    for _ in range(arenas.REPEATS):
        with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
            quiet = True
            for state in FIRST_STEP_SECONDS if framework == "lamina" else ["nothing cached"]:
                found[state], calm = _run(arena, framework, network, folder, cache, memory)
                quiet &= calm
        if quiet or not arena.patience:
            break
    return found, quiet


def _run(
    arena: arenas.Arena, framework: str, network: work.Network, folder: str, cache: str, memory: bool
) -> tuple[dict[str, Any], bool]:
    """Start the process.  Returns its figures and whether the machine was quiet meanwhile."""
    request = {"framework": framework, "network": asdict(network), "folder": folder, "memory": memory}
    return new_process(arena, request, {"LAMINA_CACHE": cache})


def new_process(
    arena: arenas.Arena, request: dict[str, Any], variables: dict[str, str]
) -> tuple[dict[str, Any], bool]:
    """Run ``new_process.py``.  Returns its figures and whether the machine was quiet meanwhile.

    Args:
        arena: for its patience and number of threads.
        request: what to do.
        variables: of the environment, added to the usual ones.
    """
    arena.wait()
    before, own, started = machine.busy_seconds(), _children_seconds(), time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.new_process", json.dumps(request)],
            capture_output=True,
            text=True,
            cwd=arenas.ROOT,
            env=arenas.environment(arena.threads, variables),
            preexec_fn=lambda: arenas.pin(arena.threads),
            check=False,
            timeout=arenas.HANGS,
        )
    except subprocess.TimeoutExpired as error:
        raise arenas.WorkFailedError(f"{request['framework']}: no answer after {arenas.HANGS:.0f} s") from error
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise arenas.WorkFailedError(f"{request['framework']}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    share = machine.foreign(before, _children_seconds() - own, elapsed)
    return result, share <= arenas.FOREIGN


def _children_seconds() -> float:
    """CPU time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
