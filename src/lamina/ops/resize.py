"""Resizing images, by the nearest pixel or by interpolation between pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import wrap
from lamina.ops.band import weighted_sums
from lamina.ops.creation import as_tensor
from lamina.ops.pool import data_format_of, sizes_of, spatial_axes

Kernel = Callable[[np.ndarray], np.ndarray]


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(t))


def _cubic(t: np.ndarray) -> np.ndarray:
    """Keys's cubic convolution with a = -1/2."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _lanczos(radius: int) -> Kernel:
    return lambda t: np.where(np.abs(t) < radius, np.sinc(t) * np.sinc(t / radius), 0.0)


# name -> how many pixels on either side count, and their weight by distance
KERNELS: dict[str, tuple[int, Kernel]] = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
INTERPOLATIONS = ("nearest", *KERNELS)


def resize(x: Any, size: Any, interpolation: str = "bilinear", data_format: str | None = None) -> Any:
    """Images of another size.  Pixel ``i`` of ``m`` stands at ``(i + 1/2) n / m - 1/2`` of the ``n`` old ones.

    Args:
        x: ``(batch, *spatial, channels)``, with 1 to 3 spatial dimensions.
        size: the new size, an int or one for each spatial dimension.
        interpolation: ``"nearest"``, ``"bilinear"`` (linear along each dimension), ``"bicubic"``,
            ``"lanczos3"`` or ``"lanczos5"``.  No smoothing is done before an image is made smaller.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Returns:
        a tensor of ``x``'s dtype (float32 if integers are interpolated).

    Example:
        >>> import lamina
        >>> x = lamina.reshape([0.0, 1.0], (1, 2, 1))
        >>> lamina.nn.resize(x, 4)[0, :, 0].tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    x = as_tensor(x)
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(f"resize: interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}.")
    axes = spatial_axes(x.ndim, data_format_of("resize", data_format))
    if not 1 <= len(axes) <= 3:
        raise ShapeError(f"resize takes (batch, *spatial, channels); got shape {x.shape}.")
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"resize: shape {x.shape} has no pixels to make others from.")
    if interpolation != "nearest" and not dtypes.is_float(x.dtype):
        x = ops.astype(x, "float32")
    for axis, count in zip(axes, sizes_of("resize", "size", size, len(axes)), strict=True):
        n = x.shape[axis]
        if n == count:
            continue
        if interpolation == "nearest":
            x = _nearest(x, axis, count)
        else:
            x = _interpolate(x, axis, count, *KERNELS[interpolation])
    return x


def _nearest(x: Any, axis: int, count: int) -> Any:
    n = x.shape[axis]
    if count % n == 0:
        return _repeat(x, axis, count // n)
    places = np.minimum(np.floor((np.arange(count) + 0.5) * (n / count)).astype(np.int64), n - 1)
    if dtypes.is_float(x.dtype):
        return weighted_sums(x, places[:, None], np.ones((count, 1)), axis)
    return ops.take(x, wrap(places), axis=axis)


def _repeat(x: Any, axis: int, times: int) -> Any:
    """Each element ``times`` times, by broadcasting, which moves nothing until somebody reads it."""
    shape = x.shape
    wide = ops.broadcast_to(ops.expand_dims(x, axis + 1), (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return ops.reshape(wide, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _interpolate(x: Any, axis: int, count: int, radius: int, kernel: Kernel) -> Any:
    """A weighted sum of the ``2 * radius`` pixels around each new one; those outside do not count."""
    n = x.shape[axis]
    position = (np.arange(count) + 0.5) * (n / count) - 0.5
    first = np.floor(position).astype(np.int64) - radius + 1
    places = [first + i for i in range(2 * radius)]
    weights = [np.where((p >= 0) & (p < n), kernel(position - p), 0.0) for p in places]
    used = [w.any() for w in weights]
    table = np.stack(weights, axis=1)[:, used] / np.sum(weights, axis=0)[:, None]
    return weighted_sums(x, np.clip(np.stack(places, axis=1)[:, used], 0, n - 1), table, axis)


def upsample(x: Any, size: Any = 2, interpolation: str = "nearest", data_format: str | None = None) -> Any:
    """Images ``size`` times as large.

    Args:
        x: ``(batch, *spatial, channels)``, with 1 to 3 spatial dimensions.
        size: the factor, an int or one for each spatial dimension.
        interpolation: as in ``resize``; ``"nearest"`` repeats each pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.nn.upsample(lamina.reshape([1.0, 2.0], (1, 2, 1)))[0, :, 0].tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    x = as_tensor(x)
    axes = spatial_axes(x.ndim, data_format_of("upsample", data_format))
    factors = sizes_of("upsample", "size", size, max(len(axes), 1))
    return resize(x, [x.shape[a] * f for a, f in zip(axes, factors, strict=False)], interpolation, data_format)
