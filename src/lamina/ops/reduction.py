"""Reductions, and cumulative sums and products."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Cumulative, Reduction
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray
from lamina.ops.creation import as_tensor
from lamina.ops.elementwise import add, divide, floating, multiply, quiet_call, square, subtract
from lamina.ops.selection import where
from lamina.ops.shape import normalize_axis


# --- axes -----------------------------------------------------------------------------------------
def normalize_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """A sorted tuple of axes that are not negative; ``None`` means all.

    Raises:
        ShapeError: an axis is out of range.
        ArgumentError: an axis is given twice or is not an integer.
    """
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis + ndim if axis < 0 else axis,)
    found = []
    for a in tuple(axis) if isinstance(axis, tuple | list) else (axis,):
        if not hasattr(a, "__index__"):
            raise ArgumentError(f"{name}: axis is an integer, a tuple of integers or None, not {axis!r}.")
        found.append(normalize_axis(name, a, ndim))
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name}: an axis is given twice in {axis!r}.")
    return tuple(sorted(found))


def one_axis(name: str, axis: Any, ndim: int) -> int:
    """One axis that is not negative."""
    axes = normalize_axes(name, axis, ndim)
    if axis is None or len(axes) != 1:
        raise ArgumentError(f"{name} works along one axis; got axis={axis!r}.")
    return axes[0]


def kept_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with the reduced axes kept as ones."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def dropped_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the reduced axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def spread(y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A reduced tensor with its axes back as ones, so that it broadcasts against ``x``."""
    return ops.reshape(y, kept_shape(x.shape, axes)) if y._data.shape else y  # 0-d broadcasts as it is


def _reduction_shape(name: str, kinds: str, result: Any = None, empty: bool = True) -> Callable[..., Spec]:
    def rule(x: Any, axis: tuple[int, ...]) -> Spec:
        if builtins.any(not 0 <= a < len(x.shape) for a in axis):
            raise ShapeError(f"{name}: axes {axis} do not fit shape {tuple(x.shape)}.")
        if ("f" if dtypes.is_float(x.dtype) else x.dtype.kind) not in kinds:
            raise DTypeError(f"{name} does not take dtype {x.dtype}.")
        if not empty and builtins.any(x.shape[a] == 0 for a in axis):
            raise ShapeError(f"{name}: shape {tuple(x.shape)} has no elements along axes {axis}.")
        return Spec(dropped_shape(tuple(x.shape), axis), result or x.dtype)

    return rule


def _accumulating(ufunc: Any) -> Callable[..., Any]:
    """A sum or product that keeps its dtype; half precision is accumulated in float32."""
    reduce = ufunc.reduce

    def call(x: ndarray, axis: tuple[int, ...]) -> Any:
        if x.dtype.itemsize == 2 and dtypes.is_float(x.dtype):
            wide = quiet_call(reduce, x.astype(np.float32), axis, np.float32)
            return np.asarray(wide).astype(x.dtype)
        return quiet_call(reduce, x, axis, x.dtype)

    return call


# --- primitives -----------------------------------------------------------------------------------
SUM = Primitive(
    "sum",
    shape=_reduction_shape("sum", "iuf"),
    numpy=_accumulating(np.add),
    vjp=lambda ct, out, x, axis: (ops.broadcast_to(spread(ct, x, axis), x.shape),),
    native=Reduction("add"),
)

PROD = Primitive(
    "prod",
    shape=_reduction_shape("prod", "iuf"),
    numpy=_accumulating(np.multiply),
    vjp=lambda ct, out, x, axis: (_prod_vjp(ct, x, axis),),
    native=Reduction("mul"),
)


def _extremum_vjp(ct: Any, out: Any, x: Any, axis: tuple[int, ...]) -> tuple[Any]:
    """Equal extremes share the cotangent evenly."""
    hits = ops.astype(ops.equal(x, spread(out, x, axis)), x.dtype)
    share = divide(ct, bind(SUM, hits, axis=axis))
    return (multiply(hits, spread(share, x, axis)),)


MAX = Primitive(
    "max",
    shape=_reduction_shape("max", "iuf", empty=False),
    numpy=lambda x, axis: quiet_call(np.maximum.reduce, x, axis),
    vjp=_extremum_vjp,
    native=Reduction("max"),
)

MIN = Primitive(
    "min",
    shape=_reduction_shape("min", "iuf", empty=False),
    numpy=lambda x, axis: quiet_call(np.minimum.reduce, x, axis),
    vjp=_extremum_vjp,
    native=Reduction("min"),
)

ALL = Primitive(
    "all",
    shape=_reduction_shape("all", "b"),
    numpy=lambda x, axis: np.logical_and.reduce(x, axis),
    vjp=NOT_DIFFERENTIABLE,
    native=Reduction("and"),
)

