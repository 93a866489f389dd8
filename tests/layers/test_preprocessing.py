"""Layers that prepare data: text, categories and images; where it can be had, against Keras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import activations, layers
from lamina.core.errors import ArgumentError, DataError, ShapeError
from lamina.layers.preprocessing.fingerprint import fingerprint64, siphash

os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(6)


def again(layer: Any) -> Any:
    """The layer from its configuration."""
    made = lamina.layers.deserialize(lamina.layers.serialize(layer))
    assert type(made) is type(layer) and made.get_config() == layer.get_config()
    return made


# --- hashes -------------------------------------------------------------------------------------------
def test_siphash_of_its_paper() -> None:
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash(bytes(range(15)), key) == 0xA129CA6149BE45E5


def test_fingerprints_use_every_byte_and_nothing_else() -> None:
    text = bytes(RNG.integers(0, 256, 200, dtype=np.uint8))
    seen = set()
    for length in (0, 1, 3, 4, 7, 8, 15, 16, 17, 32, 33, 64, 65, 128, 129, 200):
        s = text[:length]
        seen.add(fingerprint64(s))
        for i in range(length):
            assert fingerprint64(s[:i] + bytes([s[i] ^ 1]) + s[i + 1 :]) != fingerprint64(s), (length, i)
    assert len(seen) == 16 and all(0 <= x < 2**64 for x in seen)


def test_bins_are_those_of_keras() -> None:
    """The examples of Keras's documentation."""
    letters = [["A"], ["B"], ["C"], ["D"], ["E"]]
    assert layers.Hashing(3)(letters).numpy().ravel().tolist() == [1, 0, 1, 1, 2]
    masked = layers.Hashing(3, mask_value="")([["A"], ["B"], [""], ["C"], ["D"]])
    assert masked.numpy().ravel().tolist() == [1, 1, 0, 2, 2]
    assert layers.Hashing(3, salt=[133, 137])(letters).numpy().ravel().tolist() == [1, 2, 1, 0, 2]
    assert layers.Hashing(3, salt=133)(letters).numpy().ravel().tolist() == [0, 0, 2, 1, 0]
    crossing = layers.HashedCrossing(5)
    pairs = (np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102]))
    assert crossing(pairs).tolist() == [1, 4, 1, 1, 3]
    one_hot = again(layers.HashedCrossing(5, output_mode="one_hot"))(pairs).numpy()
    np.testing.assert_array_equal(one_hot.argmax(1), [1, 4, 1, 1, 3])
    assert again(layers.Hashing(4, output_mode="multi_hot"))([["A", "B"]]).shape == (1, 4)


# --- vocabularies -------------------------------------------------------------------------------------
def test_string_lookup() -> None:
    data = np.array([["a", "c", "d"], ["d", "z", "b"]])
    layer = layers.StringLookup(vocabulary=["a", "b", "c", "d"])
    assert layer(data).tolist() == [[1, 3, 4], [4, 0, 2]]
    assert again(layer)(data).tolist() == [[1, 3, 4], [4, 0, 2]]
    assert layers.StringLookup(vocabulary=["a", "b"], mask_token="")([["", "b", "x"]]).tolist() == [[0, 3, 1]]
    back = layers.StringLookup(vocabulary=["a", "b", "c", "d"], invert=True)
    np.testing.assert_array_equal(back([[1, 3, 4], [4, 0, 2]]), [["a", "c", "d"], ["d", "[UNK]", "b"]])
    many = layers.StringLookup(vocabulary=["a"], num_oov_indices=3)(["x", "y", "z", "a"])
    assert many.tolist()[-1] == 3 and all(i < 3 for i in many.tolist()[:3])
    multi = layers.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="multi_hot")
    assert multi([["a", "c", "d", "d"], ["d", "z", "b", "z"]]).tolist() == [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]
    count = layers.StringLookup(vocabulary=["a", "b", "c", "d"], output_mode="count")
    assert count([["a", "c", "d", "d"], ["d", "z", "b", "z"]]).tolist() == [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]
    padded = layers.StringLookup(max_tokens=7, vocabulary=["a"], output_mode="one_hot", pad_to_max_tokens=True)
    assert padded(["a"]).shape == (1, 7)
    weighted = layers.StringLookup(
        vocabulary=["[UNK]", "a", "b", "c"], idf_weights=[0.9, 0.25, 0.75, 0.6], output_mode="tf_idf"
    )
    np.testing.assert_allclose(again(weighted)([["a", "c", "c", "x"]]).numpy(), [[0.9, 0.25, 0, 1.2]], rtol=1e-6)


