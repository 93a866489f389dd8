"""How weights and gradients change over the epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.core.optional import require
from lamina.plotting.figures import INK, SEQUENTIAL, finish, new_figure, style

PURPOSE = "drawing histograms"
KINDS = ("weights", "gradients")
MOST = 24
MOST_RIDGES = 25


def plot_histograms(
    source: Any,
    path: str | os.PathLike[str] | None = None,
    kind: str = "weights",
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw histograms over the epochs, a panel for each weight, the last epoch in front.

    Each is as high as its own largest count.  The dashed line is 0.

    Args:
        source: a callback ``lamina.callbacks.Histograms``; or ``{name: [(epoch, edges, counts), ...]}``, as
            ``lamina.tensorboard.read_histograms`` reads it from what the callback ``TensorBoard`` has written.
        path: file to write, its format from its ending; ``None`` to write none.
        kind: ``"weights"`` or ``"gradients"`` of the callback.
        names: paths of weights, with or without the model's name; default all, at most 24.
        title: a line above; default the kind.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: there are no histograms, or none of such a name or kind.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> edges = np.linspace(-1, 1, 5)
        >>> figure = plot_histograms({"kernel": [(0, edges, [1, 2, 2, 1]), (1, edges, [2, 0, 0, 2])]})
        >>> figure.axes[0].get_title(loc="left")
        'kernel'
    """
    if kind not in KINDS:
        raise ArgumentError(f"kind is one of {KINDS}; got {kind!r}.")
    own = isinstance(source, Mapping)
    if not own and not hasattr(source, kind):
        raise ArgumentError(f"plot_histograms takes a callback Histograms, or a dict of histograms; got {source!r}.")
    found: Mapping[str, Any] = source if own else getattr(source, kind)
    if not found:
        hint = "" if own or kind == "weights" else " Gradients need Histograms(samples=(x, y))."
        raise ArgumentError(f"There are no histograms of {kind}: train for at least one epoch first.{hint}")
    wanted = list(found)[:MOST] if names is None else [_named(name, found) for name in names]
    inside = len({name.partition("/")[0] for name in found}) == 1 and all(name.count("/") > 1 for name in found)
    colors = require("matplotlib", "plot", PURPOSE).colormaps[SEQUENTIAL]
    columns = min(4, len(wanted))
    figure, panels = new_figure(-(-len(wanted) // columns), columns, (3.0, 2.7), PURPOSE)
    for panel, name in zip(panels, wanted, strict=False):
        rows = found[name]
        if len(rows) > MOST_RIDGES:
            rows = [rows[i] for i in np.linspace(0, len(rows) - 1, MOST_RIDGES).round().astype(int)]
        _ridges(panel, rows, colors)
        short = name.partition("/")[2] if inside else name  # without the model's name
        style(panel, short if len(short) <= 30 else f"…{short[-29:]}", "", "epoch")
        panel.title.set_fontsize(10)
        panel.grid(False, axis="y")
    for panel in panels[len(wanted) :]:
        panel.set_visible(False)
    return finish(figure, path, title if title is not None else "" if own else kind.capitalize())


def _named(name: str, found: Mapping[str, Any]) -> str:
    """The whole path of a weight."""
    ends = [each for each in found if each == name or each.endswith(f"/{name}")]
    if name in found or len(ends) == 1:
        return name if name in found else ends[0]
    hint = did_you_mean(name, found)
    raise ArgumentError(f"There is no histogram of {name!r}.{hint} There are: {', '.join(found)}.")


def _ridges(panel: Any, rows: Sequence[tuple[int, Any, Any]], colors: Any) -> None:
    """One outline above another, early ones behind."""
    epochs = [int(epoch) for epoch, _, _ in rows]
    step = (epochs[-1] - epochs[0]) / max(len(rows) - 1, 1) or 1.0
    height = 2.2 * step
    low, high = _reach(rows)
    for number, (epoch, edges, counts) in enumerate(rows):
        edges, counts = np.asarray(edges, np.float64), np.asarray(counts, np.float64)
        # Later epochs stand lower on the page, and so in front.
        shape = counts / (counts.max() or 1) * height
        if np.count_nonzero(counts) == 1:  # all values alike: a thin spike
            middle, width = (edges[:-1] + edges[1:])[counts > 0][0] / 2, (high - low) / 200
            middles, outline = np.asarray([low, middle - width, middle, middle + width, high]), np.eye(5)[2] * height
        else:
            middles = np.concatenate([[edges[0]], (edges[:-1] + edges[1:]) / 2, [edges[-1]]])
            outline = np.concatenate([[0], shape, [0]])
        color = colors(0.15 + 0.7 * number / max(len(rows) - 1, 1))
        base = -float(epoch)
        panel.fill_between(middles, base, base + outline, color=color, alpha=0.85, linewidth=0, zorder=2 + number)
        panel.plot(middles, base + outline, color="white", linewidth=0.8, zorder=2 + number)
    panel.set_xlim(low, high)
    if low < 0 < high:
        panel.axvline(0, color=INK, linewidth=0.8, linestyle="--", zorder=3 + len(rows))
    shown = sorted({epochs[i] for i in np.linspace(0, len(epochs) - 1, min(5, len(epochs))).round().astype(int)})
    panel.set_yticks([-e for e in shown], ["start" if e < 0 else str(e + 1) for e in shown])
    panel.set_ylim(-epochs[-1] - 0.2 * step, -epochs[0] + height * 1.05)
    panel.tick_params(labelsize=8)


def _reach(rows: Sequence[tuple[int, Any, Any]]) -> tuple[float, float]:
    """Between what values nearly all of each histogram lies; far ends of few values would make the rest a line."""
    ends = []
    for _, edges, counts in rows:
        edges, counts = np.asarray(edges, np.float64), np.asarray(counts, np.float64)
        if np.count_nonzero(counts) > 1:
            share = np.cumsum(counts) / counts.sum()
            first, last = np.searchsorted(share, [0.003, 0.997])
            ends.append((float(edges[first]), float(edges[min(last + 1, len(edges) - 1)])))
    if not ends:
        first_edges = np.asarray(rows[0][1], np.float64)
        return float(first_edges[0]), float(first_edges[-1]) or 1.0
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)
