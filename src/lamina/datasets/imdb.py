"""IMDB: 50,000 movie reviews, half of them favourable (Maas et al., 2011), as numbers of words and as text.

From "Learning word vectors for sentiment analysis", ACL 2011; the numbers are those that come with Keras.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from pathlib import Path

import numpy as np

from lamina.core.errors import DataError, FileFormatError
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
from lamina.datasets.files import RemoteFile, data_folders, find_files

Split = tuple[np.ndarray, np.ndarray]
TextSplit = tuple[list[str], np.ndarray]

FILE = RemoteFile("imdb.npz", 17_464_789, "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f")
# Of this file an MD5 is published.
WORD_INDEX = RemoteFile("imdb_word_index.json", 1_641_221, "bfafd718b763782e994055a2d397834f")
TEXT_MIRRORS = ("https://ai.stanford.edu/~amaas/data/sentiment",)
# SHA-256 as stated by several independent projects that download it.
TEXT_ARCHIVE = RemoteFile(
    "aclImdb_v1.tar.gz", 84_125_825, "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
)
CLASS_NAMES = ("negative", "positive")

_REVIEW = re.compile(r"(?:^|/)aclImdb/(train|test)/(neg|pos)/(\d+)_(\d+)\.txt$")


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Split, Split]:
    """Movie reviews as numbers of words, and whether they praise: 25,000 to train and 25,000 to test.

    The most frequent word has the number 1 in ``get_word_index()`` and ``1 + index_from`` here; 0 stands for no
    word and is left for padding.  The file ``imdb.npz`` is looked for in the folder that ``LAMINA_DATA`` names (in
    its subfolder ``imdb``, then in the folder itself), then in the cache, and is downloaded into it otherwise.

    Args:
        path: another file in the same format.
        num_words: keep the words with numbers below this only.
        skip_top: leave out the words with numbers below this.
        maxlen: keep the reviews with fewer numbers than this only.
        seed: of the order, which is the same as Keras's.
        start_char: the number that begins each review; ``None`` for none.
        oov_char: the number that stands for words left out; ``None`` drops them.
        index_from: what is added to the words' numbers.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: arrays of lists of integers, labels int64 ``(n,)``, 1 for praise.

    Raises:
        ArgumentError: ``maxlen`` leaves nothing.
        MissingDataError: the file is not here and cannot be downloaded; it says what to put where.
        FileFormatError: the file is damaged, or holds something else than lists of integers (nothing of it is run).
        DataError: there is not one label for each review.
    """
    file = one_file("imdb", path, FILE)
    arrays = read_npz(file, ("x_train", "y_train", "x_test", "y_test"))
    parts, rng = [], keras_order(seed)
    for part in ("train", "test"):
        rows, labels = shuffled(arrays[f"x_{part}"], arrays[f"y_{part}"], rng, str(file))
        parts.append(shorter(marked(rows, start_char, index_from), labels, maxlen))
    (x_train, y_train), (x_test, y_test) = parts
    rows = limited(x_train + x_test, num_words, skip_top, oov_char)
    cut = len(x_train)
    return (as_objects(rows[:cut]), y_train), (as_objects(rows[cut:]), y_test)


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word, 1 for the most frequent; in ``load_data`` they are larger by ``index_from``.

    Args:
        path: another file in the same format.

    Raises:
        MissingDataError: the file is not here and cannot be downloaded.
        FileFormatError: the file is damaged.
    """
    return read_word_index(one_file("imdb", path, WORD_INDEX))


def load_text(seed: int = 113) -> tuple[TextSplit, TextSplit]:
    """The reviews as they were written, and whether they praise: 25,000 to train and 25,000 to test.

    The archive ``aclImdb_v1.tar.gz``, or the folder ``aclImdb`` unpacked from it, is looked for in the folder that
    ``LAMINA_DATA`` names (in its subfolder ``imdb``, then in the folder itself), then in the cache, and the archive
    is downloaded into it otherwise.

    Args:
        seed: of the order; the same seed gives the same order.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: lists of texts, with ``<br />`` between paragraphs, and labels
        int64 ``(n,)``, 1 for praise.

    Raises:
        MissingDataError: neither is here and the archive cannot be downloaded.
        FileFormatError: the archive is damaged.
        DataError: there are no reviews of one kind.
    """
    where, found = _texts()
    parts: list[TextSplit] = []
    for part in ("train", "test"):
        texts: list[str] = []
        labels: list[int] = []
        for label, kind in enumerate(("neg", "pos")):
            reviews = found.get((part, kind))
            if not reviews:
                raise DataError(f"{where} has no reviews in aclImdb/{part}/{kind}.")
            texts += [reviews[number].decode("utf-8", "replace") for number in sorted(reviews)]
            labels += [label] * len(reviews)
        order = np.random.default_rng(seed).permutation(len(texts))
        parts.append(([texts[i] for i in order], np.array(labels, np.int64)[order]))
    return parts[0], parts[1]


def _texts() -> tuple[Path, dict[tuple[str, str], dict[int, bytes]]]:
    """Where the reviews were found, and ``{(part, kind): {number: content}}``."""
    found: dict[tuple[str, str], dict[int, bytes]] = {}
    for folder in data_folders("imdb", in_root=True):
        if (folder / "aclImdb").is_dir():
            for path in (folder / "aclImdb").glob("*/*/*.txt"):
                if name := _REVIEW.search(path.as_posix()):
                    found.setdefault((name[1], name[2]), {})[int(name[3])] = path.read_bytes()
            return folder, found
    (path,) = find_files("imdb", [TEXT_ARCHIVE], TEXT_MIRRORS, in_root=True)
    try:
        with gzip.open(path) as content:
            with tarfile.open(fileobj=content, mode="r|") as tar:
                for member in tar:
                    name = _REVIEW.search(member.name)
                    stream = tar.extractfile(member) if name and member.isfile() else None
                    if name and stream:
                        found.setdefault((name[1], name[2]), {})[int(name[3])] = stream.read()
            while content.read(1 << 20):  # to its end, where the checksum stands
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise FileFormatError(f"{path}: the archive is damaged ({error}). Download it again.") from error
    return path, found
