"""Pieces of images: windows as columns, windows put back, blocks of pixels as channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import bind
from lamina.ops.creation import as_tensor
from lamina.ops.indexing import SCATTER_ADD
from lamina.ops.pool import same_padding, sizes_of


def _pair(name: str, argument: str, value: Any, least: int = 1) -> tuple[int, ...]:
    return sizes_of(name, argument, value, 2, least)


def _window_places(
    size: tuple[int, ...], kernel: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...]
) -> np.ndarray:
    """Flat places in an image of ``size``: shape (pixels of the window, windows)."""
    counts = []
    for n, k, d, s in zip(size, kernel, dilation, stride, strict=True):
        room = n - d * (k - 1) - 1
        if room < 0:
            raise ShapeError(f"A window of {kernel} pixels, dilated by {dilation}, does not fit into {size}.")
        counts.append(room // s + 1)
    place = np.zeros((1, 1), np.int64)
    for n, k, d, s, c in zip(size, kernel, dilation, stride, counts, strict=True):
        along = np.arange(k)[:, None] * d + np.arange(c)[None] * s
        place = (place[:, None, :, None] * n + along[None, :, None, :]).reshape(place.shape[0] * k, place.shape[1] * c)
    return place


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns.

    Args:
        x: shape (batch, channels, rows, columns).
        kernel_size, dilation, stride: of the window, an int or a pair.
        padding: zeros on each side, an int or a pair.

    Returns:
        shape (batch, channels * rows * columns of a window, windows).

    Example:
        >>> import lamina
        >>> x = lamina.reshape(lamina.arange(9), (1, 1, 3, 3))
        >>> lamina.ops.patches.unfold(x, 2)[0, :, 0].tolist()
        [0, 1, 3, 4]
    """
    x = as_tensor(x)
    if x.ndim != 4:
        raise ShapeError(f"unfold takes (batch, channels, rows, columns); got shape {x.shape}.")
    kernel, spread, step = (
        _pair("unfold", n, v) for n, v in (("kernel_size", kernel_size), ("dilation", dilation), ("stride", stride))
    )
    room = _pair("unfold", "padding", padding, 0)
    x = ops.pad(x, [(0, 0), (0, 0), (room[0], room[0]), (room[1], room[1])])
    batch, channels = x.shape[:2]
    places = _window_places(x.shape[2:], kernel, spread, step)
    found = ops.take(ops.reshape(x, (batch, channels, -1)), places, axis=2)
    return ops.reshape(found, (batch, channels * places.shape[0], places.shape[1]))


