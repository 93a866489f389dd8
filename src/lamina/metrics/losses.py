"""Losses as metrics: their mean over all samples."""

from __future__ import annotations

from typing import Any

from lamina import ops
from lamina.losses import functions
from lamina.losses.base import same_shape
from lamina.metrics.base import Mean, MeanMetricWrapper
from lamina.tensor import Tensor


class MeanSquaredError(MeanMetricWrapper):
    """The mean of ``(y_true - y_pred)**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(functions.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of ``(y_true - y_pred)**2``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        y_true, y_pred = same_shape("root_mean_squared_error", y_true, y_pred)
        super().update_state(ops.square(ops.subtract(y_pred, y_true)), sample_weight)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())  # type: ignore[no-any-return]


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of ``|y_true - y_pred|``.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(functions.mean_absolute_error, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary cross-entropy.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        label_smoothing: moves the targets towards 1/2 by this fraction.
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(
            functions.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of one-hot targets.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            functions.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of integer targets.

    Args:
        name: name for logs.
        dtype: see ``Metric``.
        from_logits: whether predictions are logits.
        ignore_class: samples with this label count with a loss of 0.
        axis: the axis of the classes.
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            functions.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.ignore_class = ignore_class

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}
