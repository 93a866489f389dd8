"""What is known of the layer calls in progress in this thread."""

from __future__ import annotations

import threading
from typing import Any

from lamina.core.errors import LaminaError


class CallContextError(LaminaError, RuntimeError):
    """An argument that is to travel inwards was registered too late."""


class _Calls(threading.local):
    depth = 0
    training: Any = None  # what the calls around this one decided
    inferring = False  # whether sizes may be stand-ins
    context: Any = None  # values of further arguments that travel inwards, by name
    cache: Any = None  # what the layers keep of the steps before, while a sequence is read piece by piece


calls = _Calls()
