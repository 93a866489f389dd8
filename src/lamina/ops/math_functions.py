"""Elementwise mathematical functions: exponentials, logarithms, trigonometry, special functions.

Native rules use the builder's vector functions where these exist and else the C math library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.lowering import Elementwise
from lamina.core.primitive import Primitive, bind, unsupported
from lamina.ops import special
from lamina.ops.elementwise import (
    add,
    constant,
    divide,
    floating,
    floating_operands,
    multiply,
    negative,
    quiet,
    reciprocal,
    rsqrt,
    shape_rule,
    square,
    subtract,
    unbroadcast,
)


def _unary(
    name: str,
    function: Callable[..., Any],
    derivative: Callable[[Any, Any], Any],
    emit: Callable[..., Any] | None = None,
) -> Primitive:
    """A differentiable function of one float.

    Args:
        name: the primitive's name, which is also the C function's where ``emit`` is missing.
        function: a NumPy ufunc, or a function of an array that is silent by itself.
        derivative: ``derivative(output, x)`` in ops.
        emit: native rule.
    """

    def from_c_library(b: Any, x: Any) -> Any:
        return b.call(name, x)

    return Primitive(
        name,
        shape=shape_rule(name, "f"),
        numpy=quiet(function) if isinstance(function, np.ufunc) else function,
        vjp=lambda ct, out, x: (multiply(ct, derivative(out, x)),),
        native=Elementwise(emit or from_c_library, expensive=True),
    )


# --- exponentials and logarithms ------------------------------------------------------------------
EXP = _unary("exp", np.exp, lambda out, x: out, lambda b, x: b.exp(x))
EXPM1 = _unary("expm1", np.expm1, lambda out, x: add(out, 1))
EXP2 = _unary("exp2", np.exp2, lambda out, x: multiply(out, math.log(2)))
LOG = _unary("log", np.log, lambda out, x: reciprocal(x), lambda b, x: b.log(x))
LOG1P = _unary("log1p", np.log1p, lambda out, x: reciprocal(add(x, 1)))
LOG2 = _unary("log2", np.log2, lambda out, x: divide(1 / math.log(2), x))
LOG10 = _unary("log10", np.log10, lambda out, x: divide(1 / math.log(10), x))


def exp(x: Any) -> Any:
    """``e`` to the power ``x``.

    Args:
        x: tensor of any shape; integers become float32 (as in every function of this file).

    Example:
        >>> import lamina
        >>> lamina.exp([0.0, 1.0]).numpy().round(4)
        array([1.    , 2.7183], dtype=float32)
    """
    return bind(EXP, floating("exp", x))


def expm1(x: Any) -> Any:
    """``exp(x) - 1``, exact near 0.

    Example:
        >>> import lamina
        >>> lamina.expm1([0.0]).tolist()
        [0.0]
    """
    return bind(EXPM1, floating("expm1", x))


def exp2(x: Any) -> Any:
    """2 to the power ``x``.

    Example:
        >>> import lamina
        >>> lamina.exp2([3.0]).tolist()
        [8.0]
    """
    return bind(EXP2, floating("exp2", x))


def log(x: Any) -> Any:
    """The natural logarithm: -inf at 0, NaN below.

    Example:
        >>> import lamina
        >>> lamina.log([1.0]).tolist()
        [0.0]
    """
    return bind(LOG, floating("log", x))


def log1p(x: Any) -> Any:
    """``log(1 + x)``, exact near 0.

    Example:
        >>> import lamina
        >>> lamina.log1p([0.0]).tolist()
        [0.0]
    """
    return bind(LOG1P, floating("log1p", x))


def log2(x: Any) -> Any:
    """The logarithm to base 2.

    Example:
        >>> import lamina
        >>> lamina.log2([1.0, 8.0]).tolist()
        [0.0, 3.0]
    """
    return bind(LOG2, floating("log2", x))


def log10(x: Any) -> Any:
    """The logarithm to base 10.

    Example:
        >>> import lamina
        >>> lamina.log10([1.0, 10.0]).tolist()
        [0.0, 1.0]
    """
    return bind(LOG10, floating("log10", x))


def _logaddexp_native(b: Any, x: Any, y: Any) -> Any:
    top, distance = b.max(x, y), b.abs(b.sub(x, y))
    apart = b.add(top, b.call("log1p", b.exp(b.neg(distance))))
    # Equal infinities have no distance.
    return b.select(b.eq(x, y), b.add(x, constant(b, math.log(2), x)), apart)


LOGADDEXP = Primitive(
    "logaddexp",
    shape=shape_rule("logaddexp", "f"),
    numpy=quiet(np.logaddexp),
    vjp=lambda ct, out, x, y: (
        lambda: unbroadcast(multiply(ct, exp(subtract(x, out))), x),
        lambda: unbroadcast(multiply(ct, exp(subtract(y, out))), y),
    ),
    native=Elementwise(_logaddexp_native, expensive=True),
)


def logaddexp(x: Any, y: Any) -> Any:
    """``log(exp(x) + exp(y))`` without overflow.

    Example:
        >>> import lamina
        >>> round(lamina.logaddexp(1000.0, 1000.0).item(), 3)
        1000.693
    """
    return bind(LOGADDEXP, *floating_operands(x, y))


# --- trigonometry -----------------------------------------------------------------------------------
SIN = _unary("sin", np.sin, lambda out, x: cos(x), lambda b, x: b.sin(x))
COS = _unary("cos", np.cos, lambda out, x: negative(sin(x)), lambda b, x: b.cos(x))
TAN = _unary("tan", np.tan, lambda out, x: add(square(out), 1))
ASIN = _unary("asin", np.arcsin, lambda out, x: rsqrt(subtract(1, square(x))))
ACOS = _unary("acos", np.arccos, lambda out, x: negative(rsqrt(subtract(1, square(x)))))
ATAN = _unary("atan", np.arctan, lambda out, x: reciprocal(add(square(x), 1)))
SINH = _unary("sinh", np.sinh, lambda out, x: cosh(x))
COSH = _unary("cosh", np.cosh, lambda out, x: sinh(x))
ASINH = _unary("asinh", np.arcsinh, lambda out, x: rsqrt(add(square(x), 1)))
ACOSH = _unary("acosh", np.arccosh, lambda out, x: multiply(rsqrt(subtract(x, 1)), rsqrt(add(x, 1))))
ATANH = _unary("atanh", np.arctanh, lambda out, x: reciprocal(subtract(1, square(x))))
TANH = Primitive(
    "tanh",
    shape=shape_rule("tanh", "f"),
    numpy=np.tanh,
    vjp=lambda ct, out, x: (multiply(ct, subtract(1, square(out))),),
    native=Elementwise(lambda b, x: b.tanh(x), expensive=True),
)

ATAN2 = Primitive(
    "atan2",
    shape=shape_rule("atan2", "f"),
    numpy=quiet(np.arctan2),
    vjp=lambda ct, out, y, x: _atan2_vjp(divide(ct, add(square(x), square(y))), y, x),
    native=Elementwise(lambda b, y, x: b.call("atan2", y, x), expensive=True),
)

HYPOT = Primitive(
    "hypot",
    shape=shape_rule("hypot", "f"),
    numpy=quiet(np.hypot),
    vjp=lambda ct, out, x, y: (
        lambda: unbroadcast(multiply(ct, divide(x, out)), x),
        lambda: unbroadcast(multiply(ct, divide(y, out)), y),
    ),
    native=Elementwise(lambda b, x, y: b.call("hypot", x, y), expensive=True),
)


def _atan2_vjp(scaled: Any, y: Any, x: Any) -> tuple[Any, Any]:
    return lambda: unbroadcast(multiply(scaled, x), y), lambda: unbroadcast(negative(multiply(scaled, y)), x)


def sin(x: Any) -> Any:
    """The sine of ``x`` in radians.

    Example:
        >>> import lamina
        >>> lamina.sin([0.0, 0.5]).numpy().round(4)
        array([0.    , 0.4794], dtype=float32)
    """
    return bind(SIN, floating("sin", x))


def cos(x: Any) -> Any:
    """The cosine of ``x`` in radians.

    Example:
        >>> import lamina
        >>> lamina.cos([0.0]).tolist()
        [1.0]
    """
    return bind(COS, floating("cos", x))


def tan(x: Any) -> Any:
    """The tangent of ``x`` in radians."""
    return bind(TAN, floating("tan", x))


def asin(x: Any) -> Any:
    """The inverse sine, in ``[-pi/2, pi/2]``; NaN outside ``[-1, 1]``."""
    return bind(ASIN, floating("asin", x))


def acos(x: Any) -> Any:
    """The inverse cosine, in ``[0, pi]``; NaN outside ``[-1, 1]``."""
    return bind(ACOS, floating("acos", x))


def atan(x: Any) -> Any:
    """The inverse tangent, in ``[-pi/2, pi/2]``."""
    return bind(ATAN, floating("atan", x))


def atan2(y: Any, x: Any) -> Any:
    """The angle of the point ``(x, y)``, in ``[-pi, pi]``.

    Example:
        >>> import lamina
        >>> round(lamina.atan2(1.0, 0.0).item(), 4)
        1.5708
    """
    return bind(ATAN2, *floating_operands(y, x))


def hypot(x: Any, y: Any) -> Any:
    """``sqrt(x**2 + y**2)`` without overflow.

    Example:
        >>> import lamina
        >>> lamina.hypot([3.0], [4.0]).tolist()
        [5.0]
    """
    return bind(HYPOT, *floating_operands(x, y))


def sinh(x: Any) -> Any:
    """The hyperbolic sine."""
    return bind(SINH, floating("sinh", x))


def cosh(x: Any) -> Any:
    """The hyperbolic cosine."""
    return bind(COSH, floating("cosh", x))


def tanh(x: Any) -> Any:
    """The hyperbolic tangent.

    Example:
        >>> import lamina
        >>> lamina.tanh([-100.0, 0.0, 0.5]).numpy().round(4)
        array([-1.    ,  0.    ,  0.4621], dtype=float32)
    """
    return bind(TANH, floating("tanh", x))


def asinh(x: Any) -> Any:
    """The inverse hyperbolic sine."""
    return bind(ASINH, floating("asinh", x))


def acosh(x: Any) -> Any:
    """The inverse hyperbolic cosine; NaN below 1."""
    return bind(ACOSH, floating("acosh", x))


def atanh(x: Any) -> Any:
    """The inverse hyperbolic tangent; NaN outside ``[-1, 1]``."""
    return bind(ATANH, floating("atanh", x))


# --- special functions ------------------------------------------------------------------------------
ERF = _unary(
    "erf",
    special.erf,
    lambda out, x: multiply(exp(negative(square(x))), 2 / math.sqrt(math.pi)),
    lambda b, x: b.erf(x),
)

LGAMMA = _unary("lgamma", special.lgamma, lambda out, x: digamma(x))

POLYGAMMA = Primitive(
    "polygamma",
    shape=shape_rule("polygamma", "f"),
    numpy=lambda x, order: special.polygamma(order, x),
    vjp=lambda ct, out, x, order: (multiply(ct, polygamma(order + 1, x)),),
    native=unsupported("a series with reflection, too rare in models to be worth machine code"),
)


def erf(x: Any) -> Any:
    """The error function ``2/sqrt(pi) * integral of exp(-t**2) from 0 to x``.

    Example:
        >>> import lamina
        >>> lamina.erf([0.0, 1.0]).numpy().round(4)
        array([0.    , 0.8427], dtype=float32)
    """
    return bind(ERF, floating("erf", x))


def lgamma(x: Any) -> Any:
    """The logarithm of the absolute value of the gamma function.

    Example:
        >>> import lamina
        >>> lamina.lgamma([1.0, 5.0]).numpy().round(4)  # log(0!) and log(4!)
        array([0.    , 3.1781], dtype=float32)
    """
    return bind(LGAMMA, floating("lgamma", x))


def digamma(x: Any) -> Any:
    """The derivative of ``lgamma``."""
    return polygamma(0, x)


def polygamma(order: int, x: Any) -> Any:
    """The derivative of ``digamma`` of this order (0 gives ``digamma``)."""
    return bind(POLYGAMMA, floating("polygamma", x), order=int(order))
