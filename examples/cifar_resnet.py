"""A small residual network on CIFAR-10's photographs, flipped and shifted anew in every epoch.

It has one block in each of three stages (78,000 weights).  LAMINA_DATA may name a folder with
``cifar10_small.npz`` (arrays x_train, y_train, x_test, y_test: a part of the set); otherwise the whole
set is used, and downloaded if need be.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import lamina
from lamina.applications import ResNet
from lamina.datasets import cifar10

BATCH = 64
SHIFT = 4  # pixels at most
Data = tuple[np.ndarray, np.ndarray]


def network() -> lamina.Model:
    """Images (32, 32, 3) in, probabilities of the ten classes out."""
    return ResNet(blocks=(1, 1, 1), filters=(16, 32, 64), name="resnet8")


def data() -> tuple[Data, Data]:
    """Images float32 (n, 32, 32, 3), centred and scaled by channel, and labels, to train and to test."""
    part = Path(os.environ.get("LAMINA_DATA", ".")) / "cifar10_small.npz"
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(part if part.exists() else None)
    mean, deviation = x_train.mean((0, 1, 2)), x_train.std((0, 1, 2))
    x_train, x_test = (((x - mean) / deviation).astype(np.float32) for x in (x_train, x_test))
    return (x_train, y_train[:, 0]), (x_test, y_test[:, 0])


def varied(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image shifted by up to ``SHIFT`` pixels, and half of them mirrored."""
    n, rows, columns, _ = x.shape
    wide = np.pad(x, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)))
    top, left = rng.integers(0, 2 * SHIFT + 1, (2, n, 1))
    down, right = top + np.arange(rows), left + np.arange(columns)
    right = np.where(rng.random((n, 1)) < 0.5, right, right[:, ::-1])
    return wide[np.arange(n)[:, None, None], down[:, :, None], right[:, None, :]]


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and losses and accuracies by epoch, those of the test images under ``val_``."""
    lamina.random.seed(seed)
    (x_train, y_train), (x_test, y_test) = data()
    model = network()
    if verbose:
        model.summary()
    rate = lamina.optimizers.schedules.CosineDecay(4e-3, epochs * -(-len(x_train) // BATCH))
    model.compile(lamina.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(seed)
    history: dict[str, list[float]] = {}
    for epoch in range(epochs):
        found = model.fit(
            varied(x_train, rng), y_train, batch_size=BATCH, validation_data=(x_test, y_test), verbose=verbose,
            initial_epoch=epoch, epochs=epoch + 1, validation_batch_size=200,
        ).history  # fmt: skip
        for name, values in found.items():
            history.setdefault(name, []).extend(values)
    return model, history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    _, history = train(options.epochs)
    losses = history["val_loss"]
    print(f"\nTest accuracy: {history['val_accuracy'][-1]:.2%} (loss {losses[0]:.3f} after the first epoch,", end=" ")
    print(f"{losses[-1]:.3f} at the end)")


if __name__ == "__main__":
    main()
