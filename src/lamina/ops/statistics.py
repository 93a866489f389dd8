"""Order statistics, averages, correlation, histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.creation import as_tensor
from lamina.ops.elementwise import floating, floating_operands
from lamina.ops.reduction import kept_shape, normalize_axes, one_axis

QUANTILE_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantiles(name: str, x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool) -> Any:
    """What ``quantile`` and ``nanquantile`` do; see there."""
    if method not in QUANTILE_METHODS:
        raise ArgumentError(f"{name}: method is one of {', '.join(QUANTILE_METHODS)}; got {method!r}.")
    x = floating(name, x)
    dtype = x.dtype
    if dtype.itemsize == 2:
        x = ops.astype(x, dtypes.float32)
    q = ops.astype(as_tensor(q) if hasattr(q, "dtype") else as_tensor(q, dtype=x.dtype), x.dtype)
    if not q.is_symbolic and not bool(np.all((q._data >= 0) & (q._data <= 1))):
        raise ArgumentError(f"{name}: q lies between 0 and 1 (percentiles between 0 and 100).")
    axes = normalize_axes(name, axis, x.ndim)
    rest = [d for d in range(x.ndim) if d not in axes]
    n = math.prod(x.shape[a] for a in axes)
    if n == 0:
        raise ShapeError(f"{name}: shape {x.shape} has no elements along axes {axes}.")
    rows = ops.sort(ops.reshape(ops.permute_dims(x, (*rest, *axes)), (*[x.shape[d] for d in rest], n)))
    missing = ops.isnan(rows)
    if skip_nan:
        counts = ops.sum(ops.astype(ops.logical_not(missing), x.dtype), axis=-1)
    else:
        counts = ops.full([x.shape[d] for d in rest], float(n), dtype=x.dtype)
    flat = ops.reshape(q, (-1, *(1,) * counts.ndim))
    position = ops.multiply(flat, ops.maximum(ops.subtract(counts, 1), 0))  # (q, *rest)
    low, high = ops.floor(position), ops.ceil(position)
    part = ops.subtract(position, low)
    if method == "nearest":  # halves go to the even neighbour
        low = high = ops.round(position)
    elif method == "midpoint":
        part = ops.where(ops.equal(part, 0), 0, ops.full_like(part, 0.5))
    below, above = _at(rows, low), _at(rows, high)
    if method == "lower":
        found = below
    elif method in ("higher", "nearest"):
        found = above
    else:
        same = ops.equal(below, above)  # also two infinities
        found = ops.add(below, ops.multiply(ops.where(same, 0, ops.subtract(above, below)), part))
    if skip_nan:
        found = ops.where(ops.equal(counts, 0), math.nan, found)
    else:
        found = ops.where(ops.any(missing, axis=-1), math.nan, found)
    shape = kept_shape(x.shape, axes) if keepdims else tuple(x.shape[d] for d in rest)
    return ops.astype(ops.reshape(found, (*q.shape, *shape)), dtype)


def _at(rows: Any, places: Any) -> Any:
    """``rows[..., places]`` for places of shape ``(q, *rows.shape[:-1])``."""
    index = ops.moveaxis(ops.astype(places, "int64"), 0, -1)
    return ops.moveaxis(ops.take_along_axis(rows, index, axis=-1), -1, 0)


def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The numbers below which the shares ``q`` of the elements over ``axis`` lie.

    Args:
        x: tensor of any shape.
        q: shares from 0 to 1, a number or a tensor; its shape comes first in the result.
        axis: an axis, a tuple of axes, or ``None`` for all.
        method: what to do between two elements: ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"``
            or ``"nearest"``.
        keepdims: keep the reduced axes with size 1.

    Raises:
        ArgumentError: ``q`` is out of range, or the method is unknown.

    Example:
        >>> import lamina
        >>> lamina.quantile([1.0, 2.0, 4.0], [0.5, 0.75]).tolist()
        [2.0, 3.0]
    """
    return quantiles("quantile", x, q, axis, method, keepdims, skip_nan=False)


def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """``quantile`` with ``q`` in percent.

    Example:
        >>> import lamina
        >>> lamina.percentile([1.0, 2.0, 3.0], 50).item()
        2.0
    """
    share = q / 100 if isinstance(q, int | float) else ops.divide(q if hasattr(q, "dtype") else np.asarray(q), 100.0)
    return quantile(x, share, axis, method, keepdims)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The number in the middle over ``axis``; halfway between the two in the middle if there are two.

    Example:
        >>> import lamina
        >>> lamina.median([3.0, 1.0, 2.0, 10.0]).item()
        2.5
    """
    return quantile(x, 0.5, axis, keepdims=keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The range over ``axis``: the largest minus the smallest.

    Example:
        >>> import lamina
        >>> lamina.ptp([1.0, 4.0, 2.0]).item()
        3.0
    """
    return ops.subtract(ops.max(x, axis=axis, keepdims=keepdims), ops.min(x, axis=axis, keepdims=keepdims))


