"""Much data, similar task: a network that reads MNIST's digits is trained on with those of other people.

It learns from 8,000 of the 10,000 images in MNIST's test files, then from 400 digits of scikit-learn's set.  The old
layers go on learning, but more slowly than the new classifier; or the last layers learn first and the others join them.
LAMINA_DATA may name a folder with MNIST's test files.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import lamina
from lamina import layers, transfer
from lamina.datasets import digits, mnist
from lamina.ops import image

OLD = 8_000
OLD_EPOCHS = 4
NEW = 400
BATCH = 64
RATE = 1e-3
FACTORS = {0: 0.1, "conv3": 0.3, "classifier": 1.0}  # of the learning rate, from each layer on
Data = tuple[np.ndarray, np.ndarray]


def old_data() -> tuple[Data, Data]:
    """MNIST's digits float32 (n, 28, 28, 1) from 0 to 1 and labels, to train and to test."""
    images, labels = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return (x[:OLD], labels[:OLD]), (x[8_000:], labels[8_000:])


def data() -> tuple[Data, Data]:
    """The other digits in MNIST's form: 20 rows and columns, and a margin of 4.  Those to train, and those to test."""
    (x_train, y_train), (x_test, y_test) = digits.load_data()

    def like_mnist(x: np.ndarray) -> np.ndarray:
        large = image.resize(x[..., None].astype(np.float32) / 16, (20, 20)).numpy()
        return np.pad(large, ((0, 0), (4, 4), (4, 4), (0, 0)))

    return (like_mnist(x_train[:NEW]), y_train[:NEW]), (like_mnist(x_test), y_test)


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
            layers.Dense(64, activation="relu", name="features"),
            layers.Dense(10, activation="softmax", name="classifier"),
        ]
    )


def fit(model: Any, data: tuple[Data, Data], optimizer: Any, epochs: int, verbose: int = 0, **options: Any) -> Any:
    """Train; losses and accuracies by epoch, those of the test digits under ``val_``."""
    train, test = data
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*train, batch_size=BATCH, epochs=epochs, verbose=verbose, validation_data=test, **options)
    return history.history


def adapted(base: lamina.Model) -> lamina.Model:
    """The old layers, to be trained on, with a new classifier."""
    return transfer.adapt(transfer.features(base, "features"), classes=10, data="large")


def pretrained(verbose: int = 0, seed: int = 0) -> lamina.Model:
    """The network, having learned MNIST's digits."""
    lamina.random.seed(seed)
    model = network()
    fit(model, old_data(), lamina.optimizers.Adam(RATE), OLD_EPOCHS, verbose)
    return model


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Learn MNIST, then the new digits with a learning rate for each part.  Returns the model and its history."""
    model = adapted(pretrained(verbose, seed))
    rates = transfer.learning_rates(model, lamina.optimizers.Adam(RATE), FACTORS)
    return model, fit(model, data(), rates, epochs, verbose)


def train_gradually(epochs: int, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """The same with one learning rate, the classifier first, then the last layers, then all."""
    model = adapted(pretrained(seed=seed))
    stages = transfer.GradualUnfreezing(["classifier", "conv3", 0], epochs=2)
    return model, fit(model, data(), lamina.optimizers.Adam(RATE), epochs, callbacks=[stages])


def from_nothing(epochs: int, seed: int = 0) -> dict[str, list[float]]:
    """The history of the same network without MNIST."""
    lamina.random.seed(seed)
    return fit(network(), data(), lamina.optimizers.Adam(RATE), epochs)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=15)
    epochs = parser.parse_args().epochs
    if epochs < 1:
        parser.error("--epochs must be at least 1")
    found = {
        "from nothing": from_nothing(epochs),
        "last layers first": train_gradually(epochs)[1],
        "fine-tuned": train(epochs, verbose=0)[1],
    }
    print(f"{NEW} labelled digits; right of the test digits after 1, 5 and all {epochs} epochs:")
    for title, history in found.items():
        chosen = [history["val_accuracy"][i] for i in (0, min(4, epochs - 1), -1)]
        print(f"  {title:18} " + "  ".join(f"{share:6.1%}" for share in chosen))


if __name__ == "__main__":
    main()
