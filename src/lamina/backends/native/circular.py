"""Circular functions, their inverses and the hypotenuse on vectors of float32, in the manner of ``vmath``.

The reduction of angles and the tangent are in float64, in which they lose nothing that float32 could show; the inverses
are in float32, arranged as in Sun's fdlibm.  The three-part pi/2 is fdlibm's too.
"""

from __future__ import annotations

from lamina.backends.native.lanes import INFINITY, Emitter, Lanes, Writer, libm

SIN_32 = (-0.16666655242443085, 0.008332191035151482, -0.00019518604676704854)
COS_32 = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)
HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
TAN_64 = (
    *(0.3333334975877846, 0.1333266323007941, 0.05405992750433685, 0.02128213483658122, 0.01083593946123389),
    *(8.938723550236314e-05, 0.004376343082894618),
)
ASIN_32 = (0.16666752099990845, 0.074953094124794, 0.04546915367245674, 0.02418474294245243, 0.04215838760137558)
ATAN_32 = (
    *(-0.33333152532577515, 0.19993767142295837, -0.14211001992225647, 0.1066577285528183, -0.07551698386669159),
    *(0.04320582374930382, -0.016364410519599915, 0.0029198925476521254),
)
# pi/2 and pi, each as a float32 and the rest.
HALF_PI_32 = (1.5707963705062866, -4.371139000186241e-08)
PI_32 = (3.1415927410125732, -8.742278000372483e-08)

# --- circular functions -----------------------------------------------------------------------------

# Up to here pi/2 in three parts leaves 2 ulp; beyond, the C library is asked lane by lane.
CIRCULAR_LIMIT = 1.0e6


def _reduced(m: Lanes, x: str) -> tuple[Lanes, str, str]:
    """``x - n pi/2``, at most pi/4, for ``|x|`` up to the limit: lanes of float64, the number, the integer ``n``."""
    d = Lanes(m.f, m.lanes, True)
    wide = m.f.v(f"fpext {m.type} {x} to {d.type}")
    number, n = d.round(wide, 0.6366197723675814)
    reduced = d.fma(number, -HALF_PI[1], d.fma(number, -HALF_PI[0], wide))
    return d, d.fma(number, -HALF_PI[2], reduced), n


def _tangent(m: Lanes, x: str) -> str:
    """``tan x`` for ``|x|`` up to the limit."""
    d, r, n = _reduced(m, x)
    tangent = odd_series(d, r, TAN_64)
    odd = m.f.v(f"icmp ne {d.integers} {d.iop('and', n, 1)}, {d.iconst(0)}")
    quotient = d.div(d.select(odd, -1.0, tangent), d.select(odd, tangent, 1.0))
    return m.f.v(f"fptrunc {d.type} {quotient} to {m.type}")


def _circular(m: Lanes, x: str, quarter: int) -> str:
    """``sin(x + quarter pi/2)`` for ``|x|`` up to the limit."""
    d, reduced, n = _reduced(m, x)
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
    m = Lanes(f, lanes)
    symbol = f"lamina_{name}_v{lanes}"
    f.needs.add(_circular_definition(name, symbol, lanes))
    f.needs.add(f"declare float @{name}f(float)")
    return f.v(f"call {m.type} @{symbol}({m.type} {x})")


def _circular_definition(name: str, symbol: str, lanes: int) -> str:
    """A function with a branch: the C library for large arguments, infinities and NaN."""
    near, far = Writer("n"), Writer("w")
    m = Lanes(near, lanes)
    size = m.abs("%x")
    easy = _tangent(m, "%x") if name == "tan" else _circular(m, "%x", 1 if name == "cos" else 0)
    if name == "sin":  # also for the sign of zero
        easy = m.select(m.compare("olt", size, 2.0**-13), "%x", easy)
    fits = m.compare("olt", size, CIRCULAR_LIMIT)
    all_fit = fits
    if lanes > 1:
        all_fit = near.v(f"call i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1> {fits})")
    hard = libm(far, name + "f", "%x", lanes, "float")
    # Lane by lane: what one lane gives must not depend on its neighbours.
    hard = Lanes(far, lanes).select(fits, easy, hard)
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


def tan(f: Emitter, x: str, lanes: int) -> str:
    """The tangent of an angle in radians."""
    return _circular_call(f, "tan", x, lanes)


# --- their inverses ---------------------------------------------------------------------------------


