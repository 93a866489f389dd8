"""How numbers are distributed."""

from __future__ import annotations

from typing import Any

import numpy as np


def histogram(values: Any, bins: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Counts of values in equal parts of their range.  NaN and infinities are left out.

    Args:
        values: of any shape.
        bins: how many parts.

    Returns:
        The edges ``(bins + 1,)`` and the counts ``(bins,)``; all zero if there are no values.

    Example:
        >>> edges, counts = histogram([0.0, 0.1, 0.9, 1.0, float("nan")], bins=2)
        >>> edges.tolist(), counts.tolist()
        ([0.0, 0.5, 1.0], [2.0, 2.0])
    """
    array = np.asarray(values).astype(np.float64).ravel()
    array = array[np.isfinite(array)]
    if array.size == 0:
        return np.zeros(bins + 1), np.zeros(bins)
    if array.min() == array.max():  # one place: its bin has a width of its own, so that it can be seen
        counts = np.zeros(bins)
        counts[min(bins - 1, bins // 2)] = array.size
        return np.linspace(array[0] - 0.5, array[0] + 0.5, bins + 1), counts
    found, edges = np.histogram(array, bins)
    return edges, found.astype(np.float64)
