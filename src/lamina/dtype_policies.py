"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights.

With ``lamina.config.set_dtype_policy("mixed_bfloat16")`` new layers compute in bfloat16, which takes half
the memory and, on CPUs with instructions for it, half the time of large products, and keep their
weights, which small updates must be able to change, in float32.  Losses, metrics and optimizers stay
in float32; give the last layer ``dtype="float32"`` if its outputs should be exact.

Example:
    >>> import lamina
    >>> layer = lamina.layers.Dense(2, dtype="mixed_float16")
    >>> layer(lamina.ones((1, 3))).dtype, layer.kernel.dtype
    (dtype('float16'), dtype('float32'))
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from lamina import config
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ArgumentTypeError, DTypeError

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """The dtypes of a layer's computation and of its variables.

    Args:
        name: a dtype's name (both are this dtype), ``"mixed_float16"`` or ``"mixed_bfloat16"`` (computation in
            this dtype, variables in float32); default that of ``lamina.config.dtype_policy()``.

    Raises:
        ArgumentError: there is no such policy.

    Example:
        >>> import lamina
        >>> policy = lamina.dtype_policies.DTypePolicy("mixed_float16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('float16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        if name is None:
            name = dtype_policy().name
        if not isinstance(name, str):
            raise ArgumentTypeError(f"'name' must be a string, such as 'mixed_bfloat16'. Received: name={name!r}")
        if name in MIXED:
            self._compute, self._variable = dtypes.as_dtype(MIXED[name]), dtypes.float32
        else:
            try:
                self._compute = self._variable = dtypes.as_dtype(name)
            except DTypeError:
                raise ArgumentError(
                    f"Cannot convert {name!r} into a dtype policy: there is none of that name. Use 'mixed_bfloat16', "
                    "'mixed_float16' or a dtype's name."
                ) from None
            name = self._compute.name
        self._name = name

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """Name of the dtype that layers compute in and give their outputs in."""
        return self._compute.name

    @property
    def variable_dtype(self) -> str:
        """Name of the dtype that layers keep their weights in."""
        return self._variable.name

    @property
    def quantization_mode(self) -> None:
        """Always ``None``: nothing is quantised."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A policy from what ``get_config`` returned."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self._name}">'


class FloatDTypePolicy(DTypePolicy):
    """Another name of ``DTypePolicy``."""


class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """Policies of layers by their paths.

    Given as ``dtype`` to a layer (and by it to the layers inside), it says for each the policy of its path.

    Args:
        default_policy: policy of paths that are not in the map; default ``lamina.config.dtype_policy()``.
        policy_map: policies, or their names, by path or by a regular expression that matches whole paths.

    Raises:
        ArgumentError: a path is set twice, or several expressions match one.

    Example:
        >>> import lamina
        >>> policies = lamina.dtype_policies.DTypePolicyMap("mixed_bfloat16", {"model/head/.*": "float32"})
        >>> policies["model/head/dense"].name, policies["model/body"].name
        ('float32', 'mixed_bfloat16')
    """

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if policy_map is not None and not isinstance(policy_map, dict):
            raise ArgumentTypeError(f"If specified, `policy_map` must be a dict. Received: policy_map={policy_map!r}")
        self._given = None if default_policy is None else get(default_policy)
        self._map: dict[str, DTypePolicy] = {}
        for path, policy in (policy_map or {}).items():
            self[path] = policy

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths that are not in the map."""
        return self._given or dtype_policy()

    @property
    def name(self) -> str:
        """``map_`` and the name of the default policy."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """That of the default policy."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """That of the default policy."""
        return self.default_policy.variable_dtype

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self._map:
            return self._map[path]
        matching = [key for key in self._map if re.fullmatch(key, path)]
        if len(matching) > 1:
            raise ArgumentError(f"Path {path!r} matches multiple dtype policy keys: {', '.join(map(repr, matching))}.")
        return self._map[matching[0]] if matching else self.default_policy

    def __setitem__(self, path: str, policy: Any) -> None:
        if path in self._map:
            raise ArgumentError(f"{path} already exist in the DTypePolicyMap. Delete it before it is set anew.")
        if not isinstance(policy, str | dict | DTypePolicy):
            raise ArgumentError(f"Cannot interpret the assigned value. It is a policy or its name; got {policy!r}.")
        self._map[path] = get(policy)

    def __delitem__(self, path: str) -> None:
        del self._map[path]

    def pop(self, path: str, *default: Any) -> Any:  # that of Mapping asks __getitem__, which knows every path
        """Take the policy of a path away and return it."""
        return self._map.pop(path, *default)

    def __contains__(self, path: object) -> bool:
        return path in self._map

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        mapping = [(path, policy.name) for path, policy in self._map.items()]
        return f"<DTypePolicyMap default_policy={self.default_policy.name}, mapping={mapping}>"

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = {path: policy.name for path, policy in self._map.items()}
        return {"default_policy": self._given.name if self._given is not None else None, "policy_map": names}


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none: that of ``set_dtype_policy``, else ``floatx()``."""
    return DTypePolicy(config._Settings.dtype_policy or config.floatx())


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are made from now on.

    Args:
        policy: a ``DTypePolicy``, a name or a dtype; ``None`` goes back to ``floatx()``.

    Raises:
        ArgumentError: there is no such policy.
    """
    if not (policy is None or isinstance(policy, str | dict | DTypePolicy | type) or hasattr(policy, "name")):
        raise ArgumentError(f"Invalid `policy` argument. Expected a policy, its name or a dtype. Received: {policy!r}")
    config._Settings.dtype_policy = None if policy is None else get(policy).name


def get(identifier: Any) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, or what ``serialize`` returned; ``None`` is the default one.

    Raises:
        ArgumentError: it is none of these.
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(dtypes.as_dtype(identifier).name)


def serialize(policy: DTypePolicy) -> str | dict[str, Any]:
    """A policy as plain data: its name, in the configurations of layers, too; a dict for a map."""
    if isinstance(policy, DTypePolicyMap):
        registered = "lamina.dtype_policies>DTypePolicyMap"
        return {"class_name": "DTypePolicyMap", "registered_name": registered, "config": policy.get_config()}
    return policy.name


def deserialize(config: str | dict[str, Any]) -> DTypePolicy:
    """A policy from what ``serialize`` returned, or from Keras's description of one.

    Raises:
        ArgumentError: it is no description of a policy.
    """
    if isinstance(config, str):
        return DTypePolicy(config)
    inner = config.get("config")
    if config.get("class_name") == "DTypePolicyMap" and isinstance(inner, dict):
        return DTypePolicyMap(**inner)
    if config.get("class_name") not in ("DTypePolicy", "FloatDTypePolicy") or not isinstance(inner, dict):
        raise ArgumentError(f"This describes no dtype policy: {config!r}.")
    return DTypePolicy(inner.get("name"))
