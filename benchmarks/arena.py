"""One process for each framework, measured in turn while nobody else uses the machine."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = 0.10  # of a core: a measurement during which others used more is repeated
REPEATS = 3  # at most so often
PATIENCE = 60.0  # seconds of a whole run that may go into waiting and repeating
SETTLE = 0.02  # seconds for the threads of the framework before to go to sleep
HANGS = 300.0  # seconds without an answer after which a framework is given up
Result = dict[str, Any]


class WorkFailedError(Exception):
    """A framework could not do the work; the message is its traceback."""


def environment(threads: int, extra: dict[str, str] | None = None) -> dict[str, str]:
    """Variables of a framework's process: this checkout's Lamina, and the same number of threads for all."""
    values = dict(os.environ)
    values.pop("PYTHONDONTWRITEBYTECODE", None)  # installed packages have their bytecode
    values["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LAMINA_NUM_THREADS"):
        values[name] = str(threads)
    values.update(TERM="xterm-256color", COLUMNS="100", KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    values.update(TF_CPP_MIN_LOG_LEVEL="3", PYTHONWARNINGS="ignore", **(extra or {}))
    return values


def pin(threads: int) -> None:
    """Keep a process to as many cores as it has threads: XLA takes its number of threads from that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Worker:
    """The process of one framework."""

    def __init__(self, framework: str, threads: int) -> None:
        self.framework = framework
        terminal, inside = pty.openpty()
        answers, into = os.pipe()
        self._errors = tempfile.TemporaryFile("w+")  # closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", framework, str(into)],
            stdin=subprocess.PIPE,
            stdout=inside,
            stderr=self._errors,
            pass_fds=(into,),
            cwd=ROOT,
            env=environment(threads),
            preexec_fn=lambda: pin(threads),
            text=True,
        )
        os.close(inside)
        os.close(into)
        self._answers = os.fdopen(answers)
        threading.Thread(target=_drain, args=(terminal,), daemon=True).start()

    def ask(self, **request: Any) -> Result:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass
        if not select.select([self._answers], [], [], HANGS)[0]:
            self._process.kill()
        line = self._answers.readline()
        if not line:
            self._errors.seek(0)
            raise WorkFailedError(f"{self.framework} ended:\n{self._errors.read()[-2000:]}")
        answer: Result = json.loads(line)
        if "error" in answer:
            raise WorkFailedError(f"{self.framework}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._errors.close()


def _drain(terminal: int) -> None:
    """Take what is drawn on the terminal, as a terminal does."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass
    os.close(terminal)


class Arena:
    """The processes of the frameworks, and their turns.

    Args:
        frameworks: names of modules ``benchmarks.peers.with_...``.
        threads: of each framework.
        rounds: measurements of each work by each framework.
        only: parts of titles; rows whose title has none of them are left out.  All rows if empty.

    Attributes:
        failures: the last line of the error of each framework that could not do the latest work.
    """

    def __init__(self, frameworks: list[str], threads: int, rounds: int, only: Sequence[str] = ()) -> None:
        self.frameworks, self.threads, self.rounds = frameworks, threads, rounds
        self.only = [part.lower() for part in only]
        self.failures: dict[str, str] = {}
        self.limits = machine.Limits(threads)
        self.patience = PATIENCE
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the frameworks' processes; the next work starts new ones."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def wants(self, title: str) -> bool:
        """Whether a row is to be measured."""
        return not self.only or any(part in title.lower() for part in self.only)

    def prepare(self, subject: str, frameworks: list[str] | None = None, **arguments: Any) -> dict[str, Result]:
        """Have each framework set up the work.  Returns what each says of it; those that fail are left out."""
        answers: dict[str, Result] = {}
        self.failures = {}
        for framework in self.frameworks:
            if frameworks is not None and framework not in frameworks:
                continue
            try:
                if framework not in self._workers:
                    self._workers[framework] = Worker(framework, self.threads)
                answers[framework] = self._workers[framework].ask(do="prepare", subject=subject, arguments=arguments)
            except WorkFailedError as error:
                self._give_up(framework, error)
        return answers

    def _give_up(self, framework: str, error: WorkFailedError) -> None:
        """Say that a framework cannot do the work."""
        print(f"  {framework} failed: {error}", file=sys.stderr)
        self.failures[framework] = str(error).strip().splitlines()[-1]
        if framework in self._workers and "ended" in str(error):
            self._workers.pop(framework).close()

    def measure(self, frameworks: list[str], rounds: int | None = None) -> tuple[dict[str, list[Result]], bool]:
        """Rounds of one measurement each.  Returns them, and whether others disturbed any that was kept.

        Frameworks that fail are left out.  The arithmetic peak (``"flops"``) and the memory bandwidth
        (``"bytes"``) are measured in the same rounds, under ``"limits"``.
        """
        found: dict[str, list[Result]] = {framework: [] for framework in [*frameworks, "limits"]}
        disturbed = False
        for turn in range(self.rounds if rounds is None else min(rounds, self.rounds)):
            k = turn % max(len(frameworks), 1)  # nobody always follows the same one
            for framework in [*frameworks[k:], *frameworks[:k]]:
                if framework not in found:
                    continue
                try:
                    answer, quiet = self._quietly(framework)
                except WorkFailedError as error:
                    self._give_up(framework, error)
                    del found[framework]
                    continue
                found[framework].append(answer)
                disturbed |= not quiet
            answer, quiet = self._quietly("limits")
            found["limits"].append(answer)
            disturbed |= not quiet
        return found, disturbed

    def _measure_limits(self) -> Result:
        return {"flops": self.limits.flops(0.1), "bytes": self.limits.bytes_per_second()}

    def wait(self) -> None:
        """Wait until the machine is quiet, as long as there is patience left."""
        started = time.monotonic()
        machine.wait_for_quiet(FOREIGN, min(10.0, self.patience))
        self.patience = max(0.0, self.patience - (time.monotonic() - started))

    def _quietly(self, framework: str) -> tuple[Result, bool]:
        """The least disturbed of up to ``REPEATS`` measurements, and whether it was quiet enough."""
        best: tuple[float, Result] | None = None
        for _ in range(REPEATS):
            self.wait()
            time.sleep(SETTLE)
            before, own, started = machine.busy_seconds(), time.process_time(), time.perf_counter()
            answer = self._measure_limits() if framework == "limits" else self._workers[framework].ask(do="measure")
            elapsed = time.perf_counter() - started
            share = machine.foreign(before, answer.get("cpu", 0.0) + time.process_time() - own, elapsed)
            if best is None or share < best[0]:
                best = share, answer
            if best[0] <= FOREIGN or not self.patience:
                break
            self.patience = max(0.0, self.patience - elapsed)
        assert best is not None
        return best[1], best[0] <= FOREIGN


def median(results: list[Result], name: str) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(result[name] for result in results)
