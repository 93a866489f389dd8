"""Elementwise arithmetic, and the helpers that every elementwise family uses.

Binary primitives broadcast their inputs as NumPy does; both have one dtype, which the public
functions see to.  ``unbroadcast`` brings a cotangent back to an input's shape.
Comparison and logic are in ``comparison``, choosing between values in ``selection``, exponentials
and trigonometry in ``math_functions``.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core import primitive as core
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Elementwise
from lamina.core.primitive import Primitive, Spec, bind, ndarray
from lamina.ops.creation import SCALARS, as_tensor, operands


def broadcast_shapes(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of several, by NumPy's rule.

    Raises:
        ShapeError: two sizes differ and neither is 1.
    """
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(s) for s in shapes)
        raise ShapeError(
            f"{name}: shapes {listed} do not broadcast. "
            "Aligned from the right, two sizes must be equal or one of them 1."
        ) from None


def unbroadcast(ct: Any, x: Any) -> Any:
    """Sum a cotangent over the axes along which ``x`` was broadcast."""
    shape = x.shape
    if ct.shape == shape:
        return ct
    extra = ct.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and ct.shape[i + extra] != 1)
    summed = ops.sum(ct, axis=axes)
    return summed if summed.shape == shape else ops.reshape(summed, shape)


KINDS = {"f": "a floating", "iu": "an integer", "biu": "an integer or bool", "iuf": "a numeric", "b": "a bool"}


def shape_rule(name: str, kinds: str | None = None, result: Any = None) -> Callable[..., Spec]:
    """Shape rule of an elementwise primitive.

    Args:
        name: the primitive's name, for messages.
        kinds: NumPy dtype kinds that it takes (a key of ``KINDS``); default all.
        result: dtype of the output; default that of the inputs.
    """

    def rule(*specs: Any, **params: Any) -> Spec:
        dtype = specs[0].dtype
        for spec in specs:
            if spec.dtype != dtype:
                listed = " and ".join(str(s.dtype) for s in specs)
                raise DTypeError(f"{name}: the operands have different dtypes ({listed}). Cast one with x.astype().")
        if kinds is not None and ("f" if dtypes.is_float(dtype) else dtype.kind) not in kinds:
            raise DTypeError(f"{name} takes {KINDS[kinds]} dtype and got {dtype}. Cast with x.astype().")
        return Spec(broadcast_shapes(name, *[tuple(s.shape) for s in specs]), result or dtype)

    return rule


class _QuietContext(threading.local):
    """A context for each thread in which NumPy's floating-point warnings are off.

    Entering it costs a tenth of ``np.errstate``, which matters for small arrays.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


_quiet = _QuietContext()


def quiet_call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a NumPy function without its floating-point warnings."""
    return _quiet.run(function, *arguments)


def quiet(ufunc: Any) -> Callable[..., Any]:
    """A NumPy ufunc without its warnings: infinities and NaN are results like others."""
    if ufunc.nin == 1:
        return lambda x: _quiet.run(ufunc, x)
    return lambda x, y: _quiet.run(ufunc, x, y)


def half_in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy rule of several steps that computes float16 and bfloat16 in float32 and rounds once.

    So do the ufuncs of one step, and compiled code.
    """

    def call(*arrays: ndarray, **params: Any) -> Any:
        dtype = arrays[0].dtype
        if dtype.itemsize != 2 or not dtypes.is_float(dtype):
            return function(*arrays, **params)
        return np.asarray(function(*[x.astype(np.float32) for x in arrays], **params)).astype(dtype)

    return call


def constant(b: Any, value: Any, like: Any) -> Any:
    """A constant operand with the dtype of another operand, for native rules."""
    return b.const(value, like.dtype)


def floating(name: str, x: Any) -> Any:
    """An operand of a function that is defined on floats; integers become float32."""
    x = as_tensor(x)
    return x if dtypes.is_float(x._data.dtype) else ops.astype(x, dtypes.DEFAULT_FLOAT)


def floating_operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands of one floating dtype; two integers become float32."""
    x, y = operands(x, y)
    if dtypes.is_float(x._data.dtype):
        return x, y
    return ops.astype(x, dtypes.DEFAULT_FLOAT), ops.astype(y, dtypes.DEFAULT_FLOAT)


# --- the four operations ----------------------------------------------------------------------
ADD = Primitive(
    "add",
    shape=shape_rule("add"),
    numpy=quiet(np.add),
    vjp=lambda ct, out, x, y: (lambda: unbroadcast(ct, x), lambda: unbroadcast(ct, y)),
    native=Elementwise(lambda b, x, y: b.add(x, y)),
)

