"""Reductions over rows that share a number, and scattering that combines what meets in one place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ShapeError
from lamina.core.primitive import Primitive, Spec, bind, ndarray, unsupported
from lamina.ops.creation import as_tensor
from lamina.ops.indexing import segment_sum as segment_sum
from lamina.ops.shape import size_of


def _shape(x: Any, places: Any, updates: Any) -> Spec:
    if tuple(places.shape) != tuple(updates.shape) or len(x.shape) != 1:
        raise ShapeError(f"scatter: {tuple(updates.shape)} updates do not fit {tuple(places.shape)} places.")
    return Spec(tuple(x.shape), x.dtype)


def _combining(ufunc: Any) -> Callable[..., Any]:
    def call(x: ndarray, places: ndarray, updates: ndarray) -> ndarray:
        out = x.copy()
        inside = (places >= 0) & (places < x.shape[0])
        with np.errstate(all="ignore"):
            ufunc.at(out, places[inside], updates[inside])
        return out

    return call


def _extreme_vjp(ct: Any, out: Any, x: Any, places: Any, updates: Any) -> Any:
    """All that are equal to the extreme share its cotangent evenly."""
    room = x.shape[0]
    inside = ops.logical_and(ops.greater_equal(places, 0), ops.less(places, room))
    safe = ops.where(inside, places, 0)
    kept = ops.astype(ops.equal(x, out), ct.dtype)
    won = ops.astype(ops.logical_and(inside, ops.equal(updates, ops.take(out, safe, 0))), ct.dtype)
    share = ops.divide(ct, ops.maximum(ops.scatter_add(kept, safe, won), 1))
    return ops.multiply(share, kept), None, ops.multiply(ops.take(share, safe, 0), won)


NATIVE = unsupported("places that meet are combined one after the other; NumPy's loop is as good")

# One dimension: flat places in a vector.  Places outside are left out.
SCATTER_MAX = Primitive("scatter_max", shape=_shape, numpy=_combining(np.maximum), vjp=_extreme_vjp, native=NATIVE)
SCATTER_MIN = Primitive("scatter_min", shape=_shape, numpy=_combining(np.minimum), vjp=_extreme_vjp, native=NATIVE)


def _prod_vjp(ct: Any, out: Any, x: Any, places: Any, updates: Any) -> Any:
    """Each factor's slope is the product of the others; where there are no zeros that is ``out / factor``."""
    room = x.shape[0]
    inside = ops.logical_and(ops.greater_equal(places, 0), ops.less(places, room))
    safe = ops.where(inside, places, 0)
    zeros = ops.scatter_add(
        ops.astype(ops.equal(x, 0), "int32"), safe, ops.astype(ops.logical_and(inside, ops.equal(updates, 0)), "int32")
    )
    others = bind(
        SCATTER_PROD,
        ops.where(ops.equal(x, 0), 1, x),
        places,
        ops.where(ops.equal(updates, 0), 1, updates),
    )

    def slope(factor: Any, product: Any, count: Any) -> Any:
        single = ops.logical_and(ops.equal(factor, 0), ops.equal(count, 1))
        plain = ops.divide(product, ops.where(ops.equal(factor, 0), 1, factor))
        return ops.where(single, product, ops.where(ops.equal(count, 0), plain, 0))

    to_x = ops.multiply(ct, slope(x, others, zeros))
    to_updates = slope(updates, ops.take(others, safe, 0), ops.take(zeros, safe, 0))
    return to_x, None, ops.where(inside, ops.multiply(ops.take(ct, safe, 0), to_updates), 0)


SCATTER_PROD = Primitive("scatter_prod", shape=_shape, numpy=_combining(np.multiply), vjp=_prod_vjp, native=NATIVE)


