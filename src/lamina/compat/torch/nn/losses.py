"""The losses of ``torch.nn.functional``: predictions first, then targets."""

from __future__ import annotations

import math
from typing import Any

from lamina import nn as _nn
from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import ndarray


def _reduced(values: Any, reduction: str) -> Any:
    if reduction == "none":
        return values
    if reduction == "mean":
        return ops.mean(values)
    if reduction == "sum":
        return ops.sum(values)
    raise ArgumentError(f"reduction is 'mean', 'sum' or 'none'; got {reduction!r}.")


def _pair(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Predictions and targets of one shape."""
    input, target = ops.as_tensor(input), ops.as_tensor(target)
    if tuple(input.shape) != tuple(target.shape):
        raise ShapeError(
            f"{name}: the input has shape {tuple(input.shape)} and the target {tuple(target.shape)}. They would "
            "broadcast without a word; give them the same shape (squeeze or unsqueeze one of them)."
        )
    return input, target


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """``(input - target)**2``."""
    return _reduced(ops.square(ops.subtract(*_pair("mse_loss", input, target))), reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """``|input - target|``."""
    return _reduced(ops.abs(ops.subtract(*_pair("l1_loss", input, target))), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """``d**2 / 2`` for differences ``d`` up to ``delta``, else ``delta * (|d| - delta / 2)``."""
    d = ops.abs(ops.subtract(*_pair("huber_loss", input, target)))
    outside = ops.multiply(ops.subtract(d, delta / 2), delta)
    return _reduced(ops.where(ops.less(d, delta), ops.multiply(ops.square(d), 0.5), outside), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """``d**2 / (2 beta)`` for differences ``d`` below ``beta``, else ``|d| - beta / 2``."""
    if beta == 0:
        return l1_loss(input, target, reduction)
    d = ops.abs(ops.subtract(*_pair("smooth_l1_loss", input, target)))
    return _reduced(
        ops.where(ops.less(d, beta), ops.multiply(ops.square(d), 0.5 / beta), ops.subtract(d, beta / 2)), reduction
    )


# --- classes ------------------------------------------------------------------------------------------
def _check_labels(name: str, target: Any, classes: int, ignore_index: int) -> None:
    """Labels out of range are named, where there are numbers to look at."""
    data = target._data
    if type(data) is ndarray and data.size:
        wrong = data[((data < 0) | (data >= classes)) & (data != ignore_index)]
        if wrong.size:
            raise ArgumentError(f"{name}: target {wrong.flat[0]} is out of bounds for {classes} classes.")


def _weighted(values: Any, target: Any, weight: Any, ignore_index: int, reduction: str, classes: int) -> Any:
    """Losses of labels with the weights of their classes, those of ``ignore_index`` left out."""
    kept = ops.not_equal(target, ignore_index)
    factors = ops.astype(kept, values.dtype)
    if weight is not None:
        at = ops.clip(target, 0, classes - 1)
        factors = ops.multiply(factors, ops.take(ops.as_tensor(weight), at, axis=0))
    elif reduction == "mean" and ignore_index < 0 and not _may_be_ignored(target, ignore_index):
        return ops.mean(values)
    losses = ops.multiply(ops.where(kept, values, 0.0), factors)
    if reduction == "mean":
        return ops.divide(ops.sum(losses), ops.sum(factors))
    return _reduced(losses, reduction)


def _may_be_ignored(target: Any, ignore_index: int) -> bool:
    data = target._data
    return type(data) is not ndarray or bool((data == ignore_index).any())


def _classes_last(input: Any) -> Any:
    """(classes,), (batch, classes) or (batch, classes, \\*sizes) with the classes last."""
    rank = len(input.shape)
    return input if rank < 3 else ops.permute_dims(input, (0, *range(2, rank), 1))


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """``-log softmax(input)`` at the target's class.

    Args:
        input: logits of shape (batch, classes), (batch, classes, \\*sizes) or (classes,).
        target: the class of each, an integer; or probabilities in the shape of the input.
        weight: a factor for each class; ``"mean"`` divides by the sum of the factors.
        ignore_index: a class that does not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: share of the target that is spread evenly over the classes.

    Raises:
        ShapeError: the target does not fit the input.
        ArgumentError: a class is out of range.
    """
    input, target = ops.as_tensor(input), ops.as_tensor(target)
    logits = _classes_last(input)
    classes = logits.shape[-1]
    if dtypes.is_float(target.dtype):
        return _soft_cross_entropy(logits, _classes_last(target), weight, reduction, label_smoothing)
    if tuple(target.shape) != tuple(logits.shape[:-1]):
        raise ShapeError(
            f"cross_entropy: logits of shape {tuple(input.shape)} need targets of shape {tuple(logits.shape[:-1])} "
            f"(integers) or {tuple(input.shape)} (probabilities); got {tuple(target.shape)} {target.dtype}."
        )
    _check_labels("cross_entropy", target, classes, ignore_index)
    losses = _nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    if not label_smoothing:
        return _weighted(losses, target, weight, ignore_index, reduction, classes)
    logs = _nn.log_softmax(logits, axis=-1)
    even = ops.negative(ops.mean(logs, axis=-1) if weight is None else ops.mean(ops.multiply(logs, weight), axis=-1))
    hard = _weighted(losses, target, weight, ignore_index, "none", classes)
    soft = ops.where(ops.not_equal(target, ignore_index), even, 0.0)
    mixed = ops.add(ops.multiply(hard, 1 - label_smoothing), ops.multiply(soft, label_smoothing))
    if reduction != "mean":
        return _reduced(mixed, reduction)
    factors = _weighted(ops.ones_like(losses), target, weight, ignore_index, "none", classes)
    return ops.divide(ops.sum(mixed), ops.sum(factors))


def _soft_cross_entropy(logits: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    if tuple(target.shape) != tuple(logits.shape):
        raise ShapeError(f"cross_entropy: probabilities of shape {target.shape} for logits of shape {logits.shape}.")
    if smoothing:
        target = ops.add(ops.multiply(target, 1 - smoothing), smoothing / logits.shape[-1])
    logs = _nn.log_softmax(logits, axis=-1)
    logs = logs if weight is None else ops.multiply(logs, weight)
    losses = ops.negative(ops.sum(ops.multiply(logs, target), axis=-1))
    return _reduced(losses, reduction)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """``-input`` at the target's class, with an input of log-probabilities."""
    target = ops.as_tensor(target)
    logs = _classes_last(ops.as_tensor(input))
    if tuple(target.shape) != tuple(logs.shape[:-1]):
        raise ShapeError(f"nll_loss: input of shape {input.shape} needs targets of shape {tuple(logs.shape[:-1])}.")
    _check_labels("nll_loss", target, logs.shape[-1], ignore_index)
    chosen = ops.one_hot(target, logs.shape[-1], dtype="bool")
    losses = ops.negative(ops.sum(ops.where(chosen, logs, 0.0), axis=-1))
    return _weighted(losses, target, weight, ignore_index, reduction, logs.shape[-1])


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """``-(t log p + (1 - t) log(1 - p))``, each logarithm at least -100."""
    p, t = _pair("binary_cross_entropy", input, target)
    t = ops.astype(t, p.dtype)
    logs = [ops.maximum(ops.log(q), -100.0) for q in (p, ops.subtract(1.0, p))]
    losses = ops.negative(ops.add(ops.multiply(t, logs[0]), ops.multiply(ops.subtract(1.0, t), logs[1])))
    return _reduced(losses if weight is None else ops.multiply(losses, weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """``binary_cross_entropy`` of ``sigmoid(input)``; ``pos_weight`` multiplies the part of the ones."""
    x, t = _pair("binary_cross_entropy_with_logits", input, target)
    t = ops.astype(t, x.dtype)
    if pos_weight is None:
        losses = _nn.binary_cross_entropy_with_logits(t, x)
    else:
        share = ops.add(1.0, ops.multiply(t, ops.subtract(pos_weight, 1.0)))
        losses = ops.add(ops.multiply(ops.subtract(1.0, t), x), ops.multiply(share, _nn.softplus(ops.negative(x))))
    return _reduced(losses if weight is None else ops.multiply(losses, weight), reduction)


# --- distributions ------------------------------------------------------------------------------------
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """``target * (log(target) - input)`` with an input of log-probabilities."""
    input, target = ops.as_tensor(input), ops.as_tensor(target)
    if log_target:
        losses = ops.multiply(ops.exp(target), ops.subtract(target, input))
    else:
        present = ops.greater(target, 0)
        entropy = ops.where(present, ops.multiply(target, ops.log(ops.where(present, target, 1.0))), 0.0)
        losses = ops.subtract(entropy, ops.multiply(target, input))
    if reduction == "batchmean":
        return ops.divide(ops.sum(losses), float(input.shape[0]))
    return _reduced(losses, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Any:
    """``exp(input) - target * input`` (or without the exponential), with Stirling's term if ``full``."""
    x, t = ops.as_tensor(input), ops.as_tensor(target)
    losses = (
        ops.subtract(ops.exp(x), ops.multiply(t, x))
        if log_input
        else ops.subtract(x, ops.multiply(t, ops.log(ops.add(x, eps))))
    )
    if full:
        above = ops.greater(t, 1)
        safe = ops.where(above, t, 1.0)
        stirling = ops.add(
            ops.subtract(ops.multiply(safe, ops.log(safe)), safe),
            ops.multiply(ops.log(ops.multiply(safe, 2 * math.pi)), 0.5),
        )
        losses = ops.add(losses, ops.where(above, stirling, 0.0))
    return _reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """``(log(var) + (input - target)**2 / var) / 2``, with a variance of at least ``eps``."""
    variance = ops.maximum(var, eps)
    losses = ops.multiply(
        ops.add(ops.log(variance), ops.divide(ops.square(ops.subtract(input, target)), variance)), 0.5
    )
    return _reduced(ops.add(losses, 0.5 * math.log(2 * math.pi)) if full else losses, reduction)


# --- margins ------------------------------------------------------------------------------------------
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1."""
    far = ops.maximum(ops.subtract(margin, input), 0.0)
    return _reduced(ops.where(ops.equal(target, 1), input, far), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """``max(0, -target * (input1 - input2) + margin)``."""
    difference = ops.multiply(ops.negative(target), ops.subtract(input1, input2))
    return _reduced(ops.maximum(ops.add(difference, margin), 0.0), reduction)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    lengths = ops.multiply(ops.sum(ops.square(input1), axis=-1) + 1e-12, ops.sum(ops.square(input2), axis=-1) + 1e-12)
    cos = ops.divide(ops.sum(ops.multiply(input1, input2), axis=-1), ops.sqrt(lengths))
    apart = ops.maximum(ops.subtract(cos, margin), 0.0)
    return _reduced(ops.where(ops.equal(target, 1), ops.subtract(1.0, cos), apart), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)``."""
    from lamina.compat.torch.nn.functional import pairwise_distance

    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced(ops.maximum(ops.add(ops.subtract(near, far), margin), 0.0), reduction)
