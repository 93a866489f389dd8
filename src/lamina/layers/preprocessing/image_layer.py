"""``ImageLayer``: what layers that prepare or change images have in common.

A subclass says up to four things about batches of float images ``(batch, rows, columns, channels)``: what it draws
(``draw``), what it does to images (``apply``), to segmentation masks (``apply_to_masks``) and to boxes
(``apply_to_boxes``).  One drawing serves images, masks, boxes and labels alike.  Single images, channels first,
integer pixels, dicts and the formats of boxes are dealt with here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import ops, random
from lamina.core.dtypes import is_float
from lamina.core.errors import ArgumentError, ShapeError
from lamina.layers.base import Layer
from lamina.layers.preprocessing.bounding_boxes import clip_to_image_size, convert_format
from lamina.layers.symbolic import Shape, SymbolicTensor
from lamina.ops.pool import data_format_of
from lamina.tensor import Tensor

Source = Callable[[], Any]  # gives what the functions of lamina.random take as key=


def stream(seed: Any) -> Source:
    """Sources of random numbers, one after the other, from a generator, an int or a key."""
    if isinstance(seed, random.Generator):
        return lambda: seed
    key = random.key(int(seed)) if isinstance(seed, int | np.integer) else seed
    numbers = itertools.count()
    return lambda: random.fold_in(key, next(numbers))


def number_pair(name: str, given: Any, least: float, most: float, lowest: Callable[[float], float]) -> tuple[Any, Any]:
    """The pair that was given, in order, or ``(lowest(f), |f|)`` from one number.

    Raises:
        ArgumentError: it is neither, or out of its range.
    """
    if isinstance(given, list | tuple) and len(given) == 2:
        low, high = sorted(given)
    elif isinstance(given, int | float) and least <= given <= most:
        low, high = max(lowest(abs(given)), least), abs(given)
    else:
        low, high = most + 1, least - 1
    if not least <= low <= high <= most:
        raise ArgumentError(
            f"The `{name}` argument should be a number (or a list of two numbers) in the range [{least}, {most}]. "
            f"Received: {name}={given}"
        )
    return low, high


def value_pair(value_range: Any) -> tuple[Any, Any]:
    """The lowest and the highest value of a pixel.

    Raises:
        ArgumentError: it is no pair.
    """
    if not isinstance(value_range, list | tuple) or len(value_range) != 2:
        raise ArgumentError(
            f"The `value_range` argument should be a list of two numbers. Received: value_range={value_range}"
        )
    low, high = sorted(value_range)
    return low, high


def dense_boxes(bounding_boxes: Any) -> dict[str, Any]:
    """Boxes and labels as Tensors; lists of different lengths are filled up with zeros and labels of -1.

    Raises:
        ArgumentError: it is no dict with ``boxes`` and ``labels``, or the two do not fit together.
    """
    if not isinstance(bounding_boxes, dict) or not {"boxes", "labels"} <= bounding_boxes.keys():
        raise ArgumentError(
            f"Expected `bounding_boxes` to be a dict with keys 'boxes' and 'labels'. Received: {bounding_boxes}"
        )
    boxes, labels = bounding_boxes["boxes"], bounding_boxes["labels"]
    if isinstance(boxes, list):
        if not isinstance(labels, list) or len(boxes) != len(labels):
            raise ArgumentError(
                "If `bounding_boxes['boxes']` is a list, `bounding_boxes['labels']` must be one of the same length. "
                f"Received: bounding_boxes['labels']={labels}"
            )
        if boxes and np.ndim(boxes[0][0] if len(boxes[0]) else [0.0]) == 1:  # one list for each image
            longest = max(len(b) for b in boxes)
            filled = np.zeros((len(boxes), longest, 4), np.float32)
            marks = np.full((len(boxes), longest), -1, np.int32)
            for i, (b, m) in enumerate(zip(boxes, labels, strict=True)):
                filled[i, : len(b)], marks[i, : len(b)] = np.reshape(b, (-1, 4)), m
            boxes, labels = filled, marks
    made = {"boxes": ops.astype(ops.as_tensor(boxes), "float32"), "labels": ops.as_tensor(labels)}
    if made["boxes"].ndim not in (2, 3):
        raise ShapeError(
            "Expected `bounding_boxes['boxes']` of shape (boxes, 4) or (batch, boxes, 4). "
            f"Received: {made['boxes'].shape}"
        )
    return {**bounding_boxes, **made}


class ImageLayer(Layer):
    """Base of layers that change images; see the module.

    ``layer(images)`` takes an image or a batch.  ``layer({"images": ..., "labels": ..., "segmentation_masks": ...,
    "bounding_boxes": {"boxes": ..., "labels": ...}})`` changes all of them alike.
    """

    autocast = False
    always = False  # also outside of training
    moves_pixels = False  # so that masks and boxes follow

    def __init__(self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format_of(type(self).__name__, data_format)
        self.bounding_box_format = bounding_box_format
        self.built = True

    # --- to be overridden -----------------------------------------------------------------------------
    def draw(self, shape: tuple[int, ...], source: Source) -> Any:
        """What is random about one call, for images of this shape."""
        return None

    def apply(self, images: Any, transformation: Any) -> Any:
        """The images changed."""
        raise NotImplementedError(f"{type(self).__name__} does not implement apply(images, transformation).")

    def apply_to_masks(self, masks: Any, transformation: Any) -> Any:
        """Segmentation masks changed; here as images."""
        return self.apply(masks, transformation)

    def apply_to_boxes(self, boxes: Any, transformation: Any, rows: int, columns: int) -> Any:
        """Boxes ``(batch, boxes, 4)``, left, top, right, bottom in pixels, changed."""
        return boxes

    def output_size(self, rows: Any, columns: Any) -> tuple[Any, Any]:
        """Rows and columns of the output."""
        return rows, columns

    # --- one kind of data -------------------------------------------------------------------------------
    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Draw what is random about one call.

        Args:
            data: images, or a dict with ``"images"``.
            training: outside of training nothing is drawn.
            seed: a generator, an int or a key; default the layer's own generator.

        Returns:
            What the ``transform_...`` methods take as ``transformation``: a dict, or ``None``.
        """
        images = data["images"] if isinstance(data, dict) else data
        shape = tuple(images.shape) if hasattr(images, "shape") else np.shape(images)
        if len(shape) not in (3, 4):
            raise ShapeError(
                f"Expected the input image to be rank 3 or 4 (one image, or a batch). Received: inputs.shape={shape}"
            )
        if not (training or self.always):
            return None
        shape = (1, *shape) if len(shape) == 3 else shape
        if self.data_format == "channels_first":
            shape = (shape[0], *shape[2:], shape[1])
        drawn = self.draw(shape, stream(seed if seed is not None else getattr(self, "seed_generator", None)))
        return {"input_shape": tuple(images.shape), **(drawn or {})} if self.moves_pixels else drawn

    def active(self, transformation: Any, training: Any) -> bool:
        """Whether anything is to be done."""
        return self.always or bool(training)

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        """Images, one or a batch, changed as the transformation says."""
        x = ops.astype(ops.as_tensor(images), self.compute_dtype)
        if not self.active(transformation, training):
            return x
        return ops.astype(self._in_batches(self.apply, x, transformation), self.compute_dtype)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool = True
    ) -> Any:
        """Segmentation masks, which follow the pixels; they keep their dtype."""
        masks = ops.as_tensor(segmentation_masks)
        if not (self.moves_pixels and self.active(transformation, training)):
            return masks
        x = masks if is_float(masks.dtype) else ops.astype(masks, "float32")
        return ops.astype(self._in_batches(self.apply_to_masks, x, transformation), masks.dtype)

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool = True) -> Any:
        """Labels of the images."""
        return ops.as_tensor(labels)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: bool = True) -> Any:
        """Boxes, which follow the pixels; those of which nothing is left in the image get the label -1."""
        found = dense_boxes(bounding_boxes)
        if not (self.moves_pixels and self.active(transformation, training)):
            return found
        axes = (-2, -1) if self.data_format == "channels_first" else (-3, -2)
        rows, columns = (int(transformation["input_shape"][i]) for i in axes)
        boxes = convert_format(found["boxes"], self.bounding_box_format or "xyxy", "xyxy", rows, columns)
        single = boxes.ndim == 2
        boxes = ops.expand_dims(boxes, axis=0) if single else boxes
        boxes = self.apply_to_boxes(boxes, transformation, rows, columns)
        height, width = self.output_size(rows, columns)
        kept = clip_to_image_size({**found, "boxes": boxes[0] if single else boxes}, height, width)
        return convert_format(kept, "xyxy", self.bounding_box_format or "xyxy", height, width)

    def _in_batches(self, function: Callable[..., Any], x: Any, transformation: Any) -> Any:
        """``function`` of a batch with channels last, made from what was given and brought back."""
        single, first = x.ndim == 3, self.data_format == "channels_first"
        x = ops.expand_dims(x, axis=0) if single else x
        x = function(ops.moveaxis(x, 1, -1) if first else x, transformation)
        x = ops.moveaxis(x, -1, 1) if first else x
        return x[0] if single else x

    # --- for one sample -----------------------------------------------------------------------------------
    def transform_single_image(self, image: Any, transformation: Any, training: bool = True) -> Any:
        """One image changed."""
        return self.transform_images(ops.expand_dims(ops.as_tensor(image), axis=0), transformation, training)[0]

    def transform_single_label(self, label: Any, transformation: Any, training: bool = True) -> Any:
        """One image's label."""
        return self.transform_labels(ops.expand_dims(ops.as_tensor(label), axis=0), transformation, training)[0]

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool = True
    ) -> Any:
        """One image's mask."""
        masks = ops.expand_dims(ops.as_tensor(segmentation_mask), axis=0)
        return self.transform_segmentation_masks(masks, transformation, training)[0]

    def transform_single_bounding_box(self, bounding_box: Any, transformation: Any, training: bool = True) -> Any:
        """One image's boxes."""
        found = dense_boxes(bounding_box)
        batch = {k: ops.expand_dims(v, axis=0) if k in ("boxes", "labels") else v for k, v in found.items()}
        changed = self.transform_bounding_boxes(batch, transformation, training)
        return {k: v[0] if k in ("boxes", "labels") else v for k, v in changed.items()}

    # --- all of it ------------------------------------------------------------------------------------------
    def call(self, data: Any, training: bool = True) -> Any:
        if isinstance(data, dict):
            data = {**data, "images": ops.as_tensor(data["images"])}
        else:
            data = ops.as_tensor(data)
        transformation = self.get_random_transformation(data, training=bool(training))
        if not isinstance(data, dict):
            return self._images(data, transformation, training)
        result = {**data, "images": self._images(data["images"], transformation, training)}
        single = len(data["images"].shape) == 3
        for key, one, many in (
            ("bounding_boxes", self.transform_single_bounding_box, self.transform_bounding_boxes),
            ("labels", self.transform_single_label, self.transform_labels),
            ("segmentation_masks", self.transform_single_segmentation_mask, self.transform_segmentation_masks),
        ):
            if key in data:
                if key == "bounding_boxes" and not self.bounding_box_format:
                    raise ArgumentError(
                        "You passed an input with a 'bounding_boxes' key, but you didn't specify a bounding box "
                        f"format. Pass a `bounding_box_format` argument to your {type(self).__name__} layer, e.g. "
                        "`bounding_box_format='xyxy'`."
                    )
                result[key] = (one if single else many)(data[key], transformation, training=training)
        return result

    def _images(self, images: Any, transformation: Any, training: Any) -> Any:
        change = self.transform_single_image if len(images.shape) == 3 else self.transform_images
        return change(images, transformation, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def compute_output_spec(self, inputs: Any, training: Any = None) -> Any:
        if isinstance(inputs, dict):
            return self._trace_outputs((inputs,), {"training": training})
        return SymbolicTensor(self.compute_output_shape(inputs.shape), self.output_dtype(inputs.dtype), self.name)

    def output_dtype(self, dtype: Any) -> Any:
        """The dtype of images that come out, for those that go in."""
        return self.compute_dtype

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "data_format": self.data_format}
        if self.bounding_box_format is not None:
            config["bounding_box_format"] = self.bounding_box_format
        return config


