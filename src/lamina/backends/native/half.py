"""Numbers of two bytes: bfloat16 and float16 in memory, float32 in registers.

A value of one of these dtypes is kept in registers as a float32 that it equals.  So loading widens,
arithmetic is float32's, every result is rounded once, and storing drops bits that are zero.  That is
how NumPy computes with float16 and ``ml_dtypes`` with bfloat16, element by element.

Rounding is to nearest, ties to even.  ``hardware`` names the dtypes for which the CPU has an
instruction; the others take integer instructions with the same results, but for bfloat16 numbers
below 2^-126, which the instruction makes zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.backends.native.lanes import Emitter, vector_type

FLOAT_KINDS = "fV"  # NumPy's kinds of the floats: bfloat16 is of kind "V"


def is_half(dtype: np.dtype[Any]) -> bool:
    """Whether it is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind in FLOAT_KINDS


class Half:
    """Conversions of ``lanes`` numbers of a half dtype.  ``bits`` are integers of 16 bits, ``x`` floats."""

    def __init__(self, f: Emitter, dtype: np.dtype[Any], lanes: int, hardware: frozenset[str]) -> None:
        self.f, self.lanes = f, lanes
        self.brain = dtype.kind == "V"
        self.fast = dtype.name in hardware
        self.element = "bfloat" if self.brain else "half"

    def _type(self, element: str) -> str:
        return vector_type(element, self.lanes)

    def _int(self, op: str, x: str, y: str | int) -> str:
        if isinstance(y, int):
            y = str(y) if self.lanes == 1 else f"splat (i32 {y})"
        return self.f.v(f"{op} {self._type('i32')} {x}, {y}")

    def _float(self, op: str, x: str, y: float) -> str:
        number = f"{y:.1f}"
        return self.f.v(f"{op} {self._type('float')} {x}, {number if self.lanes == 1 else f'splat (float {number})'}")

    def _above(self, x: str, bound: int, inclusive: bool = True) -> str:
        return self._int("icmp uge" if inclusive else "icmp ugt", x, bound)

    def _select(self, condition: str, x: str | int, y: str | int) -> str:
        kind = self._type("i32")
        x, y = (
            (str(z) if self.lanes == 1 else f"splat (i32 {z})") if isinstance(z, int) else z for z in (x, y)
        )
        return self.f.v(f"select {self._type('i1')} {condition}, {kind} {x}, {kind} {y}")

    def _cast(self, op: str, x: str, source: str, target: str) -> str:
        return self.f.v(f"{op} {self._type(source)} {x} to {self._type(target)}")

    # --- memory to registers ----------------------------------------------------------------------
    def widen(self, bits: str) -> str:
        """The floats of these bits, exactly."""
        if self.brain:
            return self._cast("bitcast", self._int("shl", self._cast("zext", bits, "i16", "i32"), 16), "i32", "float")
        if self.fast:
            return self._cast("fpext", self._cast("bitcast", bits, "i16", "half"), "half", "float")
        wide = self._cast("zext", bits, "i16", "i32")
        magnitude = self._int("and", wide, 0x7FFF)
        # The exponent of float16 in that of float32 is too small by 112; multiplying mends subnormal numbers too.
        scaled = self._cast("bitcast", self._int("shl", magnitude, 13), "i32", "float")
        scaled = self._cast("bitcast", self._float("fmul", scaled, 2.0**112), "float", "i32")
        special = self._int("or", scaled, 0x7F800000)
        scaled = self._select(self._above(magnitude, 0x7C00), special, scaled)
        sign = self._int("shl", self._int("and", wide, 0x8000), 16)
        return self._cast("bitcast", self._int("or", scaled, sign), "i32", "float")

    # --- registers to memory ----------------------------------------------------------------------
    def narrow(self, x: str) -> str:
        """The bits of floats that the dtype holds exactly."""
        if not self.brain:
            return self._bits(x)
        high = self._int("lshr", self._cast("bitcast", x, "float", "i32"), 16)
        return self._cast("trunc", high, "i32", "i16")

    def round(self, x: str) -> tuple[str, str | None]:
        """The nearest numbers of the dtype, as floats, and their bits where these come first."""
        if self.fast or not self.brain:
            bits = self._bits(x)
            return self.widen(bits), bits
        whole = self._cast("bitcast", x, "float", "i32")
        odd = self._int("and", self._int("lshr", whole, 16), 1)
        near = self._int("add", self._int("add", whole, 0x7FFF), odd)
        # What is no number must stay so: a carry could turn it into zero.
        nan = self.f.v(f"fcmp uno {self._type('float')} {x}, {x}")
        near = self._select(nan, self._int("or", whole, 1 << 22), near)
        return self._cast("bitcast", self._int("and", near, -65536), "i32", "float"), None

    def _bits(self, x: str) -> str:
        """The bits of the nearest numbers of the dtype."""
        if self.fast:
            return self._cast("bitcast", self._cast("fptrunc", x, "float", self.element), self.element, "i16")
        whole = self._cast("bitcast", x, "float", "i32")
        magnitude = self._int("and", whole, 0x7FFFFFFF)
        odd = self._int("and", self._int("lshr", magnitude, 13), 1)
        rebased = self._int("add", self._int("add", magnitude, 0xFFF - (112 << 23)), odd)
        normal = self._int("lshr", rebased, 13)
        # Adding one half leaves a subnormal float16, rounded, in the lowest bits.
        shifted = self._float("fadd", self._cast("bitcast", magnitude, "i32", "float"), 0.5)
        small = self._int("sub", self._cast("bitcast", shifted, "float", "i32"), 126 << 23)
        result = self._select(self._above(magnitude, 113 << 23), normal, small)
        special = self._select(self._above(magnitude, 0x7F800000, inclusive=False), 0x7E00, 0x7C00)
        result = self._select(self._above(magnitude, 143 << 23), special, result)
        sign = self._int("and", self._int("lshr", whole, 16), 0x8000)
        return self._cast("trunc", self._int("or", result, sign), "i32", "i16")


def to_odd(f: Emitter, x: str, lanes: int) -> str:
    """float64 to float32 such that rounding once more gives what rounding the float64 would.

    What is not exact is cut off and gets an odd last bit (S. Boldo and G. Melquiond, "Emulation of FMA
    and correctly rounded sums", 2008).
    """

    def kind(element: str) -> str:
        return vector_type(element, lanes)

    def bits(value: int) -> str:
        return str(value) if lanes == 1 else f"splat (i32 {value})"

    near = f.v(f"fptrunc {kind('double')} {x} to {kind('float')}")
    back = f.v(f"fpext {kind('float')} {near} to {kind('double')}")
    suffix = "f64" if lanes == 1 else f"v{lanes}f64"
    sizes = [f.v(f"call {kind('double')} @llvm.fabs.{suffix}({kind('double')} {v})") for v in (back, x)]
    beyond = f.v(f"fcmp ogt {kind('double')} {sizes[0]}, {sizes[1]}")
    inexact = f.v(f"fcmp one {kind('double')} {back}, {x}")
    whole = f.v(f"bitcast {kind('float')} {near} to {kind('i32')}")
    less = f.v(f"zext {kind('i1')} {beyond} to {kind('i32')}")
    cut = f.v(f"sub {kind('i32')} {whole}, {less}")
    odd = f.v(f"or {kind('i32')} {cut}, {bits(1)}")
    chosen = f.v(f"select {kind('i1')} {inexact}, {kind('i32')} {odd}, {kind('i32')} {whole}")
    return f.v(f"bitcast {kind('i32')} {chosen} to {kind('float')}")
