"""Random moves of images in training: flips, turns, zooms, shifts, slants, perspective, elastic changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import ops, random
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.bounding_boxes import mapped
from lamina.layers.preprocessing.image_layer import RandomImageLayer, Source, as_tensors
from lamina.layers.preprocessing.sampling import FILL_MODES, affine, grid, homography, inverse_affine, project
from lamina.ops.image import gaussian_blur
from lamina.ops.sampling import displaced, sampled
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


@_register
class RandomFlip(RandomImageLayer):
    """In training, mirrors each image with probability 1/2.

    Args:
        mode: ``"horizontal"``, ``"vertical"`` or ``"horizontal_and_vertical"`` (each by itself).
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomFlip("horizontal")(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    moves_pixels = True

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ArgumentError(f"RandomFlip: mode is horizontal, vertical or horizontal_and_vertical; got {mode!r}.")
        self.mode = mode

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        drawn = {"flips": self.numbers(source, shape[0], 0.0, 1.0) < 0.5}
        if self.mode == "horizontal_and_vertical":
            drawn["vertical_flips"] = self.numbers(source, shape[0], 0.0, 1.0) < 0.5
        return drawn

    def _flips(self, transformation: Any, *shape: int) -> list[tuple[str, Any]]:
        """Directions, and for which images."""
        flips = transformation["flips"]
        found = {"horizontal": flips, "vertical": transformation.get("vertical_flips", flips)}
        return [(k, ops.reshape(ops.as_tensor(v), shape)) for k, v in found.items() if k in self.mode]

    def apply(self, images: Any, transformation: Any) -> Any:
        for direction, flips in self._flips(transformation, -1, 1, 1, 1):
            images = ops.where(flips, ops.flip(images, axis=2 if direction == "horizontal" else 1), images)
        return images

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        left, top, right, bottom = (boxes[..., i] for i in range(4))
        for direction, flips in self._flips(transformation, -1, 1):
            if direction == "horizontal":
                left, right = ops.where(flips, columns - right, left), ops.where(flips, columns - left, right)
            else:
                top, bottom = ops.where(flips, rows - bottom, top), ops.where(flips, rows - top, bottom)
        return ops.stack([left, top, right, bottom], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class _Sampled(RandomImageLayer):
    """Images read at other places, and what lies outside of the image."""

    moves_pixels = True

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if fill_mode not in FILL_MODES:
            raise ArgumentError(f"Unknown `fill_mode` {fill_mode}. Expected of one {', '.join(map(repr, FILL_MODES))}.")
        if interpolation not in ("nearest", "bilinear"):
            raise ArgumentError(f"Unknown `interpolation` {interpolation}. Expected of one 'nearest', 'bilinear'.")
        self.fill_mode, self.fill_value, self.interpolation = fill_mode, fill_value, interpolation

    def read(self, images: Any, transformation: Any, interpolation: str) -> Any:
        """The images at the new places."""
        raise NotImplementedError(f"{type(self).__name__} does not implement read(images, ...).")

    def apply(self, images: Any, transformation: Any) -> Any:
        return self.read(images, transformation, self.interpolation)

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self.read(masks, transformation, "nearest")

    def draws(self, source: Source, count: int, bounds: tuple[float, float]) -> Any:
        """Uniform float32 numbers, shape ``(count,)``: places want them whatever the dtype of the images."""
        return random.uniform((count,), *bounds, dtype="float32", key=source())

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "interpolation": self.interpolation,
        }


class _Moved(_Sampled):
    """Random affine maps."""

    def matrix(self, transformation: Any, rows: int, columns: int) -> Sequence[Any]:
        """The six numbers of the map (see ``affine``), each of shape ``(batch,)`` or a plain number."""
        raise NotImplementedError(f"{type(self).__name__} does not implement matrix(transformation, rows, columns).")

    def _stacked(self, transformation: Any, rows: int, columns: int) -> Any:
        entries = self.matrix(transformation, rows, columns)
        shape = next(e.shape for e in entries if not isinstance(e, int | float))
        return ops.stack([ops.broadcast_to(ops.astype(ops.as_tensor(e), "float32"), shape) for e in entries], axis=1)

    def read(self, images: Any, transformation: Any, interpolation: str) -> Any:
        matrix = self._stacked(transformation, images.shape[1], images.shape[2])
        return affine(images, matrix, self.fill_mode, self.fill_value, interpolation)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        matrix = self._stacked(transformation, rows, columns)
        return mapped(boxes, lambda x, y: inverse_affine(matrix, x, y))


@_register
class RandomRotation(_Moved):
    """In training, turns each image by a random angle.

    Args:
        factor: share of a full turn, counter-clockwise: ``0.1`` means from -36 to 36 degrees; or a pair.
        fill_mode: what comes in from outside: ``"constant"``, ``"nearest"``, ``"reflect"`` or ``"wrap"``.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an int, or ``None`` for one from the default generator.
        fill_value: for ``"constant"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomRotation(0.1)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._set_factor(factor)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        return {"angle": self.draws(source, shape[0], self.factor) * 360.0}

    def matrix(self, transformation: Any, rows: int, columns: int) -> Sequence[Any]:
        angle = as_tensors(transformation, "angle")[0] * (math.pi / 180)
        cos, sin = ops.cos(angle), ops.sin(angle)
        x, y = columns - 1, rows - 1
        return cos, -sin, (x - (cos * x - sin * y)) / 2, sin, cos, (y - (sin * x + cos * y)) / 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


@_register
class RandomZoom(_Moved):
    """In training, zooms each image by a random factor.

    Args:
        height_factor: ``0.2`` means from 20 % larger to 20 % smaller; or a pair, positive numbers zooming out.
        width_factor: likewise across; ``None``: as in height, so that the ratio stays.
        fill_mode: see ``RandomRotation``.
        interpolation: see ``RandomRotation``.
        seed: an int, or ``None`` for one from the default generator.
        fill_value: for ``"constant"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomZoom(0.2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = self.bounds("height_factor", height_factor)
        self.width_factor = None if width_factor is None else self.bounds("width_factor", width_factor)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        down = 1.0 + self.draws(source, shape[0], self.height_factor)
        across = down if self.width_factor is None else 1.0 + self.draws(source, shape[0], self.width_factor)
        return {"height_zoom": down, "width_zoom": across}

    def matrix(self, transformation: Any, rows: int, columns: int) -> Sequence[Any]:
        down, across = (ops.ravel(zoom) for zoom in as_tensors(transformation, "height_zoom", "width_zoom"))
        return across, 0.0, (columns - 1) / 2 * (1 - across), 0.0, down, (rows - 1) / 2 * (1 - down)

    def get_config(self) -> dict[str, Any]:
        width = None if self.width_factor is None else list(self.width_factor)
        return {**super().get_config(), "height_factor": list(self.height_factor), "width_factor": width}


@_register
class RandomTranslation(_Moved):
    """In training, shifts each image by a random share of its size.

    Args:
        height_factor: ``0.1`` means from 10 % up to 10 % down; or a pair, positive numbers shifting down.
        width_factor: likewise across, positive numbers shifting right.
        fill_mode: see ``RandomRotation``.
        interpolation: see ``RandomRotation``.
        seed: an int, or ``None`` for one from the default generator.
        fill_value: for ``"constant"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomTranslation(0.2, 0.2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor = self.bounds("height_factor", height_factor)
        self.width_factor = self.bounds("width_factor", width_factor)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        down = self.draws(source, shape[0], self.height_factor) * shape[1]
        across = self.draws(source, shape[0], self.width_factor) * shape[2]
        return {"translations": ops.stack([across, down], axis=1)}

    def matrix(self, transformation: Any, rows: int, columns: int) -> Sequence[Any]:
        shift = as_tensors(transformation, "translations")[0]
        across, down = shift[:, 0], shift[:, 1]
        return 1.0, 0.0, -across, 0.0, 1.0, -down

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "height_factor": list(self.height_factor),
            "width_factor": list(self.width_factor),
        }


@_register
class RandomShear(_Moved):
    """In training, slants each image.

    Args:
        x_factor: columns that a row moves for each row down: up to this either way; or a pair.
        y_factor: rows that a column moves for each column to the right, likewise.
        interpolation: see ``RandomRotation``.
        fill_mode: see ``RandomRotation``.
        fill_value: for ``"constant"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomShear(0.2, 0.2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.x_factor, self.y_factor = self.bounds("x_factor", x_factor), self.bounds("y_factor", y_factor)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        sign = ops.where(self.draws(source, shape[0], (0.0, 1.0)) > 0.5, -1.0, 1.0)
        y, x = (self.draws(source, shape[0], bounds) * sign for bounds in (self.y_factor, self.x_factor))
        return {"shear_factor": ops.stack([x, y], axis=1)}

    def matrix(self, transformation: Any, rows: int, columns: int) -> Sequence[Any]:
        slant = as_tensors(transformation, "shear_factor")[0]
        return 1.0, slant[:, 0], 0.0, slant[:, 1], 1.0, 0.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "x_factor": list(self.x_factor), "y_factor": list(self.y_factor)}


class _Sometimes(_Sampled):
    """Moves that are done to some of the images, with a probability that is drawn from ``factor``."""

    least = 0.0

    def chosen(self, source: Source, count: int) -> Any:
        """Which images are changed."""
        return ops.less(self.draws(source, count, (0.0, 1.0)), self.draws(source, count, self.factor))


@_register
class RandomPerspective(_Sometimes):
    """In training, shows some images as seen from another side: their corners move at random.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        scale: how far each corner moves at most, as a share of its distance from the first one; times 1/2.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_value: what comes in from outside.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomPerspective(seed=1)
        >>> layer(lamina.ones((2, 8, 8, 3)), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__("constant", interpolation, seed, fill_value, data_format, **kwargs)
        self._set_factor(factor)
        if not 0 <= scale <= 1:
            raise ArgumentError(f"The `scale` argument should be a number in the range [0,1]. Received: scale={scale}")
        self.scale = scale

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        count, x, y = shape[0], shape[2] - 1, shape[1] - 1
        apply = self.chosen(source, count)
        corners = ops.as_tensor([[[0, 0], [x, 0], [0, y], [x, y]]], dtype="float32")
        share = random.uniform((count, 4, 2), -0.5 * self.scale, 0.5 * self.scale, dtype="float32", key=source())
        start = ops.broadcast_to(corners, (count, 4, 2))
        return {"apply_perspective": apply, "start_points": start, "end_points": start * (1.0 + share)}

    def read(self, images: Any, transformation: Any, interpolation: str) -> Any:
        rows, columns = images.shape[1:3]
        start, end, apply = as_tensors(transformation, "start_points", "end_points", "apply_perspective")
        x, y = (v[None] for v in grid(rows, columns))
        across, down = project(homography(end, start, max(rows, columns)), x, y)
        moved = sampled(images, across, down, interpolation, self.fill_mode, self.fill_value)
        return ops.where(ops.reshape(apply, (-1, 1, 1, 1)), moved, images)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        start, end, apply = as_tensors(transformation, "start_points", "end_points", "apply_perspective")
        matrix = homography(start, end, max(rows, columns))
        return ops.where(ops.reshape(apply, (-1, 1, 1)), mapped(boxes, lambda x, y: project(matrix, x, y)), boxes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["fill_mode"]
        return {**config, "factor": list(self.factor), "scale": self.scale}


@_register
class RandomElasticTransform(_Sometimes):
    """In training, displaces the pixels of some images by smooth random fields.

    Each pixel's shift is noise of width ``0.05 s * min(rows, columns)``, smoothed over that distance, times
    ``0.1 s * max(rows, columns)``, with one strength ``s`` for the batch drawn from ``scale``.  Boxes stay.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        scale: the strength: drawn up to this, or from a pair.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        fill_mode: what comes in from outside: ``"constant"``, ``"nearest"``, ``"reflect"`` or ``"wrap"``.
        fill_value: for ``"constant"``.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Simard et al., "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis",
    ICDAR 2003.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomElasticTransform(seed=1)
        >>> layer(lamina.ones((2, 8, 8, 3)), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self._set_factor(factor)
        self.scale = self.bounds("scale", scale)
        self.value_range = tuple(value_range)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        if self.scale[1] == 0 or self.factor[1] == 0:
            return None
        apply = self.chosen(source, shape[0])
        strength = random.uniform((), *self.scale, dtype="float32", key=source())
        fields = random.normal((2, *shape[:3]), dtype="float32", key=source())
        return {"apply_transform": apply, "distortion_factor": strength, "noise": fields}

    def read(self, images: Any, transformation: Any, interpolation: str) -> Any:
        batch, rows, columns, _ = images.shape
        apply, strength = as_tensors(transformation, "apply_transform", "distortion_factor")
        noise = transformation.get("noise")
        if noise is None:
            noise = random.normal((2, batch, rows, columns), dtype="float32", key=transformation.get("seed"))
        sigma = 0.05 * min(rows, columns) * strength + 1e-6
        size = int(6 * 0.05 * min(rows, columns) * self.scale[1]) | 1
        rough = ops.reshape(noise * sigma, (2 * batch, rows, columns, 1))
        smooth = gaussian_blur(rough, (size, size), ops.stack([sigma, sigma]))
        shift = ops.reshape(smooth, (2, batch, rows, columns)) * (0.1 * max(rows, columns) * strength)
        moved = displaced(images, shift[0], shift[1], interpolation, self.fill_mode, self.fill_value)
        return ops.where(ops.reshape(apply, (-1, 1, 1, 1)), moved, images)

    def apply(self, images: Any, transformation: Any) -> Any:
        if "distortion_factor" not in transformation:
            return images
        return ops.clip(self.read(images, transformation, self.interpolation), *self.value_range)

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return super().apply_to_masks(masks, transformation) if "distortion_factor" in transformation else masks

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": list(self.factor),
            "scale": list(self.scale),
            "value_range": list(self.value_range),
        }
