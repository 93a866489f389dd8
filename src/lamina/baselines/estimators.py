"""The models that are compared: scikit-learn's and a small network, each with the preprocessing that it needs."""

from __future__ import annotations

from typing import Any

from lamina.core.optional import require

PURPOSE = "lamina.baselines"
MANY = 10_000  # samples from which on gradient boosting takes histograms, as scikit-learn advises
NETWORK = "Lamina network"
NOTHING = "no model"


def classifiers(samples: int, seed: int) -> dict[str, Any]:
    """Classifiers by name; those that compare or add up features see them standardised by the fold's training data."""
    ensemble, linear, scaled = _part("ensemble"), _part("linear_model"), _scaled
    boosting = ensemble.HistGradientBoostingClassifier if samples > MANY else ensemble.GradientBoostingClassifier
    return {
        NOTHING: _part("dummy").DummyClassifier(strategy="most_frequent"),
        "naive Bayes": _part("naive_bayes").GaussianNB(),
        "logistic regression": scaled(linear.LogisticRegression(max_iter=2_000, random_state=seed)),
        "support vector machine": scaled(_part("svm").SVC(random_state=seed)),
        "decision tree": _part("tree").DecisionTreeClassifier(random_state=seed),
        "random forest": ensemble.RandomForestClassifier(random_state=seed),
        "AdaBoost": ensemble.AdaBoostClassifier(random_state=seed),
        "gradient boosting": boosting(random_state=seed),
        NETWORK: require("lamina.sklearn", "sklearn", PURPOSE).Classifier(random_state=seed),
    }


def regressors(samples: int, seed: int) -> dict[str, Any]:
    """Their counterparts for numbers; naive Bayes has none."""
    ensemble, svm = _part("ensemble"), _part("svm")
    boosting = ensemble.HistGradientBoostingRegressor if samples > MANY else ensemble.GradientBoostingRegressor
    scaler = _part("preprocessing").StandardScaler()
    machine = _part("compose").TransformedTargetRegressor(_scaled(svm.SVR()), transformer=scaler)
    return {
        NOTHING: _part("dummy").DummyRegressor(),
        "linear regression": _scaled(_part("linear_model").LinearRegression()),
        "support vector machine": machine,  # its margin is meant for targets of about 1
        "decision tree": _part("tree").DecisionTreeRegressor(random_state=seed),
        "random forest": ensemble.RandomForestRegressor(random_state=seed),
        "AdaBoost": ensemble.AdaBoostRegressor(random_state=seed),
        "gradient boosting": boosting(random_state=seed),
        NETWORK: require("lamina.sklearn", "sklearn", PURPOSE).Regressor(random_state=seed),
    }


def _scaled(estimator: Any) -> Any:
    return _part("pipeline").make_pipeline(_part("preprocessing").StandardScaler(), estimator)


def _part(name: str) -> Any:
    return require(f"sklearn.{name}", "sklearn", PURPOSE)
