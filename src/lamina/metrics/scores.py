"""Metrics that keep more than a mean: F-scores, overlap of regions, explained variance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from lamina import config, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.losses.base import align
from lamina.metrics.base import Metric
from lamina.tensor import Tensor


def _outputs(name: str, y_true: Sequence[int | None], y_pred: Sequence[int | None]) -> int:
    """The number of outputs, from the shapes of targets and predictions.

    Raises:
        ShapeError: they are not those of matrices.
    """
    defined = len(y_pred) == 2 and len(y_true) == 2
    if not defined or y_pred[-1] is None or y_true[-1] is None:
        unknown = ", with output_dim fully defined (not None)" if defined else ""
        raise ShapeError(
            f"{name} expects 2D inputs with shape (batch_size, output_dim){unknown}. Received input shapes: "
            f"y_pred.shape={tuple(y_pred)} and y_true.shape={tuple(y_true)}."
        )
    return int(y_pred[-1])


class FBetaScore(Metric):
    """``(1 + beta**2) * precision * recall / (beta**2 * precision + recall)`` of each class.

    Args:
        average: ``None`` for one score per class, ``"micro"`` (all counts together), ``"macro"`` (their mean)
            or ``"weighted"`` (their mean, weighted by how often the class occurs).
        beta: how much more recall counts than precision.
        threshold: a score above it says yes; ``None``: the highest of a row does.
        name: name for logs.
        dtype: see ``Metric``.

    Raises:
        ArgumentError: an argument is none of these.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> y_true = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
        >>> metric(y_true, [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]).numpy().round(3)
        array([0.385, 0.909, 0.833], dtype=float32)
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in (None, "micro", "macro", "weighted"):
            raise ArgumentError(
                "Invalid `average` argument value. Expected one of: {None, 'micro', 'macro', 'weighted'}. "
                f"Received: average={average}"
            )
        if not isinstance(beta, float):
            raise ArgumentError(f"Invalid `beta` argument value. It should be a Python float. Received: beta={beta}")
        if beta <= 0:
            raise ArgumentError(f"Invalid `beta` argument value. It should be > 0. Received: beta={beta}")
        if threshold is not None:
            if not isinstance(threshold, float):
                raise ArgumentError(
                    f"Invalid `threshold` argument value. It should be a Python float. Received: {threshold=}"
                )
            if not 0 < threshold <= 1:
                raise ArgumentError(
                    f"Invalid `threshold` argument value. It should verify 0 < threshold <= 1. Received: {threshold=}"
                )
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    def _build(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        classes = _outputs(type(self).__name__, y_true_shape, y_pred_shape)
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, name="intermediate_weights")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = (ops.astype(ops.as_tensor(y), self._dtype) for y in (y_true, y_pred))
        if not self._built:
            self._build(y_true.shape, y_pred.shape)
        if self.threshold is None:
            highest = ops.equal(y_pred, ops.max(y_pred, axis=-1, keepdims=True))
            said_yes = ops.logical_and(highest, ops.abs(y_pred) > 1e-9)  # no class where all scores are 0
        else:
            said_yes = y_pred > self.threshold
        yes = ops.astype(said_yes, self._dtype)
        weights = None
        if sample_weight is not None:
            weights = ops.expand_dims(ops.astype(ops.as_tensor(sample_weight), self._dtype), axis=1)
        axis = None if self.average == "micro" else 0
        for variable, values in (
            (self.true_positives, yes * y_true),
            (self.false_positives, yes * (1 - y_true)),
            (self.false_negatives, (1 - yes) * y_true),
            (self.intermediate_weights, y_true),
        ):
            variable.assign_add(ops.sum(values if weights is None else values * weights, axis=axis))

    def result(self) -> Tensor:
        tiny, square = config.epsilon(), self.beta**2
        right = self.true_positives.value
        precision = right / (right + self.false_positives + tiny)
        recall = right / (right + self.false_negatives + tiny)
        score = precision * recall / (square * precision + recall + tiny) * (1 + square)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return ops.sum(score * (weights / (ops.sum(weights) + tiny)))
        return score if self.average is None else ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


