"""``lamina.baselines.compare``: honest folds, known scores, one table, clear errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DataError, ShapeError

sklearn = pytest.importorskip("sklearn", reason="the models that are compared are scikit-learn's")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import StratifiedKFold, cross_val_score  # noqa: E402
from sklearn.naive_bayes import GaussianNB  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from lamina.baselines import compare  # noqa: E402
from lamina.sklearn import Classifier  # noqa: E402

QUICK = ["no model", "naive Bayes", "logistic regression", "decision tree"]


def flowers() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    return x, y


def quiet(x: Any, y: Any, **options: Any) -> Any:
    return compare(x, y, verbose=False, **options)


class Recording(ClassifierMixin, BaseEstimator):
    """Remembers which rows (by their first feature) it was fitted to and asked for."""

    seen: list[tuple[set[float], set[float]]] = []  # noqa: RUF012

    def fit(self, x: np.ndarray, y: np.ndarray) -> Recording:
        self.fitted_, self.label_ = set(x[:, 0].tolist()), y[0]
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        Recording.seen.append((self.fitted_, set(x[:, 0].tolist())))
        return np.full(len(x), self.label_)


def test_all_models_of_a_classification_in_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = flowers()
    found = compare(x, y, folds=2, own={"my network": Classifier(epochs=2, random_state=0)})
    assert [result.name for result in found][-1] == "no model" and len(found) == 10 and found.task == "classification"
    assert found["no model"].mean("accuracy") == pytest.approx(1 / 3)
    for name in {result.name for result in found} - {"no model", "my network"}:
        assert found[name].mean("accuracy") > 0.85, name
        assert len(found[name].fit_seconds) == len(found[name].predict_seconds) == 2
        assert min(found[name].fit_seconds) > 0
    printed = capsys.readouterr().out
    assert "150 samples, 4 features, 3 classes: 2 folds" in printed
    assert all(result.name in printed for result in found) and "±" in printed
    assert max(len(line) for line in printed.splitlines()) <= 110


def test_scores_are_those_of_scikit_learns_cross_validation() -> None:
    x, y = flowers()
    found = quiet(x, y, models=QUICK, seed=3)
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    wanted = {
        "naive Bayes": GaussianNB(),
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000)),
    }
    for name, model in wanted.items():
        for measure, scoring in (("accuracy", "accuracy"), ("macro F1", "f1_macro")):
            scores = cross_val_score(model, x.astype(np.float64), y, cv=folds, scoring=scoring)
            np.testing.assert_allclose(found[name].scores[measure], scores)
            assert found[name].mean(measure) == pytest.approx(scores.mean())
            assert found[name].spread(measure) == pytest.approx(scores.std(ddof=1))


def test_no_model_is_fitted_to_what_it_predicts() -> None:
    x = np.arange(40.0)[:, None]
    y = np.array(["a", "b", "b", "b"] * 10)
    Recording.seen.clear()
    found = quiet(x, y, models=["naive Bayes"], own={"recording": Recording()}, folds=5)
    assert len(Recording.seen) == 5
    for fitted, predicted in Recording.seen:
        assert not fitted & predicted and len(fitted) == 32 and len(predicted) == 8
        assert sum(y[int(row)] == "a" for row in predicted) == 2  # in equal shares
    assert set.union(*(predicted for _, predicted in Recording.seen)) == set(range(40))
    assert found.best.name == "naive Bayes" or found["recording"].mean("accuracy") == found.best.mean("accuracy")


def test_the_best_is_first() -> None:
    x, y = flowers()
    found = quiet(x, y, models=QUICK)
    means = [result.mean("accuracy") for result in found]
    assert means == sorted(means, reverse=True) and found.best is found[0] and found.best.name != "no model"
    assert repr(found).startswith("<Comparison of 4 models; best: ")


def test_regression() -> None:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    found = quiet(x[:150], y[:150], task="regression", folds=2)
    assert found.measures == ("R2", "RMSE") and len(found) == 8
    assert found["no model"].mean("R2") == pytest.approx(0, abs=0.05)
    assert found["no model"].mean("RMSE") == pytest.approx(y[:150].std(), rel=0.05)
    for name in ("linear regression", "support vector machine", "random forest", "gradient boosting"):
        assert found[name].mean("R2") > 0.1, name
    assert quiet(x[:60], y[:60] + 0.25, models=["linear regression"]).task == "regression"


def test_images_and_a_model_of_ones_own() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4, 4, 1)).astype(np.float32)
    y = np.where(x[:, 0, 0, 0] > 0, "yes", "no")
    model = lamina.Sequential([layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")])
    model.compile(lamina.optimizers.Adam(0.05), loss="categorical_crossentropy")
    before = model.get_weights()
    found = quiet(x, y, models=["decision tree"], own={"one layer": model}, folds=3)
    assert found["decision tree"].mean("accuracy") > 0.9 and found["one layer"].mean("accuracy") > 0.8
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)  # clones were trained


def test_text_markdown_and_html() -> None:
    x, y = flowers()
    found = quiet(x, y, models=["no model", "naive Bayes"], own={"a <b> of mine": GaussianNB()})
    lines = found.to_markdown().splitlines()
    assert lines[0] == "| model | accuracy | macro F1 | fit | predict |" and len(lines) == 5
    assert lines[-1].startswith("| no model | 0.333 ± 0.000 |")
    page = found._repr_html_()
    assert page.count("<tr>") == 4 and "a &lt;b&gt; of mine" in page and "<b>" not in page
    assert "naive Bayes" in str(found) and found.table.row_count == 3


def test_the_same_seed_gives_the_same_scores() -> None:
    x, y = flowers()
    first, again = (quiet(x, y, models=["random forest", "Lamina network"], folds=2, seed=1) for _ in range(2))
    for result in first:
        assert result.scores == again[result.name].scores


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": ["random florest"]}, ArgumentError, "Did you mean 'random forest'"),
        ({"models": []}, ArgumentError, "no models to compare"),
        ({"own": {"naive Bayes": GaussianNB()}}, ArgumentError, "has the name of another"),
        ({"own": {"class": GaussianNB}}, ArgumentError, "scikit-learn estimator or a compiled"),
        ({"task": "ranking"}, ArgumentError, "'classification' or 'regression'; got 'ranking'"),
        ({"folds": 1}, ArgumentError, "folds is from 2"),
        ({"y": np.arange(150)}, ArgumentError, "150 different ones in 150 rows: labels, or a quantity"),
        ({"y": np.array(["a"] * 148 + ["b"] * 2)}, DataError, r"'b'.* has 2 samples, fewer than the 5 folds"),
        ({"y": np.zeros(150, int)}, DataError, "nothing to tell apart"),
        ({"y": np.eye(3)[np.zeros(150, int)]}, ShapeError, r"y.argmax\(1\)"),
        ({"y": np.zeros(149, int)}, ShapeError, "x has 150 rows and y has 149"),
        ({"y": np.array(["a", "b", "c"] * 50), "task": "regression"}, ArgumentError, "a regression needs numbers"),
        ({"x": np.full((150, 2), np.nan)}, DataError, "x holds NaN or an infinity in row 0"),
        ({"x": np.full((150, 2), "red")}, DataError, "no numbers"),
        ({"x": np.zeros(150)}, ShapeError, "x is"),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], message: str) -> None:
    x, y = flowers()
    with pytest.raises(error, match=message):
        quiet(**{"x": x, "y": y, "models": ["naive Bayes"], **change})


def test_a_model_that_fails_is_named() -> None:
    x, y = flowers()
    with pytest.raises(ValueError, match="'mine' failed in fold 1 of 5: .*solver"):
        quiet(x, y, models=[], own={"mine": LogisticRegression(solver="unknown")})
