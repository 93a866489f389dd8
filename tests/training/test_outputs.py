"""Losses and metrics of outputs in lists and dicts, also nested, against what Keras makes of them."""

from __future__ import annotations

import os
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.training.outputs import OutputNameError

os.environ.setdefault("KERAS_BACKEND", "jax")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype(np.float32)
Y1, Y2 = RNG.normal(size=(2, 8, 1)).astype(np.float32)


def pair(keras: Any, structure: Any) -> Any:
    """A model of two outputs, in the structure that ``structure`` makes of them."""
    inputs = keras.layers.Input((3,), name="in")
    a = keras.layers.Dense(1, name="a", kernel_initializer="ones")(inputs)
    b = keras.layers.Dense(1, name="b", kernel_initializer="ones")(inputs)
    return keras.Model(inputs, structure(a, b))


def as_list(a: Any, b: Any) -> Any:
    return [a, b]


def as_dict(a: Any, b: Any) -> Any:
    return {"p": a, "q": b}


def deep(a: Any, b: Any) -> Any:
    return {"p": (a, b), "q": {"r": a, "s": b}, "t": b}


CASES = [
    (as_list, {"loss": "mse"}),
    (as_list, {"loss": ["mse", "mae"], "loss_weights": [0.5, 2.0], "metrics": ["mae", ["mse", "mae"]]}),
    (as_list, {"loss": {"a": "mse", "b": "mae"}, "metrics": {"b": ["mse"]}}),
    (as_list, {"loss": ["mse", ["mae"]], "weighted_metrics": [["mse"], ["mae"]]}),
    (as_dict, {"loss": "mse"}),
    (as_dict, {"loss": {"p": "mse"}}),
    (as_dict, {"loss": {"p": "mse", "q": None}}),
    (as_dict, {"loss": ["mse", "mae"]}),
    (as_dict, {"loss": {"p": ["mse", "mae"], "q": "mse"}, "loss_weights": {"p": [0.1, 2.0], "q": 3.0}}),
    (lambda a, b: a, {"loss": ["mse"], "loss_weights": [2.0]}),
    (lambda a, b: {"p": a}, {"loss": "mse", "metrics": {"p": ["mae"]}}),
    (lambda a, b: (a, b), {"loss": ("mse", "mae")}),
    (deep, {"loss": {"p": ("mse", None), "q": {"s": "mae"}, "t": "mse"}}),
    (deep, {"loss": {"p": ("mse", "mae"), "q": {"r": "mae", "s": "mse"}, "t": "mse"}}),
]


