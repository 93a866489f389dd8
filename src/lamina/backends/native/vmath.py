"""Mathematical functions on vectors, written as LLVM IR text.

Each function takes the emitter ``f`` (``f.v(text)`` appends an instruction and returns the name of
its result), the name ``x`` of a ``<W x float>`` (a ``float`` if ``W == 1``) and ``W``, and returns the
name of the result.  The names with ``_f64`` behind take ``double``.  All are free of branches but
``sin`` and ``cos``, which are calls of functions added to ``f.needs``.

Accuracy, against the exact value over the whole range with infinities, NaN, signed zeros and
subnormal numbers: 2 units in the last place in float32 (``sigmoid`` 2.5), 4 in float64.
``tests/backends/test_vmath.py`` holds it.  ``llvm.fmuladd`` is used throughout: it is one instruction
where the CPU has a fused multiply-add and two elsewhere, and no algorithm here relies on the fusing.

The polynomials are our own minimax fits: Remez' exchange algorithm in 45-digit arithmetic for the
relative error of the function, then rounding the coefficients one by one from the lowest power,
fitting the rest again after each.  The two-part ln 2 of float32 is that of S. Moshier's Cephes
library, that of float64 and the three-part pi/2 are those of Sun's fdlibm.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

EXP_32 = (0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369166404008865, 0.001383802155032754)
EXPM1_32 = (
    *(0.5, 0.16666635870933533, 0.041666511446237564, 0.008341511711478233, 0.0013929936103522778),
    0.00015023343439679593,
)
LOG_32 = (
    *(0.3333333134651184, -0.250008225440979, 0.20001260936260223, -0.16623060405254364, 0.14200487732887268),
    *(-0.1316496878862381, 0.12772779166698456, -0.07625991106033325),
)
TANH_32 = (-0.33333316445350647, 0.13332544267177582, -0.0538475476205349, 0.02105071395635605, -0.0062428489327430725)
ERF_32 = (
    *(0.12837915122509003, -0.3761250376701355, 0.11281921714544296, -0.026770493015646935, 0.004998958203941584),
    -0.0006020787404850125,
)
LOG_ERFC_32 = (
    *(-0.00040018369327299297, -1.1267437934875488, -0.638913094997406, -0.10225608944892883, 0.021336432546377182),
    *(-0.002797101391479373, 0.00016832489927764982),
)
SIN_32 = (-0.16666655242443085, 0.008332191035151482, -0.00019518604676704854)
COS_32 = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)
EXP_64 = (
    *(0.5, 0.16666666666666688, 0.041666666666666824, 0.00833333333331392, 0.0013888888888782178),
    *(0.0001984126990300523, 2.480158750539428e-05, 2.7557231993110984e-06, 2.7557182482934687e-07),
    *(2.5112709986270964e-08, 2.088027064128451e-09),
)
# 2^r - 1 over r, for |r| <= 1/2.
EXP2_32 = (
    *(0.6931471824645996, 0.24022644758224487, 0.055503591895103455, 0.009618841111660004, 0.0013391136890277267),
    0.00015238006017170846,
)
EXP2_64 = (
    *(0.6931471805599453, 0.24022650695910097, 0.05550410866482347, 0.009618129107607294, 0.0013333558145993411),
    *(0.00015403530441249614, 1.5252734219274008e-05, 1.3215442818401883e-06, 1.0177905984791124e-07),
    *(7.07254825095242e-09, 4.477798133335308e-10),
)
LOG_64 = (
    *(0.6666666666666735, 0.3999999999940876, 0.2857142874390695, 0.2222219839934879, 0.18183574198867877),
    *(0.15313778186602411, 0.147988601439858),
)

LOG2_E = 1.4426950408889634
LOG2_E_REST = (1.9259629911266175e-08, 2.0355273740931033e-17)  # what rounding it to float32 and float64 leaves out
LN2_32 = (0.693359375, -2.12194440e-4)
LN2_64 = (6.93147180369123816490e-01, 1.90821492927058770002e-10)
HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
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


class _Lanes:
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
        return self.f.v(
            f"select {self.truths} {condition}, {self.type} {self._value(x)}, {self.type} {self._value(y)}"
        )

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


# --- exponentials -------------------------------------------------------------------------------


def _exp_reduced(m: _Lanes, r: str, coefficients: Sequence[float] | None = None) -> str:
    """``exp(r) - 1`` for small ``r``: ``r + r^2 q(r)``."""
    if coefficients is None:
        coefficients = EXP_64 if m.double else EXP_32
    return m.fma(m.mul(r, r), m.polynomial(r, coefficients), r)


def _exp(m: _Lanes, x: str) -> str:
    low, high = (-746.0, 710.0) if m.double else (-104.0, 89.0)
    r, n = m.reduce_exp(m.at_least(m.at_most(x, high), low))
    y = m.add(_exp_reduced(m, r), 1.0)
    # Two factors, because 2^n itself may be too small or too large for a normal number.
    half = m.iop("ashr", n, 1)
    y = m.mul(y, m.power_of_two(half))
    return m.mul(y, m.power_of_two(m.iop("sub", n, half)))


def _exp_bounded(m: _Lanes, x: str) -> str:
    """``exp(x)`` where the result is a normal number."""
    r, n = m.reduce_exp(x)
    return m.mul(m.add(_exp_reduced(m, r), 1.0), m.power_of_two(n))


def exp(f: Emitter, x: str, lanes: int) -> str:
    """``e^x``."""
    return _exp(_Lanes(f, lanes), x)


def exp_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x`` in float64."""
    return _exp(_Lanes(f, lanes, True), x)


