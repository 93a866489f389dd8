"""The threads that compiled functions run on.

A compiled function is SPMD: ``void f(ptr args, i64 tid, i64 nthreads, ptr ctx)`` runs on every
thread of the pool at once, the caller being thread 0, and the threads meet at
``lamina_barrier(ctx)``.  The pool's own code (starting, waiting, barrier) is machine code as well,
emitted here.

Whoever waits first spins for some microseconds, because waking a sleeping thread costs tens of
microseconds, and then sleeps in the kernel, because spinning beside other processes takes from the
very thread that is waited for.  ``docs/decisions/0003-threads.md`` has the measurements.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lamina.backends.native.placement import Placement, cores
from lamina.core.errors import ArgumentError, UnsupportedError

MAX_THREADS = 256
# How long to spin before sleeping, in microseconds; twice as long between launches.
LEAST_SPIN_US = 3.0
MOST_SPIN_US = 50.0
# With more threads than cores the one waited for may need this very core.
CROWDED_PAUSES = 16
# How often to try with full patience again.  Threads that sleep at every barrier make each other wait for a wake-up,
# which outlasts the least patience: without this they would never find back to spinning.
RENEWAL_SECONDS = 0.02

# Byte offsets in the context, each group on cache lines of its own.
# A gate is a 32-bit phase that is waited on and, 8 bytes further, the number of sleepers.
START, BARRIER, FINISH = 0, 128, 256
ARRIVED, DONE = 384, 512
FUNCTION, ARGUMENTS, NUM_THREADS, BARRIER_CODE, LEAST, MOST = 640, 648, 656, 664, 672, 680
PATIENCE = 768
CONTEXT_BYTES = 896
OFFSETS = {
    "START": START, "BARRIER": BARRIER, "FINISH": FINISH, "ARRIVED": ARRIVED, "DONE": DONE, "FUNCTION": FUNCTION,
    "ARGUMENTS": ARGUMENTS, "NUM_THREADS": NUM_THREADS, "LEAST": LEAST, "MOST": MOST, "PATIENCE": PATIENCE,
}  # fmt: skip

# For modules that use the barrier: the code lies in the pool's object, its address in the context.
BARRIER_IR = f"""
define internal void @lamina_barrier(ptr %ctx) alwaysinline nounwind {{
  %slot = getelementptr i8, ptr %ctx, i64 {BARRIER_CODE}
  %code = load ptr, ptr %slot, align 8
  call void %code(ptr %ctx)
  ret void
}}
"""

POOL_IR = """
; Wait until the phase of a gate is no longer `old`.  Returns whether it was while spinning.
define internal i1 @wait(ptr %gate, i32 %old, i64 %limit) noinline nounwind {
entry:
  %sleepers = getelementptr i8, ptr %gate, i64 8
  br label %spin
spin:
  %n = phi i64 [0, %entry], [%more, %again]
  %phase = load atomic i32, ptr %gate acquire, align 4
  %changed = icmp ne i32 %phase, %old
  br i1 %changed, label %spun, label %still
still:
  %tired = icmp uge i64 %n, %limit
  br i1 %tired, label %sleep, label %again
again:
  {pause}
  %more = add i64 %n, 1
  br label %spin
sleep:
  ; Announced before the kernel compares the phase: who changes it then looks for sleepers, so one of
  ; the two sees the other.
  atomicrmw add ptr %sleepers, i32 1 seq_cst, align 4
  br label %asleep
asleep:
  %turn = phi i32 [0, %sleep], [%next, %woken]
  {sleep}
  br label %woken
woken:
  %next = add i32 %turn, 1
  %now = load atomic i32, ptr %gate acquire, align 4
  %same = icmp eq i32 %now, %old
  br i1 %same, label %asleep, label %leave
leave:
  atomicrmw sub ptr %sleepers, i32 1 seq_cst, align 4
  ret i1 false
spun:
  ret i1 true
}

