"""The Python array API standard, 2024.12, for Lamina's tensors (real dtypes).

Libraries that are written against the standard take this namespace from a Tensor
(``x.__array_namespace__()``).  It holds what only the standard needs: the ``device`` and ``copy``
arguments, the functions that answer questions about dtypes, and its constants.  Everything else
is the function of the same name in ``lamina``.

The standard: https://data-apis.org/array-api/2024.12/.  Left out are the complex dtypes and the
extension ``fft``.  Tensors are immutable, so ``x[key] = value`` raises.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from math import e, inf, nan, pi
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes as _dtypes
from lamina.core.dtypes import (
    bool_ as bool,
)
from lamina.core.dtypes import (
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lamina.core.errors import ArgumentError, DTypeError
from lamina.ops import (
    abs,
    acos,
    acosh,
    add,
    all,
    any,
    argmax,
    argmin,
    argsort,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    broadcast_arrays,
    broadcast_to,
    ceil,
    clip,
    concat,
    copysign,
    cos,
    cosh,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    divide,
    equal,
    exp,
    expand_dims,
    expm1,
    flip,
    floor,
    floor_divide,
    greater,
    greater_equal,
    hypot,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    linalg,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    matmul,
    matrix_transpose,
    max,
    maximum,
    mean,
    meshgrid,
    min,
    minimum,
    moveaxis,
    multiply,
    negative,
    nextafter,
    nonzero,
    not_equal,
    permute_dims,
    positive,
    pow,
    prod,
    reciprocal,
    remainder,
    repeat,
    roll,
    round,
    searchsorted,
    sign,
    signbit,
    sin,
    sinh,
    sort,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    subtract,
    sum,
    take,
    take_along_axis,
    tan,
    tanh,
    tensordot,
    tile,
    tril,
    triu,
    trunc,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    unstack,
    var,
    vecdot,
    where,
)
from lamina.tensor import Tensor

__array_api_version__ = "2024.12"
newaxis = None

_DTYPES = {
    "bool": bool,
    **{d.name: d for d in (int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64)},
}
_KINDS: dict[str, tuple[Any, ...]] = {
    "bool": (bool,),
    "signed integer": (int8, int16, int32, int64),
    "unsigned integer": (uint8, uint16, uint32, uint64),
    "real floating": (_dtypes.float16, float32, float64),
    "complex floating": (),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"]

__all__ = [
    "__array_api_version__", "__array_namespace_info__", "abs", "acos", "acosh", "add", "all", "any", "arange",
    "argmax", "argmin", "argsort", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bool",
    "broadcast_arrays", "broadcast_to", "can_cast", "ceil", "clip", "concat", "conj", "copysign", "cos", "cosh",
    "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "divide", "e", "empty", "empty_like", "equal",
    "exp", "expand_dims", "expm1", "eye", "finfo", "flip", "float32", "float64", "floor", "floor_divide",
    "from_dlpack", "full", "full_like", "greater", "greater_equal", "hypot", "iinfo", "imag", "inf", "int16",
    "int32", "int64", "int8", "isdtype", "isfinite", "isinf", "isnan", "less", "less_equal", "linalg", "linspace",
    "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "matmul", "matrix_transpose", "max", "maximum", "mean", "meshgrid", "min", "minimum", "moveaxis", "multiply",
    "nan", "negative", "newaxis", "nextafter", "nonzero", "not_equal", "ones", "ones_like", "permute_dims", "pi",
    "positive", "pow", "prod", "real", "reciprocal", "remainder", "repeat", "reshape", "result_type", "roll",
    "round", "searchsorted", "sign", "signbit", "sin", "sinh", "sort", "sqrt", "square", "squeeze", "stack",
    "std", "subtract", "sum", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "tril", "triu",
    "trunc", "uint16", "uint32", "uint64", "uint8", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "unstack", "var", "vecdot", "where", "zeros", "zeros_like",
]


# --- devices ----------------------------------------------------------------------------------------
def _check_device(device: Any) -> None:
    if device not in (None, "cpu"):
        raise ArgumentError(f"There is one device, 'cpu'; got {device!r}.")


class __array_namespace_info__:  # noqa: N801 - the standard's name
    """What this namespace offers: ``capabilities()``, ``dtypes()``, ``devices()`` and the defaults.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.__array_namespace_info__().devices()
        ['cpu']
    """

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks and functions such as ``unique_values`` work; dimensions are limited by NumPy."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device that is used when none is named."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtype of Python floats and integers, and of indices."""
        _check_device(device)
        return {"real floating": float32, "integral": int64, "indexing": int64}

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The standard's dtypes that exist here, by name; only those of ``kind``, if given."""
        _check_device(device)
        return {name: d for name, d in _DTYPES.items() if kind is None or isdtype(d, kind)}


