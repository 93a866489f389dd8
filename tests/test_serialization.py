"""Objects to plain data and back, and the registry of custom objects."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import serialization
from lamina.core.errors import ArgumentError
from lamina.serialization import (
    ConfigTypeError,
    CustomObjectScope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_serializable,
    serialize,
)


def round_trip(x: Any) -> Any:
    return deserialize(json.loads(json.dumps(serialize(x))))


@pytest.mark.parametrize(
    "value",
    [None, 3, 2.5, "text", b"\x00\xffbytes", [1, [2, "a"]], {"a": {"b": [True]}}, ..., slice(1, None, 2), slice(3)],
)
def test_values(value: Any) -> None:
    assert round_trip(value) == value


def test_arrays() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    again = round_trip({"a": array})["a"]
    assert again.dtype == np.int16 and again.tolist() == array.tolist()
    tensor = round_trip(lamina.ones((2,), dtype="float64"))
    assert isinstance(tensor, lamina.Tensor) and tensor.dtype == np.float64 and tensor.tolist() == [1, 1]
    assert round_trip(np.float32(1.5)) == 1.5


def test_a_constant_among_the_arguments_of_a_layer() -> None:
    x = lamina.Input((2,))
    model = lamina.Model(x, lamina.layers.Add()([x, lamina.tensor([[1.0, 2.0]])]))
    again = lamina.models.model_from_json(model.to_json())
    assert again(np.zeros((1, 2), np.float32)).tolist() == [[1.0, 2.0]]


def test_names() -> None:
    @register_serializable("tests", "other_name")
    class Thing:
        def get_config(self) -> dict[str, Any]:
            return {}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            return cls(**config)

    def plain() -> None:
        pass

    assert get_registered_name(Thing) == "tests>other_name" and get_registered_name(plain) == "plain"
    assert get_registered_object("tests>other_name") is Thing is get_custom_objects()["tests>other_name"]
    assert get_registered_object("nothing") is None
    assert get_registered_object("plain", {"plain": plain}) is plain
    assert get_registered_object("plain", module_objects={"plain": plain}) is plain
    assert isinstance(round_trip(Thing()), Thing)
    with CustomObjectScope({"plain": plain}):
        assert get_registered_object("plain") is plain and lamina.activations.get("plain") is plain
    assert get_registered_object("plain") is None
    get_custom_objects()["plain"] = plain
    try:
        assert round_trip(plain) is plain and lamina.losses.get("plain") is plain
    finally:
        del get_custom_objects()["plain"]


def test_what_is_not_registered_is_known_by_its_name() -> None:
    class Local(lamina.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    config = serialize(Local(name="a"))
    with pytest.raises(ArgumentError, match="'Local' is not a registered class.*custom_objects={'Local': ...}"):
        deserialize(config)
    assert type(deserialize(config, {"Local": Local})) is Local
    register_serializable("tests")(Local)  # afterwards
    assert type(deserialize(config)) is Local


def test_two_classes_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "_CUSTOM", {})

    def define(package: str, module: str) -> Any:
        class Twin(lamina.layers.Layer):
            pass

        Twin.__module__ = module
        return register_serializable(package)(Twin)

    first = define("mine", "one")
    saved = serialize(first(name="t"))
    assert define("mine", "one") is not first  # the cell of a notebook, run again
    with pytest.warns(UserWarning, match=r"two\..*Twin takes the name 'mine>Twin' from one\..*Twin.*packages"):
        second = define("mine", "two")
    assert type(deserialize(saved)) is second
    other = define("yours", "three")
    assert type(deserialize(saved)) is second
    assert type(deserialize(serialize(other()))) is other
    bare = {**saved, "registered_name": None}
    with pytest.raises(ArgumentError, match=r"'mine>Twin' \(two.*'yours>Twin' \(three.*custom_objects"):
        deserialize(bare)
    assert type(deserialize(bare, {"Twin": other})) is other


def test_functions_as_older_files_name_them() -> None:
    @register_serializable("tests")
    def tripled(x: Any) -> Any:
        return 3 * x

    for config in ("tripled", "tests>tripled"):
        assert deserialize({"class_name": "function", "config": config, "registered_name": "function"}) is tripled
    with pytest.raises(ArgumentError, match="'wrong' is not a registered.*resolved to a Keras built-in"):
        deserialize({"class_name": "function", "config": "relu", "registered_name": "wrong"})


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        (
            {"class_name": "Dense", "registered_name": "lamina.layers>Dense", "config": [1]},
            ConfigTypeError,
            "be a dict",
        ),
        ({"class_name": "__bytes__", "config": 3}, ConfigTypeError, "be a dict"),
        ({"class_name": "__typespec__", "config": "x"}, ConfigTypeError, "a list or a tuple"),
        ({"class_name": "__typespec__", "config": []}, ArgumentError, "type specification"),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAAA"}}, ArgumentError, "never run"),
    ],
)
def test_configurations_that_are_refused(config: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        deserialize(config)


def test_a_class_that_cannot_be_made_again() -> None:
    @register_serializable("tests")
    class OneWay:
        def get_config(self) -> dict[str, Any]:
            return {}

    with pytest.raises(ConfigTypeError, match="Unable to reconstruct an instance of OneWay.*from_config"):
        round_trip(OneWay())


def test_wrong_sequential_configurations() -> None:
    dense = serialize(lamina.layers.Dense(2))
    with pytest.raises(ArgumentError, match="containing the 'name' and 'layers' keys"):
        lamina.Sequential.from_config({"layers": [dense]})
    with pytest.raises(ArgumentError, match="containing a 'config' key"):
        lamina.Sequential.from_config({"name": "s", "layers": [dense, {}]})


def test_a_compile_method_of_ones_own() -> None:
    @register_serializable("tests")
    class Own(lamina.Sequential):
        def compile(self, rate: float) -> None:  # type: ignore[override]
            super().compile(lamina.optimizers.SGD(rate), "mse")

    model = Own([lamina.Input((2,)), lamina.layers.Dense(1)])
    model.compile(0.1)
    with pytest.warns(UserWarning, match=r"`compile\(\)` was not called"):
        model.compile_from_config(model.get_compile_config() or {})


@pytest.mark.parametrize(
    ("write", "meant"),
    [
        (lambda: lamina.Sequential([lamina.layers.Dense(1)]).compile("adamm", "mse"), "adam"),
        (lambda: lamina.Sequential([lamina.layers.Dense(1)]).compile("sgd", "mean_square_error"), "mean_squared_error"),
        (lambda: lamina.layers.Dense(1, activation="rellu"), "relu"),
        (lambda: lamina.layers.Dense(1, activaton="relu"), "activation"),
        (lambda: lamina.optimizers.Adam(learnin_rate=0.1), "learning_rate"),
        (lambda: lamina.optimizers.Adam(clip_norm=0.1), "clipnorm"),
        (lambda: lamina.applications.preprocess_input(np.zeros((1, 2, 2, 3)), "MobilNetV2"), "MobileNetV2"),
        (lambda: lamina.Sequential([lamina.layers.Dense(1, name="first")]).get_layer("frist"), "first"),
    ],
)
def test_errors_name_what_was_probably_meant(write: Any, meant: str) -> None:
    with pytest.raises(ArgumentError, match=rf"Did you mean '{meant}'\?"):
        write()
