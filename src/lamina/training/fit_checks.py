"""The checks of ``preflight`` that cost little, which ``fit`` runs by itself: some rows, and one call of the model.

Nothing here changes a weight, a random number or a metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import optimizers
from lamina.autodiff import GradientTape
from lamina.core.errors import LaminaError
from lamina.core.primitive import wrap
from lamina.core.trees import flatten
from lamina.training import data_checks, layer_checks
from lamina.training.arrays import Data
from lamina.training.compiled import Compiled
from lamina.training.problems import Problem
from lamina.training.replay import changed_by_steps
from lamina.training.state import put_back, training_of
from lamina.training.traces import Call, recording, work

ROWS = 1000  # that are looked at
BYTES = 4 << 20  # of these at most
TRIED = 8  # rows on which a small model is run
LITTLE_WORK = 500_000  # products that a sample takes in a small model
VANISHED = 1e8  # times as large is one gradient as another
LABELS = 1_000_000  # that are all counted
MOST = 1 << 16  # elements of a variable that a call may write: averages, counts; frozen weights are larger


def look(
    model: Any,
    compiled: Compiled,
    data: Data,
    call: Call,
    held_back: Data | None = None,
    shuffle: Any = True,
    class_weight: Any = None,
    batches: bool = False,
) -> list[Problem]:
    """Everything doubtful that shows at little cost.

    Args:
        model: a compiled model that was called on a row.
        compiled: how it was compiled.
        data: the training data, checked; or the first batch.
        call: that call.
        held_back: the validation data.
        shuffle: as in ``fit``.
        class_weight: as in ``fit``.
        batches: whether ``data`` is one batch of many.
    """
    custom = training_of(model).steps.is_custom("train")
    sample = some_rows(data, data.x)
    problems = data_checks.constant(sample) if not batches or data.rows >= 32 else []
    if custom:
        return problems
    if not model.trainable_variables and model.weights:
        text = "No weight is trained: all layers are frozen."
        return [*problems, Problem("frozen", text, "thaw some: layer.trainable = True, then compile again")]
    labels = data_checks.labels_of(compiled, data) if sum(y.size for y in data.y) <= LABELS else None
    if not batches:
        answers = some_rows(data, data.y)
        problems += data_checks.targets(compiled, answers, data_checks.labels_of(compiled, answers))
        problems += data_checks.weights(data, labels, class_weight)
        problems += data_checks.order(labels, shuffle)
    if not batches or data.rows >= 64:
        problems += data_checks.leaks(sample, data_checks.labels_of(compiled, sample))
    if held_back is not None:
        problems += data_checks.shared_quickly(data, held_back)
    with np.errstate(all="ignore"):
        try:
            problems += _run(model, compiled, data, sample, call, None if batches else labels)
        except LaminaError:  # a model that cannot be run op by op will say so where it has to be run
            pass
    problems += rate(compiled.optimizer)
    return problems


def some_rows(data: Data, arrays: Sequence[np.ndarray]) -> Data:
    """Rows spread evenly over the data, so many that those of ``arrays`` take little memory."""
    each = max(1, sum(a[0].nbytes for a in arrays))
    count = min(data.rows, ROWS, max(TRIED, BYTES // each))
    if count == data.rows:
        return data
    return data.take(np.linspace(0, data.rows - 1, count).astype(np.int64))


def _run(model: Any, compiled: Compiled, data: Data, sample: Data, call: Call, labels: Any) -> list[Problem]:
    """What one call of the model shows; for small models on several rows, with the gradients."""
    walks = any(hasattr(layer, "cell") for layer in model._flatten_layers())  # op by op, step by step: too slow
    if not call.traces and (walks or sum(v.size for v in model.weights) > LITTLE_WORK):  # it was called before
        return []
    small = not walks and sample.rows > 1 and len(call.traces) <= 50 and work(call.traces, 1) <= LITTLE_WORK
    if call.traces and not small:
        return _judge(model, compiled, data, sample, call, 1, labels)
    found = [*changed_by_steps(model, compiled), *model.non_trainable_variables]
    with put_back(v for v in {id(v): v for v in found}.values() if not v.trainable and v.size <= MOST):
        if not call.traces:
            call = _call(model, sample.slice(0, 1))[0]
            if sample.rows < 2 or work(call.traces, 1) > LITTLE_WORK or len(call.traces) > 50:
                return _judge(model, compiled, data, sample, call, 1, labels)
        part = sample.take(np.linspace(0, sample.rows - 1, min(TRIED, sample.rows)).astype(np.int64))
        call, tape, total = _call(model, part, with_loss=True)
        problems = _judge(model, compiled, data, sample, call, part.rows, labels)
        if total is not None and np.isfinite(np.asarray(total)):
            variables = list(model.trainable_variables)
            found = layer_checks.check_gradients(model, variables, tape.gradient(total, variables), VANISHED)
            problems += [p for p in found if p.kind != "unused"]  # of that the optimizer tells
            problems += layer_checks.check_first_loss(compiled, sample, float(np.asarray(total)))
            outputs = [wrap(o) for o in call.outputs]
            problems += layer_checks.check_inputs(model, part, _inputs_of(model, part), outputs)
        return problems


def _inputs_of(model: Any, part: Data) -> Any:
    """The inputs as the model takes them."""
    return training_of(model).steps._split(part)([wrap(np.ascontiguousarray(a)) for a in part.arrays()])[0]


def _call(model: Any, part: Data, with_loss: bool = False) -> tuple[Call, Any, Any]:
    """What the layers did, the tape and the loss."""
    steps = training_of(model).steps
    x, y, weights = steps._split(part)([wrap(np.ascontiguousarray(a)) for a in part.arrays()])
    total = None
    with recording(model) as traces, GradientTape() as tape:
        predictions = flatten(model(x, training=with_loss))[0]
        if with_loss:
            total, _ = steps._loss(y, predictions, weights)
    call = Call(traces)
    call.mark([p._data for p in predictions])
    return call, tape, total


def _judge(
    model: Any, compiled: Compiled, data: Data, sample: Data, call: Call, rows: int, labels: Any
) -> list[Problem]:
    problems = layer_checks.check_layers(model, call.traces, rows)
    if rows < data_checks.FEW:  # one row of a table does not tell its scale; the rows at hand do
        first = next((t for t in call.traces if type(t.layer).__name__ in layer_checks.WEIGHTED), None)
        normalized = first is not None and "BatchNormalization" in [
            type(t.layer).__name__ for t in call.traces[: call.traces.index(first)]
        ]
        if normalized:  # by means and spreads that it has not learned yet
            problems = [p for p in problems if p.kind != "scale"]
        elif first is not None and first.inputs and first.inputs[0].size < 64:
            problems = [p for p in problems if p.kind != "scale"]
            if any(first.inputs[0].shape == x[:1].shape and (first.inputs[0] == x[:1]).all() for x in sample.x):
                problems += layer_checks.scale_of_inputs(first.layer.name, sample.x[:1])
    if len(call.outputs) == len(compiled.losses):
        outputs, answers = [wrap(o) for o in call.outputs], some_rows(data, data.y)
        known = 0 if labels is None else data.rows
        problems += layer_checks.check_outputs(compiled, answers, call.traces, outputs, labels, known)
    return problems


def rate(optimizer: Any) -> list[Problem]:
    """A learning rate that no training has."""
    if optimizer is None or isinstance(optimizer, optimizers.LossScaleOptimizer):
        return []
    given: Any = getattr(optimizer, "_learning_rate", None)
    value = float(given._data) if hasattr(given, "_data") else None
    if value is None or value == 0:  # a schedule, or meant
        return []
    most = 50.0 if isinstance(optimizer, optimizers.SGD | optimizers.Adadelta) else 5.0
    if value > most:
        text = f"The learning rate {value:g} of {optimizer.name!r} is far larger than usual."
        return [Problem("learning_rate", text, "0.001 for Adam and 0.01 for SGD are usual")]
    if value < 1e-8:
        text = f"The learning rate {value:g} of {optimizer.name!r} is so small that float32 weights hardly change."
        return [Problem("learning_rate", text, "0.001 for Adam and 0.01 for SGD are usual")]
    return []
