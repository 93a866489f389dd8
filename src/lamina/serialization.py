"""Objects to plain data and back, through an explicit registry.

A configuration is JSON: ``{"class_name": ..., "registered_name": ..., "config": {...}}``.  Only
what is registered, or is given by name when it is read, can be made from it; no name is ever looked up by
importing it.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, LaminaError
from lamina.core.messages import did_you_mean

T = TypeVar("T")


class ConfigTypeError(LaminaError, TypeError):
    """A configuration that is no dict, or no list, where one is to be."""


_REGISTRY: dict[str, Any] = {}  # what is in Lamina
_CUSTOM: dict[str, Any] = {}  # what its users registered
_NAMES: dict[int, str] = {}  # id of a registered object -> its registered name
_scopes: list[dict[str, Any]] = []


def register_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A class or function decorator that lets saved models contain the object.

    Args:
        package: a prefix that keeps names of different projects apart.
        name: name in saved files; default the object's own.

    Raises:
        ArgumentError: a class without ``get_config``.

    Warns:
        UserWarning: another class or function has this name already; from here on the name means this one.

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
                f"Cannot register a class that does not have a get_config() method: {item.__name__} needs one "
                "that returns its constructor's arguments as a dictionary."
            )
        own = getattr(item, "__name__", "")
        key = f"{package}>{name or own}"
        table = _REGISTRY if package.split(".")[0] == "lamina" else _CUSTOM
        _warn_if_taken(key, table.get(key), item)
        table[key] = item
        _NAMES[id(item)] = key
        return item

    return register


def _place(item: Any) -> str:
    return f"{getattr(item, '__module__', None)}.{getattr(item, '__qualname__', repr(item))}"


def _warn_if_taken(key: str, before: Any, item: Any) -> None:
    """Warn of a name that two different definitions are registered under; one that is run again is the same."""
    if before is not None and before is not item and _place(before) != _place(item):
        warnings.warn(
            f"{_place(item)} takes the name {key!r} from {_place(before)}: what was saved with that one will be loaded "
            "with this one. Give them packages of their own: @lamina.register_serializable('my_project').",
            stacklevel=3,
        )


class CustomObjectScope:
    """Inside the ``with`` block these classes and functions, by name, can be deserialized too.

    Args:
        custom_objects: the objects by their names.

    Example:
        >>> import lamina
        >>> with CustomObjectScope({"double": lambda x: 2 * x}):
        ...     lamina.activations.get("double")(3)
        6
    """

    def __init__(self, custom_objects: dict[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})

    def __enter__(self) -> CustomObjectScope:
        _scopes.append(self.custom_objects)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _scopes.pop()


custom_object_scope = CustomObjectScope


def get_custom_objects() -> dict[str, Any]:
    """The dict of custom classes and functions by name, to look at or to add to.

    ``register_serializable`` adds to it.

    Example:
        >>> import lamina
        >>> get_custom_objects()["halve"] = lambda x: x / 2
        >>> lamina.activations.get("halve")(6)
        3.0
        >>> del get_custom_objects()["halve"]
    """
    return _CUSTOM


def get_registered_name(item: Any) -> str:
    """The name under which a class or function is saved: that of its registration, else its own."""
    return registered_name(item) or str(item.__name__)


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """The class or function of this name, ``None`` if there is none.

    Args:
        name: the name of its registration.
        custom_objects: more objects by name, looked through before the registered ones.
        module_objects: more objects by name, looked through last.
    """
    for table in (*_scopes[::-1], _CUSTOM, _REGISTRY, custom_objects or {}, module_objects or {}):
        if name in table:
            return table[name]
    return None


def registered_name(item: Any) -> str | None:
    """The name under which a class or function was registered, or ``None``."""
    key = _NAMES.get(id(item))
    return key if key is not None and (_REGISTRY.get(key) is item or _CUSTOM.get(key) is item) else None


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
    if isinstance(item, bytes | slice | np.ndarray) or item is Ellipsis or hasattr(item, "__dlpack__"):
        return _serialize_value(item)
    if inspect.isfunction(item) or inspect.isbuiltin(item):
        return {"class_name": "function", "registered_name": _name_or_scoped(item), "config": item.__name__}
    cls = type(item)
    if not hasattr(item, "get_config"):
        raise ArgumentError(f"A {cls.__name__} cannot be saved: it has no get_config() method.")
    return {"class_name": cls.__name__, "registered_name": _name_or_scoped(cls), "config": item.get_config()}


_SLICE = ("start", "stop", "step")
_VALUES = {f"__{n}__" for n in ("bytes", "slice", "ellipsis", "tuple", "numpy", "tensor", "typespec", "lambda")}


def _serialize_value(item: Any) -> dict[str, Any]:
    """Values that JSON does not know, in Keras's form."""
    if isinstance(item, bytes):
        return {"class_name": "__bytes__", "config": {"value": item.decode("latin-1")}}
    if isinstance(item, slice):
        return {"class_name": "__slice__", "config": {k: serialize(getattr(item, k)) for k in _SLICE}}
    if item is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    kind = "__numpy__" if isinstance(item, np.ndarray) else "__tensor__"
    array = np.asarray(item)
    return {"class_name": kind, "config": {"value": array.tolist(), "dtype": array.dtype.name}}