@pytest.mark.parametrize(("structure", "arguments"), CASES)
def test_losses_as_in_keras(structure: Any, arguments: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    results = []
    for library in (keras, lamina):
        model = pair(library, structure)
        model.compile("sgd", **arguments)
        results.append(model.evaluate(X, structure(Y1, Y2), batch_size=8, verbose=0, return_dict=True))
    theirs, ours = results
    for names in arguments["loss"].values() if isinstance(arguments["loss"], dict) else ():
        if isinstance(names, list):  # two losses of one output have one name: Keras shows the last, Lamina the sum
            assert ours.pop("p_loss") > theirs.pop("p_loss")
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_a_loss_of_several_outputs() -> None:
    def together(y_true: Any, y_pred: Any) -> Any:
        return lamina.mean(lamina.square(y_true["p"] - y_pred["p"]) + lamina.square(y_true["q"] - y_pred["q"]), axis=-1)

    model = pair(lamina, as_dict)
    model.compile("sgd", loss=[together, {"p": "mse", "q": "mse"}], loss_weights=[0.5, {"p": 1.0}])
    logs = model.evaluate(X, {"q": Y2, "p": Y1}, verbose=0, return_dict=True)
    assert sorted(logs) == ["loss", "p_loss", "p_q_loss", "q_loss"]
    assert logs["p_q_loss"] == pytest.approx(logs["p_loss"] + logs["q_loss"], rel=1e-5)
    assert logs["loss"] == pytest.approx(1.5 * logs["p_q_loss"], rel=1e-5)
    history = model.fit(X, {"p": Y1, "q": Y2}, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_names_of_nested_outputs() -> None:
    model = pair(lamina, deep)
    both: Any = lambda y_true, y_pred: lamina.mean(y_pred[0] - y_true[1], axis=-1)  # noqa: E731
    model.compile(
        "sgd",
        loss={"p": [both, ("mse", "mae")], "q": {"s": "mse"}, "t": "mse"},
        metrics={"q": {"r": ["mae"]}},
    )
    logs = model.evaluate(X, deep(Y1, Y2), verbose=0, return_dict=True)
    assert sorted(logs) == ["loss", "p/a_loss", "p/b_loss", "p_loss", "q/s_loss", "r_mae", "t_loss"]


def test_named_tuples() -> None:
    Pair = namedtuple("Pair", ["p", "q"])
    model = pair(lamina, Pair)
    model.compile("sgd", loss=Pair("mse", "mae"))
    first = model.evaluate(X, Pair(Y1, Y2), verbose=0)
    model.compile("sgd", loss=["mse", "mae"])
    assert model.evaluate(X, [Y1, Y2], verbose=0) == pytest.approx(first)
    assert isinstance(model.predict(X, verbose=0), Pair)


def test_targets_that_are_left_out() -> None:
    model = pair(lamina, as_list)
    model.compile("sgd", loss=["mse", None], metrics=[["mae"], []])
    expected = model.evaluate(X, [Y1, Y2], verbose=0)
    for y in ([Y1, None], Y1, {"a": Y1}):
        assert model.evaluate(X, y, verbose=0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": {"a": "mse", "z": "mse"}}, "loss names the output 'z'. Expected keys: a, b."),
        ({"loss": ["mse", "mse", "mse"]}, "loss has 3 entries and the model has 2 outputs"),
        ({"loss": ["mse", "mse"], "loss_weights": [1.0, 2.0, 3.0]}, "loss_weights has 3 entries"),
        ({"loss": "mse", "metrics": {"z": "mse"}}, "metrics names the output 'z'"),
        ({"loss": "mse", "loss_weights": {"a": "much"}}, "the factor of one loss"),
    ],
)
def test_wrong_names_and_lengths(arguments: dict[str, Any], message: str) -> None:
    model = pair(lamina, as_list)
    model.compile("sgd", **arguments)
    with pytest.raises(ArgumentError) as caught:
        model.fit(X, [Y1, Y2], verbose=0)
    assert message in str(caught.value)


def test_a_name_that_a_dict_of_outputs_lacks() -> None:
    model = pair(lamina, as_dict)
    model.compile("sgd", loss={"p": "mse", "z": "mse"})
    with pytest.raises(OutputNameError, match="can't be found in the model's outputs"):
        model.fit(X, {"p": Y1, "q": Y2}, verbose=0)


def test_outputs_of_a_subclass() -> None:
    class Two(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.p, self.q = layers.Dense(1), layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return {"p": self.p(inputs), "rest": [self.q(inputs)]}

    model = Two()
    model.compile("sgd", loss={"p": "mse", "rest": ["mae"]}, metrics={"p": "mae", "rest": [["mse"]]})
    logs = model.evaluate(X, {"p": Y1, "rest": [Y2]}, verbose=0, return_dict=True)
    assert list(logs)[:3] == ["loss", "p_loss", "rest/output_1_loss"] and len(logs) == 5


@pytest.mark.parametrize("bins", [3, 4, 5])
def test_outputs_with_other_rows_than_the_batch_are_joined_as_they_come(bins: int) -> None:
    class Counts(layers.Layer):
        def call(self, x: Any) -> Any:
            return lamina.ops.sum(x) * lamina.ones(bins)

    a = layers.Input((2,))
    model = lamina.Model(a, {"counts": Counts()(a), "same": a * 1.0})
    x = np.arange(20, dtype="float32").reshape(10, 2)
    found = model.predict(x, batch_size=4, verbose=0)
    sums = [x[:4].sum(), x[4:8].sum(), x[8:].sum()]
    np.testing.assert_allclose(found["counts"], np.repeat(sums, bins))
    np.testing.assert_array_equal(found["same"], x)


def test_outputs_without_rows_are_refused() -> None:
    class Total(layers.Layer):
        def call(self, x: Any) -> Any:
            return lamina.ops.sum(x)

    a = layers.Input((2,))
    with pytest.raises(ArgumentError, match="by their first axis"):
        lamina.Model(a, Total()(a)).predict(np.ones((3, 2)), verbose=0)
