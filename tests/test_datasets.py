"""Data sets: the IDX parser, finding and downloading files, and what the loaders return."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lamina.core.errors import ArgumentError, DataError, FileFormatError
from lamina.datasets import digits, fashion_mnist, files, idx, mnist

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    kind = array.dtype.str[1:]
    header = bytes([0, 0, CODES[kind], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_set(folder: Path, train: int = 5, test: int = 3, compress: bool = True) -> dict[str, np.ndarray]:
    """Four small files in MNIST's format."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    arrays = {}
    for name, n in (("train", train), ("t10k", test)):
        arrays[f"{name}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        arrays[f"{name}-labels-idx1-ubyte.gz"] = rng.integers(0, 10, n).astype(np.uint8)
    for name, array in arrays.items():
        content = idx_bytes(array)
        if compress:
            (folder / name).write_bytes(gzip.compress(content))
        else:
            (folder / name.removesuffix(".gz")).write_bytes(content)
    return arrays


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, an empty cache, and no data folder named."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise files.urllib.error.URLError("no route to host")

    monkeypatch.setattr(files.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    return tmp_path


# --- the parser -------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", list(CODES))
@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4), (0, 28, 28)])
def test_idx_round_trip(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(-100 if kind[0] != "u" else 0, 100, shape).astype(kind)
    for name, content in (("plain", idx_bytes(array)), ("packed.gz", gzip.compress(idx_bytes(array)))):
        (tmp_path / name).write_bytes(content)
        got = idx.read(tmp_path / name)
        assert got.dtype == array.dtype and got.dtype.isnative and got.shape == shape
        np.testing.assert_array_equal(got, array)
        got[...] = 1  # the array is the caller's own


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (GOOD[:3], "not an IDX file"),
        (b"\x01" + GOOD[1:], "not an IDX file"),
        (GOOD[:2] + b"\x07" + GOOD[3:], "not an IDX file"),
        (GOOD[:3] + b"\x00" + GOOD[4:], "not an IDX file"),
        (GOOD[:9], "inside its header"),
        (GOOD[:-1], "needs 12 bytes of data and 11 are there"),
        (GOOD + b"\0", "data goes on"),
        (GOOD[:4] + b"\xff" * 8 + GOOD[12:], "cut off"),
        (b"<html>404 Not Found</html>", "not an IDX file"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_idx_rejects_damage(tmp_path: Path, content: bytes, message: str, compress: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(FileFormatError, match=message) as caught:
        idx.read(path)
    assert str(path) in str(caught.value)


def test_idx_rejects_a_bad_gzip_stream(tmp_path: Path) -> None:
    packed = gzip.compress(idx_bytes(np.arange(1000, dtype=np.uint8).reshape(10, 100)))
    flipped = bytearray(packed)
    flipped[-6] ^= 0xFF  # inside the checksum
    for content in (packed[:-9], bytes(flipped), packed[:20], b"\x1f\x8b rubbish rubbish"):
        (tmp_path / "bad.gz").write_bytes(content)
        with pytest.raises(FileFormatError):
            idx.read(tmp_path / "bad.gz")


def test_idx_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "nothing")


# --- where files are found ------------------------------------------------------------------------
@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("subfolder", ["mnist", "."])
def test_mnist_from_the_data_folder(
    offline: Path, monkeypatch: pytest.MonkeyPatch, compress: bool, subfolder: str
) -> None:
    arrays = write_set(offline / "data" / subfolder, compress=compress)
    monkeypatch.setenv("LAMINA_DATA", str(offline / "data"))
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    for got, name in [
        (x_train, "train-images-idx3"), (y_train, "train-labels-idx1"),
        (x_test, "t10k-images-idx3"), (y_test, "t10k-labels-idx1"),
    ]:  # fmt: skip
        np.testing.assert_array_equal(got, arrays[f"{name}-ubyte.gz"])


def test_fashion_mnist_does_not_take_mnist_for_itself(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(offline / "data")
    monkeypatch.setenv("LAMINA_DATA", str(offline / "data"))
    with pytest.raises(files.MissingDataError, match="fashion_mnist"):
        fashion_mnist.load_data()
    arrays = write_set(offline / "data" / "fashion_mnist", train=7)
    (x_train, _), _ = fashion_mnist.load_data()
    np.testing.assert_array_equal(x_train, arrays["train-images-idx3-ubyte.gz"])


def test_only_the_test_files(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(offline / "data")
    for path in (offline / "data").glob("train-*"):
        path.unlink()
    monkeypatch.setenv("LAMINA_DATA", str(offline / "data"))
    with pytest.raises(files.MissingDataError) as caught:
        mnist.load_data()
    message = str(caught.value)
    assert "Missing: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz." in message
    assert str(offline / "data" / "t10k-images-idx3-ubyte.gz") in message
    assert "no route to host" in message
    assert f"put them into {offline / 'data' / 'mnist'}" in message


def test_offline_without_a_data_folder_says_what_to_set(offline: Path) -> None:
    with pytest.raises(files.MissingDataError, match="LAMINA_DATA set to FOLDER") as caught:
        fashion_mnist.load_data()
    for file in fashion_mnist.FILES:
        assert file.name in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_images_and_labels_must_belong_together(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = offline / "data"
    monkeypatch.setenv("LAMINA_DATA", str(folder))

    def load_with(name: str, array: np.ndarray) -> None:
        write_set(folder)
        (folder / name).write_bytes(gzip.compress(idx_bytes(array)))
        mnist.load_data()

    with pytest.raises(DataError, match="5 images and .* 6 labels"):
        load_with("train-labels-idx1-ubyte.gz", np.zeros(6, np.uint8))
    with pytest.raises(DataError, match="label 12 in row 1"):
        load_with("t10k-labels-idx1-ubyte.gz", np.array([0, 12, 3], np.uint8))
    with pytest.raises(DataError, match=r"expected images uint8 \(n, rows, columns\)"):
        load_with("t10k-images-idx3-ubyte.gz", np.zeros((3, 784), np.uint8))
    with pytest.raises(DataError, match=r"expected labels uint8 \(n,\)"):
        load_with("t10k-labels-idx1-ubyte.gz", np.zeros((3, 1), np.uint8))


# --- downloading, from a server on this machine ------------------------------------------------------
class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    folder = tmp_path / "served"
    write_set(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()
    http.server_close()


def published(folder: Path) -> list[files.RemoteFile]:
    paths = sorted(folder.glob("*.gz"))
    return [files.RemoteFile(p.name, p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


def test_download_into_the_cache(server: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, address = server
    wanted = published(folder)
    paths = files.find_files("mnist", wanted, ["http://127.0.0.1:9/dead", address])
    assert [p.read_bytes() for p in paths] == [(folder / f.name).read_bytes() for f in wanted]
    assert all(p.parent == files.cache_folder() / "mnist" for p in paths)
    assert "Downloading" in capsys.readouterr().err
    assert files.find_files("mnist", wanted, ["http://127.0.0.1:9/dead"]) == paths  # from the cache
    assert capsys.readouterr().err == ""
    assert sorted(p.name for p in paths[0].parent.iterdir()) == [f.name for f in wanted]  # nothing left over


def test_a_damaged_cache_is_downloaded_again(server: tuple[Path, str]) -> None:
    folder, address = server
    wanted = published(folder)[:1]
    (path,) = files.find_files("mnist", wanted, [address])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    files.find_files("mnist", wanted, [address])
    assert path.read_bytes() == whole


def test_a_wrong_checksum_is_refused(server: tuple[Path, str]) -> None:
    folder, address = server
    good = published(folder)[0]
    with pytest.raises(FileFormatError, match="published file has 0000"):
        files.find_files("mnist", [good._replace(sha256="0" * 64)], [address])
    with pytest.raises(FileFormatError, match="longer than"):
        files.find_files("mnist", [good._replace(size=10)], [address])
    with pytest.raises(files.MissingDataError, match="404"):
        files.find_files("mnist", [good._replace(name="absent.gz")], [address])
    assert list((files.cache_folder() / "mnist").iterdir()) == []


# --- real data ------------------------------------------------------------------------------------
def test_digits() -> None:
    pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8)
    assert x_train.dtype == y_train.dtype == np.uint8
    assert x_train.min() == 0 and x_train.max() == 16
    assert set(y_train) == set(y_test) == set(range(10))
    again = digits.load_data()[0][0]
    np.testing.assert_array_equal(x_train, again)
    assert not np.array_equal(x_train, digits.load_data(seed=1)[0][0])
    for bad in (0, 1, 1.5, -0.1):
        with pytest.raises(ArgumentError, match="test_split"):
            digits.load_data(test_split=bad)


def test_real_mnist_files(mnist_test_files: tuple[Path, Path]) -> None:
    images, labels = (idx.read(path) for path in mnist_test_files)
    assert images.shape == (10000, 28, 28) and images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    for path, file in zip(mnist_test_files, mnist.FILES[2:], strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
        assert path.stat().st_size == file.size
