"""Where the arrays of Variables lie."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from lamina.core import storage

only_with_large_pages = pytest.mark.skipif(
    not storage.LARGE_PAGES,
    reason="Variables are cut from blocks only on Linux, where a program can ask for large pages",
)


@only_with_large_pages
def test_storage_is_cut_from_blocks() -> None:
    blocks = storage._Blocks()
    sizes = [100, 20_000, 3 << 20, 5 << 20, 70_000, 40 << 20, 20_001, 9 << 20, 16 << 10]
    cuts = [blocks.zeros(n) for n in sizes]
    for n, cut in zip(sizes, cuts, strict=True):
        assert cut.shape == (n,) and cut.flags.writeable and not cut.any()
        cut[:] = 1 + n % 7
    for n, cut in zip(sizes, cuts, strict=True):  # nobody has written over another
        assert (cut == 1 + n % 7).all()
        assert not isinstance(cut.base, np.ndarray)
    starts = [cut.ctypes.data for cut in cuts[1:]]
    assert all(start % 64 == 0 for start in starts)
    assert starts[2] % storage.LARGE_PAGE == starts[4] % storage.LARGE_PAGE == 0


def test_what_does_not_fit_is_a_memory_error() -> None:
    for size in (1 << 50, 1 << 70):
        with pytest.raises((MemoryError, ValueError, OverflowError)):
            storage._Blocks().zeros(size)


@only_with_large_pages
def test_a_block_goes_with_the_last_array_in_it() -> None:
    blocks = storage._Blocks()
    first = blocks.zeros(1 << 20)
    block = weakref.ref(blocks._open.obj)
    second = blocks.zeros(1 << 20)
    blocks.zeros(storage.BLOCK_BYTES)
    blocks.zeros(storage.BLOCK_BYTES - 64)
    blocks._open = b""
    del first
    gc.collect()
    assert block() is not None
    del second
    gc.collect()
    assert block() is None
