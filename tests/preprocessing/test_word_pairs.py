"""Skip-grams: the pairs are those of Keras, and the false ones are any words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lamina.core.errors import ArgumentError, ShapeError
from lamina.preprocessing.sequence import make_sampling_table, skipgrams

WORDS = [3, 1, 0, 2, 5, 1, 4, 0, 0, 2]


@pytest.mark.parametrize(("window", "categorical"), [(1, False), (3, False), (20, True)])
def test_true_pairs_are_those_of_keras(window: int, categorical: bool) -> None:
    peer = pytest.importorskip("keras.src.legacy.preprocessing.sequence")
    options: dict[str, Any] = {
        "window_size": window, "negative_samples": 0, "shuffle": False, "categorical": categorical
    }  # fmt: skip
    couples, labels = skipgrams(WORDS, 6, **options)
    wanted, their_labels = peer.skipgrams(WORDS, 6, **options)
    assert couples.tolist() == wanted and labels.tolist() == their_labels
    for size, factor in ((10, 1e-5), (3000, 1e-3)):
        np.testing.assert_allclose(
            make_sampling_table(size, factor), peer.make_sampling_table(size, factor), rtol=1e-12
        )


def test_false_pairs() -> None:
    words = np.random.default_rng(0).integers(1, 9, 400)
    couples, labels = skipgrams(words, 50, window_size=2, negative_samples=3, seed=1)
    true, false = couples[labels == 1], couples[labels == 0]
    assert len(true) == 400 * 4 - 6 and len(false) == 3 * len(true)
    assert set(false[:, 1].tolist()) == set(range(1, 50))  # any word but 0
    # The false pairs' first words are as frequent as the true pairs'.
    assert (np.bincount(false[:, 0]) == 3 * np.bincount(true[:, 0])).all()
    assert 0.2 < labels[:1000].mean() < 0.3  # in random order
    again = skipgrams(words, 50, window_size=2, negative_samples=3, seed=1)
    np.testing.assert_array_equal(couples, again[0])
    assert not np.array_equal(couples, skipgrams(words, 50, window_size=2, negative_samples=3, seed=2)[0])


def test_frequent_words_are_left_out_as_often_as_the_table_says() -> None:
    words = np.tile([1, 2], 10_000)
    couples, _ = skipgrams(words, 3, 1, 0, sampling_table=[0, 0.1, 1.0], seed=0)
    kept = np.bincount(couples[:, 0], minlength=3) / 20_000  # each kept word has two neighbours
    np.testing.assert_allclose(kept, [0, 0.1, 1.0], atol=0.01)


def test_nothing() -> None:
    for words in ([], [0, 0], [4]):
        couples, labels = skipgrams(words, 6)
        assert couples.shape == (0, 2) and labels.shape == (0,)


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="from 1 to 6, vocabulary_size is 6"):
        skipgrams([1, 6], 6)
    with pytest.raises(ShapeError, match="one text"):
        skipgrams([[1, 2], [3, 4]], 6)
    with pytest.raises(ArgumentError, match="window_size is positive"):
        skipgrams([1, 2], 6, window_size=0)
    with pytest.raises(ArgumentError, match="positive"):
        make_sampling_table(0)
