"""Counts of right and wrong yes-no predictions at thresholds, and what is made of them: precision, recall, AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.losses.base import align
from lamina.metrics.base import Metric, divide_no_nan
from lamina.tensor import Tensor, Variable

LOWEST = -1e10  # below every score: what is not among the top k


def _thresholds(given: Any, default: float) -> list[float]:
    """Thresholds as a list.

    Raises:
        ArgumentError: one is not in [0, 1].
    """
    if given is None:
        return [default]
    found = list(given) if isinstance(given, list | tuple | np.ndarray) else [given]
    wrong = [t for t in found if t is None or t < 0 or t > 1]
    if wrong:
        raise ArgumentError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return found


def _evenly_spread(thresholds: Sequence[float]) -> bool:
    count = len(thresholds)
    return count >= 3 and bool(np.allclose(thresholds, np.arange(count) / (count - 1), atol=config.epsilon()))


def _spaced(count: int) -> list[float]:
    return [(i + 1) / (count - 1) for i in range(count - 2)]


class Confusion(Metric):
    """Base of the metrics that count: variables ``true_positives`` and so on, one number for each threshold.

    Args:
        thresholds: a prediction above the threshold says yes.
        name: name for logs.
        dtype: see ``Metric``.
    """

    counted: tuple[str, ...] = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    _evenly = False

    def __init__(self, thresholds: Sequence[float], name: str | None, dtype: Any) -> None:
        super().__init__(dtype, name)
        self.thresholds = list(thresholds)
        self._evenly = _evenly_spread(self.thresholds)

    def _add_counts(self, shape: Sequence[int]) -> None:
        for name in self.counted:
            setattr(self, name, self.add_variable(shape, name=name))

    def _count(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        by_label: bool = False,
        label_weights: Any = None,
    ) -> None:
        """Add a batch to the variables in ``counted``.

        Args:
            y_true: 0 or 1 for each prediction.
            y_pred: scores.
            sample_weight: a weight for each sample (or prediction), or ``None``.
            top_k: only the ``k`` highest scores of a row say yes.
            class_id: only this column counts.
            by_label: count each column by itself; the variables then have shape ``(thresholds, labels)``.
            label_weights: a weight for each column.
        """
        dtype = self._dtype
        y_pred, y_true = align(_cast(y_pred, dtype), _cast(y_true, dtype))
        if y_pred.shape != y_true.shape:
            raise ShapeError(
                f"{self.name}: targets have shape {y_true.shape} and predictions {y_pred.shape}; "
                "they must have the same shape."
            )
        if sample_weight is not None:
            sample_weight = ops.expand_dims(_cast(sample_weight, dtype), axis=-1)
            _, sample_weight = align(y_true, sample_weight, expand_rank_1=False)
        if top_k is not None:
            best = ops.top_k(y_pred, top_k)[1]
            chosen = ops.sum(ops.one_hot(best, y_pred.shape[-1], dtype=dtype), axis=-2)
            y_pred = y_pred * chosen + LOWEST * (1 - chosen)
        if class_id is not None:
            if y_pred.ndim == 1:
                raise ShapeError(f"With class_id, y_pred has shape (samples, classes); got {y_pred.shape}.")
            y_true, y_pred = y_true[..., class_id : class_id + 1], y_pred[..., class_id : class_id + 1]
        weights: Any = None
        for given in (sample_weight, None if label_weights is None else _cast(label_weights, dtype)):
            if given is not None:
                spread = ops.broadcast_to(given, y_pred.shape)
                weights = spread if weights is None else weights * spread
        labels = y_pred.shape[-1] if by_label else 1
        # One row for each label (or all in one row), one column for each sample.
        y_true, y_pred, weights = (
            None if x is None else ops.matrix_transpose(ops.reshape(x, (x.size // labels, labels)))
            for x in (y_true, y_pred, weights)
        )
        yes = ops.astype(ops.not_equal(y_true, 0), dtype)
        of_yes, of_no = (yes, 1 - yes) if weights is None else (yes * weights, (1 - yes) * weights)
        said_yes = self._above_evenly if self._evenly else self._above
        counts: dict[str, Any] = {}
        for kind, missed, part in (
            ("true_positives", "false_negatives", of_yes),
            ("false_positives", "true_negatives", of_no),
        ):
            if kind in self.counted or missed in self.counted:
                counts[kind] = said_yes(y_pred, part)
                counts[missed] = ops.sum(part, axis=1, keepdims=True) - counts[kind]
        for name in self.counted:
            variable: Variable = getattr(self, name)
            variable.assign_add(ops.reshape(ops.matrix_transpose(counts[name]), variable.shape))

    def _above(self, y_pred: Any, part: Any) -> Any:
        """Of each row, the sum of ``part`` where the score lies above each threshold."""
        limits = ops.as_tensor(self.thresholds, dtype=self._dtype)
        above = ops.greater(ops.expand_dims(y_pred, axis=1), ops.reshape(limits, (1, -1, 1)))
        return ops.sum(ops.where(above, ops.expand_dims(part, axis=1), 0), axis=2)

    def _above_evenly(self, y_pred: Any, part: Any) -> Any:
        """The same for thresholds at equal distances, by sorting the scores into bins instead of comparing all."""
        rows, count = y_pred.shape[0], len(self.thresholds)
        bins = ops.ceil(ops.clip(y_pred, 0.0, 1.0) * (count - 1))  # thresholds below the score
        if self.thresholds[0] < 0:  # and the first lies below 0
            bins = ops.maximum(bins, 1)
        bins = ops.astype(bins, "int32") + ops.reshape(ops.arange(rows, dtype="int32") * (count + 1), (rows, 1))
        sums = ops.segment_sum(ops.reshape(part, (-1,)), ops.reshape(bins, (-1,)), rows * (count + 1))
        sums = ops.reshape(sums, (rows, count + 1))[:, 1:]
        return ops.flip(ops.cumulative_sum(ops.flip(sums, axis=1), axis=1), axis=1)


def _cast(x: Any, dtype: Any) -> Any:
    x = ops.as_tensor(x)
    return x if x.dtype == dtype else ops.astype(x, dtype)


class _Count(Confusion):
    """One of the four counts."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        self.init_thresholds = thresholds
        super().__init__(_thresholds(thresholds, 0.5), name, dtype)
        self._add_counts((len(self.thresholds),))
        self.accumulator: Variable = getattr(self, self.counted[0])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight)

    def result(self) -> Tensor:
        counts = self.accumulator.value
        return counts[0] if len(self.thresholds) == 1 else counts

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """How many predictions rightly say yes (weighted).

    Args:
        thresholds: a score above it says yes; a number from 0 to 1 or a list of them; default 0.5.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> lamina.metrics.TruePositives()([0, 1, 1, 1], [1, 0, 1, 1]).item()
        2.0
    """

    counted = ("true_positives",)


