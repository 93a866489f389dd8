"""Functions on placeholders as layers, so that ``inputs * 2 + 1`` is part of a functional model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from lamina import activations, ops
from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.core.trees import flatten
from lamina.layers.base import Layer
from lamina.layers.symbolic import SymbolicTensor, infer_outputs
from lamina.serialization import register_serializable

# Functions besides those of lamina.ops, by the names under which models are saved.
_REGISTERED: dict[str, Callable[..., Any]] = {}
# How the outputs of some of them are found on placeholders: given the usual way, the arguments and the keywords.
_OUTPUTS: dict[str, Callable[..., Any]] = {}


def function_named(name: str) -> Callable[..., Any]:
    """The function of ``lamina.ops``, or the registered one, of this name.

    Raises:
        ArgumentError: there is none.
    """
    if name.startswith("lamina.activations."):
        return activations.get(name.rpartition(".")[2])
    found = _REGISTERED.get(name)
    if found is None and not name.startswith("_"):
        found = getattr(ops, name, None)
    if not callable(found):
        names = [*_REGISTERED, *(n for n, f in vars(ops).items() if callable(f))]
        hint = did_you_mean(name, names)
        if name.startswith("keras."):
            hint += " Import lamina.compat.keras before a model that uses its functions is loaded."
        if name.startswith("lamina."):
            hint += f" Import {name.rpartition('.')[0]} before a model that uses it is loaded."
        raise ArgumentError(f"Operation takes the name of a function of lamina.ops; got {name!r}.{hint}")
    return found


def on_placeholders(
    function: Callable[..., Any], name: str, outputs: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """The function, which, given placeholders among its arguments, becomes a layer of the functional model.

    Args:
        function: takes and returns tensors, in lists, tuples and dicts too.
        name: unique name, under which models are saved.
        outputs: ``outputs(infer, args, kwargs)`` gives the placeholders of the result, where ``infer(args, kwargs)``
            finds them by tracing; default that.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for leaf in flatten((args, kwargs))[0]:
            if type(leaf) is SymbolicTensor:
                return Operation(name)(*args, **kwargs)
        return function(*args, **kwargs)

    _REGISTERED[name] = function
    if outputs is not None:
        _OUTPUTS[name] = outputs
    return call


@register_serializable("lamina.layers")
class Operation(Layer):
    """Applies a function to its arguments.

    Args:
        function: the name of a function of ``lamina.ops``, or of a registered one.
    """

    autocast = False

    def __init__(self, function: str, **kwargs: Any) -> None:
        self._function = function_named(function)
        super().__init__(**{"name": None, **kwargs}, _name_like=function.rpartition(".")[2])
        self.function = function
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def _trace_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        def infer(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return infer_outputs(self._function, args, kwargs, self.name, guess=True)

        rule = _OUTPUTS.get(self.function)
        return infer(args, kwargs) if rule is None else rule(infer, args, kwargs)

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
