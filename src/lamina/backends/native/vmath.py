"""Mathematical functions on vectors, written as LLVM IR text.

Each function takes the emitter ``f`` (``f.v(text)`` appends an instruction and returns the name of
its result), the name ``x`` of a ``<W x float>`` (a ``float`` if ``W == 1``) and ``W``, and returns the
name of the result.  The names with ``_f64`` behind take ``double``.  All are free of branches but
``sin``, ``cos`` and ``tan``, which are calls of functions added to ``f.needs``.  Those of angles are in
``circular``.

Accuracy, against the exact value over the whole range with infinities, NaN, signed zeros and
subnormal numbers: 2 units in the last place in float32 (``sigmoid`` 2.5), 4 in float64.
``tests/backends/test_vmath.py`` holds it.  ``llvm.fmuladd`` is used throughout: it is one instruction
where the CPU has a fused multiply-add and two elsewhere, and no algorithm here relies on the fusing.

The polynomials are our own minimax fits: Remez' exchange algorithm in 45-digit arithmetic for the
relative error of the function, then rounding the coefficients one by one from the lowest power,
fitting the rest again after each.  The formulas of the inverse hyperbolic functions are those of Sun's fdlibm.
"""

from __future__ import annotations

from collections.abc import Sequence

from lamina.backends.native.circular import acos, asin, atan, atan2, cos, hypot, odd_series, sin, tan
from lamina.backends.native.lanes import INFINITY, LN2_32, LN2_64, LOG2_E, NAN, Emitter, Function, Lanes, Writer

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

# (f(x) / x - 1) / x^2, up to 1 for sinh and 1/2 for the others.
SINH_32 = (0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-06)
ASINH_32 = (-0.1666664332151413, 0.07498640567064285, -0.04438309371471405, 0.028162816539406776, -0.013228354975581169)
ATANH_32 = (
    *(0.33333301544189453, 0.2000245451927185, 0.14223742485046387, 0.11816821247339249, 0.05158602073788643),
    0.1764061599969864,
)
LOG10_E = (0.4342944920063019, -1.010305006321488e-08)
LOG10_2 = (0.301025390625, 4.6050389811980175e-06)  # the first of few bits, so that its multiples are exact
LOG2_E_REST = (1.9259629911266175e-08, 2.0355273740931033e-17)  # what rounding it to float32 and float64 leaves out


# --- exponentials -------------------------------------------------------------------------------


def _exp_reduced(m: Lanes, r: str, coefficients: Sequence[float] | None = None) -> str:
    """``exp(r) - 1`` for small ``r``: ``r + r^2 q(r)``."""
    if coefficients is None:
        coefficients = EXP_64 if m.double else EXP_32
    return m.fma(m.mul(r, r), m.polynomial(r, coefficients), r)


def _exp(m: Lanes, x: str) -> str:
    low, high = (-746.0, 710.0) if m.double else (-104.0, 89.0)
    r, n = m.reduce_exp(m.at_least(m.at_most(x, high), low))
    y = m.add(_exp_reduced(m, r), 1.0)
    # Two factors, because 2^n itself may be too small or too large for a normal number.
    half = m.iop("ashr", n, 1)
    y = m.mul(y, m.power_of_two(half))
    return m.mul(y, m.power_of_two(m.iop("sub", n, half)))


def _exp_bounded(m: Lanes, x: str) -> str:
    """``exp(x)`` where the result is a normal number."""
    r, n = m.reduce_exp(x)
    return m.mul(m.add(_exp_reduced(m, r), 1.0), m.power_of_two(n))


def exp(f: Emitter, x: str, lanes: int) -> str:
    """``e^x``."""
    return _exp(Lanes(f, lanes), x)


def exp_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x`` in float64."""
    return _exp(Lanes(f, lanes, True), x)


def exp2(f: Emitter, x: str, lanes: int) -> str:
    """``2^x``, exact for integers."""
    m = Lanes(f, lanes)
    x = m.at_least(m.at_most(x, 129.0), -151.0)
    number, n = m.round(x, 1.0)
    y = m.polynomial(m.sub(x, number), (1.0, *EXP2_32))
    half = m.iop("ashr", n, 1)
    y = m.mul(y, m.power_of_two(half))
    return m.mul(y, m.power_of_two(m.iop("sub", n, half)))


def _exp_not_positive(m: Lanes, x: str) -> str:
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
    return _exp_not_positive(Lanes(f, lanes), x)


def exp_not_positive_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x`` of numbers up to 0, in float64."""
    return _exp_not_positive(Lanes(f, lanes, True), x)


