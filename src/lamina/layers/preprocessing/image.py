"""Images of another size or part, ``Resizing``, ``CenterCrop``, ``RandomCrop``; and boxes of a fixed number."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops, random
from lamina.core.errors import ArgumentError
from lamina.layers.core import _positive
from lamina.layers.preprocessing.image_layer import ImageLayer, Source, dense_boxes
from lamina.layers.symbolic import Shape
from lamina.ops.resize import KERNELS, resize
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


def scaled_part(sizes: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
    """The largest part of an image that has the target's ratio of height to width."""
    (rows, columns), (height, width) = sizes, target
    return min(rows, max(1, int(columns * height / width))), min(columns, max(1, int(rows * width / height)))


def centre(images: Any, height: int, width: int) -> Any:
    """The middle of each image."""
    top, left = int((images.shape[1] - height) / 2), int((images.shape[2] - width) / 2)
    return images[:, top : top + height, left : left + width]


def scaled(boxes: Any, down: float, across: float, top: float = 0.0, left: float = 0.0) -> Any:
    """Boxes, left, top, right, bottom, after scaling and then taking ``top`` and ``left`` away."""
    factors, shift = np.array([across, down] * 2, np.float32), np.array([left, top] * 2, np.float32)
    return boxes * factors - shift


class _Sized(ImageLayer):
    """An image layer that gives images of one size."""

    always = True
    moves_pixels = True

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        name = type(self).__name__
        self.height, self.width = _positive(name, "height", height), _positive(name, "width", width)

    def fitted(self, images: Any, interpolation: str = "bilinear") -> Any:
        """The middle of each image in the target's ratio, resized."""
        part = centre(images, *scaled_part(images.shape[1:3], (self.height, self.width)))
        return resize(part, (self.height, self.width), interpolation, "channels_last")

    def fitted_boxes(self, boxes: Any, rows: int, columns: int) -> Any:
        """Boxes in ``fitted`` images."""
        height, width = scaled_part((rows, columns), (self.height, self.width))
        top, left = int((rows - height) / 2), int((columns - width) / 2)
        down, across = self.height / height, self.width / width
        return scaled(boxes, down, across, top * down, left * across)

    def output_size(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        return self.height, self.width

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.data_format == "channels_first":
            return (*input_shape[:-2], self.height, self.width)
        return (*input_shape[:-3], self.height, self.width, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


@_register
class Resizing(_Sized):
    """Images of another size.

    Integer images stay integers, rounded.

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

    def apply(self, images: Any, transformation: Any) -> Any:
        return self._resized(images, self.interpolation)

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self._resized(masks, "nearest")

    def _resized(self, images: Any, interpolation: str) -> Any:
        target, (rows, columns) = (self.height, self.width), images.shape[1:3]
        if self.crop_to_aspect_ratio:
            images = centre(images, *scaled_part((rows, columns), target))
        elif self.pad_to_aspect_ratio:
            height = max(rows, int(columns * self.height / self.width))
            width = max(columns, int(rows * self.width / self.height))
            top, left = int((height - rows) / 2), int((width - columns) / 2)
            margins = [(0, 0), (top, height - rows - top), (left, width - columns - left), (0, 0)]
            images = ops.pad(images, margins, constant_values=self.fill_value)
        if self.antialias and interpolation != "nearest":
            return _smoothed(images, target, interpolation)
        return resize(images, target, interpolation, "channels_last")

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        down, across = self.height / rows, self.width / columns
        if not (self.crop_to_aspect_ratio or self.pad_to_aspect_ratio):
            return scaled(boxes, down, across)
        ratio = max(down, across) if self.crop_to_aspect_ratio else min(down, across)
        # What is cut off or added at either side, in whole pixels of the output.
        top, left = int((rows * ratio - self.height) / 2), int((columns * ratio - self.width) / 2)
        return scaled(boxes, ratio, ratio, top, left)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        x = ops.as_tensor(images)
        resized = super().transform_images(x, transformation, training)
        if x.dtype.kind not in "iu":
            return resized
        bounds = np.iinfo(x.dtype)
        return ops.astype(ops.clip(ops.round(resized), float(bounds.min), float(bounds.max)), x.dtype)

    def output_dtype(self, dtype: Any) -> Any:
        return dtype if np.dtype(dtype).kind in "iu" else self.compute_dtype

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

    def apply(self, images: Any, transformation: Any) -> Any:
        return self._cropped(images, "bilinear")

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self._cropped(masks, "nearest")

    def _cropped(self, images: Any, interpolation: str) -> Any:
        if images.shape[1] >= self.height and images.shape[2] >= self.width:
            return centre(images, self.height, self.width)
        return self.fitted(images, interpolation)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        if rows >= self.height and columns >= self.width:
            return scaled(boxes, 1.0, 1.0, int((rows - self.height) / 2), int((columns - self.width) / 2))
        return self.fitted_boxes(boxes, rows, columns)


@_register
class RandomCrop(_Sized):
    """In training a part of each batch at a random place; else the middle in that ratio, resized.

    Args:
        height: rows of the output.
        width: columns of the output.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomCrop(3, 2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 3, 2, 3)
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        self.seed, self.seed_generator = seed, random.SeedGenerator(seed)

    @property
    def generator(self) -> random.Generator:
        """The layer's random state."""
        return self.seed_generator

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        rows, columns = shape[1] - self.height, shape[2] - self.width
        if rows < 0 or columns < 0:
            return None
        share = random.uniform((2,), key=source())
        top, left = (ops.astype(ops.floor(share[i] * (n + 1)), "int32") for i, n in enumerate((rows, columns)))
        return {"top": top, "left": left}

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        if training:
            return super().get_random_transformation(data, training, seed)
        return {"input_shape": tuple((data["images"] if isinstance(data, dict) else data).shape)}

    def apply(self, images: Any, transformation: Any) -> Any:
        return self._cropped(images, transformation, "bilinear")

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self._cropped(masks, transformation, "nearest")

    def _cropped(self, images: Any, transformation: Any, interpolation: str) -> Any:
        if "top" not in (transformation or {}):
            return self.fitted(images, interpolation)
        size = [images.shape[0], self.height, self.width, images.shape[3]]
        return ops.dynamic_slice(images, [0, transformation["top"], transformation["left"], 0], size)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        if "top" not in (transformation or {}):
            return self.fitted_boxes(boxes, rows, columns)
        top, left = (ops.astype(transformation[k], boxes.dtype) for k in ("top", "left"))
        return boxes - ops.stack([left, top, left, top])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@_register
class MaxNumBoundingBoxes(ImageLayer):
    """The same number of boxes for every image: some are left out, or filled up.

    Args:
        max_number: how many.
        fill_value: what boxes and labels that are added hold.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.MaxNumBoundingBoxes(2, bounding_box_format="xyxy")
        >>> data = {"images": lamina.ones((1, 4, 4, 3)), "bounding_boxes": {"boxes": [[[0, 0, 2, 3]]], "labels": [[5]]}}
        >>> layer(data)["bounding_boxes"]["labels"].tolist()
        [[5, -1]]
    """

    always = True
    moves_pixels = True

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number, self.fill_value = int(max_number), int(fill_value)

    def apply(self, images: Any, transformation: Any) -> Any:
        return images

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        found = dense_boxes(bounding_boxes)
        boxes, labels = found["boxes"], found["labels"]
        axis = boxes.ndim - 2
        missing = max(self.max_number - boxes.shape[axis], 0)
        kept = (slice(None),) * axis + (slice(self.max_number),)
        margins = [(0, missing if i == axis else 0) for i in range(max(boxes.ndim, labels.ndim))]
        return {
            **found,
            "boxes": ops.pad(boxes[kept], margins[: boxes.ndim], constant_values=self.fill_value),
            "labels": ops.pad(labels[kept], margins[: labels.ndim], constant_values=self.fill_value),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_number": self.max_number, "fill_value": self.fill_value}
