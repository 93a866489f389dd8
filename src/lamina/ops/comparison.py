"""Elementwise comparison, logic, bits, and questions about floating-point numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core import primitive as core
from lamina.core.errors import DTypeError
from lamina.core.lowering import Elementwise
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, bind, unsupported
from lamina.ops.creation import as_tensor, operands
from lamina.ops.elementwise import floating_operands, quiet, shape_rule, unbroadcast


# --- comparison -----------------------------------------------------------------------------------
def _comparison(name: str, function: Any, emit: Callable[..., Any]) -> Primitive:
    return Primitive(
        name,
        shape=shape_rule(name, result=dtypes.bool_),
        numpy=quiet(function),
        vjp=NOT_DIFFERENTIABLE,
        native=Elementwise(emit),
    )


EQUAL = _comparison("equal", np.equal, lambda b, x, y: b.eq(x, y))
NOT_EQUAL = _comparison("not_equal", np.not_equal, lambda b, x, y: b.ne(x, y))
LESS = _comparison("less", np.less, lambda b, x, y: b.lt(x, y))
LESS_EQUAL = _comparison("less_equal", np.less_equal, lambda b, x, y: b.le(x, y))


def _compare(primitive: Primitive, x: Any, y: Any) -> Any:
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor and x._data.dtype is y._data.dtype:
        return bind(primitive, x, y)
    return bind(primitive, *operands(x, y))


def equal(x: Any, y: Any) -> Any:
    """``x == y`` elementwise, with broadcasting; a bool tensor.

    Example:
        >>> import lamina
        >>> lamina.equal([1, 2], 2).numpy()
        array([False,  True])
    """
    return _compare(EQUAL, x, y)


def not_equal(x: Any, y: Any) -> Any:
    """``x != y`` elementwise, with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.not_equal([1, 2, 3], 2).tolist()
        [True, False, True]
    """
    return _compare(NOT_EQUAL, x, y)


def less(x: Any, y: Any) -> Any:
    """``x < y`` elementwise, with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.less([1, 2, 3], 2).tolist()
        [True, False, False]
    """
    return _compare(LESS, x, y)


def less_equal(x: Any, y: Any) -> Any:
    """``x <= y`` elementwise, with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.less_equal([1, 2, 3], 2).tolist()
        [True, True, False]
    """
    return _compare(LESS_EQUAL, x, y)


def greater(x: Any, y: Any) -> Any:
    """``x > y`` elementwise, with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.greater([1, 2, 3], 2).tolist()
        [False, False, True]
    """
    return _compare(LESS, y, x)


def greater_equal(x: Any, y: Any) -> Any:
    """``x >= y`` elementwise, with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.greater_equal([1, 2, 3], 2).tolist()
        [False, True, True]
    """
    return _compare(LESS_EQUAL, y, x)


# --- logic and bits ---------------------------------------------------------------------------------
def _bitwise(name: str, function: Any, emit: Callable[..., Any], kinds: str = "biu") -> Primitive:
    return Primitive(
        name,
        shape=shape_rule(name, kinds),
        numpy=function,
        vjp=NOT_DIFFERENTIABLE,
        native=Elementwise(emit),
    )


BITWISE_AND = _bitwise("bitwise_and", np.bitwise_and, lambda b, x, y: b.and_(x, y))
BITWISE_OR = _bitwise("bitwise_or", np.bitwise_or, lambda b, x, y: b.or_(x, y))
BITWISE_XOR = _bitwise("bitwise_xor", np.bitwise_xor, lambda b, x, y: b.xor(x, y))
BITWISE_INVERT = _bitwise("bitwise_invert", np.invert, lambda b, x: b.not_(x))
LEFT_SHIFT = _bitwise("bitwise_left_shift", np.left_shift, lambda b, x, y: b.shl(x, y), "iu")
RIGHT_SHIFT = _bitwise("bitwise_right_shift", np.right_shift, lambda b, x, y: b.shr(x, y), "iu")


def as_bool(x: Any) -> Any:
    """Truth of each element: numbers are true where they are not 0."""
    x = as_tensor(x)
    return x if dtypes.is_bool(x._data.dtype) else not_equal(x, 0)


def _bools(x: Any, y: Any) -> tuple[Any, Any]:
    return as_bool(x), as_bool(y)


def logical_and(x: Any, y: Any) -> Any:
    """Whether both are true (not 0).

    Example:
        >>> import lamina
        >>> lamina.logical_and([True, False], [1, 1]).numpy()
        array([ True, False])
    """
    return bind(BITWISE_AND, *_bools(x, y))


def logical_or(x: Any, y: Any) -> Any:
    """Whether at least one is true (not 0).

    Example:
        >>> import lamina
        >>> lamina.logical_or([True, False], [False, False]).tolist()
        [True, False]
    """
    return bind(BITWISE_OR, *_bools(x, y))


def logical_xor(x: Any, y: Any) -> Any:
    """Whether exactly one is true (not 0).

    Example:
        >>> import lamina
        >>> lamina.logical_xor([True, False], [True, True]).tolist()
        [False, True]
    """
    return bind(BITWISE_XOR, *_bools(x, y))


def logical_not(x: Any) -> Any:
    """Whether ``x`` is false (0).

    Example:
        >>> import lamina
        >>> lamina.logical_not([True, False]).tolist()
        [False, True]
    """
    return bind(BITWISE_INVERT, as_bool(x))


def bitwise_and(x: Any, y: Any) -> Any:
    """``x & y`` of integers or bools.

    Example:
        >>> import lamina
        >>> lamina.bitwise_and([6, 3], 5).numpy()
        array([4, 1])
    """
    return bind(BITWISE_AND, *operands(x, y))


def bitwise_or(x: Any, y: Any) -> Any:
    """``x | y`` of integers or bools.

    Example:
        >>> import lamina
        >>> lamina.bitwise_or([1, 2], [4, 2]).tolist()
        [5, 2]
    """
    return bind(BITWISE_OR, *operands(x, y))


def bitwise_xor(x: Any, y: Any) -> Any:
    """``x ^ y`` of integers or bools.

    Example:
        >>> import lamina
        >>> lamina.bitwise_xor([1, 2], [5, 2]).tolist()
        [4, 0]
    """
    return bind(BITWISE_XOR, *operands(x, y))


def bitwise_invert(x: Any) -> Any:
    """``~x`` of integers or bools."""
    return bind(BITWISE_INVERT, as_tensor(x))


def _integers(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = operands(x, y)
    if not dtypes.is_integer(x._data.dtype):  # NumPy would shift bools as int8
        raise DTypeError(f"{name} takes integers and got {x.dtype}. Cast with x.astype('int32').")
    return x, y


def bitwise_left_shift(x: Any, y: Any) -> Any:
    """``x << y`` of integers; 0 where ``y`` is as large as the number of bits.

    Example:
        >>> import lamina
        >>> lamina.bitwise_left_shift([1, 2], 3).tolist()
        [8, 16]
    """
    return bind(LEFT_SHIFT, *_integers("bitwise_left_shift", x, y))


def bitwise_right_shift(x: Any, y: Any) -> Any:
    """``x >> y`` of integers, keeping the sign.

    Example:
        >>> import lamina
        >>> lamina.bitwise_right_shift([8, 9], 2).tolist()
        [2, 2]
    """
    return bind(RIGHT_SHIFT, *_integers("bitwise_right_shift", x, y))


# --- floating-point numbers ---------------------------------------------------------------------
def _sign_bit_native(b: Any, x: Any) -> Any:
    bits = np.dtype(f"int{x.dtype.itemsize * 8}")
    return b.lt(b.bitcast(x, bits), b.const(0, bits))


SIGNBIT = Primitive(
    "signbit",
    shape=shape_rule("signbit", "f", result=dtypes.bool_),
    numpy=np.signbit,
    vjp=NOT_DIFFERENTIABLE,
    native=Elementwise(_sign_bit_native),
)

COPYSIGN = Primitive(
    "copysign",
    shape=shape_rule("copysign", "f"),
    numpy=np.copysign,
    vjp=lambda ct, out, x, y: (
        unbroadcast(ops.multiply(ct, ops.multiply(ops.sign(x), ops.sign(out))), x),
        None,
    ),
    native=Elementwise(
        lambda b, x, y: b.select(_sign_bit_native(b, y), b.neg(b.abs(x)), b.abs(x)),
    ),
)

NEXTAFTER = Primitive(
    "nextafter",
    shape=shape_rule("nextafter", "f"),
    numpy=quiet(np.nextafter),
    vjp=lambda ct, out, x, y: (unbroadcast(ct, x), None),
    native=unsupported("stepping through neighbouring numbers is a tool for tests, not for compiled code"),
)


def isnan(x: Any) -> Any:
    """Whether each element is NaN.

    Example:
        >>> import lamina
        >>> lamina.isnan([1.0, float("nan")]).numpy()
        array([False,  True])
    """
    x = as_tensor(x)
    return not_equal(x, x)  # NaN alone differs from itself


def isinf(x: Any) -> Any:
    """Whether each element is plus or minus infinity.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.isinf([1.0, -math.inf, math.nan]).tolist()
        [False, True, False]
    """
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return not_equal(x, x)
    return equal(ops.abs(x), float("inf"))


def isfinite(x: Any) -> Any:
    """Whether each element is neither infinite nor NaN.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.isfinite([1.0, math.inf, math.nan]).tolist()
        [True, False, False]
    """
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return equal(x, x)
    return less(ops.abs(x), float("inf"))


def signbit(x: Any) -> Any:
    """Whether the sign bit is set: true for negative numbers and for -0.0.

    Example:
        >>> import lamina
        >>> lamina.signbit([1.0, -0.0]).tolist()
        [False, True]
    """
    x = as_tensor(x)
    return bind(SIGNBIT, x) if dtypes.is_float(x.dtype) else less(x, 0)


def copysign(x: Any, y: Any) -> Any:
    """The magnitude of ``x`` with the sign of ``y``.

    Example:
        >>> import lamina
        >>> lamina.copysign([1.0, 2.0], [-1.0, 1.0]).tolist()
        [-1.0, 2.0]
    """
    return bind(COPYSIGN, *floating_operands(x, y))


def nextafter(x: Any, y: Any) -> Any:
    """The neighbour of ``x`` among floating-point numbers in the direction of ``y``."""
    return bind(NEXTAFTER, *floating_operands(x, y))


def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Replace NaN by ``nan`` and the infinities by the largest finite numbers (or what is given).

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nan_to_num([1.0, math.nan, math.inf], posinf=9.0).tolist()
        [1.0, 0.0, 9.0]
    """
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return x
    limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.finfo(np.float32)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    x = ops.where(isnan(x), nan, x)
    x = ops.where(equal(x, float("inf")), top, x)
    return ops.where(equal(x, float("-inf")), bottom, x)
