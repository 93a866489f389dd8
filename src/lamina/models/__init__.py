"""Models: ``Sequential``, the functional ``Model(inputs, outputs)``, subclassing, and files."""

from __future__ import annotations

import json
from typing import Any

from lamina.models.base import Model
from lamina.models.saving import LoadReport, load_model, load_weights, save_model, save_weights
from lamina.models.sequential import Sequential
from lamina.serialization import custom_object_scope, deserialize

__all__ = [
    "LoadReport",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "load_weights",
    "model_from_json",
    "save_model",
    "save_weights",
]


def model_from_json(json_string: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """A new model with fresh weights from what ``Model.to_json`` returned.

    Args:
        json_string: the configuration.
        custom_objects: classes and functions by name, beside the registered ones.
    """
    return deserialize(json.loads(json_string), custom_objects)


def clone_model(model: Model) -> Any:
    """A new model of new layers with the same configuration and fresh weights.

    Args:
        model: a Sequential or functional model, or a subclass that can be configured.
    """
    with custom_object_scope({type(model).__name__: type(model)}):
        return type(model).from_config(model.get_config())
