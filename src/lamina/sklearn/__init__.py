"""Models as scikit-learn estimators: in pipelines, cross-validation and grid search (needs the extra ``sklearn``)."""

from lamina.sklearn.estimators import (
    Classifier,
    Regressor,
    SKLearnClassifier,
    SKLearnRegressor,
    SKLearnTransformer,
    Transformer,
)

__all__ = [
    "Classifier",
    "Regressor",
    "SKLearnClassifier",
    "SKLearnRegressor",
    "SKLearnTransformer",
    "Transformer",
]
