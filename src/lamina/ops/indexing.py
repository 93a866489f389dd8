"""Indexing: slices, gathering by integer arrays, scattering, and NumPy's ``x[...]`` on top of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, OutOfBoundsError, ShapeError
from lamina.core.lowering import Indexed, Scatter, View
from lamina.core.primitive import Primitive, Spec, bind, ndarray, wrap
from lamina.ops.creation import as_shape, as_tensor
from lamina.ops.joining import PAD, inside
from lamina.ops.shape import normalize_axis, size_of
from lamina.ops.subscript import getitem as getitem
from lamina.ops.subscript import index_array


# --- static slices --------------------------------------------------------------------------------
def _slice_shape(x: Any, starts: Any, stops: Any, steps: Any) -> Spec:
    """``0 <= start <= stop <= size`` and ``step >= 1`` in each dimension."""
    if not len(starts) == len(stops) == len(steps) == len(x.shape):
        raise ShapeError(f"slice: {len(starts)} ranges do not fit shape {tuple(x.shape)}.")
    for n, a, b, s in zip(x.shape, starts, stops, steps, strict=True):
        if not (0 <= a <= b <= n and s >= 1):
            raise ShapeError(f"slice: {a}:{b}:{s} does not lie in a dimension of size {n}.")
    return Spec(tuple(-(-(b - a) // s) for a, b, s in zip(starts, stops, steps, strict=True)), x.dtype)


def _slice_vjp(ct: Any, out: Any, x: Any, starts: Any, stops: Any, steps: Any) -> tuple[Any]:
    low, high = [], []
    for n, m, a, s in zip(x.shape, out.shape, starts, steps, strict=True):
        low.append(a if m else n)
        high.append(n - (a + (m - 1) * s + 1) if m else 0)
    interior = tuple(s - 1 for s in steps)
    return (bind(PAD, ct, low=tuple(low), high=tuple(high), interior=interior, value=0.0),)


def _slice_element(c: Any, index: Any, node: Any) -> Any:
    starts, steps = node.params["starts"], node.params["steps"]
    return c.pull(0, [i * s + a if s > 1 else i + a for i, a, s in zip(index, starts, steps, strict=True)])


def _slice_strides(shape: Any, strides: Any, node: Any) -> tuple[int, tuple[int, ...]]:
    starts, steps = node.params["starts"], node.params["steps"]
    offset = sum(a * stride for a, stride in zip(starts, strides, strict=True))
    return offset, tuple(s * stride for s, stride in zip(steps, strides, strict=True))


SLICE = Primitive(
    "slice",
    shape=_slice_shape,
    numpy=lambda x, starts, stops, steps: x[tuple(map(slice, starts, stops, steps))],
    vjp=_slice_vjp,
    native=View(_slice_element, _slice_strides),
)


def strided_slice(x: Any, starts: tuple[int, ...], stops: tuple[int, ...], steps: tuple[int, ...]) -> Any:
    """``x[start:stop:step, ...]`` with bounds that are within the shape and steps that are positive."""
    if all(a == 0 and b == n and s == 1 for a, b, s, n in zip(starts, stops, steps, x.shape, strict=True)):
        return x
    return bind(SLICE, x, starts=starts, stops=stops, steps=steps)


def narrow(x: Any, axis: int, start: int, stop: int, step: int = 1) -> Any:
    """``x[..., start:stop:step, ...]`` along one axis."""
    ndim = x.ndim
    starts, stops, steps = [0] * ndim, list(x.shape), [1] * ndim
    starts[axis], stops[axis], steps[axis] = start, stop, step
    return strided_slice(x, tuple(starts), tuple(stops), tuple(steps))


# --- take -----------------------------------------------------------------------------------------
def wrapped(c: Any, i: Any, n: int) -> Any:
    """An integer operand, where negative ones count from the end, as an index that is in bounds."""
    b = c.b
    dtype = "int32" if i.dtype.kind == "i" and i.dtype.itemsize <= 4 and n < 2**31 else "int64"
    i = b.cast(i, np.dtype(dtype))
    return inside(c, b.select(b.lt(i, b.const(0, dtype)), b.add(i, b.const(n, dtype)), i), n)


def out_of_bounds(name: str, indices: ndarray, size: int, axis: int) -> OutOfBoundsError:
    """The error for the first index that is not in ``-size .. size - 1``."""
    wrong = indices[(indices < -size) | (indices >= size)]
    return OutOfBoundsError(
        f"{name}: index {wrong.flat[0]} is out of bounds for axis {axis} with size {size} "
        f"({wrong.size} of {indices.size} indices are)."
    )


def _take_shape(x: Any, indices: Any, axis: int) -> Spec:
    return Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)


def _take_numpy(x: ndarray, indices: ndarray, axis: int) -> ndarray:
    try:
        return np.take(x, indices, axis)  # type: ignore[no-any-return]
    except IndexError:
        raise out_of_bounds("take", indices, x.shape[axis], axis) from None


def _take_element(c: Any, index: Any, node: Any) -> Any:
    axis, rank, n = node.params["axis"], len(node.inputs[1].shape), node.inputs[0].shape[node.params["axis"]]
    i = wrapped(c, c.pull(1, index[axis : axis + rank]), n)
    return c.pull(0, [*index[:axis], i, *index[axis + rank :]])


def _take_vjp(ct: Any, out: Any, x: Any, indices: Any, axis: int) -> tuple[Any, None]:
    return bind(SCATTER_ADD, ops.zeros_like(x), indices, ct, axis=axis), None


TAKE = Primitive(
    "take",
    shape=_take_shape,
    numpy=_take_numpy,
    vjp=_take_vjp,
    native=Indexed(_take_element),
)


# --- scatter --------------------------------------------------------------------------------------
def _scatter_shape(x: Any, indices: Any, updates: Any, axis: int) -> Spec:
    expected = _take_shape(x, indices, axis).shape
    if tuple(updates.shape) != expected:
        raise ShapeError(f"scatter: updates have shape {tuple(updates.shape)} and must have {expected}.")
    return Spec(tuple(x.shape), x.dtype)


def _scatter_rows(name: str, x: ndarray, indices: ndarray, updates: ndarray, axis: int) -> tuple[ndarray, ...]:
    """A copy of x, wrapped indices and updates as ``(size, rest)``, ``(n,)``, ``(n, rest)``."""
    _scatter_shape(x, indices, updates, axis)
    size = x.shape[axis]
    flat = indices.reshape(-1).astype(np.int64)
    if flat.size and not (-size <= flat.min() and flat.max() < size):
        raise out_of_bounds(name, flat, size, axis)
    flat = np.where(flat < 0, flat + size, flat)
    rank = indices.ndim
    rows = np.moveaxis(updates, tuple(range(axis, axis + rank)), tuple(range(rank)))
    out = np.moveaxis(x, axis, 0)
    return np.array(out, order="C"), flat, rows.reshape(flat.size, size_of(out.shape[1:]))


def _scatter_add_numpy(x: ndarray, indices: ndarray, updates: ndarray, axis: int) -> ndarray:
    out, flat, rows = _scatter_rows("scatter_add", x, indices, updates, axis)
    width = rows.shape[1]
    # add.at is fast on one dimension only, and adds in the order of the indices.
    chunk = max(1, (1 << 20) // max(width, 1))
    for start in range(0, flat.size, chunk):
        places = flat[start : start + chunk, None] * width + np.arange(width)
        np.add.at(out.reshape(-1), places.reshape(-1), rows[start : start + chunk].reshape(-1))
    return np.moveaxis(out, 0, axis)


def _scatter_update_numpy(x: ndarray, indices: ndarray, updates: ndarray, axis: int) -> ndarray:
    out, flat, rows = _scatter_rows("scatter_update", x, indices, updates, axis)
    out[flat] = rows.reshape(flat.size, *out.shape[1:])
    return np.moveaxis(out, 0, axis)


def _scatter_update_vjp(ct: Any, out: Any, x: Any, indices: Any, updates: Any, axis: int) -> tuple[Any, None, Any]:
    kept = bind(SCATTER_UPDATE, ct, indices, ops.zeros_like(updates), axis=axis)
    # Where an index comes twice the last update has won: only that one gets a gradient.
    count = size_of(indices.shape)
    tickets = ops.reshape(ops.creation.arange(count), indices.shape)
    board = bind(SCATTER_UPDATE, ops.zeros((x.shape[axis],), "int64"), indices, tickets, axis=0)
    won = ops.equal(bind(TAKE, board, indices, axis=0), tickets)
    won = ops.reshape(won, (*indices.shape, *(1,) * (x.ndim - axis - 1)))
    return kept, None, ops.where(won, bind(TAKE, ct, indices, axis=axis), 0)


SCATTER_ADD = Primitive(
    "scatter_add",
    shape=_scatter_shape,
    numpy=_scatter_add_numpy,
    vjp=lambda ct, out, x, indices, updates, axis: (ct, None, bind(TAKE, ct, indices, axis=axis)),
    native=Scatter(lambda b, old, update: b.add(old, update)),
)

SCATTER_UPDATE = Primitive(
    "scatter_update",
    shape=_scatter_shape,
    numpy=_scatter_update_numpy,
    vjp=_scatter_update_vjp,
    native=Scatter(lambda b, old, update: update),
)


# --- slices at computed positions -----------------------------------------------------------------
def _clamped_starts(x: ndarray, sizes: Sequence[int], starts: Sequence[Any]) -> list[int]:
    """Starts moved so that the slice lies within the array, as the compiled code does."""
    return [min(max(int(s), 0), n - m) for s, n, m in zip(starts, x.shape, sizes, strict=True)]


def _dynamic_shape(x: Any, *starts: Any, sizes: tuple[int, ...]) -> Spec:
    if not len(starts) == len(sizes) == len(x.shape):
        raise ShapeError(f"dynamic_slice: {len(starts)} starts and {len(sizes)} sizes do not fit {tuple(x.shape)}.")
    if any(m > n or m < 0 for m, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"dynamic_slice: sizes {sizes} do not fit into shape {tuple(x.shape)}.")
    return Spec(sizes, x.dtype)


def _dynamic_slice_numpy(x: ndarray, *starts: ndarray, sizes: tuple[int, ...]) -> ndarray:
    _dynamic_shape(x, *starts, sizes=sizes)
    return x[tuple(slice(a, a + m) for a, m in zip(_clamped_starts(x, sizes, starts), sizes, strict=True))]


def _start_operand(c: Any, i: int, room: int) -> Any:
    b = c.b
    start = b.cast(c.pull(i, []), np.dtype(np.int64))
    return b.min(b.max(start, b.const(0, "int64")), b.const(room, "int64"))


def _dynamic_slice_element(c: Any, index: Any, node: Any) -> Any:
    shape, sizes = node.inputs[0].shape, node.params["sizes"]
    source = [
        i if n == m else i + c.index(_start_operand(c, d + 1, n - m))
        for d, (i, n, m) in enumerate(zip(index, shape, sizes, strict=True))
    ]
    return c.pull(0, source)


def _dynamic_slice_vjp(ct: Any, out: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    return bind(DYNAMIC_UPDATE_SLICE, ops.zeros_like(x), ct, *starts), *(None for _ in starts)


DYNAMIC_SLICE = Primitive(
    "dynamic_slice",
    shape=_dynamic_shape,
    numpy=_dynamic_slice_numpy,
    vjp=_dynamic_slice_vjp,
    native=Indexed(_dynamic_slice_element),
)


def _dynamic_update_shape(x: Any, update: Any, *starts: Any) -> Spec:
    _dynamic_shape(x, *starts, sizes=tuple(update.shape))
    return Spec(tuple(x.shape), x.dtype)


def _dynamic_update_numpy(x: ndarray, update: ndarray, *starts: ndarray) -> ndarray:
    _dynamic_update_shape(x, update, *starts)
    out = x.copy()
    places = zip(_clamped_starts(x, update.shape, starts), update.shape, strict=True)
    out[tuple(slice(a, a + m) for a, m in places)] = update
    return out


def _dynamic_update_element(c: Any, index: Any, node: Any) -> Any:
    b, shape, sizes = c.b, node.inputs[0].shape, node.inputs[1].shape
    old = c.pull(0, index)
    if 0 in sizes:
        return old
    hit: Any = None
    source = []
    for d, (i, n, m) in enumerate(zip(index, shape, sizes, strict=True)):
        if n == m:
            source.append(i)
            continue
        place = b.sub(c.operand(i, "int64"), _start_operand(c, d + 2, n - m))
        here = b.and_(b.ge(place, b.const(0, "int64")), b.lt(place, b.const(m, "int64")))
        hit = here if hit is None else b.and_(hit, here)
        source.append(inside(c, place, m))
    new = c.pull(1, source)
    return new if hit is None else b.select(hit, new, old)


def _dynamic_update_vjp(ct: Any, out: Any, x: Any, update: Any, *starts: Any) -> tuple[Any, ...]:
    outer = bind(DYNAMIC_UPDATE_SLICE, ct, ops.zeros_like(update), *starts)
    return outer, bind(DYNAMIC_SLICE, ct, *starts, sizes=update.shape), *(None for _ in starts)


DYNAMIC_UPDATE_SLICE = Primitive(
    "dynamic_update_slice",
    shape=_dynamic_update_shape,
    numpy=_dynamic_update_numpy,
    vjp=_dynamic_update_vjp,
    native=Indexed(_dynamic_update_element),
)


# --- public functions -----------------------------------------------------------------------------
def integer_indices(name: str, indices: Any) -> Any:
    """Indices as a Tensor of a signed integer dtype.

    Raises:
        DTypeError: they are not integers.
    """
    indices = as_tensor(indices)
    if not dtypes.is_integer(indices.dtype):
        if indices.dtype == dtypes.DEFAULT_FLOAT and size_of(indices.shape) == 0:  # an empty list
            return ops.astype(indices, dtypes.DEFAULT_INT)
        raise DTypeError(f"{name}: indices are integers; got dtype {indices.dtype}. Cast them: i.astype('int64').")
    return ops.astype(indices, dtypes.DEFAULT_INT) if indices.dtype.kind == "u" else indices


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """``x[..., indices, ...]``: the slices of ``x`` at integer positions along an axis.

    Args:
        x: tensor of at least one dimension.
        indices: integers of any shape; negative ones count from the end.
        axis: the axis; may be left out for 1-D tensors only.

    Returns:
        Shape ``x.shape[:axis] + indices.shape + x.shape[axis + 1:]``.

    Raises:
        OutOfBoundsError: an index lies outside the axis.  (Compiled code, which cannot stop,
            takes the nearest element instead.)

    Example:
        >>> import lamina
        >>> lamina.take([[1, 2], [3, 4]], [1, 0, 1], axis=0).tolist()
        [[3, 4], [1, 2], [3, 4]]
    """
    x = as_tensor(x)
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"take: axis is needed for a tensor of {x.ndim} dimensions.")
        axis = 0
    axis = normalize_axis("take", axis, x.ndim)
    indices = integer_indices("take", indices)
    if x.shape[axis] == 0 and size_of(indices.shape) > 0:
        raise OutOfBoundsError(f"take: axis {axis} has size 0, so that no index fits.")
    return bind(TAKE, x, indices, axis=axis)


def gather(x: Any, indices: Any, axis: int = 0) -> Any:
    """``take`` with the axis defaulting to the first: rows of a table by their numbers.

    Example:
        >>> import lamina
        >>> lamina.gather([[1, 2], [3, 4]], [1, 1]).tolist()
        [[3, 4], [3, 4]]
    """
    return take(x, indices, axis)


def _along_axis_positions(name: str, x: Any, indices: Any, axis: int) -> Any:
    """Flat positions in ``x`` of ``x[i0, ..., indices[i0, ..., in], ..., in]``."""
    if indices.ndim != x.ndim:
        raise ShapeError(f"{name}: indices have {indices.ndim} dimensions and x has {x.ndim}; they must agree.")
    for d, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)):
        if d != axis and n != m:
            raise ShapeError(f"{name}: shapes {x.shape} and {indices.shape} differ along axis {d} (axis={axis}).")
    positions = ops.multiply(_in_bounds(name, indices, x.shape[axis], axis), size_of(x.shape[axis + 1 :]))
    for d, n in enumerate(x.shape):
        if d != axis and n > 1:
            along = ops.reshape(ops.creation.arange(n), (n, *(1,) * (x.ndim - d - 1)))
            positions = ops.add(positions, ops.multiply(along, size_of(x.shape[d + 1 :])))
    return positions


def _in_bounds(name: str, indices: Any, size: int, axis: int) -> Any:
    """int64 indices with negative ones counted from the end; checked where their values are known."""
    data = indices._data
    if type(data) is ndarray:
        if data.size and (data.min() < -size or data.max() >= size):
            raise out_of_bounds(name, data, size, axis)
        data = data.astype(np.int64)
        return wrap(np.where(data < 0, data + size, data) if data.size and data.min() < 0 else data)
    wide = ops.astype(indices, dtypes.DEFAULT_INT)
    return ops.where(ops.less(wide, 0), ops.add(wide, size), wide)


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    """``out[i, j, k] = x[i, indices[i, j, k], k]`` (for three dimensions and ``axis=1``).

    Args:
        x: tensor of at least one dimension.
        indices: integers; its shape is that of ``x`` except along ``axis`` (sizes of 1 broadcast).
        axis: along which axis the indices choose.

    Raises:
        OutOfBoundsError: an index lies outside the axis.

    Example:
        >>> import lamina
        >>> lamina.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1).tolist()
        [[2], [3]]
    """
    x, indices = as_tensor(x), integer_indices("take_along_axis", indices)
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    if indices.ndim == x.ndim:  # sizes of 1 broadcast on either side
        others = [max(n, m) if 0 not in (n, m) else 0 for n, m in zip(x.shape, indices.shape, strict=True)]
        indices = ops.broadcast_to(indices, [*others[:axis], indices.shape[axis], *others[axis + 1 :]])
        x = ops.broadcast_to(x, [*others[:axis], x.shape[axis], *others[axis + 1 :]])
    positions = _along_axis_positions("take_along_axis", x, indices, axis)
    return bind(TAKE, ops.reshape(x, (-1,)), positions, axis=0)


def dynamic_slice(x: Any, starts: Any, sizes: Sequence[int]) -> Any:
    """A block of fixed size that begins at computed positions: ``x[s0:s0+n0, s1:s1+n1, ...]``.

    Args:
        x: tensor of any shape.
        starts: one integer for each dimension: numbers, 0-d tensors, or one 1-D tensor.  A start
            that would let the block stick out is moved so that it fits.
        sizes: size of the block in each dimension, Python integers.

    Example:
        >>> import lamina
        >>> lamina.dynamic_slice(lamina.tensor([1, 2, 3, 4, 5]), [lamina.tensor(2)], [2]).tolist()
        [3, 4]
    """
    x = as_tensor(x)
    return bind(DYNAMIC_SLICE, x, *_scalar_starts(starts, x.ndim), sizes=as_shape(sizes))


def dynamic_update_slice(x: Any, update: Any, starts: Any) -> Any:
    """A copy of ``x`` with a block that begins at computed positions replaced by ``update``.

    Args:
        x: tensor of any shape.
        update: tensor of as many dimensions, nowhere larger than ``x``.
        starts: as for ``dynamic_slice``.

    Example:
        >>> import lamina
        >>> lamina.dynamic_update_slice([0, 0, 0, 0], [7, 8], [1]).tolist()
        [0, 7, 8, 0]
    """
    x = as_tensor(x)
    update = ops.astype(as_tensor(update, like=x), x.dtype)
    return bind(DYNAMIC_UPDATE_SLICE, x, update, *_scalar_starts(starts, x.ndim))


def _scalar_starts(starts: Any, ndim: int) -> list[Any]:
    if isinstance(starts, list | tuple):
        scalars = [integer_indices("dynamic_slice", s) for s in starts]
    else:
        starts = integer_indices("dynamic_slice", starts)
        scalars = [starts] if starts.ndim == 0 else list(ops.joining.unstack(starts))
    if len(scalars) != ndim or any(s.shape != () for s in scalars):
        raise ShapeError(f"dynamic_slice: {ndim} dimensions need as many scalar starts; got {starts!r}.")
    return scalars


def one_hot(indices: Any, num_classes: int, dtype: Any = None, axis: int = -1) -> Any:
    """``out[..., k] = 1`` where ``indices[...] == k``, else 0.

    Args:
        indices: integers of any shape.  One that is not in ``0 .. num_classes - 1`` gives only zeros.
        num_classes: size of the new axis.
        dtype: dtype of the result; default float32.
        axis: where the new axis stands.

    Example:
        >>> import lamina
        >>> lamina.one_hot([0, 2], 3).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    indices = integer_indices("one_hot", indices)
    axis = normalize_axis("one_hot", axis, indices.ndim + 1)
    classes = ops.creation.arange(num_classes, dtype=dtypes.DEFAULT_INT)
    classes = ops.reshape(classes, (num_classes, *(1,) * (indices.ndim - axis)))
    hits = ops.equal(ops.expand_dims(ops.astype(indices, dtypes.DEFAULT_INT), axis), classes)
    return ops.astype(hits, dtypes.DEFAULT_FLOAT if dtype is None else dtype)


