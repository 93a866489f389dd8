"""Samplers: in which order the samples of a dataset come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.data.keys import keyed, seed_from

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """An order of samples: a subclass has ``__iter__``, which gives their numbers, and usually ``__len__``.

    Args:
        data_source: accepted for PyTorch's sake.
    """

    def __init__(self, data_source: Any = None) -> None: ...

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not implement __iter__(self).")


class EpochSampler(Sampler[int]):
    """A sampler that can tell the order of any epoch: ``indices(epoch, seed)``.

    Each time it is iterated over, it goes on to the next epoch.

    Args:
        generator: the seed (int) or a generator that gives one; default from ``lamina.random``.
    """

    def __init__(self, generator: Any = None) -> None:
        self.generator = generator
        self._seed: int | None = None
        self._epoch = 0

    def indices(self, epoch: int, seed: int) -> np.ndarray:
        """The numbers of the samples in this epoch, int64."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def seed(self) -> int:
        """The seed, drawn when it is first needed."""
        if self._seed is None:
            self._seed = seed_from(self.generator)
        return self._seed

    def set_epoch(self, epoch: int) -> None:
        """The epoch that comes next."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        return iter(self.indices(epoch, self.seed()).tolist())


class SequentialSampler(EpochSampler):
    """All samples in their own order.

    Example:
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        super().__init__(0)
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def indices(self, epoch: int, seed: int) -> np.ndarray:
        """0, 1, 2, ..."""
        return np.arange(len(self.data_source))


class RandomSampler(EpochSampler):
    """All samples in a random order, another in each epoch.

    Args:
        data_source: the dataset.
        replacement: whether a sample may come more than once.
        num_samples: how many to take; default as many as there are.
        generator: a seed (int) or a generator that gives one; default from ``lamina.random``.

    Raises:
        ArgumentError: a value out of range.

    Example:
        >>> sorted(RandomSampler(range(3), generator=0))
        [0, 1, 2]
    """

    def __init__(
        self, data_source: Any, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        super().__init__(generator)
        if not isinstance(replacement, bool):
            raise ArgumentError(f"replacement is True or False, got {replacement!r}.")
        if num_samples is not None and (isinstance(num_samples, bool) or num_samples <= 0):
            raise ArgumentError(f"num_samples is a positive integer, got {num_samples!r}.")
        self.data_source, self.replacement, self._num_samples = data_source, replacement, num_samples

    @property
    def num_samples(self) -> int:
        """How many numbers an epoch has."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, epoch: int, seed: int) -> np.ndarray:
        """A permutation, or several ones after the other where more are asked for than there are."""
        generator, rows = keyed(seed, epoch), len(self.data_source)
        if self.replacement:
            return generator.integers(0, rows, self.num_samples)
        if rows == 0:
            return np.empty(0, np.int64)
        parts = [generator.permutation(rows) for _ in range(-(-self.num_samples // rows))]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts))[: self.num_samples]


class SubsetRandomSampler(EpochSampler):
    """Some samples in a random order.

    Args:
        indices: their numbers.
        generator: a seed (int) or a generator that gives one; default from ``lamina.random``.

    Example:
        >>> sorted(SubsetRandomSampler([4, 2], generator=0))
        [2, 4]
    """

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__(generator)
        self.chosen = np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self.chosen)

    def indices(self, epoch: int, seed: int) -> np.ndarray:
        """The numbers, permuted."""
        return keyed(seed, epoch).permutation(self.chosen)


class WeightedRandomSampler(EpochSampler):
    """Samples drawn with probabilities in proportion to weights.

    Args:
        weights: a weight of at least 0 for each sample; they need not sum to 1.
        num_samples: how many to draw.
        replacement: whether a sample may come more than once.
        generator: a seed (int) or a generator that gives one; default from ``lamina.random``.

    Raises:
        ArgumentError: a weight is negative or not finite, or there are not enough above 0 to draw without
            replacement.

    Example:
        >>> list(WeightedRandomSampler([0.0, 1.0], 3, generator=0))
        [1, 1, 1]
    """

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        super().__init__(generator)
        self.weights = np.asarray(weights, np.float64)
        if isinstance(num_samples, bool) or not isinstance(num_samples, int | np.integer) or num_samples <= 0:
            raise ArgumentError(f"num_samples is a positive integer, got {num_samples!r}.")
        if not isinstance(replacement, bool):
            raise ArgumentError(f"replacement is True or False, got {replacement!r}.")
        w = self.weights
        if w.ndim != 1 or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
            raise ArgumentError("weights has a finite weight of at least 0 for each sample, and one above 0.")
        if not replacement and np.count_nonzero(w) < num_samples:
            raise ArgumentError(
                f"Without replacement {num_samples} samples cannot be drawn from {np.count_nonzero(w)} with a "
                "weight above 0."
            )
        self.num_samples, self.replacement = int(num_samples), replacement

    def __len__(self) -> int:
        return self.num_samples

    def indices(self, epoch: int, seed: int) -> np.ndarray:
        """The drawn numbers."""
        share = self.weights / self.weights.sum()
        return keyed(seed, epoch).choice(len(share), self.num_samples, self.replacement, share)


class BatchSampler(Sampler[list[int]]):
    """The numbers of another sampler, put together to lists of ``batch_size``.

    Args:
        sampler: a sampler or any iterable of numbers.
        batch_size: numbers in a list.
        drop_last: whether to leave out a last list that is shorter.

    Example:
        >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size <= 0:
            raise ArgumentError(f"batch_size is a positive integer, got {batch_size!r}.")
        if not isinstance(drop_last, bool):
            raise ArgumentError(f"drop_last is True or False, got {drop_last!r}.")
        self.sampler, self.batch_size, self.drop_last = sampler, int(batch_size), drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        rows = len(self.sampler)  # type: ignore[arg-type]
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)