def _expm1(m: Lanes, x: str) -> str:
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
    return _expm1(Lanes(f, lanes), x)


def expm1_f64(f: Emitter, x: str, lanes: int) -> str:
    """``e^x - 1`` in float64."""
    return _expm1(Lanes(f, lanes, True), x)


def _sigmoid(m: Lanes, x: str) -> str:
    # exp of the negative side only: it cannot overflow, and small results keep their accuracy.
    e = _exp(m, m.f.v(f"fneg {m.type} {m.abs(x)}"))
    return m.div(m.select(m.compare("olt", x, 0.0), e, 1.0), m.add(e, 1.0))


def sigmoid(f: Emitter, x: str, lanes: int) -> str:
    """``1 / (1 + e^-x)``."""
    return _sigmoid(Lanes(f, lanes), x)


def sigmoid_f64(f: Emitter, x: str, lanes: int) -> str:
    """``1 / (1 + e^-x)`` in float64."""
    return _sigmoid(Lanes(f, lanes, True), x)


def tanh(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x - e^-x) / (e^x + e^-x)``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    t = m.mul(x, x)
    small = m.fma(m.mul(t, m.polynomial(t, TANH_32)), a, a)
    bounded = m.at_most(a, 9.1)
    e = _exp_bounded(m, m.add(bounded, bounded))
    large = m.sub(1.0, m.div(2.0, m.add(e, 1.0)))
    return m.copysign(m.select(m.compare("olt", a, 0.55), small, large), x)


