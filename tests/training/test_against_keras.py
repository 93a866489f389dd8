"""Training step by step beside Keras: the same weights, losses and metrics from the same data."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from training_helpers import blobs, line

import lamina
from lamina import layers

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")


def pair(kind: str, activation: str | None, units: int, features: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """The same network in both libraries, with the same weights."""
    ours = lamina.Sequential(
        [layers.Input((features,)), layers.Dense(8, "tanh"), layers.Dense(units, activation)]
    )
    theirs = keras.Sequential(
        [keras.layers.Input((features,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(units, activation)]
    )
    theirs.set_weights(ours.get_weights())
    makers = {"sgd": "SGD", "momentum": "SGD", "adam": "Adam", "rmsprop": "RMSprop", "adamw": "AdamW"}
    arguments = {"learning_rate": 0.05, **({"momentum": 0.9, "nesterov": True} if kind == "momentum" else {})}
    ours.compile(getattr(lamina.optimizers, makers[kind])(**arguments), **options)
    theirs.compile(getattr(keras.optimizers, makers[kind])(**arguments), **options)
    return ours, theirs


def compare(ours: Any, theirs: Any, x: Any, y: Any, **options: Any) -> None:
    options = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0, **options}
    a, b = ours.fit(x, y, **options).history, theirs.fit(x, y, **options).history
    assert set(a) == set(b)
    for name in b:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for u, v in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-5)
    evaluated = {"sample_weight": options.get("sample_weight"), "verbose": 0, "batch_size": 16}
    np.testing.assert_allclose(ours.evaluate(x, y, **evaluated), theirs.evaluate(x, y, **evaluated), rtol=1e-3)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "rmsprop", "adamw"])
def test_optimizers(kind: str) -> None:
    x, y = blobs(50)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    compare(*pair(kind, "softmax", 3, 4, options), x, y, validation_split=0.2)


def test_class_weight() -> None:
    x, y = blobs(50)
    options = {
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "weighted_metrics": ["sparse_categorical_accuracy"],
    }
    compare(*pair("adam", "softmax", 3, 4, options), x, y, class_weight={0: 0.2, 1: 3.0, 2: 1.0})


@pytest.mark.parametrize("shape", [(50,), (50, 1)])
def test_sample_weight(shape: tuple[int, ...]) -> None:
    x, y = line(50)
    weight = np.random.default_rng(0).uniform(0, 3, 50)
    options = {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]}
    compare(*pair("sgd", None, 1, 3, options), x, y.reshape(shape), sample_weight=weight)


def test_sample_weight_of_each_step() -> None:
    """As many weights as the targets have leading axes: steps of sequences, rows of images."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 7, 4)).astype("float32"), rng.integers(0, 3, (50, 7))
    weight = rng.uniform(0, 3, (50, 7)) * (rng.random((50, 7)) < 0.6)
    for loss, targets in (("sparse_categorical_crossentropy", y), ("mse", np.eye(3, dtype="float32")[y])):
        ours = lamina.Sequential([layers.Input((7, 4)), layers.Dense(3, "softmax")])
        theirs = keras.Sequential([keras.layers.Input((7, 4)), keras.layers.Dense(3, "softmax")])
        theirs.set_weights(ours.get_weights())
        for model in (ours, theirs):
            model.compile("sgd", loss, weighted_metrics=["mae" if loss == "mse" else "accuracy"])
        compare(ours, theirs, x, targets, sample_weight=weight)


def test_binary_from_logits() -> None:
    x, y = blobs(50, classes=2)
    for library in (lamina, keras):
        assert library.losses.BinaryCrossentropy(from_logits=True) is not None
    ours, theirs = pair("adam", None, 1, 4, {"loss": "mse"})
    ours.compile(lamina.optimizers.Adam(0.05), lamina.losses.BinaryCrossentropy(from_logits=True))
    theirs.compile(keras.optimizers.Adam(0.05), keras.losses.BinaryCrossentropy(from_logits=True))
    compare(ours, theirs, x, y)


def test_one_hot() -> None:
    x, y = blobs(50)
    options = {"loss": "categorical_crossentropy", "metrics": ["accuracy", "mse"]}
    compare(*pair("rmsprop", "softmax", 3, 4, options), x, np.eye(3)[y])


def test_train_on_batch() -> None:
    x, y = blobs(64)
    options = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    ours, theirs = pair("adam", "softmax", 3, 4, options)
    for i in range(4):
        rows = slice(16 * i, 16 * i + 16)
        a, b = ours.train_on_batch(x[rows], y[rows]), theirs.train_on_batch(x[rows], y[rows])
        np.testing.assert_allclose(a, b, rtol=1e-4)
    ours.reset_metrics()
    theirs.reset_metrics()
    np.testing.assert_allclose(ours.test_on_batch(x, y), theirs.test_on_batch(x, y), rtol=1e-4)
