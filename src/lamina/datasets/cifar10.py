"""CIFAR-10: 60,000 colour photographs of 32x32 pixels in ten classes (Krizhevsky, 2009)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from lamina import config
from lamina.core.errors import DataError, FileFormatError
from lamina.core.limits import NUMPY_ERRORS
from lamina.datasets._archives import read_members
from lamina.datasets.files import RemoteFile

Split = tuple[np.ndarray, np.ndarray]

MIRRORS = ("https://www.cs.toronto.edu/~kriz",)
# The binary version: unlike the one for Python it holds no pickles.  SHA-256 as stated by several
# independent projects that download it.
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
)
TRAIN_FILES = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("cifar-10-batches-bin/test_batch.bin",)
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue pixels


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """CIFAR-10: 50,000 photographs to train and 10,000 to test.

    The archive, or its files unpacked, is looked for in the subfolder ``cifar10`` of the folder that the
    environment variable ``LAMINA_DATA`` names, then in the cache, and is downloaded into the cache otherwise.

    Args:
        path: instead, a file ``.npz`` with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``:
            a part of the set, for instance.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 32, 32, 3)``, or ``(n, 3, 32, 32)``
        where ``lamina.config.image_data_format()`` is ``"channels_first"``, and labels uint8 ``(n, 1)`` from
        0 to 9, whose names are in ``CLASS_NAMES``.

    Raises:
        MissingDataError: the archive is not here and cannot be downloaded; it says what to put where.
        FileFormatError: a file is damaged.
        DataError: images and labels do not belong together.
    """
    if path is not None:
        train, test = _from_npz(path)
        return _in_format(train), _in_format(test)
    files = read_members("cifar10", ARCHIVE, MIRRORS, [*TRAIN_FILES, *TEST_FILES])
    return _in_format(_parse(files[: len(TRAIN_FILES)])), _in_format(_parse(files[len(TRAIN_FILES) :]))


def _in_format(split: Split) -> Split:
    """With the channels where the configuration says."""
    images, labels = split
    if config.image_data_format() == "channels_first":
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images, labels


def _parse(files: Sequence[tuple[str, bytes]]) -> Split:
    """Images and labels from the records of some files."""
    images, labels = [], []
    for where, content in files:
        if not content or len(content) % RECORD:
            raise FileFormatError(
                f"{where}: {len(content):,} bytes are no whole number of records of {RECORD:,} bytes. "
                "Download the archive again."
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        labels.append(_checked(records[:, 0].copy(), where))
        images.append(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return np.concatenate(images), np.concatenate(labels)[:, None]


def _from_npz(path: str | os.PathLike[str]) -> tuple[Split, Split]:
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise FileFormatError(f"{path} has no array {missing[0]!r}; it needs {', '.join(names)}.")
            x_train, y_train, x_test, y_test = (file[name] for name in names)
    except FileNotFoundError:
        raise
    except NUMPY_ERRORS as error:
        raise FileFormatError(f"{path}: not a readable .npz file ({error}).") from error
    pairs = []
    for x, y, part in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != (32, 32, 3):
            raise DataError(f"{path}: x_{part} should be uint8 (n, 32, 32, 3), got {x.dtype} {x.shape}.")
        if y.size != len(x) or y.dtype.kind not in "iu":
            raise DataError(f"{path}: {len(x):,} images in x_{part}, and y_{part} is {y.dtype} {y.shape}.")
        pairs.append((x, _checked(y.reshape(-1), f"{path}: y_{part}").astype(np.uint8)[:, None]))
    return pairs[0], pairs[1]


def _checked(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.size and (labels.max() > 9 or labels.min() < 0):
        row = int(((labels > 9) | (labels < 0)).argmax())
        raise DataError(f"{where}: label {labels[row]} in row {row}; the classes are 0 to 9.")
    return labels
