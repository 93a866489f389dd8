"""Data sets: samples by number (``Dataset``) or one after the other (``IterableDataset``)."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from lamina.core.errors import ArgumentError, OutOfBoundsError
from lamina.data.elements import rows_of, stack, to_array, to_tensor
from lamina.data.keys import generator_from

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by number: a subclass has ``__getitem__(self, index)`` and ``__len__(self)``.

    Two methods make it faster where it can do many at once: ``__getitems__(self, indices)`` returns a list of
    samples, and ``gather(self, indices)`` a batch that is put together already.

    Example:
        >>> from lamina.data import DataLoader
        >>> class Squares(Dataset):
        ...     def __len__(self):
        ...         return 4
        ...     def __getitem__(self, index):
        ...         return float(index), float(index**2)
        >>> [batch[1].tolist() for batch in DataLoader(Squares(), batch_size=2)]
        [[0.0, 1.0], [4.0, 9.0]]
    """

    def __getitem__(self, index: Any) -> T_co:
        """The sample of this number."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __getitem__(self, index).")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Samples one after the other: a subclass has ``__iter__(self)``.

    With workers every worker goes through the whole stream and keeps its own batches, so that the data are those
    of a loader without workers.  A stream that calls ``get_worker_info()`` shares the work out itself.

    Example:
        >>> from lamina.data import DataLoader
        >>> class Count(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(5))
        >>> [batch.tolist() for batch in DataLoader(Count(), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not implement __iter__(self).")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples that are the rows of arrays in memory (or of memory-mapped files): ``(a[i], b[i], ...)``.

    Args:
        *tensors: Tensors or arrays with one row for each sample.

    Raises:
        ShapeError: they have different numbers of rows.

    Example:
        >>> import numpy as np
        >>> data = TensorDataset(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))
        >>> len(data), data[1][0].tolist()
        (3, [2.0, 3.0])
    """

    def __init__(self, *tensors: Any) -> None:
        self.arrays = tuple(to_array(tensor) for tensor in tensors)
        self._rows = rows_of(self.arrays, "TensorDataset")

    @property
    def tensors(self) -> tuple[Any, ...]:
        """The Tensors."""
        return tuple(to_tensor(array) for array in self.arrays)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(to_tensor(np.asarray(array[index])) for array in self.arrays)

    def gather(self, indices: Any) -> list[Any]:
        """The batch of these rows, a list with a Tensor for each array."""
        return [to_tensor(array[indices]) for array in self.arrays]


class Subset(Dataset[T_co]):
    """The samples of a dataset at some numbers.

    Args:
        dataset: the dataset.
        indices: which samples, in this order.

    Example:
        >>> [int(x) for x, in Subset(TensorDataset([10, 20, 30]), [2, 0])]
        [30, 10]
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset, self.indices = dataset, indices
        if hasattr(dataset, "gather"):
            self.gather = self._gather

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[_checked(self.indices[index])]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples at these numbers."""
        chosen = [_checked(self.indices[i]) for i in indices]
        if hasattr(self.dataset, "__getitems__"):
            return list(self.dataset.__getitems__(chosen))
        return [self.dataset[i] for i in chosen]

    def _gather(self, indices: Any) -> Any:
        return self.dataset.gather(np.asarray(self.indices)[indices])

    def __getstate__(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "indices": self.indices}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["dataset"], state["indices"])  # type: ignore[misc]


def _checked(index: Any) -> Any:
    return int(index) if isinstance(index, np.integer) else index


