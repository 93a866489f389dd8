"""``History``: the loss and metrics of every epoch, which ``fit`` returns."""

from __future__ import annotations

from typing import Any

from lamina.core.errors import FileFormatError
from lamina.training.callbacks import Callback, Logs


class History(Callback):
    """What happened in training.

    Attributes:
        history: name of each loss and metric, with its values, one for each finished epoch.  Names that
            start with ``val_`` are from the validation data.
        epoch: numbers of the finished epochs, from 0.
        params: what ``fit`` was asked to do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        history, epoch = state.get("history"), state.get("epoch")
        if not isinstance(history, dict) or not all(isinstance(v, list) for v in [epoch, *history.values()]):
            raise FileFormatError("The state of the History is damaged.")
        super().load_state_dict(state)

    def __repr__(self) -> str:
        last: dict[str, Any] = {name: values[-1] for name, values in self.history.items() if values}
        shown = ", ".join(f"{name}={value:.4g}" for name, value in last.items())
        return f"History({len(self.epoch)} epochs{'; last: ' + shown if shown else ''})"
