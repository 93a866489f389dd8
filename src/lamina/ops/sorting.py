"""Sorting, searching and sets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray, unsupported, user_location, wrap
from lamina.ops.creation import IOTA, as_tensor, operands
from lamina.ops.reduction import one_axis


def _comparable(x: ndarray) -> ndarray:
    """The same order in a dtype that NumPy sorts; in that of bfloat16 NaN has no place."""
    half = x.dtype.itemsize == 2 and dtypes.is_float(x.dtype)
    return x.astype(np.float32) if half else x


def _argsort_numpy(x: ndarray, axis: int, descending: bool) -> ndarray:
    """A stable order.  NaN comes last when ascending and first when descending, as in NumPy reversed."""
    x = _comparable(x)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Sorting the reversed array and reversing the result keeps equal elements in their order.
    order = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(order, axis)


ARGSORT = Primitive(
    "argsort",
    shape=lambda x, axis, descending: Spec(x.shape, dtypes.int64),
    numpy=_argsort_numpy,
    vjp=NOT_DIFFERENTIABLE,
    native=unsupported("NumPy's sort is vectorised already"),
)


def _top_numpy(x: ndarray, axis: int, k: int) -> ndarray:
    """The first ``k`` of the descending order.  Few of many are sorted after they are chosen."""
    n, x = x.shape[axis], _comparable(x)
    # NumPy sorts short integers by counting, which nothing beats.
    if k == 0 or 4 * k > n or n < LONG or x.dtype.itemsize < 4:
        return np.take(_argsort_numpy(x, axis, True), np.arange(k), axis)
    last = np.moveaxis(x, axis, -1)
    rows = np.ascontiguousarray(last).reshape(-1, n)
    least = np.partition(rows, n - k, axis=1)[:, n - k, None]  # of those to be chosen
    if np.isnan(least).any():
        return np.take(_argsort_numpy(x, axis, True), np.arange(k), axis)
    chosen = ~(rows < least)  # NaN too, which comes first
    places = np.flatnonzero(chosen)
    if places.size > k * len(rows):
        places = _first_of_equals(chosen, rows == least, k)
    columns = (places % n).reshape(-1, k)
    order = _argsort_numpy(np.take_along_axis(rows, columns, 1), 1, True)
    columns = np.take_along_axis(columns, order, 1).astype(np.int64, copy=False)
    return np.moveaxis(columns.reshape(*last.shape[:-1], k), -1, axis)


def _first_of_equals(chosen: ndarray, equal: ndarray, k: int) -> ndarray:
    """The flat places of what is chosen in each row, of the equal ones only as many as make ``k``: the first."""
    starts = np.arange(len(equal) + 1) * equal.shape[1]
    above, level = np.flatnonzero(chosen & ~equal), np.flatnonzero(equal)
    room = k - np.diff(np.searchsorted(above, starts))
    first = np.searchsorted(level, starts[:-1])
    wanted = np.repeat(first - np.cumsum(room) + room, room) + np.arange(room.sum())
    return np.sort(np.concatenate([above, level[wanted]]))


LONG = 64  # from this size of the axis on

TOP_K = Primitive(
    "top_k",
    shape=lambda x, axis, k: Spec((*x.shape[:axis], k, *x.shape[axis + 1 :]), dtypes.int64),
    numpy=_top_numpy,
    vjp=NOT_DIFFERENTIABLE,
    native=unsupported("NumPy's partition and sort are vectorised already"),
)


def _search_shape(sorted_values: Any, values: Any, side: str) -> Spec:
    if len(sorted_values.shape) != 1:
        raise ShapeError(f"searchsorted takes a sorted vector and got shape {tuple(sorted_values.shape)}.")
    return Spec(values.shape, dtypes.int64)


SEARCHSORTED = Primitive(
    "searchsorted",
    shape=_search_shape,
    numpy=lambda sorted_values, values, side: np.searchsorted(sorted_values, values, side).astype(np.int64),
    vjp=NOT_DIFFERENTIABLE,
    native=unsupported("NumPy's binary search is as good"),
)


def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices (int64) that sort ``x`` along ``axis``.  Equal elements keep their order.

    Args:
        x: tensor of at least one dimension.
        axis: along which to sort.
        descending: largest first.
        stable: accepted for the array API; the order is always stable.

    Example:
        >>> import lamina
        >>> lamina.argsort([3, 1, 2]).numpy()
        array([1, 2, 0])
    """
    x = as_tensor(x)
    return bind(ARGSORT, x, axis=one_axis("argsort", axis, x.ndim), descending=bool(descending))


