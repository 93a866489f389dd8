"""Layers found and listened to: activations, feature maps, kernels, attention, gradients of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.inspection import activations, attention_weights, feature_maps, find_layer, kernels, weight_gradients


@pytest.fixture
def nested() -> Any:
    parts = [layers.Input((6, 6, 3)), layers.Conv2D(4, 3, name="c"), layers.ReLU(name="r")]
    body = lamina.Sequential(parts, name="body")
    inputs = layers.Input((6, 6, 3))
    x = layers.GlobalAveragePooling2D(name="mean")(body(inputs))
    return lamina.Model(inputs, layers.Dense(2, name="out")(x), name="whole")


def test_finding(nested: Any) -> None:
    assert find_layer(nested, "c") is nested.get_layer("body").get_layer("c")
    assert find_layer(nested, -1) is nested.get_layer("out") is find_layer(nested, nested.get_layer("out"))
    with pytest.raises(ArgumentError, match="no layer 'outt'. Did you mean 'out'.* Its layers: body, c, r, mean, out"):
        find_layer(nested, "outt")
    with pytest.raises(ArgumentError, match="not part of it"):
        find_layer(nested, layers.Dense(2))
    with pytest.raises(ArgumentError, match="a name, a number or a layer"):
        find_layer(nested, 1.5)  # type: ignore[arg-type]
    twice = lamina.Sequential([layers.Input((4,)), lamina.Sequential([layers.Dense(2, name="d")], name="a"),
                               lamina.Sequential([layers.Dense(2, name="d")], name="b")])  # fmt: skip
    with pytest.raises(ArgumentError, match="2 layers named 'd'"):
        find_layer(twice, "d")


def test_activations_inside_models(nested: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 6, 6, 3)).astype(np.float32)
    found = activations(nested, x)
    assert list(found) == ["body/c", "body/r", "body", "mean", "out"]
    np.testing.assert_array_equal(found["body/r"], np.maximum(found["body/c"], 0))
    np.testing.assert_allclose(found["out"], nested(x).numpy(), rtol=1e-6)
    assert list(activations(nested, x, ["out", "c"])) == ["body/c", "out"]
    assert all("call" not in vars(layer) for layer in nested._flatten_layers())
    unused = layers.Dense(3, name="unused")
    nested.extra = unused
    with pytest.raises(ArgumentError, match="'unused' does not run"):
        activations(nested, x, unused)


def test_a_layer_that_is_called_twice(rng: np.random.Generator) -> None:
    shared, a, b = layers.Dense(3, name="shared"), layers.Input((2,)), layers.Input((2,))
    model = lamina.Model([a, b], layers.Add()([shared(a), shared(b)]))
    x = [rng.normal(size=(1, 2)).astype(np.float32) for _ in range(2)]
    first, second = activations(model, x, "shared")["shared"]
    np.testing.assert_allclose(first, shared(x[0]).numpy(), rtol=1e-6)
    np.testing.assert_allclose(second, shared(x[1]).numpy(), rtol=1e-6)


def test_feature_maps_have_their_channels_last(nested: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 6, 3)).astype(np.float32)
    found = feature_maps(nested, x)
    assert {name: maps.shape for name, maps in found.items()} == {"body/c": (1, 4, 4, 4)}
    kind: dict[str, Any] = {"data_format": "channels_first"}
    first = lamina.Sequential([layers.Input((3, 6, 6)), layers.Conv2D(4, 3, **kind, name="c"), layers.ReLU(name="r")])
    first.set_weights(find_layer(nested, "c").get_weights())
    turned = feature_maps(first, x.transpose(2, 0, 1), ["c", "r"])
    np.testing.assert_allclose(turned["c"], found["body/c"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(turned["r"], np.maximum(found["body/c"], 0), rtol=1e-4, atol=1e-6)
    with pytest.raises(ArgumentError, match=r"'mean' puts out \(1, 4\), not feature maps"):
        feature_maps(nested, x, "mean")
    with pytest.raises(ArgumentError, match="no convolutions"):
        feature_maps(lamina.Sequential([layers.Input((4,)), layers.Dense(2)]), np.ones((1, 4)))


def test_kernels_of_every_kind(nested: Any) -> None:
    kernel = find_layer(nested, "c").get_weights()[0]
    np.testing.assert_array_equal(kernels(nested), kernel.transpose(3, 0, 1, 2))
    np.testing.assert_array_equal(kernels(nested, "c")[2], kernel[..., 2])
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2)
    depthwise.build((None, 6, 6, 3))
    found = kernels(depthwise)
    assert found.shape == (6, 3, 3, 1)
    np.testing.assert_array_equal(found[3, ..., 0], depthwise.get_weights()[0][:, :, 1, 1])
    turned = layers.Conv2DTranspose(4, 3)
    turned.build((None, 6, 6, 2))
    assert kernels(turned).shape == (4, 3, 3, 2)
    with pytest.raises(ArgumentError, match="'out' is a Dense. Convolutions: c"):
        kernels(nested, "out")
    with pytest.raises(ShapeError, match="has no kernel yet"):
        kernels(layers.Conv2D(2, 3))


@pytest.mark.parametrize("flash", [None, True])
def test_attention(rng: np.random.Generator, flash: bool | None) -> None:
    inputs = layers.Input((5, 8))
    look = layers.MultiHeadAttention(2, 4, name="look", flash_attention=flash)
    y = look(inputs, inputs)
    model = lamina.Model(inputs, layers.Attention(name="again")([y, inputs]))
    x = rng.normal(size=(3, 5, 8)).astype(np.float32)
    before = model(x).numpy()
    found = attention_weights(model, x)
    assert {name: value.shape for name, value in found.items()} == {"look": (3, 2, 5, 5), "again": (3, 1, 5, 5)}
    for value in found.values():
        np.testing.assert_allclose(value.sum(-1), 1, rtol=1e-5)
    plain = layers.MultiHeadAttention(2, 4, flash_attention=False)
    plain.build((None, 5, 8), (None, 5, 8))
    plain.set_weights(look.get_weights())
    _, want = plain(x, x, return_attention_scores=True)
    np.testing.assert_allclose(found["look"], want.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model(x).numpy(), before, rtol=1e-5, atol=1e-6)
    assert look._flash_attention is (flash if flash is not None else look._flash_attention)
    with pytest.raises(ArgumentError, match="No layer of model"):
        attention_weights(lamina.Sequential([layers.Input((4,)), layers.Dense(2)]), np.ones((1, 4)))


def test_gradients_of_weights() -> None:
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1, name="line")])
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.asarray([[1.0, 2.0]], np.float32), np.asarray([[0.5]], np.float32)
    error = float(model(x).numpy()[0, 0] - 0.5)
    kernel, bias = weight_gradients(model, x, y).values()
    np.testing.assert_allclose(kernel[:, 0], [2 * error, 4 * error], rtol=1e-5)
    np.testing.assert_allclose(bias, [2 * error], rtol=1e-5)