def _exp_not_positive(m: _Lanes, x: str) -> str:
    # The exponent's bits are the lowest of the shifted number: n + bias, which is 0 (so the result is 0) at the bound.
    x = m.at_least(x, -m.bias / LOG2_E)
    magic = 1.5 * 2.0**m.fraction + m.bias
    shifted = m.fma(x, LOG2_E, magic)
    r = m.fma(x, LOG2_E, m.f.v(f"fneg {m.type} {m.sub(shifted, magic)}"))
    r = m.fma(x, LOG2_E_REST[m.double], r)
    coefficients = EXP2_64 if m.double else EXP2_32
    power = m.from_bits(m.iop("shl", m.to_bits(shifted), m.fraction))
    return m.mul(m.polynomial(r, (1.0, *coefficients)), power)


def exp_not_positive(f: Emitter, x: str, lanes: int) -> str:
    """``e^x`` of numbers up to 0, in three quarters of the instructions; 0 where it is below the normal numbers.

    Where the CPU has no fused multiply-add the error grows with ``x`` to 64 units in the last place (float64: 512).
    """
    return _exp_not_positive(_Lanes(f, lanes), x)


def exp_not_positive_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x`` of numbers up to 0, in float64."""
    return _exp_not_positive(_Lanes(f, lanes, True), x)


def _expm1(m: _Lanes, x: str) -> str:
    low, high, tiny = (-40.0, 710.0, 2.0**-54) if m.double else (-20.0, 89.0, 2.0**-25)
    r, n = m.reduce_exp(m.at_least(m.at_most(x, high), low))
    p = _exp_reduced(m, r, None if m.double else EXPM1_32)
    # 2^n p + (2^n - 1), computed at half the size because 2^n may be too large.
    half = m.power_of_two(m.iop("sub", n, 1))
    y = m.fma(half, p, m.sub(half, 0.5))
    y = m.add(y, y)
    return m.select(m.compare("olt", m.abs(x), tiny), x, y)


def expm1(f: Emitter, x: str, lanes: int) -> str:
    """``e^x - 1``."""
    return _expm1(_Lanes(f, lanes), x)


def expm1_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x - 1`` in float64."""
    return _expm1(_Lanes(f, lanes, True), x)


def _sigmoid(m: _Lanes, x: str) -> str:
    # exp of the negative side only: it cannot overflow, and small results keep their accuracy.
    e = _exp(m, m.f.v(f"fneg {m.type} {m.abs(x)}"))
    return m.div(m.select(m.compare("olt", x, 0.0), e, 1.0), m.add(e, 1.0))


def sigmoid(f: Emitter, x: str, lanes: int) -> str:
    """``1 / (1 + e^-x)``."""
    return _sigmoid(_Lanes(f, lanes), x)


def sigmoid_f64(f: Emitter, x: str, lanes: int) -> str:
    """``1 / (1 + e^-x)`` in float64."""
    return _sigmoid(_Lanes(f, lanes, True), x)


