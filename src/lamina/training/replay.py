"""A training step in a file: state, batch and model, so that it can be run again in another process, to the bit."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, FileFormatError, LaminaError
from lamina.core.limits import memory_limit, read_json
from lamina.core.trees import unflatten
from lamina.layers import Layer
from lamina.models.file_format import read_tensors, write_tensors
from lamina.models.saving import SLACK, build_again, describe_inputs
from lamina.random import Generator, default_generator
from lamina.serialization import custom_object_scope, deserialize, serialize
from lamina.tensor import Variable
from lamina.training.checkpoint_fit import carried, layer_state, optimizer_state, set_layer_state, set_optimizer_state
from lamina.training.checkpoint_tree import assign_all, pack, unpack
from lamina.training.diagnosis import Finding, diagnose
from lamina.version import __version__

FORMAT = "1"


@dataclass
class Replay:
    """What ``replay`` found.

    Attributes:
        equal: whether every variable ended with the bits that it had in the run that wrote the file.
        finding: what was no number, and where.
        notes: what the run said of the step: its epoch, number, and the rows of the data.
        digest: of all variables after the step.
    """

    equal: bool
    finding: Finding | None
    notes: dict[str, Any]
    digest: str

    def __str__(self) -> str:
        bits = "the same bits as in the run" if self.equal else "OTHER bits than in the run"
        where = f"epoch {self.notes['epoch'] + 1}, step {self.notes['step'] + 1}"
        rows = self.notes.get("rows")
        lines = [f"{where}: repeated with {bits} ({self.digest[:16]})."]
        lines.append(f"{self.finding}." if self.finding is not None else "Every value was finite.")
        if self.finding is not None and self.finding.samples and rows is not None:
            shown = [int(rows[i]) for i in self.finding.samples[:8]]
            begin = "This sample is row" if len(shown) == 1 else "These samples are rows"
            lines.append(f"{begin} {', '.join(map(str, shown))} of the data.")
        if self.notes.get("machine") != _machine() and not self.equal:
            lines.append(f"The run was on {self.notes.get('machine')}, this is {_machine()}.")
        return "\n".join(lines)


def _machine() -> str:
    return f"lamina {__version__}, numpy {np.__version__}, {platform.machine()}"


def changed_by_steps(model: Any, compiled: Any) -> list[Any]:
    """Every variable that a step may change."""
    found: list[Any] = []
    for _, contents in model._walk():
        for item in contents:
            if isinstance(item, Variable):
                found.append(item)
            elif isinstance(item, Generator) or getattr(item, "_role", None) == "metric":
                found += item.variables
    found += carried(model)
    found += [v for m in compiled.all_metrics() for v in m.variables]
    found += list(compiled.optimizer.variables) if compiled.optimizer is not None else []
    found += [v for optimizer in model._own_optimizers() for v in optimizer.variables]
    found += default_generator().variables
    return list({id(v): v for v in found}.values())


def digest(model: Any, compiled: Any) -> str:
    """SHA-256 of all variables."""
    total = hashlib.sha256()
    for variable in changed_by_steps(model, compiled):
        total.update(np.ascontiguousarray(variable._data).tobytes())
    return total.hexdigest()


def run_step(model: Any, compiled: Any, data: Any) -> tuple[Any, str]:
    """Run one training step on a batch; the step, and the digest of what comes out."""
    from lamina.training.state import training_of

    step = training_of(model).steps.train(data, data.rows, False)
    compiled.reset()
    step.run(data.arrays())
    return step, digest(model, compiled)


def write_replay(path: Path, model: Any, compiled: Any, data: Any, digest_after: str, notes: dict[str, Any]) -> None:
    """Write the state as it is now, a batch, and the model.

    Args:
        path: where the file is to be.
        model: the model, as it was before the step.
        compiled: how it was compiled.
        data: the batch.
        digest_after: of all variables after the step.
        notes: what is to be told of the step.
    """
    state, optimizer = layer_state(model), compiled.optimizer
    tree = {
        "model": state,
        "optimizer": None if optimizer is None else optimizer_state(optimizer, state["weights"]),
        "random": list(default_generator().variables),
        "x": unflatten(data.x_structure, data.x),
        "y": unflatten(data.y_structure, data.y) if data.y_structure is not None else None,
        "weights": list(data.weights),
        "notes": {**notes, "machine": _machine()},
        "digest": digest_after,
    }
    tensors, text = pack(tree)
    metadata = {"format": "lamina", "format_version": FORMAT, "lamina_version": __version__, "content": "replay"}
    config = _config(model)
    write_tensors(path, tensors, {**metadata, "state": text, **({"config": json.dumps(config)} if config else {})})


def _config(model: Any) -> dict[str, Any] | None:
    """The model and how it was compiled, ``None`` where that cannot be said."""
    custom = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
    try:
        with custom_object_scope(custom):
            parts = {"model": serialize(model), "inputs": describe_inputs(model), "compile": model.get_compile_config()}
        json.dumps(parts)
    except (LaminaError, TypeError, ValueError, NotImplementedError):
        return None
    return parts


def replay(path: str | PathLike[str], model: Any = None, custom_objects: dict[str, Any] | None = None) -> Replay:
    """Repeat the step that a replay file holds.

    Args:
        path: the file, which ``fit`` wrote when it met NaN or infinity.
        model: the compiled model as it was built for the run; default the one that the file describes.
        custom_objects: classes and functions by name that the model is made of, where they are not registered.

    Returns:
        What came out, and where it was no number; print it.

    Raises:
        FileFormatError: the file is damaged, is no replay file, or holds no model and none is given.
        ArgumentError: a class in it is not registered.
    """
    from lamina.training import loop
    from lamina.training.state import require_compiled, training_of

    path = Path(path)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != "lamina" or metadata.get("content") != "replay":
        raise FileFormatError(f"{path} is no replay file.")
    if metadata.get("format_version") != FORMAT:
        version = metadata.get("format_version")
        raise FileFormatError(f"{path} has format version {version!r}, and this Lamina reads {FORMAT!r}.")
    tree = unpack(tensors, metadata.get("state", ""), f"{path}: the state in its metadata")
    if model is None:
        size = sum(array.nbytes for array in tensors.values())
        model = _model(path, metadata, custom_objects or {}, size)
    compiled = require_compiled(model, "replay")
    try:
        weights = tree["weights"]
        weight = weights[0] if len(weights) == 1 else weights or None
        data = loop._check(model, compiled, loop._prepare(model, tree["x"], tree["y"], weight, None, finite=False))
        compiled.own = model._own_metrics()
        set_layer_state(model, tree["model"], path)
        if tree["optimizer"] is not None:
            set_optimizer_state(compiled.optimizer, tree["optimizer"], model, path)
        assign_all(default_generator().variables, tree["random"], "the random generator", path)
        notes, wanted = dict(tree["notes"]), str(tree["digest"])
        where = int(notes["epoch"]), int(notes["step"])
        function = training_of(model).steps.train(data, data.rows, False).python
        finding = diagnose(function, data.arrays(), data.rows)
        _, found = run_step(model, compiled, data)
    except (LaminaError, OSError):
        raise
    except Exception as error:
        raise FileFormatError(f"{path}: the state in it is not that of a step ({error!r}).") from error
    return Replay(found == wanted, finding, {**notes, "epoch": where[0], "step": where[1]}, found)


def _model(path: Path, metadata: dict[str, str], custom_objects: dict[str, Any], size: int) -> Any:
    if "config" not in metadata:
        raise FileFormatError(
            f"{path}: the model could not be described in the file (a class without get_config, or a loss that is not "
            "registered). Give it: lamina.training.replay(path, model=build_model())."
        )
    parts = read_json(metadata["config"], f"{path}: the configuration in its metadata")
    with custom_object_scope(custom_objects), memory_limit(4 * size + SLACK):
        try:
            model = deserialize(parts["model"])
            if not isinstance(model, Layer):
                raise ArgumentError(f"{path}: it describes a {type(model).__name__}, no model.")
            build_again(model, parts["inputs"])
            model.compile_from_config(parts["compile"])
        except LaminaError:
            raise
        except Exception as error:
            raise FileFormatError(f"{path}: the configuration does not describe a model ({error!r}).") from error
    return model
