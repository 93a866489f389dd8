"""What people get wrong, through the public methods: a typed error that names what and where, and no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_helpers import blobs, classifier, line, regressor

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DataError, DTypeError, LaminaError, PreflightWarning, ShapeError

X, LABELS = blobs(40)
RX, RY = line(40)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]


def with_value(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


def binary(**options: Any) -> Any:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(1, "sigmoid", name="answer")])
    model.compile(**{"loss": "binary_crossentropy", "metrics": ["accuracy"], **options})
    return model


def linear(loss: Any, units: int = 3) -> Any:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(units, name="scores")])
    model.compile(loss=loss)
    return model


SPARSE, CATEGORICAL, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"

# (name, model, x, y, error, words of the message)
BAD_DATA: list[tuple[str, Callable[[], Any], Any, Any, type[LaminaError], str]] = [
    ("wrong features", classifier, X[:, :3], LABELS, ShapeError, r"\(None, 4\).*\(40, 3\)"),
    ("images to dense", classifier, X.reshape(40, 2, 2), LABELS, ShapeError, r"4.*\(\w+, 2, 2\)"),
    ("strings", classifier, np.full((40, 4), "a"), LABELS, DTypeError, "x has dtype <U1"),
    ("labels as strings", classifier, X, LABELS.astype(str), DTypeError, "y has dtype <U.*np.unique"),
    ("objects", classifier, X.astype(object), LABELS, DTypeError, "x has dtype object"),
    ("label too large", classifier, X, with_value(LABELS, 7, 3), DataError, "label 3 in row 7.*classes 0 to 2"),
    ("negative label", classifier, X, with_value(LABELS, 7, -1), DataError, "label -1 in row 7"),
    ("half a label", classifier, X, LABELS + 0.5, DataError, r"label \d.5 in row 0"),
    ("one-hot for sparse", classifier, X, ONE_HOT, ShapeError, "categorical_crossentropy"),
    ("sparse for one-hot", lambda: classifier(loss=CATEGORICAL), X, LABELS, ShapeError, SPARSE),
    ("too few columns", lambda: classifier(loss=CATEGORICAL), X, ONE_HOT[:, :2], ShapeError, "equal shapes"),
    ("broadcast columns", regressor, RX, np.repeat(RY, 3, 1), ShapeError, r"\(40, 3\).*\(n, 1\)"),
    ("broadcast rows", lambda: linear("mse"), X, LABELS * 1.0, ShapeError, "1 unit instead of 3"),
    ("signs for binary", binary, X, np.sign(X[:, :1]), DataError, r"-1.*\(y \+ 1\) / 2"),
    ("percent for binary", binary, X, np.full((40, 1), 50.0), DataError, "y holds 50.0 in row 0"),
    ("NaN in x", classifier, with_value(X, (5, 2), np.nan), LABELS, DataError, "x holds NaN in row 5, element 2"),
    ("infinity in x", classifier, with_value(X, (5, 2), np.inf), LABELS, DataError, "x holds inf in row 5"),
    ("NaN in y", regressor, RX, with_value(RY, (3, 0), np.nan), DataError, "y holds NaN in row 3"),
    ("empty", classifier, X[:0], LABELS[:0], DataError, "x is empty"),
    ("lengths", classifier, X, LABELS[:39], DataError, "x has 40 rows and y has 39"),
    ("no y", classifier, X, None, ArgumentError, "y is missing"),
]


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("make", "x", "y", "error", "words"), [c[1:] for c in BAD_DATA], ids=[c[0] for c in BAD_DATA])
def test_bad_data(
    make: Callable[[], Any], x: Any, y: Any, error: type[LaminaError], words: str, run_eagerly: bool
) -> None:
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        model = make()
        training = model._training
        training.compiled.run_eagerly = run_eagerly
        before = model.get_weights()
        options = {"verbose": 0} if method in ("fit", "evaluate") else {}
        with pytest.raises(error, match=f"(?s){words}"):
            getattr(model, method)(x, y, **options)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("loss", "units", "last"), [(SPARSE, 3, "softmax"), (BINARY, 1, "sigmoid")])
def test_logits_for_probabilities_are_warned_of_once(loss: Any, units: int, last: str, run_eagerly: bool) -> None:
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        model = linear(loss, units)
        model._training.compiled.run_eagerly = run_eagerly
        options = {"verbose": 0} if method in ("fit", "evaluate") else {}
        y = LABELS if units > 1 else LABELS % 2
        with pytest.warns(PreflightWarning, match=f"{last!r}.*from_logits=True") as told:
            [getattr(model, method)(X, y, **options) for _ in range(2)]
        assert sum("from_logits=True" in str(w.message) for w in told) == 1
        assert told[0].filename == __file__  # the user's own line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size is an integer of at least 1, got 0"),
        ({"batch_size": 3.5}, "batch_size"),
        ({"epochs": -1}, "epochs"),
        ({"initial_epoch": -1}, "initial_epoch"),
        ({"validation_split": 1.5}, "validation_split is a share"),
        ({"validation_split": -0.5}, "validation_split is a share"),
        ({"validation_split": 0.999999}, "neither may be empty"),
        ({"verbose": 7}, "verbose"),
        ({"validation_data": X}, r"validation_data is \(x, y\)"),
        ({"validation_freq": 0}, "validation_freq"),
        ({"sample_weight": np.ones(40), "class_weight": {0: 1.0}}, "not both"),
        ({"class_weight": [1, 2]}, "class_weight"),
    ],
)
def test_bad_arguments(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        classifier().fit(X, LABELS, **{"verbose": 0, **options})


def test_bad_validation_data() -> None:
    with pytest.raises(DataError, match="validation_data: x holds NaN"):
        classifier().fit(X, LABELS, validation_data=(with_value(X, 0, np.nan), LABELS), verbose=0)
    with pytest.raises(DataError, match="validation_data: y has label 9"):
        classifier().fit(X, LABELS, validation_data=(X, LABELS * 0 + 9), verbose=0)


def test_bad_sample_weight() -> None:
    with pytest.raises(DataError, match="x has 40 rows and sample_weight has 39"):
        classifier().fit(X, LABELS, sample_weight=np.ones(39), verbose=0)
    with pytest.raises(ShapeError, match=r"sample_weight has shape \(40, 7\)"):
        classifier().fit(X, LABELS, sample_weight=np.ones((40, 7)), verbose=0)


def test_bad_prediction_data() -> None:
    for method in ("predict", "predict_on_batch"):
        with pytest.raises(DataError, match="x holds NaN in row 0"):
            getattr(classifier(), method)(with_value(X, 0, np.nan))
        with pytest.raises(ShapeError, match=r"\(None, 4\).*\(40, 2\)"):
            getattr(classifier(), method)(X[:, :2])


def test_without_compile() -> None:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(3)])
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ArgumentError, match="is not compiled"):
            getattr(model, method)(X, LABELS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": "adamm"}, "adamm"),
        ({"loss": "msee"}, "msee"),
        ({"loss": 3}, "loss"),
        ({"metrics": ["acuracy"]}, "acuracy"),
        ({"steps_per_execution": 0}, "steps_per_execution"),
    ],
)
def test_bad_compile(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LaminaError, match=words):
        classifier(**options)


def test_accuracy_of_a_regression() -> None:
    with pytest.warns(UserWarning, match="'accuracy' counts how often a class is right, and y holds other numbers"):
        regressor(metrics=["accuracy"]).fit(RX, RY, verbose=0)


def test_outputs_and_targets_must_agree_in_number() -> None:
    with pytest.raises(ShapeError, match="y holds 2 arrays and the model has 1 output"):
        classifier().fit(X, (LABELS, LABELS), verbose=0)
    with pytest.raises(ArgumentError, match="loss names the output 'nope'"):
        classifier(loss={"nope": "mse"}).fit(X, LABELS, verbose=0)
