"""This machine: who else is working on it, and what its arithmetic and its memory can do at most."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

READ_BYTES = 64 << 20  # per thread, well beyond the caches


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """The CPU's name and the code level that Lamina uses on it."""
    from lamina.backends.native.target import host

    name = "unknown CPU"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{name} ({host().cpu}, {host().simd})"


def busy_seconds() -> float | None:
    """CPU time that anybody has used on this machine since it started, stolen time included; None if unknown."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def foreign(before: float | None, own: float, elapsed: float) -> float:
    """How many cores others used since ``busy_seconds()`` was ``before``; 0 where that is unknown.

    Two ticks of the clock, which counts hundredths of a second, are forgiven.
    """
    now = busy_seconds()
    if before is None or now is None:
        return 0.0
    return max(0.0, now - before - own - 2 / os.sysconf("SC_CLK_TCK")) / elapsed


def wait_for_quiet(limit: float, seconds: float) -> bool:
    """Wait until others use less than ``limit`` cores, at most ``seconds``.  Returns whether they do."""
    end = time.monotonic() + seconds
    while True:
        started, before, own = time.perf_counter(), busy_seconds(), time.process_time()
        time.sleep(0.1)
        if foreign(before, time.process_time() - own, time.perf_counter() - started) <= limit:
            return True
        if time.monotonic() > end:
            return False


class Limits:
    """Small native kernels that do nothing but multiply and add, or nothing but read."""

    def __init__(self, threads: int) -> None:
        from lamina.backends.native import target

        cpu = target.host()
        self.threads = threads
        self.lanes = cpu.lanes(np.float32)
        self.accumulators = 28 if cpu.registers == 32 else 12
        text = _fma_kernel(self.lanes, self.accumulators) + _read_kernel(self.lanes)
        self._module: Any = target.load_object(target.compile_object(text, cpu), cpu)
        arguments = (ctypes.c_void_p, ctypes.c_int64)
        self._fma = ctypes.CFUNCTYPE(None, *arguments)(self._module.address("fma_kernel"))
        self._read = ctypes.CFUNCTYPE(None, *arguments)(self._module.address("read_kernel"))
        self._memory: list[np.ndarray] = []

    def flops(self, seconds: float = 0.05) -> float:
        """Floating-point operations a second with all threads, every one a multiplication and an addition."""
        constants = np.full(2 * self.lanes, 0.5, np.float32)
        count = 20_000
        while True:
            elapsed = self._timed(lambda i, n=count: self._fma(constants.ctypes.data, n))
            if elapsed >= seconds:
                return 2.0 * self.lanes * self.accumulators * count * self.threads / elapsed
            count = int(count * max(2.0, 1.1 * seconds / elapsed))

    def bytes_per_second(self) -> float:
        """Bytes a second that all threads together read from memory, one after the other."""
        while len(self._memory) < self.threads:
            self._memory.append(np.ones(READ_BYTES // 4, np.float32))
        elapsed = self._timed(lambda i: self._read(self._memory[i].ctypes.data, READ_BYTES // (16 * self.lanes)))
        return READ_BYTES * self.threads / elapsed

    def _timed(self, work: Callable[..., object]) -> float:
        """Seconds from a common start to the last thread's end."""
        barrier = threading.Barrier(self.threads + 1)
        ends = [0.0] * self.threads

        def run(i: int) -> None:
            barrier.wait()
            work(i)
            ends[i] = time.perf_counter()

        threads = [threading.Thread(target=run, args=(i,)) for i in range(self.threads)]
        for thread in threads:
            thread.start()
        barrier.wait()
        started = time.perf_counter()
        for thread in threads:
            thread.join()
        return max(ends) - started


def _fma_kernel(lanes: int, accumulators: int) -> str:
    """``a = a * x + y`` on many independent registers; x = y = 0.5, so that a stays finite."""
    vector = f"<{lanes} x float>"
    each = range(accumulators)
    lines = [f"declare {vector} @llvm.fmuladd.v{lanes}f32({vector}, {vector}, {vector})"]
    lines += ["define void @fma_kernel(ptr %p, i64 %n) {", "entry:"]
    lines += [f"  %x = load {vector}, ptr %p, align 4", f"  %q = getelementptr float, ptr %p, i64 {lanes}"]
    lines += [f"  %y = load {vector}, ptr %q, align 4", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [0, %entry], [%j, %loop]"]
    lines += [f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%b{k}, %loop]" for k in each]
    fma = f"call {vector} @llvm.fmuladd.v{lanes}f32"
    lines += [f"  %b{k} = {fma}({vector} %a{k}, {vector} %x, {vector} %y)" for k in each]
    return "\n".join([*lines, *_loop_end("b", accumulators, vector)]) + "\n"


def _read_kernel(lanes: int) -> str:
    """The sum of ``n`` groups of four vectors."""
    vector = f"<{lanes} x float>"
    lines = ["define void @read_kernel(ptr %p, i64 %n) {", "entry:", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [0, %entry], [%j, %loop]"]
    lines += [f"  %a{k} = phi {vector} [zeroinitializer, %entry], [%b{k}, %loop]" for k in range(4)]
    lines += [f"  %o = mul i64 %i, {4 * lanes}", "  %g = getelementptr float, ptr %p, i64 %o"]
    for k in range(4):
        lines.append(f"  %g{k} = getelementptr float, ptr %g, i64 {k * lanes}")
        lines.append(f"  %v{k} = load {vector}, ptr %g{k}, align 4")
        lines.append(f"  %b{k} = fadd {vector} %a{k}, %v{k}")
    return "\n".join([*lines, *_loop_end("b", 4, vector)]) + "\n"


def _loop_end(name: str, count: int, vector: str) -> list[str]:
    """Count, and store the sum of the results where the constants were, or they would be computed for nothing."""
    lines = ["  %j = add i64 %i, 1", "  %more = icmp slt i64 %j, %n", "  br i1 %more, label %loop, label %end", "end:"]
    total = f"%{name}0"
    for k in range(1, count):
        lines.append(f"  %s{k} = fadd {vector} {total}, %{name}{k}")
        total = f"%s{k}"
    return [*lines, "  %place = alloca " + vector, f"  store volatile {vector} {total}, ptr %place", "  ret void", "}"]
