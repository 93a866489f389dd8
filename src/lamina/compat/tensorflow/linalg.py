"""``tf.linalg``: products, decompositions, diagonals and norms of matrices."""

from __future__ import annotations

import math
from typing import Any

from lamina import ops as _ops
from lamina.compat.tensorflow._arrays import eye, global_norm  # noqa: F401
from lamina.compat.tensorflow._convert import axes, binary, convert_to_tensor, matched, static, unary
from lamina.compat.tensorflow.math import l2_normalize  # noqa: F401
from lamina.core.errors import ArgumentError
from lamina.ops import linalg as _linalg

adjoint = matrix_transpose = unary(_ops.matrix_transpose)
cholesky = unary(_linalg.cholesky)
cross = binary(_linalg.cross)
det = unary(_linalg.det)
diag_part = unary(_ops.diagonal)
slogdet = unary(_linalg.slogdet)
trace = unary(_linalg.trace)


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    output_type: Any = None,
    name: str | None = None,
) -> Any:
    """The product of matrices (the last two dimensions), either transposed if wanted.

    Raises:
        ArgumentError: a vector is given: use ``matvec`` or ``tensordot``.
    """
    a, b = matched(a, b)
    if min(a.ndim, b.ndim) < 2:
        raise ArgumentError(f"matmul takes matrices; got shapes {a.shape} and {b.shape}. See matvec and tensordot.")
    a = _ops.matrix_transpose(a) if transpose_a or adjoint_a else a
    b = _ops.matrix_transpose(b) if transpose_b or adjoint_b else b
    product = _ops.matmul(a, b)
    return product if output_type is None else _ops.astype(product, output_type)


def matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, name: str | None = None) -> Any:
    """The product of matrices and vectors (the last dimension)."""
    a, b = matched(a, b)
    a = _ops.matrix_transpose(a) if transpose_a or adjoint_a else a
    return _ops.squeeze(_ops.matmul(a, _ops.expand_dims(b, -1)), axis=-1)


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """Sums of products over the last axes of one and the first of the other, or over named ones."""
    a, b = matched(a, b)
    return _ops.tensordot(a, b, axes=static(axes))


def einsum(equation: str, *inputs: Any, **_: Any) -> Any:
    """Sums of products by Einstein's notation."""
    return _ops.einsum(equation, *matched(*inputs))


def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """The inverse of square matrices."""
    x = convert_to_tensor(input)
    return _linalg.inv(_ops.matrix_transpose(x) if adjoint else x)


def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """The pseudoinverse."""
    return _linalg.pinv(convert_to_tensor(a), rcond)


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """``x`` in ``matrix @ x = rhs``."""
    matrix, rhs = matched(matrix, rhs)
    return _linalg.solve(_ops.matrix_transpose(matrix) if adjoint else matrix, rhs)


def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Any:
    """``x`` in ``matrix @ x = rhs``, where only one triangle of the matrix counts."""
    matrix, rhs = matched(matrix, rhs)
    half = _ops.tril(matrix) if lower else _ops.triu(matrix)
    return _linalg.solve(_ops.matrix_transpose(half) if adjoint else half, rhs)


def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    """``x`` in ``chol @ transpose(chol) @ x = rhs``."""
    return triangular_solve(chol, triangular_solve(chol, rhs), adjoint=True)


def lstsq(
    matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: str | None = None
) -> Any:
    """``x`` with the least ``|matrix @ x - rhs|**2 + l2_regularizer * |x|**2``."""
    matrix, rhs = matched(matrix, rhs)
    if not l2_regularizer:
        return _ops.matmul(_linalg.pinv(matrix), rhs)
    turned = _ops.matrix_transpose(matrix)
    ridge = _ops.multiply(_ops.eye(matrix.shape[-1], dtype=matrix.dtype), l2_regularizer)
    return _linalg.solve(_ops.add(_ops.matmul(turned, matrix), ridge), _ops.matmul(turned, rhs))


