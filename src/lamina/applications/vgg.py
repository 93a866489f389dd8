"""Networks in the manner of VGG (Simonyan and Zisserman, "Very deep convolutional networks", 2014)."""

from __future__ import annotations

from collections.abc import Sequence

from lamina import layers
from lamina.models import Model


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
    x = inputs
    for filters in (64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(256, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return Model(inputs, layers.Dense(classes, activation=classifier_activation)(x), name=name)