def diagonal(x: Any, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Any:
    """The diagonals of the matrices in two axes; the result has them in its last axis.

    Args:
        x: tensor of at least two dimensions.
        offset: 0 the main diagonal, positive above it, negative below.
        axis1, axis2: the rows and columns of the matrices.

    Example:
        >>> import lamina
        >>> lamina.diagonal([[1, 2], [3, 4]]).tolist()
        [1, 4]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"diagonal takes at least 2 dimensions and got shape {x.shape}.")
    rows, columns = (normalize_axis("diagonal", a, x.ndim) for a in (axis1, axis2))
    if rows == columns:
        raise ArgumentError("diagonal: axis1 and axis2 are the same axis.")
    x = ops.shape.moveaxis(x, (rows, columns), (-2, -1))
    m, n = x.shape[-2:]
    length = max(0, min(m + min(offset, 0), n - max(offset, 0)))
    # In row-major order the next element of a diagonal stands n + 1 places further.
    flat = ops.reshape(x, (*x.shape[:-2], m * n))
    start = (offset if offset >= 0 else -offset * n) if length else 0
    return narrow(flat, -1, start, start + (length - 1) * (n + 1) + 1 if length else 0, n + 1)


def segment_sum(data: Any, segment_ids: Any, num_segments: int) -> Any:
    """``out[s]`` is the sum of the rows of ``data`` whose segment id is ``s``.

    Args:
        data: shape (n, ...).
        segment_ids: integers of shape (n,), in any order.
        num_segments: number of rows of the result.

    Example:
        >>> import lamina
        >>> lamina.segment_sum([1.0, 2.0, 3.0], [0, 1, 0], 2).tolist()
        [4.0, 2.0]
    """
    data, ids = as_tensor(data), integer_indices("segment_sum", segment_ids)
    if ids.ndim != 1 or data.ndim == 0 or data.shape[0] != ids.shape[0]:
        raise ShapeError(f"segment_sum: segment ids of shape {ids.shape} do not name the rows of {data.shape}.")
    start = ops.zeros((num_segments, *data.shape[1:]), data.dtype)
    return bind(SCATTER_ADD, start, ids, data, axis=0)


def scatter_update(x: Any, key: Any, values: Any) -> Any:
    """A copy of ``x`` in which ``copy[key] = values``; of values for one element the last stays.

    Args:
        x: tensor of any shape.
        key: anything that stands in ``x[key]``.
        values: broadcasts to the shape of ``x[key]``.

    Example:
        >>> import lamina
        >>> lamina.scatter_update([1, 2, 3], [0, 2], 9).tolist()
        [9, 2, 9]
    """
    return _scatter(SCATTER_UPDATE, x, key, values)


def scatter_add(x: Any, key: Any, values: Any) -> Any:
    """A copy of ``x`` in which ``copy[key] += values``; values for one element add up.

    Args:
        x: tensor of any shape.
        key: anything that stands in ``x[key]``.
        values: broadcasts to the shape of ``x[key]``.

    Example:
        >>> import lamina
        >>> lamina.scatter_add([1, 2, 3], [0, 0, 2], 10).tolist()
        [21, 2, 13]
    """
    return _scatter(SCATTER_ADD, x, key, values)


def _scatter(primitive: Primitive, x: Any, key: Any, values: Any) -> Any:
    x = as_tensor(x)
    values = ops.astype(as_tensor(values, like=x), x.dtype)
    found = index_array(key)
    if found is not None and x.ndim and not dtypes.is_bool(found.dtype):  # rows by number: no positions needed
        shape = (*found.shape, *x.shape[1:])
        return bind(primitive, x, found, ops.broadcast_to(values, shape), axis=0)
    positions = ops.getitem(ops.reshape(ops.creation.arange(size_of(x.shape)), x.shape), key)
    updates = ops.broadcast_to(values, positions.shape)
    flat = bind(primitive, ops.reshape(x, (-1,)), positions, updates, axis=0)
    return ops.reshape(flat, x.shape)
