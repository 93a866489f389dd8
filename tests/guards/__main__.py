"""Run the tests of compiled code with guarded memory: ``python -m guards [part of a test's name]``.

The tests run in batches, each in a process of its own, once with every buffer ending at a
protected page and once with every buffer starting behind one.  A process that dies by a signal is
reported with the name of the test that it ran, and the tests behind that one still run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from guards.memory import MODES

ROOT = Path(__file__).parent.parent.parent
FILES = (
    "tests/backends",
    "tests/ops/test_op_table.py",
    "tests/layers/test_contract.py",
    "tests/training/test_random_networks.py",
    "tests/graph/test_recurrence.py",
    "tests/graph/test_sparse_updates.py",
    "tests/test_control_flow.py",
)
# Tests that compile nothing, or that look at timing, at where memory is reused or at what is kept on disk.
LEFT_OUT = (
    "not eager and not oracle and not numerically and not test_threads and not test_vmath and not test_cache "
    "and not test_recipe"
)
BATCH = 400


def pytest(*arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin."""
    path = [str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "guards.plugin", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=capture, text=True, check=False)


def collect(files: Sequence[str], wanted: str) -> list[str]:
    """Names of the tests."""
    chosen = f"({LEFT_OUT}) and ({wanted})" if wanted else LEFT_OUT
    found = pytest("--collect-only", "-m", "not slow", "-k", chosen, *files, capture=True)
    names = [line for line in found.stdout.splitlines() if "::" in line and not line.startswith(("ERROR", "FAILED"))]
    if found.returncode not in (0, 5) or not names:
        sys.exit(found.stdout + found.stderr)
    return names


def run(names: Sequence[str], mode: str) -> list[str]:
    """Run tests in one mode; returns what went wrong, in words."""
    problems = []
    waiting = list(names)
    with tempfile.TemporaryDirectory() as folder:
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            log, chosen = Path(folder, "log"), Path(folder, "tests")
            log.write_text("")
            chosen.write_text("\n".join(batch))
            done = pytest("--guard", mode, "--guard-log", str(log), f"@{chosen}")
            if done.returncode < 0:
                last = log.read_text().splitlines()[-1]
                problems.append(f"{last} [{mode}]: the process died of {signal.Signals(-done.returncode).name}")
                waiting = batch[batch.index(last) + 1 :] + waiting
            elif done.returncode:
                problems.append(f"some tests fail with guarded memory [{mode}]; see above")
    return problems


def main() -> None:
    """Run everything, or the tests whose names match the arguments (as pytest's ``-k``)."""
    names = collect(FILES, " ".join(sys.argv[1:]))
    problems = [problem for mode in MODES for problem in run(names, mode)]
    for problem in problems:
        print("MEMORY:", problem)
    print(f"{len(names)} tests, each with both ends of every buffer guarded: {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
