"""Inside a network: kernels, feature maps layer by layer, attention."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.optional import require
from lamina.inspection.layers import Place, attention_weights, feature_maps, find_layer, kernels
from lamina.plotting.figures import (
    DIVERGING,
    FAINT,
    GREY,
    INK,
    SEQUENTIAL,
    color_bar,
    finish,
    new_figure,
    new_grid,
)
from lamina.plotting.images import limits, show

PURPOSE = "drawing the inside of a network"
MOST_LABELS = 40


def plot_kernels(
    model: Any,
    layer: Place | None = None,
    path: str | os.PathLike[str] | None = None,
    most: int = 64,
    channel: int | None = None,
    columns: int | None = None,
    title: str | None = None,
) -> Any:
    """Draw the kernels of a convolution, each scaled by its own greatest weight.

    Kernels over three channels of a first layer are drawn in colour, grey where a weight is 0.  Others are drawn
    channel by channel: one if ``channel`` is given, else the one with the largest weights; red is positive, blue
    negative.

    Args:
        model: a model, or the layer itself.
        layer: a convolution in it; default the first.
        path: file to write, its format from its ending; ``None`` to write none.
        most: draw the first so many.
        channel: the channel of the input to draw.
        columns: kernels in a row.
        title: a line above; default says what it is.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.kernels``.

    Raises:
        ArgumentError: there is no such layer or channel, or it is no convolution over images.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_kernels(lamina.applications.LeNet(), most=8)
        >>> len(figure.axes)
        8
    """
    filters = kernels(model, layer)
    count, depth = len(filters), filters.shape[-1]
    if channel is not None and not -depth <= channel < depth:
        raise ArgumentError(f"plot_kernels: the kernels have {depth} channels, from 0; got channel {channel!r}.")
    if most < 1:
        raise ArgumentError(f"plot_kernels: most >= 1; got {most!r}.")
    shown = filters[:most]
    columns = columns or min(16, len(shown), int(np.ceil(np.sqrt(len(shown) * 2))))
    colored = depth == 3 and channel is None
    if not colored and depth > 1:
        strength = np.abs(shown).sum((1, 2))
        picked = strength.argmax(-1) if channel is None else np.full(len(shown), channel % depth)
        shown = shown[np.arange(len(shown)), :, :, picked]
    elif not colored:
        shown = shown[..., 0]
    side = float(np.clip(8.5 / columns, 0.4, 1.2))
    rows = -(-len(shown) // columns)
    name = model.name if layer is None else find_layer(model, layer).name
    if title is None:
        part = "" if len(shown) == count else f" (the first {len(shown)})"
        over = f"{depth} channel{'' if depth == 1 else 's'}"
        title = f"{count} kernels of {filters.shape[1]} × {filters.shape[2]} over {over}{part}, {name}"
    size = (side, side * shown.shape[1] / shown.shape[2])
    figure, panels = new_grid(rows, columns, size, PURPOSE, heading=True, gap=0.14)
    for panel, kernel in zip(panels.flat, shown, strict=False):
        reach = float(np.abs(kernel).max()) or 1.0
        show(panel, kernel, (-reach, reach), DIVERGING)
    for panel in panels.flat[len(shown) :]:
        panel.remove()
    return finish(figure, path, title)


def plot_feature_maps(
    model: Any,
    image: Any,
    layers: Sequence[Place] | Place | None = None,
    path: str | os.PathLike[str] | None = None,
    most: int = 8,
    strongest: bool = True,
    picture: Any = None,
    title: str | None = None,
) -> Any:
    """Draw what layers make of an image: a row for each layer, a map for each of some channels.

    Each map is scaled by its own least and greatest value.

    Args:
        model: a model of images.
        image: one image, as the model takes it, or a batch of which the first is drawn.
        layers: names, numbers, or layers themselves; default all convolutions, and at most eight spread over them.
        path: file to write, its format from its ending; ``None`` to write none.
        most: channels of each layer.
        strongest: draw the channels that vary most over the image, in the order of their numbers; else the first.
        picture: what to draw as the image, where the model takes it in a range that is none of a picture.
        title: a line above.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.feature_maps``.

    Raises:
        ArgumentError: there is no such layer, or it puts out no feature maps.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_feature_maps(lamina.applications.LeNet(), lamina.ones((28, 28, 1)), most=4)
        >>> len(figure.axes)
        10
    """
    found = feature_maps(model, image, layers)
    if layers is None and len(found) > 8:
        names = list(found)
        found = {names[i]: found[names[i]] for i in np.linspace(0, len(names) - 1, 8).round().astype(int)}
    if most < 1:
        raise ArgumentError(f"plot_feature_maps: most >= 1; got {most!r}.")
    columns = max(min(most, maps.shape[-1]) for maps in found.values())
    drawn = _first_picture(image if picture is None else picture)
    side = float(np.clip(8.5 / (columns + 1), 0.6, 1.4))
    first = next(iter(found.values()))
    size = (side, side * first.shape[1] / first.shape[2])
    figure, panels = new_grid(len(found), columns + 1, size, PURPOSE, lines=1, heading=bool(title))
    for row, (name, maps) in enumerate(found.items()):
        values = maps[0].astype(np.float32)
        chosen = np.arange(values.shape[-1])
        if strongest and len(chosen) > most:
            chosen = np.sort(np.argsort(-values.std((0, 1)), kind="stable")[:most])
        for panel, channel in zip(panels[row, 1:], chosen[:most], strict=False):
            each = values[..., channel]
            low, high = float(each.min()), float(each.max())
            show(panel, each, (low, high if high > low else low + 1), SEQUENTIAL)
            panel.set_title(str(channel), fontsize=7, color=FAINT, pad=2)
        for panel in panels[row, 1 + min(len(chosen), most) :]:
            panel.remove()
        label = panels[row, 0]
        if row == 0:
            show(label, drawn, limits([drawn]), GREY)
            label.set_title("image", fontsize=8, pad=2)
            figure.text(*_under(label), _described(name, maps), fontsize=7.5, va="top", color=INK)
        else:
            label.text(0, 0.5, _described(name, maps), fontsize=7.5, va="center", color=INK, transform=label.transAxes)
    return finish(figure, path, title)


def _described(name: str, maps: np.ndarray) -> str:
    lines = [""]
    for part in re.findall(r"[^_/]*[_/]?", name):  # broken at underscores and slashes
        if len(lines[-1]) + len(part) > 15 and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join([*lines, f"{maps.shape[1]} × {maps.shape[2]} × {maps.shape[3]}"])


def _under(panel: Any) -> tuple[float, float]:
    box = panel.get_position()
    return box.x0, box.y0


def _first_picture(image: Any) -> np.ndarray:
    """One picture, channels last, from an image or a batch, with or without channels."""
    array = np.asarray(image)
    array = array[0] if array.ndim == 4 else array
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)):
        raise ShapeError(f"An image has 1, 3 or 4 channels; got shape {array.shape}. Say picture=.")
    return array


def plot_attention(
    weights: Any,
    queries: Sequence[Any] | None = None,
    keys: Sequence[Any] | None = None,
    path: str | os.PathLike[str] | None = None,
    x: Any = None,
    layers: Sequence[Place] | Place | None = None,
    average: bool = False,
    title: str | None = None,
) -> Any:
    """Draw how much each query attends to each key: a row for each query, a panel for each head.

    Args:
        weights: ``(queries, keys)`` or ``(heads, queries, keys)``; several by name, as from
            ``lamina.inspection.attention_weights`` (the first sample is drawn); or a model, with ``x``.
        queries: names of the queries, such as the words put out.
        keys: names of the keys, such as the words read; default those of the queries, if there are as many.
        path: file to write, its format from its ending; ``None`` to write none.
        x: the model's inputs: one sample as a batch of one.
        layers: which layers of the model; default all that attend.
        average: draw the mean over the heads.
        title: a line above.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ShapeError: the weights have other axes, or not as many queries or keys as there are names.
        ArgumentError: the model does not attend.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_attention([[0.9, 0.1], [0.2, 0.8]], queries=["le", "chat"], keys=["the", "cat"])
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['le', 'chat']
    """
    if hasattr(weights, "get_layer") or isinstance(weights, Mapping):
        found = weights if isinstance(weights, Mapping) else attention_weights(weights, x, layers)
        several = {name: np.asarray(value)[0] for name, value in found.items()}
    else:
        several = {"": np.asarray(weights)}
    panels_wanted: list[tuple[str, np.ndarray]] = []
    for name, value in several.items():
        heads = value[None] if value.ndim == 2 else value
        if heads.ndim != 3:
            raise ShapeError(f"Attention weights are (heads, queries, keys); got shape {value.shape}.")
        heads = heads.mean(0, keepdims=True) if average else heads
        for number, head in enumerate(heads):
            panels_wanted.append((f"{name} head {number}".strip() if len(heads) > 1 else name, head))
    rows, columns = panels_wanted[0][1].shape
    if keys is None and queries is not None and rows == columns:
        keys = queries
    for what, names, axis in (("queries", queries, 0), ("keys", keys, 1)):
        for _, head in panels_wanted:
            if names is not None and len(names) != head.shape[axis]:
                raise ShapeError(f"plot_attention: there are {head.shape[axis]} {what} and {len(names)} names.")
    across = min(4, len(panels_wanted))
    side = float(np.clip(0.26 * max(rows, columns) + 0.9, 2.2, 5.5))
    size = (side * min(1.0, max(0.5, columns / rows)) + 0.5, side * min(1.0, max(0.5, rows / columns)) + 0.4)
    figure, panels = new_figure(-(-len(panels_wanted) // across), across, size, PURPOSE)
    top = max(float(head.max()) for _, head in panels_wanted)
    for panel, (name, head) in zip(panels, panels_wanted, strict=False):
        drawn = panel.imshow(head, cmap="Blues", vmin=0, vmax=max(top, 1e-9), aspect="auto", interpolation="nearest")
        panel.set_title(name, loc="left", fontsize=10)
        _name_ticks(panel.xaxis, keys, head.shape[1])
        _name_ticks(panel.yaxis, queries, head.shape[0])
        panel.tick_params(axis="x", labelrotation=60 if keys is not None and max(map(len, map(str, keys))) > 2 else 0)
        panel.set_xlabel("key")
        panel.set_ylabel("query")
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    for panel in panels[len(panels_wanted) :]:
        panel.set_visible(False)
    color_bar(figure, drawn, panels, "weight")
    return finish(figure, path, title)


def _name_ticks(axis: Any, names: Sequence[Any] | None, count: int) -> None:
    if names is not None and count <= MOST_LABELS:
        axis.set_ticks(range(count), [str(name) for name in names], fontsize=8)
    else:
        ticker = require("matplotlib.ticker", "plot", PURPOSE)
        axis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=8))
