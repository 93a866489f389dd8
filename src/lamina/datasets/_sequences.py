"""What IMDB and Reuters share: texts as numbers of words, and files with the number of each word."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.datasets.files import RemoteFile, find_files

MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets",)


def one_file(dataset: str, path: str | os.PathLike[str], file: RemoteFile) -> Path:
    """The path of a data set's file: the published one, unless ``path`` names another.

    Raises:
        MissingDataError: the published file is not here and cannot be downloaded.
        FileNotFoundError: ``path`` names a file that does not exist.
    """
    if str(path) == file.name:
        return find_files(dataset, [file], MIRRORS, in_root=True)[0]
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}. Leave `path` out to use the published {file.name}.")
    return Path(path)


def keras_order(seed: int) -> np.random.RandomState:
    """The generator with which Keras shuffles: for one seed the same order."""
    return np.random.RandomState(seed)


def shuffled(
    rows: Sequence[Any], labels: np.ndarray, rng: np.random.RandomState, where: str
) -> tuple[list[Any], np.ndarray]:
    """Rows and labels in a new order.

    Raises:
        DataError: there is not one label for each row.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(rows):
        raise DataError(f"{where}: {len(rows):,} texts, and labels {labels.dtype} {labels.shape}.")
    order = np.arange(len(rows))
    rng.shuffle(order)
    return [rows[i] for i in order.tolist()], labels[order]


def marked(rows: Sequence[list[int]], start_char: int | None, index_from: int) -> list[list[int]]:
    """Numbers moved up by ``index_from``, behind ``start_char``."""
    if start_char is not None:
        return [[start_char, *[w + index_from for w in row]] for row in rows]
    return [[w + index_from for w in row] for row in rows]


def shorter(rows: list[list[int]], labels: np.ndarray, maxlen: int | None) -> tuple[list[list[int]], np.ndarray]:
    """Only the rows with fewer than ``maxlen`` numbers."""
    if not maxlen:
        return rows, labels
    kept = [i for i, row in enumerate(rows) if len(row) < maxlen]
    if not kept:
        raise ArgumentError(f"No text is shorter than maxlen={maxlen}. Choose a larger one.")
    return [rows[i] for i in kept], labels[kept]


def limited(rows: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None) -> list[list[int]]:
    """Numbers from ``skip_top`` up to ``num_words``; ``oov_char`` in place of the others, or nothing.

    Without ``num_words`` the limit is the largest number itself, which is left out too: so does Keras.
    """
    limit = num_words or max((max(row) for row in rows if row), default=0)
    if oov_char is None:
        return [[w for w in row if skip_top <= w < limit] for row in rows]
    return [[w if skip_top <= w < limit else oov_char for w in row] for row in rows]


def as_objects(rows: Sequence[list[int]]) -> np.ndarray:
    """An array of lists."""
    array = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        array[i] = row
    return array


def read_word_index(path: Path) -> dict[str, int]:
    """The number of each word, from a JSON file.

    Raises:
        FileFormatError: the file is something else.
    """
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: not a JSON file ({error}). Download it again.") from error
    if not isinstance(index, dict) or not all(type(number) is int for number in index.values()):
        raise FileFormatError(f"{path}: expected words with their numbers.")
    return index
