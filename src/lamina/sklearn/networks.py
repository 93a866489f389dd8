"""The models behind the estimators: those made where none is given, and clones of given ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina import layers, optimizers, random
from lamina.core.errors import LaminaError
from lamina.models import Model, Sequential, clone_model
from lamina.models.pickling import _unregistered
from lamina.serialization import custom_object_scope

CODE = "code"  # name of the layer in the middle of an autoencoder


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Inside, the default generator starts from ``seed``; after it, it goes on where it was."""
    if seed is None:
        yield
        return
    generator = random.default_generator()
    first, state = generator.initial_seed, [v.numpy().copy() for v in generator.variables]
    generator.reset(seed)
    try:
        yield
    finally:
        generator.initial_seed = first
        for variable, value in zip(generator.variables, state, strict=True):
            variable.assign(value)


def clone_compiled(model: Model) -> Any:
    """A model with the same layers and fresh weights, compiled in the same way."""
    with custom_object_scope(_unregistered(model)):
        clone = clone_model(model)
        if model.compiled:
            try:
                clone.compile_from_config(model.get_compile_config() or {})
            except LaminaError:  # a loss or a metric without a configuration is shared
                optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
                clone.compile(optimizer, **(model._compile_arguments or {}))
    return clone


def _start(X: np.ndarray) -> list[Any]:
    """An input of the data's shape, standardised: each feature less its mean, by its standard deviation."""
    flat = X.reshape(len(X), -1).astype(np.float64)
    start: list[Any] = [layers.Input(X.shape[1:])]
    if X.ndim > 2:
        start.append(layers.Flatten())
    return [*start, layers.Normalization(mean=_numbers(flat.mean(0)), variance=_numbers(_positive(flat.var(0))))]


def _end(Y: np.ndarray) -> list[Any]:
    """From standardised values to those of the data."""
    flat = Y.reshape(len(Y), -1).astype(np.float64)
    mean, variance = _numbers(flat.mean(0)), _numbers(_positive(flat.var(0)))
    end: list[Any] = [layers.Dense(flat.shape[1]), layers.Normalization(mean=mean, variance=variance, invert=True)]
    return end if Y.ndim == 2 else [*end, layers.Reshape(Y.shape[1:])]


def _positive(variance: np.ndarray) -> np.ndarray:
    return np.where(variance > 0, variance, 1.0)  # a constant feature stays as it is


def _numbers(values: np.ndarray) -> list[float]:
    return [float(v) for v in values]


def _hidden(units: Sequence[int]) -> list[Any]:
    return [layers.Dense(n, activation="relu") for n in units]


def classifier(X: np.ndarray, classes: int, hidden_units: Sequence[int], learning_rate: float) -> Any:
    """A multilayer perceptron with a softmax over the classes."""
    model = Sequential([*_start(X), *_hidden(hidden_units), layers.Dense(classes, activation="softmax")])
    model.compile(optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def regressor(X: np.ndarray, Y: np.ndarray, hidden_units: Sequence[int], learning_rate: float) -> Any:
    """A multilayer perceptron for one or more targets."""
    model = Sequential([*_start(X), *_hidden(hidden_units), *_end(Y)])
    model.compile(optimizers.Adam(learning_rate), "mse")
    return model


def autoencoder(X: np.ndarray, components: int, hidden_units: Sequence[int], learning_rate: float) -> Any:
    """A network that gives back its inputs through a layer of few units, named ``CODE``."""
    inner = [*_hidden(hidden_units), layers.Dense(components, name=CODE), *_hidden(tuple(hidden_units)[::-1])]
    model = Sequential([*_start(X), *inner, *_end(X)])
    model.compile(optimizers.Adam(learning_rate), "mse")
    return model
