"""Real digits: a network reaches the accuracy that it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.datasets import digits, idx


def network(pixels: int, hidden: int) -> lamina.Sequential:
    model = lamina.Sequential([layers.Input((pixels,)), layers.Dense(hidden, "relu"), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_digits() -> None:
    pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    lamina.random.seed(1)
    model = network(64, 64)
    model.fit(x_train.reshape(-1, 64) / 16, y_train, epochs=15, verbose=0)
    assert model.evaluate(x_test.reshape(-1, 64) / 16, y_test, verbose=0)[1] >= 0.95


def test_mnist(mnist_test_files: tuple[Path, Path]) -> None:
    images, labels = (idx.read(path) for path in mnist_test_files)
    x = images.reshape(-1, 784).astype(np.float32) / 255
    lamina.random.seed(1)
    model = network(784, 512)
    model.fit(x[:8000], labels[:8000], batch_size=128, epochs=5, verbose=0)
    assert model.evaluate(x[8000:], labels[8000:], verbose=0)[1] >= 0.95
