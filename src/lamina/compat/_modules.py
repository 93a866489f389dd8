"""Attributes of a module that can be imported from as if they were its submodules."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any


def as_submodules(package: str, names: Mapping[str, Any], depth: int = 2) -> None:
    """Let ``from package.name import ...`` work for every module or namespace among the names.

    Listings say ``from tensorflow.keras.layers import Dense``; the names lie in modules of other packages.
    """
    for name, value in names.items():
        ours = isinstance(value, SimpleNamespace) or (isinstance(value, ModuleType) and _is_ours(value, package))
        if not name.startswith("_") and ours:
            sys.modules.setdefault(f"{package}.{name}", value)
            if depth > 1:
                as_submodules(f"{package}.{name}", vars(value), depth - 1)


def _is_ours(module: ModuleType, package: str) -> bool:
    return module.__name__.startswith("lamina.") and not package.startswith(module.__name__)
