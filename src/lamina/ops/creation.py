"""Making tensors: conversion of values, filled arrays, ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core import primitive as core
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Elementwise, View
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray, wrap

SCALARS = (bool, int, float)


def to_data(value: Any, dtype: np.dtype[Any] | None = None) -> Any:
    """The ndarray (or graph value) behind anything that can become a Tensor."""
    if type(value) is core._tensor_class or hasattr(value, "__lamina_tensor__"):
        tensor = as_tensor(value)
        return tensor._data if dtype is None or tensor.dtype == dtype else astype(tensor, dtype)._data
    if isinstance(value, SCALARS) and type(value) is not np.float64:  # which is a Python float too
        return np.asarray(value, dtype or dtypes.scalar_dtype(value, None))
    if isinstance(value, list | tuple):
        if any(_is_symbolic(v) for v in value):
            from lamina.ops.joining import stack

            stacked = stack([as_tensor(v) for v in value])
            return stacked._data if dtype is None else astype(stacked, dtype)._data
        array = _array_of(value)
        if dtype is None and array.dtype == np.float64 and not _has_float64(value):
            dtype = dtypes.DEFAULT_FLOAT
    elif isinstance(value, ndarray | np.generic):
        array = np.array(value)  # a copy: a Tensor never changes under its holder
    elif hasattr(value, "__dlpack__"):
        array = np.array(np.from_dlpack(value))
    elif hasattr(value, "__array__"):
        array = np.array(np.asarray(value))
    else:
        raise DTypeError(
            f"A {type(value).__name__} does not become a tensor. "
            "Give a number, a nested list of numbers, a NumPy array or another array library's array."
        )
    found = dtypes.as_dtype(array.dtype)
    return np.ascontiguousarray(array, dtype or found).reshape(array.shape)


def _array_of(value: Any) -> ndarray:
    try:
        array = np.array(value)
    except ValueError as error:
        raise ShapeError(f"The nested list is ragged and does not make an array: {error}.") from None
    if array.dtype == object or array.dtype.kind in "USM":
        raise DTypeError(f"A list of {np.ravel(array)[0]!r} does not become a tensor; give numbers.")
    return array


def _has_float64(value: Any) -> bool:
    """Whether a nested list holds NumPy or Tensor values of dtype float64 (and not Python floats only)."""
    if isinstance(value, list | tuple):
        return any(_has_float64(v) for v in value)
    return (not isinstance(value, SCALARS) and getattr(value, "dtype", None) == np.float64) or type(value) is np.float64


def _is_symbolic(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_is_symbolic(v) for v in value)
    return type(value) is core._tensor_class and value.is_symbolic


def as_tensor(value: Any, dtype: Any = None, like: Any = None) -> Any:
    """A Tensor of ``value``: itself if it is one already.

    Args:
        value: Tensor, Variable, number, nested list, NumPy array, or any array with DLPack.
        dtype: wanted dtype; default that of the value.
        like: a Tensor or Variable beside which a Python scalar is weak.
    """
    if type(value) is core._tensor_class:
        tensor = value
    elif hasattr(value, "__lamina_tensor__"):
        tensor = value.__lamina_tensor__()
    elif like is not None and isinstance(value, SCALARS):
        return _weak(value, like.dtype)
    else:
        return wrap(to_data(value, None if dtype is None else dtypes.as_dtype(dtype)))
    return tensor if dtype is None or tensor.dtype == dtypes.as_dtype(dtype) else astype(tensor, dtype)


def _weak(value: bool | int | float, other: np.dtype[Any]) -> Any:
    """A Python number as a Tensor of the dtype that it takes beside ``other``."""
    dtype = dtypes.scalar_dtype(value, other)
    try:
        return wrap(np.asarray(value, dtype))
    except OverflowError:
        raise ArgumentError(
            f"The number {value} does not fit {dtype}, the dtype of the tensor beside it. "
            "Cast the tensor first, e.g. x.astype('int64')."
        ) from None


def operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands as Tensors of one dtype.  Python scalars are weak."""
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor:
        a, b = x._data.dtype, y._data.dtype
        if a is b or a == b:
            return x, y
    else:
        if type(x) is not tensor and isinstance(x, SCALARS):
            y = as_tensor(y)
            x = _weak(x, y._data.dtype)
        elif type(y) is not tensor and isinstance(y, SCALARS):
            x = as_tensor(x)
            y = _weak(y, x._data.dtype)
        else:
            x, y = as_tensor(x), as_tensor(y)
        a, b = x._data.dtype, y._data.dtype
        if a == b:
            return x, y
    common = dtypes.promote(a, b)
    return (x if a == common else astype(x, common)), (y if b == common else astype(y, common))


# --- astype -----------------------------------------------------------------------------------
def _cast_numpy(x: ndarray, dtype: np.dtype[Any]) -> ndarray:
    with np.errstate(all="ignore"):
        return x.astype(dtype)


