"""Every loss against Keras: over its arguments, all reductions, with and without weights, eager and compiled."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import losses
from lamina.core.errors import ArgumentError, ShapeError

os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def share(*shape: int) -> np.ndarray:
    return RNG.uniform(0.05, 0.95, size=shape).astype("float32")


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype("float32")


def one_hot(rows: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype="float32")[RNG.integers(0, classes, rows)]


def distribution(*shape: int) -> np.ndarray:
    e = np.exp(normal(*shape))
    return e / e.sum(-1, keepdims=True)


def unit(*shape: int) -> np.ndarray:
    x = normal(*shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


CASES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("MeanSquaredError", {}, normal(4, 3), normal(4, 3)),
    ("MeanAbsoluteError", {}, normal(4, 3), normal(4, 3)),
    ("MeanAbsolutePercentageError", {}, normal(4, 3), normal(4, 3)),
    ("MeanSquaredLogarithmicError", {}, share(4, 3), share(4, 3)),
    ("CosineSimilarity", {}, normal(4, 3), normal(4, 3)),
    ("Huber", {}, 2 * normal(4, 3), normal(4, 3)),
    ("Huber", {"delta": 0.3}, normal(4, 3), normal(4, 3)),
    ("LogCosh", {}, normal(4, 3), normal(4, 3)),
    ("Hinge", {}, bits(4, 3), normal(4, 3)),
    ("Hinge", {}, 2 * bits(4, 3) - 1, normal(4, 3)),
    ("SquaredHinge", {}, bits(4, 3), normal(4, 3)),
    ("CategoricalHinge", {}, one_hot(4, 3), normal(4, 3)),
    ("KLDivergence", {}, distribution(4, 3), distribution(4, 3)),
    ("Poisson", {}, share(4, 3), share(4, 3)),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, bits(4, 3), share(4, 3)),
    ("BinaryFocalCrossentropy", {}, bits(4, 3), share(4, 3)),
    (
        "BinaryFocalCrossentropy",
        {"from_logits": True, "apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1},
        bits(4, 3),
        normal(4, 3),
    ),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, one_hot(4, 3), distribution(4, 3)),
    ("CategoricalFocalCrossentropy", {}, one_hot(4, 3), distribution(4, 3)),
    (
        "CategoricalFocalCrossentropy",
        {"from_logits": True, "alpha": 0.4, "gamma": 1.5, "label_smoothing": 0.1},
        one_hot(4, 3),
        normal(4, 3),
    ),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, RNG.integers(0, 3, 6), distribution(6, 3)),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.3}, RNG.integers(0, 3, 4), distribution(4, 3)),
    ("CTC", {}, np.array([[1, 2, 2], [3, 1, 0], [2, 0, 0]]), normal(3, 8, 4)),
    ("CTC", {}, np.array([[1, 2, 1], [3, 1, 0]]), normal(2, 3, 4)),
    ("Dice", {"axis": (1, 2)}, bits(4, 3, 2), share(4, 3, 2)),
    ("Tversky", {"alpha": 0.3, "beta": 0.8, "axis": 1}, bits(4, 3), share(4, 3)),
    ("Circle", {}, np.array([1, 1, 2, 2, 3, 1]), unit(6, 4)),
    ("Circle", {"gamma": 10.0, "margin": 0.2, "remove_diagonal": False}, np.array([1, 1, 2, 2, 3]), unit(5, 4)),
]


@pytest.mark.parametrize(("name", "arguments", "y_true", "y_pred"), CASES, ids=[c[0] for c in CASES])
def test_classes(name: str, arguments: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> None:
    keras = pytest.importorskip("keras")
    weights = RNG.uniform(size=len(y_true)).astype("float32")
    for reduction in ("sum_over_batch_size", "sum", "none", "mean_with_sample_weight"):
        ours = getattr(losses, name)(reduction=reduction, **arguments)
        theirs = getattr(keras.losses, name)(reduction=reduction, **arguments)
        for w in (None, weights):
            expected = np.asarray(theirs(y_true, y_pred, sample_weight=w))
            np.testing.assert_allclose(ours(y_true, y_pred, sample_weight=w).numpy(), expected, rtol=2e-5, atol=1e-6)
            run = lamina.function(lambda y, p, w=w, loss=ours: loss(y, p, sample_weight=w))
            found = run(lamina.tensor(y_true), lamina.tensor(y_pred)).numpy()
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    again = losses.deserialize(losses.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    assert theirs.get_config().items() <= ours.get_config().items()


def test_losses_of_one_number() -> None:
    keras = pytest.importorskip("keras")
    y, p = bits(4, 3), share(4, 3)
    for name in ("dice", "tversky"):
        expected = float(getattr(keras.losses, name)(y, p))
        assert getattr(losses, name)(y, p).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["ctc", "circle"])
def test_gradients_against_differences(name: str) -> None:
    y = np.array([[1, 2], [3, 0]]) if name == "ctc" else np.array([1, 1, 2])
    x = RNG.normal(size=(2, 5, 4)) if name == "ctc" else unit(3, 4).astype("float64")
    function = getattr(losses, name)
    direction = RNG.normal(size=x.shape)
    total = lambda p: lamina.sum(function(y, p))  # noqa: E731
    exact = float((lamina.grad(total)(lamina.Tensor(x)).numpy() * direction).sum())
    step = 1e-6
    measured = (total(lamina.Tensor(x + step * direction)) - total(lamina.Tensor(x - step * direction))) / (2 * step)
    assert exact == pytest.approx(measured.item(), rel=1e-5)


def test_every_loss_of_keras_by_name() -> None:
    keras = pytest.importorskip("keras")
    for name, item in vars(keras.losses).items():
        if callable(item) and not name.startswith("_"):
            assert hasattr(losses, name), name
            if name not in ("Loss", "get", "serialize", "deserialize"):
                found = losses.get(name)
                assert (type(found) if isinstance(item, type) else found).__name__ == item.__name__


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentError, match="interval"):
        losses.CategoricalGeneralizedCrossEntropy(q=1.5)
    with pytest.raises(ShapeError, match="y_true.shape"):
        losses.ctc([1, 2], normal(1, 4, 3))
    with pytest.raises(ShapeError, match="y_pred.shape"):
        losses.ctc([[1, 2]], normal(4, 3))
    with pytest.raises(ShapeError, match="must have the same shape"):
        losses.hinge(bits(4, 1), normal(3, 1))


def test_training_with_ctc_and_focal() -> None:
    model = lamina.Sequential([lamina.layers.Dense(4)])
    model.compile("adam", losses.CTC())
    y, x = np.array([[1, 2], [3, 0], [2, 2]]), normal(3, 6, 5)
    before = model.train_on_batch(x, y)
    for _ in range(20):
        after = model.train_on_batch(x, y)
    assert after < before
    model = lamina.Sequential([lamina.layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_focal_crossentropy", metrics=["accuracy"])
    history = model.fit(normal(8, 3), bits(8, 1), epochs=2, verbose=0)
    assert set(history.history) == {"loss", "accuracy"}
