"""The listings of the books' first chapters run offline, on small files in the formats of their data sets."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT, data_folder
from dataset_files import idx

from lamina.datasets import files

FOLDER = ROOT / "examples" / "first_book"


def images(rng: np.random.Generator, patterns: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of ten patterns, each with noise and shifted by up to two pixels."""
    labels = rng.integers(0, 10, count).astype(np.uint8)
    found = np.stack([np.roll(patterns[y], tuple(rng.integers(-2, 3, 2)), (0, 1)) for y in labels])
    return np.clip(found + rng.normal(0, 40, found.shape), 0, 255).astype(np.uint8), labels


def reviews(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of words' numbers: 100 of praise, 100 of blame, 1,000 that say nothing."""
    labels, rows = rng.integers(0, 2, count), np.empty(count, object)
    for i, label in enumerate(labels):
        own = 1001 + 100 * label + rng.integers(0, 100, 6)
        other = 1101 - 100 * label + rng.integers(0, 100, 2)
        rows[i] = rng.permutation([*rng.integers(1, 1001, 40), *own, *other]).tolist()
    return rows, labels


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files in the formats of MNIST, Fashion-MNIST and IMDB."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(5)
    coarse = rng.random((10, 4, 4)) * 255
    patterns = coarse.repeat(7, axis=1).repeat(7, axis=2)
    train, test = images(rng, patterns, 2000), images(rng, patterns, 400)
    for name in ("mnist", "fashion_mnist"):
        (folder / name).mkdir()
        for part, (x, y) in (("train", train), ("t10k", test)):
            (folder / name / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(x))
            (folder / name / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(y))
    (x_train, y_train), (x_test, y_test) = reviews(rng, 1500), reviews(rng, 400)
    np.savez(folder / "imdb.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    words = {f"word{i}": i for i in range(1, 1201)}
    (folder / "imdb_word_index.json").write_text(json.dumps(words), encoding="utf-8")
    return folder


def run(name: str, cwd: Path, data: Path, *arguments: str) -> str:
    """What an example prints; without a network."""
    path = os.pathsep.join(p for p in (str(ROOT / "src"), os.environ.get("PYTHONPATH", "")) if p)
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "HTTP", "HTTPS")}
    done = subprocess.run(
        [sys.executable, str(FOLDER / name), *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=1800, check=False,
        env={**os.environ, **nowhere, "LAMINA_DATA": str(data), "XDG_CACHE_HOME": str(cwd / "cache"),
             "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, f"no {pattern!r} in:\n{text}"
    return float(found[1])


def test_tensors(tmp_path: Path, books: Path) -> None:
    output = run("tensors.py", tmp_path, books)
    for line in (
        "Tensor(3, shape=(), dtype=int32)", "Tensor([4, 6], shape=(2,), dtype=int32)",
        "Tensor(25, shape=(), dtype=int32)", "Tensor(6, shape=(), dtype=int32)", "Tensor(13, shape=(), dtype=int32)",
        "(1, 2) int32 [[2 3]]",
        "whole numbers: int32  fractions: float32", "Tensor 36.0", "row sums [ 6. 15.]  mean 3.5",
        "softmax [0.09  0.245 0.665]", "the same after the same seed: True", "GPUs: []",
        "PhysicalDevice(name='/physical_device:CPU:0', device_type='CPU')",
    ):  # fmt: skip
        assert line in output


def test_gradients(tmp_path: Path, books: Path) -> None:
    output = run("gradients.py", tmp_path, books)
    assert "d(x^2)/dx at 3 is 6.0" in output and "d(x^4)/dx at 3 is 108.0" in output
    assert "d(x^3)/dx at 1 is 3.0 and the second derivative 6.0" in output
    assert "v is [3.5 4.5] and twice that [7. 9.]" in output
    assert abs(number(r"The line found: y = ([\d.]+) x", output) - 3) < 0.15
    assert abs(number(r"The line found: y = [\d.]+ x \+ ([\d.]+)", output) - 2) < 0.15
    assert number(r"compiled steps: (\S+)", output) < 1e-6 and "weights [ 1.  -2.   0.5]" in output


def test_fashion_mnist(tmp_path: Path, books: Path) -> None:
    output = run("fashion_mnist.py", tmp_path, books, "--epochs", "4")
    assert "stands in" not in output and "(2000, 28, 28) (2000,) pixels from 0 to 255" in output
    assert number(r"small: test loss [\d.]+, test accuracy ([\d.]+)", output) > 0.9
    assert number(r"large: test loss [\d.]+, test accuracy ([\d.]+)", output) > 0.9
    assert "266,610" in output and "first hidden layer: (784, 300) (300,)" in output
    assert "curves of ['accuracy', 'loss', 'val_accuracy', 'val_loss'] over 4 epochs" in output
    assert len(re.findall(r"taken for [\w-]+, is [\w-]+", output)) == 3


def test_functional(tmp_path: Path, books: Path) -> None:
    output = run("functional.py", tmp_path, books, "--epochs", "4")
    assert "55,050" in output and len(re.findall(r"Epoch \d/4 - 25/25 - .*val_loss", output)) == 4
    assert re.search(r"^13/13 - .* - loss: [\d.]+ - accuracy: [\d.]+$", output, re.MULTILINE)  # evaluate(verbose=2)
    assert number(r"Test accuracy: ([\d.]+)", output) > 0.9
    assert "features of three digits: (3, 64)" in output


def test_imdb(tmp_path: Path, books: Path) -> None:
    output = run("imdb.py", tmp_path, books, "--epochs", "8")
    assert "stand in" not in output and re.search(r"a review: \? word\d+ word\d+", output)
    assert number(r"lowest after (\d+) of 8 epochs", output) >= 1
    assert number(r"Test accuracy: ([\d.]+)", output) > 0.75
    assert "of (400, 1)" in output


def test_dropout_logits(tmp_path: Path, books: Path) -> None:
    output = run("dropout_logits.py", tmp_path, books, "--epochs", "4")
    assert number(r"Test accuracy: ([\d.]+)", output) > 0.9
    assert "each row adds up to 1: [1. 1. 1. 1. 1.]" in output
    taken, are = re.search(r"taken for (\[.*?\]) are (\[.*?\])", output).groups()  # type: ignore[union-attr]
    assert taken == are


def test_callbacks(tmp_path: Path, books: Path) -> None:
    pytest.importorskip("tensorboard")
    output = run("callbacks.py", tmp_path, books, "--epochs", "12", "--folder", "out")
    epochs = int(number(r"stopped after (\d+) of at most 12", output))
    kept = sorted(p.name for p in (tmp_path / "out").glob("*.keras"))
    assert len(kept) == epochs and all(re.fullmatch(r"model\.\d\d-\d+\.\d\d\.keras", name) for name in kept)
    assert kept[0].startswith("model.01-") and f"the last as {kept[-1]}" in output
    assert number(r"Test accuracy of the best weights: ([\d.]+)", output) > 0.9
    logs = {path.parent.name for path in (tmp_path / "out" / "logs").rglob("events.out.tfevents.*")}
    assert logs == {"train", "validation"}


@pytest.mark.slow
def test_on_real_digits(tmp_path: Path) -> None:
    folder = data_folder()
    if folder is None or not (folder / "t10k-images-idx3-ubyte.gz").exists():
        pytest.skip("needs MNIST's t10k files in the folder LAMINA_DATA or in ../shared/data")
    output = run("fashion_mnist.py", tmp_path, folder)
    assert number(r"small: test loss [\d.]+, test accuracy ([\d.]+)", output) > 0.93
    assert number(r"Test accuracy: ([\d.]+)", run("functional.py", tmp_path, folder)) > 0.9
    assert number(r"Test accuracy: ([\d.]+)", run("dropout_logits.py", tmp_path, folder)) > 0.93
    assert number(r"Test accuracy: ([\d.]+)", run("imdb.py", tmp_path, folder)) > 0.7


# --- what is at hand -----------------------------------------------------------------------------------------
@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module with nothing at hand."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise files.urllib.error.URLError("no route to host")

    monkeypatch.setattr(files.urllib.request, "urlopen", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    spec = importlib.util.spec_from_file_location("at_hand", FOLDER / "at_hand.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_with_nothing_at_hand(at_hand: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")
    (x_train, y_train), (x_test, y_test), names = at_hand.clothes()
    assert x_train.shape[1:] == x_test.shape[1:] == (28, 28) and x_train.dtype == np.uint8 and x_train.max() == 240
    assert len(x_train) == len(y_train) > 1000 and len(x_test) == len(y_test) and names == list("0123456789")
    (rows, labels), (test_rows, _), words = at_hand.reviews(num_words=100)
    assert len(rows) == len(labels) == 2000 and len(test_rows) == 500
    assert all(row[0] == 1 and max(row) < 100 for row in rows)
    assert {"moving", "dull"} <= set(words)
    output = capsys.readouterr().out
    assert "digits stand in" in output and "made-up sentences" in output


def test_no_listing_is_forgotten() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    listings = [path.name for path in FOLDER.glob("*.py") if not path.name.startswith("torch_")]
    assert [name for name in listings if f'"{name}"' not in tested] == []
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in listings if name != "at_hand.py" and f"`{name}`" not in page] == []
