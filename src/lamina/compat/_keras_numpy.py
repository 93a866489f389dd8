"""Functions of ``keras.ops`` after NumPy whose arguments are others than those of Lamina's functions."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import linalg as _linalg
from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.layers import SymbolicTensor
from lamina.ops import ranges
from lamina.ops.shape import size_of


# --- making tensors -------------------------------------------------------------------------------------
def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """See ``lamina.arange``."""
    return ops.arange(start, stop, 1 if step is None else step, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """See ``lamina.eye``."""
    columns = None if M is None else _integer("M", M, "an integer, an integer tensor, or `None`")
    return ops.eye(_integer("N", N), columns, int(k), dtype)


def _integer(name: str, value: Any, wanted: str = "an integer or an integer tensor") -> int:
    if isinstance(value, int | np.integer) or (hasattr(value, "dtype") and dtypes.is_integer(value.dtype)):
        return int(value)
    raise DTypeError(f"Argument `{name}` must be {wanted}. Received: {name}={value} of type {type(value).__name__}")


def identity(n: int, dtype: Any = None) -> Any:
    """The unit matrix."""
    return ops.eye(_integer("n", n), dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """See ``lamina.tri``."""
    return ops.tri(int(N), None if M is None else int(M), int(k), dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of one value everywhere, float32 by default."""
    return ops.full(shape, fill_value, dtype or dtypes.DEFAULT_FLOAT)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """See ``lamina.ops.ranges.linspace``."""
    found = ranges.linspace(start, stop, num, endpoint, dtype, axis)
    return (found, ranges.step(start, stop, num, endpoint)) if retstep else found


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10, dtype: Any = None, axis: int = 0
) -> Any:
    """See ``lamina.ops.ranges.logspace``."""
    return ranges.logspace(start, stop, num, endpoint, base, dtype, axis)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """See ``lamina.vander``."""
    return ops.vander(x, N, increasing)


def view(x: Any, dtype: Any = None) -> Any:
    """See ``lamina.ops.numeric.view``."""
    return ops.numeric.view(x, dtype or ops.as_tensor(x).dtype)


# --- elementwise ------------------------------------------------------------------------------------------
def ceil(x: Any) -> Any:
    """The whole number above, as a float."""
    return ops.ceil(ops.elementwise.floating("ceil", x))


def floor(x: Any) -> Any:
    """The whole number below, as a float."""
    return ops.floor(ops.elementwise.floating("floor", x))


def round(x: Any, decimals: int = 0) -> Any:
    """To so many decimal places."""
    return ops.round(_numbers(x), decimals)


def _numbers(x: Any) -> Any:
    """Bools as int32."""
    x = ops.as_tensor(x)
    return ops.astype(x, "int32") if dtypes.is_bool(x.dtype) else x


def sign(x: Any) -> Any:
    """-1, 0 or 1; bools stay as they are."""
    x = ops.as_tensor(x)
    return x if dtypes.is_bool(x.dtype) else ops.sign(x)


def square(x: Any) -> Any:
    """``x * x``; of bools as int32."""
    return ops.square(_numbers(x))


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """See ``lamina.clip``."""
    return ops.clip(_numbers(x), x_min, x_max)


def add(x1: Any, x2: Any) -> Any:
    """See ``lamina.add``."""
    return ops.add(x1, x2)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """See ``lamina.where``; the places where the condition holds, if that is all that is given."""
    if (x1 is None) != (x2 is None):
        raise ArgumentError("`x1` and `x2` either both should be `None` or both should have non-None value.")
    return ops.nonzero(condition) if x1 is None else ops.where(condition, x1, x2)


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """See ``lamina.isin``."""
    return ops.isin(x1, x2, invert)


# --- reductions -------------------------------------------------------------------------------------------
def _extreme(reduce: Any, pair: Any, x: Any, axis: Any, keepdims: bool, initial: Any) -> Any:
    x = ops.as_tensor(x)
    if initial is None:
        return reduce(x, axis, keepdims)
    if x.size:
        return pair(reduce(x, axis, keepdims), ops.astype(ops.as_tensor(initial), x.dtype))
    shape = ops.sum(ops.zeros(x.shape), axis=axis, keepdims=keepdims).shape
    return ops.full(shape, initial, x.dtype)


def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """See ``lamina.max``; at least ``initial``."""
    return _extreme(ops.max, ops.maximum, x, axis, keepdims, initial)