def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """``x`` sorted along ``axis``; differentiable.

    Example:
        >>> import lamina
        >>> lamina.sort([3.0, 1.0, 2.0], descending=True).numpy()
        array([3., 2., 1.], dtype=float32)
    """
    x = as_tensor(x)
    return ops.take_along_axis(x, argsort(x, axis, descending, stable), axis=axis)


def top_k(x: Any, k: int, axis: int = -1, sorted: bool = True) -> tuple[Any, Any]:
    """The ``k`` largest elements along ``axis``, largest first, and their indices.

    Args:
        x: tensor of at least one dimension.
        k: how many.
        axis: along which to choose.
        sorted: accepted for familiarity; the result is always sorted.

    Returns:
        ``(values, indices)``, both with size ``k`` along ``axis``.

    Raises:
        ArgumentError: ``k`` is negative or larger than the axis.

    Example:
        >>> import lamina
        >>> values, indices = lamina.top_k([1.0, 4.0, 3.0], 2)
        >>> values.numpy(), indices.numpy()
        (array([4., 3.], dtype=float32), array([1, 2]))
    """
    x = as_tensor(x)
    axis = one_axis("top_k", axis, x.ndim)
    if not 0 <= k <= x.shape[axis]:
        raise ArgumentError(f"top_k: k={k} does not fit an axis of size {x.shape[axis]}.")
    indices = bind(TOP_K, x, axis=axis, k=int(k))
    return ops.take_along_axis(x, indices, axis=axis), indices


