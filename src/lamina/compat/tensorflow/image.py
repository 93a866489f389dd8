"""``tf.image``: sizes, flips and colours of images ``(height, width, channels)`` or batches of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina import ops as _ops
from lamina import random as _random
from lamina.compat.tensorflow._convert import convert_to_tensor, static
from lamina.compat.tensorflow.random import _key
from lamina.core import dtypes as _dtypes
from lamina.core.errors import ArgumentError, ShapeError


class ResizeMethod:
    """Names of ways to make an image of another size."""

    BILINEAR = "bilinear"
    NEAREST_NEIGHBOR = "nearest"
    BICUBIC = "bicubic"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"


def _images(images: Any) -> Any:
    images = convert_to_tensor(images)
    if images.ndim not in (3, 4):
        raise ShapeError(f"Images have shape (height, width, channels), batches one more size; got {images.shape}.")
    return images


def resize(images: Any, size: Any, method: str = "bilinear", antialias: bool = False, name: str | None = None) -> Any:
    """Images of another size (float32, but for the method "nearest").

    Raises:
        ArgumentError: ``antialias`` is asked for.
    """
    if antialias:
        raise ArgumentError("image.resize: antialias=True is not supported.")
    images = _images(images)
    batch = images if images.ndim == 4 else _ops.expand_dims(images, 0)
    batch = batch if method == "nearest" else _ops.astype(batch, "float32")
    result = _nn.resize(batch, tuple(static(size)), method)
    return result if images.ndim == 4 else result[0]


def flip_left_right(image: Any) -> Any:
    """Mirrored, left for right."""
    return _ops.flip(_images(image), -2)


def flip_up_down(image: Any) -> Any:
    """Mirrored, up for down."""
    return _ops.flip(_images(image), -3)


def transpose(image: Any, name: str | None = None) -> Any:
    """Mirrored at the diagonal."""
    return _ops.swapaxes(_images(image), -3, -2)


def rot90(image: Any, k: int = 1, name: str | None = None) -> Any:
    """Turned ``k`` times by 90 degrees against the clock."""
    image = _images(image)
    for _ in range(k % 4):
        image = _ops.flip(_ops.swapaxes(image, -3, -2), -3)
    return image


def random_flip_left_right(image: Any, seed: Any = None) -> Any:
    """Mirrored left for right, or not; each image of a batch by its own chance."""
    image = _images(image)
    return _ops.where(_random.bernoulli((*image.shape[:-3], 1, 1, 1), key=_key(seed)), flip_left_right(image), image)


def random_flip_up_down(image: Any, seed: Any = None) -> Any:
    """Mirrored up for down, or not; each image of a batch by its own chance."""
    image = _images(image)
    return _ops.where(_random.bernoulli((*image.shape[:-3], 1, 1, 1), key=_key(seed)), flip_up_down(image), image)


# --- parts --------------------------------------------------------------------------------------------
def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """The rectangle that begins at the offsets.

    Raises:
        ArgumentError: it does not lie in the image.
    """
    image = _images(image)
    height, width = image.shape[-3:-1]
    if min(offset_height, offset_width) < 0 or offset_height + target_height > height or (
        offset_width + target_width > width
    ):
        raise ArgumentError(f"crop_to_bounding_box: the rectangle does not lie in an image of {height} x {width}.")
    return image[..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :]


def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Any:
    """Zeros around, so that the image begins at the offsets of a larger one.

    Raises:
        ArgumentError: the image does not fit.
    """
    image = _images(image)
    below = target_height - offset_height - image.shape[-3]
    right = target_width - offset_width - image.shape[-2]
    if min(offset_height, offset_width, below, right) < 0:
        raise ArgumentError(f"pad_to_bounding_box: an image of shape {image.shape} does not fit there.")
    lead = [(0, 0)] * (image.ndim - 3)
    return _ops.pad(image, [*lead, (offset_height, below), (offset_width, right), (0, 0)])


def central_crop(image: Any, central_fraction: float) -> Any:
    """The middle of the image, so large a share of its height and width.

    Raises:
        ArgumentError: the share is not in (0, 1].
    """
    if not 0 < central_fraction <= 1:
        raise ArgumentError(f"central_crop takes a share in (0, 1], got {central_fraction}.")
    image = _images(image)
    height, width = image.shape[-3:-1]
    top, left = (int((n - n * central_fraction) / 2) for n in (height, width))
    return crop_to_bounding_box(image, top, left, height - 2 * top, width - 2 * left)


def random_crop(value: Any, size: Any, seed: Any = None, name: str | None = None) -> Any:
    """A part of this size from a random place.

    Raises:
        ShapeError: the tensor is smaller.
    """
    value, size = convert_to_tensor(value), tuple(static(size))
    if len(size) != value.ndim or any(s > n for s, n in zip(size, value.shape)):
        raise ShapeError(f"random_crop: a part of size {size} does not lie in shape {value.shape}.")
    key = _key(seed)
    starts = [_random.randint((), 0, n - s + 1, key=key) for s, n in zip(size, value.shape, strict=True)]
    return _ops.dynamic_slice(value, _ops.stack(starts), size)


def resize_with_pad(image: Any, target_height: int, target_width: int, method: str = "bilinear") -> Any:
    """As large as fits without being stretched, with zeros around."""
    image = _images(image)
    height, width = image.shape[-3:-1]
    ratio = max(height / target_height, width / target_width)
    size = int(np.floor(height / ratio)), int(np.floor(width / ratio))
    targets = ((target_height, height), (target_width, width))
    top, left = (max(0, int(np.floor((target - n / ratio) / 2))) for target, n in targets)
    return pad_to_bounding_box(resize(image, size, method), top, left, target_height, target_width)


def resize_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Any:
    """The middle of the image, or zeros around it."""
    image = _images(image)
    height, width = image.shape[-3:-1]
    top, left = max((height - target_height) // 2, 0), max((width - target_width) // 2, 0)
    image = crop_to_bounding_box(image, top, left, min(height, target_height), min(width, target_width))
    above, before = max((target_height - height) // 2, 0), max((target_width - width) // 2, 0)
    return pad_to_bounding_box(image, above, before, target_height, target_width)


# --- numbers and colours ------------------------------------------------------------------------------
def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Any:
    """In another dtype, scaled: floats go from 0 to 1, integers from 0 to the dtype's largest number."""
    image, dtype = convert_to_tensor(image), _dtypes.as_dtype(dtype)
    if image.dtype == dtype:
        return image
    if _dtypes.is_float(dtype):
        if _dtypes.is_float(image.dtype):
            return _ops.astype(image, dtype)
        return _ops.multiply(_ops.astype(image, dtype), 1 / np.iinfo(image.dtype).max)
    top = np.iinfo(dtype).max
    if _dtypes.is_float(image.dtype):
        scaled = _ops.multiply(image, top + 0.5)
        return _ops.astype(_ops.clip(scaled, np.iinfo(dtype).min, top) if saturate else scaled, dtype)
    up = (np.iinfo(dtype).max + 1) / (np.iinfo(image.dtype).max + 1)
    if up > 1:
        return _ops.multiply(_ops.astype(image, dtype), int(up))
    return _ops.astype(_ops.floor_divide(image, int(1 / up)), dtype)