def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """See ``lamina.min``; at most ``initial``."""
    return _extreme(ops.min, ops.minimum, x, axis, keepdims, initial)


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """See ``lamina.var``."""
    return ops.var(x, axis, keepdims=keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """See ``lamina.std``."""
    return ops.std(x, axis, keepdims=keepdims)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """See ``lamina.cumulative_sum``; of the flattened tensor by default."""
    x = _numbers(x)
    return ops.cumulative_sum(ops.ravel(x) if axis is None else x, axis or 0, dtype=dtype or x.dtype)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """See ``lamina.cumulative_prod``; of the flattened tensor by default."""
    x = _numbers(x)
    return ops.cumulative_prod(ops.ravel(x) if axis is None else x, axis or 0, dtype=dtype or x.dtype)


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """See ``lamina.nancumsum``."""
    x = _numbers(x)
    return ops.nancumsum(x, axis, dtype or x.dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """See ``lamina.nancumprod``."""
    x = _numbers(x)
    return ops.nancumprod(x, axis, dtype or x.dtype)


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """How often each number occurs, in each row of a matrix."""
    x = ops.as_tensor(x)
    length = builtins.max(int(minlength), 0)
    if not x.is_symbolic and x.size:
        length = builtins.max(length, int(np.max(x._data)) + 1)
    weights = None if weights is None else ops.as_tensor(weights)
    if x.ndim != 2:
        found = ops.bincount(x, length, weights)
        return found if weights is None else ops.astype(found, weights.dtype)
    hits = ops.equal(ops.expand_dims(x, -1), ops.astype(ops.arange(length), x.dtype))
    if weights is None:
        return ops.sum(hits, axis=-2)
    return ops.sum(ops.where(hits, ops.expand_dims(weights, -1), 0), axis=-2, dtype=weights.dtype)


def digitize(x: Any, bins: Any) -> Any:
    """See ``lamina.digitize``."""
    return ops.digitize(x, bins)


# --- shape and order ----------------------------------------------------------------------------------------
def copy(x: Any) -> Any:
    """The tensor: none can be changed."""
    return ops.as_tensor(x)


def ndim(x: Any) -> int:
    """The number of dimensions."""
    return len(x.shape if hasattr(x, "shape") else ops.as_tensor(x).shape)


def size(x: Any) -> int:
    """The number of elements."""
    return size_of(x.shape if hasattr(x, "shape") else ops.as_tensor(x).shape)


def expand_dims(x: Any, axis: Any) -> Any:
    """See ``lamina.expand_dims``."""
    return ops.expand_dims(x, axis)


def reshape(x: Any, newshape: Any) -> Any:
    """See ``lamina.reshape``; ``None`` stands for -1."""
    shape = newshape if isinstance(newshape, int | np.integer) else [-1 if n is None else n for n in newshape]
    return ops.reshape(x, shape)


def tile(x: Any, repeats: Any) -> Any:
    """See ``lamina.tile``."""
    if hasattr(repeats, "tolist"):
        repeats = np.asarray(repeats).tolist()
    return ops.tile(x, (repeats,) if isinstance(repeats, int) else tuple(repeats))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """See ``lamina.pad``."""
    if constant_values is not None and mode != "constant":
        raise ArgumentError(
            "Argument `constant_values` can only be provided when `mode == 'constant'`. "
            f"Received: mode={mode}, constant_values={constant_values}"
        )
    x = ops.as_tensor(x)
    widths = np.asarray(pad_width)
    if mode == "constant" and dtypes.is_bool(x.dtype) and constant_values is None:
        constant_values = False
    return ops.pad(x, widths.tolist(), mode, 0 if constant_values is None else _scalar(constant_values))


def _scalar(value: Any) -> Any:
    return np.asarray(value).item() if hasattr(value, "shape") else value


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """See ``lamina.diagonal``."""
    return ops.diagonal(x, offset, axis1, axis2)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal."""
    x = _numbers(x)
    found = ops.sum(ops.diagonal(x, offset, axis1, axis2), axis=-1)
    return found if dtypes.is_float(x.dtype) or x.dtype.itemsize == 8 else _at_least_int32(found, x.dtype)


def _at_least_int32(found: Any, dtype: np.dtype[Any]) -> Any:
    return ops.astype(found, "uint32" if dtype.kind == "u" else "int32")


def transpose(x: Any, axes: Any = None) -> Any:
    """See ``lamina.permute_dims``."""
    rank = len(ops.as_tensor(x).shape)
    if axes is not None and not all(isinstance(a, int | np.integer) and -rank <= a < rank for a in axes):
        raise ArgumentError(f"Each axis in `axes` must be an integer in [-{rank}, {rank}). Received: axes={axes}")
    if axes is not None and len(axes) != rank:
        raise ArgumentError(
            f"`axes` must be a list of the same length as the input shape, {rank}. Received: axes={list(axes)}"
        )
    if axes is not None and sorted(a % rank if rank else a for a in axes) != list(range(rank)):
        raise ArgumentError(f"`axes` must be a valid permutation of the {rank} axes. Received: axes={list(axes)}")
    return ops.permute_dims(x, axes)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """See ``lamina.unstack``."""
    x = ops.as_tensor(x)
    if num is not None and x.shape[axis] != num:
        raise ShapeError(f"unstack: axis {axis} of shape {x.shape} has not {num} slices.")
    return list(ops.unstack(x, axis))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """See ``lamina.split``."""
    if hasattr(indices_or_sections, "shape"):
        indices_or_sections = np.asarray(indices_or_sections).tolist()
    return list(ops.split(x, indices_or_sections, axis))


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """See ``lamina.array_split``; into a number of parts."""
    if isinstance(indices_or_sections, bool) or not isinstance(indices_or_sections, int | np.integer):
        raise DTypeError(
            f"Argument `indices_or_sections` must be of type `int`; `split` takes indices. "
            f"Received: indices_or_sections={indices_or_sections}"
        )
    return list(ops.array_split(x, int(indices_or_sections), axis))


def argsort(x: Any, axis: int | None = -1) -> Any:
    """See ``lamina.argsort``."""
    return ops.argsort(ops.ravel(x), 0) if axis is None else ops.argsort(x, axis)


def sort(x: Any, axis: int | None = -1) -> Any:
    """See ``lamina.sort``."""
    return ops.sort(ops.ravel(x), 0) if axis is None else ops.sort(x, axis)


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """See ``lamina.searchsorted``."""
    sequence, values = ops.creation.operands(sorted_sequence, values)
    if sequence.ndim != 1:
        raise ShapeError(f"`searchsorted` only supports 1-D sorted sequences. Got shape {sequence.shape}.")
    return ops.searchsorted(sequence, values, side)


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """See ``lamina.ops.sorting.unique``."""
    return ops.sorting.unique(x, return_index, return_inverse, return_counts, axis, size, fill_value)


# --- taking ---------------------------------------------------------------------------------------------------
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """See ``lamina.take``; from the flattened tensor by default."""
    x, indices = ops.as_tensor(x), ops.as_tensor(indices)
    indices = ops.astype(indices, "int32") if not dtypes.is_integer(indices.dtype) else indices
    return ops.take(ops.ravel(x) if axis is None else x, indices, 0 if axis is None else axis)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """See ``lamina.take_along_axis``; from the flattened tensor by default."""
    x, indices = ops.as_tensor(x), ops.as_tensor(indices)
    if axis is None:
        return ops.take_along_axis(ops.ravel(x), ops.ravel(indices), 0)
    axis = ops.shape.normalize_axis("take_along_axis", axis, x.ndim)
    if x.ndim != indices.ndim:
        raise ShapeError(f"`x` and `indices` must have the same number of dimensions, got {x.ndim}, {indices.ndim}.")
    shape = [1 if d == axis else n for d, n in enumerate(x.shape)]
    common = ops.elementwise.broadcast_shapes(
        "take_along_axis", tuple(shape), tuple(1 if d == axis else n for d, n in enumerate(indices.shape))
    )
    wide = tuple(x.shape[d] if d == axis else n for d, n in enumerate(common))
    places = tuple(indices.shape[d] if d == axis else n for d, n in enumerate(common))
    return ops.take_along_axis(ops.broadcast_to(x, wide), ops.broadcast_to(indices, places), axis)


def get_item(x: Any, key: Any) -> Any:
    """``x[key]``."""
    return ops.getitem(x, key)


def slice(inputs: Any, start_indices: Any, shape: Sequence[int]) -> Any:
    """See ``lamina.dynamic_slice``."""
    x = ops.as_tensor(inputs)
    starts = [0 if n == -1 else None for n in shape]
    if 0 in starts:  # -1: up to the end
        first = np.asarray(start_indices)
        shape = [size - int(a) if n == -1 else n for n, size, a in zip(shape, x.shape, first, strict=True)]
    return ops.dynamic_slice(x, start_indices, [int(n) for n in shape])


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """See ``lamina.dynamic_update_slice``."""
    x = ops.as_tensor(inputs)
    return ops.dynamic_update_slice(x, ops.astype(ops.as_tensor(updates), x.dtype), start_indices)


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """See ``lamina.correlate``; the result is a float."""
    return ops.correlate(*ops.elementwise.floating_operands(x1, x2), mode)


def histogram(x: Any, bins: Any = 10, range: Any = None) -> Any:
    """See ``lamina.histogram``."""
    if ops.as_tensor(x).ndim > 1:
        raise ShapeError(f"Input tensor must be 1-dimensional. Received: input.shape={ops.as_tensor(x).shape}")
    return ops.histogram(x, bins, range)


def hsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """See ``lamina.hsplit``."""
    return list(ops.hsplit(x, indices_or_sections))


def vsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """See ``lamina.vsplit``."""
    return list(ops.vsplit(x, indices_or_sections))


def dsplit(x: Any, indices_or_sections: Any) -> list[Any]:
    """See ``lamina.dsplit``."""
    return list(ops.dsplit(x, indices_or_sections))


def argpartition(x: Any, kth: int, axis: int | None = -1) -> Any:
    """See ``lamina.argpartition``."""
    return ops.argpartition(ops.ravel(x), kth, 0) if axis is None else ops.argpartition(x, kth, axis)


# --- products ---------------------------------------------------------------------------------------------------
def _of_bools(function: Callable[..., Any], x1: Any, x2: Any, *args: Any) -> Any:
    """A sum of products; of bools whether some pair is true in both."""
    if not all(dtypes.is_bool(x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype) for x in (x1, x2)):
        return function(x1, x2, *args)
    return ops.not_equal(function(_numbers(x1), _numbers(x2), *args), 0)


def matmul(x1: Any, x2: Any) -> Any:
    """See ``lamina.matmul``."""
    return _of_bools(ops.matmul, x1, x2)


def dot(x1: Any, x2: Any) -> Any:
    """See ``lamina.dot``."""
    return _of_bools(ops.dot, x1, x2)


def inner(x1: Any, x2: Any) -> Any:
    """See ``lamina.inner``."""
    return _of_bools(ops.inner, x1, x2)


def vdot(x1: Any, x2: Any) -> Any:
    """See ``lamina.vdot``."""
    return _of_bools(ops.vdot, x1, x2)


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """See ``lamina.tensordot``."""
    return _of_bools(ops.tensordot, x1, x2, axes)


def outer(x1: Any, x2: Any) -> Any:
    """All products of the elements of two flattened tensors."""
    return ops.outer(ops.ravel(x1), ops.ravel(x2))


def cross(x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of 3 (or 2) numbers."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = ops.creation.operands(x1, x2)
    a, b = ops.moveaxis(a, axisa, -1), ops.moveaxis(b, axisb, -1)
    sizes = (a.shape[-1], b.shape[-1])
    if any(n not in (2, 3) for n in sizes):
        raise ShapeError(
            "`x1`'s dim on `axisa` and `x2`'s dim on `axisb` must be either 2 or 3 for cross product; "
            f"got {a.shape} and {b.shape}."
        )
    flat = sizes == (2, 2)
    a, b = (ops.concat([v, ops.zeros_like(v[..., :1])], axis=-1) if v.shape[-1] == 2 else v for v in (a, b))
    batch = ops.elementwise.broadcast_shapes("cross", a.shape[:-1], b.shape[:-1])
    a, b = ops.broadcast_to(a, (*batch, 3)), ops.broadcast_to(b, (*batch, 3))
    found = _linalg.cross(a, b)
    return found[..., 2] if flat else ops.moveaxis(found, -1, axisc)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """See ``lamina.einsum``."""
    return ops.einsum(subscripts, *operands)


# --- for placeholders and tensors alike -------------------------------------------------------------------------
def shape(x: Any) -> tuple[int | None, ...]:
    """The shape of a tensor, an array or a nested list."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(ops.as_tensor(x).shape)


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor or a placeholder."""
    return isinstance(x, SymbolicTensor) or hasattr(x, "_data")


def to_numpy(x: Any) -> np.ndarray:
    """The values as a NumPy array."""
    return np.asarray(x)
