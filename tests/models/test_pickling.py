"""Models through ``pickle`` and ``copy.deepcopy``: equal, and apart from each other."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers

X = np.linspace(-1, 1, 40, dtype=np.float32).reshape(10, 4)
Y = X[:, :2] ** 2


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return lamina.mean((y_true - y_pred) ** 2, axis=-1)


class Halved(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 0.5


class Subclassed(lamina.Model):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def sequential() -> lamina.Model:
    return lamina.Sequential([layers.Input((4,)), layers.Dense(5, "relu"), layers.Dropout(0.2), layers.Dense(2)])


def functional() -> lamina.Model:
    inputs = layers.Input((4,))
    hidden = layers.BatchNormalization()(layers.Dense(4, kernel_regularizer="l2")(inputs))
    return lamina.Model(inputs, layers.Dense(2)(Halved()(hidden + inputs)))


@pytest.mark.parametrize("make", [sequential, functional, lambda: Subclassed(2)])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_as_the_model_would(make: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
    model = make()
    model.compile("adam", own_loss, metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=5, verbose=0, shuffle=False)
    expected = model.predict(X, verbose=0)
    other = copied(model)
    assert type(other) is type(model) and other.name == model.name
    assert np.array_equal(other.predict(X, verbose=0), expected)
    assert other.history.history == model.history.history
    other.fit(X, Y, batch_size=5, verbose=0, shuffle=False)
    assert np.array_equal(model.predict(X, verbose=0), expected)  # which the copy's training left alone
    model.fit(X, Y, batch_size=5, verbose=0, shuffle=False)
    assert np.array_equal(model.predict(X, verbose=0), other.predict(X, verbose=0))  # optimizer and dropout alike


def test_not_built_and_not_compiled() -> None:
    model = copy.deepcopy(lamina.Sequential([layers.Dense(3)]))
    assert not model.built and not model.compiled
    assert model(X).shape == (10, 3)
