"""Elementwise primitives: arithmetic, comparison, logic and mathematical functions.

Binary primitives broadcast their inputs as NumPy does; both have one dtype, which the public
functions see to.  ``unbroadcast`` brings a cotangent back to an input's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core import primitive as core
from lamina.core.errors import DTypeError, ShapeError
from lamina.core.lowering import Elementwise
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray
from lamina.ops.creation import as_tensor, operands


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
            f"{name}: shapes {listed} do not broadcast. Aligned from the right, two sizes must be equal or one of them 1."
        ) from None


def unbroadcast(ct: Any, x: Any) -> Any:
    """Sum a cotangent over the axes along which ``x`` was broadcast."""
    shape = x.shape
    if ct.shape == shape:
        return ct
    extra = ct.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and ct.shape[i + extra] != 1
    )
    return ops.reshape(ops.sum(ct, axis=axes), shape)


def _shape_of(name: str, result: Any = None) -> Callable[..., Spec]:
    """Shape rule of an elementwise primitive whose output has the inputs' dtype (or ``result``)."""

    def rule(*specs: Any, **params: Any) -> Spec:
        return Spec(broadcast_shapes(name, *[tuple(s.shape) for s in specs]), result or specs[0].dtype)

    return rule


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function without its warnings: infinities and NaN are results like others."""

    def call(*arrays: ndarray, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arrays, **params)

    return call


# --- arithmetic -------------------------------------------------------------------------------
ADD = Primitive(
    "add",
    shape=_shape_of("add"),
    numpy=np.add,
    vjp=lambda ct, out, x, y: (unbroadcast(ct, x), unbroadcast(ct, y)),
    native=Elementwise(lambda b, x, y: b.add(x, y)),
)

MULTIPLY = Primitive(
    "multiply",
    shape=_shape_of("multiply"),
    numpy=np.multiply,
    vjp=lambda ct, out, x, y: (unbroadcast(multiply(ct, y), x), unbroadcast(multiply(ct, x), y)),
    native=Elementwise(lambda b, x, y: b.mul(x, y)),
)

EXP = Primitive(
    "exp",
    shape=_shape_of("exp"),
    numpy=quiet(np.exp),
    vjp=lambda ct, out, x: (multiply(ct, out),),
    native=Elementwise(lambda b, x: b.exp(x), expensive=True),
)


def add(x: Any, y: Any) -> Any:
    """``x + y`` with broadcasting.

    Example:
        >>> import lamina
        >>> lamina.add([1.0, 2.0], 1).numpy()
        array([2., 3.], dtype=float32)
    """
    tensor = core._tensor_class
    if type(x) is tensor and type(y) is tensor and x._data.dtype is y._data.dtype:  # the common case, fast
        return bind(ADD, x, y)
    x, y = operands(x, y)
    return ops.logical_or(x, y) if dtypes.is_bool(x.dtype) else bind(ADD, x, y)


def multiply(x: Any, y: Any) -> Any:
    """``x * y`` with broadcasting."""
    return bind(MULTIPLY, *operands(x, y))


def floating(name: str, x: Any) -> Any:
    """An operand of a function that is defined on floats; integers become float32."""
    x = as_tensor(x)
    if dtypes.is_float(x.dtype):
        return x
    return ops.astype(x, dtypes.DEFAULT_FLOAT)


def exp(x: Any) -> Any:
    """``e`` to the power ``x``."""
    return bind(EXP, floating("exp", x))
