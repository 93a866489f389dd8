"""An autoencoder puts an MNIST digit into 32 numbers and draws it again from them.

The 784 pixels pass through a narrow middle, so the network keeps what digits have in common: the code.  With
``--noise 0.5`` it is a denoising autoencoder: it sees digits with noise added, and is to draw them without.
It learns from 8,000 of the 10,000 images in MNIST's test files, without labels, and is tested on the other 2,000.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import lamina
from lamina import layers
from lamina.core.optional import require
from lamina.datasets import mnist

TRAIN = 8_000
CODE = 32
FILTERS = (16, 32)
BATCH = 64
RATE = 2e-3


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, 28, 28, 1) from 0 to 1, to train and to test."""
    images, _ = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return x[:TRAIN], x[TRAIN:]


def noisy(x: np.ndarray, noise: float) -> np.ndarray:
    """The images with normal noise of this standard deviation, the same at every call."""
    return x + np.random.default_rng(0).normal(0, noise, x.shape).astype(np.float32) if noise else x


def network(noise: float = 0.0) -> lamina.Sequential:
    """Images in, images out; in training with fresh noise at every step.  The layer ``code`` is the middle."""
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.GaussianNoise(noise),
            layers.Conv2D(FILTERS[0], 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(FILTERS[1], 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(CODE, name="code"),
            layers.Dense(7 * 7 * FILTERS[1], activation="relu"),
            layers.Reshape((7, 7, FILTERS[1])),
            layers.Conv2DTranspose(FILTERS[0], 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
        ]
    )


def train(
    epochs: int, verbose: int = 2, seed: int = 0, noise: float = 0.0
) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model, and cross-entropies of a pixel by epoch, those of the test images in ``val_loss``."""
    lamina.random.seed(seed)
    x_train, x_test = data()
    model = network(noise)
    if verbose:
        model.summary()
    rate = lamina.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(x_train) // BATCH))
    model.compile(lamina.optimizers.Adam(rate), loss="binary_crossentropy")
    test = noisy(x_test, noise), x_test
    history = model.fit(x_train, x_train, batch_size=BATCH, epochs=epochs, validation_data=test, verbose=verbose)
    return model, history.history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of the noise to remove (0)")
    parser.add_argument(
        "--picture", default="demo-output/autoencoder.png", help="file for digits before and after; '' for none"
    )
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if options.picture:
        require("matplotlib", "plot", "the picture (--picture '' draws none)")
    model, history = train(options.epochs, noise=options.noise)
    _, x_test = data()
    mean = x_test.mean(axis=0, keepdims=True)
    by_mean = lamina.losses.binary_crossentropy(x_test, np.broadcast_to(mean, x_test.shape)).numpy().mean()
    print(f"\nTest loss: {history['val_loss'][-1]:.4f} (a guess of the mean digit: {by_mean:.4f})")

    if not options.picture:
        return
    shown = noisy(x_test, options.noise)[:10]
    rows = [x_test[:10], shown, model.predict(shown, verbose=0)]
    Path(options.picture).parent.mkdir(parents=True, exist_ok=True)
    images = np.clip(np.concatenate(rows if options.noise else rows[1:]), 0, 1)
    lamina.plotting.plot_images(images, columns=10, path=options.picture)
    print(f"{options.picture}: ten digits, {'with noise, ' if options.noise else ''}and below as they were drawn again")


if __name__ == "__main__":
    main()
