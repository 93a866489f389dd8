"""Values of arrays and images between their elements: coordinates, affine maps, perspective, resizing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.creation import as_tensor

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def _mirrored(i: Any, size: int) -> Any:
    """``d c b | a b c d | c b a``: back from the middle of the outermost elements."""
    last = size - 1
    if last == 0:
        return ops.multiply(i, 0)
    return ops.abs(ops.subtract(ops.remainder(ops.add(i, last), 2 * last), last))


def _inside(i: Any, size: int, mode: str) -> Any:
    """Whole positions brought into ``0 .. size - 1``."""
    if mode == "wrap":
        return ops.remainder(i, size)
    if mode == "mirror":
        return _mirrored(i, size)
    if mode == "reflect":  # d c b a | a b c d | d c b a
        i = ops.remainder(i, 2 * size)
        return ops.minimum(i, ops.subtract(2 * size - 1, i))
    return ops.clip(i, 0, size - 1)


def _axis_choices(position: Any, size: int, order: int, mode: str) -> list[tuple[Any, Any, Any]]:
    """``(whole position, weight, whether it is inside)`` of the one or two elements next to a position."""
    if order == 0:  # halves go away from zero
        near = ops.floor(ops.add(ops.abs(position), 0.5))
        places = [(ops.multiply(near, ops.where(ops.less(position, 0), -1.0, 1.0)), None)]
    else:
        low = ops.floor(position)
        part = ops.subtract(position, low)
        places = [(low, ops.subtract(1, part)), (ops.add(low, 1), part)]
    found = []
    for place, weight in places:
        i = ops.astype(place, "int32")
        valid = ops.logical_and(ops.greater_equal(i, 0), ops.less(i, size)) if mode == "constant" else None
        found.append((_inside(i, size, mode), weight, valid))
    return found


def map_coordinates(
    x: Any, coordinates: Any, order: int = 1, fill_mode: str = "constant", fill_value: float = 0
) -> Any:
    """The values of an array at places between its elements.

    Args:
        x: tensor of n dimensions.
        coordinates: shape (n, ...): for each place its position along each axis.
        order: 0 takes the nearest element, 1 interpolates linearly between the ``2**n`` around.
        fill_mode: what lies outside: ``"constant"``, the ``"nearest"`` element, the array again
            (``"wrap"``), mirrored in its outermost elements (``"mirror"``) or in its edges (``"reflect"``).
        fill_value: the constant.

    Returns:
        shape ``coordinates.shape[1:]``, of the dtype of ``x`` (integers are rounded).

    Raises:
        ArgumentError: an order above 1, or an unknown mode.
        ShapeError: there is not one row of coordinates for each axis.

    Example:
        >>> import lamina
        >>> lamina.ops.sampling.map_coordinates([0.0, 10.0], [[0.25, 1.0]]).tolist()
        [2.5, 10.0]
    """
    x, coordinates = as_tensor(x), ops.elementwise.floating("map_coordinates", coordinates)
    if coordinates.ndim < 1 or coordinates.shape[0] != x.ndim:
        raise ShapeError(
            "map_coordinates: the first dimension of `coordinates` must be the same as the rank of `inputs`. "
            f"Received inputs with shape {x.shape} and coordinates with shape {coordinates.shape}."
        )
    if coordinates.ndim < 2:
        raise ShapeError(
            f"map_coordinates: invalid coordinates rank: expected at least rank 2, got shape {coordinates.shape}."
        )
    if order not in (0, 1):
        raise ArgumentError(f"map_coordinates: order is 0 or 1; got {order}.")
    if fill_mode not in FILL_MODES:
        raise ArgumentError(f"Invalid value for argument `fill_mode`: {fill_mode!r}. Expected one of {FILL_MODES}.")
    wide = x.dtype if dtypes.is_float(x.dtype) and x.dtype.itemsize > 2 else dtypes.float32
    position = ops.astype(coordinates, wide)
    along = [_axis_choices(position[d], n, order, fill_mode) for d, n in enumerate(x.shape)]
    flat = ops.astype(ops.reshape(x, (-1,)), wide)
    total: Any = None
    for choice in itertools.product(*along):
        place: Any = 0
        weight: Any = None
        valid: Any = None
        for (i, w, v), n in zip(choice, x.shape, strict=True):
            place = ops.add(ops.multiply(place, n), i)
            weight = w if weight is None else ops.multiply(weight, w)
            valid = v if valid is None else ops.logical_and(valid, v)
        value = ops.take(flat, place, axis=0)
        if valid is not None:
            value = ops.where(valid, value, fill_value)
        term = value if weight is None else ops.multiply(value, weight)
        total = term if total is None else ops.add(total, term)
    return _back(total, x.dtype)


def _back(x: Any, dtype: Any) -> Any:
    """Cast to a dtype; integers are rounded first."""
    return ops.astype(x if dtypes.is_float(dtype) else ops.round(x), dtype)


def sampled(images: Any, x: Any, y: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """Images ``(batch, rows, columns, channels)`` read at ``(x, y)`` of shape ``(batch, m, n)``."""
    order = {"nearest": 0, "bilinear": 1}[interpolation]
    batch, rows, columns, channels = images.shape
    wide = images.dtype if dtypes.is_float(images.dtype) and images.dtype.itemsize > 2 else dtypes.float32
    alone = channels == 1  # then there is no axis of channels, and pixels of a row lie side by side
    pixels = ops.reshape(ops.astype(images, wide), (-1,) if alone else (batch * rows * columns, channels))

    def spread(v: Any) -> Any:
        return v if alone else ops.expand_dims(v, -1)

    first = ops.reshape(ops.multiply(ops.arange(batch, dtype="int32"), rows * columns), (batch, 1, 1))
    total: Any = None
    for (i, v, iv), (j, w, jv) in itertools.product(
        _axis_choices(y, rows, order, fill_mode), _axis_choices(x, columns, order, fill_mode)
    ):
        value = ops.take(pixels, ops.add(ops.add(ops.multiply(i, columns), j), first), axis=0)
        if iv is not None:
            value = ops.where(spread(ops.logical_and(iv, jv)), value, fill_value)
        term = value if v is None else ops.multiply(value, spread(ops.astype(ops.multiply(v, w), wide)))
        total = term if total is None else ops.add(total, term)
    return _back(ops.expand_dims(total, -1) if alone else total, images.dtype)


def image_batch(name: str, images: Any, data_format: str) -> tuple[Any, Callable[[Any], Any]]:
    """Images as ``(batch, rows, columns, channels)``, and what brings a result back to the form they came in.

    Raises:
        ShapeError: they have neither 3 nor 4 dimensions.
    """
    images = as_tensor(images)
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"{name}: Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received input with shape: images.shape={images.shape}"
        )
    if data_format not in ("channels_last", "channels_first"):
        raise ArgumentError(f"{name}: data_format is 'channels_last' or 'channels_first'; got {data_format!r}.")
    single, first = images.ndim == 3, data_format == "channels_first"
    images = ops.expand_dims(images, 0) if single else images
    images = ops.permute_dims(images, (0, 2, 3, 1)) if first else images

    def back(found: Any) -> Any:
        found = ops.moveaxis(found, 3, 1) if first else found
        return ops.squeeze(found, 0) if single else found

    return images, back


def one_of(argument: str, value: str, allowed: Sequence[str]) -> None:
    """Raise unless an argument has one of the allowed values."""
    if value not in allowed:
        raise ArgumentError(f"Invalid value for argument `{argument}`: {value!r}. Expected of one {set(allowed)}.")


def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str = "channels_last",
) -> Any:
    """Images whose pixel ``(x, y)`` shows what lies at ``(a x + b y + c, d x + e y + f) / (g x + h y + 1)``.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        transform: the numbers a to h, shape (8,), or (batch, 8).
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode, fill_value: what lies outside; see ``map_coordinates``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    one_of("interpolation", interpolation, ("nearest", "bilinear"))
    one_of("fill_mode", fill_mode, FILL_MODES)
    transform = ops.elementwise.floating("affine_transform", transform)
    images, back = image_batch("affine_transform", images, data_format)
    if transform.ndim not in (1, 2) or transform.shape[-1] != 8:
        raise ShapeError(
            "Invalid transform rank: expected rank 1 (single transform) or rank 2 (batch of transforms), of 8 "
            f"numbers. Received input with shape: transform.shape={transform.shape}"
        )
    batch, rows, columns, _ = images.shape
    matrix = ops.broadcast_to(ops.reshape(transform, (-1, 8)), (batch, 8))
    x, y = _moved(matrix, rows, columns)
    return back(sampled(images, x, y, interpolation, fill_mode, fill_value))


