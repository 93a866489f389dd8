"""Files: round trips, damaged and cut-off files, interrupted writes, nothing that runs code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core import disk
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.models import load_model
from lamina.models.file_format import read_tensors, write_tensors


def mlp() -> lamina.Sequential:
    return lamina.Sequential(
        [layers.Input((4,)), layers.Dense(6, "relu"), layers.BatchNormalization(), layers.Dropout(0.3), layers.Dense(3)]
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    mlp().save(path)
    return path


X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = np.arange(32) % 3


# --- round trips ------------------------------------------------------------------------------------
def test_a_trained_model_goes_on_as_if_never_saved(tmp_path: Path) -> None:
    lamina.random.seed(3)
    model = mlp()
    model.compile(
        lamina.optimizers.Adam(0.01),
        lamina.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", lamina.metrics.SparseCategoricalCrossentropy(from_logits=True, name="ce")],
    )
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    assert again.evaluate(X, Y, verbose=0, return_dict=True) == model.evaluate(X, Y, verbose=0, return_dict=True)
    assert int(again.optimizer.iterations) == 2
    # Optimizer state and dropout's random state are restored: the next epoch gives the same bits.
    a = model.fit(X, Y, verbose=0, shuffle=False).history
    assert again.fit(X, Y, verbose=0, shuffle=False).history == a
    for v, w in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)


def test_one_file_that_others_can_read(file: Path) -> None:
    safe_open = pytest.importorskip("safetensors").safe_open
    assert sorted(p.name for p in file.parent.iterdir()) == ["model.safetensors"]
    with safe_open(file, "numpy") as opened:
        metadata, names = opened.metadata(), set(opened.keys())
        assert opened.get_tensor("weights/dense/kernel").shape == (4, 6)
    assert metadata["format"] == "lamina" and json.loads(metadata["config"])["model"]["class_name"] == "Sequential"
    assert {"weights/dense/bias", "weights/dense_1/kernel", "weights/batch_normalization/moving_mean"} <= names


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_dtypes(tmp_path: Path, dtype: str) -> None:
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 needs the extra of that name")
    model = lamina.Sequential([layers.Input((4,), dtype=dtype), layers.Dense(2, dtype=dtype)])
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    assert again.weights[0].dtype.name == dtype
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@lamina.register_serializable("tests")
class Net(lamina.Model):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.blocks = [layers.Dense(units, "relu"), layers.Dense(1)]

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


def test_subclassed_and_deferred_models(tmp_path: Path) -> None:
    for model in (Net(5), lamina.Sequential([layers.Dense(3), layers.Dense(1)])):
        model(X)
        model.save(tmp_path / "m.safetensors")
        again = load_model(tmp_path / "m.safetensors")
        assert type(again) is type(model)
        np.testing.assert_array_equal(again(X).numpy(), model(X).numpy())


def test_loading_in_a_fresh_process(tmp_path: Path) -> None:
    """Whatever a file names is registered by importing ``lamina.models`` alone."""
    x = layers.Input((4,))
    model = lamina.Model(x, layers.Dense(3)(x * 2 + 1)[:, :2])
    model.compile(
        lamina.optimizers.Adam(lamina.optimizers.schedules.CosineDecay(0.1, 100)),
        lamina.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[lamina.metrics.SparseCategoricalAccuracy()],
    )
    model.save(tmp_path / "m.safetensors")
    code = f"import lamina; print(lamina.models.load_model({str(tmp_path / 'm.safetensors')!r}).optimizer)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<Adam")


def test_classes_that_are_not_registered(tmp_path: Path) -> None:
    class Unknown(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    model = lamina.Sequential([layers.Input((4,)), Unknown(), layers.Dense(1)])
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(ArgumentError, match="'Unknown' is not a registered class"):
        load_model(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors", custom_objects={"Unknown": Unknown})
    np.testing.assert_array_equal(again(X).numpy(), model(X).numpy())


def test_an_unregistered_loss_is_left_out_with_a_warning(tmp_path: Path) -> None:
    model = mlp()
    model.compile("sgd", lambda y, p: lamina.mean((y - p) ** 2, axis=-1))
    with pytest.warns(UserWarning, match="not saved: .* not registered"):
        model.save(tmp_path / "m.safetensors")
    assert load_model(tmp_path / "m.safetensors").optimizer is None


# --- weights alone ----------------------------------------------------------------------------------
def test_weights_fit_by_structure_not_by_name(tmp_path: Path) -> None:
    first, second = mlp(), mlp()
    first.save_weights(tmp_path / "w.safetensors")
    report = second.load_weights(tmp_path / "w.safetensors")
    assert report.complete and len(report.loaded) == 8
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    third = mlp()
    first.save(tmp_path / "m.safetensors")
    assert third.load_weights(tmp_path / "m.safetensors").complete


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    mlp().save_weights(tmp_path / "w.safetensors")
    other = lamina.Sequential([layers.Input((4,)), layers.Dense(6), layers.Dense(5), layers.Dense(1)])
    before = other.get_weights()
    words = (
        r"2 weights fit; not in the file: dense_2/kernel, dense_2/bias; only in the file: .*dense_1/kernel has shape"
    )
    with pytest.raises(FileFormatError, match=words):
        other.load_weights(tmp_path / "w.safetensors")
    for a, b in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)  # nothing was changed
    report = other.load_weights(tmp_path / "w.safetensors", strict=False)
    assert report.loaded == ["dense/kernel", "dense/bias"] and len(report.unexpected) == 4
    assert report.mismatched[0] == ("dense_1/kernel", (6, 5), (6, 3))
    with pytest.raises(FileFormatError, match="weights only"):
        load_model(tmp_path / "w.safetensors")
    with pytest.raises(ArgumentError, match="no weights yet"):
        lamina.Sequential([layers.Dense(1)]).save_weights(tmp_path / "w2.safetensors")


# --- damaged files ------------------------------------------------------------------------------------
def test_every_truncation_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for length in [*range(40), *range(40, len(whole), 37), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"model\.safetensors: "):
            load_model(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(FileFormatError, match="1 bytes follow the last tensor"):
        load_model(file)
    file.write_bytes(whole)
    load_model(file)


def test_every_damaged_byte_is_noticed_or_harmless(file: Path) -> None:
    """A flipped bit gives a typed error, or the same model."""
    whole = file.read_bytes()
    wanted = load_model(file).get_weights()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            found = load_model(file).get_weights()
        except lamina.LaminaError:
            continue
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_damage_in_the_tensors_is_named(file: Path) -> None:
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(FileFormatError, match=r"the bytes of tensor '.*' have changed since it was written"):
        load_model(file)


def rewrite(path: Path, change: Any) -> None:
    """Change the header of a file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].pop("header_crc32")
    change(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data[8 + length :])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: h["weights/dense/kernel"].update(dtype="F7"), "tensor 'weights/dense/kernel' has dtype 'F7'"),
        (lambda h: h["weights/dense/kernel"].update(shape=[4, -6]), r"damaged \(shape \[4, -6\]\)"),
        (lambda h: h["weights/dense/kernel"].update(shape=[4, 7]), "takes 112 bytes and is given 96"),
        (lambda h: h["weights/dense/kernel"].update(data_offsets="x"), "data_offsets 'x'"),
        (lambda h: h["weights/dense/kernel"].update(data_offsets=[7, 103]), "starts at byte"),
        (lambda h: h["__metadata__"].update(format="other"), "holds no Lamina model"),
        (lambda h: h["__metadata__"].update(format_version="9"), "format version '9'"),
        (lambda h: h["__metadata__"].update(config="{"), "the configuration in its metadata is damaged"),
        (lambda h: h["__metadata__"].update(config="{}"), "the configuration in its metadata is damaged"),
        (lambda h: h["__metadata__"].update(config='{"model": 3}'), "does not describe a model"),
        (lambda h: h["__metadata__"].update(crc32="[]"), "checksums in its metadata are damaged"),
        (lambda h: h.update(__metadata__=[1]), "metadata in its header is damaged"),
        (lambda h: h.update({"other/x": h.pop("weights/dense/bias")}), "checksum|belongs to no part"),
    ],
)
def test_damaged_headers(file: Path, change: Any, words: str) -> None:
    rewrite(file, change)
    with pytest.raises(FileFormatError, match=words):
        load_model(file)