# --- creation ---------------------------------------------------------------------------------------
def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A Tensor of a number, a nested list, an array or a Tensor.

    Args:
        obj: what to convert.
        dtype: dtype of the result; default that of ``obj``.
        device: ``None`` or ``"cpu"``.
        copy: ``False`` refuses where a copy cannot be avoided.  Only a Tensor needs none: as Tensors
            never change, there is no difference between one and its copy.

    Raises:
        ArgumentError: ``copy=False`` and a copy is needed.
    """
    _check_device(device)
    if copy is False and (not isinstance(obj, Tensor) or (dtype is not None and obj.dtype != _dtypes.as_dtype(dtype))):
        raise ArgumentError(f"asarray: a {type(obj).__name__} becomes such a tensor by copying; leave out copy=False.")
    return ops.asarray(obj, dtype)


def from_dlpack(x: Any, /, *, device: Any = None, copy: builtins.bool | None = None) -> Tensor:
    """A Tensor with the values of another library's array on the CPU.

    They are copied, since their owner may change them; ``copy=False`` is for Tensors only.
    """
    _check_device(device)
    if isinstance(x, Tensor):
        return x
    if copy is False:
        raise ArgumentError("from_dlpack: a Tensor shares no memory that its owner may change; leave out copy=False.")
    return ops.tensor(np.from_dlpack(x))


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.arange`` on a device."""
    _check_device(device)
    return ops.arange(start, stop, step, dtype)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.empty`` on a device."""
    return zeros(shape, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.empty_like`` on a device."""
    return zeros_like(x, dtype=dtype, device=device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.eye`` on a device."""
    _check_device(device)
    return ops.eye(n_rows, n_cols, k, dtype)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.full`` on a device."""
    _check_device(device)
    return ops.full(shape, fill_value, dtype)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.full_like`` on a device."""
    _check_device(device)
    return ops.full_like(x, fill_value, dtype)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: builtins.bool = True
) -> Tensor:
    """``lamina.linspace`` on a device."""
    _check_device(device)
    return ops.linspace(start, stop, num, dtype, endpoint)


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.ones`` on a device."""
    _check_device(device)
    return ops.ones(shape, dtype)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.ones_like`` on a device."""
    _check_device(device)
    return ops.ones_like(x, dtype)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.zeros`` on a device."""
    _check_device(device)
    return ops.zeros(shape, dtype)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """``lamina.zeros_like`` on a device."""
    _check_device(device)
    return ops.zeros_like(x, dtype)


# --- dtypes -----------------------------------------------------------------------------------------
def astype(x: Tensor, dtype: Any, /, *, copy: builtins.bool = True, device: Any = None) -> Tensor:
    """``x`` in another dtype.  ``copy`` makes no difference to tensors, which never change."""
    _check_device(device)
    return ops.astype(x, dtype)


def _dtype_of(value: Any) -> np.dtype[Any]:
    found = getattr(value, "dtype", value)  # dtypes have no attribute dtype
    if not isinstance(found, np.dtype):
        raise DTypeError(f"Expected a tensor or a dtype and got {value!r}.")
    return _dtypes.as_dtype(found)


def can_cast(from_: Any, to: Any, /) -> builtins.bool:
    """Whether a tensor or dtype becomes the dtype ``to`` by the rules of promotion.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.can_cast(xp.int8, xp.int32), xp.can_cast(xp.float64, xp.float32)
        (True, False)
    """
    source, target = _dtype_of(from_), _dtype_of(to)
    try:
        return _dtypes.promote(source, target) == target
    except DTypeError:
        return False


@dataclass(frozen=True)
class FloatInfo:
    """What ``finfo`` returns: the limits of a floating-point dtype, as Python floats."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: Any


@dataclass(frozen=True)
class IntegerInfo:
    """What ``iinfo`` returns: the limits of an integer dtype, as Python integers."""

    bits: int
    max: int
    min: int
    dtype: Any


def finfo(type: Any, /) -> FloatInfo:
    """The limits of the floating-point dtype of a tensor, or of a dtype.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.finfo(xp.float32).bits
        32
    """
    dtype = _dtype_of(type)
    if not _dtypes.is_float(dtype):
        raise DTypeError(f"finfo takes a floating-point dtype and got {dtype}. Use iinfo for integers.")
    if dtype.kind != "f":  # bfloat16: 8 bits of significand, the exponents of float32
        eps, small = 2.0**-7, 2.0**-126
        largest = (2 - eps) * 2.0**127
        return FloatInfo(16, eps, largest, -largest, small, dtype)
    found = np.finfo(dtype)
    eps, largest, least, small = (float(v) for v in (found.eps, found.max, found.min, found.smallest_normal))
    return FloatInfo(found.bits, eps, largest, least, small, dtype)


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of the integer dtype of a tensor, or of a dtype."""
    dtype = _dtype_of(type)
    if not _dtypes.is_integer(dtype):
        raise DTypeError(f"iinfo takes an integer dtype and got {dtype}. Use finfo for floating point.")
    found = np.iinfo(dtype)
    return IntegerInfo(found.bits, int(found.max), int(found.min), dtype)


def isdtype(dtype: Any, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind.

    Args:
        dtype: a dtype.
        kind: a dtype, the name of a kind (``"bool"``, ``"signed integer"``, ``"unsigned integer"``,
            ``"integral"``, ``"real floating"``, ``"complex floating"``, ``"numeric"``), or a tuple of these.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.isdtype(xp.int8, "integral"), xp.isdtype(xp.int8, (xp.bool, "real floating"))
        (True, False)
    """
    dtype = _dtype_of(dtype)
    if isinstance(kind, tuple):
        return builtins.any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"isdtype: {kind!r} is not a kind. Use one of: {', '.join(_KINDS)}.")
        return dtype in _KINDS[kind] or (dtype.name == "bfloat16" and kind in ("real floating", "numeric"))
    return dtype == _dtype_of(kind)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype in which tensors, dtypes and Python scalars meet.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.result_type(xp.int8, xp.int16, 3)
        dtype('int16')
    """
    scalars = [v for v in arrays_and_dtypes if isinstance(v, builtins.bool | int | float)]
    found = [_dtype_of(v) for v in arrays_and_dtypes if not isinstance(v, builtins.bool | int | float)]
    if not found:
        raise ArgumentError("result_type needs at least one tensor or dtype.")
    common = found[0]
    for dtype in found[1:]:
        common = _dtypes.promote(common, dtype)
    for value in scalars:
        common = _dtypes.promote(common, _dtypes.scalar_dtype(value, common))
    return common


# --- functions that the rest of Lamina does not need --------------------------------------------------
def reshape(x: Tensor, /, shape: Sequence[int], *, copy: builtins.bool | None = None) -> Tensor:
    """``lamina.reshape``.  ``copy`` makes no difference to tensors, which never change."""
    return ops.reshape(x, shape)


def conj(x: Tensor, /) -> Tensor:
    """The complex conjugate, which for real numbers is the number itself."""
    return ops.positive(x)


def real(x: Tensor, /) -> Tensor:
    """The real part, which for real numbers is the number itself."""
    return ops.positive(x)


def imag(x: Tensor, /) -> Tensor:
    """The imaginary part, which for real numbers is 0."""
    return ops.zeros_like(x)


def diff(x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """The ``n``-th differences ``x[i + 1] - x[i]`` along an axis.

    Args:
        x: tensor of numbers with at least one dimension.
        axis: along which to subtract.
        n: how often.
        prepend, append: tensors that are put before and after ``x`` along the axis first.

    Example:
        >>> from lamina import array_api as xp
        >>> xp.diff(xp.asarray([1, 2, 4, 7])).tolist()
        [1, 2, 3]
    """
    if n < 0:
        raise ArgumentError(f"diff: n is not negative; got {n}.")
    axis = ops.shape.normalize_axis("diff", axis, x.ndim)
    if n == 0:
        return x
    parts = [part for part in (prepend, x, append) if part is not None]
    x = ops.concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        size = x.shape[axis]
        x = ops.subtract(
            ops.indexing.narrow(x, axis, builtins.min(1, size), size),
            ops.indexing.narrow(x, axis, 0, builtins.max(size - 1, 0)),
        )
    return x
