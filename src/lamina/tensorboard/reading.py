"""Event files read back, without the package ``tensorboard``.

A file is a row of records: the length (8 bytes), its checksum (4), the event, its checksum (4).  An event is a
protocol buffer; of its fields those are read that hold numbers and texts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import FileFormatError

POLYNOMIAL = 0x82F63B78  # of CRC-32C (Castagnoli), reflected
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 6: "int8", 9: "int64", 10: "bool", 14: "bfloat16",
          17: "uint16", 19: "float16", 22: "uint32", 23: "uint64"}  # of TensorFlow's types.proto  # fmt: skip
STRING = 7
# The field of a tensor that holds its values, if not all of them are bytes in one piece, and how they are packed.
VALUES = {5: "<f4", 6: "<f8"}
HALVES = 13  # float16 and bfloat16, by their bits
VARINTS = (7, 10, 11, 16, 17)  # int, int64, bool, uint32, uint64
MOST_ELEMENTS = 1 << 24  # of a tensor that repeats one value

Field = tuple[int, int, Any]  # number, wire type, and an int or bytes


@dataclass(frozen=True)
class Event:
    """A value of an event file.

    Attributes:
        tag: its name.
        step: where on the horizontal axis it belongs.
        wall_time: when it was written, in seconds since the epoch.
        value: an array; of objects (bytes) for texts and pictures.
        plugin: the part of TensorBoard that shows it: ``"scalars"``, ``"histograms"``, ``"text"``, ...; may be empty.
    """

    tag: str
    step: int
    wall_time: float
    value: np.ndarray
    plugin: str


def read_events(path: str | PathLike[str]) -> Iterator[Event]:
    """The values of one event file, in the order in which they were written.

    A record that the file does not hold to its end is one that is just being written: it is left out.

    Raises:
        FileFormatError: the file is damaged.
    """
    where = str(path)
    for place, record in _records(Path(path)):
        try:
            yield from _values(record)
        except (ValueError, IndexError, struct.error, OverflowError, UnicodeDecodeError, TypeError) as error:
            raise FileFormatError(f"{where}: the event at byte {place} is damaged ({error}).") from error


def read_scalars(folder: str | PathLike[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of a run: for each tag its steps (int64) and values (float64), in the order of the steps.

    Args:
        folder: the folder of a run, with one event file or more; or one event file.

    Raises:
        FileFormatError: there is no event file, or one is damaged.

    Example:
        >>> import tempfile, lamina
        >>> with lamina.tensorboard.SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     for step in range(3):
        ...         writer.add_scalar("loss", 1 / (1 + step), step)
        >>> steps, values = read_scalars(writer.log_dir)["loss"]
        >>> steps.tolist(), values.round(2).tolist()
        ([0, 1, 2], [1.0, 0.5, 0.33])
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.glob("*tfevents*"))
    if not files:
        raise FileFormatError(f"{folder} holds no event file (their names contain 'tfevents').")
    found: dict[str, dict[int, float]] = {}
    for path in files:
        for event in read_events(path):
            if event.value.ndim == 0 and event.value.dtype.kind in "fiub":
                found.setdefault(event.tag, {})[event.step] = float(event.value)  # what was written last counts
    return {
        tag: (np.array(sorted(points), np.int64), np.array([points[step] for step in sorted(points)]))
        for tag, points in found.items()
    }


# --- records ------------------------------------------------------------------------------------------
def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _make_table()


def masked_checksum(data: bytes) -> int:
    """CRC-32C, turned by 15 bits and shifted, as records hold it.

    >>> masked_checksum(b"") == 0xA282EAD8
    True
    """
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The place and the content of each record."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            place = 0
            while place + 12 <= size:
                head = file.read(12)
                length, checksum = struct.unpack("<QI", head)
                if masked_checksum(head[:8]) != checksum:
                    raise FileFormatError(f"{path} is damaged at byte {place}, or is no event file.")
                if place + 16 + length > size:
                    return
                record = file.read(length)
                if file.read(4) != struct.pack("<I", masked_checksum(record)):
                    raise FileFormatError(f"{path}: the event at byte {place} is damaged (its checksum is wrong).")
                yield place, record
                place += 16 + length
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error}.") from error


# --- protocol buffers ---------------------------------------------------------------------------------
def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has too many bytes")


def _fields(data: bytes) -> Iterator[Field]:
    """The fields of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"there are no fields of type {kind}")
        if at + length > len(data):
            raise ValueError(f"field {number} is longer than what it is in")
        yield number, kind, data[at : at + length]
        at += length


