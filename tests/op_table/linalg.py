"""Rows of ``lamina.linalg`` and of the products that are composed from ``matmul``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lamina
from lamina import linalg
from lamina.core.primitive import PRIMITIVES, bind
from op_table.case import Maker, S, V, normal, row, whole

LOOSE = {"tolerance": 2048}  # decompositions multiply rounding errors by condition numbers
B = (2, 3, 3)


def regular(*shapes: tuple[int, ...]) -> Maker:
    """Well-conditioned matrices: random ones beside a diagonal of distinct numbers."""

    def make(rng: np.random.Generator) -> tuple[Any, ...]:
        return tuple(rng.uniform(-0.4, 0.4, s) + np.eye(*s[-2:]) * np.arange(2, 2 + s[-1]) for s in shapes)

    return make


def symmetric(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the symmetric part of a matrix (NumPy and Lamina read the lower triangle only)."""
    return lambda x: function((x + (x.mT if isinstance(x, lamina.Tensor) else x.swapaxes(-1, -2))) * 0.5)


def positive(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of ``x @ x.T + 1``, which is positive definite."""

    def call(x: Any) -> Any:
        if isinstance(x, lamina.Tensor):
            return function(x @ x.mT + lamina.eye(x.shape[-1], dtype=x.dtype))
        return function(x @ x.swapaxes(-1, -2) + np.eye(x.shape[-1]))

    return call


def aligned(u: Any) -> Any:
    """Vectors with the sign that makes their sum positive: decompositions leave the sign open."""
    if isinstance(u, lamina.Tensor):
        return u * lamina.sign(lamina.sum(u, axis=-2, keepdims=True))
    return u * np.sign(u.sum(-2, keepdims=True))


# --- products -------------------------------------------------------------------------------------------
row("outer", lamina.outer, np.outer, normal(V, (3,)))
row("vecdot", lamina.vecdot, lambda x, y: (x * y).sum(-1), normal(S, (3,)), tolerance=64)
row("dot", lamina.dot, np.dot, normal((2, 3), (3, 4)), tolerance=64)
row(
    "tensordot",
    lambda x, y: lamina.tensordot(x, y, axes=([1, 2], [1, 0])),
    lambda x, y: np.tensordot(x, y, axes=([1, 2], [1, 0])),
    normal((2, 3, 4), (4, 3, 2)),
    tolerance=64,
)


def einsum_row(equation: str, *shapes: tuple[int, ...]) -> None:
    row(
        f"einsum/{equation}",
        lambda *xs: lamina.einsum(equation, *xs),
        lambda *xs: np.einsum(equation, *xs),
        normal(*shapes),
        tolerance=64,
    )


einsum_row("ij,jk", (2, 3), (3, 2))
einsum_row("bqhd,bkhd->bhqk", (2, 2, 2, 3), (2, 3, 2, 3))
einsum_row("iij,jk->ki", (2, 2, 3), (3, 2))
einsum_row("...ij,...j->i...", (2, 3, 2), (1, 2))
einsum_row("i,ij,j->", (2,), (2, 3), (3,))
einsum_row("ii->i", (3, 3))

# --- determinants, solvers ------------------------------------------------------------------------------
row("det", linalg.det, np.linalg.det, regular(B), **LOOSE)
row(
    "cofactor",
    lambda x: bind(PRIMITIVES["cofactor"], x),
    lambda x: np.linalg.det(x)[..., None, None] * np.linalg.inv(x).swapaxes(-1, -2),
    regular(B),
    **LOOSE,
)
row("slogdet", lambda x: linalg.slogdet(x)[1], lambda x: np.linalg.slogdet(x)[1], regular(B), **LOOSE)
row("slogdet/sign", lambda x: linalg.slogdet(-x)[0], lambda x: np.linalg.slogdet(-x)[0], regular(B), **LOOSE)
row("inv", linalg.inv, np.linalg.inv, regular(B), **LOOSE)
row("solve", linalg.solve, np.linalg.solve, lambda rng: (*regular(B)(rng), *normal((2, 3, 2))(rng)), **LOOSE)
row(
    "solve/vector",
    linalg.solve,
    np.linalg.solve,
    lambda rng: (*regular((3, 3))(rng), *normal((3,))(rng)),
    **LOOSE,
)
row("pinv/tall", linalg.pinv, np.linalg.pinv, regular((3, 2)), **LOOSE)
row("pinv/wide", linalg.pinv, np.linalg.pinv, regular((2, 3)), **LOOSE)

# --- decompositions ---------------------------------------------------------------------------------------
row("cholesky", positive(linalg.cholesky), positive(np.linalg.cholesky), regular(B), **LOOSE)
row(
    "cholesky/upper",
    positive(lambda x: linalg.cholesky(x, upper=True)),
    positive(lambda x: np.linalg.cholesky(x).swapaxes(-1, -2)),
    regular((3, 3)),
    **LOOSE,
)
for shape in ((3, 3), (4, 2), (2, 2, 3)):
    row(f"qr/q{shape}", lambda x: linalg.qr(x).Q, lambda x: np.linalg.qr(x)[0], regular(shape), **LOOSE)
    row(f"qr/r{shape}", lambda x: linalg.qr(x).R, lambda x: np.linalg.qr(x)[1], regular(shape), **LOOSE)
row("svdvals", linalg.svdvals, lambda x: np.linalg.svd(x, compute_uv=False), regular((2, 3, 2)), **LOOSE)
row("svd/full", lambda x: linalg.svd(x).S, lambda x: np.linalg.svd(x)[1], regular((3, 2)), **LOOSE)
for shape in ((3, 3), (3, 2), (2, 3)):
    row(
        f"svd/vectors{shape}",
        lambda x: (lambda u, s, v: aligned(u) * s @ (v * v))(*linalg.svd(x, full_matrices=False)),
        lambda x: (lambda u, s, v: aligned(u) * s @ (v * v))(*np.linalg.svd(x, full_matrices=False)),
        regular(shape),
        **LOOSE,
    )
row("eigvalsh", symmetric(linalg.eigvalsh), symmetric(np.linalg.eigvalsh), regular(B), **LOOSE)
row(
    "eigh/vectors",
    symmetric(lambda x: aligned(linalg.eigh(x).eigenvectors)),
    symmetric(lambda x: aligned(np.linalg.eigh(x)[1])),
    regular((3, 3)),
    **LOOSE,
)

# --- norms and the rest -----------------------------------------------------------------------------------
for order in (1, 2, 3.5, np.inf, -np.inf):
    row(
        f"vector_norm/{order}",
        lambda x, order=order: linalg.vector_norm(x, axis=-1, ord=order),
        lambda x, order=order: np.linalg.norm(x, order, -1),
        normal(S),
        tolerance=64,
    )
for kind in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    row(
        f"matrix_norm/{kind}",
        lambda x, kind=kind: linalg.matrix_norm(x, ord=kind),
        lambda x, kind=kind: np.linalg.norm(x, kind, (-2, -1)),
        regular((2, 3, 2)),
        **LOOSE,
    )
row("norm", lambda x: linalg.norm(x, 2, axis=0), lambda x: np.linalg.norm(x, 2, axis=0), normal(S), tolerance=64)
row("trace", linalg.trace, lambda x: np.trace(x, axis1=-2, axis2=-1), normal(B))
row("matrix_power", lambda x: linalg.matrix_power(x, 3), lambda x: np.linalg.matrix_power(x, 3), normal(B), **LOOSE)
row(
    "matrix_power/inverse",
    lambda x: linalg.matrix_power(x, -2),
    lambda x: np.linalg.matrix_power(x, -2),
    regular((3, 3)),
    **LOOSE,
)
row("matrix_rank", linalg.matrix_rank, np.linalg.matrix_rank, whole(0, 2, (4, 3, 3)), differentiable=False)
row("cross", linalg.cross, np.cross, normal((2, 3), (1, 3)))

# --- more rows for moving elements --------------------------------------------------------------------------
row("pad/value", lambda x: lamina.pad(x, 1, constant_values=2), lambda x: np.pad(x, 1, constant_values=2), normal(S))
for mode in ("edge", "reflect", "symmetric", "wrap"):
    row(
        f"pad/{mode}",
        lambda x, mode=mode: lamina.pad(x, ((1, 2), (0, 1)), mode=mode),
        lambda x, mode=mode: np.pad(x, ((1, 2), (0, 1)), mode=mode),
        normal((3, 4)),
    )
