"""Activations: names, values against Keras, configuration."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina import activations
from lamina.core.errors import ArgumentError

NAMES = [
    *("linear", "relu", "softmax", "sigmoid", "leaky_relu", "relu6", "elu", "celu", "selu", "gelu", "silu", "softplus"),
    *("softsign", "tanh", "exponential", "hard_sigmoid", "hard_silu", "mish", "log_softmax", "log_sigmoid"),
]


def test_against_keras(rng: np.random.Generator) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    x = np.concatenate([rng.normal(size=(3, 8)) * 4, [[-30.0, -7, -3, -0.5, 0, 3, 6, 30]]]).astype("float32")
    for name in NAMES:
        ours, theirs = activations.get(name)(x).numpy(), np.asarray(getattr(keras.activations, name)(x))
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6, err_msg=name)
    arguments = {"negative_slope": 0.1, "max_value": 3.0, "threshold": 0.5}
    np.testing.assert_allclose(
        activations.relu(x, **arguments).numpy(), np.asarray(keras.activations.relu(x, **arguments)), rtol=1e-6
    )
    np.testing.assert_allclose(
        activations.gelu(x, approximate=True).numpy(),
        np.asarray(keras.activations.gelu(x, approximate=True)),
        rtol=2e-5,
        atol=2e-6,
    )


@pytest.mark.parametrize("name", NAMES)
def test_names_round_trip(name: str) -> None:
    function = activations.get(name)
    assert activations.serialize(function) == name
    assert activations.get(activations.serialize(function)) is function


def test_other_activations() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu

    @lamina.register_serializable("tests")
    def cube(x: lamina.Tensor) -> lamina.Tensor:
        return x**3

    assert activations.get(activations.serialize(cube)) is cube
    assert lamina.layers.Activation(cube)(lamina.tensor([2.0])).tolist() == [8]
    with pytest.raises(ArgumentError, match="'<lambda>' cannot be saved: it is not registered"):
        activations.serialize(lambda x: x)
    with pytest.raises(ArgumentError, match="no activation named 'rleu'.*relu"):
        activations.get("rleu")
    with pytest.raises(ArgumentError, match="3 is not an activation"):
        activations.get(3)


def test_activations_of_placeholders_are_layers(tmp_path: Path) -> None:
    inputs = lamina.layers.Input((4,))
    hidden = activations.relu(lamina.layers.Dense(3)(inputs), negative_slope=0.1)
    model = lamina.Model(inputs, activations.softmax(hidden))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    expected = model(x).numpy()
    np.testing.assert_allclose(expected.sum(-1), 1, rtol=1e-6)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_allclose(lamina.models.load_model(tmp_path / "model.safetensors")(x).numpy(), expected)


def test_an_activation_is_one_object() -> None:
    assert activations.get("relu") is activations.relu is pickle.loads(pickle.dumps(activations.relu))
    assert activations.deserialize("relu") is activations.relu
    assert activations.deserialize(activations.serialize(activations.gelu)) is activations.gelu
