"""Keras's files: ``.weights.h5``, ``.keras`` and the older ``.h5``, read and written (needs ``h5py``).

A ``.keras`` file is a zip archive with ``metadata.json``, ``config.json`` and ``model.weights.h5``.  In a weights
file each layer is a group, found by the attribute of its parent that holds it, with its variables as
``vars/0``, ``vars/1``...  Reading runs no code from a file and follows no links out of it.
"""

from __future__ import annotations

import datetime
import io
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamina.config import snake_case
from lamina.core import dtypes
from lamina.core.disk import replace_file
from lamina.core.errors import FileFormatError, LaminaError
from lamina.core.limits import memory_limit, read_json
from lamina.core.optional import require
from lamina.layers import Layer
from lamina.models.base import Model
from lamina.models.hdf5 import PURPOSE, Group, read_hdf5
from lamina.models.keras_config import from_keras, to_keras
from lamina.models.saving import SLACK, LoadReport, assign, build_again, compile_config, describe_inputs
from lamina.models.sequential import Sequential
from lamina.serialization import custom_object_scope, deserialize, serialize
from lamina.tensor import Variable

KERAS_VERSION = "3.15.1"  # whose format is written
ARCHIVE_ERRORS = (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError, EOFError, zlib.error)
MOST_UNPACKED = 100  # times as large as the file is what is packed in it, at most


def _h5py() -> Any:
    return require("h5py", "h5", PURPOSE)


# --- where things are ---------------------------------------------------------------------------
def places(model: Any) -> dict[str, list[Variable]]:
    """The variables of the model and of every layer in it by the path of their group."""
    return {path: layer._stored_variables() for path, layer in groups(model).items()}


