"""Optimizers, and the schedules of their learning rates."""

from __future__ import annotations

from typing import Any

from lamina.core.errors import ArgumentError
from lamina.optimizers import schedules
from lamina.optimizers.adaptive import Adadelta, Adafactor, Adagrad, Ftrl
from lamina.optimizers.base import Optimizer
from lamina.optimizers.moments import Adamax, Lamb, Lion, Nadam, ScheduleFreeAdamW
from lamina.optimizers.muon import Muon
from lamina.optimizers.optimizers import SGD, Adam, AdamW, RMSprop, known
from lamina.optimizers.wrappers import LossScaleOptimizer, MultiOptimizer, OptimizerMap
from lamina.serialization import custom_object_scope, serialize

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """An optimizer from what ``serialize`` returned; its state starts anew."""
    with custom_object_scope(custom_objects or {}):
        return get(config)


def get(identifier: Any) -> Any:
    """An optimizer from a name, a class, a configuration, or one already made; ``None`` for ``None``.

    Raises:
        ArgumentError: the name is unknown or the object is not an ``Optimizer``.

    Example:
        >>> import lamina
        >>> type(lamina.optimizers.get("adam")).__name__
        'Adam'
    """
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier not in known.table:
        identifier = identifier.lower()
    identifier = known.resolve(identifier)
    if not isinstance(identifier, Optimizer):
        raise ArgumentError(f"{identifier!r} is not an optimizer: give a name such as 'adam', or an Optimizer.")
    return identifier
