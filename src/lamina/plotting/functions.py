"""Curves of activation functions and their derivatives."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import activations, ops
from lamina.autodiff import GradientTape
from lamina.core.errors import ArgumentError
from lamina.plotting.figures import TRAINING, VALIDATION, finish, new_figure, style

PURPOSE = "drawing activation functions"
USUAL = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "sigmoid", "tanh", "hard_sigmoid")


def value_and_derivative(function: Callable[[Any], Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``f(x)`` and ``f'(x)`` of a function that takes each element by itself.

    Example:
        >>> y, dy = value_and_derivative(lambda x: x * x, np.asarray([1.0, 3.0]))
        >>> y.tolist(), dy.tolist()
        ([1.0, 9.0], [2.0, 6.0])
    """
    inputs = ops.as_tensor(x)
    with GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(inputs)
        total = ops.sum(outputs)
    derivative = tape.gradient(total, inputs)
    return np.asarray(outputs), np.zeros_like(x) if derivative is None else np.asarray(derivative)


def plot_activations(
    functions: Sequence[Any] = USUAL,
    path: str | os.PathLike[str] | None = None,
    low: float = -5.0,
    high: float = 5.0,
    derivatives: bool = True,
    title: str | None = None,
) -> Any:
    """Draw activation functions, each in a panel with its derivative.

    Args:
        functions: names as in ``lamina.activations``, or functions that take each element by itself.
        path: file to write, its format from its ending; ``None`` to write none.
        low: where the curves begin.
        high: where they end.
        derivatives: whether to draw the derivatives too.
        title: a line above the panels.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: a name is unknown, or ``high`` is not above ``low``.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_activations(["relu", "tanh"])
        >>> [len(panel.lines) for panel in figure.axes]
        [4, 4]
    """
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    if not functions or not low < high:
        raise ArgumentError(f"There is nothing to draw: {len(functions)} functions from {low} to {high}.")
    columns = min(len(functions), 3)
    figure, panels = new_figure(-(-len(functions) // columns), columns, (3.6, 2.9), PURPOSE)
    x = np.linspace(low, high, 801)
    for item, panel in zip(functions, panels, strict=False):
        function = activations.get(item)
        values, slopes = value_and_derivative(function, x)
        panel.axhline(0, color="#9aa5b1", linewidth=0.8)
        panel.axvline(0, color="#9aa5b1", linewidth=0.8)
        panel.plot(x, values, color=TRAINING, linewidth=2, label="f(x)")
        if derivatives:
            panel.plot(x, slopes, color=VALIDATION, linewidth=1.6, linestyle="--", label="f′(x)")
        style(panel, str(getattr(function, "__name__", item)).replace("_", " "))
        bottom, top = panel.get_ylim()
        panel.set_ylim(max(bottom, low), min(top, high))
        panel.legend(frameon=False, loc="upper left")
    for panel in panels[len(functions) :]:
        panel.set_visible(False)
    return finish(figure, path, title)
