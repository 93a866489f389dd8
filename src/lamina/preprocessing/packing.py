"""Several short sequences in one row, kept apart by segment numbers: batches for attention without padding."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.operation import on_placeholders


@dataclass(frozen=True, eq=False)
class Packing:
    """Sequences put together in rows.

    Attributes:
        values: the elements, ``(rows, length, ...)``.
        segments: int32 ``(rows, length)``: 1, 2, ... for the sequences of a row, 0 where there is none.
        positions: int32 ``(rows, length)``: 0, 1, ... from each sequence's beginning.
        places: int64 ``(sequences, 3)``: row, first column and length of each sequence, in the order they were given.
    """

    values: np.ndarray
    segments: np.ndarray
    positions: np.ndarray
    places: np.ndarray

    def place(self, sequences: Sequence[Any], value: Any = 0, dtype: Any = None) -> np.ndarray:
        """Other sequences of the same lengths, such as labels, in the same places.

        Args:
            sequences: as many as were packed, each as long as the packed one.
            value: what to fill up with.
            dtype: of the result; default that of the sequences.

        Returns:
            ``(rows, length, ...)``.

        Raises:
            ShapeError: there are more or fewer, or one has another length.

        Example:
            >>> packing = pack_sequences([[5, 6], [7]], 3)
            >>> packing.place([[1, 0], [1]], value=-1).tolist()
            [[1, 0, 1]]
        """
        arrays = [np.asarray(sequence) for sequence in sequences]
        lengths = [len(array) for array in arrays]
        if lengths != self.places[:, 2].tolist():
            wrong = next((i for i, n in enumerate(lengths[: len(self.places)]) if n != self.places[i, 2]), None)
            what = f"{len(lengths)} sequences for {len(self.places)}" if wrong is None else (
                f"sequence {wrong} of length {lengths[wrong]} for one of length {self.places[wrong, 2]}"
            )  # fmt: skip
            raise ShapeError(f"Packing.place: got {what}; they have the lengths of those that were packed.")
        return _filled(arrays, self.places, self.segments.shape, value, dtype)

    def unpack(self, packed: Any) -> list[np.ndarray]:
        """What belongs to each sequence in an array of rows, such as a model's predictions.

        Args:
            packed: ``(rows, length, ...)``.

        Returns:
            For each sequence, in the order they were given, its part: ``(its length, ...)``.

        Raises:
            ShapeError: these are not the packed rows.

        Example:
            >>> packing = pack_sequences([[5, 6], [7]], 3)
            >>> [part.tolist() for part in packing.unpack(packing.values * 10)]
            [[50, 60], [70]]
        """
        array = np.asarray(packed)
        if array.shape[:2] != self.segments.shape:
            raise ShapeError(f"Packing.unpack: expected shape {(*self.segments.shape, '...')}, got {array.shape}.")
        return [array[row, start : start + count] for row, start, count in self.places]


def pack_sequences(sequences: Sequence[Any], length: int, value: Any = 0, dtype: Any = None) -> Packing:
    """Put sequences into as few rows of one length as may be, the longest first, each where it fills a row best.

    Attention between the sequences of a row is prevented by ``attention_mask=segment_mask(segments)``; the loss is
    weighted with ``segments > 0``.  Recurrent layers carry their state on over the borders: for them there are buckets
    (``Pipeline.bucket_by_sequence_length``).

    Args:
        sequences: sequences of numbers, or of arrays of one shape; none is empty.
        length: of the rows; no sequence is longer.
        value: what to fill up with.
        dtype: of the values; default that of the sequences.

    Returns:
        A ``Packing``: values, segments, positions, and where each sequence is.

    Raises:
        ArgumentError: a sequence is empty or too long, or there are none.

    Source: best fit decreasing, whose rows are at most 11/9 of the fewest possible and 4 more (Johnson et al.,
    "Worst-case performance bounds for simple one-dimensional packing algorithms", 1974).

    Example:
        >>> packing = pack_sequences([[1, 2], [3, 4, 5], [6]], 4)
        >>> packing.values.tolist(), packing.segments.tolist()
        ([[3, 4, 5, 6], [1, 2, 0, 0]], [[1, 1, 1, 2], [1, 1, 0, 0]])
    """
    arrays = [np.asarray(sequence) for sequence in sequences]
    if not arrays:
        raise ArgumentError("pack_sequences: there are no sequences.")
    for i, array in enumerate(arrays):
        if array.ndim == 0 or not 1 <= len(array) <= length:
            what = "is a single number" if array.ndim == 0 else f"has length {len(array)}"
            raise ArgumentError(f"pack_sequences: sequences have lengths from 1 to {length}; number {i} {what}.")
    lengths = np.array([len(array) for array in arrays])
    places = np.zeros((len(arrays), 3), np.int64)
    rooms: list[tuple[int, int]] = []  # room left and number of each row that has some, the fullest first
    rows = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        count = int(lengths[i])
        at = bisect_left(rooms, (count, -1))
        if at < len(rooms):
            room, row = rooms.pop(at)
        else:
            room, row, rows = length, rows, rows + 1
        places[i] = row, length - room, count
        if room > count:
            insort(rooms, (room - count, row))
    segments, positions = np.zeros((rows, length), np.int32), np.zeros((rows, length), np.int32)
    of_row = np.zeros(rows, np.int32)
    for row, start, count in places[np.lexsort((places[:, 1], places[:, 0]))]:
        of_row[row] += 1
        segments[row, start : start + count] = of_row[row]
        positions[row, start : start + count] = np.arange(count)
    return Packing(_filled(arrays, places, segments.shape, value, dtype), segments, positions, places)


def _filled(arrays: list[np.ndarray], places: np.ndarray, shape: Any, value: Any, dtype: Any) -> np.ndarray:
    inner = arrays[0].shape[1:]
    out = np.full((*shape, *inner), value, dtype or np.result_type(*{array.dtype for array in arrays}))
    for i, (array, (row, start, count)) in enumerate(zip(arrays, places, strict=True)):
        if array.shape[1:] != inner:
            raise ShapeError(f"the elements of sequence {i} have shape {array.shape[1:]}, those of the first {inner}.")
        out[row, start : start + count] = array
    return out


@partial(on_placeholders, name="lamina.preprocessing.sequence.segment_mask")
def segment_mask(segments: Any, causal: bool = False) -> Any:
    """Who may attend to whom in packed rows: ``mask[b, i, j] = segments[b, i] == segments[b, j] != 0``.

    Args:
        segments: int ``(rows, length)``, of ``pack_sequences``: an array, a tensor, or an input of a functional model.
        causal: whether a step may only attend to itself and those before it.

    Returns:
        bool ``(rows, length, length)``, for ``attention_mask`` of ``MultiHeadAttention``.

    Example:
        >>> segment_mask([[1, 1, 2, 0]], causal=True).numpy().astype(int).tolist()
        [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]]
    """
    segments = ops.as_tensor(segments)
    if segments.ndim != 2:
        raise ShapeError(f"segment_mask: segments have shape (rows, length); got {segments.shape}.")
    keys = ops.expand_dims(segments, 1)
    mask = ops.logical_and(ops.equal(ops.expand_dims(segments, 2), keys), ops.not_equal(keys, 0))
    if causal:
        step = ops.arange(segments.shape[1])
        mask = ops.logical_and(mask, ops.greater_equal(ops.expand_dims(step, 1), step))
    return mask