def _scatter(primitive: Primitive, x: Any, key: Any, values: Any) -> Any:
    x = as_tensor(x)
    positions = ops.getitem(ops.reshape(ops.creation.arange(size_of(x.shape)), x.shape), key)
    updates = ops.broadcast_to(ops.astype(as_tensor(values, like=x), x.dtype), positions.shape)
    flat = bind(primitive, ops.reshape(x, (-1,)), ops.reshape(positions, (-1,)), ops.reshape(updates, (-1,)))
    return ops.reshape(flat, x.shape)


def scatter_max(x: Any, key: Any, values: Any) -> Any:
    """A copy of ``x`` in which ``copy[key]`` is the larger of itself and the values that come there.

    Example:
        >>> import lamina
        >>> lamina.ops.segments.scatter_max([1, 2, 3], [0, 0, 2], [5, 4, 0]).tolist()
        [5, 2, 3]
    """
    return _scatter(SCATTER_MAX, x, key, values)


def scatter_min(x: Any, key: Any, values: Any) -> Any:
    """A copy of ``x`` in which ``copy[key]`` is the smaller of itself and the values that come there."""
    return _scatter(SCATTER_MIN, x, key, values)


def scatter_prod(x: Any, key: Any, values: Any) -> Any:
    """A copy of ``x`` in which ``copy[key]`` is multiplied with the values that come there."""
    return _scatter(SCATTER_PROD, x, key, values)


def _segments(primitive: Primitive, name: str, data: Any, segment_ids: Any, num_segments: int, start: Any) -> Any:
    data, ids = as_tensor(data), ops.indexing.integer_indices(name, segment_ids)
    if ids.ndim != 1 or data.ndim == 0 or data.shape[0] != ids.shape[0]:
        raise ShapeError(f"{name}: segment ids of shape {ids.shape} do not name the rows of {data.shape}.")
    width = size_of(data.shape[1:])
    rows = ops.reshape(data, (-1,))
    first = ops.multiply(ops.astype(ids, "int64"), width)
    places = ops.reshape(ops.add(ops.expand_dims(first, 1), ops.creation.arange(width)), (-1,))
    # numbers outside stay outside
    wrong = ops.logical_or(ops.less(ids, 0), ops.greater_equal(ids, num_segments))
    outside = ops.reshape(ops.broadcast_to(ops.expand_dims(wrong, 1), (data.shape[0], width)), (-1,))
    places = ops.where(outside, num_segments * width, places)
    found = bind(primitive, ops.full((num_segments * width,), start, data.dtype), places, rows)
    return ops.reshape(found, (num_segments, *data.shape[1:]))


def _end(dtype: np.dtype[Any], sign: int) -> Any:
    if dtypes.is_float(dtype):
        return sign * math.inf
    info = np.iinfo(dtype)
    return int(info.max if sign > 0 else info.min)


def segment_max(data: Any, segment_ids: Any, num_segments: int) -> Any:
    """The largest of the rows that have the same number; the lowest value of the dtype where there are none.

    Args:
        data: shape (n, ...).
        segment_ids: integers of shape (n,).
        num_segments: how many numbers there are.

    Example:
        >>> import lamina
        >>> lamina.ops.segments.segment_max([1, 5, 2], [0, 0, 1], 2).tolist()
        [5, 2]
    """
    dtype = as_tensor(data).dtype
    return _segments(SCATTER_MAX, "segment_max", data, segment_ids, num_segments, _end(dtype, -1))


def segment_min(data: Any, segment_ids: Any, num_segments: int) -> Any:
    """The smallest of the rows that have the same number; the highest value of the dtype where there are none."""
    dtype = as_tensor(data).dtype
    return _segments(SCATTER_MIN, "segment_min", data, segment_ids, num_segments, _end(dtype, 1))


def segment_prod(data: Any, segment_ids: Any, num_segments: int) -> Any:
    """The product of the rows that have the same number; 1 where there are none."""
    return _segments(SCATTER_PROD, "segment_prod", data, segment_ids, num_segments, 1)
