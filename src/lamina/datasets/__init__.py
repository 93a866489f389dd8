"""Data sets to learn with: ``digits`` (offline, from scikit-learn), ``mnist`` and ``fashion_mnist``.

Each module has ``load_data()``, which returns ``(x_train, y_train), (x_test, y_test)`` as NumPy arrays.
"""

from lamina.datasets import digits, fashion_mnist, idx, mnist

__all__ = ["digits", "fashion_mnist", "idx", "mnist"]