def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows as columns put back into images; where they overlap they add up.

    Args:
        x: shape (batch, channels * rows * columns of a window, windows).
        output_size: rows and columns of the images.
        kernel_size, dilation, padding, stride: as in ``unfold``.

    Returns:
        shape (batch, channels, rows, columns).
    """
    x = as_tensor(x)
    if x.ndim != 3:
        raise ShapeError(f"fold takes (batch, numbers of a window, windows); got shape {x.shape}.")
    size = _pair("fold", "output_size", output_size)
    kernel, spread, step = (
        _pair("fold", n, v) for n, v in (("kernel_size", kernel_size), ("dilation", dilation), ("stride", stride))
    )
    room = _pair("fold", "padding", padding, 0)
    wide = (size[0] + 2 * room[0], size[1] + 2 * room[1])
    places = _window_places(wide, kernel, spread, step)
    batch, numbers, windows = x.shape
    if numbers % places.shape[0] or windows != places.shape[1]:
        raise ShapeError(
            f"fold: {places.shape[1]} windows of {kernel} pixels make an image of {size}; got shape {x.shape}."
        )
    channels = numbers // places.shape[0]
    columns = ops.reshape(x, (batch, channels, *places.shape))
    start = ops.zeros((batch, channels, wide[0] * wide[1]), x.dtype)
    found = ops.reshape(bind(SCATTER_ADD, start, as_tensor(places), columns, axis=2), (batch, channels, *wide))
    return found[:, :, room[0] : room[0] + size[0], room[1] : room[1] + size[1]]


def extract_patches(
    images: Any, size: Any, strides: Any = None, dilation_rate: Any = 1, padding: str = "valid", rank: int = 2
) -> Any:
    """The windows of images, each as one row of numbers.

    Args:
        images: shape (batch, *spatial, channels), or without the batch.
        size: of the window, an int or one for each spatial dimension.
        strides: distance of windows; default the size.
        dilation_rate: distance of pixels within a window.
        padding: ``"valid"`` or ``"same"`` (zeros).
        rank: number of spatial dimensions.

    Returns:
        shape (batch, *windows, numbers of a window), the channels varying fastest.
    """
    images = as_tensor(images)
    if images.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"extract_patches takes {rank + 2} dimensions, or {rank + 1} for one image; got shape {images.shape}."
        )
    if images.ndim == rank + 1:
        whole = ops.expand_dims(images, 0)
        return ops.squeeze(extract_patches(whole, size, strides, dilation_rate, padding, rank), 0)
    if padding not in ("valid", "same"):
        raise ArgumentError(f"padding is 'valid' or 'same'; got {padding!r}.")
    kernel = sizes_of("extract_patches", "size", size, rank)
    step = kernel if strides is None else sizes_of("extract_patches", "strides", strides, rank)
    spread = sizes_of("extract_patches", "dilation_rate", dilation_rate, rank)
    if padding == "same":
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, spread, strict=True)]
        widths = [same_padding(n, r, s) for n, r, s in zip(images.shape[1:-1], reach, step, strict=True)]
        images = ops.pad(images, [(0, 0), *widths, (0, 0)])
    spatial = images.shape[1:-1]
    places = _window_places(spatial, kernel, spread, step).T  # (windows, pixels)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(spatial, kernel, spread, step, strict=True)]
    batch, channels = images.shape[0], images.shape[-1]
    found = ops.take(ops.reshape(images, (batch, -1, channels)), places, axis=1)
    return ops.reshape(found, (batch, *counts, places.shape[1] * channels))


def space_to_depth(x: Any, block_size: int) -> Any:
    """Blocks of pixels as channels: shape (batch, h, w, c) becomes (batch, h / b, w / b, b * b * c).

    Raises:
        ShapeError: the image does not divide into blocks.

    Example:
        >>> import lamina
        >>> lamina.ops.patches.space_to_depth(lamina.reshape(lamina.arange(4), (1, 2, 2, 1)), 2).tolist()
        [[[[0, 1, 2, 3]]]]
    """
    x = as_tensor(x)
    batch, rows, columns, channels = x.shape
    if rows % block_size or columns % block_size:
        raise ShapeError(f"space_to_depth: {rows} x {columns} pixels do not divide into blocks of {block_size}.")
    blocks = ops.reshape(x, (batch, rows // block_size, block_size, columns // block_size, block_size, channels))
    joined = ops.permute_dims(blocks, (0, 1, 3, 2, 4, 5))
    return ops.reshape(joined, (batch, rows // block_size, columns // block_size, block_size**2 * channels))


def depth_to_space(x: Any, block_size: int) -> Any:
    """Channels as blocks of pixels, the inverse of ``space_to_depth``.

    Raises:
        ShapeError: the channels do not make blocks.
    """
    x = as_tensor(x)
    batch, rows, columns, channels = x.shape
    if channels % block_size**2:
        raise ShapeError(f"depth_to_space: {channels} channels do not make blocks of {block_size} x {block_size}.")
    blocks = ops.reshape(x, (batch, rows, columns, block_size, block_size, channels // block_size**2))
    joined = ops.permute_dims(blocks, (0, 1, 3, 2, 4, 5))
    return ops.reshape(joined, (batch, rows * block_size, columns * block_size, channels // block_size**2))
