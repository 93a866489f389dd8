"""Digits: 1,797 handwritten digits, 8x8 pixels, that come with scikit-learn (Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.optional import require

Split = tuple[np.ndarray, np.ndarray]


def load_data(test_split: float = 0.2, seed: int = 113) -> tuple[Split, Split]:
    """Small handwritten digits, ready offline (needs the extra ``datasets``).

    Args:
        test_split: share of the images that is kept for testing, between 0 and 1.
        seed: seed of the shuffling before the split; the same seed gives the same split.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: images uint8 ``(n, 8, 8)`` from 0 to 16, labels
        uint8 ``(n,)`` from 0 to 9.

    Raises:
        ArgumentError: ``test_split`` is not between 0 and 1.
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data()
        >>> x_train.shape, x_test.shape
        ((1437, 8, 8), (360, 8, 8))
    """
    if not 0 < test_split < 1:
        raise ArgumentError(f"test_split is a share between 0 and 1, got {test_split!r}.")
    source = require("sklearn.datasets", "datasets", "the data set 'digits'").load_digits()
    order = np.random.default_rng(seed).permutation(len(source.target))
    images = source.images.astype(np.uint8)[order]
    labels = source.target.astype(np.uint8)[order]
    train = int(len(order) * (1 - test_split))
    return (images[:train], labels[:train]), (images[train:], labels[train:])
