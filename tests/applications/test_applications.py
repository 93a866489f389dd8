"""Well-known networks: their shapes and sizes, and that they compute what the same network computes in Keras."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import applications
from lamina.core.errors import ArgumentError


def keras_lenet(layers: Any, x: Any) -> Any:
    for filters in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 5, padding="same", activation="relu")(x))
    return layers.Dense(10, activation="softmax")(layers.Dense(128, activation="relu")(layers.Flatten()(x)))


def keras_vgg(layers: Any, x: Any) -> Any:
    for filters in (64, 64, 0, 128, 128, 0):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x) if filters else layers.MaxPooling2D()(x)
    return layers.Dense(10, activation="softmax")(layers.Dense(256, activation="relu")(layers.Flatten()(x)))


def keras_resnet(blocks: tuple[int, ...], widths: tuple[int, ...]) -> Any:
    def build(layers: Any, x: Any) -> Any:
        def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
            x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
            return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

        x = layers.ReLU()(conv(x, widths[0], 3))
        for stage, (count, filters) in enumerate(zip(blocks, widths, strict=True)):
            for block in range(count):
                strides = 2 if stage and not block else 1
                short = conv(x, filters, 1, strides) if strides > 1 else x
                y = conv(layers.ReLU()(conv(x, filters, 3, strides)), filters, 3)
                x = layers.ReLU()(layers.Add()([short, y]))
        return layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))

    return build


CASES: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "lenet": (applications.LeNet, keras_lenet, (28, 28, 1)),
    "vgg": (applications.VGGSmall, keras_vgg, (32, 32, 3)),
    "resnet20": (applications.ResNet20, keras_resnet((3, 3, 3), (16, 32, 64)), (32, 32, 3)),
    "resnet18": (
        partial(applications.ResNet18, classes=10),
        keras_resnet((2, 2, 2, 2), (64, 128, 256, 512)),
        (32, 32, 3),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES))
def test_same_outputs_as_in_keras(name: str, rng: np.random.Generator) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    build, other, shape = CASES[name]
    model = build(input_shape=shape)
    inputs = keras.layers.Input(shape)
    peer = keras.Model(inputs, other(keras.layers, inputs))
    weights = [  # away from their first values, the moving statistics above all
        np.abs(w + rng.normal(0, 0.05, w.shape)).astype(w.dtype) if w.ndim == 1 else w for w in model.get_weights()
    ]
    model.set_weights(weights)
    peer.set_weights(weights)
    x = rng.random((3, *shape), np.float32)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.asarray(peer(x)), rtol=2e-4, atol=2e-5)


def test_layers_come_in_the_order_of_computation() -> None:
    names = [type(layer).__name__ for layer in applications.LeNet(dropout=0.5).layers]
    dense = ["Flatten", "Dropout", "Dense", "Dropout", "Dense"]
    assert names == ["InputLayer", *["Conv2D", "MaxPooling2D"] * 2, *dense]
    assert applications.VGGSmall(classes=3).output_shape == (None, 3)


def test_resnet_for_large_images_shrinks_fourfold_at_once() -> None:
    model = applications.ResNet18(input_shape=(64, 96, 3), classes=7, classifier_activation=None)
    pooled = next(layer for layer in model.layers if type(layer).__name__ == "MaxPooling2D")
    assert pooled.output.shape == (None, 16, 24, 64)
    assert model.output_shape == (None, 7)
    assert model.count_params() == 11_183_562 + (49 - 9) * 3 * 64 - 3 * 513


def test_resnet_wants_filters_for_each_stage() -> None:
    with pytest.raises(ArgumentError, match="for each stage"):
        applications.ResNet((1, 1), (8,))


def test_a_small_resnet_learns(rng: np.random.Generator) -> None:
    lamina.random.seed(1)
    model = applications.ResNet((1, 1), (8, 16), (8, 8, 1), classes=2)
    x = rng.random((64, 8, 8, 1), np.float32)
    y = (x[:, :4].mean((1, 2, 3)) > x[:, 4:].mean((1, 2, 3))).astype(np.int64)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x, y, batch_size=32, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


PUBLISHED = {
    "AlexNet": 60_965_224, "InceptionV1": 6_998_552, "InceptionV3": 23_851_784, "MobileNetV2": 3_538_984,
    "ResNet50": 25_636_712, "ResNet50V2": 25_613_800, "ResNet101": 44_707_176, "ResNet101V2": 44_675_560,
    "VGG11": 132_863_336, "VGG16": 138_357_544, "VGG19": 143_667_240,
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in PUBLISHED if PUBLISHED[n] < 30_000_000])
def test_as_many_weights_as_published(name: str) -> None:
    assert getattr(applications, name)().count_params() == PUBLISHED[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PUBLISHED if PUBLISHED[n] >= 30_000_000])
def test_as_many_weights_as_published_in_the_large_ones(name: str) -> None:
    assert getattr(applications, name)().count_params() == PUBLISHED[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("VGG16", 32), ("VGG19", 40), ("ResNet50", 64), ("ResNet101", 33), ("ResNet50V2", 64), ("ResNet101V2", 47),
     ("InceptionV3", 75), ("MobileNetV2", 49)],
)  # fmt: skip
def test_files_of_keras_fit(name: str, size: int, rng: np.random.Generator, tmp_path: Any) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    pytest.importorskip("h5py")
    options: dict[str, Any] = {"input_shape": (size, size, 3), "include_top": False, "pooling": "avg"}
    other = getattr(keras.applications, name)(weights=None, **options)
    for weight in other.weights:
        if weight.path.endswith(("beta", "bias", "moving_mean")):
            weight.assign(0.1 * rng.standard_normal(weight.shape))
    other.save_weights(tmp_path / "all.weights.h5")
    model = getattr(applications, name)(weights=tmp_path / "all.weights.h5", **options)
    images = rng.random((2, size, size, 3), dtype=np.float32)
    want = other.predict(images, verbose=0)
    assert want.std() > 0
    assert np.abs(model.predict(images, verbose=0) - want).max() < 1e-4 * np.abs(want).max()


def test_sizes_of_images_and_ends(rng: np.random.Generator) -> None:
    model = applications.MobileNetV2(include_top=False, input_shape=(None, None, 3), alpha=0.35, pooling="max")
    for size in (32, 50):
        assert model.predict(rng.random((1, size, size, 3), dtype=np.float32), verbose=0).shape == (1, 1280)
    small = applications.AlexNet(input_shape=(67, 80, 1), classes=3, classifier_activation=None)
    assert small.predict(rng.random((2, 67, 80, 1), dtype=np.float32), verbose=0).shape == (2, 3)


def test_weights_come_back_from_a_file(rng: np.random.Generator, tmp_path: Any) -> None:
    options: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 5, "alpha": 0.35}
    first = applications.MobileNetV2(**options)
    first.save_weights(tmp_path / "own.safetensors")
    again = applications.MobileNetV2(weights=tmp_path / "own.safetensors", **options)
    images = rng.random((2, 32, 32, 3), dtype=np.float32)
    np.testing.assert_array_equal(first.predict(images, verbose=0), again.predict(images, verbose=0))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("VGG16", {"input_shape": (31, 32, 3)}, "at least 32 rows"),
        ("VGG16", {"input_shape": (None, None, 3)}, "images of one size"),
        ("VGG16", {"input_shape": (32, 32)}, "rows, columns, channels"),
        ("MobileNetV2", {"include_top": False, "pooling": "mean"}, "pooling is one of"),
        ("MobileNetV2", {"weights": "weights.h5"}, "there is no file 'weights.h5'"),
    ],
)
def test_wrong_arguments(name: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((ArgumentError, lamina.core.errors.ShapeError), match=words):
        getattr(applications, name)(**arguments)
