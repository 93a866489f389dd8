"""Dtypes are NumPy dtypes; this file names them and says how they promote.

Promotion follows the Python array API within a kind.  Across kinds, where that standard is
silent, an integer (or bool) meets a float by taking the float's dtype, as in PyTorch, JAX and
Keras.  Python scalars are weak: they take the dtype of the array they meet.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lamina.core.errors import DTypeError
from lamina.core.optional import require

bool_ = np.dtype(np.bool_)
int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{n}") for n in (16, 32, 64))

NAMES = {
    "bool": bool_,
    **{str(d): d for d in (int8, int16, int32, int64, uint8, uint16, uint32, uint64)},
    **{str(d): d for d in (float16, float32, float64)},
}
DEFAULT_FLOAT = float32
DEFAULT_INT = int64


@cache
def bfloat16() -> np.dtype[Any]:
    """The bfloat16 dtype, which NumPy gets from the package ``ml_dtypes``."""
    module = require("ml_dtypes", "bfloat16", "the dtype bfloat16")
    return np.dtype(module.bfloat16)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether it is a floating-point dtype (bfloat16 included)."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Whether it is a signed or unsigned integer dtype (bool is not)."""
    return dtype.kind in "iu"


def is_bool(dtype: np.dtype[Any]) -> bool:
    """Whether it is the bool dtype."""
    return dtype.kind == "b"


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Turn a name, a Python type or a NumPy dtype into one of Lamina's dtypes.

    Raises:
        DTypeError: it is none of bool, (u)int8..64, float16/32/64, bfloat16.
    """
    if isinstance(dtype, np.dtype):
        found = dtype
    elif dtype is float:
        return DEFAULT_FLOAT
    elif dtype is int:
        return DEFAULT_INT
    elif dtype is bool:
        return bool_
    elif isinstance(dtype, str) and dtype == "bfloat16":
        return bfloat16()
    else:
        try:
            found = np.dtype(dtype)
        except TypeError:
            raise DTypeError(f"{dtype!r} is not a dtype. Use one of: {', '.join(NAMES)}, bfloat16.") from None
    canonical = NAMES.get(found.name)  # one object for each, in native byte order: equal ones are identical
    if canonical is not None:
        return canonical
    if found.name == "bfloat16":
        return bfloat16()
    raise DTypeError(f"Lamina has no dtype {found.name!r}. Use one of: {', '.join(NAMES)}, bfloat16.")


@cache
def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which values of ``a`` and ``b`` meet."""
    if a == b:
        return a
    if is_float(a) and is_float(b):
        if a.itemsize == b.itemsize:  # float16 meets bfloat16
            return float32
        return a if a.itemsize > b.itemsize else b
    if is_float(a) or is_float(b):
        return a if is_float(a) else b
    promoted = np.promote_types(a, b)
    if promoted.kind == "f":  # uint64 meets a signed integer: NumPy leaves the integers here
        raise DTypeError(
            f"{a} and {b} have no common integer dtype. Cast one of them first, e.g. x.astype('int64')."
        )
    return promoted


def scalar_dtype(value: bool | int | float, other: np.dtype[Any] | None) -> np.dtype[Any]:
    """The dtype that a Python scalar takes beside an array of dtype ``other`` (or alone)."""
    if isinstance(value, bool):
        return other if other is not None else bool_
    if isinstance(value, int):
        if other is None or is_bool(other):
            return DEFAULT_INT
        return other
    if other is None or not is_float(other):
        return DEFAULT_FLOAT
    return other
