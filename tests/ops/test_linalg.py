"""lamina.linalg beyond the op table: properties of the results, edges, half precision, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lamina
from lamina import linalg
from lamina.core.primitive import PRIMITIVES


def spread(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3), (0, 2, 2), (0, 0)])
def test_decompositions_give_the_matrix_back(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = spread(rng, *shape)
    t = lamina.tensor(x)
    m, n = shape[-2:]
    for mode, k in (("reduced", min(m, n)), ("complete", m)):
        q, r = linalg.qr(t, mode=mode)
        assert q.shape == (*shape[:-2], m, k) and r.shape == (*shape[:-2], k, n)
        np.testing.assert_allclose((q @ r).numpy(), x, atol=1e-12)
        np.testing.assert_allclose((q.mT @ q).numpy(), np.broadcast_to(np.eye(k), (*shape[:-2], k, k)), atol=1e-12)
        np.testing.assert_array_equal(r.numpy(), np.triu(r.numpy()))
    u, s, vh = linalg.svd(t, full_matrices=False)
    np.testing.assert_allclose((u * lamina.expand_dims(s, -2) @ vh).numpy(), x, atol=1e-12)
    assert bool((np.diff(s.numpy(), axis=-1) <= 0).all())
    full = linalg.svd(t)
    assert full.U.shape[-1] == m and full.Vh.shape[-1] == n
    if m == n:
        values, vectors = linalg.eigh(t + t.mT)
        again = vectors * lamina.expand_dims(values, -2) @ vectors.mT
        np.testing.assert_allclose(again.numpy(), x + x.swapaxes(-1, -2), atol=1e-12)


def test_results_have_names(rng: np.random.Generator) -> None:
    x = lamina.tensor(spread(rng, 3, 3))
    assert linalg.qr(x)._fields == ("Q", "R")
    assert linalg.svd(x)._fields == ("U", "S", "Vh")
    assert linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype: str) -> None:
    x = lamina.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=dtype)
    for result in (linalg.inv(x), linalg.det(x), linalg.cholesky(x), *linalg.qr(x), *linalg.svd(x), *linalg.eigh(x)):
        assert result.dtype == x.dtype
    assert linalg.det(x).item() == pytest.approx(11.0, rel=1e-2)


def test_integers_become_float32() -> None:
    inverse = linalg.inv([[2, 0], [0, 4]])
    assert inverse.dtype == "float32"
    assert inverse.tolist() == [[0.5, 0.0], [0.0, 0.25]]


def test_solve_broadcasts_batches(rng: np.random.Generator) -> None:
    a, b = spread(rng, 2, 1, 3, 3), spread(rng, 4, 3, 2)
    x = linalg.solve(a, b)
    assert x.shape == (2, 4, 3, 2)
    np.testing.assert_allclose((lamina.tensor(a) @ x).numpy(), np.broadcast_to(b, (2, 4, 3, 2)), atol=1e-11)


# --- gradients where formulas are delicate --------------------------------------------------------------
def gradient(function: object, x: np.ndarray) -> np.ndarray:
    t = lamina.tensor(x)
    with lamina.GradientTape() as tape:
        tape.watch(t)
        y = lamina.sum(function(t))  # type: ignore[operator]
    return tape.gradient(y, t).numpy()


def test_determinant_of_a_singular_matrix_has_a_gradient() -> None:
    x = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 5.0]])
    expected = np.zeros((3, 3))  # the cofactors, written out
    for i in range(3):
        for j in range(3):
            minor = np.delete(np.delete(x, i, 0), j, 1)
            expected[i, j] = (-1) ** (i + j) * (minor[0, 0] * minor[1, 1] - minor[0, 1] * minor[1, 0])
    np.testing.assert_allclose(gradient(linalg.det, x), expected, atol=1e-12)
    np.testing.assert_array_equal(gradient(linalg.det, np.zeros((2, 2))), np.zeros((2, 2)))


def test_norm_of_zero_has_gradient_zero() -> None:
    assert gradient(linalg.vector_norm, np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert gradient(linalg.matrix_norm, np.zeros((2, 2))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_singular_values_of_a_full_decomposition_differentiate(rng: np.random.Generator) -> None:
    x = spread(rng, 4, 2)
    np.testing.assert_allclose(gradient(lambda t: linalg.svd(t).S, x), gradient(linalg.svdvals, x), atol=1e-12)


def test_gradients_that_do_not_exist_say_so(rng: np.random.Generator) -> None:
    x = spread(rng, 4, 2)
    with pytest.raises(lamina.DifferentiationError, match="full_matrices=False"):
        gradient(lambda t: linalg.svd(t).U, x)
    with pytest.raises(lamina.DifferentiationError, match="reduced"):
        gradient(lambda t: linalg.qr(t, mode="complete").Q, x)


# --- norms and rank ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, -2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_norm_is_numpys(axis: object, keepdims: bool, rng: np.random.Generator) -> None:
    x = spread(rng, 2, 3, 4)
    got = linalg.norm(x, axis=axis, keepdims=keepdims).numpy()
    expected = np.linalg.norm(x if axis is not None or keepdims else x.ravel(), axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [(0, 1), (2, 0)])
def test_matrix_norms_over_any_axes_are_numpys(ord: object, axis: tuple[int, int], rng: np.random.Generator) -> None:
    x = spread(rng, 2, 3, 4)
    got = linalg.norm(x, ord, axis=axis, keepdims=True).numpy()
    np.testing.assert_allclose(got, np.linalg.norm(x, ord, axis, keepdims=True))  # type: ignore[call-overload]


def test_norms_of_nothing() -> None:
    for order in (0, 1, 2, 3, np.inf):
        assert lamina.linalg.vector_norm(lamina.zeros((2, 0)), axis=1, ord=order).tolist() == [0, 0]
    assert lamina.linalg.vector_norm(lamina.zeros(0), ord=-1).item() == np.inf  # 0 ** -1
    for order in ("fro", "nuc", 1, 2, np.inf):
        assert lamina.linalg.matrix_norm(lamina.zeros((2, 3, 0)), ord=order).tolist() == [0, 0]


def test_vector_norm_of_order_zero_counts() -> None:
    count = linalg.vector_norm([0.0, 2.0, -3.0], ord=0)
    assert count.item() == 2.0 and count.dtype == "float32"


def test_matrix_rank_takes_a_tolerance() -> None:
    x = np.diag([1.0, 1e-3, 0.0])
    assert linalg.matrix_rank(x).item() == 2
    assert linalg.matrix_rank(x, rtol=1e-2).item() == 1
    assert linalg.matrix_rank(np.zeros((0, 3))).item() == 0


def test_pinv_ignores_small_singular_values() -> None:
    x = np.diag([2.0, 1e-9])
    np.testing.assert_allclose(linalg.pinv(x, rtol=1e-6).numpy(), np.diag([0.5, 0.0]))
    assert linalg.pinv(x).numpy()[1, 1] == pytest.approx(1e9)


def test_matrix_power_of_integers() -> None:
    x = np.array([[1, 1], [1, 0]])
    assert linalg.matrix_power(x, 10).tolist() == np.linalg.matrix_power(x, 10).tolist()
    assert linalg.matrix_power(x, 0).tolist() == [[1, 0], [0, 1]]
    assert linalg.matrix_power(x, 1).tolist() == x.tolist()


def test_trace_and_cross() -> None:
    assert linalg.trace([[1, 2], [3, 4]], offset=1).item() == 2
    x, y = np.arange(6.0).reshape(3, 2), np.arange(6.0)[::-1].reshape(3, 2)
    np.testing.assert_array_equal(linalg.cross(x, y, axis=0).numpy(), np.cross(x, y, axis=0))


# --- errors ---------------------------------------------------------------------------------------------------
def test_singular_and_indefinite_matrices_raise() -> None:
    singular = [[1.0, 2.0], [2.0, 4.0]]
    for call in (lambda: linalg.inv(singular), lambda: linalg.solve(singular, [1.0, 1.0])):
        with pytest.raises(lamina.LinAlgError, match="[Ss]ingular"):
            call()
    with pytest.raises(lamina.LinAlgError, match="cholesky.*positive definite"):
        linalg.cholesky([[1.0, 2.0], [2.0, 1.0]])


def test_singular_matrices_raise_in_compiled_functions() -> None:
    @lamina.function
    def invert(x: lamina.Tensor) -> lamina.Tensor:
        return linalg.inv(x)

    assert invert(lamina.tensor([[2.0, 0.0], [0.0, 2.0]])).tolist() == [[0.5, 0.0], [0.0, 0.5]]
    with pytest.raises(lamina.LinAlgError, match="[Ss]ingular"):
        invert(lamina.zeros((2, 2)))


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh"])
def test_matrices_must_be_square(name: str) -> None:
    with pytest.raises(lamina.ShapeError, match=r"square.*\(2, 3\)"):
        getattr(linalg, name)(lamina.zeros((2, 3)))


@pytest.mark.parametrize("name", ["qr", "svd", "svdvals", "pinv", "matrix_rank", "matrix_norm"])
def test_vectors_are_no_matrices(name: str) -> None:
    with pytest.raises(lamina.ShapeError, match=r"\(3,\)"):
        getattr(linalg, name)(lamina.zeros((3,)))


def test_unknown_options_raise() -> None:
    x = lamina.eye(2)
    with pytest.raises(lamina.ArgumentError, match="mode"):
        linalg.qr(x, mode="raw")
    with pytest.raises(lamina.ArgumentError, match="ord"):
        linalg.matrix_norm(x, ord=3)
    with pytest.raises(lamina.ArgumentError, match="one axis or two"):
        linalg.norm(lamina.zeros((2, 2, 2)), 2)
    with pytest.raises(lamina.ShapeError, match="solve"):
        linalg.solve(x, lamina.zeros((3, 1)))
    with pytest.raises(lamina.ShapeError, match="size 3"):
        linalg.cross([1.0, 2.0], [3.0, 4.0])


def test_bad_dtypes_are_named_by_the_shape_rules() -> None:
    class Integers:
        shape, dtype = (2, 2), np.dtype("int64")

    with pytest.raises(lamina.DTypeError, match="inv.*int64"):
        PRIMITIVES["inv"].shape(Integers())
