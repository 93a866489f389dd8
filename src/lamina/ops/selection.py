"""Choosing between values: maximum and minimum, clip, where, and stopping gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import DTypeError
from lamina.core.lowering import Elementwise
from lamina.core.primitive import Primitive, Spec, bind
from lamina.ops.creation import as_tensor, operands
from lamina.ops.elementwise import broadcast_shapes, multiply, quiet, shape_rule, unbroadcast


# --- primitives -----------------------------------------------------------------------------------
def _extremum_vjp(ct: Any, x: Any, y: Any, wins: Any) -> tuple[Any, ...]:
    """The winner takes the cotangent; equals share it evenly."""
    tie = ops.equal(x, y)
    half = multiply(ct, 0.5)
    return (
        lambda: unbroadcast(where(tie, half, where(wins, ct, 0)), x),
        lambda: unbroadcast(where(tie, half, where(wins, 0, ct)), y),
    )


MAXIMUM = Primitive(
    "maximum",
    shape=shape_rule("maximum"),
    numpy=quiet(np.maximum),  # those of bfloat16 warn of NaN
    vjp=lambda ct, out, x, y: _extremum_vjp(ct, x, y, ops.greater(x, y)),
    native=Elementwise(lambda b, x, y: b.max(x, y)),
)

MINIMUM = Primitive(
    "minimum",
    shape=shape_rule("minimum"),
    numpy=quiet(np.minimum),
    vjp=lambda ct, out, x, y: _extremum_vjp(ct, x, y, ops.less(x, y)),
    native=Elementwise(lambda b, x, y: b.min(x, y)),
)


def _clip_vjp(ct: Any, out: Any, x: Any, low: Any, high: Any) -> tuple[Any, ...]:
    """Values between the bounds, and on them, pass their cotangent; else the bound takes it."""

    def inside() -> Any:
        return ops.logical_and(ops.greater_equal(x, low), ops.less_equal(x, high))

    def below() -> Any:
        return ops.logical_and(ops.less(x, low), ops.less(low, high))

    def above() -> Any:
        return ops.logical_or(ops.greater(x, high), ops.less(high, low))

    return (
        lambda: unbroadcast(where(inside(), ct, 0), x),
        lambda: unbroadcast(where(below(), ct, 0), low),
        lambda: unbroadcast(where(above(), ct, 0), high),
    )


CLIP = Primitive(
    "clip",
    shape=shape_rule("clip", "iuf"),
    numpy=lambda x, low, high: np.minimum(np.maximum(x, low), high),
    vjp=_clip_vjp,
    native=Elementwise(lambda b, x, low, high: b.min(b.max(x, low), high)),
)


def _select_shape(condition: Any, x: Any, y: Any) -> Spec:
    if condition.dtype.kind != "b":
        raise DTypeError(f"where takes a bool condition and got {condition.dtype}. Compare first, e.g. x != 0.")
    if x.dtype != y.dtype:
        raise DTypeError(f"where: the two choices have different dtypes ({x.dtype} and {y.dtype}).")
    return Spec(broadcast_shapes("where", tuple(condition.shape), tuple(x.shape), tuple(y.shape)), x.dtype)


SELECT = Primitive(
    "where",
    shape=_select_shape,
    numpy=np.where,
    vjp=lambda ct, out, condition, x, y: (
        None,
        lambda: unbroadcast(where(condition, ct, 0), x),
        lambda: unbroadcast(where(condition, 0, ct), y),
    ),
    native=Elementwise(lambda b, condition, x, y: b.select(condition, x, y)),
)


def maximum(x: Any, y: Any) -> Any:
    """The larger of each pair; NaN where either is NaN.  Equal values share the gradient.

    Example:
        >>> import lamina
        >>> lamina.maximum([1.0, 5.0], 3.0).numpy()
        array([3., 5.], dtype=float32)
    """
    return bind(MAXIMUM, *operands(x, y))


def minimum(x: Any, y: Any) -> Any:
    """The smaller of each pair; NaN where either is NaN.  Equal values share the gradient.

    Example:
        >>> import lamina
        >>> lamina.minimum([1, 5], [3, 2]).tolist()
        [1, 2]
    """
    return bind(MINIMUM, *operands(x, y))


def fmax(x: Any, y: Any) -> Any:
    """The larger of each pair, where NaN counts as missing."""
    x, y = operands(x, y)
    return where(ops.isnan(y), x, where(ops.isnan(x), y, maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    """The smaller of each pair, where NaN counts as missing."""
    x, y = operands(x, y)
    return where(ops.isnan(y), x, where(ops.isnan(x), y, minimum(x, y)))


def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """``x`` limited to ``[min, max]``.  The gradient passes where ``x`` is within the bounds or on them.

    Args:
        x: tensor of any shape.
        min: lower bound, a number or a tensor that broadcasts; ``None`` for none.
        max: upper bound, likewise.  Where ``min > max`` the result is ``max``.

    Example:
        >>> import lamina
        >>> lamina.clip([-1.0, 0.5, 3.0], 0, 1).numpy()
        array([0. , 0.5, 1. ], dtype=float32)
    """
    x = as_tensor(x)
    if min is None and max is None:
        return x
    for bound in (min, max):
        if bound is not None:
            x = operands(x, bound)[0]  # all three meet in one dtype
    if dtypes.is_float(x.dtype):
        lowest, highest = -np.inf, np.inf
    else:
        lowest, highest = int(np.iinfo(x.dtype).min), int(np.iinfo(x.dtype).max)
    low = operands(x, lowest if min is None else min)[1]
    high = operands(x, highest if max is None else max)[1]
    return bind(CLIP, x, low, high)


def where(condition: Any, x: Any, y: Any) -> Any:
    """``x`` where ``condition`` is true, else ``y``, with broadcasting.

    The gradient reaches only the chosen side; a NaN gradient on the other side still spoils the
    sum, so make the argument of the other side harmless too.

    Args:
        condition: bool tensor; numbers count as true where they are not 0.
        x: tensor or number.
        y: tensor or number; promoted to one dtype with ``x``.

    Example:
        >>> import lamina
        >>> lamina.where([True, False], [1.0, 2.0], 0).numpy()
        array([1., 0.], dtype=float32)
    """
    condition = as_tensor(condition)
    if condition._data.dtype.kind != "b":
        condition = ops.not_equal(condition, 0)
    return bind(SELECT, condition, *operands(x, y))


# --- stopping gradients -------------------------------------------------------------------------
STOP_GRADIENT = Primitive(
    "stop_gradient",
    shape=shape_rule("stop_gradient"),
    numpy=lambda x: x.view(),
    vjp=lambda ct, out, x: (None,),
    native=Elementwise(lambda b, x: x),
)


def stop_gradient(x: Any) -> Any:
    """``x``, taken as a constant by differentiation.

    Example:
        >>> import lamina
        >>> x = lamina.tensor(3.0)
        >>> with lamina.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * lamina.stop_gradient(x)
        >>> tape.gradient(y, x).item()
        3.0
    """
    return bind(STOP_GRADIENT, as_tensor(x))
