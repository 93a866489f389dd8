"""Instructions on a vector of numbers, as LLVM IR text: what the mathematical functions are written with.

The two-part ln 2 of float32 is that of S. Moshier's Cephes library, that of float64 is that of Sun's fdlibm.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

LOG2_E = 1.4426950408889634
LN2_32 = (0.693359375, -2.12194440e-4)
LN2_64 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
INFINITY = float("inf")
NAN = float("nan")


def vector_type(element: str, lanes: int) -> str:
    """The LLVM type of this many lanes of an element type; one lane is the element itself."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


class Emitter(Protocol):
    """What the functions here need of the function that is being written."""

    needs: set[str]

    def v(self, text: str) -> str: ...


class Writer:
    """An emitter that only collects the instructions."""

    def __init__(self, prefix: str = "t") -> None:
        self.lines: list[str] = []
        self.needs: set[str] = set()
        self._prefix = prefix

    def v(self, text: str) -> str:
        name = f"%{self._prefix}{len(self.lines)}"
        self.lines.append(f"  {name} = {text}")
        return name


class Lanes:
    """Shorthand for instructions on ``lanes`` float32 (or float64) numbers."""

    def __init__(self, f: Emitter, lanes: int, double: bool = False) -> None:
        self.f, self.lanes, self.double = f, lanes, double
        self.element, self.integer = ("double", "i64") if double else ("float", "i32")
        self.bits, self.fraction, self.bias = (64, 52, 1023) if double else (32, 23, 127)
        self.type, self.integers = vector_type(self.element, lanes), vector_type(self.integer, lanes)
        self.truths = vector_type("i1", lanes)
        self.suffix = ("" if lanes == 1 else f"v{lanes}") + f"f{self.bits}"

    # --- constants ------------------------------------------------------------------------------
    def const(self, value: float) -> str:
        if not self.double and value == value:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        pattern = struct.unpack("<Q", struct.pack("<d", value))[0]
        text = f"0x{pattern:016X}"
        return text if self.lanes == 1 else f"splat ({self.element} {text})"

    def iconst(self, value: int) -> str:
        return str(value) if self.lanes == 1 else f"splat ({self.integer} {value})"

    def _vector_of_true(self) -> str:
        return "true" if self.lanes == 1 else "splat (i1 true)"

    def _value(self, x: str | float) -> str:
        return x if isinstance(x, str) else self.const(x)

    def _ivalue(self, x: str | int) -> str:
        return x if isinstance(x, str) else self.iconst(x)

    # --- arithmetic -----------------------------------------------------------------------------
    def _two(self, op: str, x: str | float, y: str | float) -> str:
        return self.f.v(f"{op} {self.type} {self._value(x)}, {self._value(y)}")

    def add(self, x: str | float, y: str | float) -> str:
        return self._two("fadd", x, y)

    def sub(self, x: str | float, y: str | float) -> str:
        return self._two("fsub", x, y)

    def mul(self, x: str | float, y: str | float) -> str:
        return self._two("fmul", x, y)

    def div(self, x: str | float, y: str | float) -> str:
        return self._two("fdiv", x, y)

    def fma(self, x: str | float, y: str | float, z: str | float) -> str:
        """``x * y + z``."""
        operands = ", ".join(f"{self.type} {self._value(a)}" for a in (x, y, z))
        return self.f.v(f"call {self.type} @llvm.fmuladd.{self.suffix}({operands})")

    def abs(self, x: str) -> str:
        return self.f.v(f"call {self.type} @llvm.fabs.{self.suffix}({self.type} {x})")

    def sqrt(self, x: str) -> str:
        return self.f.v(f"call {self.type} @llvm.sqrt.{self.suffix}({self.type} {x})")

    def copysign(self, x: str, sign: str) -> str:
        return self.f.v(f"call {self.type} @llvm.copysign.{self.suffix}({self.type} {x}, {self.type} {sign})")

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """``c[0] + c[1] x + c[2] x^2 + ...`` by Horner's scheme."""
        result: str | float = coefficients[-1]
        for c in reversed(coefficients[:-1]):
            result = self.fma(result, x, c)
        assert isinstance(result, str)
        return result

    # --- choices --------------------------------------------------------------------------------
    def compare(self, kind: str, x: str | float, y: str | float) -> str:
        return self.f.v(f"fcmp {kind} {self.type} {self._value(x)}, {self._value(y)}")

    def select(self, condition: str, x: str | float, y: str | float) -> str:
        return self.f.v(f"select {self.truths} {condition}, {self.type} {self._value(x)}, {self.type} {self._value(y)}")

    def at_most(self, x: str, bound: float) -> str:
        """The smaller of both; NaN stays."""
        return self.select(self.compare("ogt", x, bound), bound, x)

    def at_least(self, x: str, bound: float) -> str:
        return self.select(self.compare("olt", x, bound), bound, x)

    # --- bits -----------------------------------------------------------------------------------
    def to_bits(self, x: str) -> str:
        return self.f.v(f"bitcast {self.type} {x} to {self.integers}")

    def from_bits(self, x: str) -> str:
        return self.f.v(f"bitcast {self.integers} {x} to {self.type}")

    def iop(self, op: str, x: str | int, y: str | int) -> str:
        return self.f.v(f"{op} {self.integers} {self._ivalue(x)}, {self._ivalue(y)}")

    def power_of_two(self, n: str) -> str:
        """``2^n`` of integers that give a normal number."""
        return self.from_bits(self.iop("shl", self.iop("add", n, self.bias), self.fraction))

    def round(self, x: str, factor: float) -> tuple[str, str]:
        """The integer next to ``x * factor``, as a number and as an integer; it must be below 2^22 (2^51)."""
        # Adding 1.5 * 2^fraction leaves the integer in the lowest bits.
        magic = 1.5 * 2.0**self.fraction
        shifted = self.fma(x, factor, magic)
        pattern = struct.unpack("<q", struct.pack("<d", magic))[0]
        if not self.double:
            pattern = struct.unpack("<i", struct.pack("<f", magic))[0]
        return self.sub(shifted, magic), self.iop("sub", self.to_bits(shifted), pattern)

    def reduce_exp(self, x: str) -> tuple[str, str]:
        """``x = n ln 2 + r`` with ``|r| <= ln 2 / 2``: ``r`` and the integer ``n``."""
        high, low = LN2_64 if self.double else LN2_32
        number, n = self.round(x, LOG2_E)
        r = self.fma(number, -high, x)
        return self.fma(number, -low, r), n


def libm(f: Emitter, name: str, x: str, lanes: int, element: str) -> str:
    """A function of the C library of one argument, called for each lane."""
    f.needs.add(f"declare {element} @{name}({element})")
    if lanes == 1:
        return f.v(f"call {element} @{name}({element} {x})")
    kind = f"<{lanes} x {element}>"
    result = "poison"
    for lane in range(lanes):
        one = f.v(f"extractelement {kind} {x}, i64 {lane}")
        one = f.v(f"call {element} @{name}({element} {one})")
        result = f.v(f"insertelement {kind} {result}, {element} {one}, i64 {lane}")
    return result


Function = Callable[[Emitter, str, int], str]
