"""What the pictures have in common: figures apart from pyplot, plain panels, files."""

from __future__ import annotations

import os
from typing import Any

from lamina.core.optional import require

TRAINING, VALIDATION, THIRD = "#2f6fb0", "#d9822b", "#5a9e5a"
GRID = "#e4e4e4"


def new_figure(rows: int, columns: int, size: tuple[float, float], purpose: str) -> tuple[Any, list[Any]]:
    """A figure with panels of this size in inches; nothing opens a window or stays behind.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    module = require("matplotlib.figure", "plot", purpose)
    figure = module.Figure(figsize=(size[0] * columns, size[1] * rows), dpi=120, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def style(panel: Any, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Titles, a faint grid, and no frame above and on the right."""
    panel.set_title(title, loc="left", fontsize=11)
    panel.set_xlabel(xlabel)
    panel.set_ylabel(ylabel)
    panel.grid(True, color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def finish(figure: Any, path: str | os.PathLike[str] | None, title: str | None = None) -> Any:
    """Put a title above all panels and write the file, if they are wanted; returns the figure."""
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    if path is not None:
        figure.savefig(path)
    return figure
