"""What a person sees while a model trains: a bar in a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.messages import is_interactive, say
from lamina.training.callbacks import Logs

REFRESH = 0.1  # seconds between two pictures of the bar


class Progress:
    """Shows nothing (``verbose=0``); the base of those that show something."""

    def begin(self, title: str, steps: int) -> None:
        """An epoch of ``steps`` steps starts."""

    def due(self) -> bool:
        """Whether it is time for ``update``; asking first saves computing the logs."""
        return False

    def update(self, step: int, logs: Logs) -> None:
        """``step`` steps are done."""

    def end(self, step: int, logs: Logs) -> None:
        """The epoch is over; ``logs`` now include validation."""

    def close(self) -> None:
        """Leave the terminal as it was, also after an error."""


class Lines(Progress):
    """One line when an epoch is over, and nothing before (``verbose=2``, or no terminal)."""

    def begin(self, title: str, steps: int) -> None:
        self.title, self.steps, self.started = title, steps, time.perf_counter()

    def end(self, step: int, logs: Logs) -> None:
        elapsed = time.perf_counter() - self.started
        parts = [self.title] if self.title else []
        parts += [f"{step}/{self.steps or step}", duration(elapsed), f"{duration(elapsed / max(step, 1))}/step"]
        parts += [f"{name}: {number(value)}" for name, value in logs.items()]
        say(" - ".join(parts))


class Bar(Progress):
    """A bar that moves, drawn by rich (``verbose=1`` in a terminal)."""

    def __init__(self) -> None:
        self._live: Any = None
        self._shown = 0.0

    def begin(self, title: str, steps: int) -> None:
        self.title, self.steps, self.started = title, steps, time.perf_counter()
        self._shown = 0.0

    def due(self) -> bool:
        return time.perf_counter() - self._shown >= REFRESH

    def update(self, step: int, logs: Logs) -> None:
        if not self.due():
            return
        self._draw(step, logs, done=False)
        self._shown = time.perf_counter()

    def end(self, step: int, logs: Logs) -> None:
        self._draw(step, logs, done=True)
        self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, step: int, logs: Logs, done: bool) -> None:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            # Drawn only when told: no thread of its own takes time from the training.
            self._live = Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="crop")
            self._live.start()
        self._live.update(self._picture(step, logs, done), refresh=True)

    def _picture(self, step: int, logs: Logs, done: bool) -> Any:
        """One line, cut at the terminal's right edge."""
        from rich.text import Text

        console = self._live.console
        elapsed = time.perf_counter() - self.started
        per_step = elapsed / max(step, 1)
        steps = self.steps or (step if done else 0)  # 0: not known before the first epoch is over
        if done or not steps:
            when = duration(elapsed)
        else:
            when = f"{duration(per_step * (steps - step))} left" if step else "starting"
        width = 24 if console.width >= 100 else 12
        filled = round(width * min(step / max(steps, 1), 1.0)) if steps else 0
        mark = "━" if (console.encoding or "").lower().startswith("utf") else "="
        line = Text(no_wrap=True, overflow="ellipsis")
        if self.title:
            line.append(f"{self.title}  ", "bold")
        line.append(mark * filled, "green" if done else "cyan")
        line.append(mark * (width - filled), "bright_black")
        line.append(f"  {step:>{len(str(steps))}}/{steps}" if steps else f"  {step} steps", "cyan")
        line.append(f"  {when}", "yellow")
        if step:
            line.append(f"  {duration(per_step)}/step", "dim")
        for name, value in logs.items():
            line.append(f"  {name} ", "dim")
            line.append(number(value), "bold")
        return line


def make_progress(verbose: Any) -> Progress:
    """The way of showing progress that ``verbose`` asks for.

    Args:
        verbose: ``0`` or False for nothing, ``1`` or True for a bar, ``2`` for one line per epoch,
            ``"auto"`` for a bar.  Where standard output is no terminal, a bar becomes lines.

    Raises:
        ArgumentError: another value.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ArgumentError(f"verbose is 'auto', 0, 1 or 2, got {verbose!r}.")
    if verbose == 0:
        return Progress()
    return Bar() if verbose != 2 and is_interactive() and _is_terminal() else Lines()


def _is_terminal() -> bool:
    try:
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # replaced or closed
        return False


def duration(seconds: float) -> str:
    """A time for a person to read, in about three characters and a unit.

    Example:
        >>> [duration(t) for t in (0.0000042, 0.00031, 0.0725, 3.21, 75, 3700)]
        ['4.2us', '310us', '72ms', '3.2s', '1m15s', '1h01m']
    """
    for limit, unit, name in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms"), (60.0, 1.0, "s")):
        if seconds < limit:
            value = seconds * unit
            return f"{value:.1f}{name}" if value < 10 else f"{value:.0f}{name}"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def number(value: Any) -> str:
    """A loss or metric in few characters: four decimals, or an exponent where they would say nothing.

    Example:
        >>> number(0.12345), number(0.0000123), number(float("nan"))
        ('0.1235', '1.23e-05', 'nan')
    """
    if getattr(value, "ndim", 0):  # one number for each class or threshold
        return f"[{', '.join(number(v) for v in value.ravel())}]"
    value = float(value)
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 or value != value else f"{value:.3g}"
