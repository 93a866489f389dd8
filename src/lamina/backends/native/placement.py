"""Which core each thread of the pool runs on.

A thread that wakes up is put on an idle core by the kernel, except in many virtual machines: a
virtual core that sleeps looks as if the host had taken it away, so that the woken thread stays
where it is, beside the thread that woke it.  The two then take turns on one core until the load is
balanced, which is later than most launches last (measured: 11 ms instead of 5.8 ms for a matrix
product after a pause of 50 ms).  So helper threads are kept off the caller's core, and where they
had to be woken, the caller is kept off theirs as long as the launch lasts.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


@functools.cache
def cores() -> list[frozenset[int]]:
    """The cores that this process may use, each as the numbers of its hardware threads."""
    if not hasattr(os, "sched_getaffinity"):
        return [frozenset({i}) for i in range(os.cpu_count() or 1)]
    allowed = os.sched_getaffinity(0)
    found: dict[str, set[int]] = {}
    for cpu in sorted(allowed):
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            core = path.read_text().strip()
        except OSError:
            core = str(cpu)
        found.setdefault(core, set()).add(cpu)
    return [frozenset(cpus) for cpus in found.values()]


def _current_cpu() -> Callable[[], int] | None:
    """The function that tells the number of the hardware thread one is on; None where there is none."""
    if sys.platform != "linux" or not hasattr(os, "sched_setaffinity"):
        return None
    try:
        function = ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None
    function.restype, function.argtypes = ctypes.c_int, []
    return function


class Placement:
    """Places the helper threads of a pool.

    Args:
        helpers: the kernel's numbers of the helper threads.
    """

    def __init__(self, helpers: Sequence[int]) -> None:
        self._helpers = helpers
        self._cpu = _current_cpu() if 0 < len(helpers) < len(cores()) else None
        self._taken: frozenset[int] = frozenset()  # hardware threads of the helpers

    def crowded(self) -> bool:
        """Whether the caller is on a helper's core."""
        return self._cpu is not None and self._cpu() in self._taken

    def spread(self) -> set[int] | None:
        """Give each thread cores of its own; what ``restore`` needs to let the caller go afterwards."""
        if self._cpu is None:
            return None
        try:
            before, here = os.sched_getaffinity(0), self._cpu()
            if here in self._taken or not self._taken:
                others = [core for core in cores() if here not in core]
                count = len(self._helpers)
                places = [frozenset().union(*others[i::count]) for i in range(count)]
                for helper, place in zip(self._helpers, places, strict=True):
                    os.sched_setaffinity(helper, place)
                self._taken = frozenset().union(*places)
            if not before - self._taken:
                return None
            os.sched_setaffinity(0, before - self._taken)
        except OSError:  # not allowed here: the kernel places them as it likes
            self._cpu = None
            return None
        return before

    @staticmethod
    def restore(before: set[int] | None) -> None:
        """Let the caller run where it might before ``spread``."""
        if before is not None:
            os.sched_setaffinity(0, before)
