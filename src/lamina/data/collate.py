"""From a list of samples to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import DataError, DTypeError
from lamina.data.elements import stack, to_array, to_tensor
from lamina.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of samples: arrays are stacked along a new first axis, containers are gone into.

    Args:
        batch: samples of one structure: arrays, Tensors (also of other libraries), numbers, strings, and dicts,
            lists and tuples of them.

    Returns:
        The structure of a sample with Tensors of one more axis.  A tuple becomes a list and strings a list of
        strings, as in PyTorch.

    Raises:
        DataError: the samples are not alike, or there is none.
        DTypeError: a sample has something that cannot be stacked.
        ShapeError: arrays have different shapes.

    Example:
        >>> x, y = default_collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
        >>> y.tolist()
        [0, 1]
    """
    if not batch:
        raise DataError("There are no samples to make a batch of.")
    first = batch[0]
    if isinstance(first, Tensor | np.ndarray):
        # Nearly always the samples are plain arrays, and this runs for each.
        kind = first.dtype if type(first) is np.ndarray and first.dtype.kind in "fiub" else None
        arrays = [s if type(s) is np.ndarray and s.dtype == kind else to_array(s) for s in batch]
        return to_tensor(stack(arrays, "default_collate"))
    if isinstance(first, bool | int | float | np.generic):
        return to_tensor(_numbers(batch))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        _check_alike(batch, [set(sample) if isinstance(sample, Mapping) else None for sample in batch], "keys")
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, list | tuple):
        _check_alike(batch, [len(sample) for sample in batch], "lengths")
        parts = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    if hasattr(first, "__array__") or hasattr(first, "__array_interface__") or hasattr(first, "__dlpack__"):
        return default_collate([to_array(sample) for sample in batch])
    raise DTypeError(
        f"default_collate makes batches of arrays, numbers, strings, and dicts, lists and tuples of them; a sample has "
        f"a {type(first).__name__}. Return one of these from the dataset, or give DataLoader a collate_fn."
    )


def _numbers(batch: Sequence[Any]) -> np.ndarray:
    array = np.asarray(batch)
    if isinstance(batch[0], float) and not isinstance(batch[0], np.generic):
        return array.astype(np.float32)
    return array


def _check_alike(batch: Sequence[Any], marks: Sequence[Any], what: str) -> None:
    for i, mark in enumerate(marks):
        if mark != marks[0]:
            raise DataError(
                f"The samples of a batch have different {what}: {marks[0]} in sample 0, {mark} in sample {i}."
            )


def default_convert(sample: Any) -> Any:
    """A sample with Tensors for arrays: what ``DataLoader(batch_size=None)`` does with each.

    Example:
        >>> import numpy as np
        >>> default_convert({"x": np.arange(2), "name": "a"})
        {'x': Tensor([0, 1], shape=(2,), dtype=int64), 'name': 'a'}
    """
    if isinstance(sample, np.ndarray):
        return to_tensor(sample)
    if isinstance(sample, np.generic):
        return to_tensor(np.asarray(sample))
    if isinstance(sample, Mapping):
        return {key: default_convert(value) for key, value in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(default_convert(value) for value in sample))
    if isinstance(sample, list | tuple):
        return [default_convert(value) for value in sample]
    if hasattr(sample, "__dlpack__") and not isinstance(sample, Tensor):
        return to_tensor(to_array(sample))
    return sample