class F1Score(FBetaScore):
    """``2 * precision * recall / (precision + recall)`` of each class.

    Args:
        average: see ``FBetaScore``.
        threshold: see ``FBetaScore``.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.F1Score(average="macro", threshold=0.5)
        >>> metric.update_state([[1], [1], [0]], [[0.9], [0.2], [0.1]])
        >>> round(metric.result().item(), 4)
        0.6667
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config


class _Overlap(Metric):
    """A confusion matrix of classes: rows the true class, columns the predicted one."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int32", name)
        self.num_classes, self.ignore_class, self.axis = num_classes, ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = ops.as_tensor(y_true), ops.as_tensor(y_pred)
        if not self.sparse_y_true:
            y_true = ops.argmax(y_true, axis=self.axis)
        if not self.sparse_y_pred:
            y_pred = ops.argmax(y_pred, axis=self.axis)
        y_true, y_pred = (ops.astype(ops.reshape(y, (-1,)), "int32") for y in (y_true, y_pred))
        weights = ops.ones(y_true.shape, self._dtype)
        if sample_weight is not None:
            given = ops.as_tensor(sample_weight)
            if dtypes.is_float(given.dtype) and not dtypes.is_float(self._dtype):
                warnings.warn(
                    "You are passing weight as `float`, but dtype is `int`. Weights are cut to whole numbers; "
                    "give integer weights, or a float dtype.",
                    stacklevel=2,
                )
            given = ops.astype(given, self._dtype)
            weights = ops.broadcast_to(ops.reshape(given, (-1,)) if given.ndim > 1 else given, y_true.shape)
        count = self.num_classes
        known = ops.logical_and(y_true >= 0, y_true < count)
        known = ops.logical_and(known, ops.logical_and(y_pred >= 0, y_pred < count))
        if self.ignore_class is not None:
            known = ops.logical_and(known, ops.not_equal(y_true, self.ignore_class))
        places = ops.where(known, y_true * count + y_pred, 0)
        sums = ops.segment_sum(ops.where(known, weights, 0), places, count * count)
        self.total_cm.assign_add(ops.reshape(sums, (count, count)))

    def _ratios(self) -> tuple[Any, Any]:
        """Overlap over union of each class, and 1 for each class that occurs."""
        matrix = ops.astype(self.total_cm.value, "float32")
        both = ops.diagonal(matrix)
        either = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - both
        occurs = ops.astype(either > 1e-9, "float32")
        return occurs * both / (either + config.epsilon()), occurs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }


class IoU(_Overlap):
    """``tp / (tp + fp + fn)``, the overlap of a class's true and predicted region over their union; the mean of some.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes that count.
        name: name for logs.
        dtype: dtype of the counts; default int32.
        ignore_class: a label whose samples do not count.
        sparse_y_true: whether targets are integers (else one-hot).
        sparse_y_pred: whether predictions are integers (else scores).
        axis: the axis of one-hot targets and scores.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> round(metric([0, 0, 1, 1], [0, 1, 0, 1]).item(), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        if max(target_class_ids) >= num_classes:
            raise ArgumentError(
                f"Target class id {max(target_class_ids)} is out of range, which is [{0}, {num_classes})."
            )
        self.target_class_ids = list(target_class_ids)

    def result(self) -> Tensor:
        ratios, occurs = (x[ops.as_tensor(self.target_class_ids, dtype="int32")] for x in self._ratios())
        return ops.sum(ratios) / (ops.sum(occurs) + config.epsilon())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_class_ids": self.target_class_ids}


class BinaryIoU(IoU):
    """``IoU`` of two classes, predicted by scores above a threshold.

    Args:
        target_class_ids: the classes that count, of 0 and 1.
        threshold: a score from here on says 1.
        name: name for logs.
        dtype: dtype of the counts; default int32.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.BinaryIoU(target_class_ids=[1])
        >>> metric.update_state([0, 1, 1, 1], [0.6, 0.7, 0.9, 0.2])
        >>> round(metric.result().item(), 4)
        0.5
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        said_yes = ops.greater_equal(ops.astype(ops.as_tensor(y_pred), "float32"), self.threshold)
        super().update_state(y_true, ops.astype(said_yes, "int32"), sample_weight)

    def get_config(self) -> dict[str, Any]:
        base = Metric.get_config(self)
        return {**base, "target_class_ids": self.target_class_ids, "threshold": self.threshold}