def test_adapting_a_vocabulary(tmp_path: Path) -> None:
    layer = layers.StringLookup()
    layer.adapt([["a", "c", "d"], ["d", "z", "b"]])
    assert layer.get_vocabulary() == ["[UNK]", "d", "z", "c", "b", "a"]
    assert again(layer).get_vocabulary(include_special_tokens=False) == ["d", "z", "c", "b", "a"]
    few = layers.StringLookup(max_tokens=3)
    few.adapt([np.array(["a", "b"]), np.array(["b", "c", "c", "c"])])
    assert few.get_vocabulary() == ["[UNK]", "c", "b"] and few.vocabulary_size() == 3
    weighted = layers.StringLookup(output_mode="tf_idf")
    weighted.adapt([["a", "a"], ["a", "b"]])
    expected = np.log1p([2 / 3, 2 / 2])
    np.testing.assert_allclose(weighted.idf_weights, [expected.mean(), *expected], rtol=1e-6)
    file = tmp_path / "words.txt"
    file.write_text("x\ny\n")
    assert layers.StringLookup(vocabulary=file)(["y", "x"]).tolist() == [2, 1]
    numbers = layers.IntegerLookup()
    numbers.adapt([[12, 1138, 42], [42, 1000, 36]])
    assert numbers.get_vocabulary() == [-1, 42, 1138, 1000, 36, 12]
    assert numbers([[42, 7]]).tolist() == [[1, 0]]
    assert layers.IntegerLookup(vocabulary=[12, 36], invert=True)([[1, 0]]).tolist() == [[12, -1]]
    assert again(numbers)([[42, 7]]).tolist() == [[1, 0]]


def test_text_vectorization() -> None:
    layer = layers.TextVectorization(output_sequence_length=4)
    layer.adapt(["The cat sat.", "The dog!"])
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "sat", "dog", "cat"]
    assert again(layer)(["the cat ran", "THE dog -- the dog the"]).tolist() == [[2, 5, 1, 0], [2, 4, 2, 4]]
    assert layers.TextVectorization(vocabulary=["a", "b"])(["a b", "b"]).tolist() == [[2, 3], [3, 0]]
    pairs = layers.TextVectorization(ngrams=2, split="whitespace", standardize="lower")
    assert pairs.tokens("A b C") == ["a", "b", "c", "a b", "b c"]
    assert layers.TextVectorization(ngrams=(2,)).tokens("a b c") == ["a b", "b c"]
    assert layers.TextVectorization(split="character", standardize=None).tokens("Ab") == ["A", "b"]
    assert layers.TextVectorization(split=None, standardize="strip_punctuation").tokens("A, b") == ["A b"]
    assert layers.TextVectorization(split=lambda s: s.split("-")).tokens("x-y") == ["xy"]
    counts = layers.TextVectorization(vocabulary=["a", "b"], output_mode="count")
    assert counts(["a c b c", "b"]).tolist() == [[2, 1, 1], [0, 0, 1]]
    weights = layers.TextVectorization(output_mode="tf_idf", max_tokens=6, pad_to_max_tokens=True)
    weights.adapt(["a b", "a"])
    assert weights(["a b b"]).shape == (1, 6)


def test_text_into_a_model() -> None:
    texts = np.array(["good film", "bad film", "good good", "bad bad"] * 8)
    labels = np.array([1, 0, 1, 0] * 8, np.float32)[:, None]
    vectorize = layers.TextVectorization(output_mode="multi_hot")
    vectorize.adapt(texts)
    model = lamina.Sequential([layers.Dense(1, "sigmoid")])
    model.compile(lamina.optimizers.Adam(0.1), "bce", metrics=["accuracy"])
    model.fit(vectorize(texts), labels, epochs=20, verbose=0)
    assert model.evaluate(vectorize(texts), labels, verbose=0, return_dict=True)["accuracy"] == 1.0
    with pytest.raises(ArgumentError, match="cannot be part of a model"):
        vectorize(lamina.Input((1,)))


