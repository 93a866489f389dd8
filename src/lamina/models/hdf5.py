"""HDF5 files as trees of plain values.  They are read in a process of their own (``hdf5_child.py``)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core.errors import FileFormatError
from lamina.core.limits import read_json
from lamina.core.optional import require

CHILD = Path(__file__).with_name("hdf5_child.py")
PURPOSE = "files of Keras (.keras, .h5)"
SECONDS = 4  # of CPU time for a file, and one more for each SPEED bytes
SPEED = 10 << 20
PATIENCE = 15  # times as long as that on the clock, on a busy machine
MEMORY = 512 << 20  # bytes beyond the file and its largest array


class Stored:
    """An array of a file and its attributes."""

    def __init__(self, array: np.ndarray, attrs: dict[str, Any]) -> None:
        self.array, self.attrs = array, attrs


class Refused:
    """An entry that is not read, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Group:
    """A group of a file: attributes, and entries by name, each a ``Group``, ``Stored`` or ``Refused``."""

    def __init__(self, attrs: dict[str, Any], entries: dict[str, Any]) -> None:
        self.attrs, self.entries = attrs, entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, path: str, where: str) -> Group | Stored | None:
        """An entry by its path; ``None`` if it is not there.

        Raises:
            FileFormatError: it is a link, its data are in another file, or it is too large.
        """
        found: Any = self
        for name in path.split("/") if path else []:
            found = found.entries.get(name) if isinstance(found, Group) else None
            if isinstance(found, Refused):
                raise FileFormatError(f"{where}: {path} {found.reason}.")
        return found


def read_hdf5(source: Path | bytes, where: str, most: int) -> Group:
    """All that a file holds.

    Args:
        source: the file, or its content.
        where: what it is called in messages.
        most: bytes that its arrays may take together.

    Raises:
        FileFormatError: the file is damaged, too large, or takes too long to read.
        MissingExtraError: h5py is not installed.
    """
    found = [require("h5py", "h5", PURPOSE), np]
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    seconds = SECONDS + (size + most // 100) // SPEED
    path = "-" if isinstance(source, bytes) else str(source)
    folders = {str(Path(str(module.__file__)).parent.parent) for module in found}  # wherever the program has them from
    command = [sys.executable, "-P", str(CHILD), path, str(most), str(seconds), str(MEMORY), *sorted(folders)]
    content = source if isinstance(source, bytes) else b""
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=PATIENCE * seconds, check=False)
    except subprocess.TimeoutExpired:
        raise FileFormatError(f"{where} is no readable file of Keras: reading it takes too long.") from None
    if done.returncode < 0:
        raise FileFormatError(
            f"{where} is no readable file of Keras: it is damaged so that the HDF5 library crashes or does not end."
        )
    if done.returncode:
        raise FileFormatError(f"{where} is no readable file of Keras: {done.stderr.decode(errors='replace').strip()}.")
    return _unpack(done.stdout, where)


def _unpack(data: bytes, where: str) -> Group:
    length = int.from_bytes(data[:8], "little")
    header = read_json(data[8 : 8 + length], where)
    at = 8 + length
    arrays: dict[int, np.ndarray] = {}

    def places(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for inner in entry.get("entries", {}).values():
            yield from places(inner)
        if "array" in entry:
            yield entry

    for entry in sorted(places(header["tree"]), key=lambda e: e["array"]):
        number, shape = entry["array"], entry["shape"]
        if entry["dtype"] == "texts":
            texts = np.empty(len(header["texts"][str(number)]), object)
            texts[:] = [text.encode("utf-8", "surrogateescape") for text in header["texts"][str(number)]]
            arrays[number] = texts.reshape(shape)
        else:
            dtype = np.dtype(entry["dtype"])
            count = int(np.prod(shape, dtype=np.int64))
            arrays[number] = np.frombuffer(data, dtype, count, at).reshape(shape)
            at += count * dtype.itemsize

    def build(entry: dict[str, Any]) -> Any:
        if "refused" in entry:
            return Refused(entry["refused"])
        if "array" in entry:
            return Stored(arrays[entry["array"]], entry["attrs"])
        return Group(entry["attrs"], {name: build(inner) for name, inner in entry["entries"].items()})

    return build(header["tree"])
