"""Numbers between tensors of numbers: at equal distances, and at equal ratios."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.ops.creation import SCALARS, as_tensor
from lamina.ops.elementwise import floating_operands


def _ends(start: Any, stop: Any) -> tuple[Any, Any]:
    if isinstance(start, SCALARS) and isinstance(stop, SCALARS):
        return as_tensor(float(start)), as_tensor(float(stop))
    return tuple(ops.broadcast_arrays(*floating_operands(start, stop)))


def step(start: Any, stop: Any, num: int, endpoint: bool = True) -> Any:
    """The distance of two neighbours of ``linspace``; NaN where there are none."""
    start, stop = _ends(start, stop)
    parts = num - 1 if endpoint else num
    return ops.multiply(ops.subtract(stop, start), 1 / parts if parts > 0 else math.nan)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """``num`` numbers at equal distances from ``start`` to ``stop``, along a new axis.

    Args:
        start, stop: tensors that broadcast.
        num: how many.
        endpoint: whether ``stop`` is the last, or what would follow.
        dtype: default that of the ends, float32 for integers.
        axis: the new axis.

    Example:
        >>> import lamina
        >>> lamina.ops.ranges.linspace([0.0, 10.0], [1.0, 20.0], 3).tolist()
        [[0.0, 10.0], [0.5, 15.0], [1.0, 20.0]]
    """
    if num < 0:
        raise ArgumentError(f"linspace: num is not negative; got {num}.")
    start, stop = _ends(start, stop)
    parts = max(num - 1 if endpoint else num, 1)
    share = np.arange(num) / parts
    shape = (num, *(1,) * start.ndim)
    kind = start.dtype if start.dtype.itemsize > 2 else np.dtype(np.float32)
    back, forth = (as_tensor(s.astype(kind).reshape(shape)) for s in (1 - share, share))
    # Each end has its own weight, so that both are hit exactly.
    found = ops.add(ops.multiply(ops.astype(start, kind), back), ops.multiply(ops.astype(stop, kind), forth))
    found = ops.astype(found, start.dtype)
    if dtype is not None:
        wanted = dtypes.as_dtype(dtype)
        found = ops.astype(ops.floor(found) if dtypes.is_integer(wanted) else found, wanted)
    return ops.moveaxis(found, 0, axis)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """``base`` to the powers of ``linspace(start, stop, num)``.

    Example:
        >>> import lamina
        >>> lamina.ops.ranges.logspace(0, 2, 3).tolist()
        [1.0, 10.0, 100.0]
    """
    powers = linspace(start, stop, num, endpoint, None, axis)
    found = ops.pow(ops.astype(as_tensor(base), powers.dtype), powers)
    return found if dtype is None else ops.astype(found, dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """``num`` numbers at equal ratios from ``start`` to ``stop``, which have the same sign.

    Example:
        >>> import lamina
        >>> [round(v, 3) for v in lamina.ops.ranges.geomspace(1, 100, 3).tolist()]
        [1.0, 10.0, 100.0]
    """
    start, stop = _ends(start, stop)
    sign = ops.sign(start)
    powers = linspace(ops.log10(ops.abs(start)), ops.log10(ops.abs(stop)), num, endpoint)
    found = ops.multiply(ops.pow(ops.full_like(powers, 10.0), powers), sign)
    if num > 0:  # the ends themselves, without rounding
        place = ops.reshape(ops.creation.arange(num), (num, *(1,) * start.ndim))
        found = ops.where(ops.equal(place, 0), start, found)
        if endpoint and num > 1:
            found = ops.where(ops.equal(place, num - 1), stop, found)
    found = ops.moveaxis(found, 0, axis)
    return found if dtype is None else ops.astype(found, dtype)
