"""How the arrays of Variables lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

ndarray = np.ndarray

PITCH_LANES = 16  # storage rows are padded to whole vectors of 16 float32 lanes


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
    raw = np.zeros(rows * pitch * dtype.itemsize + 128, np.uint8)
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
