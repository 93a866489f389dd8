"""The order of the rows in an epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import random


def shuffled_rows(rows: int, batch: int, how: Any) -> np.ndarray:
    """A new order of ``rows`` rows, from ``lamina.random``'s default generator.

    Args:
        rows: number of rows.
        batch: rows in a batch.
        how: True to mix rows, ``"batch"`` to mix whole batches and leave their rows together.

    Returns:
        int64 ``(rows,)``.
    """
    generator = np.random.Generator(np.random.Philox(key=random.make_seed()))
    if how != "batch":
        return generator.permutation(rows)
    whole = rows // batch
    starts = generator.permutation(whole) * batch
    mixed = (starts[:, None] + np.arange(batch)).ravel()
    return np.concatenate([mixed, np.arange(whole * batch, rows)])
