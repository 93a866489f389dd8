"""AlexNet (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional networks", 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import layers
from lamina import ops as L
from lamina.applications._network import Weights, finish, image_input
from lamina.core.errors import ArgumentError
from lamina.models import Model
from lamina.serialization import register_serializable


@register_serializable("lamina.applications")
class LocalResponseNormalization(layers.Layer):
    """``y = x / (bias + alpha * s) ** beta``, ``s`` the sum of squares of the channels up to ``radius`` away.

    Args:
        radius: how many channels on either side count.
        bias: added to the sum.
        alpha: factor of the sum.
        beta: the power.

    Example:
        >>> import lamina
        >>> from lamina.applications.alexnet import LocalResponseNormalization
        >>> normalize = LocalResponseNormalization(radius=1, bias=0.0, alpha=1.0, beta=1.0)
        >>> normalize(lamina.ones((1, 1, 1, 4))).numpy().round(3).ravel()
        array([0.5  , 0.333, 0.333, 0.5  ], dtype=float32)
    """

    def __init__(
        self, radius: int = 2, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75, **keywords: Any
    ) -> None:
        super().__init__(**keywords)
        if radius < 0:
            raise ArgumentError(f"LocalResponseNormalization: radius is at least 0, got {radius}.")
        self.radius, self.bias, self.alpha, self.beta = radius, bias, alpha, beta

    def call(self, x: Any) -> Any:
        """The normalized channels."""
        # A product with a band of ones: sums of shifted copies, and their gradients, cost several times as much.
        numbers = np.arange(x.shape[-1])
        band = L.asarray(np.abs(numbers[:, None] - numbers) <= self.radius, x.dtype)
        near = L.matmul(L.square(x), band)
        scale = self.bias + self.alpha * near
        # The paper's power by roots, which cost a fifth of a power.
        return x * (L.rsqrt(scale * L.sqrt(scale)) if self.beta == 0.75 else L.pow(scale, -self.beta))

    def get_config(self) -> dict[str, Any]:
        """The arguments to make the layer again."""
        own = {"radius": self.radius, "bias": self.bias, "alpha": self.alpha, "beta": self.beta}
        return {**super().get_config(), **own}


def AlexNet(
    include_top: bool = True,
    weights: Weights = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    dropout: float = 0.5,
    classifier_activation: str | None = "softmax",
    name: str = "alexnet",
) -> Model:
    """Five convolutions, overlapping pooling, two dense layers of 4,096: 60,965,224 weights.

    As in the paper the second, fourth and fifth convolution have two groups of channels, the first two are followed
    by a local response normalization, and the first goes in steps of 4 over images of 227 x 227.

    Args:
        include_top: with the dense layers.
        weights: a file with the network's weights; ``None`` for fresh ones.
        input_shape: (rows, columns, channels) of an image, at least 67 rows and columns; default (227, 227, 3).
        pooling: without the dense layers: ``"avg"`` or ``"max"`` over all places, or nothing.
        classes: number of outputs.
        dropout: share of the inputs of both large dense layers that is dropped in training.
        classifier_activation: ``"softmax"`` for probabilities, ``None`` for logits.
        name: of the model.

    Returns:
        A model from images (batch, rows, columns, channels) to (batch, classes), or to feature maps.

    Example:
        >>> from lamina.applications import AlexNet
        >>> AlexNet(include_top=False).output_shape
        (None, 6, 6, 256)
    """
    inputs = image_input(name, input_shape, 227, 67, include_top)
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(LocalResponseNormalization(name="norm1")(x))
    x = layers.Conv2D(256, 5, padding="same", groups=2, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(LocalResponseNormalization(name="norm2")(x))
    for i, (filters, groups) in enumerate(((384, 1), (384, 2), (256, 2)), 3):
        x = layers.Conv2D(filters, 3, padding="same", groups=groups, activation="relu", name=f"conv{i}")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        for i in (6, 7):
            x = layers.Dense(4096, activation="relu", name=f"fc{i}")(x)
            x = layers.Dropout(dropout, name=f"dropout{i}")(x)
    return finish(
        inputs, x, name, include_top=include_top, pooling=pooling, classes=classes,
        classifier_activation=classifier_activation, weights=weights, averaged=False,
    )  # fmt: skip
