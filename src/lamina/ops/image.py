"""Images as tensors: sizes and edges, colours, filters, patches, similarity."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops import patches, sampling
from lamina.ops.conv import depthwise_conv
from lamina.ops.creation import as_tensor
from lamina.ops.elementwise import floating
from lamina.ops.resize import INTERPOLATIONS
from lamina.ops.sampling import affine_transform as affine_transform
from lamina.ops.sampling import image_batch, one_of
from lamina.ops.sampling import map_coordinates as map_coordinates
from lamina.ops.sampling import perspective_transform as perspective_transform
from lamina.ops.sampling import scale_and_translate as scale_and_translate


# --- sizes ------------------------------------------------------------------------------------------------
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str = "channels_last",
) -> Any:
    """Images of another size.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        size: rows and columns of the result.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        antialias: smooth before images are made smaller.
        crop_to_aspect_ratio: first take the largest part in the middle that has the proportions of ``size``.
        pad_to_aspect_ratio: first put images in the middle of the smallest frame of these proportions.
        fill_mode: how that frame is filled: ``"constant"``.
        fill_value: with what.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        the resized images in their dtype; integers are rounded.

    Example:
        >>> import lamina
        >>> lamina.ops.image.resize(lamina.ones((4, 4, 3)), (2, 6)).shape
        (2, 6, 3)
    """
    if len(size) != 2:
        raise ArgumentError(f"Expected `size` to be a tuple of 2 integers. Received: size={size}")
    if any(int(n) <= 0 for n in size):
        raise ArgumentError(f"`size` must have positive height and width. Received: size={size}")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("Only one of `crop_to_aspect_ratio` & `pad_to_aspect_ratio` can be `True`.")
    one_of("interpolation", interpolation, INTERPOLATIONS)
    if fill_mode != "constant":
        raise ArgumentError(f"Invalid value for argument `fill_mode`: {fill_mode!r}. Expected 'constant'.")
    images, back = image_batch("resize", images, data_format)
    height, width = (int(n) for n in size)
    rows, columns = images.shape[1:3]
    if crop_to_aspect_ratio:
        h = max(min(rows, int(columns * height / width)), 1)
        w = max(min(columns, int(rows * width / height)), 1)
        top, left = (rows - h) // 2, (columns - w) // 2
        images = images[:, top : top + h, left : left + w]
    elif pad_to_aspect_ratio:
        h, w = max(rows, int(columns * height / width)), max(columns, int(rows * width / height))
        top, left = (h - rows) // 2, (w - columns) // 2
        images = ops.pad(images, [(0, 0), (top, top), (left, left), (0, 0)], constant_values=fill_value)
    return back(sampling.resized(images, (height, width), interpolation, antialias))


def _edges(name: str, what: str, near: Any, far: Any, target: Any, size: int, grow: bool) -> tuple[int, int]:
    """What is added to (taken from) both sides, of which two of three were given."""
    if sum(v is None for v in (near, far, target)) != 1:
        raise ArgumentError(f"{name}: Must specify exactly two of {what}; got {near}, {far} and {target}.")
    if target is not None and target < 0:
        raise ArgumentError(f"{name}: {what.split(', ')[2]} must be >= 0. Received: {target}")
    change = None if target is None else (target - size if grow else size - target)
    near = change - far if near is None else near
    far = change - near if far is None else far
    if near < 0 or far < 0:
        first, second, _ = what.split(", ")
        wrong, value = (first, near) if near < 0 else (second, far)
        raise ArgumentError(f"{name}: {wrong} must be >= 0. Received: {value} (target {target}, size {size})")
    return int(near), int(far)


def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str = "channels_last",
) -> Any:
    """Images with zeros around them.  Of top, bottom and target height two are given; likewise across.

    Raises:
        ArgumentError: one or three are given, or an image is larger than its target.
    """
    images, back = image_batch("pad_images", images, data_format)
    rows, columns = images.shape[1:3]
    down = "top_padding, bottom_padding, target_height"
    across = "left_padding, right_padding, target_width"
    heights = _edges("pad_images", down, top_padding, bottom_padding, target_height, rows, True)
    widths = _edges("pad_images", across, left_padding, right_padding, target_width, columns, True)
    return back(ops.pad(images, [(0, 0), heights, widths, (0, 0)]))


def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str = "channels_last",
) -> Any:
    """Images without their edges.  Of top, bottom and target height two are given; likewise across.

    Raises:
        ArgumentError: one or three are given, or nothing is left.
    """
    images, back = image_batch("crop_images", images, data_format)
    rows, columns = images.shape[1:3]
    down = "top_cropping, bottom_cropping, target_height"
    across = "left_cropping, right_cropping, target_width"
    top, bottom = _edges("crop_images", down, top_cropping, bottom_cropping, target_height, rows, False)
    left, right = _edges("crop_images", across, left_cropping, right_cropping, target_width, columns, False)
    if top + bottom >= rows or left + right >= columns:
        raise ArgumentError(f"crop_images: nothing is left of {rows} x {columns} pixels (target_height, target_width).")
    return back(images[:, top : rows - bottom, left : columns - right])


# --- colours ------------------------------------------------------------------------------------------------
def _channels(name: str, images: Any, data_format: str) -> tuple[Any, int]:
    images = as_tensor(images)
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"{name}: Invalid images rank: expected rank 3 (single image) or rank 4 (batch of images). "
            f"Received: images.shape={images.shape}"
        )
    axis = -1 if data_format == "channels_last" else -3
    if images.shape[axis] != 3:
        raise ShapeError(
            f"{name}: Invalid channel size: expected 3 (RGB). Input images must have 3 channels, but received images "
            f"with {images.shape[axis]} channels. Received: images.shape={images.shape}"
        )
    return images, axis


def rgb_to_grayscale(images: Any, data_format: str = "channels_last") -> Any:
    """The brightness of colours: ``0.2989 red + 0.5870 green + 0.1140 blue``, as one channel.

    Example:
        >>> import lamina
        >>> lamina.ops.image.rgb_to_grayscale(lamina.ones((2, 2, 3))).shape
        (2, 2, 1)
    """
    images = as_tensor(images)
    own = images.shape[-1 if data_format == "channels_last" else -3] if images.ndim in (3, 4) else 3
    if own == 1:
        return images
    if own != 3:
        raise ShapeError(f"Invalid channel size: expected 3 (RGB) or 1 (Grayscale). Received: {images.shape}")
    images, axis = _channels("rgb_to_grayscale", images, data_format)
    dtype = images.dtype
    weights = np.array([0.2989, 0.5870, 0.1140], np.float32).reshape(-1, *(1,) * (-1 - axis))
    wide = ops.multiply(ops.astype(images, "float32" if dtype.itemsize <= 4 else "float64"), weights)
    return ops.astype(ops.sum(wide, axis=axis, keepdims=True), dtype)


def rgb_to_hsv(images: Any, data_format: str = "channels_last") -> Any:
    """Red, green and blue from 0 to 1 as hue, saturation and value from 0 to 1.

    Raises:
        ArgumentError: the images are no floats.
    """
    images, axis = _channels("rgb_to_hsv", images, data_format)
    _floats("rgb_to_hsv", images)
    r, g, b = ops.unstack(images, axis)
    value = ops.maximum(ops.maximum(r, g), b)
    spread = ops.subtract(value, ops.minimum(ops.minimum(r, g), b))
    saturation = ops.divide_no_nan(spread, value)
    gray = ops.equal(spread, 0)
    unit = ops.where(gray, 1, spread)
    hue = ops.where(
        ops.equal(value, r),
        ops.divide(ops.subtract(g, b), unit),
        ops.where(
            ops.equal(value, g),
            ops.add(ops.divide(ops.subtract(b, r), unit), 2),
            ops.add(ops.divide(ops.subtract(r, g), unit), 4),
        ),
    )
    hue = ops.where(gray, 0, ops.remainder(ops.divide(hue, 6), 1))
    return ops.stack([hue, saturation, value], axis=axis)


def hsv_to_rgb(images: Any, data_format: str = "channels_last") -> Any:
    """Hue, saturation and value from 0 to 1 as red, green and blue from 0 to 1.

    Raises:
        ArgumentError: the images are no floats.
    """
    images, axis = _channels("hsv_to_rgb", images, data_format)
    _floats("hsv_to_rgb", images)
    hue, saturation, value = ops.unstack(images, axis)
    parts = []
    for start in (5, 3, 1):
        k = ops.remainder(ops.add(ops.multiply(hue, 6), start), 6)
        ramp = ops.clip(ops.minimum(k, ops.subtract(4, k)), 0, 1)
        parts.append(ops.subtract(value, ops.multiply(ops.multiply(value, saturation), ramp)))
    return ops.stack(parts, axis=axis)


def _floats(name: str, images: Any) -> None:
    if not ops.creation.dtypes.is_float(images.dtype):
        raise ArgumentError(
            f"{name}: Invalid images dtype: expected float dtype. Received: images.dtype={images.dtype}"
        )


# --- filters --------------------------------------------------------------------------------------------------
def _gaussian(size: int, sigma: Any, dtype: Any) -> Any:
    """Weights ``exp(-(i - centre)**2 / (2 sigma**2))`` that add up to 1."""
    place = as_tensor((np.arange(size) - (size - 1) / 2).astype(np.float32))
    weight = ops.exp(ops.multiply(ops.square(ops.divide(place, sigma)), -0.5))
    return ops.astype(ops.divide(weight, ops.sum(weight)), dtype)


def _sizes(kernel_size: Any) -> list[int]:
    return [int(n) for n in (np.asarray(kernel_size) if hasattr(kernel_size, "dtype") else kernel_size)]


def _separate(images: Any, down: Any, across: Any, padding: str) -> Any:
    """Each channel convolved with a column and a row of weights."""
    channels = images.shape[-1]
    for weights, shape in ((down, (-1, 1, 1, 1)), (across, (1, -1, 1, 1))):
        window = ops.reshape(weights, shape)
        window = ops.broadcast_to(window, (*window.shape[:2], channels, 1))
        images = depthwise_conv(images, window, 1, padding, data_format="channels_last")
    return images


def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str = "channels_last"
) -> Any:
    """Images smoothed by Gaussian weights, with zeros outside.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        kernel_size: columns and rows of the weights.
        sigma: their standard deviation across and down.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    images, back = image_batch("gaussian_blur", images, data_format)
    dtype = images.dtype
    x = floating("gaussian_blur", images)
    sigma = ops.astype(as_tensor(sigma), "float32")
    across, down = (_gaussian(n, sigma[i], x.dtype) for i, n in enumerate(_sizes(kernel_size)))
    return back(ops.astype(_separate(x, down, across, "same"), dtype))


