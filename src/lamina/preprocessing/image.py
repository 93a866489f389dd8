"""Images as files, as arrays, and as batches that differ in every epoch."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from lamina.core.optional import require
from lamina.layers.preprocessing.image import centre, scaled_part
from lamina.ops.pool import data_format_of
from lamina.ops.resize import resize
from lamina.preprocessing.image_generator import ImageDataGenerator, ImageIterator
from lamina.tensor import Tensor, Variable

__all__ = [
    "ImageDataGenerator",
    "ImageIterator",
    "array_to_img",
    "img_to_array",
    "load_img",
    "save_img",
    "smart_resize",
]

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _pillow(purpose: str) -> Any:
    return require("PIL.Image", "images", purpose)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: Any = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """An image from a file, as Pillow holds it.

    Args:
        path: where it is, or ``io.BytesIO`` with its content.
        color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"`` (which leaves 16 and 32 bits as they are).
        target_size: ``(height, width)``, or ``None`` for its own.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"hamming"``, ``"box"`` or ``"lanczos"``.
        keep_aspect_ratio: whether to cut off margins rather than distort.

    Returns:
        A ``PIL.Image.Image``.

    Raises:
        ArgumentError: there is no such colour mode or interpolation.
        DataError: the file holds no image.
        MissingExtraError: Pillow is not installed.

    Example:
        >>> import io, lamina.preprocessing.image as images
        >>> file = io.BytesIO()
        >>> images.save_img(file, [[[0.0], [128.0]], [[255.0], [0.0]]], file_format="png", scale=False)
        >>> images.img_to_array(images.load_img(file, color_mode="grayscale"))[..., 0].tolist()
        [[0.0, 128.0], [255.0, 0.0]]
    """
    pillow = _pillow("reading images")
    if color_mode not in MODES:
        raise ArgumentError(f'color_mode must be "grayscale", "rgb", or "rgba"; got {color_mode!r}.')
    if not isinstance(path, io.BytesIO | str | bytes | os.PathLike):
        raise ArgumentTypeError(f"path should be path-like or io.BytesIO, not {type(path)}")
    try:
        file = path if isinstance(path, io.BytesIO) else io.BytesIO(Path(os.fsdecode(path)).read_bytes())
        image = pillow.open(file)
        keeps = color_mode == "grayscale" and image.mode in ("L", "I;16", "I")
        image = image if keeps or image.mode == MODES[color_mode] else image.convert(MODES[color_mode])
        image.load()
    except (pillow.UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"{path!r} holds no image that can be read: {error}") from error
    return image if target_size is None else _fitted(pillow, image, target_size, interpolation, keep_aspect_ratio)


def _fitted(pillow: Any, image: Any, size: Any, interpolation: str, keep_aspect_ratio: bool) -> Any:
    height, width = size
    if image.size == (width, height):
        return image
    if interpolation not in INTERPOLATIONS:
        raise ArgumentError(
            f"Invalid interpolation method {interpolation} specified. "
            f"Supported methods are {', '.join(INTERPOLATIONS)}."
        )
    box = None
    if keep_aspect_ratio:
        columns, rows = image.size
        part = min(rows, columns * height // width), min(columns, rows * width // height)
        top, left = (rows - part[0]) // 2, (columns - part[1]) // 2
        box = (left, top, left + part[1], top + part[0])
    return image.resize((width, height), getattr(pillow.Resampling, interpolation.upper()), box=box)


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """An image as an array with three axes.

    Args:
        img: an image of Pillow, or an array of two or three axes.
        data_format: ``"channels_last"`` or ``"channels_first"``; default that of ``lamina.config``.
        dtype: default ``lamina.config.floatx()``.

    Returns:
        shape ``(rows, columns, channels)``, or with the channels first.

    Raises:
        ShapeError: there are fewer or more axes.
    """
    first = data_format_of("img_to_array", data_format) == "channels_first"
    array = np.asarray(img, dtype=dtype if dtype is not None else config.floatx())
    if array.ndim not in (2, 3):
        raise ShapeError(f"Unsupported image shape: {array.shape}. It has two or three axes.")
    array = array[..., None] if array.ndim == 2 else array
    return array.transpose(2, 0, 1) if first else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array as an image of Pillow.

    Args:
        x: one image with 1, 3 or 4 channels.
        data_format: ``"channels_last"`` or ``"channels_first"``; default that of ``lamina.config``.
        scale: whether to stretch its values to 0 to 255.
        dtype: in which to compute; default ``lamina.config.floatx()``.

    Returns:
        A ``PIL.Image.Image``.

    Raises:
        ShapeError: it has not three axes, or another number of channels.
        MissingExtraError: Pillow is not installed.
    """
    pillow = _pillow("making images")
    first = data_format_of("array_to_img", data_format) == "channels_first"
    x = np.asarray(x, dtype=dtype if dtype is not None else config.floatx())
    if x.ndim != 3:
        raise ShapeError(f"Expected image array to have rank 3 (single image). Got array with shape: {x.shape}")
    x = x.transpose(1, 2, 0) if first else x
    if x.shape[2] not in (1, 3, 4):
        raise ShapeError(f"Unsupported channel number: {x.shape[2]}. Images have 1, 3 or 4.")
    if scale:
        x = x - x.min()
        x = x * (255 / x.max() if x.max() != 0 else 1)
    if x.shape[2] == 1:
        return pillow.fromarray(x[:, :, 0].astype("int32" if x.max() > 255 else "uint8"))
    return pillow.fromarray(np.ascontiguousarray(x).astype("uint8"))


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Write an array as an image.

    Args:
        path: where to, or a file object.
        x: one image, see ``array_to_img``.
        data_format: ``"channels_last"`` or ``"channels_first"``; default that of ``lamina.config``.
        file_format: ``"png"``, ``"jpeg"`` and so on; default by the ending of the name.
        scale: whether to stretch its values to 0 to 255.
        kwargs: for Pillow's ``save``.
    """
    if file_format is None and isinstance(path, str | os.PathLike):
        file_format = Path(path).suffix[1:].lower()
    if file_format is not None and file_format.lower() == "jpg":
        file_format = "jpeg"
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and file_format == "jpeg":
        warnings.warn("The JPEG format does not support RGBA images, converting to RGB.", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=file_format, **kwargs)


def smart_resize(
    x: Any, size: Any, interpolation: str = "bilinear", data_format: str | None = "channels_last", **kwargs: Any
) -> Any:
    """Images of another size that are not distorted: what does not fit into the new proportions is cut off.

    Args:
        x: an image or a batch of them.
        size: ``(height, width)``.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        kwargs: ``backend_module``, accepted for Keras's sake.

    Returns:
        A Tensor if ``x`` is one, else an array.

    Raises:
        ShapeError: ``x`` has not three or four axes.
        ArgumentError: ``size`` is no pair.

    Example:
        >>> import numpy as np
        >>> from lamina.preprocessing.image import smart_resize
        >>> smart_resize(np.zeros((340, 500, 3), np.float32), (200, 200)).shape
        (200, 200, 3)
    """
    if set(kwargs) - {"backend_module"}:
        raise ArgumentTypeError(f"smart_resize() got unexpected keyword arguments: {list(kwargs)}")
    if len(size) != 2:
        raise ArgumentError(f"Expected `size` to be a tuple of 2 integers, but got: {size}.")
    images = ops.as_tensor(x)
    if images.ndim not in (3, 4):
        raise ShapeError(
            "Expected an image array with shape `(height, width, channels)`, or `(batch_size, height, width, "
            f"channels)`, but got input with incorrect rank, of shape {images.shape}."
        )
    single, first = images.ndim == 3, data_format_of("smart_resize", data_format) == "channels_first"
    images = ops.expand_dims(images, axis=0) if single else images
    images = ops.moveaxis(images, 1, -1) if first else images
    size = (int(size[0]), int(size[1]))
    images = centre(images, *scaled_part(images.shape[1:3], size))
    images = resize(images, size, interpolation, "channels_last")
    images = ops.moveaxis(images, -1, 1) if first else images
    images = images[0] if single else images
    return images if isinstance(x, Tensor | Variable) else np.asarray(images)