def _moved(matrix: Any, rows: int, columns: int) -> tuple[Any, Any]:
    """Where each pixel is to be read, by eight numbers for each image; shape (batch, rows, columns)."""
    dtype = matrix.dtype if matrix.dtype.itemsize > 2 else np.dtype(np.float32)
    a, b, c, d, e, f, g, h = (ops.reshape(ops.astype(matrix[:, i], dtype), (-1, 1, 1)) for i in range(8))
    y, x = (as_tensor(v.astype(dtype)) for v in np.indices((rows, columns)))
    down = ops.add(ops.add(ops.multiply(g, x), ops.multiply(h, y)), 1)
    across = ops.add(ops.add(ops.multiply(a, x), ops.multiply(b, y)), c)
    along = ops.add(ops.add(ops.multiply(d, x), ops.multiply(e, y)), f)
    return ops.divide(across, down), ops.divide(along, down)


def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str = "channels_last",
) -> Any:
    """Images seen from elsewhere: what is at four points moves to four others.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        start_points: ``(x, y)`` of four points, shape (4, 2), or (batch, 4, 2).
        end_points: where they go, of the same shape.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_value: what lies outside.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    one_of("interpolation", interpolation, ("nearest", "bilinear"))
    start, end = ops.elementwise.floating_operands(start_points, end_points)
    for name, points in (("start_points", start), ("end_points", end)):
        if points.ndim not in (2, 3) or points.shape[-2:] != (4, 2):
            raise ShapeError(
                f"Invalid {name} shape: expected (4,2) for a single image or (N,4,2) for a batch. "
                f"Received shape: {points.shape}"
            )
    if start.shape != end.shape:
        raise ShapeError(f"start_points {start.shape} and end_points {end.shape} must have the same shape.")
    images, back = image_batch("perspective_transform", images, data_format)
    batch, rows, columns, _ = images.shape
    source = ops.broadcast_to(ops.reshape(start, (-1, 4, 2)), (batch, 4, 2))
    target = ops.broadcast_to(ops.reshape(end, (-1, 4, 2)), (batch, 4, 2))
    u, v, x, y = source[..., 0], source[..., 1], target[..., 0], target[..., 1]
    one, zero = ops.ones_like(x), ops.zeros_like(x)
    upper = ops.stack([x, y, one, zero, zero, zero, -(u * x), -(u * y)], axis=-1)
    lower = ops.stack([zero, zero, zero, x, y, one, -(v * x), -(v * y)], axis=-1)
    matrix = ops.concat([upper, lower], axis=1)
    known = ops.expand_dims(ops.concat([u, v], axis=1), -1)
    numbers = ops.squeeze(ops.linalg.solve(matrix, known), -1)
    x_read, y_read = _moved(numbers, rows, columns)
    return back(sampled(images, x_read, y_read, interpolation, "constant", fill_value))


def displaced(images: Any, dx: Any, dy: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """Images ``(batch, rows, columns, channels)`` whose pixel ``(x, y)`` shows what is at ``(x + dx, y + dy)``."""
    y, x = (as_tensor(v.astype(np.float32)) for v in np.indices(images.shape[1:3]))
    return sampled(images, ops.add(x, dx), ops.add(y, dy), interpolation, fill_mode, fill_value)


# --- scaling ----------------------------------------------------------------------------------------------
def _weights(inputs: int, outputs: int, scale: Any, translation: Any, kernel: Any, antialias: bool) -> Any:
    """``(inputs, outputs)``: how much each old element counts for each new one."""
    _, shape = kernel
    inverse = ops.divide(1, scale)
    spread = ops.maximum(inverse, 1) if antialias else ops.ones_like(inverse)
    centre = as_tensor((np.arange(outputs) + 0.5).astype(inverse.dtype))
    place = ops.subtract(ops.multiply(ops.subtract(centre, translation), inverse), 0.5)
    old = as_tensor(np.arange(inputs).astype(inverse.dtype)[:, None])
    weight = shape(ops.divide(ops.abs(ops.subtract(place, old)), spread))
    total = ops.sum(weight, axis=0, keepdims=True)
    solid = ops.greater(ops.abs(total), 1000 * float(np.finfo(np.float32).eps))
    weight = ops.where(solid, ops.divide(weight, ops.where(solid, total, 1)), 0)
    inside = ops.logical_and(ops.greater_equal(place, -0.5), ops.less_equal(place, inputs - 0.5))
    return ops.where(inside, weight, 0)


def _triangle(t: Any) -> Any:
    return ops.maximum(ops.subtract(1, t), 0)


def _cubic(t: Any) -> Any:
    """Keys's cubic convolution with a = -1/2."""
    near = ((1.5 * t - 2.5) * t) * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return ops.where(t < 1, near, ops.where(t < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    return lambda t: ops.where(t < radius, ops.sinc(t) * ops.sinc(t / radius), 0)


_KERNELS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "linear": (1, _triangle),
    "bilinear": (1, _triangle),
    "trilinear": (1, _triangle),
    "cubic": (2, _cubic),
    "bicubic": (2, _cubic),
    "tricubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}


def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Any:
    """Arrays scaled and moved along some axes: what is at ``p`` goes to ``p * scale + translation``.

    Args:
        images: tensor.
        output_shape: the shape of the result.
        scale, translation: one number for each of ``spatial_dims``.
        spatial_dims: the axes.
        method: ``"linear"``, ``"cubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        antialias: smooth before an axis is made smaller.
    """
    one_of("method", method, tuple(_KERNELS))
    x = ops.elementwise.floating("scale_and_translate", images)
    dtype, x = x.dtype, ops.astype(x, dtypes.float32) if x.dtype.itemsize == 2 else x
    scale, translation = (ops.astype(as_tensor(v), x.dtype) for v in (scale, translation))
    for i, axis in enumerate(spatial_dims):
        axis = ops.shape.normalize_axis("scale_and_translate", axis, x.ndim)
        weight = _weights(x.shape[axis], output_shape[axis], scale[i], translation[i], _KERNELS[method], antialias)
        x = ops.moveaxis(ops.matmul(ops.moveaxis(x, axis, -1), weight), -1, axis)
    return ops.astype(x, dtype)


def resized(images: Any, size: tuple[int, int], interpolation: str, antialias: bool) -> Any:
    """Images ``(batch, rows, columns, channels)`` of another size; integers are rounded."""
    shrinks = any(m < n for m, n in zip(size, images.shape[1:3], strict=True))
    if interpolation == "nearest" or not (antialias and shrinks):
        found = ops.resize.resize(images, size, interpolation, "channels_last")
    else:
        scale = [m / n for m, n in zip(size, images.shape[1:3], strict=True)]
        shape = (images.shape[0], *size, images.shape[3])
        found = scale_and_translate(images, shape, scale, [0.0, 0.0], (1, 2), interpolation, True)
    if found.dtype == images.dtype:
        return found
    return ops.saturate_cast(found if dtypes.is_float(images.dtype) else ops.round(found), images.dtype)
