"""A generator learns to draw digits that a discriminator cannot tell from MNIST's.

Two networks train against each other (Goodfellow et al., 2014), each with its own optimizer, in one compiled step.
The discriminator learns to tell 8,000 real images from the generator's; the generator, which makes images of
normal noise and never sees a real one, follows the discriminator's gradient.  Both are convolutional, after DCGAN
(Radford et al., 2016).

Their losses do not say how good the images are.  A classifier does, which was trained apart on the same real
images: how far its features of generated images lie from those of 2,000 other real ones (Frechet distance, Heusel
et al., 2017), how sure it is of what it sees, and how evenly the ten digits come up.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

import numpy as np

import lamina
from lamina import layers
from lamina.core.optional import require
from lamina.datasets import mnist

TRAIN = 8_000
LATENT = 64
FILTERS = (64, 32)  # of the generator, from its small images to its large ones; the discriminator has them turned round
BATCH = 32
RATE, BETA = 1e-3, 0.5  # of Adam
SMOOTH = 0.2  # slope of the discriminator's units below 0
DROPOUT = 0.3
JUDGED = 2_000
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data]:
    """Images float32 (n, 28, 28, 1) from 0 to 1 and labels, to train and to compare with."""
    images, labels = mnist.load_test_images()
    x = images[..., None].astype(np.float32) / 255
    return (x[:TRAIN], labels[:TRAIN]), (x[TRAIN:], labels[TRAIN:])


def generator() -> lamina.Sequential:
    """Noise (LATENT,) in, images out."""
    first, second = FILTERS
    return lamina.Sequential(
        [
            layers.Input((LATENT,)),
            layers.Dense(7 * 7 * first, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Reshape((7, 7, first)),
            layers.Conv2DTranspose(second, 4, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid"),
        ]
    )


def discriminator() -> lamina.Sequential:
    """Images in, logits out: above 0 for what looks real."""
    second, first = FILTERS
    return lamina.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(first, 4, strides=2, padding="same"),
            layers.LeakyReLU(SMOOTH),
            layers.Dropout(DROPOUT),
            layers.Conv2D(second, 4, strides=2, padding="same"),
            layers.LeakyReLU(SMOOTH),
            layers.Dropout(DROPOUT),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


class GAN(lamina.Model):
    """Two networks that train against each other.

    Args:
        generator: noise (batch, latent) in, samples out.
        discriminator: samples in, logits (batch, 1) out.
    """

    def __init__(self, generator: lamina.Model, discriminator: lamina.Model) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def compile(self, generator: lamina.optimizers.Optimizer, discriminator: lamina.optimizers.Optimizer) -> None:
        """Each network has its optimizer."""
        super().compile()
        self.generator_optimizer, self.discriminator_optimizer = generator, discriminator

    def call(self, noise: lamina.Tensor, training: bool | None = None) -> lamina.Tensor:
        return self.generator(noise, training=training)

    def train_step(self, real: lamina.Tensor) -> dict[str, lamina.Tensor]:
        noise = lamina.random.normal((real.shape[0], self.generator.input_shape[-1]))
        with lamina.GradientTape(persistent=True) as tape:
            of_generated = self.discriminator(self.generator(noise, training=True), training=True)
            of_real = self.discriminator(real, training=True)
            judging = cross_entropy(of_real, 1) + cross_entropy(of_generated, 0)
            deceiving = cross_entropy(of_generated, 1)
        for network, optimizer, loss in (
            (self.discriminator, self.discriminator_optimizer, judging),
            (self.generator, self.generator_optimizer, deceiving),
        ):
            optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return {"judging": judging, "deceiving": deceiving}

    def generate(self, count: int, seed: int = 0) -> np.ndarray:
        """So many samples; the same seed gives the same noise."""
        noise = np.random.default_rng(seed).normal(size=(count, self.generator.input_shape[-1]))
        return self.generator.predict(noise.astype(np.float32), batch_size=500, verbose=0)


def cross_entropy(logits: lamina.Tensor, label: int) -> lamina.Tensor:
    """Mean of ``-log`` of the probability that the logits give to the label: 1 for real, 0 for generated."""
    return lamina.mean(lamina.activations.softplus(-logits if label else logits))


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[GAN, dict[str, list[float]]]:
    """Train.  Returns the networks, and losses and what ``judge`` says by epoch."""
    lamina.random.seed(seed)
    (x_train, _), _ = data()
    model = GAN(generator(), discriminator())
    adam = lamina.optimizers.Adam
    model.compile(adam(RATE, beta_1=BETA), adam(RATE, beta_1=BETA))
    judged = lamina.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(judge(model.generate(JUDGED, seed)))
    )
    history = model.fit(x_train, batch_size=BATCH, epochs=epochs, callbacks=[judged], verbose=verbose)
    return model, history.history


# --- how good the images are ----------------------------------------------------------------------------
@cache
def classifier() -> lamina.Model:
    """A classifier of real digits, which gives its features (64,) and the ten probabilities."""
    lamina.random.seed(0)
    (x_train, y_train), _ = data()
    inputs = lamina.Input((28, 28, 1))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    features = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    model = lamina.Model(inputs, layers.Dense(10, activation="softmax")(features))
    model.compile(lamina.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy")
    model.fit(x_train, y_train, batch_size=64, epochs=5, verbose=0)
    return lamina.Model(inputs, [features, model.output])


def judge(images: np.ndarray) -> dict[str, float]:
    """What the classifier says of images (n, 28, 28, 1).

    Returns:
        ``frechet``: squared Frechet distance of the features' normal distributions from that of real images;
        ``confidence``: mean of the largest probability; ``evenness``: entropy of the digits seen over that of ten
        equally frequent ones.
    """
    _, (real, _) = data()
    features, probabilities = classifier().predict(images, batch_size=500, verbose=0)
    real_features, _ = classifier().predict(real, batch_size=500, verbose=0)
    shares = np.bincount(probabilities.argmax(axis=1), minlength=10) / len(images)
    return {
        "frechet": frechet_distance(features, real_features),
        "confidence": float(probabilities.max(axis=1).mean()),
        "evenness": float((shares * np.log(1 / np.maximum(shares, 1e-12))).sum() / np.log(10)),
    }


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """``|mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2))`` of rows of features."""
    c_a, c_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(c_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    both = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_b @ root), 0)).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(c_a) + np.trace(c_b) - 2 * both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--picture", default="demo-output/gan.png", help="file for generated digits; '' for none")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if options.picture:
        require("matplotlib", "plot", "the picture (--picture '' draws none)")
    model, _ = train(options.epochs)
    (x_train, _), _ = data()
    noise = np.random.default_rng(0).uniform(size=(JUDGED, 28, 28, 1)).astype(np.float32)
    print()
    for name, images in (("generated", model.generate(JUDGED)), ("real", x_train[:JUDGED]), ("noise", noise)):
        said = ", ".join(f"{what} {value:.3f}" for what, value in judge(images).items())
        print(f"{name:>9}: {said}")
    if not options.picture:
        return
    Path(options.picture).parent.mkdir(parents=True, exist_ok=True)
    lamina.plotting.plot_images(model.generate(100), columns=10, path=options.picture)
    print(f"{options.picture}: a hundred generated digits")


if __name__ == "__main__":
    main()
