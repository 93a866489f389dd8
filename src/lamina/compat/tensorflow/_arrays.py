"""What ``tf`` has for making, joining, cutting and looking up tensors."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina import ops
from lamina.compat.tensorflow._convert import axes, convert_to_tensor, matched, static, unary
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.graph import control_flow
from lamina.graph import scan as _scan
from lamina.tensor import Tensor


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Any:
    """A Tensor of ``value``; with ``shape``, one value everywhere or the values in that shape."""
    tensor = ops.as_tensor(value, dtype=dtype) if dtype is not None else convert_to_tensor(value)
    if shape is None:
        return tensor
    shape = tuple(static(shape))
    return ops.broadcast_to(tensor, shape) if tensor.ndim == 0 else ops.reshape(tensor, shape)


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """``x`` in another dtype."""
    return ops.astype(convert_to_tensor(x), dtype)


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Any:
    """``value`` in another dtype, what does not fit set to the nearest number that does."""
    value, dtype = convert_to_tensor(value), dtypes.as_dtype(dtype)
    info = np.iinfo(dtype) if dtypes.is_integer(dtype) else np.finfo(dtype)
    return ops.astype(ops.clip(value, info.min, info.max), dtype)


def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Zeros."""
    return ops.zeros(static(shape), dtype=dtype)


def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Ones."""
    return ops.ones(static(shape), dtype=dtype)


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Zeros in the shape of another tensor."""
    return ops.zeros_like(convert_to_tensor(input), dtype=dtype)


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Ones in the shape of another tensor."""
    return ops.ones_like(convert_to_tensor(input), dtype=dtype)


def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """One value everywhere."""
    return ops.broadcast_to(convert_to_tensor(value), tuple(static(dims)))


def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = "float32", name: str | None = None
) -> Any:
    """Ones on the diagonal."""
    rows = static(num_rows)
    matrix = ops.eye(rows, rows if num_columns is None else static(num_columns), dtype=dtype)
    return matrix if batch_shape is None else ops.broadcast_to(matrix, (*static(batch_shape), *matrix.shape))


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """Numbers from ``start`` (default 0) up to, and without, ``limit``."""
    start, limit = (0, start) if limit is None else (start, limit)
    first, stop, step = (np.asarray(convert_to_tensor(v)) for v in (start, limit, delta))
    found = dtypes.promote(dtypes.promote(first.dtype, stop.dtype), step.dtype)
    return convert_to_tensor(np.arange(first.item(), stop.item(), step.item(), dtype=dtypes.as_dtype(dtype or found)))


def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Any:
    """``num`` numbers from ``start`` to ``stop``, both included; integers give float64."""
    start, stop = matched(start, stop)
    if not dtypes.is_float(start.dtype):
        start, stop = ops.astype(start, "float64"), ops.astype(stop, "float64")
    if start.ndim == 0 and not (start.is_symbolic or stop.is_symbolic):
        return ops.linspace(start.item(), stop.item(), static(num), dtype=start.dtype)
    share = ops.linspace(0.0, 1.0, static(num), dtype=start.dtype)
    rows = ops.add(start, ops.multiply(ops.subtract(stop, start), ops.reshape(share, (-1, *(1,) * start.ndim))))
    return ops.moveaxis(rows, 0, axis)


identity = unary(lambda x: x)
stop_gradient = unary(ops.stop_gradient)


def shape(input: Any, out_type: Any = "int32", name: str | None = None) -> Any:
    """The sizes as a tensor."""
    return ops.as_tensor(list(convert_to_tensor(input).shape), dtype=out_type)


def size(input: Any, out_type: Any = "int32", name: str | None = None) -> Any:
    """How many elements there are, as a tensor."""
    return ops.as_tensor(convert_to_tensor(input).size, dtype=out_type)


def rank(input: Any, name: str | None = None) -> Any:
    """How many dimensions there are, as a tensor."""
    return ops.as_tensor(convert_to_tensor(input).ndim, dtype="int32")


def is_tensor(x: Any) -> bool:
    """Whether this is a Tensor or a Variable."""
    return hasattr(x, "__lamina_tensor__") or isinstance(x, Tensor)


# --- shapes -----------------------------------------------------------------------------------------
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The same elements in another shape; one size may be -1."""
    return ops.reshape(convert_to_tensor(tensor), static(shape))


