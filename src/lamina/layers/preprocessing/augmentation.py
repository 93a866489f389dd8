"""Random changes of images in training: flips, rotations, zooms, shifts, contrast and brightness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import ops, random
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.image import FILL_MODES, ImageLayer, affine
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


class RandomImageLayer(ImageLayer):
    """Base: ``transform`` is called in training only; ``draw`` gives one random number for each image."""

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed, self.seed_generator = seed, random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        if not training:
            return ops.astype(ops.as_tensor(inputs), self.compute_dtype)
        return super().call(inputs, training=True)

    def draw(self, count: int, low: float, high: float) -> Any:
        """Uniform numbers, shape ``(count, 1, 1, 1)``."""
        return random.uniform((count, 1, 1, 1), low, high, dtype=self.compute_dtype, key=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def _range(name: str, given: Any, least: float = -1.0, most: float = 1.0) -> tuple[float, float]:
    """``(-f, f)`` from one number, or the pair that was given.

    Raises:
        ArgumentError: a number is out of its range, or the lower is the larger.
    """
    pair = (-abs(given), abs(given)) if isinstance(given, int | float) else tuple(given)
    if len(pair) != 2 or not least <= pair[0] <= pair[1] <= most:
        raise ArgumentError(
            f"The `{name}` argument should be a number (or a list of two numbers, the lower first) "
            f"in the range [{least}, {most}]. Received: {name}={given}"
        )
    return float(pair[0]), float(pair[1])


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

    def transform(self, images: Any, training: bool) -> Any:
        for word, axis in (("horizontal", 2), ("vertical", 1)):
            if word in self.mode:
                flips = self.draw(images.shape[0], 0.0, 1.0) < 0.5
                images = ops.where(flips, ops.flip(images, axis=axis), images)
        return images

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class _Moved(RandomImageLayer):
    """Random affine maps, and what lies outside of the image."""

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

    def matrix(self, count: int, rows: int, columns: int) -> Sequence[Any]:
        """The six numbers of the map (see ``affine``), each of shape ``(count,)`` or a plain number."""
        raise NotImplementedError(f"{type(self).__name__} does not implement matrix(count, rows, columns).")

    def transform(self, images: Any, training: bool) -> Any:
        count = images.shape[0]
        zeros = ops.zeros((count,), dtype=self.compute_dtype)
        entries = [zeros + v for v in self.matrix(count, images.shape[1], images.shape[2])]
        moved = affine(images, ops.stack(entries, axis=1), self.fill_mode, self.fill_value, self.interpolation)
        return ops.astype(moved, self.compute_dtype)

    def numbers(self, count: int, bounds: tuple[float, float]) -> Any:
        """Uniform numbers, shape ``(count,)``."""
        return ops.reshape(self.draw(count, *bounds), (count,))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "interpolation": self.interpolation,
        }


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
        self.factor = _range("factor", factor)

    def matrix(self, count: int, rows: int, columns: int) -> Sequence[Any]:
        angle = self.numbers(count, self.factor) * (2 * math.pi)
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
        self.height_factor = _range("height_factor", height_factor)
        self.width_factor = None if width_factor is None else _range("width_factor", width_factor)

    def matrix(self, count: int, rows: int, columns: int) -> Sequence[Any]:
        down = 1.0 + self.numbers(count, self.height_factor)
        across = down if self.width_factor is None else 1.0 + self.numbers(count, self.width_factor)
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
        self.height_factor = _range("height_factor", height_factor)
        self.width_factor = _range("width_factor", width_factor)

    def matrix(self, count: int, rows: int, columns: int) -> Sequence[Any]:
        down = self.numbers(count, self.height_factor) * rows
        across = self.numbers(count, self.width_factor) * columns
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
        self.x_factor, self.y_factor = _range("x_factor", x_factor), _range("y_factor", y_factor)

    def matrix(self, count: int, rows: int, columns: int) -> Sequence[Any]:
        sign = ops.where(self.numbers(count, (0.0, 1.0)) > 0.5, -1.0, 1.0)
        x, y = (self.numbers(count, bounds) * sign for bounds in (self.x_factor, self.y_factor))
        return 1.0, x, 0.0, y, 1.0, 0.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "x_factor": list(self.x_factor), "y_factor": list(self.y_factor)}


@_register
class RandomContrast(RandomImageLayer):
    """In training, ``(x - mean) * factor + mean`` with each channel's mean, kept in the range of values.

    Args:
        factor: ``0.2`` draws from ``[0.8, 1.2]``; a pair ``(l, u)`` from ``[1 - l, 1 + u]``.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        lower, upper = (factor, factor) if isinstance(factor, int | float) else tuple(factor)
        if lower < 0 or upper < 0 or lower > 1:
            raise ArgumentError(f"RandomContrast: `factor` lies in [0, 1], or is a pair from there; got {factor}.")
        self.factor, self._bounds = factor, (1.0 - lower, 1.0 + upper)
        self.value_range = tuple(value_range)

    def transform(self, images: Any, training: bool) -> Any:
        factor = self.draw(images.shape[0], *self._bounds)
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return ops.clip((images - mean) * factor + mean, *self.value_range)

    def get_config(self) -> dict[str, Any]:
        factor = list(self.factor) if isinstance(self.factor, tuple) else self.factor
        return {**super().get_config(), "factor": factor, "value_range": list(self.value_range)}


@_register
class RandomBrightness(RandomImageLayer):
    """In training, adds a random number to each image, kept in the range of values.

    Args:
        factor: ``0.2`` adds from -20 % to 20 % of the range; or a pair.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = _range("factor", factor)
        if len(value_range) != 2 or value_range[0] > value_range[1]:
            raise ArgumentError(f"RandomBrightness: `value_range` is a pair (lowest, highest); got {value_range}.")
        self.value_range = tuple(value_range)

    def transform(self, images: Any, training: bool) -> Any:
        low, high = self.value_range
        return ops.clip(images + self.draw(images.shape[0], *self.factor) * (high - low), low, high)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor), "value_range": list(self.value_range)}
