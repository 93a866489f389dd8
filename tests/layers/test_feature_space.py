"""``FeatureSpace``: tables as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.utils import FeatureSpace

NUMBERS = [i / 10 for i in range(10)]
TABLE: dict[str, Any] = {
    "float_1": NUMBERS,
    "float_2": NUMBERS,
    "float_3": NUMBERS,
    "int_1": list(range(10)),
    "int_2": list(range(10)),
    "string_1": [str(i) for i in range(10)],
    "string_2": [str(i) for i in range(10)],
}
FEATURES = {
    "float_1": "float",
    "float_2": "float_normalized",
    "float_3": "float_discretized",
    "int_1": "integer_categorical",
    "int_2": "integer_hashed",
    "string_1": "string_categorical",
    "string_2": "string_hashed",
}


def test_a_vector_for_each_row() -> None:
    space = FeatureSpace(FEATURES, crosses=[("int_1", "string_1")], hashing_dim=8, num_discretization_bins=4)
    space.adapt(TABLE)
    rows = space(TABLE)
    assert rows.shape == (10, 1 + 1 + 4 + 11 + 8 + 11 + 8 + 32)
    one = space({name: column[3] for name, column in TABLE.items()})
    np.testing.assert_array_equal(one.numpy(), rows.numpy()[3])
    found = rows.numpy()
    np.testing.assert_allclose(found[:, 0], NUMBERS, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1].mean(), 0, atol=1e-6)
    assert (found[:, 2:].sum(axis=1) == 6).all()  # one 1 for each of five columns and the cross
    batches = [{name: column[i : i + 3] for name, column in TABLE.items()} for i in range(0, 10, 3)]
    again = FeatureSpace(FEATURES, crosses=[("int_1", "string_1")], hashing_dim=8, num_discretization_bins=4)
    again.adapt(batches)
    np.testing.assert_allclose(again(TABLE).numpy(), found, rtol=1e-5, atol=1e-6)


def test_a_dict_of_columns() -> None:
    space = FeatureSpace(
        {
            "float_1": FeatureSpace.float_rescaled(2.0, 1.0),
            "string_1": FeatureSpace.string_categorical(output_mode="int"),
        },
        crosses=[FeatureSpace.cross(("string_1", "string_1"), 5, output_mode="int")],
        output_mode="dict",
    )
    space.adapt(TABLE)
    found = space(TABLE)
    assert list(found) == ["float_1", "string_1", "string_1_X_string_1"]
    np.testing.assert_allclose(found["float_1"].numpy()[:, 0], 1 + 2 * np.array(NUMBERS), rtol=1e-6)
    assert found["string_1"].dtype.kind == "i" and found["string_1_X_string_1"].numpy().max() < 5
    encoded = space.get_encoded_features()
    assert encoded["float_1"].shape == (None, 1)


def test_a_layer_of_ones_own_and_configurations() -> None:
    text = layers.TextVectorization(output_mode="count", vocabulary=["a", "b"])
    space = FeatureSpace({"text": FeatureSpace.feature("string", text, "float"), "float_1": "float"})
    assert space({"text": ["a a b"], "float_1": [0.5]}).tolist() == [[0.5, 0.0, 2.0, 1.0]]
    space = FeatureSpace(FEATURES, crosses=[("int_1", "int_2")])
    space.adapt(TABLE)
    again = FeatureSpace.from_config(space.get_config())
    assert again.get_config() == space.get_config()
    np.testing.assert_allclose(again(TABLE).numpy(), space(TABLE).numpy(), rtol=1e-6)


def test_a_model_on_a_table() -> None:
    space = FeatureSpace({"float_1": "float_normalized", "string_1": "string_categorical"})
    space.adapt(TABLE)
    features = space.get_encoded_features()
    model = lamina.Model(features, layers.Dense(1)(features))
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(space(TABLE), np.ones((10, 1)), verbose=0).history["loss"]).all()


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'string_hashed'"):
        FeatureSpace({"a": "string_hash"})
    with pytest.raises(ArgumentError, match="None or empty"):
        FeatureSpace({})
    with pytest.raises(ArgumentError, match="unknown features: 'b'"):
        FeatureSpace({"a": "float"}, crosses=[("a", "b")])
    with pytest.raises(ArgumentError, match="`output_mode`"):
        FeatureSpace({"a": "float"}, output_mode="list")
    space = FeatureSpace({"a": FeatureSpace.integer_hashed(4, output_mode="int")})
    with pytest.raises(ArgumentError, match="has not been encoded"):
        space({"a": [1, 2]})
    with pytest.raises(ArgumentError, match="with a dict"):
        space([1, 2])
    with pytest.raises(ArgumentError, match="no column 'a'"):
        space({"b": [1]})
    with pytest.raises(ArgumentError, match="can only be called on a dict"):
        space.adapt(3)
    with pytest.raises(ArgumentError, match="Try using"):
        FeatureSpace({"a": FeatureSpace.feature("float32", layers.Rescaling(2.0), "one_hot")})({"a": [1]})
