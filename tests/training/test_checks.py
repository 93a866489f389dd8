"""Bad data and arguments: each gives a typed error that says what, where and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, DataError, DTypeError, ShapeError
from lamina.training import arrays, checks

FLOAT = np.dtype("float32")


def prepare(*args: Any, **kwargs: Any) -> arrays.Data:
    return arrays.prepare(*args, **{"dtype": FLOAT, **kwargs})


# --- arrays -------------------------------------------------------------------------------------------
def test_arrays_are_used_in_place() -> None:
    x = np.zeros((6, 3), np.float32)
    y = np.arange(6, dtype=np.uint8)
    data = prepare(x, y, sample_weight=np.ones(6, np.float32))
    assert np.shares_memory(data.x[0], x) and np.shares_memory(data.y[0], y)
    assert data.rows == 6 and data.y[0].dtype == np.uint8
    part = data.slice(2, 5)
    assert part.rows == 3 and np.shares_memory(part.x[0], x)


def test_float64_is_cast_and_integers_are_not() -> None:
    data = prepare(np.zeros((2, 3)), [1, 2], sample_weight=[1, 2])
    assert data.x[0].dtype == FLOAT and data.y[0].dtype == np.int64 and data.weights[0].dtype == FLOAT


def test_lists_of_numbers_are_arrays() -> None:
    data = prepare([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    assert data.x[0].shape == (2, 2) and data.x[0].dtype == FLOAT


def test_several_inputs_keep_their_structure() -> None:
    a, b = np.zeros((4, 1)), np.ones((4, 2))
    assert prepare([a, b], single_input=False).inputs()[1].shape == (4, 2)
    inputs = prepare({"a": a, "b": b}).inputs()
    assert list(inputs) == ["a", "b"] and inputs["b"].shape == (4, 2)
    assert prepare([a]).inputs().shape == (4, 1)


def test_big_endian_is_turned() -> None:
    assert prepare(np.arange(4, dtype=">f4")).x[0].dtype.isnative


def bad_arrays() -> list[tuple[str, Callable[[], Any], type[Exception], str]]:
    x = np.zeros((4, 2), np.float32)
    nan = x.copy()
    nan[2, 1] = np.nan
    infinite = np.zeros((4, 2, 3))
    infinite[1, 0, 2] = np.inf
    return [
        ("strings", lambda: prepare(np.array(["cat", "dog"])), DTypeError, "x has dtype <U3 .*'cat'.*np.unique"),
        ("objects", lambda: prepare(np.array([None, 1], object)), DTypeError, "x has dtype object .*None"),
        ("ragged list", lambda: prepare([[1, 2], [3]]), ShapeError, "x: its rows have different lengths"),
        ("ragged objects", lambda: prepare(np.array([[1, 2], [3]], object)), DTypeError, "pad or cut them"),
        ("complex", lambda: prepare(np.zeros(3, complex)), DTypeError, "x has dtype complex128"),
        ("dates", lambda: prepare(np.zeros(3, "M8[s]")), DTypeError, "x has dtype datetime64"),
        ("scalar", lambda: prepare(3.0), ShapeError, "x is the single number 3.0"),
        ("empty", lambda: prepare(x[:0], x[:0]), DataError, r"x is empty \(shape \(0, 2\)\)"),
        ("no x", lambda: prepare(None), DataError, "x is missing"),
        ("empty list", lambda: prepare([]), DataError, "x is empty"),
        ("lengths", lambda: prepare(x, np.zeros(3)), DataError, "x has 4 rows and y has 3"),
        ("weights", lambda: prepare(x, x, [1.0]), DataError, "x has 4 rows and sample_weight has 1"),
        ("inputs", lambda: prepare([x, x[:2]]), DataError, r"x\[0\] has 4 rows and x\[1\] has 2"),
        ("NaN", lambda: prepare(nan), DataError, r"x holds NaN in row 2, element 1 \(1 of 4 rows"),
        ("infinity", lambda: prepare(infinite), DataError, r"x holds inf in row 1, element \(0, 2\)"),
        ("NaN in y", lambda: prepare(x, nan[:, 1]), DataError, "y holds NaN in row 2 "),
        ("NaN weight", lambda: prepare(x, x, nan[:, 1]), DataError, "sample_weight holds NaN in row 2"),
        ("generator", lambda: prepare(i for i in range(3)), ArgumentError, "x is a generator.*train_on_batch"),
        ("both weights", lambda: prepare(x, [0] * 4, [1] * 4, {0: 1}), ArgumentError, "not both"),
        ("class_weight", lambda: prepare(x, [0] * 4, None, [1, 2]), ArgumentError, "class_weight is a dict"),
        ("class_weight key", lambda: prepare(x, [0] * 4, None, {"a": 1}), ArgumentError, "class numbers .* got 'a'"),
        ("class_weight NaN", lambda: prepare(x, [0] * 4, None, {0: np.nan}), DataError, r"class_weight\[0\] is nan"),
        ("where", lambda: prepare(nan, where="validation_data: "), DataError, "validation_data: x holds NaN"),
    ]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), [c[1:] for c in bad_arrays()], ids=[c[0] for c in bad_arrays()])
def test_bad_arrays(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_class_weights_become_sample_weights() -> None:
    x = np.zeros((5, 1))
    expected = [2.0, 1.0, 0.5, 2.0, 1.0]
    for y in ([0, 1, 2, 0, 1], [[0], [1], [2], [0], [1]], np.eye(3)[[0, 1, 2, 0, 1]]):
        data = prepare(x, np.asarray(y), None, {0: 2.0, 2: 0.5})
        np.testing.assert_array_equal(data.weights[0], np.asarray(expected, np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_all_finite_by_the_bits(dtype: str, bad: float, sign: float) -> None:
    array = (sign * np.arange(60.0).reshape(6, 10)).astype(lamina.as_dtype(dtype))
    mixed = array - array.dtype.type(30 * sign)
    for x in (array, mixed, mixed[::2, ::-3], mixed.T, mixed[:0], mixed[2, 3]):
        assert checks.all_finite(x)
    for x in (array, mixed, mixed[::2, ::-3]):
        x[1, 2] = np.array(np.copysign(bad, bad), array.dtype)
        assert not checks.all_finite(x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_large_values_are_no_infinities(dtype: str) -> None:
    largest = np.full((100, 100), np.finfo(dtype).max)
    checks.check_finite("x", largest.astype(dtype))
    checks.check_finite("x", np.stack([largest, -largest]).astype(dtype))


def test_a_nan_far_back_is_found() -> None:
    x = np.zeros((10_000, 500), np.float32)
    x[9_999, 7] = np.nan
    x[9_000:9_003] = np.inf
    with pytest.raises(DataError, match=r"holds inf in row 9000, element 0 \(4 of 10,000 rows"):
        checks.check_finite("x", x)


def test_checking_is_cheap() -> None:
    x = np.zeros((15_000, 784), np.float32)  # a quarter of MNIST
    times = []
    for _ in range(5):
        started = time.thread_time()
        checks.check_finite("x", x)
        times.append(time.thread_time() - started)
    assert min(times) < 0.05 / 4 * 2, "60,000 rows within 50 ms of CPU time, with a factor of two for a slow machine"


# --- arguments --------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "32", None])
def test_counts(value: Any) -> None:
    with pytest.raises(ArgumentError, match="batch_size is an integer of at least 1, got"):
        checks.check_positive("batch_size", value)
    assert checks.check_positive("batch_size", np.int32(7)) == 7


def test_validation_split() -> None:
    assert checks.check_validation_split(0.2, 100) == 80
    assert checks.check_validation_split(np.float32(0.5), 3) == 1
    for bad in (0, 1, -0.1, 1.5, True, "0.2", float("nan")):
        with pytest.raises(ArgumentError, match="validation_split is a share"):
            checks.check_validation_split(bad, 100)
    with pytest.raises(ArgumentError, match="neither may be empty"):
        checks.check_validation_split(0.9, 1)


# --- targets ------------------------------------------------------------------------------------------
def test_class_labels() -> None:
    ok = [np.array([0, 2, 1]), np.array([[0], [2], [1]], np.uint8), np.array([0.0, 2.0, 1.0]), np.array([True, False])]
    for labels in ok:
        checks.check_class_labels("y", labels, (1, 3))
    checks.check_class_labels("y", np.zeros((4, 5), int), (1, 5, 3))
    cases = [
        (np.array([0, 1, 3]), DataError, r"label 3 in row 2, outside the classes 0 to 2.*\(n, 3\).*4 units"),
        (np.array([1, 2, 3]), DataError, "count from 1: subtract 1"),
        (np.array([0, -1, 2]), DataError, "label -1 in row 1"),
        (np.array([0.0, 1.5, 2]), DataError, "label 1.5 in row 1.*regression"),
        (np.eye(3), ShapeError, "look one-hot: use loss='categorical_crossentropy'"),
        (np.zeros((3, 2)), ShapeError, r"y has shape \(3, 2\) and the model's output \(n, 3\)"),
    ]
    for labels, error, message in cases:
        with pytest.raises(error, match=message):
            checks.check_class_labels("y", labels, (1, 3))
    with pytest.raises(ShapeError, match="loss='binary_crossentropy'"):
        checks.check_class_labels("y", np.array([0, 1]), (1, 1))


def test_targets_do_not_broadcast() -> None:
    checks.check_same_shape("y", np.zeros((5, 3)), (1, 3), "mean_squared_error")
    cases = [
        (np.zeros(5), (1, 3), "mean_squared_error", "last layer 1 unit instead of 3"),
        (np.zeros((5, 1)), (1, 3), "mean_squared_error", "last layer 1 unit instead of 3"),
        (np.zeros((5, 3)), (1, 1), "mean_squared_error", r"y has shape \(5, 3\) and the model's output \(n, 1\)"),
        (np.zeros(5, int), (1, 3), "categorical_crossentropy", "sparse_categorical_crossentropy.*np.eye"),
        (np.zeros((5, 4)), (1, 3), "categorical_crossentropy", "needs equal shapes"),
    ]
    for target, prediction, loss, message in cases:
        with pytest.raises(ShapeError, match=message):
            checks.check_same_shape("y", target, prediction, loss)


def test_ranks_are_aligned() -> None:
    assert checks.align_target(np.zeros(5), (1, 1)).shape == (5, 1)
    assert checks.align_target(np.zeros((5, 1)), (1,)).shape == (5,)
    assert checks.align_target(np.zeros((5, 4)), (1, 4, 1)).shape == (5, 4, 1)
    assert checks.align_target(np.zeros(5), (1, 3)).shape == (5,)


def test_probabilities() -> None:
    for target in (np.array([0.0, 1.0, 0.3]), np.array([0, 1]), np.array([True])):
        checks.check_probabilities("y", target, "binary_crossentropy")
    with pytest.raises(DataError, match=r"y holds -1.* in row 1.*\(y \+ 1\) / 2"):
        checks.check_probabilities("y", np.array([1, -1, 1]), "binary_crossentropy")
    with pytest.raises(DataError, match=r"y holds 255.* in row 2.*from 0 to 255"):
        checks.check_probabilities("y", np.array([[0, 1], [0, 1], [255, 0]]), "categorical_crossentropy")


def test_predictions_that_are_logits() -> None:
    assert checks.outside_probabilities(np.array([[0.2, 0.8]]), "categorical_crossentropy", "dense") is None
    found = checks.outside_probabilities(np.array([[-1.0, 3.0]]), "categorical_crossentropy", "dense")
    assert found is not None and "'dense' for the first sample runs from -1 to 3" in found.message
    assert "'softmax'" in found.advice and "from_logits=True" in found.advice
