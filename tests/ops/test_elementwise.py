"""Elementwise ops at the edges: dtypes, special values, kinks, errors.  Ordinary values are in the op table."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.core.errors import ArgumentError, DTypeError, ShapeError

BACKENDS = ["eager", "native"]
INF, NAN = float("inf"), float("nan")


def gradient(function: Any, *values: Any) -> list[Any]:
    """Gradients of the summed output at these float64 values."""
    xs = [lamina.tensor(np.asarray(v, np.float64)) for v in values]
    with lamina.GradientTape() as tape:
        tape.watch(xs)
        y = function(*xs)
    return [g.numpy().tolist() for g in tape.gradient(y, xs, unconnected_gradients="zero")]


# --- dtypes -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ("float32", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("int32", "float32", "float32"),
        ("int64", "float16", "float16"),
        ("uint8", "int8", "int16"),
        ("uint32", "int32", "int64"),
        ("bool", "int32", "int32"),
        ("bool", "float32", "float32"),
    ],
)
def test_two_dtypes_meet(x: str, y: str, expected: str) -> None:
    a, b = lamina.ones((2,), x), lamina.ones((2,), y)
    assert (a + b).dtype == expected
    assert (b + a).dtype == expected


def test_python_numbers_are_weak() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = lamina.ones((2,), dtype)
        assert (x + 1).dtype == (2.5 * x).dtype == (x / 3).dtype == dtype
        assert lamina.maximum(x, 0.5).dtype == lamina.clip(x, 0, 1).dtype == lamina.where(x > 0, x, 0).dtype == dtype
    small = lamina.ones((2,), "int8")
    assert (small + 1).dtype == "int8"
    assert (small + 1.5).dtype == "float32"
    assert (small / 2).dtype == "float32"


def test_signed_and_unsigned_64_bits_do_not_meet() -> None:
    with pytest.raises(DTypeError, match="no common integer dtype"):
        lamina.ones((2,), "uint64") + lamina.ones((2,), "int64")


def test_python_numbers_that_do_not_fit() -> None:
    for value in (300, -1):
        with pytest.raises(ArgumentError, match=f"{value} does not fit uint8"):
            lamina.ones((2,), "uint8") + value


def test_integers_become_float32_in_functions_of_floats() -> None:
    assert lamina.exp([0, 1]).dtype == lamina.sqrt([1, 4]).dtype == lamina.divide([1], [2]).dtype == np.float32
    assert lamina.floor([1, 2]).dtype == np.int64  # whole numbers stay what they are


def test_half_precisions() -> None:
    pytest.importorskip("ml_dtypes", reason="bfloat16 comes with the extra 'bfloat16'")
    x = np.linspace(-2, 2, 9)
    for dtype, tolerance in (("float16", 2e-3), (lamina.bfloat16, 2e-2)):
        t = lamina.tensor(x).astype(dtype)
        for function, oracle in (
            (lamina.exp, np.exp),
            (lamina.tanh, np.tanh),
            (nn.sigmoid, lambda v: 1 / (1 + np.exp(-v))),
            (lambda v: (v * v + 1) / 2, lambda v: (v * v + 1) / 2),
            (lambda v: lamina.where(v > 0, v, 0), lambda v: np.maximum(v, 0)),
            (lamina.erf, lambda v: np.vectorize(__import__("math").erf)(v)),
        ):
            result = function(t)
            assert result.dtype == t.dtype
            np.testing.assert_allclose(result.astype("float64").numpy(), oracle(x), rtol=tolerance, atol=tolerance)


def test_dtypes_that_an_op_does_not_take() -> None:
    with pytest.raises(DTypeError, match="subtract takes a numeric"):
        lamina.tensor([True]) - lamina.tensor([False])
    with pytest.raises(DTypeError, match="bitwise_and takes an integer or bool"):
        lamina.bitwise_and([1.0], [2.0])
    with pytest.raises(DTypeError, match="bitwise_left_shift takes integers"):
        lamina.tensor([True]) << lamina.tensor([True])


# --- shapes -------------------------------------------------------------------------------------
def test_shapes_that_do_not_broadcast() -> None:
    for function in (lamina.add, lamina.less, lamina.maximum, lamina.atan2):
        with pytest.raises(ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"):
            function(lamina.ones((2, 3)), lamina.ones((4,)))
    with pytest.raises(ShapeError, match="where"):
        lamina.where(lamina.ones((5,)) > 0, lamina.ones((2,)), 0.0)


def test_empty_and_zero_dimensional() -> None:
    empty = lamina.zeros((0, 3))
    assert (empty + 1).shape == lamina.erf(empty).shape == nn.softplus(empty).shape == (0, 3)
    assert (lamina.tensor(2.0) * 3).item() == 6.0
    assert type((lamina.tensor(2.0) * 3).numpy()) is np.ndarray


# --- integers --------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_integer_division_at_its_edges(backend: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    x = lamina.tensor(np.array([7, 7, info.min, info.max, info.min, 0], dtype))
    y = lamina.tensor(np.array([0, 2, -1 if info.min else 1, 3, 0, 0], dtype))
    divide = lamina.function(backend=backend)(lambda a, b: (a // b, a % b))
    quotient, rest = divide(x, y)
    assert quotient.tolist() == [0, 3, info.min, info.max // 3, 0, 0]  # min / -1 wraps around to min
    assert rest.tolist() == [0, 1, 0, info.max % 3, 0, 0]
    assert (x // y).tolist() == quotient.tolist()
    assert (x % y).tolist() == rest.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_shifts_by_the_width(backend: str) -> None:
    x = lamina.tensor(np.array([1, -1, 5], np.int32))
    shift = lamina.function(backend=backend)(lambda v: (v << 32, v >> 32, v >> 1))
    assert [t.tolist() for t in shift(x)] == [[0, 0, 0], [0, -1, 0], [0, -1, 2]]
    assert (x << 32).tolist() == [0, 0, 0]


def test_integer_powers() -> None:
    assert (lamina.tensor([2, 3]) ** 3).tolist() == [8, 27]
    assert (lamina.tensor([2, 3]) ** 0).tolist() == [1, 1]
    for power in (-1, lamina.tensor([-1, 2])):
        with pytest.raises(ArgumentError, match="float32"):
            lamina.tensor([2, 3]) ** power


# --- special values ------------------------------------------------------------------------------
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1e30, -1e30, 100.0, -100.0, 1e-30, INF, -INF, NAN], np.float32)
UNARY = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log10",
    "log1p",
    "log2",
    "negative",
    "reciprocal",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
]
ACTIVATIONS = [
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_tanh",
    "log_sigmoid",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "softplus",
    "softsign",
    "step",
]


@pytest.mark.parametrize("name", [*UNARY, *(f"nn.{n}" for n in ACTIVATIONS)])
def test_compiled_treats_special_values_as_eager(name: str) -> None:
    module, _, short = name.rpartition(".")
    function = getattr(nn if module else lamina, short)
    x = lamina.tensor(SPECIAL[np.abs(SPECIAL) < 1e29] if short in ("sin", "cos", "tan") else SPECIAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # infinities and NaN are results, not warnings
        expected = function(x).numpy()
    np.testing.assert_allclose(lamina.function(function)(x).numpy(), expected, rtol=4e-6, atol=1e-37)


@pytest.mark.parametrize(
    "name", ["add", "subtract", "multiply", "divide", "pow", "maximum", "minimum", "atan2", "hypot"]
)
def test_compiled_treats_pairs_of_special_values_as_eager(name: str) -> None:
    function = getattr(lamina, name)
    x, y = (lamina.tensor(v.ravel()) for v in np.meshgrid(SPECIAL, SPECIAL))
    expected = function(x, y).numpy()
    np.testing.assert_allclose(lamina.function(function)(x, y).numpy(), expected, rtol=4e-6, atol=1e-37)


def test_signed_zeros() -> None:
    zeros = lamina.tensor([0.0, -0.0])
    assert lamina.signbit(zeros).tolist() == [False, True]
    assert (1.0 / zeros).tolist() == [INF, -INF]
    assert lamina.copysign(2.0, zeros).tolist() == [2.0, -2.0]


def test_numbers_that_are_missing() -> None:
    assert lamina.fmax([NAN, 1.0], [2.0, NAN]).tolist() == [2.0, 1.0]
    assert np.isnan(lamina.maximum([NAN, 1.0], [2.0, NAN]).numpy()).all()
    assert lamina.nan_to_num([NAN, INF, -INF, 1.0]).tolist()[::3] == [0.0, 1.0]


# --- kinks ----------------------------------------------------------------------------------------
def test_gradients_at_kinks() -> None:
    assert gradient(lamina.abs, [0.0]) == [[0.0]]
    assert gradient(nn.relu, [0.0]) == [[0.0]]
    assert gradient(nn.relu6, [0.0, 6.0]) == [[0.0, 0.0]]
    assert gradient(nn.leaky_relu, [0.0]) == [[0.2]]
    assert gradient(nn.elu, [0.0]) == [[1.0]]
    assert gradient(lamina.maximum, [1.0], [1.0]) == [[0.5], [0.5]]
    assert gradient(lamina.minimum, [1.0, 2.0], [1.0, 3.0]) == [[0.5, 1.0], [0.5, 0.0]]
    assert gradient(lambda x: lamina.clip(x, 0, 1), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [[0.0, 1.0, 1.0, 1.0, 0.0]]
    assert gradient(lamina.pow, [0.0, 0.0], [0.0, 2.0]) == [[0.0, 0.0], [0.0, 0.0]]
    assert gradient(lambda x: x**0, [0.0, 3.0]) == [[0.0, 0.0]]
    assert gradient(lambda x: lamina.floor(x) + lamina.sign(x) + lamina.round(x), [1.5]) == [[0.0]]


def test_the_gradient_of_what_is_not_chosen_is_zero() -> None:
    assert gradient(lambda c, x, y: lamina.where(c > 0, x, y), [1.0, -1.0], [2.0, 2.0], [3.0, 3.0])[1:] == [
        [1.0, 0.0],
        [0.0, 1.0],
    ]
    assert gradient(lamina.clip, [5.0], [0.0], [1.0]) == [[0.0], [0.0], [1.0]]


def test_stop_gradient_stops_all_orders() -> None:
    x = lamina.tensor(2.0)
    with lamina.GradientTape() as tape:
        tape.watch(x)
        y = lamina.stop_gradient(x * x) * x
    assert tape.gradient(y, x).item() == 4.0


def test_elu_of_a_large_number_has_a_finite_gradient() -> None:
    for function in (nn.elu, nn.selu, nn.celu):
        assert np.isfinite(gradient(function, [1000.0, -1000.0])[0]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_compiled_half_precision(dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 comes with the extra 'bfloat16'")
    x = lamina.tensor(np.linspace(-2, 2, 33)).astype(dtype)

    def function(x: Any) -> Any:
        y = nn.softmax(lamina.tanh(x) * 2 + lamina.exp(x) / 3)
        return lamina.where(x > 0, y, -y), y.sum(), lamina.maximum(x, 0).astype("float32")

    for got, expected in zip(lamina.function(function)(x), function(x), strict=True):
        assert got.dtype == expected.dtype
        a, b = got.astype("float64").numpy(), expected.astype("float64").numpy()
        np.testing.assert_allclose(a, b, rtol=3e-2, atol=1e-3)
