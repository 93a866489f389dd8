"""Normalising: by given statistics, over features, to unit length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.elementwise import floating
from lamina.ops.reduction import normalize_axes, one_axis


def _wide(x: Any) -> tuple[Any, Any]:
    """The tensor in at least float32, and the dtype to come back to."""
    return (ops.astype(x, dtypes.float32) if x.dtype.itemsize == 2 else x), x.dtype


def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Any:
    """``(x - mean) / sqrt(variance + epsilon) * scale + offset``, one number of each for a feature.

    Args:
        x: tensor.
        mean, variance: vectors along ``axis``.
        axis: the axis of the features.
        offset, scale: vectors along ``axis``; default 0 and 1.
        epsilon: added to the variance.

    Example:
        >>> import lamina
        >>> lamina.ops.normalization.batch_normalization([[2.0], [4.0]], [3.0], [1.0], 1, epsilon=0.0).tolist()
        [[-1.0], [1.0]]
    """
    x, dtype = _wide(floating("batch_normalization", x))
    place = one_axis("batch_normalization", axis, x.ndim)

    def spread(name: str, v: Any) -> Any:
        v = ops.astype(ops.as_tensor(v), x.dtype)
        if v.shape != (x.shape[place],):
            raise ShapeError(
                f"batch_normalization: `{name}` must be a vector of length {x.shape[place]}; got shape {v.shape}."
            )
        return ops.reshape(v, [-1 if d == place else 1 for d in range(x.ndim)])

    factor = ops.rsqrt(ops.add(spread("variance", variance), epsilon))
    if scale is not None:
        factor = ops.multiply(factor, spread("scale", scale))
    found = ops.multiply(ops.subtract(x, spread("mean", mean)), factor)
    if offset is not None:
        found = ops.add(found, spread("offset", offset))
    return ops.astype(found, dtype)


def _weights(x: Any, axes: tuple[int, ...], weight: Any) -> Any:
    """Weights over the normalised axes, so that they broadcast against ``x``."""
    weight = ops.astype(ops.as_tensor(weight), x.dtype)
    wanted = tuple(x.shape[a] for a in axes)
    if weight.shape in ((), wanted):
        shape = [n if d in axes else 1 for d, n in enumerate(x.shape)]
        return ops.reshape(weight, shape) if weight.shape else weight
    return weight  # as it broadcasts


def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Any:
    """``(x - mean) / sqrt(var + epsilon) * gamma + beta`` with mean and variance over ``axis``.

    Args:
        x: tensor.
        gamma, beta: of the shape of the normalised axes; default 1 and 0.
        axis: the axis or axes of the features.
        epsilon: default 1e-7.

    Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.
    """
    x, dtype = _wide(floating("layer_normalization", x))
    axes = normalize_axes("layer_normalization", axis if isinstance(axis, int) else tuple(axis), x.ndim)
    deviation = ops.subtract(x, ops.mean(x, axis=axes, keepdims=True))
    variance = ops.mean(ops.square(deviation), axis=axes, keepdims=True)
    found = ops.multiply(deviation, ops.rsqrt(ops.add(variance, 1e-7 if epsilon is None else epsilon)))
    if gamma is not None:
        found = ops.multiply(found, _weights(x, axes, gamma))
    if beta is not None:
        found = ops.add(found, _weights(x, axes, beta))
    return ops.astype(found, dtype)


def rms_normalization(x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None) -> Any:
    """``x / sqrt(mean(x**2) + epsilon) * scale`` with the mean over ``axis``.

    Args:
        x: tensor.
        scale: of the shape of the normalised axes; default 1.
        axis: the axis or axes of the features.
        epsilon: default 1e-7.

    Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.
    """
    x, dtype = _wide(floating("rms_normalization", x))
    axes = normalize_axes("rms_normalization", axis if isinstance(axis, int) else tuple(axis), x.ndim)
    square = ops.mean(ops.square(x), axis=axes, keepdims=True)
    found = ops.multiply(x, ops.rsqrt(ops.add(square, 1e-7 if epsilon is None else epsilon)))
    return ops.astype(found if scale is None else ops.multiply(found, _weights(x, axes, scale)), dtype)


def normalize(x: Any, axis: Any = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """``x`` divided by its norm along ``axis``, which counts at least ``epsilon``.

    Args:
        x: tensor.
        axis: the axis; for ``order=2`` a tuple of axes, too.
        order: the exponent of the norm, above 0; ``inf`` for the largest absolute value.
        epsilon: default 1e-7.

    Example:
        >>> import lamina
        >>> [round(v, 3) for v in lamina.ops.normalization.normalize([3.0, 4.0]).tolist()]
        [0.6, 0.8]
    """
    if not (isinstance(order, int) or order == math.inf) or order < 1:
        raise ArgumentError(f"Argument `order` must be an int >= 1. Received: order={order}")
    x = floating("normalize", x)
    x = ops.reshape(x, (1,)) if x.ndim == 0 else x
    least = 1e-7 if epsilon is None else epsilon
    if order == 2:  # so that the gradient at 0 is finite
        square = ops.sum(ops.square(x), axis=axis, keepdims=True)
        return ops.multiply(x, ops.rsqrt(ops.maximum(square, least**2)))
    size = ops.abs(x)
    if order == math.inf:
        norm = ops.max(size, axis=axis, keepdims=True)
    else:
        norm = ops.norms.vector_norm(x, axis=axis, keepdims=True, ord=order)
    return ops.divide(x, ops.maximum(norm, least))


def psnr(x: Any, y: Any, max_val: float) -> Any:
    """The peak signal-to-noise ratio in decibels: ``20 log10(max_val) - 10 log10(mean((x - y)**2))``.

    Raises:
        ShapeError: the shapes differ.
    """
    x, y = ops.elementwise.floating_operands(x, y)
    if x.shape != y.shape:
        raise ShapeError(f"Input shapes {x.shape} and {y.shape} must match for PSNR calculation. ")
    error = ops.mean(ops.square(ops.subtract(x, y)))
    return ops.subtract(20 * math.log10(max_val), ops.multiply(ops.log10(error), 10))
