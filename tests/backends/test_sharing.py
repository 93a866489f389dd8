"""Every chunk is computed once, whoever comes late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lamina.backends.native import threads
from lamina.backends.native.emit import ATTRIBUTES, Function
from lamina.backends.native.sharing import SHARE_IR, Shared, Sharing, row_bytes
from lamina.backends.native.target import Module, compile_object, host, load_object

CHUNKS = (37, 8, 3)  # of the kernels; the last has fewer than threads
ROUNDS = 20

# A kernel counts its chunks in words of its own.  The first chunk of the first kernel takes long.
KERNEL = """
define internal void @{name}(ptr %counts, i64 %c0, i64 %c1) nounwind {{
entry:
  br label %chunk
chunk:
  %c = phi i64 [%c0, %entry], [%c.next, %done]
  %p = getelementptr i64, ptr %counts, i64 %c
  atomicrmw add ptr %p, i64 1 monotonic, align 8
  %first = icmp eq i64 %c, 0
  %slow = and i1 %first, {slow}
  br i1 %slow, label %work, label %done
work:
  %n = phi i64 [0, %chunk], [%n1, %work]
  %x = load volatile i64, ptr %counts
  %n1 = add i64 %n, 1
  %more = icmp ult i64 %n1, 200000
  br i1 %more, label %work, label %done
done:
  %c.next = add i64 %c, 1
  %again = icmp ult i64 %c.next, %c1
  br i1 %again, label %chunk, label %out
out:
  ret void
}}
"""


def module() -> Module:
    """``main(args, tid, nt, ctx)``: args hold the claims, then the words of each kernel."""
    f = Function("main", [("ptr", "args"), ("i64", "tid"), ("i64", "nt"), ("ptr", "ctx")], 1, False)
    claims, *words = (f.v(f"load ptr, ptr {f.address('%args', i, 'i64')}") for i in range(1 + len(CHUNKS)))
    sharing = Sharing(f, claims, len(CHUNKS))
    kernels = [Shared(f"k{i}", words[i], n, i) for i, n in enumerate(CHUNKS)]

    def phase(_: str | int, __: list[str]) -> None:
        for kernel in kernels:
            sharing.own(kernel)
        for kernel in kernels:
            sharing.help(kernel)
        f.e("call void @lamina_barrier(ptr %ctx)")
        sharing.clear(kernels)

    f.loop(0, ROUNDS, 1, phase)
    texts = [KERNEL.format(name=f"k{i}", slow="true" if i == 0 else "false") for i in range(len(CHUNKS))]
    text = "\n".join([threads.BARRIER_IR, SHARE_IR, *texts, f.text(), ATTRIBUTES.format(bits=128)])
    return load_object(compile_object(text, host()))


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    threads.set_num_threads(None)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_every_chunk_once(count: int) -> None:
    loaded = module()
    threads.set_num_threads(count)
    claims = np.zeros((count, row_bytes(len(CHUNKS)) // 8), np.int64)
    words = [np.zeros(n, np.int64) for n in CHUNKS]
    arguments = np.array([claims.ctypes.data, *(w.ctypes.data for w in words)], np.int64)
    for _ in range(10):
        threads.run(loaded.address("main"), arguments.ctypes.data)
    for found in words:
        assert found.tolist() == [10 * ROUNDS] * len(found)
    assert not claims.any()  # ready for the next launch


def test_a_thread_that_does_not_come_leaves_no_work_undone() -> None:
    """Thread 0 of two runs alone up to the barrier, and has computed the other's chunks as well."""
    f = Function("main", [("ptr", "args"), ("i64", "tid"), ("i64", "nt"), ("ptr", "ctx")], 1, False)
    claims, words = (f.v(f"load ptr, ptr {f.address('%args', i, 'i64')}") for i in range(2))
    sharing = Sharing(f, claims, 1)
    kernel = Shared("k0", words, 10, 0)

    def work() -> None:
        sharing.own(kernel)
        sharing.help(kernel)

    f.when(f.v("icmp eq i64 %tid, 0"), work)
    text = "\n".join([SHARE_IR, KERNEL.format(name="k0", slow="false"), f.text(), ATTRIBUTES.format(bits=128)])
    loaded = load_object(compile_object(text, host()))
    threads.set_num_threads(2)
    counters, found = np.zeros((2, row_bytes(1) // 8), np.int64), np.zeros(10, np.int64)
    arguments = np.array([counters.ctypes.data, found.ctypes.data], np.int64)
    threads.run(loaded.address("main"), arguments.ctypes.data)
    assert found.tolist() == [1] * 10