class RandomImageLayer(ImageLayer):
    """Base of layers with a random generator of their own; they do something in training only."""

    least, most = -1.0, 1.0  # bounds of factors
    factor: Any

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed, self.seed_generator = seed, random.SeedGenerator(seed)

    @property
    def generator(self) -> random.Generator:
        """The layer's random state."""
        return self.seed_generator

    def active(self, transformation: Any, training: Any) -> bool:
        return bool(training) and transformation is not None

    def _set_factor(self, factor: Any) -> None:
        self.factor = self.bounds("factor", factor)

    def bounds(self, name: str, given: Any) -> tuple[Any, Any]:
        """The pair that a factor is drawn from: the one given, or ``(-f, f)`` within what is allowed."""
        return number_pair(name, given, self.least, self.most, lambda f: -f)

    def numbers(self, source: Source, count: int, low: float, high: float, *more: int) -> Any:
        """Uniform numbers, shape ``(count, *more)``, or ``(count, 1, 1, 1)``, one for each image."""
        return random.uniform((count, *(more or (1, 1, 1))), low, high, dtype=self.compute_dtype, key=source())

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def as_tensors(transformation: Any, *names: str) -> list[Tensor]:
    """Entries of a transformation, which may have been written by hand, as Tensors."""
    return [ops.as_tensor(transformation[name]) for name in names]
