"""A variational autoencoder learns a plane from which every point gives a digit.

The encoder names no point but a normal distribution for each digit (Kingma and Welling, 2014), and two things are
made small together: the nats that it takes to tell the pixels, given a point drawn from there, and the
Kullback-Leibler divergence of that distribution from the standard normal one.  Their sum bounds the negative
logarithm of the digit's probability from above (the ELBO with its sign turned).  New digits are drawn from points
of the standard normal distribution.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np

import lamina
from lamina import layers
from lamina.core.optional import require
from lamina.datasets import mnist

TRAIN = 8_000
PIXELS = 784
LATENT = 2  # so that it can be drawn
UNITS = (256, 128)
BATCH = 100
RATE = 1e-3


def data() -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, 784) from 0 to 1, to train and to test."""
    images, _ = mnist.load_test_images()
    x = images.reshape(-1, PIXELS).astype(np.float32) / 255
    return x[:TRAIN], x[TRAIN:]


class Sampling(layers.Layer):
    """``mean + exp(log_variance / 2) * noise``: a point of that normal distribution, through which gradients pass.

    Adds the divergence from the standard normal distribution, ``(mean^2 + variance - log_variance - 1) / 2`` summed
    over the coordinates and averaged over the batch, to the loss.
    """

    def call(self, inputs: tuple[lamina.Tensor, lamina.Tensor]) -> lamina.Tensor:
        mean, log_variance = inputs
        divergence = (mean**2 + lamina.exp(log_variance) - log_variance - 1) / 2
        self.add_loss(lamina.mean(lamina.sum(divergence, axis=-1)))
        return mean + lamina.exp(log_variance / 2) * lamina.random.normal(mean.shape)


class VariationalAutoencoder(lamina.Model):
    """Images (batch, 784) in, logits of images (batch, 784) out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = lamina.Sequential([layers.Dense(units, "relu") for units in UNITS])
        self.mean, self.log_variance = layers.Dense(LATENT), layers.Dense(LATENT)
        self.sampling = Sampling()
        self.decoder = lamina.Sequential(
            [*(layers.Dense(units, "relu") for units in UNITS[::-1]), layers.Dense(PIXELS)]
        )

    def call(self, inputs: lamina.Tensor) -> lamina.Tensor:
        features = self.encoder(inputs)
        return self.decoder(self.sampling((self.mean(features), self.log_variance(features))))

    def generate(self, points: np.ndarray) -> np.ndarray:
        """The images (n, 28, 28) that belong to points (n, LATENT) of the latent space."""
        logits = self.decoder(np.asarray(points, np.float32))
        return lamina.activations.sigmoid(logits).numpy().reshape(-1, 28, 28)


def nats(images: lamina.Tensor, logits: lamina.Tensor) -> lamina.Tensor:
    """The cross-entropy of the pixels, summed: (batch,)."""
    return PIXELS * lamina.losses.binary_crossentropy(images, logits, from_logits=True)


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[VariationalAutoencoder, dict[str, list[float]]]:
    """Train.  Returns the model, and negative ELBOs in nats by epoch, those of the test images in ``val_loss``."""
    lamina.random.seed(seed)
    x_train, x_test = data()
    model = VariationalAutoencoder()
    model.compile(lamina.optimizers.Adam(RATE), loss=nats)
    history = model.fit(
        x_train, x_train, batch_size=BATCH, epochs=epochs, validation_data=(x_test, x_test), verbose=verbose
    )
    return model, history.history


def plane(model: VariationalAutoencoder, side: int = 15) -> np.ndarray:
    """Images (side * side, 28, 28) from the latent plane, row by row, closer where the normal distribution is dense."""
    ticks = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    return model.generate(np.array([[x, y] for y in reversed(ticks) for x in ticks]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--picture", default="demo-output/latent-plane.png", help="file of the plane; '' for none")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if options.picture:
        require("matplotlib", "plot", "the picture (--picture '' draws none)")
    model, history = train(options.epochs)
    print(f"\nTest images: {history['val_loss'][-1]:.1f} nats (negative ELBO)")
    if not options.picture:
        return
    Path(options.picture).parent.mkdir(parents=True, exist_ok=True)
    lamina.plotting.plot_images(plane(model), columns=15, path=options.picture)
    print(f"{options.picture}: what each part of the latent plane draws")


if __name__ == "__main__":
    main()
