"""``python -m benchmarks.results``: train the examples on real data, in Lamina and in a peer, and compare.

Each is trained several times, with another seed each time, and the frameworks take turns.  What was measured is kept
in ``measured.json``, so that examples can be measured one by one and the page still shows them all.  ``LAMINA_DATA``
names the folder with the data.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results.cases import CASES, Case

ROOT = Path(__file__).resolve().parent.parent.parent
MEASURED = Path(__file__).with_name("measured.json")
PAGE = ROOT / "docs" / "results.md"
INTRODUCTION = """# Results on real data

`make results` trains the models below in Lamina and the same models in another framework (the same arrays, sizes, first
distributions of the weights, optimizer, rates, regularisation and number of epochs) and writes this page. Each row
names its example in `examples/`. Measures are those of data that was not trained on, after the last epoch: the mean of
the seeds, and in brackets the least and the greatest. Seconds are medians of whole trainings, from nothing to the
last epoch, compilation and measuring included, on a machine with two cores; the frameworks took turns.
"""
Measured = dict[str, dict[str, dict[str, Any]]]  # by example and framework


def load(case: Case) -> ModuleType:
    """The example as a module."""
    path = ROOT / "examples" / f"{case.example}.py"
    spec = importlib.util.spec_from_file_location(f"example_{case.name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run(case: Case, epochs: int, seeds: int, before: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Train with each seed in each framework, but for those seeds that were measured before.

    Returns:
        Measures by epoch and seconds, by framework.
    """
    example = load(case)
    peer = importlib.import_module(f"benchmarks.results.peers.{case.name}")
    trainings: dict[str, Callable[[int], dict[str, list[float]]]] = {
        "Lamina": lambda seed: example.train(epochs, verbose=0, seed=seed)[1],
        peer.FRAMEWORK: lambda seed: peer.train(example, epochs, seed),
    }
    keys = ("measures", "seconds")
    found = {name: {key: list(before.get(name, {}).get(key, ())) for key in keys} for name in trainings}
    for seed in range(min(len(of["seconds"]) for of in found.values()), seeds):
        # The one that begins finds files and memory cold.
        for name in sorted(trainings, reverse=seed % 2 == 1):
            started = time.perf_counter()
            measures = [float(value) for value in trainings[name](seed)[case.measure]]
            seconds = time.perf_counter() - started
            found[name]["measures"].append(measures)
            found[name]["seconds"].append(round(seconds, 2))
            said = f"{case.measure} {measures[-1]:.4f}, {seconds:.1f} s"
            print(f"{case.example}, seed {seed}, {name}: {said}", flush=True)
    return found


def page(measured: Measured) -> str:
    """What was measured, in Markdown."""
    head = "| | epochs | measure | framework | after the last epoch | seconds |"
    lines = [INTRODUCTION, head, "|---|---|---|---|---|---|"]
    for case in CASES:
        for framework, of in measured.get(case.example, {}).items():
            last = [measures[-1] for measures in of["measures"]]
            mean, least, greatest = (_shown(value, case) for value in (statistics.mean(last), min(last), max(last)))
            spread = f"{least} to {greatest}, {len(last)} seeds" if len(last) > 1 else "one seed"
            seconds = statistics.median(of["seconds"])
            first = f"{case.title} (`{case.example}.py`) | {case.epochs} | {case.measure}, {case.better} is better"
            told = first if framework == "Lamina" else " | | "
            lines.append(f"| {told} | {framework} | {mean} ({spread}) | {seconds:.1f} |")
    return "\n".join(lines) + "\n"


def _shown(value: float, case: Case) -> str:
    return f"{value:.1%}" if case.percent else f"{value:.4g}"


def main() -> int:
    """Train, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__)
    parser.add_argument("examples", nargs="*", metavar="EXAMPLE", help="names of examples; default all")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each (3)")
    parser.add_argument("--more", action="store_true", help="only the seeds that were not measured yet")
    parser.add_argument("--small", action="store_true", help="few epochs: to see that everything works")
    parser.add_argument("--write", action="store_true", help="keep what was measured and write docs/results.md")
    options = parser.parse_args()
    unknown = set(options.examples) - {name for case in CASES for name in (case.name, case.example)}
    if unknown:
        parser.error(f"no example {', '.join(sorted(unknown))}; there are {', '.join(case.example for case in CASES)}")
    if options.small and (options.write or options.more):
        parser.error("--small trains too little to be written, or to be added to what was")
    measured: Measured = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    for case in CASES:
        if not options.examples or {case.name, case.example} & set(options.examples):
            before = measured.get(case.example, {}) if options.more else {}
            measured[case.example] = run(case, case.small if options.small else case.epochs, options.seeds, before)
            if options.write:  # at once: hours may be lost otherwise
                MEASURED.write_text(json.dumps(measured, indent=1) + "\n")
                PAGE.write_text(page(measured))
    print(page(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
