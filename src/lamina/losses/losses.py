"""The losses as classes, with a reduction and sample weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.losses import functions, regression, special
from lamina.losses.base import Loss
from lamina.serialization import Named

known = Named("loss", "lamina.losses")
_REDUCTION = "sum_over_batch_size"


class _OfFunction(Loss):
    """A loss from one of the functions, whose other arguments are attributes.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
        arguments: the function's other arguments.
    """

    function: Callable[..., Any]

    def __init__(self, reduction: str | None, name: str | None, dtype: Any, **arguments: Any) -> None:
        super().__init__(name or getattr(type(self).function, "__name__", None), reduction, dtype)
        self._arguments = tuple(arguments)
        vars(self).update(arguments)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return type(self).function(y_true, y_pred, **{name: getattr(self, name) for name in self._arguments})

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self._arguments}}


class _Plain(_OfFunction):
    """A loss whose function has no other arguments."""

    default_name: str

    def __init__(self, reduction: str | None = _REDUCTION, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(reduction, name or self.default_name, dtype)


class MeanSquaredError(_Plain):
    """``mean((y_true - y_pred)**2)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.mean_squared_error)
    default_name = "mean_squared_error"


class MeanAbsoluteError(_Plain):
    """``mean(|y_true - y_pred|)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.mean_absolute_error)
    default_name = "mean_absolute_error"


class MeanAbsolutePercentageError(_Plain):
    """``100 * mean(|y_true - y_pred| / |y_true|)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.mean_absolute_percentage_error)
    default_name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_Plain):
    """``mean((log(1 + y_true) - log(1 + y_pred))**2)``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.mean_squared_logarithmic_error)
    default_name = "mean_squared_logarithmic_error"


class CosineSimilarity(_OfFunction):
    """Minus the cosine of the angle between targets and predictions: -1 where they point the same way.

    Args:
        axis: the axis along which the vectors lie.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> lamina.losses.CosineSimilarity()([[1.0, 0.0]], [[2.0, 0.0]]).item()
        -1.0
    """

    function = staticmethod(regression.cosine_similarity)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _REDUCTION,
        name: str | None = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)


class Huber(_OfFunction):
    """``error**2 / 2`` up to ``delta``, ``delta * (|error| - delta / 2)`` beyond.

    Args:
        delta: where the parabola goes over into a line.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> lamina.losses.Huber(delta=1.0)([[0.0, 0.0]], [[1.0, 3.0]]).item()
        1.5
    """

    function = staticmethod(regression.huber)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _REDUCTION,
        name: str | None = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, delta=delta)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; ``delta`` only if it is not 1, as Keras does not know it there."""
        config = super().get_config()
        return {k: v for k, v in config.items() if (k, v) != ("delta", 1.0)}


class LogCosh(_Plain):
    """``mean(log(cosh(y_pred - y_true)))``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.log_cosh)
    default_name = "log_cosh"


class Hinge(_Plain):
    """``mean(max(1 - y_true * y_pred, 0))`` with targets of -1 and 1 (0 and 1 are turned into these).

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> lamina.losses.Hinge()([[-1.0, 1.0]], [[-1.0, 0.5]]).item()
        0.25
    """

    function = staticmethod(regression.hinge)
    default_name = "hinge"


class SquaredHinge(_Plain):
    """``mean(max(1 - y_true * y_pred, 0)**2)`` with targets as for ``Hinge``.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.squared_hinge)
    default_name = "squared_hinge"


class CategoricalHinge(_Plain):
    """``max(neg - pos + 1, 0)``: ``pos`` the score of the true class, ``neg`` the best of the others.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.categorical_hinge)
    default_name = "categorical_hinge"


class KLDivergence(_Plain):
    """``sum(y_true * log(y_true / y_pred))``, between distributions (Kullback and Leibler, 1951).

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.kl_divergence)
    default_name = "kl_divergence"


