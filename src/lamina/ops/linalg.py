"""Linear algebra (``lamina.linalg``): decompositions and solvers, by LAPACK through NumPy.

Matrices stand in the last two dimensions; all others are batches.  The gradients are the
textbook ones: M. Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), and J. Townsend, "Differentiating the singular value
decomposition" (2016).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DifferentiationError, DTypeError, LinAlgError, ShapeError
from lamina.core.primitive import Primitive, Spec, bind, ndarray, unsupported
from lamina.ops.elementwise import floating, floating_operands
from lamina.ops.indexing import diagonal
from lamina.ops.matmul import matmul, outer, tensordot, vecdot
from lamina.ops.norms import cross, matrix_norm, matrix_power, matrix_rank, norm, trace, vector_norm
from lamina.ops.shape import matrix_transpose
from lamina.ops.solvers import cholesky_inverse, lstsq, lu_factor, solve_triangular

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "lu_factor",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

LAPACK = unsupported("it is LAPACK's work")


# --- helpers --------------------------------------------------------------------------------------
def _lapack(name: str, function: Callable[..., Any], *arrays: ndarray) -> Any:
    """NumPy's function with half precision computed in float32, and LAPACK's complaints as typed errors."""
    dtype = arrays[0].dtype
    if dtype.itemsize == 2:
        arrays = tuple(a.astype(np.float32) for a in arrays)
    try:
        with np.errstate(all="ignore"):
            result = function(*arrays)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {str(error).rstrip('.')}, for input of shape {arrays[0].shape}.") from None
    if isinstance(result, tuple):
        return tuple(np.asarray(r).astype(dtype, copy=False) for r in result)
    return np.asarray(result).astype(dtype, copy=False)


def _check(name: str, x: Any, square: bool = True) -> None:
    """Raise unless ``x`` holds (square) matrices of floats."""
    if len(x.shape) < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ShapeError(f"{name} takes {kind} in the last two dimensions and got shape {tuple(x.shape)}.")
    if not dtypes.is_float(x.dtype):
        raise DTypeError(f"{name} takes floats and got dtype {x.dtype}.")


def _matrices(name: str, x: Any, square: bool = True) -> Any:
    x = floating(name, x)
    _check(name, x, square)
    return x


def _same(name: str) -> Callable[[Any], Spec]:
    """Shape rule: square matrices in, the same shape out."""

    def rule(x: Any) -> Spec:
        _check(name, x)
        return Spec(tuple(x.shape), x.dtype)

    return rule


def _scalars(name: str) -> Callable[[Any], Spec]:
    """Shape rule: one number for each square matrix."""

    def rule(x: Any) -> Spec:
        _check(name, x)
        return Spec(tuple(x.shape[:-2]), x.dtype)

    return rule


T = matrix_transpose


def _each(y: Any) -> Any:
    """One number for each matrix, so that it broadcasts against the matrices."""
    return ops.reshape(y, (*y.shape, 1, 1))


def _columns(y: Any) -> Any:
    """A vector for each matrix, so that multiplying scales the columns."""
    return ops.expand_dims(y, -2)


def _symmetric(x: Any) -> Any:
    return ops.multiply(ops.add(x, T(x)), 0.5)


def _diagonal_matrix(y: Any) -> Any:
    return ops.multiply(_columns(y), ops.eye(y.shape[-1], dtype=y.dtype))


def _gaps(values: Any) -> Any:
    """``F[i, j] = 1 / (v[j] - v[i])``, and 0 on the diagonal."""
    n = values.shape[-1]
    own = ops.astype(ops.eye(n), "bool")
    difference = ops.subtract(_columns(values), ops.expand_dims(values, -1))
    return ops.where(own, 0, ops.reciprocal(ops.where(own, 1, difference)))


# --- inverse, solution, determinant -------------------------------------------------------------
INV = Primitive(
    "inv",
    shape=_same("inv"),
    numpy=lambda x: _lapack("inv", np.linalg.inv, x),
    vjp=lambda ct, out, x: (ops.negative(matmul(matmul(T(out), ct), T(out))),),
    native=LAPACK,
)


def inv(x: Any) -> Any:
    """The inverse of square matrices.

    Raises:
        LinAlgError: a matrix is singular.

    Example:
        >>> import lamina
        >>> lamina.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    return bind(INV, _matrices("inv", x))


def _solve_shape(a: Any, b: Any) -> Spec:
    _check("solve", a)
    if len(b.shape) != len(a.shape) or a.shape[:-1] != b.shape[:-1]:
        raise ShapeError(f"solve: right-hand sides of shape {tuple(b.shape)} do not fit matrices {tuple(a.shape)}.")
    return Spec(tuple(b.shape), b.dtype)


