"""``model.preflight``: mistakes in data, model and settings that training would not tell of, found in a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lamina import optimizers
from lamina.autodiff import GradientTape
from lamina.core import dtypes
from lamina.core.errors import DataError, DTypeError, LaminaError, ShapeError
from lamina.core.primitive import wrap
from lamina.core.trees import flatten
from lamina.training import checks, data_checks, layer_checks
from lamina.training.arrays import Data
from lamina.training.problems import Problem
from lamina.training.replay import changed_by_steps
from lamina.training.state import put_back, require_compiled, training_of
from lamina.training.traces import Trace, recording

MOST_ROWS = 64  # of the batch on which the model is run op by op
STEPS = 4  # of training that are tried


@dataclass
class Preflight:
    """What ``model.preflight`` found.

    Attributes:
        problems: each with ``kind``, ``message`` and ``advice``; empty if nothing is wrong.
    """

    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    @property
    def kinds(self) -> list[str]:
        """The kinds of the problems, without repeats."""
        return list(dict.fromkeys(p.kind for p in self.problems))

    def __str__(self) -> str:
        if self.ok:
            return "preflight: nothing found"
        return "\n".join([f"preflight: {len(self.problems)} found", *[f"- {p}" for p in self.problems]])


def preflight(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int = 32,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
) -> Preflight:
    """Look for mistakes before training; the model stays as it is.

    Args:
        model: a compiled model.
        x: inputs, as ``fit`` takes them.
        y: targets, likewise.
        sample_weight: weight of each sample.
        batch_size: samples per step.
        validation_split: as in ``fit``.
        validation_data: ``(x, y)``, as in ``fit``.
        shuffle: as in ``fit``.
        class_weight: as in ``fit``.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(3, "softmax")])
        >>> model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> model.preflight(np.eye(2).repeat(6, axis=0), np.arange(12) % 3).kinds
        ['logits']
    """
    from lamina.training import loop

    compiled = require_compiled(model, "preflight")
    found = Preflight()
    try:
        data = loop._prepare(model, x, y, sample_weight, class_weight)
        held_back: Data | None = None
        if validation_split:
            at = checks.check_validation_split(validation_split, data.rows)
            data, held_back = data.slice(0, at), data.slice(at, data.rows)
        elif validation_data is not None:
            held_x, held_y = (*validation_data, None)[:2]
            held_back = loop._prepare(model, held_x, held_y, where="validation_data: ")
        data = loop._check(model, compiled, data, doubts=found.problems)
        if held_back is not None:
            held_back = loop._check(model, compiled, held_back, "validation_data: ", doubts=[])
    except (DataError, DTypeError, ShapeError) as error:
        found.problems.append(Problem("data", str(error), "fit would say the same"))
        return found
    problems = found.problems
    problems += data_checks.check(compiled, data, held_back, batch_size, shuffle, class_weight)
    with put_back(changed_by_steps(model, compiled)), np.errstate(all="ignore"):
        problems += _try(model, compiled, data)
    return found


# --- running the model ----------------------------------------------------------------------------------
def _try(model: Any, compiled: Any, data: Data) -> list[Problem]:
    """Forward, backward and a few steps on some rows."""
    steps = training_of(model).steps
    if not model.trainable_variables:
        return [Problem("frozen", "No weight is trained: the model has none, or all layers are frozen.", "thaw some")]
    if steps.is_custom("train"):
        return []
    rows = np.linspace(0, data.rows - 1, min(data.rows, MOST_ROWS)).astype(int)
    split = steps._split(data)
    tensors = [wrap(np.ascontiguousarray(a[rows])) for a in data.arrays()]
    x, y, weights = split(tensors)
    variables = list(model.trainable_variables)

    def forward(training: bool) -> tuple[Any, list[Any], Any, list[Trace]]:
        with recording(model) as traces, GradientTape() as tape:
            predictions = flatten(model(x, training=training))[0]
            total, _ = steps._loss(y, predictions, weights)
        for trace in traces:
            trace.is_output = any(p._data is trace.output for p in predictions)
        return total, predictions, tape, traces

    total, predictions, tape, traces = forward(True)
    if total is None:
        return []
    problems = layer_checks.check_layers(model, traces, len(rows))
    problems += layer_checks.check_outputs(compiled, data, traces, predictions)
    first = float(np.asarray(total))
    if not np.isfinite(first):
        problems.append(Problem("loss", f"The loss of the first batch is {first}.", "look at the scale of the inputs"))
        return problems
    gradients = tape.gradient(total, variables)
    problems += layer_checks.check_gradients(model, variables, gradients)
    problems += layer_checks.check_inputs(model, data, x, predictions)
    problems += layer_checks.check_first_loss(compiled, data, first)
    if compiled.optimizer is not None and not any(p.kind in ("gradients",) for p in problems):
        problems += _try_steps(compiled.optimizer, forward, variables, gradients, first)
    return problems


def _try_steps(
    optimizer: Any, forward: Any, variables: Sequence[Any], gradients: Sequence[Any], first: float
) -> list[Problem]:
    """The learning rate, by what a few steps on one batch do."""
    if isinstance(optimizer, optimizers.LossScaleOptimizer) or optimizer.gradient_accumulation_steps:
        return []
    before = [np.array(v._data) for v in variables]
    kept = [g for g in gradients if g is not None]
    if len(kept) < len(variables) or not kept:
        return []
    losses = [first]
    try:
        optimizer.apply(gradients, variables)
        change = max(
            float(np.abs(v._data - b).max()) / max(float(np.abs(b).max()), 1e-3)
            for v, b in zip(variables, before, strict=True)
            if dtypes.is_float(v.dtype) and v.size
        )
        for _ in range(STEPS):
            total, _, tape, _ = forward(True)
            losses.append(float(np.asarray(total)))
            if not np.isfinite(losses[-1]):
                break
            optimizer.apply(tape.gradient(total, list(variables)), variables)
    except LaminaError:
        return []
    rate = _rate(optimizer)
    told = f"learning rate{'' if rate is None else f' {rate:g}'}"
    worst = max(losses[1:], key=lambda v: np.inf if not np.isfinite(v) else v)
    if not np.isfinite(worst) or worst > 20 * abs(first) + 20:
        return [
            Problem(
                "learning_rate",
                f"The {told} is too large: {len(losses) - 1} steps on one batch take the loss from {first:.4g} to "
                f"{worst:.4g}.",
                "divide it by 10 or more",
            )
        ]
    if change < 1e-6 and first != 0:
        return [
            Problem(
                "learning_rate",
                f"The {told} is too small: a step changes no weight by more than {change:.1e} of its size.",
                "multiply it by 100 or more; 0.001 for Adam and 0.01 for SGD are usual",
            )
        ]
    if change > 30 and worst > 3 * abs(first):
        return [
            Problem(
                "learning_rate",
                f"The {told} is too large: one step makes a weight {change:.0f} times as large, and the loss goes from "
                f"{first:.4g} to {worst:.4g}.",
                "divide it by 10 or more",
            )
        ]
    return []


def _rate(optimizer: Any) -> float | None:
    try:
        return float(np.asarray(optimizer.learning_rate))
    except (LaminaError, TypeError, ValueError, AttributeError):
        return None
