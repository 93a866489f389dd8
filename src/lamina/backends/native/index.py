"""Positions along a dimension, as affine functions of the lane where that is possible.

An index is ``base + lane * step``: ``base`` a 64-bit SSA value or a Python int, ``step`` a
constant.  ``step == 0`` is the same position in every lane.  What affine forms cannot say
(division of a lane index that straddles a boundary) becomes a vector of 32-bit positions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina.backends.native.emit import Function, Operand

INT64 = np.dtype(np.int64)
INT32 = np.dtype(np.int32)


class Index:
    """A position along one dimension.  ``align`` divides ``base``."""

    __slots__ = ("f", "base", "step", "vector", "align")

    def __init__(self, f: Function, base: str | int, step: int = 0, align: int = 1, vector: str | None = None) -> None:
        self.f, self.base, self.step, self.vector = f, base, step, vector
        self.align = base if isinstance(base, int) else align
        # 0 is divisible by everything: math.gcd treats it so

    @property
    def uniform(self) -> bool:
        return self.step == 0 and self.vector is None

    @property
    def key(self) -> tuple[Any, ...]:
        return self.base, self.step, self.vector

    def lanes32(self) -> str:
        """The position in each lane, as <W x i32>."""
        if self.vector is not None:
            return self.vector
        f, n = self.f, self.f.lanes
        steps = ", ".join(f"i32 {i * self.step}" for i in range(n))
        if isinstance(self.base, int):
            return "<" + ", ".join(f"i32 {self.base + i * self.step}" for i in range(n)) + ">"
        narrow = f.v(f"trunc i64 {self.base} to i32")
        spread = f.spread(Operand(narrow, INT32, 1)).ssa
        return spread if self.step == 0 else f.v(f"add <{n} x i32> {spread}, <{steps}>")

    def _vector(self, op: str, other: Index) -> Index:
        ssa = self.f.v(f"{op} <{self.f.lanes} x i32> {self.lanes32()}, {other.lanes32()}")
        return Index(self.f, 0, vector=ssa)

    def _of(self, other: int | Index) -> Index:
        return other if isinstance(other, Index) else Index(self.f, int(other))

    def __add__(self, other: int | Index) -> Index:
        y = self._of(other)
        if self.vector is not None or y.vector is not None:
            return self._vector("add", y)
        return Index(self.f, self.f.iadd(self.base, y.base), self.step + y.step, math.gcd(self.align, y.align))

    __radd__ = __add__

    def __sub__(self, other: int | Index) -> Index:
        y = self._of(other)
        if self.vector is not None or y.vector is not None:
            return self._vector("sub", y)
        return Index(self.f, self.f.isub(self.base, y.base), self.step - y.step, math.gcd(self.align, y.align))

    def __rsub__(self, other: int) -> Index:
        return self._of(other) - self

    def __mul__(self, other: int | Index) -> Index:
        y = self._of(other)
        if self.vector is not None or y.vector is not None or not (self.uniform or isinstance(y.base, int)):
            return self._vector("mul", y)
        if not y.uniform:
            return self._vector("mul", y)
        if self.step and not isinstance(y.base, int):
            return self._vector("mul", y)
        step = self.step * y.base if isinstance(y.base, int) else 0
        return Index(self.f, self.f.imul(self.base, y.base), step, self.align * y.align if y.align else 0)

    __rmul__ = __mul__

    def _stays_in_block(self, n: int) -> bool:
        """Whether all lanes fall into the same block of ``n`` positions."""
        if self.step == 0:
            return True
        span = (self.f.lanes - 1) * self.step
        if self.step < 0:
            return False
        if isinstance(self.base, int):
            return self.base // n == (self.base + span) // n
        unit = math.gcd(self.align, n)
        return span < unit

    def __floordiv__(self, other: int | Index) -> Index:
        if isinstance(other, Index):
            if self.uniform and other.uniform:
                return Index(self.f, self.f.idiv(self.base, other.base))
            return self._vector("udiv", other)
        n = int(other)
        if n == 1:
            return self
        if self.vector is None and self._stays_in_block(n):
            align = self.align // n if self.align and self.align % n == 0 else 1
            return Index(self.f, self.f.idiv(self.base, n), 0, align)
        return self._vector("udiv", self._of(n))

    def __mod__(self, other: int | Index) -> Index:
        if isinstance(other, Index):
            if self.uniform and other.uniform:
                return Index(self.f, self.f.imod(self.base, other.base))
            return self._vector("urem", other)
        n = int(other)
        if n == 1:
            return Index(self.f, 0)
        if self.vector is None and self._stays_in_block(n):
            return Index(self.f, self.f.imod(self.base, n), self.step, math.gcd(self.align, n))
        return self._vector("urem", self._of(n))


class FlatIndex(list[Index]):
    """The index of an iteration space that is walked as one axis: only its flat position counts.

    Good for contiguous operands of exactly the iteration shape.
    """

    def __init__(self, flat: Index, shape: tuple[int, ...]) -> None:
        super().__init__([Index(flat.f, 0)] * (len(shape) - 1) + [flat])


def flatten_index(index: list[Index], shape: tuple[int, ...]) -> Index:
    """Row-major flat position."""
    f = index[0].f
    total = Index(f, 0)
    for i, n in zip(index, shape, strict=True):
        total = total * n + i if n != 1 else total
    return total


def unflatten_index(flat: Index, shape: tuple[int, ...]) -> list[Index]:
    """The inverse of ``flatten_index``; sizes of 1 give position 0."""
    out: list[Index] = []
    left = flat
    outermost = next((d for d, n in enumerate(shape) if n != 1), 0)
    for d in range(len(shape) - 1, -1, -1):
        n = shape[d]
        if n == 1:
            out.append(Index(flat.f, 0))
        elif d == outermost:
            out.append(left)
        else:
            out.append(left % n)
            left = left // n
    return out[::-1]
