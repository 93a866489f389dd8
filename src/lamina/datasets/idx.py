"""The IDX file format, in which MNIST and its relatives are published.

A file is a header and the elements in row-major order.  The header is two zero bytes, one byte for
the type of the elements, one for the number of dimensions, then each dimension as a big-endian
unsigned 32-bit integer.  Files are often compressed with gzip.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from lamina.core.errors import FileFormatError

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, plain or compressed with gzip (told apart by content, not by name).

    Args:
        path: the file.

    Returns:
        An array with the file's shape and element type, in the machine's byte order.

    Raises:
        FileNotFoundError: there is no such file.
        FileFormatError: it is not an IDX file, or it is damaged: a bad header, too few or too many
            bytes, or a gzip stream that does not check out.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels"
        >>> path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([7, 2, 1]))
        11
        >>> read(path)
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if compressed else file
            return _parse(stream, path)
        except (OSError, EOFError, zlib.error) as error:
            if not compressed:
                raise
            raise FileFormatError(f"{path}: the gzip stream is damaged ({error}). Download the file again.") from error


def _parse(stream: BinaryIO, path: Path) -> np.ndarray:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise FileFormatError(
            f"{path}: not an IDX file. It should start with 00 00, a type "
            f"({', '.join(f'{t:02x}' for t in TYPES)}) and the number of dimensions; it starts with "
            f"{magic.hex(' ') or 'nothing (the file is empty)'}."
        )
    dtype, ndim = TYPES[magic[2]], magic[3]
    header = stream.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise FileFormatError(f"{path}: the file ends inside its header, which announces {ndim} dimensions.")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    expected = dtype.itemsize
    for size in shape:  # in Python's integers, which do not overflow
        expected *= size
    content = _read_up_to(stream, expected + 1)
    if len(content) < expected:
        raise FileFormatError(
            f"{path}: the file is cut off: shape {shape} needs {expected:,} bytes of data "
            f"and {len(content):,} are there. Download the file again."
        )
    if len(content) > expected:
        raise FileFormatError(f"{path}: data goes on after the {expected:,} bytes that shape {shape} needs.")
    try:
        return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # too many dimensions, or sizes beside a 0 that no array can have
        raise FileFormatError(f"{path}: the header announces shape {shape}, and there is no such array.") from error


def _read_up_to(stream: BinaryIO, count: int) -> bytes:
    """At most ``count`` bytes, read in pieces so that a damaged header cannot ask for all the memory."""
    pieces: list[bytes] = []
    while count > 0:
        piece = stream.read(min(count, 1 << 24))
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
