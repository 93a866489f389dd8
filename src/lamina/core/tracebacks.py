"""Tracebacks without the frames inside Lamina: what is left is where the user's code is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_ROOT = str(Path(__file__).parent.parent)


class _Settings:
    filtering = True


def set_filtering(value: bool) -> None:
    """Whether tracebacks leave out frames inside Lamina."""
    _Settings.filtering = value


def is_filtering() -> bool:
    """Whether tracebacks leave out frames inside Lamina."""
    return _Settings.filtering


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without frames inside Lamina, but for the last, where the error was raised."""
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for i, frame in enumerate(reversed(frames)):
        if i == 0 or not frame.tb_frame.f_code.co_filename.startswith(_ROOT):
            kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def filtered(function: F) -> F:
    """A method whose errors have tracebacks without the frames inside Lamina, unless this is switched off."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not _Settings.filtering:
                raise
            error.__traceback__ = without_own_frames(error.__traceback__)
            raise

    return call  # type: ignore[return-value]