class Poisson(_Plain):
    """``mean(y_pred - y_true * log(y_pred))``: for counts, ``y_pred`` being their mean.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(regression.poisson)
    default_name = "poisson"


class BinaryCrossentropy(_OfFunction):
    """``-y log p - (1 - y) log(1 - p)``: two classes, or several labels that do not exclude each other.

    Args:
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: moves the targets towards 1/2 by this fraction.
        axis: the axis to average over.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Example:
        >>> import lamina
        >>> round(lamina.losses.BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]).item(), 4)
        0.6931
    """

    function = staticmethod(functions.binary_crossentropy)
    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _REDUCTION,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class BinaryFocalCrossentropy(_OfFunction):
    """``(1 - p_t)**gamma`` times the binary cross-entropy: what is already right counts little.

    Args:
        apply_class_balancing: whether class 1 is weighted with ``alpha`` and class 0 with ``1 - alpha``.
        alpha: see above.
        gamma: how little; 0 gives ``BinaryCrossentropy``.
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: moves the targets towards 1/2 by this fraction.
        axis: the axis to average over.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    function = staticmethod(special.binary_focal_crossentropy)
    targets = "probabilities"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _REDUCTION,
        name: str | None = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class CategoricalCrossentropy(_OfFunction):
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

    function = staticmethod(functions.categorical_crossentropy)
    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _REDUCTION,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class CategoricalFocalCrossentropy(_OfFunction):
    """``sum(alpha * (1 - p)**gamma * -y log p)`` over the classes: what is already right counts little.

    Args:
        alpha: a factor, or one for each class.
        gamma: how little.
        from_logits: whether predictions are logits rather than probabilities.
        label_smoothing: mixes the targets with this fraction of the uniform distribution.
        axis: the axis of the classes.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.
    """

    function = staticmethod(special.categorical_focal_crossentropy)
    targets = "probabilities"

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _REDUCTION,
        name: str | None = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(_OfFunction):
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

    function = staticmethod(functions.sparse_categorical_crossentropy)
    targets = "classes"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _REDUCTION,
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)

    def mask(self, y_true: Any, losses: Any) -> Any:
        ignored: int | None = vars(self)["ignore_class"]
        return None if ignored is None else ops.not_equal(ops.reshape(y_true, losses.shape), ignored)


class CategoricalGeneralizedCrossEntropy(_OfFunction):
    """``(1 - p**q) / q`` with ``p`` the probability of the true class, given as an integer.

    Args:
        q: above 0 (near cross-entropy) and below 1 (near absolute error, which bears wrong labels).
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Raises:
        ArgumentError: ``q`` is not between 0 and 1.

    Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss", NeurIPS 2018.
    """

    function = staticmethod(special.categorical_generalized_cross_entropy)
    targets = "classes"

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = _REDUCTION,
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ArgumentError(f"q must be in the interval (0, 1); got {q}.")
        super().__init__(reduction, name, dtype, q=q)


class CTC(_Plain):
    """``-log`` of the probability that the predictions spell the labels (Graves et al., 2006).

    Targets ``[batch, length]`` are integers from 1 up, padded with 0; predictions ``[batch, steps, classes]`` are
    logits, class 0 being the blank.

    Args:
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(special.ctc)
    default_name = "ctc"
    targets = "any"


class Dice(_OfFunction):
    """``1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))``: overlap of two regions.

    Args:
        axis: axes to sum over; default all.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.
    """

    function = staticmethod(special.dice)

    def __init__(
        self,
        reduction: str | None = _REDUCTION,
        name: str | None = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis=axis)


class Tversky(_OfFunction):
    """``1 - both / (both + alpha * only_true + beta * only_pred)``: overlap of two regions.

    Args:
        alpha: weight of what is in ``y_true`` alone.
        beta: weight of what is in ``y_pred`` alone.
        axis: axes to sum over; default all.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Source: Salehi et al., "Tversky loss function for image segmentation", 2017.
    """

    function = staticmethod(special.tversky)

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _REDUCTION,
        name: str | None = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class Circle(_OfFunction):
    """Pulls embeddings of one class together and others apart, each pair as hard as it is wrong.

    Args:
        gamma: scale.
        margin: the margin.
        remove_diagonal: whether no sample is compared with itself.
        reduction: see ``Loss``.
        name: name for logs.
        dtype: see ``Loss``.

    Targets are integer labels, predictions embeddings of length 1.

    Source: Sun et al., "Circle Loss", CVPR 2020.
    """

    function = staticmethod(special.circle)
    targets = "any"

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = _REDUCTION,
        name: str | None = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)

    def mask(self, y_true: Any, losses: Any) -> Any:
        return losses > 0  # samples without a counterpart do not count in the mean


CLASS_OF: dict[Any, type[_OfFunction]] = {}  # the class of each function

for _cls, *_names in (
    (MeanSquaredError, "mse", "MSE"),
    (MeanAbsoluteError, "mae", "MAE"),
    (MeanAbsolutePercentageError, "mape", "MAPE"),
    (MeanSquaredLogarithmicError, "msle", "MSLE"),
    (CosineSimilarity,),
    (Huber,),
    (LogCosh, "logcosh"),
    (Hinge,),
    (SquaredHinge,),
    (CategoricalHinge,),
    (KLDivergence, "kld", "KLD", "kullback_leibler_divergence"),
    (Poisson,),
    (BinaryCrossentropy, "bce", "BCE"),
    (BinaryFocalCrossentropy,),
    (CategoricalCrossentropy,),
    (CategoricalFocalCrossentropy,),
    (SparseCategoricalCrossentropy,),
    (CategoricalGeneralizedCrossEntropy,),
    (CTC,),
    (Dice,),
    (Tversky,),
    (Circle,),
):
    known.add(_cls)
    known.add(_cls.function, *_names)
    CLASS_OF[_cls.function] = _cls
