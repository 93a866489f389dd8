"""Losses, and other functions of single samples, as metrics: their mean over all samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError
from lamina.losses import functions, regression
from lamina.losses.base import same_shape
from lamina.metrics.base import Mean, MeanMetricWrapper, divide_no_nan
from lamina.tensor import Tensor


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The cosine of the angle between targets and predictions along ``axis`` (the loss is minus this)."""
    return ops.negative(regression.cosine_similarity(y_true, y_pred, axis))


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """``covariance / (std(y_true) * std(y_pred))`` along ``axis``.

    Example:
        >>> import lamina
        >>> lamina.metrics.pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).numpy().round(4).tolist()
        [1.0]
    """
    y_true, y_pred = same_shape("pearson_correlation", y_true, y_pred)
    parts = []
    for y in (y_true, y_pred):
        centred = y - ops.mean(y, axis=axis, keepdims=True)
        parts.append(centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True)))
    return ops.mean(parts[0] * parts[1], axis=axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """``2 * covariance / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))**2)`` along ``axis``.

    Source: Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 45, 1989.
    """
    y_true, y_pred = same_shape("concordance_correlation", y_true, y_pred)
    means = [ops.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred)]
    variances = [
        ops.mean(ops.square(y - mean), axis=axis, keepdims=True)
        for y, mean in zip((y_true, y_pred), means, strict=True)
    ]
    products = (y_true - means[1]) * (y_pred - means[1])
    norm = variances[0] + variances[1] + ops.square(means[0] - means[1])
    return ops.mean(2 * products / (norm + config.epsilon()), axis=axis)


class _OfFunction(MeanMetricWrapper):
    """The mean of one of the functions, whose other arguments are attributes."""

    function: Callable[..., Any]

    def __init__(self, name: str | None, dtype: Any, **arguments: Any) -> None:
        super().__init__(type(self).function, name, dtype, **arguments)
        vars(self).update(arguments)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


