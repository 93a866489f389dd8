"""The losses as classes, with a reduction and sample weights."""

from __future__ import annotations

from typing import Any

from lamina import ops
from lamina.losses import functions
from lamina.losses.base import Loss
from lamina.serialization import Named

known = Named("loss", "lamina.losses")


class MeanSquaredError(Loss):
    """``mean((y_true - y_pred)**2)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> lamina.losses.MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]).item()
        0.5
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_squared_error", dtype: Any = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return functions.mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """``mean(|y_true - y_pred|)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = "mean_absolute_error", dtype: Any = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return functions.mean_absolute_error(y_true, y_pred)


class BinaryCrossentropy(Loss):
    """``-y log p - (1 - y) log(1 - p)``: two classes, or several labels that do not exclude each other.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: moves the targets towards 1/2 by this fraction.
        axis: the axis to average over.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return functions.binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "label_smoothing": self.label_smoothing,
            "axis": self.axis,
        }


class CategoricalCrossentropy(BinaryCrossentropy):
    """``-sum(y log p)`` over the classes, with targets that are distributions (one-hot as a rule).

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> loss = lamina.losses.CategoricalCrossentropy(from_logits=True)
        >>> round(loss([[0.0, 1.0]], [[0.0, 0.0]]).item(), 4)
        0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return functions.categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class SparseCategoricalCrossentropy(Loss):
    """``-log p[label]``: classes given as integers.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        ignore_class: samples with this label have loss 0 and do not count in the mean.
        axis: the axis of the classes.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> round(loss([1, 0], [[0.0, 0.0], [0.0, 0.0]]).item(), 4)
        0.6931
    """

    targets = "classes"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.ignore_class, self.from_logits, self.axis = ignore_class, from_logits, axis

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return functions.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def mask(self, y_true: Any, losses: Any) -> Any:
        if self.ignore_class is None:
            return None
        return ops.not_equal(ops.reshape(y_true, losses.shape), self.ignore_class)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "from_logits": self.from_logits,
            "ignore_class": self.ignore_class,
            "axis": self.axis,
        }


for _cls, *_names in (
    (MeanSquaredError,),
    (MeanAbsoluteError,),
    (BinaryCrossentropy,),
    (CategoricalCrossentropy,),
    (SparseCategoricalCrossentropy,),
    (functions.mean_squared_error, "mse", "MSE"),
    (functions.mean_absolute_error, "mae", "MAE"),
    (functions.binary_crossentropy, "bce", "BCE"),
    (functions.categorical_crossentropy,),
    (functions.sparse_categorical_crossentropy,),
):
    known.add(_cls, *_names)