# --- numbers ------------------------------------------------------------------------------------------
def test_normalization_adapts() -> None:
    x = RNG.normal(3.0, 2.0, size=(40, 5, 3)).astype("float32")
    layer = layers.Normalization()
    layer.adapt(x)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1)), 1, atol=1e-5)
    streamed = layers.Normalization()
    streamed.adapt(batch for batch in np.split(x, [7, 20]))
    np.testing.assert_allclose(streamed.mean.numpy(), layer.mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(streamed.variance.numpy(), layer.variance.numpy(), rtol=1e-5)
    inverse = layers.Normalization(
        mean=layer.mean.numpy().ravel(), variance=layer.variance.numpy().ravel(), invert=True
    )
    np.testing.assert_allclose(inverse(y).numpy(), x, rtol=1e-4, atol=1e-5)
    whole = layers.Normalization(axis=None)
    whole.adapt(x)
    assert abs(whole(x).numpy().mean()) < 1e-5
    model = lamina.Sequential([layer, layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = layer.mean.numpy().copy()
    model.fit(x, np.ones((40, 1), np.float32), verbose=0)
    np.testing.assert_array_equal(layer.mean.numpy(), before)
    for call, words in (
        (lambda: layers.Normalization(mean=1.0), "both `mean` and `variance`"),
        (lambda: layers.Normalization(mean=[1.0], variance=[1.0, 2.0]), "same shape"),
        (lambda: layers.Normalization(axis=5)(x), "axis"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(ShapeError, match="incompatible shape"):
        layer.adapt(np.ones((3, 5, 4)))


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count"])
def test_categories_against_keras(mode: str) -> None:
    keras = pytest.importorskip("keras")
    x = RNG.normal(size=(6, 4)).astype("float32")
    arguments = {"bin_boundaries": [-1.0, 0.0, 0.5], "output_mode": mode}
    expected = np.asarray(keras.layers.Discretization(**arguments)(x))
    np.testing.assert_array_equal(again(layers.Discretization(**arguments))(x).numpy(), expected)
    if mode != "int":
        numbers = RNG.integers(0, 5, (6, 4))
        expected = np.asarray(keras.layers.CategoryEncoding(5, mode)(numbers))
        np.testing.assert_array_equal(layers.CategoryEncoding(5, mode)(numbers).numpy(), expected)
    if mode == "count":
        weights = RNG.uniform(size=(6, 4)).astype("float32")
        expected = np.asarray(keras.layers.CategoryEncoding(5, mode)(numbers, count_weights=weights))
        found = layers.CategoryEncoding(5, mode)(numbers, count_weights=weights).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_discretization_adapts() -> None:
    x = RNG.uniform(size=1000)
    layer = layers.Discretization(num_bins=4)
    layer.adapt(x)
    np.testing.assert_allclose(layer.bin_boundaries, [0.25, 0.5, 0.75], atol=0.05)
    assert np.bincount(again(layer)(x).numpy()).min() > 200
    with pytest.raises(ArgumentError, match="use `num_bins` instead"):
        layers.Discretization([0.5]).adapt(x)


# --- images -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Resizing", {"height": 7, "width": 3}),
        ("Resizing", {"height": 3, "width": 9, "interpolation": "nearest"}),
        ("Resizing", {"height": 3, "width": 4, "crop_to_aspect_ratio": True}),
        ("Resizing", {"height": 5, "width": 5, "pad_to_aspect_ratio": True, "fill_value": 2.0}),
        ("Resizing", {"height": 3, "width": 4, "antialias": True}),
        ("Resizing", {"height": 3, "width": 14, "antialias": True, "interpolation": "bicubic"}),
        ("CenterCrop", {"height": 4, "width": 5}),
        ("CenterCrop", {"height": 9, "width": 4}),
        ("Rescaling", {"scale": 1 / 255.0, "offset": -0.5}),
        ("RandomRotation", {"factor": (0.1, 0.1)}),
        ("RandomRotation", {"factor": (-0.3, -0.3), "fill_mode": "constant", "fill_value": 1.0}),
        ("RandomRotation", {"factor": (0.25, 0.25), "fill_mode": "nearest", "interpolation": "nearest"}),
        ("RandomZoom", {"height_factor": (0.3, 0.3), "width_factor": (-0.2, -0.2)}),
        ("RandomZoom", {"height_factor": (-0.4, -0.4), "fill_mode": "wrap"}),
        ("RandomTranslation", {"height_factor": (0.3, 0.3), "width_factor": (-0.15, -0.15)}),
        ("RandomTranslation", {"height_factor": (0.2, 0.2), "width_factor": (0.0, 0.0), "fill_mode": "constant"}),
        ("RandomBrightness", {"factor": (0.1, 0.1)}),
        ("RandomColorDegeneration", {"factor": (0.3, 0.3)}),
        ("RandomSharpness", {"factor": (0.8, 0.8)}),
        ("RandomInvert", {"factor": (1.0, 1.0), "value_range": (0, 200)}),
        ("RandomPosterization", {"factor": (3, 3)}),
        ("RandomGrayscale", {"factor": 1.0}),
        ("AutoContrast", {"value_range": (0, 255)}),
        ("Solarization", {"value_range": (0, 255)}),
    ],
)
def test_images_against_keras(name: str, arguments: dict[str, Any]) -> None:
    """Random ones with a range of one number, so that nothing is left to chance."""
    keras = pytest.importorskip("keras")
    x = RNG.uniform(0, 255, size=(2, 6, 8, 3)).astype("float32")
    options = {"training": True} if name.startswith("Random") else {}
    expected = np.asarray(getattr(keras.layers, name)(**arguments)(x, **options))
    found = again(getattr(layers, name)(**arguments))
    np.testing.assert_allclose(found(x, **options).numpy(), expected, rtol=1e-4, atol=2e-3)
    np.testing.assert_allclose(found(x[0], **options).numpy(), expected[0], rtol=1e-4, atol=2e-3)


def test_random_images() -> None:
    x = RNG.uniform(0, 255, size=(64, 4, 5, 3)).astype("float32")
    flipped = layers.RandomFlip("horizontal", seed=1)(x, training=True).numpy()
    turned = [bool((a == b[:, ::-1]).all()) for a, b in zip(flipped, x, strict=True)]
    assert 10 < sum(turned) < 54
    assert all(t or (a == b).all() for t, a, b in zip(turned, flipped, x, strict=True))
    crop = layers.RandomCrop(2, 3, seed=1)
    places = {float(crop(x, training=True).numpy()[0, 0, 0, 0]) for _ in range(60)}
    assert places == {float(v) for v in x[0, :3, :3, 0].ravel()}  # every place occurs
    contrast = layers.RandomContrast(0.5, seed=1)(x, training=True).numpy()
    inside = (contrast > 0) & (contrast < 255)
    mean = x.mean(axis=(1, 2), keepdims=True)
    factors = ((contrast - mean) / (x - mean))[inside]
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5001
    for layer in (layers.RandomFlip(), layers.RandomRotation(0.2), layers.RandomBrightness(0.5)):
        np.testing.assert_array_equal(layer(x, training=False).numpy(), x)


def test_augmentation_is_compiled_into_the_step() -> None:
    model = lamina.Sequential(
        [layers.RandomFlip(seed=1), layers.RandomRotation(0.1, seed=2), layers.Flatten(), layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    x = RNG.uniform(size=(8, 4, 4, 1)).astype("float32")
    model.fit(x, np.ones((8, 2), np.float32), epochs=2, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))


# --- other layers and functions of this kind ------------------------------------------------------------
def test_locally_connected_is_a_convolution_if_the_weights_agree() -> None:
    x = RNG.normal(size=(2, 6, 7, 3)).astype("float32")
    conv = layers.Conv2D(4, (3, 2), strides=(1, 2))
    expected = conv(x).numpy()
    local = layers.LocallyConnected2D(4, (3, 2), strides=(1, 2))
    local(x)
    kernel = conv.kernel.numpy().reshape(1, -1, 4)
    local.set_weights([np.repeat(kernel, local.kernel.shape[0], axis=0), np.zeros(local.bias.shape)])
    np.testing.assert_allclose(local(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_spectral_normalization_finds_the_largest_singular_value() -> None:
    layer = layers.SpectralNormalization(layers.Dense(4), power_iterations=30)
    x = RNG.normal(size=(2, 6)).astype("float32")
    layer(x, training=False)
    layer(x, training=True)
    assert np.linalg.svd(layer.layer.kernel.numpy(), compute_uv=False)[0] == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(ArgumentError, match="nor 'embeddings'"):
        layers.SpectralNormalization(layers.Flatten())(x)


def test_lambda() -> None:
    layer = layers.Lambda(lambda x, factor: x * factor, arguments={"factor": 3.0})
    inputs = lamina.Input((2,))
    model = lamina.Model(inputs, layer(inputs))
    assert model(np.ones((1, 2), np.float32)).tolist() == [[3.0, 3.0]]
    with pytest.raises(ArgumentError, match="not registered"):
        model.to_json()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("squareplus", {"b": 2}),
        ("glu", {"axis": 1}),
        ("sparse_plus", {}),
        ("sparse_sigmoid", {}),
        ("hard_tanh", {}),
        ("hard_shrink", {"threshold": 0.3}),
        ("soft_shrink", {"threshold": 0.3}),
        ("tanh_shrink", {}),
        ("threshold", {"threshold": 0.2, "default_value": 7.0}),
    ],
)
def test_activations_against_keras(name: str, arguments: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    x = (2 * RNG.normal(size=(4, 6))).astype("float32")
    expected = np.asarray(getattr(keras.activations, name)(keras.ops.convert_to_tensor(x), **arguments))
    np.testing.assert_allclose(getattr(activations, name)(x, **arguments).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_sparsemax_is_the_nearest_distribution() -> None:
    """No small move within the simplex comes nearer.  (Keras's own does not always sum to 1.)"""
    x = (2 * RNG.normal(size=(5, 6))).astype("float32")
    for axis in (-1, 0):
        p = np.moveaxis(activations.sparsemax(x, axis=axis).numpy(), axis, -1)
        z = np.moveaxis(x, axis, -1)
        np.testing.assert_allclose(p.sum(-1), 1.0, rtol=1e-6)
        assert (p >= 0).all()
        for i, j in ((i, j) for i in range(p.shape[1]) for j in range(p.shape[1]) if i != j):
            moved = p.copy()
            step = np.minimum(p[:, i], 1e-3)
            moved[:, i] -= step
            moved[:, j] += step
            assert (((moved - z) ** 2).sum(-1) >= ((p - z) ** 2).sum(-1) - 1e-6).all()


def test_wrong_arguments() -> None:
    for call, words in (
        (lambda: layers.Hashing(0), "num_bins"),
        (lambda: layers.CategoryEncoding(), "num_tokens must be set"),
        (lambda: layers.CategoryEncoding(3, "many"), "Unknown arg for output_mode"),
        (lambda: layers.CategoryEncoding(3)([[3]]), "0 <= values < num_tokens"),
        (lambda: layers.Discretization(), "either `num_bins` or `bin_boundaries`"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "repeated term"),
        (lambda: layers.StringLookup(vocabulary=["a", "b"], max_tokens=2), "larger than the maximum"),
        (lambda: layers.StringLookup(vocabulary=["a"]).adapt(["b"]), "static vocabulary"),
        (lambda: layers.TextVectorization(split="words"), "whitespace"),
        (lambda: layers.RandomRotation(3.0), "factor"),
        (lambda: layers.RandomZoom(0.1, fill_mode="mirror"), "fill_mode"),
        (lambda: layers.RandomFlip("diagonal"), "mode"),
        (lambda: layers.LocallyConnected1D(2, 3, padding="same"), "valid"),
        (lambda: layers.Dot(axes=[1, 2, 3]), "two elements"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(DataError, match="OOV value 'x'"):
        layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["x"])
    with pytest.raises(DataError, match="equal shape"):
        layers.HashedCrossing(3)(([1, 2], [1]))
    with pytest.raises(ShapeError, match="axis values 3"):
        layers.Dot(axes=1)([np.ones((2, 3)), np.ones((2, 4))])
