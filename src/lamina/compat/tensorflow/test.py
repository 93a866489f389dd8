"""``tf.test``: questions about the devices."""

from __future__ import annotations

from typing import Any

from lamina.core.devices import list_devices


def gpu_device_name() -> str:
    """The name of a GPU, empty without one."""
    found = list_devices("gpu")
    return f"/device:GPU:{found[0].number}" if found else ""


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """Whether there is a GPU."""
    return bool(list_devices("gpu"))


def is_built_with_cuda() -> bool:
    """Whether code is made for NVIDIA's GPUs: not so far."""
    return False


is_built_with_gpu_support = is_built_with_cuda
