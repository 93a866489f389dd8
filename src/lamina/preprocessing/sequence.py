"""Sequences of different lengths as one array; sequences of integers as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.preprocessing.packing import Packing, pack_sequences, segment_mask
from lamina.preprocessing.word_pairs import make_sampling_table, skipgrams

__all__ = [
    "Packing",
    "make_sampling_table",
    "multi_hot",
    "one_hot",
    "pack_sequences",
    "pad_sequences",
    "segment_mask",
    "skipgrams",
]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """One array of sequences that are filled up, or cut, to the same length.

    Args:
        sequences: sequences of numbers, or of arrays that all have the same shape.
        maxlen: the length; default that of the longest sequence.
        dtype: of the result.
        padding: ``"pre"`` fills up in front, ``"post"`` behind.
        truncating: ``"pre"`` cuts off the beginning of sequences that are too long, ``"post"`` the end.
        value: what to fill up with.

    Returns:
        An array of shape ``(len(sequences), maxlen, ...)``.

    Raises:
        ArgumentError: ``padding`` or ``truncating`` is something else, or an element is no sequence.
        ShapeError: the sequences' elements have different shapes.

    Example:
        >>> pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2)
        array([[0, 1],
               [2, 3],
               [5, 6]], dtype=int32)
        >>> pad_sequences([[1], [2, 3]], padding="post", value=9)
        array([[1, 9],
               [2, 3]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ArgumentError(f"pad_sequences: {name} is 'pre' or 'post', got {given!r}.")
    arrays = []
    for i, sequence in enumerate(sequences):
        if isinstance(sequence, str) or not hasattr(sequence, "__len__"):
            raise ArgumentError(
                f"pad_sequences: expected sequences of numbers, element {i} is {sequence!r}. "
                "Put a single sequence into a list, and turn text into numbers first."
            )
        arrays.append(np.asarray(sequence))
    if maxlen is None:
        maxlen = max((len(a) for a in arrays), default=0)
    filled = [a for a in arrays if len(a)]
    inner = filled[0].shape[1:] if filled else ()
    out = np.full((len(arrays), maxlen, *inner), value, dtype=dtype)
    for i, array in enumerate(arrays):
        if not len(array) or not maxlen:
            continue
        if array.shape[1:] != inner:
            raise ShapeError(
                f"pad_sequences: the elements of sequence {i} have shape {array.shape[1:]}, those before have {inner}."
            )
        kept = array[-maxlen:] if truncating == "pre" else array[:maxlen]
        if padding == "pre":
            out[i, maxlen - len(kept) :] = kept
        else:
            out[i, : len(kept)] = kept
    return out


def multi_hot(sequences: Sequence[Any], num_tokens: int | None = None, count: bool = False) -> np.ndarray:
    """A row for each sequence with a 1 in the columns of the integers that it holds.

    Args:
        sequences: sequences of integers from 0, of any lengths.
        num_tokens: number of columns; default the largest integer plus one.
        count: whether to write how often each occurs instead of 1.

    Returns:
        float32 ``(len(sequences), num_tokens)``.

    Raises:
        ArgumentError: an integer is negative or too large.

    Example:
        >>> multi_hot([[1, 3, 3], [0]], 4).tolist()
        [[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]]
    """
    lengths = [len(s) for s in sequences]
    flat = np.concatenate([np.asarray(s, np.int64).ravel() for s in sequences] or [np.zeros(0, np.int64)])
    size = int(flat.max(initial=-1)) + 1 if num_tokens is None else num_tokens
    if flat.size and not (flat.min() >= 0 and flat.max() < size):
        raise ArgumentError(f"multi_hot: integers run from {flat.min()} to {flat.max()}, and there are {size} columns.")
    out = np.zeros((len(lengths), size), np.float32)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if count:
        np.add.at(out, (rows, flat), 1)
    else:
        out[rows, flat] = 1
    return out


def one_hot(sequences: Sequence[Any], num_tokens: int | None = None, maxlen: int | None = None) -> np.ndarray:
    """A row for each step of each sequence with a 1 in the column of its integer; zeros behind the end.

    Args:
        sequences: sequences of integers from 0, of any lengths.
        num_tokens: number of columns; default the largest integer plus one.
        maxlen: number of steps, longer sequences are cut; default that of the longest.

    Returns:
        float32 ``(len(sequences), maxlen, num_tokens)``.

    Raises:
        ArgumentError: an integer is negative or too large.

    Example:
        >>> one_hot([[1, 0], [2]]).tolist()
        [[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]]
    """
    padded = pad_sequences(sequences, maxlen, "int64", padding="post", truncating="post", value=-1)
    given = np.concatenate([np.asarray(s, np.int64).ravel() for s in sequences] or [np.zeros(0, np.int64)])
    size = int(given.max(initial=-1)) + 1 if num_tokens is None else num_tokens
    if given.size and not (given.min() >= 0 and given.max() < size):
        raise ArgumentError(f"one_hot: integers run from {given.min()} to {given.max()}, and there are {size} columns.")
    return (padded[..., None] == np.arange(size)).astype(np.float32)
