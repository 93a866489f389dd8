"""Data sets to learn with.

``mauna_loa`` comes with Lamina, ``digits`` and ``iris`` with scikit-learn; the others are downloaded once, or taken
from the folder that the environment variable ``LAMINA_DATA`` names.  Each module has ``load_data()``, which returns
``(x_train, y_train), (x_test, y_test)``; ``shakespeare`` is one text and ``mauna_loa`` one series.
"""

from lamina.datasets import (
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    idx,
    imdb,
    iris,
    kmnist,
    mauna_loa,
    mnist,
    movie_reviews,
    reuters,
    shakespeare,
)

__all__ = [
    "boston_housing",
    "california_housing",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "idx",
    "imdb",
    "iris",
    "kmnist",
    "mauna_loa",
    "mnist",
    "movie_reviews",
    "reuters",
    "shakespeare",
]