def tanh_f64(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x - e^-x) / (e^x + e^-x)`` in float64."""
    m = Lanes(f, lanes, True)
    a = m.abs(x)
    # With u = e^(-2a) - 1, which keeps its relative accuracy: tanh a = -u / (u + 2).
    u = _expm1(m, m.mul(m.at_most(a, 20.0), -2.0))
    return m.copysign(m.div(u, m.add(u, 2.0)), x)


# --- logarithms ---------------------------------------------------------------------------------


def _split(m: Lanes, x: str) -> tuple[str, str]:
    """``x = 2^k (1 + f)`` with ``1 + f`` from sqrt(1/2) to sqrt(2): ``k`` as an integer, ``f``."""
    root = 0x3FE6A09E667F3BCD if m.double else 0x3F3504F3
    mask = (1 << m.fraction) - 1
    shifted = m.iop("sub", m.to_bits(x), root)
    k = m.iop("ashr", shifted, m.fraction)
    fraction = m.iop("add", m.iop("and", shifted, mask), root)
    return k, m.sub(m.from_bits(fraction), 1.0)


def _log_reduced(m: Lanes, k: str, f: str, rest: str | None = None) -> str:
    """``k ln 2 + log(1 + f)``; ``rest``, in float32, is a small number to add to ``f``."""
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
    if rest is not None:
        tail = m.add(tail, rest)
    return m.fma(number, high, m.add(f, tail))


def _log_edges(m: Lanes, y: str, x: str, zero: float) -> str:
    """``y`` where ``x`` is above ``zero`` and finite; else -infinity at it, NaN below, ``x`` itself above."""
    y = m.select(m.compare("olt", x, INFINITY), y, x)
    outside = m.select(m.compare("olt", x, zero), NAN, -INFINITY)
    return m.select(m.compare("ole", x, zero), outside, y)


def _split_any(m: Lanes, x: str) -> tuple[str, str]:
    """``_split`` of subnormal numbers too."""
    tiny, shift = (2.0**-1022, 54) if m.double else (2.0**-126, 25)
    subnormal = m.compare("olt", x, tiny)
    k, f = _split(m, m.select(subnormal, m.mul(x, 2.0**shift), x))
    less = m.f.v(f"select {m.truths} {subnormal}, {m.integers} {m.iconst(shift)}, {m.integers} {m.iconst(0)}")
    return m.iop("sub", k, less), f


def _log(m: Lanes, x: str) -> str:
    k, f = _split_any(m, x)
    return _log_edges(m, _log_reduced(m, k, f), x, 0.0)


def log(f: Emitter, x: str, lanes: int) -> str:
    """The natural logarithm."""
    return _log(Lanes(f, lanes), x)


def log_f64(f: Emitter, x: str, lanes: int) -> str:
    """The natural logarithm in float64."""
    return _log(Lanes(f, lanes, True), x)


def _log1p(m: Lanes, x: str, rest: str | None = None) -> str:
    """``log(1 + x + rest)``, where ``rest`` is what ``x`` lost when it was rounded."""
    u = m.add(x, 1.0)
    # What the sum lost (Knuth's two-sum), scaled as the fraction is.
    back = m.sub(u, 1.0)
    lost = m.add(m.sub(1.0, m.sub(u, back)), m.sub(x, back))
    k, f = _split(m, u)
    # 2^(1 - k) and a half: 2^-k alone would leave the normal numbers for the largest x.
    scale = m.power_of_two(m.iop("sub", 1, k))
    f = m.fma(m.mul(lost, 0.5), scale, f)
    if rest is not None:
        rest = m.mul(m.mul(rest, 0.5), scale)
    y = _log_edges(m, _log_reduced(m, k, f, rest), x, -1.0)
    return m.select(m.compare("olt", m.abs(x), 2.0**-54 if m.double else 2.0**-25), x, y)


def log1p(f: Emitter, x: str, lanes: int) -> str:
    """``log(1 + x)``."""
    return _log1p(Lanes(f, lanes), x)


def log1p_f64(f: Emitter, x: str, lanes: int) -> str:
    """``log(1 + x)`` in float64."""
    return _log1p(Lanes(f, lanes, True), x)


def _logarithm_of_fraction(m: Lanes, x: str) -> tuple[str, str]:
    """``x = 2^k (1 + f)``: ``k`` as a number, ``log(1 + f)``; for positive finite ``x``."""
    k, f = _split_any(m, x)
    zero = m.iconst(0)
    return m.f.v(f"sitofp {m.integers} {k} to {m.type}"), _log_reduced(m, zero, f)


def log2(f: Emitter, x: str, lanes: int) -> str:
    """The logarithm to base 2, exact for powers of 2."""
    m = Lanes(f, lanes)
    k, log_f = _logarithm_of_fraction(m, x)
    return _log_edges(m, m.fma(log_f, LOG2_E, k), x, 0.0)


def log10(f: Emitter, x: str, lanes: int) -> str:
    """The logarithm to base 10."""
    m = Lanes(f, lanes)
    k, log_f = _logarithm_of_fraction(m, x)
    low = m.fma(k, LOG10_2[1], m.mul(log_f, LOG10_E[1]))
    y = m.fma(k, LOG10_2[0], m.fma(log_f, LOG10_E[0], low))
    return _log_edges(m, y, x, 0.0)


# --- hyperbolic functions and their inverses ----------------------------------------------------------


def _half_exp(m: Lanes, a: str) -> str:
    """``e^a / 2`` of numbers that are not negative: it is finite up to where that is."""
    r, n = m.reduce_exp(m.at_most(a, 90.0))
    y = m.mul(m.add(_exp_reduced(m, r), 1.0), 0.5)
    half = m.iop("ashr", n, 1)
    y = m.mul(y, m.power_of_two(half))
    return m.mul(y, m.power_of_two(m.iop("sub", n, half)))


def sinh(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x - e^-x) / 2``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    e = _half_exp(m, a)
    large = m.sub(e, m.div(0.25, e))
    return m.copysign(m.select(m.compare("olt", a, 1.0), odd_series(m, a, SINH_32), large), x)


def cosh(f: Emitter, x: str, lanes: int) -> str:
    """``(e^x + e^-x) / 2``."""
    m = Lanes(f, lanes)
    e = _half_exp(m, m.abs(x))
    return m.add(e, m.div(0.25, e))


def _log1p_of_sum(m: Lanes, a: str, p: str, q: str) -> str:
    """``log(1 + p + q)`` with ``p <= q``, and ``log(2 a)`` where ``a`` is so large that ``q`` may be infinite."""
    large = m.compare("ogt", a, 2.0**25)
    u = m.add(p, q)
    y = _log1p(m, m.select(large, a, u), m.select(large, 0.0, m.sub(p, m.sub(u, q))))
    return m.select(large, m.add(y, 0.6931471805599453), y)


def asinh(f: Emitter, x: str, lanes: int) -> str:
    """The inverse of ``sinh``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    t = m.mul(x, x)
    root = m.sqrt(m.add(t, 1.0))
    # log(a + sqrt(1 + a^2)), less the 1.
    large = _log1p_of_sum(m, a, m.div(t, m.add(root, 1.0)), a)
    return m.copysign(m.select(m.compare("olt", a, 0.5), odd_series(m, a, ASINH_32), large), x)


