"""TensorFlow's rules for turning values into tensors, and adapters for functions that differ in nothing else.

Python integers become int32 (int64 where they do not fit), Python floats float32, NumPy arrays keep their
dtype.  Where a function takes several values of one dtype, the first tensor's dtype, else the first value's,
is that of the others.  Tensors of different dtypes are promoted as everywhere in Lamina; TensorFlow raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import DTypeError
from lamina.layers import SymbolicTensor
from lamina.tensor import Tensor, Variable

_INT32 = np.iinfo(np.int32)
_NUMBERS = {bool: dtypes.bool_, int: dtypes.int32, float: dtypes.float32}


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """A Tensor of ``value``, with TensorFlow's default dtypes; itself if it is one.

    Args:
        value: number, nested list, NumPy array, Tensor or Variable.
        dtype: the dtype it must have.
        dtype_hint: the dtype for values that have none, where they fit.
        name: not used.

    Raises:
        DTypeError: a tensor has another dtype than ``dtype``, as in TensorFlow: use ``cast``.

    Example:
        >>> convert_to_tensor([1, 2]).dtype, convert_to_tensor(1.5).dtype
        (dtype('int32'), dtype('float32'))
    """
    if isinstance(value, Tensor | Variable | SymbolicTensor):
        if dtype is not None and value.dtype != dtypes.as_dtype(dtype):
            wanted = dtypes.as_dtype(dtype)
            raise DTypeError(f"convert_to_tensor: expected {wanted}, the tensor is {value.dtype}: tf.cast it.")
        return value if isinstance(value, SymbolicTensor) else ops.as_tensor(value)
    if dtype is None and dtype_hint is not None:
        dtype = _fitting(value, dtypes.as_dtype(dtype_hint))
    if dtype is None and type(value) in _NUMBERS and (type(value) is not int or abs(value) <= _INT32.max):
        dtype = _NUMBERS[type(value)]
    if dtype is not None:
        return ops.as_tensor(value, dtype=dtype)
    tensor = ops.as_tensor(value)
    if isinstance(value, np.ndarray | np.generic):
        return tensor
    known = _leaf_dtype(value)
    if known is not None:
        return ops.astype(tensor, known)
    small = tensor.dtype == dtypes.int64 and (not tensor.size or np.abs(np.asarray(tensor)).max() <= _INT32.max)
    return ops.astype(tensor, dtypes.int32) if small else tensor


def _leaf_dtype(value: Any) -> Any:
    """The dtype of the first tensor or NumPy value in a nested list."""
    if isinstance(value, list | tuple):
        return next((found for v in value if (found := _leaf_dtype(v)) is not None), None)
    return getattr(value, "dtype", None)


def _fitting(value: Any, wanted: np.dtype[Any]) -> Any:
    """The wanted dtype if the value's kind of numbers can take it: floats never become integers."""
    kinds = "biuf"
    found = value.dtype if hasattr(value, "dtype") else _NUMBERS.get(type(value)) or np.asarray(value).dtype
    if dtypes.is_float(wanted):
        return wanted if found.kind in "iuf" else None
    return wanted if kinds.find(found.kind.replace("u", "i")) == kinds.find(wanted.kind.replace("u", "i")) else None


def matched(*values: Any) -> list[Any]:
    """Several values as tensors of one dtype, where they have none of their own."""
    hint = next((v.dtype for v in values if isinstance(v, Tensor | Variable | SymbolicTensor)), None)
    found = []
    for value in values:
        tensor = convert_to_tensor(value, dtype_hint=hint)
        hint = tensor.dtype if hint is None else hint
        found.append(tensor)
    return found


def static(value: Any) -> Any:
    """Sizes, axes and shapes as Python numbers: TensorFlow's functions take them as tensors too."""
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, list | tuple):
        return type(value)(static(v) for v in value)
    return np.asarray(value).tolist()


def axes(axis: Any) -> Any:
    """An axis, or a tuple of axes, from whatever TensorFlow takes."""
    axis = static(axis)
    return tuple(axis) if isinstance(axis, list) else axis


def unary(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one tensor under TensorFlow's conversion and with its ``name``."""

    @functools.wraps(function)
    def call(x: Any, name: str | None = None) -> Any:
        return function(convert_to_tensor(x))

    return call


def binary(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two tensors of one dtype under TensorFlow's conversion and with its ``name``."""

    @functools.wraps(function)
    def call(x: Any, y: Any, name: str | None = None) -> Any:
        return function(*matched(x, y))

    return call