SUBTRACT = Primitive(
    "subtract",
    shape=shape_rule("subtract", "iuf"),
    numpy=quiet(np.subtract),
    vjp=lambda ct, out, x, y: (lambda: unbroadcast(ct, x), lambda: unbroadcast(negative(ct), y)),
    native=Elementwise(lambda b, x, y: b.sub(x, y)),
)

MULTIPLY = Primitive(
    "multiply",
    shape=shape_rule("multiply"),
    numpy=quiet(np.multiply),
    vjp=lambda ct, out, x, y: (
        lambda: unbroadcast(multiply(ct, y), x),
        lambda: unbroadcast(multiply(ct, x), y),
    ),
    native=Elementwise(lambda b, x, y: b.mul(x, y)),
)

DIVIDE = Primitive(
    "divide",
    shape=shape_rule("divide", "f"),
    numpy=quiet(np.divide),
    vjp=lambda ct, out, x, y: _divide_vjp(divide(ct, y), out, x, y),
    native=Elementwise(lambda b, x, y: b.div(x, y), expensive=True),
)


def _divide_vjp(scaled: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return unbroadcast(scaled, x), lambda: unbroadcast(negative(multiply(scaled, out)), y)


def add(x: Any, y: Any) -> Any:
    """``x + y`` with broadcasting (logical or for bools).

    Args:
        x: tensor, array or number.
        y: the same; Python numbers take the dtype of the other operand.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> import lamina
        >>> lamina.add([1.0, 2.0], 1).numpy()
        array([2., 3.], dtype=float32)
    """
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor and x._data.dtype is y._data.dtype:  # the common case, fast
        return bind(ADD, x, y)
    return bind(ADD, *operands(x, y))


def subtract(x: Any, y: Any) -> Any:
    """``x - y`` with broadcasting.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: the operands are bools (use ``logical_xor``).

    Example:
        >>> import lamina
        >>> lamina.subtract([1.0, 2.0], 1).numpy()
        array([0., 1.], dtype=float32)
    """
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor and x._data.dtype is y._data.dtype:
        return bind(SUBTRACT, x, y)
    return bind(SUBTRACT, *operands(x, y))


def multiply(x: Any, y: Any) -> Any:
    """``x * y`` with broadcasting (logical and for bools).

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> import lamina
        >>> lamina.multiply([1.0, 2.0], [[2.0], [3.0]]).numpy()
        array([[2., 4.],
               [3., 6.]], dtype=float32)
    """
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor and x._data.dtype is y._data.dtype:
        return bind(MULTIPLY, x, y)
    return bind(MULTIPLY, *operands(x, y))


def divide(x: Any, y: Any) -> Any:
    """``x / y`` with broadcasting; the quotient of two integers is float32.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> import lamina
        >>> lamina.divide([1, 2], 4).numpy()
        array([0.25, 0.5 ], dtype=float32)
    """
    return bind(DIVIDE, *floating_operands(x, y))


# --- division with a whole quotient -------------------------------------------------------------
FLOOR_DIVIDE = Primitive(
    "floor_divide",
    shape=shape_rule("floor_divide", "iuf"),
    numpy=quiet(np.floor_divide),
    vjp=lambda ct, out, x, y: (None, None),  # constant between its jumps
    native=Elementwise(lambda b, x, y: b.floordiv(x, y), expensive=True),
)

REMAINDER = Primitive(
    "remainder",
    shape=shape_rule("remainder", "iuf"),
    numpy=quiet(np.remainder),
    vjp=lambda ct, out, x, y: (
        lambda: unbroadcast(ct, x),
        lambda: unbroadcast(negative(multiply(ct, ops.floor_divide(x, y))), y),
    ),
    native=Elementwise(lambda b, x, y: b.mod(x, y), expensive=True),
)


def floor_divide(x: Any, y: Any) -> Any:
    """``floor(x / y)``, as Python's ``//``.  An integer divided by zero gives 0.

    Example:
        >>> import lamina
        >>> lamina.floor_divide([7, -7], 2).numpy()
        array([ 3, -4])
    """
    return bind(FLOOR_DIVIDE, *operands(x, y))


def remainder(x: Any, y: Any) -> Any:
    """``x - y * floor(x / y)``, as Python's ``%``: the sign is that of ``y``.  An integer modulo zero gives 0.

    Example:
        >>> import lamina
        >>> lamina.remainder([7, -7], 4).numpy()
        array([3, 1])
    """
    return bind(REMAINDER, *operands(x, y))


# --- powers and roots -----------------------------------------------------------------------------
def _power_vjp(ct: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """``d(x**y) = y x**(y-1) dx + x**y log(x) dy``, with 0 where ``0 * inf`` would arise."""

    def by_x() -> Any:
        slope = multiply(y, pow(x, subtract(y, 1)))
        return unbroadcast(ops.where(ops.equal(y, 0), 0, multiply(ct, slope)), x)

    def by_y() -> Any:
        at_zero = ops.logical_and(ops.equal(x, 0), ops.greater_equal(y, 0))
        slope = multiply(out, ops.log(ops.where(at_zero, 1, x)))
        return unbroadcast(ops.where(at_zero, 0, multiply(ct, slope)), y)

    return by_x, by_y


def _power_native(b: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind in "iu":
        return _integer_power(b, x, y)
    return b.call("pow", x, y)


def _integer_power(b: Any, x: Any, y: Any) -> Any:
    """Square and multiply over the bits of the exponent; negative exponents give 0."""
    bits = x.dtype.itemsize * 8
    one, zero = constant(b, 1, x), constant(b, 0, x)
    result, base, exponent = one, x, y
    for i in range(bits - (x.dtype.kind == "i")):
        odd = b.ne(b.and_(exponent, one), zero)
        result = b.select(odd, b.mul(result, base), result)
        if i < bits - 2:
            base, exponent = b.mul(base, base), b.shr(exponent, one)
    return b.select(b.lt(y, zero), zero, result) if x.dtype.kind == "i" else result


POWER = Primitive(
    "power",
    shape=shape_rule("power", "iuf"),
    numpy=quiet(np.power),
    vjp=_power_vjp,
    native=Elementwise(_power_native, expensive=True),
)

SQRT = Primitive(
    "sqrt",
    shape=shape_rule("sqrt", "f"),
    numpy=quiet(np.sqrt),
    vjp=lambda ct, out, x: (divide(multiply(ct, 0.5), out),),
    native=Elementwise(lambda b, x: b.sqrt(x), expensive=True),
)


def pow(x: Any, y: Any) -> Any:
    """``x`` to the power ``y``.  Integers stay integers.

    Raises:
        ArgumentError: an integer is raised to a negative integer power (eagerly; compiled code gives 0).

    Example:
        >>> import lamina
        >>> lamina.pow([1.0, 2.0, 3.0], 2).numpy()
        array([1., 4., 9.], dtype=float32)
    """
    if isinstance(y, SCALARS) and not isinstance(y, bool):
        x = as_tensor(x)
        is_float = dtypes.is_float(x.dtype)
        # Small powers as products: faster, and the same numbers eagerly and compiled.
        if y == 2 and (is_float or type(y) is int) and not dtypes.is_bool(x.dtype):
            return square(x)
        if is_float:
            simple = _SIMPLE_POWERS.get(y)
            if simple is not None:
                return simple(x)
        elif type(y) is int and y < 0:
            raise ArgumentError(
                f"pow: an integer tensor has no integer power {y}. Cast it first: x.astype('float32') ** {y}."
            )
    x, y = operands(x, y)
    if x.dtype.kind == "i" and type(y._data) is ndarray and not x.is_symbolic and (y._data < 0).any():
        raise ArgumentError("pow: integers have no negative integer powers. Cast first: x.astype('float32').")
    return bind(POWER, x, y)


_SIMPLE_POWERS: dict[Any, Callable[[Any], Any]] = {
    1: lambda x: x,
    3: lambda x: multiply(x, square(x)),
    4: lambda x: square(square(x)),
    -1: lambda x: reciprocal(x),
    -2: lambda x: reciprocal(square(x)),
    0.5: lambda x: sqrt(x),
    -0.5: lambda x: rsqrt(x),
}


def square(x: Any) -> Any:
    """``x * x``.

    Example:
        >>> import lamina
        >>> lamina.square([2.0, -3.0]).tolist()
        [4.0, 9.0]
    """
    x = as_tensor(x)
    return bind(MULTIPLY, x, x)


def sqrt(x: Any) -> Any:
    """The square root; NaN for negative numbers.

    Example:
        >>> import lamina
        >>> lamina.sqrt([4.0, 9.0]).numpy()
        array([2., 3.], dtype=float32)
    """
    return bind(SQRT, floating("sqrt", x))


def rsqrt(x: Any) -> Any:
    """``1 / sqrt(x)``.

    Example:
        >>> import lamina
        >>> lamina.rsqrt([4.0, 16.0]).tolist()
        [0.5, 0.25]
    """
    return reciprocal(sqrt(x))


def reciprocal(x: Any) -> Any:
    """``1 / x``.

    Example:
        >>> import lamina
        >>> lamina.reciprocal([2.0, 4.0]).tolist()
        [0.5, 0.25]
    """
    return divide(1, x)


# --- sign -----------------------------------------------------------------------------------------
def _sign_native(b: Any, x: Any) -> Any:
    zero, one = constant(b, 0, x), constant(b, 1, x)
    positive = b.gt(x, zero)
    if x.dtype.kind == "u":
        return b.select(positive, one, zero)
    # NaN is neither above, below nor equal to zero, and stays NaN.
    return b.select(positive, one, b.select(b.lt(x, zero), constant(b, -1, x), b.select(b.eq(x, zero), zero, x)))


NEGATIVE = Primitive(
    "negative",
    shape=shape_rule("negative", "iuf"),
    numpy=np.negative,
    vjp=lambda ct, out, x: (negative(ct),),
    native=Elementwise(lambda b, x: b.neg(x)),
)

ABS = Primitive(
    "abs",
    shape=shape_rule("abs", "iuf"),
    numpy=np.abs,
    vjp=lambda ct, out, x: (multiply(ct, sign(x)),),
    native=Elementwise(lambda b, x: b.abs(x)),
)

SIGN = Primitive(
    "sign",
    shape=shape_rule("sign", "iuf"),
    numpy=quiet(np.sign),
    vjp=lambda ct, out, x: (None,),
    native=Elementwise(_sign_native),
)


def negative(x: Any) -> Any:
    """``-x``.

    Example:
        >>> import lamina
        >>> lamina.negative([1, -2]).tolist()
        [-1, 2]
    """
    return bind(NEGATIVE, as_tensor(x))


def positive(x: Any) -> Any:
    """``+x``: the tensor itself."""
    return as_tensor(x)


def abs(x: Any) -> Any:
    """The absolute value.  Its gradient at 0 is 0.

    Example:
        >>> import lamina
        >>> lamina.abs([-1, 2]).numpy()
        array([1, 2])
    """
    x = as_tensor(x)
    return x if dtypes.is_bool(x.dtype) else bind(ABS, x)


def sign(x: Any) -> Any:
    """-1, 0 or 1 by the sign of ``x``; NaN for NaN.

    Example:
        >>> import lamina
        >>> lamina.sign([-3.0, 0.0, 2.0]).tolist()
        [-1.0, 0.0, 1.0]
    """
    return bind(SIGN, as_tensor(x))


# --- rounding -------------------------------------------------------------------------------------
def _rounding(name: str, function: Any, emit: Callable[..., Any]) -> Primitive:
    return Primitive(
        name,
        shape=shape_rule(name, "f"),
        numpy=quiet(function),
        vjp=lambda ct, out, x: (None,),  # constant between its jumps
        native=Elementwise(emit),
    )


FLOOR = _rounding("floor", np.floor, lambda b, x: b.floor(x))
CEIL = _rounding("ceil", np.ceil, lambda b, x: b.ceil(x))
ROUND = _rounding("round", np.rint, lambda b, x: b.round(x))
TRUNC = _rounding("trunc", np.trunc, lambda b, x: b.trunc(x))


def _rounded(primitive: Primitive, x: Any) -> Any:
    x = as_tensor(x)
    return bind(primitive, x) if dtypes.is_float(x.dtype) else x


def floor(x: Any) -> Any:
    """The largest whole number that is not above ``x``.

    Example:
        >>> import lamina
        >>> lamina.floor([1.2, -1.2]).tolist()
        [1.0, -2.0]
    """
    return _rounded(FLOOR, x)


def ceil(x: Any) -> Any:
    """The smallest whole number that is not below ``x``.

    Example:
        >>> import lamina
        >>> lamina.ceil([1.2, -1.2]).tolist()
        [2.0, -1.0]
    """
    return _rounded(CEIL, x)


def round(x: Any, decimals: int = 0) -> Any:
    """The nearest whole number, or the nearest number of so many decimals; halves go to the even neighbour.

    Example:
        >>> import lamina
        >>> lamina.round([0.5, 1.5, 2.4]).numpy()
        array([0., 2., 2.], dtype=float32)
        >>> lamina.round([0.125, 16.9], decimals=2).numpy()
        array([ 0.12, 16.9 ], dtype=float32)
    """
    if not decimals:
        return _rounded(ROUND, x)
    x, scale = as_tensor(x), 10.0**decimals
    scaled = floating("round", x)
    return ops.astype(divide(_rounded(ROUND, multiply(scaled, scale)), scale), x.dtype)


def trunc(x: Any) -> Any:
    """The whole part of ``x``, rounded towards zero.

    Example:
        >>> import lamina
        >>> lamina.trunc([1.2, -1.2]).tolist()
        [1.0, -1.0]
    """
    return _rounded(TRUNC, x)
