"""Window functions of signal processing, of constant size and symmetric."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError


def _positions(name: str, size: Any) -> tuple[int, np.ndarray]:
    """The size as an int, and its positions from 0 to 1."""
    n = int(size)
    if n < 0:
        raise ArgumentError(f"{name}: the size is not negative; got {n}.")
    return n, np.arange(n) / max(n - 1, 1)


def _window(values: np.ndarray, n: int) -> Any:
    return ops.as_tensor((np.ones(1) if n == 1 else values).astype(np.float32))


def bartlett(size: int) -> Any:
    """The triangular window ``1 - |2 t - 1|`` for ``t`` from 0 to 1.

    Example:
        >>> import lamina
        >>> lamina.bartlett(3).tolist()
        [0.0, 1.0, 0.0]
    """
    n, t = _positions("bartlett", size)
    return _window(1 - np.abs(2 * t - 1), n)


def hanning(size: int) -> Any:
    """The window of Hann: ``0.5 - 0.5 cos(2 pi t)``."""
    n, t = _positions("hanning", size)
    return _window(0.5 - 0.5 * np.cos(2 * math.pi * t), n)


def hamming(size: int) -> Any:
    """The window of Hamming: ``0.54 - 0.46 cos(2 pi t)``."""
    n, t = _positions("hamming", size)
    return _window(0.54 - 0.46 * np.cos(2 * math.pi * t), n)


def blackman(size: int) -> Any:
    """The window of Blackman: ``0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t)``."""
    n, t = _positions("blackman", size)
    return _window(0.42 - 0.5 * np.cos(2 * math.pi * t) + 0.08 * np.cos(4 * math.pi * t), n)


def kaiser(size: int, beta: float) -> Any:
    """The window of Kaiser: ``i0(beta sqrt(1 - (2 t - 1)**2)) / i0(beta)``."""
    n, t = _positions("kaiser", size)
    inside = float(beta) * np.sqrt(np.maximum(0.0, 1 - (2 * t - 1) ** 2))
    return _window(np.i0(inside) / np.i0(float(beta)), n)
