"""The builder that lowering rules see: dtype-generic arithmetic on operands.

Float arithmetic is never contracted or reassociated here: every instruction rounds as NumPy's
does, which keeps eager and compiled results together.  float16 and bfloat16 are computed in float32,
and each result is rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.backends.native import vmath
from lamina.backends.native.emit import SUFFIX, Function, Operand, literal, scalar_type, vector_type
from lamina.backends.native.half import FLOAT_KINDS, is_half, to_odd

BOOL = np.dtype(np.bool_)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
VECTORISED = {*vmath.FLOAT32, *vmath.OF_TWO}
# Intrinsics whose results need no rounding.
EXACT = {"fabs", "copysign", "floor", "ceil", "trunc", "roundeven", "smin", "smax", "umin", "umax"}
WRITTEN_OUT = 4  # times that a long formula stands in a function's own text, where loops may share parts of it
ORDERED = {"eq": "oeq", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "ne": "une"}


class Builder:
    """Arithmetic for one function that is being written."""

    def __init__(self, function: Function) -> None:
        self.f = function

    # --- shapes and constants -------------------------------------------------------------------
    def const(self, value: Any, dtype: Any) -> Operand:
        dtype = np.dtype(dtype)
        return Operand(literal(value, dtype), dtype, 1)

    def match(self, *xs: Operand) -> list[Operand]:
        """The operands with one number of lanes."""
        lanes = max(x.lanes for x in xs)
        return [self.f.spread(x, lanes) for x in xs]

    def _two(self, op: str, x: Operand, y: Operand) -> Operand:
        x, y = self.match(x, y)
        return self._rounded(self.f.v(f"{op} {x.type} {x.ssa}, {y.ssa}"), x)

    def _rounded(self, ssa: str, x: Operand) -> Operand:
        """A result in registers as a value of the operand's dtype: those of two bytes must be rounded."""
        if is_half(x.dtype):
            return self.f.rounded(Operand(ssa, FLOAT32, x.lanes), x.dtype)
        return Operand(ssa, x.dtype, x.lanes)

    def _intrinsic(self, name: str, *xs: Operand) -> Operand:
        xs = tuple(self.match(*xs))
        x = xs[0]
        element = scalar_type(x.dtype)
        overload = f"v{x.lanes}{SUFFIX[element]}" if x.lanes > 1 else SUFFIX[element]
        arguments = ", ".join(f"{y.type} {y.ssa}" for y in xs)
        ssa = self.f.v(f"call {x.type} @llvm.{name}.{overload}({arguments})")
        return Operand(ssa, x.dtype, x.lanes) if name in EXACT else self._rounded(ssa, x)

    # --- arithmetic -----------------------------------------------------------------------------
    def add(self, x: Operand, y: Operand) -> Operand:
        return self._two("fadd" if x.dtype.kind in FLOAT_KINDS else "or" if x.dtype == BOOL else "add", x, y)

    def sub(self, x: Operand, y: Operand) -> Operand:
        return self._two("fsub" if x.dtype.kind in FLOAT_KINDS else "sub", x, y)

    def mul(self, x: Operand, y: Operand) -> Operand:
        return self._two("fmul" if x.dtype.kind in FLOAT_KINDS else "and" if x.dtype == BOOL else "mul", x, y)

    def div(self, x: Operand, y: Operand) -> Operand:
        return self._two("fdiv", x, y)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Operand:
        return self._intrinsic("fma", x, y, z)

    def floordiv(self, x: Operand, y: Operand) -> Operand:
        """Python's ``//``.  Integer division by zero gives 0, as in NumPy."""
        if x.dtype.kind in FLOAT_KINDS:
            return self._float_divmod(x, y)[0]
        quotient, remainder = self._integer_divmod(x, y)
        if x.dtype.kind == "u":
            return quotient
        off = self._rounds_down(remainder, y)
        return self.sub(quotient, self.cast(off, x.dtype))

    def mod(self, x: Operand, y: Operand) -> Operand:
        """Python's ``%``: the result has the divisor's sign.  Integer ``x % 0`` gives 0."""
        if x.dtype.kind in FLOAT_KINDS:
            return self._float_divmod(x, y)[1]
        _, remainder = self._integer_divmod(x, y)
        if x.dtype.kind == "u":
            return remainder
        off = self._rounds_down(remainder, y)
        return self.add(remainder, self.select(off, y, self.const(0, x.dtype)))

    def _integer_divmod(self, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        """Truncated quotient and remainder; never traps (x / 0 = 0, INT_MIN / -1 wraps)."""
        zero, one = self.const(0, x.dtype), self.const(1, x.dtype)
        by_zero = self.eq(y, zero)
        divisor = self.select(by_zero, one, y)
        if x.dtype.kind == "u":
            quotient, remainder = self._two("udiv", x, divisor), self._two("urem", x, divisor)
        else:
            by_minus_one = self.eq(divisor, self.const(-1, x.dtype))
            divisor = self.select(by_minus_one, one, divisor)
            quotient, remainder = self._two("sdiv", x, divisor), self._two("srem", x, divisor)
            quotient = self.select(by_minus_one, self.neg(x), quotient)
            remainder = self.select(by_minus_one, zero, remainder)
        return self.select(by_zero, zero, quotient), self.select(by_zero, zero, remainder)

    def _rounds_down(self, remainder: Operand, y: Operand) -> Operand:
        zero = self.const(0, y.dtype)
        return self.and_(self.ne(remainder, zero), self.lt(self.xor(remainder, y), zero))

    def _float_divmod(self, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        """NumPy's float divmod (from CPython): exact remainder first, then the quotient from it."""
        zero = self.const(0, x.dtype)
        remainder = self.call("fmod", x, y)
        quotient = self.div(self.sub(x, remainder), y)
        nonzero = self.ne(remainder, zero)
        flips = self.and_(nonzero, self.ne(self.lt(remainder, zero), self.lt(y, zero)))
        signed_zero = self._intrinsic("copysign", zero, y)
        exact = self.select(self.isnan(remainder), remainder, signed_zero)
        remainder_out = self.select(nonzero, self.select(flips, self.add(remainder, y), remainder), exact)
        quotient = self.select(flips, self.sub(quotient, self.const(1, x.dtype)), quotient)
        down = self.floor(quotient)
        rounded = self.select(
            self.gt(self.sub(quotient, down), self.const(0.5, x.dtype)), self.add(down, self.const(1, x.dtype)), down
        )
        rounded = self.select(self.eq(quotient, zero), self._intrinsic("copysign", zero, self.div(x, y)), rounded)
        return self.select(self.eq(y, zero), self.div(x, y), rounded), remainder_out

    def neg(self, x: Operand) -> Operand:
        if x.dtype.kind in FLOAT_KINDS:
            return Operand(self.f.v(f"fneg {x.type} {x.ssa}"), x.dtype, x.lanes)
        return self._two("sub", self.const(0, x.dtype), x)

    def abs(self, x: Operand) -> Operand:
        if x.dtype.kind in FLOAT_KINDS:
            return self._intrinsic("fabs", x)
        if x.dtype.kind in "ub":
            return x
        return self.max(x, self.neg(x))

    def sqrt(self, x: Operand) -> Operand:
        return self._intrinsic("sqrt", x)

    def floor(self, x: Operand) -> Operand:
        return self._intrinsic("floor", x) if x.dtype.kind in FLOAT_KINDS else x

    def ceil(self, x: Operand) -> Operand:
        return self._intrinsic("ceil", x) if x.dtype.kind in FLOAT_KINDS else x

    def trunc(self, x: Operand) -> Operand:
        return self._intrinsic("trunc", x) if x.dtype.kind in FLOAT_KINDS else x

    def round(self, x: Operand) -> Operand:
        """To the nearest integer, ties to even."""
        return self._intrinsic("roundeven", x) if x.dtype.kind in FLOAT_KINDS else x

    def copysign(self, x: Operand, y: Operand) -> Operand:
        return self._intrinsic("copysign", x, y)

    def min(self, x: Operand, y: Operand) -> Operand:
        return self._extreme("min", "lt", x, y)

    def max(self, x: Operand, y: Operand) -> Operand:
        return self._extreme("max", "gt", x, y)

    def _extreme(self, name: str, compare: str, x: Operand, y: Operand) -> Operand:
        if x.dtype == BOOL:
            return self._two("and" if name == "min" else "or", x, y)
        if x.dtype.kind not in FLOAT_KINDS:
            return self._intrinsic(("u" if x.dtype.kind == "u" else "s") + name, x, y)
        # x wins ties and NaN in either operand gives NaN: two instructions instead of llvm.maximum's six.
        better = self.select(self._compare(compare, x, y), x, y)
        return self.select(self.isnan(x), x, better)

    # --- mathematical functions -----------------------------------------------------------------
    def exp(self, x: Operand) -> Operand:
        return self.call("exp", x)

    def log(self, x: Operand) -> Operand:
        return self.call("log", x)

    def tanh(self, x: Operand) -> Operand:
        return self.call("tanh", x)

    def shared(self, name: str, formula: Callable[..., Operand], *operands: Operand) -> Operand:
        """``formula(builder, *operands)``: written out, or where a function has it many times, called.

        The time to compile grows with the text: that of ``AugMix`` has hundreds of random numbers.
        """
        f = self.f
        f.formulas[name] = f.formulas.get(name, 0) + 1
        if f.formulas[name] <= WRITTEN_OUT:
            return formula(self, *operands)
        symbol = "_".join(["lamina", name, *(f"{x.dtype.name}x{x.lanes}" for x in operands)])
        inner = Function(symbol, [], f.lanes, hardware=f.hardware)
        result = formula(Builder(inner), *(Operand(f"%x{i}", x.dtype, x.lanes) for i, x in enumerate(operands)))
        parameters = ", ".join(f"{x.type} %x{i}" for i, x in enumerate(operands))
        head = f"define internal {result.type} @{symbol}({parameters}) noinline nounwind {{"
        f.needs |= inner.needs | {"\n".join([head, *inner.lines, f"  ret {result.type} {result.ssa}", "}"])}
        arguments = ", ".join(f"{x.type} {x.ssa}" for x in operands)
        return Operand(f.v(f"call {result.type} @{symbol}({arguments})"), result.dtype, result.lanes)

    def erf(self, x: Operand) -> Operand:
        return self.call("erf", x)

    def sin(self, x: Operand) -> Operand:
        return self.call("sin", x)

    def cos(self, x: Operand) -> Operand:
        return self.call("cos", x)

    def call(self, name: str, *xs: Operand) -> Operand:
        """A mathematical function by its name in C: as vector instructions, or the C library lane by lane."""
        xs = tuple(self.match(*xs))
        x = xs[0]
        element = scalar_type(x.dtype)
        vectorised = getattr(vmath, name if element == "float" else f"{name}_f64", None)
        if vectorised is not None and name in VECTORISED:
            return self._rounded(vectorised(self.f, *(y.ssa for y in xs), x.lanes), x)
        symbol = name + ("f" if element == "float" else "")
        self.f.needs.add(f"declare {element} @{symbol}({', '.join([element] * len(xs))})")
        if x.lanes == 1:
            arguments = ", ".join(f"{element} {y.ssa}" for y in xs)
            return self._rounded(self.f.v(f"call {element} @{symbol}({arguments})"), x)
        result = "poison"
        for lane in range(x.lanes):
            parts = [self.f.v(f"extractelement {y.type} {y.ssa}, i64 {lane}") for y in xs]
            arguments = ", ".join(f"{element} {p}" for p in parts)
            one = self.f.v(f"call {element} @{symbol}({arguments})")
            result = self.f.v(f"insertelement {x.type} {result}, {element} {one}, i64 {lane}")
        return self._rounded(result, x)

    # --- comparison and choice ------------------------------------------------------------------
    def _compare(self, op: str, x: Operand, y: Operand) -> Operand:
        x, y = self.match(x, y)
        if x.dtype.kind in FLOAT_KINDS:
            text = f"fcmp {ORDERED[op]} {x.type} {x.ssa}, {y.ssa}"
        else:
            sign = "" if op in ("eq", "ne") else "u" if x.dtype.kind in "ub" else "s"
            text = f"icmp {sign}{op} {x.type} {x.ssa}, {y.ssa}"
        return Operand(self.f.v(text), BOOL, x.lanes)

    def eq(self, x: Operand, y: Operand) -> Operand:
        return self._compare("eq", x, y)

    def ne(self, x: Operand, y: Operand) -> Operand:
        return self._compare("ne", x, y)

    def lt(self, x: Operand, y: Operand) -> Operand:
        return self._compare("lt", x, y)

    def le(self, x: Operand, y: Operand) -> Operand:
        return self._compare("le", x, y)

    def gt(self, x: Operand, y: Operand) -> Operand:
        return self._compare("gt", x, y)

    def ge(self, x: Operand, y: Operand) -> Operand:
        return self._compare("ge", x, y)

    def isnan(self, x: Operand) -> Operand:
        return Operand(self.f.v(f"fcmp uno {x.type} {x.ssa}, {x.ssa}"), BOOL, x.lanes)

    def select(self, condition: Operand, x: Operand, y: Operand) -> Operand:
        condition, x, y = self.match(condition, x, y)
        return Operand(
            self.f.v(f"select {condition.type} {condition.ssa}, {x.type} {x.ssa}, {y.type} {y.ssa}"), x.dtype, x.lanes
        )

    # --- bits -----------------------------------------------------------------------------------
    def and_(self, x: Operand, y: Operand) -> Operand:
        return self._two("and", x, y)

    def or_(self, x: Operand, y: Operand) -> Operand:
        return self._two("or", x, y)

    def xor(self, x: Operand, y: Operand) -> Operand:
        return self._two("xor", x, y)

    def not_(self, x: Operand) -> Operand:
        ones = Operand(literal(True, BOOL) if x.dtype == BOOL else "-1", x.dtype, 1)
        return self._two("xor", x, ones)

    def shl(self, x: Operand, y: Operand) -> Operand:
        """Left shift; shifting by the width or more gives 0."""
        bits = 8 * x.dtype.itemsize
        inside = self.lt(self.bitcast(y, f"uint{bits}"), self.const(bits, f"uint{bits}"))
        safe = self.select(inside, y, self.const(0, x.dtype))
        return self.select(inside, self._two("shl", x, safe), self.const(0, x.dtype))

    def shr(self, x: Operand, y: Operand) -> Operand:
        """Right shift (arithmetic for signed integers); by the width or more: all sign bits."""
        bits = 8 * x.dtype.itemsize
        inside = self.lt(self.bitcast(y, f"uint{bits}"), self.const(bits, f"uint{bits}"))
        safe = self.select(inside, y, self.const(bits - 1, x.dtype))
        shifted = self._two("ashr" if x.dtype.kind == "i" else "lshr", x, safe)
        return shifted if x.dtype.kind == "i" else self.select(inside, shifted, self.const(0, x.dtype))

    def bitcast(self, x: Operand, dtype: Any) -> Operand:
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if is_half(dtype):
            return self.f.from_memory(self.bitcast(x, "uint16").ssa, dtype, x.lanes)
        if is_half(x.dtype):
            return self.bitcast(Operand(self.f.to_memory(x), np.dtype(np.uint16), x.lanes), dtype)
        to = vector_type(scalar_type(dtype), x.lanes)
        if to == x.type:
            return Operand(x.ssa, dtype, x.lanes)
        return Operand(self.f.v(f"bitcast {x.type} {x.ssa} to {to}"), dtype, x.lanes)

    # --- conversion -----------------------------------------------------------------------------
    def cast(self, x: Operand, dtype: Any) -> Operand:
        """Change the dtype: floats truncate to integers, numbers become bool by ``!= 0``."""
        to = np.dtype(dtype)
        if x.dtype == to:
            return x
        if to == BOOL:
            return self.ne(x, self.const(0, x.dtype))
        if is_half(x.dtype):  # registers hold it as float32
            return self.cast(Operand(x.ssa, FLOAT32, x.lanes), to)
        if is_half(to):
            if x.dtype == FLOAT64 and to.kind == "f":  # NumPy rounds once here; ml_dtypes goes through float32
                return self.f.rounded(Operand(to_odd(self.f, x.ssa, x.lanes), FLOAT32, x.lanes), to)
            return self.f.rounded(self.cast(x, FLOAT32), to)
        source, target = x.dtype, to
        kind = vector_type(scalar_type(to), x.lanes)
        if source == BOOL:
            op = "uitofp" if target.kind == "f" else "zext"
        elif source.kind == "f" and target.kind == "f":
            op = "fptrunc" if source.itemsize > target.itemsize else "fpext"
        elif source.kind == "f":
            return self._float_to_integer(x, target)
        elif target.kind == "f":
            op = "uitofp" if source.kind == "u" else "sitofp"
        elif source.itemsize == target.itemsize:
            return Operand(x.ssa, to, x.lanes)
        elif source.itemsize > target.itemsize:
            op = "trunc"
        else:
            op = "zext" if source.kind == "u" else "sext"
        return Operand(self.f.v(f"{op} {x.type} {x.ssa} to {kind}"), to, x.lanes)

    def _float_to_integer(self, x: Operand, to: np.dtype[Any]) -> Operand:
        """Truncation; what int32 (for uint32 int64) cannot hold becomes the nearest that it can, and NaN becomes 0.

        Narrower numbers are the last bytes of that.
        """
        between = to if to.itemsize == 8 else INT32 if to.itemsize < 4 or to.kind == "i" else INT64
        whole = self._saturated(x, between)
        if to.itemsize == between.itemsize:
            return whole
        kind = vector_type(scalar_type(to), x.lanes)
        return Operand(self.f.v(f"trunc {whole.type} {whole.ssa} to {kind}"), to, x.lanes)

    def _saturated(self, x: Operand, to: np.dtype[Any]) -> Operand:
        element, target = scalar_type(x.dtype), scalar_type(to)
        kind = vector_type(target, x.lanes)
        if x.lanes == 1 or to.kind == "u":
            lanes = f"v{x.lanes}" if x.lanes > 1 else ""
            sign = "u" if to.kind == "u" else "s"
            name = f"llvm.fpto{sign}i.sat.{lanes}{target}.{lanes}{SUFFIX[element]}"
            return Operand(self.f.v(f"call {kind} @{name}({x.type} {x.ssa})"), to, x.lanes)
        # LLVM takes the vectors of that intrinsic apart, and converts number by number.
        least, zero = -(2.0 ** (8 * to.itemsize - 1)), self.const(0, x.dtype)
        large = self.ge(x, self.const(-least, x.dtype))
        small = self.lt(x, self.const(least, x.dtype))
        fits = self.select(small, self.const(least, x.dtype), self.select(self.or_(large, self.isnan(x)), zero, x))
        whole = Operand(self.f.v(f"fptosi {x.type} {fits.ssa} to {kind}"), to, x.lanes)
        return self.select(large, self.const(np.iinfo(to).max, to), whole)


IDENTITY: dict[str, Any] = {"add": 0, "mul": 1, "and": True, "or": False}


def identity(combine: str, dtype: np.dtype[Any]) -> Any:
    """The value that a reduction starts from."""
    if combine in IDENTITY:
        return IDENTITY[combine]
    low = combine in ("max", "argmax")
    if dtype.kind in FLOAT_KINDS:
        return -math.inf if low else math.inf
    if dtype.kind == "b":
        return not low
    info = np.iinfo(dtype)
    return info.min if low else info.max
