"""Reuters: 11,228 newswires of 1987 under 46 topics (Reuters-21578), as the numbers of words that come with Keras."""

from __future__ import annotations

import os

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.datasets._object_arrays import read_npz
from lamina.datasets._sequences import (
    as_objects,
    keras_order,
    limited,
    marked,
    one_file,
    read_word_index,
    shorter,
    shuffled,
)
from lamina.datasets.files import RemoteFile

Split = tuple[np.ndarray, np.ndarray]

FILE = RemoteFile("reuters.npz", 2_110_848, "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916")
# Of this file an MD5 is published.
WORD_INDEX = RemoteFile("reuters_word_index.json", 550_378, "4d44cc38712099c9e383dc6e5f11a921")
CLASS_NAMES = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar",
    "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp",
    "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel",
    "rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """Newswires as numbers of words, and their topics: 8,982 to train and 2,246 to test.

    The file ``reuters.npz`` is looked for in the folder that ``LAMINA_DATA`` names (in its subfolder ``reuters``,
    then in the folder itself), then in the cache, and is downloaded into it otherwise.

    Args:
        path: another file in the same format.
        num_words, skip_top, maxlen, seed, start_char, oov_char, index_from: as of ``imdb.load_data``.
        test_split: share of the newswires that is kept for testing, from 0 to 1.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: arrays of lists of integers, labels int64 ``(n,)`` from 0 to 45,
        whose names are in ``CLASS_NAMES``.

    Raises:
        ArgumentError: ``maxlen`` leaves nothing, or ``test_split`` is out of range.
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: the file is damaged, or holds something else than lists of integers (nothing of it is run).
        DataError: there is not one label for each newswire.
    """
    if not 0 <= test_split <= 1:
        raise ArgumentError(f"test_split is a share between 0 and 1, got {test_split!r}.")
    file = one_file("reuters", path, FILE)
    arrays = read_npz(file, ("x", "y"))
    rows, labels = shuffled(arrays["x"], arrays["y"], keras_order(seed), str(file))
    rows, labels = shorter(marked(rows, start_char, index_from), labels, maxlen)
    rows = limited(rows, num_words, skip_top, oov_char)
    cut = int(len(rows) * (1 - test_split))
    return (as_objects(rows[:cut]), labels[:cut]), (as_objects(rows[cut:]), labels[cut:])


def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word, 1 for the most frequent; in ``load_data`` they are larger by ``index_from``.

    Args:
        path: another file in the same format.

    Raises:
        MissingDataError: the file is not here and cannot be downloaded.
        FileFormatError: the file is damaged.
    """
    return read_word_index(one_file("reuters", path, WORD_INDEX))


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics, in the order of the labels."""
    return CLASS_NAMES
