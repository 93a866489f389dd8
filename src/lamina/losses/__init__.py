"""Losses, as classes and as functions of one value for each sample."""

from __future__ import annotations

from typing import Any

from lamina.core.errors import ArgumentError
from lamina.losses.base import Loss, LossFunctionWrapper
from lamina.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from lamina.losses.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
    known,
)
from lamina.serialization import deserialize, serialize

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_crossentropy",
]

known.add(LossFunctionWrapper)


def get(identifier: Any) -> Any:
    """A loss function or ``Loss`` from a name, a class, a configuration, or one already made.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.

    Example:
        >>> import lamina
        >>> lamina.losses.get("mse").__name__
        'mean_squared_error'
    """
    if identifier is None:
        return None
    identifier = known.resolve(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not a loss: give a name, a Loss, or a function of (y_true, y_pred).")
    return identifier
