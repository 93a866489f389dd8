"""Putting tensors together and turning them round: stacks, diagonals, rotations, products of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.creation import as_tensor, operands
from lamina.ops.shape import normalize_axis


# --- stacks -------------------------------------------------------------------------------------------
def _at_least(x: Any, rank: int) -> Any:
    """At least so many dimensions, the missing ones where ``atleast_nd`` of NumPy puts them."""
    x = as_tensor(x)
    if x.ndim >= rank:
        return x
    if rank == 3:
        return ops.reshape(x, {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}[x.ndim])
    return ops.reshape(x, (*(1,) * (rank - x.ndim), *x.shape))


def hstack(xs: Sequence[Any]) -> Any:
    """Tensors side by side: joined along axis 1, vectors along axis 0.

    Example:
        >>> import lamina
        >>> lamina.hstack([[1, 2], [3]]).tolist()
        [1, 2, 3]
    """
    parts = [_at_least(x, 1) for x in xs]
    return ops.concat(parts, axis=0 if parts and parts[0].ndim == 1 else 1)


def vstack(xs: Sequence[Any]) -> Any:
    """Tensors on top of each other: joined along axis 0, vectors as rows.

    Example:
        >>> import lamina
        >>> lamina.vstack([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
    """
    return ops.concat([_at_least(x, 2) for x in xs], axis=0)


def dstack(xs: Sequence[Any]) -> Any:
    """Tensors behind each other: joined along axis 2.

    Example:
        >>> import lamina
        >>> lamina.dstack([[1, 2], [3, 4]]).tolist()
        [[[1, 3], [2, 4]]]
    """
    return ops.concat([_at_least(x, 3) for x in xs], axis=2)


def append(x: Any, values: Any, axis: int | None = None) -> Any:
    """``values`` after ``x`` along ``axis``; both are flattened by default.

    Example:
        >>> import lamina
        >>> lamina.append([1, 2], [[3], [4]]).tolist()
        [1, 2, 3, 4]
    """
    x, values = operands(x, values)
    return ops.concat([ops.ravel(x), ops.ravel(values)]) if axis is None else ops.concat([x, values], axis=axis)


def array_split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Like ``split``; sections may be unequal, and the first ones are then larger by one.

    Example:
        >>> import lamina
        >>> [part.tolist() for part in lamina.array_split([1, 2, 3], 2)]
        [[1, 2], [3]]
    """
    x = as_tensor(x)
    if isinstance(indices_or_sections, int | np.integer):
        count = int(indices_or_sections)
        if count < 1:
            raise ArgumentError(f"array_split: the number of sections is positive; got {count}.")
        size = x.shape[normalize_axis("array_split", axis, x.ndim)]
        each, longer = divmod(size, count)
        sizes = [each + 1] * longer + [each] * (count - longer)
        return ops.split(x, [int(n) for n in np.cumsum(sizes)[:-1]], axis=axis)
    return ops.split(x, indices_or_sections, axis=axis)


def hsplit(x: Any, indices_or_sections: int | Sequence[int]) -> tuple[Any, ...]:
    """``split`` along axis 1 (along axis 0 for vectors).

    Example:
        >>> import lamina
        >>> [x.tolist() for x in lamina.hsplit(lamina.ones((1, 4)), 2)]
        [[[1.0, 1.0]], [[1.0, 1.0]]]
    """
    x = as_tensor(x)
    return ops.split(x, indices_or_sections, axis=0 if x.ndim == 1 else 1)


def vsplit(x: Any, indices_or_sections: int | Sequence[int]) -> tuple[Any, ...]:
    """``split`` along axis 0 of at least two.

    Example:
        >>> import lamina
        >>> [x.shape for x in lamina.vsplit(lamina.ones((4, 1)), 2)]
        [(2, 1), (2, 1)]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"vsplit takes at least 2 dimensions; got shape {x.shape}.")
    return ops.split(x, indices_or_sections, axis=0)


def dsplit(x: Any, indices_or_sections: int | Sequence[int]) -> tuple[Any, ...]:
    """``split`` along axis 2."""
    x = as_tensor(x)
    if x.ndim < 3:
        raise ShapeError(f"dsplit takes at least 3 dimensions; got shape {x.shape}.")
    return ops.split(x, indices_or_sections, axis=2)


# --- turning ------------------------------------------------------------------------------------------
def fliplr(x: Any) -> Any:
    """The columns in reverse order: ``flip`` along axis 1.

    Example:
        >>> import lamina
        >>> lamina.fliplr([[1, 2], [3, 4]]).tolist()
        [[2, 1], [4, 3]]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"fliplr takes at least 2 dimensions; got shape {x.shape}.")
    return ops.flip(x, axis=1)


def flipud(x: Any) -> Any:
    """The rows in reverse order: ``flip`` along axis 0.

    Example:
        >>> import lamina
        >>> lamina.flipud([[1, 2], [3, 4]]).tolist()
        [[3, 4], [1, 2]]
    """
    return ops.flip(x, axis=0)


def rot90(x: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """Turned by ``k`` right angles in the plane of two axes, from the first towards the second.

    Example:
        >>> import lamina
        >>> lamina.rot90([[1, 2], [3, 4]]).tolist()
        [[2, 4], [1, 3]]
    """
    x = as_tensor(x)
    if x.ndim < 2:
        raise ShapeError(f"rot90 takes at least 2 dimensions; got shape {x.shape}.")
    if len(axes) != 2:
        raise ArgumentError(f"rot90 turns in the plane of two axes; got {tuple(axes)}.")
    first, second = (normalize_axis("rot90", a, x.ndim) for a in axes)
    if first == second:
        raise ArgumentError(f"rot90 turns in the plane of two different axes; got {tuple(axes)}.")
    if k % 4 == 1:
        return ops.swapaxes(ops.flip(x, second), first, second)
    if k % 4 == 2:
        return ops.flip(x, (first, second))
    return ops.flip(ops.swapaxes(x, first, second), second) if k % 4 == 3 else x


# --- diagonals and special matrices -------------------------------------------------------------------
def diag(x: Any, k: int = 0) -> Any:
    """The ``k``-th diagonal of a matrix, or the matrix with a vector on its ``k``-th diagonal.

    Example:
        >>> import lamina
        >>> lamina.diag([1, 2]).tolist(), lamina.diag([[1, 2], [3, 4]], k=1).tolist()
        ([[1, 0], [0, 2]], [2])
    """
    x = as_tensor(x)
    if x.ndim == 2:
        return ops.diagonal(x, offset=k)
    if x.ndim != 1:
        raise ShapeError(f"diag takes a vector or a matrix; got shape {x.shape}.")
    size = x.shape[0] + abs(k)
    wide = ops.pad(x, (max(k, 0), max(-k, 0)))
    hit = ops.astype(ops.eye(size, k=k), "bool")
    return ops.where(hit, wide, False if dtypes.is_bool(x.dtype) else 0)


def diagflat(x: Any, k: int = 0) -> Any:
    """The matrix with the flattened tensor on its ``k``-th diagonal.

    Example:
        >>> import lamina
        >>> lamina.diagflat([1, 2]).tolist()
        [[1, 0], [0, 2]]
    """
    return diag(ops.ravel(x), k)


def tri(n_rows: int, n_columns: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """A matrix of ones on and below the ``k``-th diagonal, and zeros above.

    Example:
        >>> import lamina
        >>> lamina.tri(2).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    return ops.astype(ops.tril(ops.ones((n_rows, n_rows if n_columns is None else n_columns)), k), dtype or "float32")


def vander(x: Any, n: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix: the powers of a vector's elements as columns, the highest first.

    Args:
        x: shape (m,).
        n: number of columns; default m.
        increasing: begin with the power 0 instead.

    Example:
        >>> import lamina
        >>> lamina.vander([2, 3]).tolist()
        [[2, 1], [3, 1]]
    """
    x = as_tensor(x)
    if x.ndim != 1:
        raise ShapeError(f"vander takes a vector; got shape {x.shape}.")
    count = x.shape[0] if n is None else n
    if count < 0:
        raise ArgumentError(f"vander: n is not negative; got {count}.")
    columns = [ops.ones_like(x)]
    while len(columns) < count:
        columns.append(ops.multiply(columns[-1], x))
    columns = columns[:count]
    if not columns:
        return ops.zeros((x.shape[0], 0), x.dtype)
    return ops.stack(columns if increasing else columns[::-1], axis=1)


# --- products -----------------------------------------------------------------------------------------
def inner(x: Any, y: Any) -> Any:
    """The sum of products over the last axes of both; a plain product if one is a scalar.

    Example:
        >>> import lamina
        >>> lamina.inner([1, 2], [3, 4]).item()
        11
    """
    x, y = operands(x, y)
    return ops.multiply(x, y) if x.ndim == 0 or y.ndim == 0 else ops.tensordot(x, y, axes=((-1,), (-1,)))


def vdot(x: Any, y: Any) -> Any:
    """The inner product of the flattened tensors.

    Example:
        >>> import lamina
        >>> lamina.vdot([1, 2], [3, 4]).item()
        11
    """
    x, y = operands(x, y)
    return inner(ops.ravel(x), ops.ravel(y))


def kron(x: Any, y: Any) -> Any:
    """The Kronecker product: a copy of ``y`` for each element of ``x``, times that element.

    Example:
        >>> import lamina
        >>> lamina.kron([1, 10], [1, 2]).tolist()
        [1, 2, 10, 20]
    """
    x, y = operands(x, y)
    rank = max(x.ndim, y.ndim)
    a = (1,) * (rank - x.ndim) + x.shape
    b = (1,) * (rank - y.ndim) + y.shape
    left = ops.reshape(x, [n for size in a for n in (size, 1)])
    right = ops.reshape(y, [n for size in b for n in (1, size)])
    return ops.reshape(ops.multiply(left, right), [m * n for m, n in zip(a, b, strict=True)])


# --- along an axis --------------------------------------------------------------------------------------
def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """Differences of neighbours along ``axis``, taken ``n`` times.

    Example:
        >>> import lamina
        >>> lamina.diff([1, 4, 9]).tolist()
        [3, 5]
    """
    x = as_tensor(x)
    if n < 0:
        raise ArgumentError(f"diff: n is not negative; got {n}.")
    if x.ndim == 0:
        raise ShapeError("diff takes at least one dimension.")
    axis = normalize_axis("diff", axis, x.ndim)
    for _ in range(min(n, x.shape[axis])):
        size = x.shape[axis]
        after, before = ops.indexing.narrow(x, axis, 1, size), ops.indexing.narrow(x, axis, 0, size - 1)
        x = ops.not_equal(after, before) if dtypes.is_bool(x.dtype) else ops.subtract(after, before)
    return x


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of ``y`` along ``axis`` by the trapezoidal rule.

    Args:
        y: values.
        x: where they were taken, of the shape of ``y`` or a vector; default at equal distances.
        dx: that distance.
        axis: the axis.

    Example:
        >>> import lamina
        >>> lamina.trapezoid([1.0, 2.0, 3.0]).item()
        4.0
    """
    y = ops.elementwise.floating("trapezoid", y)
    axis = normalize_axis("trapezoid", axis, y.ndim)
    size = y.shape[axis]
    heights = ops.add(ops.indexing.narrow(y, axis, 1, size), ops.indexing.narrow(y, axis, 0, size - 1))
    width: Any = dx
    if x is not None:
        x = ops.astype(as_tensor(x), y.dtype)
        if x.ndim == 1:
            width = ops.reshape(diff(x), [-1 if d == axis else 1 for d in range(y.ndim)])
        else:
            width = diff(x, axis=axis)
    return ops.multiply(ops.sum(ops.multiply(heights, width), axis=axis), 0.5)


def correlate(x: Any, y: Any, mode: str = "valid") -> Any:
    """The cross-correlation of two vectors: ``out[k] = sum x[n + k] * y[n]``.

    Args:
        x: shape (n,).
        y: shape (m,).
        mode: ``"valid"`` keeps the places where the shorter lies within the longer, ``"same"`` as
            many as the longer has, ``"full"`` all where they meet.

    Example:
        >>> import lamina
        >>> lamina.correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5]).tolist()
        [3.5]
    """
    if mode not in ("valid", "same", "full"):
        raise ArgumentError(f"correlate: mode is 'valid', 'same' or 'full', not {mode!r}.")
    x, y = operands(x, y)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"correlate takes two vectors; got shapes {x.shape} and {y.shape}.")
    n, m = x.shape[0], y.shape[0]
    if n == 0 or m == 0:
        raise ShapeError("correlate takes vectors that are not empty.")
    if n < m:  # the same sum seen from the other vector
        return ops.flip(correlate(y, x, mode))
    room = {"valid": (0, 0), "same": (m // 2, m - 1 - m // 2), "full": (m - 1, m - 1)}[mode]
    wide = ops.pad(x, room)
    places = np.arange(wide.shape[0] - m + 1)[:, None] + np.arange(m)
    return ops.sum(ops.multiply(ops.take(wide, places), y), axis=1, dtype=x.dtype)


def select(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0) -> Any:
    """For each place the choice whose condition is the first that holds there, else ``default``.

    Raises:
        ArgumentError: there are not as many choices as conditions.

    Example:
        >>> import lamina
        >>> x = lamina.arange(4)
        >>> lamina.select([x < 1, x > 2], [x, x * 10], 7).tolist()
        [0, 7, 7, 30]
    """
    if len(conditions) != len(choices) or not conditions:
        raise ArgumentError(f"select: {len(conditions)} conditions do not fit {len(choices)} choices.")
    out = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        out = ops.where(condition, choice, out)
    return out


def unravel_index(indices: Any, shape: Sequence[int]) -> tuple[Any, ...]:
    """The coordinates, in an array of this shape, of places in the flattened array.

    Example:
        >>> import lamina
        >>> [i.tolist() for i in lamina.unravel_index([5, 2], (2, 3))]
        [[1, 0], [2, 2]]
    """
    rest = ops.indexing.integer_indices("unravel_index", indices)
    total = int(np.prod(shape, dtype=np.int64))
    rest = ops.where(ops.less(rest, 0), ops.add(rest, total), rest)
    found = []
    for size in reversed(tuple(shape)):
        found.append(ops.remainder(rest, int(size)))
        rest = ops.floor_divide(rest, int(size))
    return tuple(reversed(found))


def argpartition(x: Any, kth: int, axis: int = -1) -> Any:
    """Indices that put the ``kth`` smallest element in its place, smaller ones before it and larger ones after.

    They sort the rest, too.

    Example:
        >>> import lamina
        >>> lamina.argpartition([3, 1, 2], 1)[1].item()
        2
    """
    x = as_tensor(x)
    size = x.shape[normalize_axis("argpartition", axis, x.ndim)]
    if not -size <= kth < size:
        raise ArgumentError(f"argpartition: kth={kth} is out of bounds for size {size}.")
    return ops.argsort(x, axis=axis)
