"""Reductions at the edges: axes, empty tensors, infinities, ties, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.core.errors import ArgumentError, ShapeError

INF, NAN = float("inf"), float("nan")
REDUCTIONS = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]


def gradient(function: Any, x: Any) -> list[Any]:
    t = lamina.tensor(np.asarray(x, np.float64))
    with lamina.GradientTape() as tape:
        tape.watch(t)
        y = function(t)
    return tape.gradient(y, t).numpy().tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_axes_that_do_not_exist(name: str) -> None:
    function = getattr(lamina, name)
    with pytest.raises(ShapeError, match="axis 2"):
        function(lamina.ones((2, 3)), axis=2)
    with pytest.raises(ArgumentError):
        function(lamina.ones((2, 3)), axis="rows")


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_keepdims_keeps_the_rank(name: str, axis: int | None) -> None:
    function, x = getattr(lamina, name), lamina.ones((2, 3))
    kept = function(x, axis=axis, keepdims=True)
    assert kept.shape == ((1, 1) if axis is None else (1, 3) if axis == 0 else (2, 1))
    np.testing.assert_array_equal(kept.numpy().ravel(), function(x, axis=axis).numpy().ravel())


def test_an_axis_twice() -> None:
    with pytest.raises(ArgumentError, match="twice"):
        lamina.sum(lamina.ones((2, 3)), axis=(0, -2))


def test_no_axes_at_all() -> None:
    x = lamina.tensor([[1.0, 2.0], [3.0, 4.0]])
    for name in ("sum", "prod", "max", "min", "mean"):
        np.testing.assert_array_equal(getattr(lamina, name)(x, axis=()).numpy(), x.numpy())
    assert lamina.var(x, axis=()).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert lamina.sum(lamina.tensor(3.0)).item() == 3.0


def test_nothing_to_reduce() -> None:
    empty = lamina.zeros((0, 3))
    assert lamina.sum(empty, axis=0).tolist() == [0.0, 0.0, 0.0]
    assert lamina.prod(empty, axis=0).tolist() == [1.0, 1.0, 1.0]
    assert lamina.all(empty).item() is True
    assert lamina.any(empty).item() is False
    assert np.isnan(lamina.mean(empty, axis=0).numpy()).all()
    assert lamina.logsumexp(empty, axis=0).tolist() == [-INF] * 3
    assert nn.softmax(empty, axis=0).shape == nn.log_softmax(empty).shape == (0, 3)
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(ShapeError, match="no elements"):
            getattr(lamina, name)(empty, axis=0)


def test_dtypes_of_sums() -> None:
    for dtype, expected in (("bool", "int64"), ("int8", "int64"), ("uint8", "uint64"), ("float16", "float16")):
        x = lamina.ones((300,), dtype)
        assert lamina.sum(x).dtype == expected
        assert lamina.sum(x).item() == 300
        assert lamina.cumulative_sum(x).dtype == expected
    assert lamina.sum(lamina.ones((3,), "int8"), dtype="float64").dtype == np.float64
    assert lamina.mean([1, 2]).dtype == np.float32
    assert lamina.count_nonzero([0.0, 2.0]).dtype == lamina.argmax([1.0]).dtype == np.int64


def test_half_precision_adds_up_in_float32() -> None:
    assert lamina.sum(lamina.full((4096,), 0.1, "float16")).item() == pytest.approx(409.6, rel=1e-3)
    assert lamina.cumulative_sum(lamina.ones((4096,), "float16")).numpy()[-1] == 4096
    large = lamina.full((4096,), 100.0, "float16")  # the sum is beyond float16, the mean is not
    assert lamina.mean(large).item() == 100.0
    assert lamina.var(large).item() == 0.0
    assert lamina.mean(large).dtype == np.float16


def test_not_a_number_spreads() -> None:
    x = lamina.tensor([1.0, NAN, 3.0])
    for name in ("max", "min", "sum", "mean"):
        assert np.isnan(getattr(lamina, name)(x).item())
        assert np.isnan(lamina.function(getattr(lamina, name))(x).item())
    assert lamina.argmax(x).item() == 1
    assert lamina.function(lamina.argmax)(x).item() == 1


def test_equal_extremes_share_the_gradient() -> None:
    assert gradient(lamina.max, [1.0, 3.0, 3.0]) == [0.0, 0.5, 0.5]
    assert gradient(lambda x: lamina.min(x, axis=1), [[2.0, 2.0], [1.0, 3.0]]) == [[0.5, 0.5], [1.0, 0.0]]


def test_products_with_zeros_have_gradients() -> None:
    assert gradient(lamina.prod, [2.0, 0.0, 5.0]) == [0.0, 10.0, 0.0]
    assert gradient(lamina.prod, [0.0, 0.0, 5.0]) == [0.0, 0.0, 0.0]
    assert gradient(lamina.cumulative_prod, [2.0, 0.0, 5.0]) == [1.0, 12.0, 0.0]


def test_infinities_in_logsumexp_and_softmax() -> None:
    assert lamina.logsumexp([-INF, -INF]).item() == -INF
    assert lamina.logsumexp([INF, 1.0]).item() == INF
    assert lamina.logsumexp([-INF, 2.0]).item() == 2.0
    assert nn.softmax([-INF, 2.0]).tolist() == [0.0, 1.0]
    assert nn.log_softmax([1000.0, 0.0]).tolist() == [0.0, -1000.0]
    assert gradient(lamina.logsumexp, [-INF, 2.0]) == [0.0, 1.0]


def test_variance_needs_two_passes() -> None:
    x = lamina.tensor(np.array([1e4, 1e4 + 1, 1e4 + 2], np.float32))
    assert lamina.var(x).item() == pytest.approx(2 / 3, rel=1e-5)
    assert lamina.std(x, correction=1).item() == pytest.approx(1.0, rel=1e-5)
    assert np.isnan(lamina.var(lamina.tensor([1.0]), correction=1).item())


def test_the_standard_deviation_of_equal_numbers_has_a_gradient() -> None:
    assert gradient(lamina.std, [2.0, 2.0]) == [0.0, 0.0]


def test_cumulative_ops_want_an_axis() -> None:
    with pytest.raises(ArgumentError, match="needs an axis"):
        lamina.cumulative_sum(lamina.ones((2, 3)))
    assert lamina.cumulative_prod([2, 3], include_initial=True).tolist() == [1, 2, 6]
    assert lamina.cumulative_sum(lamina.zeros((0,))).shape == (0,)
