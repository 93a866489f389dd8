"""The order of the rows in each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lamina import random


def shuffled_orders(rows: int, batch: int, how: Any) -> Iterator[np.ndarray]:
    """A new order of the rows for each epoch, without end.

    The first takes one seed from ``lamina.random``'s default generator; the others go on from there.

    Args:
        rows: number of rows.
        batch: rows in a batch.
        how: True to mix rows, ``"batch"`` to mix whole batches and leave their rows together.

    Yields:
        int64 ``(rows,)``.
    """
    generator = np.random.Generator(np.random.Philox(key=random.make_seed()))
    whole = rows // batch
    while True:
        if how != "batch":
            yield generator.permutation(rows)
        else:
            mixed = (generator.permutation(whole)[:, None] * batch + np.arange(batch)).ravel()
            yield np.concatenate([mixed, np.arange(whole * batch, rows)])