def logdet(matrix: Any, name: str | None = None) -> Any:
    """The logarithm of the determinant of positive definite matrices."""
    factor = _linalg.cholesky(convert_to_tensor(matrix))
    return _ops.multiply(2, _ops.sum(_ops.log(_ops.diagonal(factor)), axis=-1))


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Any:
    """An orthogonal and an upper triangular matrix whose product is the input."""
    return _linalg.qr(convert_to_tensor(input), "complete" if full_matrices else "reduced")


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """Singular values ``s``, and matrices ``u`` and ``v`` with ``tensor = u @ diag(s) @ transpose(v)``."""
    x = convert_to_tensor(tensor)
    if not compute_uv:
        return _linalg.svdvals(x)
    u, s, vh = _linalg.svd(x, full_matrices=full_matrices)
    return s, u, _ops.matrix_transpose(vh)


def eigh(tensor: Any, name: str | None = None) -> tuple[Any, Any]:
    """Eigenvalues, in increasing order, and eigenvectors (columns) of symmetric matrices."""
    values, vectors = _linalg.eigh(convert_to_tensor(tensor))
    return values, vectors


def eigvalsh(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues of symmetric matrices, in increasing order."""
    return _linalg.eigvalsh(convert_to_tensor(tensor))


def matrix_rank(a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """How many singular values are not negligible."""
    return _ops.astype(_linalg.matrix_rank(convert_to_tensor(a), tol), "int32")


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None, name: str | None = None
) -> Any:
    """The norm of vectors (one axis, or all elements together) or matrices (two axes)."""
    x, axis, keepdims = convert_to_tensor(tensor), axes(axis), bool(keepdims)
    ord = None if ord in ("euclidean", "fro") and not isinstance(axis, tuple) else ord
    ord = "fro" if ord == "euclidean" else ord
    return _linalg.norm(x, ord, axis, keepdims) if axis is not None else _whole(x, ord, keepdims)


def _whole(x: Any, ord: Any, keepdims: bool) -> Any:
    flat = _linalg.vector_norm(_ops.reshape(x, (-1,)), ord=2 if ord is None else ord)
    return _ops.reshape(flat, (1,) * x.ndim) if keepdims else flat


def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> tuple[Any, Any]:
    """The tensor divided by its norm, and the norm."""
    x = convert_to_tensor(tensor)
    size = norm(x, ord, axis, keepdims=True)
    return _ops.divide(x, size), size


# --- diagonals and triangles --------------------------------------------------------------------------
def diag(diagonal: Any, name: str = "diag") -> Any:
    """Matrices with this diagonal and zeros elsewhere."""
    x = convert_to_tensor(diagonal)
    return _ops.multiply(_ops.expand_dims(x, -1), _ops.eye(x.shape[-1], dtype=x.dtype))


def tensor_diag(diagonal: Any, name: str | None = None) -> Any:
    """Zeros, with the elements where the indices stand twice: shape ``(*shape, *shape)``."""
    x = convert_to_tensor(diagonal)
    return _ops.reshape(diag(_ops.reshape(x, (-1,))), (*x.shape, *x.shape))


def tensor_diag_part(input: Any, name: str | None = None) -> Any:
    """The elements where the indices stand twice, of a tensor of shape ``(*shape, *shape)``."""
    x = convert_to_tensor(input)
    half = x.shape[: x.ndim // 2]
    square = _ops.reshape(x, (math.prod(half), -1))
    return _ops.reshape(_ops.diagonal(square), half)


def set_diag(input: Any, diagonal: Any, name: str = "set_diag") -> Any:
    """Matrices with their diagonal replaced."""
    x, values = matched(input, diagonal)
    rows, columns = x.shape[-2:]
    on = _ops.eye(rows, columns, dtype="bool")
    short = min(rows, columns)
    spread = _ops.expand_dims(values, -2) if columns == short else _ops.expand_dims(values, -1)
    return _ops.where(on, spread, x)


def band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    """Zeros outside of a band around the diagonal; -1 keeps the whole triangle."""
    x, lower, upper = convert_to_tensor(input), static(num_lower), static(num_upper)
    x = x if lower < 0 else _ops.triu(x, -lower)
    return x if upper < 0 else _ops.tril(x, upper)
