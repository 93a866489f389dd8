"""Loading never runs code: the sources are searched, and files made to do harm are loaded."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import LaminaError
from lamina.datasets._object_arrays import read_npz
from lamina.models import load_model
from lamina.training import Checkpoint, replay
from lamina.training.checkpoint import read_state

SOURCE = Path(lamina.__file__).parent


# --- the sources ----------------------------------------------------------------------------------------
# What may run code, and the places where it stands for another reason than reading a file of a model or data.
DANGEROUS = {"eval", "exec", "__import__", "compile", "execfile"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "importlib", "imp", "runpy", "joblib"}
WORDS = re.compile(rf"\b({'|'.join(sorted(DANGEROUS | MODULES))}|yaml)\b|np\.load")
ELSEWHERE = {
    ("__init__.py", "importlib"): "heavy parts of the package load when they are first named, from a fixed list",
    ("core/optional.py", "importlib"): "optional packages, by names that stand in the code",
    ("cli/__init__.py", "runpy"): "lamina replay --code runs the file that the user names on the command line",
    ("data/transport.py", "pickle"): "samples between a loader and the workers that it has started",
    ("data/worker_main.py", "pickle"): "a worker hands its error to the loader that has started it",
    ("data/workers.py", "pickle"): "a loader hands the user's data set to the workers that it starts",
}


def uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that may run code, and their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            allowed = [k.value for k in node.keywords if k.arg == "allow_pickle"]
            owner = getattr(node.func.value, "id", "")
            if owner == "np" and node.func.attr == "load" and not any(
                isinstance(v, ast.Constant) and v.value is False for v in allowed
            ):
                yield "np.load with pickles", node.lineno
            if owner == "yaml" or (owner == "builtins" and node.func.attr in DANGEROUS):
                yield f"{owner}.{node.func.attr}", node.lineno


def test_no_source_runs_code_that_it_reads() -> None:
    found, stale = [], set(ELSEWHERE)
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        text = path.read_text()
        if not WORDS.search(text):
            continue
        tree = ast.parse(text)
        own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for what, line in uses(tree):
            # A function of the module's own that is called `compile` is not Python's.
            suspicious = (what in DANGEROUS and what not in own) or what in MODULES or "." in what
            imported = what == "compile" and "import compile" in text
            if (name, what) in ELSEWHERE:
                stale.discard((name, what))
            elif suspicious and not imported:
                found.append(f"{name}:{line}: {what}")
    assert not found, "\n".join(found)
    assert not stale, f"no longer there: {stale}"


# --- files made to do harm ----------------------------------------------------------------------------------
def net() -> Any:
    return lamina.Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(2)])


def forged(path: Path, config: Any, **more: str) -> Path:
    """A file of a model with this configuration."""
    net().save(path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].pop("header_crc32")
    header["__metadata__"].update(config=config if isinstance(config, str) else json.dumps(config), **more)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return path


def sequential(*inner: Any) -> dict[str, Any]:
    config = lamina.serialization.serialize(net())
    config["config"]["layers"] = [config["config"]["layers"][0], *inner]
    return {"model": config, "inputs": None}


def layer(name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": name, "registered_name": f"lamina.layers>{name}", "config": config}


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m.pkl", "m.ckpt", "m.keras", "m.h5", "m.weights.h5"])
def test_pickles_are_refused(tmp_path: Path, protocol: int, name: str) -> None:
    path, canary = tmp_path / name, tmp_path / "canary"
    path.write_bytes(pickle.dumps({"weights": Canary(canary)}, protocol))
    for load in (load_model, net().load_weights, read_state, replay):
        with pytest.raises(LaminaError):
            load(path)
    if protocol >= 2 and name in ("m.safetensors", "m.pt", "m.pkl"):
        with pytest.raises(LaminaError, match="is a pickle: reading it could run any code, so Lamina does not"):
            load_model(path)
    assert not canary.exists()


def test_pickles_inside_of_archives_are_refused(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(canary)))
    with pytest.raises(LaminaError, match="as torch.save writes it with a pickle inside"):
        net().load_weights(tmp_path / "model.pt")
    objects = np.empty(1, object)
    objects[0] = Canary(canary)
    buffer = io.BytesIO()
    np.savez(buffer, x=objects)
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(LaminaError):
        read_npz(tmp_path / "x.npz", ("x",))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-0000000000.safetensors").write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(LaminaError, match="No checkpoint in .* can be read"):
        Checkpoint(tmp_path / "checkpoints").restore()
    assert not canary.exists()


NAMES = ["os>system", "builtins>eval", "subprocess>Popen", "lamina.core.optional>require", "lamina>__import__", "eval"]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_in_a_file_is_imported(tmp_path: Path, name: str) -> None:
    short = name.split(">")[-1]
    canary = tmp_path / "canary"
    command = f"touch {canary}"
    for config in (
        {"class_name": short, "registered_name": name, "config": command},
        {"class_name": short, "registered_name": name, "module": "os", "config": {"command": command}},
        {"class_name": "function", "registered_name": name, "config": short},
        layer("Lambda", function={"class_name": "function", "registered_name": name, "config": short}),
        layer("Activation", activation=name),
        layer("Dense", units=2, kernel_initializer={"module": "os", "class_name": short, "config": {"cmd": command}}),
    ):
        for whole in ({"model": config, "inputs": None}, sequential(config)):
            with pytest.raises(LaminaError):
                load_model(forged(tmp_path / "m.safetensors", whole))
    assert not canary.exists()


def test_marshalled_functions_of_keras_are_refused(tmp_path: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    with pytest.raises(LaminaError):
        load_model(forged(tmp_path / "m.safetensors", sequential(layer("Lambda", function=code))))


def test_no_other_file_is_opened(tmp_path: Path) -> None:
    """A vocabulary that is the name of a file would bring any file of the machine into the model."""
    secret = tmp_path / "secret"
    secret.write_text("a\nb\n")
    for name in ("StringLookup", "TextVectorization"):
        config = layer(name, vocabulary=str(secret))
        with pytest.raises(LaminaError, match="names another file"):
            load_model(forged(tmp_path / "m.safetensors", sequential(config)))
    assert layers.StringLookup(vocabulary=str(secret)).vocabulary_size() == 3  # by the user's own hand it is


# --- memory and time ----------------------------------------------------------------------------------------
def refused_cheaply(path: Path, words: str) -> None:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(LaminaError, match=words):
        load_model(path)
    assert time.process_time() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10


@pytest.mark.parametrize(
    "inner",
    [
        [layer("Dense", units=10**12)],
        [layer("Dense", units=10**30)],
        [layer("Dense", units=30_000)] * 40,
        [layer("Embedding", input_dim=10**9, output_dim=10**6)],
        [layer("Reshape", target_shape=[2, 2]), layer("LSTM", units=10**7)],
        [layer("BatchNormalization"), layer("Dense", units=5, dtype="float64"), layer("Dense", units=10**10)],
        [layer("Dense", units=10**7, kernel_initializer="orthogonal")],
    ],
)
def test_weights_that_the_file_does_not_hold(tmp_path: Path, inner: list[Any]) -> None:
    refused_cheaply(forged(tmp_path / "m.safetensors", sequential(*inner)), "far less|does not describe|weights do not")


def test_json_bombs(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    refused_cheaply(forged(path, "[" * 200_000 + "]" * 200_000), "nested")
    refused_cheaply(forged(path, '{"a":' * 900 + "1" + "}" * 900), "nested")
    refused_cheaply(forged(path, "[" + "[]," * 3_000_000 + "[]]"), "values; 2,000,000 are allowed")
    refused_cheaply(forged(path, '{"model": 1, "model": 2}'), "stands twice")
    refused_cheaply(forged(path, "9" * 1_000_000), "damaged")
    for length in (2**63, 2**40, 65 << 20):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        refused_cheaply(path, "no .safetensors file|cut off in the header")
    nested: Any = {"class_name": "Sequential", "registered_name": "lamina.models>Sequential", "config": {"layers": []}}
    for _ in range(70):
        nested = {**nested, "config": {"name": "net", "layers": [nested]}}
    refused_cheaply(forged(path, {"model": nested, "inputs": None}), "is nested more than 200 levels deep")


def test_a_file_larger_than_the_memory(tmp_path: Path) -> None:
    """A file with holes, which takes no place on the disk."""
    path = tmp_path / "m.safetensors"
    size = 1 << 50
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        try:
            file.truncate(8 + len(header) + size)
        except OSError:
            file.truncate(8 + len(header) + (1 << 43))
    refused_cheaply(path, "more than this machine's memory|cut off")


def test_archives_that_unpack_to_far_more(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="files of Keras need h5py")
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (80 << 20) + b"{}")
        archive.writestr("model.weights.h5", b"")
    refused_cheaply(path, "would take 83,886,082 bytes")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "float32", chunks=(1000, 1000))
    with pytest.raises(LaminaError, match="would take 4,000,000,000,000 bytes"):
        net().load_weights(tmp_path / "w.weights.h5")
