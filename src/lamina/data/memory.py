"""Loaders and pipelines whose batches are rows of arrays in memory, as ``fit`` wants to know them.

``fit`` then hands the whole arrays and the order of the rows to the compiled step, which takes its own batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.trees import flatten


class InMemory:
    """Arrays, and in which order each pass takes their rows.

    Attributes:
        batch: the structure of a batch, with whole arrays in the place of their rows.
        batch_size: rows of a batch.
        rows: rows of a pass.
        shuffled: whether a pass has an order of its own.
        epoch: of a ``Pass`` that goes on.
    """

    def __init__(self, owner: Any, batch: Any, batch_size: int, rows: int, shuffled: bool) -> None:
        self.owner, self.batch, self.batch_size, self.rows, self.shuffled = owner, batch, batch_size, rows, shuffled
        self._pass: Pass | None = None

    def begin(self, position: Callable[[], int]) -> tuple[np.ndarray | None, int]:
        """Begin the next pass.

        Args:
            position: tells how many of its batches were had, whenever somebody asks for the owner's state.

        Returns:
            The order of the rows (``None`` for their own), and how many batches were had before.
        """
        ticket, first = self.owner._take_ticket()
        total = -(-self.rows // self.batch_size)
        self._pass = self.owner._current = Pass(ticket, position, total)
        return (self.owner._order_of(ticket) if self.shuffled else None), first

    def state(self) -> dict[str, Any]:
        """The owner's state."""
        state: dict[str, Any] = self.owner.state_dict()
        return state

    def load_state(self, state: dict[str, Any], position: Callable[[], int], is_open: bool) -> np.ndarray | None:
        """Go on there; returns the order of the pass, if one is open."""
        self.owner.load_state_dict(state)
        return self.begin(position)[0] if is_open else None


class Pass:
    """A pass that somebody else makes; stands for an iterator in the owner's state."""

    def __init__(self, ticket: Any, position: Callable[[], int], total: int) -> None:
        self.ticket, self._position, self._total = ticket, position, total

    @property
    def position(self) -> int:
        return self._position()

    @property
    def finished(self) -> bool:
        return self._position() >= self._total

    @property
    def epoch(self) -> Any:
        """The number of the epoch, of a ``DataLoader``."""
        return self.ticket

    @property
    def run(self) -> Any:
        """The random numbers, of a ``Pipeline``."""
        return self.ticket


def fits(batch: Any) -> bool:
    """Whether a batch of these arrays can be what ``fit`` takes as a whole: numbers in memory."""
    leaves = flatten(batch)[0]
    return bool(leaves) and all(
        not isinstance(leaf, np.memmap) and not isinstance(leaf.base, np.memmap) and leaf.dtype.kind in "biuf"
        for leaf in leaves
    )
