"""``python -m benchmarks``: measure, print the table, and say which targets are missed."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path

from benchmarks import arena, machine, report

FOUNDATION = ("matmul", "training", "eager", "fresh")
SUBJECTS = (*FOUNDATION, "loading", "keeping", "engine")


def main() -> int:
    """Run the subjects.  Returns 0 also where targets are missed: figures are to be read, not to be passed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = f"some of {', '.join(SUBJECTS)}; default the first four"
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=choices)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each framework, in turn (5)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="of each framework (all cores)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="TEXT", help="of engine: rows whose title has a TEXT")
    parser.add_argument("--small", action="store_true", help="little data: to see that everything works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table of docs/benchmarks.md")
    options = parser.parse_args()
    unknown = set(options.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"there is no subject {', '.join(sorted(unknown))}; choose from {', '.join(SUBJECTS)}")

    engine = "engine" in options.subjects
    wanted = [name for name in report.NAMES if engine or name != "onnxruntime"]  # which does not train
    frameworks = [name for name in wanted if importlib.util.find_spec(name)]
    missing = [report.NAMES[name] for name in wanted if name not in frameworks]
    if missing:
        print(f"Not installed, and so not compared: {', '.join(missing)}.")
    print(f"{machine.describe()}, {options.threads} threads, {options.rounds} rounds\n")
    arena.pin(options.threads)
    started, found = time.monotonic(), []
    with arena.Arena(frameworks, options.threads, options.rounds, options.rows) as ring:
        if options.small:
            ring.patience = 0.0  # nobody waits for a quiet machine
        for subject in options.subjects or FOUNDATION:
            if subject == "fresh":
                ring.close()
            for row in importlib.import_module(f"benchmarks.subjects.{subject}").rows(ring, options.small):
                print(report.text(row) + "\n", flush=True)
                found.append(row)
    goals = [goal for row in found for goal in row.goals]
    met = sum(goal.met for goal in goals)
    print(f"{met} of {len(goals)} targets reached, in {time.monotonic() - started:.0f} s")
    if options.small:
        print("With --small the figures mean nothing.")
    if options.markdown:
        options.markdown.write_text(report.markdown(found))
    if options.json:
        about = {"machine": machine.describe(), "threads": options.threads, "rounds": options.rounds}
        options.json.write_text(json.dumps(about | {"rows": [row.as_json() for row in found]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
