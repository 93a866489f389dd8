"""What ``lamina.linalg`` has besides decompositions: norms, rank, powers, trace, cross product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.creation import as_tensor, operands
from lamina.ops.elementwise import floating
from lamina.ops.shape import normalize_axis


def default_rtol(x: Any) -> float:
    """``max(m, n) * eps``: below this, relative to the largest, a singular value is rounding."""
    small = x.dtype if x.dtype.itemsize > 2 else dtypes.float32
    return max(*x.shape[-2:], 1) * float(np.finfo(small).eps)


def _root(x: Any, power: float) -> Any:
    """``x ** (1 / power)`` for x >= 0, with the gradient 0 where x is 0."""
    zero = ops.equal(x, 0)
    safe = ops.where(zero, 1, x)
    root = ops.sqrt(safe) if power == 2 else ops.pow(safe, 1 / power)
    return ops.where(zero, 0 if power > 0 else math.inf, root)


def _largest(x: Any, axis: Any, keepdims: bool = False) -> Any:
    """The largest of numbers that are not negative; 0 where there are none, as a norm has it."""
    return ops.max(x, axis=axis, keepdims=keepdims) if x.size else ops.sum(x, axis=axis, keepdims=keepdims)


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Any:
    """The norm ``sum(|x| ** ord) ** (1 / ord)`` over one or more axes.

    Args:
        x: tensor of any shape.
        axis: an axis, a tuple of axes, or ``None`` for all.
        keepdims: keep the reduced axes with size 1.
        ord: any number; ``inf`` and ``-inf`` give the largest and smallest absolute value, 0 counts
            the elements that are not zero.

    Example:
        >>> import lamina
        >>> lamina.linalg.vector_norm([3.0, 4.0]).item()
        5.0
    """
    x = floating("vector_norm", x)
    if ord == math.inf:
        return _largest(ops.abs(x), axis, keepdims)
    if ord == -math.inf:
        return ops.min(ops.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return ops.astype(ops.count_nonzero(x, axis=axis, keepdims=keepdims), x.dtype)
    if ord == 1:
        return ops.sum(ops.abs(x), axis=axis, keepdims=keepdims)
    if ord == 2:
        return _root(ops.sum(ops.square(x), axis=axis, keepdims=keepdims), 2)
    zero = ops.equal(x, 0)
    powers = ops.pow(ops.where(zero, 1, ops.abs(x)), ord)
    powers = ops.where(zero, 0 if ord > 0 else math.inf, powers)  # 0 ** ord, with the gradient 0
    return _root(ops.sum(powers, axis=axis, keepdims=keepdims), ord)


def matrix_norm(x: Any, keepdims: bool = False, ord: float | str | None = "fro") -> Any:
    """The norm of matrices in the last two dimensions.

    Args:
        x: shape (..., m, n).
        keepdims: keep the reduced axes with size 1.
        ord: ``"fro"`` the root of the sum of squares, ``"nuc"`` the sum of the singular values, 2 (-2)
            the largest (smallest) singular value, 1 (-1) the largest (smallest) column sum of absolute
            values, ``inf`` (``-inf``) the same for rows.

    Example:
        >>> import lamina
        >>> lamina.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord=2).item()
        4.0
    """
    x = floating("matrix_norm", x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_norm takes matrices and got shape {x.shape}.")
    if ord is None or ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord in ("nuc", 2, -2):
        values = ops.linalg.svdvals(x)
        reduce = {"nuc": ops.sum, 2: _largest, -2: ops.min}[ord]
        result = reduce(values, axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = ops.sum(ops.abs(x), axis=-2 if abs(ord) == 1 else -1)
        result = (_largest if ord > 0 else ops.min)(sums, axis=-1)
    else:
        raise ArgumentError(f"matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}.")
    return ops.expand_dims(result, (-2, -1)) if keepdims else result


def norm(x: Any, ord: float | str | None = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A vector's or a matrix's norm, chosen as NumPy does.

    Args:
        x: tensor.
        ord: as for ``vector_norm`` over one axis, and for ``matrix_norm`` over two; default the root of
            the sum of squares.
        axis: one axis (vectors) or two (matrices); default all.
        keepdims: keep the reduced axes with size 1.

    Example:
        >>> import lamina
        >>> lamina.linalg.norm([[3.0, 0.0], [0.0, 4.0]]).item()
        5.0
    """
    x = floating("norm", x)
    if ord is None:
        return vector_norm(x, axis, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ArgumentError(f"norm: ord={ord!r} is for matrices, and one axis was given.")
        return vector_norm(x, axes[0], keepdims, ord)
    if len(axes) != 2:
        raise ArgumentError(f"norm: ord={ord!r} needs one axis or two; got axis={axis!r} for shape {x.shape}.")
    places = [normalize_axis("norm", a, x.ndim) for a in axes]
    result = matrix_norm(ops.moveaxis(x, places, (-2, -1)), False, ord)
    return ops.expand_dims(result, sorted(places)) if keepdims else result


def matrix_rank(x: Any, rtol: float | None = None) -> Any:
    """How many singular values of each matrix exceed ``rtol`` times the largest.

    Args:
        x: shape (..., m, n).
        rtol: default ``max(m, n) * eps``.

    Example:
        >>> import lamina
        >>> lamina.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]]).item()
        1
    """
    x = floating("matrix_rank", x)
    if x.ndim < 2:
        raise ShapeError(f"matrix_rank takes matrices and got shape {x.shape}.")
    if 0 in x.shape[-2:]:
        return ops.zeros(x.shape[:-2], "int64")
    values = ops.linalg.svdvals(x)
    limit = default_rtol(x) if rtol is None else rtol
    limit = limit if isinstance(limit, int | float) else ops.expand_dims(as_tensor(limit), -1)
    largest = ops.max(values, axis=-1, keepdims=True)
    return ops.count_nonzero(ops.greater(values, ops.multiply(largest, limit)), axis=-1)


def matrix_power(x: Any, n: int) -> Any:
    """The matrix product of ``n`` copies of square matrices; negative ``n`` uses the inverse.

    Example:
        >>> import lamina
        >>> lamina.linalg.matrix_power([[1, 1], [0, 1]], 5).tolist()
        [[1, 5], [0, 1]]
    """
    x = as_tensor(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power takes square matrices and got shape {x.shape}.")
    n = n.__index__()
    if n < 0:
        x, n = ops.linalg.inv(x), -n
    if n == 0:
        return ops.broadcast_to(ops.eye(x.shape[-1], dtype=x.dtype), x.shape)
    result = None
    while n:
        if n & 1:
            result = x if result is None else ops.matmul(result, x)
        n >>= 1
        if n:
            x = ops.matmul(x, x)
    return result


def trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of the diagonal of matrices in the last two dimensions.

    Example:
        >>> import lamina
        >>> lamina.linalg.trace([[1, 2], [3, 4]]).item()
        5
    """
    return ops.sum(ops.diagonal(x, offset), axis=-1, dtype=dtype)


def cross(x: Any, y: Any, axis: int = -1) -> Any:
    """The cross product of vectors with three components along ``axis``.

    Example:
        >>> import lamina
        >>> lamina.linalg.cross([1, 0, 0], [0, 1, 0]).tolist()
        [0, 0, 1]
    """
    x, y = operands(x, y)
    shape = ops.elementwise.broadcast_shapes("cross", x.shape, y.shape)
    place = normalize_axis("cross", axis, len(shape))
    back = place - len(shape)
    if any(-back > t.ndim or t.shape[back] != 3 for t in (x, y)):
        raise ShapeError(f"cross: axis {axis} must have size 3 in both; got shapes {x.shape} and {y.shape}.")
    a, b = (ops.unstack(ops.broadcast_to(t, shape), place) for t in (x, y))
    parts = [ops.subtract(ops.multiply(a[i], b[j]), ops.multiply(a[j], b[i])) for i, j in ((1, 2), (2, 0), (0, 1))]
    return ops.stack(parts, axis=place)