def tanh(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x - e^-x) / (e^x + e^-x)``."""
    m = _Lanes(f, lanes)
    a = m.abs(x)
    t = m.mul(x, x)
    small = m.fma(m.mul(t, m.polynomial(t, TANH_32)), a, a)
    bounded = m.at_most(a, 9.1)
    e = _exp_bounded(m, m.add(bounded, bounded))
    large = m.sub(1.0, m.div(2.0, m.add(e, 1.0)))
    return m.copysign(m.select(m.compare("olt", a, 0.55), small, large), x)


def tanh_f64(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x - e^-x) / (e^x + e^-x)`` in float64."""
    m = _Lanes(f, lanes, True)
    a = m.abs(x)
    # With u = e^(-2a) - 1, which keeps its relative accuracy: tanh a = -u / (u + 2).
    u = _expm1(m, m.mul(m.at_most(a, 20.0), -2.0))
    return m.copysign(m.div(u, m.add(u, 2.0)), x)


# --- logarithms ---------------------------------------------------------------------------------


def _split(m: _Lanes, x: str) -> tuple[str, str]:
    """``x = 2^k (1 + f)`` with ``1 + f`` from sqrt(1/2) to sqrt(2): ``k`` as an integer, ``f``."""
    root = 0x3FE6A09E667F3BCD if m.double else 0x3F3504F3
    mask = (1 << m.fraction) - 1
    shifted = m.iop("sub", m.to_bits(x), root)
    k = m.iop("ashr", shifted, m.fraction)
    fraction = m.iop("add", m.iop("and", shifted, mask), root)
    return k, m.sub(m.from_bits(fraction), 1.0)


def _log_reduced(m: _Lanes, k: str, f: str) -> str:
    """``k ln 2 + log(1 + f)``."""
    high, low = LN2_64 if m.double else LN2_32
    number = m.f.v(f"sitofp {m.integers} {k} to {m.type}")
    if m.double:
        # log(1 + f) = f - f^2/2 + s (f^2/2 + s^2 R(s^2)) with s = f / (2 + f).
        s = m.div(f, m.add(f, 2.0))
        z = m.mul(s, s)
        half = m.mul(m.mul(f, f), 0.5)
        tail = m.mul(s, m.fma(z, m.polynomial(z, LOG_64), half))
        tail = m.fma(number, low, tail)
        return m.fma(number, high, m.sub(f, m.sub(half, tail)))
    square = m.mul(f, f)
    tail = m.mul(m.mul(square, f), m.polynomial(f, LOG_32))
    tail = m.fma(square, -0.5, m.fma(number, low, tail))
    return m.fma(number, high, m.add(f, tail))


def _log_edges(m: _Lanes, y: str, x: str, zero: float) -> str:
    """``y`` where ``x`` is above ``zero`` and finite; else -infinity at it, NaN below, ``x`` itself above."""
    y = m.select(m.compare("olt", x, INFINITY), y, x)
    outside = m.select(m.compare("olt", x, zero), NAN, -INFINITY)
    return m.select(m.compare("ole", x, zero), outside, y)


def _log(m: _Lanes, x: str) -> str:
    tiny, shift = (2.0**-1022, 54) if m.double else (2.0**-126, 25)
    subnormal = m.compare("olt", x, tiny)
    k, f = _split(m, m.select(subnormal, m.mul(x, 2.0**shift), x))
    less = m.f.v(f"select {m.truths} {subnormal}, {m.integers} {m.iconst(shift)}, {m.integers} {m.iconst(0)}")
    return _log_edges(m, _log_reduced(m, m.iop("sub", k, less), f), x, 0.0)


def log(f: Emitter, x: str, lanes: int) -> str:
    """The natural logarithm."""
    return _log(_Lanes(f, lanes), x)


def log_f64(f: Emitter, x: str, lanes: int) -> str:
    """The natural logarithm in float64."""
    return _log(_Lanes(f, lanes, True), x)


