"""Reading and writing ``.safetensors`` files so that neither a crash nor a damaged file does harm.

The format: eight bytes with the length of the header (little endian), the header as JSON (name ->
dtype, shape and place of each tensor; ``__metadata__`` with strings), and the tensors' bytes.  Lamina's
metadata hold a CRC-32 of every tensor and one of the header itself.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.disk import write_blocks
from lamina.core.errors import DTypeError, FileFormatError
from lamina.core.limits import LONGEST_JSON, read_json

DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
CODES = {name: code for code, name in DTYPES.items()}
MOST_DIMENSIONS = 32


# --- writing --------------------------------------------------------------------------------------
def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write tensors to a ``.safetensors`` file that is complete or not there.

    Args:
        path: where the file is to be.
        tensors: arrays by name.
        metadata: strings by name; checksums of the tensors and of the header are added.

    Raises:
        DTypeError: an array has a dtype that such a file cannot hold.
        OSError: the disk is full, or the like; a file that was there is as it was.
    """
    write_blocks(path, encode(tensors, metadata))


def encode(tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> Iterator[Any]:
    """The blocks of bytes that make the file, one after the other."""
    # Aligned types first, as the format's own writers do, so that readers can map the file.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    arrays = {name: np.ascontiguousarray(tensors[name]).reshape(tensors[name].shape) for name in order}
    header: dict[str, Any] = {}
    end = 0
    for name, array in arrays.items():
        if array.dtype.name not in CODES or not array.dtype.isnative:
            raise DTypeError(f"Tensor {name!r} has dtype {array.dtype}, which a .safetensors file cannot hold.")
        header[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [end, end + array.nbytes],
        }
        end += array.nbytes
    header["__metadata__"] = {**metadata, "crc32": json.dumps({name: _checksum(a) for name, a in arrays.items()})}
    header["__metadata__"]["header_crc32"] = str(_header_checksum(header))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays.values():
        if array.nbytes:
            yield _bytes(array)


def _bytes(array: np.ndarray) -> Any:
    return array.reshape(-1).view(np.uint8).data


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(_bytes(array)) if array.nbytes else 0


def _header_checksum(header: dict[str, Any]) -> int:
    """The checksum of everything in the header but itself."""
    metadata = {k: v for k, v in header["__metadata__"].items() if k != "header_crc32"}
    return zlib.crc32(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode())


# --- reading --------------------------------------------------------------------------------------
def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a file, checked.

    The file is mapped: memory is taken for what is looked at.

    Raises:
        FileFormatError: the file is missing, cut off or damaged; the message says where.
    """
    header, start, size = _read_header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FileFormatError(f"{path}: the metadata in its header is damaged (not a table of strings).")
    places: dict[str, tuple[np.dtype[Any], tuple[int, ...], int]] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(path, *item)):
        dtype, shape, (first, last) = _describe(path, name, entry)
        if first != end:
            raise FileFormatError(f"{path}: tensor {name!r} starts at byte {first} of the data, expected {end}.")
        if start + last > size:
            raise FileFormatError(
                f"{path}: cut off in tensor {name!r}: the header announces {start + last:,} bytes or more, "
                f"the file has {size:,}."
            )
        places[name] = dtype, shape, first
        end = last
    if start + end != size:
        raise FileFormatError(f"{path}: {size - start - end:,} bytes follow the last tensor; the file is damaged.")
    _check_header(path, header, metadata)
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
    tensors = {
        name: np.frombuffer(data, dtype, math.prod(shape), start + first).reshape(shape)
        for name, (dtype, shape, first) in places.items()
    }
    _check_sums(path, tensors, metadata)
    return tensors, metadata


def _read_header(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header, where the data start, and the size of the file."""
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = file.read(8)
        refuse_pickle(path, begin)
        if len(begin) < 8:
            raise FileFormatError(f"{path}: {size} bytes are too few for a .safetensors file.")
        length = int.from_bytes(begin, "little")
        if length > LONGEST_JSON or length < 2:
            raise FileFormatError(f"{path}: no .safetensors file (its header would have {length:,} bytes).")
        if 8 + length > size:
            raise FileFormatError(f"{path}: cut off in the header: {length:,} bytes announced, {size - 8:,} there.")
        if size > machine_memory():
            raise FileFormatError(f"{path}: it has {size:,} bytes, more than this machine's memory.")
        text = file.read(length)
    header = read_json(text, f"{path}: the header")
    if not isinstance(header, dict):
        raise FileFormatError(f"{path}: the header is damaged (it is no table).")
    return header, 8 + length, size


def machine_memory() -> int:
    """Bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # pragma: no cover  (other systems than POSIX)
        return 1 << 62


def refuse_pickle(path: Path, begin: bytes) -> None:
    """Say why a pickle is not read.

    Args:
        path: the file, for messages.
        begin: its first bytes.

    Raises:
        FileFormatError: the file is a pickle, or an archive as PyTorch writes it.
    """
    advice = (
        "Convert it where you trust it. From PyTorch: "
        "safetensors.torch.save_file(torch.load(path, weights_only=True), 'weights.safetensors')."
    )
    # As the length of a header these bytes would be a number far too large, so that no good file is refused.
    too_long = int.from_bytes(begin[:8], "little") > LONGEST_JSON
    if begin[:1] == b"\x80" and begin[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and too_long:
        raise FileFormatError(f"{path} is a pickle: reading it could run any code, so Lamina does not. {advice}")
    if begin[:4] == b"PK\x03\x04" and path.suffix != ".keras":
        raise FileFormatError(
            f"{path} is a zip archive, as torch.save writes it with a pickle inside: reading that could run any code, "
            f"so Lamina does not. {advice}"
        )


def _offsets(path: Path, name: str, entry: Any) -> tuple[int, int]:
    found = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(found, list) or len(found) != 2 or not all(type(n) is int and n >= 0 for n in found):
        raise FileFormatError(f"{path}: the header's entry of tensor {name!r} is damaged (data_offsets {found!r:.80}).")
    return found[0], found[1]


def _describe(path: Path, name: str, entry: dict[str, Any]) -> tuple[np.dtype[Any], tuple[int, ...], tuple[int, int]]:
    code, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(code, str) or code not in DTYPES:
        raise FileFormatError(f"{path}: tensor {name!r} has dtype {code!r:.80}, which Lamina does not have.")
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape)
    ):
        raise FileFormatError(f"{path}: the header's entry of tensor {name!r} is damaged (shape {shape!r:.80}).")
    dtype = dtypes.as_dtype(DTYPES[code])
    first, last = _offsets(path, name, entry)
    if last - first != math.prod(shape) * dtype.itemsize:
        raise FileFormatError(
            f"{path}: tensor {name!r} of shape {tuple(shape)} and dtype {dtype} takes "
            f"{math.prod(shape) * dtype.itemsize:,} bytes and is given {last - first:,}."
        )
    return dtype, tuple(shape), (first, last)


def _check_header(path: Path, header: dict[str, Any], metadata: dict[str, str]) -> None:
    wanted = metadata.get("header_crc32")
    if wanted is not None and wanted != str(_header_checksum({**header, "__metadata__": metadata})):
        raise FileFormatError(f"{path}: the header has changed since the file was written (checksum).")


def _check_sums(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    if "crc32" not in metadata:  # written by another program
        return
    sums = read_json(metadata["crc32"], f"{path}: the table of checksums in its metadata")
    if not isinstance(sums, dict) or not all(type(n) is int for n in sums.values()):
        raise FileFormatError(f"{path}: the checksums in its metadata are damaged.")
    for name, array in tensors.items():
        if name in sums and _checksum(array) != sums[name]:
            raise FileFormatError(f"{path}: the bytes of tensor {name!r} have changed since it was written (checksum).")
