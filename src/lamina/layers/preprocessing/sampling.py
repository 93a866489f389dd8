"""Where the pixels of moved images are read, and where points go: affine maps and perspective."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.ops.sampling import sampled

FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def grid(rows: int, columns: int) -> tuple[Any, Any]:
    """The ``x`` and the ``y`` of every pixel, float32 of shape ``(rows, columns)``."""
    y, x = np.indices((rows, columns)).astype(np.float32)
    return x, y


def affine(images: Any, matrix: Any, fill_mode: str, fill_value: Any, interpolation: str) -> Any:
    """Images whose pixel ``(x, y)`` is what lies at ``(a * x + b * y + c, d * x + e * y + f)`` in the input.

    Args:
        images: ``(batch, rows, columns, channels)``.
        matrix: ``(batch, 6)``: the numbers ``a`` to ``f``.
        fill_mode: what lies outside: ``"constant"``, ``"nearest"``, ``"reflect"`` or ``"wrap"``.
        fill_value: for ``"constant"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
    """
    x, y = grid(*images.shape[1:3])
    a, b, c, d, e, f = (ops.reshape(matrix[:, i], (-1, 1, 1)) for i in range(6))
    return sampled(images, a * x + b * y + c, d * x + e * y + f, interpolation, fill_mode, fill_value)


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
