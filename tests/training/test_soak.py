"""``fit`` under load with Ctrl-C at random moments: see ``tests/soak.py`` for what is looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from counting import tell

PROGRAM = Path(__file__).parent.parent / "soak.py"
KINDS = ["arrays", "eager", "stream", "pipeline", "checkpoint", "workers", "unbuilt"]

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for leftovers in Linux's /proc")


def soak(folder: Path, rounds: int, seed: int, hogs: int) -> None:
    environment = {**os.environ, "LAMINA_CACHE": str(folder / "cache")}  # or compiling takes most of the time
    environment["PYTHONPATH"] = os.pathsep.join([*sys.path, str(PROGRAM.parent)])
    place = folder / "soak"
    place.mkdir()
    command = [sys.executable, str(PROGRAM), str(place), *map(str, (rounds, seed, hogs)), *KINDS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    tell(
        f"soak with {hogs} other busy processes: {counts['interrupted']} of {counts['rounds']} calls interrupted by "
        f"Ctrl-C, none with damage or anything left behind; {counts['resumed']} runs went on to the same bits",
        interrupts_survived=counts["interrupted"],
    )
    assert counts["interrupted"] >= rounds / 4


def test_a_few_interrupts(tmp_path: Path) -> None:
    soak(tmp_path, 14, 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_interrupts_under_load(tmp_path: Path, seed: int) -> None:
    soak(tmp_path, 150, 1 + seed, 2 * (os.cpu_count() or 1))
