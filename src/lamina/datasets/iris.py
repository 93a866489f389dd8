"""Iris: 150 flowers of three species, measured (Fisher, 1936); it comes with scikit-learn."""

from __future__ import annotations

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.optional import require

Split = tuple[np.ndarray, np.ndarray]

FEATURE_NAMES = ("sepal length", "sepal width", "petal length", "petal width")  # in centimetres
CLASS_NAMES = ("setosa", "versicolor", "virginica")


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Split, Split]:
    """Four lengths of each flower, and its species, ready offline (needs the extra ``datasets``).

    Args:
        test_split: share of the flowers that is kept for testing, between 0 and 1.
        seed: seed of the shuffling before the split; the same seed gives the same split.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: lengths float32 ``(n, 4)`` in centimetres, species uint8 ``(n,)``
        from 0 to 2, whose names are in ``CLASS_NAMES``.

    Raises:
        ArgumentError: ``test_split`` is not between 0 and 1.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape
        ((120, 4), (30, 4))
    """
    if not 0 < test_split < 1:
        raise ArgumentError(f"test_split is a share between 0 and 1, got {test_split!r}.")
    source = require("sklearn.datasets", "datasets", "the data set 'iris'").load_iris()
    order = np.random.default_rng(seed).permutation(len(source.target))
    lengths = source.data.astype(np.float32)[order]
    species = source.target.astype(np.uint8)[order]
    train = int(len(order) * (1 - test_split))
    return (lengths[:train], species[:train]), (lengths[train:], species[train:])