def expand_dims(input: Any, axis: Any, name: str | None = None) -> Any:
    """A dimension of size 1 more."""
    return ops.expand_dims(convert_to_tensor(input), axis=static(axis))


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Without the dimensions of size 1 (or those of them that are named)."""
    return ops.squeeze(convert_to_tensor(input), axis=axes(axis))


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str = "transpose") -> Any:
    """The dimensions in another order, by default reversed."""
    return ops.permute_dims(convert_to_tensor(a), static(perm))


def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """Repeated along dimensions of size 1 so that the shape becomes ``shape``."""
    return ops.broadcast_to(convert_to_tensor(input), tuple(static(shape)))


def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """Repeated as a whole along each dimension."""
    return ops.tile(convert_to_tensor(input), static(multiples))


def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Any:
    """Each element repeated."""
    return ops.repeat(convert_to_tensor(input), static(repeats), static(axis))


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None
) -> Any:
    """Elements before and after each dimension; ``mode`` is CONSTANT, REFLECT or SYMMETRIC."""
    widths = [tuple(pair) for pair in static(paddings)]
    return ops.pad(convert_to_tensor(tensor), widths, mode.lower(), static(constant_values))


def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """In opposite order along the given axes."""
    return ops.flip(convert_to_tensor(tensor), axes(axis))


def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    """Moved along axes; what falls off at one end comes in at the other."""
    return ops.roll(convert_to_tensor(input), axes(shift), axes(axis))


def meshgrid(*args: Any, indexing: str = "xy", name: str | None = None) -> list[Any]:
    """Coordinates of a grid."""
    return list(ops.meshgrid(*[convert_to_tensor(a) for a in args], indexing=indexing))


# --- joining and cutting ----------------------------------------------------------------------------
def concat(values: Any, axis: Any, name: str = "concat") -> Any:
    """Joined along an axis."""
    parts = matched(*values) if isinstance(values, list | tuple) else [convert_to_tensor(values)]
    return ops.concat(parts, axis=static(axis))


def stack(values: Any, axis: int = 0, name: str = "stack") -> Any:
    """Joined along a new axis."""
    return ops.stack(matched(*values), axis=axis)


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Any]:
    """The slices along an axis."""
    return list(ops.unstack(convert_to_tensor(value), axis=axis))


def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split"
) -> list[Any]:
    """Parts along an axis: so many equal ones, or of these sizes (one of them may be -1)."""
    value, sizes, axis = convert_to_tensor(value), static(num_or_size_splits), static(axis)
    if isinstance(sizes, int):
        return list(ops.split(value, sizes, axis=axis))
    rest = value.shape[axis] - sum(s for s in sizes if s != -1)
    sizes = [rest if s == -1 else s for s in sizes]
    if sum(sizes) != value.shape[axis] or min(sizes, default=0) < 0:
        raise ShapeError(f"split: parts of sizes {sizes} do not make up axis {axis} of shape {value.shape}.")
    return list(ops.split(value, np.cumsum(sizes)[:-1].tolist(), axis=axis))


def slice(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    """A part that begins at ``begin``; a size of -1 takes all that is left."""
    x, begin, size = convert_to_tensor(input_), static(begin), static(size)
    return x[tuple(builtins.slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True))]


# --- looking up -------------------------------------------------------------------------------------
def gather(
    params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0,
    name: str | None = None,
) -> Any:  # fmt: skip
    """The slices with the given numbers along ``axis`` (default ``batch_dims``)."""
    params, indices, batch = convert_to_tensor(params), convert_to_tensor(indices), static(batch_dims)
    batch = batch + indices.ndim if batch < 0 else batch
    axis = batch if axis is None else static(axis)
    axis = axis + params.ndim if axis < 0 else axis
    if not batch:
        return ops.take(params, indices, axis=axis)
    lead = [ops.reshape(ops.arange(n), (n, *(1,) * (indices.ndim - d - 1))) for d, n in enumerate(params.shape[:batch])]
    moved = ops.moveaxis(params, axis, batch)
    rows = moved[(*lead, indices)]  # (batch..., the rest of indices..., the rest of params...)
    inner = indices.ndim - batch
    order = [*builtins.range(batch), *[batch + inner + i for i in builtins.range(axis - batch)]]
    order += [batch + i for i in builtins.range(inner)]
    order += [d for d in builtins.range(rows.ndim) if d not in order]
    return ops.permute_dims(rows, order)


def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Any:
    """The slices at the places that the rows of ``indices`` name."""
    params, indices = convert_to_tensor(params), convert_to_tensor(indices)
    return params[_places(indices)]


def _places(indices: Any) -> tuple[Any, ...]:
    return tuple(indices[..., i] for i in builtins.range(indices.shape[-1]))


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """Zeros in which the updates are added at the places that the rows of ``indices`` name."""
    updates = convert_to_tensor(updates)
    start = ops.zeros(static(shape), dtype=updates.dtype)
    return ops.scatter_add(start, _places(convert_to_tensor(indices)), updates)


def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy in which the updates stand at the places that the rows of ``indices`` name."""
    tensor, updates = matched(tensor, updates)
    return ops.scatter_update(tensor, _places(convert_to_tensor(indices)), updates)


