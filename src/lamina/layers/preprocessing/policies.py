"""Random changes chosen among many: ``RandAugment``, ``AugMix``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import ops, random
from lamina.graph.control_flow import cond
from lamina.layers.preprocessing.augmentation import RandomRotation, RandomShear, RandomTranslation
from lamina.layers.preprocessing.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from lamina.layers.preprocessing.equalization import AutoContrast, Equalization
from lamina.layers.preprocessing.image_layer import ImageLayer, RandomImageLayer, Source, as_tensors
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")

Step = Callable[[ImageLayer, Any, Any], Any]  # a layer, the data and the layer's transformation


class _Policy(RandomImageLayer):
    """Base: the layers to choose from, all of one strength, by name in ``steps``."""

    moves_pixels = True
    least = 0.0

    def __init__(
        self,
        value_range: Sequence[float],
        factor: Any,
        interpolation: str,
        seed: int | None,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self._set_factor(factor)
        self.value_range, self.interpolation = tuple(value_range), interpolation
        self.steps: dict[str, ImageLayer] = {}

    def _make_steps(self, colours: bool) -> None:
        """The layers; ``colours``: also those of brightness, colour, contrast and sharpness."""
        values: dict[str, Any] = {"value_range": self.value_range, "dtype": self.dtype_policy}
        ranged: dict[str, Any] = {**values, "seed": self.seed}
        moved: dict[str, Any] = {"interpolation": self.interpolation, "seed": self.seed, "dtype": self.dtype_policy}
        f = self.factor
        self.steps = {
            "random_shear": RandomShear(f, f, **moved),
            "random_translation": RandomTranslation(f, f, **moved),
            "random_rotation": RandomRotation(f, **moved),
        }
        if colours:
            self.steps |= {
                "random_brightness": RandomBrightness(f, **ranged),
                "random_color_degeneration": RandomColorDegeneration(f, **ranged),
                "random_contrast": RandomContrast(f, **ranged),
                "random_sharpness": RandomSharpness(f, **ranged),
            }
        self.steps |= {
            "random_posterization": RandomPosterization(max(1, int(8 * f[1])), **ranged),
            "solarization": Solarization(f, f, **ranged),
            "auto_contrast": AutoContrast(**values),
            "equalization": Equalization(**values),
        }

    def drawn(self, shape: tuple[int, ...], source: Source) -> dict[str, Any]:
        """A transformation of each layer."""
        return {name: layer.draw(shape, source) for name, layer in self.steps.items()}

    def chosen(self, number: Any, data: Any, transformations: dict[str, Any], step: Step) -> Any:
        """What the layer with this number makes of the data; those after the last leave it as it is."""
        layers = list(self.steps.items())

        def among(first: int, last: int) -> Any:
            if last - first == 1:
                if first == len(layers):
                    return data
                name, layer = layers[first]
                return step(layer, data, transformations[name])
            middle = (first + last) // 2
            return cond(number < middle, lambda: among(first, middle), lambda: among(middle, last))

        return among(0, len(layers) + 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_range": list(self.value_range),
            "factor": list(self.factor),
            "interpolation": self.interpolation,
        }


def _on_images(layer: ImageLayer, images: Any, transformation: Any) -> Any:
    return ops.astype(layer.apply(images, transformation), images.dtype)


def _on_masks(layer: ImageLayer, masks: Any, transformation: Any) -> Any:
    return ops.astype(layer.apply_to_masks(masks, transformation), masks.dtype) if layer.moves_pixels else masks


@_register
class RandAugment(_Policy):
    """In training, changes the batch by ``num_ops`` layers, each drawn from eleven.

    They are shear, translation, rotation, brightness, colour degeneration, contrast, sharpness, posterization,
    solarization, auto-contrast and equalization.

    Args:
        value_range: lowest and highest value of a pixel.
        num_ops: how many changes, one after the other.
        factor: strength of each, in ``[0, 1]``: up to this, or a pair.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space", 2019.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandAugment(seed=1)
        >>> layer(lamina.ones((2, 8, 8, 3)), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        self.num_ops = num_ops
        self._make_steps(colours=True)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        numbers: Any = random.randint((self.num_ops,), 0, len(self.steps), key=source()) if self.num_ops else []
        return {"layer_idxes": numbers, "transforms": self.drawn(shape, source)}

    def _each(self, data: Any, transformation: Any, step: Step) -> Any:
        for i in range(self.num_ops):
            data = self.chosen(transformation["layer_idxes"][i], data, transformation["transforms"], step)
        return data

    def apply(self, images: Any, transformation: Any) -> Any:
        return self._each(images, transformation, _on_images)

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self._each(masks, transformation, _on_masks)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        def on_boxes(layer: ImageLayer, boxes: Any, own: Any) -> Any:
            return layer.apply_to_boxes(boxes, own, rows, columns) if layer.moves_pixels else boxes

        return self._each(boxes, transformation, on_boxes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_ops": self.num_ops}


@_register
class AugMix(_Policy):
    """In training, mixes the batch with a mean of ``num_chains`` versions of it, each changed by up to ``chain_depth``
    layers, drawn from those of ``RandAugment``.

    ``w x + (1 - w) sum(v[i] chain[i](x))``, with ``w`` of Beta(alpha, alpha) and ``v`` of Dirichlet(alpha).  Boxes
    stay.

    Args:
        value_range: lowest and highest value of a pixel.
        num_chains: how many versions.
        chain_depth: how many changes each at most.
        factor: strength of each, in ``[0, 1]``: up to this, or a pair.
        alpha: the larger, the more even the mixture.
        all_ops: whether brightness, colour degeneration, contrast and sharpness are among the layers.
        interpolation: ``"bilinear"`` or ``"nearest"``.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty",
    ICLR 2020.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.AugMix(seed=1)
        >>> layer(lamina.ones((2, 8, 8, 3)), training=True).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, factor, interpolation, seed, data_format, **kwargs)
        self.num_chains, self.chain_depth, self.alpha, self.all_ops = num_chains, chain_depth, alpha, all_ops
        self._make_steps(colours=all_ops)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        shares = random.gamma((self.num_chains,), self.alpha, key=source())
        size = (self.num_chains, self.chain_depth)
        return {
            "chain_mixing_weights": shares / ops.sum(shares),
            "weight_sample": random.beta((), self.alpha, self.alpha, key=source()),
            "layer_idxes": random.randint(size, 0, len(self.steps) + 1, key=source()),
            "chain_transforms": [[self.drawn(shape, source) for _ in range(size[1])] for _ in range(size[0])],
        }

    def _mixed(self, data: Any, transformation: Any, step: Step) -> Any:
        shares, weight = (
            ops.astype(v, data.dtype) for v in as_tensors(transformation, "chain_mixing_weights", "weight_sample")
        )
        mean: Any = 0.0
        for i, chain in enumerate(transformation["chain_transforms"]):
            changed = data
            for j, transforms in enumerate(chain):
                changed = self.chosen(transformation["layer_idxes"][i, j], changed, transforms, step)
            mean = mean + changed * shares[i]
        return weight * data + (1.0 - weight) * mean

    def apply(self, images: Any, transformation: Any) -> Any:
        return ops.clip(self._mixed(images, transformation, _on_images), *self.value_range)

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        return self._mixed(masks, transformation, _on_masks)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_chains": self.num_chains,
            "chain_depth": self.chain_depth,
            "alpha": self.alpha,
            "all_ops": self.all_ops,
        }
