"""Much data, different task: a network that tells vehicles apart is the beginning of one that tells animals apart.

It learns CIFAR-10's airplanes, automobiles, ships and trucks.  The new task has thousands of photographs of birds,
cats, deer, dogs, frogs and horses.  Everything is trained, from the old weights: these are a better beginning than
random ones.
LAMINA_DATA may name a folder with ``cifar10_small.npz``; otherwise the whole set is downloaded.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import lamina
from lamina import layers, transfer
from lamina.datasets import cifar10

VEHICLES, ANIMALS = (0, 1, 8, 9), (2, 3, 4, 5, 6, 7)
MOST = 6_000  # animals to learn from
OLD_EPOCHS = 8
BATCH = 64
RATE = 2e-3
Data = tuple[np.ndarray, np.ndarray]


def data(classes: tuple[int, ...]) -> tuple[Data, Data]:
    """Images float32 (n, 32, 32, 3) of these classes, centred and scaled by channel, and labels from 0."""
    part = Path(os.environ.get("LAMINA_DATA", ".")) / "cifar10_small.npz"
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(part if part.exists() else None)
    mean, deviation = x_train.mean((0, 1, 2)), x_train.std((0, 1, 2))

    def chosen(x: np.ndarray, y: np.ndarray) -> Data:
        rows = np.flatnonzero(np.isin(y[:, 0], classes))[:MOST]
        return ((x[rows] - mean) / deviation).astype(np.float32), np.searchsorted(classes, y[rows, 0])

    return chosen(x_train, y_train), chosen(x_test, y_test)


def network(classes: int) -> lamina.Sequential:
    """Images (32, 32, 3) in, probabilities out."""
    return lamina.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Conv2D(64, 3, padding="same", activation="relu", name="conv3"),
            layers.GlobalAveragePooling2D(name="pool3"),
            layers.Dense(classes, activation="softmax", name="classifier"),
        ]
    )


def fit(model: lamina.Model, classes: tuple[int, ...], epochs: int, verbose: int) -> dict[str, list[float]]:
    """Train on these classes; losses and accuracies by epoch, those of the test images under ``val_``."""
    train, test = data(classes)
    model.compile(lamina.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=verbose, validation_data=test)
    return history.history  # type: ignore[no-any-return]


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Learn vehicles, then animals from there.  Returns the model and its history."""
    lamina.random.seed(seed)
    base = network(len(VEHICLES))
    fit(base, VEHICLES, OLD_EPOCHS, verbose)
    body = transfer.features(base, "pool3")
    model = transfer.adapt(body, classes=len(ANIMALS), data="large", task="different")
    return model, fit(model, ANIMALS, epochs, verbose)


def from_nothing(epochs: int, seed: int = 0) -> dict[str, list[float]]:
    """The history of the same network without vehicles."""
    lamina.random.seed(seed)
    return fit(network(len(ANIMALS)), ANIMALS, epochs, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    found = {"from nothing": from_nothing(options.epochs), "from vehicles": train(options.epochs, verbose=0)[1]}
    print("Right of the test photographs of six animals, after each epoch:")
    for title, history in found.items():
        print(f"  {title:14}" + "".join(f"{share:7.1%}" for share in history["val_accuracy"]))


if __name__ == "__main__":
    main()