def searchsorted(x1: Any, x2: Any, side: str = "left", sorter: Any = None) -> Any:
    """Where the elements of ``x2`` would go in the sorted vector ``x1``, as int64.

    Args:
        x1: sorted vector (or any vector, with ``sorter``).
        x2: tensor of any shape.
        side: ``"left"`` gives the first place, ``"right"`` the last.
        sorter: indices that sort ``x1``.

    Example:
        >>> import lamina
        >>> lamina.searchsorted([1.0, 2.0, 3.0], [2.0, 2.5]).numpy()
        array([1, 2])
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is 'left' or 'right', not {side!r}.")
    x1, x2 = operands(x1, x2)
    if sorter is not None:
        x1 = ops.take(x1, sorter, axis=0)
    return bind(SEARCHSORTED, x1, x2, side=side)


# --- results whose shape depends on the values: eager only ----------------------------------------
class UniqueAll(NamedTuple):
    """What ``unique_all`` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """What ``unique_counts`` returns."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """What ``unique_inverse`` returns."""

    values: Any
    inverse_indices: Any


def _concrete(name: str, x: Any) -> ndarray:
    x = as_tensor(x)
    if x.is_symbolic:
        raise CaptureError(
            f"{name}: the shape of the result depends on the values, which a graph does not know "
            f"(at {user_location()}). Call it outside the function, or use lamina.where with a mask."
        )
    return x._data


def unique_all(x: Any) -> UniqueAll:
    """The sorted unique values, where each came first, where each element went, and how often it occurs."""
    data = _concrete("unique_all", x)
    values, indices, inverse, counts = np.unique(
        data, return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return UniqueAll(wrap(values), wrap(indices), wrap(inverse.reshape(data.shape)), wrap(counts))


def unique_counts(x: Any) -> UniqueCounts:
    """The sorted unique values and how often each occurs."""
    values, counts = np.unique(_concrete("unique_counts", x), return_counts=True, equal_nan=False)
    return UniqueCounts(wrap(values), wrap(counts))


def unique_inverse(x: Any) -> UniqueInverse:
    """The sorted unique values, and for each element the index of its value."""
    data = _concrete("unique_inverse", x)
    values, inverse = np.unique(data, return_inverse=True, equal_nan=False)
    return UniqueInverse(wrap(values), wrap(inverse.reshape(data.shape)))


def unique_values(x: Any) -> Any:
    """The sorted unique values.

    Example:
        >>> import lamina
        >>> lamina.unique_values([2, 1, 2]).numpy()
        array([1, 2])
    """
    return wrap(np.unique(_concrete("unique_values", x), equal_nan=False))


def nonzero(x: Any) -> tuple[Any, ...]:
    """The indices of the elements that are not 0, one vector for each dimension.

    Raises:
        CaptureError: while a graph is captured (the shape depends on the values).

    Example:
        >>> import lamina
        >>> lamina.nonzero([0, 3, 4])[0].numpy()
        array([1, 2])
    """
    data = _concrete("nonzero", x)
    if data.ndim == 0:
        raise ShapeError("nonzero takes a tensor of at least one dimension.")
    return tuple(wrap(i) for i in np.nonzero(data))


def bincount(x: Any, length: int, weights: Any = None) -> Any:
    """How often each of ``0 .. length - 1`` occurs in the integers ``x`` (or the sum of their weights).

    Args:
        x: integer vector; values outside the range are ignored.
        length: size of the result, which makes its shape known in graphs too.
        weights: one number for each element; default ones.

    Example:
        >>> import lamina
        >>> lamina.bincount([0, 2, 2], 4).numpy()
        array([1, 0, 2, 0])
    """
    x = as_tensor(x)
    if not dtypes.is_integer(x.dtype):
        raise DTypeError(f"bincount takes integers and got {x.dtype}.")
    hits = ops.equal(ops.expand_dims(x, -1), bind(IOTA, size=length, dtype=x.dtype))
    if weights is None:
        return ops.sum(hits, axis=0)
    return ops.sum(ops.where(hits, ops.expand_dims(as_tensor(weights), -1), 0), axis=0)


def unique(
    x: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The sorted unique elements, or the unique slices along an axis.

    Args:
        x: tensor.
        return_index: also give where each came first.
        return_inverse: also give for each element the index of its value.
        return_counts: also give how often each occurs.
        axis: compare slices along it; by default the elements of the flattened tensor.
        size: cut or fill up the result to this size.
        fill_value: with what; default the smallest.

    Returns:
        the unique values, or a tuple that begins with them.

    Example:
        >>> import lamina
        >>> values, counts = lamina.ops.sorting.unique([2, 1, 2], return_counts=True)
        >>> values.tolist(), counts.tolist()
        ([1, 2], [1, 2])
    """
    data = _concrete("unique", x)
    values, first, inverse, counts = np.unique(
        data, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    along = 0 if axis is None else axis
    if size is not None:
        found = values.shape[along]
        values = np.take(values, np.minimum(np.arange(size), max(found - 1, 0)), along)
        missing = size - found
        if missing > 0:
            gap = [slice(None)] * values.ndim
            gap[along] = slice(found, None)
            values[tuple(gap)] = np.take(values, [0], along) if fill_value is None else np.asarray(fill_value)
            first = np.concatenate([first, np.full(missing, first[0])])
            counts = np.concatenate([counts, np.zeros(missing, counts.dtype)])
        first, counts = first[:size], counts[:size]
    result = [values]
    for wanted, part in ((return_index, first), (return_inverse, inverse), (return_counts, counts)):
        if wanted:
            result.append(part)
    wrapped = tuple(wrap(np.asarray(r)) for r in result)
    return wrapped if len(wrapped) > 1 else wrapped[0]