def _log1p(m: _Lanes, x: str) -> str:
    u = m.add(x, 1.0)
    # What the sum lost (Knuth's two-sum), scaled as the fraction is.
    back = m.sub(u, 1.0)
    lost = m.add(m.sub(1.0, m.sub(u, back)), m.sub(x, back))
    k, f = _split(m, u)
    # 2^(1 - k) and a half: 2^-k alone would leave the normal numbers for the largest x.
    scale = m.power_of_two(m.iop("sub", 1, k))
    f = m.fma(m.mul(lost, 0.5), scale, f)
    y = _log_edges(m, _log_reduced(m, k, f), x, -1.0)
    return m.select(m.compare("olt", m.abs(x), 2.0**-54 if m.double else 2.0**-25), x, y)


def log1p(f: Emitter, x: str, lanes: int) -> str:
    """``log(1 + x)``."""
    return _log1p(_Lanes(f, lanes), x)


def log1p_f64(f: Emitter, x: str, lanes: int) -> str:
    """``log(1 + x)`` in float64."""
    return _log1p(_Lanes(f, lanes, True), x)


# --- the error function ---------------------------------------------------------------------------


def erf(f: Emitter, x: str, lanes: int) -> str:
    """``2 / sqrt(pi)`` times the integral of ``e^(-t^2)`` from 0 to ``x``."""
    m = _Lanes(f, lanes)
    a = m.abs(x)
    t = m.mul(x, x)
    small = m.fma(a, m.polynomial(t, ERF_32), a)
    logarithm = m.polynomial(m.at_most(a, 3.95), LOG_ERFC_32)
    large = m.sub(1.0, _exp_bounded(m, logarithm))
    return m.copysign(m.select(m.compare("olt", a, 0.9), small, large), x)


# --- circular functions -----------------------------------------------------------------------------

# Up to here pi/2 in three parts leaves 2 ulp; beyond, the C library is asked lane by lane.
CIRCULAR_LIMIT = 1.0e6


def _circular(m: _Lanes, x: str, quarter: int) -> str:
    """``sin(x + quarter pi/2)`` for ``|x|`` up to the limit."""
    # The reduction is done in float64, where n pi/2 loses nothing that float32 could show.
    d = _Lanes(m.f, m.lanes, True)
    wide = m.f.v(f"fpext {m.type} {x} to {d.type}")
    number, n = d.round(wide, 0.6366197723675814)
    reduced = d.fma(number, -HALF_PI[1], d.fma(number, -HALF_PI[0], wide))
    reduced = d.fma(number, -HALF_PI[2], reduced)
    r = m.f.v(f"fptrunc {d.type} {reduced} to {m.type}")
    n = m.f.v(f"trunc {d.integers} {n} to {m.integers}")
    if quarter:
        n = m.iop("add", n, quarter)
    t = m.mul(r, r)
    sine = m.fma(m.mul(t, m.polynomial(t, SIN_32)), r, r)
    cosine = m.fma(m.mul(t, t), m.polynomial(t, COS_32), m.fma(t, -0.5, 1.0))
    odd = m.f.v(f"icmp ne {m.integers} {m.iop('and', n, 1)}, {m.iconst(0)}")
    sign = m.iop("shl", m.iop("and", n, 2), 30)
    return m.from_bits(m.iop("xor", m.to_bits(m.select(odd, cosine, sine)), sign))


def _circular_call(f: Emitter, name: str, x: str, lanes: int) -> str:
    m = _Lanes(f, lanes)
    symbol = f"lamina_{name}_v{lanes}"
    f.needs.add(_circular_definition(name, symbol, lanes))
    f.needs.add(f"declare float @{name}f(float)")
    return f.v(f"call {m.type} @{symbol}({m.type} {x})")


def _circular_definition(name: str, symbol: str, lanes: int) -> str:
    """A function with a branch: the C library for large arguments, infinities and NaN."""
    near, far = Writer("n"), Writer("w")
    m = _Lanes(near, lanes)
    size = m.abs("%x")
    easy = _circular(m, "%x", 1 if name == "cos" else 0)
    if name == "sin":  # also for the sign of zero
        easy = m.select(m.compare("olt", size, 2.0**-13), "%x", easy)
    fits = m.compare("olt", size, CIRCULAR_LIMIT)
    all_fit = fits
    if lanes > 1:
        all_fit = near.v(f"call i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1> {fits})")
    hard = libm(far, name + "f", "%x", lanes, "float")
    # Lane by lane: what one lane gives must not depend on its neighbours.
    hard = _Lanes(far, lanes).select(fits, easy, hard)
    return "\n".join(
        [
            f"define internal {m.type} @{symbol}({m.type} %x) noinline nounwind {{",
            *near.lines,
            f"  br i1 {all_fit}, label %near, label %far",
            "near:",
            f"  ret {m.type} {easy}",
            "far:",
            *far.lines,
            f"  ret {m.type} {hard}",
            "}",
        ]
    )


