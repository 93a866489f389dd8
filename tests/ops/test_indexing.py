"""Indexing: NumPy's keys, gathering and scattering, bounds, capture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, CaptureError, DTypeError, OutOfBoundsError, ShapeError

X = np.arange(60).reshape(3, 4, 5)

KEYS: list[Any] = [
    ...,
    (),
    0,
    -1,
    None,
    slice(None),
    slice(1, None, 2),
    slice(None, None, -1),
    slice(10, None),
    slice(2, 0),
    slice(-100, 100),
    (0, 1, 2),
    (..., 0),
    (0, ...),
    (slice(None), -2, slice(4, 0, -3)),
    (None, 0, None, ..., None),
    (np.int64(1), slice(None, np.int32(2))),
    True,
    False,
    np.array(True),
    [],
    [0, 2, -1],
    [[0, 1], [2, 0]],
    np.array(1),
    np.array([2, 0], np.uint8),
    ([0, 1], [1, 2]),
    ([0, 1], slice(None), [1, 2]),
    (slice(None), [0, 3], [1, 2]),
    (slice(None), [[0], [3]], [1, 2]),
    ([0, 1], 1),
    (0, slice(None), [1, 2]),
    (0, [1, 2], slice(1, 3)),
    ([0, 1], ..., [1, 2]),
    (slice(None), [1, 2], ..., [1, 2]),
    ([0, 1], None, [1, 2]),
    (None, [0, 1], [1, 2]),
    (slice(None, None, -1), [0, 1]),
    np.array([True, False, True]),
    [True, False, True],
    X > 20,
    X[..., 0] > 20,
    (slice(None), X[0] > 10),
    (np.array([True, False, True]), [0, 1]),
    (np.array([False, False, False]), slice(None), 0),
]


@pytest.mark.parametrize("key", KEYS, ids=[str(i) for i in range(len(KEYS))])
def test_keys_mean_what_they_mean_in_numpy(key: Any) -> None:
    result = lamina.tensor(X)[key]
    assert result.dtype == X.dtype
    np.testing.assert_array_equal(result.numpy(), X[key])


def random_key(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A key for an array of this shape; it may be one that NumPy refuses."""
    common = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))

    def bound(n: int) -> int | None:
        return None if rng.random() < 0.3 else int(rng.integers(-n - 2, n + 3))

    def item(n: int) -> Any:
        kind = rng.random()
        if kind < 0.35:
            return slice(bound(n), bound(n), [None, 1, 2, 3, -1, -2, -3][rng.integers(7)])
        if kind < 0.5 and n:
            return int(rng.integers(-n, n))
        if kind < 0.8 and n:
            thin = tuple(1 if rng.random() < 0.3 else m for m in common)
            return rng.integers(-n, n, [common, common[1:], thin, ()][rng.integers(4)])
        if kind < 0.85:
            return rng.integers(0, 2, n).astype(bool)
        return slice(None)

    used = int(rng.integers(0, len(shape) + 1))
    front = int(rng.integers(0, used + 1))
    dimensions = [*shape[:front], *(shape[len(shape) - used + front :] if used > front else [])]
    key: list[Any] = [item(n) for n in dimensions]
    if front < used or rng.random() < 0.3:
        key.insert(front, Ellipsis)
    while rng.random() < 0.3:
        key.insert(int(rng.integers(0, len(key) + 1)), None)
    return tuple(key)


@pytest.mark.parametrize("seed", range(4))
def test_random_keys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(300):
        x = rng.integers(0, 100, tuple(rng.integers(0, 5, rng.integers(0, 5))))
        key = random_key(rng, x.shape)
        try:
            expected = x[key]
        except IndexError:
            refused += 1
            with pytest.raises((ShapeError, OutOfBoundsError)):
                lamina.tensor(x)[key]
            continue
        np.testing.assert_array_equal(lamina.tensor(x)[key].numpy(), expected, err_msg=f"{x.shape} {key}")
        values = rng.integers(100, 200, expected.shape)
        added, updated = x.copy(), x.copy()
        np.add.at(added, key, values)
        updated[key] = values
        np.testing.assert_array_equal(lamina.scatter_add(x, key, values).numpy(), added, err_msg=f"{x.shape} {key}")
        np.testing.assert_array_equal(lamina.scatter_update(x, key, values).numpy(), updated, err_msg=f"{key}")
    assert refused < 100  # most keys were good ones


