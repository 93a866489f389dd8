"""``Loss``: from targets and predictions to one number, with weights and a reduction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina import config, dtype_policies, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.masks import get_mask
from lamina.core.trees import flatten, map_tree
from lamina.tensor import Tensor

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


def align(x: Any, y: Any, expand_rank_1: bool = True) -> tuple[Any, Any]:
    """Make ranks that differ by a last axis of size 1 equal, by adding or dropping that axis."""
    if x.ndim == y.ndim + 1 and x.shape[-1] == 1:
        if y.ndim == 1 and expand_rank_1:
            y = ops.reshape(y, (*y.shape, 1))
        else:
            x = ops.reshape(x, x.shape[:-1])
    elif y.ndim == x.ndim + 1 and y.shape[-1] == 1:
        y, x = align(y, x, expand_rank_1)
    return x, y


def same_shape(name: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions as Tensors of one shape, the targets in the dtype of the predictions.

    Raises:
        ShapeError: the shapes differ; broadcasting one against the other is almost always a mistake.
    """
    y_pred = ops.as_tensor(y_pred)
    if not dtypes.is_float(y_pred.dtype):
        y_pred = ops.astype(y_pred, config.floatx())
    y_true, y_pred = align(ops.as_tensor(y_true, dtype=y_pred.dtype), y_pred)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            f"{name}: targets have shape {y_true.shape} and predictions {y_pred.shape}; they must have the same shape. "
            "Make the last layer's units, or the targets, agree."
        )
    return y_true, y_pred


def broadcast_weights(weights: Any, values: Any) -> tuple[Any, Any]:
    """Sample weights of shape ``values.shape[:k]`` as a tensor that multiplies ``values``.

    Raises:
        ShapeError: the weights are not one for each leading position of the values.
    """
    values, weights = align(values, weights)
    shape = values.shape
    if weights.ndim <= len(shape) and all(w in (1, n) for w, n in zip(weights.shape, shape, strict=False)):
        missing = len(shape) - weights.ndim
        return values, ops.reshape(weights, (*weights.shape, *(1,) * missing)) if missing and weights.ndim else weights
    raise ShapeError(
        f"sample_weight has shape {weights.shape} and the losses have shape {shape}. "
        "Give one weight for each sample, or for each sample and step."
    )


def mask_weights(sample_weight: Any, mask: Any) -> Any:
    """The weights of what a mask (as numbers) lets through, 0 for the rest."""
    if sample_weight is None:
        return mask
    mask, sample_weight = align(mask, ops.as_tensor(sample_weight, dtype=mask.dtype))
    short, long = sorted((mask, sample_weight), key=lambda x: x.ndim)
    return ops.multiply(ops.reshape(short, (*short.shape, *(1,) * (long.ndim - short.ndim))), long)


def reduce_values(values: Any, sample_weight: Any, reduction: str | None, mask: Any = None) -> Tensor:
    """Weight the losses and reduce them.

    Args:
        values: losses, one for each sample (and step).
        sample_weight: weights that broadcast against them, or ``None``.
        reduction: one of ``REDUCTIONS``.
        mask: bools shaped like the first axes of ``values``: which of them count, or ``None`` for all.
    """
    if mask is not None:
        counted = ops.astype(mask, values.dtype)
        if reduction in ("mean", "sum_over_batch_size"):  # divided by the number of values below
            counted = ops.multiply(counted, mask.size / ops.maximum(ops.sum(counted), 1.0))
        sample_weight = mask_weights(sample_weight, counted)
    if sample_weight is not None:
        values, sample_weight = broadcast_weights(ops.as_tensor(sample_weight, dtype=values.dtype), values)
        values = ops.multiply(values, sample_weight)
    if reduction in (None, "none") or values.shape == ():
        return values
    total = ops.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        weight = ops.sum(sample_weight)
        return ops.where(weight == 0, 0.0, total / ops.where(weight == 0, 1.0, weight))
    return ops.divide(total, max(values.size, 1))


