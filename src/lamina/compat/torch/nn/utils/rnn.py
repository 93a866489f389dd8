"""``torch.nn.utils.rnn``: sequences of different lengths, padded or packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError


class PackedSequence(NamedTuple):
    """Sequences step by step, the longest first, so that no step holds padding.

    Attributes:
        data: the elements ``(all elements, ...)``: first those of the first step, then those of the second, ...
        batch_sizes: how many sequences have a step, int64 ``(steps,)``.
        sorted_indices: which sequence of the batch each is, the longest first; ``None`` if they were sorted.
        unsorted_indices: the other way round.
    """

    data: Any
    batch_sizes: Any
    sorted_indices: Any = None
    unsorted_indices: Any = None


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch.

    Args:
        input: (steps, batch, ...), or with ``batch_first`` (batch, steps, ...).
        lengths: of the sequences, from 1 to the steps.
        batch_first: which axis is which.
        enforce_sorted: whether the sequences must come with the longest first; else they are sorted here.

    Raises:
        ArgumentError: a length is out of range, or they are not sorted.
        ShapeError: there are not as many lengths as sequences.
    """
    counts = np.asarray(lengths, np.int64)
    steps_axis = 1 if batch_first else 0
    batch, steps = input.shape[1 - steps_axis], input.shape[steps_axis]
    if counts.shape != (batch,):
        raise ShapeError(f"pack_padded_sequence: {batch} sequences take as many lengths; got shape {counts.shape}.")
    if counts.min(initial=1) < 1 or counts.max(initial=1) > steps:
        raise ArgumentError(f"pack_padded_sequence: lengths are from 1 to {steps}; got {counts.tolist()}.")
    order = None if enforce_sorted else np.argsort(-counts, kind="stable")
    if order is None and (np.diff(counts) > 0).any():
        raise ArgumentError(
            f"pack_padded_sequence: the longest sequence comes first; got lengths {counts.tolist()}. "
            "Sort them, or give enforce_sorted=False."
        )
    rows = np.arange(batch) if order is None else order
    sizes = (counts[:, None] > np.arange(counts.max(initial=0))).sum(axis=0)
    step = np.repeat(np.arange(len(sizes)), sizes)
    row = np.concatenate([rows[:n] for n in sizes] or [rows[:0]])
    flat = ops.reshape(input, (-1, *input.shape[2:]))
    data = ops.take(flat, row * steps + step if batch_first else step * batch + row, axis=0)
    unsorted = None if order is None else np.argsort(order)
    return PackedSequence(data, *(None if a is None else ops.as_tensor(a) for a in (sizes, order, unsorted)))


def lengths_of(packed: PackedSequence) -> np.ndarray:
    """The lengths of the sequences, in the order of the batch."""
    sizes = np.asarray(packed.batch_sizes)
    lengths = (sizes[None] > np.arange(sizes[0] if len(sizes) else 0)[:, None]).sum(axis=1)
    return lengths if packed.unsorted_indices is None else lengths[np.asarray(packed.unsorted_indices)]


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """The padded batch, and the lengths.

    Args:
        sequence: what ``pack_padded_sequence`` or a recurrent module gave.
        batch_first: whether the result is (batch, steps, ...) instead of (steps, batch, ...).
        padding_value: what to fill up with.
        total_length: pad to this many steps; default those of the longest.

    Raises:
        ArgumentError: ``total_length`` is less than the longest.
    """
    lengths, sizes = lengths_of(sequence), np.asarray(sequence.batch_sizes)
    steps = len(sizes) if total_length is None else total_length
    if steps < len(sizes):
        raise ArgumentError(f"pad_packed_sequence: the longest has {len(sizes)} steps, total_length is {total_length}.")
    rank = np.arange(len(lengths)) if sequence.unsorted_indices is None else np.asarray(sequence.unsorted_indices)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1], np.zeros(steps - len(sizes))]).astype(np.int64)
    step = np.arange(steps)
    real = lengths[:, None] > step
    where = np.where(real, starts + rank[:, None], 0)
    if not batch_first:
        real, where = real.T, where.T
    data = sequence.data
    full = ops.reshape(ops.take(data, where.ravel(), axis=0), (*where.shape, *data.shape[1:]))
    mask = real.reshape(*real.shape, *[1] * (len(data.shape) - 1))
    return ops.where(mask, full, ops.as_tensor(padding_value, dtype=data.dtype)), ops.as_tensor(lengths)


def pad_sequence(
    sequences: Sequence[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences of different lengths as one tensor, (steps, batch, ...) or with ``batch_first`` (batch, steps, ...).

    Args:
        sequences: tensors (length, ...).
        batch_first: which axis is which.
        padding_value: what to fill up with.
        padding_side: ``"right"`` fills up behind, ``"left"`` in front.
    """
    if padding_side not in ("left", "right"):
        raise ArgumentError(f"pad_sequence: padding_side is 'left' or 'right'; got {padding_side!r}.")
    steps = max(len(one) for one in sequences)
    rows = []
    for one in sequences:
        rest, others = steps - len(one), [(0, 0)] * (len(one.shape) - 1)
        width = (0, rest) if padding_side == "right" else (rest, 0)
        rows.append(ops.pad(one, [width, *others], constant_values=padding_value))
    return ops.stack(rows, axis=0 if batch_first else 1)


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors (length, ...)."""
    lengths = [len(one) for one in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each with its own length."""
    x = padded_sequences if batch_first else ops.swapaxes(padded_sequences, 0, 1)
    return [x[i, :n] for i, n in enumerate(np.asarray(lengths).tolist())]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences that were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True), batch_first=True)
