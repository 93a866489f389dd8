"""What weights are brought back to after each update: ``Dense(10, kernel_constraint="non_neg")``.

A constraint is called with the updated weight and returns its new value.  It runs in the same
compiled step as the update.
"""

from __future__ import annotations

from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError
from lamina.serialization import Named, serialize
from lamina.serialization import deserialize as _deserialize
from lamina.tensor import Tensor

_known = Named("constraint", "lamina.constraints")


class Constraint:
    """Base class: subclasses implement ``__call__(w)``, the projected weight.

    Example:
        >>> import lamina
        >>> class Rounded(lamina.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return lamina.round(w)
        >>> w = lamina.layers.Dense(1, kernel_constraint=Rounded())
    """

    def __call__(self, w: Any) -> Any:
        """The weight's new value, of its shape and dtype."""
        return w

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A constraint from what ``get_config`` returned."""
        return cls(**config)


def _norms(w: Any, axis: Any) -> Any:
    axis = tuple(axis) if isinstance(axis, list) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


class MaxNorm(Constraint):
    """Scales each vector along ``axis`` down to a norm of at most ``max_value``.

    Args:
        max_value: the largest norm.
        axis: axis or axes along which the norm is taken: 0 for the weights into each unit of a
            ``Dense`` layer, ``[0, 1, 2]`` for each filter of a ``Conv2D``.

    Example:
        >>> import lamina
        >>> lamina.constraints.MaxNorm(5.0)([[3.0, 6.0], [4.0, 8.0]]).numpy().round(3).tolist()
        [[3.0, 3.0], [4.0, 4.0]]
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Tensor:
        w = ops.as_tensor(w)
        norms = _norms(w, self.axis)
        return ops.multiply(w, ops.clip(norms, 0, self.max_value) / (norms + config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """``max(w, 0)``.

    Example:
        >>> import lamina
        >>> lamina.constraints.NonNeg()([1.0, -2.0]).tolist()
        [1.0, 0.0]
    """

    def __call__(self, w: Any) -> Tensor:
        return ops.maximum(w, 0)


class UnitNorm(Constraint):
    """Scales each vector along ``axis`` to a norm of 1.

    Args:
        axis: as for ``MaxNorm``.

    Example:
        >>> import lamina
        >>> lamina.constraints.UnitNorm(axis=0)([[3.0], [4.0]]).astype('float64').round(2).tolist()
        [[0.6], [0.8]]
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        w = ops.as_tensor(w)
        return ops.divide(w, _norms(w, self.axis) + config.epsilon())

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """Moves the norm of each vector along ``axis`` into ``[min_value, max_value]``.

    Args:
        min_value: the smallest norm.
        max_value: the largest norm.
        rate: how much of the way is gone at each step; 1 goes all of it.
        axis: as for ``MaxNorm``.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Tensor:
        w = ops.as_tensor(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return ops.multiply(w, wanted / (norms + config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

for _cls, *_names in (
    (MaxNorm, "max_norm"),
    (NonNeg, "non_neg"),
    (UnitNorm, "unit_norm"),
    (MinMaxNorm, "min_max_norm"),
):
    _known.add(_cls, *_names)


def get(identifier: Any) -> Any:
    """A constraint from a name, a class, a configuration, a callable, or one already made; ``None`` for ``None``.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.

    Example:
        >>> import lamina
        >>> lamina.constraints.get("max_norm").max_value
        2
    """
    if identifier is None:
        return None
    identifier = _known.resolve(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not a constraint: give a name or a callable of one weight.")
    return identifier


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """A constraint from what ``serialize`` returned."""
    return _deserialize(config, custom_objects)


__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]
