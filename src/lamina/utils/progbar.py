"""``Progbar``: a line of progress for loops of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.messages import is_interactive, say
from lamina.training.progress import duration, number


class Progbar:
    """Shows how far a loop is, and the values it has computed.

    Args:
        target: number of steps, ``None`` if it is not known.
        width: characters of the bar.
        verbose: 0 shows nothing, 1 a bar that moves, 2 one line at the end.
        interval: least number of seconds between two pictures.
        stateful_metrics: names of values to show as they are; others are averaged over the steps.
        stateless_metrics: names of values to average; others are shown as they are.  Give one of the two.
        unit_name: what a step is called.

    Raises:
        ArgumentError: both lists of names are given.

    Example:
        >>> bar = Progbar(target=2, verbose=2)
        >>> bar.add(1, [("loss", 1.0)])
        >>> bar.add(1, [("loss", 0.5)])  # doctest: +ELLIPSIS
        2/2 - ... - loss: 0.7500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("Only one of `stateful_metrics` and `stateless_metrics` can be given.")
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics = None if stateful_metrics is None else set(stateful_metrics)
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.unit_name = unit_name
        self._sums: dict[str, tuple[Any, float]] = {}  # name -> sum (or last value) and what to divide by
        self._done = 0
        self._started = time.perf_counter()
        self._shown = 0.0

    def _is_averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in (self.stateful_metrics or ())

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """``current`` steps are done.

        Args:
            current: number of steps so far.
            values: ``(name, value)`` of these steps.
            finalize: whether this is the last picture; default whether the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            array = np.asarray(value, np.float64)
            if self._is_averaged(name):
                steps = max(current - self._done, 1)
                total, count = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = total + array * steps, count + steps
            else:
                self._sums[name] = array, 1.0
        self._done = current
        now = time.perf_counter()
        if self.verbose == 1 and (finalize or now - self._shown >= self.interval):
            self._shown = now
            self._draw(finalize)
        elif self.verbose == 2 and finalize:
            say(self._text())

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """``n`` more steps are done."""
        self.update(self._done + n, values)

    def _text(self) -> str:
        elapsed = time.perf_counter() - self._started
        per_step = f"{duration(elapsed / max(self._done, 1))}/{self.unit_name}"
        done = f"{self._done}/{'Unknown' if self.target is None else self.target}"
        shown = [f"{name}: {number(total / count)}" for name, (total, count) in self._sums.items()]
        return " - ".join([done, f"{duration(elapsed)} {per_step}", *shown])

    def _draw(self, last: bool) -> None:
        filled = round(self.width * min(self._done / self.target, 1.0)) if self.target else self.width if last else 0
        line = f"{'=' * filled}{'.' * (self.width - filled)} {self._text()}"
        if not is_interactive():
            if last:
                say(line)
        elif sys.stdout.isatty():
            print(f"\r{line}\x1b[K", end="\n" if last else "", flush=True)  # noqa: T201
        else:
            say(line)
