"""Losses against formulas in NumPy, against Keras, and with bad input."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import losses
from lamina.core.errors import ArgumentError, DataError, ShapeError

LOG = np.log


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture
def data(rng: np.random.Generator) -> dict[str, np.ndarray]:
    logits = rng.normal(size=(6, 4)) * 2
    labels = rng.integers(0, 4, 6)
    return {
        "logits": logits,
        "labels": labels,
        "one_hot": np.eye(4)[labels],
        "p": softmax(logits),
        "x": rng.normal(size=(6, 4)),
        "bits": (rng.random((6, 4)) > 0.5).astype(float),
        "weights": rng.random(6),
    }


# --- formulas -------------------------------------------------------------------------------------
def test_regression_losses(data: dict[str, np.ndarray]) -> None:
    x, y = data["x"], data["logits"]
    np.testing.assert_allclose(losses.mean_squared_error(y, x).numpy(), ((x - y) ** 2).mean(-1))
    np.testing.assert_allclose(losses.mean_absolute_error(y, x).numpy(), abs(x - y).mean(-1))


def test_binary_crossentropy(data: dict[str, np.ndarray]) -> None:
    p, y = 1 / (1 + np.exp(-data["logits"])), data["bits"]
    wanted = -(y * LOG(p) + (1 - y) * LOG(1 - p)).mean(-1)
    np.testing.assert_allclose(losses.binary_crossentropy(y, p).numpy(), wanted)
    np.testing.assert_allclose(losses.binary_crossentropy(y, data["logits"], from_logits=True).numpy(), wanted)
    smooth = y * 0.8 + 0.1
    wanted = -(smooth * LOG(p) + (1 - smooth) * LOG(1 - p)).mean(-1)
    np.testing.assert_allclose(losses.binary_crossentropy(y, p, label_smoothing=0.2).numpy(), wanted)


def test_categorical_crossentropies(data: dict[str, np.ndarray]) -> None:
    wanted = -LOG(data["p"][np.arange(6), data["labels"]])
    for function, y in (
        (losses.categorical_crossentropy, data["one_hot"]),
        (losses.sparse_categorical_crossentropy, data["labels"]),
        (losses.sparse_categorical_crossentropy, data["labels"][:, None].astype("float32")),
    ):
        np.testing.assert_allclose(function(y, data["p"]).numpy(), wanted)
        np.testing.assert_allclose(function(y, 3 * data["p"] / 10).numpy(), wanted)  # normalised
        np.testing.assert_allclose(function(y, data["logits"], from_logits=True).numpy(), wanted)
    smooth = data["one_hot"] * 0.9 + 0.025
    wanted = -(smooth * LOG(data["p"])).sum(-1)
    np.testing.assert_allclose(
        losses.categorical_crossentropy(data["one_hot"], data["p"], label_smoothing=0.1).numpy(), wanted
    )


def test_classes_on_another_axis(data: dict[str, np.ndarray]) -> None:
    wanted = -LOG(data["p"][np.arange(6), data["labels"]])
    p, logits = data["p"].T, data["logits"].T
    np.testing.assert_allclose(losses.sparse_categorical_crossentropy(data["labels"], p, axis=0).numpy(), wanted)
    np.testing.assert_allclose(
        losses.sparse_categorical_crossentropy(data["labels"], logits, from_logits=True, axis=0).numpy(), wanted
    )
    np.testing.assert_allclose(losses.categorical_crossentropy(data["one_hot"].T, p, axis=0).numpy(), wanted)


def test_ignored_class(data: dict[str, np.ndarray]) -> None:
    labels = data["labels"].copy()
    labels[:2] = -1
    each = -LOG(data["p"][np.arange(6), data["labels"]])
    each[:2] = 0
    values = losses.sparse_categorical_crossentropy(labels, data["p"], ignore_class=-1)
    np.testing.assert_allclose(values.numpy(), each)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert loss(labels, data["p"]).item() == pytest.approx(each[2:].mean())
    weighted = loss(labels, data["p"], sample_weight=data["weights"]).item()
    assert weighted == pytest.approx((each * data["weights"]).sum() / 4)


def test_large_logits_keep_their_loss() -> None:
    logits = np.array([[1000.0, 0.0]], np.float32)
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert loss([0], logits).item() == 0 and loss([1], logits).item() == 1000
    assert losses.BinaryCrossentropy(from_logits=True)([[0.0]], [[800.0]]).item() == 800


def test_probabilities_from_an_activation_are_as_good_as_logits() -> None:
    """A softmax or sigmoid layer under a cross-entropy loses no precision and no gradient."""
    x = lamina.tensor([[90.0, -90.0, 0.0]])
    with lamina.GradientTape() as tape:
        tape.watch(x)
        loss = losses.SparseCategoricalCrossentropy()([1], lamina.activations.softmax(x))
    assert loss.item() == 180
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), [[1, -1, 0]], atol=1e-6)
    one_hot = losses.CategoricalCrossentropy()([[0.0, 1.0, 0.0]], lamina.activations.softmax(x))
    assert one_hot.item() == 180
    y = lamina.activations.sigmoid(lamina.tensor([[-90.0]]))
    assert losses.BinaryCrossentropy()([[1.0]], y).item() == 90
    # The same numbers that did not come from the activation are clipped.
    assert losses.BinaryCrossentropy()([[1.0]], y.numpy()).item() == pytest.approx(-np.log(1e-7), rel=1e-3)


def test_logits_are_taken_from_the_fitting_activation_only() -> None:
    x = lamina.tensor([[1.0, 2.0]])
    p = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    found = losses.binary_crossentropy([[1.0, 0.0]], lamina.activations.softmax(x)).item()
    assert found == pytest.approx(-(np.log(p[0]) + np.log(1 - p[1])) / 2, rel=1e-5)
    s = 1 / (1 + np.exp([-1.0, -2.0]))
    found = losses.categorical_crossentropy([[1.0, 0.0]], lamina.activations.sigmoid(x)).item()
    assert found == pytest.approx(-np.log(s[0] / s.sum()), rel=1e-5)


def test_the_logits_of_an_activation_are_forgotten_with_its_output() -> None:
    from lamina.activations import _made_from

    before = len(_made_from)
    output = lamina.activations.softmax([[1.0, 2.0]])
    assert len(_made_from) == before + 1
    del output
    assert len(_made_from) == before


# --- reductions and weights --------------------------------------------------------------------------
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_reductions(data: dict[str, np.ndarray], reduction: str | None, weighted: bool) -> None:
    each = ((data["x"] - data["logits"]) ** 2).mean(-1)
    weights = data["weights"] if weighted else None
    values = each * data["weights"] if weighted else each
    wanted: Any = {
        "sum": values.sum(),
        "none": values,
        None: values,
        "mean_with_sample_weight": values.sum() / (data["weights"].sum() if weighted else 6),
    }.get(reduction, values.mean())
    found = losses.MeanSquaredError(reduction=reduction)(data["logits"], data["x"], weights)
    np.testing.assert_allclose(found.numpy(), wanted)


def test_weights_of_steps(rng: np.random.Generator) -> None:
    x, y, w = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2)), rng.random((3, 4))
    each = ((x - y) ** 2).mean(-1)
    loss = losses.MeanSquaredError()
    assert loss(y, x, w).item() == pytest.approx((each * w).mean())
    assert loss(y, x, w[:, 0]).item() == pytest.approx((each * w[:, :1]).mean())
    assert loss(y, x, w[:, :1]).item() == pytest.approx((each * w[:, :1]).mean())
    with pytest.raises(ShapeError, match=r"sample_weight has shape \(4,\)"):
        loss(y, x, np.ones(4))


# --- against Keras ----------------------------------------------------------------------------------
def test_against_keras(data: dict[str, np.ndarray]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    cases = [
        ("MeanSquaredError", {}, "logits", "x"),
        ("MeanAbsoluteError", {}, "logits", "x"),
        ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits", "logits"),
        ("BinaryCrossentropy", {}, "bits", "p"),
        ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "one_hot", "p"),
        ("CategoricalCrossentropy", {"from_logits": True}, "one_hot", "logits"),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels", "logits"),
        ("SparseCategoricalCrossentropy", {}, "labels", "p"),
        ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "labels", "p"),
    ]
    for name, arguments, y, x in cases:
        for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
            ours = getattr(losses, name)(reduction=reduction, **arguments)
            theirs = getattr(keras.losses, name)(reduction=reduction, **arguments)
            prediction = data[x].astype("float32")
            for weights in (None, data["weights"].astype("float32")):
                a = ours(data[y], prediction, weights).item()
                b = float(theirs(data[y], prediction, weights))
                assert a == pytest.approx(b, rel=2e-5), (name, arguments, reduction)


# --- names and configuration --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mse", losses.mean_squared_error),
        ("mae", losses.mean_absolute_error),
        ("bce", losses.binary_crossentropy),
        ("categorical_crossentropy", losses.categorical_crossentropy),
        ("sparse_categorical_crossentropy", losses.sparse_categorical_crossentropy),
    ],
)
def test_names(name: str, function: Any) -> None:
    assert losses.get(name) is function
    assert losses.deserialize(losses.serialize(function)) is function


def test_configurations() -> None:
    made = [
        losses.MeanSquaredError(reduction="sum", name="mine"),
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        losses.CategoricalCrossentropy(axis=1),
        losses.SparseCategoricalCrossentropy(ignore_class=3),
        losses.LossFunctionWrapper(losses.binary_crossentropy, from_logits=True),
    ]
    for loss in made:
        again = losses.deserialize(losses.serialize(loss))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    with pytest.raises(ArgumentError, match="no loss named 'mee'.*mean_squared_error"):
        losses.get("mee")
    with pytest.raises(ArgumentError, match="argument `reduction`"):
        losses.MeanSquaredError(reduction="average")


# --- bad input --------------------------------------------------------------------------------------
def test_targets_never_broadcast() -> None:
    with pytest.raises(ShapeError, match=r"targets have shape \(4,\) and predictions \(4, 4\)"):
        losses.mean_squared_error(np.zeros(4), np.zeros((4, 4)))
    with pytest.raises(ShapeError, match="sparse_categorical_crossentropy"):
        losses.categorical_crossentropy([1, 0], [[0.1, 0.9], [0.5, 0.5]])
    with pytest.raises(ShapeError, match="one-hot targets use categorical_crossentropy"):
        losses.sparse_categorical_crossentropy([[0.0, 1.0]], [[0.1, 0.9]])
    # A last axis of size 1 is no mistake.
    assert losses.MeanSquaredError()(np.zeros(4), np.ones((4, 1))).item() == 1


def test_labels_and_probabilities_are_checked() -> None:
    with pytest.raises(DataError, match="label 4 is not a class; expected integers from 0 to 3"):
        losses.sparse_categorical_crossentropy([0, 4], np.full((2, 4), 0.25))
    with pytest.raises(DataError, match="label -1"):
        losses.SparseCategoricalCrossentropy(from_logits=True)([-1], [[0.0, 1.0]])
    with pytest.raises(DataError, match="from_logits=True"):
        losses.categorical_crossentropy([[0.0, 1.0]], [[3.0, -2.0]])
    with pytest.raises(DataError, match="probabilities lie in"):
        losses.binary_crossentropy([[1.0]], [[3.0]])
    with pytest.raises(ArgumentError, match="have one class"):
        losses.sparse_categorical_crossentropy([0], [[0.5]])


def test_losses_are_computed_in_the_default_dtype() -> None:
    y = lamina.tensor([[1.0, 0.0]], dtype="float64")
    assert lamina.losses.MeanSquaredError()(y, y * 0.5).dtype == np.float32
    assert lamina.losses.MeanSquaredError(dtype="float64")(y, y * 0.5).dtype == np.float64
    assert "delta" not in lamina.losses.Huber().get_config() and lamina.losses.Huber(2.0).get_config()["delta"] == 2.0
    model = lamina.Sequential([lamina.layers.Dense(1, dtype="float64")])
    model.compile("sgd", "mse")
    step = model.compute_loss(y=np.ones((4, 1)), y_pred=model(np.ones((4, 2))))
    assert step.dtype == np.float64  # in training a model of doubles keeps them