def _map_tensors(convert: Callable[[Any], Any], tree: Any) -> Any:
    """Apply ``convert`` to each tensor of a structure; a nested list of numbers is one tensor."""
    if isinstance(tree, list | tuple) and all(isinstance(x, bool | int | float) for x in flatten(tree)[0]):
        return convert(tree)
    return map_tree(convert, tree)


class Loss:
    """Base class of losses: subclasses implement ``call(y_true, y_pred)``, one value for each sample.

    Args:
        name: name for logs; default from the class.
        reduction: ``"sum_over_batch_size"`` or ``"mean"`` (the sum divided by the number of values),
            ``"sum"``, ``"mean_with_sample_weight"`` (divided by the sum of the weights), or ``"none"``.
        dtype: dtype of the computation, or a dtype policy; default ``lamina.config.floatx()``.  In ``fit`` the loss
            of a float64 model is computed in float64.

    Raises:
        ArgumentError: the reduction is none of these.

    Example:
        >>> import lamina
        >>> class Cube(lamina.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return lamina.mean(abs(y_pred - y_true) ** 3, axis=-1)
        >>> Cube()([[0.0]], [[2.0]]).item()
        8.0
    """

    # What the targets are: "values" shaped like the predictions, "probabilities" in [0, 1] shaped like
    # them, or "classes", one integer for each row of predictions.  Checks of the data read this.
    targets = "values"
    _keeps_float64 = False  # set by ``fit``

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                "Invalid value for argument `reduction`. "
                f"Expected one of {', '.join(map(str, REDUCTIONS))}. Received: reduction={reduction}"
            )
        self.name = name or config.auto_name(type(self).__name__)
        self.reduction = reduction
        self._dtype = dtypes.as_dtype(dtype_policies.get(dtype).compute_dtype) if dtype is not None else None

    @property
    def dtype(self) -> str:
        """Name of the dtype asked for, or the default float dtype."""
        return self._dtype.name if self._dtype is not None else config.floatx()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One loss for each sample."""
        raise NotImplementedError(f"{type(self).__name__} does not implement call(y_true, y_pred).")

    def mask(self, y_true: Any, losses: Any) -> Any:
        """Which of the losses count (bools shaped like them), or ``None`` for all."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss; where ``y_pred`` carries a mask, over the positions where it is true.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: a weight for each sample, or ``None``.
        """
        carried = get_mask(y_pred)
        y_pred = _map_tensors(self._predictions, y_pred)
        y_true = _map_tensors(self._targets, y_true)
        losses = ops.as_tensor(self.call(y_true, y_pred))
        mask = self.mask(y_true, losses)
        if carried is not None:
            mask = carried if mask is None else ops.logical_and(*align(mask, carried))
        return reduce_values(losses, sample_weight, self.reduction, mask)

    def _targets(self, y_true: Any) -> Any:
        y_true = ops.as_tensor(y_true)
        return ops.astype(y_true, self._computes_in(y_true)) if dtypes.is_float(y_true.dtype) else y_true

    def _predictions(self, y_pred: Any) -> Any:
        y_pred = ops.as_tensor(y_pred)
        return ops.astype(y_pred, self._computes_in(y_pred))

    def _computes_in(self, x: Any) -> Any:
        if self._dtype is None and self._keeps_float64 and x.dtype == dtypes.float64:
            return x.dtype
        return self._dtype or config.floatx()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A loss from what ``get_config`` returned."""
        return cls(**config)


class LossFunctionWrapper(Loss):
    """A loss from a function ``fn(y_true, y_pred, **kwargs)`` that gives one value for each sample.

    Args:
        fn: the function.
        reduction: see ``Loss``.
        name: name for logs; default the function's.
        dtype: see ``Loss``.
        kwargs: further arguments of ``fn``.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn, self._arguments = fn, kwargs
        self.targets = getattr(fn, "targets", "values")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self._arguments)

    def get_config(self) -> dict[str, Any]:
        from lamina.serialization import serialize

        return {"fn": serialize(self.fn), **super().get_config(), **serialize(self._arguments)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        from lamina.serialization import deserialize, is_serialized

        return cls(**{k: deserialize(v) if is_serialized(v) else v for k, v in config.items()})
