"""``Recorder``: a file that says of every step of a run what went in and what came out, to be held against another.

A line of JSON for each step, appended; the reader is ``lamina.training.why_different``.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import replace
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

from lamina.core.disk import folder_of
from lamina.core.errors import ArgumentError
from lamina.random import default_generator
from lamina.training.arrays import Data
from lamina.training.checks import check_positive
from lamina.training.record_header import (
    SMALL_MODEL,
    Names,
    by_layer,
    checksum,
    describe,
    generators,
    probe,
    random_checksum,
    short,
)
from lamina.training.state import training_of

FORMAT = 1
NAME = "record.jsonl"
SMALL = 4096  # elements of a weight that is summed up after every step
FIRST = 4  # steps after which every weight is summed up
LINES = 20_000  # steps from which on every second is left out; from twice as many on, every fourth has a line, ...
SECONDS = 1.0  # after which lines are written


class Recorder:
    """Writes what ``lamina why-different`` needs to say where two runs part, and why.

    Give it to ``fit(record=...)``; a folder alone stands for ``Recorder(folder)``.  The file begins with checksums of
    the data, the seed, configurations and sources, versions and threads.  Each step has a line: its rows, the random
    state, the sum of the losses, and for each layer a checksum of its small weights (biases and the like, which no
    difference in a gradient leaves alone); every so many steps of all its weights.

    Args:
        folder: the folder; its file is ``record.jsonl``.
        every: after how many steps all weights are summed up.

    Raises:
        ArgumentError: ``every`` is less than 1.

    Example:
        >>> import tempfile
        >>> import lamina
        >>> from lamina.training import why_different
        >>> x = np.linspace(-1, 1, 40)[:, None]
        >>> def run(folder, seed):
        ...     lamina.random.seed(seed)
        ...     model = lamina.Sequential([lamina.Input((1,)), lamina.layers.Dense(1, name="line")])
        ...     model.compile("sgd", "mse")
        ...     model.fit(x, 2 * x, verbose=0, record=folder)
        ...     return folder
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(why_different(run(f"{folder}/a", 1), run(f"{folder}/b", 2)).cause)
        seed
    """

    def __init__(self, folder: str | PathLike[str], every: int = 20) -> None:
        if not isinstance(folder, str | PathLike) or not str(folder):
            raise ArgumentError(f"record is a folder or a lamina.training.Recorder, got {folder!r}.")
        self.folder, self.every = folder_of("record", folder), check_positive("every", every)
        self.path = self.folder / NAME
        self.seconds = 0.0  # that recording took
        self.epoch = 0
        self._file: BinaryIO | None = None
        self._lines: list[str] = []
        self._written = 0.0
        self._number = 0  # steps since the beginning
        self._batch, self._mark = 0, ""  # of the steps since the last line
        self._model: Any = None
        self._compiled: Any = None
        self._steps: int | None = None
        self._state = ""
        self._settings: tuple[dict[str, Any], Data | None, Data | None] = {}, None, None
        self._layers: list[list[Any]] | None = None

    # --- called by fit --------------------------------------------------------------------------------
    def called(self) -> None:
        """``fit`` was called, and has drawn no random number yet."""
        self._state = short(random_checksum([default_generator()]))

    def begin(
        self,
        model: Any,
        compiled: Any,
        data: Data | None,
        held_back: Data | None,
        settings: dict[str, Any],
        steps: int | None,
        resume: bool,
    ) -> None:
        """A run begins, or goes on.

        Args:
            model: the model.
            compiled: how it was compiled.
            data: the training data, ``None`` where batches come one after the other.
            held_back: the validation data, where they are arrays.
            settings: arguments of ``fit``.
            steps: of an epoch, where that is known.
            resume: whether the run goes on that the file is of.

        Raises:
            ArgumentError: the folder holds the record of another run.
            OSError: the folder cannot be made.
        """
        if self.path.exists() and not resume and self._file is None:
            raise ArgumentError(
                f"{self.path} is the record of an earlier run. Give another folder, remove it, or go on with that run: "
                "resume=True."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._model, self._compiled, self._steps, self._batch = model, compiled, steps, 0
        self._settings = settings, data, held_back
        self._layers = None

    def _start(self) -> None:
        """Write the header, once the model and the optimizer have their variables."""
        settings, data, held_back = self._settings
        if self._file is None:
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  (closed by end)
            if self._file.tell():
                self._file.write(b"\n")  # after a line that was cut short
        groups = by_layer(self._model, Names(self._model))
        self._layers = list(groups.values())
        self._small = [[v for v in group if v.size <= SMALL] for group in self._layers]
        self._generators = generators(self._model)
        header = describe(self._model, self._compiled, data, held_back, settings, self._state)
        self._add({"record": FORMAT, "header": header, "names": list(groups)})
        self._flush()

    def before(self, data: Data, order: np.ndarray | None, start: int) -> None:
        """A step is about to run.

        Args:
            data: all samples, or those of the batch.
            order: the order of the rows, if they are mixed.
            start: the row at which the batch starts, -1 where the data are the batch.
        """
        if self._layers is not None:
            return
        started = time.perf_counter()
        optimizer = self._compiled.optimizer
        custom = training_of(self._model).steps.is_custom("train")
        if optimizer is not None and not optimizer.built and not custom:
            optimizer.build(self._model.trainable_variables)  # as the first step would
        self._start()
        work = sum(v.size for v in self._model.weights) * sum(a[0].size for a in data.x)
        rows = np.arange(max(0, start), min(data.rows, max(0, start) + (4 if work <= SMALL_MODEL else 1)))
        rows = rows if order is None else np.asarray(order)[rows]
        part = replace(
            data,
            x=[np.ascontiguousarray(a[rows]) for a in data.x],
            y=[np.ascontiguousarray(a[rows]) for a in data.y],
            weights=[np.ascontiguousarray(a[rows]) for a in data.weights],
            rows=len(rows),
        )
        step = training_of(self._model).steps.train(part, part.rows, False)
        self._add({"probe": probe(step.python, part.arrays(), Names(self._model))})
        self.seconds += time.perf_counter() - started

    def after(self, number: int, count: int, rows: Any, returned: Any) -> None:
        """Steps have run.

        Args:
            number: of the last of them in its epoch.
            count: how many.
            rows: the order of the rows in the data and the places in it, or the arrays of the batch.
            returned: what the last step returned, where the model has its own.
        """
        started = time.perf_counter()
        steps = self._steps  # known: then a run that goes on counts as if it had not stopped
        self._number = self.epoch * steps + number + 1 if steps else self._number + count
        if isinstance(rows, tuple):
            order, start, end = rows
            rows = [np.arange(start, end) if order is None else np.asarray(order)[start:end]]
            self._mark = "#"
        for array in rows:
            self._batch = checksum(array, self._batch)
        if self._number % self._apart():
            return
        full = self._number <= FIRST or self._number % self.every == 0
        groups = (self._layers if full else self._small) or []
        sums = [short(_sum(group)) if group else "-" for group in groups]
        batch, self._batch = self._mark + short(self._batch), 0
        self._add(
            [
                self.epoch, number, self._loss(returned), batch, short(random_checksum(self._generators)),
                int(full), " ".join(sums),
            ]
        )  # fmt: skip
        if time.perf_counter() - self._written > SECONDS:
            self._flush()
        self.seconds += time.perf_counter() - started

    def _loss(self, returned: Any) -> str:
        value = self._compiled.loss_tracker.total._data
        if isinstance(returned, dict) and "loss" in returned:
            value = np.asarray(returned["loss"]).reshape(-1)[:1].sum()
        return float(value).hex()

    def epoch_begins(self, epoch: int) -> None:
        """The steps that come are those of this epoch."""
        self.epoch = epoch

    def steps_left(self) -> int:
        """How many steps may run until the next that has a line."""
        apart = self._apart()
        return apart - self._number % apart

    def _apart(self) -> int:
        """Of how many steps one has a line."""
        apart = 1
        while self._number >= LINES * apart:
            apart *= 2
        return apart

    def after_steps(self, count: int) -> None:
        """Nothing more: ``after`` was told."""

    def end(self, finished: bool) -> None:
        """The run is over."""
        if self._file is not None:
            self._add({"end": "finished" if finished else "broken off"})
            self._flush()
        if self._file is not None:
            self._file.close()
        self._file = None

    # --- the file -------------------------------------------------------------------------------------
    def _add(self, item: Any) -> None:
        self._lines.append(json.dumps(item, separators=(",", ":"), allow_nan=False))

    def _flush(self) -> None:
        lines, self._lines, self._written = self._lines, [], time.perf_counter()
        if self._file is None or not lines:
            return
        try:
            self._file.write(("\n".join(lines) + "\n").encode())
        except OSError as error:
            warnings.warn(f"{self.path} could not be written: {error}. Training goes on without it.", stacklevel=2)
            self._file.close()
            self._file = None


def _sum(variables: list[Any]) -> int:
    total = 0
    for variable in variables:
        total = checksum(variable._data, total)
    return total
