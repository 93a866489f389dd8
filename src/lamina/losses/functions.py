"""The cross-entropies as functions of one value for each sample."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lamina import config, ops
from lamina.activations import logits_of
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DataError, ShapeError
from lamina.losses.base import same_shape
from lamina.losses.regression import mean_last
from lamina.ops import nn
from lamina.tensor import Tensor


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """``mean(-y log p - (1 - y) log(1 - p))`` over ``axis``.

    Args:
        y_true: targets from 0 to 1.
        y_pred: probabilities of the same shape, or logits.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: moves the targets towards 1/2 by this fraction.
        axis: the axis to average over.

    Returns:
        One loss for each sample.

    Raises:
        DataError: (eagerly) probabilities outside [0, 1].

    Example:
        >>> import lamina
        >>> lamina.losses.binary_crossentropy([[1.0]], [[0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    logits = None if from_logits else logits_of(y_pred, "sigmoid")
    y_true, probabilities = same_shape("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if logits is not None or from_logits:
        x = probabilities if from_logits else ops.reshape(logits, probabilities.shape)
        return mean_last(nn.binary_cross_entropy_with_logits(y_true, x), axis)
    check_probabilities("binary_crossentropy", probabilities)
    p = ops.clip(probabilities, config.epsilon(), 1.0 - config.epsilon())
    losses = ops.multiply(y_true, ops.log(p)) + ops.multiply(1.0 - y_true, ops.log(1.0 - p))
    return mean_last(ops.negative(losses), axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """``-sum(y log p)`` over the classes.

    Args:
        y_true: a distribution over the classes for each sample, one-hot as a rule.
        y_pred: probabilities of the same shape (normalised here to a sum of 1), or logits.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.

    Returns:
        One loss for each sample.

    Raises:
        ShapeError: the shapes differ; for integer labels use ``sparse_categorical_crossentropy``.
        ArgumentError: there is one class only.

    Example:
        >>> import lamina
        >>> lamina.losses.categorical_crossentropy([[0.0, 1.0]], [[0.0, 0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    logits = None if from_logits else logits_of(y_pred, "softmax")
    y_pred = ops.as_tensor(y_pred)
    if not dtypes.is_float(y_pred.dtype):
        y_pred = ops.astype(y_pred, config.floatx())
    y_true = ops.as_tensor(y_true, dtype=y_pred.dtype)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"categorical_crossentropy: targets have shape {y_true.shape} and predictions {y_pred.shape}; expected "
            "the same shape. For integer labels use sparse_categorical_crossentropy; else give one-hot rows."
        )
    _check_classes("categorical_crossentropy", y_pred, axis)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[axis]
    if from_logits:
        return nn.softmax_cross_entropy_with_logits(y_true, y_pred, axis=axis)
    if logits is not None and axis in (-1, y_pred.ndim - 1) and logits.dtype == y_pred.dtype:
        return nn.softmax_cross_entropy_with_logits(y_true, logits)
    return ops.negative(ops.sum(ops.multiply(y_true, _log_probabilities(y_pred, axis)), axis=axis))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """``-log p[label]``: the cross-entropy of integer labels.

    Args:
        y_true: labels from 0 to ``classes - 1``, shaped like ``y_pred`` without the axis of the classes
            (or with size 1 there).
        y_pred: probabilities (normalised here to a sum of 1), or logits.
        from_logits: whether ``y_pred`` are logits.
        ignore_class: samples with this label have loss 0.
        axis: the axis of the classes.

    Returns:
        One loss for each sample.

    Raises:
        ShapeError: the labels' shape is another.
        DataError: (eagerly) a label is not a class.

    Example:
        >>> import lamina
        >>> lamina.losses.sparse_categorical_crossentropy([1], [[0.0, 0.0]], from_logits=True).numpy()
        array([0.6931472], dtype=float32)
    """
    logits = None if from_logits else logits_of(y_pred, "softmax")
    y_true, y_pred = ops.as_tensor(y_true), ops.as_tensor(y_pred)
    if not dtypes.is_float(y_pred.dtype):
        y_pred = ops.astype(y_pred, config.floatx())
    axis = axis % max(y_pred.ndim, 1)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = ops.reshape(y_true, (*y_true.shape[:axis], *y_true.shape[axis + 1 :]))
    rows = (*y_pred.shape[:axis], *y_pred.shape[axis + 1 :])
    if y_true.shape != rows:
        raise ShapeError(
            f"sparse_categorical_crossentropy: labels have shape {y_true.shape} and predictions {y_pred.shape}; "
            f"expected one integer for each row, shape {rows}. For one-hot targets use categorical_crossentropy."
        )
    _check_classes("sparse_categorical_crossentropy", y_pred, axis)
    if not dtypes.is_integer(y_true.dtype):
        y_true = ops.astype(y_true, "int32")
    valid = None
    if ignore_class is not None:
        valid = ops.not_equal(y_true, ignore_class)
        y_true = ops.where(valid, y_true, 0)
    check_labels("sparse_categorical_crossentropy", y_true, y_pred.shape[axis])
    last = axis == y_pred.ndim - 1
    if from_logits:
        scores = y_pred if last else ops.moveaxis(y_pred, axis, -1)
        losses = nn.sparse_softmax_cross_entropy_with_logits(y_true, scores)
    elif logits is not None and last and logits.dtype == y_pred.dtype:
        # log(sum(exp(x))) - x[label], on the very terms that softmax computes, so that they are shared.
        shifted = ops.subtract(logits, ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True)))
        losses = ops.subtract(ops.log(ops.sum(ops.exp(shifted), axis=-1)), _chosen(shifted, y_true))
    else:
        log_p = _log_probabilities(y_pred, axis)
        losses = ops.negative(_chosen(log_p if last else ops.moveaxis(log_p, axis, -1), y_true))
    return losses if valid is None else ops.where(valid, losses, 0.0)


binary_crossentropy.targets = "probabilities"  # type: ignore[attr-defined]
categorical_crossentropy.targets = "probabilities"  # type: ignore[attr-defined]
sparse_categorical_crossentropy.targets = "classes"  # type: ignore[attr-defined]


def _chosen(values: Any, labels: Any) -> Any:
    """The value of each row at its label; chosen by comparison, which fuses, rather than gathered."""
    places = ops.equal(ops.reshape(labels, (*labels.shape, 1)), ops.arange(values.shape[-1], dtype=labels.dtype))
    return ops.sum(ops.where(places, values, 0), axis=-1)


def _log_probabilities(y_pred: Any, axis: int) -> Any:
    """``log`` of probabilities, normalised and kept away from 0 and 1."""
    check_probabilities("crossentropy", y_pred)
    p = ops.divide(y_pred, ops.sum(y_pred, axis=axis, keepdims=True))
    return ops.log(ops.clip(p, config.epsilon(), 1.0 - config.epsilon()))


def _check_classes(name: str, y_pred: Any, axis: int) -> None:
    if y_pred.ndim == 0 or y_pred.shape[axis] == 1:
        raise ArgumentError(
            f"{name}: predictions of shape {y_pred.shape} have one class, so the loss would always be the same. "
            "Use binary_crossentropy for a single output, or give the last layer one unit for each class."
        )


def check_labels(name: str, labels: Any, classes: int) -> None:
    """Check that integer labels with values are classes (symbolic ones are checked by ``fit``).

    Raises:
        DataError: a label is negative or too large.
    """
    if labels.is_symbolic or labels.size == 0:
        return
    values = labels.__array__()
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{name}: label {low if low < 0 else high} is not a class; expected integers from 0 to {classes - 1} "
            f"for predictions of {classes} classes. Renumber the labels, or give the last layer more units."
        )


class _Checking(threading.local):
    on = True


_checking = _Checking()


@contextmanager
def unchecked_probabilities() -> Iterator[None]:
    """Inside the ``with`` block predictions may lie outside [0, 1], as in compiled code; ``fit`` has warned of it."""
    before, _checking.on = _checking.on, False
    try:
        yield
    finally:
        _checking.on = before


def check_probabilities(name: str, values: Any) -> None:
    """Check that predictions with values lie in [0, 1] (of symbolic ones ``fit`` tells).

    Raises:
        DataError: one does not.
    """
    if values.is_symbolic or values.size == 0 or not _checking.on:
        return
    array = values.__array__()
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 1 + 1e-3:
        raise DataError(
            f"{name}: predictions lie between {low:.4g} and {high:.4g}, and probabilities lie in [0, 1]. "
            "If these are logits, pass from_logits=True; else end the model with softmax or sigmoid."
        )
