"""Lines for the person who waits, printed or logged where nobody looks at the output; and hints at misspelt names."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

LOGGER = logging.getLogger("lamina")


class _Settings:
    interactive = True


def set_interactive(value: bool) -> None:
    """Whether ``say`` prints; otherwise it logs."""
    _Settings.interactive = value


def is_interactive() -> bool:
    """Whether ``say`` prints."""
    return _Settings.interactive


def say(message: str) -> None:
    """Print a line, or log it with the level INFO of the logger ``lamina``."""
    if _Settings.interactive:
        print(message, flush=True)  # noqa: T201
    else:
        LOGGER.info(message)


def did_you_mean(name: Any, known: Iterable[Any]) -> str:
    """`` Did you mean 'relu'?`` if the name is like a known one, else nothing: to be put behind a sentence.

    Example:
        >>> did_you_mean("rellu", ["gelu", "relu"])
        " Did you mean 'relu'?"
    """
    from difflib import get_close_matches  # here, as only errors need it

    near = get_close_matches(str(name), [str(each) for each in known], 1)
    return f" Did you mean {near[0]!r}?" if near else ""
