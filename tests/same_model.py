"""A program that trains a model and prints a hash of all that came out: weights, optimizer, history, predictions.

Usage: ``same_model.py KIND WORKERS``; the number of threads is that of ``LAMINA_NUM_THREADS``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import lamina
from lamina import layers
from lamina.data import DataLoader, Dataset, Pipeline, rng

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(160, 40)).astype("float32")
IMAGES = RNG.uniform(size=(96, 12, 12, 3)).astype("float32")
WORDS = RNG.integers(1, 30, (96, 11))


class Augmented(Dataset):
    """Images that are moved and made noisy in the workers."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> Any:
        moved = np.roll(IMAGES[index], int(rng().integers(-2, 3)), 0)
        return moved + np.float32(0.05) * np.random.normal(size=moved.shape).astype("float32"), index % 4


def mlp(workers: int) -> tuple[Any, dict[str, Any]]:
    inner = [layers.Dense(70, "relu"), layers.GaussianNoise(0.1), layers.Dense(33, "tanh"), layers.Dropout(0.3)]
    model = lamina.Sequential([lamina.Input((40,)), *inner, layers.Dense(4)])
    return model, {"x": ROWS, "y": np.arange(160) % 4, "batch_size": 48, "validation_split": 0.2}


def convolution(workers: int) -> tuple[Any, dict[str, Any]]:
    model = lamina.Sequential(
        [
            lamina.Input((12, 12, 3)),
            layers.RandomFlip(),
            layers.RandomRotation(0.1),
            layers.Conv2D(20, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.SeparableConv2D(24, 3, activation="gelu"),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(4),
        ]
    )
    if workers >= 0:
        return model, {"x": DataLoader(Augmented(), 24, shuffle=True, num_workers=workers)}
    rows = Pipeline.from_tensor_slices((IMAGES, np.arange(96) % 4)).shuffle(96)
    return model, {"x": rows.map(lambda x, y: (x * rng().uniform(0.8, 1.2), y), num_parallel_calls=3).batch(24)}


def lstm(workers: int) -> tuple[Any, dict[str, Any]]:
    recurrent = layers.Bidirectional(layers.LSTM(19, dropout=0.2))
    inner = [layers.Embedding(30, 12, mask_zero=True), recurrent, layers.Dense(4)]
    return lamina.Sequential([lamina.Input((11,)), *inner]), {"x": WORDS, "y": np.arange(96) % 4, "batch_size": 40}


def attention(workers: int) -> tuple[Any, dict[str, Any]]:
    words = lamina.Input((11,))
    vectors = layers.Embedding(30, 24)(words)
    hidden = layers.LayerNormalization()(layers.MultiHeadAttention(3, 8, dropout=0.1)(vectors, vectors) + vectors)
    pooled = layers.GlobalAveragePooling1D()(layers.Dense(48, "gelu")(hidden))
    return lamina.Model(words, layers.Dense(4)(pooled)), {"x": WORDS, "y": np.arange(96) % 4, "batch_size": 40}


KINDS: dict[str, Callable[[int], tuple[Any, dict[str, Any]]]] = {
    f.__name__: f for f in (mlp, convolution, lstm, attention)
}


def train(kind: str, workers: int = 0) -> str:
    """The hash of a run."""
    lamina.random.seed(11)
    model, data = KINDS[kind](workers)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(lamina.optimizers.AdamW(0.01, clipnorm=1.0), loss, metrics=["accuracy"])
    history = model.fit(**data, epochs=2, verbose=0).history
    probe = {"mlp": ROWS, "convolution": IMAGES}.get(kind, WORDS)
    total = hashlib.sha256(json.dumps(history).encode())
    total.update(model.predict(probe, batch_size=32, verbose=0).tobytes())
    for variable in [*model.variables, *model.optimizer.variables]:
        total.update(variable.numpy().tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    print(train(sys.argv[1], int(sys.argv[2])))
