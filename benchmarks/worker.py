"""What runs in a framework's own process: prepares work and measures it when it is its turn.

Requests come as lines of JSON on standard input; answers go to the file descriptor given as the second
argument.  Standard output is a terminal, so that progress bars are drawn as for a person.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any


def main(framework: str, answers: int) -> None:
    """Answer requests until standard input ends."""
    run: Callable[[], dict[str, Any]] | None = None
    with os.fdopen(answers, "w") as out:
        for line in sys.stdin:
            request = json.loads(line)
            try:
                if request["do"] == "prepare":
                    run = None  # frees the memory of the work before
                    *package, name = request["subject"].split(".")  # "engine.attention" is in the package engine
                    place = ".".join(["benchmarks.peers", *package, f"with_{framework}"])
                    run, answer = getattr(importlib.import_module(place), name)(**request["arguments"])
                else:
                    assert run is not None, "nothing is prepared"
                    started, used = time.perf_counter(), time.process_time()
                    answer = run()
                    answer["wall"] = time.perf_counter() - started
                    answer["cpu"] = time.process_time() - used
            except Exception:
                answer = {"error": traceback.format_exc()}
            print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
