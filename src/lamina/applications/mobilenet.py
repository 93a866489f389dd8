"""MobileNet v2 (Sandler, Howard, Zhu, Zhmoginov and Chen, "Inverted residuals and linear bottlenecks", 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.models import Model

# expansion, filters, blocks, stride of the first: table 2 of the paper
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

SIZES = (96, 128, 160, 192, 224)  # of the images that published weights were trained with


def MobileNetV2(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    alpha: float = 1.0,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "mobilenetv2",
) -> Model:
    """Inverted residual blocks: widen by a convolution of 1 x 1, filter each channel, narrow; 3,538,984 weights.

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, or Keras's), ``"imagenet"`` for those that
            Keras publishes, ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 32 rows and columns; default (224, 224, 3).
        alpha: factor of the number of filters in every layer.
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import MobileNetV2
        >>> MobileNetV2(include_top=False, input_shape=(64, 64, 3), alpha=0.35).output_shape
        (None, 2, 2, 1280)
    """
    inputs = image_input(name, input_shape, 224, 32)
    x = layers.Conv2D(_eighths(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
    x = layers.ReLU(6.0, name="Conv1_relu")(_normalize(x, "bn_Conv1"))
    number = 0
    for expansion, filters, blocks, stride in STAGES:
        for block in range(blocks):
            width = _eighths(int(filters * alpha))
            x = _block(x, expansion, width, 1 if block else stride, number)
            number += 1
    last = _eighths(1280 * alpha) if alpha > 1.0 else 1280
    x = _normalize(layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x), "Conv_1_bn")
    x = layers.ReLU(6.0, name="out_relu")(x)
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights,
        published=("mobilenet_v2", f"_{float(alpha)}_{_trained_size(inputs.shape)}"),
    )  # fmt: skip


def _trained_size(shape: Sequence[int | None]) -> int:
    """The size of the images with which the published weights for such images were trained."""
    rows, columns = shape[1:3]
    return rows if rows is not None and rows == columns and rows in SIZES else 224


def _eighths(filters: float) -> int:
    """The nearest multiple of 8, but not below nine tenths of the number."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


def _normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def _block(x: Any, expansion: int, filters: int, stride: int, number: int) -> Any:
    """Widen, filter, narrow; the input is added where the shape has stayed."""
    before, channels = x, x.shape[-1]
    prefix = f"block_{number}_" if number else "expanded_conv_"
    if number:
        x = layers.Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(_normalize(x, f"{prefix}expand_BN"))
    if stride == 2:
        sides = tuple((1 - (size is None or size % 2 == 0), 1) for size in x.shape[1:3])
        x = layers.ZeroPadding2D(sides, name=f"{prefix}pad")(x)
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False, name=f"{prefix}depthwise"
    )(x)
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(_normalize(x, f"{prefix}depthwise_BN"))
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = _normalize(x, f"{prefix}project_BN")
    return layers.Add(name=f"{prefix}add")([before, x]) if channels == filters and stride == 1 else x
