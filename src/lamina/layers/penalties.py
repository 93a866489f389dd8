"""The ``<weight>_regularizer``, ``<weight>_constraint`` and ``activity_regularizer`` arguments of layers."""

from __future__ import annotations

from typing import Any

from lamina import constraints, ops, regularizers
from lamina.core.trees import flatten
from lamina.tensor import Tensor


def argument_names(layer: Any) -> list[str]:
    """The arguments that a layer takes for the weights it names in ``_penalized``."""
    return [f"{name}_{kind}" for kind in ("regularizer", "constraint") for name in layer._penalized]


def take_arguments(layer: Any, kwargs: dict[str, Any]) -> None:
    """Move these arguments out of ``kwargs`` to attributes of the layer."""
    layer.activity_regularizer = regularizers.get(kwargs.pop("activity_regularizer", None))
    for argument in argument_names(layer):
        get = regularizers.get if argument.endswith("_regularizer") else constraints.get
        setattr(layer, argument, get(kwargs.pop(argument, None)))


def config_of(layer: Any) -> dict[str, Any]:
    """These arguments as plain data."""
    config = {name: regularizers.serialize(getattr(layer, name)) for name in argument_names(layer)}
    if layer.activity_regularizer is not None:
        config["activity_regularizer"] = regularizers.serialize(layer.activity_regularizer)
    return config


def of_weight(layer: Any, name: str) -> dict[str, Any]:
    """The arguments for ``add_weight`` of the weight that the layer's arguments call ``name``."""
    return {kind: getattr(layer, f"{name}_{kind}") for kind in ("regularizer", "constraint")}


def of_output(regularizer: Any, output: Any) -> list[Any]:
    """The penalty of each output tensor, divided by the size of its batch."""
    losses = []
    for x in flatten(output)[0]:
        if isinstance(x, Tensor):
            loss = regularizer(x)
            losses.append(ops.divide(loss, max(x.shape[0], 1)) if x.ndim else loss)
    return losses


def of_weights(variables: list[Any]) -> list[Any]:
    """The penalties of those weights that have a regularizer."""
    return [v.regularizer(v.value) for v in variables if v.regularizer is not None]