class FalsePositives(_Count):
    """How many predictions wrongly say yes (weighted).

    Args:
        thresholds: see ``TruePositives``.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.FalsePositives()
        >>> metric.update_state([1, 1, 0], [0.2, 0.8, 0.7])
        >>> metric.result().item()
        1.0
    """

    counted = ("false_positives",)


class TrueNegatives(_Count):
    """How many predictions rightly say no (weighted).

    Args:
        thresholds: see ``TruePositives``.
        name: name for logs.
        dtype: see ``Metric``.
    """

    counted = ("true_negatives",)


class FalseNegatives(_Count):
    """How many predictions wrongly say no (weighted).

    Args:
        thresholds: see ``TruePositives``.
        name: name for logs.
        dtype: see ``Metric``.
    """

    counted = ("false_negatives",)


class Precision(Confusion):
    """Of the predictions that say yes, the share that is right: ``tp / (tp + fp)``.

    Args:
        thresholds: a score above it says yes; a number from 0 to 1 or a list of them; default 0.5.
        top_k: instead, the ``k`` highest scores of a row say yes.
        class_id: only this column counts.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> round(lamina.metrics.Precision()([0, 1, 1, 1], [1, 0, 1, 1]).item(), 4)
        0.6667
    """

    counted: tuple[str, ...] = ("true_positives", "false_positives")

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        super().__init__(_thresholds(thresholds, 0.5 if top_k is None else LOWEST), name, dtype)
        self._add_counts((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight, self.top_k, self.class_id)

    def result(self) -> Tensor:
        right, wrong = (getattr(self, name).value for name in self.counted)
        share = divide_no_nan(right, right + wrong)
        return share[0] if len(self.thresholds) == 1 else share

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


class Recall(Precision):
    """Of what is to be found, the share for which the prediction says yes: ``tp / (tp + fn)``.

    Args:
        thresholds: see ``Precision``.
        top_k: see ``Precision``.
        class_id: see ``Precision``.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> round(lamina.metrics.Recall()([0, 1, 1, 1], [1, 0, 1, 1]).item(), 4)
        0.6667
    """

    counted = ("true_positives", "false_negatives")


class _BestAt(Confusion):
    """The best of one share over all thresholds at which another reaches a value."""

    argument: str  # name of that value
    constrained: tuple[str, str]
    maximised: tuple[str, str]

    def __init__(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        if not 0 <= value <= 1:
            raise ArgumentError(f"Argument `{self.argument}` must be in the range [0, 1]. Received: {value}")
        if num_thresholds <= 0:
            raise ArgumentError(f"Argument `num_thresholds` must be an integer > 0. Received: {num_thresholds=}")
        thresholds = [0.5] if num_thresholds == 1 else [0.0, *_spaced(num_thresholds), 1.0]
        super().__init__(thresholds, name, dtype)
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        setattr(self, self.argument, value)
        self._add_counts((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def _share(self, names: tuple[str, str]) -> Any:
        part, rest = (getattr(self, name).value for name in names)
        return divide_no_nan(part, part + rest)

    def result(self) -> Tensor:
        reached = ops.greater_equal(self._share(self.constrained), self.value)
        return ops.max(ops.where(reached, self._share(self.maximised), 0))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            self.argument: self.value,
            "class_id": self.class_id,
        }


_SENSITIVITY = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")
_PRECISION = ("true_positives", "false_positives")


class SensitivityAtSpecificity(_BestAt):
    """The best ``tp / (tp + fn)`` over thresholds at which ``tn / (tn + fp)`` is at least ``specificity``.

    Args:
        specificity: from 0 to 1.
        num_thresholds: how many thresholds from 0 to 1 are tried.
        class_id: only this column counts.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.SensitivityAtSpecificity(0.5)
        >>> metric([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]).item()
        0.5
    """

    argument, constrained, maximised = "specificity", _SPECIFICITY, _SENSITIVITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_BestAt):
    """The best ``tn / (tn + fp)`` over thresholds at which ``tp / (tp + fn)`` is at least ``sensitivity``.

    Args:
        sensitivity: from 0 to 1.
        num_thresholds: how many thresholds from 0 to 1 are tried.
        class_id: only this column counts.
        name: name for logs.
        dtype: see ``Metric``.
    """

    argument, constrained, maximised = "sensitivity", _SENSITIVITY, _SPECIFICITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_BestAt):
    """The best precision over thresholds at which the recall is at least ``recall``.

    Args:
        recall: from 0 to 1.
        num_thresholds: how many thresholds from 0 to 1 are tried.
        class_id: only this column counts.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.PrecisionAtRecall(0.5)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        >>> metric.result().item()
        1.0
    """

    argument, constrained, maximised = "recall", _SENSITIVITY, _PRECISION

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_BestAt):
    """The best recall over thresholds at which the precision is at least ``precision``.

    Args:
        precision: from 0 to 1.
        num_thresholds: how many thresholds from 0 to 1 are tried.
        class_id: only this column counts.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.RecallAtPrecision(0.9)
        >>> metric.update_state([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9])
        >>> metric.result().item()
        0.5
    """

    argument, constrained, maximised = "precision", _PRECISION, _SENSITIVITY

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)