def _content(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field has a number in place of bytes")
    return value


def _signed(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError("a field has bytes in place of a number")
    return value - (1 << 64) if value >> 63 else value


def _values(record: bytes) -> Iterator[Event]:
    wall_time, step, summaries = 0.0, 0, []
    for number, _, value in _fields(record):
        if number == 1:
            (wall_time,) = struct.unpack("<d", value)
        elif number == 2:
            step = _signed(value)
        elif number == 5:
            summaries.append(_content(value))
    for summary in summaries:
        for number, _, value in _fields(summary):
            if number == 1:
                tag, plugin, array = _value(_content(value))
                if array is not None:
                    yield Event(tag, step, wall_time, array, plugin)


def _value(data: bytes) -> tuple[str, str, np.ndarray | None]:
    tag = plugin = ""
    array: np.ndarray | None = None
    for number, _, value in _fields(data):
        if number == 1:
            tag = _content(value).decode()
        elif number == 2:  # the older way to write a scalar
            array = np.array(struct.unpack("<f", value)[0], np.float32)
        elif number == 8:
            array = _tensor(_content(value))
        elif number == 9:
            plugin = _plugin(_content(value))
    return tag, plugin, array


def _plugin(metadata: bytes) -> str:
    for number, _, value in _fields(metadata):
        if number == 1:
            for inner, _, name in _fields(_content(value)):
                if inner == 1:
                    return _content(name).decode()
    return ""


def _tensor(data: bytes) -> np.ndarray:
    kind, shape, content, texts, numbers = 0, [], None, [], []
    for number, wire, value in _fields(data):
        if number == 1:
            kind = value
        elif number == 2:
            shape = _shape(_content(value))
        elif number == 4:
            content = _content(value)
        elif number == 8:
            texts.append(_content(value))
        elif number in VALUES:
            numbers.append(np.frombuffer(_content(value), VALUES[number]))
        elif number == HALVES:
            bits = _packed(value) if wire == 2 else [value]
            numbers.append(np.array(bits, np.uint16).view(dtypes.as_dtype(DTYPES.get(kind, "float16"))))
        elif number in VARINTS:
            numbers.append(np.array(_packed(value) if wire == 2 else [_signed(value)], np.int64))
    count = 1
    for size in shape:
        count *= size
    if count > MOST_ELEMENTS:
        raise ValueError(f"a tensor of shape {tuple(shape)} is too large")
    if kind == STRING:
        if len(texts) != count:
            raise ValueError(f"{len(texts)} texts for shape {tuple(shape)}")
        array = np.empty(count, object)
        array[:] = texts
        return array.reshape(shape)
    if kind not in DTYPES:
        raise ValueError(f"there is no dtype {kind}")
    dtype = dtypes.as_dtype(DTYPES[kind])
    if content is not None:
        array = np.frombuffer(content, dtype)
    else:
        array = np.concatenate(numbers).astype(dtype) if numbers else np.zeros(0, dtype)
        if 0 < len(array) < count:  # the last value stands for all that follow
            array = np.concatenate([array, np.full(count - len(array), array[-1], dtype)])
    return array.reshape(shape)


def _packed(data: bytes) -> list[int]:
    values, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        values.append(_signed(value))
    return values


def _shape(data: bytes) -> list[int]:
    shape = []
    for number, _, value in _fields(data):
        if number == 2:
            sizes = [_signed(size) for inner, _, size in _fields(_content(value)) if inner == 1]
            shape.append(sizes[0] if sizes else 0)
    if any(size < 0 for size in shape) or len(shape) > 32:
        raise ValueError(f"there is no shape {tuple(shape)}")
    return shape
