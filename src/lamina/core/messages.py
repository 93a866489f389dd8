"""Lines for the person who waits: printed, or logged where nobody looks at the output."""

from __future__ import annotations

import logging

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