; Wait for threads that are at work.  Who had to sleep halves the patience of all, since then the
; core is probably needed by others; each success raises it a little.
define internal void @wait_for_work(ptr %ctx, ptr %gate, i32 %old) nounwind {
entry:
  %slot = getelementptr i8, ptr %ctx, i64 {PATIENCE}
  %limit = load atomic i64, ptr %slot monotonic, align 8
  %spun = call i1 @wait(ptr %gate, i32 %old, i64 %limit)
  br i1 %spun, label %success, label %slept
success:
  %most.slot = getelementptr i8, ptr %ctx, i64 {MOST}
  %most = load i64, ptr %most.slot, align 8
  %full = icmp uge i64 %limit, %most
  br i1 %full, label %out, label %raise
raise:
  %part = lshr i64 %limit, 6
  %step = add i64 %part, 1
  %raised = add i64 %limit, %step
  store atomic i64 %raised, ptr %slot monotonic, align 8
  ret void
slept:
  %least.slot = getelementptr i8, ptr %ctx, i64 {LEAST}
  %least = load i64, ptr %least.slot, align 8
  %half = lshr i64 %limit, 1
  %lowered = call i64 @llvm.umax.i64(i64 %half, i64 %least)
  store atomic i64 %lowered, ptr %slot monotonic, align 8
  ret void
out:
  ret void
}

; Change the phase of a gate and wake who sleeps there.
define internal void @open(ptr %gate) nounwind {
entry:
  %sleepers = getelementptr i8, ptr %gate, i64 8
  atomicrmw add ptr %gate, i32 1 seq_cst, align 4
  %count = load atomic i32, ptr %sleepers seq_cst, align 4
  %some = icmp ne i32 %count, 0
  br i1 %some, label %wake, label %out
wake:
  {wake}
  br label %out
out:
  ret void
}

define void @lamina_pool_barrier(ptr %ctx) nounwind {
entry:
  %slot = getelementptr i8, ptr %ctx, i64 {NUM_THREADS}
  %threads = load i64, ptr %slot, align 8
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %out, label %arrive
arrive:
  %gate = getelementptr i8, ptr %ctx, i64 {BARRIER}
  %arrived = getelementptr i8, ptr %ctx, i64 {ARRIVED}
  ; The phase cannot change before this thread has arrived.
  %phase = load atomic i32, ptr %gate monotonic, align 4
  %before = atomicrmw add ptr %arrived, i64 1 acq_rel, align 8
  %count = add i64 %before, 1
  %last = icmp eq i64 %count, %threads
  br i1 %last, label %release, label %stay
release:
  store atomic i64 0, ptr %arrived monotonic, align 8
  call void @open(ptr %gate)
  ret void
stay:
  call void @wait_for_work(ptr %ctx, ptr %gate, i32 %phase)
  ret void
out:
  ret void
}

; What a helper thread runs until the pool is stopped.
define void @lamina_pool_worker(ptr %ctx, i64 %tid) nounwind {
entry:
  %gate = getelementptr i8, ptr %ctx, i64 {START}
  %finish = getelementptr i8, ptr %ctx, i64 {FINISH}
  %done = getelementptr i8, ptr %ctx, i64 {DONE}
  %function.slot = getelementptr i8, ptr %ctx, i64 {FUNCTION}
  %arguments.slot = getelementptr i8, ptr %ctx, i64 {ARGUMENTS}
  %threads.slot = getelementptr i8, ptr %ctx, i64 {NUM_THREADS}
  %slot = getelementptr i8, ptr %ctx, i64 {PATIENCE}
  br label %next
next:
  %old = phi i32 [0, %entry], [%phase, %work], [%phase, %last]
  %current = load atomic i64, ptr %slot monotonic, align 8
  %limit = shl i64 %current, 1
  call i1 @wait(ptr %gate, i32 %old, i64 %limit)
  %phase = load atomic i32, ptr %gate acquire, align 4
  %function = load ptr, ptr %function.slot, align 8
  %stop = icmp eq ptr %function, null
  br i1 %stop, label %out, label %work
work:
  %arguments = load ptr, ptr %arguments.slot, align 8
  %threads = load i64, ptr %threads.slot, align 8
  call void %function(ptr %arguments, i64 %tid, i64 %threads, ptr %ctx)
  %before = atomicrmw add ptr %done, i64 1 acq_rel, align 8
  %count = add i64 %before, 2
  %all = icmp eq i64 %count, %threads
  br i1 %all, label %last, label %next
last:
  call void @open(ptr %finish)
  br label %next
out:
  ret void
}

