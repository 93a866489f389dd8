"""Saliency and Grad-CAM: beside PyTorch by hand, on inputs whose answer is known, through models of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.core.errors import ArgumentError
from lamina.inspection import grad_cam, integrated_gradients, saliency, smooth_grad
from lamina.inspection.attribution import last_feature_maps


def network(data_format: str = "channels_last", activation: Any = "softmax", shape: Any = (10, 12, 3)) -> Any:
    inputs = layers.Input(shape if data_format == "channels_last" else (shape[-1], *shape[:-1]))
    kind = {"data_format": data_format}
    x = layers.Conv2D(4, 3, activation="tanh", name="first", **kind)(inputs)
    x = layers.AveragePooling2D(2, name="pool", **kind)(x)
    x = layers.ReLU(name="maps")(layers.Conv2D(6, 3, padding="same", name="second", **kind)(x))
    x = layers.GlobalAveragePooling2D(name="mean", **kind)(x)
    return lamina.Model(inputs, layers.Dense(5, activation=activation, name="scores")(layers.Dense(7, "tanh")(x)))


def same_weights(model: Any, **options: Any) -> Any:
    other = network(**options)
    other.set_weights(model.get_weights())
    return other


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 10, 12, 3)).astype(np.float32)


class TestBesidePyTorch:
    """The same weights in PyTorch, its gradients taken by hand."""

    @pytest.fixture
    def peer(self, images: np.ndarray) -> tuple[Any, Any]:
        torch = pytest.importorskip("torch")
        model = network()

        def run(x: Any, softmax: bool) -> tuple[Any, Any]:
            def weights(name: str) -> tuple[Any, Any]:
                kernel, bias = model.get_layer(name).get_weights()
                axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
                return torch.tensor(kernel.transpose(axes).copy()), torch.tensor(bias)

            F = torch.nn.functional
            h = torch.tanh(F.conv2d(x, *weights("first")))
            maps = F.relu(F.conv2d(F.avg_pool2d(h, 2), *weights("second"), padding=1))
            hidden = torch.tanh(F.linear(maps.mean((2, 3)), *weights(model.layers[-2].name)))
            scores = F.linear(hidden, *weights("scores"))
            return maps, (torch.softmax(scores, -1) if softmax else scores)

        return model, run

    @pytest.mark.parametrize("logits", [True, False])
    def test_saliency(self, peer: tuple[Any, Any], images: np.ndarray, logits: bool) -> None:
        torch = pytest.importorskip("torch")
        model, run = peer
        x = torch.tensor(images.transpose(0, 3, 1, 2).copy(), requires_grad=True)
        _, scores = run(x, softmax=not logits)
        scores[:, 2].sum().backward()
        want = x.grad.numpy().transpose(0, 2, 3, 1)
        got = saliency(model, images, target=2, logits=logits)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6 * np.abs(want).max())
        x.grad = None
        run(x, softmax=False)[1].max(-1).values.sum().backward()
        best = saliency(model, images)
        np.testing.assert_allclose(best, x.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_grad_cam(self, peer: tuple[Any, Any], images: np.ndarray, data_format: str) -> None:
        torch = pytest.importorskip("torch")
        model, run = peer
        first = images.transpose(0, 3, 1, 2).copy()
        maps = run(torch.tensor(first), softmax=False)[0].requires_grad_()
        hidden = torch.tanh(torch.nn.functional.linear(maps.mean((2, 3)), *[
            torch.tensor(w.T.copy()) for w in model.layers[-2].get_weights()]))  # fmt: skip
        kernel, bias = model.get_layer("scores").get_weights()
        (hidden @ torch.tensor(kernel) + torch.tensor(bias))[:, 4].sum().backward()
        weights = maps.grad.mean((2, 3), keepdim=True)
        cam = torch.relu((weights * maps).sum(1, keepdim=True)).detach()
        large = torch.nn.functional.interpolate(cam, (10, 12), mode="bilinear", align_corners=False)[:, 0]
        if data_format == "channels_first":
            model = same_weights(model, data_format=data_format)
        x = images if data_format == "channels_last" else first
        small = grad_cam(model, x, 4, "maps", resize=False, normalize=False)
        np.testing.assert_allclose(small, cam[:, 0].numpy(), rtol=1e-4, atol=1e-6)
        got = grad_cam(model, x, 4, normalize=False)
        np.testing.assert_allclose(got, large.numpy(), rtol=1e-4, atol=1e-6)
        top = large.numpy().max((1, 2), keepdims=True)
        want = large.numpy() / np.where(top > 0, top, 1)
        np.testing.assert_allclose(grad_cam(model, x, 4), want, rtol=1e-3, atol=1e-5)


def test_integrated_gradients_add_up_to_the_change_of_the_score(images: np.ndarray) -> None:
    model = network()
    linear = same_weights(model, activation=None)
    parts = integrated_gradients(model, images, target=[0, 1, 2], baseline=0.5, steps=128)
    change = (linear(images).numpy() - linear(np.full_like(images, 0.5)).numpy())[[0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(parts.sum((1, 2, 3)), change, rtol=0.02, atol=1e-3)
    mean = smooth_grad(model, images, target=1, samples=2, noise=0.0)
    np.testing.assert_allclose(mean, saliency(model, images, target=1), rtol=1e-3, atol=1e-6)
    noisy = smooth_grad(model, images, target=1, samples=40, noise=0.05)
    plain = saliency(model, images, target=1)
    assert not np.allclose(noisy, plain) and np.corrcoef(noisy.ravel(), plain.ravel())[0, 1] > 0.8


@pytest.fixture(scope="module")
def finder() -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """A small network that tells which of two textures a patch somewhere in the noise has."""
    rng = np.random.default_rng(1)
    lamina.random.seed(1)
    count = 600
    images = rng.normal(0, 0.2, (count, 24, 24, 1)).astype(np.float32)
    labels = rng.integers(0, 2, count)
    places = rng.integers(0, 17, (count, 2))
    stripes = np.tile([[1.5, -1.5]], (8, 4))
    for image, label, (r, c) in zip(images, labels, places, strict=True):
        image[r : r + 8, c : c + 8, 0] += stripes if label else stripes.T
    model = lamina.Sequential(
        [
            layers.Input((24, 24, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, padding="same", activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(lamina.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, epochs=8, batch_size=50, verbose=0)
    assert history.history["accuracy"][-1] > 0.97
    return model, images[:40], labels[:40], places[:40]


def test_the_maps_point_at_the_object(finder: Any) -> None:
    model, images, labels, places = finder
    inside = np.zeros((40, 24, 24), bool)
    for mask, (r, c) in zip(inside, places, strict=True):
        mask[max(r - 1, 0) : r + 9, max(c - 1, 0) : c + 9] = True
    for heat in (grad_cam(model, images, labels), np.abs(integrated_gradients(model, images, labels, steps=8))[..., 0]):
        heat = heat.reshape(40, -1)
        share = (heat * inside.reshape(40, -1)).sum(1) / heat.sum(1)  # by chance 0.17 at most
        assert np.median(share) > 0.6
        hits = inside.reshape(40, -1)[np.arange(40), heat.argmax(1)]
        assert hits.mean() > 0.9


# --- models of every kind ------------------------------------------------------------------------------
class Own(lamina.Model):
    def __init__(self, inner: Any, activation: str | None = "softmax") -> None:
        super().__init__()
        self.inner, self.scores = inner, layers.Dense(5, activation=activation, name="own_scores")

    def call(self, x: Any) -> Any:
        return self.scores(self.inner(x))


def test_models_inside_models(images: np.ndarray) -> None:
    body = network()
    inputs = layers.Input((10, 12, 3))
    nested = lamina.Model(inputs, body(inputs))
    np.testing.assert_allclose(saliency(nested, images, 1), saliency(body, images, 1), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(grad_cam(nested, images, 1), grad_cam(body, images, 1), rtol=1e-5, atol=1e-6)
    assert last_feature_maps(nested, images) is body.get_layer("maps")
    by_name = grad_cam(nested, images, 1, layer="first", resize=False)
    assert by_name.shape == (3, 8, 10)


def test_models_with_a_call_of_their_own(images: np.ndarray) -> None:
    inner = lamina.Sequential([layers.Input((10, 12, 3)), layers.Conv2D(4, 3, activation="relu", name="c"),
                               layers.GlobalAveragePooling2D()])  # fmt: skip
    model = Own(inner)
    model(images)
    same = lamina.Sequential([layers.Input((10, 12, 3)), *inner.layers, layers.Dense(5, name="linear")])
    same.set_weights(model.get_weights())
    np.testing.assert_allclose(saliency(model, images, 3), saliency(same, images, 3), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(grad_cam(model, images, 3), grad_cam(same, images, 3, "c"), rtol=1e-4, atol=1e-6)
    assert model.scores.activation is lamina.activations.softmax and "call" not in vars(inner.layers[0])


@pytest.mark.parametrize("end", ["activation", "layer", "sigmoid"])
def test_probabilities_are_explained_by_what_stands_before(images: np.ndarray, end: str) -> None:
    plain = network(activation=None)
    if end == "sigmoid":
        squashed = same_weights(plain, activation="sigmoid")
    else:
        last = layers.Softmax() if end == "layer" else layers.Activation("softmax")
        squashed = lamina.Model(plain.inputs[0], last(plain.outputs[0]))
    np.testing.assert_allclose(saliency(squashed, images, 0), saliency(plain, images, 0), rtol=1e-5, atol=1e-8)
    assert not np.allclose(saliency(squashed, images, 0, logits=False), saliency(plain, images, 0), rtol=0.1)
    np.testing.assert_allclose(squashed(images).numpy().sum(-1) if end != "sigmoid" else 1, 1, rtol=1e-5)


def test_several_inputs_and_outputs(rng: np.random.Generator) -> None:
    a, b = layers.Input((3,), name="a"), layers.Input((2,), dtype="int32", name="b")
    table = layers.Embedding(6, 4, name="table")
    x = layers.Concatenate()([a, layers.Flatten()(table(b))])
    model = lamina.Model({"a": a, "b": b}, {"p": layers.Dense(2, name="p")(x), "q": layers.Dense(3, name="q")(x)})
    batch = {"a": rng.normal(size=(4, 3)).astype(np.float32), "b": rng.integers(0, 6, (4, 2))}
    found = saliency(model, batch, target=1, output="q")
    kernel = model.get_layer("q").get_weights()[0]
    np.testing.assert_allclose(found["a"], kernel[:3, 1][None].repeat(4, 0), rtol=1e-6)
    assert found["b"] is None
    at_table = saliency(model, batch, target=1, output="q", layer="table")
    np.testing.assert_allclose(at_table.reshape(4, 8), kernel[3:, 1][None].repeat(4, 0), rtol=1e-6)
    parts = integrated_gradients(model, batch, target=1, output="q", layer="table", steps=3)
    want = table(batch["b"]).numpy().reshape(4, 8) @ kernel[3:, 1]
    np.testing.assert_allclose(parts.reshape(4, 8).sum(1), want, rtol=1e-4, atol=1e-6)
    with pytest.raises(ArgumentError, match=r"2 outputs; say output= one of \['p', 'q'\]"):
        saliency(model, batch)
    with pytest.raises(ArgumentError, match="no output 'r'"):
        saliency(model, batch, output="r")


def test_scores_of_ones_own_and_sequences(rng: np.random.Generator) -> None:
    model = lamina.Sequential([layers.Input((6, 2)), layers.Conv1D(3, 3, name="c"), layers.Dense(4)])
    x = rng.normal(size=(2, 6, 2)).astype(np.float32)
    with pytest.raises(ArgumentError, match="say what to explain"):
        saliency(model, x)
    by_number = saliency(model, x, target=2)
    np.testing.assert_allclose(by_number, saliency(model, x, lambda y: ops.sum(y[..., 2], axis=1)), rtol=1e-5)
    assert grad_cam(model, x, target=2, layer="c").shape == (2, 6)
    one = lamina.Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")])
    got = saliency(one, x[0])
    np.testing.assert_allclose(got, one.weights[0].numpy().T.repeat(6, 0), rtol=1e-6)


def test_a_batch_in_parts_and_a_single_image(images: np.ndarray) -> None:
    model = network()
    whole = saliency(model, images, [0, 1, 2])
    np.testing.assert_allclose(saliency(model, images, [0, 1, 2], batch_size=2), whole, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(saliency(model, images[1], 1)[0], whole[1], rtol=1e-4, atol=1e-7)
    assert grad_cam(model, images[0]).shape == (1, 10, 12)


def test_grey_images_without_an_axis_of_channels(rng: np.random.Generator) -> None:
    grey = rng.random((2, 12, 12)).astype(np.float32)
    for data_format in ("channels_last", "channels_first"):
        model = network(data_format, shape=(12, 12, 1))
        axis = -1 if data_format == "channels_last" else 1
        want = grad_cam(model, np.expand_dims(grey, axis), 1)
        np.testing.assert_allclose(grad_cam(model, grey, 1), want, rtol=1e-4)
        np.testing.assert_allclose(grad_cam(model, grey[1], 1), want[1:], rtol=1e-4, atol=1e-6)
    with pytest.raises(ArgumentError, match="arrays of numbers; got 'cat.png'"):
        grad_cam(model, "cat.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "scond"}, "has no layer 'scond'. Did you mean 'second'?"),
        ({"layer": "mean"}, "not feature maps"),
        ({"target": 5}, "5 outputs, from 0; got 5"),
        ({"target": [0, 1]}, "one for each of the 3 samples"),
        ({"target": "cat"}, "target is the number of an output"),
    ],
)
def test_what_is_refused(images: np.ndarray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        grad_cam(network(), images, **options)
    assert message in str(caught.value)


def test_models_without_maps_or_gradients() -> None:
    dense = lamina.Sequential([layers.Input((4,)), layers.Dense(2)])
    with pytest.raises(ArgumentError, match="has no convolutions"):
        grad_cam(dense, np.ones((1, 4)))
    words = lamina.Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(5, 3), layers.Flatten()])
    with pytest.raises(ArgumentError, match="layer="):
        saliency(words, np.zeros((1, 4), np.int32))
