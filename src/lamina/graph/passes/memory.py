"""Buffer planning: one arena for all stored values, shared by those that do not live together."""

from __future__ import annotations

from typing import NamedTuple

ALIGNMENT = 64


class Lifetime(NamedTuple):
    """A buffer: its size in bytes and the first and last phase in which it is in use."""

    size: int
    first: int
    last: int


def plan_arena(buffers: list[Lifetime]) -> tuple[list[int], int]:
    """Byte offsets for buffers so that those alive in the same phase never overlap.

    Largest first, each at the lowest free place (greedy by size: Pisarchyk and Lee, "Efficient
    Memory Management for Deep Neural Net Inference", 2020).

    Returns:
        The offsets in the order of ``buffers``, and the size of the arena.

    Example:
        >>> plan_arena([Lifetime(128, 0, 1), Lifetime(64, 2, 3)])
        ([0, 0], 128)
    """
    offsets = [0] * len(buffers)
    placed: list[int] = []
    total = 0
    for i in sorted(range(len(buffers)), key=lambda i: (-buffers[i].size, buffers[i].first, i)):
        me = buffers[i]
        size = -(-me.size // ALIGNMENT) * ALIGNMENT
        busy = sorted(
            (offsets[j], offsets[j] + -(-buffers[j].size // ALIGNMENT) * ALIGNMENT)
            for j in placed
            if buffers[j].first <= me.last and me.first <= buffers[j].last
        )
        at = 0
        for start, stop in busy:
            if at + size <= start:
                break
            at = max(at, stop)
        offsets[i] = at
        placed.append(i)
        total = max(total, at + size)
    return offsets, total
