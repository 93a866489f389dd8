"""Small problems and models that the training tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

import lamina
from lamina import layers


def blobs(rows: int = 300, classes: int = 3, features: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points around one centre for each class, easy to tell apart."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 3, (classes, features))
    labels = rng.integers(0, classes, rows)
    points = centres[labels] + rng.normal(0, 0.5, (rows, features))
    return points.astype(np.float32), labels


def line(rows: int = 50, features: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points of a linear function with some noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    y = x @ rng.normal(size=(features, 1)) + 0.5 + rng.normal(0, 0.1, (rows, 1))
    return x, y.astype(np.float32)


def classifier(features: int = 4, classes: int = 3, hidden: int = 16, **compile_options: Any) -> Any:
    """A compiled network for ``blobs``."""
    model = lamina.Sequential(
        [layers.Input((features,)), layers.Dense(hidden, "relu"), layers.Dense(classes, "softmax")]
    )
    options = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**{**options, **compile_options})
    return model


def regressor(features: int = 3, **compile_options: Any) -> Any:
    """A compiled linear model for ``line``, its weights starting at fixed values."""
    model = lamina.Sequential([layers.Input((features,)), layers.Dense(1)])
    model.set_weights([np.linspace(-0.5, 0.5, features, dtype=np.float32)[:, None], np.zeros(1, np.float32)])
    options = {"optimizer": lamina.optimizers.SGD(0.05), "loss": "mse"}
    model.compile(**{**options, **compile_options})
    return model
