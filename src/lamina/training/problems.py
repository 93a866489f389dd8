"""What checks before training find, and how ``fit`` tells of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from lamina.core.errors import PreflightWarning
from lamina.core.primitive import frames_to_user


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        kind: a word for it.
        message: what was found.
        advice: what to do.
    """

    kind: str
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message} ({self.advice})"


def warn_of(problems: Iterable[Problem], told: set[str]) -> None:
    """Warn of each, at the user's line, unless one of its kind was told before.

    Args:
        problems: what was found.
        told: kinds that were; those that are told now are added.
    """
    for problem in problems:
        if problem.kind not in told:
            told.add(problem.kind)
            advice = problem.advice[:1].upper() + problem.advice[1:]
            end = "" if advice.endswith((".", "?")) else "."
            text = f"{problem.message} {advice}{end} [{problem.kind}; fit(preflight=False) does not look]"
            warnings.warn(text, PreflightWarning, stacklevel=frames_to_user())