def test_no_file_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        load_model(tmp_path / "missing.safetensors")
    (tmp_path / "image.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(FileFormatError, match=r"no \.safetensors file"):
        load_model(tmp_path / "image.safetensors")
    with pytest.raises(ArgumentError, match="does not end in .safetensors"):
        mlp().save(tmp_path / "model.png")


def test_loading_never_looks_names_up_by_importing(file: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        config = json.loads(header["__metadata__"]["config"])
        config["model"].update(class_name="system", registered_name="os>system", config="echo")
        header["__metadata__"]["config"] = json.dumps(config)

    rewrite(file, change)
    with pytest.raises(ArgumentError, match="'os>system' is not a registered class"):
        load_model(file)


# --- interrupted writes -------------------------------------------------------------------------------
@pytest.mark.parametrize("where", ["fsync", "replace", "chmod"])
def test_an_interrupted_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    old = file.read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(disk.os, where, fail)
    with pytest.raises(OSError, match="disk full"):
        mlp().save(file)
    monkeypatch.undo()
    assert file.read_bytes() == old
    assert [p.name for p in file.parent.iterdir()] == ["model.safetensors"]  # and no remains
    load_model(file)


def test_overwriting(file: Path) -> None:
    with pytest.raises(ArgumentError, match="exists already"):
        mlp().save(file, overwrite=False)
    mlp().save(file)
    assert os.stat(file).st_mode & 0o444 == 0o444 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", ["bool", "int8", "int64", "uint8", "uint64", "float16", "float32", "float64"])
def test_the_safetensors_package_reads_and_writes_the_same_files(name: str, tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(6).reshape(2, 3).astype(name), "empty": np.zeros((0, 4), name), "one": np.ones((), name)}
    write_tensors(tmp_path / "ours.safetensors", arrays, {"note": "kept"})
    package.save_file(arrays, tmp_path / "theirs.safetensors", {"note": "kept"})
    loaded = [package.load_file(tmp_path / "ours.safetensors"), read_tensors(tmp_path / "theirs.safetensors")[0]]
    for found in loaded:
        assert found.keys() == arrays.keys()
        for key, array in arrays.items():
            assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found[key], array)
