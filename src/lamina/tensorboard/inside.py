"""Activations and gradients of a model on some samples, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.autodiff import GradientTape
from lamina.core.primitive import state
from lamina.core.trees import flatten, map_tree
from lamina.training.arrays import unpack


def _tensors(tree: Any) -> Any:
    from lamina import ops

    return map_tree(lambda a: ops.as_tensor(np.asarray(a)), tree)


def activations_of(model: Any, samples: Any) -> dict[str, np.ndarray]:
    """What each layer puts out when the model is called on ``x`` of the samples, by the layer's path in the model.

    A layer that is called several times gives all its outputs together.

    Args:
        model: the model.
        samples: ``x``, or ``(x, y)``.
    """
    found: dict[str, list[np.ndarray]] = {}
    layers = [layer for layer in model._flatten_layers() if layer is not model]

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            values = [np.asarray(t) for t in flatten(output)[0] if hasattr(t, "shape")]
            found.setdefault("/".join(state.scope[1:]), []).extend(values)
            return output

        return run

    for layer in layers:
        vars(layer)["call"] = watched(layer.call)
    try:
        model(_tensors(unpack(samples)[0]), training=False)
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
    return {name: np.concatenate([v.ravel() for v in values]) for name, values in found.items() if values}


def gradients_of(model: Any, samples: Any) -> dict[str, np.ndarray]:
    """The gradients of the loss on the samples with respect to each weight, by the weight's path.

    Args:
        model: a compiled model.
        samples: ``(x, y)`` or ``(x, y, sample_weight)``; nothing without ``y``.
    """
    x, y, weight = unpack(samples)
    variables = list(model.trainable_variables)
    if y is None or not variables:
        return {}
    x, y, weight = _tensors(x), _tensors(y), None if weight is None else _tensors(weight)
    saved = [(v, v.numpy().copy()) for v in model.metrics_variables + list(model.non_trainable_variables)]
    try:
        with GradientTape() as tape:
            y_pred = model(x, training=False)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weight, training=False)
        gradients = tape.gradient(loss, variables)
    finally:
        for variable, value in saved:
            variable.assign(value)
    return {v.path: np.asarray(g) for v, g in zip(variables, gradients, strict=True) if g is not None}