CAST = Primitive(
    "cast",
    shape=lambda x, dtype: Spec(x.shape, dtype),
    numpy=_cast_numpy,
    vjp=lambda ct, out, x, dtype: (astype(ct, x.dtype),),
    native=Elementwise(lambda b, x, dtype: b.cast(x, dtype)),
)


def astype(x: Any, dtype: Any) -> Any:
    """Change the dtype.  Floats become integers by truncation, numbers become bools by ``!= 0``.

    Args:
        x: tensor of any shape.
        dtype: a dtype or its name.

    Example:
        >>> import lamina
        >>> lamina.astype([1.7, -1.7], "int32").numpy()
        array([ 1, -1], dtype=int32)
    """
    x, dtype = as_tensor(x), dtypes.as_dtype(dtype)
    return x if x.dtype == dtype else bind(CAST, x, dtype=dtype)


# --- filled arrays and ranges -------------------------------------------------------------------
FULL = Primitive(
    "full",
    shape=lambda shape, value, dtype: Spec(shape, dtype),
    numpy=lambda shape, value, dtype: np.full(shape, value, dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=View(lambda c, index, node: c.b.const(node.params["value"], node.params["dtype"]), lambda *_: None),
)

IOTA = Primitive(
    "iota",
    shape=lambda size, dtype: Spec((size,), dtype),
    numpy=lambda size, dtype: np.arange(size, dtype=dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=View(lambda c, index, node: c.operand(index[0], node.params["dtype"]), lambda *_: None),
)


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape from an int or a sequence of ints.

    Raises:
        ShapeError: a size is negative or not an integer.
    """
    sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    try:
        result = tuple(s.__index__() for s in sizes)
    except (AttributeError, TypeError):
        raise ShapeError(f"A shape is made of integers; got {shape!r}.") from None
    if any(s < 0 for s in result):
        raise ShapeError(f"A shape has no negative sizes; got {result}.")
    return result


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of one value everywhere.

    Example:
        >>> import lamina
        >>> lamina.full((2, 2), 7).tolist()
        [[7, 7], [7, 7]]
    """
    if not isinstance(fill_value, SCALARS):
        from lamina.ops.shape import broadcast_to

        return broadcast_to(as_tensor(fill_value, dtype=dtype), as_shape(shape))
    found = dtypes.as_dtype(dtype) if dtype is not None else dtypes.scalar_dtype(fill_value, None)
    return bind(FULL, shape=as_shape(shape), value=fill_value, dtype=found)


def zeros(shape: Any, dtype: Any = None) -> Any:
    """A tensor of zeros (float32 unless told otherwise).

    Example:
        >>> import lamina
        >>> lamina.zeros((2, 2)).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """
    return full(shape, 0, dtype or dtypes.DEFAULT_FLOAT)


def ones(shape: Any, dtype: Any = None) -> Any:
    """A tensor of ones (float32 unless told otherwise).

    Example:
        >>> import lamina
        >>> lamina.ones((2, 2)).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return full(shape, 1, dtype or dtypes.DEFAULT_FLOAT)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of one value with the shape and dtype of ``x``.

    Example:
        >>> import lamina
        >>> lamina.full_like(lamina.ones(2), 3).tolist()
        [3.0, 3.0]
    """
    if dtype is None and type(x) is core._tensor_class and isinstance(fill_value, SCALARS):
        return bind(FULL, shape=x._data.shape, value=fill_value, dtype=x._data.dtype)
    x = x if hasattr(x, "shape") else as_tensor(x)
    return full(x.shape, fill_value, dtype or x.dtype)


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros with the shape and dtype of ``x``.

    Example:
        >>> import lamina
        >>> lamina.zeros_like([1, 2]).tolist()
        [0, 0]
    """
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones with the shape and dtype of ``x``.

    Example:
        >>> import lamina
        >>> lamina.ones_like([1, 2]).tolist()
        [1, 1]
    """
    return full_like(x, 1, dtype)


def tensor(value: Any, dtype: Any = None) -> Any:
    """A new Tensor from a number, a nested list, a NumPy array or another library's array.

    Args:
        value: what to copy.  Python floats become float32 and Python integers int64; arrays keep
            their dtype.
        dtype: dtype of the result, if another.

    Raises:
        ShapeError: a nested list is ragged.
        DTypeError: the values are not numbers, or of a dtype that Lamina does not have.

    Example:
        >>> import lamina
        >>> lamina.tensor([[1.0, 2.0], [3.0, 4.0]])
        Tensor([[1., 2.],
                [3., 4.]], shape=(2, 2), dtype=float32)
    """
    return as_tensor(value, dtype)


def asarray(value: Any, dtype: Any = None) -> Any:
    """A Tensor of ``value``, without a copy where it is one already (the array API's name).

    Example:
        >>> import lamina
        >>> lamina.asarray([1, 2]).shape
        (2,)
    """
    return as_tensor(value, dtype)


def empty(shape: Any, dtype: Any = None) -> Any:
    """A tensor whose values do not matter.  Tensors are immutable, so there is nothing to fill: it is zeros.

    Example:
        >>> import lamina
        >>> lamina.empty((2, 3)).shape
        (2, 3)
    """
    return zeros(shape, dtype)


def empty_like(x: Any, dtype: Any = None) -> Any:
    """A tensor of the shape and dtype of ``x`` whose values do not matter (zeros)."""
    return zeros_like(x, dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """``start, start + step, ...`` up to but without ``stop``.

    Args:
        start: first value; with one argument only, the stop.
        stop: where to end.
        step: distance, not zero.
        dtype: default int64 if all are integers, else float32.

    Example:
        >>> import lamina
        >>> lamina.arange(2, 8, 2).tolist()
        [2, 4, 6]
    """
    if stop is None:
        start, stop = 0, start
    start, stop, step = (v.item() if hasattr(v, "item") else v for v in (start, stop, step))
    if step == 0:
        raise ArgumentError("arange: the step is not zero.")
    whole = all(isinstance(v, int) for v in (start, stop, step))
    found = dtypes.as_dtype(dtype) if dtype is not None else dtypes.DEFAULT_INT if whole else dtypes.DEFAULT_FLOAT
    size = max(0, math.ceil((stop - start) / step))
    if not whole or abs(start) + abs(step) * size > 2**53 or dtypes.is_bool(found):
        counts = np.arange(size)
        values = start + counts * step if whole else start + counts.astype(np.float64) * step
        return wrap(np.asarray(values).astype(found))
    if dtypes.is_integer(found):
        out = bind(IOTA, size=size, dtype=found)
        out = out if step == 1 else ops.multiply(out, step)
        return out if start == 0 else ops.add(out, start)
    return astype(arange(start, stop, step), found)


def linspace(start: Any, stop: Any, num: int, dtype: Any = None, endpoint: bool = True) -> Any:
    """``num`` values at equal distances from ``start`` to ``stop``.

    Args:
        start, stop: first and last value, Python numbers.
        num: how many values.
        dtype: default float32.
        endpoint: whether ``stop`` is the last value, or the one that would follow.

    Example:
        >>> import lamina
        >>> lamina.linspace(0, 1, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if num < 0:
        raise ArgumentError(f"linspace: num is not negative; got {num}.")
    found = dtypes.as_dtype(dtype) if dtype is not None else dtypes.DEFAULT_FLOAT
    return wrap(np.linspace(float(start), float(stop), num, endpoint=endpoint).astype(found))


def eye(n_rows: int, n_columns: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """A matrix with ones on its ``k``-th diagonal and zeros elsewhere.

    Example:
        >>> import lamina
        >>> lamina.eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    columns = n_rows if n_columns is None else n_columns
    rows_index = ops.reshape(arange(n_rows), (n_rows, 1))
    hits = ops.equal(ops.add(rows_index, k), arange(columns))
    return astype(hits, dtypes.DEFAULT_FLOAT if dtype is None else dtype)


def _triangle(name: str, x: Any, k: int, lower: bool) -> Any:
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"{name} takes at least 2 dimensions and got shape {x.shape}.")
    rows, columns = x.shape[-2:]
    last = ops.add(ops.reshape(arange(rows), (rows, 1)), k)  # last column of the lower triangle in each row
    inside = ops.less_equal(arange(columns), last) if lower else ops.greater_equal(arange(columns), last)
    return ops.where(inside, x, False if dtypes.is_bool(x.dtype) else 0)


def tril(x: Any, k: int = 0) -> Any:
    """The lower triangles of matrices: zeros above the ``k``-th diagonal.

    Example:
        >>> import lamina
        >>> lamina.tril([[1, 2], [3, 4]]).tolist()
        [[1, 0], [3, 4]]
    """
    return _triangle("tril", x, k, True)


def triu(x: Any, k: int = 0) -> Any:
    """The upper triangles of matrices: zeros below the ``k``-th diagonal.

    Example:
        >>> import lamina
        >>> lamina.triu(lamina.ones((2, 2))).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle("triu", x, k, False)


def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates of a grid: each 1-D tensor spread over all the others' dimensions.

    Args:
        arrays: 1-D (or 0-d) tensors of one dtype.
        indexing: ``"xy"`` puts the first tensor along columns, ``"ij"`` along rows.

    Example:
        >>> import lamina
        >>> x, y = lamina.meshgrid([1, 2, 3], [4, 5])
        >>> x.shape, y.tolist()
        ((2, 3), [[4, 4, 4], [5, 5, 5]])
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is 'xy' or 'ij', not {indexing!r}.")
    tensors = [ops.reshape(as_tensor(a), (-1,)) for a in arrays]
    n = len(tensors)
    order = list(range(n))
    if indexing == "xy" and n > 1:
        order[:2] = [1, 0]
    sizes = [0] * n
    for place, t in zip(order, tensors, strict=True):
        sizes[place] = t.shape[0]
    return [
        ops.broadcast_to(ops.reshape(t, [-1 if d == place else 1 for d in range(n)]), sizes)
        for place, t in zip(order, tensors, strict=True)
    ]
