"""Operators on placeholders as layers, so that ``inputs * 2 + 1`` is part of a functional model."""

from __future__ import annotations

from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.layers.base import Layer
from lamina.serialization import register_serializable

FUNCTIONS = ("add", "subtract", "multiply", "divide", "pow", "matmul", "negative", "abs")


@register_serializable("lamina.layers")
class Operation(Layer):
    """Applies one of the operators to its arguments.

    Args:
        function: one of ``FUNCTIONS``.
    """

    autocast = False

    def __init__(self, function: str, **kwargs: Any) -> None:
        if function not in FUNCTIONS:
            raise ArgumentError(f"Operation takes one of {', '.join(FUNCTIONS)}; got {function!r}.")
        super().__init__(**{"name": None, **kwargs}, _name_like=function)
        self.function = function
        self.built = True

    def call(self, *operands: Any) -> Any:
        return getattr(ops, self.function)(*operands)

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function, **super().get_config()}


@register_serializable("lamina.layers")
class GetItem(Layer):
    """Indexes its input: ``inputs[:, 0]``.

    Args:
        key: an int, a slice, ``None``, ``Ellipsis``, or a tuple of these.
    """

    autocast = False

    def __init__(self, key: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = _decode(key) if isinstance(key, dict) else key
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs[self.key]

    def get_config(self) -> dict[str, Any]:
        return {"key": _encode(self.key), **super().get_config()}


def _encode(key: Any) -> dict[str, Any]:
    if isinstance(key, tuple):
        return {"tuple": [_encode(k) for k in key]}
    if isinstance(key, slice):
        return {"slice": [key.start, key.stop, key.step]}
    if key is Ellipsis:
        return {"ellipsis": True}
    return {"value": key}


def _decode(key: dict[str, Any]) -> Any:
    if "tuple" in key:
        return tuple(_decode(k) for k in key["tuple"])
    if "slice" in key:
        return slice(*key["slice"])
    return Ellipsis if "ellipsis" in key else key["value"]