def sin(f: Emitter, x: str, lanes: int) -> str:
    """The sine of an angle in radians."""
    return _circular_call(f, "sin", x, lanes)


def cos(f: Emitter, x: str, lanes: int) -> str:
    """The cosine of an angle in radians."""
    return _circular_call(f, "cos", x, lanes)


# --- powers -----------------------------------------------------------------------------------------


def pow(f: Emitter, x: str, y: str, lanes: int) -> str:
    """``x`` to the power ``y``, with the C library's values for zeros, infinities and NaN."""
    m = _Lanes(f, lanes)
    symbol = f"lamina_pow_v{lanes}"
    f.needs.add(_power_definition(symbol, lanes))
    return f.v(f"call {m.type} @{symbol}({m.type} {x}, {m.type} {y})")


def _power_definition(symbol: str, lanes: int) -> str:
    w = Writer()
    m, d = _Lanes(w, lanes), _Lanes(w, lanes, True)

    def whole(v: str) -> str:
        return m.compare("oeq", v, w.v(f"call {m.type} @llvm.trunc.{m.suffix}({m.type} {v})"))

    def both(op: str, p: str, q: str) -> str:
        return w.v(f"{op} {m.truths} {p}, {q}")

    # In float64 exp(y log x) loses nothing that float32 could show.
    size = m.abs("%x")
    base, exponent = (w.v(f"fpext {m.type} {v} to {d.type}") for v in (size, "%y"))
    result = w.v(f"fptrunc {d.type} {_exp(d, d.mul(exponent, _log(d, base)))} to {m.type}")
    result = m.select(m.compare("oeq", size, 1.0), 1.0, result)  # also to infinite powers
    is_whole = whole("%y")
    uneven = both("xor", whole(m.mul("%y", 0.5)), m._vector_of_true())
    result = m.select(both("and", is_whole, uneven), m.copysign(result, "%x"), result)
    negative = both("and", m.compare("olt", "%x", 0.0), m.compare("ogt", "%x", -INFINITY))
    root = both("and", negative, both("xor", is_whole, m._vector_of_true()))
    result = m.select(m.compare("oeq", "%y", 0.0), 1.0, m.select(root, NAN, result))
    head = f"define internal {m.type} @{symbol}({m.type} %x, {m.type} %y) noinline nounwind {{"
    return "\n".join([head, *w.lines, f"  ret {m.type} {result}", "}"])


# --- others -----------------------------------------------------------------------------------------


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
FLOAT32: dict[str, Function] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh, "sigmoid": sigmoid, "erf": erf,
    "sin": sin, "cos": cos,
}  # fmt: skip
FLOAT64: dict[str, Function] = {
    "exp": exp_f64, "expm1": expm1_f64, "log": log_f64, "log1p": log1p_f64, "tanh": tanh_f64, "sigmoid": sigmoid_f64,
}  # fmt: skip
ON_A_RANGE = {"exp_not_positive": exp_not_positive, "exp_not_positive_f64": exp_not_positive_f64}


def definition(name: str, lanes: int, double: bool = False) -> tuple[str, str, set[str]]:
    """A function as one to call rather than to write out in place.

    Returns:
        Its symbol (``lamina_exp_v16``, ``lamina_exp_v8_f64``), its text, and the declarations and
        definitions that it needs.
    """
    function = (FLOAT64 if double else FLOAT32).get(name) or ON_A_RANGE[f"{name}_f64" if double else name]
    w = Writer()
    result = function(w, "%x", lanes)
    kind = _Lanes(w, lanes, double).type
    symbol = f"lamina_{name}_v{lanes}" + ("_f64" if double else "")
    if name in ("sin", "cos"):
        symbol += "_call"
    body = "\n".join(w.lines)
    text = f"define internal {kind} @{symbol}({kind} %x) nounwind {{\n{body}\n  ret {kind} {result}\n}}"
    return symbol, text, w.needs
