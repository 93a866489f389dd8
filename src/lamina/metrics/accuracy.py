"""Accuracies: how often a prediction is right."""

from __future__ import annotations

from typing import Any

from lamina import config, ops
from lamina.core.errors import ShapeError
from lamina.losses.base import align
from lamina.metrics.base import MeanMetricWrapper
from lamina.tensor import Tensor


def _matches(name: str, y_true: Any, y_pred: Any) -> Tensor:
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"{name}: targets have shape {y_true.shape} and predictions {y_pred.shape}; they must have the same shape."
        )
    return ops.astype(ops.equal(y_true, y_pred), config.floatx())


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where ``y_true == y_pred``, else 0."""
    return _matches("accuracy", *align(ops.as_tensor(y_true), ops.as_tensor(y_pred)))


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where ``y_true == (y_pred > threshold)``, else 0.

    Example:
        >>> import lamina
        >>> lamina.metrics.binary_accuracy([[1], [0]], [[0.8], [0.6]]).tolist()
        [[1.0], [0.0]]
    """
    y_true, y_pred = align(ops.as_tensor(y_true), ops.as_tensor(y_pred))
    return _matches("binary_accuracy", y_true, ops.astype(ops.greater(y_pred, threshold), y_true.dtype))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of ``y_true`` and of ``y_pred`` along the last axis are at one place, else 0.

    Example:
        >>> import lamina
        >>> lamina.metrics.categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]).tolist()
        [1.0, 0.0]
    """
    y_true, y_pred = ops.as_tensor(y_true), ops.as_tensor(y_pred)
    return _matches("categorical_accuracy", ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest of ``y_pred`` along the last axis is at the place ``y_true``, else 0.

    Example:
        >>> import lamina
        >>> lamina.metrics.sparse_categorical_accuracy([1, 0], [[0.2, 0.8], [0.4, 0.6]]).tolist()
        [1.0, 0.0]
    """
    y_true, y_pred = ops.as_tensor(y_true), ops.as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = ops.reshape(y_true, y_true.shape[:-1])
    best = ops.argmax(y_pred, axis=-1)
    if y_true.shape != best.shape and [n for n in y_true.shape if n != 1] == [n for n in best.shape if n != 1]:
        y_true = ops.reshape(y_true, best.shape)
    if y_true.dtype.kind not in "iu":
        best = ops.astype(best, y_true.dtype)
    return _matches("sparse_categorical_accuracy", y_true, best)


def _among_best(labels: Any, y_pred: Any, k: int) -> Tensor:
    """1 where fewer than ``k`` scores of the row are above that of the label."""
    chosen = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
    score = ops.sum(ops.where(ops.not_equal(chosen, 0), y_pred, 0), axis=-1, keepdims=True)
    better = ops.sum(ops.astype(ops.greater(y_pred, score), "int32"), axis=-1)
    inside = ops.logical_and(labels >= 0, labels < y_pred.shape[-1])
    found = ops.logical_and(ops.logical_and(better < k, inside), ops.isfinite(score[..., 0]))
    return ops.astype(found, config.floatx())


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the class of a one-hot target is among the ``k`` highest predictions, else 0.

    Example:
        >>> import lamina
        >>> y_pred = [[0.1, 0.9, 0.8], [0.05, 0.95, 0.01]]
        >>> lamina.metrics.top_k_categorical_accuracy([[0, 0, 1], [1, 0, 0]], y_pred, k=2).tolist()
        [1.0, 1.0]
    """
    labels = ops.argmax(ops.as_tensor(y_true), axis=-1)
    return _among_best(ops.astype(labels, "int32"), ops.as_tensor(y_pred), k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Tensor:
    """1 where the integer target is among the ``k`` highest predictions, else 0.

    Args:
        y_true: integer targets.
        y_pred: scores; with ``from_sorted_ids`` the classes themselves, the best first.
        k: how many predictions count.
        from_sorted_ids: see ``y_pred``.

    Example:
        >>> import lamina
        >>> lamina.metrics.sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2).tolist()
        [1.0]
    """
    y_true, y_pred = ops.as_tensor(y_true), ops.as_tensor(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = ops.reshape(y_true, y_true.shape[:-1])
    if not from_sorted_ids:
        return _among_best(ops.astype(y_true, "int32"), y_pred, k)
    found = ops.any(ops.equal(ops.expand_dims(ops.astype(y_true, y_pred.dtype), axis=-1), y_pred[..., :k]), axis=-1)
    return ops.astype(found, config.floatx())


class Accuracy(MeanMetricWrapper):
    """How often the prediction *equals* the target.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> round(lamina.metrics.Accuracy()([[1], [2], [3]], [[1], [2], [0]]).item(), 4)
        0.6667
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often ``y_pred > threshold`` agrees with a target of 0 or 1.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        threshold: 0.5 for probabilities; use 0 for logits.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.BinaryAccuracy()
        >>> metric.update_state([[1], [0]], [[0.8], [0.6]])
        >>> metric.result().item()
        0.5
    """

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the class with the highest prediction is that of a one-hot target.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.CategoricalAccuracy()
        >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
        >>> metric.result().item()
        0.5
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the class with the highest prediction is the integer target.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> lamina.metrics.SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]).item()
        0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of a one-hot target is among the ``k`` highest predictions.

    Args:
        k: how many predictions count.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.TopKCategoricalAccuracy(k=2)
        >>> metric.update_state([[0, 0, 1]], [[0.5, 0.2, 0.3]])
        >>> metric.result().item()
        1.0
    """

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the integer target is among the ``k`` highest predictions.

    Args:
        k: how many predictions count.
        name: name for logs.
        dtype: see ``Metric``.
        from_sorted_ids: whether predictions are the classes themselves, the best first.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> metric.update_state([2], [[0.5, 0.2, 0.3]])
        >>> metric.result().item()
        1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k, self.from_sorted_ids = k, from_sorted_ids

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "k": self.k}
        return {**config, "from_sorted_ids": True} if self.from_sorted_ids else config
