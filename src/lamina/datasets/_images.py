"""What MNIST and Fashion-MNIST share: four IDX files of 28x28 grey images and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lamina.core.errors import DataError
from lamina.datasets import idx
from lamina.datasets.files import RemoteFile, find_files

Split = tuple[np.ndarray, np.ndarray]


def load_images(
    dataset: str, files: Sequence[RemoteFile], mirrors: Sequence[str], in_root: bool = False
) -> tuple[Split, Split]:
    """``(x_train, y_train), (x_test, y_test)`` from the four files, in that order."""
    paths = find_files(dataset, files, mirrors, in_root)
    return read_pair(*paths[:2]), read_pair(*paths[2:])


def read_pair(images_path: Path, labels_path: Path) -> Split:
    """Images and the labels that go with them."""
    return check_pair(idx.read(images_path), idx.read(labels_path), str(images_path), str(labels_path))


def check_pair(images: np.ndarray, labels: np.ndarray, images_path: str, labels_path: str) -> Split:
    """The images and labels, if they can belong together.

    Raises:
        DataError: they do not.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"{images_path}: expected images uint8 (n, rows, columns), got {images.dtype} {images.shape}.")
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise DataError(f"{labels_path}: expected labels uint8 (n,), got {labels.dtype} {labels.shape}.")
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} holds {len(images):,} images and {labels_path} holds {len(labels):,} labels. "
            "They are not of the same set."
        )
    if labels.size and labels.max() > 9:
        row = int(labels.argmax())
        raise DataError(f"{labels_path}: label {labels[row]} in row {row}; the classes are 0 to 9.")
    return images, labels
