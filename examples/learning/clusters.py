"""Clusters of digits: k-means on features that a network has learned without labels, and on pixels.

To k-means on pixels two images are near if their ink covers the same places.  The network is shown two distorted
copies of each image (shifted, turned, resized), and learns features by which it finds the copy of an image
among those of all others in the batch (contrastive learning, Chen et al., 2020).  What distorting changes is no
longer in the features, and clusters of them are closer to the digits.  Labels are used at the very end, to compare.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers
from lamina.core.optional import require
from lamina.datasets import mnist

TRAIN = 8_000
FEATURES, PROJECTED = 64, 32
TEMPERATURE = 0.2
BATCH = 200
RATE = 2e-3
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data]:
    """Images float32 (n, 28, 28, 1) from 0 to 1 and labels, to train and to test."""
    images, labels = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return (x[:TRAIN], labels[:TRAIN]), (x[TRAIN:], labels[TRAIN:])


def distort() -> lamina.Sequential:
    """Images in, each distorted in its own way out, in training."""
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.RandomTranslation(0.12, 0.12, fill_mode="constant"),
            layers.RandomRotation(0.06, fill_mode="constant"),
            layers.RandomZoom((-0.25, 0.25), (-0.25, 0.25), fill_mode="constant"),
        ]
    )


def encoder() -> lamina.Sequential:
    """Images in, features (FEATURES,) out."""
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(FEATURES, activation="relu"),
        ]
    )


class Contrastive(lamina.Model):
    """Learns features by finding the copy of each image among those of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.distort, self.encoder = distort(), encoder()
        self.project = lamina.Sequential([layers.Input((FEATURES,)), layers.Dense(PROJECTED)])
        self.loss_of_batch = lamina.metrics.Mean(name="loss")

    def call(self, images: lamina.Tensor) -> lamina.Tensor:
        return self.encoder(images)

    def train_step(self, images: lamina.Tensor) -> dict[str, lamina.Tensor]:
        count = images.shape[0]
        with lamina.GradientTape() as tape:
            copies = lamina.concat([self.distort(images, training=True), self.distort(images, training=True)])
            projected = self.project(self.encoder(copies, training=True))
            directions = projected / lamina.sqrt(lamina.sum(projected**2, axis=1, keepdims=True) + 1e-8)
            cosines = lamina.matmul(directions, directions.T) / TEMPERATURE
            cosines = cosines - 1e9 * lamina.eye(2 * count)  # no copy is compared with itself
            others = np.roll(np.arange(2 * count), count)  # where the other copy of each is
            loss = lamina.mean(lamina.losses.sparse_categorical_crossentropy(others, cosines, from_logits=True))
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        self.loss_of_batch.update_state(loss)
        return {"loss": self.loss_of_batch.result()}


def cluster(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Ten clusters of k-means, and how they fit the labels.

    Returns:
        The cluster of each row, and ``purity``, the share of images that have the most frequent label of their
        cluster, and ``rand``, the adjusted Rand index: 1 for the same partition, about 0 for one by chance.
    """
    k_means = require("sklearn.cluster", "sklearn", "k-means").KMeans(10, n_init=5, random_state=0)
    metrics = require("sklearn.metrics", "sklearn", "the adjusted Rand index")
    found = k_means.fit_predict(features.reshape(len(features), -1))
    most = sum(np.bincount(labels[found == k]).max() for k in range(10))
    return found, {"purity": float(most / len(labels)), "rand": float(metrics.adjusted_rand_score(labels, found))}


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[Contrastive, dict[str, list[float]]]:
    """Train without labels.  Returns the model, losses by epoch, and at the end how test images cluster."""
    lamina.random.seed(seed)
    (x_train, _), (x_test, y_test) = data()
    model = Contrastive()
    rate = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x_train) // BATCH))
    model.compile(lamina.optimizers.Adam(rate))
    history = model.fit(x_train, batch_size=BATCH, epochs=epochs, verbose=verbose).history
    _, measured = cluster(model.predict(x_test, verbose=0), y_test)
    return model, history | {f"val_{name}": [value] for name, value in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, _ = train(options.epochs)
    _, (x_test, y_test) = data()
    print()
    for name, features in (("pixels", x_test), ("learned features", model.predict(x_test, verbose=0))):
        found, measured = cluster(features, y_test)
        print(f"{name}: purity {measured['purity']:.1%}, adjusted Rand index {measured['rand']:.3f}")
        for k in range(10):
            counts = np.bincount(y_test[found == k], minlength=10)
            print(f"  cluster {k}: " + ", ".join(f"{counts[d]} x {d}" for d in counts.argsort()[::-1][:4] if counts[d]))


if __name__ == "__main__":
    main()
