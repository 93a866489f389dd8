"""``clone_model``, and the small helpers of ``lamina.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, utils
from lamina.core.errors import ArgumentError
from lamina.models import clone_model

X = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)


def shared() -> Any:
    """A functional model with a shared layer, a model inside and a dict of outputs."""
    inputs = layers.Input((4,), name="in")
    twice = layers.Dense(4, name="shared")
    inner = lamina.Sequential([layers.Dense(3), layers.Dense(4)], name="inner")
    x = twice(twice(inputs)) + inner(inputs)
    return lamina.Model(inputs, {"a": layers.Dense(2, name="last")(x), "b": x})


def stacked() -> Any:
    return lamina.Sequential([lamina.Input((4,)), layers.Dense(3, name="one"), layers.Dense(2, name="two")])


@pytest.mark.parametrize("make", [shared, stacked, lambda: lamina.Sequential([layers.Dense(3)])])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_clone_computes_the_same(make: Any, recursive: bool) -> None:
    model = make()
    clone = clone_model(model, recursive=recursive)
    expected = model.predict(X, verbose=0)
    clone.predict(X, verbose=0)
    assert clone.name == model.name and not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    found = clone.predict(X, verbose=0)
    for key in expected if isinstance(expected, dict) else [...]:
        np.testing.assert_array_equal(found[key], expected[key])


def test_functions_for_layers_and_calls() -> None:
    def renamed(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "name": layer.name + "_new"})

    def with_dropout(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        return layers.Dropout(0.5)(outputs) if layer.name.startswith("last") else outputs

    clone = clone_model(shared(), clone_function=renamed, call_function=with_dropout)
    assert {"shared_new", "last_new", "in"} <= {x.name for x in clone.layers}
    assert sum(isinstance(x, layers.Dropout) for x in clone.layers) == 1
    assert [x.name for x in clone_model(stacked(), clone_function=renamed).layers] == ["one_new", "two_new"]
    again = clone_model(shared(), clone_function=renamed, recursive=True)
    assert again.get_layer("inner").layers[0].name.endswith("_new")


def test_new_inputs() -> None:
    start = layers.Input((4,))
    clone = clone_model(shared(), input_tensors=start)
    assert clone.input is start
    assert clone_model(stacked(), input_tensors=[start]).inputs[0].shape == (None, 4)
    with pytest.raises(ArgumentError, match="same structure as model.input"):
        clone_model(shared(), input_tensors=[start, start])
    with pytest.raises(ArgumentError, match="not supported with Sequential"):
        clone_model(stacked(), call_function=lambda layer, x: x)
    with pytest.raises(ArgumentError, match="it gave None"):
        clone_model(stacked(), clone_function=lambda layer: None)  # type: ignore[arg-type,return-value]


def test_what_is_not_built_has_no_input() -> None:
    model = lamina.Sequential([layers.Dense(2)])
    assert not hasattr(model, "input") and not hasattr(model, "output_shape")
    with pytest.raises(ArgumentError, match="has no input: it is not built"):
        model.input


def test_one_hot_rows_and_norms() -> None:
    labels = np.array([[2], [0]])
    np.testing.assert_array_equal(utils.to_categorical(labels), [[0, 0, 1], [1, 0, 0]])
    assert utils.to_categorical([1], 4).dtype == np.float32 and utils.to_categorical([[1, 2]]).shape == (1, 2, 3)
    with pytest.raises(ArgumentError, match="run from 0 to 5, and there are 3"):
        utils.to_categorical([0, 5], 3)
    keras = pytest.importorskip("keras")
    np.testing.assert_allclose(utils.normalize(X, -1, 1), keras.utils.normalize(X, -1, 1), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(utils.normalize(X, 0), axis=0), np.ones(4), rtol=1e-6)
