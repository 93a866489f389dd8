"""Weights in several files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, FileFormatError

pytest.importorskip("h5py")
os.environ.setdefault("KERAS_BACKEND", "jax")
SIZE = 1e-6  # gigabytes: about 1 kB


def mlp(library: Any = lamina) -> Any:
    return library.Sequential([library.Input((10,)), *(library.layers.Dense(20) for _ in range(3))])


def test_there_and_back(tmp_path: Path) -> None:
    model, again = mlp(), mlp()
    with pytest.raises(ArgumentError, match="max_shard_size"):
        model.save_weights(tmp_path / "m.weights.json", max_shard_size=SIZE)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=2 * SIZE)
    assert len(list(tmp_path.iterdir())) == 4  # three files and the index
    assert again.load_weights(tmp_path / "m.weights.json").complete
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_keras_reads_them_and_writes_them(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model, theirs, again = mlp(), mlp(keras), mlp()
    model.save_weights(tmp_path / "a.weights.json", max_shard_size=2 * SIZE)
    theirs.load_weights(tmp_path / "a.weights.json")
    theirs.save_weights(tmp_path / "b.weights.json", max_shard_size=2 * SIZE)
    again.load_weights(tmp_path / "b.weights.json")
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["../other.weights.h5", "/etc/passwd", "x.txt", 3])
def test_files_elsewhere_are_not_read(name: Any, tmp_path: Path) -> None:
    (tmp_path / "m.weights.json").write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    with pytest.raises(FileFormatError, match="no .h5 file beside it"):
        mlp().load_weights(tmp_path / "m.weights.json")


def test_damaged_indices(tmp_path: Path) -> None:
    (tmp_path / "m.weights.json").write_text("[]")
    with pytest.raises(FileFormatError, match="no weight_map"):
        mlp().load_weights(tmp_path / "m.weights.json")
    with pytest.raises(FileFormatError, match="not found"):
        mlp().load_weights(tmp_path / "none.weights.json")