class MeanIoU(IoU):
    """``IoU`` of all classes.

    Args:
        num_classes: number of classes.
        name: name for logs.
        dtype: dtype of the counts; default int32.
        ignore_class: a label whose samples do not count.
        sparse_y_true: whether targets are integers (else one-hot).
        sparse_y_pred: whether predictions are integers (else scores).
        axis: the axis of one-hot targets and scores.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanIoU(num_classes=2)
        >>> metric.update_state([0, 0, 1, 1], [0, 0, 1, 1])
        >>> metric.result().item()
        1.0
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        classes = range(num_classes)
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["target_class_ids"]
        return config


class OneHotIoU(IoU):
    """``IoU`` with one-hot targets and scores.

    Args:
        num_classes: number of classes.
        target_class_ids: the classes that count.
        name: name for logs.
        dtype: dtype of the counts; default int32.
        ignore_class: a class whose samples do not count.
        sparse_y_pred: whether predictions are integers (else scores).
        axis: the axis of the classes.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.OneHotIoU(num_classes=2, target_class_ids=[1])
        >>> metric.update_state([[1, 0], [0, 1]], [[0.2, 0.8], [0.1, 0.9]])
        >>> round(metric.result().item(), 4)
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config


class OneHotMeanIoU(MeanIoU):
    """``MeanIoU`` with one-hot targets and scores.

    Args:
        num_classes: number of classes.
        name: name for logs.
        dtype: dtype of the counts; default int32.
        ignore_class: a class whose samples do not count.
        sparse_y_pred: whether predictions are integers (else scores).
        axis: the axis of the classes.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.OneHotMeanIoU(num_classes=2)
        >>> metric.update_state([[1, 0], [0, 1]], [[0.8, 0.2], [0.1, 0.9]])
        >>> round(metric.result().item(), 4)
        1.0
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["sparse_y_true"]
        return config


class R2Score(Metric):
    """``1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2)``: the share of the variance explained.

    Args:
        class_aggregation: how the scores of several outputs are put together: ``"uniform_average"``,
            ``"variance_weighted_average"``, or ``None`` for one score each.
        num_regressors: number of inputs of the regression, for the "adjusted" score; 0 for the plain one.
        name: name for logs.
        dtype: see ``Metric``.

    Raises:
        ArgumentError: an argument is none of these.

    Example:
        >>> import lamina
        >>> round(lamina.metrics.R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]).item(), 4)
        0.5714
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ArgumentError(
                f"Invalid value for argument `class_aggregation`. Expected one of {allowed}. "
                f"Received: class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ArgumentError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), dtype="int32", name="num_samples")
        self._built = False

    def _build(self, y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> None:
        outputs = _outputs("R2Score", y_true_shape, y_pred_shape)
        self.squared_sum = self.add_variable((outputs,), name="squared_sum")
        self.sum = self.add_variable((outputs,), name="sum")
        self.total_mse = self.add_variable((outputs,), name="residual")
        self.count = self.add_variable((outputs,), name="count")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = align(*(ops.astype(ops.as_tensor(y), self._dtype) for y in (y_true, y_pred)))
        if not self._built:
            self._build(y_true.shape, y_pred.shape)
        weights = ops.as_tensor(1.0 if sample_weight is None else sample_weight, dtype=self._dtype)
        if weights.ndim == 1:
            weights = ops.expand_dims(weights, axis=1)
        weights = ops.broadcast_to(weights, y_true.shape)
        self.sum.assign_add(ops.sum(y_true * weights, axis=0))
        self.squared_sum.assign_add(ops.sum(ops.square(y_true) * weights, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weights, axis=0))
        self.count.assign_add(ops.sum(weights, axis=0))
        self.num_samples.assign_add(y_true.size)

    def result(self) -> Tensor:
        total = self.squared_sum - ops.square(self.sum) / self.count
        scores = 1 - self.total_mse / total
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.sum(total * scores) / ops.sum(total)
        if self.num_regressors == 0:
            return scores
        free = ops.astype(self.num_samples.value, self._dtype) - self.num_regressors - 1
        if not free.is_symbolic and free.item() <= 0:
            what = "Division by zero" if free.item() == 0 else "More independent predictors than datapoints"
            warnings.warn(f"{what} in Adjusted R2 score. Falling back to standard R2 score.", stacklevel=2)
        adjusted = 1 - (1 - scores) * (free + self.num_regressors) / ops.where(free > 0, free, 1)
        return ops.where(free > 0, adjusted, scores)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
