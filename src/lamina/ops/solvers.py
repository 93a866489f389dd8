"""Triangular systems, least squares, LU factors, the inverse by way of Cholesky's factor."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ShapeError
from lamina.core.primitive import Primitive, Spec, bind, ndarray, unsupported
from lamina.ops.elementwise import floating, floating_operands
from lamina.ops.shape import matrix_transpose, size_of


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """The ``x`` for which ``a @ x = b``, where ``a`` is triangular; its other half is not looked at.

    Args:
        a: shape (..., n, n).
        b: shape (..., n, k), or (n,).
        lower: whether the lower triangle counts.

    Example:
        >>> import lamina
        >>> lamina.linalg.solve_triangular([[2.0, 1.0], [9.0, 4.0]], [4.0, 8.0]).tolist()
        [1.0, 2.0]
    """
    a, b = floating_operands(a, b)
    return ops.linalg.solve(ops.tril(a) if lower else ops.triu(a), b)


def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky factor is ``x``.

    Args:
        x: shape (..., n, n).
        upper: whether the factor is an upper triangle.

    Example:
        >>> import lamina
        >>> lamina.linalg.cholesky_inverse([[2.0, 0.0], [0.0, 1.0]]).tolist()
        [[0.25, 0.0], [0.0, 1.0]]
    """
    x = floating("cholesky_inverse", x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"cholesky_inverse takes square matrices; got shape {x.shape}.")
    half = ops.linalg.inv(ops.triu(x) if upper else ops.tril(x))
    other = matrix_transpose(half)
    return ops.matmul(half, other) if upper else ops.matmul(other, half)


def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """The ``x`` that makes ``|a @ x - b|`` smallest, and of these the smallest itself.

    Args:
        a: shape (..., m, n).
        b: shape (..., m, k), or (m,).
        rcond: singular values below ``rcond`` times the largest count as zero; default ``max(m, n) * eps``.

    Raises:
        ShapeError: the shapes do not fit.

    Example:
        >>> import lamina
        >>> x = lamina.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])
        >>> round(x.item(), 4)
        2.0
    """
    a, b = floating_operands(a, b)
    if a.ndim < 2:
        raise ShapeError(f"lstsq takes matrices; got shape {a.shape}.")
    if b.ndim == 1:
        if b.shape[0] != a.shape[-2]:
            raise ShapeError(f"lstsq: matrices of shape {a.shape} and right-hand sides of shape {b.shape} do not fit.")
        return ops.squeeze(lstsq(a, ops.expand_dims(b, -1), rcond), -1)
    if b.ndim < 2 or b.shape[-2] != a.shape[-2]:
        raise ShapeError(f"lstsq: matrices of shape {a.shape} and right-hand sides of shape {b.shape} do not fit.")
    return ops.matmul(ops.linalg.pinv(a, rcond), b)


def _lu_numpy(x: ndarray) -> tuple[ndarray, ndarray]:
    """Gaussian elimination; in each column the largest entry becomes the pivot."""
    lu = x.astype(np.float64).reshape(size_of(x.shape[:-2]), *x.shape[-2:])
    rows, columns = lu.shape[-2:]
    pivots = np.zeros((lu.shape[0], min(rows, columns)), np.int32)
    with np.errstate(all="ignore"):
        for matrix, pivot in zip(lu, pivots, strict=True):
            for k in range(min(rows, columns)):
                p = k + int(np.argmax(np.abs(matrix[k:, k])))
                pivot[k] = p
                matrix[[k, p]] = matrix[[p, k]]
                if matrix[k, k] != 0:
                    matrix[k + 1 :, k] /= matrix[k, k]
                    matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return lu.reshape(x.shape).astype(x.dtype), pivots.reshape(*x.shape[:-2], min(rows, columns))


def _row_order(pivots: Any, rows: int) -> Any:
    """The rows of the matrix in the order in which the exchanges leave them."""
    place = ops.creation.arange(rows)
    order = ops.broadcast_to(place, (*pivots.shape[:-1], rows))
    for k in range(pivots.shape[-1]):
        pivot = ops.astype(pivots[..., k : k + 1], "int64")
        other = ops.take_along_axis(order, pivot, axis=-1)
        own = order[..., k : k + 1]
        order = ops.where(ops.equal(place, k), other, ops.where(ops.equal(place, pivot), own, order))
    return order


def _lu_vjp(ct: Any, lu: Any, pivots: Any) -> Any:
    """With ``A = L U`` after the exchange of rows, ``dL`` is strictly lower and ``dU`` upper triangular.

    Of a matrix that is not square the part beyond the square one follows from its own cotangent.
    """
    rows, columns = lu.shape[-2:]
    k = min(rows, columns)
    unit = ops.eye(k, dtype=lu.dtype)
    low, up = ops.add(ops.tril(lu[..., :k, :k], -1), unit), ops.triu(lu[..., :k, :k])
    to_low, to_up = ops.tril(ct[..., :k, :k], -1), ops.triu(ct[..., :k, :k])
    below = ops.matmul(matrix_transpose(low), to_low)
    above = ops.matmul(to_up, matrix_transpose(up))
    if rows > k:
        above = ops.subtract(above, ops.matmul(matrix_transpose(lu[..., k:, :]), ct[..., k:, :]))
    if columns > k:
        below = ops.subtract(below, ops.matmul(ct[..., k:], matrix_transpose(lu[..., k:])))
    inner = ops.linalg.solve(matrix_transpose(low), ops.add(ops.tril(below, -1), ops.triu(above)))
    if columns > k:
        square = matrix_transpose(ops.linalg.solve(up, matrix_transpose(inner)))
        found = ops.concat([square, ops.linalg.solve(matrix_transpose(low), ct[..., k:])], axis=-1)
    else:
        whole = ops.concat([inner, ct[..., k:, :]], axis=-2) if rows > k else inner
        found = matrix_transpose(ops.linalg.solve(up, matrix_transpose(whole)))
    back = ops.expand_dims(ops.argsort(_row_order(pivots, rows), axis=-1), -1)
    return ops.take_along_axis(found, ops.broadcast_to(back, found.shape), axis=-2)


LU = Primitive(
    "lu_factor",
    shape=lambda x: [
        Spec(tuple(x.shape), x.dtype),
        Spec((*x.shape[:-2], min(x.shape[-2:])), np.dtype(np.int32)),
    ],
    numpy=_lu_numpy,
    vjp=lambda ct, out, x: (None if ct[0] is None else _lu_vjp(ct[0], *out),),
    native=unsupported("pivots depend on the values; NumPy's loop is called in place"),
)


def lu_factor(x: Any) -> tuple[Any, Any]:
    """The triangular factors of matrices with rows exchanged, in LAPACK's form.

    Args:
        x: shape (..., m, n).

    Returns:
        ``(lu, pivots)``: the upper factor with the lower one, whose diagonal is 1, below it; and for
        each row k the row with which it was exchanged.

    Example:
        >>> import lamina
        >>> lu, pivots = lamina.linalg.lu_factor([[1.0, 2.0], [2.0, 2.0]])
        >>> lu.tolist(), pivots.tolist()
        ([[2.0, 2.0], [0.5, 1.0]], [1, 1])
    """
    x = floating("lu_factor", x)
    if x.ndim < 2:
        raise ShapeError(f"lu_factor takes matrices; got shape {x.shape}.")
    return tuple(bind(LU, x))
