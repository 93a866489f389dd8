"""Shapes, joining and repeating: against NumPy on both backends, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, ShapeError

X = np.arange(24.0).reshape(2, 3, 4)


def agree(function: Callable[[Any], Any], expected: np.ndarray, x: np.ndarray = X) -> None:
    """Equal to the expected array eagerly, and compiled with something fused on either side."""
    np.testing.assert_array_equal(function(lamina.tensor(x)).numpy(), expected)
    compiled = lamina.function(lambda t: function(t * 2 + 1) - 1, backend="native")
    np.testing.assert_array_equal(compiled(lamina.tensor((x - 1) / 2)).numpy(), expected - 1)


# --- reshape and transpose --------------------------------------------------------------------------
@pytest.mark.parametrize(
    "shape", [24, (-1,), (4, 6), (4, 3, 2), (2, 1, 3, 1, 4), (2, 12), (6, -1), (1, 24, 1), (2, 3, 2, 2), (8, 3)]
)
def test_reshape(shape: Any) -> None:
    agree(lambda x: lamina.reshape(x, shape), X.reshape(shape))
    turned = X.transpose(2, 0, 1)  # a view that not every shape is a view of
    agree(lambda x: lamina.reshape(lamina.permute_dims(x, (2, 0, 1)), shape), turned.reshape(shape))


def test_reshape_of_nothing() -> None:
    x = lamina.zeros((0, 3))
    assert lamina.reshape(x, (3, 0)).shape == (3, 0)
    assert lamina.reshape(x, (-1, 3)).shape == (0, 3)
    assert lamina.reshape(lamina.tensor(1.0), (1, 1)).tolist() == [[1.0]]
    assert lamina.reshape([[5]], ()).item() == 5


@pytest.mark.parametrize("shape", [(5, 5), (-1, -1), (-1, 5), (0, -1), (-2, 12), (2.0, 12)])
def test_reshape_refuses(shape: Any) -> None:
    with pytest.raises(ShapeError, match=r"reshape|negative"):
        lamina.reshape(X, shape)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_permute_dims(axes: tuple[int, ...]) -> None:
    agree(lambda x: lamina.permute_dims(x, axes), X.transpose(axes))
    negative = tuple(a - 3 for a in axes)
    agree(lambda x: lamina.permute_dims(x, negative), X.transpose(axes))


def test_transpose() -> None:
    agree(lamina.transpose, X.T)
    agree(lamina.matrix_transpose, np.swapaxes(X, 1, 2))
    agree(lambda x: lamina.swapaxes(x, 0, -1), np.swapaxes(X, 0, -1))
    agree(lambda x: lamina.moveaxis(x, (0, 1), (-1, 0)), np.moveaxis(X, (0, 1), (-1, 0)))
    for axes in [(0, 1), (0, 0, 1), (0, 1, 3)]:
        with pytest.raises(ShapeError):
            lamina.permute_dims(X, axes)
    with pytest.raises(ShapeError, match="2 dimensions"):
        lamina.matrix_transpose([1, 2])
    with pytest.raises(ShapeError, match="distinct"):
        lamina.moveaxis(X, (0, 0), (1, 2))
    with pytest.raises(ShapeError, match="axis 3"):
        lamina.moveaxis(X, 3, 0)


def test_expand_dims_and_squeeze() -> None:
    for axis in (0, 1, 3, -1, -4):
        agree(lambda x, axis=axis: lamina.expand_dims(x, axis), np.expand_dims(X, axis))
    agree(lambda x: lamina.expand_dims(x, (0, -1)), X[None, ..., None])
    thin = X[:1, :, :1]
    agree(lamina.squeeze, thin.squeeze(), thin)
    agree(lambda x: lamina.squeeze(x, -1), thin.squeeze(-1), thin)
    agree(lambda x: lamina.squeeze(x, (0, 2)), thin.squeeze((0, 2)), thin)
    with pytest.raises(ShapeError, match="size 3, not 1"):
        lamina.squeeze(X, 1)
    with pytest.raises(ShapeError, match="axis 4"):
        lamina.expand_dims(X, 4)
    with pytest.raises(ShapeError, match="twice"):
        lamina.expand_dims(X, (0, -5))


def test_flatten() -> None:
    agree(lamina.ravel, X.ravel())
    agree(lambda x: lamina.flatten(x, start_axis=1), X.reshape(2, 12))
    assert lamina.flatten(lamina.tensor(1.0)).shape == (1,)


def test_broadcast() -> None:
    row = X[0, :, :1]
    agree(lambda x: lamina.broadcast_to(x, (2, 3, 4)), np.broadcast_to(row, (2, 3, 4)), row)
    assert lamina.broadcast_to(lamina.ones((1, 3)), (0, 3)).shape == (0, 3)
    a, b = lamina.broadcast_arrays(lamina.ones((2, 1)), lamina.zeros(3))
    assert a.shape == b.shape == (2, 3)
    assert lamina.broadcast_arrays() == ()
    for shape in [(2, 4), (3,), (1, 3, 5)]:
        with pytest.raises(ShapeError, match="does not broadcast"):
            lamina.broadcast_to(X[0], shape)
    with pytest.raises(ShapeError):
        lamina.broadcast_arrays([1, 2], [1, 2, 3])


# --- joining and splitting ----------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concat_and_stack(axis: int) -> None:
    agree(lambda x: lamina.concat([x, x * 2, x], axis), np.concatenate([X, X * 2, X], axis))
    agree(lambda x: lamina.stack([x, x * 2], axis), np.stack([X, X * 2], axis))
    agree(lambda x: lamina.stack(lamina.unstack(x, axis), axis), X)
    agree(lambda x: lamina.concat(lamina.split(x, [1, 2], axis), axis), X)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sizes", [(1, 2, 3), (0, 4), (3, 0, 0, 2), (17, 1, 40), (0, 0)])
def test_concat_of_different_sizes(sizes: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    arrays = [rng.normal(size=(n, 5) if axis == 0 else (5, n)) for n in sizes]
    expected = np.concatenate(arrays, axis)
    tensors = [lamina.tensor(a) for a in arrays]
    np.testing.assert_array_equal(lamina.concat(tensors, axis).numpy(), expected)
    compiled = lamina.function(lambda *ts: lamina.concat(ts, axis) * 2, backend="native")
    np.testing.assert_array_equal(compiled(*tensors).numpy(), expected * 2)


def test_concat_promotes_and_flattens() -> None:
    assert lamina.concat([lamina.ones(2, "int8"), lamina.ones(1, "int32")]).dtype == lamina.int32
    assert lamina.stack([lamina.ones(2, "int64"), lamina.ones(2, "float32")]).dtype == lamina.float32
    assert lamina.concat([[[1, 2]], [3]], axis=None).tolist() == [1, 2, 3]


def test_joining_refuses() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2, 2\).*axis 0"):
        lamina.concat([lamina.ones((2, 3)), lamina.ones((2, 2))])
    with pytest.raises(ShapeError, match="stack"):
        lamina.concat([lamina.tensor(1), lamina.tensor(2)])
    with pytest.raises(ShapeError, match="one shape"):
        lamina.stack([[1, 2], [1, 2, 3]])
    for join in (lamina.concat, lamina.stack):
        with pytest.raises(ArgumentError, match="at least one"):
            join([])
        with pytest.raises(ShapeError, match="axis"):
            join([[1, 2]], axis=2)


def test_split() -> None:
    x = lamina.tensor(np.arange(10))
    assert [p.tolist() for p in lamina.split(x, 5)] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    for cuts in ([3, 7], [0, 12], [-2], [7, 3], []):
        got = [p.tolist() for p in lamina.split(x, cuts)]
        assert got == [p.tolist() for p in np.split(np.arange(10), cuts)]
    assert [p.shape for p in lamina.split(X, 2, axis=-1)] == [(2, 3, 2)] * 2
    with pytest.raises(ShapeError, match="3 equal pieces"):
        lamina.split(x, 3)


def test_unstack() -> None:
    assert len(lamina.unstack(X, axis=-1)) == 4
    assert lamina.unstack(lamina.zeros((0, 2))) == ()
    with pytest.raises(ShapeError, match="0-d"):
        lamina.unstack(lamina.tensor(1))


# --- padding ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("widths", [1, (2, 0), ((0, 1), (1, 2), (3, 0)), ((0, 0), (2, 2), (0, 5))])
def test_pad(widths: Any, mode: str) -> None:
    agree(lambda x: lamina.pad(x, widths, mode), np.pad(X, widths, mode))


def test_pad_with_a_value() -> None:
    agree(lambda x: lamina.pad(x, 1, constant_values=-3), np.pad(X, 1, constant_values=-3))
    padded = lamina.pad(lamina.tensor(np.array([1, 2], np.int8)), (1, 1), constant_values=7)
    assert padded.dtype == lamina.int8
    assert padded.tolist() == [7, 1, 2, 7]
    assert lamina.pad([True], 1).tolist() == [False, True, False]
    infinite = lamina.function(lambda x: lamina.pad(x, 1, constant_values=-np.inf), backend="native")
    assert infinite(lamina.ones(1)).tolist() == [-np.inf, 1.0, -np.inf]
    assert lamina.pad(lamina.zeros((0, 2)), 1).shape == (2, 4)
    assert lamina.pad(lamina.tensor(1.0), 3).item() == 1.0


def test_pad_refuses() -> None:
    with pytest.raises(ArgumentError, match="negative"):
        lamina.pad(X, -1)
    with pytest.raises(ArgumentError, match="integers"):
        lamina.pad(X, 1.5)
    with pytest.raises(ArgumentError, match="mirror"):
        lamina.pad(X, 1, mode="mirror")
    with pytest.raises(ShapeError, match="3 dimensions"):
        lamina.pad(X, ((1, 1), (1, 1)))
    with pytest.raises(ShapeError, match="size 0"):
        lamina.pad(lamina.zeros((0, 2)), 1, mode="edge")


# --- repetition and order ---------------------------------------------------------------------------
@pytest.mark.parametrize("times", [2, (2,), (1, 2, 3), (2, 1, 1, 2), (0,), (), (1, 1, 1)])
def test_tile(times: Any) -> None:
    agree(lambda x: lamina.tile(x, times), np.tile(X, times))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_repeat(axis: int | None) -> None:
    agree(lambda x: lamina.repeat(x, 3, axis), np.repeat(X, 3, axis))
    assert lamina.repeat(X, 0, axis).size == 0
    counts = np.arange(X.size if axis is None else X.shape[axis])
    agree(lambda x: lamina.repeat(x, counts, axis), np.repeat(X, counts, axis))


def test_repetition_refuses() -> None:
    with pytest.raises(ArgumentError, match="negative"):
        lamina.repeat(X, -1)
    with pytest.raises(ArgumentError, match="negative"):
        lamina.tile(X, (1, -1))
    with pytest.raises(DTypeError, match="integers"):
        lamina.repeat(X, 1.5)
    with pytest.raises(ShapeError, match="size 2"):
        lamina.repeat(X, [1, 2, 3], 0)
    with pytest.raises(CaptureError, match="repeat"):
        lamina.function(lamina.repeat, backend="eager")(lamina.ones(2), lamina.tensor([1, 2]))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), ()])
def test_flip(axis: Any) -> None:
    agree(lambda x: lamina.flip(x, axis), np.flip(X, axis))
    wide = np.arange(2 * 37.0).reshape(2, 37)  # longer than a vector
    if axis in (None, 1, -1):
        agree(lambda x: lamina.flip(x, axis), np.flip(wide, axis), wide)


@pytest.mark.parametrize(
    ("shift", "axis"),
    [(1, None), (-30, None), (1, 0), (5, -1), (-1, 1), ((1, -2), (0, 2)), (2, (0, 1)), (0, 0), (1, ())],
)
def test_roll(shift: Any, axis: Any) -> None:
    agree(lambda x: lamina.roll(x, shift, axis), np.roll(X, shift, axis))


def test_roll_edges() -> None:
    assert lamina.roll(lamina.zeros((0, 3)), 2, 0).shape == (0, 3)
    assert lamina.roll([1, 2, 3], (1, 1), (0, 0)).tolist() == [2, 3, 1]
    with pytest.raises(ArgumentError, match="2 shifts"):
        lamina.roll(X, (1, 2), 0)
    with pytest.raises(ArgumentError, match="axes"):
        lamina.roll(X, (1, 2))
    with pytest.raises(ShapeError, match="axis 3"):
        lamina.roll(X, 1, 3)
