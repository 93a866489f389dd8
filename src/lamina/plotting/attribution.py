"""What a prediction rests on, drawn over the image; images that a network answers to most."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.inspection.attribution import grad_cam, integrated_gradients, saliency, smooth_grad
from lamina.inspection.layers import Place, image_format, with_batch
from lamina.inspection.maximization import maximize_activation
from lamina.plotting.figures import DIVERGING, GREY, HEAT, finish, fitting, new_grid
from lamina.plotting.images import as_images, limits, plot_images, show

PURPOSE = "drawing what a prediction rests on"
METHODS: dict[str, Callable[..., Any]] = {
    "saliency": saliency,
    "smooth_grad": smooth_grad,
    "integrated_gradients": integrated_gradients,
}
MOST = 32


def heat_of(attributions: Any, channel_axis: int = -1, signed: bool = False) -> np.ndarray:
    """Attributions of images as one number for each pixel, from 0 (or, with signs, -1) to 1.

    Without signs it is the greatest magnitude over the channels (Simonyan and others, 2013), with signs the sum.
    1 is the 99th percentile of an image: a few pixels stand far above all others.

    Args:
        attributions: ``(n, height, width, channels)``.
        channel_axis: where the channels stand.
        signed: keep whether a pixel speaks for or against.

    Example:
        >>> import numpy as np
        >>> heat_of(np.asarray([[[[1.0, -2.0], [0.0, 0.0]]]])).tolist()
        [[[1.0, 0.0]]]
    """
    array = np.moveaxis(np.asarray(attributions, np.float64), channel_axis, -1)
    heat = array.sum(-1) if signed else np.abs(array).max(-1)
    top = np.quantile(np.abs(heat), 0.99, axis=tuple(range(1, heat.ndim)), keepdims=True)
    return np.clip(heat / np.where(top > 0, top, 1), -1 if signed else 0, 1)


def plot_saliency(
    model: Any,
    images: Any,
    target: Any = None,
    path: str | os.PathLike[str] | None = None,
    method: str | Sequence[str] = "saliency",
    signed: bool = False,
    pictures: Any = None,
    titles: Sequence[Any] | None = None,
    title: str | None = None,
    **options: Any,
) -> Any:
    """Draw which pixels the score of a class changes with: a row for each image, a column for each method.

    Args:
        model: a model of images.
        images: images as the model takes them, a batch or one.
        target: the class to explain, one for each image, or ``None`` for the highest.
        path: file to write, its format from its ending; ``None`` to write none.
        method: ``"saliency"``, ``"smooth_grad"``, ``"integrated_gradients"``, or several of them.
        signed: draw what speaks for the class in red and what speaks against it in blue.
        pictures: what to draw as the images, where the model takes them in a range that is none of a picture.
        titles: a text above each image.
        title: a line above all.
        options: more arguments of the methods' functions in ``lamina.inspection``.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: the method is unknown, or there are more than 32 images.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_saliency(lamina.applications.LeNet(), lamina.ones((2, 28, 28, 1)), target=3)
        >>> len(figure.axes)
        4
    """
    methods = [method] if isinstance(method, str) else list(method)
    for each in methods:
        if each not in METHODS:
            raise ArgumentError(f"method is one of {', '.join(METHODS)}; got {each!r}.")
    batch = _batch(model, images)
    drawn = _pictures(model, batch, pictures)
    axis = 1 if image_format(model) == "channels_first" else -1
    columns = [(each, heat_of(METHODS[each](model, batch, target, **options), axis, signed)) for each in methods]
    reach = (-1, 1) if signed else (0, 1)
    return _rows(drawn, columns, titles, path, title, reach, DIVERGING if signed else HEAT)


def plot_grad_cam(
    model: Any,
    images: Any,
    target: Any = None,
    layer: Place | None = None,
    path: str | os.PathLike[str] | None = None,
    pictures: Any = None,
    titles: Sequence[Any] | None = None,
    title: str | None = None,
    opacity: float = 0.7,
    **options: Any,
) -> Any:
    """Draw where in images a class was seen, over the images: a row for each image.

    Args:
        model: a model of images with convolutions.
        images: images as the model takes them, a batch or one.
        target: the class to explain, one for each image, or ``None`` for the highest.
        layer: whose feature maps; default the last.
        path: file to write, its format from its ending; ``None`` to write none.
        pictures: what to draw as the images, where the model takes them in a range that is none of a picture.
        titles: a text above each image.
        title: a line above all.
        opacity: of the warmest colour over the image.
        options: more arguments of ``lamina.inspection.grad_cam``.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: there is no such layer, or there are more than 32 images.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_grad_cam(lamina.applications.LeNet(), lamina.ones((2, 28, 28, 1)), target=3)
        >>> len(figure.axes)
        6
    """
    if not 0 <= opacity <= 1:
        raise ArgumentError(f"opacity is from 0 to 1; got {opacity!r}.")
    batch = _batch(model, images)
    drawn = _pictures(model, batch, pictures)
    heat = grad_cam(model, batch, target, layer, **options)
    return _rows(drawn, [("Grad-CAM", heat), ("over the image", heat)], titles, path, title, (0, 1), HEAT, opacity)


def _batch(model: Any, images: Any) -> np.ndarray:
    """Images with an axis for the batch and one for channels."""
    batch = np.asarray(with_batch(model, images))
    if batch.dtype.kind in "USO" or batch.ndim != 4:
        what = f"shape {batch.shape}" if batch.dtype.kind not in "USO" else repr(images)[:80]
        raise ShapeError(f"Images are (n, height, width, channels), as model {model.name!r} takes them; got {what}.")
    return batch


def _pictures(model: Any, batch: np.ndarray, pictures: Any) -> list[np.ndarray]:
    """What is drawn as the images."""
    drawn = as_images(batch, image_format(model)) if pictures is None else as_images(pictures, "channels_last")
    if len(drawn) != len(batch):
        raise ShapeError(f"There are {len(batch)} images and {len(drawn)} pictures; give one for each.")
    if len(drawn) > MOST:
        raise ArgumentError(f"At most {MOST} images are drawn, got {len(drawn)}.")
    return drawn


def _rows(
    pictures: list[np.ndarray],
    columns: Sequence[tuple[str, np.ndarray]],
    titles: Sequence[Any] | None,
    path: Any,
    title: str | None,
    reach: tuple[float, float],
    cmap: str,
    opacity: float | None = None,
) -> Any:
    """A row for each image: itself, and its maps, the last over the image if there is an opacity.

    Two rows stand side by side where there are many.
    """
    count, width = len(pictures), 1 + len(columns)
    if titles is not None and len(titles) != count:
        raise ArgumentError(f"There are {count} images and {len(titles)} titles; give one for each.")
    beside = 2 if count > 3 and width <= 3 else 1
    side = float(np.clip(9 / (width * beside), 1.1, 2.2))
    high = side * max(p.shape[0] / p.shape[1] for p in pictures)
    figure, panels = new_grid(-(-count // beside), width * beside, (side, high), PURPOSE, lines=1, heading=bool(title))
    used = 0
    for number, picture in enumerate(pictures):
        row, first = number // beside, number % beside * width
        block = panels[row, first : first + width]
        show(block[0], picture, limits(pictures), GREY)
        above = "" if titles is None else str(titles[number])
        block[0].set_title(above, fontsize=fitting(above, side, 9), pad=3)
        for k, (name, maps) in enumerate(columns):
            panel = block[1 + k]
            over = opacity is not None and k == len(columns) - 1
            if over:
                show(panel, picture, limits(pictures), GREY)
            extent = (-0.5, picture.shape[1] - 0.5, picture.shape[0] - 0.5, -0.5)
            alpha = (opacity or 0) * np.clip(maps[number], 0, 1) ** 0.5 if over else None
            panel.imshow(maps[number], cmap=cmap, vmin=reach[0], vmax=reach[1], alpha=alpha, extent=extent,
                         interpolation="nearest" if maps[number].shape[0] < 64 else "bilinear")  # fmt: skip
            if row == 0:
                panel.set_title(name.replace("_", " "), fontsize=fitting(name, side, 9), pad=3)
        used = first + width
    for panel in panels[-1, used:]:
        panel.remove()
    return finish(figure, path, title)


def plot_maximized_activations(
    model: Any,
    layer: Place | None = None,
    channels: Sequence[int] | np.ndarray | int = range(8),
    path: str | os.PathLike[str] | None = None,
    columns: int | None = None,
    titles: Sequence[Any] | None = None,
    title: str | None = None,
    **options: Any,
) -> Any:
    """Draw the images that channels of a layer, or classes, answer to most.

    Args:
        model: a model of images.
        layer: whose output; default the model's.
        channels: of the layer, units, or classes.
        path: file to write, its format from its ending; ``None`` to write none.
        columns: images in a row.
        titles: a text above each image; default the numbers of the channels.
        title: a line above all.
        options: more arguments of ``lamina.inspection.maximize_activation``: ``steps``, ``value_range``, ...

    Returns:
        The matplotlib ``Figure``.

    Raises:
        ArgumentError: the model has no such layer or channel, or does not take images.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import lamina
        >>> figure = plot_maximized_activations(lamina.applications.LeNet(), channels=[0, 1], steps=2)
        >>> [panel.get_title() for panel in figure.axes]
        ['0', '1']
    """
    wanted = np.atleast_1d(np.asarray(channels))
    images = maximize_activation(model, layer, wanted, **options)
    first = image_format(model) == "channels_first"
    low, high = (np.asarray(v, np.float32) for v in options.get("value_range", (0.0, 1.0)))
    scaled = ((np.moveaxis(images, 1, -1) if first else images) - low) / (high - low)
    names = [str(n) for n in wanted] if titles is None else titles
    return plot_images(scaled, names, columns, path, title, (0.0, 1.0), "channels_last")
