"""Scales of images, names of classes and published weights of networks trained on ImageNet."""

from __future__ import annotations

import hashlib
import inspect
import json
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_oracle import ask_keras

import lamina
from lamina import applications
from lamina.applications import imagenet
from lamina.compat import keras as ours
from lamina.core.errors import ArgumentError, FileFormatError, ShapeError
from lamina.datasets import files

MODULES = ("imagenet_utils", "inception_v3", "mobilenet_v2", "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19")
ALIKE = ("VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet50V2", "ResNet101V2", "InceptionV3", "MobileNetV2")

SCALES = """
for module in given["modules"]:
    for name, x in given["images"].items():
        for form in ("channels_last", "channels_first"):
            y = np.moveaxis(x, -1, -3) if form == "channels_first" else x
            call = getattr(keras.applications, module).preprocess_input
            results[module, name, form] = call(np.copy(y), data_format=form)
for mode in ("caffe", "tf", "torch"):
    results[mode] = keras.applications.imagenet_utils.preprocess_input(np.copy(given["images"]["float"]), mode=mode)
"""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, an empty cache, and a folder for data."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write_classes(folder: Path) -> None:
    classes = {str(i): [f"n{i:08d}", f"thing_{i}"] for i in range(1000)}
    (folder / "imagenet_class_index.json").write_text(json.dumps(classes))


