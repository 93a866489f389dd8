"""Compiled functions that are kept with a model until something in its layers is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lamina.models.trainer import Trainer

KEPT = 6  # functions for one model: as many as a notebook's cell asks for, in turn
EAGER_ROWS = 2  # so few samples are through sooner than a graph is compiled

# What belongs to training, or is written down in the first call, says nothing about what ``call`` computes.
_BESIDES = Trainer._untracked | {
    "_eager", "_initial_epoch", "stop_training", "stop_evaluating", "stop_predicting",
}  # fmt: skip


def kept_with(model: Any, key: Any, make: Callable[[], Any]) -> Any:
    """What ``make`` makes, or made for this key before, if no layer or attribute of one was replaced since.

    Compiled functions read the weights' values when they are called, so that training does not make them stale; other
    layers, activations, rates, variables do.  What a ``call`` of the user's own reads from elsewhere is seen when the
    graph is captured, as in any compiled function.

    Args:
        model: the model with which it is kept.
        key: what else ``make`` depends on.
        make: makes it.
    """
    found = _still_valid(model)
    value = found.pop(key, None)
    if value is None:
        value = make()  # which may keep something else with the model
        found = _still_valid(model)
    found[key] = value  # the last one used stands last
    for old in list(found)[:-KEPT]:
        del found[old]
    return value


def _still_valid(model: Any) -> dict[Any, Any]:
    """What is kept with the model: nothing, if a layer is another than when it was kept."""
    now = attributes_of(model)
    before, found = vars(model).get("_explained") or (None, {})
    if before is None or not same_attributes(before, now):
        found = {}
    model._explained = now, found
    return found


def attributes_of(model: Any) -> list[Any]:
    """Every layer with its attributes, the items of lists among them."""
    found: list[Any] = []
    for layer in model._flatten_layers():
        found.append(layer)
        for name, value in vars(layer).items():
            if name not in _BESIDES:
                found.append(name)
                _spread(value, found)
    return found


def _spread(value: Any, found: list[Any]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            found.append(key)
            _spread(item, found)
    elif isinstance(value, list | tuple):
        found.append(len(value))
        for item in value:
            _spread(item, found)
    else:
        found.append(value)


def same_attributes(before: list[Any], now: list[Any]) -> bool:
    """Whether they are the same objects, or equal numbers and texts."""
    return len(before) == len(now) and all(
        a is b or (type(a) is type(b) and isinstance(a, int | float | str) and a == b)
        for a, b in zip(before, now, strict=True)
    )
