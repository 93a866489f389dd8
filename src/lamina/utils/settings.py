"""``Config``: names and values, read and written as attributes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lamina.core.errors import ArgumentError


class Config:
    """A dict whose entries are attributes too, and which can be frozen.

    Args:
        kwargs: the entries.

    Example:
        >>> config = Config(layers=2)
        >>> config.units = 64
        >>> config.as_dict()
        {'layers': 2, 'units': 64}
    """

    def __init__(self, **kwargs: Any) -> None:
        object.__setattr__(self, "_entries", dict(kwargs))
        object.__setattr__(self, "_frozen", False)

    def _check(self) -> None:
        if self._frozen:
            raise ArgumentError("Cannot mutate the config: it is frozen. Call unfreeze() before.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._entries:
            names = ", ".join(vars(self).get("_entries", ()))
            raise AttributeError(f"Unknown attribute: {name!r}. There are: {names}.")
        return self._entries[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        self._check()
        if name not in self._entries:
            raise AttributeError(f"Unknown attribute: {name!r}.")
        del self._entries[name]

    def __getitem__(self, key: str) -> Any:
        return self._entries[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._check()
        self._entries[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Config {self._entries}>"

    def get(self, keyname: str, value: Any = None) -> Any:
        """The entry, or ``value`` if there is none."""
        return self._entries.get(keyname, value)

    def keys(self) -> Any:
        """The names."""
        return self._entries.keys()

    def values(self) -> Any:
        """The values."""
        return self._entries.values()

    def items(self) -> Any:
        """Names and values."""
        return self._entries.items()

    def pop(self, *args: Any) -> Any:
        """Take an entry away and return it."""
        self._check()
        return self._entries.pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several entries."""
        self._check()
        self._entries.update(*args, **kwargs)

    def as_dict(self) -> dict[str, Any]:
        """The entries as a dict."""
        return dict(self._entries)

    def to_json(self) -> str:
        """The entries as JSON."""
        return json.dumps(self._entries)

    def freeze(self) -> None:
        """Allow no more changes."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)
