"""Images, texts and sounds in folders, and windows over time series, compared with Keras's."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, utils
from lamina.core.errors import ArgumentError, DataError
from lamina.data import Pipeline
from lamina.data.directories import read_wave

image_module = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of noisy images of several sizes, some of them deeper down."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(21):
        place = folder / f"class_{'cab'[i % 3]}" / ("deep/er" if i % 5 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (20 + i, 30, 3), np.uint8)
        image_module.fromarray(pixels).save(place / f"{i:02d}.{'png' if i % 2 else 'BMP'}")
    (folder / "class_a" / "notes.md").write_text("no image")
    (folder / ".hidden").mkdir()
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for i in range(10):
        place = folder / ("good" if i % 2 else "bad")
        place.mkdir(exist_ok=True)
        (place / f"{i}.txt").write_text(f"text number {i}, é")
    return folder


def quiet(function: Any, *args: Any, **options: Any) -> Any:
    return function(*args, **{"verbose": False, **options})


# --- images -------------------------------------------------------------------------------------------
def test_images_and_labels(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = utils.image_dataset_from_directory(images, batch_size=8, image_size=(10, 12), seed=1)
    assert capsys.readouterr().out == "Found 21 files belonging to 3 classes.\n"
    assert data.class_names == ["class_a", "class_b", "class_c"] and len(data.file_paths) == 21
    batches = list(data)
    assert [x.shape for x, _ in batches] == [(8, 10, 12, 3), (8, 10, 12, 3), (5, 10, 12, 3)]
    assert all(x.dtype == np.float32 and y.dtype == np.int32 for x, y in batches)
    assert data.element_spec[0].shape == (None, 10, 12, 3)
    again = list(data)
    assert [y.tolist() for _, y in again] != [y.tolist() for _, y in batches]  # each pass has a new order
    grain = quiet(utils.image_dataset_from_directory, images, batch_size=8, image_size=10, seed=1, format="grain")
    assert [y.tolist() for _, y in grain] == [y.tolist() for _, y in grain]


def test_kinds_of_labels_and_colours(images: Path) -> None:
    def first(**options: Any) -> Any:
        return next(iter(quiet(utils.image_dataset_from_directory, images, image_size=(9, 9), batch_size=4, **options)))

    assert first(label_mode="categorical")[1].shape == (4, 3)
    _, y = first(label_mode="binary", class_names=["class_c", "class_a"], shuffle=False)
    assert y.shape == (4, 1) and y.dtype == np.float32 and y.tolist()[0] == [0.0]
    assert first(labels=None).shape == (4, 9, 9, 3) and first(label_mode=None).shape == (4, 9, 9, 3)
    assert first(labels=[5, 6, 7] * 7, shuffle=False)[1].tolist() == [5, 6, 7, 5]
    assert first(color_mode="grayscale")[0].shape[-1] == 1 and first(color_mode="rgba")[0].shape[-1] == 4
    assert first(data_format="channels_first")[0].shape == (4, 3, 9, 9)
    single = next(iter(quiet(utils.image_dataset_from_directory, images, image_size=(9, 9), batch_size=None)))
    assert single[0].shape == (9, 9, 3) and single[1].shape == ()


def test_validation_split(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"validation_split": 0.2, "seed": 7, "image_size": (8, 8), "verbose": False}
    both = utils.image_dataset_from_directory(images, subset="both", **options)
    train = utils.image_dataset_from_directory(images, subset="training", **options)
    held = utils.image_dataset_from_directory(images, subset="validation", **options)
    assert [d.file_paths for d in both] == [train.file_paths, held.file_paths]
    assert len(held.file_paths) == 4 and not set(train.file_paths) & set(held.file_paths)
    utils.image_dataset_from_directory(images, subset="both", **{**options, "verbose": True})
    assert "Using 17 files for training.\nUsing 4 files for validation." in capsys.readouterr().out


def test_state_in_the_middle_of_a_folder(images: Path) -> None:
    def make() -> Pipeline:
        return quiet(utils.image_dataset_from_directory, images, batch_size=4, image_size=(8, 8), seed=3)

    data = make()
    batches = iter(data)
    next(batches)
    other = make()
    other.load_state_dict(data.state_dict())
    for (a, b), (c, d) in zip(batches, other, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)


def test_training_on_a_folder(images: Path) -> None:
    model = lamina.Sequential([
        lamina.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3, "softmax")
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy")
    train, held = quiet(
        utils.image_dataset_from_directory, images, image_size=(8, 8), validation_split=0.3, subset="both", seed=1
    )
    history = model.fit(train, validation_data=held, epochs=2, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    assert model.predict(held, verbose=0).shape == (6, 3)


@pytest.mark.slow
@pytest.mark.parametrize("way", [{}, {"interpolation": "nearest"}, {"crop_to_aspect_ratio": True}])
def test_images_are_those_of_keras(images: Path, way: dict[str, Any]) -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    options: dict[str, Any] = {"image_size": (16, 12), "validation_split": 0.25, "subset": "both", "seed": 5, **way}
    ours = quiet(utils.image_dataset_from_directory, images, shuffle=True, **options)
    theirs = quiet(keras.utils.image_dataset_from_directory, images, shuffle=True, **options)
    for a, b in zip(ours, theirs, strict=True):
        assert a.file_paths == [str(p) for p in b.file_paths] and a.class_names == b.class_names
    for (x, y), (u, v) in zip(ours[1], theirs[1], strict=True):  # in order
        np.testing.assert_array_equal(y, v)
        np.testing.assert_allclose(np.asarray(x), np.asarray(u), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "other"}, "`labels` argument"),
        ({"label_mode": "other"}, "`label_mode` argument must be"),
        ({"color_mode": "other"}, "`color_mode` must be"),
        ({"image_size": (1, 2, 3)}, "image_size"),
        ({"interpolation": "other"}, "`interpolation` should be"),
        ({"labels": [0, 1], "class_names": ["a"]}, "only pass `class_names`"),
        ({"labels": [0, 1]}, "match the number of files"),
        ({"class_names": ["wrong"]}, "`class_names` passed did not match"),
        ({"label_mode": "binary"}, "exactly 2"),
        ({"validation_split": 2}, "between 0 and 1"),
        ({"validation_split": 0.2, "subset": "other"}, "`subset` must be"),
        ({"subset": "training"}, "`validation_split` must be set"),
        ({"validation_split": 0.2, "subset": "training"}, "provide a `seed`"),
        ({"validation_split": 0.01, "subset": "both", "seed": 1}, "leaves none for validation"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "Only one"),
        ({"format": "other"}, "`format`"),
    ],
)
def test_arguments_that_do_not_fit(images: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        quiet(utils.image_dataset_from_directory, images, **options)


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no folder"):
        quiet(utils.image_dataset_from_directory, tmp_path / "nothing")
    (tmp_path / "a").mkdir()
    with pytest.raises(ArgumentError, match="No images found in directory"):
        quiet(utils.image_dataset_from_directory, tmp_path)
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG and then nothing")
    with pytest.raises(DataError, match=r"broken\.png"):
        list(quiet(utils.image_dataset_from_directory, tmp_path))


# --- texts --------------------------------------------------------------------------------------------
def test_texts(texts: Path) -> None:
    data = quiet(utils.text_dataset_from_directory, texts, batch_size=4, seed=1, max_length=11)
    words, labels = next(iter(data))
    assert words.dtype == object and words[0].startswith("text number") and len(words[0]) == 11
    assert labels.dtype == np.int32 and data.class_names == ["bad", "good"]
    single = list(quiet(utils.text_dataset_from_directory, texts, batch_size=None, label_mode=None, shuffle=False))
    assert single[0] == "text number 0, é" and len(single) == 10


def test_vocabulary_of_a_folder(texts: Path) -> None:
    data = quiet(utils.text_dataset_from_directory, texts, batch_size=4, seed=1)
    vectors = layers.TextVectorization(output_sequence_length=5)
    vectors.adapt(data.map(lambda x, y: x))
    assert vectors.get_vocabulary()[2:4] in (["text", "number"], ["é", "text"], ["number", "text"]) or "text" in (
        vectors.get_vocabulary()
    )
    x, y = next(iter(data.map(lambda x, y: (vectors(x), y), num_parallel_calls=4)))
    assert x.shape == (4, 5) and x.dtype.kind == "i" and y.shape == (4,)


@pytest.mark.slow
def test_texts_are_those_of_keras(texts: Path) -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    for mode in ("int", "categorical", "binary"):
        ours = quiet(utils.text_dataset_from_directory, texts, shuffle=False, label_mode=mode)
        theirs = quiet(keras.utils.text_dataset_from_directory, texts, shuffle=False, label_mode=mode)
        for (x, y), (u, v) in zip(ours, theirs, strict=True):
            assert list(x) == [t.decode() for t in u.numpy()]
            np.testing.assert_array_equal(y, v)


# --- sounds -------------------------------------------------------------------------------------------
def write_wave(path: Path, values: np.ndarray, width: int = 2, rate: int = 1000) -> None:
    scaled = np.round(values * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    data = {
        1: lambda: (scaled + 128).astype(np.uint8).tobytes(),
        2: lambda: scaled.astype("<i2").tobytes(),
        3: lambda: scaled.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(),
        4: lambda: scaled.astype("<i4").tobytes(),
    }[width]()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths_of_sounds(tmp_path: Path, width: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    write_wave(tmp_path / "x.wav", values, width)
    sound, rate = read_wave(tmp_path / "x.wav")
    assert rate == 1000 and sound.dtype == np.float32
    np.testing.assert_allclose(sound, values, atol=1.5 / 2 ** (8 * width - 1) + 1e-6)


def test_sounds(tmp_path: Path) -> None:
    t = np.arange(200) / 1000
    for i in range(4):
        (tmp_path / f"c{i % 2}").mkdir(exist_ok=True)
        write_wave(tmp_path / f"c{i % 2}" / f"{i}.wav", 0.5 * np.sin(2 * np.pi * 50 * t[: 200 - 20 * i])[:, None])
    x, y = next(iter(quiet(utils.audio_dataset_from_directory, tmp_path, shuffle=False)))
    assert x.shape == (4, 200, 1) and y.tolist() == [0, 0, 1, 1]
    assert float(np.abs(np.asarray(x)[1, 160:]).max()) == 0  # padded
    cut = next(iter(quiet(utils.audio_dataset_from_directory, tmp_path, labels=None, output_sequence_length=30)))
    assert cut.shape == (4, 30, 1)
    other = quiet(utils.audio_dataset_from_directory, tmp_path, labels=None, shuffle=False, sampling_rate=500)
    sound = np.asarray(next(iter(other)))[0, :, 0]
    assert sound.shape == (100,)
    np.testing.assert_allclose(sound, 0.5 * np.sin(2 * np.pi * 50 * t[::2]), atol=1e-3)
    for wrong in ({"ragged": True}, {"sampling_rate": 0}, {"sampling_rate": 1.5}):
        with pytest.raises(ArgumentError):
            quiet(utils.audio_dataset_from_directory, tmp_path, **wrong)
    (tmp_path / "c0" / "bad.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"bad\.wav"):
        list(quiet(utils.audio_dataset_from_directory, tmp_path))


# --- time series --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {"sequence_length": 9, "batch_size": 5},
        {"sequence_length": 9, "sampling_rate": 2, "batch_size": 7},
        {"sequence_length": 4, "sequence_stride": 3, "batch_size": 7},
        {"sequence_length": 4, "sequence_stride": 2, "sampling_rate": 3, "start_index": 10, "end_index": 90},
        {"sequence_length": 4, "batch_size": None, "start_index": 50},
    ],
)
@pytest.mark.parametrize("with_targets", [False, True])
def test_windows(options: dict[str, Any], with_targets: bool) -> None:
    data = np.arange(200.0).reshape(100, 2)
    targets = np.arange(100) * 3 if with_targets else None
    ours = list(utils.timeseries_dataset_from_array(data, targets, **options))
    first, end = options.get("start_index", 0), options.get("end_index", 100)
    span = (options["sequence_length"] - 1) * options.get("sampling_rate", 1) + 1
    starts = range(first, end - span + 1, options.get("sequence_stride", 1))
    windows = np.array([data[s : s + span : options.get("sampling_rate", 1)] for s in starts])
    given = [e[0] if with_targets else e for e in ours]
    join: Any = np.stack if options.get("batch_size", 1) is None else np.concatenate
    np.testing.assert_array_equal(join([np.asarray(g) for g in given]), windows)
    if targets is not None:
        np.testing.assert_array_equal(join([np.asarray(e[1]) for e in ours]), targets[list(starts)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_windows_are_those_of_keras(seed: int) -> None:
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    data = np.random.default_rng(seed).random((90, 3))
    options: dict[str, Any] = {"sequence_length": 5 + seed, "sequence_stride": seed, "sampling_rate": 3 - seed}
    ours = utils.timeseries_dataset_from_array(data, data[:, 0], start_index=3, **options)
    theirs = keras.utils.timeseries_dataset_from_array(data, data[:, 0], start_index=3, **options)
    for (x, y), (u, v) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_mixed_windows() -> None:
    def make() -> Pipeline:
        return utils.timeseries_dataset_from_array(
            np.arange(60), np.arange(60), 5, batch_size=8, shuffle=True, seed=123
        )

    data = make()
    first, second = ([y.tolist() for _, y in data] for _ in range(2))
    assert first != second and sorted(sum(first, [])) == list(range(56))  # noqa: RUF017
    assert [y.tolist() for _, y in make()] == first
    for x, y in data:
        np.testing.assert_array_equal(np.asarray(x)[:, 0], y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_index": -1}, "`start_index` must be"),
        ({"start_index": 11}, "`start_index` must be"),
        ({"end_index": -1}, "`end_index` must be"),
        ({"end_index": 11}, "`end_index` must be"),
        ({"sampling_rate": 0}, "`sampling_rate` must be"),
        ({"sequence_stride": 0}, "`sequence_stride` must be"),
        ({"format": "other"}, "`format` should be"),
    ],
)
def test_windows_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        utils.timeseries_dataset_from_array(np.arange(10), None, 3, **options)