def acosh(f: Emitter, x: str, lanes: int) -> str:
    """The inverse of ``cosh`` that is not negative; NaN below 1."""
    m = Lanes(f, lanes)
    d = m.sub(x, 1.0)
    # log(x + sqrt(x^2 - 1)), less the 1.
    y = _log1p_of_sum(m, x, d, m.sqrt(m.fma(d, d, m.add(d, d))))
    return m.select(m.compare("olt", x, 1.0), NAN, y)


def atanh(f: Emitter, x: str, lanes: int) -> str:
    """The inverse of ``tanh``; NaN outside [-1, 1]."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    # Half of log((1 + a) / (1 - a)); 1 - a is exact where this is chosen.
    large = m.mul(_log1p(m, m.div(m.add(a, a), m.sub(1.0, a))), 0.5)
    return m.copysign(m.select(m.compare("olt", a, 0.5), odd_series(m, a, ATANH_32), large), x)


# --- the error function ---------------------------------------------------------------------------


def erf(f: Emitter, x: str, lanes: int) -> str:
    """``2 / sqrt(pi)`` times the integral of ``e^(-t^2)`` from 0 to ``x``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    t = m.mul(x, x)
    small = m.fma(a, m.polynomial(t, ERF_32), a)
    logarithm = m.polynomial(m.at_most(a, 3.95), LOG_ERFC_32)
    large = m.sub(1.0, _exp_bounded(m, logarithm))
    return m.copysign(m.select(m.compare("olt", a, 0.9), small, large), x)


# --- powers -----------------------------------------------------------------------------------------


def pow(f: Emitter, x: str, y: str, lanes: int) -> str:
    """``x`` to the power ``y``, with the C library's values for zeros, infinities and NaN."""
    m = Lanes(f, lanes)
    symbol = f"lamina_pow_v{lanes}"
    f.needs.add(_power_definition(symbol, lanes))
    return f.v(f"call {m.type} @{symbol}({m.type} {x}, {m.type} {y})")


def _power_definition(symbol: str, lanes: int) -> str:
    w = Writer()
    m, d = Lanes(w, lanes), Lanes(w, lanes, True)

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


FLOAT32: dict[str, Function] = {
    "exp": exp, "exp2": exp2, "expm1": expm1, "log": log, "log1p": log1p, "log2": log2, "log10": log10,
    "tanh": tanh, "sigmoid": sigmoid, "erf": erf, "sin": sin, "cos": cos, "tan": tan, "asin": asin, "acos": acos,
    "atan": atan, "sinh": sinh, "cosh": cosh, "asinh": asinh, "acosh": acosh, "atanh": atanh,
}  # fmt: skip
FLOAT64: dict[str, Function] = {
    "exp": exp_f64, "expm1": expm1_f64, "log": log_f64, "log1p": log1p_f64, "tanh": tanh_f64, "sigmoid": sigmoid_f64,
}  # fmt: skip
OF_TWO = {"pow": pow, "atan2": atan2, "hypot": hypot}  # float32
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
    kind = Lanes(w, lanes, double).type
    symbol = f"lamina_{name}_v{lanes}" + ("_f64" if double else "")
    if name in ("sin", "cos", "tan"):
        symbol += "_call"
    body = "\n".join(w.lines)
    text = f"define internal {kind} @{symbol}({kind} %x) nounwind {{\n{body}\n  ret {kind} {result}\n}}"
    return symbol, text, w.needs
