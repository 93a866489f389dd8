"""Movie reviews: 10,662 sentences from reviews, half of them favourable (Pang and Lee, 2005).

Their "sentence polarity dataset v1.0", introduced in "Seeing stars: exploiting class relationships for
sentiment categorization with respect to rating scales".
"""

from __future__ import annotations

import numpy as np

from lamina.core.errors import ArgumentError, DataError
from lamina.datasets._archives import read_members
from lamina.datasets.files import RemoteFile

Split = tuple[list[str], np.ndarray]

MIRRORS = (
    "https://www.cs.cornell.edu/people/pabo/movie-review-data",
    "https://storage.googleapis.com/seldon-datasets/sentence_polarity_v1",
)
# SHA-256 as stated by independent projects that download it.
ARCHIVE = RemoteFile(
    "rt-polaritydata.tar.gz", 487_770, "a05befe52aafda71d458d188a1c54506a998b1308613ba76bbda2e5029409ce9"
)
FILES = ("rt-polaritydata/rt-polarity.neg", "rt-polaritydata/rt-polarity.pos")  # in the order of the labels
CLASS_NAMES = ("negative", "positive")


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Split, Split]:
    """Sentences from movie reviews, and whether they praise.

    The archive, or the files ``rt-polarity.neg`` and ``rt-polarity.pos``, are looked for in the folder that
    the environment variable ``LAMINA_DATA`` names (in its subfolder ``movie_reviews``, then in the folder
    itself), then in the cache, and the archive is downloaded into the cache otherwise.  The sentences are
    in lower case, with blanks between words and punctuation.

    Args:
        test_split: share of the sentences that is kept for testing, between 0 and 1.
        seed: seed of the shuffling before the split; the same seed gives the same split.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: lists of sentences, labels uint8 ``(n,)``, 1 for praise.

    Raises:
        ArgumentError: ``test_split`` is not between 0 and 1.
        MissingDataError: the files are not here and cannot be downloaded; it says what to put where.
        FileFormatError: the archive is damaged.
        DataError: a file has no sentences.
    """
    if not 0 < test_split < 1:
        raise ArgumentError(f"test_split is a share between 0 and 1, got {test_split!r}.")
    sentences: list[str] = []
    labels: list[int] = []
    for label, (where, content) in enumerate(read_members("movie_reviews", ARCHIVE, MIRRORS, FILES, in_root=True)):
        # Latin-1: every byte is a character.  Lines end with \n alone; \x85 belongs to the text.
        found = [line.strip() for line in content.decode("latin-1").split("\n") if line.strip()]
        if not found:
            raise DataError(f"{where} holds no sentences.")
        sentences += found
        labels += [label] * len(found)
    order = np.random.default_rng(seed).permutation(len(sentences))
    shuffled, targets = [sentences[i] for i in order], np.array(labels, np.uint8)[order]
    train = int(len(order) * (1 - test_split))
    return (shuffled[:train], targets[:train]), (shuffled[train:], targets[train:])
