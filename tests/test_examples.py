"""The examples run, and show what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import data_folder
from example_files import EXAMPLES, load_example

ROOT = Path(__file__).resolve().parent.parent
WITH_EPOCHS = [
    path.relative_to(EXAMPLES).with_suffix("").as_posix()
    for path in sorted(EXAMPLES.glob("**/*.py"))
    if path.parent.name != "first_book" and "--epochs" in path.read_text(encoding="utf-8")
]


def run_example(name: str, folder: Path, *arguments: str) -> str:
    path = os.pathsep.join(p for p in (str(ROOT / "src"), os.environ.get("PYTHONPATH", "")) if p)
    data = {"LAMINA_DATA": str(data_folder())} if data_folder() else {}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=folder, env={**os.environ, **data, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", timeout=3000, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", WITH_EPOCHS)
def test_without_epochs_there_is_nothing_to_show(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--epochs", "0"])
    with pytest.raises(SystemExit) as ended:
        load_example(name).main()
    assert ended.value.code == 2 and "--epochs must be at least 1" in capsys.readouterr().err


def test_grid_search(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example searches with scikit-learn")
    pytest.importorskip("matplotlib", reason="the example draws")
    output = run_example("grid_search.py", tmp_path)
    assert len(re.findall(r"hidden_units=", output)) == 4
    accuracy = re.search(r"Test accuracy of the best: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 94
    folder = tmp_path / "demo-output"
    assert (folder / "confusion-matrix.png").read_bytes().startswith(b"\x89PNG")
    assert "(None, 64)" in (folder / "model.svg").read_text(encoding="utf-8")


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")
    pytest.importorskip("matplotlib", reason="the example draws learning curves")
    output = run_example("digits.py", tmp_path)
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 95
    assert "Epoch 20/20" in output
    assert "predictions are the same as before saving" in output
    assert (tmp_path / "demo-output" / "learning-curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo-output" / "digits.safetensors").stat().st_size > 10_000


def test_own_training_loop(tmp_path: Path) -> None:
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", run_example("own_training_loop.py", tmp_path))
    assert accuracy and float(accuracy[1]) >= 97


def test_convolutional_network(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the data set digits comes with scikit-learn")
    output = run_example("convolutional_network.py", tmp_path)
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 97


def needs(*names: str) -> None:
    folder = data_folder()
    if folder is None or not all((folder / name).exists() for name in names):
        pytest.skip(f"needs {', '.join(names)} in the folder LAMINA_DATA or in ../shared/data")


def validation_losses(output: str) -> list[float]:
    return [float(loss) for loss in re.findall(r"val_loss: ([\d.]+)", output)]


@pytest.mark.slow
def test_mnist_lenet(tmp_path: Path) -> None:
    needs("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    output = run_example("mnist_lenet.py", tmp_path, "--epochs", "6")
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 98
    losses = validation_losses(output)
    assert len(losses) == 6 and losses[-1] < 0.7 * losses[0]


@pytest.mark.slow
def test_cifar_resnet(tmp_path: Path) -> None:
    needs("cifar10_small.npz")
    output = run_example("cifar_resnet.py", tmp_path, "--epochs", "4")
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 50
    losses = validation_losses(output)
    assert len(losses) == 4 and losses[-1] < losses[0] - 0.2


@pytest.mark.slow
def test_movie_reviews_lstm(tmp_path: Path) -> None:
    needs("rt-polarity.pos", "rt-polarity.neg")
    output = run_example("movie_reviews_lstm.py", tmp_path)
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", output)
    assert accuracy and float(accuracy[1]) >= 73
    losses = validation_losses(output)
    assert len(losses) == 5 and losses[-1] < losses[0] - 0.1


def test_no_example_is_forgotten() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        assert f'"{path.name}"' in tested
