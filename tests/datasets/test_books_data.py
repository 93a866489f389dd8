"""The data sets of the books: small files in their formats give what Keras gives for them, and damage is named."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from dataset_files import idx, tar_bytes

import lamina
from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.datasets import (
    boston_housing,
    california_housing,
    cifar100,
    files,
    imdb,
    iris,
    kmnist,
    mnist,
    reuters,
    shakespeare,
)

os.environ.setdefault("KERAS_BACKEND", "jax")


class Response(io.BytesIO):
    """What a server answers, without a word on how long it is."""

    headers: dict[str, str] = {}  # noqa: RUF012


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty LAMINA_DATA, no network and an empty cache."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise files.urllib.error.URLError("no route to host")

    monkeypatch.setattr(files.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("LAMINA_DATA", str(data))
    return data


def rows(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    array = np.empty(count, object)
    for i in range(count):
        array[i] = rng.integers(1, 90, rng.integers(1, 30)).tolist()
    return array


def keras_module(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> Any:
    """Keras's loader, reading our file."""
    pytest.importorskip("keras")
    module = importlib.import_module(f"keras.src.datasets.{name}")
    monkeypatch.setattr(module, "get_file", lambda *args, **kwargs: str(path))
    return module


def same(ours: Any, theirs: Any) -> None:
    for (x, y), (other_x, other_y) in zip(ours, theirs, strict=True):
        assert x.shape == other_x.shape and x.dtype == other_x.dtype and y.shape == other_y.shape
        assert y.dtype == other_y.dtype
        assert x.tolist() == other_x.tolist() and y.tolist() == other_y.tolist()


TEXT_OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_words": 50},
    {"num_words": 50, "skip_top": 10},
    {"num_words": 40, "oov_char": None},
    {"maxlen": 20, "seed": 7},
    {"start_char": None},
    {"start_char": None, "index_from": 0},
    {"start_char": 5, "index_from": 10, "oov_char": 6, "num_words": 60, "skip_top": 3},
]


