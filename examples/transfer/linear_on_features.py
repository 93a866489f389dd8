"""Little data, similar task: a network that reads MNIST's digits helps to read those of other people.

It learns from 8,000 of the 10,000 images in MNIST's test files (Americans, scanned at 28 x 28).  The new task has 50
labelled digits of scikit-learn's set (Turks, at 8 x 8).  All old layers are frozen, and a linear classifier is trained
on what they see.  LAMINA_DATA may name a folder with MNIST's test files.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers, transfer
from lamina.datasets import digits, mnist
from lamina.ops import image

OLD = 8_000
OLD_EPOCHS = 4
FEW = 50
BATCH = 64
RATE, LINEAR_RATE = 1e-3, 1e-2
FEATURES = "features"
Data = tuple[np.ndarray, np.ndarray]


def old_data() -> tuple[Data, Data]:
    """MNIST's digits float32 (n, 28, 28, 1) from 0 to 1 and labels, to train and to test."""
    images, labels = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return (x[:OLD], labels[:OLD]), (x[8_000:], labels[8_000:])


def data() -> tuple[Data, Data]:
    """The other digits in MNIST's form: 20 rows and columns, and a margin of 4.  A few to train, and those to test."""
    (x_train, y_train), (x_test, y_test) = digits.load_data()

    def like_mnist(x: np.ndarray) -> np.ndarray:
        large = image.resize(x[..., None].astype(np.float32) / 16, (20, 20)).numpy()
        return np.pad(large, ((0, 0), (4, 4), (4, 4), (0, 0)))

    return (like_mnist(x_train[:FEW]), y_train[:FEW]), (like_mnist(x_test), y_test)


def network() -> lamina.Sequential:
    """Images (28, 28, 1) in, probabilities of the ten digits out."""
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name=FEATURES),
            layers.Dense(10, activation="softmax", name="classifier"),
        ]
    )


def pretrained(verbose: int = 0) -> lamina.Sequential:
    """The network, having learned MNIST's digits."""
    model, (train, test) = network(), old_data()
    model.compile(lamina.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*train, batch_size=BATCH, epochs=OLD_EPOCHS, verbose=verbose, validation_data=test)
    return model


def fit(model: lamina.Model, rate: float, epochs: int, verbose: int) -> dict[str, list[float]]:
    """Train on the few digits; losses and accuracies by epoch, those of the test digits under ``val_``."""
    train, test = data()
    model.compile(lamina.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=verbose, validation_data=test)
    return history.history  # type: ignore[no-any-return]


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Learn MNIST, then train a classifier on frozen features.  Returns the model and its history by epoch."""
    lamina.random.seed(seed)
    base = pretrained(verbose)
    model = transfer.adapt(transfer.features(base, FEATURES), classes=10)
    return model, fit(model, LINEAR_RATE, epochs, verbose)


def from_nothing(epochs: int, seed: int = 0) -> dict[str, list[float]]:
    """The history of the same network without MNIST."""
    lamina.random.seed(seed)
    return fit(network(), RATE, epochs, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs, verbose=0)
    alone = from_nothing(options.epochs)
    print(f"{FEW} labelled digits, {sum(v.size for v in model.trainable_variables)} weights trained")
    print(f"  from nothing          {alone['val_accuracy'][-1]:.1%} of the test digits right")
    print(f"  on MNIST's features   {history['val_accuracy'][-1]:.1%}")


if __name__ == "__main__":
    main()
