"""VGG (Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.models import Model

FILTERS = (64, 128, 256, 512, 512)


def VGG11(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "vgg11",
) -> Model:
    """Configuration A of the paper, eleven layers with weights: 1, 1, 2, 2 and 2 convolutions in five blocks.

    Args:
        include_top, weights, input_shape, pooling, classes, classifier_activation, name: as for ``VGG16``.

    Example:
        >>> from lamina.applications import VGG11
        >>> VGG11(include_top=False, input_shape=(32, 32, 3)).count_params()
        9220480
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _vgg((1, 1, 2, 2, 2), (), *arguments)


def VGG16(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "vgg16",
) -> Model:
    """Configuration D of the paper: blocks of 2, 2, 3, 3 and 3 convolutions of 3 x 3, two dense layers of 4,096.

    Each block ends with a pooling that halves rows and columns; 138,357,544 weights with the classifier.

    Args:
        include_top: with the dense layers.
        weights: a file with the network's weights (``.safetensors``, Lamina's or a PyTorch state dict, or
            Keras's), ``"imagenet"`` for those that Keras publishes, ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 32 rows and columns; default (224, 224, 3).
        pooling: without the dense layers, what is done with the last feature maps: ``"avg"`` or ``"max"`` over
            all places, or nothing.
        classes: number of outputs.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Raises:
        ShapeError: images of this size are too small.
        ArgumentError: an unknown ``pooling``, or a file that is not there.

    Example:
        >>> from lamina.applications import VGG16
        >>> VGG16(include_top=False, input_shape=(64, 64, 3), pooling="avg").output_shape
        (None, 512)
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _vgg((2, 2, 3, 3, 3), ("vgg16",), *arguments)


def VGG19(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "vgg19",
) -> Model:
    """Configuration E of the paper: blocks of 2, 2, 4, 4 and 4 convolutions; 143,667,240 weights.

    Args:
        include_top, weights, input_shape, pooling, classes, classifier_activation, name: as for ``VGG16``.

    Example:
        >>> from lamina.applications import VGG19
        >>> VGG19(include_top=False, input_shape=(32, 32, 3)).count_params()
        20024384
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _vgg((2, 2, 4, 4, 4), ("vgg19",), *arguments)


def VGGSmall(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    dropout: float = 0.0,
    classifier_activation: str | None = "softmax",
    name: str = "vgg_small",
) -> Model:
    """VGG for small images: twice two convolutions of 3 x 3 and a pooling, then two dense layers.

    64, 64, pool, 128, 128, pool, 256 units, classes; ReLU everywhere.

    Args:
        input_shape: (rows, columns, channels) of an image.
        classes: number of outputs.
        dropout: share of the inputs of both dense layers that is dropped in training.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes).

    Example:
        >>> from lamina.applications import VGGSmall
        >>> VGGSmall().count_params()
        2360138
    """
    inputs = layers.Input(input_shape)
    x = _blocks(inputs, (2, 2))
    x = layers.Flatten()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(256, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return Model(inputs, layers.Dense(classes, activation=classifier_activation)(x), name=name)


def _blocks(x: Any, counts: Sequence[int]) -> Any:
    """Blocks of convolutions, each with a pooling at its end."""
    for block, count in enumerate(counts, 1):
        for i in range(1, count + 1):
            filters = FILTERS[block - 1]
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv{i}")(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x


def _vgg(
    counts: Sequence[int],
    published: tuple[str, ...],
    include_top: bool,
    weights: Weights,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    name: str,
) -> Model:
    inputs = image_input(name, input_shape, 224, 32, include_top)
    x = _blocks(inputs, counts)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for i in (1, 2):
            x = layers.Dense(4096, activation="relu", name=f"fc{i}")(x)
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, averaged=False, published=published,
    )  # fmt: skip
