"""How weights and gradients are distributed, epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.inspection.distributions import histogram
from lamina.inspection.layers import weight_gradients
from lamina.training.arrays import unpack
from lamina.training.callbacks import Callback, Logs


class Histograms(Callback):
    """Keeps histograms of the weights, and of the gradients on some samples, while a model is trained.

    ``plot`` draws them, and a notebook shows them.  What becomes broader, narrower or empty from epoch to epoch shows
    weights that explode, gradients that vanish, and layers that do not learn.

    Args:
        samples: a batch ``(x, y)``, on which gradients of the loss are taken; without it only weights are kept.
        freq: every how many epochs.
        bins: parts of the range of each weight.
        names: paths of weights to keep, such as ``"dense/kernel"``; default all.

    Attributes:
        weights: by path: ``(epoch, edges, counts)`` for each time, epochs counted from 0; -1 is before training.
        gradients: likewise.

    Raises:
        ArgumentError: a number is less than 1, or there is no such weight.

    Example:
        >>> import lamina
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 20)[:, None]
        >>> line = lamina.layers.Dense(1, name="line")
        >>> model = lamina.Sequential([lamina.Input((1,)), line], name="m")
        >>> model.compile("sgd", "mse")
        >>> watch = Histograms(samples=(x, 2 * x))
        >>> history = model.fit(x, 2 * x, epochs=2, verbose=0, callbacks=[watch])
        >>> [(name, [epoch for epoch, _, _ in rows]) for name, rows in watch.gradients.items()]
        [('m/line/kernel', [-1, 0, 1]), ('m/line/bias', [-1, 0, 1])]
    """

    def __init__(self, samples: Any = None, freq: int = 1, bins: int = 40, names: Sequence[str] | None = None) -> None:
        super().__init__()
        for name, number in (("freq", freq), ("bins", bins)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ArgumentError(f"Histograms: {name} is a number, at least 1; got {number!r}.")
        if samples is not None and unpack(samples)[1] is None:
            raise ArgumentError("Histograms: samples are (x, y); gradients are those of a loss, which needs y.")
        self.samples, self.freq, self.bins, self.names = samples, freq, bins, names
        self.weights: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}
        self.gradients: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {}

    def state_dict(self) -> dict[str, Any]:
        return {
            kind: {name: [[int(epoch), edges, counts] for epoch, edges, counts in rows] for name, rows in kept.items()}
            for kind, kept in (("weights", self.weights), ("gradients", self.gradients))
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for kind in ("weights", "gradients"):
            rows = {
                name: [(int(e), np.asarray(a), np.asarray(c)) for e, a, c in kept] for name, kept in state[kind].items()
            }
            setattr(self, kind, rows)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.names is not None:
            known = [weight.path for weight in self.model.weights]
            unknown = [name for name in self.names if name not in known]
            if unknown:
                raise ArgumentError(f"Histograms: there is no weight {unknown[0]!r}; there are: {', '.join(known)}.")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.weights:  # what training begins with, or goes on with, is what the epoch before has left
            self._keep(epoch - 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if (epoch + 1) % self.freq == 0:
            self._keep(epoch)

    def _keep(self, epoch: int) -> None:
        self._add(self.weights, epoch, {weight.path: weight for weight in self.model.weights})
        if self.samples is not None:
            self._add(self.gradients, epoch, weight_gradients(self.model, *unpack(self.samples)))

    def _add(self, kept: dict[str, Any], epoch: int, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if self.names is None or name in self.names:
                kept.setdefault(name, []).append((epoch, *histogram(np.asarray(value), self.bins)))

    def plot(
        self, path: str | os.PathLike[str] | None = None, kind: str = "weights", names: Sequence[str] | None = None
    ) -> Any:
        """Draw the histograms over the epochs.  See ``lamina.plotting.plot_histograms``."""
        from lamina.plotting import plot_histograms

        return plot_histograms(self, path, kind, names)

    def _repr_html_(self) -> str:
        if not self.weights:
            return "<p>Histograms of no epochs: train first.</p>"
        return "".join(self.plot(kind=kind)._repr_html_() for kind in ("weights", "gradients") if getattr(self, kind))
