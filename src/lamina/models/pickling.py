"""Copies of whole models: what ``pickle`` and ``copy.deepcopy`` make of them.

A model is taken apart into what a file of it holds (configuration, weights, random states, how it was compiled, the
optimizer's state) and put together again, so that a copy shares nothing with the model and compiles steps of its own.
Files that Lamina reads itself are no pickles; see ``lamina.models.saving``.
"""

from __future__ import annotations

import inspect
from typing import Any

from lamina.core.errors import LaminaError
from lamina.core.trees import flatten
from lamina.models.base import Model
from lamina.models.saving import _arrays, _named_states, build_again, describe_inputs, named_weights
from lamina.serialization import custom_object_scope, deserialize, registered_name, serialize


def take_apart(model: Model) -> dict[str, Any]:
    """Everything that ``put_together`` needs to make an equal model.

    Raises:
        ArgumentError: the configuration of a layer cannot be told.
    """
    custom = _unregistered(model)
    with custom_object_scope(custom):
        parts: dict[str, Any] = {
            "custom": custom,
            "name": model.name,  # which a class of its own need not have in its configuration
            "model": serialize(model),
            "inputs": describe_inputs(model),
            "weights": _arrays(named_weights(model)) if model.built else {},
            "states": _arrays(_named_states(model)),
            "history": getattr(model.history, "history", None) and (model.history.history, model.history.epoch),
        }
        if model.compiled:
            parts["optimizer"] = serialize(model.optimizer)
            built = model.optimizer is not None and model.optimizer.built
            parts["slots"] = [v.numpy() for v in model.optimizer.variables] if built else None
            arguments = model._compile_arguments or {}
            try:
                parts["compile"] = serialize(arguments)
            except LaminaError:  # something without a configuration is copied as it is
                parts["compile_as_is"] = arguments
    return parts


def put_together(parts: dict[str, Any]) -> Any:
    """The model that ``take_apart`` described."""
    with custom_object_scope(parts["custom"]):
        model = deserialize(parts["model"])
        model.name = parts["name"]
        build_again(model, parts["inputs"])
        for name, variable in named_weights(model).items():
            if name in parts["weights"]:
                variable.assign(parts["weights"][name])
        for name, variable in _named_states(model).items():
            variable.assign(parts["states"][name])
        if "optimizer" in parts:
            arguments = parts.get("compile_as_is") or {k: deserialize(v) for k, v in parts["compile"].items()}
            model.compile(deserialize(parts["optimizer"]), **arguments)
            if parts["slots"] is not None:
                model.optimizer.build(model.trainable_variables)
                for variable, array in zip(model.optimizer.variables, parts["slots"], strict=True):
                    variable.assign(array)
    if parts["history"] is not None:
        from lamina.training.history import History

        model.history = History()
        model.history.model = model
        model.history.history, model.history.epoch = parts["history"]
    return model


def _unregistered(model: Model) -> dict[str, Any]:
    """Classes and functions of the user's own in the model, by name; a pickle refers to them by their module."""
    found: dict[str, Any] = {}

    def consider(item: Any) -> None:
        if not inspect.isfunction(item):
            if not hasattr(item, "get_config"):
                return
            item = item if inspect.isclass(item) else type(item)
        if registered_name(item) is None:
            found[item.__name__] = item

    for layer in model._flatten_layers():
        consider(layer)
        for value in vars(layer).values():
            consider(value)
    for value in flatten(model._compile_arguments or {})[0]:
        consider(value)
    if model.optimizer is not None:
        consider(model.optimizer)
    return found