; Run a function on all threads; the caller is thread 0.  Before, it may have something to prepare.
define void @lamina_pool_launch(ptr %ctx, ptr %function, ptr %arguments, ptr %prepare) nounwind {
entry:
  %prepared = icmp eq ptr %prepare, null
  br i1 %prepared, label %start, label %first
first:
  call void %prepare(ptr %arguments)
  br label %start
start:
  %threads.slot = getelementptr i8, ptr %ctx, i64 {NUM_THREADS}
  %threads = load i64, ptr %threads.slot, align 8
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %single, label %team
single:
  call void %function(ptr %arguments, i64 0, i64 1, ptr %ctx)
  ret void
team:
  %gate = getelementptr i8, ptr %ctx, i64 {START}
  %finish = getelementptr i8, ptr %ctx, i64 {FINISH}
  %done = getelementptr i8, ptr %ctx, i64 {DONE}
  %function.slot = getelementptr i8, ptr %ctx, i64 {FUNCTION}
  %arguments.slot = getelementptr i8, ptr %ctx, i64 {ARGUMENTS}
  store ptr %function, ptr %function.slot, align 8
  store ptr %arguments, ptr %arguments.slot, align 8
  store atomic i64 0, ptr %done monotonic, align 8
  %phase = load atomic i32, ptr %finish monotonic, align 4
  call void @open(ptr %gate)
  call void %function(ptr %arguments, i64 0, i64 %threads, ptr %ctx)
  call void @wait_for_work(ptr %ctx, ptr %finish, i32 %phase)
  ret void
}

; Let the helper threads return.  Nothing may be running.
define void @lamina_pool_stop(ptr %ctx) nounwind {
entry:
  %gate = getelementptr i8, ptr %ctx, i64 {START}
  %function.slot = getelementptr i8, ptr %ctx, i64 {FUNCTION}
  store ptr null, ptr %function.slot, align 8
  call void @open(ptr %gate)
  ret void
}

; To measure how long a pause takes.
define void @lamina_pool_pause(i64 %times) nounwind {
entry:
  br label %again
again:
  %n = phi i64 [0, %entry], [%more, %again]
  {pause}
  %more = add i64 %n, 1
  %go = icmp ult i64 %more, %times
  br i1 %go, label %again, label %out
out:
  ret void
}
"""

# Futex calls by machine: the number of the system call; 128 and 129 are the private wait and wake.
FUTEX = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98}
PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "amd64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
    "arm64": "call void @llvm.aarch64.hint(i32 1)",
}


def pool_text(machine: str, system: str) -> str:
    """The LLVM IR text of the pool's code for a machine (``"x86_64"``) and a system (``"linux"``)."""
    pause = PAUSE.get(machine)
    if pause is None:
        raise UnsupportedError(f"The native backend has no code for {machine!r} CPUs. Use backend='eager'.")
    declarations = ""
    if system == "linux":
        call = f"call i64 (i64, ...) @syscall(i64 {FUTEX[machine]}, ptr %gate, "
        sleep = call + "i64 128, i32 %old, i64 0, i64 0, i64 0)"
        wake = call + "i64 129, i32 2147483647, i64 0, i64 0, i64 0)"
        declarations = "declare i64 @syscall(i64, ...)\n"
    else:
        # Without a futex a sleeper looks again by itself, ever more seldom: after 16 us up to 1 ms.
        unit, symbol = (1000, "Sleep") if system == "win32" else (1, "usleep")
        sleep = f"""%bounded = call i32 @llvm.umin.i32(i32 %turn, i32 6)
  %time = shl i32 16, %bounded
  %units = udiv i32 %time, {unit}
  call i32 @{symbol}(i32 %units)"""
        wake = "; sleepers look again by themselves"
        declarations = f"declare i32 @{symbol}(i32)\n"
    text = POOL_IR.replace("{pause}", pause).replace("{sleep}", sleep).replace("{wake}", wake)
    for name, offset in OFFSETS.items():
        text = text.replace(f"{{{name}}}", str(offset))
    return declarations + text


