"""Every metric against Keras: over its arguments, in two batches, with and without weights, eager and compiled."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import metrics
from lamina.core.errors import ArgumentError, ShapeError

os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(4)
ROWS = 14


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=(ROWS, *shape)).astype("float32")


def share(*shape: int) -> np.ndarray:
    return RNG.uniform(0.02, 0.98, size=(ROWS, *shape)).astype("float32")


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, (ROWS, *shape)).astype("float32")


def labels(classes: int) -> np.ndarray:
    return RNG.integers(0, classes, ROWS)


def one_hot(classes: int) -> np.ndarray:
    return np.eye(classes, dtype="float32")[labels(classes)]


def distribution(*shape: int) -> np.ndarray:
    e = np.exp(normal(*shape))
    return e / e.sum(-1, keepdims=True)


CASES: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = [
    ("Accuracy", {}, bits(2), bits(2)),
    ("TopKCategoricalAccuracy", {"k": 2}, one_hot(4), distribution(4)),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, labels(4), distribution(4)),
    (
        "SparseTopKCategoricalAccuracy",
        {"k": 2, "from_sorted_ids": True},
        labels(4),
        np.argsort(-normal(4)).astype("f4"),
    ),
    ("MeanAbsolutePercentageError", {}, normal(2), normal(2)),
    ("MeanSquaredLogarithmicError", {}, share(2), share(2)),
    ("LogCoshError", {}, normal(2), normal(2)),
    ("CosineSimilarity", {}, normal(3), normal(3)),
    ("CosineSimilarity", {"axis": 1}, normal(3), normal(3)),
    ("PearsonCorrelation", {}, normal(3), normal(3)),
    ("ConcordanceCorrelation", {}, normal(3), normal(3)),
    ("Hinge", {}, bits(3), normal(3)),
    ("SquaredHinge", {}, bits(3), normal(3)),
    ("CategoricalHinge", {}, one_hot(3), normal(3)),
    ("KLDivergence", {}, distribution(3), distribution(3)),
    ("Poisson", {}, share(3), share(3)),
    ("TruePositives", {}, bits(3), share(3)),
    ("FalsePositives", {"thresholds": 0.3}, bits(3), share(3)),
    ("TrueNegatives", {"thresholds": [0.2, 0.7]}, bits(3), share(3)),
    ("FalseNegatives", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, bits(3), share(3)),
    ("Precision", {}, bits(3), share(3)),
    ("Precision", {"thresholds": [0.3, 0.6], "class_id": 1}, bits(3), share(3)),
    ("Precision", {"top_k": 2}, bits(4), share(4)),
    ("Recall", {}, bits(3), share(3)),
    ("Recall", {"top_k": 2, "class_id": 1}, bits(4), share(4)),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, bits(), share()),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4, "num_thresholds": 7}, bits(), share()),
    ("PrecisionAtRecall", {"recall": 0.6}, bits(2), share(2)),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 1}, bits(), share()),
    ("RecallAtPrecision", {"precision": 0.5, "class_id": 0}, bits(2), share(2)),
    ("AUC", {}, bits(), share()),
    ("AUC", {"num_thresholds": 5, "curve": "PR"}, bits(), share()),
    ("AUC", {"curve": "PR", "summation_method": "minoring"}, bits(2), share(2)),
    ("AUC", {"curve": "PRGAIN", "summation_method": "majoring"}, bits(), share()),
    ("AUC", {"thresholds": [0.1, 0.4, 0.5], "from_logits": True}, bits(), normal()),
    ("AUC", {"multi_label": True}, bits(3), share(3)),
    ("AUC", {"multi_label": True, "num_labels": 3, "label_weights": [1.0, 2.0, 0.5]}, bits(3), share(3)),
    ("AUC", {"multi_label": True, "thresholds": [0.2, 0.5], "curve": "PR"}, bits(3), share(3)),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5]}, bits(3), share(3)),
    ("FBetaScore", {}, one_hot(3), distribution(3)),
    ("FBetaScore", {"beta": 0.5, "average": "micro", "threshold": 0.4}, bits(3), share(3)),
    ("FBetaScore", {"beta": 2.0, "average": "weighted", "threshold": 0.4}, bits(3), share(3)),
    ("F1Score", {"average": "macro"}, one_hot(3), distribution(3)),
    ("R2Score", {}, normal(2), normal(2)),
    ("R2Score", {"class_aggregation": None}, normal(2), normal(2)),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 3}, normal(2), normal(2)),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, labels(3), labels(3)),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 1}, labels(3), labels(3)),
    ("BinaryIoU", {"threshold": 0.4}, bits(), share()),
    ("MeanIoU", {"num_classes": 4, "dtype": "float32"}, labels(3), labels(4)),
    ("OneHotIoU", {"num_classes": 3, "target_class_ids": [0]}, one_hot(3), distribution(3)),
    ("OneHotMeanIoU", {"num_classes": 3}, one_hot(3), distribution(3)),
]
COUNTED = ("IoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU")  # integer counts want integer weights


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(
    ("name", "arguments", "y_true", "y_pred"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_metrics(name: str, arguments: dict[str, Any], y_true: Any, y_pred: Any, compiled: bool) -> None:
    keras = pytest.importorskip("keras")
    random = RNG.integers(0, 3, ROWS) if name in COUNTED else RNG.uniform(0.1, 2.0, ROWS).astype("float32")
    for weights in (None, random):
        ours, theirs = getattr(metrics, name)(**arguments), getattr(keras.metrics, name)(**arguments)
        update: Any = ours.update_state
        if compiled:
            update = lamina.function(lambda y, p, w=None, m=ours: m.update_state(y, p, w))
        for half in (slice(0, 6), slice(6, ROWS)):
            part = [] if weights is None else [weights[half]]
            theirs.update_state(y_true[half], y_pred[half], *part)
            update(*(lamina.tensor(x) if compiled else x for x in (y_true[half], y_pred[half], *part)))
        np.testing.assert_allclose(ours.result().numpy(), np.asarray(theirs.result()), rtol=2e-5, atol=1e-6)
    again = metrics.deserialize(metrics.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    ours.reset_state()
    assert all(not v.numpy().any() for v in ours.variables)


def test_every_metric_of_keras_by_name() -> None:
    keras = pytest.importorskip("keras")
    for name, item in vars(keras.metrics).items():
        if callable(item) and not name.startswith("_"):
            assert hasattr(metrics, name), name
            if isinstance(item, type) and name != "Metric":
                assert metrics.known.find(name) is getattr(metrics, name)


def test_state_as_values() -> None:
    metric = metrics.Precision()
    state = metric.stateless_update_state([v.value for v in metric.variables], [0, 1, 1], [1.0, 1.0, 0.0])
    assert metric.stateless_result(state).item() == 0.5
    assert not any(v.numpy().any() for v in metric.variables)
    metric.update_state([1], [1.0])
    assert [s.item() for s in metric.stateless_reset_state()] == [0.0, 0.0]
    assert metric.result().item() == 1.0
    with pytest.raises(ArgumentError, match="1:1"):
        metric.stateless_result([])


def test_relative_error() -> None:
    metric = metrics.MeanRelativeError(normalizer=[1.0, 4.0])
    assert metric([[1.0, 1.0]], [[2.0, 3.0]]).item() == 0.75
    again = metrics.deserialize(metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    with pytest.raises(ArgumentError, match="normalizer does not fit"):
        metric(bits(3), share(3))


def test_state_in_lists_and_dicts() -> None:
    metric = metrics.Mean()
    metric.more = {"a": lamina.Variable(0.0), "b": [lamina.Variable(1.0), metrics.Sum()]}
    assert len(metric.variables) == 5


def test_wrong_arguments() -> None:
    for call, words in (
        (lambda: metrics.Precision(thresholds=[0.5, 1.5]), "must be in"),
        (lambda: metrics.AUC(curve="ROCK"), "AUC curve"),
        (lambda: metrics.AUC(summation_method="sum"), "summation method"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds"),
        (lambda: metrics.AUC(num_labels=2), "num_labels"),
        (lambda: metrics.SensitivityAtSpecificity(2.0), "specificity"),
        (lambda: metrics.FBetaScore(average="mean"), "average"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta"),
        (lambda: metrics.F1Score(threshold=2.0), "threshold"),
        (lambda: metrics.R2Score(class_aggregation="sum"), "class_aggregation"),
        (lambda: metrics.IoU(2, [2]), "out of range"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(ShapeError, match="2D inputs"):
        metrics.F1Score()([1.0], [1.0])
    with pytest.raises(ShapeError, match="same shape"):
        metrics.Recall()(bits(2), share(3))


def test_many_metrics_in_one_compiled_step() -> None:
    x, y = normal(5), bits(1)
    model = lamina.Sequential([lamina.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "bce", metrics=[
        "accuracy", "auc", metrics.Precision(name="precision"), metrics.F1Score(threshold=0.5), "mse",
    ])
    logs = model.fit(x, y, epochs=1, batch_size=ROWS, verbose=0).history
    assert set(logs) == {"loss", "accuracy", "auc", "precision", "f1_score", "mse"}
    model.compile("sgd", "bce", metrics=[metrics.Precision(thresholds=[0.2, 0.5], name="p")])
    assert model.fit(x, y, epochs=1, verbose=2).history["p"][0].shape == (2,)
    model.compile("sgd", "bce", metrics=["auc"])
    found = model.evaluate(x, y, return_dict=True, verbose=0)
    auc = metrics.AUC()
    auc.update_state(y, model.predict(x, verbose=0))
    assert found["auc"] == pytest.approx(auc.result().item())
