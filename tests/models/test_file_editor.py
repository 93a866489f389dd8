"""Names and weights in files of Keras, looked at and changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.models.file_editor import KerasFileEditor

h5py = pytest.importorskip("h5py")


def mlp(*units: int) -> Any:
    return lamina.Sequential([lamina.Input((3,)), *(layers.Dense(n) for n in units)])


def test_a_file_made_to_fit_another_model(tmp_path: Path, capsys: Any) -> None:
    source, target = mlp(4, 2), mlp(4, 5, 2)
    source.save(tmp_path / "source.keras")
    editor = KerasFileEditor(tmp_path / "source.keras")
    assert editor.compare(source) == {"status": "success", "error_count": 0, "match_count": 4}
    assert editor.compare(target)["status"] == "error"
    editor.rename_object("dense_1", "dense_2")
    editor.add_object("layers/dense_1", {"0": np.zeros((4, 5)), "1": np.ones(5)})
    editor.delete_weight("dense_2", "0")
    editor.add_weights("layers/dense_2", {"0": np.zeros((5, 2))})
    assert editor.compare(target)["status"] == "success"
    assert editor.weights_dict["layers"]["dense_1"]["1"].tolist() == [1.0] * 5
    editor.summary()
    assert "layers/dense_2" in capsys.readouterr().out
    editor.save(tmp_path / "target.weights.h5")
    target.load_weights(tmp_path / "target.weights.h5")
    np.testing.assert_array_equal(target.layers[0].kernel.numpy(), source.layers[0].kernel.numpy())
    assert target.layers[1].bias.numpy().tolist() == [1.0] * 5
    editor.delete_object("dense_1")
    assert editor.compare(target)["error_count"] == 1


def test_wrong_names(tmp_path: Path) -> None:
    model = mlp(2)
    model.save_weights(tmp_path / "m.weights.h5")
    editor = KerasFileEditor(tmp_path / "m.weights.h5")
    for change, words in [
        (lambda: editor.rename_object("nope", "x"), "'nope' does not appear.*layers/dense"),
        (
            lambda: editor.delete_weight("dense", "9"),
            r"Weight 9 not found in object dense.*\['0', '1'\]",
        ),
        (lambda: editor.add_object("layers/dense", {}), "already exists"),
        (lambda: editor.add_weights("dense", [1.0]), "should be a dict"),
        (lambda: editor.save(tmp_path / "m.h5"), "expected a `.weights.h5` extension"),
        (lambda: KerasFileEditor(tmp_path / "m.txt"), "expected a `.keras` `.weights.h5` extension"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            change()


def test_links_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/layers")
    with pytest.raises(FileFormatError, match="ExternalLink"):
        KerasFileEditor(tmp_path / "a.weights.h5")
