"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError


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
