"""Images mixed with each other or in part erased: ``MixUp``, ``CutMix``, ``RandomErasing``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops, random
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError
from lamina.layers.preprocessing.image_layer import (
    RandomImageLayer,
    Source,
    as_tensors,
    number_pair,
    value_pair,
)
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")


def rectangle(starts: Sequence[Any], ends: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Which pixels lie within ``start <= place < end`` down and across; bool ``(batch, rows, columns, 1)``."""
    inside: Any = True
    for axis, (start, end) in enumerate(zip(starts, ends, strict=True), 1):
        places = ops.arange(shape[axis], dtype="float32")
        places = ops.reshape(places, [-1 if d == axis else 1 for d in range(4)])
        start, end = (ops.reshape(v, (-1, 1, 1, 1)) for v in (start, end))
        inside = ops.logical_and(inside, ops.logical_and(places >= start, places < end))
    return inside


def _spans(source: Source, shape: tuple[int, ...], shares: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Random places, down and across, for parts of these shares of the sides: where they start and end."""
    starts, ends = [], []
    for size, share in zip(shape[1:3], shares, strict=True):
        start = random.uniform((shape[0],), dtype="float32", key=source()) * (size * (1.0 - share))
        starts.append(start)
        ends.append(start + size * share)
    return starts, ends


def _shuffled(source: Source, count: int) -> Any:
    return random.permutation(ops.arange(count, dtype="int32"), key=source())


@_register
class MixUp(RandomImageLayer):
    """In training, ``w * image + (1 - w) * other`` for each image and a random other of the batch; labels alike.

    Boxes of both images are kept.

    Args:
        alpha: ``w`` follows the distribution Beta(alpha, alpha): small numbers mix little.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        seed: an int, or ``None`` for one from the default generator.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.

    Example:
        >>> import lamina
        >>> mixed = lamina.layers.MixUp(seed=1)({"images": lamina.ones((4, 2, 2, 3)), "labels": lamina.eye(4)})
        >>> mixed["labels"].shape
        (4, 4)
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not alpha > 0:
            raise ArgumentError(f"MixUp: `alpha` is a positive number; got {alpha}.")
        self.alpha = alpha

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        order = _shuffled(source, shape[0])
        return {
            "mix_weight": random.beta((shape[0],), self.alpha, self.alpha, key=source()),
            "permutation_order": order,
        }

    def _mixed(self, x: Any, transformation: Any, axes: int) -> Any:
        weight, order = as_tensors(transformation, "mix_weight", "permutation_order")
        x = x if is_float(x.dtype) else ops.astype(x, "float32")
        weight = ops.reshape(ops.astype(weight, x.dtype), (-1, *([1] * (axes - 1))))
        return weight * x + (1.0 - weight) * ops.take(x, order, axis=0)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        x = ops.astype(ops.as_tensor(images), self.compute_dtype)
        return self._mixed(x, transformation, 4) if self.active(transformation, training) else x

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True) -> Any:
        labels = ops.as_tensor(labels)
        if not self.active(transformation, training):
            return labels
        return self._mixed(labels, transformation, max(labels.ndim, 1))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        masks = ops.as_tensor(segmentation_masks)
        return self._mixed(masks, transformation, masks.ndim) if self.active(transformation, training) else masks

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        if not self.active(transformation, training):
            return super().transform_bounding_boxes(bounding_boxes, transformation, training)
        boxes, labels = (ops.as_tensor(bounding_boxes[k]) for k in ("boxes", "labels"))
        order = as_tensors(transformation, "permutation_order")[0]
        return {
            **bounding_boxes,
            "boxes": ops.concat([boxes, ops.take(boxes, order, axis=0)], axis=1),
            "labels": ops.concat([labels, ops.take(labels, order, axis=0)], axis=min(1, labels.ndim - 1)),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class _Share(RandomImageLayer):
    """A change with a factor in ``[0, 1]``."""

    least = 0.0

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self._set_factor(factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": list(self.factor)}


@_register
class CutMix(_Share):
    """In training, replaces a rectangle of each image by that of a random other; labels by its share of the area.

    Args:
        factor: the share of the image that stays follows Beta(f, f), with ``f`` drawn up to this, or from a pair.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    ICCV 2019.

    Example:
        >>> import lamina
        >>> mixed = lamina.layers.CutMix(seed=1)({"images": lamina.ones((4, 2, 2, 3)), "labels": lamina.eye(4)})
        >>> mixed["labels"].shape
        (4, 4)
    """

    moves_pixels = True

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        low, high = self.factor
        f = random.uniform((), low, high, dtype="float32", key=source()) + 1e-6
        share = ops.sqrt(1.0 - random.beta((shape[0],), f, f, key=source()))
        starts, ends = _spans(source, shape, (share, share))
        area = (ends[0] - starts[0]) * (ends[1] - starts[1]) / (shape[1] * shape[2])
        order = _shuffled(source, shape[0])
        masks = rectangle(starts, ends, shape)
        return {"permutation_order": order, "batch_masks": masks, "mix_weight": 1.0 - area}

    def apply(self, images: Any, transformation: Any) -> Any:
        masks, order = as_tensors(transformation, "batch_masks", "permutation_order")
        return ops.where(masks, ops.take(images, order, axis=0), images)

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True) -> Any:
        labels = ops.as_tensor(labels)
        if not self.active(transformation, training):
            return labels
        weight, order = as_tensors(transformation, "mix_weight", "permutation_order")
        labels = labels if is_float(labels.dtype) else ops.astype(labels, "float32")
        weight = ops.reshape(ops.astype(weight, labels.dtype), (-1, *([1] * (labels.ndim - 1))))
        return weight * labels + (1.0 - weight) * ops.take(labels, order, axis=0)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        if self.active(transformation, training):
            raise ArgumentError("CutMix cannot say what its rectangles leave of boxes. MixUp takes images with boxes.")
        return super().transform_bounding_boxes(bounding_boxes, transformation, training)


@_register
class RandomErasing(_Share):
    """In training, fills a random rectangle of some images.

    Args:
        factor: the probability: drawn up to this, or from a pair.
        scale: the rectangle's sides, squared, as a share of the image's: each drawn from this pair.
        fill_value: what it is filled with, a number or one for each channel; ``None`` for normal noise over the range
            of values.
        value_range: lowest and highest value of a pixel.
        seed: an int, or ``None`` for one from the default generator.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Source: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.RandomErasing(scale=(1.0, 1.0), fill_value=7, seed=1)
        >>> layer(lamina.ones((2, 4, 4, 3)), training=True).shape
        (2, 4, 4, 3)
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
        super().__init__(factor, seed, data_format, **kwargs)
        self.scale = number_pair("scale", scale, 0.0, 1.0, lambda f: 0.0)
        self.fill_value, self.value_range = fill_value, value_pair(value_range)

    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        sides = ops.sqrt(random.uniform((2, shape[0]), *self.scale, dtype="float32", key=source()))
        starts, ends = _spans(source, shape, (sides[0], sides[1]))
        chance = self.numbers(source, shape[0], *self.factor)
        apply = self.numbers(source, shape[0], 0.0, 1.0) < chance
        return {
            "apply_erasing": apply,
            "batch_masks": rectangle(starts, ends, shape),
            "fill_value": self._filling(shape, source),
        }

    def _filling(self, shape: tuple[int, ...], source: Source) -> Any:
        if self.fill_value is not None:
            return ops.as_tensor(self.fill_value, dtype=self.compute_dtype)
        low, high = self.value_range
        noise = random.normal(shape, dtype=self.compute_dtype, key=source()) * ((high - low) / 6.0)
        return ops.clip(noise + (low + high) / 2.0, low, high)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        x = ops.as_tensor(images)  # one image counts as a batch of one, as the rectangles do
        return super().transform_images(x if x.ndim == 4 else ops.expand_dims(x, axis=0), transformation, training)

    def apply(self, images: Any, transformation: Any) -> Any:
        apply, masks, filling = as_tensors(transformation, "apply_erasing", "batch_masks", "fill_value")
        inside = ops.logical_and(masks, ops.reshape(apply, (-1, 1, 1, 1)))
        return ops.where(inside, ops.astype(filling, images.dtype), images)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": list(self.scale),
            "fill_value": self.fill_value,
            "value_range": list(self.value_range),
        }
