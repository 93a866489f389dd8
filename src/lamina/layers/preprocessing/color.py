"""Changes of the values of images: brightness, contrast, colours, sharpness, smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.image_layer import RandomImageLayer, Source, as_tensors, number_pair, value_pair
from lamina.ops.conv import depthwise_conv
from lamina.ops.image import gaussian_blur, hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


def grayscale(images: Any) -> Any:
    """The brightness of red, green and blue together, in each of the three channels."""
    return ops.broadcast_to(rgb_to_grayscale(images), images.shape)


def rescaled(images: Any, given: Sequence[float], wanted: Sequence[float]) -> Any:
    """Values of one range brought to another."""
    if tuple(given) == tuple(wanted):
        return images
    scale = (wanted[1] - wanted[0]) / (given[1] - given[0])
    return (images - given[0]) * scale + wanted[0]


def factor_of(transformation: Any, name: str = "factor") -> Any:
    """One number for each image, as the images want it."""
    return ops.reshape(as_tensors(transformation, name)[0], (-1, 1, 1, 1))


class _ColorLayer(RandomImageLayer):
    """A random change whose strength is drawn from ``factor``, for values of a known range."""

    least = 0.0

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self._set_factor(factor)
        self.value_range = value_pair(value_range)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        return {"factor": self.numbers(source, shape[0], *self.factor)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor), "value_range": list(self.value_range)}


@_register
class RandomBrightness(_ColorLayer):
    """In training, adds a random number to each image, kept in the range of values.

    Args:
        factor: ``0.2`` adds from -20 % to 20 % of the range; or a pair.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomBrightness(0.2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    least = -1.0

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        low, high = self.value_range
        return {"rgb_delta": self.numbers(source, shape[0], *self.factor) * (high - low)}

    def apply(self, images: Any, transformation: Any) -> Any:
        return ops.clip(images + factor_of(transformation, "rgb_delta"), *self.value_range)


@_register
class RandomContrast(_ColorLayer):
    """In training, ``(x - mean) * factor + mean`` with each channel's mean, kept in the range of values.

    Args:
        factor: ``0.2`` draws from ``[0.8, 1.2]``; a pair ``(l, u)`` from ``[1 - l, 1 + u]``.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomContrast(0.2)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self,
        factor: Any,
        value_range: Sequence[float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)

    def _set_factor(self, factor: Any) -> None:
        pair = (factor, factor) if isinstance(factor, int | float) else factor
        number_pair("factor", factor, 0.0, 1.0, lambda f: 0.0)
        self.factor = (pair[0], pair[1])

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        lower, upper = self.factor
        return {"contrast_factor": self.numbers(source, shape[0], 1.0 - lower, 1.0 + upper)}

    def apply(self, images: Any, transformation: Any) -> Any:
        mean = ops.mean(images, axis=(1, 2), keepdims=True)
        return ops.clip((images - mean) * factor_of(transformation, "contrast_factor") + mean, *self.value_range)


@_register
class RandomColorDegeneration(_ColorLayer):
    """In training, mixes each image with its gray version.

    Args:
        factor: share of gray: up to this, or a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomColorDegeneration(0.5)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def apply(self, images: Any, transformation: Any) -> Any:
        share = factor_of(transformation)
        return ops.clip(images + share * (grayscale(images) - images), *self.value_range)


@_register
class RandomSharpness(_ColorLayer):
    """In training, blurs (factor 0) or sharpens (factor 1) each image; 0.5 leaves it as it is.

    Args:
        factor: up to this, or a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomSharpness(0.5)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def apply(self, images: Any, transformation: Any) -> Any:
        kernel = ops.as_tensor([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]], dtype=images.dtype) / 13.0
        kernel = ops.broadcast_to(ops.reshape(kernel, (3, 3, 1, 1)), (3, 3, images.shape[-1], 1))
        smooth = depthwise_conv(images, kernel, 1, "same", data_format="channels_last")
        strength = 2 * factor_of(transformation)
        return ops.clip(images + (1.0 - strength) * (smooth - images), *self.value_range)


@_register
class RandomInvert(_ColorLayer):
    """In training, replaces values of some images by the highest value minus them.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomInvert(0.5)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
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

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        chance = self.numbers(source, shape[0], *self.factor)
        return {"apply_inversion": self.numbers(source, shape[0], 0.0, 1.0) < chance}

    def apply(self, images: Any, transformation: Any) -> Any:
        return ops.where(factor_of(transformation, "apply_inversion"), self.value_range[1] - images, images)


@_register
class RandomGrayscale(RandomImageLayer):
    """In training, makes some images gray (in three equal channels).

    Args:
        factor: the probability.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomGrayscale(0.5)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not 0 <= factor <= 1:
            raise ArgumentError(f"`factor` should be between 0 and 1. Received: factor={factor}")
        self.factor = factor

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        return self.numbers(source, shape[0], 0.0, 1.0) < self.factor

    def apply(self, images: Any, transformation: Any) -> Any:
        return ops.where(ops.as_tensor(transformation), grayscale(images), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@_register
class RandomHue(_ColorLayer):
    """In training, turns the colours of each image around the colour wheel.

    Args:
        factor: how far, as a share of half the wheel, either way: drawn up to this, or from a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomHue((1.0, 1.0), value_range=(0, 1))
        >>> layer(lamina.tensor([[[1.0, 0.0, 0.0]]]), training=True)[0, 0].tolist()
        [0.0, 1.0, 1.0]
    """

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        sign = ops.where(self.numbers(source, shape[0], 0.0, 1.0) > 0.5, -1.0, 1.0)
        return {"factor": sign * self.numbers(source, shape[0], *self.factor) * 0.5}

    def apply(self, images: Any, transformation: Any) -> Any:
        hsv = rgb_to_hsv(rescaled(images, self.value_range, (0.0, 1.0)))
        hue = ops.remainder(hsv[..., 0:1] + factor_of(transformation), 1.0)
        turned = hsv_to_rgb(ops.concat([hue, hsv[..., 1:]], axis=-1))
        return rescaled(ops.clip(turned, 0.0, 1.0), (0.0, 1.0), self.value_range)


@_register
class RandomSaturation(_ColorLayer):
    """In training, multiplies the saturation of each image by ``f / (1 - f)``.

    Args:
        factor: ``f``, drawn up to this, or from a pair: 0 makes gray, 0.5 changes nothing, 1 is as colourful as can be.
        value_range: bounds of the saturation that results; beyond 1 colours leave the range of the pixels.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomSaturation((0.0, 0.0))
        >>> layer(lamina.tensor([[[1.0, 0.0, 0.5]]]), training=True)[0, 0].tolist()
        [1.0, 1.0, 1.0]
    """

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        share = self.numbers(source, shape[0], *self.factor)
        return {"factor": share / (1.0 - share + config.epsilon())}

    def apply(self, images: Any, transformation: Any) -> Any:
        hsv = rgb_to_hsv(images)
        saturation = ops.clip(hsv[..., 1:2] * factor_of(transformation), *self.value_range)
        return hsv_to_rgb(ops.concat([hsv[..., 0:1], saturation, hsv[..., 2:]], axis=-1))


@_register
class RandomColorJitter(RandomImageLayer):
    """In training, changes brightness, contrast, saturation and hue, in this order, each if it has a factor.

    Args:
        value_range: lowest and highest value of a pixel.
        brightness_factor: see ``RandomBrightness``.
        contrast_factor: see ``RandomContrast``.
        saturation_factor: see ``RandomSaturation``.
        hue_factor: see ``RandomHue``.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomColorJitter(brightness_factor=(0.1, 0.1), saturation_factor=(0.0, 0.0))
        >>> layer(lamina.tensor([[[10.0, 20.0, 30.0]]]), training=True)[0, 0].tolist()
        [55.5, 55.5, 55.5]
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.value_range = value_pair(value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        kinds: list[tuple[str, type[_ColorLayer], Any]] = [
            ("random_brightness", RandomBrightness, brightness_factor),
            ("random_contrast", RandomContrast, contrast_factor),
            ("random_saturation", RandomSaturation, saturation_factor),
            ("random_hue", RandomHue, hue_factor),
        ]
        self.steps = {
            name: cls(factor, value_range=value_range, seed=seed, dtype=self.dtype_policy)
            for name, cls, factor in kinds
            if factor is not None
        }

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        return {name: layer.draw(shape, source) for name, layer in self.steps.items()}

    def apply(self, images: Any, transformation: Any) -> Any:
        for name, layer in self.steps.items():
            images = layer.apply(images, transformation[name])
        return images

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": list(self.value_range),
            "brightness_factor": self.brightness_factor,
            "contrast_factor": self.contrast_factor,
            "saturation_factor": self.saturation_factor,
            "hue_factor": self.hue_factor,
        }


@_register
class RandomGaussianBlur(_ColorLayer):
    """In training, smooths some images by Gaussian weights, with zeros outside.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        kernel_size: columns and rows of the weights, odd numbers; one number for both.
        sigma: their widths across and down: each drawn up to this, or from a pair.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomGaussianBlur(seed=1)
        >>> layer(lamina.ones((2, 8, 8, 3)), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)
        sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sizes) != 2 or not all(isinstance(n, int) and n > 0 and n % 2 == 1 for n in sizes):
            raise ArgumentError(
                f"kernel_size must be an odd number (or two of them). Received: kernel_size={kernel_size}"
            )
        self.kernel_size, self.sigma = sizes, self.bounds("sigma", sigma)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        chance = self.numbers(source, shape[0], *self.factor)
        apply = self.numbers(source, shape[0], 0.0, 1.0) < chance
        widths = ops.ravel(self.numbers(source, 2, *self.sigma)) + 1e-6
        return {"should_apply_blur": apply, "blur_factor": widths}

    def apply(self, images: Any, transformation: Any) -> Any:
        smooth = gaussian_blur(images, self.kernel_size, as_tensors(transformation, "blur_factor")[0])
        chosen = ops.where(factor_of(transformation, "should_apply_blur"), smooth, images)
        return ops.clip(chosen, *self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_size": list(self.kernel_size), "sigma": list(self.sigma)}


@_register
class RandomPosterization(RandomImageLayer):
    """In training, keeps the highest bits of each value only.

    Args:
        factor: how many bits, from 1 to 8; or a pair (the upper not included) to draw from.
        value_range: lowest and highest value of a pixel.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Example:
        >>> import lamina
        >>> lamina.layers.RandomPosterization(4)(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
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
        self.factor, self.value_range = (int(bits[0]), int(bits[1])), value_pair(value_range)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        fewest, most = self.factor
        if most > fewest:
            return {"shift_factor": 8.0 - ops.floor(self.numbers(source, shape[0], fewest, most))}
        return {"shift_factor": ops.full((shape[0], 1, 1, 1), 8.0 - fewest, dtype=self.compute_dtype)}

    def apply(self, images: Any, transformation: Any) -> Any:
        step = ops.exp2(ops.astype(factor_of(transformation, "shift_factor"), images.dtype))
        whole = ops.floor(rescaled(images, self.value_range, (0.0, 255.0)))
        return rescaled(ops.floor(whole / step) * step, (0.0, 255.0), self.value_range)

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
        self.addition_factor = number_pair("addition_factor", addition_factor, 0.0, 1.0, lambda f: 0.0)
        self.threshold_factor = number_pair("threshold_factor", threshold_factor, 0.0, 1.0, lambda f: 0.0)
        self.value_range = value_pair(value_range)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        addition, threshold = (
            255.0 * self.numbers(source, shape[0], *share) for share in (self.addition_factor, self.threshold_factor)
        )
        return {"additions": addition, "thresholds": threshold}

    def apply(self, images: Any, transformation: Any) -> Any:
        x = rescaled(images, self.value_range, (0.0, 255.0)) + factor_of(transformation, "additions")
        x = ops.clip(x, 0.0, 255.0)
        x = ops.where(x < factor_of(transformation, "thresholds"), x, 255.0 - x)
        return rescaled(x, (0.0, 255.0), self.value_range)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "addition_factor": list(self.addition_factor),
            "threshold_factor": list(self.threshold_factor),
            "value_range": list(self.value_range),
        }
