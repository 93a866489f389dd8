"""Losses of numbers and of distributions, as functions of one value for each sample."""

from __future__ import annotations

import math
from typing import Any

from lamina import config, ops
from lamina.core import dtypes
from lamina.losses.base import same_shape
from lamina.ops import nn
from lamina.tensor import Tensor


def mean_last(values: Any, axis: Any = -1) -> Tensor:
    """The mean over the last axis, where there is one."""
    return ops.mean(values, axis=axis) if values.ndim else values


def as_float(x: Any) -> Any:
    """A Tensor of a float dtype."""
    x = ops.as_tensor(x)
    return x if dtypes.is_float(x.dtype) else ops.astype(x, config.floatx())


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean((y_true - y_pred)**2)`` over the last axis.

    Args:
        y_true: targets ``[..., n]``.
        y_pred: predictions of the same shape.

    Returns:
        One loss for each sample, ``[...]``.

    Example:
        >>> import lamina
        >>> lamina.losses.mean_squared_error([[0.0, 2.0]], [[1.0, 0.0]]).tolist()
        [2.5]
    """
    y_true, y_pred = same_shape("mean_squared_error", y_true, y_pred)
    return mean_last(ops.square(ops.subtract(y_pred, y_true)))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(|y_true - y_pred|)`` over the last axis.

    Example:
        >>> import lamina
        >>> lamina.losses.mean_absolute_error([[0.0, 1.0]], [[1.0, 4.0]]).tolist()
        [2.0]
    """
    y_true, y_pred = same_shape("mean_absolute_error", y_true, y_pred)
    return mean_last(ops.abs(ops.subtract(y_pred, y_true)))


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """``100 * mean(|y_true - y_pred| / |y_true|)`` over the last axis.

    Example:
        >>> import lamina
        >>> lamina.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).tolist()
        [25.0]
    """
    y_true, y_pred = same_shape("mean_absolute_percentage_error", y_true, y_pred)
    share = ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), config.epsilon()))
    return 100.0 * mean_last(share)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """``mean((log(1 + y_true) - log(1 + y_pred))**2)`` over the last axis, for values from 0 up.

    Example:
        >>> import lamina
        >>> lamina.losses.mean_squared_logarithmic_error([[0.0]], [[0.0]]).tolist()
        [0.0]
    """
    y_true, y_pred = same_shape("mean_squared_logarithmic_error", y_true, y_pred)

    def logarithm(x: Any) -> Any:
        return ops.log(ops.maximum(x, config.epsilon()) + 1.0)

    return mean_last(ops.square(logarithm(y_pred) - logarithm(y_true)))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between targets and predictions: -1 where they point the same way.

    Args:
        y_true: targets.
        y_pred: predictions of the same shape.
        axis: the axis along which the vectors lie.

    Example:
        >>> import lamina
        >>> lamina.losses.cosine_similarity([[0.0, 1.0]], [[0.0, 3.0]]).tolist()
        [-1.0]
    """
    y_true, y_pred = same_shape("cosine_similarity", y_true, y_pred)
    true, predicted = (ops.normalization.normalize(y, axis, epsilon=config.epsilon()) for y in (y_true, y_pred))
    return ops.negative(ops.sum(true * predicted, axis=axis))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean of ``error**2 / 2`` where the error is at most ``delta``, ``delta * (|error| - delta / 2)`` beyond.

    Args:
        y_true: targets.
        y_pred: predictions of the same shape.
        delta: where the parabola goes over into a line.

    Example:
        >>> import lamina
        >>> lamina.losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
        [1.5]
    """
    y_true, y_pred = same_shape("huber", y_true, y_pred)
    error = ops.abs(y_pred - y_true)
    return mean_last(ops.where(error <= delta, 0.5 * ops.square(error), delta * error - 0.5 * delta * delta))


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(log(cosh(y_pred - y_true)))``: a parabola near 0 and a line far from it.

    Example:
        >>> import lamina
        >>> lamina.losses.log_cosh([[0.0]], [[0.0]]).tolist()
        [0.0]
    """
    y_true, y_pred = same_shape("log_cosh", y_true, y_pred)
    x = y_pred - y_true
    return mean_last(x + nn.softplus(x * -2.0) - math.log(2.0))


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """``sum(y_true * log(y_true / y_pred))`` over the last axis, between distributions (Kullback and Leibler, 1951)."""
    y_true, y_pred = same_shape("kl_divergence", y_true, y_pred)
    y_true, y_pred = (ops.clip(y, config.epsilon(), 1.0) for y in (y_true, y_pred))
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(y_pred - y_true * log(y_pred))``: for counts, ``y_pred`` being their mean."""
    y_true, y_pred = same_shape("poisson", y_true, y_pred)
    return mean_last(y_pred - y_true * ops.log(y_pred + config.epsilon()))


def _signs(y_true: Any) -> Any:
    """Targets of 0 and 1 as -1 and 1; others as they are."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1)))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0))`` with targets of -1 and 1 (0 and 1 are turned into these).

    Example:
        >>> import lamina
        >>> lamina.losses.hinge([[-1.0, 1.0]], [[0.5, 2.0]]).tolist()
        [0.75]
    """
    y_true, y_pred = same_shape("hinge", y_true, y_pred)
    return mean_last(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0))


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``mean(max(1 - y_true * y_pred, 0)**2)`` with targets as for ``hinge``.

    Example:
        >>> import lamina
        >>> lamina.losses.squared_hinge([[-1.0, 1.0]], [[-1.0, 0.5]]).tolist()
        [0.125]
    """
    y_true, y_pred = same_shape("squared_hinge", y_true, y_pred)
    return mean_last(ops.square(ops.maximum(1.0 - _signs(y_true) * y_pred, 0.0)))


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """``max(neg - pos + 1, 0)`` with ``pos`` the score of the true class and ``neg`` the best of the others.

    Args:
        y_true: one-hot targets.
        y_pred: scores of the same shape.

    Example:
        >>> import lamina
        >>> lamina.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.5]]).tolist()
        [1.0]
    """
    y_true, y_pred = same_shape("categorical_hinge", y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    best = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(best - right + 1.0, 0.0)
