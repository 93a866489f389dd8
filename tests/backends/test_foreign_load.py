"""Other programs at work on the machine slow a step down by their share, no more: threads that wait give way."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.backends.native.threads import set_num_threads, usable_cores

SLOWER = 8  # twice is fair with one busy process for each core; threads that never sleep take tens of times as long
TRIES = 4


@contextmanager
def busy(processes):
    """So many processes that do nothing but count."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def step():
    """Runs training steps with many barriers on a thread for each core; returns seconds a step."""
    model = lamina.Sequential([lamina.Input((64,)), *(layers.Dense(64, "relu") for _ in range(4)), layers.Dense(3)])
    model.compile("adam", "mse")
    x, y = np.ones((64 * 200, 64), "float32"), np.ones((64 * 200, 3), "float32")

    def run():
        started = time.perf_counter()
        model.fit(x, y, batch_size=64, epochs=1, shuffle=False, verbose=0)
        return (time.perf_counter() - started) / 200

    try:
        set_num_threads(max(2, usable_cores()))
        run()
        yield run
    finally:
        set_num_threads(None)


@pytest.mark.slow
def test_busy_processes_cost_their_share(step):
    ratios = []
    for _ in range(TRIES):
        alone = min(step() for _ in range(5))
        with busy(usable_cores()):
            beside = sorted(step() for _ in range(5))[2]
        ratios.append(beside / alone)
        if ratios[-1] < SLOWER:
            return
    raise AssertionError(f"beside busy processes a step took {ratios} times as long")


@pytest.mark.slow
def test_more_threads_than_cores_do_not_stall(step):
    alone = min(step() for _ in range(5))
    set_num_threads(4 * usable_cores())
    step()
    assert min(step() for _ in range(5)) < 40 * alone