def odd_series(m: Lanes, x: str, coefficients: tuple[float, ...]) -> str:
    """``x + x^3 P(x^2)``."""
    t = m.mul(x, x)
    return m.fma(m.mul(t, m.polynomial(t, coefficients)), x, x)


def atan(f: Emitter, x: str, lanes: int) -> str:
    """The angle whose tangent is ``x``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    large = m.compare("ogt", a, 1.0)
    # atan(x) = pi/2 - atan(1/x)
    angle = odd_series(m, m.select(large, m.div(1.0, a), a), ATAN_32)
    return m.copysign(m.select(large, _rest(m, HALF_PI_32, angle), angle), x)


def _rest(m: Lanes, whole: tuple[float, float], angle: str) -> str:
    """An angle in two parts less another angle."""
    return m.sub(whole[0], m.sub(angle, whole[1]))


def atan2(f: Emitter, y: str, x: str, lanes: int) -> str:
    """The angle of the point ``(x, y)``, with the C library's values for signed zeros and infinities."""
    m = Lanes(f, lanes)
    p, q = m.abs(y), m.abs(x)
    steep = m.compare("ogt", p, q)
    small, large = m.select(steep, q, p), m.select(steep, p, q)
    # Equal infinities are as far as equal numbers, and zeros as a zero and a number.
    small, divisor = (m.select(m.compare("oeq", small, INFINITY), 1.0, v) for v in (small, large))
    divisor = m.select(m.compare("oeq", divisor, 0.0), 1.0, divisor)
    angle = odd_series(m, m.div(small, divisor), ATAN_32)
    angle = m.select(steep, _rest(m, HALF_PI_32, angle), angle)
    back = m.f.v(f"icmp slt {m.integers} {m.to_bits(x)}, {m.iconst(0)}")
    angle = m.select(back, _rest(m, PI_32, angle), angle)
    known = m.compare("ord", x, y)
    return m.select(known, m.copysign(angle, y), m.add(x, y))


def _half_chord(m: Lanes, a: str) -> tuple[str, str]:
    """For ``x = 1 - 2 s^2``: ``s``, and ``asin(s) - s``.  Half the angle of ``x`` from 1 is ``asin(s)``."""
    t = m.mul(m.sub(1.0, a), 0.5)
    s = m.sqrt(t)
    return s, m.mul(m.mul(t, m.polynomial(t, ASIN_32)), s)


def asin(f: Emitter, x: str, lanes: int) -> str:
    """The angle whose sine is ``x``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    s, more = _half_chord(m, a)
    # pi/2 - 2 asin(s).  The difference of the large parts is exact if they are nearly equal, and else taken last.
    double, more = m.add(s, s), m.sub(m.add(more, more), HALF_PI_32[1])
    close = m.compare("ogt", double, 0.79)
    first = m.select(close, m.sub(HALF_PI_32[0], double), HALF_PI_32[0])
    near_one = m.sub(first, m.select(close, more, m.add(double, more)))
    return m.copysign(m.select(m.compare("olt", a, 0.5), odd_series(m, a, ASIN_32), near_one), x)


def acos(f: Emitter, x: str, lanes: int) -> str:
    """The angle whose cosine is ``x``."""
    m = Lanes(f, lanes)
    a = m.abs(x)
    s, more = _half_chord(m, a)
    half = m.add(s, more)
    angle = m.add(half, half)
    negative = m.compare("olt", x, 0.0)
    near_one = m.select(negative, _rest(m, PI_32, angle), angle)
    t = m.mul(x, x)
    cube = m.mul(m.mul(t, m.polynomial(t, ASIN_32)), x)
    middle = m.sub(HALF_PI_32[0], m.sub(x, m.sub(HALF_PI_32[1], cube)))
    return m.select(m.compare("olt", a, 0.5), middle, near_one)


def hypot(f: Emitter, x: str, y: str, lanes: int) -> str:
    """``sqrt(x^2 + y^2)``; an infinity beside NaN gives infinity, as in the C library."""
    m, d = Lanes(f, lanes), Lanes(f, lanes, True)
    # In float64 squares are exact, neither too large nor too small.
    p, q = (f.v(f"fpext {m.type} {v} to {d.type}") for v in (x, y))
    square = d.fma(p, p, d.mul(q, q))
    root = d.sqrt(square)
    root = f.v(f"fptrunc {d.type} {root} to {m.type}")
    infinite = (m.compare("oeq", m.abs(v), INFINITY) for v in (x, y))
    either = f.v(f"or {m.truths} {next(infinite)}, {next(infinite)}")
    return m.select(either, INFINITY, root)