def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy to which the updates are added at the places that the rows of ``indices`` name."""
    tensor, updates = matched(tensor, updates)
    return ops.scatter_add(tensor, _places(convert_to_tensor(indices)), updates)


def _scatter_extremum(choose: Callable[..., Any], tensor: Any, indices: Any, updates: Any) -> Any:
    tensor, updates = matched(tensor, updates)
    places = _places(convert_to_tensor(indices))
    rows = [tuple(p[i] for p in places) for i in builtins.range(places[0].shape[0])]
    for i, row in enumerate(rows):  # one after the other: a place may come twice
        tensor = ops.scatter_update(tensor, row, choose(tensor[row], updates[i]))
    return tensor


def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy from which the updates are subtracted at the places that the rows of ``indices`` name."""
    tensor, updates = matched(tensor, updates)
    return ops.scatter_add(tensor, _places(convert_to_tensor(indices)), ops.negative(updates))


def tensor_scatter_nd_max(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy with the larger of the elements and the updates at the places that the rows of ``indices`` name."""
    return _scatter_extremum(ops.maximum, tensor, indices, updates)


def tensor_scatter_nd_min(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
    """A copy with the smaller of the elements and the updates at the places that the rows of ``indices`` name."""
    return _scatter_extremum(ops.minimum, tensor, indices, updates)


def boolean_mask(tensor: Any, mask: Any, axis: Any = None, name: str = "boolean_mask") -> Any:
    """The elements or slices where the mask holds."""
    tensor, mask = convert_to_tensor(tensor), convert_to_tensor(mask)
    lead = (builtins.slice(None),) * (0 if axis is None else static(axis) % tensor.ndim)
    return tensor[(*lead, mask)]


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """``x`` where the condition holds and ``y`` elsewhere; alone, the places where it holds, int64 ``(n, rank)``.

    Raises:
        ArgumentError: only one of ``x`` and ``y`` is given.
    """
    condition = convert_to_tensor(condition)
    if (x is None) != (y is None):
        raise ArgumentError("where takes both x and y, or neither.")
    if x is None:
        return ops.stack(ops.nonzero(condition), axis=-1)
    return ops.where(condition, *matched(x, y))


def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None, dtype: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """``on_value`` (default 1) in the place that the index names, ``off_value`` (default 0) in the others."""
    hits = ops.one_hot(convert_to_tensor(indices), static(depth), dtype="bool", axis=-1 if axis is None else axis)
    given = [v for v in (on_value, off_value) if v is not None]
    dtype = dtype or (convert_to_tensor(given[0]).dtype if given else "float32")
    on, off = (default if v is None else v for v, default in ((on_value, 1), (off_value, 0)))
    return ops.where(hits, ops.as_tensor(on, dtype=dtype), ops.as_tensor(off, dtype=dtype))


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool", name: str | None = None) -> Any:
    """Whether each of the ``maxlen`` places lies before the length."""
    lengths = convert_to_tensor(lengths)
    count = int(ops.max(lengths)) if maxlen is None else static(maxlen)
    return ops.astype(ops.less(ops.arange(count), ops.expand_dims(lengths, -1)), dtype)


# --- order ------------------------------------------------------------------------------------------
def _descending(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ArgumentError(f"direction is 'ASCENDING' or 'DESCENDING', not {direction!r}.")
    return direction == "DESCENDING"


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """In order along an axis."""
    return ops.sort(convert_to_tensor(values), axis=axis, descending=_descending(direction))


def argsort(
    values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None
) -> Any:
    """The places, int32, that put an axis in order."""
    return ops.astype(ops.argsort(convert_to_tensor(values), axis=axis, descending=_descending(direction)), "int32")


class Unique(NamedTuple):
    """The different values in the order of their first occurrence, and which of them each element is."""

    y: Any
    idx: Any


def unique(x: Any, out_idx: Any = "int32", name: str | None = None) -> Unique:
    """The different values of a vector in the order of their first occurrence."""
    found = ops.unique_all(convert_to_tensor(x))
    order = ops.argsort(found.indices)
    return Unique(
        ops.take(found.values, order, axis=0),
        ops.astype(ops.take(ops.argsort(order), found.inverse_indices, axis=0), out_idx),
    )


class UniqueWithCounts(NamedTuple):
    """``Unique``, and how often each value occurs."""

    y: Any
    idx: Any
    count: Any


def unique_with_counts(x: Any, out_idx: Any = "int32", name: str | None = None) -> UniqueWithCounts:
    """The different values of a vector in the order of their first occurrence, and how often each occurs."""
    y, idx = unique(x, out_idx)
    return UniqueWithCounts(y, idx, ops.astype(ops.bincount(idx, y.size), out_idx))


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    """The tensor, if it has this shape (``None`` for any size).

    Raises:
        ShapeError: it has not.
    """
    x, shape = convert_to_tensor(x), tuple(shape)
    if len(shape) != x.ndim or any(s not in (None, n) for s, n in zip(shape, x.shape)):
        raise ShapeError(f"ensure_shape: expected {shape}, got {x.shape}.")
    return x


def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32", name: str | None = None
) -> Any:
    """Where values would have to be put in so that the order stays."""
    sorted_sequence, values = matched(sorted_sequence, values)
    if sorted_sequence.ndim > 1:  # row by row: as many as are smaller
        before = ops.less if side == "left" else ops.less_equal
        smaller = before(ops.expand_dims(sorted_sequence, -2), ops.expand_dims(values, -1))
        return ops.astype(ops.count_nonzero(smaller, axis=-1), out_type)
    return ops.astype(ops.searchsorted(sorted_sequence, values, side=side), out_type)


# --- limits -----------------------------------------------------------------------------------------
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """Not below the one nor above the other."""
    t, low, high = matched(t, clip_value_min, clip_value_max)
    return ops.minimum(ops.maximum(t, low), high)


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """Scaled down so that the norm is at most ``clip_norm``."""
    t = convert_to_tensor(t)
    total = ops.sum(ops.square(t), axis=static(axes), keepdims=True)
    norm = ops.where(ops.greater(total, 0), ops.sqrt(ops.where(ops.greater(total, 0), total, 1)), 0)
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(norm, clip_norm))


def global_norm(t_list: Sequence[Any], name: str | None = None) -> Any:
    """The norm of all tensors taken together."""
    squares = [ops.sum(ops.square(convert_to_tensor(t))) for t in t_list if t is not None]
    return ops.sqrt(ops.sum(ops.stack(squares)))


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Any]:
    """All scaled down by one factor so that the norm of all together is at most ``clip_norm``; and that norm."""
    norm = global_norm(t_list) if use_norm is None else convert_to_tensor(use_norm)
    factor = ops.divide(clip_norm, ops.maximum(norm, clip_norm))
    return [None if t is None else ops.multiply(convert_to_tensor(t), factor) for t in t_list], norm


# --- control flow -----------------------------------------------------------------------------------
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None) -> Any:
    """What the first function returns if the condition holds, else what the second does."""
    return control_flow.cond(pred, true_fn, false_fn)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: Any = None,
    name: str | None = None,
) -> Any:
    """Repeat ``loop_vars = body(*loop_vars)`` while ``cond(*loop_vars)`` holds."""
    values = [convert_to_tensor(v) if isinstance(v, int | float) else v for v in loop_vars]
    return control_flow.while_loop(cond, body, values, static(maximum_iterations))


def case(
    pred_fn_pairs: Any, default: Callable[[], Any] | None = None, exclusive: bool = False, name: str = "case"
) -> Any:
    """What the function beside the first condition that holds returns; without any, the default or the last."""
    pairs = list(pred_fn_pairs)
    chosen = pairs.pop()[1] if default is None else default
    for condition, function in reversed(pairs):
        chosen = functools.partial(control_flow.cond, condition, function, chosen)
    return chosen()


def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[[], Any] | None = None, name: str = "switch_case"
) -> Any:
    """What the function with this number returns; without it, the default or the last one."""
    functions = dict(branch_fns) if isinstance(branch_fns, dict) or _pairs(branch_fns) else dict(enumerate(branch_fns))
    chosen = default or functions[max(functions)]
    for number, function in functions.items():
        chosen = functools.partial(control_flow.cond, ops.equal(branch_index, number), function, chosen)
    return chosen()


def _pairs(functions: Any) -> bool:
    return all(isinstance(f, tuple) for f in functions)


def map_fn(fn: Callable[[Any], Any], elems: Any, *_: Any, **__: Any) -> Any:
    """The function on each slice along the first axis, the results stacked."""
    return _scan.map(fn, elems if isinstance(elems, tuple) else convert_to_tensor(elems))


vectorized_map = map_fn


def scan(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, *_: Any, reverse: bool = False, **__: Any
) -> Any:
    """Running results of ``a = fn(a, x)`` along the first axis; without an initializer the first slice is one."""
    elems = convert_to_tensor(elems)

    def turn(carry: Any, x: Any) -> Any:
        new = fn(carry, x)
        return new, new

    if initializer is not None:
        return _scan.scan(turn, convert_to_tensor(initializer), elems, reverse=reverse)[1]
    first, rest = (elems[-1], elems[:-1]) if reverse else (elems[0], elems[1:])
    results = _scan.scan(turn, first, rest, reverse=reverse)[1]
    first = ops.expand_dims(first, 0)
    return ops.concat([results, first] if reverse else [first, results], axis=0)


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, *_: Any, **__: Any) -> Any:
    """The last result of ``a = fn(a, x)`` along the first axis."""
    return scan(fn, elems, initializer)[-1]


def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, *_: Any, **__: Any) -> Any:
    """The last result of ``a = fn(a, x)`` along the first axis, from its end."""
    return scan(fn, elems, initializer, reverse=True)[0]


class TensorShape(tuple[int | None, ...]):
    """A shape with TensorFlow's methods; those of tensors are plain tuples.

    Example:
        >>> TensorShape([None, 3]).as_list(), TensorShape([2, 3]).num_elements()
        ([None, 3], 6)
    """

    def as_list(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    @property
    def rank(self) -> int:
        """How many dimensions there are."""
        return len(self)

    ndims = rank

    def is_fully_defined(self) -> bool:
        """Whether every size is known."""
        return None not in self

    def num_elements(self) -> int | None:
        """The product of the sizes, ``None`` if one is not known."""
        sizes = [n for n in self if n is not None]
        return math.prod(sizes) if len(sizes) == len(self) else None
