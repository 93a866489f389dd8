"""Images of another size or part: ``Resizing``, ``CenterCrop``, ``RandomCrop``; and how all image layers see images."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops, random
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.core import _positive
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.pool import data_format_of
from lamina.ops.resize import KERNELS, resize
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class ImageLayer(Layer):
    """Base: subclasses implement ``transform(images, training)`` on float images ``(batch, rows, columns, channels)``.

    One image without a batch, channels first and integer pixels are brought to that form and back.
    """

    autocast = False

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.built = True

    def transform(self, images: Any, training: bool) -> Any:
        """The images changed."""
        raise NotImplementedError(f"{type(self).__name__} does not implement transform(images, training).")

    def call(self, inputs: Any, training: bool = True) -> Tensor:
        x = ops.as_tensor(inputs)
        if x.ndim not in (3, 4):
            raise ShapeError(f"expected an image or a batch of images, 3 or 4 dimensions; got shape {x.shape}.")
        x = ops.astype(x, self.compute_dtype)
        single = x.ndim == 3
        x = ops.expand_dims(x, axis=0) if single else x
        first = self.data_format == "channels_first"
        x = self.transform(ops.moveaxis(x, 1, -1) if first else x, bool(training))
        x = ops.moveaxis(x, -1, 1) if first else x
        return x[0] if single else x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(self, inputs: Any, training: Any = None) -> Any:  # type: ignore[override]
        return SymbolicTensor(self.compute_output_shape(inputs.shape), self.compute_dtype, self.name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


def scaled_part(sizes: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """The largest part of an image that has the target's ratio of height to width."""
    (rows, columns), (height, width) = sizes, target
    return min(rows, max(1, int(columns * height / width))), min(columns, max(1, int(rows * width / height)))


def centre(images: Any, height: int, width: int) -> Any:
    """The middle of each image."""
    top, left = int((images.shape[1] - height) / 2), int((images.shape[2] - width) / 2)
    return images[:, top : top + height, left : left + width]


