"""Penalties on weights or outputs that join the loss: ``Dense(10, kernel_regularizer="l2")``.

A regularizer is called with a tensor and returns a scalar.  Those of a layer's weights are added
to the loss of every training step; that of its output (``activity_regularizer``) is divided by
the size of the batch first.
"""

from __future__ import annotations

import math
from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.serialization import Named, serialize
from lamina.serialization import deserialize as _deserialize
from lamina.tensor import Tensor

_known = Named("regularizer", "lamina.regularizers")


class Regularizer:
    """Base class: subclasses implement ``__call__(x)``, a scalar, and ``get_config``.

    Example:
        >>> import lamina
        >>> class SmallSum(lamina.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * lamina.square(lamina.sum(x))
        ...     def get_config(self):
        ...         return {}
        >>> layer = lamina.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=SmallSum())
        >>> y = layer(lamina.ones((1, 5)))
        >>> round(layer.losses[0].item(), 4)
        10.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty for a tensor, a scalar."""
        return ops.zeros((), dtype=ops.as_tensor(x).dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_config().")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A regularizer from what ``get_config`` returned."""
        return cls(**config)


def _factor(name: str, value: Any) -> float:
    """A finite number from 0 up.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} is a finite number from 0 up; got {value!r}.")
    return float(value)


class L1L2(Regularizer):
    """``l1 * sum(|x|) + l2 * sum(x**2)``.

    Args:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.

    Raises:
        ArgumentError: a factor is negative or not finite.

    Example:
        >>> import lamina
        >>> lamina.regularizers.L1L2(l1=1.0, l2=0.5)([-1.0, 2.0]).item()
        5.5
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1 or 0.0), _factor("l2", l2 or 0.0)

    def __call__(self, x: Any) -> Tensor:
        x = ops.as_tensor(x)
        terms = [self.l1 * ops.sum(ops.abs(x))] if self.l1 else []
        terms += [self.l2 * ops.sum(ops.square(x))] if self.l2 else []
        return sum(terms[1:], terms[0]) if terms else ops.zeros((), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(Regularizer):
    """``l1 * sum(|x|)``: drives weights to exactly 0.

    Args:
        l1: the factor.

    Example:
        >>> import lamina
        >>> round(lamina.regularizers.L1(0.1)([1.0, -2.0]).item(), 4)
        0.3
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> Tensor:
        return self.l1 * ops.sum(ops.abs(x))

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(Regularizer):
    """``l2 * sum(x**2)``: keeps weights small.

    Args:
        l2: the factor.

    Example:
        >>> import lamina
        >>> lamina.regularizers.L2(0.5)([1.0, 2.0]).item()
        2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Tensor:
        return self.l2 * ops.sum(ops.square(x))

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean absolute cosine between different rows (or columns) of a matrix.

    Args:
        factor: the factor.
        mode: ``"rows"`` or ``"columns"``: which of them are to become orthogonal.

    Raises:
        ArgumentError: an argument is none of these.
        ShapeError: (when called) the tensor is not a matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if mode not in ("rows", "columns"):
            raise ArgumentError(
                f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}'
            )
        self.mode = mode

    def __call__(self, x: Any) -> Tensor:
        x = ops.as_tensor(x)
        if x.ndim != 2:
            raise ShapeError(f"OrthogonalRegularizer takes a matrix; got shape {x.shape}.")
        rows = x if self.mode == "rows" else ops.matrix_transpose(x)
        lengths = ops.sqrt(ops.sum(ops.square(rows), axis=1, keepdims=True))
        rows = ops.divide(rows, ops.maximum(lengths, config.epsilon()))
        count = rows.shape[0]
        cosines = ops.matmul(rows, ops.matrix_transpose(rows)) * (1.0 - ops.eye(count, dtype=x.dtype))
        return self.factor * ops.sum(ops.abs(cosines)) / max(count * (count - 1), 1)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

for _cls, *_names in (
    (L1L2, "l1_l2", "l1l2"),
    (L1, "l1"),
    (L2, "l2"),
    (OrthogonalRegularizer, "orthogonal_regularizer"),
):
    _known.add(_cls, *_names)


def get(identifier: Any) -> Any:
    """A regularizer from a name, a class, a configuration, a callable, or one already made; ``None`` for ``None``.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.

    Example:
        >>> import lamina
        >>> lamina.regularizers.get("l2").l2
        0.01
    """
    if identifier is None:
        return None
    identifier = _known.resolve(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not a regularizer: give a name or a callable of one tensor.")
    return identifier


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """A regularizer from what ``serialize`` returned."""
    return _deserialize(config, custom_objects)


__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]