def groups(model: Any) -> dict[str, Layer]:
    """The model and every layer in it by the path of their group."""
    found: dict[str, Layer] = {}
    seen: set[int] = set()

    def visit(layer: Layer, path: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        found[path] = layer
        for name, child in _children(layer):
            visit_any(child, f"{path}/{name}" if path else name)

    def visit_any(child: Any, path: str) -> None:
        if isinstance(child, Layer):
            visit(child, path)
            return
        if id(child) in seen:
            return
        seen.add(id(child))
        used: dict[str, int] = {}
        for item in child.values() if isinstance(child, dict) else child:
            if isinstance(item, Layer | list | tuple | dict):
                kind = _class_name(item) if isinstance(item, Layer) else "container"
                number = used[kind] = used.get(kind, -1) + 1
                visit_any(item, f"{path}/{kind}_{number}" if number else f"{path}/{kind}")

    visit(model, "")
    return found


def _class_name(layer: Layer) -> str:
    return "functional" if type(layer) is Model else snake_case(type(layer).__name__)


def _children(layer: Layer) -> Iterator[tuple[str, Any]]:
    is_graph = isinstance(layer, Sequential) or (isinstance(layer, Model) and layer._graph is not None)
    if is_graph:
        yield "layers", layer.layers
    attributes = {k: v for k, v in vars(layer).items() if k not in layer._untracked | {"_stack", "_flow"}}
    if isinstance(layer, Model) and not is_graph:
        attributes["layers"] = layer.layers
    for name in sorted(attributes, key=lambda n: f"~{n}" if n.startswith("_") else n):
        value = attributes[name]
        if isinstance(value, Layer | list | tuple | dict):
            yield name.removeprefix("_"), value


# --- reading --------------------------------------------------------------------------------------
def _array(group: Group, name: str, where: str) -> np.ndarray | None:
    data = group.find(name, where)
    if data is None:
        return None
    if isinstance(data, Group):
        raise FileFormatError(f"{where}: {name} is a group, and an array was expected.")
    array = data.array
    if data.attrs.get("dtype") == "bfloat16" and array.dtype.itemsize == 2:
        array = array.view(np.uint16).view(dtypes.as_dtype("bfloat16"))
    return array


def _read(model: Any, file: Group, where: str) -> dict[str, np.ndarray]:
    """The arrays of a file by ``path/index``, for the places of a model."""
    older = file.find("model_weights", where)
    if isinstance(older, Group) or "layer_names" in file.attrs:
        return _read_older(model, older if isinstance(older, Group) else file, where)
    arrays: dict[str, np.ndarray] = {}

    def collect(group: Group, path: str) -> None:
        for name in group:
            entry = group.find(name, where)
            if not isinstance(entry, Group):
                continue
            if name == "vars":
                for index in entry:
                    array = _array(entry, index, where)
                    if array is not None:
                        arrays[f"{path}/{index}"] = array
            elif not (path == "" and name == "optimizer"):
                collect(entry, f"{path}/{name}" if path else name)

    collect(file, "")
    known = {f"{path}/{i}" for path, own in places(model).items() for i in range(len(own))}
    # Private attributes have an underscore in some of Keras's files and none in others.
    plain = {"/".join(part.removeprefix("_") for part in key.split("/")): key for key in arrays}
    return {(key if key in known else plain_key): arrays[key] for plain_key, key in plain.items()}


def _read_older(model: Any, group: Group, where: str) -> dict[str, np.ndarray]:
    """The arrays of the older ``.h5`` format, which lists the layers in order."""

    def names(entry: Any, attribute: str) -> list[str]:
        listed = entry.attrs.get(attribute, []) if entry is not None else []
        if not isinstance(listed, list):
            raise FileFormatError(f"{where} is damaged: its {attribute} are no list.")
        return [str(name) for name in listed]

    stored = [(n, names(group.find(n, where), "weight_names")) for n in names(group, "layer_names")]
    stored = [(n, weights) for n, weights in stored if weights]
    layers = [layer for layer in model.layers if layer.weights]
    if len(stored) != len(layers):
        hint = "" if layers else " Where its class makes weights in its first call, call it once and use load_weights."
        raise FileFormatError(f"{where} holds weights of {len(stored)} layers, and the model has {len(layers)}.{hint}")
    where_is = {id(v): f"{path}/{i}" for path, own in places(model).items() for i, v in enumerate(own)}
    arrays: dict[str, np.ndarray] = {}
    for layer, (name, weights) in zip(layers, stored, strict=True):
        variables = layer.trainable_weights + layer.non_trainable_weights
        if len(weights) != len(variables):
            raise FileFormatError(
                f"{where}: its layer {name!r} has {len(weights)} weights, and layer {layer.name!r} {len(variables)}."
            )
        for variable, weight in zip(variables, weights, strict=True):
            array = _array(group, f"{name}/{weight}", where)
            if array is not None:
                arrays[where_is[id(variable)]] = array
    return arrays


def load_keras_weights(model: Any, path: Path, strict: bool = True, file: Group | None = None) -> LoadReport:
    """Set the weights of a model from a ``.keras``, ``.weights.h5``, ``.weights.json`` or ``.h5`` file.

    Args:
        model: the model.
        path: the file.
        strict: whether all weights must be there and fit.
        file: what the file holds, where it has been read already.

    Raises:
        FileFormatError: the file is damaged or does not fit the model; nothing is changed then.
    """
    layers = groups(model)
    special = {place: layer for place, layer in layers.items() if _loads_itself(layer)}
    variables = {
        f"{place}/{i}": v
        for place, layer in layers.items()
        for i, v in enumerate(layer._stored_variables())
        if place not in special
    }
    if path.suffix == ".json":
        from lamina.models.sharded import read_sharded

        arrays = read_sharded(model, path)
    else:
        arrays = _read(model, _open(path) if file is None else file, str(path))
    if not set(variables) <= set(arrays):
        arrays = _under_own_names(layers, arrays)
    stores: dict[str, dict[str, np.ndarray]] = {place: {} for place in special}
    for key in list(arrays):
        place, _, index = key.rpartition("/")
        if place in special:
            stores[place][index] = arrays.pop(key)
    arrays = {k: a.astype(variables[k].dtype) if k in variables else a for k, a in arrays.items()}
    report = assign(variables, arrays, path, strict)
    for place, layer in special.items():
        layer.load_own_variables(stores[place])
    for place in layers.keys() - special.keys():
        layers[place]._after_loading()
    return report


def _under_own_names(layers: dict[str, Layer], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by the places of the layers, where a property of a class gives a layer a second name."""
    renamed: dict[str, str] = {}  # place in the file -> place here
    for path, layer in layers.items():
        parent = layers.get(path.rpartition("/")[0]) if path else None
        if parent is None or any(key.rpartition("/")[0] == path for key in arrays):
            continue
        for cls in type(parent).__mro__:
            if cls.__module__.startswith("lamina."):
                break
            for name, value in vars(cls).items():
                if isinstance(value, property) and getattr(parent, name, None) is layer:
                    start = path.rpartition("/")[0]
                    renamed[f"{start}/{name}" if start else name] = path
    return {_renamed(key, renamed): array for key, array in arrays.items()}


def _renamed(key: str, names: dict[str, str]) -> str:
    place, _, index = key.rpartition("/")
    return f"{names.get(place, place)}/{index}"


def _loads_itself(layer: Layer) -> bool:
    """Whether the layer's class says how its variables are read."""
    return type(layer).load_own_variables is not Layer.load_own_variables


def _open(path: Path) -> Group:
    """The weights in a file, and all else that its HDF5 part holds."""
    if not path.exists():
        raise FileFormatError(f"File not found: {path}.")
    try:
        most = SLACK + MOST_UNPACKED * path.stat().st_size
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return read_hdf5(_member(archive, "model.weights.h5", path), str(path), most)
        return read_hdf5(path, str(path), most)
    except ARCHIVE_ERRORS as error:
        raise FileFormatError(f"{path} is no readable file of Keras: {error}.") from None


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member of an archive, if it is not far larger than the archive."""
    size, whole = archive.getinfo(name).file_size, path.stat().st_size
    if size > SLACK + MOST_UNPACKED * whole:
        raise FileFormatError(f"{path}: {name} would take {size:,} bytes, and the archive has {whole:,}.")
    return archive.read(name)


# --- writing --------------------------------------------------------------------------------------
def _write(model: Any, file: Any, optimizer: bool) -> None:
    for path, layer in groups(model).items():
        group = file.require_group(f"{path}/vars" if path else "vars")
        group.attrs["name"] = path.rpartition("/")[2] or model.name
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        for name, value in store.items():
            _put(group, name, np.asarray(value))
    state = getattr(model, "optimizer", None)
    if optimizer and state is not None and state.built:
        group = file.require_group("optimizer/vars")
        for i, variable in enumerate(state.variables):
            _put(group, str(i), variable.numpy())


def _put(group: Any, name: str, array: np.ndarray) -> None:
    if array.dtype.name == "bfloat16":
        group.create_dataset(name, data=array.view("V2")).attrs["dtype"] = "bfloat16"
    else:
        group.create_dataset(name, data=array)


def _weights_file(model: Any, optimizer: bool) -> bytes:
    buffer = io.BytesIO()
    with _h5py().File(buffer, "w") as file:
        _write(model, file, optimizer)
    return buffer.getvalue()


def save_keras_weights(model: Any, path: Path) -> None:
    """Write a ``.weights.h5`` file that Keras reads."""
    content = _weights_file(model, optimizer=True)
    replace_file(path, lambda temporary: Path(temporary).write_bytes(content))


def save_keras_model(model: Any, path: Path, include_optimizer: bool = True) -> None:
    """Write a ``.keras`` file that Keras reads, if it knows the layers."""
    config = to_keras(serialize(model))
    compiled = compile_config(model)
    if compiled is not None:
        config["compile_config"] = to_keras(compiled)
    inputs = describe_inputs(model)
    if inputs is not None:
        config["lamina_inputs"] = inputs
    when = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = {"keras_version": KERAS_VERSION, "date_saved": when}
    weights = _weights_file(model, include_optimizer)

    def write(temporary: str) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr("metadata.json", json.dumps(metadata))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", weights)

    replace_file(path, write)


def save_older_model(model: Any, path: Path) -> None:
    """Write the older ``.h5`` format: configuration and weights, without the optimizer's state."""
    config = to_keras(serialize(model))
    compiled = compile_config(model)
    buffer = io.BytesIO()
    with _h5py().File(buffer, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = KERAS_VERSION, "lamina"
        file.attrs["model_config"] = json.dumps(config)
        if compiled is not None:
            file.attrs["lamina_compile_config"] = json.dumps(to_keras(compiled))
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name for layer in model.layers]
        for layer in model.layers:
            variables = layer.trainable_weights + layer.non_trainable_weights
            group = root.create_group(layer.name)
            names = [f"{layer.name}/{i}_{v.name.rpartition('/')[2]}" for i, v in enumerate(variables)]
            group.attrs["weight_names"] = names
            for name, variable in zip(names, variables, strict=True):
                _put(group, name, variable.numpy())
    replace_file(path, lambda temporary: Path(temporary).write_bytes(buffer.getvalue()))


def _read_config(path: Path) -> tuple[dict[str, Any], Group | None]:
    """The configuration in a file, with that of ``compile`` as ``compile_config``, and what was read of the rest."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            config = read_json(_member(archive, "config.json", path), f"{path}: config.json")
        return _table(config, path), None
    file = _open(path)
    config = _table(read_json(file.attrs["model_config"], f"{path}: model_config"), path)
    if "lamina_compile_config" in file.attrs:
        compiled = read_json(file.attrs["lamina_compile_config"], f"{path}: lamina_compile_config")
        config["compile_config"] = compiled
    return config, file


def _table(config: Any, path: Path) -> dict[str, Any]:
    if not isinstance(config, dict):
        raise FileFormatError(f"{path}: the configuration is damaged (it is no table).")
    return config


def load_keras_model(path: Path, custom_objects: dict[str, Any] | None = None, compile: bool = True) -> Any:
    """A model from a ``.keras`` or ``.h5`` file, written by Lamina or by Keras 3.

    An ``.h5`` file of Keras does not bring how the model was compiled along.

    Raises:
        FileFormatError: the file is damaged, or does not describe a model that Lamina can make.
        ArgumentError: a class in it is not registered.
    """
    if not path.exists():
        raise FileFormatError(f"File not found: {path}.")
    try:
        config, file = _read_config(path)
    except FileFormatError:
        raise
    except ARCHIVE_ERRORS as error:
        raise FileFormatError(f"{path} is no readable file of Keras: {error}.") from None
    with custom_object_scope(custom_objects or {}), memory_limit(SLACK + MOST_UNPACKED * path.stat().st_size):
        try:
            model = deserialize(from_keras(config))
            shape = (config.get("build_config") or {}).get("input_shape")
            build_again(model, config.get("lamina_inputs"))
            if not model.built and shape is not None:
                model.build(shape)
        except LaminaError:
            raise
        except Exception as error:  # what a constructor makes of nonsense is of any type
            raise FileFormatError(f"{path}: the configuration does not describe a model ({error!r}).") from error
        file = _open(path) if file is None else file
        load_keras_weights(model, path, file=file)
        if compile and config.get("compile_config"):
            try:
                model.compile_from_config(from_keras(config["compile_config"]))
            except LaminaError:
                raise
            except Exception as error:
                raise FileFormatError(f"{path}: how the model was compiled is damaged ({error!r}).") from error
            if path.suffix == ".keras":
                _load_optimizer(model, path, file)
    return model


def _load_optimizer(model: Any, path: Path, file: Group) -> None:
    group = file.find("optimizer/vars", str(path))
    if not isinstance(group, Group) or model.optimizer is None:
        return
    variables = model.optimizer.variables
    arrays = [_array(group, str(i), str(path)) for i in range(len(group))]
    # An optimizer that was never used has written the step count and the learning rate only.
    fits = len(arrays) <= len(variables) and all(
        a is not None and a.shape == v.shape for a, v in zip(arrays, variables, strict=False)
    )
    if not fits or (2 < len(arrays) < len(variables)):
        warnings.warn(
            f"{path}: the state of its optimizer has {len(arrays)} arrays, which are not those of the "
            f"{len(variables)} variables here; the optimizer starts anew.",
            stacklevel=5,
        )
        return
    for variable, array in zip(variables, arrays, strict=False):
        assert array is not None
        variable.assign(array.astype(variable.dtype))
