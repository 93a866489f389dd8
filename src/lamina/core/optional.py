"""Optional dependencies: imported where they are used, with an error that names the extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from lamina.core.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module`` or say which extra of Lamina installs it.

    Args:
        module: dotted name of the module to import.
        extra: the extra of the ``lamina`` distribution that brings it.
        purpose: what it is needed for, a phrase that follows "needed for".

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"The package {module.split('.')[0]!r} is needed for {purpose} and is not installed. "
            f"Install it with: pip install 'lamina[{extra}]'"
        ) from error
