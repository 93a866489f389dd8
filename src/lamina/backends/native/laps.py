"""Timing kernels from inside a run: every thread reads a clock after each of its kernels and after each barrier."""

from __future__ import annotations

import ctypes
import platform
import time
from typing import Any

import numpy as np

from lamina.backends.native.emit import Function
from lamina.backends.native.threads import MAX_THREADS

# Cycle counters of ARM CPUs are not for user programs to read; their steady counters are.
CLOCK = "steadycounter" if platform.machine().lower() in ("aarch64", "arm64") else "cyclecounter"

# A thread's row holds its last reading, then the sum of what passed before each kind of reading.
LAP_IR = f"""
define internal void @lamina_lap(ptr %row, i64 %which) noinline nounwind {{
  %now = call i64 @llvm.read{CLOCK}()
  %last = load i64, ptr %row, align 8
  %slot = getelementptr i64, ptr %row, i64 %which
  %before = load i64, ptr %slot, align 8
  %spent = sub i64 %now, %last
  %sum = add i64 %before, %spent
  store i64 %sum, ptr %slot, align 8
  store i64 %now, ptr %row, align 8
  ret void
}}

define void @lamina_clock(ptr %out) nounwind {{
  %now = call i64 @llvm.read{CLOCK}()
  store i64 %now, ptr %out, align 8
  ret void
}}
"""


class LapWriter:
    """Writes the readings into the SPMD function: one row of sums for each thread.

    Args:
        f: the function, whose parameters are ``table`` and ``tid``.
        entry: which entry of the table points to the rows.
        kinds: how many sums a row has.
    """

    def __init__(self, f: Function, entry: int, kinds: int) -> None:
        self.f = f
        rows = f.v(f"load ptr, ptr {f.address('%table', entry, 'i64')}, align 8")
        self.row = f.address(rows, f.imul("%tid", row_length(kinds)), "i64")
        self.lap(0)

    def lap(self, which: int) -> None:
        """Add the time since the last reading to sum ``which``; 0 only starts the clock."""
        self.f.e(f"call void @lamina_lap(ptr {self.row}, i64 {which})")


def row_length(kinds: int) -> int:
    """Words of a row: the last reading and the sums, rounded up to cache lines of its own."""
    return -(-(1 + kinds) // 16) * 16


class Laps:
    """The rows of all threads.

    Args:
        module: the loaded module that ``LAP_IR`` is part of.
        kinds: how many sums a row has.
    """

    def __init__(self, module: Any, kinds: int) -> None:
        self.kinds = kinds
        self._rows = np.zeros((MAX_THREADS, row_length(kinds)), np.int64)
        self._clock = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(module.address("lamina_clock"))

    @property
    def address(self) -> int:
        """Where the rows begin."""
        return self._rows.ctypes.data

    def start(self) -> None:
        """Forget all sums."""
        self._rows[:] = 0
        self._started = self._moment()

    def stop(self) -> tuple[np.ndarray, float]:
        """The sums since ``start`` in seconds, a row for each thread that ran, and how long it all took."""
        ticks, seconds = self._moment()
        elapsed = seconds - self._started[1]
        rate = elapsed / max(1, ticks - self._started[0])
        used = int(np.count_nonzero(self._rows[:, 0]))
        return self._rows[:used, 1 : 1 + self.kinds] * rate, elapsed

    def _moment(self) -> tuple[int, float]:
        """The counter and the seconds of one moment: the closest of some pairs: a thread may lose its core."""
        out, found = ctypes.c_int64(), []
        for _ in range(5):
            before = time.perf_counter()
            self._clock(ctypes.addressof(out))
            after = time.perf_counter()
            found.append((after - before, out.value, after))
        _, ticks, seconds = min(found)
        return ticks, seconds
