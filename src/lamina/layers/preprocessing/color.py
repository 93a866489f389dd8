"""Changes of the values of images: contrast, colours, sharpness, erased parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops, random
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.augmentation import RandomImageLayer
from lamina.layers.preprocessing.image import ImageLayer
from lamina.ops.conv import depthwise_conv
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


def _share(name: str, given: Any, most: float = 1.0) -> tuple[float, float]:
    """``(0, f)`` from one number, or the pair that was given, in order.

    Raises:
        ArgumentError: a number is out of its range.
    """
    if isinstance(given, list | tuple) and len(given) == 2:
        pair = sorted(given)
    elif isinstance(given, int | float):
        pair = [0.0, given]
    else:
        pair = [-1.0, 0.0]
    if not 0 <= pair[0] <= pair[1] <= most:
        raise ArgumentError(
            f"The `{name}` argument should be a number (or a list of two numbers) in the range [0, {most}]. "
            f"Received: {name}={given}"
        )
    return float(pair[0]), float(pair[1])


def _values(value_range: Any) -> tuple[float, float]:
    """The lowest and the highest value.

    Raises:
        ArgumentError: it is no pair.
    """
    if not isinstance(value_range, list | tuple) or len(value_range) != 2:
        raise ArgumentError(
            f"The `value_range` argument should be a list of two numbers. Received: value_range={value_range}"
        )
    low, high = sorted(value_range)
    return low, high


def grayscale(images: Any) -> Any:
    """The brightness of red, green and blue together, in each of the three channels."""
    gray = images[..., 0:1] * 0.2989 + images[..., 1:2] * 0.5870 + images[..., 2:3] * 0.1140
    return ops.broadcast_to(gray, images.shape)


class _ColorLayer(RandomImageLayer):
    """A random change whose strength is drawn from ``factor``, for values of a known range."""

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor, self.value_range = _share("factor", factor), _values(value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor), "value_range": list(self.value_range)}


@_register
class RandomColorDegeneration(_ColorLayer):
    """In training, mixes each image with its gray version.

    Args:
        factor: share of gray: up to this, or a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.
    """

    def transform(self, images: Any, training: bool) -> Any:
        share = self.draw(images.shape[0], *self.factor)
        return ops.clip(images + share * (grayscale(images) - images), *self.value_range)


@_register
class RandomSharpness(_ColorLayer):
    """In training, blurs (factor 0) or sharpens (factor 1) each image; 0.5 leaves it as it is.

    Args:
        factor: up to this, or a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.
    """

    def transform(self, images: Any, training: bool) -> Any:
        kernel = ops.as_tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], dtype=images.dtype) / 13.0
        kernel = ops.broadcast_to(ops.reshape(kernel, (3, 3, 1, 1)), (3, 3, images.shape[-1], 1))
        smooth = depthwise_conv(images, kernel, 1, "same", data_format="channels_last")
        strength = 2 * self.draw(images.shape[0], *self.factor)
        return ops.clip(images + (1.0 - strength) * (smooth - images), *self.value_range)


@_register
class RandomInvert(_ColorLayer):
    """In training, replaces values of some images by the highest value minus them.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)

    def transform(self, images: Any, training: bool) -> Any:
        chance = self.draw(images.shape[0], *self.factor)
        return ops.where(self.draw(images.shape[0], 0.0, 1.0) < chance, self.value_range[1] - images, images)


