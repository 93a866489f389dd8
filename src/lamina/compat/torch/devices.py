"""What listings ask of devices: there is one, the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lamina.backends.native import threads


def _nothing(*args: Any, **kwargs: Any) -> None:
    return None


def _no(*args: Any, **kwargs: Any) -> bool:
    return False


def _zero(*args: Any, **kwargs: Any) -> int:
    return 0


cuda = SimpleNamespace(
    is_available=_no,
    device_count=_zero,
    is_initialized=_no,
    manual_seed=_nothing,
    manual_seed_all=_nothing,
    synchronize=_nothing,
    empty_cache=_nothing,
)
mps = SimpleNamespace(is_available=_no, is_built=_no, manual_seed=_nothing, empty_cache=_nothing)
xpu = SimpleNamespace(is_available=_no, device_count=_zero)
accelerator = SimpleNamespace(is_available=_no, device_count=_zero, current_accelerator=_nothing)
backends = SimpleNamespace(
    cuda=SimpleNamespace(is_built=_no),
    cudnn=SimpleNamespace(is_available=_no, enabled=False, benchmark=False, deterministic=True),
    mps=SimpleNamespace(is_available=_no, is_built=_no),
)


def get_num_threads() -> int:
    """How many threads compiled code runs on."""
    return threads.get_num_threads()


def set_num_threads(count: int) -> None:
    """Run compiled code on so many threads."""
    threads.set_num_threads(count)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing to do: results are always the same to the bit."""
