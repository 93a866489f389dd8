"""Learning curves: loss and metrics over the epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lamina.core.errors import ArgumentError, MissingExtraError
from lamina.core.optional import require
from lamina.plotting.figures import INK, THIRD, TRAINING, VALIDATION, as_html, finish, legend, new_figure, style

PURPOSE = "drawing learning curves"


def plot_history(
    history: Any,
    path: str | os.PathLike[str] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw the loss and each metric over the epochs, training and validation in one panel.

    A line in the panel of the loss shows where overfitting began, if it did (``History.overfitting_from``).

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
    values: Mapping[str, Sequence[float]] = _series(history)
    epochs = getattr(history, "epoch", None)
    found = [name for name in values if _panel_of(name, values) == name]
    found += [panel for name in values if (panel := _panel_of(name, values)) not in values and panel not in found]
    wanted = sorted(found, key=lambda name: name != "loss") if names is None else list(names)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise ArgumentError(f"The history has no {unknown[0]!r}; it has: {', '.join(found) or 'nothing yet'}.")
    if not wanted:
        raise ArgumentError("The history is empty: train for at least one epoch first.")

    ticker = require("matplotlib.ticker", "plot", PURPOSE)
    columns = min(len(wanted), 3)
    figure, panels = new_figure(-(-len(wanted) // columns), columns, (4.6, 3.4), PURPOSE)
    began = getattr(history, "overfitting_from", lambda: None)()
    for name, panel in zip(wanted, panels, strict=False):
        for key, label, color in (
            (name, "training", TRAINING),
            (f"train_{name}", "training, evaluated", THIRD),
            (f"val_{name}", "validation", VALIDATION),
        ):
            if key in values:
                series = values[key]
                numbers = _epoch_numbers(epochs, len(series))
                panel.plot(
                    numbers, series, color=color, label=label, linewidth=1.8,
                    marker="o" if len(series) <= 30 else None, markersize=3.5,
                )  # fmt: skip
        style(panel, name.replace("_", " "), "epoch")
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        if began is not None and name == "loss":
            panel.axvline(began + 1, color=INK, linewidth=1.1, linestyle="--", label="overfitting from here")
        legend(panel)
    for panel in panels[len(wanted) :]:
        panel.set_visible(False)  # the last row is not full
    return finish(figure, path, title)


def history_as_html(history: Any) -> str:
    """A history for a notebook: first, last and best value of each series, and the curves, if matplotlib is there."""
    values: Mapping[str, Sequence[float]] = {k: v for k, v in _series(history).items() if len(v)}
    if not values:
        return "<p>History of no epochs: train first.</p>"
    rows = []
    for name, series in values.items():
        numbers = _epoch_numbers(history.epoch, len(series))
        least, most = (chosen(range(len(series)), key=series.__getitem__) for chosen in (min, max))
        cells = [f"{series[0]:.4g}", f"{series[-1]:.4g}"]
        cells += [f"{series[i]:.4g} (epoch {numbers[i]})" for i in (least, most)]
        rows.append(f"<tr><th style='text-align:left'>{escape(name)}</th><td>{'</td><td>'.join(cells)}</td></tr>")
    head = "".join(f"<th>{text}</th>" for text in ("", "first", "last", "least", "most"))
    parts = [f"<table><tr>{head}</tr>{''.join(rows)}</table>"]
    began = history.overfitting_from()
    if began is not None:
        parts.append(f"<p>Overfitting from epoch {began + 1} on.</p>")
    try:
        figure = plot_history(history)
    except MissingExtraError:
        return "".join(parts)
    return "".join([*parts, as_html(figure, "learning curves")])


def _series(history: Any) -> Mapping[str, Sequence[float]]:
    """The series of a ``History``, or a dictionary as it is."""
    return history.curves() if hasattr(history, "curves") else getattr(history, "history", history)


def _panel_of(name: str, values: Mapping[str, Any]) -> str:
    """The panel that a series belongs in: that of what it measures on other data."""
    if name.startswith("val_"):
        return name[4:]
    return name[6:] if name.startswith("train_") and name[6:] in values else name


def _epoch_numbers(epochs: Sequence[int] | None, count: int) -> list[int]:
    """Numbers for people, from 1; a metric that was not measured in every epoch gets the last ones."""
    if epochs and count <= len(epochs):
        return [e + 1 for e in epochs[len(epochs) - count :]]
    return list(range(1, count + 1))