class _Plain(_OfFunction):
    """A metric whose function has no other arguments."""

    default_name: str

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name or self.default_name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of ``(y_true - y_pred)**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.RootMeanSquaredError()
        >>> metric.update_state([[0.0, 0.0]], [[3.0, 3.0]])
        >>> metric.result().item()
        3.0
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        y_true, y_pred = same_shape("root_mean_squared_error", y_true, y_pred)
        super().update_state(ops.square(ops.subtract(y_pred, y_true)), sample_weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


class MeanRelativeError(Mean):
    """The mean of ``|y_true - y_pred| / normalizer``.

    Args:
        normalizer: what errors are measured in, of a shape that broadcasts against them.
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanRelativeError(normalizer=[1.0, 3.0, 2.0, 3.0])
        >>> metric([1.0, 3.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0]).item()
        1.25
    """

    def __init__(self, normalizer: Any, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.normalizer = ops.as_tensor(normalizer, dtype=self._dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        y_true, y_pred = same_shape("mean_relative_error", y_true, y_pred)
        try:
            errors = divide_no_nan(ops.abs(y_true - y_pred), self.normalizer)
        except ValueError as problem:
            raise ArgumentError(f"normalizer does not fit predictions of shape {y_pred.shape}: {problem}") from problem
        super().update_state(errors, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "normalizer": self.normalizer.tolist()}


class MeanSquaredError(_Plain):
    """The mean of ``(y_true - y_pred)**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanSquaredError()
        >>> metric.update_state([[0.0, 1.0]], [[1.0, 4.0]])
        >>> metric.result().item()
        5.0
    """

    function = staticmethod(regression.mean_squared_error)
    default_name = "mean_squared_error"


class MeanAbsoluteError(_Plain):
    """The mean of ``|y_true - y_pred|``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanAbsoluteError()
        >>> metric.update_state([[0.0, 1.0]], [[1.0, 4.0]])
        >>> metric.result().item()
        2.0
    """

    function = staticmethod(regression.mean_absolute_error)
    default_name = "mean_absolute_error"


class MeanAbsolutePercentageError(_Plain):
    """The mean of ``100 * |y_true - y_pred| / |y_true|``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state([[4.0, 2.0]], [[5.0, 2.0]])
        >>> metric.result().item()
        12.5
    """

    function = staticmethod(regression.mean_absolute_percentage_error)
    default_name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_Plain):
    """The mean of ``(log(1 + y_true) - log(1 + y_pred))**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state([[0.0]], [[0.0]])
        >>> metric.result().item()
        0.0
    """

    function = staticmethod(regression.mean_squared_logarithmic_error)
    default_name = "mean_squared_logarithmic_error"


class LogCoshError(_Plain):
    """The mean of ``log(cosh(y_pred - y_true))``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.LogCoshError()
        >>> metric.update_state([[1.0]], [[1.0]])
        >>> metric.result().item()
        0.0
    """

    function = staticmethod(regression.log_cosh)
    default_name = "logcosh"


class Hinge(_Plain):
    """The mean of ``max(1 - y_true * y_pred, 0)``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.Hinge()
        >>> metric.update_state([[-1.0, 1.0]], [[-1.0, 0.5]])
        >>> metric.result().item()
        0.25
    """

    function = staticmethod(regression.hinge)
    default_name = "hinge"


class SquaredHinge(_Plain):
    """The mean of ``max(1 - y_true * y_pred, 0)**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.SquaredHinge()
        >>> metric.update_state([[-1.0, 1.0]], [[-1.0, 0.5]])
        >>> metric.result().item()
        0.125
    """

    function = staticmethod(regression.squared_hinge)
    default_name = "squared_hinge"


class CategoricalHinge(_Plain):
    """The mean of ``max(neg - pos + 1, 0)``; see the loss.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.CategoricalHinge()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> metric.result().item()
        1.0
    """

    function = staticmethod(regression.categorical_hinge)
    default_name = "categorical_hinge"


class KLDivergence(_Plain):
    """The mean of ``sum(y_true * log(y_true / y_pred))``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.KLDivergence()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> round(metric.result().item(), 4)
        0.6931
    """

    function = staticmethod(regression.kl_divergence)
    default_name = "kl_divergence"


class Poisson(_Plain):
    """The mean of ``y_pred - y_true * log(y_pred)``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.Poisson()
        >>> metric.update_state([[0.0, 2.0]], [[1.0, 1.0]])
        >>> round(metric.result().item(), 4)
        1.0
    """

    function = staticmethod(regression.poisson)
    default_name = "poisson"


class CosineSimilarity(_OfFunction):
    """The mean cosine of the angle between targets and predictions.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        axis: the axis along which the vectors lie.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.CosineSimilarity()
        >>> metric.update_state([[1.0, 0.0]], [[2.0, 0.0]])
        >>> metric.result().item()
        1.0
    """

    function = staticmethod(cosine_similarity)

    def __init__(
        self,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, axis=axis)


class PearsonCorrelation(_OfFunction):
    """The mean correlation of targets and predictions.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        axis: the axis along which the vectors lie.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.PearsonCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
        >>> round(metric.result().item(), 4)
        1.0
    """

    function = staticmethod(pearson_correlation)

    def __init__(
        self,
        name: str | None = "pearson_correlation",
        dtype: Any = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, axis=axis)


class ConcordanceCorrelation(_OfFunction):
    """The mean concordance of targets and predictions: correlation that wants equal values too.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        axis: the axis along which the vectors lie.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.ConcordanceCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]])
        >>> round(metric.result().item(), 4)
        1.0
    """

    function = staticmethod(concordance_correlation)

    def __init__(
        self,
        name: str | None = "concordance_correlation",
        dtype: Any = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, axis=axis)


class BinaryCrossentropy(_OfFunction):
    """The mean binary cross-entropy.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        label_smoothing: moves the targets towards 1/2 by this fraction.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.BinaryCrossentropy()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> round(metric.result().item(), 4)
        0.6931
    """

    function = staticmethod(functions.binary_crossentropy)

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_OfFunction):
    """The mean cross-entropy of one-hot targets.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.CategoricalCrossentropy()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.5]])
        >>> round(metric.result().item(), 4)
        0.6931
    """

    function = staticmethod(functions.categorical_crossentropy)

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(_OfFunction):
    """The mean cross-entropy of integer targets.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        ignore_class: samples with this label count with a loss of 0.
        axis: the axis of the classes.

    Example:
        >>> import lamina
        >>> metric = lamina.metrics.SparseCategoricalCrossentropy()
        >>> metric.update_state([1], [[0.5, 0.5]])
        >>> round(metric.result().item(), 4)
        0.6931
    """

    function = staticmethod(functions.sparse_categorical_crossentropy)

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)
