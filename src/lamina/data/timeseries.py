"""Windows over time series."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import ArgumentError
from lamina.data.elements import to_array
from lamina.data.nodes import Rows
from lamina.data.pipeline import Pipeline


class Windows(Rows):
    """Windows of an array and the targets at where they begin, by number; a batch is taken at once."""

    def __init__(
        self, data: np.ndarray, targets: np.ndarray | None, starts: np.ndarray, offsets: np.ndarray
    ) -> None:
        self.data, self.targets, self.starts, self.offsets = data, targets, starts, offsets

    def length(self) -> int:
        return len(self.starts)

    def row(self, index: int) -> Any:
        start = self.starts[index]
        window = self.data[start + self.offsets]
        return window if self.targets is None else (window, to_array(self.targets[start]))

    def gather(self, indices: np.ndarray) -> Any:
        starts = self.starts[indices]
        windows = self.data[starts[:, None] + self.offsets]
        return windows if self.targets is None else (windows, self.targets[starts])

    def spec(self) -> Any:
        window = ((len(self.offsets), *self.data.shape[1:]), self.data.dtype)
        return window if self.targets is None else (window, (self.targets.shape[1:], self.targets.dtype))


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Pipeline:
    """Windows over a time series: window ``i`` is ``data[s], data[s + r], ...`` with ``s = i * sequence_stride``.

    Args:
        data: the series; its first axis is time.
        targets: ``targets[s]`` goes with the window that begins at ``s``; ``None`` for windows alone.
        sequence_length: values in a window.
        sequence_stride: from one window's beginning to the next.
        sampling_rate: ``r``, from one value in a window to the next.
        batch_size: windows in a batch; ``None`` for single ones.
        shuffle: whether to mix the windows, anew in each pass.
        seed: of that.
        start_index: take nothing before.
        end_index: take nothing from here on.
        format: ``"tf"``, or ``"grain"`` for the same order in each pass.

    Raises:
        ArgumentError: a value that is not allowed.

    Example:
        >>> windows = timeseries_dataset_from_array(np.arange(6), None, sequence_length=3, batch_size=2)
        >>> [w.tolist() for w in windows]
        [[[0, 1, 2], [1, 2, 3]], [[2, 3, 4], [3, 4, 5]]]
    """
    series = to_array(data)
    size = len(series)
    for name, value, least in (
        ("sequence_length", sequence_length, 1),
        ("sampling_rate", sampling_rate, 1),
        ("sequence_stride", sequence_stride, 1),
    ):
        if value < least or (value >= size and name != "sequence_length"):
            raise ArgumentError(
                f"`{name}` must be higher than 0 and lower than the length of the data, {size}; got {value}."
            )
    if start_index and not 0 <= start_index < size:
        raise ArgumentError(f"`start_index` must be from 0 to {size - 1}, within the data; got {start_index}.")
    if end_index and not (start_index or 0) < end_index < size:
        raise ArgumentError(
            f"`end_index` must be higher than start_index ({start_index or 0}) and lower than the length of the data, "
            f"{size}; got {end_index}."
        )
    if format not in ("tf", "grain"):
        raise ArgumentError(f"`format` should be either 'tf' or 'grain' (both give a Pipeline); got {format!r}.")
    first, end = start_index or 0, end_index or size
    series = series[first:end]
    goals = None if targets is None else to_array(targets)[first:end]
    count = len(series) - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(to_array(targets)))
    starts = np.arange(0, max(count, 0), sequence_stride)
    if goals is not None:
        starts = starts[starts < len(goals)]
    if shuffle:  # once for all in the order that Keras has, and in each pass anew
        seed = random.make_seed() % 2**32 if seed is None else seed
        np.random.RandomState(seed).shuffle(starts)
    windows = Pipeline(Windows(series, goals, starts, np.arange(sequence_length) * sampling_rate))
    if shuffle:
        windows = windows.shuffle(max(len(starts), 1), seed, reshuffle_each_iteration=format == "tf")
    return windows if batch_size is None else windows.batch(batch_size)
