"""The training loss as validation measures it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.trees import map_tree
from lamina.training.arrays import unpack
from lamina.training.callbacks import Callback, Logs


class TrainingLoss(Callback):
    """Measures loss and metrics after each epoch on a fixed part of the training data, in evaluation mode.

    The ``loss`` in the logs is a mean over the epoch: of a model that was still learning, with dropout, on augmented
    samples. Compared with ``val_loss`` it is too large or too small. ``train_loss``, ``train_accuracy``, ... from
    this callback are measured like ``val_loss``: with the weights at the end of the epoch and without dropout. They
    join the logs, the ``History`` and its curves. Put it before callbacks that are to see them.

    Where ``fit`` validates on arrays, ``History.evaluated`` has the like of a fixed part of the training data by
    itself, beside the logs; this callback measures without validation too, on any samples.

    Args:
        x: inputs, as given to ``fit``; ``(x, y)`` where ``y`` is not given.
        y: targets.
        samples: how many samples to take, spread evenly over the data.
        batch_size: samples per step.
        freq: measure every so many epochs.

    Raises:
        ArgumentError: there is no data, or a number is less than 1.

    Example:
        >>> import lamina
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 40)[:, None]
        >>> model = lamina.Sequential([lamina.Input((1,)), lamina.layers.Dense(8, "relu"), lamina.layers.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> history = model.fit(x, x**2, epochs=2, verbose=0, callbacks=[TrainingLoss(x, x**2, samples=20)])
        >>> sorted(history.history)
        ['loss', 'train_loss']
    """

    def __init__(self, x: Any, y: Any = None, samples: int = 1000, batch_size: int = 256, freq: int = 1) -> None:
        super().__init__()
        for name, number in (("samples", samples), ("batch_size", batch_size), ("freq", freq)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ArgumentError(f"TrainingLoss: {name} is a number, at least 1; got {number!r}.")
        if y is None:
            x, y, _ = unpack(x)
        if y is None:
            raise ArgumentError("TrainingLoss takes x and y, arrays as given to fit.")
        sizes: set[int] = set()
        map_tree(lambda a: sizes.add(len(a)), (x, y))
        if len(sizes) != 1 or sizes == {0}:
            raise ArgumentError(f"TrainingLoss: x and y have as many rows as each other; they have {sorted(sizes)}.")
        rows = sizes.pop()
        chosen = np.unique(np.linspace(0, rows - 1, min(samples, rows)).round().astype(np.int64))
        self._x, self._y = (map_tree(lambda a: np.asarray(a)[chosen], side) for side in (x, y))
        self.batch_size, self.freq = batch_size, freq

    def state_dict(self) -> dict[str, Any]:
        return {}  # the samples are given again

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None and (epoch + 1) % self.freq == 0:
            found = self.model.evaluate(self._x, self._y, self.batch_size, verbose=0, return_dict=True)
            logs.update({f"train_{name}": value for name, value in found.items()})