def _solve_vjp(ct: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    to_b = bind(SOLVE, T(a), ct)
    return ops.negative(matmul(to_b, T(out))), to_b


SOLVE = Primitive(
    "solve",
    shape=_solve_shape,
    numpy=lambda a, b: _lapack("solve", np.linalg.solve, a, b),
    vjp=_solve_vjp,
    native=LAPACK,
)


def solve(a: Any, b: Any) -> Any:
    """The ``x`` for which ``a @ x = b``.

    Args:
        a: square matrices, shape (..., n, n).
        b: one vector of shape (n,), or matrices of shape (..., n, k).  Batches broadcast.

    Raises:
        LinAlgError: a matrix is singular.

    Example:
        >>> import lamina
        >>> lamina.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).tolist()
        [1.0, 0.5]
    """
    a, b = floating_operands(a, b)
    _check("solve", a)
    if b.ndim == 1:
        return ops.squeeze(solve(a, ops.expand_dims(b, -1)), -1)
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ShapeError(f"solve: right-hand sides of shape {b.shape} do not fit matrices of shape {a.shape}.")
    batch = ops.elementwise.broadcast_shapes("solve", a.shape[:-2], b.shape[:-2])
    return bind(SOLVE, ops.broadcast_to(a, batch + a.shape[-2:]), ops.broadcast_to(b, batch + b.shape[-2:]))


def _cofactor_numpy(x: ndarray) -> Any:
    def cofactor(a: ndarray) -> ndarray:
        u, s, vh = np.linalg.svd(a)
        n = s.shape[-1]
        others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)  # products of all but one
        signs = np.linalg.det(u) * np.linalg.det(vh)
        return (u * others[..., None, :]) @ vh * np.round(signs)[..., None, None]

    return _lapack("det", cofactor, x)


def _cofactor_vjp(ct: Any, out: Any, x: Any) -> tuple[Any]:
    inverse = T(inv(x))
    along = ops.sum(ops.multiply(ct, inverse), axis=(-2, -1), keepdims=True)
    turned = matmul(matmul(inverse, T(ct)), inverse)
    return (ops.multiply(_each(det(x)), ops.subtract(ops.multiply(along, inverse), turned)),)


# The gradient of the determinant, which exists for singular matrices too.
COFACTOR = Primitive(
    "cofactor",
    shape=_same("det"),
    numpy=_cofactor_numpy,
    vjp=_cofactor_vjp,
    native=LAPACK,
)

DET = Primitive(
    "det",
    shape=_scalars("det"),
    numpy=lambda x: _lapack("det", np.linalg.det, x),
    vjp=lambda ct, out, x: (ops.multiply(_each(ct), bind(COFACTOR, x)),),
    native=LAPACK,
)


def det(x: Any) -> Any:
    """The determinant of square matrices.

    Example:
        >>> import lamina
        >>> lamina.linalg.det([[2.0, 0.0], [0.0, 4.0]]).item()
        8.0
    """
    return bind(DET, _matrices("det", x))


class SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


def _slogdet_vjp(ct: Any, out: Any, x: Any) -> tuple[Any]:
    return (None if ct[1] is None else ops.multiply(_each(ct[1]), T(inv(x))),)


SLOGDET = Primitive(
    "slogdet",
    shape=lambda x: [_scalars("slogdet")(x)] * 2,
    numpy=lambda x: _lapack("slogdet", np.linalg.slogdet, x),
    vjp=_slogdet_vjp,
    native=LAPACK,
)


def slogdet(x: Any) -> SlogdetResult:
    """Sign and logarithm of the absolute value of the determinant, which may be too large to hold itself.

    Returns:
        ``(sign, logabsdet)``; 0 and -inf for singular matrices.
    """
    return SlogdetResult(*bind(SLOGDET, _matrices("slogdet", x)))


def _pinv_vjp(ct: Any, out: Any, x: Any, rtol: float) -> tuple[Any]:
    """The derivative at constant rank (Golub and Pereyra, 1973)."""
    m, n = x.shape[-2:]
    beyond = ops.subtract(ops.eye(m, dtype=x.dtype), matmul(x, out))
    before = ops.subtract(ops.eye(n, dtype=x.dtype), matmul(out, x))
    inner = ops.negative(matmul(matmul(T(out), ct), T(out)))
    left = matmul(beyond, matmul(T(ct), matmul(out, T(out))))
    right = matmul(matmul(matmul(T(out), out), T(ct)), before)
    return (ops.add(ops.add(inner, left), right),)


def _pinv_shape(x: Any, rtol: float) -> Spec:
    _check("pinv", x, square=False)
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


