"""Pictures of what autoencoders and the GAN draw."""

from __future__ import annotations

import numpy as np
from common import example, save

from lamina import plotting
from lamina.datasets import mnist


def autoencoders() -> None:
    module = example("generation.autoencoder")
    x = module.data()[1][:10]
    for name, noise in (("autoencoder", 0.0), ("denoising", 0.5)):
        model, _ = module.train(12, noise=noise)
        given = module.noisy(x, noise)
        drawn = model.predict(given, verbose=0)
        rows = np.concatenate([given, drawn]).clip(0, 1)
        save(plotting.plot_images(rows, columns=10), name, 800)


def latent_plane() -> None:
    module = example("generation.variational_autoencoder")
    model, _ = module.train(30)
    side = 16
    tiles = module.plane(model, side).reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)
    figure = plotting.plot_images(tiles)
    figure.set_size_inches(4.6, 4.6)
    save(figure, "latent-plane", 560)
    codes = model.mean(model.encoder(module.data()[1])).numpy()
    labels = mnist.load_test_images()[1][module.TRAIN :]
    save(plotting.plot_embeddings(codes, labels, title="Where the test digits lie"), "latent-codes", 560)


def generated_digits() -> None:
    module = example("generation.gan")
    model, history = module.train(12)
    print(history)
    save(plotting.plot_images(model.generate(60), columns=15), "gan", 800)


def main() -> None:
    autoencoders()
    latent_plane()
    generated_digits()


if __name__ == "__main__":
    main()
