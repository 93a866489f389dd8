"""What all pictures have in common: colours, figures apart from pyplot, panels, grids of images, files, notebooks."""

from __future__ import annotations

import base64
import io
import os
from functools import partial
from html import escape
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.optional import require

# Okabe and Ito's colours, which people with any kind of colour vision tell apart: blue, vermilion, green, orange,
# purple, sky blue, grey, yellow; and two dark ones.  Source: Okabe and Ito, "Color universal design", 2008; Tol,
# "Colour schemes", 2021.
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#6b7680", "#c9b818", "#332288", "#882255",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "<")
TRAINING, VALIDATION, THIRD = PALETTE[:3]
GRID, INK, FAINT, AXIS = "#e4e4e4", "#1f2933", "#5b6671", "#9aa5b1"
GREY, SEQUENTIAL, DIVERGING, HEAT = "gray", "viridis", "RdBu_r", "inferno"
PIXELS_PER_INCH = 80  # of figures in a notebook, which are drawn finer than that


def color_of(number: int) -> str:
    """The colour of the class or series with this number."""
    return PALETTE[number % len(PALETTE)]


def adopt(figure: Any) -> Any:
    """Let a notebook show this figure, whether or not pyplot was imported."""
    figure._repr_html_ = partial(as_html, figure)  # which, unlike a method, is pickled with the figure
    return figure


def as_html(figure: Any, description: str = "") -> str:
    """A figure as an image for a notebook: on white, so that it can be read on a dark page too."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    picture = base64.b64encode(buffer.getvalue()).decode()
    named = [description, figure.get_suptitle(), *(panel.get_title(loc="left") for panel in figure.axes)]
    text = escape(next((name for name in named if name), "figure"), quote=True)
    width = int(figure.get_figwidth() * PIXELS_PER_INCH)
    return f"<img alt='{text}' width='{width}' src='data:image/png;base64,{picture}'/>"


def new_figure(
    rows: int, columns: int, size: tuple[float, float], purpose: str, **subplot: Any
) -> tuple[Any, list[Any]]:
    """A figure with panels of this size in inches; nothing opens a window or stays behind.

    Args:
        rows: rows of panels.
        columns: panels in a row.
        size: width and height of a panel.
        purpose: what it is for, for the error.
        subplot: settings of the panels, such as ``projection="3d"``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    module = require("matplotlib.figure", "plot", purpose)
    figure = module.Figure(figsize=(size[0] * columns, size[1] * rows), dpi=120, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, subplot_kw=subplot or None)
    return adopt(figure), list(panels.flat)


def new_grid(
    rows: int,
    columns: int,
    size: tuple[float, float],
    purpose: str,
    lines: int = 0,
    heading: bool = False,
    gap: float = 0.06,
) -> tuple[Any, np.ndarray]:
    """A figure with a grid of bare panels for images, of equal size and without axes.

    Places are computed here: with hundreds of panels matplotlib's own layouts take seconds.

    Args:
        rows: rows of panels.
        columns: panels in a row.
        size: width and height of a panel in inches.
        purpose: what it is for, for the error.
        lines: lines of text above each panel.
        heading: whether there is a title above everything.
        gap: room between panels in inches.

    Returns:
        The figure, and its panels as an array ``(rows, columns)``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    module = require("matplotlib.figure", "plot", purpose)
    side, text, top = 0.1, 0.155 * lines + (0.05 if lines else 0), 0.36 if heading else 0.06
    width = columns * size[0] + (columns - 1) * gap + 2 * side
    height = top + rows * (size[1] + text) + (rows - 1) * gap + 0.06
    figure = module.Figure(figsize=(width, height), dpi=120)
    panels = np.empty((rows, columns), dtype=object)
    for i, j in np.ndindex(rows, columns):
        left = side + j * (size[0] + gap)
        bottom = height - top - i * (size[1] + text + gap) - text - size[1]
        panel = figure.add_axes((left / width, bottom / height, size[0] / width, size[1] / height))
        panel.set_axis_off()
        panels[i, j] = panel
    return adopt(figure), panels


def style(panel: Any, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Titles, a faint grid, and no frame above and on the right."""
    panel.set_title(title, loc="left", fontsize=11)
    panel.set_xlabel(xlabel)
    panel.set_ylabel(ylabel)
    panel.grid(True, color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def color_bar(figure: Any, drawn: Any, panel: Any, label: str = "") -> Any:
    """The scale of colours beside a panel, or beside several, without a frame."""
    bar = figure.colorbar(drawn, ax=panel, shrink=0.9, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    if label:
        bar.set_label(label, fontsize=9)
    return bar


def legend(panel: Any, **options: Any) -> None:
    """A legend that hides little of what is under it."""
    panel.legend(**{"framealpha": 0.85, "edgecolor": "none", "fontsize": 9, **options})


def fitting(text: str, width: float, size: float) -> float:
    """The size of letters, at most ``size`` points, in which a text is no wider than so many inches."""
    longest = max(map(len, text.split("\n")))
    return max(5.0, min(size, width / (0.0077 * max(longest, 1))))


def finish(figure: Any, path: str | os.PathLike[str] | None, title: str | None = None) -> Any:
    """Put a title above all panels and write the file, if they are wanted; returns the figure."""
    if title and figure.get_layout_engine() is None:  # a grid: half of its top margin above the title
        left, height = 0.1 / figure.get_figwidth(), figure.get_figheight()
        size = fitting(title, figure.get_figwidth() - 0.2, 12)
        figure.suptitle(title, x=left, y=1 - 0.08 / height, ha="left", va="top", fontsize=size)
    elif title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    if path is not None:
        known = figure.canvas.get_supported_filetypes()
        ending = os.path.splitext(os.fspath(path))[1].lower().removeprefix(".")
        if ending and ending not in known:
            raise ArgumentError(f"{os.fspath(path)!r} ends in none of {', '.join(f'.{k}' for k in known)}.")
        figure.savefig(path)
    return figure
