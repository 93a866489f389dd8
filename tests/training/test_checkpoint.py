"""Checkpoints: generations, damaged files, loops of one's own, other threads, full disks, what is refused."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core import disk
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.data import DataLoader, TensorDataset
from lamina.testing import FragileDisk
from lamina.training import Checkpoint
from lamina.training.checkpoint import read_state
from lamina.training.checkpoint_tree import pack, unpack

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.arange(24) % 3


def classifier(units: int = 5) -> Any:
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(units), layers.Dropout(0.2), layers.Dense(3)])
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return model


def fit(folder: Any, epochs: int = 2, resume: bool = True, model: Any = None, **arguments: Any) -> Any:
    model = model or classifier()
    arguments = {"batch_size": 8, "verbose": 0, **arguments}
    return model, model.fit(X, Y, epochs=epochs, checkpoint=folder, resume=resume, **arguments).history


# --- trees --------------------------------------------------------------------------------------------
def test_trees_come_back_as_they_were() -> None:
    tree = {
        "numbers": [1, 2.5, -0.0, float("inf"), 1 << 100, True, None],
        "long": [float(i) / 3 for i in range(100)],
        "longer": list(range(100)),
        "tuple": (1, (2.0, "three")),
        "set": {1, 2},
        "keys": {1: "a", (2, 3): "b", "$x": "c"},
        "one": {"$tensor": 3},
        "scalar": np.float32(0.1),
        "arrays": [np.arange(3), np.array(True), np.zeros((0, 2), "float16")],
        "name/with": {"slash": np.ones(1)},
        "name": {"with/slash": np.zeros(1)},
    }
    tensors, text = pack(tree)
    again = unpack(tensors, text, "here")
    assert again["numbers"] == tree["numbers"] and str(again["numbers"][2]) == "-0.0"
    for name in ("long", "longer", "tuple", "set", "keys", "one"):
        assert again[name] == tree[name] and type(again[name]) is type(tree[name])
    assert again["scalar"] == np.float32(0.1) and again["scalar"].dtype == np.float32
    for a, b in zip(again["arrays"], tree["arrays"], strict=True):  # type: ignore[call-overload]
        assert a.dtype == b.dtype and a.shape == b.shape and (a == b).all()
    assert again["name/with"]["slash"] == 1 and again["name"]["with/slash"] == 0
    assert np.isnan(unpack(*pack({"nan": float("nan")}), "here")["nan"])
    with pytest.raises(ArgumentError, match="holds a object at 'a/b'"):
        pack({"a": {"b": object()}})


# --- generations --------------------------------------------------------------------------------------
def test_generations_and_falling_back(tmp_path: Path) -> None:
    value = lamina.Variable([0.0])
    checkpoint = Checkpoint(tmp_path, keep=3, value=value)
    for step in range(6):
        value.assign([float(step)])
        checkpoint.save(step=step)
    checkpoint.close()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [f"checkpoint-000000000{n}.safetensors" for n in (3, 4, 5)]
    for damage in (lambda b: b[:-3], lambda b: b[:50] + b"x" + b[51:]):
        path = max(tmp_path.glob("*.safetensors"))
        path.write_bytes(damage(path.read_bytes()))
    again = Checkpoint(tmp_path, keep=3, value=value)
    path = sorted(tmp_path.glob("*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(UserWarning, match=r"checkpoint-0000000003\.safetensors, the last good one"):
        assert again.restore() == {"step": 3}
    assert value.numpy() == [3.0]
    again.save(step=4)
    again.close()
    assert Checkpoint(tmp_path, value=value).restore() == {"step": 4}
    assert len(list(tmp_path.glob("*.damaged"))) == 2
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(FileFormatError, match="No checkpoint in .* can be read"):
        again.restore()


def test_what_killed_processes_leave_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-0000000000.safetensors.abc.part").write_bytes(b"half")
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save()
    checkpoint.close()
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-0000000000.safetensors"]


def test_one_file_that_others_can_read(tmp_path: Path) -> None:
    fit(tmp_path, epochs=1)
    path = max(tmp_path.glob("*.safetensors"))
    safe_open = pytest.importorskip("safetensors").safe_open
    with safe_open(path, "numpy") as opened:
        assert opened.get_tensor("model/weights/dense/kernel").shape == (4, 5)
        assert opened.metadata()["content"] == "checkpoint"
    assert read_state(path)["position"]["finished"]


# --- loops of one's own -----------------------------------------------------------------------------------
def test_a_loop_of_ones_own(tmp_path: Path) -> None:
    def run(folder: Path, stop_after: int, seed: int) -> Any:
        lamina.random.seed(seed)
        model = classifier()
        optimizer = lamina.optimizers.Adam(0.01)
        optimizer.build(model.trainable_variables)
        loss, mean = lamina.losses.SparseCategoricalCrossentropy(from_logits=True), lamina.metrics.Mean()
        loader = lamina.data.DataLoader(lamina.data.TensorDataset(X, Y), batch_size=8, shuffle=True)
        own = np.random.default_rng(seed)
        parts = [optimizer, {"mean": mean, "own": own}]
        with Checkpoint(folder, model=model, parts=parts, loader=loader) as checkpoint:
            notes = checkpoint.restore()
            steps, losses = notes.get("steps", 0), notes.get("losses", [])
            while steps < 8:
                for x, y in loader:
                    with lamina.GradientTape() as tape:
                        noise = float(own.normal()) * lamina.random.normal(x.shape)
                        value = loss(y, model(x + 0.1 * noise, training=True))
                    optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
                    mean.update_state(value)
                    steps, losses = steps + 1, [*losses, float(mean.result())]
                    checkpoint.save(steps=steps, losses=losses)
                    if steps == stop_after:
                        return None
        return losses, [v.numpy() for v in [*model.variables, *optimizer.variables]]

    wanted = run(tmp_path / "whole", 99, 1)
    for steps in range(1, 8):
        folder = tmp_path / str(steps)
        run(folder, steps, 1)
        losses, variables = run(folder, 99, 2)
        assert losses == wanted[0]
        for a, b in zip(variables, wanted[1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_does_not_fit(tmp_path: Path) -> None:
    one, other = lamina.Variable([1.0]), lamina.Variable([1.0, 2.0])
    with Checkpoint(tmp_path / "v", part=one) as checkpoint:
        checkpoint.save()
    with pytest.raises(FileFormatError, match=r"state of part does not fit: 1 arrays of shapes \(1,\) in the file"):
        Checkpoint(tmp_path / "v", part=other).restore()
    with pytest.raises(FileFormatError, match="it holds part, and this Checkpoint was given another"):
        Checkpoint(tmp_path / "v", another=one).restore()
    with pytest.raises(ArgumentError, match="'part' is a object, and its state is not known"):
        Checkpoint(tmp_path, part=object())
    with pytest.raises(ArgumentError, match="not written by fit"):
        fit(tmp_path / "v")
    fit(tmp_path / "fit", epochs=1)
    with pytest.raises(FileFormatError, match="was written by fit"):
        Checkpoint(tmp_path / "fit").restore()
    with pytest.raises(FileFormatError, match="has shape"):
        fit(tmp_path / "fit", model=classifier(units=6))
    with pytest.raises(ArgumentError, match="started with the callbacks none"):
        fit(tmp_path / "fit", callbacks=[lamina.callbacks.EarlyStopping("loss")])
    with pytest.raises(ArgumentError, match="Give the same data, batch_size and shuffle"):
        fit(tmp_path / "fit", batch_size=4)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8)
    forms = {"arrays": ((X, Y), {"batch_size": 8, "shuffle": False}), "a loader over arrays": ((loader,), {}),
             "batches that come one by one": ((iter([(X[:8], Y[:8])] * 3),), {})}  # fmt: skip
    for before, (data, options) in forms.items():
        folder = tmp_path / before
        classifier().fit(*data, verbose=0, checkpoint=folder, **options)
        for now, (data, options) in forms.items():
            if now != before:
                with pytest.raises(ArgumentError, match=f"trained on {before}, and now it is given {now}"):
                    classifier().fit(*data, epochs=2, verbose=0, checkpoint=folder, resume=True, **options)
    with pytest.raises(ArgumentError, match="checkpoints of an earlier run"):
        fit(tmp_path / "fit", resume=False)
    (tmp_path / "file").touch()
    for argument in ("checkpoint", "record"):
        with pytest.raises(ArgumentError, match=f"{argument}: .* is a file, and a folder is needed"):
            classifier().fit(X, Y, **{argument: tmp_path / "file"})
    with pytest.raises(ArgumentError, match="resume=True needs checkpoint="):
        classifier().fit(X, Y, resume=True)


# --- fit ----------------------------------------------------------------------------------------------
def test_a_finished_run_is_only_read(tmp_path: Path) -> None:
    model, history = fit(tmp_path)
    events: list[str] = []
    again, found = fit(tmp_path)
    assert found == history and not events
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_epochs_than_the_finished_run_had(tmp_path: Path) -> None:
    lamina.random.seed(3)
    model, history = fit(tmp_path / "whole", epochs=5)
    lamina.random.seed(3)
    fit(tmp_path / "parts", epochs=2)
    again, found = fit(tmp_path / "parts", epochs=5)
    assert found == history
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_full_disk_ends_no_training(tmp_path: Path) -> None:
    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path, every=1, asynchronous=False)

    fit(checkpoint(), epochs=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with disk.using(FragileDisk(full_at=range(10_000))), pytest.warns(UserWarning, match="could not be written.*space"):
        _, history = fit(checkpoint(), epochs=3)
    assert len(history["loss"]) == 3
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(checkpoint(), epochs=3)[1] == history
    values = lamina.Variable(np.zeros(3))
    with disk.using(FragileDisk(full_at=range(10_000))):
        with pytest.raises(OSError, match="No space left"):
            Checkpoint(tmp_path / "own", asynchronous=False, values=values).save()
        behind = Checkpoint(tmp_path / "own", values=values)
        behind.save()
        with pytest.raises(OSError, match="No space left"):
            behind.close()
    assert not any((tmp_path / "own").iterdir())


def test_the_step_hardly_waits(tmp_path: Path) -> None:
    """A slow disk holds up only the thread that writes, and what is saved is the state of that moment."""
    flushing = threading.Event()

    class Slow(disk.Disk):
        def flush(self, path: Path) -> None:
            assert flushing.wait(60)
            super().flush(path)

    value = lamina.Variable(np.zeros(100_000, "float32"))
    with disk.using(Slow()):
        checkpoint = Checkpoint(tmp_path, value=value)
        checkpoint.save()
        value.assign(np.ones(100_000, "float32"))
        assert checkpoint.folder.busy
        flushing.set()
        checkpoint.close()
    assert read_state(max(tmp_path.iterdir()))["parts"]["value"].max() == 0