class _Code:
    """The pool's functions, compiled and callable."""

    def __init__(self, text: str) -> None:
        from lamina.backends.native import cache, target

        here = target.host()
        key = cache.make_key("threads", here.key, text)
        content = cache.object_cache().get(key)
        if content is None:
            content = target.compile_object(text, here)
            cache.object_cache().put(key, content)
        self.module = target.load_object(content, here)
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        # These release the interpreter's lock while they run.
        self.launch = ctypes.CFUNCTYPE(None, *[pointer] * 4)(self.module.address("lamina_pool_launch"))
        self.worker = ctypes.CFUNCTYPE(None, pointer, integer)(self.module.address("lamina_pool_worker"))
        self.stop = ctypes.CFUNCTYPE(None, pointer)(self.module.address("lamina_pool_stop"))
        self.barrier = self.module.address("lamina_pool_barrier")
        pause = ctypes.CFUNCTYPE(None, integer)(self.module.address("lamina_pool_pause"))
        self.pauses_per_us = self._measure(pause)

    @staticmethod
    def _measure(pause: Callable[[int], None], times: int = 256) -> float:
        """Pauses per microsecond: from 7 on recent Intel CPUs to hundreds on ARM."""
        best = min(_elapsed(pause, times) for _ in range(3))
        return min(max(times / (best * 1e6), 1.0), 1000.0)


def _elapsed(function: Callable[[int], None], argument: int) -> float:
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


@functools.cache
def _code() -> _Code:
    return _Code(pool_text(platform.machine().lower(), sys.platform))