def compiled_and_doubled(x: np.ndarray, key: Any) -> np.ndarray:
    return lamina.function(lambda t: t[key] * 2, backend="native")(lamina.tensor(x)).numpy()


def test_random_keys_compiled() -> None:
    rng = np.random.default_rng(7)
    for _ in range(40):
        x = rng.integers(0, 100, tuple(rng.integers(1, 5, rng.integers(0, 4))))
        key = random_key(rng, x.shape)
        try:
            expected = x[key]
        except IndexError:
            continue
        np.testing.assert_array_equal(compiled_and_doubled(x, key), expected * 2, err_msg=f"{x.shape} {key}")


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        (3, OutOfBoundsError, "index 3 .* dimension 0 with size 3"),
        ((0, -5), OutOfBoundsError, "index -5 .* dimension 1 with size 4"),
        ([0, 3], OutOfBoundsError, "3 .* axis 0 with size 3"),
        (([0, 1], [0, 4]), OutOfBoundsError, "4 .* axis 1 with size 4"),
        ((0, 0, 0, 0), ShapeError, "4 indices .* 3 dimensions"),
        ((..., ...), ShapeError, "ellipsis"),
        (([0, 1], [0, 1, 2]), ShapeError, "broadcast"),
        (np.ones(2, bool), ShapeError, r"mask has shape \(2,\)"),
        (slice(None, None, 0), ShapeError, "step"),
        (slice(0.5, None), DTypeError, "slice"),
        (1.0, DTypeError, "integers"),
        ([0.0], DTypeError, "integers"),
        ("a", DTypeError, "become"),
    ],
)
def test_wrong_keys(key: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        lamina.tensor(X)[key]


def test_an_index_out_of_bounds_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        lamina.tensor([1, 2])[2]


def test_tensors_are_keys() -> None:
    x = lamina.tensor(X)
    assert x[lamina.tensor(1)].shape == (4, 5)
    np.testing.assert_array_equal(x[lamina.tensor([2, 0]), 1].numpy(), X[[2, 0], 1])
    np.testing.assert_array_equal(x[x > 30].numpy(), X[X > 30])
    np.testing.assert_array_equal(x[lamina.Variable([1, 2])].numpy(), X[[1, 2]])


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_keys_that_are_computed(backend: str) -> None:
    f = lamina.function(lambda x, i, j: x[i, :, j + 1], backend=backend)
    np.testing.assert_array_equal(
        f(lamina.tensor(X), lamina.tensor([2, 0]), lamina.tensor([0, -3])).numpy(), X[[2, 0], :, [1, -2]]
    )


def test_a_mask_has_no_shape_while_capturing() -> None:
    with pytest.raises(CaptureError, match=r"lamina\.where"):
        lamina.function(lambda x: x[x > 0], backend="eager")(lamina.ones(3))


def test_basic_indexing_does_not_copy() -> None:
    x = lamina.tensor(X)
    assert np.shares_memory(np.asarray(x[1:, ::2, 3]), np.asarray(x))


# --- gathering ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_take(axis: int, dtype: str) -> None:
    indices = np.array([[0, 2], [1, 1]]).astype(dtype)
    np.testing.assert_array_equal(lamina.take(X, indices, axis).numpy(), np.take(X, indices, axis))
    np.testing.assert_array_equal(lamina.gather(X, indices).numpy(), X[indices])


def test_take_with_bad_arguments() -> None:
    with pytest.raises(OutOfBoundsError, match="index 4 .* axis 1 with size 4"):
        lamina.take(X, [0, 4], 1)
    with pytest.raises(OutOfBoundsError, match="size 0"):
        lamina.take(lamina.zeros((2, 0)), [0], 1)
    assert lamina.take(lamina.zeros((2, 0)), [], 1).shape == (2, 0)
    with pytest.raises(DTypeError, match="integers"):
        lamina.take(X, [0.5], 0)
    with pytest.raises(ArgumentError, match="axis"):
        lamina.take(X, [0])
    with pytest.raises(ShapeError, match="axis 3"):
        lamina.take(X, [0], 3)


def test_compiled_take_stays_in_bounds() -> None:
    # Compiled code cannot raise; it must not read elsewhere either.
    f = lamina.function(lambda x, i: lamina.take(x, i, 0), backend="native")
    x = lamina.tensor([1.0, 2.0, 3.0])
    assert f(x, lamina.tensor([0, -1, 2, 99, -99])).tolist() == [1.0, 3.0, 3.0, 3.0, 1.0]


def test_the_gradient_of_take_adds_up_rows_taken_twice() -> None:
    table = lamina.tensor(np.zeros((4, 2)))
    with lamina.GradientTape() as tape:
        tape.watch(table)
        total = (lamina.take(table, [1, 3, 1, -1], 0) * lamina.tensor(np.array([[1.0], [2], [4], [8]]))).sum()
    np.testing.assert_array_equal(tape.gradient(total, table).numpy(), [[0, 0], [5, 5], [0, 0], [10, 10]])


def test_take_along_axis() -> None:
    order = np.argsort(-X, axis=1)
    np.testing.assert_array_equal(lamina.take_along_axis(X, order, 1).numpy(), np.take_along_axis(X, order, 1))
    one = np.array([[[1]], [[0]], [[-1]]])
    np.testing.assert_array_equal(lamina.take_along_axis(X, one, 1).numpy(), np.take_along_axis(X, one, 1))
    with pytest.raises(ShapeError, match="dimensions"):
        lamina.take_along_axis(X, [0], 1)
    with pytest.raises(ShapeError):
        lamina.take_along_axis(X, np.zeros((2, 1, 5), int), 1)
    with pytest.raises(OutOfBoundsError, match="9"):
        lamina.take_along_axis(X, np.full((3, 1, 5), 9), 1)


# --- computed positions ----------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("start", [-7, 0, 2, 3, 99])
def test_dynamic_slices_fit_themselves_in(start: int, backend: str) -> None:
    x = lamina.tensor(np.arange(5.0))
    f = lamina.function(lambda x, s: lamina.dynamic_slice(x, [s], [2]), backend=backend)
    place = min(max(start, 0), 3)
    assert f(x, lamina.tensor(start)).tolist() == [place, place + 1]
    g = lamina.function(lambda x, s: lamina.dynamic_update_slice(x, [-1.0, -2.0], [s]), backend=backend)
    expected = np.arange(5.0)
    expected[place : place + 2] = -1, -2
    assert g(x, lamina.tensor(start)).tolist() == expected.tolist()


def test_dynamic_slices_with_bad_arguments() -> None:
    x = lamina.zeros((3, 4))
    assert lamina.dynamic_slice(x, lamina.tensor([1, 1]), (2, 2)).shape == (2, 2)
    assert lamina.dynamic_slice(x, [0, 0], (0, 4)).shape == (0, 4)
    with pytest.raises(ShapeError, match="2 dimensions"):
        lamina.dynamic_slice(x, [0], (1, 1))
    with pytest.raises(ShapeError, match="sizes"):
        lamina.dynamic_slice(x, [0, 0], (4, 1))
    with pytest.raises(DTypeError, match="integers"):
        lamina.dynamic_slice(x, [0.0, 0], (1, 1))


# --- scattering ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["eager", "native"])
def test_scatter_compiled(backend: str, rng: np.random.Generator) -> None:
    x, values = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    indices = np.array([4, 0, -1, 2])
    added, updated = x.copy(), x.copy()
    np.add.at(added, indices, values)
    updated[indices] = values
    arguments = [lamina.tensor(a) for a in (x, indices, values)]
    np.testing.assert_allclose(lamina.function(lamina.scatter_add, backend=backend)(*arguments).numpy(), added)
    np.testing.assert_array_equal(lamina.function(lamina.scatter_update, backend=backend)(*arguments).numpy(), updated)


def test_of_updates_to_one_place_the_last_stays_and_gets_the_gradient() -> None:
    values = lamina.tensor(np.array([1.0, 2.0, 3.0]))
    with lamina.GradientTape() as tape:
        tape.watch(values)
        out = lamina.scatter_update(np.zeros(3), [0, 0, 2], values)
        total = (out * np.array([10.0, 20.0, 30.0])).sum()
    assert out.tolist() == [2.0, 0.0, 3.0]
    assert tape.gradient(total, values).tolist() == [0.0, 10.0, 30.0]


def test_scatter_with_bad_arguments() -> None:
    x = lamina.zeros((3,))
    with pytest.raises(OutOfBoundsError, match="index 3"):
        lamina.scatter_add(x, [3], 1.0)
    with pytest.raises(ShapeError):
        lamina.scatter_update(x, [0, 1], [1.0, 2.0, 3.0])
    assert lamina.scatter_update(lamina.zeros(3, dtype="int32"), [1], 2.7).tolist() == [0, 2, 0]
    assert x.tolist() == [0.0, 0.0, 0.0]


def test_segment_sum() -> None:
    data = lamina.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert lamina.segment_sum(data, [2, 0, 2], 4).tolist() == [[3, 4], [0, 0], [6, 8], [0, 0]]
    assert lamina.segment_sum(lamina.zeros((0, 2)), lamina.zeros(0, dtype="int64"), 2).tolist() == [[0, 0], [0, 0]]
    with pytest.raises(ShapeError, match="rows"):
        lamina.segment_sum(data, [0, 1], 2)
    with pytest.raises(OutOfBoundsError):
        lamina.segment_sum(data, [0, 1, 2], 2)


# --- one_hot, diagonal ---------------------------------------------------------------------------------------
def test_one_hot() -> None:
    assert lamina.one_hot([0, 2, -1, 3], 3).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    out = lamina.one_hot(lamina.tensor(np.array([[1], [0]], np.uint8)), 2, dtype="bool", axis=0)
    assert out.dtype == np.bool_
    assert out.tolist() == [[[False], [True]], [[True], [False]]]
    assert lamina.one_hot([300], 400).sum().item() == 1
    assert lamina.one_hot(lamina.tensor(np.array([0, 200], np.uint8)), 300)[1, 200].item() == 1
    with pytest.raises(DTypeError, match="integers"):
        lamina.one_hot([1.0], 2)


@pytest.mark.parametrize("offset", range(-5, 7))
def test_diagonal(offset: int) -> None:
    x = lamina.tensor(X)
    np.testing.assert_array_equal(lamina.diagonal(x, offset).numpy(), np.diagonal(X, offset, -2, -1))
    np.testing.assert_array_equal(lamina.diagonal(x, offset, 2, 0).numpy(), np.diagonal(X, offset, 2, 0))
    compiled = lamina.function(lambda x: lamina.diagonal(x, offset) + 1, backend="native")
    np.testing.assert_array_equal(compiled(x).numpy(), np.diagonal(X, offset, -2, -1) + 1)


def test_diagonal_with_bad_arguments() -> None:
    with pytest.raises(ShapeError, match="2 dimensions"):
        lamina.diagonal([1, 2])
    with pytest.raises(ArgumentError, match="same axis"):
        lamina.diagonal(X, 0, 1, -2)
