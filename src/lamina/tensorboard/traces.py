"""Profiles as XSpace files, which TensorBoard's profile plugin and other trace viewers read.

An XSpace is a protocol buffer: planes (a device), their lines (a thread), their events (a kernel).  It is so
small a part of that format that it is written here, field by field.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lamina.profiling import Profile, measure
from lamina.tensorboard.graphs import compiled_train_step

PICO = 1_000_000_000_000


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number as a varint, anything else as bytes with their length before them."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


class _Plane:
    """A plane: events by the name of their line."""

    def __init__(self, number: int, name: str) -> None:
        self.number, self.name = number, name
        self.names: dict[str, int] = {}
        self.lines: dict[str, list[bytes]] = {}

    def add(self, line: str, name: str, start: float, seconds: float) -> None:
        identity = self.names.setdefault(name, len(self.names) + 1)
        event = _field(1, identity) + _field(2, int(start * PICO)) + _field(3, int(seconds * PICO))
        self.lines.setdefault(line, []).append(_field(4, event))

    def encode(self, began: float) -> bytes:
        out = _field(1, self.number) + _field(2, self.name)
        for i, (name, events) in enumerate(self.lines.items(), 1):
            line = _field(1, i) + _field(2, name) + _field(3, int(began * 1e9)) + b"".join(events)
            out += _field(3, line)
        for name, identity in self.names.items():
            metadata = _field(1, identity) + _field(2, name)
            out += _field(4, _field(1, identity) + _field(2, metadata))  # an entry of a map
        return out


def xspace(batches: Sequence[tuple[str, float, float]], profile: Profile | None) -> bytes:
    """An XSpace with the batches on one plane, and on another the kernels of each, in their order.

    Args:
        batches: ``(name, start, seconds)``.
        profile: kernels of one step; ``None`` for models that run op by op.
    """
    began = batches[0][1] if batches else time.time()
    host = _Plane(1, "/host:CPU")
    kernels = _Plane(2, "/device:CPU:0")
    for name, start, seconds in batches:
        host.add("steps", name, start - began, seconds)
        at = start - began
        for text, spent in _kernels(profile):
            kernels.add("kernels", text, at, spent)
            at += spent
    planes = [host] if profile is None else [host, kernels]
    return b"".join(_field(1, plane.encode(began)) for plane in planes) + _field(4, socket.gethostname())


def _kernels(profile: Profile | None) -> Iterable[tuple[str, float]]:
    if profile is not None:
        for row in profile.rows:
            yield f"{row.layer}: {row.text}" if row.layer else row.text, row.seconds


def write_xspace(folder: Path, data: bytes) -> Path:
    """Put an XSpace where the profile plugin looks for it below a run's folder."""
    place = folder / "plugins" / "profile" / time.strftime("%Y_%m_%d_%H_%M_%S")
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{socket.gethostname()}.xplane.pb"
    path.write_bytes(data)
    return path


def profile_of_training(model: Any, seconds: float = 0.2) -> Profile | None:
    """The kernels of the training step that ``fit`` has compiled, measured on arrays of zeros.

    The model stays as it is.
    """
    special = compiled_train_step(model)
    if special is None:
        return None
    return measure("train_step", special.graph, [np.zeros(v.shape, v.dtype) for v in special.graph.inputs], seconds)
