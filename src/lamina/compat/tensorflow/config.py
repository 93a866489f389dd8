"""``tf.config``: which devices there are.  There is one, the CPU; ``tf.device`` runs everything there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from lamina.backends.native.threads import get_num_threads, set_num_threads
from lamina.core.devices import list_devices
from lamina.core.errors import ArgumentError


class PhysicalDevice(NamedTuple):
    """A device of the machine, under TensorFlow's name."""

    name: str
    device_type: str


class LogicalDevice(NamedTuple):
    """A device that computations can be placed on, under TensorFlow's name."""

    name: str
    device_type: str


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices of a type (``"CPU"``, ``"GPU"``, ``"TPU"``), or all.

    Example:
        >>> list_physical_devices()
        [PhysicalDevice(name='/physical_device:CPU:0', device_type='CPU')]
        >>> list_physical_devices("GPU")
        []
    """
    found = list_devices(device_type)
    return [PhysicalDevice(f"/physical_device:{d.kind.upper()}:{d.number}", d.kind.upper()) for d in found]


def list_logical_devices(device_type: str | None = None) -> list[LogicalDevice]:
    """The devices of a type, or all, as places for computations."""
    return [LogicalDevice(f"/device:{d.kind.upper()}:{d.number}", d.kind.upper()) for d in list_devices(device_type)]


def get_visible_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The devices that are used: all."""
    return list_physical_devices(device_type)


def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Use these devices only.

    Raises:
        ArgumentError: they are not all there are of the type; no device can be left out.
    """
    given = list(devices) if isinstance(devices, list | tuple) else [devices]
    if given != list_physical_devices(device_type):
        raise ArgumentError(f"set_visible_devices: Lamina uses all devices, {list_physical_devices(device_type)}.")


def set_memory_growth(device: Any, enable: bool) -> None:
    """Memory always grows as it is needed; only ``enable=True`` can be had.

    Raises:
        ArgumentError: ``enable`` is false.
    """
    if not enable:
        raise ArgumentError("set_memory_growth: memory is taken as it is needed; it cannot all be taken in advance.")


def get_soft_device_placement() -> bool:
    """Whether what is asked for on a missing device runs on the CPU: always."""
    return True


def set_soft_device_placement(enabled: bool) -> None:
    """Only ``True`` can be had.

    Raises:
        ArgumentError: ``enabled`` is false.
    """
    if not enabled:
        raise ArgumentError("set_soft_device_placement: use lamina.core.devices.device, which raises, in one place.")


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Whether functions run as Python, op by op.

    Raises:
        ArgumentError: ``run_eagerly`` is true.
    """
    if run_eagerly:
        raise ArgumentError("run_functions_eagerly: set the environment variable LAMINA_BACKEND=eager instead.")


experimental = SimpleNamespace(
    get_visible_devices=get_visible_devices,
    list_logical_devices=list_logical_devices,
    list_physical_devices=list_physical_devices,
    set_memory_growth=set_memory_growth,
    set_visible_devices=set_visible_devices,
)
threading = SimpleNamespace(
    get_inter_op_parallelism_threads=lambda: 1,
    get_intra_op_parallelism_threads=get_num_threads,
    set_intra_op_parallelism_threads=set_num_threads,
)
