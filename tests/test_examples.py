"""The examples run, and show what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run_example(name: str, folder: Path) -> str:
    path = os.pathsep.join(p for p in (str(ROOT / "src"), os.environ.get("PYTHONPATH", "")) if p)
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        cwd=folder, env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_no_example_is_forgotten() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        assert f'"{path.name}"' in tested
