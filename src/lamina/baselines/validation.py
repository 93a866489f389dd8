"""``compare``: cross-validation of several models on the same folds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lamina.baselines.comparison import WIDTH, Comparison, Result
from lamina.baselines.estimators import PURPOSE, classifiers, regressors
from lamina.core.errors import ArgumentError, DataError, LaminaError, ShapeError
from lamina.core.messages import did_you_mean
from lamina.core.optional import require
from lamina.models import Model

Folds = list[tuple[np.ndarray, np.ndarray]]
MEASURES = {"classification": ("accuracy", "macro F1"), "regression": ("R2", "RMSE")}


def compare(
    x: Any,
    y: Any,
    task: Literal["auto", "classification", "regression"] = "auto",
    models: Sequence[str] | None = None,
    own: Mapping[str, Any] | None = None,
    folds: int = 5,
    seed: int = 0,
    verbose: bool = True,
) -> Comparison:
    """Train simpler models and a small network on the same folds of the data, and print one table.

    Classification: naive Bayes, logistic regression, support vector machine, decision tree, random forest, AdaBoost,
    gradient boosting, all scikit-learn's with its defaults, beside ``lamina.sklearn.Classifier()``; regression: their
    counterparts.  "no model" answers always the same: the most frequent class, the mean.

    Each fold is predicted by models that have not seen it: fitted, with their preprocessing, to the other folds.  The
    folds of a classification have the classes in equal shares.  Every model gets the same folds.

    Args:
        x: numbers ``(samples, features)``, or with more axes: scikit-learn's models get them as rows.
        y: labels of any kind, or numbers, ``(samples,)``.
        task: "auto" takes strings, bools and integers for labels, and numbers with fractions for a regression.
        models: names of those to compare; default all.
        own: more models by name: scikit-learn estimators, or compiled ``lamina.Model``s, which are trained as
            ``lamina.sklearn.Classifier(model)`` trains.
        folds: how many.
        seed: of the folds and the models.
        verbose: whether to print the table.

    Returns:
        A ``Comparison``: ``best``, ``table``, ``to_markdown()``, and a ``Result`` for each name.

    Raises:
        ArgumentError: a name that is not known, an unclear task, or fewer than 2 folds.
        DataError: values that are no finite numbers, or fewer samples of a class than folds.
        ShapeError: ``x`` and ``y`` do not fit.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> found = compare(x, x[:, 0] > x[:, 1], models=["no model", "logistic regression"], verbose=False)
        >>> found.best.name, found.best.mean("accuracy") > 0.9
        ('logistic regression', True)

    Source: Kohavi, "A study of cross-validation and bootstrap for accuracy estimation and model selection", IJCAI 1995.
    """
    rows, targets = _check(x, y)
    kind = _task(task, targets)
    chosen = _choose(kind, len(rows), models, own or {}, seed)
    cut = _folds(kind, targets, folds, seed)
    results = [_validate(name, model, rows, targets, kind, cut) for name, model in chosen.items()]
    classes = f", {len(np.unique(targets))} classes" if kind == "classification" else ""
    features = " x ".join(map(str, rows.shape[1:]))
    description = f"{len(rows):,} samples, {features} features{classes}: {folds} folds"
    comparison = Comparison(kind, MEASURES[kind], results, description)
    if verbose:
        from rich.console import Console

        console = Console()
        (console if console.is_terminal else Console(width=WIDTH)).print(comparison.table)
    return comparison


def _check(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Arrays: finite floats, and one target for each row."""
    try:
        rows = np.asarray(x)
        rows = rows.astype(np.result_type(rows.dtype, np.float32)) if rows.dtype.kind in "biuf" else rows.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"compare: x holds values that are no numbers ({error}). Turn categories into numbers first, for example "
            "by lamina.utils.FeatureSpace."
        ) from error
    targets = np.asarray(y)
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if rows.ndim < 2 or targets.ndim != 1:
        hint = " Give class numbers: y.argmax(1)." if targets.ndim == 2 else ""
        raise ShapeError(
            f"compare: x is (samples, features) and y (samples,); got {rows.shape} and {targets.shape}.{hint}"
        )
    if len(rows) != len(targets):
        raise ShapeError(f"compare: x has {len(rows)} rows and y has {len(targets)}.")
    for name, values in (("x", rows), ("y", targets)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))[0]
            raise DataError(
                f"compare: {name} holds NaN or an infinity in row {row}. Leave such rows out, or fill them in."
            )
    return rows, targets


