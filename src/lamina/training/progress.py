"""What a person sees while a model trains: a bar in a terminal or a notebook, one line per epoch elsewhere."""

from __future__ import annotations

import html
import os
import sys
import time
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.messages import is_interactive, say
from lamina.training.callbacks import Logs

REFRESH = 0.1  # seconds between two pictures of the bar
STYLES = {  # of rich, as a notebook has them; colours that can be read on white and on black
    "bold": "font-weight:bold",
    "dim": "opacity:0.65",
    "green": "color:#1a9850",
    "cyan": "color:#2b83ba",
    "bright_black": "opacity:0.2",
    "yellow": "color:#b8860b",
}


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

    def _paper(self) -> tuple[int, str]:
        """Characters of a line, and the encoding."""
        return self._live.console.width, self._live.console.encoding or ""

    def _picture(self, step: int, logs: Logs, done: bool) -> Any:
        """One line, cut at the terminal's right edge."""
        from rich.text import Text

        wide, encoding = self._paper()
        elapsed = time.perf_counter() - self.started
        per_step = elapsed / max(step, 1)
        steps = self.steps or (step if done else 0)  # 0: not known before the first epoch is over
        if done or not steps:
            when = duration(elapsed)
        else:
            when = f"{duration(per_step * (steps - step))} left" if step else "starting"
        width = 24 if wide >= 100 else 12
        filled = round(width * min(step / max(steps, 1), 1.0)) if steps else 0
        mark = "━" if encoding.lower().startswith("utf") else "="
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


class NotebookBar(Bar):
    """The same bar in a notebook: one line for each epoch, which is drawn anew in its place."""

    def _paper(self) -> tuple[int, str]:
        return 100, "utf-8"

    def close(self) -> None:
        self._live = None  # the next epoch has a line of its own

    def _draw(self, step: int, logs: Logs, done: bool) -> None:
        line = _Line(self._picture(step, logs, done))
        if self._live is None:
            self._live = sys.modules["IPython"].display.display(line, display_id=True)
        else:
            self._live.update(line)


class _Line:
    """A line that a notebook shows."""

    def __init__(self, text: Any) -> None:
        self.text = text

    def __repr__(self) -> str:
        return str(self.text.plain)

    def _repr_html_(self) -> str:
        parts, plain = [], self.text.plain
        for span in self.text.spans:  # they follow one another and cover all
            part = html.escape(plain[span.start : span.end])
            parts.append(f'<span style="{STYLES.get(span.style, "")}">{part}</span>')
        return f'<pre style="margin:0;white-space:pre;overflow-x:auto">{"".join(parts)}</pre>'


def make_progress(verbose: Any) -> Progress:
    """The way of showing progress that ``verbose`` asks for.

    Args:
        verbose: ``0`` or False for nothing, ``1`` or True for a bar, ``2`` for one line per epoch,
            ``"auto"`` for a bar.  Where standard output is neither a terminal nor a notebook, a bar becomes lines.

    Raises:
        ArgumentError: another value.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ArgumentError(f"verbose is 'auto', 0, 1 or 2, got {verbose!r}.")
    if verbose == 0:
        return Progress()
    if verbose == 2 or not is_interactive():
        return Lines()
    return NotebookBar() if _is_notebook() else Bar() if _is_terminal() else Lines()


def _is_notebook() -> bool:
    """Whether the program runs in the kernel of a notebook and writes to it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel") and type(sys.stdout).__module__.startswith("ipykernel")


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
