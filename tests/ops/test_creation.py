"""Making tensors: conversion of values, filled arrays, ranges, grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina


# --- conversion ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"),
        (3, "int64"),
        (2.5, "float32"),
        ([1, 2], "int64"),
        ([1, 2.5], "float32"),
        ([[True], [False]], "bool"),
        ([], "float32"),
        (np.float64(1), "float64"),
        ([np.float64(1), 2.0], "float64"),
        (np.arange(3, dtype=np.uint8), "uint8"),
        (np.arange(3, dtype=">f8"), "float64"),
        (np.zeros((2, 3), order="F"), "float64"),
        (range(3), None),
    ],
)
def test_dtypes_of_converted_values(value: Any, dtype: str | None) -> None:
    if dtype is None:
        with pytest.raises(lamina.DTypeError, match="range does not become a tensor"):
            lamina.tensor(value)
        return
    t = lamina.tensor(value)
    assert t.dtype == dtype and t.dtype.isnative
    np.testing.assert_array_equal(t.numpy(), np.asarray(value))


def test_tensors_of_tensors_are_stacked() -> None:
    x, y = lamina.tensor([1.0, 2.0]), lamina.tensor([3.0, 4.0])
    assert lamina.tensor([x, y]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    stacked = lamina.function(lambda a, b: lamina.tensor([[a.sum(), b.sum()], [a.max(), b.max()]]))(x, y)
    assert stacked.tolist() == [[3.0, 7.0], [2.0, 4.0]]


def test_a_tensor_is_a_copy_of_its_array() -> None:
    array = np.zeros(3)
    t = lamina.tensor(array)
    array[:] = 1
    assert t.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([[1], [2, 3]], lamina.ShapeError, "ragged"),
        (["a"], lamina.DTypeError, "'a'"),
        ("text", lamina.DTypeError, "str does not become a tensor"),
        (1j, lamina.DTypeError, "complex"),
        (np.zeros(2, complex), lamina.DTypeError, "complex128"),
        (object(), lamina.DTypeError, "object"),
    ],
)
def test_what_is_no_tensor_says_so(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lamina.tensor(value)


# --- filled arrays -------------------------------------------------------------------------------------
def test_filled_arrays() -> None:
    for made, expected in [
        (lamina.zeros((2, 3)), np.zeros((2, 3), np.float32)),
        (lamina.ones(4, "int8"), np.ones(4, np.int8)),
        (lamina.full((2,), 7), np.full(2, 7)),
        (lamina.full((2,), 7.0), np.full(2, 7, np.float32)),
        (lamina.full((2, 2), [1, 2]), np.array([[1, 2], [1, 2]])),
        (lamina.full((), True), np.array(True)),
        (lamina.zeros_like(np.ones(3, np.int16)), np.zeros(3, np.int16)),
        (lamina.ones_like(lamina.zeros(2), dtype="bool"), np.ones(2, bool)),
        (lamina.full_like([1, 2], 5), np.array([5, 5])),
        (lamina.empty((0, 2)), np.zeros((0, 2), np.float32)),
        (lamina.empty_like([1, 2]), np.zeros(2, np.int64)),
    ]:
        assert made.dtype == expected.dtype
        np.testing.assert_array_equal(made.numpy(), expected)


@pytest.mark.parametrize("shape", [-1, (2, -3), (1.5,), "ab"])
def test_shapes_are_whole_and_not_negative(shape: Any) -> None:
    with pytest.raises(lamina.ShapeError, match=r"shape"):
        lamina.zeros(shape)


# --- ranges ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    [
        (5,),
        (0,),
        (-3,),
        (2, 9),
        (9, 2),
        (2, 9, 3),
        (9, 2, -2),
        (0.0, 1.0, 0.1),
        (1.5,),
        (0, 10, 2.5),
        (2**60, 2**60 + 3),
    ],
)
def test_arange_is_numpys(arguments: tuple[Any, ...]) -> None:
    expected = np.arange(*arguments)
    got = lamina.arange(*arguments)
    assert got.dtype == ("float32" if expected.dtype == np.float64 else "int64")
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    compiled = lamina.function(lambda x: lamina.arange(*arguments) + x)(lamina.zeros((), got.dtype))
    np.testing.assert_array_equal(compiled.numpy(), got.numpy())


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64", "float16", "float32", "float64", "bfloat16"])
def test_arange_of_a_dtype(dtype: str) -> None:
    got = lamina.arange(3, 20, 4, dtype=dtype)
    assert got.dtype == lamina.as_dtype(dtype)
    assert got.astype("int64").tolist() == [3, 7, 11, 15, 19]


def test_arange_needs_a_step() -> None:
    with pytest.raises(lamina.ArgumentError, match="step"):
        lamina.arange(1, 2, 0)


def test_linspace() -> None:
    for endpoint in (True, False):
        got = lamina.linspace(-1, 2, 7, dtype="float64", endpoint=endpoint)
        np.testing.assert_array_equal(got.numpy(), np.linspace(-1, 2, 7, endpoint=endpoint))
    assert lamina.linspace(0, 1, 1).tolist() == [0.0]
    assert lamina.linspace(0, 1, 0).shape == (0,)
    with pytest.raises(lamina.ArgumentError, match="num"):
        lamina.linspace(0, 1, -1)


@pytest.mark.parametrize("k", [-4, -1, 0, 2, 5])
def test_eye_and_triangles(k: int) -> None:
    np.testing.assert_array_equal(lamina.eye(3, 4, k, dtype="int32").numpy(), np.eye(3, 4, k, dtype=np.int32))
    x = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(lamina.tril(x, k).numpy(), np.tril(x, k))
    np.testing.assert_array_equal(lamina.triu(x, k).numpy(), np.triu(x, k))
    np.testing.assert_array_equal(lamina.tril(x > 3, k).numpy(), np.tril(x > 3, k))


def test_triangles_need_matrices() -> None:
    for function in (lamina.tril, lamina.triu):
        with pytest.raises(lamina.ShapeError, match=r"\(3,\)"):
            function(lamina.zeros(3))


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_meshgrid_is_numpys(indexing: str, count: int) -> None:
    axes = [np.arange(2), np.arange(3) * 10, np.arange(4) * 100][:count]
    for got, expected in zip(
        lamina.meshgrid(*axes, indexing=indexing),
        np.meshgrid(*axes, indexing=indexing),  # type: ignore[call-overload]
        strict=True,
    ):
        np.testing.assert_array_equal(got.numpy(), expected)


def test_meshgrid_of_nothing_and_of_a_wrong_order() -> None:
    assert lamina.meshgrid() == []
    with pytest.raises(lamina.ArgumentError, match="'xy' or 'ij'"):
        lamina.meshgrid([1], indexing="yx")


@pytest.mark.parametrize("arguments", [(5,), (9, 2, -2), (0, 1, 0.25), (2**53, 2**53 + 4)])
def test_arange_compiled(arguments: tuple[Any, ...]) -> None:
    compiled = lamina.function(lambda x: lamina.arange(*arguments) + x, backend="native")
    np.testing.assert_array_equal(compiled(lamina.tensor(0)).numpy(), np.arange(*arguments))


def test_the_size_of_arange_is_known_while_capturing() -> None:
    with pytest.raises(lamina.CaptureError):
        lamina.function(lambda n: lamina.arange(n), backend="eager")(lamina.tensor(3))


def test_triangles_compiled_and_with_values_that_are_no_numbers() -> None:
    x = np.array([[1.0, np.nan, 2.0], [3.0, 4.0, np.inf]])
    for f, g in ((lamina.tril, np.tril), (lamina.triu, np.triu)):
        compiled = lamina.function(f, backend="native")
        np.testing.assert_array_equal(compiled(lamina.tensor(x)).numpy(), g(x))
        np.testing.assert_array_equal(f(x).numpy(), g(x))
