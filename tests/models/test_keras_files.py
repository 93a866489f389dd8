"""Files of real Keras: its weights in our models and ours in its models give the same predictions."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.core.errors import ArgumentError, FileFormatError

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)


def convolutional(models: Any, layers: Any) -> Any:
    """Two branches, a model inside, batch normalization."""
    inputs = layers.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    x = layers.Flatten()(x)
    inner = models.Sequential([layers.Dense(6), layers.Dense(5)])
    return models.Model(inputs, layers.Dense(2)(layers.Add()([layers.Dense(5, activation="relu")(x), inner(x)])))


def recurrent(models: Any, layers: Any) -> Any:
    return models.Sequential(
        [
            layers.Input((5, 3)),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
            layers.TimeDistributed(layers.Dense(3)),
            layers.GRU(4),
            layers.Dropout(0.5),
            layers.LayerNormalization(),
        ]
    )


def attentive(models: Any, layers: Any) -> Any:
    inputs = layers.Input((4, 6))
    return models.Model(inputs, layers.MultiHeadAttention(2, 3)(inputs, inputs))


def several(models: Any, layers: Any) -> Any:
    """A dict of inputs, a list of outputs, a shared layer."""
    a, b = layers.Input((3,), name="a"), layers.Input((3,), name="b")
    shared = layers.Dense(4)
    return models.Model({"a": a, "b": b}, [shared(a), layers.Concatenate()([shared(b), a])])


def subclassed(models: Any, layers: Any) -> Any:
    class Net(models.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.zero = layers.Dense(2)
            self.blocks = [layers.Dense(3), layers.Dense(3)]
            self.scale = self.add_weight(shape=(2,), initializer="ones")

        def call(self, inputs: Any) -> Any:
            x = inputs
            for block in self.blocks:
                x = block(x)
            return self.zero(x) * self.scale

    return Net()


CASES = [convolutional, recurrent, attentive, several, subclassed]
SHAPES: dict[Any, Any] = {
    convolutional: (2, 6, 6, 3),
    recurrent: (2, 5, 3),
    attentive: (2, 4, 6),
    several: (2, 3),
    subclassed: (2, 3),
}


def inputs_of(case: Any) -> Any:
    x = RNG.standard_normal(SHAPES[case]).astype(np.float32)
    return {"a": x, "b": x + 1} if case is several else x


def assert_same_outputs(a: Any, b: Any, x: Any) -> None:
    one, other = a.predict(x, verbose=0), b.predict(x, verbose=0)
    for p, q in zip(one, other, strict=True) if isinstance(one, list) else [(one, other)]:
        np.testing.assert_allclose(p, q, rtol=1e-4, atol=1e-5)


def scrambled(model: Any, x: Any) -> Any:
    model.predict(x, verbose=0)
    model.set_weights([RNG.uniform(0.1, 1, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("case", CASES)
def test_weights_both_ways(case: Any, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    x = inputs_of(case)
    theirs = scrambled(case(keras, _namespace(keras)), x)
    for ending in (".weights.h5", ".keras", ".h5")[: 1 if case is subclassed else 3]:
        path = tmp_path / f"theirs{ending}"
        theirs.save_weights(path) if ending == ".weights.h5" else theirs.save(path)
        ours = scrambled(case(lamina, lamina.layers), x)
        assert ours.load_weights(path).complete
        assert_same_outputs(ours, theirs, x)
    ours = scrambled(ours, x)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_same_outputs(ours, theirs, x)


@pytest.mark.parametrize("case", CASES[:4])
def test_models_both_ways(case: Any, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    x = inputs_of(case)
    theirs = scrambled(case(keras, _namespace(keras)), x)
    ours = scrambled(case(lamina, lamina.layers), x)
    for ending in (".keras", ".h5"):
        theirs.save(tmp_path / f"theirs{ending}")
        assert_same_outputs(lamina.models.load_model(tmp_path / f"theirs{ending}"), theirs, x)
        ours.save(tmp_path / f"ours{ending}")
        assert_same_outputs(keras.models.load_model(tmp_path / f"ours{ending}"), ours, x)
        assert_same_outputs(lamina.models.load_model(tmp_path / f"ours{ending}"), ours, x)


def _namespace(keras: Any) -> Any:
    return keras.layers


def small() -> Any:
    model = lamina.Sequential([lamina.Input((3,)), lamina.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def test_training_goes_on_from_a_file(tmp_path: Path) -> None:
    x, y = RNG.standard_normal((8, 3)).astype(np.float32), RNG.standard_normal((8, 2)).astype(np.float32)
    model = small()
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = lamina.models.load_model(tmp_path / "model.keras")
    assert model.train_on_batch(x, y) == again.train_on_batch(x, y)
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.keras"]


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "m.weights.h5"
    other = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(2), lamina.layers.Dense(1)])
    other.save_weights(path)
    before = model.get_weights()[0]
    with pytest.raises(FileFormatError, match="only in the file: layers/dense_1/0"):
        model.load_weights(path)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert model.load_weights(path, strict=False).loaded == ["layers/dense/1"]
    for name in ("bad.keras", "bad.weights.h5"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(FileFormatError, match="no readable file"):
            model.load_weights(tmp_path / name)
    with pytest.raises(FileFormatError, match="no readable file"):
        lamina.models.load_model(tmp_path / "bad.keras")
    with pytest.raises(FileFormatError, match="File not found"):
        lamina.models.load_model(tmp_path / "none.keras")
    with pytest.raises(ArgumentError, match="Invalid filepath extension for saving"):
        model.save(tmp_path / "model.png")


def test_links_are_not_followed(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "m.weights.h5"
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file.create_dataset("0", data=np.zeros((3, 2), np.float32))
    for make in (
        lambda group: group.__setitem__("0", h5py.ExternalLink(str(secret), "/0")),
        lambda group: group.__setitem__("0", h5py.SoftLink("/layers")),
        lambda group: group.create_virtual_dataset("0", _virtual(secret)),
    ):
        model.save_weights(path)
        with h5py.File(path, "a") as file:
            del file["layers/dense/vars/0"]
            make(file["layers/dense/vars"])
        with pytest.raises(FileFormatError, match="ExternalLink|SoftLink|another file"):
            model.load_weights(path)


def _virtual(source: Path) -> Any:
    layout = h5py.VirtualLayout(shape=(3, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(str(source), "0", shape=(3, 2))
    return layout


def test_a_file_names_no_class_of_ours_that_is_not_there(tmp_path: Path) -> None:
    small().save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1]["module"] = "os"
    config["config"]["layers"][1]["class_name"] = "system"
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    with pytest.raises(ArgumentError, match="'system' is not a registered"):
        lamina.models.load_model(tmp_path / "model.keras")
