"""Autoencoders, variational ones and GANs learn what they promise, from little data."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import data_folder
from example_files import load_example
from test_examples import needs, run_example

import lamina
from lamina import layers

MNIST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


def mnist_example(name: str, images: int) -> ModuleType:
    """The example with fewer images: so many to train and a quarter as many to test."""
    needs(*MNIST)
    example = load_example(name)
    whole = example.data()

    def part(data: Any, count: int) -> Any:
        return tuple(a[:count] for a in data) if isinstance(data, tuple) else data[:count]

    example.data = lambda: (part(whole[0], images), part(whole[1], images // 4))  # type: ignore[attr-defined]
    return example


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    if data_folder() is not None:
        monkeypatch.setenv("LAMINA_DATA", str(data_folder()))


def test_an_autoencoder_draws_digits_again() -> None:
    example = mnist_example("generation/autoencoder", 2000)
    example.FILTERS, example.BATCH, example.RATE = (12, 24), 20, 3e-3  # type: ignore[attr-defined]
    model, history = example.train(6, verbose=0)
    x_train, x_test = example.data()
    # Without what the image says, nothing is better than the mean of the others.
    guess = np.broadcast_to(x_train.mean(axis=0), x_test.shape)
    by_mean = lamina.losses.binary_crossentropy(x_test, guess).numpy().mean()
    assert history["val_loss"][-1] < 0.55 * by_mean
    again = model.predict(x_test, verbose=0)
    assert again.shape == x_test.shape and ((again - x_test) ** 2).mean() < 0.4 * ((guess - x_test) ** 2).mean()
    assert model.get_layer("code").output.shape == (None, example.CODE)


def test_a_denoising_autoencoder_takes_noise_away() -> None:
    example = mnist_example("generation/autoencoder", 2000)
    example.FILTERS, example.BATCH, example.RATE = (12, 24), 20, 3e-3  # type: ignore[attr-defined]
    model, history = example.train(6, verbose=0, noise=0.5)
    _, x_test = example.data()
    given = example.noisy(x_test, 0.5)
    assert abs((given - x_test).std() - 0.5) < 0.01
    error = ((model.predict(given, verbose=0) - x_test) ** 2).mean()
    assert error < 0.45 * ((np.clip(given, 0, 1) - x_test) ** 2).mean()
    assert error < 0.6 * ((x_test.mean(axis=0) - x_test) ** 2).mean()
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_a_variational_autoencoder_learns_a_plane() -> None:
    example = mnist_example("generation/variational_autoencoder", 1500)
    model, history = example.train(8, verbose=0)
    x_train, x_test = example.data()
    # A code that says nothing costs no divergence, and the pixels as much as with their mean.
    mean = np.clip(x_train.mean(axis=0), 1e-3, 1 - 1e-3)
    by_mean = -(x_test * np.log(mean) + (1 - x_test) * np.log(1 - mean)).sum(axis=1).mean()
    assert history["val_loss"][-1] < by_mean - 8
    # The codes lie about as wide as the standard normal distribution: neither all in one point nor far apart.
    spread = model.mean(model.encoder(x_test)).numpy().std(axis=0)
    assert (spread > 0.4).all() and (spread < 2).all()
    images = example.plane(model, side=5)
    assert images.shape == (25, 28, 28) and images.min() >= 0 and images.max() <= 1
    assert images.std(axis=0).mean() > 0.05  # they are not all alike


def test_the_loss_is_the_negative_elbo(rng: np.random.Generator) -> None:
    """Against the formula in NumPy, with the noise that the model drew."""
    example = load_example("generation/variational_autoencoder")
    x = rng.uniform(size=(6, example.PIXELS)).astype(np.float32)
    model = example.VariationalAutoencoder()
    model.compile(loss=example.nats)
    model.evaluate(x, x, batch_size=6, verbose=0)  # draws the first weights
    lamina.random.seed(3)
    found = model.evaluate(x, x, batch_size=6, verbose=0)
    features = model.encoder(x)
    mean, log_variance = model.mean(features).numpy(), model.log_variance(features).numpy()
    lamina.random.seed(3)
    noise = lamina.random.normal(mean.shape).numpy()
    drawn = 1 / (1 + np.exp(-model.decoder(mean + np.exp(log_variance / 2) * noise).numpy().astype(np.float64)))
    nats = -(x * np.log(drawn) + (1 - x) * np.log(1 - drawn)).sum(axis=1)
    divergence = ((mean**2 + np.exp(log_variance) - log_variance - 1) / 2).sum(axis=1)
    assert found == pytest.approx((nats + divergence).mean(), rel=1e-5)


def test_a_variational_autoencoder_is_saved(tmp_path: Any) -> None:
    example = load_example("generation/variational_autoencoder")
    model = example.VariationalAutoencoder()
    model.compile("adam", loss=example.nats)
    x = np.random.default_rng(0).uniform(size=(20, example.PIXELS)).astype(np.float32)
    model.fit(x, x, verbose=0)
    model.save(tmp_path / "vae.safetensors")
    own = {"VariationalAutoencoder": example.VariationalAutoencoder, "Sampling": example.Sampling, "nats": example.nats}
    again = lamina.models.load_model(tmp_path / "vae.safetensors", custom_objects=own)
    points = np.random.default_rng(1).normal(size=(3, example.LATENT))
    np.testing.assert_array_equal(again.generate(points), model.generate(points))
    again.fit(x, x, verbose=0)
    assert int(again.optimizer.iterations) == 2


def test_a_gan_finds_eight_modes() -> None:
    """Points on a ring of eight small clusters: the generator's move there from around the middle."""
    example = load_example("generation/gan")
    angles = np.arange(8) * np.pi / 4
    modes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rng = np.random.default_rng(0)
    real = (modes[rng.integers(0, 8, 4096)] + rng.normal(0, 0.05, (4096, 2))).astype(np.float32)

    def dense(inputs: int, outputs: int) -> lamina.Sequential:
        hidden = [layers.Dense(64, "relu"), layers.Dense(64, "relu")]
        return lamina.Sequential([layers.Input((inputs,)), *hidden, layers.Dense(outputs)])

    def found(model: Any) -> tuple[int, float]:
        """Modes that at least 1 of 40 points belongs to, and the share of points within 0.25 of a mode."""
        points = model.generate(1000)
        distances = np.linalg.norm(points[:, None] - modes, axis=2)
        near = distances.min(axis=1) < 0.25
        counts = np.bincount(distances.argmin(axis=1)[near], minlength=8)
        return int((counts >= 25).sum()), float(near.mean())

    lamina.random.seed(0)
    model = example.GAN(dense(4, 2), dense(2, 1))
    adam = lamina.optimizers.Adam
    model.compile(adam(1e-3, beta_1=0.5), adam(1e-3, beta_1=0.5))
    modes_before, near_before = found(model)
    history = model.fit(real, batch_size=256, epochs=120, verbose=0).history
    modes_found, near = found(model)
    assert modes_before <= 3 and near_before < 0.4
    assert modes_found >= 7 and near > 0.7
    # Near the balance the discriminator cannot tell: log 4, and log 2 for the generator.
    assert abs(history["judging"][-1] - np.log(4)) < 0.3 and abs(history["deceiving"][-1] - np.log(2)) < 0.5


