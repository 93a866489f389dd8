"""Losses for unbalanced classes, noisy labels, segmentation, similarity and sequences, as functions."""

from __future__ import annotations

from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.graph.scan import scan
from lamina.losses.base import same_shape
from lamina.losses.regression import as_float, mean_last
from lamina.ops import nn
from lamina.tensor import Tensor


def _axis(axis: Any) -> int:
    if isinstance(axis, bool):
        raise ArgumentError(f"`axis` must be of type `int`. Received: axis={axis} of type {type(axis)}")
    return int(axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """``mean((1 - p_t)**gamma * crossentropy)``: what is already right counts little.

    Args:
        y_true: targets from 0 to 1.
        y_pred: probabilities of the same shape, or logits.
        apply_class_balancing: whether class 1 is weighted with ``alpha`` and class 0 with ``1 - alpha``.
        alpha: see above.
        gamma: how little; 0 gives ``binary_crossentropy``.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: moves the targets towards 1/2 by this fraction.
        axis: the axis to average over.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """
    y_true, p = same_shape("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        p = ops.sigmoid(p)
    safe = ops.clip(p, config.epsilon(), 1.0 - config.epsilon())
    losses = -(y_true * ops.log(safe) + (1.0 - y_true) * ops.log(1.0 - safe))
    wrong = 1.0 - (y_true * p + (1.0 - y_true) * (1.0 - p))
    losses = _power(wrong, gamma) * losses
    if apply_class_balancing:
        losses = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * losses
    return mean_last(losses, _axis(axis))


def _power(x: Any, exponent: float) -> Any:
    return ops.square(x) if exponent == 2 else ops.pow(x, exponent)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """``sum(alpha * (1 - p)**gamma * -y log p)`` over the classes: what is already right counts little.

    Args:
        y_true: a distribution over the classes for each sample, one-hot as a rule.
        y_pred: probabilities of the same shape, or logits.
        alpha: a factor, or one for each class.
        gamma: how little.
        from_logits: whether ``y_pred`` are logits.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """
    axis = _axis(axis)
    y_true, p = same_shape("categorical_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    if from_logits:
        p = nn.softmax(p, axis=axis)
    p = p / ops.sum(p, axis=axis, keepdims=True)
    p = ops.clip(p, config.epsilon(), 1.0 - config.epsilon())
    weight = _power(1.0 - p, gamma) * ops.as_tensor(alpha, dtype=p.dtype)
    return ops.sum(weight * (-y_true * ops.log(p)), axis=axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """``(1 - p**q) / q`` with ``p`` the probability of the true class: between cross-entropy and absolute error.

    Args:
        y_true: integer labels.
        y_pred: probabilities of the classes along the last axis.
        q: above 0 (near cross-entropy) and below 1 (near absolute error, which bears wrong labels).

    Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss", NeurIPS 2018.
    """
    y_pred = as_float(y_pred)
    labels = ops.astype(ops.as_tensor(y_true), "int32")
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = ops.reshape(labels, labels.shape[:-1])
    p = ops.sum(y_pred * ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype), axis=-1)
    return (1.0 - ops.pow(p, q)) / q


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """``1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))``: overlap of two regions.

    Args:
        y_true: 1 inside the region and 0 outside.
        y_pred: probabilities of the same shape.
        axis: axes to sum over; default all.

    Example:
        >>> import lamina
        >>> round(lamina.losses.dice([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]).item(), 4)
        0.3333
    """
    y_true, y_pred = same_shape("dice", y_true, y_pred)
    axis = tuple(axis) if isinstance(axis, list) else axis
    both = ops.sum(y_true * y_pred, axis=axis)
    return 1 - 2.0 * both / (ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis) + config.epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Tensor:
    """``1 - both / (both + alpha * only_true + beta * only_pred)``: overlap that weights the two kinds of error.

    Args:
        y_true: 1 inside the region and 0 outside.
        y_pred: probabilities of the same shape.
        alpha: weight of what is in ``y_true`` alone.
        beta: weight of what is in ``y_pred`` alone.
        axis: axes to sum over; default all.

    Source: Salehi et al., "Tversky loss function for image segmentation", 2017.
    """
    y_true, y_pred = same_shape("tversky", y_true, y_pred)
    axis = tuple(axis) if isinstance(axis, list) else axis
    both = ops.sum(y_true * y_pred, axis=axis)
    only_true = ops.sum((1 - y_pred) * y_true, axis=axis)
    only_pred = ops.sum(y_pred * (1 - y_true), axis=axis)
    return 1 - both / (both + only_true * alpha + only_pred * beta + config.epsilon())


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Pulls embeddings of one class together and others apart, each pair as hard as it is wrong.

    With cosine distances ``d``: ``softplus(logsumexp_same(gamma * (margin + d) * (d - margin)) +
    logsumexp_other(gamma * max(1 + margin - d, 0) * (1 - margin - d)))``.

    Args:
        y_true: integer labels ``[n]``.
        y_pred: embeddings of length 1, ``[n, size]``.
        ref_labels: labels of what they are compared with; default ``y_true``.
        ref_embeddings: what they are compared with; default ``y_pred``.
        remove_diagonal: whether each is not compared with itself (the reference in its place).
        gamma: scale.
        margin: the margin.

    Source: Sun et al., "Circle Loss", CVPR 2020.
    """
    y_pred = as_float(y_pred)
    labels = ops.reshape(ops.astype(ops.as_tensor(y_true), "int32"), (-1, 1))
    others = labels if ref_labels is None else ops.reshape(ops.astype(ops.as_tensor(ref_labels), "int32"), (-1, 1))
    references = y_pred if ref_embeddings is None else as_float(ref_embeddings)
    distance = ops.maximum(1.0 - ops.matmul(y_pred, ops.matrix_transpose(references)), 0.0)
    same = ops.equal(labels, ops.matrix_transpose(others))
    different = ops.logical_not(same)
    if remove_diagonal:
        same = ops.logical_and(same, ops.equal(ops.eye(same.shape[0], same.shape[1]), 0))

    def gathered(chosen: Any, terms: Any) -> Any:
        return ops.logsumexp(ops.where(chosen, terms, -1e30), axis=1)

    together = gathered(same, gamma * (margin + distance) * (distance - margin))
    apart = gathered(different, gamma * ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance))
    return nn.softplus(together + apart)


_NEVER = -1e30  # logarithm of the probability of what cannot be


def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """``-log`` of the probability that the predictions, with repeats and blanks dropped, spell the labels.

    Args:
        y_true: labels ``[batch, length]`` of integers from 1 up; 0 is the blank and pads shorter ones.
        y_pred: logits ``[batch, steps, classes]``.

    Returns:
        One loss for each sample, ``[batch]``.

    Raises:
        ShapeError: the ranks are others.

    Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
    """
    labels, logits = ops.as_tensor(y_true), as_float(y_pred)
    if labels.ndim != 2:
        raise ShapeError(
            "ctc: Targets `y_true` are expected to be a tensor of shape `(batch_size, max_length)` in integer format. "
            f"Received: y_true.shape={labels.shape}"
        )
    if logits.ndim != 3:
        raise ShapeError(
            "ctc: Logits `y_pred` are expected to be a tensor of shape `(batch_size, max_length, num_classes)`. "
            f"Received: y_pred.shape={logits.shape}"
        )
    labels = ops.astype(labels, "int32")
    batch, length = labels.shape
    steps, states = logits.shape[1], 2 * length + 1
    # The labels with a blank before, between and after: blank, a, blank, b, blank.
    spread = ops.reshape(ops.stack([ops.zeros_like(labels), labels], axis=2), (batch, 2 * length))
    spread = ops.concat([spread, ops.zeros((batch, 1), dtype="int32")], axis=1)
    before = ops.concat([ops.zeros((batch, 2), dtype="int32"), spread[:, :-2]], axis=1) if length else spread
    places = ops.arange(states, dtype="int32")
    is_label = ops.equal(ops.remainder(places, 2), 1)
    skips = ops.logical_and(is_label, ops.not_equal(spread, before))  # over the blank in between
    log_p = nn.log_softmax(logits, axis=-1)
    emitted = ops.take_along_axis(log_p, ops.broadcast_to(spread[:, None, :], (batch, steps, states)), axis=2)
    emitted = ops.moveaxis(emitted, 1, 0)
    start = ops.where(places < 2, emitted[0], _NEVER)

    def step(alpha: Any, now: Any) -> tuple[Any, Any]:
        one = ops.pad(alpha[:, :-1], [(0, 0), (1, 0)], constant_values=_NEVER)
        two = ops.pad(alpha[:, :-2], [(0, 0), (2, 0)], constant_values=_NEVER) if length else one
        ways = ops.stack([alpha, one, ops.where(skips, two, _NEVER)], axis=0)
        return ops.maximum(ops.logsumexp(ways, axis=0) + now, _NEVER), now

    alpha, _ = scan(step, start, emitted[1:])
    last = 2 * ops.sum(ops.astype(ops.not_equal(labels, 0), "int32"), axis=1, keepdims=True)
    ends = ops.logical_or(ops.equal(places, last), ops.equal(places, last - 1))
    return ops.negative(ops.logsumexp(ops.where(ends, alpha, _NEVER), axis=1))
