"""``compile``, ``fit``, ``evaluate``, ``predict`` and their one-batch forms, as functions of a model.

``lamina.models.Trainer`` has them as methods.  Arrays in memory go through ``runner.py``: many steps in each
compiled call.  Batches that come one after the other go through ``streams.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from lamina import config, optimizers
from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten, unflatten
from lamina.layers import Layer
from lamina.models.base import Model
from lamina.training import arrays as data_arrays
from lamina.training import checks
from lamina.training.arrays import Data, unpack
from lamina.training.callbacks import CallbackList
from lamina.training.checkpoint_fit import FitCheckpoint, FitState
from lamina.training.classes import tells_classes_apart, warn_of_missing_classes
from lamina.training.compiled import Compiled, as_logs
from lamina.training.fit_checks import look
from lamina.training.fixed_part import FixedPart
from lamina.training.guard import Guard
from lamina.training.history import History
from lamina.training.interrupt import Interruptible
from lamina.training.loaders import LoaderRunner, in_memory
from lamina.training.problems import Problem, warn_of
from lamina.training.progress import Progress, make_progress
from lamina.training.recorder import Recorder
from lamina.training.runner import Evaluation, Plan, Runner, predict_arrays
from lamina.training.shuffle import ShuffledOrders
from lamina.training.state import check_model, require_compiled, training_of
from lamina.training.streams import Batches, StreamRunner, is_stream, predict_batches
from lamina.training.traces import Call

DEFAULT_BATCH = 32


def compile(
    model: Any,
    optimizer: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    run_eagerly: bool,
    steps_per_execution: int,
    jit_compile: Any,
    auto_scale_loss: bool,
) -> None:
    """Set up a model for training; the arguments are those of ``Model.compile``."""
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
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: Any,
    callbacks: Any,
    validation_split: Any,
    validation_data: Any,
    shuffle: bool,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
    checkpoint: Any,
    resume: bool,
    stop_on_nan: bool,
    preflight: bool,
    record: Any,
) -> History:
    """Train a model; the arguments are those of ``Model.fit``."""
    compiled = require_compiled(model, "fit")
    recorder = Recorder(record) if record is not None and not isinstance(record, Recorder) else record
    if recorder is not None:
        recorder.called()
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    epochs = _limited("epochs", checks.check_positive("epochs", epochs, least=0), config.max_epochs())
    steps_per_epoch = _limited("steps_per_epoch", steps_per_epoch, config.max_steps_per_epoch())
    initial_epoch = checks.check_positive("initial_epoch", initial_epoch, least=0)
    progress = make_progress(verbose)
    validates = _validation_epochs(validation_freq)
    data: Data | None = None
    held_back: Data | None = None
    source = None
    call = Call()  # of the model on a row, in which its layers are watched
    if not preflight:
        compiled.told.add("logits")
    watched = any(getattr(c, "watches_for_nan", False) for c in CallbackList(callbacks, model, {}).callbacks)
    if is_stream(x):
        _refuse_beside_stream(x, y=y, sample_weight=sample_weight, validation_split=validation_split or None)
        source = in_memory(x)
        if source is not None:
            data = _prepare(model, *unpack(source.batch), class_weight, finite=not watched)
            data = _check(model, compiled, data, call=call)
    else:
        data = _prepare(model, x, y, sample_weight, class_weight, finite=not watched)
        if validation_data is None and (validation_split or isinstance(validation_split, bool)):
            data, held_back = _split(data, validation_split)
            if tells_classes_apart(compiled.loss):
                warn_of_missing_classes(data.y, held_back.y)
        data = _check(model, compiled, data, call=call)

    history = History()
    params: dict[str, Any] = {"verbose": verbose, "epochs": epochs, "steps": None}
    listeners = CallbackList([*CallbackList(callbacks, model, params).callbacks, history], model, params)
    model.history = history
    model.stop_training, model._initial_epoch = False, None
    training = training_of(model)
    runner: Runner | StreamRunner
    if data is None:
        prepare = _batch_preparer(model, compiled, class_weight, first=bool(preflight))
        batches = Batches(x, shuffle=bool(shuffle))
        runner = StreamRunner(
            training, compiled, batches, steps_per_epoch, "steps_per_epoch", prepare, "train", listeners, progress
        )
    elif source is not None:
        runner = LoaderRunner(training, compiled, source, data, steps_per_epoch, listeners, progress)
    else:
        plan = Plan(data.rows, batch, steps_per_epoch, "steps_per_epoch")
        orders = ShuffledOrders(data.rows, plan.batch, shuffle) if shuffle else None
        runner = Runner(training, compiled, plan, data, "train", listeners, progress, orders)
    params["steps"] = runner.steps
    validate = None
    if held_back is not None or validation_data is not None:
        size = batch if validation_batch_size is None else validation_batch_size
        if held_back is not None:
            held_back = _check(model, compiled, held_back)
        silent = Progress()
        passes = _evaluation_passes(
            model, compiled, held_back, validation_data, size, validation_steps, "validation_steps", listeners, silent
        )
        validate = Evaluation(passes, model, compiled, listeners, silent)
        if isinstance(runner, Runner) and isinstance(passes, Runner):
            runner.ahead = passes.steps_needed()
            history._part = FixedPart(model, compiled, runner.data, passes)
    held = validate.runner.data if validate is not None and isinstance(validate.runner, Runner) else None
    if data is not None and preflight and compiled.is_new(data):
        warn_of(look(model, compiled, data, call, held, shuffle, class_weight), compiled.told)
    compiled.own = model._own_metrics()
    saver = None
    if checkpoint is not None:
        state = FitState(model, compiled, runner, validate and validate.runner, listeners.callbacks)
        saver = FitCheckpoint(checkpoint, resume, state)
    elif resume:
        raise ArgumentError("resume=True needs checkpoint=, the folder of the run to go on with.")
    if stop_on_nan and not any(getattr(c, "watches_for_nan", False) for c in listeners.callbacks):
        folder = None if saver is None else saver.folder.path
        runner.guard = Guard(model, compiled, folder, training.steps.is_custom("train"))
    if recorder is not None:
        runner.recorder = recorder
        runner.watches.append(recorder)
        settings = {
            "batch_size": batch, "shuffle": shuffle, "steps_per_epoch": steps_per_epoch, "class_weight": class_weight,
            "initial_epoch": initial_epoch, "run_eagerly": compiled.run_eagerly,
            "callbacks": " ".join(type(c).__name__ for c in listeners.callbacks),
        }  # fmt: skip
        recorder.begin(model, compiled, data, held, settings, runner.steps, resume)
    span = range(initial_epoch, epochs)
    try:
        _train(model, compiled, runner, validate, validates, span, epochs, listeners, progress, saver)
        if runner.recorder is not None:
            runner.recorder.end(finished=True)
    finally:
        history._part = None
        if runner.recorder is not None:
            runner.recorder.end(finished=False)
    return history


def _limited(name: str, value: int | None, most: int | None) -> Any:
    """An argument of ``fit``, at most what ``lamina.config`` allows."""
    if most is None or (value is not None and value <= most):
        return value
    warnings.warn(f"{name} is limited to {most} by lamina.config.", stacklevel=4)
    return most


def _split(data: Data, split: Any) -> tuple[Data, Data]:
    """The samples to train on, and those held back: the last, or those that a way to split names."""
    if hasattr(split, "indices"):
        train, held = split.indices(data.rows, data.y[0] if len(data.y) == 1 else None)
        return data.take(train), data.take(held)
    at = checks.check_validation_split(split, data.rows)
    return data.slice(0, at), data.slice(at, data.rows)


def _train(
    model: Any,
    compiled: Compiled,
    runner: Runner | StreamRunner,
    validate: Evaluation | None,
    validates: Callable[[int], bool],
    epochs: range,
    last: int,
    listeners: CallbackList,
    progress: Progress,
    saver: FitCheckpoint | None,
) -> None:
    """The epochs of ``fit``."""
    logs: dict[str, Any] = {}
    in_epoch = False  # whether the epoch that comes first had begun when the state was saved
    runner.watches += [w for c in listeners.callbacks if (w := c.make_watch(runner.logs)) is not None]
    if saver is not None:
        runner.watches.append(saver)
        if saver.reopen(epochs.stop):
            saver.restore()
            return
        if saver.found is not None:
            listeners.set_params(resumed=True)
    with Interruptible() as interrupt:
        try:
            listeners.tell("on_train_begin", {})
            if model._initial_epoch is not None:  # a callback has set it
                epochs = range(model._initial_epoch, epochs.stop)
            if saver is not None and saver.found is not None:
                first, in_epoch, logs, stopped = saver.restore()
                epochs = range(first, first if stopped else epochs.stop)
            for epoch in epochs:
                for watch in (saver, runner.guard, runner.recorder):
                    if watch is not None:
                        watch.epoch_begins(epoch)
                if not in_epoch:
                    listeners.tell("on_epoch_begin", epoch, {})
                    compiled.reset()
                else:
                    runner.go_on()
                in_epoch = False
                progress.begin(f"Epoch {epoch + 1:>{len(str(last))}}/{last}", runner.steps or 0)
                runner.run(interrupt)
                if not runner.done:
                    break
                if runner.guard is not None:
                    runner.guard.steps_ended(last=model.stop_training or epoch == epochs[-1])
                logs = runner.logs()
                if validate is not None and validates(epoch + 1):
                    logs.update({f"val_{name}": value for name, value in validate.run(interrupt).items()})
                    model.history._measure()
                progress.end(runner.done, logs)
                listeners.tell("on_epoch_end", epoch, logs)
                if saver is not None:
                    saver.epoch_ended(epoch, logs)
                if model.stop_training:
                    break
            if compiled.optimizer is not None:
                compiled.optimizer.finalize_variable_values(model.trainable_variables)
            listeners.tell("on_train_end", logs)
            if saver is not None:
                saver.training_ended()
        finally:
            if saver is not None:
                saver.close()
            progress.close()


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: Any,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    """Loss and metrics of a model; the arguments are those of ``Model.evaluate``."""
    compiled = require_compiled(model, "evaluate")
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    progress = make_progress(verbose)
    params: dict[str, Any] = {"verbose": verbose, "epochs": 1, "steps": None}
    listeners = CallbackList(callbacks, model, params)
    if is_stream(x):
        _refuse_beside_stream(x, y=y, sample_weight=sample_weight)
        passes = _evaluation_passes(model, compiled, None, x, batch, steps, "steps", listeners, progress)
    else:
        data = _check(model, compiled, _prepare(model, x, y, sample_weight, None))
        passes = _evaluation_passes(model, compiled, data, None, batch, steps, "steps", listeners, progress)
    params["steps"] = passes.steps
    compiled.own = model._own_metrics()
    with Interruptible() as interrupt:
        logs = Evaluation(passes, model, compiled, listeners, progress).run(interrupt)
    return _in_form(logs, return_dict)


def predict(model: Any, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any) -> Any:
    """Outputs of a model; the arguments are those of ``Model.predict``."""
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    progress = make_progress(verbose)
    params: dict[str, Any] = {"verbose": verbose, "epochs": 1, "steps": None}
    listeners = CallbackList(callbacks, model, params)
    stream = is_stream(x)
    memory = in_memory(x, ordered=True) if stream else None
    source = Batches(x) if stream and memory is None else None
    if source is None:
        data = _prepare(model, x if memory is None else unpack(memory.batch)[0])
        _check_for_prediction(model, data)
        rows, batch = (data.rows, batch) if memory is None else (memory.rows, memory.batch_size)
        plan = Plan(rows, batch, steps, "steps")
        params["steps"] = plan.steps
    else:
        params["steps"] = steps if steps is not None else source.count
    model.stop_predicting = False
    training = training_of(model)
    with Interruptible() as interrupt:
        try:
            listeners.tell("on_predict_begin", {})
            progress.begin("", params["steps"] or 0)
            if source is None:
                result = predict_arrays(training, plan, data, listeners, interrupt, progress)
            else:

                def prepare(batch_of_x: Any) -> Data:
                    prepared = _prepare(model, batch_of_x)
                    _check_for_prediction(model, prepared)
                    return prepared

                result = predict_batches(training, source, steps, prepare, listeners, interrupt, progress)
            progress.end(params["steps"] or 0, {})
            listeners.tell("on_predict_end", {})
        finally:
            progress.close()
    return result


def train_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
    """One training step on one batch; the arguments are those of ``Model.train_on_batch``."""
    compiled = require_compiled(model, "train_on_batch")
    data = _check(model, compiled, _prepare(model, x, y, sample_weight, class_weight))
    return _one_step(model, compiled, data, "train", return_dict)


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, return_dict: bool) -> Any:
    """Loss and metrics on one batch; the arguments are those of ``Model.test_on_batch``."""
    compiled = require_compiled(model, "test_on_batch")
    data = _check(model, compiled, _prepare(model, x, y, sample_weight, None))
    return _one_step(model, compiled, data, "test", return_dict)


test_on_batch.__test__ = False  # type: ignore[attr-defined]  # a name that pytest would collect


def predict_on_batch(model: Any, x: Any) -> Any:
    """Outputs of a model for one batch, in one step."""
    data = _prepare(model, x)
    _check_for_prediction(model, data)
    outputs, structure = flatten(training_of(model).steps.predict(data, data.rows).run(data.x))
    return unflatten(structure, [o.numpy() for o in outputs])


# --- the data -------------------------------------------------------------------------------------
def _prepare(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    where: str = "",
    finite: bool = True,
) -> Data:
    dtype = training_of(model).float_dtype
    single = len(getattr(model, "inputs", None) or [None]) == 1
    return data_arrays.prepare(
        x, y, sample_weight, class_weight, dtype=dtype, single_input=single, where=where, finite=finite
    )


def _check(
    model: Any,
    compiled: Compiled,
    data: Data,
    where: str = "",
    doubts: list[Problem] | None = None,
    call: Call | None = None,
) -> Data:
    """Everything that can be known to be wrong before the first step.

    Args:
        model: the model.
        compiled: how it was compiled.
        data: what it is given.
        where: what to put before names in messages.
        doubts: takes what is doubtful; ``None`` to warn of it.
        call: takes what the layers do with the first row.
    """
    steps = training_of(model).steps
    if steps.is_custom("train") or steps.is_custom("test"):  # the model's own steps know what they are given
        callable_ = type(model).call not in (Layer.call, Model.call)
        if getattr(model, "inputs", None) or (callable_ and not model._has_its_weights):
            check_model(model, data)
        return data
    predictions, outputs = check_model(model, data, call)
    if not data.y and any(item is not None for item in flatten(compiled.loss)[0]):
        raise ArgumentError(f"{where}y is missing: the model was compiled with a loss, which compares outputs with y.")
    compiled.outputs = outputs
    data = compiled.place(data, where)
    compiled.bind(predictions, data)
    found = compiled.doubts_of(predictions) if doubts is not None or "logits" not in compiled.told else []
    if doubts is None:
        warn_of(found, compiled.told)
    else:
        doubts += found
    return compiled.check_data(data, predictions, where)


def _check_for_prediction(model: Any, data: Data) -> None:
    """The model takes these inputs; its own ``predict_step`` knows best."""
    if not training_of(model).steps.is_custom("predict") or not model.built:
        check_model(model, data)


def _refuse_beside_stream(source: Any, **others: Any) -> None:
    """Targets and weights come with the batches.

    Raises:
        ArgumentError: they were given beside a source of batches.
    """
    for name, value in others.items():
        if value is not None:
            raise ArgumentError(
                f"{name} cannot be given where x is a {type(source).__name__}: its batches are (x, y) or "
                "(x, y, sample_weight), and validation_data is given apart."
            )


def _batch_preparer(
    model: Any, compiled: Compiled, class_weight: Any = None, where: str = "", first: bool = False
) -> Callable[[Any], Data]:
    """A function that makes checked ``Data`` of a batch, and looks at the ``first`` more closely."""

    def prepare(batch: Any) -> Data:
        nonlocal first
        x, y, weight = unpack(batch)
        call = Call() if first else None
        data = _check(model, compiled, _prepare(model, x, y, weight, class_weight, where), where, call=call)
        if call is not None:
            first = False
        if call is not None and compiled.is_new(data):
            warn_of(look(model, compiled, data, call, batches=True), compiled.told)
        return data

    return prepare


def _evaluation_passes(
    model: Any,
    compiled: Compiled,
    data: Data | None,
    given: Any,
    batch_size: Any,
    steps: int | None,
    what: str,
    listeners: CallbackList,
    progress: Progress,
) -> Runner | StreamRunner:
    """Passes over arrays that are ready, or over what the user gave: arrays or batches."""
    training = training_of(model)
    where = "validation_data: " if what == "validation_steps" and data is None else ""
    if data is None and not is_stream(given):
        if not isinstance(given, list | tuple) or len(given) not in (1, 2, 3):
            raise ArgumentError("validation_data is (x, y) or (x, y, sample_weight), or gives such batches.")
        x, y, weight = unpack(given)
        if is_stream(x):
            _refuse_beside_stream(x, y=y, sample_weight=weight)
            given = x
        else:
            data = _check(model, compiled, _prepare(model, x, y, weight, where=where), where)
    source = in_memory(given, ordered=True) if data is None else None
    if source is not None:
        data = _check(model, compiled, _prepare(model, *unpack(source.batch), where=where), where)
        plan = Plan(source.rows, source.batch_size, steps, what)
        return Runner(training, compiled, plan, data, "test", listeners, progress)
    if data is None:
        prepare = _batch_preparer(model, compiled, where=where)
        return StreamRunner(training, compiled, Batches(given), steps, what, prepare, "test", listeners, progress)
    plan = Plan(data.rows, checks.check_positive("batch_size", batch_size), steps, what)
    return Runner(training, compiled, plan, data, "test", listeners, progress)


def _one_step(model: Any, compiled: Compiled, data: Data, kind: str, return_dict: bool) -> Any:
    """One step on a whole batch, from fresh metrics."""
    if not compiled.own_known:  # looked for anew by fit and evaluate, and once here, where time matters
        compiled.own, compiled.own_known = model._own_metrics(), True
    compiled.reset()
    steps = training_of(model).steps
    step = steps.train(data, data.rows, shuffled=False) if kind == "train" else steps.test(data, data.rows)
    returned = step.run(data.arrays())
    return _in_form(as_logs(returned) if steps.is_custom(kind) else compiled.results(), return_dict)


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
