"""Running the steps of epochs over arrays in memory: many in each compiled call, with callbacks told in between."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, unflatten
from lamina.training import checks
from lamina.training.arrays import Data
from lamina.training.callbacks import CallbackList
from lamina.training.compiled import Compiled, as_logs
from lamina.training.guard import Guard
from lamina.training.interrupt import Interruptible
from lamina.training.progress import Progress
from lamina.training.recorder import Recorder
from lamina.training.shuffle import ShuffledOrders
from lamina.training.state import Training
from lamina.training.step import Step, prepare_in_background

CALL_SECONDS = 0.03  # about how long one call runs, so that the progress bar moves and Ctrl-C is heard


class Passes(Protocol):
    """Something that can pass over its data, epoch by epoch."""

    steps: int | None  # steps of an epoch, None while that is not known
    done: int  # steps of the last epoch

    def run(self, interrupt: Interruptible) -> None:
        """Run one epoch."""

    def logs(self) -> dict[str, Any]:
        """Losses and metrics since they were last reset."""


class Watch(Protocol):
    """Who is told between the calls that run steps of training: checkpoints and the like."""

    def steps_left(self) -> int | None:
        """How many steps the next call may run at most."""

    def after_steps(self, count: int) -> None:
        """A call has run so many steps, and callbacks have been told."""


class Plan:
    """How many whole batches the data has, and how large the batch after them is.

    Args:
        rows: number of samples.
        batch: samples in a batch.
        limit: end an epoch after this many batches; the next goes on from there, as in Keras.
        what: name of the argument that set the limit.
    """

    def __init__(self, rows: int, batch: int, limit: int | None = None, what: str = "steps") -> None:
        self.batch = min(batch, rows)
        self.full, self.rest = divmod(rows, self.batch)
        self.batches = self.full + (self.rest > 0)
        self.what = what
        self.limit = None if limit is None else checks.check_positive(what, limit)
        self.steps = self.batches if self.limit is None else self.limit

    def at_most(self) -> int:
        """The number of steps that one pass can have."""
        return min(self.steps, self.batches)


def warn_of_missing(what: str, wanted: int, found: int) -> None:
    """Tell that an epoch ended early because there were no more batches."""
    warnings.warn(
        f"The data ran out: {what}={wanted} and there were {found} batches left. Give more data, or fewer steps.",
        stacklevel=4,
    )


class Runner:
    """Runs training or evaluation steps over arrays in memory.

    Args:
        training: the state of the model.
        compiled: how it was compiled.
        plan: batches and steps.
        data: the arrays.
        kind: ``"train"`` or ``"test"``.
        listeners: who is told.
        progress: what is shown.
        orders: the order of the rows for each pass over the data, or ``None`` to keep them as they are.
    """

    def __init__(
        self,
        training: Training,
        compiled: Compiled,
        plan: Plan,
        data: Data,
        kind: str,
        listeners: CallbackList,
        progress: Progress,
        orders: ShuffledOrders | None = None,
    ) -> None:
        self.training, self.compiled, self.plan, self.data = training, compiled, plan, data
        self.kind, self.listeners, self.progress, self.orders = kind, listeners, progress, orders
        self.batches = listeners.wants_batches(kind)
        self.custom = training.steps.is_custom(kind)
        self.steps: int | None = plan.steps
        self.done = 0
        self.ahead: list[tuple[Step, Sequence[np.ndarray]]] = []  # what will be needed after these steps
        self.watches: list[Watch] = []
        self.guard: Guard | None = None
        self.recorder: Recorder | None = None
        self._at_once = 1  # steps in the next call
        self._first = 0  # the batch with which the current epoch began
        self._resumed = False  # whether the next epoch is one that had begun
        self._seen = plan.batches  # batches of the current pass over the data that are behind us
        self._order: np.ndarray | None = None
        self._returned: Any = None  # by the last step, where the model has its own
        self._may_change = len(listeners.callbacks) > 1  # beside History there is somebody who may freeze a layer
        self._choose_steps()

    def _choose_steps(self) -> None:
        """The steps for the model as it is now: a callback that freezes a layer between two epochs gets another."""
        self.whole = self._step(self.plan.batch)
        self.tail = self._step(self.plan.rest) if self.plan.rest else None

    def _step(self, batch: int) -> Step:
        steps = self.training.steps
        if self.kind == "train":
            return steps.train(self.data, batch, self.orders is not None)
        return steps.test(self.data, batch)

    def restart(self) -> None:
        """Begin with the first batch again."""
        self._seen = self.plan.batches

    def run(self, interrupt: Interruptible) -> None:
        """Run one epoch: a whole pass, or where the steps are limited a part of one."""
        plan = self.plan
        if not self._resumed:
            if self._seen >= plan.batches or plan.limit is None:
                self._begin_pass()
            self._first = self._seen
        self._resumed = False
        first, at = self._first, self._seen
        self.training.steps.position.assign(at * plan.batch)
        last = min(first + plan.steps, plan.batches)
        if self._may_change:
            self._choose_steps()
        inputs = self._inputs()
        self._prepare(inputs, at, last)
        self.done = at - first
        if self.guard is not None:
            self.guard.before(captured=self.whole.compiled is not None)
        while at < min(last, plan.full):
            count = min(self._count(), min(last, plan.full) - at)
            self._seen = at = at + count
            if not self._call(self.whole, inputs, count, interrupt):
                break
        else:
            if self.tail is not None and plan.full <= at < last:
                self._seen = at = at + 1
                self._call(self.tail, inputs, 1, interrupt)
        if plan.limit is not None and last - first < plan.limit and at == last:
            warn_of_missing(plan.what, plan.limit, last - first)

    def _begin_pass(self) -> None:
        """Begin with the data again."""
        self._seen = 0
        self._order = next(self.orders) if self.orders is not None else None

    def _prepare(self, inputs: Sequence[np.ndarray], first: int, last: int) -> None:
        if first < self.plan.full:
            self.whole.wait()
            self.whole.prepare(inputs)
        later, self.ahead = self.ahead, []
        if self.tail is not None and last > self.plan.full and not self.tail.is_prepared(inputs):
            later.insert(0, (self.tail, inputs))
        # What layers add to the loss is kept in the layers, where two captures at a time would mix it up.
        if later and not self.custom and not self.training.model.losses:
            prepare_in_background(later)

    def _inputs(self) -> Sequence[np.ndarray]:
        return self.data.arrays() if self._order is None else [self._order, *self.data.arrays()]

    def logs(self) -> dict[str, Any]:
        """Losses and metrics so far; those that the last step returned, where the model has its own."""
        return as_logs(self._returned) if self.custom else self.compiled.results()

    # --- the state, for checkpoints -----------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Where in the data this is: plain data and arrays."""
        return {
            "rows": self.data.rows,
            "batch": self.plan.batch,
            "first": self._first,
            "seen": self._seen,
            "orders": self.orders.state() if self.orders is not None else None,
            "returned": as_logs(self._returned) if self.custom and self._returned is not None else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on there.

        Raises:
            ArgumentError: it is a place in other data, or in another order.
        """
        check_form(state, ARRAYS)
        found = {"rows": self.data.rows, "batch": self.plan.batch, "shuffle": self.orders is not None}
        wanted = {"rows": state.get("rows"), "batch": state.get("batch"), "shuffle": state.get("orders") is not None}
        if found != wanted:
            raise ArgumentError(
                f"The run that is to go on was trained with {wanted}, and now it is {found} ({self.kind}). "
                "Give the same data, batch_size and shuffle."
            )
        first, seen = int(state["first"]), int(state["seen"])
        if not 0 <= first <= seen <= self.plan.batches:
            raise ArgumentError(f"The state says batches {first} to {seen}, and there are {self.plan.batches}.")
        self._first, self._seen, self._returned = first, seen, state["returned"]
        if self.orders is not None:
            self._order = self.orders.load_state(state["orders"])

    def go_on(self) -> None:
        """Let the next ``run`` finish the epoch that had begun when the state was saved."""
        self._resumed = True

    def build(self) -> None:
        """Nothing to do: the model was built when the arrays were checked."""
        self._choose_steps()

    def prepare_steps(self) -> None:
        """Capture the steps, which makes all variables that they need."""
        inputs = self._inputs() if self.orders is None or self._order is not None else None
        if inputs is not None:
            self._prepare(inputs, 0, self.plan.batches)

    def steps_needed(self) -> list[tuple[Step, Sequence[np.ndarray]]]:
        """The steps of an unshuffled run, with the arrays they will get."""
        return [(step, self.data.arrays()) for step in (self.whole, self.tail) if step is not None]

    def _count(self) -> int:
        if self.batches:  # callbacks see where calls end, so nothing else may have a say in that
            return self.compiled.steps_per_execution
        return min([self._at_once, *(left for watch in self.watches if (left := watch.steps_left()) is not None)])

    def _call(self, step: Step, inputs: Sequence[np.ndarray], count: int, interrupt: Interruptible) -> bool:
        """Some steps in one call; returns whether to go on."""
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_begin", self.done, {})
        start, rows = (self._seen - count) * self.plan.batch, self.plan.batch
        if step is not self.whole:
            start, rows = self.plan.full * self.plan.batch, self.plan.rest
        if self.recorder is not None:
            self.recorder.before(self.data, self._order, start)
        started = time.perf_counter()
        returned = step.run(inputs, count)
        elapsed = time.perf_counter() - started
        if self.custom:
            self._returned = returned
        if self.recorder is not None:
            self.recorder.after(self.done + count - 1, count, (self._order, start, start + count * rows), returned)
        if self.guard is not None:
            ordered = self._order is not None
            self.guard.after(step, self.data, inputs, start, count, rows, ordered, self.done, self._returned)
        if step is self.whole:  # grow step by step: the first measurements are the least certain
            fitting = int(CALL_SECONDS / max(elapsed / count, 1e-9))
            self._at_once = max(1, min(fitting, 8 * count))
        interrupt.check()
        self.done += count
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_end", self.done - 1, self.logs())
        if self.progress.due():
            self.progress.update(self.done, self.logs())
        for watch in self.watches:
            watch.after_steps(count)
        return not (self.batches and wants_to_stop(self.training.model, self.kind))


ARRAYS, ROWS, BATCHES = "arrays", "a loader over arrays", "batches that come one by one"


def check_form(state: dict[str, Any], form: str) -> None:
    """Compare the form of the data in which ``state`` is a place with that of the data now.

    Raises:
        ArgumentError: they differ.
    """
    before = BATCHES if "done" in state else ROWS if "source" in state else ARRAYS
    if before != form:
        raise ArgumentError(
            f"The run that is to go on was trained on {before}, and now it is given {form}. "
            "Give the same data in the same form, or name another folder."
        )


def wants_to_stop(model: Any, kind: str) -> bool:
    """Whether a callback asked to end this epoch, evaluation or prediction now."""
    name = {"train": "stop_training", "test": "stop_evaluating", "predict": "stop_predicting"}[kind]
    return bool(getattr(model, name, False))


class Evaluation:
    """Passes over data that change nothing but the metrics."""

    def __init__(self, runner: Passes, model: Any, compiled: Compiled, listeners: CallbackList, progress: Progress):
        self.runner, self.model, self.compiled = runner, model, compiled
        self.listeners, self.progress = listeners, progress

    def run(self, interrupt: Interruptible) -> dict[str, Any]:
        """One pass; returns loss and metrics."""
        runner = self.runner
        self.model.stop_evaluating = False
        try:
            self.listeners.tell("on_test_begin", {})
            self.progress.begin("", runner.steps or 0)
            self.compiled.reset()
            if isinstance(runner, Runner):
                runner.restart()
            runner.run(interrupt)
            logs = runner.logs()
            self.progress.end(runner.done, logs)
            self.listeners.tell("on_test_end", logs)
        finally:
            self.progress.close()
        return logs


def predict_arrays(
    training: Training, plan: Plan, data: Data, listeners: CallbackList, interrupt: Interruptible, progress: Progress
) -> Any:
    """Run the steps of ``predict``, each writing its rows of the results."""
    whole, batches = training.steps.predict(data, plan.batch), listeners.wants_batches("predict")
    tail = training.steps.predict(data, plan.rest) if plan.rest else whole
    rows = min(plan.at_most() * plan.batch, data.rows)
    results: list[Any] = []  # arrays of all rows; of what has other rows than the batch, a list of the steps' arrays
    structure: Any = None
    for i, start in enumerate(range(0, rows, plan.batch)):
        stop = min(start + plan.batch, rows)
        if batches:
            listeners.tell("on_predict_batch_begin", i, {})
        step = whole if stop - start == plan.batch else tail
        tree = step.run(data.x if stop - start == data.rows else [a[start:stop] for a in data.x])
        if i == 0 and rows % plan.batch:
            prepare_in_background([(tail, [a[rows - plan.rest : rows] for a in data.x])])
        outputs, structure = flatten(tree)
        for k, output in enumerate(outputs):
            if len(results) <= k:
                results.append(_result_like(output, stop - start, rows))
            elif type(results[k]) is not list and output.shape[:1] != (stop - start,):
                results[k] = [results[k][:start]]  # it was the batch's size by accident
            if type(results[k]) is list:
                results[k].append(np.array(output))
            else:
                results[k][start:stop] = np.asarray(output)
        interrupt.check()
        if batches:
            listeners.tell("on_predict_batch_end", i, {"outputs": unflatten(structure, [o.numpy() for o in outputs])})
        if progress.due():
            progress.update(i + 1, {})
        if batches and wants_to_stop(training.model, "predict"):
            results = [r if type(r) is list else r[:stop] for r in results]
            break
    if plan.limit is not None and plan.limit > plan.batches:
        warn_of_missing(plan.what, plan.limit, plan.batches)
    return unflatten(structure, [np.concatenate(r) if type(r) is list else r for r in results])


def _result_like(output: Any, batch: int, rows: int) -> Any:
    """What the steps' outputs go to: an array for all rows, or a list, if there are not as many as in the batch."""
    if not output.shape:
        raise ArgumentError(
            f"predict joins outputs by their first axis, and for {batch} rows the model returned shape (). "
            "Call the model itself, or use predict_on_batch."
        )
    if output.shape[0] != batch:
        return []
    return np.empty((rows, *output.shape[1:]), output.dtype)
