"""The profile of a model's training step or prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.graph.function import Function
from lamina.profiling import Profile
from lamina.profiling import profile as profile_step
from lamina.training import checks
from lamina.training.loop import DEFAULT_BATCH, _check, _prepare
from lamina.training.state import check_model, require_compiled, training_of


def profile(
    model: Any, x: Any, y: Any = None, batch_size: int | None = None, seconds: float = 0.5, verbose: bool = True
) -> Profile:
    """Measure where the time of a training step goes, or without ``y`` that of a prediction.

    The model stays as it is: weights, optimizer and metrics are put back.

    Args:
        model: the model; compiled, if ``y`` is given.
        x: inputs, as in ``fit``.
        y: targets, as in ``fit``.
        batch_size: samples of the step; default 32.
        seconds: about how long to measure.
        verbose: whether to print the table.

    Returns:
        The ``Profile``.

    Raises:
        ArgumentError: the model is not compiled, or runs eagerly.
        DataError, ShapeError, DTypeError: as ``fit``.
    """
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    step, arrays = step_of(model, x, y, batch, "profile")
    return profile_step(step, *arrays, seconds=seconds, verbose=verbose)


def step_of(model: Any, x: Any, y: Any, batch: int, what: str) -> tuple[Function, list[np.ndarray]]:
    """The function that ``fit`` runs for a step, or without ``y`` that of ``predict``, and the arrays it takes.

    Args:
        model: the model; compiled, if ``y`` is given.
        x: inputs, as in ``fit``.
        y: targets, as in ``fit``.
        batch: samples of the step.
        what: who asks, for messages.

    Raises:
        ArgumentError: the model is not compiled, or runs eagerly.
        DataError, ShapeError, DTypeError: as ``fit``.
    """
    data = _prepare(model, x, y, None, None)
    batch = min(batch, data.rows)
    training = training_of(model)
    if y is None:
        check_model(model, data)
        step, arrays = training.steps.predict(data, batch), [a[:batch] for a in data.x]
    else:
        compiled = require_compiled(model, what)
        if compiled.run_eagerly:
            raise ArgumentError(f"The model {model.name!r} runs eagerly, op by op: {what} has no kernels to look at.")
        data = _check(model, compiled, data)
        step = training.steps.train(data, batch, shuffled=True)
        arrays = [np.random.default_rng(0).permutation(data.rows), *data.arrays()]
        training.steps.position.assign(0)
    assert step.compiled is not None
    return step.compiled, arrays