class _Sized(ImageLayer):
    """An image layer that gives images of one size."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        self.height, self.width = _positive(name, "height", height), _positive(name, "width", width)

    def fitted(self, images: Any) -> Any:
        """The middle of each image in the target's ratio, resized."""
        part = centre(images, *scaled_part(images.shape[1:3], (self.height, self.width)))
        return resize(part, (self.height, self.width), "bilinear", "channels_last")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.data_format == "channels_first":
            return (*input_shape[:-2], self.height, self.width)
        return (*input_shape[:-3], self.height, self.width, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


@_register
class Resizing(_Sized):
    """Images of another size.

    Args:
        height: rows of the output.
        width: columns of the output.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        crop_to_aspect_ratio: whether to keep the ratio of height to width by cutting off what is too much.
        pad_to_aspect_ratio: whether to keep it by adding margins.
        fill_mode: ``"constant"``: what margins hold.
        fill_value: their value.
        antialias: whether pixels of a smaller image are means over all the pixels that they stand for.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.Resizing(4, 6)(lamina.ones((2, 8, 8, 3))).shape
        (2, 4, 6, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError("Only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be true.")
        if fill_mode != "constant":
            raise ArgumentError(f"Resizing: fill_mode is 'constant'; got {fill_mode!r}.")
        self.interpolation, self.antialias = interpolation, antialias
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def transform(self, images: Any, training: bool) -> Any:
        target, (rows, columns) = (self.height, self.width), images.shape[1:3]
        if self.crop_to_aspect_ratio:
            images = centre(images, *scaled_part((rows, columns), target))
        elif self.pad_to_aspect_ratio:
            height = max(rows, int(columns * self.height / self.width))
            width = max(columns, int(rows * self.width / self.height))
            top, left = int((height - rows) / 2), int((width - columns) / 2)
            margins = [(0, 0), (top, height - rows - top), (left, width - columns - left), (0, 0)]
            images = ops.pad(images, margins, constant_values=self.fill_value)
        if self.antialias and self.interpolation != "nearest":
            return _smoothed(images, target, self.interpolation)
        return resize(images, target, self.interpolation, "channels_last")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


def _smoothed(images: Any, target: tuple[int, int], interpolation: str) -> Any:
    """Images resized with kernels that are stretched where the image becomes smaller."""
    kernel = KERNELS[interpolation][1]
    for axis, size in enumerate(target, 1):
        count = images.shape[axis]
        ratio = count / size
        places = (np.arange(size) + 0.5) * ratio - 0.5
        weights = kernel((places[None, :] - np.arange(count)[:, None]) / max(ratio, 1.0))
        weights = ops.as_tensor(weights / weights.sum(axis=0), dtype=images.dtype)
        images = ops.moveaxis(ops.matmul(ops.moveaxis(images, axis, -1), weights), -1, axis)
    return images


@_register
class CenterCrop(_Sized):
    """The middle of each image; smaller images are resized, keeping the ratio of height to width.

    Args:
        height: rows of the output.
        width: columns of the output.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.CenterCrop(1, 2)(lamina.reshape(lamina.arange(12.0), (3, 4, 1)))[..., 0].tolist()
        [[5.0, 6.0]]
    """

    def transform(self, images: Any, training: bool) -> Any:
        if images.shape[1] >= self.height and images.shape[2] >= self.width:
            return centre(images, self.height, self.width)
        return self.fitted(images)


@_register
class RandomCrop(_Sized):
    """In training a part of each batch at a random place; else the middle in that ratio, resized.

    Args:
        height: rows of the output.
        width: columns of the output.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        self.seed, self.seed_generator = seed, random.SeedGenerator(seed)

    def transform(self, images: Any, training: bool) -> Any:
        rows, columns = images.shape[1] - self.height, images.shape[2] - self.width
        if not training or rows < 0 or columns < 0:
            return self.fitted(images)
        share = random.uniform((2,), key=self.seed_generator)
        top, left = (ops.astype(ops.floor(share[i] * (n + 1)), "int32") for i, n in enumerate((rows, columns)))
        return ops.dynamic_slice(images, [0, top, left, 0], [images.shape[0], self.height, self.width, images.shape[3]])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def _inside(position: Any, size: int, mode: str) -> Any:
    """A pixel's number brought into ``0 .. size - 1``."""
    if mode == "wrap":
        return ops.remainder(position, size)
    if mode == "reflect":  # d c b a | a b c d | d c b a
        position = ops.remainder(position, 2 * size)
        return ops.minimum(position, 2 * size - 1 - position)
    return ops.clip(position, 0, size - 1)


def affine(images: Any, matrix: Any, fill_mode: str, fill_value: float, interpolation: str) -> Any:
    """Images whose pixel ``(x, y)`` is what lies at ``(a * x + b * y + c, d * x + e * y + f)`` in the input.

    Args:
        images: ``(batch, rows, columns, channels)``.
        matrix: ``(batch, 6)``: the numbers ``a`` to ``f``.
        fill_mode: what lies outside: ``"constant"``, ``"nearest"``, ``"reflect"`` or ``"wrap"``.
        fill_value: the constant.
        interpolation: ``"bilinear"`` or ``"nearest"``.
    """
    batch, rows, columns, channels = images.shape
    y, x = np.indices((rows, columns)).astype(np.float32)
    a, b, c, d, e, f = (ops.reshape(matrix[:, i], (batch, 1, 1)) for i in range(6))
    across, down = a * x + b * y + c, d * x + e * y + f
    flat = ops.reshape(images, (batch * rows * columns, channels))
    starts = ops.reshape(ops.arange(batch, dtype="int32") * (rows * columns), (batch, 1, 1))

    def pixel(row: Any, column: Any) -> Any:
        row, column = ops.astype(row, "int32"), ops.astype(column, "int32")
        place = starts + _inside(row, rows, fill_mode) * columns + _inside(column, columns, fill_mode)
        found = ops.take(flat, place, axis=0)
        if fill_mode != "constant":
            return found
        known = ops.logical_and(ops.logical_and(row >= 0, row < rows), ops.logical_and(column >= 0, column < columns))
        return ops.where(ops.expand_dims(known, axis=-1), found, fill_value)

    if interpolation == "nearest":
        return pixel(ops.round(down), ops.round(across))
    top, left = ops.floor(down), ops.floor(across)
    lower, right = (ops.expand_dims(w, axis=-1) for w in (down - top, across - left))
    above = pixel(top, left) * (1 - right) + pixel(top, left + 1) * right
    below = pixel(top + 1, left) * (1 - right) + pixel(top + 1, left + 1) * right
    return above * (1 - lower) + below * lower
