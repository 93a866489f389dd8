"""Residual networks of two convolutions a block, for large images and small ones, and PyTorch's bottleneck blocks.

He, Zhang, Ren and Sun: "Deep residual learning for image recognition" (2015) and, with the activation before the
convolutions, "Identity mappings in deep residual networks" (2016).  The networks for large images have the sizes,
paddings and names of PyTorch's published ones, so that their weights fit (see ``lamina.applications.pytorch``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.core.errors import ArgumentError
from lamina.models import Model

FILTERS = (64, 128, 256, 512)
SMALL = 64  # rows of an image below which it is a small one


def ResNet(
    blocks: Sequence[int],
    filters: Sequence[int],
    input_shape: Sequence[int | None] | None = (32, 32, 3),
    classes: int = 10,
    small_images: bool = True,
    classifier_activation: str | None = "softmax",
    name: str = "resnet",
    *,
    include_top: bool = True,
    weights: Weights = None,
    pooling: str | None = None,
    bottleneck: bool = False,
    preactivated: bool = False,
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
        small_images: begin with one convolution of 3 x 3, as for images of 32 x 32, and pad as ``"same"``; otherwise
            with one of 7 x 7 in steps of 2 and a pooling in steps of 2, as for images of 224 x 224, and pad evenly
            on all sides.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, Lamina's or a PyTorch state dict, or
            Keras's); ``None`` for fresh ones.
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        bottleneck: ``F`` is a convolution of 1 x 1, one of 3 x 3, and one of 1 x 1 to four times as many channels;
            the second one halves rows and columns ("version 1.5", as in PyTorch).
        preactivated: the second form: blocks ``shortcut + F(relu(normalize(x)))`` with a normalization before each
            convolution, and one at the end.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Raises:
        ArgumentError: ``blocks`` and ``filters`` are not equally long.

    Example:
        >>> from lamina.applications import ResNet
        >>> ResNet(blocks=(1, 1), filters=(8, 16), input_shape=(8, 8, 3)).output_shape
        (None, 10)
    """
    if len(blocks) != len(filters) or not blocks:
        raise ArgumentError(f"ResNet: give blocks and filters for each stage; got {tuple(blocks)}, {tuple(filters)}.")
    inputs = image_input(name, input_shape, 32 if small_images else 224, 1)
    even = not small_images
    x = _convolution(inputs, filters[0], 3 if small_images else 7, 1 if small_images else 2, "conv1", even)
    if not preactivated:
        x = _activate(x, "bn1")
    if not small_images:
        x = layers.MaxPooling2D(3, strides=2, name="maxpool")(layers.ZeroPadding2D(1, name="maxpool_pad")(x))
    sizes = (1, 3, 1) if bottleneck else (3, 3)
    block = _activated_block if preactivated else _block
    for stage, (count, width) in enumerate(zip(blocks, filters, strict=True)):
        widths = (width, width, 4 * width) if bottleneck else (width, width)
        for number in range(count):
            strides = 2 if stage and not number else 1
            x = block(x, widths, sizes, strides, f"layer{stage + 1}_{number}", even)
    if preactivated:
        x = _activate(x, "norm")
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights,
    )  # fmt: skip


def ResNet18(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    small_images: bool | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
) -> Model:
    """``ResNet`` with four stages of two blocks and 64, 128, 256 and 512 filters; 11,689,512 trained weights.

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, Lamina's or a PyTorch state dict, or Keras's);
            ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image; default (224, 224, 3), or (32, 32, 3) for small images.
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        small_images: as for ``ResNet``; default: whether ``input_shape`` has fewer than 64 rows.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import ResNet18
        >>> ResNet18(include_top=False).output_shape
        (None, 7, 7, 512)
        >>> ResNet18(include_top=False, input_shape=(32, 32, 3)).output_shape
        (None, 4, 4, 512)
    """
    arguments = (include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name)
    return _resnet((2, 2, 2, 2), False, *arguments)


def ResNet34(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    small_images: bool | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
) -> Model:
    """As ``ResNet18`` with stages of 3, 4, 6 and 3 blocks; 21,797,672 trained weights.

    Args:
        include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name: as for
            ``ResNet18``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name)
    return _resnet((3, 4, 6, 3), False, *arguments)


def ResNet18V2(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    small_images: bool | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18v2",
) -> Model:
    """``ResNet18`` in the second form, ``shortcut + F(relu(normalize(x)))``.

    Args:
        include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name: as for
            ``ResNet18``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name)
    return _resnet((2, 2, 2, 2), True, *arguments)


def ResNet34V2(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    small_images: bool | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34v2",
) -> Model:
    """``ResNet34`` in the second form.

    Args:
        include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name: as for
            ``ResNet18``.
    """
    arguments = (include_top, weights, input_shape, pooling, classes, small_images, classifier_activation, name)
    return _resnet((3, 4, 6, 3), True, *arguments)


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


def _resnet(
    blocks: Sequence[int],
    preactivated: bool,
    include_top: bool,
    weights: Weights,
    input_shape: Sequence[int | None] | None,
    pooling: str | None,
    classes: int,
    small_images: bool | None,
    classifier_activation: str | None,
    name: str,
) -> Model:
    if small_images is None:
        rows = next(iter(input_shape or ()), None)
        small_images = rows is not None and rows < SMALL
    return ResNet(
        blocks, FILTERS, input_shape, classes, small_images, classifier_activation, name,
        include_top=include_top, weights=weights, pooling=pooling, preactivated=preactivated,
    )  # fmt: skip


def _convolution(x: Any, filters: int, size: int, strides: int, name: str, even: bool) -> Any:
    """A convolution without bias; ``even``: with the same padding on all sides."""
    padding = "same"
    if even and strides > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x), "valid"
    return layers.Conv2D(
        filters, size, strides, padding=padding, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def _activate(x: Any, name: str) -> Any:
    return layers.ReLU(name=f"{name}_relu")(_normalize(x, name))


def _block(x: Any, widths: Sequence[int], sizes: Sequence[int], strides: int, name: str, even: bool) -> Any:
    """``relu(shortcut + F(x))``."""
    shortcut = x
    if strides != 1 or x.shape[-1] != widths[-1]:
        shortcut = _convolution(x, widths[-1], 1, strides, f"{name}_downsample_0", even)
        shortcut = _normalize(shortcut, f"{name}_downsample_1")
    shrinking = sizes.index(3)
    for i, (width, size) in enumerate(zip(widths, sizes, strict=True)):
        x = _convolution(x, width, size, strides if i == shrinking else 1, f"{name}_conv{i + 1}", even)
        last = i == len(sizes) - 1
        x = _normalize(x, f"{name}_bn{i + 1}") if last else _activate(x, f"{name}_bn{i + 1}")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([shortcut, x]))


def _activated_block(x: Any, widths: Sequence[int], sizes: Sequence[int], strides: int, name: str, even: bool) -> Any:
    """``shortcut + F(relu(normalize(x)))``."""
    shortcut = x
    shrinking = sizes.index(3)
    for i, (width, size) in enumerate(zip(widths, sizes, strict=True)):
        x = _activate(x, f"{name}_bn{i + 1}")
        if not i and (strides != 1 or x.shape[-1] != widths[-1]):
            shortcut = _convolution(x, widths[-1], 1, strides, f"{name}_downsample_0", even)
        x = _convolution(x, width, size, strides if i == shrinking else 1, f"{name}_conv{i + 1}", even)
    return layers.Add(name=f"{name}_add")([shortcut, x])
