"""Gradient ascent on the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.inspection import activations, maximize_activation
from lamina.inspection.maximization import cosines


def network(data_format: str = "channels_last", shape: Any = (16, 16, 3)) -> Any:
    shape = shape if data_format == "channels_last" else (shape[-1], *shape[:-1])
    return lamina.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(4, 3, name="c", data_format=data_format),
            layers.GlobalAveragePooling2D(data_format=data_format),
            layers.Dense(3, "softmax"),
        ]
    )


def test_the_basis_is_orthonormal() -> None:
    basis = cosines(9)
    np.testing.assert_allclose(basis @ basis.T, np.eye(9), atol=1e-6)
    np.testing.assert_allclose(basis[2], np.sqrt(2 / 9) * np.cos(np.pi * 2 * (2 * np.arange(9) + 1) / 18), atol=1e-6)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_channels_answer_more(data_format: str, rng: np.random.Generator) -> None:
    model = network(data_format)
    images = maximize_activation(model, "c", [0, 2], steps=40, value_range=(-1, 1), seed=3)
    assert images.shape == ((2, 16, 16, 3) if data_format == "channels_last" else (2, 3, 16, 16))
    assert -1 <= images.min() < -0.3 and 0.3 < images.max() <= 1
    axis = -1 if data_format == "channels_last" else 1
    random = rng.uniform(-1, 1, (50, *images.shape[1:])).astype(np.float32)
    spatial = (1, 2) if data_format == "channels_last" else (2, 3)
    usual = activations(model, random, "c")["c"].mean(spatial)
    found = activations(model, images, "c")["c"].mean(spatial)
    assert axis in (-1, 1) and found[0, 0] > usual[:, 0].max() and found[1, 2] > usual[:, 2].max()


def test_a_template_is_found() -> None:
    """The input that maximizes a linear unit is white where its weight is positive and black elsewhere."""
    weights = np.ones((8, 8))
    weights[:, 4:] = -1
    model = lamina.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, name="unit")])
    model.get_layer("unit").set_weights([weights.reshape(-1, 1), np.zeros(1)])
    image = maximize_activation(model, "unit", steps=60, jitter=0)[0, ..., 0]
    assert ((image > 0.5) == (weights > 0)).mean() > 0.95 and np.median(np.abs(image - 0.5)) > 0.25
    faint = maximize_activation(model, "unit", steps=60, jitter=0, l2=1.0)[0, ..., 0]
    assert np.abs(faint - 0.5).mean() < np.abs(image - 0.5).mean()
    again = maximize_activation(model, "unit", steps=60, jitter=0)[0, ..., 0]
    np.testing.assert_array_equal(again, image)


def test_smooth_images_have_low_frequencies() -> None:
    model = network()

    def roughness(smoothness: float) -> float:
        image = maximize_activation(model, "c", steps=30, smoothness=smoothness)
        return float(np.abs(np.diff(image, axis=1)).mean() / image.std())

    assert roughness(2.0) < roughness(0.0)


def test_scores_are_those_before_the_softmax() -> None:
    model = network()
    images = maximize_activation(model, None, [0, 1, 2], steps=60)
    assert model.layers[-1].activation is lamina.activations.softmax
    model.layers[-1].activation = lamina.activations.linear
    random = model(np.random.default_rng(0).random((50, 16, 16, 3)).astype(np.float32)).numpy()
    assert (np.diag(model(images).numpy()) > random.max(0)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "d"}, "no layer 'd'"),
        ({"layer": "c", "channels": 4}, "has 4 channels, from 0; got [4]"),
        ({"channels": "cat"}, "channels is a number"),
        ({"steps": 0}, "steps >= 1"),
        ({"size": (8, 8)}, "takes images of 16 x 16"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        maximize_activation(network(), **options)
    assert message in str(caught.value)


def test_models_that_do_not_take_images_or_take_all_sizes() -> None:
    with pytest.raises(ArgumentError, match="functional or sequential model of images"):
        maximize_activation(lamina.Sequential([layers.Input((4,)), layers.Dense(2)]))
    model = network(shape=(None, None, 3))
    with pytest.raises(ArgumentError, match="say size="):
        maximize_activation(model)
    assert maximize_activation(model, "c", size=(9, 12), steps=2).shape == (1, 9, 12, 3)
