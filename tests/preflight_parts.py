"""What the scripts that ``preflight`` is held against are made of; each gives ``(model, arguments of fit)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lamina
from lamina import layers

Case = Callable[[np.random.Generator], tuple[Any, dict[str, Any]]]
MISTAKES: dict[str, tuple[Case, str]] = {}
SOUND: dict[str, Case] = {}


def mistake(kind: str) -> Callable[[Case], Case]:
    """Keep a script whose mistake is of this kind (or one of these, apart by ``|``)."""

    def keep(case: Case) -> Case:
        MISTAKES[case.__name__] = case, kind
        return case

    return keep


def sound(case: Case) -> Case:
    """Keep a script without a mistake."""
    SOUND[case.__name__] = case
    return case


# --- data -----------------------------------------------------------------------------------------------
def table(rng: Any, rows: int = 300, columns: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Columns of spread 1, and a number that depends on them."""
    x = rng.normal(size=(rows, columns)).astype("float32")
    y = np.tanh(x @ rng.normal(size=columns)) + 0.5 * x[:, 0] * x[:, 1] + 0.1 * rng.normal(size=rows)
    return x, y.astype("float32")


def classes(rng: Any, rows: int = 300, columns: int = 8, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Blobs."""
    y = rng.integers(0, count, rows)
    y[:count] = np.arange(count)
    centres = rng.normal(size=(count, columns))
    return (centres[y] + 0.7 * rng.normal(size=(rows, columns))).astype("float32"), y


def images(rng: Any, rows: int = 200, size: int = 12, count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with values from 0 to 1, dark at the border as digits are."""
    y = rng.integers(0, count, rows)
    y[:count] = np.arange(count)
    x = 0.15 * rng.uniform(size=(rows, size, size, 1))
    for i, label in enumerate(y):
        x[i, 2 + 2 * label : 4 + 2 * label, 2:-2] += 0.8
    x[:, :1], x[:, -1:], x[:, :, :1], x[:, :, -1:] = 0, 0, 0, 0
    return x.clip(0, 1).astype("float32"), y


def mlp(inputs: int, outputs: int, last: Any = None, hidden: Any = "relu", *more: Any) -> Any:
    first, second = layers.Dense(32, hidden), layers.Dense(16, hidden)
    return lamina.Sequential([layers.Input((inputs,)), first, *more, second, layers.Dense(outputs, last)])


def compiled(model: Any, loss: Any, optimizer: Any = "adam", metrics: Any = None) -> Any:
    model.compile(optimizer, loss, metrics=metrics)
    return model


SPARSE, CATEGORICAL, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


def one_hot(y: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count, dtype="float32")[y]
