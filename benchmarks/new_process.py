"""A new process that imports a framework, trains, and says how long it waited and what memory it took.

Nothing that takes long to import may come before the framework.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import time
from typing import Any


def imported(framework: str) -> dict[str, Any]:
    """Seconds of importing NumPy and the framework, of NumPy alone, and how many characters that printed."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            started = time.perf_counter()
            importlib.import_module("numpy")
            numpy = time.perf_counter() - started
            importlib.import_module(framework)
            elapsed = time.perf_counter() - started
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
        printed = file.seek(0, os.SEEK_END)
    return {"import": elapsed, "numpy": numpy, "printed": printed}


def resident(name: str) -> float:
    """MiB of ``VmRSS`` (now) or ``VmHWM`` (the most so far)."""
    with open("/proc/self/status") as file:
        found = [line.split() for line in file if line.startswith(name + ":")]
    return int(found[0][1]) / 1024


def forget_peak() -> None:
    """Have the peak count from now."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def resnet(framework: str, form: str) -> dict[str, Any]:
    """The first step of ResNet-18, and the memory of that one and of three more."""
    peer = importlib.import_module(f"benchmarks.peers.engine.with_{framework}")
    from benchmarks import engine

    work = engine.pictures("resnet18")
    x, y = work.data()
    forget_peak()
    before = resident("VmRSS")
    result: dict[str, Any] = {}
    result["first"], again = peer.first_step(x, y, form)
    result["first more"] = resident("VmHWM") - before
    again()  # the first of them may have something to prepare
    forget_peak()
    for _ in range(2):
        again()
    result["whole"] = resident("VmHWM")
    result["more"] = result["whole"] - before
    return result


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Import, train one step and, if ``request["memory"]``, two epochs."""
    if request.get("engine"):
        return resnet(request["framework"], request["form"])
    framework = request["framework"]
    result = imported(framework)
    # Not the framework's import, and not the work.
    from benchmarks import work

    peer = importlib.import_module(f"benchmarks.peers.with_{framework}")
    network = work.from_json(request["network"])
    x, y = work.read_data(request["folder"])
    forget_peak()
    before = resident("VmRSS")
    result["first"] = peer.first_step(network, request["folder"], x, y)
    if request["memory"]:
        peer.epochs(network, request["folder"], x, y)
    result["whole"] = resident("VmHWM")
    result["more"] = result["whole"] - before
    return result


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
