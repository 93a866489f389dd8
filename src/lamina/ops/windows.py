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


# name -> the weights of cos(2 pi k t), with alternating signs
_COSINES = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_ALIASES = {"hanning": "hann", "rectangular": "boxcar", "ones": "boxcar", "sine": "cosine", "tuk": "tukey"}


def _shapes(n: int, t: np.ndarray) -> dict[str, np.ndarray]:
    """Windows that are no sums of cosines, for positions from 0 to 1."""
    far, edge = np.abs(2 * t - 1), np.minimum(t, 1 - t)
    return {
        "bartlett": 1 - far,
        "cosine": np.sin(np.pi * (np.arange(n) + 0.5) / max(n, 1)),
        "bohman": (1 - far) * np.cos(np.pi * far) + np.sin(np.pi * far) / np.pi,
        "tukey": np.where(edge < 0.25, 0.5 * (1 - np.cos(4 * np.pi * edge)), 1.0),
    }


def window_values(name: str, length: int, periodic: bool = False) -> np.ndarray:
    """A window by its name, float64 of shape ``(length,)``.

    Args:
        name: ``"hann"``, ``"hamming"``, ``"blackman"``, ``"blackmanharris"``, ``"nuttall"``, ``"flattop"``,
            ``"bartlett"``, ``"cosine"``, ``"bohman"``, ``"tukey"`` (half of it flat) or ``"boxcar"``.
        length: number of values.
        periodic: whether the value after the last is the first, as for a Fourier transform; else it is symmetric.

    Raises:
        ArgumentError: there is no window of this name.

    Example:
        >>> window_values("hann", 4, periodic=True).round(6).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    name = _ALIASES.get(name, name)
    n, t = _positions(name, length + 1 if periodic and length > 1 else length)
    if name in _COSINES:
        values = sum((-1) ** k * a * np.cos(2 * np.pi * k * t) for k, a in enumerate(_COSINES[name]))
    else:
        known = _shapes(n, t)
        if name not in known:
            raise ArgumentError(f"There is no window {name!r}. Use one of: {', '.join(sorted([*_COSINES, *known]))}.")
        values = known[name]
    result: np.ndarray = (np.ones(1) if n == 1 else np.asarray(values))[:length]
    return result
