"""The listings of a PyTorch book's first chapters run offline, on small files in the formats of their data sets."""

from __future__ import annotations

from pathlib import Path

from test_first_book import FOLDER, books, number, run

__all__ = ["books"]  # a fixture


def test_tensors(tmp_path: Path, books: Path) -> None:
    output = run("torch_tensors.py", tmp_path, books)
    for line in (
        "from a list: [[1, 2], [3, 4]]  from NumPy: [[1, 2], [3, 4]]",
        "shape torch.Size([3, 4]), dtype float32, stored on cpu",
        "first row: tensor([1., 0., 1., 1.])",
        "joined: torch.Size([4, 12]), stacked: torch.Size([2, 4, 4])",
        "three ways to one product: True",
        "the sum as a Python number: 12.0 float",
        "the array sees the change: [2. 2. 2. 2. 2.]",
        "the tensor sees the change: tensor([2., 2., 2., 2., 2.], dtype=torch.float64)",
        "mean of the columns: tensor([3.6667, 1.6667]), largest in each row: tensor([4., 5., 2.])",
        "the same after the same seed: True",
    ):
        assert line in output


def test_autograd(tmp_path: Path, books: Path) -> None:
    output = run("torch_autograd.py", tmp_path, books)
    assert "gradient of b: tensor([0.2075, 0.2075, 0.2075])" in output
    assert "under no_grad: False, detached: False" in output
    assert "first call:\ntensor([[4., 2., 2.],\n        [2., 4., 2.]])" in output
    assert "second call adds:\ntensor([[8., 4., 4.],\n        [4., 8., 4.]])" in output
    assert "after zeroing as at first: [4.0, 2.0, 2.0]" in output
    # What PyTorch finds with the same numbers.
    assert "line: 5.367 t + -17.301, loss 2.928" in output
    assert "the same with an optimizer: 5.367 t + -17.301" in output
    assert number(r"x\^3, loss ([\d.]+)", output) < 20 and number(r"x \+ ..., loss ([\d.]+)", output) < 20


def test_fashion_mnist(tmp_path: Path, books: Path) -> None:
    output = run("torch_fashion_mnist.py", tmp_path, books, "--epochs", "2", "--folder", "out")
    assert "Shape of X [N, C, H, W]: torch.Size([64, 1, 28, 28])\nShape of y: torch.Size([64]) int64" in output
    assert "(0): Linear(in_features=784, out_features=512, bias=True)" in output and "669,706 parameters" in output
    accuracies = [line for line in output.splitlines() if line.startswith("Test accuracy")]
    assert len(accuracies) == 2 and number(r"Test accuracy: ([\d.]+)", accuracies[1]) > 0.85
    assert (tmp_path / "out" / "model.safetensors").stat().st_size > 2_000_000
    assert 'Predicted: "' in output


def test_convolutional(tmp_path: Path, books: Path) -> None:
    output = run("torch_convolutional.py", tmp_path, books, "--epochs", "2", "--folder", "out")
    assert "learning rate 0.00200" in output and "learning rate 0.00140" in output
    assert "checkpoint of epoch 2, learning rate 0.00098" in output
    assert number(r"Test accuracy: ([\d.]+)", output) > 0.9


def test_names(tmp_path: Path, books: Path) -> None:
    assert number(r"Test accuracy: ([\d.]+)", run("torch_names.py", tmp_path, books, "--epochs", "3")) > 0.9


def test_no_listing_is_forgotten() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in FOLDER.glob("torch_*.py") if f'"{path.name}"' not in tested] == []
