"""How the arrays of Variables lie in memory."""

from __future__ import annotations

import mmap
import os
import threading
from contextlib import suppress
from typing import Any

import numpy as np

ndarray = np.ndarray

PITCH_LANES = 16  # storage rows are padded to whole vectors of 16 float32 lanes
LARGE_PAGE = 2 << 20
BLOCK_BYTES = 8 << 20  # of zeros that arrays of many Variables are cut from
LEAST_CUT = 16 << 10  # bytes; smaller arrays are left to NumPy
MOST_SHARED = 32 << 20  # bytes; what small arrays may keep from being freed by lying beside it
LARGE_PAGES = hasattr(mmap, "MADV_HUGEPAGE")


def padded_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> ndarray:
    """Zeros whose rows start at whole vectors, 64-byte aligned; its ``base`` holds this one array.

    Compiled steps work on variables in place, so variables are stored as the native backend
    wants to read them: the rows of a matrix padded to a multiple of 16 elements, and by 16 more
    where the row would be a multiple of 2 KiB (such strides collide in the caches).
    """
    columns = shape[-1] if shape else 1
    pitch = row_pitch(columns, dtype.itemsize) if len(shape) == 2 else columns
    rows = 1
    for d in shape[:-1]:
        rows *= d
    raw = _blocks.zeros(rows * pitch * dtype.itemsize + 128)
    start = -raw.ctypes.data % 64
    flat = raw[start : start + rows * pitch * dtype.itemsize].view(dtype)
    return flat.reshape((*shape[:-1], pitch))[..., :columns] if shape else flat[0:1].reshape(())


def row_pitch(columns: int, itemsize: int) -> int:
    """Elements from one stored row to the next."""
    if columns < 8:
        return max(columns, 1)
    pitch = -(-columns // PITCH_LANES) * PITCH_LANES
    if pitch * itemsize % 2048 == 0:
        pitch += PITCH_LANES
    return pitch


class _Blocks:
    """Zeros for Variables, cut one after the other from blocks of large pages.

    The first write to a page of 4 KiB interrupts the program for microseconds, which for weights and an
    optimizer's state took a third of the first step; large pages are 512 of them at a time.  A block is
    freed when nothing that was cut from it is left.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Any = b""  # the block of which there is most left
        self._used = 0

    def zeros(self, size: int) -> ndarray:
        """So many bytes of zeros, as an array whose ``base`` is no array."""
        if size < LEAST_CUT or not LARGE_PAGES:
            return np.zeros(size, np.uint8)
        with self._lock:
            block, start = self._open, self._used
            if start + size > len(block):
                try:
                    block, start = _block(max(size, BLOCK_BYTES)), 0
                except (OSError, OverflowError, ValueError):  # too large: NumPy says so as it always does
                    return np.zeros(size, np.uint8)
            end = start + -(-size // 64) * 64
            if size <= MOST_SHARED and (block is self._open or len(block) - end > len(self._open) - self._used):
                self._open, self._used = block, end
        return np.frombuffer(block[start : start + size], np.uint8)


def _block(size: int) -> memoryview:
    """Zeros that begin and end with a large page."""
    size = -(-size // LARGE_PAGE) * LARGE_PAGE
    pages = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # the system has none
        pages.madvise(mmap.MADV_HUGEPAGE)
    start = -np.frombuffer(pages, np.uint8).ctypes.data % LARGE_PAGE
    return memoryview(pages)[start : start + size]


def _after_fork() -> None:
    """Another thread may have held the lock when this process came into being."""
    global _blocks
    _blocks = _Blocks()


_blocks = _Blocks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
