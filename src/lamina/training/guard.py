"""Stops training at the step that makes NaN or infinity, says what made it, and keeps that step in a file.

Looking costs next to nothing: the loss is a number that is there anyway.  A copy of the state is kept and
renewed so seldom that it costs a two hundredth of the time; when the loss is no number, the steps since then
are run again one by one, which gives the very same bits, until the bad one is found.
"""

from __future__ import annotations

import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import LaminaError, NonFiniteError
from lamina.models.file_format import machine_memory
from lamina.training.arrays import Data
from lamina.training.checks import all_finite
from lamina.training.diagnosis import Finding, diagnose
from lamina.training.replay import changed_by_steps, run_step, write_replay

SHARE = 200  # a copy of the state may be made when this many times its cost has passed
MOST_OF_MEMORY = 8  # no copy is made of a state that takes more than this part of the machine's memory
MOST_BYTES = 64 << 20  # of batches that are kept to be run again
IN_MEMORY = 32 << 20  # a copy of a state with more bytes lies in a temporary file
RATE = 1e9  # bytes that are copied in a second, where none has been copied yet


class _Copy:
    """The values of variables at some moment: in memory, or in a temporary file without a name.

    Of a variable that holds what its initializer drew, only how to draw that again is kept: new weights and slots
    cost nothing, however large they are.

    Args:
        variables: whose values are to be kept.
    """

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables
        self._origins: list[Any] = []
        large = sum(v._data.nbytes for v in variables) > IN_MEMORY
        self._file = tempfile.TemporaryFile() if large else None  # noqa: SIM115  (closed with this object)
        self._arrays = [] if large else [np.empty(v.shape, v.dtype) for v in variables]

    def take(self) -> int:
        """Keep the values of now.

        Returns:
            Bytes of the variables that can be drawn again.
        """
        drawn, self._origins = 0, [v._origin for v in self.variables]
        if self._file is not None:
            self._file.seek(0)
        for i, variable in enumerate(self.variables):
            if self._origins[i] is not None:
                drawn += variable._data.nbytes
            elif self._file is None:
                np.copyto(self._arrays[i], variable._data)
            else:
                self._file.write(np.ascontiguousarray(variable._data).reshape(-1).view(np.uint8).data)
        return drawn

    def put_back(self) -> None:
        """Give the variables the values that were kept."""
        if self._file is not None:
            self._file.seek(0)
        for i, (variable, origin) in enumerate(zip(self.variables, self._origins, strict=True)):
            if origin is not None:
                variable.assign(origin())
            elif self._file is None:
                variable.assign(self._arrays[i])
            else:
                content = self._file.read(variable._data.nbytes)
                variable.assign(np.frombuffer(content, variable.dtype).reshape(variable.shape))


class _Steps:
    """Steps that were run since the copy was made.

    Attributes:
        step: what runs them.
        data: all samples, or those of the batch.
        inputs: the arrays that the step was given.
        start: the row at which the first batch starts, -1 where the arrays are the batch.
        end: the row after the last batch.
        batch: samples of a batch.
        ordered: whether the first array is the order of the rows.
        rate: the learning rate, which callbacks may change.
        epoch: number of the epoch.
        number: of the first step in its epoch.
    """

    __slots__ = ("step", "data", "inputs", "start", "end", "batch", "ordered", "rate", "epoch", "number")

    def __init__(self, *values: Any) -> None:
        self.step, self.data, self.inputs, self.start, self.end, self.batch, self.ordered, self.rate = values[:8]
        self.epoch, self.number = values[8:]

    @property
    def count(self) -> int:
        return 1 if self.start < 0 else (self.end - self.start) // self.batch


