"""Layers that spread the values of images over their range: stretched, or equalised by histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.color import rescaled
from lamina.layers.preprocessing.image_layer import ImageLayer, value_pair
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


class _Spread(ImageLayer):
    """Base: values of a known range."""

    def __init__(self, value_range: Sequence[float] = (0, 255), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = value_pair(value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": list(self.value_range)}


@_register
class AutoContrast(_Spread):
    """Stretches the values of each channel of each image over the whole range; a channel of one value stays.

    Args:
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.AutoContrast()([[[10.0], [20.0], [15.0]]])[0, :, 0].tolist()
        [0.0, 255.0, 127.5]
    """

    always = True

    def apply(self, images: Any, transformation: Any) -> Any:
        low, high = self.value_range
        least, most = (f(images, axis=(1, 2), keepdims=True) for f in (ops.min, ops.max))
        flat = ops.equal(least, most)
        stretched = (images - least) / ops.where(flat, 1.0, most - least) * (high - low) + low
        return ops.where(flat, images, ops.clip(stretched, low, high))


def _counts(bins: Any, groups: int, size: int) -> Any:
    """How often each of ``size`` bins occurs in each group: float32 ``(groups, size)``.

    ``bins`` are ints ``(groups, pixels)``.
    """
    starts = ops.reshape(ops.arange(groups, dtype="int32") * size, (groups, 1))
    numbers = ops.ravel(bins + starts)
    ones = ops.ones(numbers.shape, dtype="float32")
    return ops.reshape(ops.segment_sum(ones, numbers, groups * size), (groups, size))


@_register
class Equalization(_Spread):
    """In training, spreads the values of each channel so that all are about equally frequent in the batch.

    Args:
        value_range: lowest and highest value of a pixel.
        bins: how many values are told apart.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.Equalization()([[[10.0], [20.0], [15.0]]], training=True)[0, :, 0].tolist()
        [0.0, 255.0, 128.0]
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        bins: int = 256,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, **kwargs)
        self.bins = bins

    def apply(self, images: Any, transformation: Any) -> Any:
        batch, rows, columns, channels = images.shape
        x = ops.astype(rescaled(images, self.value_range, (0.0, 255.0)), "float32")
        x = ops.reshape(ops.moveaxis(x, -1, 0), (channels, batch * rows * columns))
        bins = ops.astype(ops.clip(x / 255.0 * (self.bins - 1), 0.0, self.bins - 1.0), "int32")
        counts = _counts(bins, channels, self.bins)
        total = ops.cumulative_sum(counts, axis=1)
        first = ops.min(ops.where(total > 0, total, float(batch * rows * columns)), axis=1, keepdims=True)
        rest = float(batch * rows * columns) - first
        table = ops.round((total - first) * 255.0 / ops.where(ops.equal(rest, 0.0), 1.0, rest))
        spread = ops.take_along_axis(ops.clip(table, 0.0, 255.0), bins, axis=1)
        several = ops.sum(ops.astype(counts > 0, "int32"), axis=1, keepdims=True) > 1
        spread = ops.moveaxis(ops.reshape(ops.where(several, spread, x), (channels, batch, rows, columns)), 0, -1)
        return rescaled(spread, (0.0, 255.0), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins}


def _neighbours(size: int, tile: int, tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel of an axis: the tiles whose middles are before and after it, and the weight of the latter."""
    place = np.arange(size, dtype=np.float32) / tile - 0.5
    before = np.floor(place)
    after = np.clip(before + 1, 0, tiles - 1).astype(np.int32)
    return np.clip(before, 0, tiles - 1).astype(np.int32), after, (place - before).astype(np.float32)


@_register
class ContrastLimitedAdaptiveHistogramEqualization(_Spread):
    """Equalises the values of each channel within tiles of each image, blended from tile to tile.

    No value may count more than ``clip_limit`` times the mean count of a tile's 256 values; what is above is spread
    over all values.  So noise in even parts is not blown up.

    Args:
        value_range: lowest and highest value of a pixel.
        clip_limit: the limit; 0 for none.
        tile_grid_size: how many tiles down and across.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2))
        >>> layer(lamina.ones((1, 8, 8, 3))).shape
        (1, 8, 8, 3)
    """

    always = True

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, data_format, **kwargs)
        if len(tuple(tile_grid_size)) != 2 or min(tile_grid_size) < 1:
            raise ArgumentError(f"`tile_grid_size` is a pair of positive numbers; got {tile_grid_size}.")
        self.clip_limit, self.tile_grid_size = clip_limit, tuple(tile_grid_size)

    def apply(self, images: Any, transformation: Any) -> Any:
        batch, rows, columns, channels = images.shape
        down, across = self.tile_grid_size
        height, width = -(-rows // down), -(-columns // across)
        x = ops.clip(ops.astype(rescaled(images, self.value_range, (0.0, 255.0)), "float32"), 0.0, 255.0)
        x = self._filled(x, height * down, width * across)
        pixels = ops.astype(x, "int32")
        table = self._tables(pixels, height, width)
        # Each pixel's value in the tables of the four tiles around it.
        (top, bottom, low), (left, right, far) = _neighbours(rows, height, down), _neighbours(columns, width, across)
        shape = (batch, rows, columns, channels)
        image = ops.reshape(ops.arange(batch, dtype="int32"), (batch, 1, 1, 1)) * (down * across * channels)
        value = pixels[:, :rows, :columns] + (image + ops.arange(channels, dtype="int32")) * 256

        def seen(row: np.ndarray, column: np.ndarray) -> Any:
            tile = (row[:, None] * across + column[None, :]) * (channels * 256)
            return ops.reshape(ops.take(table, ops.ravel(value + tile[None, :, :, None].astype(np.int32))), shape)

        low, far = low[None, :, None, None], far[None, None, :, None]
        above = seen(top, left) * (1 - far) + seen(top, right) * far
        below = seen(bottom, left) * (1 - far) + seen(bottom, right) * far
        return rescaled(above * (1 - low) + below * low, (0.0, 255.0), self.value_range)

    def _filled(self, x: Any, rows: int, columns: int) -> Any:
        """The images with their last rows and columns mirrored, up to whole tiles."""
        for axis, size in ((1, rows), (2, columns)):
            n = x.shape[axis]
            if size > n:
                place = np.arange(size) % (2 * n)
                x = ops.take(x, ops.as_tensor(np.minimum(place, 2 * n - 1 - place)), axis=axis)
        return x

    def _tables(self, pixels: Any, height: int, width: int) -> Any:
        """For each image, tile and channel what its 256 values become, in one row."""
        batch, _, _, channels = pixels.shape
        down, across = self.tile_grid_size
        tiles = ops.reshape(pixels, (batch, down, height, across, width, channels))
        tiles = ops.permute_dims(tiles, (0, 1, 3, 5, 2, 4))
        groups, size = batch * down * across * channels, height * width
        counts = _counts(ops.reshape(tiles, (groups, size)), groups, 256)
        if self.clip_limit > 0:
            kept = ops.minimum(counts, self.clip_limit * size / 256.0)
            counts = kept + ops.sum(counts - kept, axis=1, keepdims=True) / 256.0
        total = ops.cumulative_sum(counts, axis=1)
        first = ops.min(total, axis=1, keepdims=True)
        rest = size - first
        return ops.ravel(ops.clip((total - first) * 255.0 / ops.where(ops.equal(rest, 0.0), 1.0, rest), 0.0, 255.0))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "clip_limit": self.clip_limit,
            "tile_grid_size": list(self.tile_grid_size),
        }
