"""LeNet on MNIST's digits: at least 98 of 100 right after a minute.

It learns from 8,000 of the 10,000 images in MNIST's test files, which are a small download, and is tested
on the other 2,000.  Files that you have already are found in the folder that LAMINA_DATA names.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina.applications import LeNet
from lamina.datasets import mnist

TRAIN = 8_000
BATCH = 64
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data]:
    """Images float32 (n, 28, 28, 1) from 0 to 1 and labels, to train and to test."""
    images, labels = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return (x[:TRAIN], labels[:TRAIN]), (x[TRAIN:], labels[TRAIN:])


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and losses and accuracies by epoch, those of the test images under ``val_``."""
    lamina.random.seed(seed)
    (x_train, y_train), (x_test, y_test) = data()
    model = LeNet(dropout=0.4)
    if verbose:
        model.summary()
    steps = epochs * (TRAIN // BATCH)
    rate = lamina.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(lamina.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x_train, y_train, batch_size=BATCH, epochs=epochs, validation_data=(x_test, y_test), verbose=verbose
    )
    return model, history.history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    _, history = train(options.epochs)
    print(f"\nTest accuracy: {history['val_accuracy'][-1]:.2%} (loss {history['val_loss'][-1]:.4f})")


if __name__ == "__main__":
    main()
