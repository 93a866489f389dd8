"""Deep residual networks of bottleneck blocks, in both forms.

He, Zhang, Ren and Sun: "Deep residual learning for image recognition" (2015), and with the activation before the
convolutions "Identity mappings in deep residual networks" (2016).  Sizes, paddings and names of layers are those of
Keras's networks, so that their files of weights fit; with a PyTorch state dict as ``weights`` the first form is
PyTorch's (``ResNet`` with ``bottleneck=True``), which has no biases and halves the size in the convolution of 3 x 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.applications.pytorch import is_state_dict
from lamina.applications.resnet import ResNet
from lamina.models import Model

EPSILON = 1.001e-5
FILTERS = (64, 128, 256, 512)


def ResNet50(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
) -> Model:
    """Four stages of 3, 4, 6 and 3 bottleneck blocks ``relu(shortcut + F(x))``; 25,636,712 weights.

    ``F`` is a convolution of 1 x 1 to fewer channels, one of 3 x 3 and one of 1 x 1 to four times as many, each
    followed by batch normalization.

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, Lamina's or a PyTorch state dict, or
            Keras's), ``"imagenet"`` for those that Keras publishes, ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 32 rows and columns; default (224, 224, 3).
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Raises:
        ShapeError: images of this size are too small.
        ArgumentError: an unknown ``pooling``, or a file that is not there.

    Example:
        >>> from lamina.applications import ResNet50
        >>> ResNet50(include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 2, 2, 2048)
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _first_form((3, 4, 6, 3), "resnet50", *arguments)


def ResNet101(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet101",
) -> Model:
    """As ``ResNet50`` with 3, 4, 23 and 3 blocks; 44,707,176 weights.

    Args:
        include_top, weights, input_shape, pooling, classes, classifier_activation, name: as for ``ResNet50``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _first_form((3, 4, 23, 3), "resnet101", *arguments)


def ResNet50V2(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50v2",
) -> Model:
    """The second form, ``shortcut + F(relu(normalize(x)))``, in stages of 3, 4, 6 and 3 blocks; 25,613,800 weights.

    Args:
        include_top, weights, input_shape, pooling, classes, classifier_activation, name: as for ``ResNet50``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _second_form((3, 4, 6, 3), "resnet50v2", *arguments)


def ResNet101V2(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet101v2",
) -> Model:
    """As ``ResNet50V2`` with 3, 4, 23 and 3 blocks; 44,675,560 weights.

    Args:
        include_top, weights, input_shape, pooling, classes, classifier_activation, name: as for ``ResNet50``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)
    return _second_form((3, 4, 23, 3), "resnet101v2", *arguments)


def _first_form(
    blocks: Sequence[int],
    published: str,
    include_top: bool,
    weights: Weights,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    name: str,
) -> Model:
    if is_state_dict(weights):
        return ResNet(
            blocks, FILTERS, input_shape, classes, False, classifier_activation, name,
            include_top=include_top, weights=weights, pooling=pooling, bottleneck=True,
        )  # fmt: skip
    arguments = (include_top, weights, input_shape, pooling, classes, classifier_activation, name)

    def stages(x: Any) -> Any:
        x = layers.Activation("relu", name="conv1_relu")(_normalize(x, "conv1_bn"))
        x = _pool(x)
        for stage, (count, filters) in enumerate(zip(blocks, FILTERS, strict=True)):
            for block in range(count):
                stride = 2 if stage and not block else 1
                x = _block(x, filters, stride, not block, f"conv{stage + 2}_block{block + 1}")
        return x

    return _network(stages, published, *arguments)


def _second_form(blocks: Sequence[int], published: str, *arguments: Any) -> Model:
    def stages(x: Any) -> Any:
        x = _pool(x)
        for stage, (count, filters) in enumerate(zip(blocks, FILTERS, strict=True)):
            for block in range(count):
                stride = 2 if stage < len(blocks) - 1 and block == count - 1 else 1
                x = _activated_block(x, filters, stride, not block, f"conv{stage + 2}_block{block + 1}")
        return layers.Activation("relu", name="post_relu")(_normalize(x, "post_bn"))

    return _network(stages, published, *arguments)


def _network(
    stages: Callable[[Any], Any],
    published: str,
    include_top: bool,
    weights: Weights,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    name: str,
) -> Model:
    """The first convolution, all stages, the classifier."""
    inputs = image_input(name, input_shape, 224, 32)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(inputs)
    x = stages(layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x))
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, published=(published,),
    )  # fmt: skip


def _normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _pool(x: Any) -> Any:
    return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(layers.ZeroPadding2D(1, name="pool1_pad")(x))


def _block(x: Any, filters: int, stride: int, convolved: bool, name: str) -> Any:
    """``relu(shortcut + F(x))``."""
    shortcut = x
    if convolved:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = _normalize(shortcut, f"{name}_0_bn")
    x = _normalize(layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x), f"{name}_1_bn")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _normalize(layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x), f"{name}_2_bn")
    x = layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = _normalize(layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x), f"{name}_3_bn")
    return layers.Activation("relu", name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))


def _activated_block(x: Any, filters: int, stride: int, convolved: bool, name: str) -> Any:
    """``shortcut + F(relu(normalize(x)))``."""
    before = x
    x = layers.Activation("relu", name=f"{name}_preact_relu")(_normalize(x, f"{name}_preact_bn"))
    shortcut = before
    if convolved:
        shortcut = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
    elif stride > 1:
        shortcut = layers.MaxPooling2D(1, strides=stride, name=f"{name}_0_pool")(before)
    x = _normalize(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(x), f"{name}_1_bn")
    x = layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = layers.Activation("relu", name=f"{name}_2_relu")(_normalize(x, f"{name}_2_bn"))
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])
