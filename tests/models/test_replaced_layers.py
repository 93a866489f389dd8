"""A layer that takes another's place in a model that was compiled before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.models import Model

X = np.random.default_rng(0).standard_normal((8, 4), np.float32)


class Inner(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(4)
        self.shift = lamina.Variable(np.zeros(4, np.float32))

    def call(self, x: Any) -> Any:
        return self.dense(x) + self.shift


class Network(Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.squash, self.head = Inner(), layers.Activation("tanh"), layers.Dense(3)
        self.extra = layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.head(self.squash(self.inner(x))) + 0 * lamina.sum(self.extra(x))


def outer_layer(model: Network) -> None:
    model.head = layers.Dense(3)


def more_outputs(model: Network) -> None:
    model.head = layers.Dense(5)


def layer_without_weights(model: Network) -> None:
    model.squash = layers.Activation("relu")


def layer_in_a_layer(model: Network) -> None:
    model.inner.dense = layers.Dense(4, activation="relu")


def variable(model: Network) -> None:
    model.inner.shift = lamina.Variable(np.ones(4, np.float32))


def exchanged(model: Network) -> None:
    model.inner.dense, model.extra = model.extra, model.inner.dense


def deleted_and_set(model: Network) -> None:
    del model.squash
    model.squash = layers.Activation("sigmoid")


CHANGES = [outer_layer, more_outputs, layer_without_weights, layer_in_a_layer, variable, exchanged, deleted_and_set]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_compiled_steps_follow(change: Any) -> None:
    model = Network()
    model.compile(lamina.optimizers.SGD(0.0), "mse")
    model.predict(X, verbose=0), model.predict_on_batch(X)
    model.fit(X, np.zeros((8, 3)), verbose=0)
    model.evaluate(X, np.zeros((8, 3)), verbose=0)
    before = model(X).numpy()
    change(model)
    after = model(X).numpy()
    assert after.shape != before.shape or np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(model.predict(X, verbose=0), after, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X), after, rtol=1e-5, atol=1e-6)
    y = np.zeros(after.shape, np.float32)
    wanted = float((after**2).mean())
    np.testing.assert_allclose(model.evaluate(X, y, verbose=0), wanted, rtol=1e-5)
    model.compile(lamina.optimizers.SGD(0.0), "mse")  # other weights want another optimizer
    np.testing.assert_allclose(model.fit(X, y, verbose=0).history["loss"], [wanted], rtol=1e-5)


def test_another_model_keeps_its_steps() -> None:
    first, second = Network(), Network()
    first.predict(X, verbose=0), second.predict(X, verbose=0)
    steps = dict(first._training.steps._made)
    outer_layer(second)
    first.predict(X, verbose=0)
    assert first._training.steps._made == steps
