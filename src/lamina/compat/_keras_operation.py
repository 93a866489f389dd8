"""``keras.Operation``: a function of tensors without weights, that is part of a functional model on placeholders."""

from __future__ import annotations

import inspect
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten
from lamina.layers.base import Layer
from lamina.layers.symbolic import Node, infer_outputs

_PLAIN = (str, int, float, bool, type(None))


class Operation(Layer):
    """``call`` on tensors; on placeholders, a node of the functional model.

    A subclass writes ``call``, and ``compute_output_spec`` if tracing ``call`` does not find the outputs' shapes.

    Args:
        name: name for messages and ``get_layer``; default from the class.

    Example:
        >>> from lamina.compat import keras
        >>> class Scaled(keras.Operation):
        ...     def __init__(self, by, name=None):
        ...         super().__init__(name=name)
        ...         self.by = by
        ...     def call(self, x):
        ...         return x * self.by
        >>> Scaled(2.0)(keras.Input((3,))).shape
        (None, 3)
        >>> Scaled(2.0, name="twice").get_config()
        {'by': 2.0, 'name': 'twice'}
    """

    autocast = False
    _role = "operation"

    def __init__(self, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ArgumentError(
                f"Argument `name` must be a string and cannot contain character `/`. Received: name={name!r}"
            )
        super().__init__(name=name)
        self.built = True

    def _trace_outputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return infer_outputs(self._run, args, kwargs, self.name, guess=True)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The placeholders of the result; the call becomes a node."""
        return self._call_on_placeholders(args, kwargs)

    @property
    def _inbound_nodes(self) -> list[Node]:
        return self._nodes

    def _first_node(self, what: str) -> Node:
        if not self._nodes:
            raise ArgumentError(f"Operation {self.name!r} has never been called on placeholders: it has no {what}.")
        return self._nodes[0]

    @property
    def input(self) -> Any:
        """The placeholder, or the list of them, of the first call."""
        found = self._first_node("input").inputs
        return found[0] if len(found) == 1 else found

    @property
    def output(self) -> Any:
        """The placeholder, or the list of them, that the first call returned."""
        found = self._first_node("output").outputs
        return found[0] if len(found) == 1 else found

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments with their defaults, from which ``from_config`` makes an equal operation.

        Raises:
            NotImplementedError: one of them is neither a number, a string, a bool, ``None`` nor a list or dict of
                these, or they are given as ``*args``; override the method then.
        """
        cls = type(self)
        if cls.get_config is not Operation.get_config or cls.__init__ is Operation.__init__:
            return {"name": self.name}
        signature = inspect.signature(cls.__init__)
        args, kwargs = self._init_arguments
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        own, *parameters = signature.parameters.values()
        del given[own.name]
        refused = ""
        takes_name = False
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                refused = f"*{p.name}" if given.pop(p.name) else refused
            elif p.kind is p.POSITIONAL_ONLY:
                refused = p.name
            elif p.kind is p.VAR_KEYWORD:
                given.update(given.pop(p.name))
                takes_name = True
        for key, value in given.items():
            if not all(isinstance(leaf, _PLAIN) for leaf in flatten(value)[0]):
                refused = key
        if refused:
            raise NotImplementedError(
                f"{cls.__name__} was made with {refused}, which cannot be saved by itself: "
                "override get_config() (and from_config(), if it needs more than the constructor)."
            )
        takes_name = takes_name or "name" in given
        given.pop("name", None)
        return {**given, "name": self.name} if takes_name else given

    @classmethod
    def _config_is_automatic(cls) -> bool:
        return cls.get_config is Operation.get_config

    def __repr__(self) -> str:
        return f"<Operation name={self.name}>"
