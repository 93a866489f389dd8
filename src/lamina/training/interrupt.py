"""Ctrl-C between two steps rather than in the middle of one."""

from __future__ import annotations

import _signal  # what ``signal`` calls: that makes enumerations of the numbers, which takes 20 µs a block
import threading
from types import FrameType
from typing import Any


class Interruptible:
    """Holds back Ctrl-C inside a ``with`` block until ``check`` is called.

    A step assigns many variables; interrupted in the middle, weights and optimizer state would no
    longer belong together.  A second Ctrl-C is not held back.  Where the program has a handler of its
    own, or in another than the main thread, nothing is changed.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._before: Any = None

    def __enter__(self) -> Interruptible:
        if (
            threading.current_thread() is threading.main_thread()
            and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
        ):
            self._before = _signal.signal(_signal.SIGINT, self._remember)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._before is not None:
            _signal.signal(_signal.SIGINT, self._before)
            self._before = None
        if exc[0] is None:
            self.check()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if Ctrl-C was pressed since the block began."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt
