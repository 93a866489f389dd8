"""Data sets that come as one archive, CIFAR-10 and the movie reviews: small ones in their format, whole and damaged."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from conftest import data_folder
from dataset_files import tar_bytes

import lamina
from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.datasets import cifar10, files, movie_reviews


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
    (data / "cifar10").mkdir(parents=True)
    (data / "movie_reviews").mkdir()
    monkeypatch.setenv("LAMINA_DATA", str(data))
    return data


# --- CIFAR-10 -------------------------------------------------------------------------------------
def records(seed: int, count: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A batch file, written value by value as the set's page describes it, with its images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    content = bytearray()
    for image, label in zip(images, labels, strict=True):
        content.append(label)
        for channel in range(3):
            content += image[:, :, channel].tobytes()
    return bytes(content), images, labels


def cifar_members() -> tuple[dict[str, bytes], list[np.ndarray]]:
    members, arrays = {}, []
    for i, name in enumerate([*cifar10.TRAIN_FILES, *cifar10.TEST_FILES]):
        members[name], images, labels = records(i, 3 + i)
        arrays += [images, labels]
    return members, arrays


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10(folder: Path, packed: bool) -> None:
    members, arrays = cifar_members()
    if packed:
        (folder / "cifar10" / cifar10.ARCHIVE.name).write_bytes(tar_bytes(members))
    else:
        for name, content in members.items():
            (folder / "cifar10" / name).parent.mkdir(exist_ok=True)
            (folder / "cifar10" / name).write_bytes(content)
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    np.testing.assert_array_equal(x_train, np.concatenate(arrays[0:10:2]))
    np.testing.assert_array_equal(y_train, np.concatenate(arrays[1:10:2])[:, None])
    np.testing.assert_array_equal(x_test, arrays[10])
    np.testing.assert_array_equal(y_test, arrays[11][:, None])
    assert x_train.dtype == y_train.dtype == np.uint8
    lamina.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(cifar10.load_data()[1][0], x_test.transpose(0, 3, 1, 2))
    finally:
        lamina.config.set_image_data_format("channels_last")


def test_cifar10_damaged(folder: Path) -> None:
    archive = folder / "cifar10" / cifar10.ARCHIVE.name
    members, _ = cifar_members()
    whole = tar_bytes(members)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (whole[:middle], flipped, b"<html>404</html>", b"", whole[:-20] + bytes(20)):
        archive.write_bytes(content)
        with pytest.raises(FileFormatError, match="cifar-10-binary.tar.gz"):
            cifar10.load_data()
    last = cifar10.TRAIN_FILES[-1]
    archive.write_bytes(tar_bytes({k: v for k, v in members.items() if k != last}))
    with pytest.raises(FileFormatError, match="data_batch_5.bin"):
        cifar10.load_data()
    archive.write_bytes(tar_bytes({**members, last: members[last][:-1]}))
    with pytest.raises(FileFormatError, match="data_batch_5.bin.*no whole number of records"):
        cifar10.load_data()
    archive.write_bytes(tar_bytes({**members, last: members[last][:3073] + b"\x0b" + members[last][3074:]}))
    with pytest.raises(DataError, match="label 11 in row 1"):
        cifar10.load_data()


def test_cifar10_absent(folder: Path) -> None:
    with pytest.raises(files.MissingDataError, match=r"Missing: cifar-10-binary\.tar\.gz"):
        cifar10.load_data()


def test_cifar10_from_npz(tmp_path: Path) -> None:
    x, y = np.zeros((4, 32, 32, 3), np.uint8), np.arange(4)[:, None]
    path = tmp_path / "part.npz"

    def load(**arrays: np.ndarray) -> None:
        np.savez(path, **{"x_train": x, "y_train": y, "x_test": x[:2], "y_test": y[:2], **arrays})
        (_, y_train), (x_test, _) = cifar10.load_data(path)
        assert y_train.tolist() == [[0], [1], [2], [3]] and y_train.dtype == np.uint8 and len(x_test) == 2

    load()
    with pytest.raises(DataError, match="x_test should be uint8"):
        load(x_test=x.astype(np.float32))
    with pytest.raises(DataError, match="4 images in x_train"):
        load(y_train=y[:3])
    with pytest.raises(DataError, match="y_test: label 10 in row 1"):
        load(y_test=np.array([0, 10]))
    with pytest.raises(FileFormatError, match="not a readable"):
        load(x_train=np.array([{}], dtype=object))
    np.savez(path, x_train=x)
    with pytest.raises(FileFormatError, match="has no array 'y_train'"):
        cifar10.load_data(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileFormatError, match="not a readable"):
        cifar10.load_data(path)
    with pytest.raises(FileNotFoundError):
        cifar10.load_data(tmp_path / "absent.npz")


# --- movie reviews --------------------------------------------------------------------------------
GOOD, BAD = "a caf\xe9 of delights \n\n it\x85works \n fine\n", "dull \nslow and dull \n"


@pytest.mark.parametrize("form", ["archive", "unpacked", "root"])
def test_movie_reviews(folder: Path, form: str) -> None:
    members = dict(zip(movie_reviews.FILES, (BAD.encode("latin-1"), GOOD.encode("latin-1")), strict=True))
    if form == "archive":
        (folder / "movie_reviews" / movie_reviews.ARCHIVE.name).write_bytes(tar_bytes(members))
    else:
        place = folder if form == "root" else folder / "movie_reviews"
        for name, content in members.items():
            (place / name.split("/")[1]).write_bytes(content)
    (x_train, y_train), (x_test, y_test) = movie_reviews.load_data(test_split=0.4)
    assert len(x_train) == len(y_train) == 3 and len(x_test) == len(y_test) == 2
    both = dict(zip([*x_train, *x_test], [*y_train, *y_test], strict=True))
    assert both == {"a caf\xe9 of delights": 1, "it\x85works": 1, "fine": 1, "dull": 0, "slow and dull": 0}
    assert movie_reviews.load_data(test_split=0.4)[0][0] == x_train


def test_movie_reviews_damaged_or_absent(folder: Path) -> None:
    archive = folder / "movie_reviews" / movie_reviews.ARCHIVE.name
    with pytest.raises(files.MissingDataError, match="rt-polaritydata"):
        movie_reviews.load_data()
    archive.write_bytes(tar_bytes({movie_reviews.FILES[0]: b"dull\n"}))
    with pytest.raises(FileFormatError, match=r"rt-polarity\.pos"):
        movie_reviews.load_data()
    archive.write_bytes(tar_bytes({movie_reviews.FILES[0]: b"dull\n", movie_reviews.FILES[1]: b"\n\n"}))
    with pytest.raises(DataError, match=r"rt-polarity\.pos holds no sentences"):
        movie_reviews.load_data()
    with pytest.raises(ArgumentError, match="test_split"):
        movie_reviews.load_data(test_split=1)


def test_archives_are_downloaded_and_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = tar_bytes(dict(zip(movie_reviews.FILES, (b"dull\n", b"fine\n"), strict=True)))
    monkeypatch.setattr(files.urllib.request, "urlopen", lambda *a, **k: Response(content))
    with pytest.raises(FileFormatError, match="published file has a05befe5"):
        movie_reviews.load_data()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(movie_reviews, "ARCHIVE", files.RemoteFile("x.tar.gz", len(content), digest))
    (x_train, _), (x_test, _) = movie_reviews.load_data(test_split=0.5)
    assert {*x_train, *x_test} == {"dull", "fine"}


# --- real data ------------------------------------------------------------------------------------
def test_real_movie_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_folder()
    if data is None or not (data / "rt-polarity.pos").exists():
        pytest.skip("needs rt-polarity.pos and .neg in the folder LAMINA_DATA or in ../shared/data")
    monkeypatch.setenv("LAMINA_DATA", str(data))
    (x_train, y_train), (x_test, y_test) = movie_reviews.load_data()
    assert len(x_train) + len(x_test) == 10_662 and int(y_train.sum() + y_test.sum()) == 5_331
    assert len(x_test) == 2133 and 0.45 < y_test.mean() < 0.55
