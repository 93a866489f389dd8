"""Objects to plain data and back, through an explicit registry.

A configuration is JSON: ``{"class_name": ..., "registered_name": ..., "config": {...}}``.  Only
what is registered can be made from it; no name is ever looked up by importing it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from lamina.core.errors import ArgumentError

T = TypeVar("T")

_REGISTRY: dict[str, Any] = {}
_NAMES: dict[int, str] = {}  # id of a registered object -> its registered name
_scopes: list[dict[str, Any]] = []


def register_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A class or function decorator that lets saved models contain the object.

    Args:
        package: a prefix that keeps names of different projects apart.
        name: name in saved files; default the object's own.

    Raises:
        ArgumentError: a class without ``get_config``.

    Example:
        >>> import lamina
        >>> @lamina.register_serializable("my_project")
        ... def double(x):
        ...     return 2 * x
        >>> lamina.serialization.serialize(double)["registered_name"]
        'my_project>double'
    """

    def register(item: T) -> T:
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise ArgumentError(
                f"{item.__name__} cannot be registered: a class that is saved needs a get_config() method "
                "that returns its constructor's arguments as a dictionary."
            )
        own = getattr(item, "__name__", "")
        key = f"{package}>{name or own}"
        _REGISTRY[key] = item
        _NAMES[id(item)] = key
        return item

    return register


@contextmanager
def custom_object_scope(custom_objects: dict[str, Any]) -> Iterator[None]:
    """Inside the ``with`` block these objects, by name, can be deserialized too."""
    _scopes.append(dict(custom_objects))
    try:
        yield
    finally:
        _scopes.pop()


def registered_name(item: Any) -> str | None:
    """The name under which a class or function was registered, or ``None``."""
    key = _NAMES.get(id(item))
    return key if key is not None and _REGISTRY.get(key) is item else None


def serialize(item: Any) -> Any:
    """Plain data from which ``deserialize`` makes an equal object.

    Args:
        item: ``None``, a number, a string, a list, a tuple or a dict of such; an object of a registered
            class with ``get_config``; or a registered function.

    Raises:
        ArgumentError: the object's class, or the function, is not registered.
    """
    if item is None or isinstance(item, bool | int | float | str):
        return item
    if isinstance(item, np.generic):
        return item.item()
    if isinstance(item, np.dtype):
        return item.name
    if isinstance(item, list | tuple):
        return [serialize(x) for x in item]
    if isinstance(item, dict):
        return {k: serialize(v) for k, v in item.items()}
    if inspect.isfunction(item) or inspect.isbuiltin(item):
        return {
            "class_name": "function",
            "registered_name": _name_or_scoped(item, item.__name__),
            "config": item.__name__,
        }
    cls = type(item)
    if not hasattr(item, "get_config"):
        raise ArgumentError(f"A {cls.__name__} cannot be saved: it has no get_config() method.")
    return {
        "class_name": cls.__name__,
        "registered_name": _name_or_scoped(cls, cls.__name__),
        "config": item.get_config(),
    }


def _name_or_scoped(item: Any, own: str) -> str:
    name = registered_name(item)
    if name is not None:
        return name
    for scope in reversed(_scopes):
        for key, value in scope.items():
            if value is item:
                return key
    what = "function" if not inspect.isclass(item) else "class"
    raise ArgumentError(
        f"The {what} {own!r} cannot be saved: it is not registered. "
        "Put @lamina.register_serializable() above its definition, so that a loader can find it."
    )


def builtin_name(expected: str, class_name: str) -> str:
    """The name under which one of Lamina's own classes is registered: the expected one, or else by the class's name."""
    if expected in _REGISTRY:
        return expected
    found = [key for key in _REGISTRY if key.startswith("lamina") and key.endswith(f">{class_name}")]
    return found[0] if found else expected


def is_serialized(config: Any) -> bool:
    """Whether this dictionary is what ``serialize`` makes of an object."""
    return isinstance(config, dict) and "class_name" in config and "config" in config


def lookup(name: str, custom_objects: dict[str, Any] | None = None, class_name: str | None = None) -> Any:
    """The class or function registered under this name.

    Raises:
        ArgumentError: nothing is registered under it.
    """
    for scope in ([custom_objects] if custom_objects else []) + _scopes[::-1]:
        for key in (name, class_name, name.split(">")[-1]):
            if key is not None and key in scope:
                return scope[key]
    if name in _REGISTRY:
        return _REGISTRY[name]
    raise ArgumentError(
        f"{name!r} is not a registered class or function. Put @lamina.register_serializable() above its "
        f"definition and import that module before loading, or pass custom_objects={{{(class_name or name)!r}: ...}}."
    )


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The object that ``serialize`` described.

    Args:
        config: what ``serialize`` returned.  Plain values come back as they are.
        custom_objects: more classes and functions by name, beside the registered ones.

    Raises:
        ArgumentError: the class or function is not registered.
    """
    if isinstance(config, list):
        return [deserialize(x, custom_objects) for x in config]
    if not isinstance(config, dict):
        return config
    if not is_serialized(config):
        return {k: deserialize(v, custom_objects) for k, v in config.items()}
    class_name = str(config["class_name"])
    name = config.get("registered_name") or class_name
    found = lookup(name, custom_objects, str(config["config"]) if class_name == "function" else class_name)
    if class_name == "function":
        return found
    with custom_object_scope(custom_objects or {}):
        return found.from_config(config["config"]) if hasattr(found, "from_config") else found(**config["config"])


class Named:
    """A table of built-in objects that can be asked for by name.

    Args:
        kind: what the table holds, for messages: ``"initializer"``.
        package: their package in the registry.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self.table: dict[str, Any] = {}

    def add(self, item: Any, *names: str) -> Any:
        """Register a class or function, findable by its own name and by ``names``."""
        register_serializable(self.package)(item)
        for name in (item.__name__, *names):
            self.table[name] = item
        return item

    def make(self, config: dict[str, Any]) -> Any:
        """An object from a configuration; one without a registered name is looked up in this table."""
        if config.get("registered_name") or config["class_name"] == "function":
            return deserialize(config)
        return self.find(str(config["class_name"])).from_config(config["config"])

    def resolve(self, identifier: Any) -> Any:
        """What a name, a class or a configuration stands for; anything else is handed back as it is."""
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif is_serialized(identifier):
            identifier = self.make(identifier)
        return identifier() if inspect.isclass(identifier) else identifier

    def find(self, name: str) -> Any:
        """The object of this name.

        Raises:
            ArgumentError: there is none; the message lists those there are.
        """
        if name in self.table:
            return self.table[name]
        for scope in reversed(_scopes):
            if name in scope:
                return scope[name]
        for key, item in _REGISTRY.items():
            if key == name or (not key.startswith("lamina.") and key.split(">")[-1] == name):
                return item
        known = sorted({k for k in self.table if k == k.lower()} or self.table)
        raise ArgumentError(f"There is no {self.kind} named {name!r}. Use one of: {', '.join(known)}.")
