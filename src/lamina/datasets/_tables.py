"""What the housing data sets share: a table of numbers and a target, shuffled and split as Keras does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.datasets._object_arrays import read_npz
from lamina.datasets._sequences import keras_order

Split = tuple[np.ndarray, np.ndarray]


def check_split(test_split: float) -> None:
    """``ArgumentError`` unless it is a share from 0 up to, and without, 1."""
    if not 0 <= test_split < 1:
        raise ArgumentError(f"test_split is a share from 0 up to, and without, 1; got {test_split!r}.")


def read_table(path: Path, columns: int) -> Split:
    """The arrays ``x`` and ``y`` of a file.

    Raises:
        FileFormatError: the file is damaged.
        DataError: ``x`` has not so many columns, or there is not one target for each row.
    """
    arrays = read_npz(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != columns or x.dtype.kind != "f":
        raise DataError(f"{path}: x should be floats (n, {columns}), got {getattr(x, 'shape', 'lists')}.")
    if not isinstance(y, np.ndarray) or y.shape != (len(x),):
        raise DataError(f"{path}: {len(x):,} rows in x, and y has shape {getattr(y, 'shape', 'of lists')}.")
    return x, y


def split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int) -> tuple[Split, Split]:
    """Shuffled, then the last rows for testing: for one seed the same rows as Keras's."""
    order = np.arange(len(x))
    keras_order(seed).shuffle(order)
    x, y = x[order], y[order]
    cut = int(len(x) * (1 - test_split))
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])
