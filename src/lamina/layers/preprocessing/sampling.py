"""Images read at other places: affine maps, perspective, displaced pixels; and smoothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.ops.conv import depthwise_conv

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def _inside(position: Any, size: int, mode: str) -> Any:
    """A pixel's number brought into ``0 .. size - 1``."""
    if mode == "wrap":
        return ops.remainder(position, size)
    if mode == "reflect":  # d c b a | a b c d | d c b a
        position = ops.remainder(position, 2 * size)
        return ops.minimum(position, 2 * size - 1 - position)
    return ops.clip(position, 0, size - 1)


def grid(rows: int, columns: int) -> tuple[Any, Any]:
    """The ``x`` and the ``y`` of every pixel, float32 of shape ``(rows, columns)``."""
    y, x = np.indices((rows, columns)).astype(np.float32)
    return x, y


def sample(images: Any, across: Any, down: Any, fill_mode: str, fill_value: Any, interpolation: str) -> Any:
    """The values of images at places between their pixels.

    Args:
        images: ``(batch, rows, columns, channels)``.
        across: ``x`` of each place, ``(batch, out_rows, out_columns)``.
        down: ``y`` likewise.
        fill_mode: what lies outside: ``"constant"``, ``"nearest"``, ``"reflect"`` or ``"wrap"``.
        fill_value: the constant.
        interpolation: ``"bilinear"`` or ``"nearest"``.
    """
    batch, rows, columns, channels = images.shape
    flat = ops.reshape(images, (batch * rows * columns, channels))
    starts = ops.reshape(ops.arange(batch, dtype="int32") * (rows * columns), (batch, 1, 1))

    def pixel(row: Any, column: Any) -> Any:
        row, column = ops.astype(row, "int32"), ops.astype(column, "int32")
        place = starts + _inside(row, rows, fill_mode) * columns + _inside(column, columns, fill_mode)
        found = ops.take(flat, place, axis=0)
        if fill_mode != "constant":
            return found
        known = ops.logical_and(ops.logical_and(row >= 0, row < rows), ops.logical_and(column >= 0, column < columns))
        return ops.where(ops.expand_dims(known, axis=-1), found, ops.astype(ops.as_tensor(fill_value), found.dtype))

    if interpolation == "nearest":
        return pixel(ops.round(down), ops.round(across))
    top, left = ops.floor(down), ops.floor(across)
    lower, right = (ops.astype(ops.expand_dims(w, axis=-1), images.dtype) for w in (down - top, across - left))
    above = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right
    below = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right
    return above * (1 - lower) + below * lower


def affine(images: Any, matrix: Any, fill_mode: str, fill_value: Any, interpolation: str) -> Any:
    """Images whose pixel ``(x, y)`` is what lies at ``(a * x + b * y + c, d * x + e * y + f)`` in the input.

    Args:
        images: ``(batch, rows, columns, channels)``.
        matrix: ``(batch, 6)``: the numbers ``a`` to ``f``.
        fill_mode: see ``sample``.
        fill_value: see ``sample``.
        interpolation: see ``sample``.
    """
    x, y = grid(*images.shape[1:3])
    a, b, c, d, e, f = (ops.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6))
    return sample(images, a * x + b * y + c, d * x + e * y + f, fill_mode, fill_value, interpolation)


def inverse_affine(matrix: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Where ``affine`` shows what lies at ``(x, y)`` in the input; each of shape ``(batch, ...)``."""
    shape = (-1, *([1] * (x.ndim - 1)))
    a, b, c, d, e, f = (ops.reshape(matrix[:, i], shape) for i in range(6))
    determinant = a * e - b * d
    x, y = x - c, y - f
    return (e * x - b * y) / determinant, (a * y - d * x) / determinant


# --- perspective ------------------------------------------------------------------------------------
def _cross(a: Any, b: Any) -> Any:
    """Cross products of vectors along the last axis."""
    (a0, a1, a2), (b0, b1, b2) = ([v[..., i] for i in range(3)] for v in (a, b))
    return ops.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


def _basis(points: Any) -> Any:
    """The matrix that takes the corners of the standard projective frame to four points ``(batch, 4, 2)``."""
    ones = ops.ones((*points.shape[:-1], 1), dtype=points.dtype)
    p = ops.concat([points, ones], axis=-1)
    one, two, three, four = (p[:, i] for i in range(4))
    adjugate = ops.stack([_cross(two, three), _cross(three, one), _cross(one, two)], axis=1)
    scale = ops.matmul(adjugate, ops.expand_dims(four, axis=-1))  # (batch, 3, 1)
    return ops.matrix_transpose(p[:, :3] * scale)


def homography(source: Any, target: Any, size: float) -> Any:
    """The 3x3 matrices that take four points to four others: ``(x, y, 1) -> (u w, v w, w)``.

    Args:
        source: ``(batch, 4, 2)``, no three of them on a line.
        target: likewise.
        size: about how large the numbers are; the work is done with numbers around 1.
    """
    a, b = (_basis(ops.astype(p, "float32") / size) for p in (source, target))
    columns = [a[:, :, i] for i in range(3)]
    adjugate = ops.stack([_cross(columns[i], columns[j]) for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)
    scaled = ops.matmul(b, adjugate)
    units = np.array([size, size, 1.0], np.float32)
    return scaled * units[:, None] / units[None, :]


def project(matrix: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The points that a homography takes points to; ``x`` and ``y`` of shape ``(batch or 1, m, n)``."""
    rows = [[ops.reshape(matrix[:, i, j], (-1, 1, 1)) for j in range(3)] for i in range(3)]
    u, v, w = (a * x + b * y + c for a, b, c in rows)
    return u / w, v / w


# --- smoothing --------------------------------------------------------------------------------------
def gaussian(size: int, sigma: Any) -> Any:
    """Weights ``exp(-(i - centre)² / (2 sigma²))`` that add up to 1, shape ``(size,)``."""
    places = np.arange(size, dtype=np.float32) - (size - 1) / 2
    sigma = ops.maximum(ops.astype(ops.as_tensor(sigma), "float32"), 1e-6)
    weights = ops.exp(-0.5 * ops.square(places / sigma))
    return weights / ops.sum(weights)


def blur(images: Any, sizes: tuple[int, int], sigma: Any) -> Any:
    """Images smoothed by Gaussian weights, zeros outside.

    Args:
        images: ``(batch, rows, columns, channels)``.
        sizes: columns and rows of the weights.
        sigma: their widths across and down, shape ``(2,)``.
    """
    channels = images.shape[-1]
    for size, shape, place in ((sizes[0], (1, -1), 0), (sizes[1], (-1, 1), 1)):
        weights = ops.reshape(ops.astype(gaussian(size, sigma[place]), images.dtype), (*shape, 1, 1))
        kernel = ops.broadcast_to(weights, (*weights.shape[:2], channels, 1))
        images = depthwise_conv(images, kernel, 1, "same", data_format="channels_last")
    return images
