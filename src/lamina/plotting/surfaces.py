"""Planes and surfaces: what a model says where, functions of two numbers, and the ways of optimizers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.optional import require
from lamina.inspection.surfaces import Grid, Surface, decision_grid, optimizer_path, surface_named
from lamina.models import Model
from lamina.plotting.figures import (
    INK,
    MARKERS,
    PALETTE,
    SEQUENTIAL,
    color_bar,
    color_of,
    finish,
    legend,
    new_figure,
    style,
)

PURPOSE = "drawing surfaces"
PALE = ("#7db4d8", "#ffffff", "#eda97c")  # the first two colours of the palette, so that samples stand out


def plot_decision_boundary(
    model: Any,
    x: Any,
    y: Any = None,
    labels: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    threshold: float | None = None,
    regression: bool | None = None,
    resolution: int = 200,
    axis_names: tuple[str, str] = ("x₁", "x₂"),
) -> Any:
    """Draw what a model of two inputs says all over the plane, and the samples.

    Several outputs are classes: the plane is coloured by the highest, the more faintly the nearer the second is. One
    output is a probability or a score with a line where it changes sides, or, in regression, a height.

    Args:
        model: a model, an estimator of scikit-learn, or a function from ``(n, 2)`` to predictions.
        x: samples ``(n, 2)``.
        y: their classes as numbers ``(n,)`` or rows with a 1, or, in regression, their values.
        labels: names of the classes.
        path: file to write, its format from its ending; ``None`` to write none.
        title: a line above.
        threshold: where a single output changes sides; default 0.5 of probabilities and 0 of other scores.
        regression: whether the output is a value; default if ``y`` is given and not whole numbers.
        resolution: places along each side of the plane.
        axis_names: of the two inputs.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.decision_grid``.

    Raises:
        ShapeError: the samples or the model's inputs are not two numbers, or there are not as many ``y``.
        ArgumentError: a class is not among the model's.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> x = np.asarray([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> figure = plot_decision_boundary(lambda p: p[:, 1] - p[:, 0], x, [0, 0, 1])
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['0', '1']
    """
    points = np.asarray(x)
    grid = decision_grid(model, points, resolution)
    truth = None if y is None else np.asarray(y)
    if truth is not None:
        truth = truth.argmax(-1) if truth.ndim == 2 and truth.shape[1] > 1 else truth.reshape(-1)
        if len(truth) != len(points):
            raise ShapeError(f"There are {len(points)} samples in x and {len(truth)} in y.")
    if regression is None:
        whole = truth is None or truth.dtype.kind in "biu" or bool((truth == np.round(truth)).all())
        regression = grid.values.ndim == 2 and not whole
    figure, [panel] = new_figure(1, 1, (5.4, 4.3), PURPOSE)
    if regression:
        values = grid.values.astype(np.float64)
        seen = values if truth is None else np.concatenate([values.ravel(), truth])
        limits = {"vmin": float(seen.min()), "vmax": float(seen.max())}
        drawn = panel.pcolormesh(grid.x, grid.y, values, cmap=SEQUENTIAL, shading="gouraud", **limits)
        panel.contour(grid.x, grid.y, values, 8, colors="white", linewidths=0.6, alpha=0.7)
        if truth is not None:
            panel.scatter(*points.T, c=truth, cmap=SEQUENTIAL, s=22, edgecolors="white", linewidths=0.7, **limits)
        color_bar(figure, drawn, panel, "prediction")
    else:
        _classes(figure, panel, grid, points, truth, labels, threshold)
    panel.set_xlim(grid.x[0], grid.x[-1])
    panel.set_ylim(grid.y[0], grid.y[-1])
    style(panel, "", *axis_names)
    panel.grid(False)
    return finish(figure, path, title)


def _classes(
    figure: Any, panel: Any, grid: Grid, points: np.ndarray, truth: Any, labels: Any, threshold: float | None
) -> None:
    """The plane in the colours of the classes, the lines between them, and the samples."""
    values = grid.values.astype(np.float64)
    numbers = values.ndim == 2 and grid.values.dtype.kind in "biu"  # classes already
    if values.ndim == 3 or (numbers and values.max() > 1):
        scores = values if values.ndim == 3 else np.eye(int(values.max()) + 1)[grid.values.astype(int)]
        _areas(panel, grid, scores)
        count = scores.shape[-1]
    else:
        inside = values.min() >= 0 and values.max() <= 1
        middle = (0.5 if inside else 0.0) if threshold is None else threshold
        reach = max(middle, 1 - middle) if inside else float(np.abs(values - middle).max()) or 1.0
        pale = require("matplotlib.colors", "plot", PURPOSE).LinearSegmentedColormap.from_list("classes", PALE)
        drawn = panel.pcolormesh(
            grid.x, grid.y, values, cmap=pale, vmin=middle - reach, vmax=middle + reach,
            shading="nearest" if numbers else "gouraud", rasterized=True,
        )  # fmt: skip
        if values.min() < middle < values.max():
            panel.contour(grid.x, grid.y, values, [middle], colors=INK, linewidths=1.4)
        color_bar(figure, drawn, panel, "probability of class 1" if inside else "score")
        count = 2
    if truth is None:
        return
    found = np.unique(truth)
    most = max(count, 0 if labels is None else len(labels))
    if (found != np.round(found)).any() or found.min() < 0 or found.max() >= most:
        raise ArgumentError(f"y holds the classes {found[:10].tolist()}, and the model has {count}, from 0.")
    colors = (PALETTE[0], PALETTE[1]) if values.ndim == 2 and count == 2 else PALETTE
    for each in found.astype(int):
        rows = truth == each
        name = str(each) if labels is None else str(labels[each])
        panel.scatter(
            *points[rows].T, s=24, color=colors[each % len(colors)], marker=MARKERS[each % len(MARKERS)],
            edgecolors="white", linewidths=0.7, label=name,
        )  # fmt: skip
    legend(panel, loc="best", markerscale=1.1)


def _areas(panel: Any, grid: Grid, scores: np.ndarray) -> None:
    """The colour of the highest class everywhere, mixed with white where the second is near, and lines between."""
    to_rgb = require("matplotlib.colors", "plot", PURPOSE).to_rgb
    best = scores.argmax(-1)
    ordered = np.sort(scores, axis=-1)
    lead = ordered[..., -1] - ordered[..., -2]
    strength = 0.12 + 0.3 * np.clip(lead / (np.quantile(lead, 0.95) or 1), 0, 1)
    colors = np.asarray([to_rgb(color_of(i)) for i in range(scores.shape[-1])])
    image = 1 - strength[..., None] * (1 - colors[best])
    edges = (grid.x[0], grid.x[-1], grid.y[0], grid.y[-1])
    panel.imshow(image, extent=edges, origin="lower", aspect="auto", interpolation="bilinear")
    for i in range(scores.shape[-1]):
        others = np.delete(scores, i, axis=-1).max(-1)
        ahead = scores[..., i] - others
        if ahead.min() < 0 < ahead.max():
            panel.contour(grid.x, grid.y, ahead, [0], colors=INK, linewidths=0.9)


def plot_surface(
    surface: Any,
    path: str | os.PathLike[str] | None = None,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    points: Any = None,
    title: str | None = None,
    logarithmic: bool = False,
    resolution: int = 80,
    axis_names: tuple[str, str, str] = ("x₁", "x₂", ""),
) -> Any:
    """Draw a function of two numbers as a surface in three dimensions.

    Args:
        surface: a function ``f(x, y)`` of arrays, a surface's name (see ``plot_optimizer_paths``), a model of two
            inputs and one output, or a ``Grid`` from ``lamina.inspection.decision_grid``.
        path: file to write, its format from its ending; ``None`` to write none.
        x: first and last place on the first axis; default the surface's own, or -2 and 2.
        y: likewise on the second axis.
        points: samples ``(n, 3)`` to draw with it.
        title: a line above.
        logarithmic: draw ``log(1 + f - min f)`` instead of ``f``, which shows valleys beside high walls.
        resolution: places along each side.
        axis_names: of the three axes.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: the surface is unknown, or a range is empty.
        ShapeError: the model has several outputs.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> figure = plot_surface(lambda x, y: x**2 + y**2, resolution=10)
        >>> figure.axes[0].name
        '3d'
    """
    grid = surface if isinstance(surface, Grid) else _grid(surface, x, y, resolution)
    if grid.values.ndim != 2:
        raise ShapeError(
            f"plot_surface draws one output; there are {grid.values.shape[-1]}. Give a Grid of one of them."
        )
    values = grid.values.astype(np.float64)
    least = values.min()
    values = np.log1p(values - least) if logarithmic else values
    figure, [panel] = new_figure(1, 1, (6.0, 4.8), PURPOSE, projection="3d")
    across, along = np.meshgrid(grid.x, grid.y)
    panel.plot_surface(
        across, along, values, cmap=SEQUENTIAL, rcount=resolution, ccount=resolution, linewidth=0, antialiased=False,
        alpha=0.85 if points is not None else 1.0,
    )  # fmt: skip
    if points is not None:
        rows = np.asarray(points, np.float64)
        heights = np.log1p(np.maximum(rows[:, 2] - least, 0)) if logarithmic else rows[:, 2]
        panel.scatter(rows[:, 0], rows[:, 1], heights, color=PALETTE[1], s=14, depthshade=False)
    panel.set_xlabel(axis_names[0])
    panel.set_ylabel(axis_names[1])
    panel.set_zlabel(axis_names[2] or ("log(1 + f − min f)" if logarithmic else "f"))
    panel.tick_params(labelsize=8)
    panel.view_init(elev=32, azim=-55)
    panel.set_box_aspect(None, zoom=0.88)  # so that the third axis' label stays in the picture
    return finish(figure, path, title)


def _grid(surface: Any, x: Any, y: Any, resolution: int) -> Grid:
    if isinstance(surface, Model) or hasattr(surface, "predict"):
        corners = np.asarray([x or (-2, 2), y or (-2, 2)], np.float64).T
        return decision_grid(surface, corners, resolution, margin=0)
    found = surface_named(surface)
    x, y = x or found.x, y or found.y
    if not (x[0] < x[1] and y[0] < y[1]):
        raise ArgumentError(f"x and y are (first, last) with first < last; got {x} and {y}.")
    across, along = np.linspace(x[0], x[1], resolution), np.linspace(y[0], y[1], resolution)
    values = np.asarray(found.function(*np.meshgrid(across, along)))
    return Grid(across, along, values)


def plot_optimizer_paths(
    surface: Any = "rosenbrock",
    optimizers: Any = ("sgd", "rmsprop", "adam"),
    steps: int = 100,
    path: str | os.PathLike[str] | None = None,
    start: tuple[float, float] | None = None,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    title: str | None = None,
) -> Any:
    """Draw the ways that optimizers take on a surface, and how fast each gets down.

    Args:
        surface: ``"rosenbrock"``, ``"beale"``, ``"himmelblau"``, ``"bowl"``, ``"saddle"``, or a function ``f(x, y)``
            written with ops.
        optimizers: optimizers or their names, or ``{label: optimizer}``.
        steps: how many steps each takes.
        path: file to write, its format from its ending; ``None`` to write none.
        start: where they begin; default the surface's own place.
        x: first and last place drawn on the first axis; default the surface's own, or -2 and 2.
        y: likewise on the second axis.
        title: a line above.

    Returns:
        The matplotlib ``Figure``.  The numbers are those of ``lamina.inspection.optimizer_path``.

    Raises:
        ArgumentError: the surface or an optimizer is unknown, or there is none.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_optimizer_paths("bowl", {"slow": lamina.optimizers.SGD(0.01), "adam": "adam"}, steps=5)
        >>> [len(line.get_xdata()) for line in figure.axes[1].lines]
        [6, 6]
    """
    found = surface_named(surface)
    if isinstance(optimizers, str) or not isinstance(optimizers, Mapping | list | tuple):
        optimizers = [optimizers]
    named = dict(optimizers) if isinstance(optimizers, Mapping) else {_name(each): each for each in optimizers}
    if not named:
        raise ArgumentError("plot_optimizer_paths takes at least one optimizer.")
    ways = {name: optimizer_path(found, each, steps, start) for name, each in named.items()}
    figure, [plane, curves] = new_figure(1, 2, (4.7, 4.0), PURPOSE)
    grid = _grid(Surface(found.function, x or found.x, y or found.y, found.start, found.minima), None, None, 160)
    heights = np.log1p(grid.values - grid.values.min())
    plane.contourf(grid.x, grid.y, heights, 24, cmap="Greys", alpha=0.55)
    plane.contour(grid.x, grid.y, heights, 12, colors="white", linewidths=0.6)
    for number, (name, way) in enumerate(ways.items()):
        color = color_of(number)
        often = max(1, len(way) // 12)
        look = {"color": color, "linewidth": 1.8, "marker": MARKERS[number % len(MARKERS)], "markersize": 4}
        plane.plot(way[:, 0], way[:, 1], markevery=often, label=name, **look)
        curves.plot(np.arange(len(way)), way[:, 2], markevery=often, label=name, **look)
    begin = next(iter(ways.values()))[0]
    plane.plot(*begin[:2], "o", markersize=9, markerfacecolor="white", markeredgecolor=INK, label="start")
    for i, place in enumerate(found.minima):
        plane.plot(
            *place, "*", markersize=13, markerfacecolor="#f0e442", markeredgecolor=INK,
            label="minimum" if i == 0 else None,
        )  # fmt: skip
    plane.set_xlim(grid.x[0], grid.x[-1])
    plane.set_ylim(grid.y[0], grid.y[-1])
    style(plane, surface if isinstance(surface, str) else getattr(found.function, "__name__", "surface"), "x", "y")
    plane.grid(False)
    style(curves, "value after each step", "step")
    if all((way[:, 2] > 0).all() for way in ways.values()):
        curves.set_yscale("log")
    handles, names = plane.get_legend_handles_labels()
    curves.legend(handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)
    return finish(figure, path, title)


def _name(optimizer: Any) -> str:
    return optimizer if isinstance(optimizer, str) else str(getattr(optimizer, "name", type(optimizer).__name__))
