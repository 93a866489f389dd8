"""Products: shapes against NumPy, dtypes, empty sizes, einsum's equations, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, DTypeError, ShapeError

BACKENDS = ["eager", "native"]


def agree(function: Any, arrays: list[np.ndarray], expected: np.ndarray, backend: str) -> None:
    got = lamina.function(function, backend=backend)(*[lamina.tensor(a) for a in arrays])
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((1, 1), (1, 1)),
        ((4,), (4,)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((0, 4), (4, 5)),
        ((3, 0), (0, 5)),
        ((3, 4), (4, 0)),
        ((0, 3, 4), (0, 4, 5)),
        ((2, 3, 0), (2, 0, 5)),
        ((33, 65), (65, 47)),
    ],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...], backend: str, rng: np.random.Generator) -> None:
    arrays = [rng.normal(size=a), rng.normal(size=b)]
    agree(lamina.matmul, arrays, np.matmul(*arrays), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_integers_wrap_around(dtype: str, backend: str, rng: np.random.Generator) -> None:
    a, b = (rng.integers(0, 127, s).astype(dtype) for s in ((3, 9), (9, 5)))
    got = lamina.function(lamina.matmul, backend=backend)(lamina.tensor(a), lamina.tensor(b))
    assert got.dtype == a.dtype
    np.testing.assert_array_equal(got.numpy(), a @ b)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_adds_up_in_single(backend: str) -> None:
    ones = lamina.ones((1, 4096), "float16")
    got = lamina.function(lamina.matmul, backend=backend)(ones, lamina.matrix_transpose(ones))
    assert got.dtype == lamina.float16
    assert got.item() == 4096  # float16 alone stops at 2048


def test_dtypes_meet() -> None:
    assert lamina.matmul(lamina.ones((1, 2), "int32"), lamina.ones((2, 1), "float64")).dtype == lamina.float64
    assert lamina.matmul(np.ones((1, 2), np.int8), lamina.ones((2, 1), "int32")).dtype == lamina.int32
    with pytest.raises(DTypeError, match="bool"):
        lamina.matmul(lamina.ones((2, 2), "bool"), lamina.ones((2, 2), "bool"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (5, 4)), ((3,), (4,)), ((4,), (5, 4)), ((3, 4), (5,)), ((2, 3, 4), (3, 4, 5)), ((), (2,))]
)
def test_matmul_refuses(a: tuple[int, ...], b: tuple[int, ...], backend: str) -> None:
    with pytest.raises(ShapeError, match="matmul"):
        lamina.function(lamina.matmul, backend=backend)(lamina.ones(a), lamina.ones(b))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((3, 4, 5), (4, 5, 2), 2),
        ((3, 4), (4, 2), 1),
        ((3, 4), (2,), 0),
        ((3, 4, 5), (5, 3), ([0, 2], [1, 0])),
        ((3, 4, 5), (5, 3), (-1, 0)),
        ((3, 4), (3, 4), ([0, 1], [0, 1])),
        ((3, 0), (0, 2), 1),
    ],
)
def test_tensordot(a: Any, b: Any, axes: Any, backend: str, rng: np.random.Generator) -> None:
    arrays = [rng.normal(size=a), rng.normal(size=b)]
    agree(lambda x, y: lamina.tensordot(x, y, axes), arrays, np.tensordot(*arrays, axes), backend)


def test_tensordot_refuses() -> None:
    x = lamina.ones((2, 3))
    with pytest.raises(ShapeError, match="do not pair"):
        lamina.tensordot(x, x, 1)
    with pytest.raises(ShapeError, match="do not pair"):
        lamina.tensordot(x, x, ([0, 1], [0]))
    with pytest.raises(ArgumentError, match="axes=3"):
        lamina.tensordot(x, x, 3)
    with pytest.raises(ShapeError, match="axis 2"):
        lamina.tensordot(x, x, (2, 0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_vectors(backend: str, rng: np.random.Generator) -> None:
    a, b, c = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=4)
    agree(lamina.outer, [b, c], np.outer(b, c), backend)
    agree(lamina.vecdot, [a, b], a @ b, backend)
    agree(lambda x, y: lamina.vecdot(x, y, axis=0), [a, a * 2], (a * a * 2).sum(0), backend)
    agree(lamina.dot, [a, b], np.dot(a, b), backend)
    agree(lamina.dot, [a, a.T], np.dot(a, a.T), backend)
    stacks = [rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4, 2))]
    agree(lamina.dot, stacks, np.dot(*stacks), backend)
    assert lamina.dot(3, lamina.tensor([1, 2])).tolist() == [3, 6]


def test_vectors_refuse() -> None:
    with pytest.raises(ShapeError, match="two vectors"):
        lamina.outer(lamina.ones((2, 2)), [1.0])
    with pytest.raises(ShapeError, match="differ"):
        lamina.vecdot(lamina.ones(3), lamina.ones(1))
    with pytest.raises(ShapeError, match="axis"):
        lamina.vecdot(lamina.ones(3), lamina.ones(3), axis=1)


# --- einsum -------------------------------------------------------------------------------------------
SIZES = {"i": 2, "j": 3, "k": 4, "l": 5, "b": 2, "n": 1}
EQUATIONS = [
    "ij->ij", "ij->ji", "ij->", "ij->i", "ij", "ji", "ii", "ii->i", "iji->j", "iij->ji", "i,i", "i,j", "i,i->i",
    "i,j->ji", "ij,jk", "ij,jk->ik", "ij,kj->ki", "ij,j->i", "j,ij->i", "bij,bjk->bik", "bij,bkj->bki", "bij,jk->bik",
    "bij,bij->b", "bij,bij->", "ij,ij->ij", "ij,kl->ijkl", "ij,jk,kl->il", "ijk,jl,kl->il", "i,ij,j->", "ij,ij,ij->j",
    "bij,bjk,bkl->bil", "ii,ij->j", "nj,ij->ij", "in,nj->ij", "...ij,...jk->...ik", "...ij,jk->...ik", "i...,i...->...",
    "...i->...", "i...->i...", "...,j->...j", "b...i,b...i->b...", "ijk,ijk->k", " i j , j k -> i k ",
]  # fmt: skip


def operand(term: str, rng: np.random.Generator) -> np.ndarray:
    shape: list[int] = []
    for part in term.strip().replace(" ", "").replace("...", "."):
        shape += (2, 3) if part == "." else (SIZES[part],)
    return rng.normal(size=shape)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation: str, rng: np.random.Generator) -> None:
    arrays = [operand(term, rng) for term in equation.split("->")[0].split(",")]
    expected = np.asarray(np.einsum(equation, *arrays))
    got = lamina.einsum(equation, *[lamina.tensor(a) for a in arrays])
    assert got.shape == expected.shape
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("equation", ["bij,bjk->bki", "ij,jk,kl->il", "ii,ij->j", "...ij,jk->...ik"])
def test_einsum_compiled(equation: str, rng: np.random.Generator) -> None:
    arrays = [operand(term, rng) for term in equation.split("->")[0].split(",")]
    agree(lambda *t: lamina.einsum(equation, *t), arrays, np.einsum(equation, *arrays), "native")


def test_einsum_of_dimensions_that_broadcast(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(1, 2, 3)), rng.normal(size=(5, 3, 4))
    got = lamina.einsum("...ij,...jk->...ik", a, b)
    np.testing.assert_allclose(got.numpy(), np.matmul(a, b), rtol=1e-12)
    vector, stack = rng.normal(size=3), rng.normal(size=(2, 5, 3))
    np.testing.assert_allclose(lamina.einsum("...i,...i", vector, stack).numpy(), stack @ vector, rtol=1e-12)


def test_einsum_sums_over_an_ellipsis_that_the_result_lacks(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(3, 4))
    np.testing.assert_allclose(lamina.einsum("...i->i", x).numpy(), x.sum((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(lamina.einsum("...i,...i->", x, y).numpy(), (x * y).sum(), rtol=1e-12)


@pytest.mark.parametrize("equation", ["ij,jk->ik", "bij,bij->b", "ii->i", "i,j,ij->"])
def test_the_gradient_of_einsum(equation: str, rng: np.random.Generator) -> None:
    """Einsum is linear in each tensor, so its slope along a unit is its value there."""
    arrays = [operand(term, rng) for term in equation.split("->")[0].split(",")]
    tensors = [lamina.tensor(a) for a in arrays]
    with lamina.GradientTape() as tape:
        tape.watch(tensors)
        out = lamina.einsum(equation, *tensors)
        weights = rng.normal(size=out.shape)
        total = (out * weights).sum()
    for i, gradient in enumerate(tape.gradient(total, tensors)):
        slope = np.zeros_like(arrays[i])
        for index in np.ndindex(slope.shape):
            unit = np.zeros_like(slope)
            unit[index] = 1
            slope[index] = (np.einsum(equation, *arrays[:i], unit, *arrays[i + 1 :]) * weights).sum()
        np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes", "error", "words"),
    [
        ("ij,jk", [(2, 3)], ArgumentError, "2 tensors and 1"),
        ("ij", [(2, 3), (2, 3)], ArgumentError, "1 tensors and 2"),
        ("i?", [(2, 3)], ArgumentError, "letter"),
        ("i->ii", [(2,)], ArgumentError, "twice"),
        ("i->j", [(2,)], ArgumentError, "'j'"),
        ("ijk", [(2, 3)], ShapeError, "2 dimensions"),
        ("i", [(2, 3)], ShapeError, "2 dimensions"),
        ("ij,jk", [(2, 3), (4, 5)], ShapeError, "'j' has size 3 and 4"),
        ("ii", [(2, 3)], ShapeError, "'i'"),
    ],
)
def test_einsum_refuses(equation: str, shapes: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        lamina.einsum(equation, *[lamina.ones(s) for s in shapes])