class Pool:
    """``threads - 1`` helper threads and the memory that they and the caller share.

    Args:
        threads: how many threads run a function, with the caller.
        code: the compiled functions.
    """

    def __init__(self, threads: int, code: _Code | None = None) -> None:
        self.threads = threads
        self.code = _code() if code is None else code
        self._memory = np.zeros(CONTEXT_BYTES + 128, np.uint8)
        offset = -self._memory.ctypes.data % 128
        self.context = self._memory.ctypes.data + offset
        words = self._memory[offset : offset + CONTEXT_BYTES].view(np.int64)
        least, most = (int(us * self.code.pauses_per_us) for us in (LEAST_SPIN_US, MOST_SPIN_US))
        if threads > usable_cores():
            least = most = CROWDED_PAUSES
        for place, value in (
            (NUM_THREADS, threads),
            (BARRIER_CODE, self.code.barrier),
            (LEAST, least),
            (MOST, most),
            (PATIENCE, most),
        ):
            words[place // 8] = value
        self._words, self._most = words, most
        self._renewal = 0.0
        self._helpers = [
            threading.Thread(target=self.code.worker, args=(self.context, i), name=f"lamina-{i}", daemon=True)
            for i in range(1, threads)
        ]
        for helper in self._helpers:
            helper.start()
        self._placement = Placement([helper.native_id or 0 for helper in self._helpers])

    def run(self, function: int, arguments: int, prepare: int = 0) -> None:
        """Run a function on all threads and wait for it.  One caller at a time."""
        now = time.perf_counter()
        if now >= self._renewal:
            self._words[PATIENCE // 8] = self._most
            self._renewal = now + RENEWAL_SECONDS
        placement = self._placement
        if self._words[START // 8 + 1] == 0 and not placement.crowded():  # all are awake and apart
            self.code.launch(self.context, function, arguments, prepare)
            return
        before = placement.spread()
        try:
            self.code.launch(self.context, function, arguments, prepare)
        finally:
            placement.restore(before)

    def stop(self) -> None:
        """End the helper threads.  Nothing may be running."""
        if self._helpers:
            self.code.stop(self.context)
            for helper in self._helpers:
                helper.join()
            self._helpers = []


class _Pools:
    """The pool of this process, and who may use it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None  # the thread that runs something now
        self.pool: Pool | None = None
        self.single: Pool | None = None
        self.wanted: int | None = None

    def alone(self) -> Pool:
        """A pool of one thread; it has no state, so that any number of callers may use it at once."""
        if self.single is None:
            self.single = Pool(1)
        return self.single

    def run(self, function: int, arguments: int, threads: int, prepare: int) -> None:
        if threads == 1 or self.owner == threading.get_ident():
            # The second: a function that runs on the pool has called Python, which calls again.
            self.alone().run(function, arguments, prepare)
            return
        with self.lock:
            self.owner = threading.get_ident()
            try:
                if self.pool is None or self.pool.threads != threads:
                    self.replace(threads)
                assert self.pool is not None
                self.pool.run(function, arguments, prepare)
            finally:
                self.owner = None

    def replace(self, threads: int | None) -> None:
        if self.pool is not None:
            self.pool.stop()
            self.pool = None
        if threads is not None:
            self.pool = Pool(threads)

    def stop(self, timeout: float = -1.0) -> None:
        if self.owner == threading.get_ident() or not self.lock.acquire(timeout=timeout):
            return  # still running: the threads end with the process
        try:
            self.replace(None)
        finally:
            self.lock.release()


_pools = _Pools()


def _after_fork() -> None:
    """A forked child has none of the helper threads; it starts its own when it needs them."""
    global _pools
    wanted = _pools.wanted
    _pools = _Pools()
    _pools.wanted = wanted


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pools.stop(timeout=1.0))


def run(function: int, arguments: int = 0, threads: int | None = None, prepare: int = 0) -> None:
    """Run compiled code on the threads of the pool and wait until all have returned.

    Callers from several Python threads take turns.

    Args:
        function: address of a ``void f(ptr args, i64 tid, i64 nthreads, ptr ctx)``.
        arguments: address that the function gets as ``args``.
        threads: how many; 1 runs it in the calling thread only; None for ``get_num_threads()``.
        prepare: address of a ``void p(ptr args)`` that the calling thread runs before, or 0.
    """
    _pools.run(function, arguments, get_num_threads() if threads is None else threads, prepare)


def get_num_threads() -> int:
    """How many threads compiled functions run on.

    That is what ``set_num_threads`` was given, else ``LAMINA_NUM_THREADS``, else the number of cores
    that this process may use.

    >>> get_num_threads() >= 1
    True
    """
    if _pools.wanted is not None:
        return _pools.wanted
    text = os.environ.get("LAMINA_NUM_THREADS", "").strip()
    if not text:
        return min(usable_cores(), MAX_THREADS)
    if not text.isdecimal() or not 1 <= int(text) <= MAX_THREADS:
        raise ArgumentError(f"LAMINA_NUM_THREADS must be a whole number from 1 to {MAX_THREADS}, got {text!r}.")
    return int(text)


def set_num_threads(threads: int | None) -> None:
    """Choose how many threads compiled functions run on; results do not depend on it.

    Args:
        threads: from 1 to 256; None goes back to the default.

    Raises:
        ArgumentError: the number is out of this range.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)):
            raise ArgumentError(f"The number of threads must be a whole number, got {threads!r}.")
        if not 1 <= threads <= MAX_THREADS:
            raise ArgumentError(f"The number of threads must be from 1 to {MAX_THREADS}, got {threads}.")
    _pools.wanted = None if threads is None else int(threads)
    if _pools.pool is not None and _pools.pool.threads != get_num_threads():
        _pools.stop()


@functools.cache
def usable_cores() -> int:
    """Cores that this process may use: by its affinity, without hyperthreads, within a container's quota."""
    return max(1, min(len(cores()), _quota()))


def _quota() -> int:
    """Cores' worth of time that the control group may use, rounded up."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return MAX_THREADS if limit == "max" else max(1, -(-int(limit) // int(period)))
    except (OSError, ValueError):
        return MAX_THREADS
