"""What this machine can do at most: multiplications with additions, and bytes read from memory, in a second."""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

import numpy as np

from lamina.backends.native import target as targets
from lamina.backends.native import threads as pool
from lamina.backends.native.cache import make_key, object_cache
from lamina.backends.native.emit import Function, vector_type
from lamina.core.errors import ArgumentError

# Measurements are short and many and the best one counts, so that other work on the machine hardly matters.
MULTIPLY_SECONDS = 1.5e-4
ROUNDS = 100
PATIENCE_SECONDS = 0.5  # to find all cores free
READ_BYTES = 4 << 20  # by each thread at a time
PARTS = 24  # of the memory, which together lie well beyond the caches
SPMD = [("ptr", "args"), ("i64", "tid"), ("i64", "nt"), ("ptr", "ctx")]


class Peak(NamedTuple):
    """Measured limits of some threads together."""

    flops: float  # float32 operations a second; a multiplication with an addition is two
    bytes: float  # bytes a second that are read from main memory

    def flops_for(self, itemsize: int) -> float:
        """The limit for floats of another size: a vector holds half as many float64 as float32."""
        return self.flops * 4 / max(itemsize, 4)


@functools.cache
def measure_peak(threads: int) -> Peak:
    """Measure what ``threads`` threads can do together; once in a process, for some tenths of a second."""
    if threads not in (1, pool.get_num_threads()):
        raise ArgumentError(f"Kernels run on 1 or {pool.get_num_threads()} threads here, not on {threads}.")
    target = targets.host()
    lanes, accumulators = target.lanes(np.float32), 20 if target.registers >= 32 else 12
    text = _multiply(lanes, accumulators) + _read(lanes)
    key = make_key("peak", target.key, text)
    content = object_cache().get(key)
    if content is None:
        content = targets.compile_object(text, target)
        object_cache().put(key, content)
    module = targets.load_object(content, target)
    arguments = np.zeros(2 + 2 * lanes, np.int64)
    arguments[2:].view(np.float32)[:] = 0.5

    def seconds(name: str) -> float:
        start = time.perf_counter()
        pool.run(module.address(name), arguments.ctypes.data, threads)
        return time.perf_counter() - start

    arguments[0] = 1000
    while min(seconds("peak_multiply") for _ in range(4)) < MULTIPLY_SECONDS:
        arguments[0] *= 2
    fastest = min(seconds("peak_multiply") for _ in range(ROUNDS))
    if threads > 1:  # cores that others use look slow: try on until all are about as fast as one
        until = time.perf_counter() + PATIENCE_SECONDS
        alone = 2.0 * lanes * accumulators * int(arguments[0]) / measure_peak(1).flops
        while fastest > 1.1 * alone and time.perf_counter() < until:
            fastest = min(fastest, seconds("peak_multiply"))
    flops = 2.0 * lanes * accumulators * int(arguments[0]) * threads / fastest
    memory = np.ones((PARTS, threads * READ_BYTES // 4), np.float32)
    arguments[0] = READ_BYTES // (16 * lanes)
    best = np.inf
    for part in [*memory, *memory, *memory]:
        arguments[1] = part.ctypes.data
        best = min(best, seconds("peak_read"))
    return Peak(flops, READ_BYTES * threads / best)


def _multiply(lanes: int, accumulators: int) -> str:
    """``a = a * x + x`` on independent registers; x = 0.5, so that a stays finite."""
    f = Function("peak_multiply", SPMD, lanes, internal=False)
    kind = vector_type("float", lanes)
    count = f.v("load i64, ptr %args, align 8")
    x = f.v(f"load {kind}, ptr {f.address('%args', 2, 'i64')}, align 4")

    def body(_: str | int, a: list[str]) -> list[str]:
        return [f.v(f"call {kind} @llvm.fmuladd.v{lanes}f32({kind} {v}, {kind} {x}, {kind} {x})") for v in a]

    return _kept(f, kind, f.loop(0, count, 1, body, [(kind, x)] * accumulators))


def _read(lanes: int) -> str:
    """The sum of a thread's part of memory, four vectors at a time."""
    f = Function("peak_read", SPMD, lanes, internal=False)
    kind = vector_type("float", lanes)
    count = f.v("load i64, ptr %args, align 8")
    memory = f.v(f"load ptr, ptr {f.address('%args', 1, 'i64')}, align 8")
    mine = f.address(memory, f.imul("%tid", READ_BYTES // 4), "float")

    def body(i: str | int, sums: list[str]) -> list[str]:
        start = f.imul(i, 4 * lanes)
        parts = [
            f.v(f"load {kind}, ptr {f.address(mine, f.iadd(start, j * lanes), 'float')}, align 4") for j in range(4)
        ]
        return [f.v(f"fadd {kind} {s}, {p}") for s, p in zip(sums, parts, strict=True)]

    return _kept(f, kind, f.loop(0, count, 1, body, [(kind, "zeroinitializer")] * 4))


def _kept(f: Function, kind: str, values: list[str]) -> str:
    """Store the sum of the results, or they would be computed for nothing."""
    total = values[0]
    for value in values[1:]:
        total = f.v(f"fadd {kind} {total}, {value}")
    place = f.v(f"alloca {kind}, align 64")
    f.e(f"store volatile {kind} {total}, ptr {place}, align 64")
    return f.text().replace(" #0 {", " nounwind {")
