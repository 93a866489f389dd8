"""The values of an element of data: NumPy arrays while Lamina works on them, Tensors when a user gets them.

Strings and other objects are no dtype of Tensors: several are a NumPy array of dtype ``object``, one is itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import DTypeError, ShapeError
from lamina.core.primitive import wrap
from lamina.core.trees import flatten, unflatten
from lamina.tensor import Tensor


def to_array(value: Any) -> np.ndarray:
    """The NumPy array of a leaf, without a copy where it is an array already.

    A Python float alone is float32 and an int int64, as everywhere in Lamina; strings become objects.

    Raises:
        ShapeError: a nested list whose rows have different lengths.
    """
    if isinstance(value, np.ndarray):
        return value.astype(object) if value.dtype.kind in "US" else value
    if isinstance(value, Tensor):
        return value._concrete("An element of data")
    if isinstance(value, str | bytes):
        return _object(value)
    if isinstance(value, bool | int | float) and not isinstance(value, np.generic):
        return np.asarray(value, dtypes.scalar_dtype(value, None))
    if isinstance(value, list | tuple):
        return _array_of_list(value)
    if isinstance(value, np.generic) or hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return to_array(np.asarray(value))
    if hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    return _object(value)


def _object(value: Any) -> np.ndarray:
    array = np.empty((), object)
    array[()] = value
    return array


def _array_of_list(value: Sequence[Any]) -> np.ndarray:
    if value and all(isinstance(v, np.ndarray | Tensor) for v in value):
        return stack([to_array(v) for v in value], "A list of arrays")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"The nested list is ragged and does not make an array: {error}.") from None
    if array.dtype.kind in "US":
        return array.astype(object)
    if array.dtype == np.float64 and not any(isinstance(v, np.generic | np.ndarray) for v in value):
        return array.astype(dtypes.DEFAULT_FLOAT)
    return array


def to_tensor(array: np.ndarray) -> Any:
    """A Tensor over the array's memory; if its dtype is none of a Tensor's, the array, or the single object in it."""
    if isinstance(array, np.ndarray) and (array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"):
        return wrap(np.asarray(array))  # a plain ndarray, also of a memory-mapped file
    if isinstance(array, np.ndarray) and array.ndim == 0:
        return array[()]
    return array


def as_tensors(element: Any) -> Any:
    """An element with Tensors for arrays."""
    if isinstance(element, np.ndarray):
        return to_tensor(element)
    leaves, structure = flatten(element)
    return unflatten(structure, [to_tensor(leaf) for leaf in leaves])


def stack(arrays: Sequence[np.ndarray], what: str) -> np.ndarray:
    """Arrays of one shape as the rows of one.

    Raises:
        ShapeError: their shapes differ; says which.
    """
    first = arrays[0].shape
    for i, array in enumerate(arrays):
        if array.shape != first:
            raise ShapeError(
                f"{what}: sample {i} of the batch has shape {array.shape} and sample 0 has {first}. "
                "Bring them to one shape, pad them (Pipeline.padded_batch), or give a collate_fn."
            )
    if not first:
        return np.stack(arrays)
    return np.concatenate(arrays).reshape(len(arrays), *first)  # the same as np.stack, in half the time


def map_leaves(function: Callable[..., Any], element: Any, *others: Any) -> Any:
    """A function of the leaves of elements with one structure.

    Raises:
        ShapeError: the structures differ.
    """
    leaves, structure = flatten(element)
    rest = [flatten(other) for other in others]
    for _, other in rest:
        if other != structure:
            raise ShapeError(f"Elements of one pipeline have one structure; got {structure} and {other}.")
    return unflatten(structure, [function(*parts) for parts in zip(leaves, *[r[0] for r in rest], strict=True)])


def normalise(element: Any) -> Any:
    """An element as a pipeline keeps it: tuples and dicts of arrays.  Lists are arrays, as in ``tf.data``."""
    if isinstance(element, np.ndarray):
        return to_array(element)
    if isinstance(element, tuple):
        parts = [normalise(part) for part in element]
        return type(element)(*parts) if hasattr(element, "_fields") else tuple(parts)
    if isinstance(element, dict):
        return {key: normalise(part) for key, part in element.items()}
    if element is None or hasattr(element, "as_numpy_iterator"):  # a pipeline as an element: a window
        return element
    return to_array(element)


def rows_of(element: Any, what: str) -> int:
    """The common length of the first axis of all leaves.

    Raises:
        ShapeError: they differ, or a leaf has no axis.
        DTypeError: there is no leaf.
    """
    leaves = flatten(element)[0]
    if not leaves:
        raise DTypeError(f"{what}: there are no arrays.")
    for i, leaf in enumerate(leaves):
        if leaf.ndim == 0:
            raise ShapeError(f"{what}: array {i} is a single value; each needs a first axis, which counts the samples.")
    lengths = [len(leaf) for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ShapeError(f"{what}: the arrays have different numbers of samples, {lengths}. Give as many in each.")
    return lengths[0]


def rows(array: np.ndarray, indices: np.ndarray | range | slice) -> np.ndarray:
    """Rows of an array: a view where they lie one after the other."""
    if isinstance(indices, range):
        indices = slice(indices.start, indices.stop, indices.step)
    return array[indices]