def adjust_brightness(image: Any, delta: Any) -> Any:
    """A number added to every pixel of a float image."""
    image = convert_to_tensor(image)
    if not _dtypes.is_float(image.dtype):
        return convert_image_dtype(
            adjust_brightness(convert_image_dtype(image, "float32"), delta), image.dtype, saturate=True
        )
    return _ops.add(image, delta)


def adjust_contrast(images: Any, contrast_factor: Any) -> Any:
    """The distance of every pixel from its channel's mean multiplied."""
    images = _images(images)
    if not _dtypes.is_float(images.dtype):
        return convert_image_dtype(
            adjust_contrast(convert_image_dtype(images, "float32"), contrast_factor), images.dtype, saturate=True
        )
    mean = _ops.mean(images, axis=(-3, -2), keepdims=True)
    return _ops.add(_ops.multiply(_ops.subtract(images, mean), contrast_factor), mean)


def random_brightness(image: Any, max_delta: float, seed: Any = None) -> Any:
    """A random number between ``-max_delta`` and ``max_delta`` added to every pixel."""
    return adjust_brightness(image, _random.uniform((), -max_delta, max_delta, key=_key(seed)))


def random_contrast(image: Any, lower: float, upper: float, seed: Any = None) -> Any:
    """``adjust_contrast`` with a random factor between the bounds.

    Raises:
        ArgumentError: the bounds are not ``0 <= lower < upper``.
    """
    if not 0 <= lower < upper:
        raise ArgumentError(f"random_contrast takes 0 <= lower < upper; got {lower} and {upper}.")
    return adjust_contrast(image, _random.uniform((), lower, upper, key=_key(seed)))


def adjust_gamma(image: Any, gamma: float = 1, gain: float = 1) -> Any:
    """``gain * image ** gamma`` of pixels between 0 and 1."""
    image = convert_to_tensor(image)
    if not _dtypes.is_float(image.dtype):
        floats = convert_image_dtype(image, "float32")
        return convert_image_dtype(adjust_gamma(floats, gamma, gain), image.dtype, saturate=True)
    return _ops.multiply(gain, _ops.pow(image, gamma))


def psnr(a: Any, b: Any, max_val: float, name: str | None = None) -> Any:
    """The peak signal to noise ratio of pairs of images, in decibels."""
    a, b = _images(a), _images(b)
    top = convert_image_dtype(_ops.as_tensor(max_val, dtype=a.dtype), "float32")
    a, b = (convert_image_dtype(x, "float32") for x in (a, b))
    error = _ops.mean(_ops.square(_ops.subtract(a, b)), axis=(-3, -2, -1))
    return _ops.subtract(_ops.multiply(20, _ops.log10(top)), _ops.multiply(10, _ops.log10(error)))


def per_image_standardization(image: Any) -> Any:
    """Mean 0 and deviation 1 over each image; the deviation counts as at least ``1 / sqrt(pixels)``."""
    image = _ops.astype(_images(image), "float32")
    axes = (-3, -2, -1)
    count = image.shape[-3] * image.shape[-2] * image.shape[-1]
    spread = _ops.maximum(_ops.std(image, axis=axes, keepdims=True), count**-0.5)
    return _ops.divide(_ops.subtract(image, _ops.mean(image, axis=axes, keepdims=True)), spread)


def grayscale_to_rgb(images: Any, name: str | None = None) -> Any:
    """Three equal channels."""
    return _ops.repeat(_images(images), 3, axis=-1)


def rgb_to_grayscale(images: Any, name: str | None = None) -> Any:
    """One channel: 0.2989 red, 0.587 green, 0.114 blue."""
    images = _images(images)
    floats = convert_image_dtype(images, "float32")
    gray = _ops.sum(_ops.multiply(floats, _ops.as_tensor([0.2989, 0.587, 0.114])), axis=-1, keepdims=True)
    return convert_image_dtype(gray, images.dtype)
