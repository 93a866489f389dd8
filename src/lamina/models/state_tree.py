"""The state of a model as nested dicts by path: ``{"trainable_variables": {"dense": {"kernel": ...}}, ...}``."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.tensor import Variable

PARTS = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")


def get_state_tree(model: Any, value_format: str = "backend_tensor") -> dict[str, Any]:
    """See ``Model.get_state_tree``."""
    if value_format not in ("backend_tensor", "numpy_array"):
        raise ArgumentError(f"value_format is 'backend_tensor' or 'numpy_array', got {value_format!r}.")
    tree: dict[str, Any] = {}
    for part in PARTS:
        tree[part] = {}
        for path, variable in _by_path(model, part).items():
            *folders, name = path.split("/")
            place = tree[part]
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = variable.numpy() if value_format == "numpy_array" else variable.value
    return tree


def set_state_tree(model: Any, state_tree: dict[str, Any]) -> None:
    """See ``Model.set_state_tree``."""
    for part, values in state_tree.items():
        if part not in PARTS:
            raise ArgumentError(f"Unknown part of a state tree: {part!r}. Its parts: {', '.join(PARTS)}.")
        variables = _by_path(model, part)
        for path, value in _flat(values, ""):
            if path not in variables:
                known = ", ".join(list(variables)[:8]) or "none"
                raise ArgumentError(f"Unknown variable name: {path!r}. The {part} of {model.name!r}: {known}.")
            variables[path].assign(np.asarray(value, variables[path].dtype))


def _by_path(model: Any, part: str) -> dict[str, Variable]:
    """The variables of one part.

    Raises:
        ArgumentError: two have the same path.
    """
    if part == "optimizer_variables":
        variables = model.optimizer.variables if model.optimizer is not None else []
    else:
        variables = getattr(model, part)
    found: dict[str, Variable] = {}
    for variable in variables:
        if variable.path in found:
            raise ArgumentError(
                f"The following variable path is found twice in the model: {variable.path!r}. "
                "Give the layers that own them names of their own."
            )
        found[variable.path] = variable
    return found


def _flat(tree: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(path, tree)]
    return [pair for key, value in tree.items() for pair in _flat(value, f"{path}/{key}" if path else str(key))]
