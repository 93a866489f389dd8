"""Dividing data into a part to train on and a part to validate on."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from lamina import random
from lamina.core.errors import ArgumentError, DataError, ShapeError
from lamina.data.datasets import Subset
from lamina.data.elements import rows_of, to_array
from lamina.data.keys import generator_from
from lamina.data.nodes import Batch, Listed, Slices
from lamina.data.pipeline import Pipeline
from lamina.training.classes import class_numbers


# --- Keras's split_dataset ----------------------------------------------------------------------------
def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The first and the last samples of a dataset, as two datasets.

    Args:
        dataset: an array, a list, tuple or dict of arrays, a ``Pipeline``, or a dataset with samples by number.
        left_size: samples, or share of them, in the first part; default all that are not in the second.
        right_size: likewise for the second.
        shuffle: whether to mix the samples before.
        seed: of that; the order is that of Keras with TensorFlow.
        preferred_backend: ``"torch"`` for two ``Subset`` objects; default those for datasets with samples by
            number, and pipelines for all else.

    Raises:
        ArgumentError: sizes that do not fit the dataset.

    Example:
        >>> left, right = split_dataset(np.arange(10), left_size=0.8)
        >>> len(left), [int(x) for x in right]
        (8, [8, 9])
    """
    if left_size is None and right_size is None:
        raise ArgumentError("At least one of the `left_size` or `right_size` must be specified.")
    by_number: Any = None  # samples by number
    batch: int | None = None
    if isinstance(dataset, Pipeline):
        node = dataset._node
        while not isinstance(node, Batch) and len(node.inputs) == 1 and type(node).__name__ == "Prefetch":
            node = node.inputs[0]
        if type(node) is Batch:  # Keras takes batches apart and makes them anew
            batch, node = node.size, node.above
        by_number = list(Pipeline(node)._arrays())
    elif isinstance(dataset, list | tuple | dict | np.ndarray) or hasattr(dataset, "__array__"):
        given = tuple(dataset) if isinstance(dataset, list) else dataset
        if not isinstance(given, np.ndarray) and len(given) == 0:
            raise ArgumentError("The dataset is empty. Give arrays with one row for each sample.")
        rows = Slices(given)
        by_number = _RowList(rows)
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        by_number, preferred_backend = dataset, preferred_backend or "torch"
    else:
        raise ArgumentError(
            "The dataset to split is an array, a list, tuple or dict of arrays, a Pipeline, or has samples by number; "
            f"got a {type(dataset).__name__}."
        )
    total = len(by_number)
    left, right = _sizes(left_size, right_size, total)
    order = list(range(total))
    if shuffle:
        python_random.Random(random.make_seed() if seed is None else seed).shuffle(order)
    parts = order[:left], order[total - right :]
    if preferred_backend == "torch":
        return Subset(by_number, parts[0]), Subset(by_number, parts[1])
    made = []
    for part in parts:
        if isinstance(by_number, _RowList):
            data = Pipeline(Slices(by_number.rows.gather(np.array(part, np.int64))))
        else:
            data = Pipeline(Listed([by_number[i] for i in part]))
        made.append(data if batch is None else data.batch(batch))
    return made[0], made[1]


class _RowList:
    """Rows of arrays as a list of samples."""

    def __init__(self, rows: Slices) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows.length()

    def __getitem__(self, index: int) -> Any:
        return self.rows.row(index)


def _sizes(left: Any, right: Any, total: int) -> tuple[int, int]:
    """The numbers of samples that sizes or shares mean."""
    for name, size in (("left_size", left), ("right_size", right)):
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, int | float | np.number):
            raise ArgumentError(f"Invalid `{name}` Type: it is an int, a float or None; got a {type(size).__name__}.")
        largest = 1 if isinstance(size, float) else total
        if not 0 < size < largest:
            raise ArgumentError(
                f"`{name}` should be either a positive integer smaller than {total}, or a float between 0 and 1; "
                f"got {size}."
            )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1 + 1e-9:
        raise ArgumentError(f"The sum of `left_size` and `right_size` is greater than 1: {left} + {right}.")
    first = None if left is None else round(left * total) if isinstance(left, float) else int(left)
    second = None if right is None else round(right * total) if isinstance(right, float) else int(right)
    first = total - second if first is None and second is not None else first
    second = total - first if second is None and first is not None else second
    assert first is not None and second is not None
    if first + second > total or not first or not second:
        raise ArgumentError(
            f"`left_size` {left} and `right_size` {right} make {first} and {second} of {total} samples; none may be "
            "empty, and together they cannot be more."
        )
    return first, second


