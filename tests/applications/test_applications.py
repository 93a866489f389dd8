"""Well-known networks: their shapes and sizes, and that they compute what the same network computes in Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import applications
from lamina.core.errors import ArgumentError


def keras_lenet(layers: Any, x: Any) -> Any:
    for filters in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 5, padding="same", activation="relu")(x))
    return layers.Dense(10, activation="softmax")(layers.Dense(128, activation="relu")(layers.Flatten()(x)))


def keras_vgg(layers: Any, x: Any) -> Any:
    for filters in (64, 64, 0, 128, 128, 0):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x) if filters else layers.MaxPooling2D()(x)
    return layers.Dense(10, activation="softmax")(layers.Dense(256, activation="relu")(layers.Flatten()(x)))


def keras_resnet(blocks: tuple[int, ...], widths: tuple[int, ...]) -> Any:
    def build(layers: Any, x: Any) -> Any:
        def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
            x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

        x = layers.ReLU()(conv(x, widths[0], 3))
        for stage, (count, filters) in enumerate(zip(blocks, widths, strict=True)):
            for block in range(count):
                strides = 2 if stage and not block else 1
                short = conv(x, filters, 1, strides) if strides > 1 else x
                y = conv(layers.ReLU()(conv(x, filters, 3, strides)), filters, 3)
                x = layers.ReLU()(layers.Add()([short, y]))
        return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    return build


CASES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "lenet": (applications.LeNet, keras_lenet, (28, 28, 1)),
    "vgg": (applications.VGGSmall, keras_vgg, (32, 32, 3)),
    "resnet20": (applications.ResNet20, keras_resnet((3, 3, 3), (16, 32, 64)), (32, 32, 3)),
    "resnet18": (applications.ResNet18, keras_resnet((2, 2, 2, 2), (64, 128, 256, 512)), (32, 32, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_same_outputs_as_in_keras(name: str, rng: np.random.Generator) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    build, other, shape = CASES[name]
    model = build(input_shape=shape)
    inputs = keras.layers.Input(shape)
    peer = keras.Model(inputs, other(keras.layers, inputs))
    weights = [  # away from their first values, the moving statistics above all
        np.abs(w + rng.normal(0, 0.05, w.shape)).astype(w.dtype) if w.ndim == 1 else w for w in model.get_weights()
    ]
    model.set_weights(weights)
    peer.set_weights(weights)
    x = rng.random((3, *shape), np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.asarray(peer(x)), rtol=2e-4, atol=2e-5)


def test_layers_come_in_the_order_of_computation() -> None:
    names = [type(layer).__name__ for layer in applications.LeNet(dropout=0.5).layers]
    dense = ["Flatten", "Dropout", "Dense", "Dropout", "Dense"]
    assert names == ["InputLayer", *["Conv2D", "MaxPooling2D"] * 2, *dense]
    assert applications.VGGSmall(classes=3).output_shape == (None, 3)


def test_resnet_for_large_images_shrinks_fourfold_at_once() -> None:
    model = applications.ResNet18((64, 96, 3), classes=7, small_images=False, classifier_activation=None)
    pooled = next(layer for layer in model.layers if type(layer).__name__ == "MaxPooling2D")
    assert pooled.output.shape == (None, 16, 24, 64)
    assert model.output_shape == (None, 7)
    assert model.count_params() == 11_183_562 + (49 - 9) * 3 * 64 - 3 * 513


def test_resnet_wants_filters_for_each_stage() -> None:
    with pytest.raises(ArgumentError, match="for each stage"):
        applications.ResNet((1, 1), (8,))


def test_a_small_resnet_learns(rng: np.random.Generator) -> None:
    lamina.random.seed(1)
    model = applications.ResNet((1, 1), (8, 16), (8, 8, 1), classes=2)
    x = rng.random((64, 8, 8, 1), np.float32)
    y = (x[:, :4].mean((1, 2, 3)) > x[:, 4:].mean((1, 2, 3))).astype(np.int64)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x, y, batch_size=32, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
