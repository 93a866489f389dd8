"""Convolutional networks train end to end through ``fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.datasets import digits

pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")


def images() -> tuple[Any, Any, Any, Any]:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train, x_test = (x[..., None].astype(np.float32) / 16 for x in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def test_lenet_on_digits(tmp_path: Path) -> None:
    """LeCun's LeNet, with images of 8 x 8 padded to 16 x 16 so that its windows of 5 x 5 fit."""
    lamina.random.seed(3)
    x_train, y_train, x_test, y_test = images()
    model = lamina.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.ZeroPadding2D(4),
            layers.Conv2D(8, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(lamina.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=50, epochs=16, validation_split=0.1, verbose=0).history
    assert history["val_loss"][-1] < 0.3 * history["val_loss"][0]
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.95
    model.save(tmp_path / "lenet.safetensors")
    again = lamina.models.load_model(tmp_path / "lenet.safetensors")
    np.testing.assert_array_equal(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0))


def test_residual_blocks_with_every_normalization() -> None:
    """Depthwise and strided convolutions, residual connections and a global mean, without dense layers before it."""
    lamina.random.seed(3)
    x_train, y_train, x_test, y_test = images()
    x = lamina.Input((8, 8, 1))
    h = layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
    for normalization in (layers.BatchNormalization(), layers.GroupNormalization(4), layers.LayerNormalization()):
        r = layers.ReLU()(normalization(h))
        r = layers.SeparableConv2D(16, 3, padding="same")(r)
        h = layers.Add()([h, layers.SpatialDropout2D(0.05, seed=1)(r)])
    h = layers.Conv2D(32, 3, strides=2, padding="same")(h)
    h = layers.GlobalMaxPooling2D()(layers.PReLU(shared_axes=(1, 2))(h))
    model = lamina.Model(x, layers.Dense(10, activation="softmax")(h))
    model.compile(lamina.optimizers.Adam(5e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=50, epochs=6, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.85
