"""Making the batches of a ``DataLoader``: the same code in the main process and in workers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lamina.data.collate import default_collate, default_convert
from lamina.data.datasets import is_table, rows_of_table
from lamina.data.elements import as_tensors
from lamina.data.keys import all_keyed


class Fetcher:
    """Makes batches of a dataset.

    Args:
        dataset: samples by number, or a stream.
        collate: makes a batch of samples (or converts one, where there are no batches); ``None`` for the default.
        batched: whether samples are put together to batches.
        seed: of the random numbers.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any] | None, batched: bool, seed: int) -> None:
        self.dataset, self.collate, self.batched, self.seed = dataset, collate, batched, seed
        # A dataset that makes whole batches: no Python for each sample.
        self.gathers = batched and collate is None and (hasattr(dataset, "gather") or is_table(dataset))

    def finish(self, samples: Any) -> Any:
        """A batch of samples, or a sample where there are no batches."""
        if self.collate is not None:
            return self.collate(samples)
        return default_collate(samples) if self.batched else default_convert(samples)

    def fetch(self, epoch: int, indices: Any) -> Any:
        """The batch of these samples (or the one sample).

        Args:
            epoch: number of the epoch, for the random numbers.
            indices: numbers of the samples: an array, range, slice or list; one number where there are no batches.
        """
        if self.gathers:
            if hasattr(self.dataset, "gather"):
                return self.dataset.gather(indices)
            with all_keyed(self.seed, epoch, *_as_path(*indices[:1])):  # its transforms may draw
                return as_tensors(rows_of_table(self.dataset, indices))
        if not self.batched:
            with all_keyed(self.seed, epoch, *_as_path(indices)):
                return self.finish(self.dataset[indices])
        numbers: Sequence[Any] = indices.tolist() if isinstance(indices, np.ndarray) else list(indices)
        with all_keyed(self.seed, epoch, *_as_path(*numbers[:1])) as context:
            if hasattr(self.dataset, "__getitems__"):
                return self.finish(list(self.dataset.__getitems__(numbers)))
            samples, dataset = [], self.dataset
            for number in numbers:
                if type(number) is int and number >= 0:  # nearly always, and this runs for each sample
                    context.at(epoch, number)
                else:
                    context.at(epoch, *_as_path(number))
                samples.append(dataset[number])
            return self.finish(samples)

    def groups(
        self,
        epoch: int,
        size: int | None,
        drop_last: bool,
        skip: int = 0,
        salt: Callable[[], tuple[int, ...]] = tuple,
    ) -> Iterator[tuple[int, list[Any]]]:
        """The samples of a stream in groups of a batch each, and their numbers.

        Args:
            epoch: number of the epoch, for the random numbers.
            size: samples in a group; ``None`` for one.
            drop_last: whether to leave out a last group that is smaller.
            skip: how many groups nobody needs; they are left out if the stream can ``seek``.
            salt: gives further numbers of the key of random numbers.
        """
        count = size or 1
        if hasattr(self.dataset, "seek"):
            self.dataset.seek(epoch, skip * count)
        else:
            skip = 0
            if callable(set_epoch := getattr(self.dataset, "set_epoch", None)):
                set_epoch(epoch)
        with all_keyed(self.seed, epoch):
            stream = iter(self.dataset)
        for number in itertools.count(skip):
            group: list[Any] = []
            with all_keyed(self.seed, epoch, number, *salt()) as context:
                for at in range(number * count, (number + 1) * count):
                    context.at(epoch, at, *salt())
                    try:
                        group.append(next(stream))
                    except StopIteration:
                        break
            full = len(group) == count
            if group and (full or not drop_last):
                yield number, group
            if not full:
                return

    def batch_of(self, group: list[Any]) -> Any:
        """The batch of a group of samples."""
        return self.finish(group if self.batched else group[0])


def _as_path(*indices: Any) -> tuple[int, ...]:
    """Numbers of samples as part of a key; other kinds of indices (names, say) are left out."""
    return tuple(int(i) for i in indices if isinstance(i, int | np.integer) and i >= 0)
