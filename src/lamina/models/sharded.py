"""Weights in several files of bounded size, as Keras writes them: ``.weights.json`` says which file holds what."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.disk import replace_file
from lamina.core.errors import ArgumentError, FileFormatError
from lamina.core.limits import read_json
from lamina.models.keras_files import _h5py, _open, _put, _read, groups

GIGABYTE = 1 << 30
ENDING = ".weights.json"


def save_sharded_weights(model: Any, path: Path, max_shard_size: float) -> None:
    """Write ``path`` and, beside it, files of at most ``max_shard_size`` gigabytes with the weights.

    Raises:
        ArgumentError: a weight is larger than a file may be.
    """
    limit = max_shard_size * GIGABYTE
    stem = path.name.removesuffix(ENDING)
    shards: list[list[tuple[str, str, np.ndarray]]] = [[]]
    places: dict[str, list[str]] = {}
    used = total = 0
    for place, layer in groups(model).items():
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        for index, value in store.items():
            array = np.asarray(value)
            if array.nbytes > limit:
                raise ArgumentError(
                    f"The weight {place}/{index} has {array.nbytes:,} bytes, and max_shard_size={max_shard_size} "
                    f"allows {int(limit):,}. Give a larger one."
                )
            if used + array.nbytes > limit:
                shards.append([])
                used = 0
            used, total = used + array.nbytes, total + array.nbytes
            shards[-1].append((place, index, array))
            name = f"{stem}_{len(shards) - 1:05d}.weights.h5"
            names = places.setdefault(f"/{place}/vars" if place else "/vars", [])
            if name not in names:
                names.append(name)
    for number, shard in enumerate(shards):
        _write_shard(path.with_name(f"{stem}_{number:05d}.weights.h5"), shard)
    index_text = json.dumps({"metadata": {"total_size": float(total)}, "weight_map": places}, indent=4)
    replace_file(path, lambda temporary: Path(temporary).write_text(index_text))


def _write_shard(path: Path, shard: list[tuple[str, str, np.ndarray]]) -> None:
    buffer = io.BytesIO()
    with _h5py().File(buffer, "w") as file:
        for place, index, array in shard:
            _put(file.require_group(f"{place}/vars" if place else "vars"), index, array)
    replace_file(path, lambda temporary: Path(temporary).write_bytes(buffer.getvalue()))


def read_sharded(model: Any, path: Path) -> dict[str, np.ndarray]:
    """The arrays of all files that ``path`` names, by ``path/index``.

    Raises:
        FileFormatError: the index is damaged, or names files elsewhere.
    """
    if not path.exists():
        raise FileFormatError(f"File not found: {path}.")
    index = read_json(path.read_bytes(), str(path))
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict):
        raise FileFormatError(f"{path} has no weight_map: it is no index of weights in several files.")
    names: list[str] = []
    for entry in places.values():
        names += [name for name in (entry if isinstance(entry, list) else [entry]) if name not in names]
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        if not isinstance(name, str) or name != Path(name).name or not name.endswith(".h5"):
            raise FileFormatError(f"{path} names {name!r}, which is no .h5 file beside it.")
        arrays.update(_read(model, _open(path.with_name(name)), name))
    return arrays