def _deserialize_value(kind: str, config: Any) -> Any:
    """What ``_serialize_value`` described."""
    if kind == "__typespec__":
        if not isinstance(config, list | tuple):
            raise ConfigTypeError(f"Expected 'config' to be a list or a tuple; got {config!r}.")
        raise ArgumentError("A type specification of TensorFlow cannot be made: Lamina has tensors of one kind.")
    if kind == "__lambda__":
        raise ArgumentError(
            "The configuration holds the code of a lambda, and code from a file is never run. Define the function, put "
            "@lamina.register_serializable() above it, and build the model with it."
        )
    if not isinstance(config, dict):
        raise ConfigTypeError(f"Expected 'config' to be a dict; got {config!r} for {kind!r}.")
    if kind == "__bytes__":
        return str(config["value"]).encode("latin-1")
    if kind == "__slice__":
        return slice(*(deserialize(config.get(k)) for k in _SLICE))
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__tuple__":
        return tuple(deserialize(x) for x in config["value"])
    array = np.asarray(config["value"], dtypes.as_dtype(config["dtype"]))
    if kind == "__numpy__":
        return array
    from lamina.ops import as_tensor

    return as_tensor(array)


def _name_or_scoped(item: Any) -> str:
    """The name under which a class or function is saved: of one that is not registered its own."""
    name = registered_name(item)
    if name is not None:
        return name
    for scope in (*_scopes[::-1], _CUSTOM):
        for key, value in scope.items():
            if value is item:
                return key
    if item.__name__ == "<lambda>":
        raise ArgumentError(
            "The function '<lambda>' cannot be saved: it is not registered. Give it a name with def, and put "
            "@lamina.register_serializable() above it, so that a loader can find it."
        )
    return str(item.__name__)


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
    for scope in (custom_objects or {}, *_scopes[::-1], _CUSTOM):
        for key in (name, class_name, name.split(">")[-1]):
            if key is not None and key in scope:
                return scope[key]
    if name in _REGISTRY:
        return _REGISTRY[name]
    wanted = {f">{key}" for key in (name, class_name) if key}
    found = {key: item for key, item in _CUSTOM.items() if any(key.endswith(end) for end in wanted)}
    if len({id(item) for item in found.values()}) > 1:
        places = ", ".join(f"{key!r} ({_place(item)})" for key, item in found.items())
        raise ArgumentError(
            f"{name!r} is the name of several registered classes or functions: {places}. Say which one was saved: pass "
            f"custom_objects={{{(class_name or name)!r}: ...}}."
        )
    if found:  # registered after it was saved
        return next(iter(found.values()))
    hint = ""
    if class_name and any(key.startswith("lamina") and key.endswith(f">{class_name}") for key in _REGISTRY):
        hint = f" ({class_name!r} alone would have resolved to a Keras built-in.)"
    raise ArgumentError(
        f"{name!r} is not a registered class or function.{hint} Put @lamina.register_serializable() above its "
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
    if class_name in _VALUES:
        return _deserialize_value(class_name, config["config"])
    name = str(config.get("registered_name") or class_name)
    if name == "function":  # of Keras before 3.7
        name = str(config["config"])
    found = lookup(name, custom_objects, str(config["config"]) if class_name == "function" else class_name)
    if class_name == "function":
        return found
    if not isinstance(config["config"], dict):
        raise ConfigTypeError(
            f"Expected 'config' to be a dict of the arguments of {class_name}; got {config['config']!r}."
        )
    if not hasattr(found, "from_config"):
        raise ConfigTypeError(
            f"Unable to reconstruct an instance of {class_name}: what is registered as {name!r} has no "
            "from_config(config) method. Add it as a class method: return cls(**config)."
        )
    with custom_object_scope(custom_objects or {}):
        return found.from_config(config["config"])


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
        if name in _REGISTRY:
            return _REGISTRY[name]
        for key, item in _CUSTOM.items():
            if name in (key, key.split(">")[-1]):
                return item
        known = sorted({k for k in self.table if k == k.lower()} or self.table)
        hint = did_you_mean(name, known)
        raise ArgumentError(f"There is no {self.kind} named {name!r}.{hint} Use one of: {', '.join(known)}.")