class Guard:
    """Watches the steps of a ``fit``.

    Args:
        model: the model.
        compiled: how it was compiled.
        folder: where to write a replay file; default a new folder for temporary files.
        custom: whether the model has a training step of its own.
    """

    def __init__(self, model: Any, compiled: Any, folder: Path | None = None, custom: bool = False) -> None:
        self.model, self.compiled, self.folder, self.custom = model, compiled, folder, custom
        self.epoch = 0
        self._copies: _Copy | None = None
        self._log: list[_Steps] = []
        self._kept = 0  # bytes of batches in the log
        self._last: _Steps | None = None
        self._settled = False  # whether all variables are there that steps need
        self._cost = self._taken = self._due = 0.0
        self._checked = True  # whether the weights were looked at after the last step
        self._look_cost, self._looked = 0.0, 0.0
        rate = getattr(compiled.optimizer, "_learning_rate", None)
        self._rate = rate if hasattr(rate, "_data") else None
        self._total = compiled.loss_tracker.total

    # --- while all is well --------------------------------------------------------------------------
    def before(self, captured: bool) -> None:
        """A step is about to run.

        Args:
            captured: whether it was captured, which makes all variables that it needs.
        """
        if self._copies is not None:
            return
        optimizer = self.compiled.optimizer
        if optimizer is not None and not optimizer.built and not self.custom:
            optimizer.build(self.model.trainable_variables)  # as the first step would
        if optimizer is None or optimizer.built:
            self._copy()
            self._settled = captured

    def after(
        self, step: Any, data: Data, inputs: Any, start: int, count: int, batch: int, ordered: bool, done: int,
        returned: Any = None,
    ) -> None:  # fmt: skip
        """Steps have run.

        Args:
            step: the step.
            data: all samples, or those of the batch.
            inputs: the arrays that it was given.
            start: the row at which the first batch started; -1 where the arrays are the batch.
            count: how many steps.
            batch: samples of each.
            ordered: whether the first array is the order of the rows.
            done: steps of the epoch before these.
            returned: what the last step returned, where the model has its own.

        Raises:
            NonFiniteError: the loss or a weight is no number.
        """
        rate = None if self._rate is None else float(self._rate._data)
        last = self._last
        if last is not None and last.inputs is inputs and last.end == start and last.rate == rate and last.step is step:
            last.end = start + count * batch
        else:
            end = start + count * batch if start >= 0 else -2
            self._last = _Steps(step, data, inputs, start, end, batch, ordered, rate, self.epoch, done)
            if self._copies is not None or not self._log:
                self._log.append(self._last)
            if start < 0:
                self._kept += sum(a.nbytes for a in inputs)
        self._checked = False
        if not self._is_finite(returned):
            self._stop()
        if time.perf_counter() > self._due:
            self._renew()
        elif self._kept > MOST_BYTES:
            if time.perf_counter() - self._taken > 10 * self._cost:
                self._renew()
            else:  # too much to keep: what comes cannot be run again until the next copy
                self._log, self._last, self._kept, self._copies = [], None, 0, None

    def _is_finite(self, returned: Any) -> bool:
        if not math.isfinite(self._total._data):
            return False
        if returned is None:
            return True
        loss = returned.get("loss") if isinstance(returned, dict) else None
        return loss is None or bool(np.isfinite(np.asarray(loss)).all())

    def _weights_are_finite(self) -> bool:
        started = time.perf_counter()
        known = self._copies.variables if self._copies is not None else self.model.trainable_variables
        found = [v for v in known if v.trainable]
        finite = all(all_finite(v._data) for v in found if dtypes.is_float(v.dtype))
        self._checked, self._looked = True, time.perf_counter()
        self._look_cost = self._looked - started
        return finite

    def epoch_begins(self, epoch: int) -> None:
        """The steps that come are those of this epoch."""
        self.epoch = epoch

    def steps_ended(self, last: bool = False) -> None:
        """The steps of an epoch are over; ``last`` if no more will come.

        Raises:
            NonFiniteError: a weight is no number.
        """
        if self._checked or not (last or time.perf_counter() - self._looked > 5 * SHARE * self._look_cost):
            return  # the loss of the next step tells too
        if not self._weights_are_finite():
            self._stop()

    def _renew(self) -> None:
        """Look at the weights, and keep the state as it is now."""
        started = time.perf_counter()
        if not self._weights_are_finite():
            self._stop()
        self._copy(started)

    def _copy(self, started: float | None = None) -> None:
        """Keep the state as it is now."""
        started = time.perf_counter() if started is None else started
        if self._copies is None or not self._settled:
            self._settled = self._copies is not None
            found = list(changed_by_steps(self.model, self.compiled))
            if sum(v._data.nbytes for v in found) > machine_memory() // MOST_OF_MEMORY:
                self._do_without()
                return
            self._copies = _Copy(found)
        try:
            drawn = self._copies.take()
        except OSError:  # the disk is full
            self._do_without()
            return
        self._log, self._last, self._kept = [], None, 0
        self._taken = time.perf_counter()
        self._cost = self._taken - started + drawn / RATE  # what the next copy will take
        self._due = self._taken + SHARE * self._cost

    def _do_without(self) -> None:
        """Keep no copy: NaN is still noticed, but the step cannot be run again."""
        self._copies, self._log, self._last, self._kept, self._due = None, [], None, 0, math.inf

    # --- when it is not -----------------------------------------------------------------------------
    def _put_back(self) -> None:
        assert self._copies is not None
        self._copies.put_back()

    def _one(self, steps: _Steps, i: int) -> Any:
        """Run one of the steps again."""
        if steps.rate is not None and self._rate is not None:
            self._rate.assign(np.asarray(steps.rate, self._rate.dtype))
        if steps.start >= 0:
            self.model._training.steps.position.assign(steps.start + i * steps.batch)
        return steps.step.run(steps.inputs, 1)

    def _search(self) -> tuple[_Steps, int] | None:
        """The first bad step since the copy."""
        for steps in self._log:
            for i in range(steps.count):
                self._total.assign(np.zeros((), self._total.dtype))
                returned = self._one(steps, i)
                if not self._is_finite(returned) or not self._weights_are_finite():
                    return steps, i
        return None

    def _stop(self) -> None:
        log = self._log
        if self._copies is None:
            raise NonFiniteError(_message(None, log[-1].epoch if log else self.epoch, None, None))
        self._put_back()
        found = self._search()
        if found is None:  # a callback has changed something that the copy does not know
            raise NonFiniteError(_message(None, log[-1].epoch if log else self.epoch, None, None))
        bad, i = found
        self._put_back()
        for steps in log:
            for k in range(i if steps is bad else steps.count):
                self._one(steps, k)
            if steps is bad:
                break
        if bad.rate is not None and self._rate is not None:
            self._rate.assign(np.asarray(bad.rate, self._rate.dtype))
        batch, rows = _batch_of(bad, i)
        finding, path = self._report(batch, bad.epoch, bad.number + i, rows)
        error = NonFiniteError(_message(finding, bad.epoch, bad.number + i, path, rows))
        error.finding, error.replay, error.epoch, error.step = finding, path, bad.epoch, bad.number + i
        error.rows = None if rows is None or finding is None else [int(rows[k]) for k in finding.samples]
        raise error

    def _report(self, batch: Data, epoch: int, number: int, rows: Any) -> tuple[Finding | None, Path | None]:
        """What made it, and the file in which the step is; the model is then as it was before the step."""
        self.compiled.reset()
        self._copy()
        step = self.model._training.steps.train(batch, batch.rows, False)
        finding = diagnose(step.python, batch.arrays(), batch.rows)
        _, after = run_step(self.model, self.compiled, batch)
        self._put_back()
        folder = self.folder or Path(tempfile.mkdtemp(prefix="lamina-"))
        path = folder / f"replay-epoch{epoch + 1}-step{number + 1}.safetensors"
        notes = {"epoch": epoch, "step": number, "rows": rows, "finding": str(finding)}
        try:
            write_replay(path, self.model, self.compiled, batch, after, notes)
        except (LaminaError, OSError):
            return finding, None
        return finding, path