@_register
class RandomGrayscale(RandomImageLayer):
    """In training, makes some images gray (in three equal channels).

    Args:
        factor: the probability.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not 0 <= factor <= 1:
            raise ArgumentError(f"`factor` should be between 0 and 1. Received: factor={factor}")
        self.factor = factor

    def transform(self, images: Any, training: bool) -> Any:
        return ops.where(self.draw(images.shape[0], 0.0, 1.0) < self.factor, grayscale(images), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@_register
class RandomErasing(_ColorLayer):
    """In training, fills a random rectangle of some images.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        scale: the rectangle's share of the area: drawn from this pair.
        fill_value: what it is filled with; ``None`` for normal noise over the range of values.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)
        self.scale, self.fill_value = _share("scale", scale), fill_value

    def transform(self, images: Any, training: bool) -> Any:
        count, rows, columns, _ = images.shape
        side = ops.sqrt(self.draw(count, *self.scale))
        inside: Any = self.draw(count, 0.0, 1.0) < self.draw(count, *self.factor)
        for size, shape in ((rows, (1, rows, 1, 1)), (columns, (1, 1, columns, 1))):
            start = self.draw(count, 0.0, 1.0) * (size * (1.0 - side))
            place = ops.reshape(ops.arange(size, dtype=images.dtype), shape)
            inside = ops.logical_and(inside, ops.logical_and(place >= start, place < start + side * size))
        if self.fill_value is not None:
            return ops.where(inside, ops.as_tensor(self.fill_value, dtype=images.dtype), images)
        low, high = self.value_range
        noise = random.normal(images.shape, dtype=images.dtype, key=self.seed_generator) * (high - low) / 6.0
        return ops.where(inside, ops.clip(noise + (low + high) / 2.0, low, high), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": list(self.scale), "fill_value": self.fill_value}


@_register
class RandomPosterization(RandomImageLayer):
    """In training, keeps the highest bits of each value only.

    Args:
        factor: how many bits, from 1 to 8; or a pair (the upper not included) to draw from.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.
    """

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        bits = (factor, factor) if isinstance(factor, int | float) else tuple(sorted(factor))
        if not 0 <= bits[0] <= bits[1] <= 8:
            raise ArgumentError(f"The `factor` argument should be in the range [0, 8]. Received: factor={factor}")
        self.factor, self.value_range = (int(bits[0]), int(bits[1])), _values(value_range)

    def transform(self, images: Any, training: bool) -> Any:
        low, high = self.value_range
        fewest, most = self.factor
        bits = ops.floor(self.draw(images.shape[0], fewest, most)) if most > fewest else float(fewest)
        step = ops.exp2(8.0 - bits) if most > fewest else 2.0 ** (8 - fewest)
        whole = ops.floor((images - low) * (255.0 / (high - low)))
        return ops.floor(whole / step) * step * ((high - low) / 255.0) + low

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor), "value_range": list(self.value_range)}


@_register
class Solarization(RandomImageLayer):
    """In training, adds a number to each image and then inverts what is at or above a threshold.

    Args:
        addition_factor: the number, as a share of the range: up to this, or a pair.
        threshold_factor: the threshold, likewise.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Solarization(threshold_factor=(0.5, 0.5))
        >>> layer([[[0.0], [100.0], [200.0]]], training=True)[0, :, 0].tolist()
        [0.0, 100.0, 55.0]
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.addition_factor = _share("addition_factor", addition_factor)
        self.threshold_factor = _share("threshold_factor", threshold_factor)
        self.value_range = _values(value_range)

    def transform(self, images: Any, training: bool) -> Any:
        low, high = self.value_range
        addition, threshold = (
            255.0 * self.draw(images.shape[0], *share) for share in (self.addition_factor, self.threshold_factor)
        )
        x = ops.clip((images - low) * (255.0 / (high - low)) + addition, 0.0, 255.0)
        x = ops.where(x < threshold, x, 255.0 - x)
        return x * ((high - low) / 255.0) + low

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "addition_factor": list(self.addition_factor),
            "threshold_factor": list(self.threshold_factor),
            "value_range": list(self.value_range),
        }


@_register
class AutoContrast(ImageLayer):
    """Stretches the values of each channel of each image over the whole range; a channel of one value stays.

    Args:
        value_range: lowest and highest value of a pixel.

    Example:
        >>> import lamina
        >>> lamina.layers.AutoContrast()([[[10.0], [20.0], [15.0]]])[0, :, 0].tolist()
        [0.0, 255.0, 127.5]
    """

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = _values(value_range)

    def transform(self, images: Any, training: bool) -> Any:
        low, high = self.value_range
        least, most = (f(images, axis=(1, 2), keepdims=True) for f in (ops.min, ops.max))
        flat = ops.equal(least, most)
        stretched = (images - least) / ops.where(flat, 1.0, most - least) * (high - low) + low
        return ops.where(flat, images, ops.clip(stretched, low, high))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": list(self.value_range)}
