"""The devices that computations run on.  So far there is one: the CPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lamina.core.errors import ArgumentError

_NAME = re.compile(r"(?:/job:\w+)?(?:/replica:\d+)?(?:/task:\d+)?/?(?:device:)?([A-Za-z]+)(?::(\d+|\*))?$")


class Device(NamedTuple):
    """A place for computations.

    Attributes:
        kind: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        number: its number among those of its kind.
    """

    kind: str
    number: int

    @property
    def name(self) -> str:
        """``"cpu:0"``, the name that ``device`` takes."""
        return f"{self.kind}:{self.number}"


class DeviceName(str):
    """The name of the device that holds a tensor: ``"cpu"``; it also ends as the long names of TensorFlow do.

    Example:
        >>> CPU, CPU == "cpu", CPU.endswith("CPU:0"), CPU.endswith("GPU:0")
        ('cpu', True, True, False)
    """

    __slots__ = ()

    def endswith(self, suffix: Any, *bounds: Any) -> bool:
        """Whether the name, or its long form ``/job:localhost/replica:0/task:0/device:CPU:0``, ends so."""
        long = f"/job:localhost/replica:0/task:0/device:{self.upper()}:0"
        return str.endswith(self, suffix, *bounds) or long.endswith(suffix, *bounds)


CPU = DeviceName("cpu")
_DEVICES = (Device("cpu", 0),)


def list_devices(kind: str | None = None) -> list[Device]:
    """The devices of a kind, or all.

    Args:
        kind: ``"cpu"``, ``"gpu"`` or ``"tpu"``, in capital letters too.

    Example:
        >>> list_devices(), list_devices("gpu")
        ([Device(kind='cpu', number=0)], [])
    """
    return [d for d in _DEVICES if kind is None or d.kind == kind.lower()]


def parse_device(name: str) -> Device:
    """A device from its name: ``"cpu"``, ``"cpu:0"``, ``"/GPU:1"``, ``"/device:CPU:0"``; it need not exist.

    Raises:
        ArgumentError: it is no name of a device.
    """
    found = _NAME.match(name)
    if not found or found[1].lower() not in ("cpu", "gpu", "tpu", "cuda", "xla_cpu", "xla_gpu"):
        raise ArgumentError(f"{name!r} is no name of a device; they read like 'cpu:0', '/GPU:1', '/device:CPU:0'.")
    kind = {"cuda": "gpu", "xla_cpu": "cpu", "xla_gpu": "gpu"}.get(found[1].lower(), found[1].lower())
    return Device(kind, 0 if found[2] in (None, "*") else int(found[2]))


@contextmanager
def device(name: str | Device) -> Iterator[Device]:
    """What is computed inside runs on this device.

    Args:
        name: a name such as ``"cpu:0"``, or a ``Device``.

    Raises:
        ArgumentError: there is no such device.

    Example:
        >>> with device("cpu:0") as place:
        ...     print(place.name)
        cpu:0
    """
    place = parse_device(name) if isinstance(name, str) else name
    if place not in _DEVICES:
        raise ArgumentError(f"There is no device {place.name!r} here, only {', '.join(d.name for d in _DEVICES)}.")
    yield place
