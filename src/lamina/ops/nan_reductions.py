"""Reductions that leave NaN out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.ops.creation import as_tensor


def _replaced(x: Any, value: float) -> Any:
    x = as_tensor(x)
    return ops.where(ops.isnan(x), value, x) if dtypes.is_float(x.dtype) else x


def nansum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The sum over ``axis`` in which NaN counts as 0.

    Example:
        >>> import lamina
        >>> lamina.nansum([1.0, float("nan"), 2.0]).item()
        3.0
    """
    return ops.sum(_replaced(x, 0), axis=axis, keepdims=keepdims, dtype=dtype)


def nanprod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product over ``axis`` in which NaN counts as 1.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanprod([1.0, math.nan, 3.0]).tolist()
        3.0
    """
    return ops.prod(_replaced(x, 1), axis=axis, keepdims=keepdims, dtype=dtype)


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The cumulative sum along ``axis`` (of the flattened tensor by default) in which NaN counts as 0.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nancumsum([1.0, math.nan, 3.0]).tolist()
        [1.0, 1.0, 4.0]
    """
    return _cumulative(ops.cumulative_sum, _replaced(x, 0), axis, dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The cumulative product along ``axis`` (of the flattened tensor by default) in which NaN counts as 1."""
    return _cumulative(ops.cumulative_prod, _replaced(x, 1), axis, dtype)


def _cumulative(function: Callable[..., Any], x: Any, axis: int | None, dtype: Any) -> Any:
    return function(ops.ravel(x), axis=0, dtype=dtype) if axis is None else function(x, axis=axis, dtype=dtype)


def _kept(x: Any, axis: Any, keepdims: bool) -> Any:
    """How many elements are not NaN, as float32 or wider."""
    x = as_tensor(x)
    dtype = x.dtype if dtypes.is_float(x.dtype) and x.dtype.itemsize > 2 else dtypes.float32
    return ops.sum(ops.astype(ops.logical_not(ops.isnan(x)), dtype), axis=axis, keepdims=keepdims)


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The mean over ``axis`` of what is not NaN; NaN where there is nothing else.

    Example:
        >>> import lamina
        >>> lamina.nanmean([1.0, float("nan"), 3.0]).item()
        2.0
    """
    x = ops.elementwise.floating("nanmean", x)
    if x.dtype.itemsize == 2:
        return ops.astype(nanmean(ops.astype(x, dtypes.float32), axis, keepdims), x.dtype)
    return ops.divide(nansum(x, axis, keepdims), _kept(x, axis, keepdims))


def nanvar(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    """The variance over ``axis`` of what is not NaN; see ``var``.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanvar([1.0, math.nan, 3.0]).tolist()
        1.0
    """
    x = ops.elementwise.floating("nanvar", x)
    if x.dtype.itemsize == 2:
        return ops.astype(nanvar(ops.astype(x, dtypes.float32), axis, keepdims, correction), x.dtype)
    missing = ops.isnan(x)
    mean = nanmean(x, axis, keepdims=True)
    # NaN is left out before it enters a product, so that gradients are free of it, too.
    deviation = ops.where(missing, 0, ops.subtract(ops.where(missing, 0, x), ops.where(ops.isnan(mean), 0, mean)))
    count = ops.subtract(_kept(x, axis, keepdims), correction)
    total = ops.divide(ops.sum(ops.square(deviation), axis=axis, keepdims=keepdims), ops.maximum(count, 0))
    return ops.where(ops.less_equal(count, 0), math.nan, total)


def nanstd(x: Any, axis: Any = None, keepdims: bool = False, correction: float = 0) -> Any:
    """The standard deviation over ``axis`` of what is not NaN.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanstd([1.0, math.nan, 3.0]).tolist()
        1.0
    """
    variance = nanvar(x, axis, keepdims, correction)
    constant = ops.equal(variance, 0)
    return ops.where(constant, 0, ops.sqrt(ops.where(constant, 1, variance)))


def _extreme(function: Callable[..., Any], empty: float, x: Any, axis: Any, keepdims: bool) -> Any:
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return function(x, axis=axis, keepdims=keepdims)
    missing = ops.isnan(x)
    found = function(ops.where(missing, empty, x), axis=axis, keepdims=keepdims)
    return ops.where(ops.all(missing, axis=axis, keepdims=keepdims), math.nan, found)


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest over ``axis`` of what is not NaN; NaN where there is nothing else.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanmax([1.0, math.nan, 3.0]).tolist()
        3.0
    """
    return _extreme(ops.max, -math.inf, x, axis, keepdims)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest over ``axis`` of what is not NaN; NaN where there is nothing else.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanmin([1.0, math.nan, 3.0]).tolist()
        1.0
    """
    return _extreme(ops.min, math.inf, x, axis, keepdims)


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first largest along ``axis`` of what is not NaN; -1 where there is nothing else.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanargmax([1.0, math.nan, 3.0]).tolist()
        2
    """
    return _place(ops.argmax, -math.inf, x, axis, keepdims)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The index of the first smallest along ``axis`` of what is not NaN; -1 where there is nothing else.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanargmin([1.0, math.nan, 3.0]).tolist()
        0
    """
    return _place(ops.argmin, math.inf, x, axis, keepdims)


def _place(function: Callable[..., Any], empty: float, x: Any, axis: int | None, keepdims: bool) -> Any:
    x = as_tensor(x)
    if not dtypes.is_float(x.dtype):
        return function(x, axis=axis, keepdims=keepdims)
    missing = ops.isnan(x)
    found = function(ops.where(missing, empty, x), axis=axis, keepdims=keepdims)
    return ops.where(ops.all(missing, axis=axis, keepdims=keepdims), -1, found)


def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Quantiles over ``axis`` of what is not NaN; see ``quantile``.

    Example:
        >>> import lamina
        >>> lamina.nanquantile([1.0, float("nan"), 3.0], 0.5).item()
        2.0
    """
    return ops.statistics.quantiles("nanquantile", x, q, axis, method, keepdims, skip_nan=True)


def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Percentiles over ``axis`` of what is not NaN; see ``quantile``."""
    share = q / 100 if isinstance(q, int | float) else ops.divide(q if hasattr(q, "dtype") else np.asarray(q), 100.0)
    return nanquantile(x, share, axis, method, keepdims)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The median over ``axis`` of what is not NaN.

    Example:
        >>> import lamina
        >>> import math
        >>> lamina.nanmedian([1.0, math.nan, 3.0]).tolist()
        2.0
    """
    return nanquantile(x, 0.5, axis, keepdims=keepdims)