def _batch_of(steps: _Steps, i: int) -> tuple[Data, np.ndarray | None]:
    """The samples of one of the steps, and their rows in the data."""
    if steps.start < 0:
        return steps.data, None
    data, start = steps.data, steps.start + i * steps.batch
    rows = np.arange(start, start + steps.batch)
    if steps.ordered:
        rows = np.asarray(steps.inputs[0])[rows]

    def take(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return [np.ascontiguousarray(a[rows]) for a in arrays]

    return replace(data, x=take(data.x), y=take(data.y), weights=take(data.weights), rows=len(rows)), rows


def _message(
    finding: Finding | None, epoch: int | None, number: int | None, path: Path | None, rows: Any = None
) -> str:
    where = f" in epoch {epoch + 1}" if epoch is not None else ""
    where += f", step {number + 1}" if number is not None else ""
    text = f"Training has stopped: the loss or a weight is NaN or infinite{where}."
    if finding is not None:
        text += f" {finding}."
        if finding.samples and rows is not None:
            word = "row" if len(finding.samples) == 1 else "rows"
            text += f" ({word} {', '.join(str(int(rows[k])) for k in finding.samples[:8])} of the data)"
    text += " The model is as it was before that step." if number is not None else ""
    if path is not None:
        text += f" To repeat the step: lamina replay {path}"
    return text + " (fit(stop_on_nan=False) trains on regardless.)"