def sobel_edges(images: Any, data_format: str = "channels_last") -> Any:
    """The slopes of images, downwards and to the right, by Sobel's weights, with zeros outside.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        the shape of the images and a last axis of two: slopes down, slopes across.
    """
    images, _ = image_batch("sobel_edges", images, data_format) if as_tensor(images).ndim == 4 else (images, None)
    if as_tensor(images).ndim != 4:
        raise ShapeError(
            f"Invalid images rank: expected rank 4 (batch of images). Received: images.shape={as_tensor(images).shape}"
        )
    x = floating("sobel_edges", images)
    smooth, slope = (as_tensor(np.array(w, np.float32).astype(x.dtype)) for w in ([1, 2, 1], [-1, 0, 1]))
    found = ops.stack([_separate(x, slope, smooth, "same"), _separate(x, smooth, slope, "same")], axis=-1)
    return ops.moveaxis(found, 3, 1) if data_format == "channels_first" else found


def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str = "channels_last",
) -> Any:
    """The structural similarity of images: 1 if they are equal.

    Args:
        image1, image2: shape (batch, rows, columns, channels), or without the batch.
        max_val: the range of their values.
        filter_size, filter_sigma: of the Gaussian window in which statistics are taken.
        k1, k2: constants that keep the quotients finite.
        data_format: ``"channels_last"`` or ``"channels_first"``.

    Returns:
        shape (batch,).

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    one, two = ops.elementwise.floating_operands(image1, image2)
    if one.shape != two.shape:
        raise ShapeError(f"Input images must have the same shape. Received: {one.shape} and {two.shape}.")
    if one.ndim == 3:
        first_image, second_image = ops.expand_dims(one, 0), ops.expand_dims(two, 0)
        found = ssim(first_image, second_image, max_val, filter_size, filter_sigma, k1, k2, data_format)
        return ops.squeeze(found, 0)
    if one.ndim != 4:
        raise ShapeError(f"Input images must have rank 3 or 4. Received: image1.shape={one.shape}")
    if data_format == "channels_first":
        one, two = ops.moveaxis(one, 1, -1), ops.moveaxis(two, 1, -1)
    if min(one.shape[1:3]) < filter_size:
        raise ShapeError(f"ssim: images of shape {one.shape} are smaller than the window of {filter_size} pixels.")
    weights = _gaussian(filter_size, filter_sigma, one.dtype)

    def window(x: Any) -> Any:
        return _separate(x, weights, weights, "valid")

    first, second = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean1, mean2 = window(one), window(two)
    both = mean1 * mean2
    squares = ops.square(mean1) + ops.square(mean2)
    luminance = (2 * both + first) / (squares + first)
    shared = window(one * two) - both
    spread = window(ops.square(one) + ops.square(two)) - squares
    structure = (2 * shared + second) / (spread + second)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


# --- patches ----------------------------------------------------------------------------------------------------
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
) -> Any:
    """The windows of images, each as one pixel of many channels; see ``lamina.ops.patches``.

    Args:
        images: shape (batch, rows, columns, channels), or without the batch.
        size: rows and columns of a window; three numbers take volumes.
        strides: distance of windows; default the size.
        dilation_rate: distance of pixels within a window.
        padding: ``"valid"`` or ``"same"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
    """
    if not isinstance(size, int | tuple | list):
        raise TypeError(
            f"Invalid `size` argument. Expected an int or a tuple of length 2 or 3. Received: size={size} "
            f"of type {type(size).__name__}"
        )
    if isinstance(size, tuple | list) and len(size) == 3:
        return extract_patches_3d(images, size, strides, dilation_rate, padding, data_format)
    return _patches(images, size, strides, dilation_rate, padding, data_format, 2)


def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
) -> Any:
    """The windows of volumes; see ``extract_patches``."""
    return _patches(volumes, size, strides, dilation_rate, padding, data_format, 3)


def _patches(x: Any, size: Any, strides: Any, dilation: Any, padding: str, data_format: str, rank: int) -> Any:
    if isinstance(size, tuple | list) and len(size) != rank:
        raise TypeError(f"Invalid `size` argument. Expected a tuple of length {rank}; got {size}.")
    x = as_tensor(x)
    first = data_format == "channels_first"
    x = ops.moveaxis(x, x.ndim - rank - 1, -1) if first else x
    found = patches.extract_patches(x, size, strides, dilation, padding, rank)
    return ops.moveaxis(found, -1, found.ndim - rank - 1) if first else found