class ConcatDataset(Dataset[T_co]):
    """The samples of several datasets, one dataset after the other.

    Args:
        datasets: datasets with a length.

    Raises:
        ArgumentError: there is none, or one is a stream.

    Example:
        >>> both = TensorDataset([1, 2]) + TensorDataset([3])
        >>> len(both), int(both[2][0])
        (3, 3)
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset needs at least one dataset.")
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise ArgumentError(
                    "ConcatDataset takes datasets with samples by number; put streams one after the other with "
                    "ChainDataset."
                )
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __len__(self) -> int:
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index: int) -> Any:
        size = len(self)
        if not -size <= index < size:
            raise OutOfBoundsError(f"Sample {index} of a dataset with {size}.")
        index %= size
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset[T_co]):
    """Streams, one after the other.

    Args:
        datasets: iterables.

    Example:
        >>> list(ChainDataset([[1, 2], [3]]))
        [1, 2, 3]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class StackDataset(Dataset[Any]):
    """Samples that take one part from each of several datasets.

    Args:
        *datasets: datasets of one length, for samples that are tuples.
        **named: likewise, for samples that are dicts.

    Raises:
        ArgumentError: their lengths differ, or there are both.

    Example:
        >>> StackDataset(x=[1, 2], y=[3, 4])[1]
        {'x': 2, 'y': 4}
    """

    def __init__(self, *datasets: Any, **named: Any) -> None:
        if bool(datasets) == bool(named):
            raise ArgumentError("StackDataset takes datasets, or datasets by name; at least one, and not both.")
        self.datasets: Any = datasets or named
        lengths = [len(d) for d in (datasets or named.values())]
        if len(set(lengths)) > 1:
            raise ArgumentError(f"StackDataset takes datasets of one length; got {lengths}.")
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Any = None) -> list[Subset[Any]]:
    """Disjoint random parts of a dataset.

    Args:
        dataset: a dataset with a length.
        lengths: sizes of the parts, or their shares, which sum to 1; what rounding leaves goes to the first parts.
        generator: a seed (int), a generator of Lamina or NumPy; default ``lamina.random``'s default generator.

    Returns:
        A ``Subset`` for each length.

    Raises:
        ArgumentError: the lengths do not sum to the size of the dataset, or the shares to 1.

    Example:
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25], generator=1)]
        [8, 2]
    """
    size = len(dataset)
    counts = [int(n) for n in lengths]
    if any(isinstance(n, float | np.floating) for n in lengths) and abs(sum(lengths) - 1) < 1e-9:
        if min(lengths) < 0 or max(lengths) > 1:
            raise ArgumentError(f"Shares of a dataset lie between 0 and 1; got {list(lengths)}.")
        counts = [int(np.floor(size * share + 1e-9)) for share in lengths]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
    elif any(n != c for n, c in zip(lengths, counts, strict=True)) or sum(counts) != size or min(counts, default=0) < 0:
        raise ArgumentError(
            f"random_split: the lengths {list(lengths)} sum to {sum(lengths)} and the dataset has {size} samples. "
            "Give sizes that sum to that, or shares that sum to 1."
        )
    order = generator_from(generator).permutation(size)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]


def is_stream(dataset: Any) -> bool:
    """Whether a dataset (also of PyTorch or Hugging Face) has no samples by number."""
    if any(base.__name__ == "IterableDataset" for base in type(dataset).__mro__):
        return True
    if hasattr(dataset, "as_numpy_iterator"):
        return True
    return hasattr(dataset, "__iter__") and not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"))


def is_table(dataset: Any) -> bool:
    """Whether a dataset has columns, of which it gives many rows at once, as those of Hugging Face do."""
    return hasattr(dataset, "column_names") and hasattr(dataset, "features") and hasattr(dataset, "__getitem__")


def rows_of_table(dataset: Any, indices: Any) -> dict[str, Any]:
    """Rows of a dataset with columns, each column an array.

    Raises:
        ShapeError: the values of a column have different shapes.
    """
    if isinstance(indices, slice | range):
        indices = np.arange(indices.start, indices.stop)
    columns = dataset[np.asarray(indices).tolist()]
    return {name: _column(values, name) for name, values in columns.items()}


def _column(values: Any, name: str) -> np.ndarray:
    if len(values) and isinstance(values[0], list | tuple | np.ndarray):
        return stack([to_array(value) for value in values], f"column {name!r}")
    return to_array(values)