@pytest.mark.parametrize("options", TEXT_OPTIONS)
def test_imdb(folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    path = folder / "imdb.npz"
    y = np.random.default_rng(0).integers(0, 2, 40)
    np.savez(path, x_train=rows(1, 40), y_train=y, x_test=rows(2, 30), y_test=y[:30])
    found = imdb.load_data(**options)
    same(found, keras_module(monkeypatch, "imdb", path).load_data(**options))
    assert all(type(word) is int for word in found[0][0][0])


@pytest.mark.parametrize("options", [*TEXT_OPTIONS, {"test_split": 0.5}, {"test_split": 0.0}])
def test_reuters(folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    (folder / "reuters").mkdir()
    path = folder / "reuters" / "reuters.npz"
    np.savez(path, x=rows(3, 50), y=np.random.default_rng(0).integers(0, 46, 50))
    theirs = keras_module(monkeypatch, "reuters", path)
    same(reuters.load_data(**options), theirs.load_data(**options))
    assert tuple(theirs.get_label_names()) == reuters.get_label_names() == reuters.CLASS_NAMES


@pytest.mark.parametrize("module", [imdb, reuters])
def test_word_index(folder: Path, module: Any) -> None:
    path = folder / module.WORD_INDEX.name
    words = {"the": 1, "café": 2, "0": 3}
    path.write_text(json.dumps(words), encoding="utf-8")
    assert module.get_word_index() == words == module.get_word_index(folder / module.WORD_INDEX.name)
    for content in (b"", b"{", b'["the"]', b'{"the": "1"}', b'{"the": true}', b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=str(path)):
            module.get_word_index()


def test_imdb_damaged(folder: Path) -> None:
    path = folder / "imdb.npz"
    x, y = rows(1, 4), np.array([0, 1, 0, 1])

    def load(**arrays: Any) -> None:
        np.savez(path, **{"x_train": x, "y_train": y, "x_test": x, "y_test": y, **arrays})
        imdb.load_data()

    load()
    with pytest.raises(DataError, match=r"4 texts, and labels int64 \(3,\)"):
        load(y_test=y[:3])
    with pytest.raises(DataError, match="labels float64"):
        load(y_train=y / 2)
    with pytest.raises(FileFormatError, match="x_test: expected an array of lists of integers"):
        load(x_test=np.array([print], object))
    load()
    with pytest.raises(ArgumentError, match="shorter than maxlen=1"):
        imdb.load_data(path, maxlen=1)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileFormatError, match="not a readable"):
        imdb.load_data()
    with pytest.raises(FileNotFoundError, match=r"no file /nowhere\.npz"):
        imdb.load_data("/nowhere.npz")


# --- IMDB as text -----------------------------------------------------------------------------------------
REVIEWS = {
    "aclImdb/train/neg/0_2.txt": b"dull<br /><br />slow", "aclImdb/train/neg/10_1.txt": b"bad",
    "aclImdb/train/pos/0_9.txt": "a caf\xe9".encode(), "aclImdb/train/unsup/0_0.txt": b"not counted",
    "aclImdb/test/neg/0_3.txt": b"poor", "aclImdb/test/pos/7_10.txt": b"great", "aclImdb/README": b"readme",
}  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("inside", ["", "imdb"])
def test_imdb_text(folder: Path, packed: bool, inside: str) -> None:
    place = folder / inside
    place.mkdir(exist_ok=True)
    if packed:
        (place / "aclImdb_v1.tar.gz").write_bytes(tar_bytes(REVIEWS))
    else:
        for name, content in REVIEWS.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    (x_train, y_train), (x_test, y_test) = imdb.load_text()
    assert dict(zip(x_train, y_train.tolist(), strict=True)) == {"dull<br /><br />slow": 0, "bad": 0, "a caf\xe9": 1}
    assert dict(zip(x_test, y_test.tolist(), strict=True)) == {"poor": 0, "great": 1}
    assert imdb.load_text()[0][0] == x_train and imdb.load_text(seed=5)[1][1].dtype == np.int64


def test_imdb_text_damaged(folder: Path) -> None:
    archive = folder / "aclImdb_v1.tar.gz"
    whole = tar_bytes(REVIEWS)
    for content in (whole[: len(whole) // 2], whole[:-6] + bytes(6), b"<html>", b""):
        archive.write_bytes(content)
        with pytest.raises(FileFormatError, match="the archive is damaged"):
            imdb.load_text()
    archive.write_bytes(tar_bytes({k: v for k, v in REVIEWS.items() if "test/pos" not in k}))
    with pytest.raises(DataError, match="no reviews in aclImdb/test/pos"):
        imdb.load_text()
    archive.write_bytes(tar_bytes({"../../aclImdb/train/pos/1_1.txt": b"out of the folder"}))  # never unpacked to disk
    with pytest.raises(DataError, match="no reviews in aclImdb/train/neg"):
        imdb.load_text()


# --- housing -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"test_split": 0.5, "seed": 3}, {"test_split": 0}])
def test_boston_housing(folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    path = folder / "boston_housing.npz"
    np.savez(path, x=np.random.default_rng(0).random((30, 13)), y=np.arange(30.0))
    same(boston_housing.load_data(**options), keras_module(monkeypatch, "boston_housing", path).load_data(**options))


@pytest.mark.parametrize("options", [{}, {"version": "small"}, {"test_split": 0.5, "seed": 3}])
def test_california_housing(folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    path = folder / "california_housing.npz"
    x = np.random.default_rng(0).random((700, 8)).astype(np.float32)
    np.savez(path, x=x, y=np.arange(700, dtype=np.float32))
    theirs = keras_module(monkeypatch, "california_housing", path)
    same(california_housing.load_data(**options), theirs.load_data(**options))


def test_housing_damaged(folder: Path) -> None:
    path = folder / "boston_housing.npz"
    for x, y, message in (
        (np.ones((4, 8)), np.ones(4), r"floats \(n, 13\)"), (np.ones((4, 13), int), np.ones(4), "floats"),
        (np.ones((4, 13)), np.ones(3), "4 rows in x"), (rows(0, 4), np.ones(4), "lists"),
    ):  # fmt: skip
        np.savez(path, x=x, y=y)
        with pytest.raises(DataError, match=message):
            boston_housing.load_data()
    for wrong in (-0.1, 1):
        with pytest.raises(ArgumentError, match="test_split"):
            boston_housing.load_data(test_split=wrong)
        with pytest.raises(ArgumentError, match="test_split"):
            california_housing.load_data(test_split=wrong)
        with pytest.raises(ArgumentError, match="test_split"):
            reuters.load_data(test_split=wrong - 0.5 if wrong < 0 else 2)
    with pytest.raises(ArgumentError, match="'small' or 'large'"):
        california_housing.load_data("tiny")


# --- images --------------------------------------------------------------------------------------------------
def cifar_records(seed: int, count: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    labels = np.stack([rng.integers(0, 20, count), rng.integers(0, 100, count)], axis=1).astype(np.uint8)
    content = b"".join(bytes(y) + x.transpose(2, 0, 1).tobytes() for x, y in zip(images, labels, strict=True))
    return content, images, labels


@pytest.mark.parametrize("packed", [True, False])
def test_cifar100(folder: Path, packed: bool) -> None:
    (folder / "cifar100").mkdir()
    train, test = cifar_records(1, 5), cifar_records(2, 3)
    members = {cifar100.FILES[0]: train[0], cifar100.FILES[1]: test[0]}
    if packed:
        (folder / "cifar100" / cifar100.ARCHIVE.name).write_bytes(tar_bytes(members))
    else:
        for name, content in members.items():
            (folder / "cifar100" / name.split("/")[1]).write_bytes(content)
    for mode, column in (("fine", 1), ("coarse", 0)):
        found = cifar100.load_data(mode)
        for (x, y), (_, images, labels) in zip(found, (train, test), strict=True):
            np.testing.assert_array_equal(x, images)
            np.testing.assert_array_equal(y, labels[:, column : column + 1])
            assert x.dtype == y.dtype == np.uint8
    lamina.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(cifar100.load_data()[0][0], train[1].transpose(0, 3, 1, 2))
    finally:
        lamina.config.set_image_data_format("channels_last")
    assert len(cifar100.CLASS_NAMES) == len(set(cifar100.CLASS_NAMES)) == 100 and len(set(cifar100.GROUP_NAMES)) == 20


def test_cifar100_damaged(folder: Path) -> None:
    (folder / "cifar100").mkdir()
    archive = folder / "cifar100" / cifar100.ARCHIVE.name
    good = cifar_records(1, 3)[0]
    for content, kind, message in (
        (good[:-1], FileFormatError, r"train\.bin.*no whole number of records of 3,074"),
        (b"", FileFormatError, "no whole number"),
        (b"\x14" + good[1:], DataError, "label 20 in row 0; they go up to 19"),
        (good[:1] + b"\x64" + good[2:], DataError, "label 100 in row 0; they go up to 99"),
    ):
        archive.write_bytes(tar_bytes({cifar100.FILES[0]: content, cifar100.FILES[1]: good}))
        with pytest.raises(kind, match=message):
            cifar100.load_data()
    with pytest.raises(ArgumentError, match="'fine' or 'coarse'"):
        cifar100.load_data("both")


def test_kmnist(folder: Path) -> None:
    (folder / "kmnist").mkdir()
    x, y = np.full((4, 28, 28), 7, np.uint8), np.arange(4, dtype=np.uint8)
    for file, array in zip(kmnist.FILES, (x, y, x[:2], y[:2]), strict=True):
        (folder / "kmnist" / file.name).write_bytes(idx(array))
    (x_train, y_train), (x_test, y_test) = kmnist.load_data()
    assert x_train.shape == (4, 28, 28) and x_test.shape == (2, 28, 28) and (x_train == 7).all()
    assert y_train.tolist() == [0, 1, 2, 3] and y_test.tolist() == [0, 1] and len(kmnist.CLASS_NAMES) == 10


def test_mnist_from_npz(folder: Path) -> None:
    path = folder / "copy.npz"
    x, y = np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    (_, y_train), (x_test, _) = mnist.load_data(path)
    assert y_train.tolist() == [0, 1, 2, 3] and len(x_test) == 2
    np.savez(path, x_train=x, y_train=y[:3], x_test=x, y_test=y)
    with pytest.raises(DataError, match="x_train holds 4 images"):
        mnist.load_data(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        mnist.load_data(folder / "none.npz")


# --- the others ------------------------------------------------------------------------------------------------
def test_iris() -> None:
    pytest.importorskip("sklearn")
    (x_train, y_train), (x_test, y_test) = iris.load_data()
    assert x_train.shape == (120, 4) and x_train.dtype == np.float32 and len(x_test) == len(y_test) == 30
    assert np.bincount([*y_train, *y_test]).tolist() == [50, 50, 50]
    setosa = np.concatenate([x_train, x_test])[np.concatenate([y_train, y_test]) == 0]
    assert abs(setosa[:, 2].mean() - 1.462) < 1e-3  # the mean petal length in Fisher's paper
    with pytest.raises(ArgumentError, match="test_split"):
        iris.load_data(test_split=1)


@pytest.mark.parametrize("name", ["shakespeare.txt", "tinyshakespeare.txt", "shakespeare/input.txt"])
def test_shakespeare(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("To be, or not to be\n", encoding="utf-8")
    assert shakespeare.load_text() == "To be, or not to be\n"
    assert shakespeare.load_data(0.5) == ("To be, or ", "not to be\n")
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FileFormatError, match="UTF-8"):
        shakespeare.load_text()
    path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        shakespeare.load_text()


def test_real_shakespeare(monkeypatch: pytest.MonkeyPatch) -> None:
    from conftest import data_folder

    data = data_folder()
    if data is None or not (data / "tinyshakespeare.txt").exists():
        pytest.skip("needs tinyshakespeare.txt in the folder LAMINA_DATA or in ../shared/data")
    monkeypatch.setenv("LAMINA_DATA", str(data))
    content = shakespeare.load_text().encode()
    assert (len(content), hashlib.sha256(content).hexdigest()) == shakespeare.FILE[1:]


LOADERS: list[tuple[Callable[[], Any], str]] = [
    (imdb.load_data, "imdb.npz"), (imdb.get_word_index, "imdb_word_index.json"), (imdb.load_text, "aclImdb_v1.tar.gz"),
    (reuters.load_data, "reuters.npz"), (reuters.get_word_index, "reuters_word_index.json"),
    (boston_housing.load_data, "boston_housing.npz"), (california_housing.load_data, "california_housing.npz"),
    (cifar100.load_data, "cifar-100-binary.tar.gz"), (kmnist.load_data, "train-images-idx3-ubyte.gz"),
    (shakespeare.load_text, "shakespeare.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("load", "name"), LOADERS)
def test_offline_the_error_says_what_to_put_where(folder: Path, load: Callable[[], Any], name: str) -> None:
    with pytest.raises(files.MissingDataError) as caught:
        load()
    message = str(caught.value)
    assert f"Missing: {name}" in message and "https://" in message and f"put them into {folder}" in message


def test_downloads_are_checked_by_md5_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b'{"the": 1}'
    monkeypatch.setattr(files.urllib.request, "urlopen", lambda *a, **k: Response(content))
    with pytest.raises(FileFormatError, match="with MD5 .*; the published file has bfafd718"):
        imdb.get_word_index()
    digest = hashlib.md5(content).hexdigest()
    monkeypatch.setattr(imdb, "WORD_INDEX", files.RemoteFile("imdb_word_index.json", len(content), digest))
    assert imdb.get_word_index() == {"the": 1}
    monkeypatch.setattr(files.urllib.request, "urlopen", lambda *a, **k: Response(b"other"))
    assert imdb.get_word_index() == {"the": 1}  # from the cache


# --- the page --------------------------------------------------------------------------------------------------
def test_every_file_stands_in_the_table() -> None:
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    for name in lamina.datasets.__all__:
        if name == "idx":
            continue
        module = importlib.import_module(f"lamina.datasets.{name}")
        assert f"`{name}`" in page, name
        values = [v for value in vars(module).values() for v in (value if isinstance(value, tuple) else (value,))]
        remote = [v for v in [*vars(module).values(), *values] if isinstance(v, files.RemoteFile)]
        assert remote or name in ("digits", "iris", "mauna_loa")
        for file in remote:
            row = next((line for line in page.splitlines() if file.sha256 in line), "")
            assert file.name in row and f"{file.size:,}" in row, file
        for address in getattr(module, "MIRRORS", ()):
            assert address in page, address
    own = lamina.datasets.mauna_loa.FILE.read_bytes()
    row = next(line for line in page.splitlines() if hashlib.sha256(own).hexdigest() in line)
    assert "`mauna_loa.csv`" in row and f"{len(own):,}" in row
    assert not re.search(r"\bTODO\b", page)


def test_mauna_loa() -> None:
    weeks, ppm = lamina.datasets.mauna_loa.load_series()
    assert weeks.dtype == "datetime64[D]" and ppm.dtype == np.float32 and weeks.shape == ppm.shape == (2284,)
    assert (np.diff(weeks).astype(int) == 7).all() and 312 < ppm.min() < 314 and 373 < ppm.max() < 375
    assert str(weeks[6]) == "1958-05-10" and ppm[6] == np.float32((316.9 + 317.5) / 2)  # between its neighbours
    train, test = lamina.datasets.mauna_loa.load_data(0.1)
    np.testing.assert_array_equal(np.concatenate([train, test]), ppm)
    assert len(test) == 229
    with pytest.raises(ArgumentError, match="test_split is a share"):
        lamina.datasets.mauna_loa.load_data(1)
