"""Residual networks (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.models import Model


def ResNet(
    blocks: Sequence[int],
    filters: Sequence[int],
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    small_images: bool = True,
    classifier_activation: str | None = "softmax",
    name: str = "resnet",
) -> Model:
    """Stages of residual blocks, each block ``relu(shortcut + F(x))`` with two convolutions of 3 x 3 in ``F``.

    Every convolution is followed by batch normalization and has no bias.  Each stage but the first
    halves rows and columns in its first block, whose shortcut is a convolution of 1 x 1 where the shape
    changes.  At the end: the mean over all places, and a dense layer.

    Args:
        blocks: number of blocks in each stage.
        filters: of each stage.
        input_shape: (rows, columns, channels) of an image.
        classes: number of outputs.
        small_images: begin with one convolution of 3 x 3, as for images of 32 x 32; otherwise with one of
            7 x 7 in steps of 2 and a pooling in steps of 2, as for images of 224 x 224.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes).

    Raises:
        ArgumentError: ``blocks`` and ``filters`` are not equally long.

    Example:
        >>> from lamina.applications import ResNet
        >>> ResNet(blocks=(1, 1), filters=(8, 16), input_shape=(8, 8, 3)).output_shape
        (None, 10)
    """
    if len(blocks) != len(filters) or not blocks:
        raise ArgumentError(f"ResNet: give blocks and filters for each stage; got {tuple(blocks)}, {tuple(filters)}.")
    inputs = layers.Input(input_shape)
    if small_images:
        x = layers.ReLU()(_convolution(inputs, filters[0], 3))
    else:
        x = layers.ReLU()(_convolution(inputs, filters[0], 7, strides=2))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, (count, width) in enumerate(zip(blocks, filters, strict=True)):
        for block in range(count):
            x = _block(x, width, strides=2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return Model(inputs, layers.Dense(classes, activation=classifier_activation)(x), name=name)


def ResNet18(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    small_images: bool = True,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
) -> Model:
    """``ResNet`` with four stages of two blocks and 64, 128, 256 and 512 filters: 11 million weights.

    Args:
        input_shape, classes, small_images, classifier_activation, name: as for ``ResNet``.

    Example:
        >>> from lamina.applications import ResNet18
        >>> ResNet18().count_params()
        11183562
    """
    return ResNet((2, 2, 2, 2), (64, 128, 256, 512), input_shape, classes, small_images, classifier_activation, name)


def ResNet20(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    classifier_activation: str | None = "softmax",
    name: str = "resnet20",
) -> Model:
    """``ResNet`` with three stages of three blocks and 16, 32 and 64 filters: a small one, for CIFAR-10.

    The paper's shortcuts between stages have no weights; here they are convolutions of 1 x 1.

    Args:
        input_shape, classes, classifier_activation, name: as for ``ResNet``.

    Example:
        >>> from lamina.applications import ResNet20
        >>> ResNet20().count_params()
        274042
    """
    return ResNet((3, 3, 3), (16, 32, 64), input_shape, classes, True, classifier_activation, name)


def _convolution(x: Any, filters: int, size: int, strides: int = 1) -> Any:
    """Convolution and batch normalization."""
    x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def _block(x: Any, filters: int, strides: int) -> Any:
    """``relu(shortcut + F(x))``."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, strides)
    y = layers.ReLU()(_convolution(x, filters, 3, strides))
    y = _convolution(y, filters, 3)
    return layers.ReLU()(layers.add([shortcut, y]))
