"""The state of a model as nested dicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError


def trained() -> Any:
    inputs = lamina.Input((3,))
    hidden = layers.BatchNormalization(name="norm")(layers.Dense(4, name="hidden")(inputs))
    model = lamina.Model(inputs, layers.Dense(1, name="out")(hidden))
    model.compile(lamina.optimizers.Adam(name="adam"), "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    return model


def test_there_and_back() -> None:
    model, other = trained(), trained()
    tree = model.get_state_tree("numpy_array")
    assert set(tree["trainable_variables"]) == {"hidden", "norm", "out"}
    assert set(tree["non_trainable_variables"]["norm"]) == {"moving_mean", "moving_variance"}
    assert tree["optimizer_variables"]["adam"]["iteration"] == 1
    assert tree["metrics_variables"]["loss"]["count"] == 4
    x = np.arange(6.0).reshape(2, 3)
    assert not np.allclose(model(x).numpy(), other(x).numpy())
    other.set_state_tree(tree)
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    assert isinstance(model.get_state_tree()["trainable_variables"]["out"]["bias"], lamina.Tensor)


def test_what_is_not_there() -> None:
    model = trained()
    with pytest.raises(ArgumentError, match="Unknown variable name: 'out/karnel'.*out/kernel"):
        model.set_state_tree({"trainable_variables": {"out": {"karnel": 1.0}}})
    with pytest.raises(ArgumentError, match="Unknown part.*trainable_variables"):
        model.set_state_tree({"weights": {}})
    with pytest.raises(ArgumentError, match="value_format"):
        model.get_state_tree("lists")
    model.layers[1].kernel.path = "out/kernel"
    with pytest.raises(ArgumentError, match="found twice in the model: 'out/kernel'"):
        model.get_state_tree()
