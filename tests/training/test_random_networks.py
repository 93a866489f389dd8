"""Networks made at random: compiled training agrees with the same training run op by op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, optimizers

ACTIVATIONS = ["relu", "tanh", "sigmoid", "gelu", "elu", "softplus", "silu", None]
LOSSES = ["mse", "mae", "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"]


def optimizer(rng: np.random.Generator) -> Any:
    kinds = [
        lambda: optimizers.SGD(0.05),
        lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0),
        lambda: optimizers.RMSprop(0.01, momentum=0.5),
        lambda: optimizers.Adam(0.01, global_clipnorm=2.0),
        lambda: optimizers.AdamW(0.01, weight_decay=0.01),
    ]
    return kinds[rng.integers(len(kinds))]()


def hidden(x: Any, rng: np.random.Generator) -> Any:
    """One or two layers on top of ``x``."""
    width = int(rng.integers(1, 70))
    match int(rng.integers(6)):
        case 0 | 1 | 2:
            return layers.Dense(width, ACTIVATIONS[rng.integers(len(ACTIVATIONS))], use_bias=bool(rng.integers(2)))(x)
        case 3:
            return layers.Dropout(0.3)(layers.Dense(width, "relu")(x))
        case 4:
            return layers.BatchNormalization()(x)
        case _:
            left, right = layers.Dense(width, "tanh")(x), layers.Dense(width)(x)
            return layers.Add()([left, right]) if rng.integers(2) else layers.Concatenate()([left, x])


def network(rng: np.random.Generator) -> tuple[Any, str, int, int]:
    """``(model, loss, features, outputs)``."""
    features, loss = int(rng.integers(1, 40)), LOSSES[rng.integers(len(LOSSES))]
    outputs = int(rng.integers(2, 12)) if "categorical" in loss else int(rng.integers(1, 5))
    inputs = x = layers.Input((features,))
    for _ in range(rng.integers(0, 4)):
        x = hidden(x, rng)
    activation = "softmax" if "categorical" in loss else "sigmoid" if loss.startswith("binary") else None
    return lamina.Model(inputs, layers.Dense(outputs, activation)(x)), loss, features, outputs


def targets(loss: str, rows: int, outputs: int, rng: np.random.Generator) -> np.ndarray:
    if loss.startswith("sparse"):
        return rng.integers(0, outputs, rows)
    if loss.startswith("categorical"):
        return np.eye(outputs, dtype=np.float32)[rng.integers(0, outputs, rows)]
    if loss.startswith("binary"):
        return rng.integers(0, 2, (rows, outputs)).astype(np.float32)
    return rng.normal(size=(rows, outputs)).astype(np.float32)


def compare(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, batch = int(rng.integers(1, 150)), int(rng.integers(1, 70))
    weighted = bool(rng.integers(2))
    from_here = rng.bit_generator.state
    results = []
    for run_eagerly in (False, True):
        rng.bit_generator.state = from_here
        lamina.random.seed(seed)
        model, loss, features, outputs = network(rng)
        x = rng.normal(size=(rows, features)).astype(np.float32)
        y = targets(loss, rows, outputs, rng)
        weight = rng.uniform(0, 2, rows).astype(np.float32) if weighted else None
        metric = "accuracy" if "categorical" in loss else "mse"
        model.compile(optimizer(rng), loss, metrics=[metric], run_eagerly=run_eagerly)
        history = model.fit(x, y, batch, epochs=2, sample_weight=weight, verbose=0).history
        evaluated = model.evaluate(x, y, batch, sample_weight=weight, verbose=0)
        results.append((history, evaluated, model.predict(x, batch, verbose=0), model.get_weights()))
    (history, evaluated, predicted, weights), expected = results
    about = f"seed {seed}: {rows} rows, batch {batch}, {loss}"
    for name, values in history.items():
        np.testing.assert_allclose(values, expected[0][name], rtol=2e-3, atol=2e-4, err_msg=f"{about} {name}")
    np.testing.assert_allclose(evaluated, expected[1], rtol=5e-3, atol=5e-3, err_msg=about)
    np.testing.assert_allclose(predicted, expected[2], rtol=5e-3, atol=5e-3, err_msg=about)
    for a, b in zip(weights, expected[3], strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=5e-3, err_msg=about)


@pytest.mark.parametrize("seed", range(8))
def test_a_few(seed: int) -> None:
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 100))
def test_many(seed: int) -> None:
    compare(seed)
