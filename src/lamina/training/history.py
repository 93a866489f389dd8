"""``History``: the loss and metrics of every epoch, which ``fit`` returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina.core.errors import FileFormatError
from lamina.training.callbacks import Callback, Logs


class History(Callback):
    """What happened in training.

    Attributes:
        history: name of each loss and metric, with its values, one for each finished epoch.  Names that
            start with ``val_`` are from the validation data.  The others are means over the epoch, of a model that
            was still learning, with dropout and augmentation.
        evaluated: loss and metrics of a fixed part of the training data, measured beside those of the validation data
            and in the same way: with the weights at the end of the epoch, in evaluation mode.  There where the
            training and the validation data are arrays; see ``docs/training.md``.
        epoch: numbers of the finished epochs, from 0.
        params: what ``fit`` was asked to do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.evaluated: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self._part: Any = None  # what measures them, while fit runs

    @property
    def train_loss(self) -> list[float]:
        """The loss of the fixed part of the training data after each epoch that was validated."""
        return self.evaluated.get("loss", [])

    def curves(self) -> dict[str, list[float]]:
        """All series, those of ``evaluated`` under names that start with ``train_``."""
        return {**{f"train_{name}": values for name, values in self.evaluated.items()}, **self.history}

    def _measure(self) -> None:
        for name, value in (self._part.measure() if self._part is not None else {}).items():
            self.evaluated.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().state_dict().items() if name != "_part"}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        history, epoch, evaluated = state.get("history"), state.get("epoch"), state.get("evaluated", {})
        tables = [t for t in (history, evaluated) if isinstance(t, dict)]
        if len(tables) < 2 or not all(isinstance(v, list) for v in [epoch, *(v for t in tables for v in t.values())]):
            raise FileFormatError("The state of the History is damaged.")
        super().load_state_dict(state)

    # --- what it tells ------------------------------------------------------------------------------
    def overfitting_from(self, patience: int = 3, tolerance: float = 0.01) -> int | None:
        """The epoch with the least validation loss, if from it on the model overfits; else ``None``.

        It does if training went on for at least ``patience`` epochs, the validation loss then never came back to its
        least and ended more than ``tolerance`` (a share of the least) above it, while the training loss went down.

        Args:
            patience: how many epochs have to follow.
            tolerance: by which share the validation loss has to grow.

        Returns:
            The number of the epoch, counted from 0 as in ``epoch``.

        Example:
            >>> history = History()
            >>> history.history = {"loss": [3, 2, 1, 0.5, 0.2, 0.1], "val_loss": [3, 2, 1.5, 1.7, 1.9, 2.2]}
            >>> history.overfitting_from()
            2
        """
        losses, checked = self.history.get("train_loss", self.train_loss), self.history.get("val_loss", [])
        if len(losses) != len(checked):  # not measured apart: the mean over each epoch
            losses = self.history.get("loss", [])
        if len(checked) != len(losses) or not checked or not all(map(math.isfinite, [*losses, *checked])):
            return None
        best = min(range(len(checked)), key=checked.__getitem__)
        grown = checked[-1] - checked[best] > tolerance * abs(checked[best])
        if len(checked) - 1 - best < patience or not grown or losses[-1] >= losses[best]:
            return None
        return self.epoch[best] if len(self.epoch) == len(checked) else best

    def plot(self, path: Any = None, names: Sequence[str] | None = None, title: str | None = None) -> Any:
        """Draw the learning curves; needs the extra ``plot``.

        Args:
            path: file to write, ``.png``, ``.svg`` or ``.pdf``; ``None`` to write none.
            names: what to draw, for example ``["loss", "accuracy"]``; default everything.
            title: a line above the panels.

        Returns:
            The matplotlib ``Figure``, which a notebook shows.
        """
        from lamina.plotting.curves import plot_history

        return plot_history(self, path, names, title)

    def _repr_html_(self) -> str:
        """For notebooks: first, last and best values, and the learning curves where matplotlib is installed."""
        from lamina.plotting.curves import history_as_html

        return history_as_html(self)

    def __repr__(self) -> str:
        last: dict[str, Any] = {name: values[-1] for name, values in self.history.items() if values}
        shown = ", ".join(f"{name}={value:.4g}" for name, value in last.items())
        return f"History({len(self.epoch)} epochs{'; last: ' + shown if shown else ''})"
