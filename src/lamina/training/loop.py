"""``compile``, ``fit``, ``evaluate``, ``predict`` and their one-batch forms, as functions of a model.

``lamina.models.Model`` has them as methods.  Many steps run in each compiled call: as many as take
about ``CALL_SECONDS``, so that the progress bar moves and Ctrl-C is heard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import optimizers
from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, unflatten
from lamina.training import arrays as data_arrays
from lamina.training import checks
from lamina.training.arrays import Data
from lamina.training.callbacks import CallbackList
from lamina.training.compiled import Compiled
from lamina.training.history import History
from lamina.training.interrupt import Interruptible
from lamina.training.progress import Progress, make_progress
from lamina.training.shuffle import shuffled_orders
from lamina.training.state import Training, check_model, require_compiled, training_of
from lamina.training.step import Step, prepare_in_background

CALL_SECONDS = 0.03
DEFAULT_BATCH = 32


def compile(
    model: Any,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    loss_weights: Any = None,
    metrics: Any = None,
    weighted_metrics: Any = None,
    run_eagerly: bool = False,
    steps_per_execution: int = 1,
    jit_compile: Any = "auto",
    auto_scale_loss: bool = True,
) -> None:
    """Set up a model for training.

    Args:
        model: the model.
        optimizer: name or ``Optimizer``.
        loss: name, ``Loss`` or function of ``(y_true, y_pred)``; for several outputs a list of them or a
            dict by output name; ``None`` for outputs without a loss.
        loss_weights: factors of the losses in their sum, a list or a dict by output name.
        metrics: names, ``Metric`` objects or functions, a list for one output; for several outputs a list
            of lists or a dict by output name.  ``"accuracy"`` is chosen by the loss and the shapes.
        weighted_metrics: likewise, but counting with the sample weights.
        run_eagerly: run steps op by op as plain Python, to look inside.
        steps_per_execution: how many steps run between two batch events of callbacks.
        jit_compile: accepted for Keras's sake; steps are always compiled unless ``run_eagerly``.
        auto_scale_loss: whether a model whose dtype policy is ``"mixed_float16"`` is trained with a
            ``LossScaleOptimizer`` around the optimizer; other dtypes need no scaling.

    Raises:
        ArgumentError: an unknown name, or something that is no optimizer, loss or metric.
    """
    training = training_of(model)
    if auto_scale_loss and model.dtype_policy.name == "mixed_float16":
        optimizer = optimizers.get(optimizer)
        if optimizer is not None and not isinstance(optimizer, optimizers.LossScaleOptimizer):
            optimizer = optimizers.LossScaleOptimizer(optimizer)
    training.set_compiled(
        Compiled(optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly, steps_per_execution)
    )


def fit(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: Any = 1,
) -> History:
    """Train a model on arrays.

    Args:
        model: a compiled model.
        x: inputs, an array with one row per sample, or a list or dict of them.  Used in place: float32
            and integer arrays are never copied.
        y: targets, likewise.
        batch_size: samples per step; default 32.  The last batch of an epoch may be smaller.
        epochs: number of the epoch to stop before; from ``initial_epoch`` on.
        verbose: 0 shows nothing, 1 a bar, 2 one line per epoch; ``"auto"`` is 1, and 1 is 2 where
            standard output is no terminal.
        callbacks: list of ``Callback`` objects.
        validation_split: share of the samples, from the end, that is kept for validation.
        validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after each epoch.
        shuffle: whether each epoch takes the samples in a new order, drawn from ``lamina.random``'s
            default generator.
        class_weight: weights of the classes by number.
        sample_weight: weight of each sample in the loss.
        initial_epoch: number of the first epoch, to go on counting.
        steps_per_epoch: end an epoch after this many steps.
        validation_steps: evaluate this many batches of the validation data only.
        validation_batch_size: samples per validation step; default ``batch_size``.
        validation_freq: validate every so many epochs, or a list of the epochs (from 1) after which to.

    Returns:
        The ``History``, also kept as ``model.history``.

    Raises:
        ArgumentError: an argument is out of its range, or the model is not compiled.
        DataError, ShapeError, DTypeError: the data cannot be trained on; says what and where.
        KeyboardInterrupt: on Ctrl-C, between two steps: the model keeps what it has learned and
            ``model.history`` the finished epochs.
    """
    compiled = require_compiled(model, "fit")
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    epochs = checks.check_positive("epochs", epochs, least=0)
    initial_epoch = checks.check_positive("initial_epoch", initial_epoch, least=0)
    progress = make_progress(verbose)
    data = _prepare(model, x, y, sample_weight, class_weight)
    validation = _validation(model, data, validation_split, validation_data)
    if validation_split and validation_data is None:
        data = data.slice(0, data.rows - validation.rows)  # type: ignore[union-attr]
    data = _check(model, compiled, data)
    if validation is not None:
        validation = _check(model, compiled, validation, "validation_data: " if validation_data is not None else "")
    validates = _validation_epochs(validation_freq)

    training = training_of(model)
    epoch_plan = _Plan(data.rows, batch, steps_per_epoch, "steps_per_epoch")
    history = History()
    params = {"verbose": verbose, "epochs": epochs, "steps": epoch_plan.steps}
    listeners = CallbackList([*CallbackList(callbacks, model, params).callbacks, history], model, params)
    model.history = history
    model.stop_training = False
    runner = _Runner(training, compiled, epoch_plan, data, "train", listeners, progress, shuffled=bool(shuffle))
    validate = None
    if validation is not None:
        size = batch if validation_batch_size is None else validation_batch_size
        validate = _Evaluation(training, compiled, validation, size, validation_steps, listeners, Progress())
        runner.ahead = validate.runner.steps_needed()
    orders = shuffled_orders(data.rows, batch, shuffle)
    logs: dict[str, float] = {}
    with Interruptible() as interrupt:
        try:
            listeners.tell("on_train_begin", {})
            for epoch in range(initial_epoch, epochs):
                listeners.tell("on_epoch_begin", epoch, {})
                progress.begin(f"Epoch {epoch + 1:>{len(str(epochs))}}/{epochs}", epoch_plan.steps)
                compiled.reset()
                order = next(orders) if shuffle else None
                runner.run(interrupt, order)
                logs = compiled.results()
                if validate is not None and validates(epoch + 1):
                    logs.update({f"val_{name}": value for name, value in validate.run(interrupt).items()})
                progress.end(epoch_plan.steps, logs)
                listeners.tell("on_epoch_end", epoch, logs)
                if model.stop_training:
                    break
            compiled.optimizer.finalize_variable_values(model.trainable_variables)
            listeners.tell("on_train_end", logs)
        finally:
            progress.close()
    return history


def evaluate(
    model: Any,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Any = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    callbacks: Any = None,
    return_dict: bool = False,
) -> Any:
    """Loss and metrics of a model on arrays.

    Args:
        model: a compiled model.
        x: inputs, as in ``fit``.
        y: targets, as in ``fit``.
        batch_size: samples per step; default 32.
        verbose: as in ``fit``.
        sample_weight: weight of each sample in the loss.
        steps: stop after this many batches.
        callbacks: list of ``Callback`` objects.
        return_dict: return a dict by name.

    Returns:
        The loss, or a list of the loss and the metrics, or a dict.

    Raises:
        ArgumentError, DataError, ShapeError, DTypeError: as ``fit``.
    """
    compiled = require_compiled(model, "evaluate")
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    progress = make_progress(verbose)
    data = _check(model, compiled, _prepare(model, x, y, sample_weight, None))
    listeners = CallbackList(callbacks, model, {"verbose": verbose, "epochs": 1, "steps": -(-data.rows // batch)})
    with Interruptible() as interrupt:
        logs = _Evaluation(training_of(model), compiled, data, batch, steps, listeners, progress).run(interrupt)
    return _in_form(logs, return_dict)


def predict(
    model: Any,
    x: Any,
    batch_size: int | None = None,
    verbose: Any = "auto",
    steps: int | None = None,
    callbacks: Any = None,
) -> Any:
    """Outputs of a model for arrays.

    Args:
        model: the model; it need not be compiled.
        x: inputs, as in ``fit``.
        batch_size: samples per step; default 32.
        verbose: as in ``fit``.
        steps: stop after this many batches.
        callbacks: list of ``Callback`` objects.

    Returns:
        A NumPy array with one row per sample, or a list or dict of them, as the model returns.

    Raises:
        ArgumentError, DataError, ShapeError, DTypeError: as ``fit``.
    """
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    progress = make_progress(verbose)
    data = _prepare(model, x)
    check_model(model, data)
    plan = _Plan(data.rows, batch, steps, "steps")
    listeners = CallbackList(callbacks, model, {"verbose": verbose, "epochs": 1, "steps": plan.steps})
    with Interruptible() as interrupt:
        try:
            listeners.tell("on_predict_begin", {})
            progress.begin("", plan.steps)
            result = _predict(training_of(model), plan, data, listeners, interrupt, progress)
            progress.end(plan.steps, {})
            listeners.tell("on_predict_end", {})
        finally:
            progress.close()
    return result


def train_on_batch(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    return_dict: bool = False,
) -> Any:
    """One training step on one batch.

    Metrics count this batch only: they are reset first.

    Args:
        model: a compiled model.
        x: inputs of the batch.
        y: targets of the batch.
        sample_weight: weight of each sample in the loss.
        class_weight: weights of the classes by number.
        return_dict: return a dict by name.

    Returns:
        The loss, or a list of the loss and the metrics, or a dict.

    Raises:
        ArgumentError, DataError, ShapeError, DTypeError: as ``fit``.
    """
    compiled = require_compiled(model, "train_on_batch")
    data = _check(model, compiled, _prepare(model, x, y, sample_weight, class_weight))
    compiled.reset()
    training_of(model).steps.train(data, data.rows, shuffled=False).run(data.arrays())
    return _in_form(compiled.results(), return_dict)


def test_on_batch(model: Any, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
    """Loss and metrics on one batch; metrics count this batch only.

    Args:
        model: a compiled model.
        x: inputs of the batch.
        y: targets of the batch.
        sample_weight: weight of each sample in the loss.
        return_dict: return a dict by name.

    Returns:
        The loss, or a list of the loss and the metrics, or a dict.

    Raises:
        ArgumentError, DataError, ShapeError, DTypeError: as ``fit``.
    """
    compiled = require_compiled(model, "test_on_batch")
    data = _check(model, compiled, _prepare(model, x, y, sample_weight, None))
    compiled.reset()
    training_of(model).steps.test(data, data.rows).run(data.arrays())
    return _in_form(compiled.results(), return_dict)


test_on_batch.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would collect


def predict_on_batch(model: Any, x: Any) -> Any:
    """Outputs of a model for one batch, in one step.

    Args:
        model: the model.
        x: inputs of the batch.

    Returns:
        A NumPy array, or a list or dict of them, as the model returns.

    Raises:
        DataError, ShapeError, DTypeError: as ``fit``.
    """
    data = _prepare(model, x)
    check_model(model, data)
    outputs, structure = flatten(training_of(model).steps.predict(data, data.rows).run(data.x))
    return unflatten(structure, [o.numpy() for o in outputs])


# --- the data -------------------------------------------------------------------------------------
def _prepare(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, where: str = ""
) -> Data:
    dtype = training_of(model).float_dtype
    single = len(getattr(model, "inputs", None) or [None]) == 1
    return data_arrays.prepare(x, y, sample_weight, class_weight, dtype=dtype, single_input=single, where=where)


def _check(model: Any, compiled: Compiled, data: Data, where: str = "") -> Data:
    """Everything that can be known to be wrong before the first step."""
    predictions, names = check_model(model, data)
    if not data.y and any(item is not None for item in flatten(compiled.loss)[0]):
        raise ArgumentError(f"{where}y is missing: the model was compiled with a loss, which compares outputs with y.")
    compiled.output_names = names
    data = compiled.place(data, where)
    compiled.bind(predictions, data)
    compiled.check_predictions(predictions)
    return compiled.check_data(data, predictions, where)


def _validation(model: Any, data: Data, split: Any, given: Any) -> Data | None:
    """The data to validate on: what was given, or the end of the training data."""
    if given is not None:
        if not isinstance(given, list | tuple) or len(given) not in (2, 3):
            raise ArgumentError("validation_data is (x, y) or (x, y, sample_weight).")
        weight = given[2] if len(given) == 3 else None
        return _prepare(model, given[0], given[1], weight, where="validation_data: ")
    if not split and not isinstance(split, bool) and split is not None:
        return None
    return data.slice(checks.check_validation_split(split, data.rows), data.rows)


def _validation_epochs(frequency: Any) -> Callable[[int], bool]:
    if isinstance(frequency, list | tuple | set | range):
        return lambda epoch: epoch in frequency
    every = checks.check_positive("validation_freq", frequency)
    return lambda epoch: epoch % every == 0


def _in_form(logs: dict[str, float], return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


# --- running steps ----------------------------------------------------------------------------------
class _Plan:
    """How many whole batches an epoch has, and how large the batch after them is."""

    def __init__(self, rows: int, batch: int, limit: int | None, what: str) -> None:
        self.batch = min(batch, rows)
        self.full, self.rest = divmod(rows, self.batch)
        if limit is not None:
            limit = checks.check_positive(what, limit)
            if limit > self.steps:
                raise ArgumentError(
                    f"{what}={limit} and the data has {self.steps} batches of {batch} ({rows} rows). "
                    "Ask for at most that many."
                )
            if limit <= self.full:
                self.full, self.rest = limit, 0

    @property
    def steps(self) -> int:
        return self.full + (self.rest > 0)


class _Runner:
    """Runs the steps of epochs, many in each compiled call, and tells what happens."""

    def __init__(
        self,
        training: Training,
        compiled: Compiled,
        plan: _Plan,
        data: Data,
        kind: str,
        listeners: CallbackList,
        progress: Progress,
        shuffled: bool = False,
    ) -> None:
        self.training, self.compiled, self.plan, self.data = training, compiled, plan, data
        self.kind, self.listeners, self.progress, self.shuffled = kind, listeners, progress, shuffled
        self.batches = listeners.wants_batches(kind)
        self.whole = self._step(plan.batch)
        self.tail = self._step(plan.rest) if plan.rest else None
        self.ahead: list[tuple[Step, Sequence[np.ndarray]]] = []  # what will be needed after these steps
        self._at_once = 1  # steps in the next call

    def _step(self, batch: int) -> Step:
        steps = self.training.steps
        if self.kind == "train":
            return steps.train(self.data, batch, self.shuffled)
        return steps.test(self.data, batch)

    def run(self, interrupt: Interruptible, order: np.ndarray | None = None) -> None:
        """Run one epoch."""
        inputs = self.data.arrays() if order is None else [order, *self.data.arrays()]
        self.training.steps.position.assign(0)
        self.whole.wait()
        self.whole.prepare(inputs)
        later, self.ahead = self.ahead, []
        if self.tail is not None and not self.tail.is_prepared(inputs):
            later.insert(0, (self.tail, inputs))
        # What layers add to the loss is kept in the layers, where two captures at a time would mix it up.
        if later and not self.training.model.losses:
            prepare_in_background(later)
        done = 0
        while done < self.plan.full:
            count = min(self._count(), self.plan.full - done)
            self._call(self.whole, inputs, done, count, interrupt)
            done += count
        if self.tail is not None:
            self._call(self.tail, inputs, done, 1, interrupt)

    def steps_needed(self) -> list[tuple[Step, Sequence[np.ndarray]]]:
        """The steps of an unshuffled run, with the arrays they will get."""
        return [(step, self.data.arrays()) for step in (self.whole, self.tail) if step is not None]

    def _count(self) -> int:
        return self.compiled.steps_per_execution if self.batches else self._at_once

    def _call(self, step: Step, inputs: Sequence[np.ndarray], done: int, count: int, interrupt: Interruptible) -> None:
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_begin", done, {})
        started = time.perf_counter()
        step.run(inputs, count)
        elapsed = time.perf_counter() - started
        if step is self.whole:  # grow step by step: the first measurements are the least certain
            fitting = int(CALL_SECONDS / max(elapsed / count, 1e-9))
            self._at_once = max(1, min(fitting, 8 * count))
        interrupt.check()
        done += count
        if self.batches:
            self.listeners.tell(f"on_{self.kind}_batch_end", done - 1, self.compiled.results())
        if self.progress.due():
            self.progress.update(done, self.compiled.results())


class _Evaluation:
    """Passes over data that change nothing but the metrics."""

    def __init__(
        self,
        training: Training,
        compiled: Compiled,
        data: Data,
        batch_size: Any,
        steps: int | None,
        listeners: CallbackList,
        progress: Progress,
    ) -> None:
        self.plan = _Plan(data.rows, checks.check_positive("batch_size", batch_size), steps, "steps")
        self.runner = _Runner(training, compiled, self.plan, data, "test", listeners, progress)

    def run(self, interrupt: Interruptible) -> dict[str, float]:
        """One pass; returns loss and metrics."""
        runner = self.runner
        try:
            runner.listeners.tell("on_test_begin", {})
            runner.progress.begin("", self.plan.steps)
            runner.compiled.reset()
            runner.run(interrupt)
            logs = runner.compiled.results()
            runner.progress.end(self.plan.steps, logs)
            runner.listeners.tell("on_test_end", logs)
        finally:
            runner.progress.close()
        return logs


def _predict(
    training: Training, plan: _Plan, data: Data, listeners: CallbackList, interrupt: Interruptible, progress: Progress
) -> Any:
    """Run the steps of ``predict``, each writing its rows of the results."""
    whole, batches = training.steps.predict(data, plan.batch), listeners.wants_batches("predict")
    tail = training.steps.predict(data, plan.rest) if plan.rest else whole
    rows = plan.full * plan.batch + plan.rest
    results: list[np.ndarray] = []
    structure: Any = None
    for i, start in enumerate(range(0, rows, plan.batch)):
        stop = min(start + plan.batch, rows)
        if batches:
            listeners.tell("on_predict_batch_begin", i, {})
        step = whole if stop - start == plan.batch else tail
        tree = step.run([a[start:stop] for a in data.x])
        if i == 0 and plan.rest:
            prepare_in_background([(tail, [a[rows - plan.rest : rows] for a in data.x])])
        outputs, structure = flatten(tree)
        for k, output in enumerate(outputs):
            if len(results) <= k:
                results.append(_result_like(output, stop - start, rows))
            results[k][start:stop] = np.asarray(output)
        interrupt.check()
        if batches:
            listeners.tell("on_predict_batch_end", i, {"outputs": unflatten(structure, [o.numpy() for o in outputs])})
        if progress.due():
            progress.update(i + 1, {})
    return unflatten(structure, results)


def _result_like(output: Any, batch: int, rows: int) -> np.ndarray:
    if not output.shape or output.shape[0] != batch:
        raise ArgumentError(
            f"predict joins outputs by rows, and for {batch} rows the model returned shape {output.shape}. "
            "Call the model itself, or use predict_on_batch."
        )
    return np.empty((rows, *output.shape[1:]), output.dtype)
