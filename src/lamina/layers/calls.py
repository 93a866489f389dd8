"""What is known of the layer calls in progress in this thread."""

from __future__ import annotations

import threading
from typing import Any


class _Calls(threading.local):
    depth = 0
    training: Any = None  # what the calls around this one decided
    inferring = False  # whether sizes may be stand-ins
    context: Any = None  # values of further arguments that travel inwards, by name


calls = _Calls()
