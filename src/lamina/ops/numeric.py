"""More elementwise functions: angles, roots, whole numbers, tests for special values.  All are composites."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import DTypeError, ShapeError
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, unsupported
from lamina.ops.creation import as_tensor, operands
from lamina.ops.elementwise import floating, floating_operands


# --- angles, roots and powers -----------------------------------------------------------------------
def deg2rad(x: Any) -> Any:
    """Degrees as radians: ``x * pi / 180``.

    Example:
        >>> import lamina
        >>> round(lamina.deg2rad(180.0).item(), 5)
        3.14159
    """
    return ops.multiply(floating("deg2rad", x), math.pi / 180)


def rad2deg(x: Any) -> Any:
    """Radians as degrees: ``x * 180 / pi``."""
    return ops.multiply(floating("rad2deg", x), 180 / math.pi)


def cbrt(x: Any) -> Any:
    """The real cube root, negative for negative numbers.

    Example:
        >>> import lamina
        >>> [round(v, 4) for v in lamina.cbrt([8.0, -27.0]).tolist()]
        [2.0, -3.0]
    """
    x = floating("cbrt", x)
    zero = ops.equal(x, 0)
    size = ops.abs(ops.where(zero, 1, x))
    root = ops.pow(size, 1 / 3)
    # One step of Newton's method: 1/3 is not exact, and the root of 27 is 3.
    root = ops.where(ops.isfinite(root), _newton_cube_root(root, size), root)
    return ops.multiply(ops.where(zero, 0, root), ops.sign(x))


def _newton_cube_root(root: Any, size: Any) -> Any:
    excess = ops.subtract(root, ops.divide(size, ops.square(root)))
    return ops.subtract(root, ops.divide(excess, 3))


def fabs(x: Any) -> Any:
    """The absolute value as a float."""
    return ops.abs(floating("fabs", x))


def logaddexp2(x: Any, y: Any) -> Any:
    """``log2(2**x + 2**y)`` without overflow.

    Example:
        >>> import lamina
        >>> lamina.logaddexp2(1000.0, 1000.0).item()
        1001.0
    """
    x, y = floating_operands(x, y)
    scale = math.log(2)
    return ops.divide(ops.logaddexp(ops.multiply(x, scale), ops.multiply(y, scale)), scale)


def ldexp(x: Any, exponent: Any) -> Any:
    """``x * 2**exponent`` for whole exponents.

    Raises:
        DTypeError: the exponents are floats.
    """
    x, exponent = floating("ldexp", x), as_tensor(exponent)
    if dtypes.is_float(exponent.dtype):
        raise DTypeError(f"ldexp takes whole exponents; got dtype {exponent.dtype}.")
    wide = ops.astype(exponent, x.dtype if x.dtype.itemsize > 2 else dtypes.float32)
    return ops.multiply(x, ops.astype(ops.exp2(wide), x.dtype))


def sinc(x: Any) -> Any:
    """``sin(pi x) / (pi x)``, and 1 at 0.

    Example:
        >>> import lamina
        >>> lamina.sinc([0.0, 0.5]).tolist()[0]
        1.0
    """
    x = floating("sinc", x)
    angle = ops.multiply(x, math.pi)
    # Near 0 the series, so that the derivatives there are right, too.
    near = ops.less(ops.abs(angle), 1e-4)
    safe = ops.where(near, 1, angle)
    return ops.where(near, ops.subtract(1, ops.divide(ops.square(angle), 6)), ops.divide(ops.sin(safe), safe))


def heaviside(x: Any, at_zero: Any) -> Any:
    """0 where ``x < 0``, 1 where ``x > 0``, ``at_zero`` where it is 0; NaN stays.

    Example:
        >>> import lamina
        >>> lamina.heaviside([-1.0, 0.0, 2.0], 0.5).tolist()
        [0.0, 0.5, 1.0]
    """
    x, at_zero = floating_operands(x, at_zero)
    sides = ops.where(ops.greater(x, 0), 1, ops.multiply(x, 0) if not x.shape else ops.zeros_like(x))
    return ops.where(ops.isnan(x), x, ops.where(ops.equal(x, 0), at_zero, sides))


def fmod(x: Any, y: Any) -> Any:
    """The remainder of the division that rounds towards zero: it has the sign of ``x``.

    Example:
        >>> import lamina
        >>> lamina.fmod([5.0, -5.0], 3.0).tolist()
        [2.0, -2.0]
    """
    x, y = operands(x, y)
    if dtypes.is_bool(x.dtype):
        x, y = ops.astype(x, "int8"), ops.astype(y, "int8")
    if x.dtype.kind == "u":
        return ops.remainder(x, y)
    rest = ops.remainder(ops.abs(x), ops.abs(y))
    return ops.where(ops.less(x, 0), ops.negative(rest), rest)


def divide_no_nan(x: Any, y: Any) -> Any:
    """``x / y``, and 0 where ``y`` is 0; so is the gradient there."""
    x, y = floating_operands(x, y)
    zero = ops.equal(y, 0)
    return ops.where(zero, 0, ops.divide(x, ops.where(zero, 1, y)))


# --- error functions --------------------------------------------------------------------------------
def erfc(x: Any) -> Any:
    """``1 - erf(x)``."""
    return ops.subtract(1, ops.erf(x))


def erfinv(x: Any) -> Any:
    """The inverse of ``erf`` on ``(-1, 1)``; infinite at the ends, NaN beyond.

    Giles's approximation (2012) and two steps of Newton's method.

    Example:
        >>> import lamina
        >>> round(lamina.erfinv(0.5).item(), 4)
        0.4769
    """
    x = floating("erfinv", x)
    wide = ops.astype(x, dtypes.float32) if x.dtype.itemsize == 2 else x
    inside = ops.less(ops.abs(wide), 1)
    safe = ops.where(inside, wide, 0)
    w = ops.negative(ops.log1p(ops.negative(ops.square(safe))))
    near = ops.less(w, 5)
    low, high = ops.subtract(w, 2.5), ops.subtract(ops.sqrt(ops.maximum(w, 5)), 3)
    y = ops.multiply(ops.where(near, _polynomial(_GILES_NEAR, low), _polynomial(_GILES_FAR, high)), safe)
    y = ops.stop_gradient(y)
    for _ in range(2):
        slope = ops.multiply(ops.exp(ops.negative(ops.square(y))), 2 / math.sqrt(math.pi))
        step = ops.divide(ops.subtract(ops.erf(y), safe), slope)
        y = ops.subtract(y, ops.where(ops.isfinite(step), step, 0))
    beyond = ops.where(ops.equal(wide, -1), -math.inf, ops.full_like(wide, math.nan))
    ends = ops.where(ops.equal(wide, 1), math.inf, beyond)
    return ops.astype(ops.where(inside, y, ends), x.dtype)


Coefficients = tuple[float, ...]
_GILES_NEAR: Coefficients = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
_GILES_NEAR += (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
_GILES_FAR: Coefficients = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
_GILES_FAR += (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's rule, the highest power first."""
    total: Any = coefficients[0]
    for c in coefficients[1:]:
        total = ops.add(ops.multiply(total, x), c)
    return total


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind and order 0: ``sum (x/2)**(2k) / (k!)**2``.

    The series itself up to 30, in which no terms cancel; beyond that the asymptotic expansion
    (Abramowitz and Stegun 9.7.1).

    Example:
        >>> import lamina
        >>> round(lamina.i0(1.0).item(), 4)
        1.2661
    """
    x = floating("i0", x)
    size = ops.abs(ops.astype(x, dtypes.float32) if x.dtype.itemsize == 2 else x)
    limit = 30.0
    quarter = ops.square(ops.multiply(ops.minimum(size, limit), 0.5))
    total: Any = 1.0
    for k in range(60, 0, -1):
        total = ops.add(ops.multiply(ops.multiply(quarter, total), 1 / k**2), 1)
    far = ops.maximum(size, limit)
    inverse = ops.divide(1, ops.multiply(far, 8))
    series: Any = 1.0
    for k in range(14, 0, -1):
        series = ops.add(ops.multiply(ops.multiply(inverse, series), (2 * k - 1) ** 2 / k), 1)
    beyond = ops.divide(ops.multiply(ops.exp(far), series), ops.sqrt(ops.multiply(far, 2 * math.pi)))
    return ops.astype(ops.where(ops.less(size, limit), total, beyond), x.dtype)


# --- whole numbers ------------------------------------------------------------------------------------
def gcd(x: Any, y: Any) -> Any:
    """The greatest common divisor of integers, never negative; ``gcd(0, 0)`` is 0.

    Example:
        >>> import lamina
        >>> lamina.gcd([12, 18], 8).tolist()
        [4, 2]
    """
    x, y = _whole("gcd", x, y)
    x, y = ops.broadcast_arrays(x, y)
    x, y = (x, y) if x.dtype.kind == "u" else (ops.abs(x), ops.abs(y))
    # Euclid's algorithm; numbers of so many bits need at most 1.4405 times as many steps.
    for _ in range(math.ceil(1.45 * 8 * x.dtype.itemsize)):
        rest = ops.remainder(x, ops.maximum(y, 1))
        done = ops.equal(y, 0)
        x, y = ops.where(done, x, y), ops.where(done, y, rest)
        if not y.is_symbolic and not np.any(y._data):
            break
    return x


def lcm(x: Any, y: Any) -> Any:
    """The least common multiple of integers, never negative; 0 where one is 0."""
    x, y = _whole("lcm", x, y)
    both = ops.abs(ops.multiply(ops.floor_divide(x, ops.maximum(gcd(x, y), 1)), y))
    return both


def _whole(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    x, y = operands(x, y)
    if not dtypes.is_integer(x.dtype):
        raise DTypeError(f"{name} takes integers; got dtype {x.dtype}.")
    return x, y


# --- tests ----------------------------------------------------------------------------------------------
def isposinf(x: Any) -> Any:
    """Where ``x`` is positive infinity.

    Example:
        >>> import lamina
        >>> lamina.isposinf([float("inf"), float("-inf"), 1.0]).tolist()
        [True, False, False]
    """
    x = as_tensor(x)
    return ops.equal(x, math.inf) if dtypes.is_float(x.dtype) else ops.zeros_like(x, "bool")


def isneginf(x: Any) -> Any:
    """Where ``x`` is negative infinity."""
    x = as_tensor(x)
    return ops.equal(x, -math.inf) if dtypes.is_float(x.dtype) else ops.zeros_like(x, "bool")


def isclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where ``|x - y| <= atol + rtol * |y|``, or both are the same infinity.

    Args:
        x: tensor.
        y: the tensor that counts as right.
        rtol: tolerance in relation to ``y``.
        atol: absolute tolerance.
        equal_nan: whether NaN is close to NaN.

    Example:
        >>> import lamina
        >>> lamina.isclose([1.0, 2.0], [1.0, 2.1]).tolist()
        [True, False]
    """
    x, y = floating_operands(x, y)
    near = ops.less_equal(ops.abs(ops.subtract(x, y)), ops.add(ops.multiply(ops.abs(y), rtol), atol))
    close = ops.logical_or(ops.logical_and(near, ops.isfinite(y)), ops.equal(x, y))
    return ops.logical_or(close, ops.logical_and(ops.isnan(x), ops.isnan(y))) if equal_nan else close