def test_frechet_distance(rng: np.random.Generator) -> None:
    """Of two normal distributions with the same axes: of means and of standard deviations."""
    example = load_example("generation/gan")
    a = rng.normal(size=(40_000, 3)) * [1, 2, 3]
    b = rng.normal(size=(40_000, 3)) * [2, 2, 1] + [1, 0, -2]
    assert example.frechet_distance(a, b) == pytest.approx(1 + 4 + 1 + 4, rel=0.05)
    assert example.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert example.frechet_distance(a @ turned, b @ turned) == pytest.approx(example.frechet_distance(a, b), rel=1e-9)


def test_the_judge_knows_digits_from_noise(rng: np.random.Generator) -> None:
    example = mnist_example("generation/gan", 1500)
    (x_train, _), _ = example.data()
    real = example.judge(x_train[:375])
    noise = example.judge(rng.uniform(size=(375, 28, 28, 1)).astype(np.float32))
    same = example.judge(np.repeat(x_train[:1], 375, axis=0))
    assert real["confidence"] > 0.8 and real["evenness"] > 0.97
    assert noise["frechet"] > 4 * real["frechet"] and same["frechet"] > 4 * real["frechet"]
    assert same["evenness"] == 0


@pytest.mark.slow
def test_a_gan_draws_digits() -> None:
    example = mnist_example("generation/gan", 8000)
    _, history = example.train(5, verbose=0)
    assert history["frechet"][-1] < 0.55 * history["frechet"][0] < 100
    assert history["evenness"][-1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("autoencoder", r"Test loss: 0\.\d+ \(a guess of the mean digit: 0\.2694\)"),
        ("variational_autoencoder", r"Test images: 2\d\d\.\d nats"),
        ("gan", r"generated: frechet [\d.]+, confidence 0\.\d+, evenness 0\.\d+"),
    ],
)
def test_the_scripts_draw(name: str, said: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the examples draw")
    needs(*MNIST)
    output = run_example(f"generation/{name}.py", tmp_path, "--epochs", "1", "--picture", "drawn/digits.png")
    assert re.search(said, output) and "drawn/digits.png: " in output
    assert (tmp_path / "drawn" / "digits.png").read_bytes().startswith(b"\x89PNG")
