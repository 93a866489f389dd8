"""LeNet (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

from collections.abc import Sequence

from lamina import layers
from lamina.models import Model


def LeNet(
    input_shape: Sequence[int] = (28, 28, 1),
    classes: int = 10,
    dropout: float = 0.0,
    classifier_activation: str | None = "softmax",
    name: str = "lenet",
) -> Model:
    """Two convolutions of 5 x 5 with pooling, then two dense layers: LeNet-5 in today's form.

    32 and 64 filters with ReLU, each followed by maximum pooling, then 128 units with ReLU and one unit
    for each class; 454,922 weights for MNIST's images.

    Args:
        input_shape: (rows, columns, channels) of an image.
        classes: number of outputs.
        dropout: share of the inputs of both dense layers that is dropped in training.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes).

    Example:
        >>> from lamina.applications import LeNet
        >>> model = LeNet()
        >>> model.output_shape, model.count_params()
        ((None, 10), 454922)
    """
    inputs = layers.Input(input_shape)
    x = inputs
    for filters in (32, 64):
        x = layers.Conv2D(filters, 5, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    x = layers.Dense(128, activation="relu")(x)
    if dropout:
        x = layers.Dropout(dropout)(x)
    return Model(inputs, layers.Dense(classes, activation=classifier_activation)(x), name=name)