class AUC(Confusion):
    """The area under a curve that is drawn by moving the threshold from 0 to 1.

    Args:
        num_thresholds: how many thresholds are tried: the area is as exact as they are many.
        curve: ``"ROC"`` (true against false positive rate), ``"PR"`` (precision against recall) or ``"PRGAIN"``.
        summation_method: ``"interpolation"`` (trapezoids; for ``"PR"`` by Davis and Goadrich, 2006),
            ``"minoring"`` or ``"majoring"`` (rectangles below or above).
        name: name for logs.
        dtype: see ``Metric``.
        thresholds: thresholds between 0 and 1 instead of ``num_thresholds``.
        multi_label: whether each column has an area of its own, of which the mean is taken.
        num_labels: number of columns, if it is to be known before the first batch.
        label_weights: weights of the columns.
        from_logits: whether scores are logits.

    Raises:
        ArgumentError: an argument is none of these.

    Example:
        >>> import lamina
        >>> round(lamina.metrics.AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9]).item(), 4)
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        curve, summation_method = str(curve), str(summation_method)
        if curve.upper() not in ("ROC", "PR", "PRGAIN"):
            raise ArgumentError(f'Invalid AUC curve value: "{curve}". Expected values are ["PR", "ROC", "PRGAIN"]')
        if summation_method.lower() not in ("interpolation", "minoring", "majoring"):
            raise ArgumentError(
                f'Invalid AUC summation method value: "{summation_method}". '
                'Expected values are ["interpolation", "majoring", "minoring"]'
            )
        if thresholds is None and num_thresholds <= 1:
            raise ArgumentError(f"Argument `num_thresholds` must be an integer > 1. Received: {num_thresholds=}")
        if num_labels and not multi_label:
            raise ArgumentError("`num_labels` is needed only when `multi_label` is True.")
        inner = sorted(thresholds) if thresholds is not None else _spaced(num_thresholds)
        # The ends lie a little outside, so that a score of exactly 0 or 1 is on the right side.
        super().__init__([-config.epsilon(), *inner, 1.0 + config.epsilon()], name, dtype)
        self._evenly = _evenly_spread([0.0, *inner, 1.0]) if thresholds is not None else True
        self._init_from_thresholds = thresholds is not None
        self.num_thresholds, self.curve, self.summation_method = (
            len(self.thresholds),
            curve.upper(),
            summation_method.lower(),
        )
        self.multi_label, self.num_labels = multi_label, num_labels
        self.label_weights = None if label_weights is None else ops.as_tensor(label_weights, dtype=self._dtype)
        self.from_logits = from_logits
        self._built = False
        if not multi_label:
            self._build((self.num_thresholds,))
        elif num_labels:
            self._build((self.num_thresholds, num_labels))

    def _build(self, shape: Sequence[int]) -> None:
        self._add_counts(shape)
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.as_tensor(y_pred)
        if not self._built:
            if y_pred.ndim != 2:
                raise ShapeError(
                    f"`y_pred` must have rank 2 when `multi_label=True`. Found rank {y_pred.ndim}. "
                    f"Full shape received for `y_pred`: {y_pred.shape}"
                )
            self._build((self.num_thresholds, y_pred.shape[1]))
        if self.from_logits:
            y_pred = ops.sigmoid(y_pred)
        weights = None if self.multi_label else self.label_weights
        self._count(y_true, y_pred, sample_weight, by_label=self.multi_label, label_weights=weights)

    def result(self) -> Tensor:
        tp, fp, tn, fn = (getattr(self, name).value for name in self.counted)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._over_labels(_interpolated_precision(tp, fp, fn))
        recall = divide_no_nan(tp, tp + fn)
        if self.curve == "ROC":
            x, y = divide_no_nan(fp, fp + tn), recall
        elif self.curve == "PR":
            x, y = recall, divide_no_nan(tp, tp + fp)
        else:
            scale = divide_no_nan(tp + fn, tn + fp)
            nothing = ops.equal(tp, 0)
            x = ops.maximum(ops.where(nothing, 0.0, 1.0 - scale * divide_no_nan(fn, tp)), 0.0)
            y = ops.where(nothing, 1.0, 1.0 - scale * divide_no_nan(fp, tp))
        if self.summation_method == "interpolation":
            heights = (y[:-1] + y[1:]) / 2.0
        else:
            heights = (ops.minimum if self.summation_method == "minoring" else ops.maximum)(y[:-1], y[1:])
        return self._over_labels((x[:-1] - x[1:]) * heights)

    def interpolate_pr_auc(self) -> Tensor:
        """The area under the precision-recall curve, interpolated."""
        tp, fp, _, fn = (getattr(self, name).value for name in self.counted)
        return self._over_labels(_interpolated_precision(tp, fp, fn))

    def _over_labels(self, terms: Any) -> Tensor:
        if not self.multi_label:
            return ops.sum(terms)
        areas = ops.sum(terms, axis=0)
        if self.label_weights is None:
            return ops.mean(areas)
        return divide_no_nan(ops.sum(areas * self.label_weights), ops.sum(self.label_weights))

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
        }
        return {**config, "thresholds": self.thresholds[1:-1]} if self._init_from_thresholds else config


def _interpolated_precision(tp: Any, fp: Any, fn: Any) -> Any:
    """Areas between thresholds if true and false positives grow in proportion there (Davis and Goadrich, 2006)."""
    said_yes = tp + fp
    gained = tp[:-1] - tp[1:]
    slope = divide_no_nan(gained, ops.maximum(said_yes[:-1] - said_yes[1:], 0))
    intercept = tp[1:] - slope * said_yes[1:]
    both = ops.logical_and(said_yes[:-1] > 0, said_yes[1:] > 0)
    ratio = ops.where(both, divide_no_nan(said_yes[:-1], said_yes[1:]), 1.0)
    return divide_no_nan(slope * (gained + intercept * ops.log(ratio)), ops.maximum(tp[1:] + fn[1:], 0))
