"""What a record says of a run before its first step: data, seed, code, settings, versions, threads, weights."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import re
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina import config
from lamina.backends.native.target import host
from lamina.backends.native.threads import get_num_threads
from lamina.core.errors import LaminaError
from lamina.graph.function import Function
from lamina.graph.interpret import run_node
from lamina.random import Generator, default_generator
from lamina.serialization import serialize
from lamina.training.arrays import Data
from lamina.version import __version__

BLOCKS = 64  # of rows, each with a checksum
WHOLE = 1 << 30  # bytes of an array that are all read; of larger ones the beginning of each block
LONGEST = 4000  # characters of a layer's configuration
MOST_LINES = 5000  # of a source file, each with a checksum
SMALL_MODEL = 10_000_000  # weights times values of a sample up to which the probe takes several rows


# --- checksums --------------------------------------------------------------------------------------------
def checksum(array: np.ndarray, so_far: int = 0) -> int:
    """CRC-32 of the bytes of an array."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, so_far)


def short(number: int) -> str:
    """A checksum as text."""
    return f"{number:08x}"


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


# --- data -------------------------------------------------------------------------------------------------
def describe_data(data: Data) -> list[dict[str, Any]]:
    """Shape, dtype and checksums of each array."""
    found = []
    for name, arrays in (("x", data.x), ("y", data.y), ("sample_weight", data.weights)):
        for i, array in enumerate(arrays):
            rows = max(1, -(-len(array) // BLOCKS))
            share = len(array) if array.nbytes <= WHOLE else max(1, int(rows * WHOLE / array.nbytes))
            blocks = [short(checksum(array[at : at + min(rows, share)])) for at in range(0, len(array), rows)]
            found.append(
                {
                    "name": name if len(arrays) == 1 else f"{name}[{i}]",
                    "shape": list(array.shape),
                    "dtype": str(array.dtype),
                    "rows": rows,
                    "blocks": blocks,
                }
            )
    return found


# --- random state -----------------------------------------------------------------------------------------
def generators(model: Any) -> list[Generator]:
    """The default generator and those of the layers."""
    inside = [x for layer in model._flatten_layers() for x in layer._contents() if isinstance(x, Generator)]
    return list({id(g): g for g in [default_generator(), *inside]}.values())


def random_checksum(found: Sequence[Generator]) -> int:
    """CRC-32 of the states of generators."""
    total = 0
    for generator in found:
        for variable in generator.variables:
            total = zlib.crc32(variable._data.tobytes(), total)
    return total


# --- names and weights ------------------------------------------------------------------------------------
class Names:
    """Names of layers as the first model of a process would have them.

    Names that nobody gave are counted on through a process: what is ``dense_7`` here was ``dense_1`` in another run.

    Args:
        model: the model whose layers are named.
    """

    def __init__(self, model: Any) -> None:
        self._known: dict[str, str] = {}
        counts: dict[str, int] = {}
        for layer in model._flatten_layers():
            base = re.sub(r"_[0-9]+$", "", layer.name)
            if layer.name in self._known or base not in (config.snake_case(type(layer).__name__), *MODELS):
                continue
            number = counts[base] = counts.get(base, -1) + 1
            self._known[layer.name] = f"{base}_{number}" if number else base

    def path(self, path: str) -> str:
        """A path with these names in it."""
        return "/".join(self._known.get(part, part) for part in path.split("/"))

    def in_config(self, text: str) -> str:
        """JSON with these names in it."""
        return re.sub(r'"([A-Za-z0-9_./-]+)"', lambda m: f'"{self.path(m[1])}"', text)


MODELS = ("model", "sequential", "functional")


def by_layer(model: Any, names: Names) -> dict[str, list[Any]]:
    """The weights under the path of their layer."""
    found: dict[str, list[Any]] = {}
    for variable in model.weights:
        found.setdefault(names.path(variable.path.rpartition("/")[0] or variable.path), []).append(variable)
    return found


# --- code -------------------------------------------------------------------------------------------------
def _config_of(item: Any) -> str:
    try:
        text = json.dumps(serialize(item), sort_keys=True, default=str)
    except (LaminaError, TypeError, ValueError, NotImplementedError):
        text = f"{type(item).__name__} {getattr(item, 'name', '')}"
    if not hasattr(item, "_sublayers"):  # losses and optimizers, whose names count on too
        text = re.sub(r'("name": "[a-z_]+?)_[0-9]+"', r'\1"', text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... {_digest(text)}"


def _is_own(item: Any) -> bool:
    return str(getattr(item, "__module__", "")).partition(".")[0] == "lamina"


def _code_of(item: Any) -> str | None:
    """A hash of the source of a class or function that is not Lamina's own."""
    if _is_own(item):
        return None
    try:
        return _digest(inspect.getsource(item))
    except (OSError, TypeError):
        return None


def describe_code(model: Any, compiled: Any) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Hashes of classes and functions of the user's, and the files that they and the script stand in."""
    classes = [type(layer) for layer in model._flatten_layers()]
    functions = [item if inspect.isfunction(item) else type(item) for item in (compiled.loss, compiled.optimizer)]
    functions += [m if inspect.isfunction(m) else type(m) for m in compiled.all_metrics()]
    functions += [f for layer in model._flatten_layers() for f in vars(layer).values() if inspect.isfunction(f)]
    codes: dict[str, str] = {}
    files: dict[str, None] = {}
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main:
        files[main] = None
    for item in [*classes, *functions]:
        code = _code_of(item)
        if code is not None:
            codes[getattr(item, "__qualname__", str(item))] = code
            files[inspect.getsourcefile(item) or ""] = None
    return codes, [file for name in files if (file := _file(name)) is not None]


def _file(name: str) -> dict[str, Any] | None:
    """Name, hash and a checksum of each line of a source file."""
    try:
        content = Path(name).read_bytes()
    except OSError:
        return None
    lines = [f"{zlib.crc32(line.rstrip()) & 0xFFFF:04x}" for line in content.splitlines()[:MOST_LINES]]
    return {"name": Path(name).name, "digest": _digest(content), "lines": "".join(lines)}


# --- the whole --------------------------------------------------------------------------------------------
def describe(
    model: Any, compiled: Any, data: Data | None, held_back: Data | None, settings: dict[str, Any], state: str
) -> dict[str, Any]:
    """The header of a record: plain data.  ``state`` is the random state when ``fit`` was called."""
    codes, files = describe_code(model, compiled)
    names = Names(model)
    generator = default_generator()
    optimizer = compiled.optimizer
    slots = [] if optimizer is None else [v._data for v in optimizer.variables]
    layers = [
        {
            "name": names.path(getattr(layer, "path", None) or layer.name),
            "class": type(layer).__name__,
            "config": names.in_config(_config_of(layer)) if not layer._sublayers() else type(layer).__name__,
            "trainable": bool(layer.trainable),
        }
        for layer in model._flatten_layers()
    ]
    return {
        "data": None if data is None else describe_data(data),
        "validation": None if held_back is None else describe_data(held_back),
        "seed": {
            "seed": str(generator.initial_seed),
            "state": state,
            "layers": short(random_checksum(generators(model)[1:])),
        },
        "layers": layers,
        "optimizer": None if optimizer is None else _config_of(optimizer),
        "slots": short(_all(slots)),
        "loss": [_config_of(loss.loss) if loss is not None else None for loss in compiled.losses],
        "policy": getattr(model.dtype_policy, "name", str(model.dtype_policy)),
        "classes": codes,
        "files": files,
        "settings": {name: value if _is_plain(value) else str(value)[:200] for name, value in settings.items()},
        "versions": {"lamina": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "environment": {k: v[:200] for k, v in sorted(os.environ.items()) if k.startswith("LAMINA_") and k != CACHE},
        "threads": get_num_threads(),
        "machine": {"system": platform.system(), "cpu": host().cpu, "vectors": host().simd},
        "weights": {name: short(_all([v._data for v in found])) for name, found in by_layer(model, names).items()},
    }


CACHE = "LAMINA_CACHE"  # where objects are kept changes nothing


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _all(arrays: Sequence[np.ndarray]) -> int:
    total = 0
    for array in arrays:
        total = checksum(array, total)
    return total


# --- a step, layer by layer -------------------------------------------------------------------------------
def probe(step: Callable[..., Any], arrays: Sequence[np.ndarray], names: Names) -> list[dict[str, Any]]:
    """A training step on a few rows, run node by node with NumPy, as it is captured: changes nothing.

    Returns:
        For each layer, forward and backward apart, in the order in which they first run: the ops, and a checksum of
        everything that they gave.  Empty where the step cannot be captured.
    """
    try:
        graph, given = Function(step, name="train_step").lowered(*arrays)
    except LaminaError:
        return []
    values: dict[Any, np.ndarray] = dict(zip(graph.inputs, given, strict=True))
    values.update({value: variable._data for variable, value in graph.reads})
    last = {value: node for node in graph.nodes for value in node.inputs}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            inputs = [values[v] if v.constant is None else v.constant for v in node.inputs]
            path = names.path("/".join(part for part in node.scope if part != "gradient"))
            direction = "backward" if "gradient" in node.scope else "forward"
            entry = found.setdefault((path, direction), {"sum": 0, "ops": []})
            entry["ops"].append(node.primitive.name)
            for value, array in zip(node.outputs, run_node(node, inputs), strict=True):
                entry["sum"] = checksum(array, entry["sum"])
                if value in last:
                    values[value] = array
            for value in set(node.inputs):
                if last[value] is node:
                    values.pop(value, None)
    return [
        {"layer": path, "direction": direction, "ops": " ".join(e["ops"])[:LONGEST], "sum": short(e["sum"])}
        for (path, direction), e in found.items()
    ]
