"""Loss and metrics of a fixed part of the training data, measured as validation measures its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lamina.training.arrays import Data
from lamina.training.checkpoint_fit import carried
from lamina.training.compiled import Compiled, as_logs
from lamina.training.runner import Runner

MOST_ROWS = 1024
SHARE = 32  # one row in so many, but a batch in any case; a row costs about a third of one in training
LEAST_ROWS = 256  # where they cost next to nothing:
LITTLE_WORK = 1_000_000  # weights times values of a sample


class FixedPart:
    """Some rows of the training data, the same after every epoch.

    They go through the compiled step of validation, in arrays of the shapes that it was compiled for, so nothing
    more is compiled.  What the step writes (metrics, random state) is put back: training goes on as if nothing
    had been measured.

    Args:
        model: the model.
        compiled: how it was compiled.
        data: the training data.
        validation: what runs the steps of validation.

    Attributes:
        rows: numbers of the rows, drawn by a key that depends on nothing but the number of samples; empty where the
            step does not fit the training data.
    """

    def __init__(self, model: Any, compiled: Compiled, data: Data, validation: Runner) -> None:
        self.model, self.compiled, self.validation = model, compiled, validation
        held = validation.data
        self.batch = validation.plan.batch
        work = sum(v.size for v in model.weights) * sum(a[0].size for a in data.x)
        wanted = max(self.batch, min(MOST_ROWS, data.rows // SHARE), LEAST_ROWS if work <= LITTLE_WORK else 0)
        count = min(wanted, data.rows) // self.batch * self.batch
        self.rows = np.zeros(0, np.int64)
        self._calls: list[tuple[list[np.ndarray], int]] = []  # arrays, and the steps that are in them
        self._kept: tuple[Any, list[Any]] | None = None
        if count and _fits(data, held) and not carried(model):
            draw = np.random.Generator(np.random.Philox(key=data.rows))
            self.rows = np.sort(draw.choice(data.rows, count, replace=False))
            part = replace(data, weights=[]) if not held.weights else data
            whole = held.rows // self.batch * self.batch
            for start in range(0, count, whole):
                rows = self.rows[start : start + whole]
                self._calls.append(([_padded(a[rows], held.rows) for a in part.arrays()], len(rows) // self.batch))

    def measure(self) -> dict[str, Any]:
        """Loss and metrics of the rows with the weights as they are; nothing where it cannot be said."""
        step = self.validation.whole
        if not self._calls or step.compiled is None:  # run op by op, to be looked into: no calls more than asked for
            return {}
        if self._kept is None or self._kept[0] is not step:
            trained = {id(v) for v in self.model.trainable_variables}
            written = [v for v, _ in step.compiled.graph(*self._calls[0][0]).writes if id(v) not in trained]
            self._kept = step, [*written, self.validation.training.steps.position]
        before = [(v, np.array(v._data)) for v in self._kept[1]]
        try:
            self.compiled.reset()
            returned: Any = None
            for arrays, steps in self._calls:
                self.validation.training.steps.position.assign(0)
                returned = step.run(arrays, steps)
            return as_logs(returned) if self.validation.custom else self.compiled.results()
        finally:
            for variable, array in before:
                variable.assign(array)


def _fits(data: Data, held: Data) -> bool:
    """Whether the step that was compiled for one takes the other."""
    if (data.x_structure, data.y_structure, data.places) != (held.x_structure, held.y_structure, held.places):
        return False
    if held.weights and len(data.weights) != len(held.weights):
        return False
    ours = [*data.x, *data.y, *(data.weights if held.weights else [])]
    return all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for a, b in zip(ours, held.arrays(), strict=True))


def _padded(part: np.ndarray, rows: int) -> np.ndarray:
    """The rows at the head of a longer array; the rest is never read, and so takes no memory."""
    longer = np.empty((rows, *part.shape[1:]), part.dtype)
    longer[: len(part)] = part
    return longer
