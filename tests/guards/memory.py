"""Executables whose every buffer lies right before or right behind a page that may not be touched.

With ``end`` each input, output, variable, constant and value of the arena (those inside of loops
too) ends where such a page begins, with ``start`` it starts where one ends.  What is left of the
buffer's own pages holds a pattern, which is checked after each run; fresh memory holds the pattern
too, which reads as NaN or as a huge number, so that a value that is used before it was computed
shows in the results.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.backends.native import program, schedule, sweep
from lamina.backends.native.schedule import ARENA
from lamina.graph.ir import Value
from lamina.graph.passes.memory import Lifetime

PAGE = mmap.PAGESIZE
PATTERN = 0xFF
PROT_NONE = 0
MODES = ("end", "start")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Region:
    """Pages of memory in which some are protected."""

    def __init__(self, pages: int) -> None:
        self.bytes = np.frombuffer(mmap.mmap(-1, pages * PAGE), np.uint8)
        self.address = self.bytes.ctypes.data

    def protect(self, page: int) -> None:
        """Let nobody read or write this page from now on."""
        if _libc.mprotect(self.address + page * PAGE, PAGE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")


class Buffer:
    """Memory of ``size`` bytes between two protected pages, at one of them.

    Args:
        size: in bytes.
        mode: ``"end"`` or ``"start"``: which end touches a protected page.
    """

    def __init__(self, size: int, mode: str) -> None:
        inner = max(1, -(-size // PAGE))
        self.region = Region(inner + 2)
        self.region.protect(0)
        self.region.protect(inner + 1)
        self.whole = self.region.bytes[PAGE : (inner + 1) * PAGE]
        self.whole[:] = PATTERN
        start = len(self.whole) - size if mode == "end" else 0
        self.inside = self.whole[start : start + size]
        self.outside = self.whole[:start] if mode == "end" else self.whole[size:]

    def check(self, what: str) -> None:
        """Nothing was written around the buffer.

        Raises:
            AssertionError: something was.
        """
        wrong = np.count_nonzero(self.outside != PATTERN)
        assert not wrong, f"{what}: {wrong} bytes were written outside of a buffer of {self.inside.size} bytes"


def extent(array: np.ndarray) -> int:
    """Bytes from an array's first element to the end of its last."""
    if array.size == 0:
        return 0
    return sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize


def plan_pages(
    buffers: list[Lifetime], mode: str, nested: Mapping[int, list[int]] | None = None
) -> tuple[list[int], int, list[int]]:
    """``plan_arena`` with pages of its own for each buffer, and which pages are to be protected.

    Args:
        buffers: the buffers.
        mode: which end touches a protected page.
        nested: by size, the protected pages inside of a buffer that is planned in this way itself.
    """
    offsets, guards, page = [], [0], 1
    for buffer in buffers:
        inside = (nested or {}).get(buffer.size)
        inner = max(1, -(-buffer.size // PAGE))
        at = page * PAGE
        offsets.append(at + inner * PAGE - buffer.size if mode == "end" and inside is None else at)
        guards += [page + g for g in inside or ()]
        page += inner
        guards.append(page)
        page += 1
    return offsets, page * PAGE, guards


class GuardedSweeper(sweep.Sweeper):
    """A loop whose own values and states have pages of their own in the memory of the loop."""

    mode = "end"

    def _place_locals(self) -> None:
        plain, guards = sweep.plan_arena, []

        def plan(buffers: list[Lifetime]) -> tuple[list[int], int]:
            offsets, size, found = plan_pages(buffers, self.mode)
            guards[:] = found
            return offsets, size

        sweep.plan_arena = plan  # type: ignore[assignment]
        try:
            super()._place_locals()
        finally:
            sweep.plan_arena = plain
        page = guards[-1] + 1
        for i, value in enumerate(self.body.inputs[: self.carried]):
            used = sweep._bytes(value)
            inner = max(1, -(-used // PAGE))
            start = page * PAGE + (inner * PAGE - used if self.mode == "end" else 0)
            self._buffers[i] = start, (inner + 1) * PAGE
            guards += [page + inner, page + 2 * inner + 1]
            page += 2 * (inner + 1)
        self.guards, self._size = guards, page * PAGE

    def scratch_size(self) -> tuple[int, int, np.dtype[np.int8]]:
        # An odd number of bytes, which no other buffer has that is as large: the plan of the arena knows it by that.
        return 1, self._size + 1, np.dtype(np.int8)


class GuardedExecutable(program.NativeExecutable):
    """A ``NativeExecutable`` whose buffers are guarded; ``mode`` is set by ``install``."""

    mode = "end"
    uses_recipes = False  # the arena is planned in another way here

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._buffers: dict[int, Buffer] = {}
        self._homes: list[tuple[np.ndarray, np.ndarray]] = []  # (array of the caller, guarded copy) to write back
        plain, guards = schedule.plan_arena, []
        nested: dict[int, list[int]] = {}

        def plan(buffers: list[Lifetime]) -> tuple[list[int], int]:
            offsets, size, found = plan_pages(buffers, self.mode, nested)
            guards[:] = found
            return offsets, size

        def sweeper(*arguments: Any) -> GuardedSweeper:
            made = GuardedSweeper(*arguments)
            nested[made.scratch_size()[1]] = made.guards
            return made

        schedule.plan_arena, program.Sweeper = plan, sweeper  # type: ignore[assignment,misc]
        try:
            super().__init__(*args, **kwargs)
        finally:
            schedule.plan_arena, program.Sweeper = plain, sweep.Sweeper  # type: ignore[misc]
        arena = Region(self._arena_bytes // PAGE)
        protected = set(guards)
        self._free = [p for p in range(self._arena_bytes // PAGE) if p not in protected]
        self._pages = arena.bytes.reshape(-1, PAGE)
        self._pages[self._free] = PATTERN
        for page in guards:
            arena.protect(page)
        self._arena = arena.bytes
        self._table[ARENA] = arena.address

    def _point(self, i: int, array: np.ndarray) -> None:
        size = extent(array)
        buffer = self._buffers.get(i)
        if buffer is None or buffer.inside.size != size:
            buffer = self._buffers[i] = Buffer(size, self.mode)
        copy = np.ndarray(array.shape, array.dtype, buffer.inside, 0, array.strides)
        kind = self.slots[i].kind
        if kind == "output":
            buffer.inside[:] = PATTERN
        else:
            copy[...] = array
        if kind in ("output", "variable"):
            self._homes.append((array, copy))
        super()._point(i, copy)

    def _run(self, inputs: Sequence[np.ndarray], times: int) -> list[np.ndarray]:
        self._homes = []
        self._pages[self._free] = PATTERN
        outputs = super()._run(inputs, times)
        for home, copy in self._homes:
            home[...] = copy
        for i, buffer in self._buffers.items():
            buffer.check(self.slots[i].kind)
        return outputs

    def _output(self, i: int, value: Value) -> np.ndarray:
        return np.empty(value.shape, value.dtype)


def install(mode: str) -> None:
    """From now on all graphs are compiled to guarded executables."""
    assert mode in MODES
    GuardedExecutable.mode = GuardedSweeper.mode = mode
    program.NativeExecutable = GuardedExecutable  # type: ignore[misc]