ANY = Primitive(
    "any",
    shape=_reduction_shape("any", "b"),
    numpy=lambda x, axis: np.logical_or.reduce(x, axis),
    vjp=NOT_DIFFERENTIABLE,
    native=Reduction("or"),
)

ARGMAX = Primitive(
    "argmax",
    shape=_reduction_shape("argmax", "iufb", result=dtypes.int64, empty=False),
    numpy=lambda x, axis: np.argmax(x, axis[0]),
    vjp=NOT_DIFFERENTIABLE,
    native=Reduction("argmax"),
)

ARGMIN = Primitive(
    "argmin",
    shape=_reduction_shape("argmin", "iufb", result=dtypes.int64, empty=False),
    numpy=lambda x, axis: np.argmin(x, axis[0]),
    vjp=NOT_DIFFERENTIABLE,
    native=Reduction("argmin"),
)


def _reduce(primitive: Primitive, x: Any, axis: Any, keepdims: bool) -> Any:
    shape = x._data.shape
    axes = normalize_axes(primitive.name, axis, len(shape))
    result = bind(primitive, x, axis=axes)
    return ops.reshape(result, kept_shape(shape, axes)) if keepdims and shape else result


def _accumulator_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Integers and bools add up in 64 bits."""
    if dtypes.is_float(dtype):
        return dtype
    return dtypes.uint64 if dtype.kind == "u" else dtypes.int64


def _for_accumulation(x: Any, dtype: Any) -> Any:
    x = as_tensor(x)
    wanted = _accumulator_dtype(x._data.dtype) if dtype is None else dtypes.as_dtype(dtype)
    return x if x._data.dtype is wanted else ops.astype(x, wanted)


# --- sums and means -------------------------------------------------------------------------------
def sum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum over ``axis``.  Integers and bools are added in 64 bits.

    Args:
        x: tensor of any shape.
        axis: an axis, a tuple of axes, or ``None`` for all.
        keepdims: keep the reduced axes with size 1.
        dtype: cast to this dtype first.

    Raises:
        ArgumentError: an axis is out of range or given twice.

    Example:
        >>> import lamina
        >>> lamina.sum([[1.0, 2.0], [3.0, 4.0]], axis=0).numpy()
        array([4., 6.], dtype=float32)
    """
    return _reduce(SUM, _for_accumulation(x, dtype), axis, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product over ``axis``.  Integers and bools are multiplied in 64 bits.

    Example:
        >>> import lamina
        >>> lamina.prod([[1, 2], [3, 4]], axis=0).tolist()
        [3, 8]
    """
    return _reduce(PROD, _for_accumulation(x, dtype), axis, keepdims)


def _is_half(x: Any) -> bool:
    """Whether sums over ``x`` would overflow or lose too much on the way to a mean."""
    dtype = x._data.dtype
    return bool(dtype.itemsize == 2 and dtypes.is_float(dtype))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over ``axis``: sum divided by count.  The mean of integers is float32.

    Example:
        >>> import lamina
        >>> lamina.mean([[1, 2], [3, 5]], axis=1).numpy()
        array([1.5, 4. ], dtype=float32)
    """
    x = floating("mean", x)
    if _is_half(x):
        return ops.astype(mean(ops.astype(x, dtypes.float32), axis, keepdims), x.dtype)
    shape = x._data.shape
    axes = normalize_axes("mean", axis, len(shape))
    total = bind(SUM, x, axis=axes)
    count = math.prod([shape[a] for a in axes])
    # Dividing, not multiplying by 1 / count, is exact where the sum is.
    result = divide(total, count if count else math.nan)
    return ops.reshape(result, kept_shape(shape, axes)) if keepdims and shape else result


def var(x: Any, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The variance over ``axis``: mean squared deviation from the mean, in two passes.

    Args:
        x: tensor of any shape.
        axis: an axis, a tuple of axes, or ``None`` for all.
        correction: the sum of squares is divided by ``n - correction`` (1 for an unbiased estimate).
        keepdims: keep the reduced axes with size 1.

    Example:
        >>> import lamina
        >>> lamina.var([1.0, 2.0, 3.0, 4.0]).item()
        1.25
    """
    x = floating("var", x)
    if _is_half(x):
        return ops.astype(var(ops.astype(x, dtypes.float32), axis, correction, keepdims), x.dtype)
    axes = normalize_axes("var", axis, x.ndim)
    count = math.prod([x.shape[a] for a in axes])
    deviation = subtract(x, mean(x, axis=axes, keepdims=True)) if axes else subtract(x, x)
    total = _reduce(SUM, square(deviation), axes, keepdims)
    return divide(total, float(builtins.max(count - correction, 0)))


def std(x: Any, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation over ``axis``: the square root of ``var``.  Its gradient is 0 where it is 0.

    Example:
        >>> import lamina
        >>> lamina.std([1.0, 3.0]).item()
        1.0
    """
    variance = var(x, axis=axis, correction=correction, keepdims=keepdims)
    constant = ops.equal(variance, 0)
    return where(constant, 0, ops.sqrt(where(constant, 1, variance)))


# --- extremes -------------------------------------------------------------------------------------
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest element over ``axis``; NaN where there is one.  Equal maxima share the gradient.

    Raises:
        ShapeError: there are no elements.

    Example:
        >>> import lamina
        >>> lamina.max([[1.0, 4.0], [3.0, 2.0]], axis=1).numpy()
        array([4., 3.], dtype=float32)
    """
    x = as_tensor(x)
    return any(x, axis, keepdims) if dtypes.is_bool(x._data.dtype) else _reduce(MAX, x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest element over ``axis``; NaN where there is one.  Equal minima share the gradient.

    Example:
        >>> import lamina
        >>> lamina.min([[1, 5], [4, 2]], axis=1).tolist()
        [1, 2]
    """
    x = as_tensor(x)
    return all(x, axis, keepdims) if dtypes.is_bool(x._data.dtype) else _reduce(MIN, x, axis, keepdims)


def _arg(primitive: Primitive, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_tensor(x)
    if dtypes.is_bool(x._data.dtype):
        x = ops.astype(x, dtypes.uint8)
    if axis is None:
        flat = bind(primitive, ops.reshape(x, (-1,)) if x.ndim != 1 else x, axis=(0,))
        return ops.reshape(flat, (1,) * x.ndim) if keepdims else flat
    return _reduce(primitive, x, one_axis(primitive.name, axis, x.ndim), keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int64) of the first largest element along ``axis``, or in the flattened tensor.

    Example:
        >>> import lamina
        >>> lamina.argmax([[1.0, 4.0], [3.0, 2.0]], axis=1).numpy()
        array([1, 0])
    """
    return _arg(ARGMAX, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index (int64) of the first smallest element along ``axis``, or in the flattened tensor.

    Example:
        >>> import lamina
        >>> lamina.argmin([3.0, 1.0, 2.0]).item()
        1
    """
    return _arg(ARGMIN, x, axis, keepdims)


# --- logic ------------------------------------------------------------------------------------------
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements over ``axis`` are true (not 0); true where there are none.

    Example:
        >>> import lamina
        >>> lamina.all([[True, False], [True, True]], axis=1).numpy()
        array([False,  True])
    """
    return _reduce(ALL, ops.comparison.as_bool(x), axis, keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether some element over ``axis`` is true (not 0); false where there are none.

    Example:
        >>> import lamina
        >>> lamina.any([[0, 1], [0, 0]], axis=1).tolist()
        [True, False]
    """
    return _reduce(ANY, ops.comparison.as_bool(x), axis, keepdims)


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements over ``axis`` are not 0, as int64.

    Example:
        >>> import lamina
        >>> lamina.count_nonzero([[0, 1], [2, 3]], axis=0).tolist()
        [1, 2]
    """
    return sum(ops.comparison.as_bool(x), axis=axis, keepdims=keepdims)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log(sum(exp(x)))`` over ``axis`` without overflow.

    Example:
        >>> import lamina
        >>> round(lamina.logsumexp([1000.0, 1000.0]).item(), 3)
        1000.693
    """
    x = floating("logsumexp", x)
    axes = normalize_axes("logsumexp", axis, x.ndim)
    if x.size == 0:  # nothing has no maximum; the logarithm of an empty sum is -inf
        return ops.log(sum(x, axis=axes, keepdims=keepdims))
    top = ops.stop_gradient(max(x, axis=axes, keepdims=True))
    top = where(ops.isfinite(top), top, 0)  # so that inf - inf does not arise
    total = add(ops.log(sum(ops.exp(subtract(x, top)), axis=axes, keepdims=True)), top)
    return total if keepdims else ops.reshape(total, dropped_shape(x.shape, axes))


# --- cumulative -----------------------------------------------------------------------------------
def _cumulative_shape(name: str) -> Callable[..., Spec]:
    def rule(x: Any, axis: int, reverse: bool) -> Spec:
        if not 0 <= axis < len(x.shape):
            raise ShapeError(f"{name}: axis {axis} does not fit shape {tuple(x.shape)}.")
        return Spec(x.shape, x.dtype)

    return rule


CUMSUM: Primitive = Primitive(
    "cumulative_sum",
    shape=_cumulative_shape("cumulative_sum"),
    numpy=lambda x, axis, reverse: _cumulate(np.add, x, axis, reverse),
    vjp=lambda ct, out, x, axis, reverse: (bind(CUMSUM, ct, axis=axis, reverse=not reverse),),
    native=Cumulative("add"),
)

CUMPROD: Primitive = Primitive(
    "cumulative_prod",
    shape=_cumulative_shape("cumulative_prod"),
    numpy=lambda x, axis, reverse: _cumulate(np.multiply, x, axis, reverse),
    vjp=lambda ct, out, x, axis, reverse: (_cumulative_prod_vjp(ct, x, axis, reverse),),
    native=Cumulative("mul"),
)


def _cumulate(ufunc: Any, x: ndarray, axis: int, reverse: bool) -> ndarray:
    if reverse:
        return np.flip(_cumulate(ufunc, np.flip(x, axis), axis, False), axis)
    if x.dtype.itemsize == 2 and dtypes.is_float(x.dtype):
        wide: ndarray = quiet_call(ufunc.accumulate, x.astype(np.float32), axis)
        return wide.astype(x.dtype)
    return quiet_call(ufunc.accumulate, x, axis, x.dtype)


def _part(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


def _shifted(x: Any, axis: int, step: int, fill: float) -> Any:
    """``y[i] = x[i + step]`` along ``axis``, and ``fill`` beyond the end (or the beginning)."""
    n = x.shape[axis]
    edge = ops.full(x.shape[:axis] + (builtins.min(builtins.abs(step), n),) + x.shape[axis + 1 :], fill, x.dtype)
    if step > 0:
        return ops.concat([_part(x, axis, step, n), edge], axis=axis)
    return ops.concat([edge, _part(x, axis, 0, builtins.max(n + step, 0))], axis=axis)


def _cumulative_prod_vjp(ct: Any, x: Any, axis: int, reverse: bool) -> Any:
    """Without dividing, so that zeros in ``x`` are no special case.

    The gradient at i is (product of all before i) * S_i with S_i = ct_i + x_{i+1} S_{i+1}; the
    recurrence is solved in log2(n) steps by doubling.
    """
    ahead = -1 if reverse else 1
    before = bind(CUMPROD, _shifted(x, axis, -ahead, 1), axis=axis, reverse=reverse)
    total, factor = ct, _shifted(x, axis, ahead, 0)
    step = 1
    while step < x.shape[axis]:
        total = add(total, multiply(factor, _shifted(total, axis, ahead * step, 0)))
        factor = multiply(factor, _shifted(factor, axis, ahead * step, 0))
        step *= 2
    return multiply(before, total)


def _prod_vjp(ct: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """Each element's gradient is the product of the others: of those before times those after."""
    if not axis:
        return ct
    rest = tuple(i for i in range(x.ndim) if i not in axis)
    order = rest + axis
    rows, along = x, axis[0]
    if len(axis) > 1:
        n = math.prod([x.shape[a] for a in axis])
        rows, along = ops.reshape(ops.permute_dims(x, order), (*[x.shape[i] for i in rest], n)), len(rest)
    before = bind(CUMPROD, _shifted(rows, along, -1, 1), axis=along, reverse=False)
    after = bind(CUMPROD, _shifted(rows, along, 1, 1), axis=along, reverse=True)
    others = multiply(before, after)
    if len(axis) > 1:
        others = ops.reshape(others, tuple(x.shape[i] for i in order))
        others = ops.permute_dims(others, tuple(order.index(i) for i in range(x.ndim)))
    return multiply(spread(ct, x, axis), others)


def _cumulative(primitive: Primitive, x: Any, axis: Any, include_initial: bool, dtype: Any, start: int) -> Any:
    x = _for_accumulation(x, dtype)
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"{primitive.name}: a tensor of {x.ndim} dimensions needs an axis.")
        axis = 0
    axis = one_axis(primitive.name, axis, x.ndim)
    result = bind(primitive, x, axis=axis, reverse=False)
    if not include_initial:
        return result
    first = ops.full(x.shape[:axis] + (1,) + x.shape[axis + 1 :], start, x.dtype)
    return ops.concat([first, result], axis=axis)


def cumulative_sum(x: Any, axis: int | None = None, include_initial: bool = False, dtype: Any = None) -> Any:
    """Running sums along ``axis`` (optional for vectors).

    Args:
        x: tensor of at least one dimension.
        axis: along which to add.
        include_initial: put a 0 before the first sum.
        dtype: cast to this dtype first; integers and bools become 64 bits wide.

    Example:
        >>> import lamina
        >>> lamina.cumulative_sum([1, 2, 3]).numpy()
        array([1, 3, 6])
    """
    return _cumulative(CUMSUM, x, axis, include_initial, dtype, 0)


def cumulative_prod(x: Any, axis: int | None = None, include_initial: bool = False, dtype: Any = None) -> Any:
    """Running products along ``axis`` (optional for vectors); see ``cumulative_sum``.

    Example:
        >>> import lamina
        >>> lamina.cumulative_prod([1, 2, 3]).tolist()
        [1, 2, 6]
    """
    return _cumulative(CUMPROD, x, axis, include_initial, dtype, 1)