def _task(task: str, y: np.ndarray) -> str:
    """Whether ``y`` holds labels or numbers."""
    if task not in ("auto", *MEASURES):
        raise ArgumentError(f"compare: task is 'auto', 'classification' or 'regression'; got {task!r}.")
    numbers = y.dtype.kind == "f" or (y.dtype.kind in "iu" and task == "regression")
    if task == "regression" and not numbers:
        raise ArgumentError(f"compare: a regression needs numbers in y; it holds {y.dtype}, for example {y[0]!r}.")
    if task != "auto":
        return task
    if y.dtype.kind == "f" and (y != np.round(y)).any():
        return "regression"
    different = len(np.unique(y))
    if y.dtype.kind in "iuf" and different > max(20, len(y) // 20):
        raise ArgumentError(
            f"compare: y holds whole numbers, {different} different ones in {len(y)} rows: labels, or a quantity? "
            "Say task='classification' or task='regression'."
        )
    return "classification"


def _choose(task: str, samples: int, names: Sequence[str] | None, own: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The models to compare."""
    known = (classifiers if task == "classification" else regressors)(samples, seed)
    for name in names or ():
        if name not in known:
            raise ArgumentError(
                f"compare: no model {name!r} for {task}; there are {', '.join(map(repr, known))}."
                + did_you_mean(name, known)
            )
    chosen = dict(known) if names is None else {name: known[name] for name in names}
    wrappers = require("lamina.sklearn", "sklearn", PURPOSE)
    wrapper = wrappers.Classifier if task == "classification" else wrappers.Regressor
    for name, model in own.items():
        if name in chosen:
            raise ArgumentError(f"compare: own model {name!r} has the name of another one; choose a new name.")
        if isinstance(model, Model):
            model = wrapper(model, random_state=seed)
        if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise ArgumentError(
                f"compare: own model {name!r} is a scikit-learn estimator or a compiled lamina.Model; got {model!r}."
            )
        chosen[name] = model
    if not chosen:
        raise ArgumentError("compare: no models to compare; give names in models, or models of your own in own.")
    return chosen


def _folds(task: str, y: np.ndarray, count: int, seed: int) -> Folds:
    """Numbers of rows to fit and to predict, by fold."""
    selection = require("sklearn.model_selection", "sklearn", PURPOSE)
    if not isinstance(count, int) or not 2 <= count <= len(y):
        raise ArgumentError(f"compare: folds is from 2 to the number of samples, {len(y)}; got {count!r}.")
    if task == "regression":
        return list(selection.KFold(count, shuffle=True, random_state=seed).split(y))
    labels, counts = np.unique(y, return_counts=True)
    if len(labels) < 2:
        raise DataError(f"compare: all labels are {labels[0]}; there is nothing to tell apart.")
    if counts.min() < count:
        rare = labels[counts.argmin()]
        raise DataError(
            f"compare: class {rare!r} has {counts.min()} samples, fewer than the {count} folds. Take fewer folds, "
            "leave the class out, or say task='regression' if y is a quantity."
        )
    return list(selection.StratifiedKFold(count, shuffle=True, random_state=seed).split(y, y))


def _validate(name: str, model: Any, x: np.ndarray, y: np.ndarray, task: str, folds: Folds) -> Result:
    """Fit and predict, fold by fold."""
    clone = require("sklearn.base", "sklearn", PURPOSE).clone
    estimators = require("lamina.sklearn.estimators", "sklearn", PURPOSE)
    if not isinstance(model, estimators.Estimator):
        x = x.reshape(len(x), -1)
    scores: dict[str, list[float]] = {measure: [] for measure in MEASURES[task]}
    fitted, predicted = [], []
    for number, (train, test) in enumerate(folds):
        estimator = clone(model)
        try:
            started = time.perf_counter()
            estimator.fit(x[train], y[train])
            between = time.perf_counter()
            answers = estimator.predict(x[test])
            ended = time.perf_counter()
        except (LaminaError, ValueError, TypeError) as error:
            raise type(error)(f"compare: {name!r} failed in fold {number + 1} of {len(folds)}: {error}") from error
        fitted.append(between - started)
        predicted.append(ended - between)
        for measure, value in zip(scores, _scores(task, y[test], np.asarray(answers)), strict=True):
            scores[measure].append(float(value))
    by_measure = {measure: tuple(values) for measure, values in scores.items()}
    return Result(name, by_measure, tuple(fitted), tuple(predicted))


def _scores(task: str, y: np.ndarray, answers: np.ndarray) -> tuple[Any, Any]:
    metrics = require("sklearn.metrics", "sklearn", PURPOSE)
    if task == "classification":
        return metrics.accuracy_score(y, answers), metrics.f1_score(y, answers, average="macro", zero_division=0.0)
    return metrics.r2_score(y, answers), metrics.mean_squared_error(y, answers) ** 0.5
