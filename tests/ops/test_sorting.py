"""Sorting and sets: order of equal elements, NaN, shapes that depend on values."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError


def test_equal_elements_keep_their_order() -> None:
    x = lamina.tensor([2, 1, 2, 1])
    assert lamina.argsort(x).tolist() == [1, 3, 0, 2]
    assert lamina.argsort(x, descending=True).tolist() == [0, 2, 1, 3]


def test_descending_unsigned_and_smallest_integers() -> None:
    assert lamina.sort(lamina.tensor(np.array([3, 0, 255], np.uint8)), descending=True).tolist() == [255, 3, 0]
    assert lamina.argsort(lamina.tensor(np.array([-128, 0], np.int8)), descending=True).tolist() == [1, 0]


def test_not_a_number_comes_last() -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = lamina.tensor([float("nan"), 1.0, float("-inf")]).astype(dtype)
        assert lamina.argsort(x).tolist() == [2, 1, 0]
        assert lamina.argsort(x, descending=True).tolist() == [0, 1, 2]


def test_top_k_of_too_many() -> None:
    with pytest.raises(ArgumentError, match="k=4"):
        lamina.top_k([1.0, 2.0, 3.0], 4)
    values, indices = lamina.top_k(lamina.ones((2, 3)), 0)
    assert values.shape == indices.shape == (2, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int8", "uint32", "bool"])
@pytest.mark.parametrize("k", [0, 1, 5, 40, 199, 200])
@pytest.mark.parametrize("kind", ["apart", "ties", "constant", "nan", "many nan", "infinities"])
def test_top_k_is_the_beginning_of_the_full_order(dtype: str, k: int, kind: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.permuted(np.tile(np.arange(-100, 100) / 2, (4, 3, 1)), axis=2)
    if kind == "ties":
        x = rng.choice([-1.0, -0.0, 0.0, 2.0], x.shape)
    elif kind == "constant":
        x[:] = 7
    elif kind == "infinities":
        x = np.where(rng.random(x.shape) < 0.3, np.inf, np.where(rng.random(x.shape) < 0.5, -np.inf, x))
    elif "nan" in kind:
        x[rng.random(x.shape) < (0.01 if kind == "nan" else 0.4)] = np.nan
    if not np.isfinite(x).all() and "float" not in dtype:
        return  # integers have neither NaN nor infinities
    tensor = lamina.tensor(x).astype(dtype)
    for axis, t in ((2, tensor), (1, lamina.swapaxes(tensor, 1, 2))):
        order = lamina.argsort(t, axis=axis, descending=True).numpy()
        expected = np.take(order, np.arange(k), axis)
        compiled = [lamina.function(lamina.top_k)] if dtype == "float32" and kind == "ties" else []
        for top_k in (lamina.top_k, *compiled):
            values, indices = top_k(t, k, axis)
            assert indices.dtype == np.int64
            np.testing.assert_array_equal(indices.numpy(), expected)
            chosen = np.take_along_axis(t.numpy(), expected, axis)
            np.testing.assert_array_equal(values.numpy().astype(float), chosen.astype(float))


def test_sort_wants_an_axis_that_exists() -> None:
    with pytest.raises(ShapeError):
        lamina.sort([1.0, 2.0], axis=1)
    with pytest.raises((ShapeError, ArgumentError)):
        lamina.sort(lamina.tensor(1.0))


def test_searchsorted() -> None:
    assert lamina.searchsorted([1.0, 3.0], [0.0, 1.0, 4.0], side="right").tolist() == [0, 1, 2]
    assert lamina.searchsorted([3.0, 1.0], 2.0, sorter=[1, 0]).item() == 1
    with pytest.raises(ArgumentError, match="side"):
        lamina.searchsorted([1.0], 1.0, side="middle")
    with pytest.raises(ShapeError):
        lamina.searchsorted([[1.0]], 1.0)


def test_sets() -> None:
    x = lamina.tensor([[3, 1], [3, 2]])
    found = lamina.unique_all(x)
    assert found.values.tolist() == [1, 2, 3]
    assert found.indices.tolist() == [1, 3, 0]
    assert found.inverse_indices.tolist() == [[2, 0], [2, 1]]
    assert found.counts.tolist() == [1, 1, 2]
    assert lamina.unique_values([float("nan"), float("nan")]).shape == (2,)  # NaN differs from itself
    assert lamina.unique_counts(x).counts.tolist() == [1, 1, 2]
    assert lamina.unique_inverse(x).inverse_indices.shape == (2, 2)
    assert [i.tolist() for i in lamina.nonzero(x > 2)] == [[0, 1], [0, 0]]


@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse", "unique_values", "nonzero"])
def test_shapes_that_depend_on_values_are_not_captured(name: str) -> None:
    with pytest.raises(CaptureError, match="depends on the values"):
        lamina.function(getattr(lamina, name))(lamina.ones((3,)))


def test_bincount() -> None:
    assert lamina.bincount([0, 2, 9], 3).tolist() == [1, 0, 1]
    assert lamina.bincount([0, 2, 2], 3, weights=[0.5, 1.0, 2.0]).tolist() == [0.5, 0.0, 3.0]
    with pytest.raises(DTypeError):
        lamina.bincount([0.5], 3)
