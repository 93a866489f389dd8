"""Inception: several convolutions of the same input side by side.

Version 1, GoogLeNet: Szegedy and others, "Going deeper with convolutions" (2014).  Version 3: Szegedy, Vanhoucke,
Ioffe, Shlens and Wojna, "Rethinking the Inception architecture for computer vision" (2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.models import Model

# Filters of each module: 1x1; 1x1 then 3x3; 1x1 then 5x5; 1x1 after pooling (table 1 of the first paper).
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def InceptionV1(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    dropout: float = 0.4,
    classifier_activation: str | None = "softmax",
    name: str = "inception_v1",
) -> Model:
    """GoogLeNet: nine modules of four branches, without the classifiers on the way; 6,998,552 weights.

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights; ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 32 rows and columns; default (224, 224, 3).
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        dropout: share of the features that is dropped in training, before the classifier.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import InceptionV1
        >>> InceptionV1(include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 2, 2, 1024)
    """
    inputs = image_input(name, input_shape, 224, 32)

    def convolution(x: Any, filters: int, size: int, name: str, strides: int = 1) -> Any:
        return layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=name)(x)

    def halve(x: Any, name: str) -> Any:
        return layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    x = halve(convolution(inputs, 64, 7, "conv1", strides=2), "pool1")
    x = convolution(convolution(x, 64, 1, "conv2_reduce"), 192, 3, "conv2")
    x = halve(x, "pool2")
    for module, (one, reduce3, three, reduce5, five, pooled) in MODULES.items():
        if module in ("4a", "5a"):
            x = halve(x, f"pool{int(module[0]) - 1}")
        prefix = f"mixed{module}"
        branches = [
            convolution(x, one, 1, f"{prefix}_1x1"),
            convolution(convolution(x, reduce3, 1, f"{prefix}_3x3_reduce"), three, 3, f"{prefix}_3x3"),
            convolution(convolution(x, reduce5, 1, f"{prefix}_5x5_reduce"), five, 5, f"{prefix}_5x5"),
        ]
        around = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{prefix}_pool")(x)
        branches.append(convolution(around, pooled, 1, f"{prefix}_pool_1x1"))
        x = layers.Concatenate(name=prefix)(branches)
    if include_top:
        x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="avg_pool")(x))
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, averaged=False,
    )  # fmt: skip


def InceptionV3(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "inception_v3",
) -> Model:
    """Eleven modules, large windows taken apart into rows and columns, batch normalization; 23,851,784 weights.

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, or Keras's), ``"imagenet"`` for those that
            Keras publishes, ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 75 rows and columns; default (299, 299, 3).
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import InceptionV3
        >>> InceptionV3(include_top=False, input_shape=(75, 75, 3)).output_shape
        (None, 1, 1, 2048)
    """
    inputs = image_input(name, input_shape, 299, 75)
    x = _chain(inputs, (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _chain(x, (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for number, pooled in enumerate((32, 64, 64)):
        branches = [_chain(x, (64, 1)), _chain(x, (48, 1), (64, 5)), _chain(x, (64, 1), (96, 3), (96, 3))]
        x = layers.Concatenate(name=f"mixed{number}")([*branches, _pooled(x, pooled)])
    branches = [_chain(x, (384, 3, 2, "valid")), _chain(x, (64, 1), (96, 3), (96, 3, 2, "valid"))]
    x = layers.Concatenate(name="mixed3")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    row, column = (1, 7), (7, 1)
    for number, n in enumerate((128, 160, 160, 192), 4):
        branches = [
            _chain(x, (192, 1)),
            _chain(x, (n, 1), (n, row), (192, column)),
            _chain(x, (n, 1), (n, column), (n, row), (n, column), (192, row)),
        ]
        x = layers.Concatenate(name=f"mixed{number}")([*branches, _pooled(x, 192)])
    branches = [
        _chain(x, (192, 1), (320, 3, 2, "valid")),
        _chain(x, (192, 1), (192, row), (192, column), (192, 3, 2, "valid")),
    ]
    x = layers.Concatenate(name="mixed8")([*branches, layers.MaxPooling2D(3, strides=2)(x)])
    for number in (9, 10):
        branches = [_chain(x, (320, 1))]
        branches.append(_forked(_chain(x, (384, 1)), f"mixed9_{number - 9}"))
        branches.append(_forked(_chain(x, (448, 1), (384, 3)), None))
        x = layers.Concatenate(name=f"mixed{number}")([*branches, _pooled(x, 192)])
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, published=("inception_v3",),
    )  # fmt: skip


def _chain(x: Any, *convolutions: tuple[Any, ...]) -> Any:
    """Convolutions ``(filters, size, stride, padding)``, each with batch normalization and ReLU."""
    for filters, size, *rest in convolutions:
        stride, padding = rest or (1, "same")
        x = layers.Conv2D(filters, size, strides=stride, padding=padding, use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(scale=False)(x))
    return x


def _pooled(x: Any, filters: int) -> Any:
    return _chain(layers.AveragePooling2D(3, strides=1, padding="same")(x), (filters, 1))


def _forked(x: Any, name: str | None) -> Any:
    """Windows of a row and of a column, side by side."""
    return layers.Concatenate(name=name)([_chain(x, (384, (1, 3))), _chain(x, (384, (3, 1)))])
