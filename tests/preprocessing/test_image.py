"""Image files and arrays, and ``ImageDataGenerator``; where it can be had, against Keras."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ArgumentTypeError, DataError, ShapeError
from lamina.preprocessing import image as images
from lamina.preprocessing import sequence
from lamina.preprocessing.image import ImageDataGenerator

pytest.importorskip("PIL")
os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras")


def folder(place: Path, each: int = 4) -> Path:
    """Two classes of images, dark and light."""
    for name, low in (("dark", 0), ("light", 200)):
        (place / name).mkdir()
        for i in range(each):
            array = RNG.integers(low, low + 50, (8, 12, 3)).astype(np.uint8)
            images.save_img(place / name / f"{i}.png", array, scale=False)
    return place


# --- files and arrays ---------------------------------------------------------------------------------
def test_files_there_and_back(tmp_path: Path, keras: Any) -> None:
    array = RNG.integers(0, 256, (9, 14, 3)).astype(np.float32)
    file = tmp_path / "image.png"
    images.save_img(file, array, scale=False)
    np.testing.assert_array_equal(images.img_to_array(images.load_img(file)), array)
    for mode in ("rgb", "rgba", "grayscale"):
        for size in (None, (5, 6)):
            for keep in (False, True):
                for way in ("nearest", "bilinear", "lanczos"):
                    options = {"color_mode": mode, "target_size": size, "interpolation": way, "keep_aspect_ratio": keep}
                    expected = keras.utils.img_to_array(keras.utils.load_img(file, **options))
                    np.testing.assert_array_equal(images.img_to_array(images.load_img(file, **options)), expected)
    first = images.img_to_array(images.load_img(str(file)), data_format="channels_first", dtype="uint8")
    assert first.shape == (3, 9, 14) and first.dtype == np.uint8
    np.testing.assert_array_equal(
        np.asarray(images.array_to_img(first, "channels_first", scale=False)), array.astype(np.uint8)
    )


def test_arrays_are_stretched_like_those_of_keras(keras: Any) -> None:
    for shape in ((4, 5, 1), (4, 5, 3), (4, 5, 4)):
        array = RNG.normal(size=shape)
        ours, theirs = images.array_to_img(array), keras.utils.array_to_img(array)
        assert ours.mode == theirs.mode
        np.testing.assert_allclose(np.asarray(ours, int), np.asarray(theirs, int), atol=1)
    assert images.array_to_img(np.zeros((2, 2, 1))).getextrema() == (0, 0)
    deep = images.array_to_img(np.full((2, 2, 1), 1000.0), scale=False)
    assert deep.mode == "I" and deep.getextrema() == (1000, 1000)


def test_jpeg_has_no_transparency(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="RGBA"):
        images.save_img(tmp_path / "a.jpg", RNG.integers(0, 256, (10, 10, 4)))
    assert images.img_to_array(images.load_img(tmp_path / "a.jpg")).shape == (10, 10, 3)


def test_smart_resize(keras: Any) -> None:
    for shape, form in (((7, 13, 3), "channels_last"), ((2, 3, 13, 7), "channels_first")):
        x = RNG.normal(size=shape).astype(np.float32)
        found = images.smart_resize(x, (4, 5), data_format=form)
        assert isinstance(found, np.ndarray)
        expected = keras.preprocessing.image.smart_resize(x, (4, 5), data_format=form)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert isinstance(images.smart_resize(lamina.ones((4, 4, 1)), (2, 2)), lamina.Tensor)


def test_mistakes_with_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no image"):
        images.load_img(tmp_path / "no.png")
    with pytest.raises(ArgumentTypeError, match="path-like"):
        images.load_img(3)
    with pytest.raises(ArgumentError, match="color_mode"):
        images.load_img(tmp_path / "no.png", color_mode="cmyk")
    file = io.BytesIO()
    images.save_img(file, np.zeros((2, 2, 3)), file_format="png")
    with pytest.raises(ArgumentError, match="interpolation method"):
        images.load_img(file, target_size=(1, 1), interpolation="best")
    with pytest.raises(ShapeError, match="channel number"):
        images.array_to_img(np.zeros((2, 2, 2)))
    with pytest.raises(ShapeError, match="rank 3"):
        images.array_to_img(np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="incorrect rank"):
        images.smart_resize(np.zeros((2, 2)), (1, 1))


# --- ImageDataGenerator --------------------------------------------------------------------------------
def test_moves_are_those_of_keras(keras: Any) -> None:
    pytest.importorskip("scipy")
    legacy = pytest.importorskip("keras.src.legacy.preprocessing.image")
    x = RNG.uniform(0, 255, (3, 10, 10, 2)).astype(np.float32)
    generator = ImageDataGenerator(
        rotation_range=30, width_shift_range=0.2, height_shift_range=0.1, shear_range=20, zoom_range=(0.7, 1.3)
    )
    moved = generator.random_transform_batch(x, np.random.default_rng(3))
    again = np.random.default_rng(3)  # the same numbers in the same order
    turn, down, across, slant = (again.uniform(-r, r, 3) for r in (30, 0.1, 0.2, 20))
    tall, wide = (again.uniform(0.7, 1.3, 3) for _ in range(2))
    for i in range(3):
        # Told that columns come first, Keras leaves the coordinates in their order: down, then across.
        expected = legacy.apply_affine_transform(
            x[i], turn[i], down[i] * 10, across[i] * 10, slant[i], tall[i], wide[i],
            row_axis=1, col_axis=0, channel_axis=2, fill_mode="nearest", order=1,
        )  # fmt: skip
        np.testing.assert_allclose(moved[i], expected, rtol=1e-3, atol=0.05)


def test_flow_from_arrays() -> None:
    x = np.stack([np.full((4, 4, 1), float(i)) for i in range(10)])
    flow = ImageDataGenerator(rescale=0.5, horizontal_flip=True).flow(
        x, np.arange(10), batch_size=4, sample_weight=np.arange(10) / 10, seed=3
    )
    assert len(flow) == 3 and flow.n == 10 and flow.image_shape == (4, 4, 1)
    for batch, labels, weights in (flow[0], flow[2]):
        np.testing.assert_allclose(batch[:, 0, 0, 0], labels * 0.5)
        np.testing.assert_allclose(weights, labels / 10)
    order = [label for i in range(3) for label in flow[i][1]]
    assert sorted(order) == list(range(10)) and order != list(range(10))
    flow.on_epoch_end()
    assert [label for i in range(3) for label in flow[i][1]] != order
    straight = ImageDataGenerator(validation_split=0.2)
    assert straight.flow(x, np.arange(10), 99, shuffle=False, subset="validation")[0][1].tolist() == [0, 1]
    assert straight.flow(x, np.arange(10), 99, shuffle=False, subset="training")[0][1].tolist() == list(range(2, 10))
    endless = straight.flow(x, batch_size=6, shuffle=False)
    assert [len(next(endless)) for _ in range(4)] == [6, 4, 6, 4]


def test_changes_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    x = RNG.uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
    generator = ImageDataGenerator(
        rotation_range=20, width_shift_range=[1, 2], height_shift_range=2, channel_shift_range=9.0, vertical_flip=True,
        brightness_range=(0.5, 1.5), fill_mode="reflect",
    )  # fmt: skip
    flow, again = (generator.flow(x, batch_size=4, shuffle=False, seed=1) for _ in range(2))
    np.testing.assert_array_equal(flow[0], again[0])
    before = flow[0]
    flow.on_epoch_end()
    assert not np.allclose(flow[0], before) and flow[0].min() >= 0 and flow[0].max() <= 255


def test_normalisation() -> None:
    x = RNG.normal(5.0, 3.0, (50, 3, 3, 2)).astype(np.float32)
    generator = ImageDataGenerator(featurewise_std_normalization=True)
    with pytest.raises(ArgumentError, match="fit"):
        generator.flow(x)[0]
    generator.fit(x)
    batch = generator.flow(x, batch_size=50)[0]
    np.testing.assert_allclose(batch.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(batch.std(axis=(0, 1, 2)), 1, atol=1e-4)
    each = ImageDataGenerator(samplewise_std_normalization=True).flow(x, batch_size=50)[0]
    np.testing.assert_allclose(each.std(axis=(1, 2, 3)), 1, atol=1e-4)
    white = ImageDataGenerator(zca_whitening=True)
    white.fit(x)
    flat = white.flow(x, batch_size=50, shuffle=False)[0].reshape(50, -1)
    np.testing.assert_allclose(flat.T @ flat / 50, np.eye(18), atol=0.05)


def test_flow_from_a_folder(tmp_path: Path) -> None:
    place = folder(tmp_path)
    flow = ImageDataGenerator(validation_split=0.25).flow_from_directory(
        place, target_size=(6, 7), batch_size=3, class_mode="sparse", shuffle=False, subset="training"
    )
    assert flow.class_indices == {"dark": 0, "light": 1} and flow.num_classes == 2 and flow.samples == 6
    assert flow.image_shape == (6, 7, 3) and flow.filenames[0] == os.path.join("dark", "1.png")
    batch, labels = flow[0]
    assert batch.shape == (3, 6, 7, 3) and labels.tolist() == [0, 0, 0] and batch.max() < 51
    assert flow[1][0].min() >= 200 and flow[1][1].tolist() == [1, 1, 1]
    rows = ImageDataGenerator().flow_from_directory(place, (4, 4), "grayscale", classes=["light", "dark"], batch_size=8)
    batch, labels = rows[0]
    assert batch.shape == (8, 4, 4, 1)
    np.testing.assert_array_equal(labels[:, 0] == 1, batch[:, 0, 0, 0] > 100)
    same = ImageDataGenerator().flow_from_directory(place, (4, 4), class_mode="input")[0]
    np.testing.assert_array_equal(*same)
    assert isinstance(ImageDataGenerator().flow_from_directory(place, (4, 4), class_mode=None)[0], np.ndarray)
    with pytest.raises(DataError, match="no folder"):
        ImageDataGenerator().flow_from_directory(place / "none")
    with pytest.raises(ArgumentError, match="class_mode"):
        ImageDataGenerator().flow_from_directory(place, class_mode="rows")


def test_a_model_learns_from_a_folder(tmp_path: Path) -> None:
    flow = ImageDataGenerator(rescale=1 / 255, rotation_range=10).flow_from_directory(
        folder(tmp_path), (4, 4), class_mode="binary", batch_size=4, seed=1
    )
    model = lamina.Sequential([layers.Flatten(), layers.Dense(1, "sigmoid")])
    model.compile(lamina.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(flow, epochs=20, validation_data=flow, verbose=0).history
    assert history["val_accuracy"][-1] == 1.0


def test_a_layer_is_a_preprocessing_function() -> None:
    generator = ImageDataGenerator(preprocessing_function=layers.Rescaling(2.0))
    np.testing.assert_array_equal(generator.flow(np.ones((2, 3, 3, 1)))[0], np.full((2, 3, 3, 1), 2.0))


# --- sequences -----------------------------------------------------------------------------------------
def test_sequences_as_vectors() -> None:
    given = [[1, 3, 3], [], [0]]
    assert sequence.multi_hot(given).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert sequence.multi_hot(given, 5, count=True).tolist()[0] == [0, 1, 0, 2, 0]
    steps = sequence.one_hot(given, 4, maxlen=2)
    assert steps.shape == (3, 2, 4) and steps.sum(axis=(1, 2)).tolist() == [2, 0, 1]
    assert steps[0].argmax(axis=1).tolist() == [1, 3]
    for function in (sequence.multi_hot, sequence.one_hot):
        with pytest.raises(ArgumentError, match="3 columns"):
            function(given, 3)