def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """The weighted mean over ``axis``: ``sum(weights * x) / sum(weights)``.

    Args:
        x: tensor of any shape.
        axis: an axis, a tuple of axes, or ``None`` for all.
        weights: of the shape of ``x``, or a vector along the one axis; default all equal.

    Raises:
        ShapeError: the weights do not fit.

    Example:
        >>> import lamina
        >>> lamina.average([1.0, 4.0], weights=[2.0, 1.0]).item()
        2.0
    """
    if weights is None:
        return ops.mean(x, axis=axis)
    x, weights = floating_operands(x, weights)
    if weights.shape != x.shape:
        if axis is None or weights.ndim != 1:
            raise ShapeError(f"average: weights of shape {weights.shape} do not fit shape {x.shape}.")
        place = one_axis("average", axis, x.ndim)
        if weights.shape[0] != x.shape[place]:
            raise ShapeError(f"average: {weights.shape[0]} weights do not fit axis {place} of shape {x.shape}.")
        weights = ops.reshape(weights, [-1 if d == place else 1 for d in range(x.ndim)])
        weights = ops.broadcast_to(weights, x.shape)
    return ops.divide(ops.sum(ops.multiply(x, weights), axis=axis), ops.sum(weights, axis=axis))


def corrcoef(x: Any) -> Any:
    """The matrix of Pearson's correlation coefficients between the rows of ``x``.

    Args:
        x: shape (variables, observations), or (observations,) for one variable.

    Example:
        >>> import lamina
        >>> lamina.corrcoef([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]).tolist()[0][1] < -0.99
        True
    """
    x = floating("corrcoef", x)
    if x.ndim > 2:
        raise ShapeError(f"corrcoef takes at most 2 dimensions; got shape {x.shape}.")
    if x.ndim == 0:
        return ops.divide(x, x)
    rows = ops.reshape(x, (-1, x.shape[-1]))
    deviation = ops.subtract(rows, ops.mean(rows, axis=1, keepdims=True))
    covariance = ops.matmul(deviation, ops.matrix_transpose(deviation))
    scale = ops.sqrt(ops.diagonal(covariance))
    found = ops.clip(ops.divide(covariance, ops.multiply(ops.expand_dims(scale, 1), scale)), -1, 1)
    return ops.reshape(found, ()) if x.ndim == 1 else found


def digitize(x: Any, bins: Any) -> Any:
    """The number of the bin of each element: ``i`` where ``bins[i - 1] <= x < bins[i]``.

    Args:
        x: tensor of any shape.
        bins: ascending edges, shape (n,).

    Returns:
        int64 from 0 to n, of the shape of ``x``.

    Example:
        >>> import lamina
        >>> lamina.digitize([0.5, 1.0, 9.0], [0.0, 1.0, 2.0]).tolist()
        [1, 2, 3]
    """
    x, bins = ops.creation.operands(x, bins)
    if bins.ndim != 1:
        raise ShapeError(f"digitize: bins are a vector of edges; got shape {bins.shape}.")
    return ops.searchsorted(bins, x, side="right")


def histogram(x: Any, bins: Any = 10, range: Sequence[float] | None = None) -> tuple[Any, Any]:
    """How many elements lie in each of several bins; the last one holds its upper edge, too.

    Args:
        x: tensor of any shape.
        bins: the number of bins, or their ascending edges.
        range: lowest and highest edge; default those of the data.

    Returns:
        ``(counts, edges)``: int64 of shape (bins,), and shape (bins + 1,).

    Raises:
        ArgumentError: there are no bins, or the range is empty.

    Example:
        >>> import lamina
        >>> counts, edges = lamina.histogram([0.0, 1.0, 1.5, 2.0], bins=2)
        >>> counts.tolist(), edges.tolist()
        ([1, 3], [0.0, 1.0, 2.0])
    """
    values = ops.ravel(floating("histogram", x))
    if isinstance(bins, int | np.integer):
        if bins < 1:
            raise ArgumentError(f"histogram: bins is at least 1; got {bins}.")
        if range is not None:
            low, high = ops.full((), float(range[0]), values.dtype), ops.full((), float(range[1]), values.dtype)
            if range[0] > range[1]:
                raise ArgumentError(f"histogram: the range goes upwards; got {tuple(range)}.")
        elif values.size:
            low, high = ops.min(values), ops.max(values)
        else:
            low, high = ops.zeros((), values.dtype), ops.ones((), values.dtype)
        flat = ops.equal(low, high)
        low, high = ops.where(flat, ops.subtract(low, 0.5), low), ops.where(flat, ops.add(high, 0.5), high)
        steps = ops.as_tensor((np.arange(int(bins) + 1) / int(bins)).astype(values.dtype))
        edges = ops.add(low, ops.multiply(steps, ops.subtract(high, low)))
        edges = ops.concat([ops.indexing.narrow(edges, 0, 0, int(bins)), ops.reshape(high, (1,))])
    else:
        edges = ops.astype(as_tensor(bins), values.dtype)
    below = ops.searchsorted(ops.sort(values), edges, side="left")
    last = ops.sum(ops.less_equal(values, edges[-1]))
    ends = ops.concat([below[:-1], ops.reshape(ops.astype(last, below.dtype), (1,))])
    return ops.subtract(ends[1:], ends[:-1]), edges


def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Any, Any]:
    """Mean and variance over ``axes``.

    Example:
        >>> import lamina
        >>> mean, variance = lamina.moments([1.0, 3.0], axes=0)
        >>> mean.item(), variance.item()
        (2.0, 1.0)
    """
    x = floating("moments", x)
    if x.dtype.itemsize > 2:
        return ops.mean(x, axis=axes, keepdims=keepdims), ops.var(x, axis=axes, keepdims=keepdims)
    wide = moments(ops.astype(x, dtypes.float32), axes, keepdims)  # what does not fit becomes the largest number
    return ops.saturate_cast(wide[0], x.dtype), ops.saturate_cast(wide[1], x.dtype)