PINV = Primitive(
    "pinv",
    shape=_pinv_shape,
    numpy=lambda x, rtol: _lapack("pinv", lambda a: np.linalg.pinv(a, rtol), x),
    vjp=_pinv_vjp,
    native=LAPACK,
)


def pinv(x: Any, rtol: float | None = None) -> Any:
    """The Moore-Penrose pseudo-inverse of matrices.

    Args:
        x: shape (..., m, n).
        rtol: singular values below ``rtol`` times the largest count as zero; default ``max(m, n) * eps``.
    """
    x = _matrices("pinv", x, square=False)
    return bind(PINV, x, rtol=ops.norms.default_rtol(x) if rtol is None else float(rtol))


# --- decompositions -----------------------------------------------------------------------------
def _cholesky_vjp(ct: Any, out: Any, x: Any) -> tuple[Any]:
    n = x.shape[-1]
    half = ops.subtract(1, ops.multiply(ops.eye(n, dtype=x.dtype), 0.5))  # the diagonal counts half
    middle = ops.multiply(ops.tril(matmul(T(out), ct)), half)
    left = bind(SOLVE, T(out), middle)
    return (_symmetric(T(bind(SOLVE, T(out), T(left)))),)


CHOLESKY = Primitive(
    "cholesky",
    shape=_same("cholesky"),
    numpy=lambda x: _lapack("cholesky", np.linalg.cholesky, x),
    vjp=_cholesky_vjp,
    native=LAPACK,
)


def cholesky(x: Any, upper: bool = False) -> Any:
    """The triangular ``L`` for which ``L @ L.T`` is a symmetric positive-definite matrix.

    Args:
        x: shape (..., n, n); only its lower triangle is looked at.
        upper: give the transpose of ``L`` instead.

    Raises:
        LinAlgError: a matrix is not positive definite.

    Example:
        >>> import lamina
        >>> lamina.linalg.cholesky([[4.0, 0.0], [0.0, 9.0]]).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """
    lower = bind(CHOLESKY, _matrices("cholesky", x))
    return T(lower) if upper else lower


class QRResult(NamedTuple):
    Q: Any
    R: Any


def _qr_shape(x: Any, mode: str) -> list[Spec]:
    _check("qr", x, square=False)
    batch, (m, n) = tuple(x.shape[:-2]), x.shape[-2:]
    k = min(m, n) if mode == "reduced" else m
    return [Spec((*batch, m, k), x.dtype), Spec((*batch, k, n), x.dtype)]


def _qr_vjp(ct: Any, out: Any, x: Any, mode: str) -> tuple[Any]:
    q, r = out
    if q.shape[-1] != r.shape[-1]:
        raise DifferentiationError("The gradient of qr exists for mode='reduced'.")
    to_q = ops.zeros_like(q) if ct[0] is None else ct[0]
    to_r = ops.zeros_like(r) if ct[1] is None else ops.triu(ct[1])
    m = ops.subtract(matmul(r, T(to_r)), matmul(T(to_q), q))
    mirrored = ops.add(ops.tril(m), T(ops.tril(m, -1)))
    right = ops.add(to_q, matmul(q, mirrored))
    return (T(bind(SOLVE, r, T(right))),)


QR = Primitive(
    "qr",
    shape=_qr_shape,
    numpy=lambda x, mode: _lapack("qr", lambda a: np.linalg.qr(a, mode), x),
    vjp=_qr_vjp,
    native=LAPACK,
)


