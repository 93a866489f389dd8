"""Models on disk: one ``.safetensors`` file with the weights, and the configuration in its metadata.

Reading a file never runs code from it: the configuration is JSON, and classes come from the
registry only (see ``lamina.serialization``).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina import layers, losses, metrics, optimizers
from lamina.config import snake_case
from lamina.core.errors import ArgumentError, FileFormatError, LaminaError
from lamina.core.limits import memory_limit, read_json
from lamina.core.trees import flatten, unflatten
from lamina.layers import Layer, operation
from lamina.layers.symbolic import SymbolicTensor
from lamina.models.file_format import read_tensors, write_tensors
from lamina.random import Generator
from lamina.serialization import custom_object_scope, deserialize, serialize
from lamina.tensor import Variable
from lamina.version import __version__

FORMAT = "1"
KERAS_ENDINGS = (".keras", ".h5", ".hdf5")
SLACK = 64 << 20  # bytes that weights may take beyond what a file holds
REGISTERED = (layers, operation, losses, metrics, optimizers)  # imported so that files can name what is in them


# --- names of weights ---------------------------------------------------------------------------
def named_weights(layer: Layer) -> dict[str, Variable]:
    """The weights by their place: ``dense/kernel``, ``dense_1/kernel``, ``block/dense/kernel``.

    Layers are called by their class and a number within what holds them, so that two models that are
    built alike have the same names whatever their layers are called.
    """
    return _walk(layer, lambda x: x._own_variables())


def _named_states(layer: Layer) -> dict[str, Variable]:
    """The random state of dropout and the like, by place."""
    return _walk(layer, lambda x: [v for g in x._contents() if isinstance(g, Generator) for v in g.variables])


def _walk(layer: Layer, of: Any) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    seen: set[int] = set()  # layers and Variables

    def visit(current: Layer, prefix: str) -> None:
        if id(current) in seen:
            return
        seen.add(id(current))
        for name, variable in _numbered((v.name.split("/")[-1], v) for v in of(current)):
            if id(variable) not in seen:
                seen.add(id(variable))
                found[prefix + name] = variable
        for name, inner in _numbered((snake_case(type(x).__name__), x) for x in current._sublayers()):
            visit(inner, f"{prefix}{name}/")

    visit(layer, "")
    return found


def _numbered(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    counts: dict[str, int] = {}
    result = []
    for name, item in pairs:
        n = counts.get(name, 0)
        counts[name] = n + 1
        result.append((f"{name}_{n}" if n else name, item))
    return result


# --- weights ------------------------------------------------------------------------------------
@dataclass
class LoadReport:
    """What ``load_weights`` did, by names of weights.

    Attributes:
        loaded: set from the file.
        missing: weights of the model that the file does not hold.
        unexpected: tensors of the file that the model has no place for.
        mismatched: ``(name, shape in the model, shape in the file)``.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every weight was loaded and the file held nothing else."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} weights fit"]
        if self.missing:
            parts.append(f"not in the file: {_few(self.missing)}")
        if self.unexpected:
            parts.append(f"only in the file: {_few(self.unexpected)}")
        parts += [f"{n} has shape {a} in the model and {b} in the file" for n, a, b in self.mismatched[:4]]
        return "; ".join(parts)


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def save_weights(
    model: Layer, filepath: str | PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Write the weights of a model to a ``.safetensors`` file; see ``Model.save_weights``.

    Raises:
        ArgumentError: the model has no weights yet, or the file exists and ``overwrite`` is off.
    """
    sharded = max_shard_size is not None
    path = _target(filepath, overwrite, (".weights.json",) if sharded else (".safetensors", ".weights.h5"))
    if not model._has_its_weights:
        raise ArgumentError(f"Model {model.name!r} has no weights yet: call it once, or build it, before saving.")
    if max_shard_size is not None:
        from lamina.models.sharded import save_sharded_weights

        save_sharded_weights(model, path, max_shard_size)
        return
    if path.suffix == ".h5":
        from lamina.models.keras_files import save_keras_weights

        save_keras_weights(model, path)
        return
    write_tensors(path, _arrays(named_weights(model)), _metadata({"content": "weights"}))


def load_weights(model: Layer, filepath: str | PathLike[str], strict: bool = True) -> LoadReport:
    """Set the weights of a model from a file; see ``Model.load_weights``."""
    if not model._has_its_weights:
        raise ArgumentError(f"Model {model.name!r} has no weights yet: call it once, or build it, before loading.")
    if Path(filepath).suffix in KERAS_ENDINGS or Path(filepath).name.endswith(".weights.json"):
        from lamina.models.keras_files import load_keras_weights

        return load_keras_weights(model, Path(filepath), strict)
    tensors, metadata = read_tensors(Path(filepath))
    if metadata.get("content") == "model":
        tensors = {k.removeprefix("weights/"): v for k, v in tensors.items() if k.startswith("weights/")}
    return assign(named_weights(model), tensors, Path(filepath), strict)


def assign(variables: dict[str, Variable], tensors: dict[str, np.ndarray], path: Path, strict: bool) -> LoadReport:
    """Set variables from arrays by name; with ``strict`` all of them or none."""
    report = LoadReport(unexpected=[n for n in tensors if n not in variables])
    for name, variable in variables.items():
        if name not in tensors:
            report.missing.append(name)
        elif tensors[name].shape != variable.shape:
            report.mismatched.append((name, variable.shape, tensors[name].shape))
        else:
            report.loaded.append(name)
    if strict and not report.complete:
        raise FileFormatError(
            f"{path}: the weights do not fit the model: {report}. "
            "Build the model as it was when it was saved, or load with strict=False."
        )
    for name in report.loaded:
        variables[name].assign(tensors[name])
    return report


def _arrays(variables: dict[str, Variable]) -> dict[str, np.ndarray]:
    return {name: v.numpy() for name, v in variables.items()}


def _metadata(more: dict[str, str]) -> dict[str, str]:
    return {"format": "lamina", "format_version": FORMAT, "lamina_version": __version__, **more}


def _target(filepath: str | PathLike[str], overwrite: bool, endings: tuple[str, ...]) -> Path:
    path = Path(filepath)
    if not str(path).endswith(endings):
        raise ArgumentError(
            f"Invalid filepath extension for saving: {str(path)!r} does not end in {' or '.join(endings)}. "
            f"For Lamina's own format use {str(path) + '.safetensors'!r}."
        )
    if path.exists() and not overwrite:
        raise ArgumentError(f"{path} exists already. Choose another name, or save with overwrite=True.")
    return path


# --- the state of training ----------------------------------------------------------------------
def save_state(model: Any, path: Path, notes: dict[str, Any]) -> None:
    """Write weights, random states and the optimizers of a model, and some notes, to one file."""
    tensors = {f"weights/{k}": v for k, v in _arrays(named_weights(model)).items()}
    tensors.update({f"state/{k}": v for k, v in _arrays(_named_states(model)).items()})
    if model.optimizer.built:
        tensors.update({f"optimizer/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)})
    places = {id(v): name for name, v in named_weights(model).items()}
    trained = []  # by each of the model's own optimizers
    for k, own in enumerate(model._own_optimizers()):
        tensors.update({f"own_optimizers/{k}/{i}": v.numpy() for i, v in enumerate(own.variables)})
        trained.append([places.get(id(v)) for v in own._trainable_variables])
    metadata = {"content": "training", "notes": json.dumps(notes), "own_optimizers": json.dumps(trained)}
    write_tensors(path, tensors, _metadata(metadata))


def load_state(model: Any, path: Path) -> dict[str, Any]:
    """Put back what ``save_state`` wrote, and return the notes.

    Raises:
        FileFormatError: the file is damaged or does not fit the model.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("content") != "training":
        raise FileFormatError(f"{path} holds no state of training.")
    parts = _groups(tensors, path)
    assign(named_weights(model), parts["weights"], path, strict=True)
    assign(_named_states(model), parts["state"], path, strict=True)
    if parts["optimizer"]:
        _restore_optimizer(model.optimizer, model.trainable_variables, parts["optimizer"], path)
    weights, trained = named_weights(model), json.loads(metadata.get("own_optimizers", "[]"))
    for k, (own, names) in enumerate(zip(model._own_optimizers(), trained, strict=False)):
        state = {name[len(f"{k}/") :]: a for name, a in parts["own_optimizers"].items() if name.startswith(f"{k}/")}
        _restore_optimizer(own, [weights[name] for name in names if name in weights], state, path)
    notes: dict[str, Any] = json.loads(metadata["notes"])
    return notes


def _groups(tensors: dict[str, np.ndarray], path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The tensors of a file by the part of the model that they belong to."""
    groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "state": {}, "optimizer": {}, "own_optimizers": {}}
    for name, array in tensors.items():
        group, _, rest = name.partition("/")
        if group not in groups:
            raise FileFormatError(f"{path}: it holds a tensor {name!r}, which belongs to no part of a model.")
        groups[group][rest] = array
    return groups


# --- whole models -------------------------------------------------------------------------------
def save_model(
    model: Any, filepath: str | PathLike[str], overwrite: bool = True, include_optimizer: bool = True, **kwargs: Any
) -> None:
    """Write a model to one file; see ``Model.save``."""
    if "save_format" in kwargs:
        raise ArgumentError("The `save_format` argument is deprecated: the ending of filepath says what is written.")
    kwargs.pop("zipped", None)
    if kwargs:
        raise ArgumentError(f"The following argument(s) are not supported: {', '.join(kwargs)}.")
    path = _target(filepath, overwrite, (".safetensors", ".keras", ".h5"))
    if path.suffix == ".keras":
        from lamina.models.keras_files import save_keras_model

        save_keras_model(model, path, include_optimizer)
        return
    if path.suffix == ".h5":
        from lamina.models.keras_files import save_older_model

        save_older_model(model, path)
        return
    parts: dict[str, Any] = {"model": serialize(model), "inputs": describe_inputs(model)}
    tensors = {f"weights/{k}": v for k, v in _arrays(named_weights(model)).items()}
    tensors.update({f"state/{k}": v for k, v in _arrays(_named_states(model)).items()})
    compiled = compile_config(model)
    if compiled is not None:
        parts["compile"] = compiled
        if include_optimizer and model.optimizer.built:
            tensors.update({f"optimizer/{i}": v.numpy() for i, v in enumerate(model.optimizer.variables)})
    write_tensors(path, tensors, _metadata({"content": "model", "config": json.dumps(parts)}))


def describe_inputs(model: Any) -> Any:
    """Shapes and dtypes of the first call's inputs, to build the model again; ``None`` for a graph."""
    if model._graph is not None or model._seen is None:
        return None
    leaves, structure = flatten(model._seen[0])
    if not leaves or not all(isinstance(x, SymbolicTensor) for x in leaves):
        return None
    described = [{"shape": list(x.shape), "dtype": x.dtype.name} for x in leaves]
    return {"args": unflatten(structure, described)}


def compile_config(model: Any) -> dict[str, Any] | None:
    """How the model was compiled as plain data, ``None`` with a warning where that cannot be said."""
    if model.optimizer is None:
        return None
    try:
        return model.get_compile_config()
    except LaminaError as error:
        warnings.warn(f"How the model was compiled is not saved: {error}", stacklevel=4)
        return None


def load_model(
    filepath: str | PathLike[str],
    custom_objects: dict[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """A model from a file that ``Model.save`` wrote.

    Args:
        filepath: the file.
        custom_objects: classes and functions by name, beside the registered ones.
        compile: whether to compile it as it was when it was saved, with the optimizer's state.
        safe_mode: accepted for Keras's sake; code from a file is never run.

    Raises:
        FileFormatError: the file is damaged or holds no model; the message says what is wrong.
        ArgumentError: a class in it is not registered.
    """
    path = Path(filepath)
    if path.suffix in KERAS_ENDINGS:
        from lamina.models.keras_files import load_keras_model

        return load_keras_model(path, custom_objects, compile)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != "lamina" or metadata.get("content") != "model":
        only_weights = metadata.get("content") == "weights"
        advice = ": it holds weights only. Build the model and use load_weights." if only_weights else "."
        raise FileFormatError(f"{path} holds no Lamina model{advice}")
    if metadata.get("format_version") != FORMAT:
        raise FileFormatError(
            f"{path} has format version {metadata.get('format_version')!r}, and this Lamina ({__version__}) reads "
            f"version {FORMAT!r}. Use the Lamina that wrote it ({metadata.get('lamina_version')}) or a newer one."
        )
    parts = read_json(metadata.get("config", ""), f"{path}: the configuration in its metadata")
    if not isinstance(parts, dict) or "model" not in parts:
        raise FileFormatError(f"{path}: the configuration in its metadata is damaged (no model in it).")
    size = sum(array.nbytes for array in tensors.values())
    with custom_object_scope(custom_objects or {}), memory_limit(2 * size + SLACK):
        try:
            model = deserialize(parts["model"])
            if not isinstance(model, Layer):
                raise TypeError(f"it describes a {type(model).__name__}")
            build_again(model, parts.get("inputs"))
        except LaminaError:
            raise
        except Exception as error:  # what a constructor makes of nonsense is of any type
            raise FileFormatError(f"{path}: the configuration does not describe a model ({error!r}).") from error
        groups = _groups(tensors, path)
        assign(named_weights(model), groups["weights"], path, strict=True)
        assign(_named_states(model), groups["state"], path, strict=True)
        if compile and parts.get("compile") is not None:
            try:
                _restore_compiled(model, parts["compile"], groups["optimizer"], path)
            except LaminaError:
                raise
            except Exception as error:
                raise FileFormatError(f"{path}: how the model was compiled cannot be read ({error!r}).") from error
    return model


def build_again(model: Any, inputs: Any) -> None:
    """Make the weights of a model that is no graph by calling it on placeholders."""
    if model.built or inputs is None:
        return

    def decode(tree: Any) -> Any:
        if isinstance(tree, dict) and set(tree) == {"shape", "dtype"}:
            return SymbolicTensor(tree["shape"], tree["dtype"], "input")
        if isinstance(tree, dict):
            return {k: decode(v) for k, v in tree.items()}
        return [decode(v) for v in tree] if isinstance(tree, list | tuple) else tree

    arguments = [decode(a) for a in inputs["args"]]
    if type(model).__name__ == "Sequential":
        model.build(arguments[0].shape)
    else:
        model._call_abstractly(*arguments)


def _restore_compiled(model: Any, config: dict[str, Any], state: dict[str, np.ndarray], path: Path) -> None:
    model.compile_from_config(config)
    if state and model.optimizer is not None:
        _restore_optimizer(model.optimizer, model.trainable_variables, state, path)


def _restore_optimizer(optimizer: Any, trained: Sequence[Any], state: dict[str, np.ndarray], path: Path) -> None:
    if trained and not optimizer.built:
        optimizer.build(trained)
    variables = optimizer.variables
    arrays = [state.get(str(i)) for i in range(len(variables))]
    if len(state) != len(variables) or any(
        a is None or a.shape != v.shape for a, v in zip(arrays, variables, strict=True)
    ):
        raise FileFormatError(f"{path}: the optimizer's state does not fit the model. Load with compile=False.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
