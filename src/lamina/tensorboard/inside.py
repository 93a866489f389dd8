"""Activations and gradients of a model on some samples, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.inspection.layers import outputs_of, weight_gradients
from lamina.training.arrays import unpack


def activations_of(model: Any, samples: Any) -> dict[str, np.ndarray]:
    """What each layer puts out when the model is called on ``x`` of the samples, by the layer's path in the model.

    A layer that is called several times gives all its outputs together.

    Args:
        model: the model.
        samples: ``x``, or ``(x, y)``.
    """
    found: dict[str, list[np.ndarray]] = {}
    for _, path, values in outputs_of(model, unpack(samples)[0]):
        found.setdefault(path, []).extend(value.ravel() for value in values)
    return {path: np.concatenate(values) for path, values in found.items() if values}


def gradients_of(model: Any, samples: Any) -> dict[str, np.ndarray]:
    """The gradients of the loss on the samples with respect to each weight, by the weight's path.

    Args:
        model: a compiled model.
        samples: ``(x, y)`` or ``(x, y, sample_weight)``; nothing without ``y``.
    """
    x, y, weight = unpack(samples)
    return {} if y is None else weight_gradients(model, x, y, weight)
