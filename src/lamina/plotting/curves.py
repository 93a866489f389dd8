"""Learning curves: loss and metrics over the epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.optional import require

TRAINING, VALIDATION = "#2f6fb0", "#d9822b"


def plot_history(
    history: Any,
    path: str | os.PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw the loss and each metric over the epochs, training and validation in one panel.

    Args:
        history: what ``fit`` returned, or its dictionary of lists.
        path: file to write, its format from its ending (``.png``, ``.pdf``, ``.svg``); ``None`` to
            write none.
        names: what to draw, for example ``["loss", "accuracy"]``; default everything.
        title: a line above the panels.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: the history is empty or has no such name.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_history({"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]})
        >>> len(figure.axes)
        1
    """
    values: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    epochs = getattr(history, "epoch", None)
    found = [name for name in values if not name.startswith("val_")]
    found += [name[4:] for name in values if name.startswith("val_") and name[4:] not in values]
    wanted = sorted(found, key=lambda name: name != "loss") if names is None else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise ArgumentError(f"The history has no {unknown[0]!r}; it has: {', '.join(found) or 'nothing yet'}.")
    if not wanted:
        raise ArgumentError("The history is empty: train for at least one epoch first.")

    # A figure of its own, apart from pyplot: nothing opens a window or stays behind.
    figure_module = require("matplotlib.figure", "plot", "drawing learning curves")
    ticker = require("matplotlib.ticker", "plot", "drawing learning curves")
    columns = min(len(wanted), 3)
    rows = -(-len(wanted) // columns)
    figure = figure_module.Figure(figsize=(4.6 * columns, 3.4 * rows), dpi=120, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for name, panel in zip(wanted, panels, strict=False):
        for key, label, color in ((name, "training", TRAINING), (f"val_{name}", "validation", VALIDATION)):
            if key in values:
                series = values[key]
                numbers = _epoch_numbers(epochs, len(series))
                panel.plot(
                    numbers, series, color=color, label=label, linewidth=1.8,
                    marker="o" if len(series) <= 30 else None, markersize=3.5,
                )  # fmt: skip
        panel.set_title(name.replace("_", " "), loc="left", fontsize=11)
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        panel.grid(True, color="#e4e4e4", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    for panel in list(panels):
        panel.set_visible(False)  # the last row is not full
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    if path is not None:
        figure.savefig(path)
    return figure


def _epoch_numbers(epochs: Sequence[int] | None, count: int) -> list[int]:
    """Numbers for people, from 1; a metric that was not measured in every epoch gets the last ones."""
    if epochs and count <= len(epochs):
        return [e + 1 for e in epochs[len(epochs) - count :]]
    return list(range(1, count + 1))
