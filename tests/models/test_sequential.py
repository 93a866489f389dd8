"""Sequential: adding and removing layers, deferred building, shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError


def test_with_and_without_an_input() -> None:
    known = lamina.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    later = lamina.Sequential([layers.Dense(4), layers.Dense(2)])
    assert known.built and known.output_shape == (None, 2) and len(known.weights) == 4
    assert not later.built and later.weights == []
    later(np.ones((5, 3)))
    assert later.built and later.input_shape == (None, 3) and later.output_names == [later.layers[-1].name]
    later.set_weights(known.get_weights())
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(later(x).numpy(), known(x).numpy())
    assert len(known.layers) == 2  # the input is none of them


def test_build_by_shape_and_old_arguments() -> None:
    model = lamina.Sequential([layers.Dense(4)])
    model.build((None, 7))
    assert model.count_params() == 32
    assert lamina.Sequential([layers.Dense(4, input_shape=(7,))]).count_params() == 32
    assert lamina.Sequential([layers.Dense(4, input_dim=7)]).count_params() == 32
    with pytest.raises(ArgumentError, match="it has no layers"):
        lamina.Sequential().build((None, 3))


def test_add_and_pop() -> None:
    model = lamina.Sequential()
    model.add(layers.Input((3,)))
    model.add(layers.Dense(4))
    model.add(layers.Dense(5))
    assert model.output_shape == (None, 5)
    removed = model.pop()
    assert removed.units == 5 and model.output_shape == (None, 4) and len(model.weights) == 2
    model.add(layers.Dense(2))
    assert model(np.ones((1, 3))).shape == (1, 2)
    deferred = lamina.Sequential([layers.Dense(2), layers.Dense(3)])
    deferred.pop()
    assert deferred(np.ones((1, 3))).shape == (1, 2)


def test_nesting() -> None:
    encoder = lamina.Sequential([layers.Input((6,)), layers.Dense(2)], name="encoder")
    both = lamina.Sequential([encoder, lamina.Sequential([layers.Dense(6)], name="decoder")])
    assert both.output_shape == (None, 6) and len(both.weights) == 4
    x = layers.Input((6,))
    functional = lamina.Model(x, layers.Add()([both(x), x]))
    assert functional(np.ones((2, 6))).shape == (2, 6) and len(functional.weights) == 4


def test_a_layer_that_looks_at_values_runs_in_a_plain_loop() -> None:
    class Looks(layers.Layer):
        def call(self, x: Any) -> Any:
            return x if x.sum().item() > 0 else -x

    model = lamina.Sequential([Looks(), layers.Dense(1, kernel_initializer="ones")])
    assert model(np.full((1, 2), -3.0)).item() == 6
    assert model(np.full((1, 2), 3.0)).item() == 6


def test_integers_reach_an_embedding() -> None:
    model = lamina.Sequential([layers.Embedding(10, 3), layers.Flatten(), layers.Dense(1)])
    assert model(np.array([[1, 9]])).shape == (1, 1)
    assert model.input.dtype.kind == "i"
    again = lamina.models.model_from_json(model.to_json())
    assert again.output_shape == (None, 1)


def test_retraining_after_a_change() -> None:
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
    model.fit(x, y, verbose=0)
    model.pop()
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert not np.array_equal(model.get_weights()[2], before[2])


def test_wrong_layers() -> None:
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2, name="d")], name="net")
    for layer, words in (
        (layers.Dense, r"Make an instance: put \(\) behind the class"),
        ("dense", "takes layers and got 'dense'"),
        (layers.Dense(1, name="d"), "unique within a model"),
        (layers.Input((2,)), "stands at the beginning"),
        (layers.Dense(2)(layers.Input((2,))), "takes layers, or what Input"),
    ):
        with pytest.raises(ArgumentError, match=words):
            model.add(layer)
    with pytest.raises(ShapeError, match="Layer net/reshape.*: a sample of shape"):
        model.add(layers.Reshape((5,)))
    assert len(model.layers) == 1 and model(np.ones((1, 3))).shape == (1, 2)  # as it was before
    with pytest.raises(ShapeError, match=r"Model net: input .* expected shape \(None, 3\), got \(1, 4\)"):
        model(np.ones((1, 4)))
