"""Data sets to learn with.

``digits`` comes with scikit-learn; ``mnist``, ``fashion_mnist``, ``cifar10`` and ``movie_reviews`` are
downloaded once, or taken from the folder that the environment variable ``LAMINA_DATA`` names.  Each module
has ``load_data()``, which returns ``(x_train, y_train), (x_test, y_test)``.
"""

from lamina.datasets import cifar10, digits, fashion_mnist, idx, mnist, movie_reviews

__all__ = ["cifar10", "digits", "fashion_mnist", "idx", "mnist", "movie_reviews"]
