"""Little data, different task: a network that tells vehicles apart helps to tell animals apart, from its middle.

It learns CIFAR-10's airplanes, automobiles, ships and trucks.  The new task has 600 labelled photographs of birds,
cats, deer, dogs, frogs and horses.  The last layers know vehicles; the first ones know edges and textures, which
animals have too.  A support vector machine (scikit-learn's) is trained on each in turn.  LAMINA_DATA may name a folder
with ``cifar10_small.npz``; otherwise the whole set is downloaded.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import lamina
from lamina import layers, transfer
from lamina.datasets import cifar10

VEHICLES, ANIMALS = (0, 1, 8, 9), (2, 3, 4, 5, 6, 7)
FEW = 600
BATCH = 64
PLACES = ("pool1", "pool2", "conv3", "pool3", "dense")
Data = tuple[np.ndarray, np.ndarray]


def data(classes: tuple[int, ...]) -> tuple[Data, Data]:
    """Images float32 (n, 32, 32, 3) of these classes, centred and scaled by channel, and labels from 0."""
    part = Path(os.environ.get("LAMINA_DATA", ".")) / "cifar10_small.npz"
    (x_train, y_train), (x_test, y_test) = cifar10.load_data(part if part.exists() else None)
    mean, deviation = x_train.mean((0, 1, 2)), x_train.std((0, 1, 2))

    def chosen(x: np.ndarray, y: np.ndarray) -> Data:
        rows = np.isin(y[:, 0], classes)
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
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dense(classes, activation="softmax", name="classifier"),
        ]
    )


def regions(features: np.ndarray) -> np.ndarray:
    """The means of 4 x 4 regions of feature maps, which are thousands of numbers; others as they are."""
    if features.ndim != 4:
        return features
    n, rows, columns, channels = features.shape
    return features.reshape(n, 4, rows // 4, 4, columns // 4, channels).mean((2, 4))  # type: ignore[no-any-return]


def judged(train: Data, test: Data) -> float:
    """The share of test samples that a support vector machine on these features gets right."""
    flat = [x.reshape(len(x), -1) for x in (train[0], test[0])]
    machine = make_pipeline(StandardScaler(), SVC(C=3.0)).fit(flat[0], train[1])
    return float(machine.score(flat[1], test[1]))


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train on vehicles for some epochs, then a machine on each layer's features of a few animals.

    Returns:
        The network, and accuracies on new animals by layer; ``pixels`` without a network, ``val_accuracy`` the best.
    """
    lamina.random.seed(seed)
    model = network(len(VEHICLES))
    model.compile(lamina.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    old, old_test = data(VEHICLES)
    model.fit(*old, batch_size=BATCH, epochs=epochs, verbose=verbose, validation_data=old_test)

    (x, y), (x_test, y_test) = data(ANIMALS)
    x, y = x[:FEW], y[:FEW]
    history = {"pixels": [judged((x, y), (x_test, y_test))]}
    for place in PLACES:
        see = transfer.features(model, place).predict
        history[place] = [judged((regions(see(x, verbose=0)), y), (regions(see(x_test, verbose=0)), y_test))]
    history["val_accuracy"] = max(history[place] for place in PLACES)
    return model, history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    _, history = train(options.epochs, verbose=0)
    print(f"A support vector machine on {FEW} photographs of six animals names of the test photographs rightly")
    for place in ("pixels", *PLACES):
        share = history[place][0]
        print(f"  from {place:7} {share:6.1%}  " + "#" * round(80 * share))


if __name__ == "__main__":
    main()
