"""Metrics: values, state, weights, and agreement with Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import losses, metrics
from lamina.core.errors import ArgumentError, ShapeError


def test_mean_and_sum_go_on_counting() -> None:
    mean, total = metrics.Mean(), metrics.Sum()
    for batch in ([1.0, 2.0, 3.0], [6.0]):
        mean.update_state(batch)
        total.update_state(batch)
    assert mean.result().item() == 3 and total.result().item() == 12
    mean.reset_state()
    assert mean.result().item() == 0  # nothing counted: no division by zero
    assert mean([[1.0, 3.0], [5.0, 7.0]]).item() == 4
    assert mean.variables[1].numpy() == 2  # two samples, not four values


def test_weights() -> None:
    mean = metrics.Mean()
    assert mean([1.0, 2.0, 4.0], sample_weight=[1.0, 0.0, 3.0]).item() == pytest.approx(13 / 4)
    accuracy = metrics.SparseCategoricalAccuracy()
    assert accuracy([0, 1], [[0.9, 0.1], [0.9, 0.1]], sample_weight=[3.0, 1.0]).item() == 0.75


@pytest.mark.parametrize(
    ("metric", "y_true", "y_pred", "wanted"),
    [
        (metrics.Accuracy, [[1], [2], [3]], [[1], [2], [0]], 2 / 3),
        (metrics.BinaryAccuracy, [[1], [0], [1], [0]], [[0.9], [0.8], [0.5], [0.1]], 0.5),
        (metrics.BinaryAccuracy, [1, 0, 1, 0], [[0.9], [0.8], [0.6], [0.1]], 0.75),
        (metrics.CategoricalAccuracy, [[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]], 0.5),
        (metrics.SparseCategoricalAccuracy, [1, 0], [[0.4, 0.6], [0.3, 0.7]], 0.5),
        (metrics.SparseCategoricalAccuracy, [[1], [0]], [[0.4, 0.6], [0.3, 0.7]], 0.5),
        (metrics.SparseCategoricalAccuracy, [[1, 0]], [[[0.4, 0.6], [0.3, 0.7]]], 0.5),
        (metrics.MeanSquaredError, [[0.0], [2.0]], [[1.0], [0.0]], 2.5),
        (metrics.RootMeanSquaredError, [[0.0], [2.0]], [[1.0], [0.0]], np.sqrt(2.5)),
        (metrics.MeanAbsoluteError, [[0.0], [2.0]], [[1.0], [0.0]], 1.5),
    ],
)
def test_values(metric: Any, y_true: Any, y_pred: Any, wanted: float) -> None:
    assert metric()(np.asarray(y_true), np.asarray(y_pred, np.float32)).item() == pytest.approx(wanted)


def test_thresholds_for_logits() -> None:
    assert metrics.BinaryAccuracy(threshold=0.0)([[1], [0]], [[0.2], [-3.0]]).item() == 1
    assert metrics.BinaryAccuracy()([[1], [0]], [[0.2], [-3.0]]).item() == 0.5


def test_shapes_never_broadcast() -> None:
    with pytest.raises(ShapeError, match="binary_accuracy: targets have shape"):
        metrics.BinaryAccuracy()(np.zeros((4, 1)), np.zeros((4, 3)))
    with pytest.raises(ShapeError, match="sparse_categorical_accuracy"):
        metrics.SparseCategoricalAccuracy()(np.zeros((4, 3)), np.zeros((4, 3)))


def test_compiled_update(rng: np.random.Generator) -> None:
    eager, compiled = metrics.SparseCategoricalAccuracy(), metrics.SparseCategoricalAccuracy()

    @lamina.function
    def update(y_true: Any, y_pred: Any) -> None:
        compiled.update_state(y_true, y_pred)

    for _ in range(3):
        y, p = lamina.Tensor(rng.integers(0, 3, 20)), lamina.Tensor(rng.random((20, 3)))
        eager.update_state(y, p)
        update(y, p)
    assert compiled.result().item() == pytest.approx(eager.result().item())
    assert compiled.variables[1].numpy() == 60


def test_against_keras(rng: np.random.Generator) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    labels, p = rng.integers(0, 4, 12), rng.dirichlet(np.ones(4), 12).astype("float32")
    one_hot, bits = np.eye(4, dtype="float32")[labels], (rng.random((12, 4)) > 0.5).astype("float32")
    weights = rng.random(12).astype("float32")
    cases = [
        ("BinaryAccuracy", {}, bits, p),
        ("BinaryAccuracy", {"threshold": 0.3}, bits, p),
        ("CategoricalAccuracy", {}, one_hot, p),
        ("SparseCategoricalAccuracy", {}, labels, p),
        ("BinaryCrossentropy", {"label_smoothing": 0.1}, bits, p),
        ("CategoricalCrossentropy", {}, one_hot, p),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, labels, p),
        ("MeanSquaredError", {}, one_hot, p),
        ("RootMeanSquaredError", {}, one_hot, p),
        ("MeanAbsoluteError", {}, one_hot, p),
    ]
    for name, arguments, y, x in cases:
        for w in (None, weights):
            ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
            for half in (slice(0, 7), slice(7, 12)):
                part = None if w is None else w[half]
                ours.update_state(y[half], x[half], part)
                theirs.update_state(y[half], x[half], part)
            assert ours.result().item() == pytest.approx(float(theirs.result()), rel=1e-5), (name, arguments)


def test_configurations_and_names() -> None:
    for metric in (
        metrics.Mean(name="m", dtype="float64"),
        metrics.BinaryAccuracy(threshold=0.2),
        metrics.CategoricalCrossentropy(from_logits=True),
        metrics.MeanMetricWrapper(losses.mean_squared_error, name="error"),
    ):
        again = metrics.deserialize(metrics.serialize(metric))
        assert type(again) is type(metric) and again.get_config() == metric.get_config()
    assert isinstance(metrics.get("mse"), metrics.MeanSquaredError)
    assert isinstance(metrics.get("BinaryAccuracy"), metrics.BinaryAccuracy)
    with pytest.raises(ArgumentError, match="no metric named 'acuracy'"):
        metrics.get("acuracy")


def test_metrics_made_of_metrics() -> None:
    class Spread(metrics.Metric):
        def __init__(self) -> None:
            super().__init__(name="spread")
            self.mean, self.squares = metrics.Mean(), metrics.Mean()

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.mean.update_state(y_pred)
            self.squares.update_state(lamina.square(y_pred))

        def result(self) -> Any:
            return self.squares.result() - self.mean.result() ** 2

    spread = Spread()
    assert spread(None, lamina.tensor([1.0, 3.0])).item() == 1
    assert len(spread.variables) == 4
    spread.reset_state()
    assert spread.result().item() == 0


def test_sparse_targets_match_but_for_dimensions_of_size_1() -> None:
    scores = [[[0.9, 0.1, 0.0], [0.2, 0.75, 0.05]]]
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state([[0], [0]], scores)
    assert metric.result().item() == 0.5
    with pytest.raises(lamina.ShapeError):
        metric.update_state([[0, 0, 0]], scores)