def allclose(x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``isclose`` holds everywhere, a bool scalar."""
    return ops.all(isclose(x, y, rtol, atol, equal_nan))


def isin(x: Any, values: Any, invert: bool = False) -> Any:
    """Where an element of ``x`` is one of ``values`` (is none of them, with ``invert``).

    Example:
        >>> import lamina
        >>> lamina.isin([1, 2, 3], [3, 1]).tolist()
        [True, False, True]
    """
    x, values = operands(x, values)
    hits = ops.any(ops.equal(ops.expand_dims(x, -1), ops.ravel(values)), axis=-1)
    return ops.logical_not(hits) if invert else hits


def saturate_cast(x: Any, dtype: Any) -> Any:
    """``astype`` that takes numbers outside the dtype's range to its ends instead of wrapping round.

    Example:
        >>> import lamina
        >>> lamina.saturate_cast([300, -5], "uint8").tolist()
        [255, 0]
    """
    x, dtype = as_tensor(x), dtypes.as_dtype(dtype)
    low, high = _limits(x.dtype)
    least, most = _limits(dtype)
    if dtypes.is_bool(x.dtype) or (least <= low and high <= most):
        return ops.astype(x, dtype)
    bottom, top = max(least, low), min(most, high)
    if dtypes.is_float(x.dtype) and not dtypes.is_float(dtype) and float(np.array(top, x.dtype)) > top:
        # rounded up, out of the range
        top = float(np.nextafter(np.array(top, x.dtype), np.array(0, x.dtype)))
    return ops.astype(ops.clip(x, bottom, top), dtype)


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtypes.is_bool(dtype):
        return 0, 1
    if not dtypes.is_float(dtype):
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if dtype.itemsize == 2:
        most = 65504.0 if dtype.kind == "f" else 3.3895313892515355e38
    else:
        most = float(np.finfo(dtype).max)
    return -most, most


# --- what complex numbers would be ----------------------------------------------------------------------
def real(x: Any) -> Any:
    """The real part: the tensor itself, as no tensor is complex."""
    return as_tensor(x)


def imag(x: Any) -> Any:
    """The imaginary part: zeros, as no tensor is complex."""
    return ops.zeros_like(as_tensor(x))


def conj(x: Any) -> Any:
    """The complex conjugate: the tensor itself, as no tensor is complex."""
    return as_tensor(x)


def isreal(x: Any) -> Any:
    """Where the imaginary part is 0: everywhere."""
    return ops.ones_like(as_tensor(x), "bool")


def angle(x: Any) -> Any:
    """The angle to the positive real axis: 0 where ``x >= 0``, pi where it is negative."""
    x = floating("angle", x)
    return ops.where(ops.isnan(x), x, ops.where(ops.signbit(x), math.pi, ops.zeros_like(x)))


# --- bits -------------------------------------------------------------------------------------------------
VIEW = Primitive(
    "bitcast",
    shape=lambda x, dtype: _view_shape(x, dtype),
    numpy=lambda x, dtype: np.ascontiguousarray(x).reshape(x.shape).view(dtype),
    vjp=NOT_DIFFERENTIABLE,
    native=unsupported("NumPy looks at the same memory with another dtype"),
)


def _view_shape(x: Any, dtype: np.dtype[Any]) -> Spec:
    if x.dtype.itemsize == dtype.itemsize:
        return Spec(tuple(x.shape), dtype)
    if not x.shape or x.shape[-1] * x.dtype.itemsize % dtype.itemsize:
        raise ShapeError(f"view: the last axis of shape {tuple(x.shape)} {x.dtype} does not divide into {dtype}.")
    return Spec((*x.shape[:-1], x.shape[-1] * x.dtype.itemsize // dtype.itemsize), dtype)


def view(x: Any, dtype: Any) -> Any:
    """The same bits as numbers of another dtype; the last axis grows or shrinks with their size.

    Example:
        >>> import lamina
        >>> lamina.ops.numeric.view(lamina.tensor([1.0]), "int32").tolist()
        [1065353216]
    """
    x, dtype = as_tensor(x), dtypes.as_dtype(dtype)
    return x if x.dtype == dtype else bind(VIEW, x, dtype=dtype)
