"""The array API namespace: complete, with the standard's signatures and dtypes.

NumPy, which follows the standard itself, is the oracle.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import array_api as xp
from lamina.core.errors import ArgumentError, DTypeError

# The standard's functions and constants, version 2024.12.
REQUIRED = [
    "e", "inf", "nan", "newaxis", "pi", "asarray", "arange", "empty", "empty_like", "eye", "from_dlpack", "full",
    "full_like", "linspace", "meshgrid", "ones", "ones_like", "tril", "triu", "zeros", "zeros_like", "astype",
    "can_cast", "finfo", "iinfo", "isdtype", "result_type", "bool", "int8", "int16", "int32", "int64", "uint8",
    "uint16", "uint32", "uint64", "float32", "float64", "abs", "acos", "acosh", "add", "asin", "asinh", "atan",
    "atan2", "atanh", "bitwise_and", "bitwise_left_shift", "bitwise_invert", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "ceil", "clip", "conj", "copysign", "cos", "cosh", "divide", "equal", "exp", "expm1", "floor",
    "floor_divide", "greater", "greater_equal", "hypot", "imag", "isfinite", "isinf", "isnan", "less",
    "less_equal", "log", "log1p", "log2", "log10", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "maximum", "minimum", "multiply", "negative", "nextafter", "not_equal", "positive", "pow",
    "real", "reciprocal", "remainder", "round", "sign", "signbit", "sin", "sinh", "square", "sqrt", "subtract",
    "tan", "tanh", "trunc", "take", "take_along_axis", "matmul", "matrix_transpose", "tensordot", "vecdot",
    "broadcast_arrays", "broadcast_to", "concat", "expand_dims", "flip", "moveaxis", "permute_dims", "repeat",
    "reshape", "roll", "squeeze", "stack", "tile", "unstack", "argmax", "argmin", "count_nonzero", "nonzero",
    "searchsorted", "where", "unique_all", "unique_counts", "unique_inverse", "unique_values", "argsort", "sort",
    "cumulative_prod", "cumulative_sum", "max", "mean", "min", "prod", "std", "sum", "var", "all", "any", "diff",
    "__array_namespace_info__", "__array_api_version__",
]
LINALG = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]

# Arguments that the standard passes by keyword.
KEYWORDS = {
    "arange": "dtype device",
    "asarray": "dtype device copy",
    "astype": "copy device",
    "argmax": "axis keepdims",
    "argsort": "axis descending stable",
    "broadcast_to": "shape",
    "clip": "min max",
    "concat": "axis",
    "cumulative_prod": "axis dtype include_initial",
    "cumulative_sum": "axis dtype include_initial",
    "diff": "axis n prepend append",
    "expand_dims": "axis",
    "eye": "k dtype device",
    "flip": "axis",
    "from_dlpack": "device copy",
    "full": "shape fill_value dtype device",
    "linspace": "num dtype device endpoint",
    "meshgrid": "indexing",
    "permute_dims": "axes",
    "prod": "axis dtype keepdims",
    "repeat": "axis",
    "reshape": "shape copy",
    "roll": "shift axis",
    "searchsorted": "side sorter",
    "sort": "axis descending stable",
    "squeeze": "axis",
    "stack": "axis",
    "std": "axis correction keepdims",
    "sum": "axis dtype keepdims",
    "take": "axis",
    "take_along_axis": "axis",
    "tensordot": "axes",
    "tril": "k",
    "unstack": "axis",
    "vecdot": "axis",
    "zeros": "shape dtype device",
    "zeros_like": "dtype device",
    "linalg.cholesky": "upper",
    "linalg.cross": "axis",
    "linalg.diagonal": "offset",
    "linalg.matrix_norm": "keepdims ord",
    "linalg.matrix_rank": "rtol",
    "linalg.pinv": "rtol",
    "linalg.qr": "mode",
    "linalg.svd": "full_matrices",
    "linalg.trace": "offset dtype",
    "linalg.vector_norm": "axis keepdims ord",
}


def find(name: str) -> Any:
    value: Any = xp
    for part in name.split("."):
        value = getattr(value, part)
    return value


def test_the_namespace_is_complete() -> None:
    assert not [n for n in REQUIRED if not hasattr(xp, n) or n not in xp.__all__]
    assert not [n for n in LINALG if not hasattr(xp.linalg, n)]
    assert sorted(xp.__all__) == sorted({*REQUIRED, "linalg"})


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords(name: str) -> None:
    parameters = inspect.signature(find(name)).parameters
    assert set(KEYWORDS[name].split()) <= set(parameters)


def test_it_is_found_from_a_tensor() -> None:
    x = lamina.ones((2,))
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(ValueError, match=r"2099\.12"):
        x.__array_namespace__(api_version="2099.12")
    assert xp.__array_api_version__ == "2024.12"


def test_devices() -> None:
    x = xp.ones((2,), device="cpu")
    assert x.device == "cpu"
    assert x.to_device("cpu") is x
    with pytest.raises(ArgumentError, match="gpu"):
        xp.ones((2,), device="gpu")
    with pytest.raises(ArgumentError, match="gpu"):
        x.to_device("gpu")


def test_info() -> None:
    info = xp.__array_namespace_info__()
    assert info.devices() == ["cpu"]
    assert info.default_device() == "cpu"
    assert info.default_dtypes() == {"real floating": xp.float32, "integral": xp.int64, "indexing": xp.int64}
    assert info.dtypes(kind="real floating") == {"float32": xp.float32, "float64": xp.float64}
    assert set(info.dtypes(kind=("bool", "signed integer"))) == {"bool", "int8", "int16", "int32", "int64"}
    assert len(info.dtypes()) == 11
    assert info.capabilities()["boolean indexing"] is True


def test_dtypes_of_results() -> None:
    small = xp.asarray([1, 2, 3], dtype=xp.int8)
    assert xp.sum(small).dtype == xp.int64
    assert xp.sum(xp.asarray([1], dtype=xp.uint16)).dtype == xp.uint64
    assert xp.prod(xp.ones(2, dtype=xp.float32)).dtype == xp.float32
    assert xp.cumulative_sum(small).dtype == xp.int64
    assert xp.argmax(small).dtype == xp.nonzero(small)[0].dtype == xp.count_nonzero(small).dtype == xp.int64
    assert xp.linalg.trace(xp.asarray([[1]], dtype=xp.int8)).dtype == xp.int64
    assert xp.vecdot(small, small).dtype == xp.matmul(small, small).dtype == xp.int8
    assert xp.floor(small).dtype == xp.int8
    assert (small + 1).dtype == xp.int8
    assert (small + xp.asarray([1], dtype=xp.uint8)).dtype == xp.int16


def test_promotion() -> None:
    assert xp.result_type(xp.int8, xp.uint8) == xp.int16
    assert xp.result_type(xp.ones(1, dtype=xp.float32), 1.5, xp.float64) == xp.float64
    assert xp.result_type(xp.uint8, 7) == xp.uint8
    assert xp.can_cast(xp.ones(1, dtype=xp.int8), xp.int16)
    assert not xp.can_cast(xp.int16, xp.int8)
    assert not xp.can_cast(xp.uint64, xp.int64)
    with pytest.raises(DTypeError, match="uint64"):
        xp.result_type(xp.uint64, xp.int8)
    with pytest.raises(ArgumentError):
        xp.result_type(1, 2.0)


def test_kinds() -> None:
    assert xp.isdtype(xp.uint8, "unsigned integer")
    assert xp.isdtype(xp.float64, ("integral", xp.float64))
    assert not xp.isdtype(xp.bool, "numeric")
    assert not xp.isdtype(xp.float32, "complex floating")
    with pytest.raises(ArgumentError, match="floating"):
        xp.isdtype(xp.float32, "float")
    with pytest.raises(DTypeError):
        xp.isdtype("float32", "numeric")


def test_limits() -> None:
    for dtype in (xp.float32, xp.float64):
        got, expected = xp.finfo(dtype), np.finfo(dtype)
        assert (got.bits, got.dtype) == (expected.bits, dtype)
        for name in ("eps", "max", "min", "smallest_normal"):
            value = getattr(got, name)
            assert type(value) is float
            assert value == getattr(expected, name)
    assert (xp.iinfo(xp.uint8).min, xp.iinfo(xp.uint8).max, xp.iinfo(xp.uint8).bits) == (0, 255, 8)
    assert xp.iinfo(xp.ones(1, dtype=xp.int64)).max == 2**63 - 1
    with pytest.raises(DTypeError, match="iinfo"):
        xp.finfo(xp.int8)
    with pytest.raises(DTypeError, match="finfo"):
        xp.iinfo(xp.float32)


def test_limits_of_bfloat16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    got, expected = xp.finfo(lamina.bfloat16), ml_dtypes.finfo(lamina.bfloat16)
    assert (got.bits, got.eps, got.max, got.smallest_normal) == (
        16,
        *(float(v) for v in (expected.eps, expected.max, expected.smallest_normal)),
    )
    assert xp.isdtype(lamina.bfloat16, "real floating")


def test_conversion() -> None:
    x = xp.asarray([1.0, 2.0])
    assert xp.asarray(x, copy=False) is x
    assert xp.asarray(x, copy=True).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray([1.0], copy=False)
    with pytest.raises(ValueError, match="copy=False"):
        xp.asarray(x, dtype=xp.float64, copy=False)
    array = np.arange(3)
    made = xp.from_dlpack(array)
    array[0] = 9
    assert made.tolist() == [0, 1, 2]
    assert xp.from_dlpack(x) is x


def test_real_numbers_as_complex_ones() -> None:
    x = xp.asarray([1.0, -2.0])
    assert xp.conj(x).tolist() == xp.real(x).tolist() == [1.0, -2.0]
    assert xp.imag(x).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_diff(n: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, 9, (3, 4))
    for axis in (0, -1):
        got = xp.diff(lamina.tensor(x), axis=axis, n=n)
        np.testing.assert_array_equal(got.numpy(), np.diff(x, n=n, axis=axis))
    extra = rng.integers(0, 9, (3, 2))
    got = xp.diff(lamina.tensor(x), n=n, prepend=lamina.tensor(extra), append=lamina.tensor(extra))
    np.testing.assert_array_equal(got.numpy(), np.diff(x, n=n, prepend=extra, append=extra))


def test_a_function_written_against_the_standard() -> None:
    def standardize(x: Any) -> Any:
        space = x.__array_namespace__()
        centered = x - space.mean(x, axis=0, keepdims=True)
        return centered / space.sqrt(space.mean(space.square(centered), axis=0, keepdims=True))

    values = np.array([[1.0, 2.0], [3.0, 5.0], [8.0, 6.0]])
    np.testing.assert_allclose(standardize(lamina.tensor(values)).numpy(), standardize(values), rtol=1e-12)