def test_scales_of_images_are_those_of_keras(rng: np.random.Generator) -> None:
    images = {
        "float": 255 * rng.random((2, 4, 5, 3), np.float32),
        "double": 255 * rng.random((4, 5, 3)),
        "bytes": rng.integers(0, 256, (2, 4, 5, 3), np.uint8),
    }
    want = ask_keras(SCALES, images=images, modules=MODULES)
    for module in MODULES:
        for name, x in images.items():
            for form in ("channels_last", "channels_first"):
                y = np.moveaxis(x, -1, -3) if form == "channels_first" else x
                got = getattr(ours.applications, module).preprocess_input(y.copy(), data_format=form)
                expected = want[module, name, form]
                assert type(got) is np.ndarray and got.dtype == expected.dtype
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)
                tensor = applications.preprocess_input(lamina.tensor(y), "ResNet50", form)
                caffe = applications.preprocess_input(y, "caffe", form)
                np.testing.assert_allclose(tensor.numpy(), caffe, rtol=1e-5, atol=1e-4)
    for mode in ("caffe", "tf", "torch"):
        given = images["float"].copy()
        got = applications.preprocess_input(given, mode)
        np.testing.assert_allclose(got, want[mode], rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(given, images["float"])
        got = ours.applications.imagenet_utils.preprocess_input(given, mode=mode)
        np.testing.assert_allclose(got, want[mode], rtol=1e-5, atol=1e-4)
        assert np.shares_memory(got, given)  # Keras writes over arrays of floats


@pytest.mark.parametrize("mode", imagenet.MODES)
def test_scales_inside_a_model(mode: str, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = lamina.Input((4, 4, 3), dtype="uint8")
    model = lamina.Model(inputs, applications.preprocess_input(inputs, mode))
    images = rng.integers(0, 256, (2, 4, 4, 3), np.uint8)
    got, want = model.predict(images, verbose=0), applications.preprocess_input(images, mode)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    model.save(tmp_path / "model.safetensors")
    again = lamina.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(images, verbose=0), got)


def test_every_network_has_a_scale() -> None:
    small = {"LeNet", "VGGSmall", "ResNet", "ResNet20", "decode_predictions", "preprocess_input"}
    assert set(applications.__all__) - small <= set(imagenet.NETWORKS)
    with pytest.raises(ArgumentError, match="'VGG16'.*got 'VGG15'"):
        applications.preprocess_input(np.zeros((1, 1, 3)), "VGG15")
    with pytest.raises(ArgumentError, match="data_format to be"):
        applications.preprocess_input(np.zeros((1, 1, 3)), data_format="last")


def test_names_of_classes(offline: Path, rng: np.random.Generator) -> None:
    (offline / "imagenet").mkdir()
    write_classes(offline / "imagenet")
    scores = rng.random((2, 1000), np.float32)
    named = applications.decode_predictions(scores, top=3)
    assert [len(row) for row in named] == [3, 3]
    for row, of in zip(named, scores, strict=True):
        best = np.argsort(-of)[:3]
        assert [(w, n) for w, n, _ in row] == [(f"n{i:08d}", f"thing_{i}") for i in best]
        assert [s for *_, s in row] == sorted(of, reverse=True)[:3]
    assert ours.applications.vgg16.decode_predictions(lamina.tensor(scores), 3) == named
    with pytest.raises(ShapeError, match="2D array of shape"):
        applications.decode_predictions(scores[:, :10])


def test_a_damaged_list_of_classes_is_refused(offline: Path) -> None:
    for content in ("{}", '{"0": 3}', "[1]", json.dumps({str(i): [i, i] for i in range(1000)})):
        (offline / "imagenet_class_index.json").write_text(content)
        with pytest.raises(FileFormatError, match="imagenet_class_index"):
            applications.decode_predictions(np.zeros((1, 1000)))


def test_offline_the_error_says_what_to_put_where(offline: Path) -> None:
    with pytest.raises(files.MissingDataError) as caught:
        applications.decode_predictions(np.zeros((1, 1000)))
    assert "Missing: imagenet_class_index.json." in str(caught.value)
    assert f"put them into {offline / 'imagenet'} or {offline}" in str(caught.value)
    with pytest.raises(files.MissingDataError) as caught:
        applications.MobileNetV2(weights="imagenet", include_top=False, alpha=0.35, input_shape=(96, 96, 3))
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
    assert f"Missing: {name}." in str(caught.value) and "keras-applications/mobilenet_v2" in str(caught.value)
    with pytest.raises(ArgumentError, match="has 1000 classes"):
        applications.MobileNetV2(weights="imagenet", classes=10)
    with pytest.raises(ArgumentError, match="there is no file 'imagenet'.*those of: vgg16"):
        applications.AlexNet(weights="imagenet", include_top=False)


def test_published_files_are_found_in_the_data_folder(offline: Path, rng: np.random.Generator) -> None:
    pytest.importorskip("h5py")
    options: dict[str, Any] = {"include_top": False, "alpha": 0.35, "input_shape": (96, 96, 3)}
    first = applications.MobileNetV2(**options)
    first.save(offline / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5")
    again = applications.MobileNetV2(weights="imagenet", **options)
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_downloads_without_known_size_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import io

    content, announced = b"weights" * 100, 700

    class Response(io.BytesIO):
        @property
        def headers(self) -> dict[str, str]:
            return {"Content-Length": str(announced)}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Response(content))
    known = files.RemoteFile("known.h5", None, hashlib.md5(content).hexdigest())
    (path,) = files.find_files("imagenet", [known], ["https://example.org"])
    assert path.read_bytes() == content
    path.write_bytes(b"damaged")
    assert files.find_files("imagenet", [known], ["https://example.org"])[0].read_bytes() == content
    with pytest.raises(FileFormatError, match="MD5"):
        files.find_files("imagenet", [known._replace(name="other.h5", sha256="0" * 32)], ["https://example.org"])
    unknown = files.RemoteFile("unknown.h5", None, None)
    announced = 701
    with pytest.raises(files.MissingDataError, match="broke off after 700 of 701 bytes"):
        files.find_files("imagenet", [unknown], ["https://example.org"])


def test_published_names_and_checksums_are_those_of_keras() -> None:
    import importlib

    pytest.importorskip("keras")
    for network, (folder, without, *sums) in imagenet.WEIGHTS.items():
        where = "resnet" if folder == "resnet" else network
        source = inspect.getsource(importlib.import_module(f"keras.src.applications.{where}"))
        for md5 in sums:
            assert md5 is None or f'"{md5}"' in source, network
        assert f"{without}.h5" in source and f"keras-applications/{folder}/" in source.replace('"\n    "', "")


@pytest.mark.parametrize("name", ALIKE)
def test_networks_take_the_arguments_of_keras(name: str) -> None:
    keras = pytest.importorskip("keras")
    want = inspect.signature(getattr(keras.applications, name))
    got = inspect.signature(getattr(ours.applications, name))
    assert [(p.name, p.default) for p in got.parameters.values()] == [
        (p.name, p.default) for p in want.parameters.values()
    ]


def test_a_network_continues_a_tensor(rng: np.random.Generator) -> None:
    from lamina.compat.keras.applications.mobilenet_v2 import MobileNetV2, preprocess_input

    inputs = ours.Input((40, 40, 3))
    options: dict[str, Any] = {"include_top": False, "weights": None, "alpha": 0.35, "pooling": "avg"}
    model = MobileNetV2(input_tensor=preprocess_input(inputs), **options)
    plain = MobileNetV2(**options)
    assert plain.input_shape == (None, None, None, 3) and plain.name == "mobilenetv2_0.35_224"
    plain.set_weights(model.get_weights())
    images = 255 * rng.random((2, 40, 40, 3), np.float32)
    want = plain.predict(preprocess_input(images), verbose=0)
    np.testing.assert_allclose(model.predict(images, verbose=0), want, rtol=1e-4, atol=1e-5)
