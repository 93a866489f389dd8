"""Estimators of scikit-learn: its own checks, pipelines, grid search, copies."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DataError

pytest.importorskip("sklearn", reason="lamina.sklearn needs the extra 'sklearn'")

from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from lamina.sklearn import Classifier, Regressor, SKLearnClassifier, Transformer

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [Classifier, Regressor, Transformer])
def test_scikit_learns_own_checks(estimator: Any) -> None:
    results = check_estimator(estimator(random_state=0), on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [r["check_name"] for r in results if r["status"] not in ("passed", "skipped")] == []
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= {"check_array_api_input", f"check_{estimator.__name__.lower()}_data_not_an_array"}  # no pandas


@pytest.mark.parametrize(
    ("units", "activation", "loss"),
    [
        (3, "softmax", "sparse_categorical_crossentropy"),
        (3, "softmax", "categorical_crossentropy"),
        (3, None, lamina.losses.SparseCategoricalCrossentropy(from_logits=True)),
        (3, None, lamina.losses.CategoricalCrossentropy(from_logits=True)),
        (3, None, lamina.losses.BinaryCrossentropy(from_logits=True)),
        (3, "sigmoid", "binary_crossentropy"),
        (1, "sigmoid", "binary_crossentropy"),
        (1, None, lamina.losses.BinaryCrossentropy(from_logits=True)),
    ],
)
def test_any_usual_loss_and_output(units: int, activation: Any, loss: Any) -> None:
    chosen = NAMES != "virginica" if units == 1 else np.ones(len(X), bool)
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(units, activation)])
    model.compile(lamina.optimizers.Adam(0.1), loss)
    weights = [w.copy() for w in model.get_weights()]
    estimator = Classifier(model, epochs=30, random_state=0).fit(X[chosen], NAMES[chosen])
    assert estimator.classes_.tolist() == sorted(set(NAMES[chosen]))
    assert estimator.score(X[chosen], NAMES[chosen]) > 0.9
    p = estimator.predict_proba(X[chosen])
    assert p.shape == (chosen.sum(), len(estimator.classes_)) and np.allclose(p.sum(1), 1)
    assert (estimator.classes_[p.argmax(1)] == estimator.predict(X[chosen])).all()
    assert all((a == b).all() for a, b in zip(weights, model.get_weights(), strict=True))  # a clone was trained


def test_pipeline_grid_search_and_cross_validation() -> None:
    pipeline = make_pipeline(StandardScaler(), Classifier(epochs=10, random_state=1))
    search = GridSearchCV(
        pipeline, {"classifier__hidden_units": [(4,), (16,)], "classifier__learning_rate": [0.01]}, cv=3
    )
    search.fit(X, NAMES)
    assert search.best_score_ > 0.8 and set(search.best_params_) == {
        "classifier__hidden_units",
        "classifier__learning_rate",
    }
    features, targets = make_regression(80, 5, n_targets=2, random_state=0)
    scores = cross_val_score(Regressor(epochs=40, learning_rate=0.01, random_state=0), features, targets, cv=2)
    assert (scores > 0.8).all()


def test_routed_sample_weights() -> None:
    chosen = np.where(Y == 2, 1.0, 0.0)
    with config_context(enable_metadata_routing=True):
        estimator = Classifier(epochs=20, random_state=0).set_fit_request(sample_weight=True)
        search = GridSearchCV(estimator.set_score_request(sample_weight=False), {"epochs": [20]}, cv=2)
        search.fit(X, Y, sample_weight=chosen)
    assert (search.predict(X) == 2).mean() > 0.9


def test_the_random_state_says_everything_and_takes_nothing() -> None:
    lamina.random.seed(5)
    expected = lamina.random.uniform((3,)).numpy()
    lamina.random.seed(5)
    a = Classifier(epochs=2, random_state=3).fit(X, Y).predict_proba(X)
    assert (lamina.random.uniform((3,)).numpy() == expected).all()
    b = Classifier(epochs=2, random_state=3).fit(X, Y).predict_proba(X)
    c = Classifier(epochs=2, random_state=4).fit(X, Y).predict_proba(X)
    assert (a == b).all() and (a != c).any()


def test_copies() -> None:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(5, name="inner"), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for estimator in (Classifier(model, epochs=2), Transformer(epochs=2), Regressor(epochs=2)):
        fresh = clone(estimator)
        assert fresh.get_params().keys() == estimator.get_params().keys() and not hasattr(fresh, "model_")
        estimator.fit(X, Y)
        again = pickle.loads(pickle.dumps(estimator))
        method = "transform" if isinstance(estimator, Transformer) else "predict"
        assert (getattr(again, method)(X) == getattr(estimator, method)(X)).all()
        assert again.history_.history == estimator.history_.history


def test_features_of_a_layer_and_targets_of_its_own() -> None:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(5, name="inner"), layers.Dense(1)])
    model.compile("adam", "mse")
    transformer = Transformer(model, layer="inner", epochs=1, warm_start=True).fit(X, Y)
    assert transformer.model_ is model
    kernel, bias = model.get_layer("inner").get_weights()
    assert np.allclose(transformer.transform(X), X @ kernel + bias, atol=1e-4)


def test_warm_start_goes_on() -> None:
    estimator = Regressor(epochs=3, warm_start=True, random_state=0).fit(X, Y)
    first = estimator.model_
    before = estimator.history_.history["loss"][-1]
    assert estimator.fit(X, Y).model_ is first and estimator.history_.history["loss"][0] < before


def test_images_and_arguments_of_fit() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60, 6, 6, 1)).astype(np.float32)
    labels = np.arange(60) % 2
    images[labels == 1, :3] += 1

    def build(X: Any, y: Any, filters: int) -> lamina.Model:
        assert y.shape == (60, 2)
        network = [layers.Conv2D(filters, 3, activation="relu"), layers.Flatten(), layers.Dense(2, "softmax")]
        model = lamina.Sequential([layers.Input(X.shape[1:]), *network])
        model.compile(lamina.optimizers.Adam(0.01), "categorical_crossentropy")
        return model

    estimator = Classifier(build, model_kwargs={"filters": 4}, fit_kwargs={"epochs": 2}, random_state=0)
    assert len(estimator.fit(images, labels).history_.epoch) == 2
    weights = np.where(labels == 1, 1.0, 0.0)
    assert len(estimator.fit(images, labels, epochs=30, sample_weight=weights).history_.epoch) == 30
    assert (estimator.predict(images) == 1).all()


def test_keras_names_have_keras_arguments_and_defaults() -> None:
    def build(X: Any, y: Any) -> lamina.Model:
        model = lamina.Sequential([layers.Input(X.shape[1:]), layers.Dense(y.shape[1])])
        model.compile("sgd", "mse")
        return model

    estimator = SKLearnClassifier(build, fit_kwargs={"verbose": 0}).fit(X, Y)
    assert sorted(estimator.get_params()) == ["fit_kwargs", "model", "model_kwargs", "warm_start"]
    assert len(estimator.history_.epoch) == 1
    assert (estimator.decision_function(X).argmax(-1) == estimator.predict(X)).all()


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="compiled lamina.Model"):
        Classifier("mlp").fit(X, Y)
    with pytest.raises(ArgumentError, match="loss and an optimizer"):
        Classifier(lamina.Sequential([layers.Dense(3)])).fit(X, Y)
    with pytest.raises(DataError, match="one class"):
        Classifier().fit(X[:20], Y[:20])
    with pytest.raises(ValueError, match="Unknown label type"):
        Classifier().fit(X, X[:, 0] * 1.5)
