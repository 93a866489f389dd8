"""Grids of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import config
from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.plotting.figures import GREY, finish, fitting, new_grid

PURPOSE = "drawing images"
MOST = 400


def plot_images(
    images: Any,
    titles: Sequence[Any] | None = None,
    columns: int | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    value_range: tuple[float, float] | None = None,
    data_format: str | None = None,
    cmap: str = GREY,
) -> Any:
    """Draw images in a grid.

    Args:
        images: ``(n, height, width)`` in grey, ``(n, height, width, channels)`` with 1, 3 or 4 channels, one image
            without ``n``, or a list of images of any sizes.  Tensors and arrays; uint8 from 0 to 255, floats
            from 0 to 1, bools.
        titles: a short text above each image.
        columns: images in a row; default about as many columns as rows, and at most 10.
        path: file to write, its format from its ending; ``None`` to write none.
        title: a line above all.
        value_range: the values for black and white.  Default 0 and 255 of integers, 0 and 1 of floats between
            them, and the least and greatest of all images for other floats.
        data_format: ``"channels_last"`` or ``"channels_first"``; default ``lamina.config.image_data_format()``.
        cmap: matplotlib's name of the colours for images with one channel.

    Returns:
        The matplotlib ``Figure``, its axes the images in their order.

    Raises:
        ShapeError: these are no images.
        ArgumentError: there is none, there are more than 400, or not as many titles as images.
        MissingExtraError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> figure = plot_images(np.eye(28)[None].repeat(6, 0), titles="abcdef", columns=3)
        >>> [panel.get_title() for panel in figure.axes]
        ['a', 'b', 'c', 'd', 'e', 'f']
    """
    pictures = as_images(images, data_format)
    if not 1 <= len(pictures) <= MOST:
        some = " Draw a part of them: plot_images(images[:100])." if pictures else ""
        raise ArgumentError(f"plot_images draws 1 to {MOST} images, got {len(pictures)}.{some}")
    if titles is not None and len(titles) != len(pictures):
        raise ArgumentError(f"There are {len(pictures)} images and {len(titles)} titles; give one for each.")
    if columns is None:
        columns = min(10, int(np.ceil(np.sqrt(len(pictures)))))
    if isinstance(columns, bool) or not isinstance(columns, int | np.integer) or columns < 1:
        raise ArgumentError(f"columns is the number of images in a row, at least 1; got {columns!r}.")
    columns = min(int(columns), len(pictures))
    low, high = limits(pictures) if value_range is None else value_range
    if not low < high:
        raise ArgumentError(f"value_range is (black, white) with black < white; got {value_range!r}.")

    names = [""] * len(pictures) if titles is None else [str(name) for name in titles]
    lines = max(name.count("\n") + 1 if name else 0 for name in names)
    width = float(np.clip(9 / columns, 0.55, 2.4))
    height = width * max(p.shape[0] / p.shape[1] for p in pictures)
    figure, panels = new_grid(-(-len(pictures) // columns), columns, (width, height), PURPOSE, lines, bool(title))
    longest = max((line for name in names for line in name.split("\n")), key=len)
    size = fitting(longest, width + 0.04, 9 if width > 1 else 8)
    for panel, picture, name in zip(panels.flat, pictures, names, strict=False):
        show(panel, picture, (low, high), cmap)
        panel.set_title(name, fontsize=size, pad=3)
    for panel in panels.flat[len(pictures) :]:
        panel.remove()
    return finish(figure, path, title)


def show(panel: Any, picture: np.ndarray, value_range: tuple[float, float], cmap: str = GREY) -> Any:
    """Draw one image ``(height, width)`` or ``(height, width, channels)``: small ones as pixels, large ones smooth."""
    low, high = value_range
    smooth = "antialiased" if min(picture.shape[:2]) < 64 else "bilinear"
    if picture.ndim == 3 and picture.shape[-1] in (3, 4):
        scaled = np.clip((picture.astype(np.float64) - low) / (high - low), 0, 1)
        return panel.imshow(scaled, interpolation=smooth)
    grey = picture[..., 0] if picture.ndim == 3 else picture
    return panel.imshow(grey, cmap=cmap, vmin=low, vmax=high, interpolation=smooth)


def as_images(images: Any, data_format: str | None = None) -> list[np.ndarray]:
    """Images, channels last, as a list of arrays with two or three axes; NaN and infinities become 0.

    Raises:
        ShapeError: they have other axes, or no 1, 3 or 4 channels.
        ArgumentError: the data format is unknown.
    """
    data_format = config.image_data_format() if data_format is None else data_format
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(f"data_format is 'channels_last' or 'channels_first'; got {data_format!r}.")
    last = data_format == "channels_last"
    if isinstance(images, list | tuple):
        arrays = [_array(image) for image in images]
        if any(a.ndim < 2 for a in arrays):  # one image as nested lists
            arrays = [_array(np.asarray(images))]
    else:
        whole = _array(images)
        one = whole.ndim == 2 or (whole.ndim == 3 and whole.shape[-1 if last else 0] in (1, 3, 4))
        arrays = [whole] if one else list(whole) if whole.ndim in (3, 4) else [np.empty(whole.shape[1:])]
    found = []
    for array in arrays:
        if array.ndim == 3 and not last:
            array = array.transpose(1, 2, 0)
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 3, 4)) or not array.size:
            shape = array.shape if last or array.ndim != 3 else (array.shape[-1], *array.shape[:2])
            raise ShapeError(
                f"An image is (height, width) or, {data_format.replace('_', ' ')}, has 1, 3 or 4 channels; got shape "
                f"{shape}. Many images are (n, height, width) or (n, height, width, channels); say "
                "data_format='channels_first' where channels come before height and width."
            )
        found.append(array)
    return found


def _array(image: Any) -> np.ndarray:
    array = np.asarray(image)
    if array.dtype.kind in "USO":
        raise ArgumentTypeError(f"Images are arrays of numbers, all of one shape or in a list; got {image!r:.80}.")
    if array.dtype.kind not in "biuf":
        array = array.astype(np.float32)  # bfloat16
    return np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0) if array.dtype.kind == "f" else array


def limits(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """The values for black and white."""
    if all(p.dtype.kind == "b" for p in pictures):
        return 0.0, 1.0
    if all(p.dtype == np.uint8 for p in pictures):
        return 0.0, 255.0
    low, high = float(min(p.min() for p in pictures)), float(max(p.max() for p in pictures))
    if pictures[0].dtype.kind != "f":
        return (0.0, 255.0) if low >= 0 and high <= 255 else (low, high)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if low < high else (low - 0.5, low + 0.5)

