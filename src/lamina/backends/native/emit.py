"""Emitting LLVM IR as text: functions, loops, memory, and values in lanes.

The text is written in good static-single-assignment form straight away, so that no IR pass is
needed to get registers out of memory.  Intrinsics need no declarations (LLVM >= 19 knows them).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina.backends.native.half import FLOAT_KINDS, Half, is_half
from lamina.backends.native.lanes import vector_type
from lamina.core.errors import UnsupportedError

TYPES = {
    "bool": "i1", "int8": "i8", "uint8": "i8", "int16": "i16", "uint16": "i16", "int32": "i32", "uint32": "i32",
    "int64": "i64", "uint64": "i64", "float16": "float", "bfloat16": "float", "float32": "float", "float64": "double",
}  # fmt: skip
SUFFIX = {"float": "f32", "double": "f64", "i1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64"}
ATTRIBUTES = 'attributes #0 = {{ nounwind "min-legal-vector-width"="{bits}" "prefer-vector-width"="{bits}" }}\n'


# dtype.name is slow to ask for
_BY_DTYPE = {np.dtype(name): kind for name, kind in TYPES.items() if name != "bfloat16"}


def scalar_type(dtype: np.dtype[Any]) -> str:
    """The LLVM type of one element in a register."""
    if is_half(dtype):
        return "float"
    try:
        return _BY_DTYPE[dtype]
    except KeyError:
        raise UnsupportedError(f"The native backend has no registers for dtype {dtype.name}.") from None


def memory_type(dtype: np.dtype[Any]) -> str:
    """The LLVM type of one element in memory."""
    if is_half(dtype):
        return "i16"
    element = scalar_type(dtype)
    return "i8" if element == "i1" else element


def literal(value: Any, dtype: np.dtype[Any]) -> str:
    """A constant as LLVM writes it."""
    if dtype.kind in FLOAT_KINDS:
        number = float(dtype.type(value))
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(dtype.type(value)))


def splat(element: str, text: str, lanes: int) -> str:
    """A constant spread over lanes."""
    return text if lanes == 1 else f"splat ({element} {text})"


class Operand:
    """A value in registers: an SSA name (or constant), a dtype and a number of lanes.

    Numbers of two bytes are float32 in registers (see ``half``).
    """

    __slots__ = ("ssa", "dtype", "lanes")

    def __init__(self, ssa: str, dtype: np.dtype[Any], lanes: int) -> None:
        self.ssa, self.dtype, self.lanes = ssa, dtype, lanes

    @property
    def type(self) -> str:
        return vector_type(scalar_type(self.dtype), self.lanes)


class Function:
    """One LLVM function being written.

    Args:
        name: its name in the module.
        parameters: ``(type, name)`` pairs.
        lanes: how many lanes a vector of this function has.
        internal: whether only this module may call it.
        hardware: the half dtypes that the CPU converts by an instruction.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        lanes: int,
        internal: bool = True,
        hardware: frozenset[str] = frozenset(),
    ) -> None:
        self.name, self.parameters, self.lanes, self.internal = name, list(parameters), lanes, internal
        self.hardware = hardware
        self._halves: dict[str, str] = {}  # rounded float32 -> its two bytes, where these came first
        self.lines: list[str] = []
        self.block = "entry"
        self._count = 0
        self.needs: set[str] = set()  # external functions that must be declared
        self.formulas: dict[str, int] = {}  # how often each long formula was asked for (Builder.shared)

    # --- text -----------------------------------------------------------------------------------
    def fresh(self) -> int:
        self._count += 1
        return self._count

    def v(self, text: str) -> str:
        """Append an instruction that gives a value; returns its name."""
        self._count += 1
        name = f"%t{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def e(self, text: str) -> None:
        """Append an instruction that gives none."""
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def text(self) -> str:
        linkage = "internal " if self.internal else ""
        parameters = ", ".join(f"{t} %{n}" for t, n in self.parameters)
        body = "\n".join(self.lines)
        return f"define {linkage}void @{self.name}({parameters}) #0 {{\nentry:\n{body}\n  ret void\n}}\n"

    # --- 64-bit address arithmetic, folded where constant -------------------------------------------
    def iadd(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0:
            return b
        if b == 0:
            return a
        return self.v(f"add nsw i64 {a}, {b}")

    def isub(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.v(f"sub nsw i64 {a}, {b}")

    def imul(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        if b == 1:
            return a
        return self.v(f"mul nsw i64 {a}, {b}")

    def idiv(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if b == 1 else self.v(f"udiv i64 {a}, {b}")

    def imod(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if b == 1 else self.v(f"urem i64 {a}, {b}")

    def imin(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.v(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def imax(self, a: str | int, b: str | int) -> str | int:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.v(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def address(self, pointer: str, offset: str | int, element: str) -> str:
        """``pointer + offset`` elements."""
        return pointer if offset == 0 else self.v(f"getelementptr {element}, ptr {pointer}, i64 {offset}")

    def opaque(self, pointer: str) -> str:
        """The same address, of which LLVM knows nothing.

        Where elements of one step are those of the next one's neighbours, LLVM would keep them all in registers.
        """
        return self.v(f'call ptr asm "", "=r,0"(ptr {pointer})')

    # --- control --------------------------------------------------------------------------------
    def loop(
        self,
        start: str | int,
        stop: str | int,
        step: int,
        body: Callable[[str | int, list[str]], list[str] | None],
        carry: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """``for i in range(start, stop, step)``; carried ``(type, initial)`` values go through phis.

        A loop known to run once is written without one; a loop with constant bounds needs no guard.
        """
        initial = [c[1] for c in carry]
        constant = isinstance(start, int) and isinstance(stop, int)
        if constant:
            trips = -(-(stop - start) // step)  # type: ignore[operator]
            if trips <= 0:
                return initial
            if trips == 1:
                return body(start, initial) or []
        n = self.fresh()
        head, leave, before = f"L{n}", f"X{n}", self.block
        if constant:
            self.e(f"br label %{head}")
        else:
            some = self.v(f"icmp slt i64 {start}, {stop}")
            self.e(f"br i1 {some}, label %{head}, label %{leave}")
        self.label(head)
        at = len(self.lines)
        i = f"%i{n}"
        phis = [f"%p{n}.{j}" for j in range(len(carry))]
        self.lines += [""] * (1 + len(carry))
        values = body(i, list(phis)) or []
        following = self.v(f"add nsw i64 {i}, {step}")
        end = self.block
        more = self.v(f"icmp slt i64 {following}, {stop}")
        self.e(f"br i1 {more}, label %{head}, label %{leave}")
        self.lines[at] = f"  {i} = phi i64 [{start}, %{before}], [{following}, %{end}]"
        for j, ((kind, first), value) in enumerate(zip(carry, values, strict=True)):
            self.lines[at + 1 + j] = f"  {phis[j]} = phi {kind} [{first}, %{before}], [{value}, %{end}]"
        self.label(leave)
        if constant:
            return values
        return [
            self.v(f"phi {kind} [{first}, %{before}], [{value}, %{end}]")
            for (kind, first), value in zip(carry, values, strict=True)
        ]

    def when(self, condition: str, body: Callable[[], None]) -> None:
        """``if condition: body()``."""
        n = self.fresh()
        self.e(f"br i1 {condition}, label %T{n}, label %E{n}")
        self.label(f"T{n}")
        body()
        self.e(f"br label %E{n}")
        self.label(f"E{n}")

    # --- memory ---------------------------------------------------------------------------------
    def lane_mask(self, count: int) -> str:
        bits = ", ".join(f"i1 {'true' if i < count else 'false'}" for i in range(self.lanes))
        return f"<{bits}>"

    def load(self, pointer: str, dtype: np.dtype[Any], lanes: int = 1, count: int | None = None) -> Operand:
        """Load one element or a vector; with ``count`` only that many first lanes are touched."""
        memory = memory_type(dtype)
        kind = vector_type(memory, lanes)
        if count is not None and lanes > 1 and count < lanes:
            ssa = self.v(
                f"call {kind} @llvm.masked.load.v{lanes}{SUFFIX[memory]}.p0(ptr align {dtype.itemsize} {pointer}, "
                f"<{lanes} x i1> {self.lane_mask(count)}, {kind} zeroinitializer)"
            )
        else:
            ssa = self.v(f"load {kind}, ptr {pointer}, align {dtype.itemsize}")
        return self.from_memory(ssa, dtype, lanes)

    def from_memory(self, ssa: str, dtype: np.dtype[Any], lanes: int) -> Operand:
        """What was loaded, as registers hold it."""
        if dtype.kind == "b":
            ssa = self.v(f"icmp ne {vector_type('i8', lanes)} {ssa}, {'zeroinitializer' if lanes > 1 else '0'}")
        elif is_half(dtype):
            bits, ssa = ssa, Half(self, dtype, lanes, self.hardware).widen(ssa)
            self._halves[ssa] = bits
        return Operand(ssa, dtype, lanes)

    def to_memory(self, x: Operand) -> str:
        """A value as memory holds it."""
        if x.dtype.kind == "b":
            return self.v(f"zext {x.type} {x.ssa} to {vector_type('i8', x.lanes)}")
        if is_half(x.dtype):
            return self._halves.get(x.ssa) or Half(self, x.dtype, x.lanes, self.hardware).narrow(x.ssa)
        return x.ssa

    def rounded(self, x: Operand, dtype: np.dtype[Any]) -> Operand:
        """float32 numbers, rounded to a half dtype."""
        ssa, bits = Half(self, dtype, x.lanes, self.hardware).round(x.ssa)
        if bits is not None:
            self._halves[ssa] = bits
        return Operand(ssa, dtype, x.lanes)

    def store(self, x: Operand, pointer: str, count: int | None = None) -> None:
        """Store one element or a vector; with ``count`` only that many first lanes are written."""
        element, ssa = memory_type(x.dtype), self.to_memory(x)
        kind = vector_type(element, x.lanes)
        if count is not None and x.lanes > 1 and count < x.lanes:
            self.e(
                f"call void @llvm.masked.store.v{x.lanes}{SUFFIX[element]}.p0({kind} {ssa}, "
                f"ptr align {x.dtype.itemsize} {pointer}, <{x.lanes} x i1> {self.lane_mask(count)})"
            )
        else:
            self.e(f"store {kind} {ssa}, ptr {pointer}, align {x.dtype.itemsize}")

    def gather(self, pointer: str, offsets: str, dtype: np.dtype[Any], count: int | None = None) -> Operand:
        """Load ``lanes`` elements at 32-bit element offsets."""
        memory = memory_type(dtype)
        n = self.lanes
        if dtype.itemsize == 2:
            return self.from_memory(self._gather_pairs(pointer, offsets, count), dtype, n)
        kind = vector_type(memory, n)
        pointers = self.v(f"getelementptr {memory}, ptr {pointer}, <{n} x i32> {offsets}")
        mask = self.lane_mask(n if count is None else count)
        ssa = self.v(
            f"call {kind} @llvm.masked.gather.v{n}{SUFFIX[memory]}.v{n}p0"
            f"(<{n} x ptr> align {dtype.itemsize} {pointers}, <{n} x i1> {mask}, {kind} zeroinitializer)"
        )
        return self.from_memory(ssa, dtype, n)

    def _gather_pairs(self, pointer: str, offsets: str, count: int | None) -> str:
        """Gather 16-bit elements by the aligned 32 bits that each lies in: CPUs gather no less at a time."""
        n = self.lanes
        kind = f"<{n} x i32>"
        address = self.v(f"ptrtoint ptr {pointer} to i64")
        aligned = self.v(f"inttoptr i64 {self.v(f'and i64 {address}, -4')} to ptr")
        odd = self.v(f"lshr i64 {address}, 1")
        odd = self.v(f"and i64 {odd}, 1")
        odd = self.v(f"trunc i64 {odd} to i32")
        odd = self.spread(Operand(odd, np.dtype(np.int32), 1)).ssa
        halves = self.v(f"add {kind} {offsets}, {odd}")
        pointers = self.v(f"getelementptr i32, ptr {aligned}, {kind} {self.v(f'ashr {kind} {halves}, splat (i32 1)')}")
        pairs = self.v(
            f"call {kind} @llvm.masked.gather.v{n}i32.v{n}p0(<{n} x ptr> align 4 {pointers}, "
            f"<{n} x i1> {self.lane_mask(n if count is None else count)}, {kind} zeroinitializer)"
        )
        second = self.v(f"and {kind} {halves}, splat (i32 1)")
        shifted = self.v(f"lshr {kind} {pairs}, {self.v(f'shl {kind} {second}, splat (i32 4)')}")
        return self.v(f"trunc {kind} {shifted} to <{n} x i16>")

    # --- lanes ----------------------------------------------------------------------------------
    def spread(self, x: Operand, lanes: int | None = None) -> Operand:
        """The operand in every lane."""
        n = self.lanes if lanes is None else lanes
        if x.lanes == n:
            return x
        element = scalar_type(x.dtype)
        if not x.ssa.startswith("%"):
            return Operand(splat(element, x.ssa, n), x.dtype, n)
        kind = vector_type(element, n)
        first = self.v(f"insertelement {kind} poison, {element} {x.ssa}, i64 0")
        return Operand(
            self.v(f"shufflevector {kind} {first}, {kind} poison, <{n} x i32> zeroinitializer"), x.dtype, n
        )
