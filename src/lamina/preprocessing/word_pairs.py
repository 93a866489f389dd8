"""Pairs of words that stand near each other, and pairs that do not: what word vectors are learned from."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.data.keys import generator_from


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """How likely each word is kept, so that frequent ones do not fill all pairs: ``min(1, sqrt(factor / frequency))``.

    The frequency of the word of rank ``r`` is taken to be ``1 / (r (log r + gamma) + 1/2 - 1 / (12 r))`` (Zipf's law).

    Args:
        size: number of words; the word with number ``r`` is the ``r``-th most frequent (as ``Tokenizer`` numbers them).
        sampling_factor: the frequency up to which words are always kept.

    Returns:
        float64 ``(size,)``.

    Raises:
        ArgumentError: a number is not positive.

    Example:
        >>> make_sampling_table(5).round(4).tolist()
        [0.0032, 0.0032, 0.0055, 0.0074, 0.0091]

    Source: Mikolov et al., "Distributed representations of words and phrases and their compositionality", 2013.
    """
    if size < 1 or sampling_factor <= 0:
        raise ArgumentError(
            f"make_sampling_table: size and sampling_factor are positive; got {size} and {sampling_factor}."
        )
    rank = np.maximum(np.arange(size), 1)
    inverse_frequency = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse_frequency))


def skipgrams(
    sequence: Any,
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
    seed: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (word, word near it) with label 1, and pairs (word, any word) with label 0.

    Args:
        sequence: numbers of the words of a text; 0 stands for no word and makes no pairs.
        vocabulary_size: the words are below it.
        window_size: words up to this far away on either side count as near.
        negative_samples: how many pairs with any word for each true pair; 0 for none.
        shuffle: whether the pairs come in random order; else the true ones first, in the order of the text.
        categorical: whether labels are ``[0, 1]`` and ``[1, 0]`` instead of 1 and 0.
        sampling_table: for each word, with what probability it is kept (``make_sampling_table``); default all are.
        seed: of the random numbers: an int, a generator, or ``None`` for one drawn from ``lamina.random``.

    Returns:
        ``couples`` int32 ``(n, 2)`` and labels int32 ``(n,)``.

    Raises:
        ArgumentError: a word is out of range, or the window or share is no positive number.
        ShapeError: there is more than one sequence.

    Example:
        >>> couples, labels = skipgrams([3, 1, 2], 4, window_size=1, negative_samples=0, shuffle=False)
        >>> couples.tolist(), labels.tolist()
        ([[3, 1], [1, 3], [1, 2], [2, 1]], [1, 1, 1, 1])

    Source: Mikolov et al., "Distributed representations of words and phrases and their compositionality", 2013.
    """
    words = np.asarray(sequence, np.int64)
    if words.ndim != 1:
        raise ShapeError(f"skipgrams: expected the words of one text, got shape {words.shape}. Call it for each text.")
    if words.size and not (words.min() >= 0 and words.max() < vocabulary_size):
        raise ArgumentError(
            f"skipgrams: words run from {words.min()} to {words.max()}, vocabulary_size is {vocabulary_size}."
        )
    if window_size < 1 or negative_samples < 0:
        raise ArgumentError(
            "skipgrams: window_size is positive and negative_samples not negative; "
            f"got {window_size} and {negative_samples}."
        )
    generator = generator_from(seed)
    kept = words > 0
    if sampling_table is not None:
        kept &= np.asarray(sampling_table)[words] >= generator.random(len(words))
    here = np.flatnonzero(kept)
    there = here[:, None] + np.delete(np.arange(-window_size, window_size + 1), window_size)
    inside = (there >= 0) & (there < len(words))
    inside[inside] = words[there[inside]] > 0
    couples = np.stack([words[np.repeat(here, inside.sum(axis=1))], words[there[inside]]], axis=1)
    true = len(couples)
    if negative_samples > 0 and true:
        count = int(true * negative_samples)
        first = generator.permutation(couples[:, 0])[np.arange(count) % true]
        couples = np.concatenate([couples, np.stack([first, generator.integers(1, vocabulary_size, count)], axis=1)])
    labels = (np.arange(len(couples)) < true).astype(np.int32)
    if shuffle:
        order = generator.permutation(len(couples))
        couples, labels = couples[order], labels[order]
    return couples.astype(np.int32), np.stack([1 - labels, labels], axis=1) if categorical else labels