# --- ways to hold back samples for validation -----------------------------------------------------------
class Split:
    """A way to divide samples, for ``fit(validation_split=...)`` or by itself.

    Args:
        share: share of the samples to validate on.
    """

    def __init__(self, share: float) -> None:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise ArgumentError(f"The share to validate on lies between 0 and 1; got {share!r}.")
        self.share = float(share)

    def indices(self, rows: int, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the samples to train on and of those to validate on, in their own order.

        Args:
            rows: number of samples.
            y: the targets.
        """
        raise NotImplementedError

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        """Each array's rows to train on and to validate on: ``x_train, x_val, y_train, y_val``.

        Args:
            *arrays: arrays with a row for each sample, the targets last.
        """
        given = [to_array(a) for a in arrays]
        train, held = self.indices(rows_of(given, type(self).__name__), given[-1] if len(given) > 1 else None)
        return tuple(part for array in given for part in (array[train], array[held]))

    def _check(self, train: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(train) or not len(held):
            raise ArgumentError(
                f"{type(self).__name__}({self.share}) leaves {len(train)} samples to train on and {len(held)} to "
                "validate on; neither may be empty."
            )
        return train, held


class Stratified(Split):
    """Of each class the same share is held back, drawn at random.

    Args:
        share: share of the samples to validate on.
        labels: class of each sample; default the targets.
        seed: an int or a generator; default from ``lamina.random``.

    Raises:
        DataError: in ``indices``: a class has one sample only, or the targets are no classes.

    Example:
        >>> y = np.array([0] * 8 + [1] * 4)
        >>> train, held = Stratified(0.25, seed=0).indices(12, y)
        >>> y[held].tolist()
        [0, 0, 1]
    """

    def __init__(self, share: float, labels: Any = None, seed: Any = None) -> None:
        super().__init__(share)
        self.labels, self.seed = labels, seed

    def indices(self, rows: int, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        given = self.labels if self.labels is not None else y
        classes = None if given is None else class_numbers(given)
        if classes is None:
            raise DataError("Stratified needs the classes of the samples: integer or one-hot targets, or labels=.")
        if len(classes) != rows:
            raise ShapeError(f"Stratified: there are {rows} samples and {len(classes)} labels.")
        generator = generator_from(self.seed)
        names, counts = np.unique(classes, return_counts=True)
        if counts.min() < 2:
            raise DataError(
                f"Class {names[counts.argmin()]} has one sample only, which cannot be on both sides. "
                "Leave it out, or split in another way."
            )
        wanted = counts * self.share
        held_back = np.clip(np.floor(wanted + 1e-9), 1, counts - 1).astype(np.int64)
        for i in np.argsort(held_back - wanted, kind="stable"):  # what rounding took goes where it took most
            if held_back.sum() >= round(rows * self.share):
                break
            if held_back[i] < min(counts[i] - 1, np.ceil(wanted[i])):
                held_back[i] += 1
        held = np.concatenate([
            generator.permutation(np.flatnonzero(classes == name))[:n]
            for name, n in zip(names, held_back, strict=True)
        ])  # fmt: skip
        return self._check(np.setdiff1d(np.arange(rows), held), np.sort(held))


class Grouped(Split):
    """Samples of one group (a patient, a speaker, a document) are all on one side.

    Args:
        share: share of the samples to validate on, as near as the groups allow.
        groups: the group of each sample.
        seed: an int or a generator; default from ``lamina.random``.

    Example:
        >>> train, held = Grouped(0.5, ["a", "b", "a", "b"], seed=1).indices(4)
        >>> sorted([train.tolist(), held.tolist()])
        [[0, 2], [1, 3]]
    """

    def __init__(self, share: float, groups: Any, seed: Any = None) -> None:
        super().__init__(share)
        self.groups, self.seed = groups, seed

    def indices(self, rows: int, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        names, members = np.unique(np.asarray(self.groups), return_inverse=True)
        members = members.reshape(-1)
        if len(members) != rows:
            raise ShapeError(f"Grouped: there are {rows} samples and {len(members)} groups' names.")
        if len(names) < 2:
            raise DataError("Grouped needs at least two groups: all samples of one group are on one side.")
        counts = np.bincount(members)
        order = generator_from(self.seed).permutation(len(names))
        ends = np.cumsum(counts[order])
        count = int(np.abs(ends[:-1] - rows * self.share).argmin()) + 1
        is_held = np.isin(members, order[:count])
        return self._check(np.flatnonzero(~is_held), np.flatnonzero(is_held))


class TimeOrdered(Split):
    """The last samples in time are held back, so that nothing is learned from the future.

    Args:
        share: share of the samples to validate on.
        times: when each sample was; default their order.
        gap: how many samples before those to validate on are left out, for instance because windows overlap.

    Example:
        >>> train, held = TimeOrdered(0.25, gap=1).indices(8)
        >>> train.tolist(), held.tolist()
        ([0, 1, 2, 3, 4], [6, 7])
    """

    def __init__(self, share: float, times: Any = None, gap: int = 0) -> None:
        super().__init__(share)
        if isinstance(gap, bool) or not isinstance(gap, int) or gap < 0:
            raise ArgumentError(f"gap is a number of samples; got {gap!r}.")
        self.times, self.gap = times, gap

    def indices(self, rows: int, y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        order = np.arange(rows)
        if self.times is not None:
            times = np.asarray(self.times)
            if len(times) != rows:
                raise ShapeError(f"TimeOrdered: there are {rows} samples and {len(times)} times.")
            order = np.argsort(times, kind="stable")
            at = int(np.floor(rows * (1 - self.share) + 1e-9))
            while 0 < at < rows and times[order[at]] == times[order[at - 1]]:
                at -= 1  # samples of one time stay together
        else:
            at = int(np.floor(rows * (1 - self.share) + 1e-9))
        return self._check(np.sort(order[: max(at - self.gap, 0)]), np.sort(order[at:]))
