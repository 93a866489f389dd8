"""The order of the rows in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lamina import random


class ShuffledOrders:
    """A new order of the rows for each epoch, without end.

    The first takes one seed from ``lamina.random``'s default generator; the others go on from there.

    Args:
        rows: number of rows.
        batch: rows in a batch.
        how: True to mix rows, ``"batch"`` to mix whole batches and leave their rows together.

    Example:
        >>> sorted(next(ShuffledOrders(4, 2, True)).tolist())
        [0, 1, 2, 3]
    """

    def __init__(self, rows: int, batch: int, how: Any) -> None:
        self.rows, self.batch, self.how = rows, batch, how
        self._generator = np.random.Generator(np.random.Philox(key=random.make_seed()))
        self._before: Mapping[str, Any] | None = None  # the generator before the last order was drawn

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        self._before = self._generator.bit_generator.state
        if self.how != "batch":
            return self._generator.permutation(self.rows)
        whole = self.rows // self.batch
        mixed = (self._generator.permutation(whole)[:, None] * self.batch + np.arange(self.batch)).ravel()
        return np.concatenate([mixed, np.arange(whole * self.batch, self.rows)])

    def state(self) -> dict[str, Any]:
        """What ``load_state`` needs."""
        return {"next": self._generator.bit_generator.state, "last": self._before}

    def load_state(self, state: dict[str, Any]) -> np.ndarray | None:
        """Go on from there; returns the order that was drawn last."""
        last = None
        if state["last"] is not None:
            self._generator.bit_generator.state = state["last"]
            last = next(self)
        self._generator.bit_generator.state = state["next"]
        return last