def qr(x: Any, mode: str = "reduced") -> QRResult:
    """Orthonormal ``Q`` and upper triangular ``R`` with ``Q @ R = x``.

    Args:
        x: shape (..., m, n).
        mode: ``"reduced"`` gives ``Q`` with ``min(m, n)`` columns, ``"complete"`` with ``m``.

    Example:
        >>> import lamina
        >>> q, r = lamina.linalg.qr([[1.0, 2.0], [0.0, 3.0]])
        >>> lamina.abs(r).tolist()
        [[1.0, 2.0], [0.0, 3.0]]
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr: mode is 'reduced' or 'complete', not {mode!r}.")
    x = _matrices("qr", x, square=False)
    m, n = x.shape[-2:]
    if m < n:  # Q comes from the first m columns alone; written so, this has a gradient
        q, r = bind(QR, x[..., :m], mode=mode)
        return QRResult(q, ops.concat([r, matmul(T(q), x[..., m:])], axis=-1))
    return QRResult(*bind(QR, x, mode=mode if m != n else "reduced"))


class SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


def _svd_shape(x: Any, full_matrices: bool) -> list[Spec]:
    _check("svd", x, square=False)
    batch, (m, n) = tuple(x.shape[:-2]), x.shape[-2:]
    k = min(m, n)
    u, v = (m, n) if full_matrices else (k, k)
    return [Spec((*batch, m, u), x.dtype), Spec((*batch, k), x.dtype), Spec((*batch, v, n), x.dtype)]


def _svd_vjp(ct: Any, out: Any, x: Any, full_matrices: bool) -> tuple[Any]:
    u, s, vh = out
    to_u, to_s, to_vh = ct
    m, n = x.shape[-2:]
    k = min(m, n)
    if full_matrices and m != n:
        if to_u is not None or to_vh is not None:
            raise DifferentiationError(
                "The singular vectors of svd(full_matrices=True) have no unique gradient: use full_matrices=False."
            )
        u, s, vh = bind(SVD, x, full_matrices=False)  # so that this differentiates again
    middle: Any = 0 if to_s is None else _diagonal_matrix(to_s)
    if to_u is None and to_vh is None:
        return (matmul(matmul(u, middle), vh),)
    gaps = _gaps(ops.square(s))
    outside: Any = 0
    scaled = ops.reciprocal(s)
    if to_u is not None:
        inner = matmul(T(u), to_u)
        middle = ops.add(ops.multiply(ops.multiply(gaps, ops.subtract(inner, T(inner))), _columns(s)), middle)
        if m > k:
            rest = ops.subtract(to_u, matmul(u, inner))
            outside = ops.add(matmul(ops.multiply(rest, _columns(scaled)), vh), outside)
    if to_vh is not None:
        inner = matmul(vh, T(to_vh))
        turned = ops.multiply(ops.expand_dims(s, -1), ops.multiply(gaps, ops.subtract(inner, T(inner))))
        middle = ops.add(turned, middle)
        if n > k:
            rest = ops.subtract(to_vh, matmul(T(inner), vh))
            outside = ops.add(matmul(ops.multiply(u, _columns(scaled)), rest), outside)
    return (ops.add(matmul(matmul(u, middle), vh), outside),)


SVD = Primitive(
    "svd",
    shape=_svd_shape,
    numpy=lambda x, full_matrices: _lapack("svd", lambda a: np.linalg.svd(a, full_matrices), x),
    vjp=_svd_vjp,
    native=LAPACK,
)


def svd(x: Any, full_matrices: bool = True) -> SVDResult:
    """The singular value decomposition: ``x = U @ diag(S) @ Vh``.

    Args:
        x: shape (..., m, n).
        full_matrices: whether ``U`` and ``Vh`` are square; else they have ``min(m, n)`` columns
            and rows.  Gradients of the vectors need ``False`` (or m = n) and distinct singular values.

    Returns:
        ``(U, S, Vh)`` with ``S`` in descending order.
    """
    return SVDResult(*bind(SVD, _matrices("svd", x, square=False), full_matrices=bool(full_matrices)))


def svdvals(x: Any) -> Any:
    """The singular values of matrices in descending order.

    Example:
        >>> import lamina
        >>> lamina.linalg.svdvals([[0.0, 2.0], [3.0, 0.0]]).tolist()
        [3.0, 2.0]
    """
    return svd(x, full_matrices=False).S


class EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


def _eigh_shape(x: Any) -> list[Spec]:
    square = _same("eigh")(x)
    return [Spec(square.shape[:-1], x.dtype), square]


def _eigh_vjp(ct: Any, out: Any, x: Any) -> tuple[Any]:
    values, vectors = out
    middle: Any = 0 if ct[0] is None else _diagonal_matrix(ct[0])
    if ct[1] is not None:
        middle = ops.add(ops.multiply(_gaps(values), matmul(T(vectors), ct[1])), middle)
    return (_symmetric(matmul(matmul(vectors, middle), T(vectors))),)


EIGH = Primitive(
    "eigh",
    shape=_eigh_shape,
    numpy=lambda x: _lapack("eigh", np.linalg.eigh, x),
    vjp=_eigh_vjp,
    native=LAPACK,
)


def eigh(x: Any) -> EighResult:
    """Eigenvalues and eigenvectors of symmetric matrices.

    Args:
        x: shape (..., n, n); only the lower triangle is looked at, and gradients take the matrix
            as symmetric.  Those of the vectors need distinct eigenvalues.

    Returns:
        ``(eigenvalues, eigenvectors)``: ascending values, and the vectors as columns.
    """
    return EighResult(*bind(EIGH, _matrices("eigh", x)))


def eigvalsh(x: Any) -> Any:
    """The eigenvalues of symmetric matrices in ascending order.

    Example:
        >>> import lamina
        >>> lamina.linalg.eigvalsh([[3.0, 0.0], [0.0, 2.0]]).tolist()
        [2.0, 3.0]
    """
    return eigh(x).eigenvalues
