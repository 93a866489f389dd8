"""Reading and writing ``.safetensors`` files so that neither a crash nor a damaged file does harm.

The format: eight bytes with the length of the header (little endian), the header as JSON (name ->
dtype, shape and place of each tensor; ``__metadata__`` with strings), and the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import FileFormatError
from lamina.core.optional import require

DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
LONGEST_HEADER = 100_000_000


def write_tensors(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write tensors to a ``.safetensors`` file that is complete or not there.

    Args:
        path: where the file is to be.
        tensors: arrays by name.
        metadata: strings by name; checksums of the tensors are added.
    """
    numpy_files = require("safetensors.numpy", "safetensors", "files of models")
    arrays = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in tensors.items()}
    checksums = {name: _checksum(a) for name, a in arrays.items()}
    metadata = {**metadata, "crc32": json.dumps(checksums)}
    replace_file(path, lambda temporary: numpy_files.save_file(arrays, temporary, metadata))


def replace_file(path: Path, write: Callable[[str], Any]) -> None:
    """Write a file beside its place, flush it to the disk, and rename it into place.

    Args:
        path: where the file is to be.
        write: writes the file under the name that it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        os.close(handle)
        write(temporary)
        _flush(temporary)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name is on the disk when its directory is
        _flush(path.parent)


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(array.reshape(-1).view(np.uint8).data)


def _flush(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a file, checked.

    Raises:
        FileFormatError: the file is missing, cut off or damaged; the message says where.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    data = path.read_bytes()
    header, start = _read_header(path, data)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FileFormatError(f"{path}: the metadata in its header is damaged (not a table of strings).")
    tensors: dict[str, np.ndarray] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(path, *item)):
        dtype, shape, (first, last) = _describe(path, name, entry)
        if first != end:
            raise FileFormatError(f"{path}: tensor {name!r} starts at byte {first} of the data, expected {end}.")
        if start + last > len(data):
            raise FileFormatError(
                f"{path}: cut off in tensor {name!r}: the header announces {start + last:,} bytes or more, "
                f"the file has {len(data):,}."
            )
        tensors[name] = np.frombuffer(data, dtype, math.prod(shape), start + first).reshape(shape)
        end = last
    if start + end != len(data):
        raise FileFormatError(f"{path}: {len(data) - start - end:,} bytes follow the last tensor; the file is damaged.")
    _check_sums(path, tensors, metadata)
    return tensors, metadata


def _read_header(path: Path, data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < 8:
        raise FileFormatError(f"{path}: {len(data)} bytes are too few for a .safetensors file.")
    length = int.from_bytes(data[:8], "little")
    if length > LONGEST_HEADER or length < 2:
        raise FileFormatError(f"{path}: no .safetensors file (its header would have {length:,} bytes).")
    if 8 + length > len(data):
        raise FileFormatError(f"{path}: cut off in the header: {length:,} bytes announced, {len(data) - 8:,} there.")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as error:
        raise FileFormatError(f"{path}: the header is damaged ({error}).") from None
    if not isinstance(header, dict):
        raise FileFormatError(f"{path}: the header is damaged (it is no table).")
    return header, 8 + length


def _offsets(path: Path, name: str, entry: Any) -> tuple[int, int]:
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(found, list) or len(found) != 2 or not all(type(n) is int and n >= 0 for n in found):
        raise FileFormatError(f"{path}: the header's entry of tensor {name!r} is damaged (data_offsets {found!r}).")
    return found[0], found[1]


def _describe(path: Path, name: str, entry: dict[str, Any]) -> tuple[np.dtype[Any], tuple[int, ...], tuple[int, int]]:
    code, shape = entry.get("dtype"), entry.get("shape")
    if code not in DTYPES:
        raise FileFormatError(f"{path}: tensor {name!r} has dtype {code!r}, which Lamina does not have.")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise FileFormatError(f"{path}: the header's entry of tensor {name!r} is damaged (shape {shape!r}).")
    dtype = dtypes.as_dtype(DTYPES[code])
    first, last = _offsets(path, name, entry)
    if last - first != math.prod(shape) * dtype.itemsize:
        raise FileFormatError(
            f"{path}: tensor {name!r} of shape {tuple(shape)} and dtype {dtype} takes "
            f"{math.prod(shape) * dtype.itemsize:,} bytes and is given {last - first:,}."
        )
    return dtype, tuple(shape), (first, last)


def _check_sums(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    if "crc32" not in metadata:  # written by another program
        return
    try:
        sums = json.loads(metadata["crc32"])
        wanted = {str(k): int(v) for k, v in sums.items()}
    except (ValueError, AttributeError, TypeError):
        raise FileFormatError(f"{path}: the checksums in its metadata are damaged.") from None
    for name, array in tensors.items():
        if name in wanted and _checksum(array) != wanted[name]:
            raise FileFormatError(f"{path}: the bytes of tensor {name!r} have changed since it was written (checksum).")
