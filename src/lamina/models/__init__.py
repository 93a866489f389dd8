"""Models: ``Sequential``, the functional ``Model(inputs, outputs)``, subclassing, and files."""

from __future__ import annotations

import json
from typing import Any

from lamina.models.base import Model
from lamina.models.cloning import clone_model
from lamina.models.saving import LoadReport, load_model, load_weights, save_model, save_weights
from lamina.models.sequential import Sequential
from lamina.models.trainer import Trainer
from lamina.serialization import deserialize

__all__ = [
    "LoadReport",
    "Model",
    "Sequential",
    "Trainer",
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
