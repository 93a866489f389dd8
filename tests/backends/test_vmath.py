from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

import lamina
from lamina.backends.native import lanes as lanes_module
from lamina.backends.native import target as target_module
from lamina.backends.native import vmath
from lamina.backends.native.target import Target, compile_object, load_object, named

special = pytest.importorskip("scipy.special", reason="SciPy's functions are the reference")

Apply = Callable[[np.ndarray], np.ndarray]

LOOP = """
define void @go(ptr %x, ptr %y, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %p = getelementptr {element}, ptr %x, i64 %i
  %q = getelementptr {element}, ptr %y, i64 %i
  %v = load {kind}, ptr %p, align {align}
  %w = call {kind} @{symbol}({kind} %v)
  store {kind} %w, ptr %q, align {align}
  %next = add i64 %i, {lanes}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}}
"""


@functools.cache
def compiled(name: str, level: str, double: bool = False, lanes: int | None = None) -> Apply:
    target = target_module.host() if level == "host" else named(level)
    return build(name, target, double, lanes or target.lanes(np.float64 if double else np.float32))


def build(name: str, target: Target, double: bool, lanes: int) -> Apply:
    symbol, text, needs = vmath.definition(name, lanes, double)
    element = "double" if double else "float"
    kind = element if lanes == 1 else f"<{lanes} x {element}>"
    loop = LOOP.format(element=element, kind=kind, align=8 if double else 4, symbol=symbol, lanes=lanes)
    module = load_object(compile_object("\n".join([*sorted(needs), text, loop]), target))
    pointer = ctypes.c_void_p
    function = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_int64)(module.address("go"))

    def apply(x: np.ndarray) -> np.ndarray:
        padded = np.zeros(-(-x.size // lanes) * lanes, x.dtype)
        padded[: x.size] = x
        y = np.empty_like(padded)
        function(padded.ctypes.data, y.ctypes.data, padded.size)
        assert module is not None
        return y[: x.size]

    return apply


def exact_sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


REFERENCE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": exact_sigmoid,
    "erf": special.erf, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "exp2": np.exp2, "log2": np.log2, "log10": np.log10,
}  # fmt: skip
ODD = ("expm1", "log1p", "tanh", "erf", "sin", "tan", "asin", "atan", "sinh", "asinh", "atanh")


def units(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The error in units in the last place of the exact value as ``y.dtype`` has it."""
    info = np.finfo(y.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        # The number next to the largest is infinity, the one below is not.
        size = np.clip(np.abs(rounded), info.smallest_subnormal, np.nextafter(info.max, 0, dtype=y.dtype))
        unit = np.spacing(size).astype(exact.dtype)
        error = np.abs(y.astype(exact.dtype) - exact) / unit
    same = (y == rounded) | (np.isnan(y) & np.isnan(exact))
    return np.where(same, 0, np.where(np.isfinite(error), error, np.inf)).astype(np.float64)


def samples(name: str) -> np.ndarray:
    """Float32 numbers of every exponent, and many where the function changes its ways."""
    generator = np.random.default_rng(5)
    anything = np.arange(0, 1 << 32, 8191, dtype=np.uint64).astype(np.uint32).view(np.float32)
    limits = np.array(
        [0.0, np.inf, np.nan, 1e-45, 1.1754944e-38, 3.4028235e38, 1.0, 88.72284, 103.97, 87.336], np.float32
    )
    steps = np.array([0.5 * np.log(2), 0.55, 0.9, 1.0, 2.0, 9.1, 3.95, 2.0**-13, 2.0**-25, 1e6, 1e4, np.pi], np.float32)
    near = (steps.view(np.int32)[:, None] + np.arange(-50, 51, dtype=np.int32)).view(np.float32).ravel()
    usual = generator.uniform(-5, 5, 100_000).astype(np.float32)
    wide = generator.uniform(-110, 110, 100_000).astype(np.float32)
    positive = np.concatenate([np.array(limits, np.float32), near])
    return np.concatenate([anything, positive, -positive, usual, wide])


# In units in the last place, over everything.
BOUNDS = {"sigmoid": 2.5}


@pytest.mark.parametrize("level", ["host", "avx2", "plain"])
@pytest.mark.parametrize("name", list(vmath.FLOAT32))
def test_float32_accuracy(name: str, level: str) -> None:
    if level != "host" and target_module.host().simd not in ("avx2", "avx512"):
        level = "host"
    x = samples(name)
    with np.errstate(all="ignore"):
        exact = REFERENCE[name](x.astype(np.float64))
    y = compiled(name, level)(x)
    error = units(y, exact)
    worst = int(error.argmax())
    assert error[worst] <= BOUNDS.get(name, 2.0), (x[worst], y[worst], exact[worst])
    if name in ODD:
        zero = x == 0
        assert (np.signbit(y[zero]) == np.signbit(x[zero])).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", list(vmath.FLOAT32))
def test_float32_accuracy_on_many_more(name: str) -> None:
    apply = compiled(name, "host")
    for start in range(4):
        bits = np.arange(97 * start, 1 << 32, 1009, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        with np.errstate(all="ignore"):
            exact = REFERENCE[name](x.astype(np.float64))
        assert units(apply(x), exact).max() <= BOUNDS.get(name, 2.0)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="the reference needs numbers longer than float64")
@pytest.mark.parametrize("level", ["host", "plain"])
@pytest.mark.parametrize("name", list(vmath.FLOAT64))
def test_float64_accuracy(name: str, level: str) -> None:
    if level != "host" and target_module.host().simd not in ("avx2", "avx512"):
        level = "host"
    generator = np.random.default_rng(6)
    n = 50_000
    limits = np.array([0.0, np.inf, np.nan, 5e-324, 2.3e-308, 1.7e308, 1.0, 709.78271289, 745.1332, 708.4, 1e-17])
    x = np.concatenate(
        [
            *(limits, -limits, [np.nextafter(-1, 0)]),
            generator.integers(0, 1 << 63, n, dtype=np.int64).view(np.float64),
            *(generator.uniform(-limit, limit, n) for limit in (1.5, 50, 760)),
            np.exp(generator.uniform(-60, 10, n)),
        ]
    )
    with np.errstate(all="ignore"):
        exact = REFERENCE[name](x.astype(np.longdouble))
        exact = np.where(np.abs(exact) > np.finfo(np.float64).max, exact.astype(np.float64), exact)
        y = compiled(name, level, double=True)(x)
        error = units(y, exact)
    worst = int(error.argmax())
    assert error[worst] <= 4.0, (x[worst], y[worst], exact[worst])
    if name in ODD:
        assert (np.signbit(y[x == 0]) == np.signbit(x[x == 0])).all()


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 32])
@pytest.mark.parametrize("name", list(vmath.FLOAT32))
def test_any_number_of_lanes_gives_the_same_bits(name: str, lanes: int) -> None:
    x = samples(name)[::53]
    expected = compiled(name, "host", lanes=16)(x)
    np.testing.assert_array_equal(compiled(name, "host", lanes=lanes)(x).view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("name", list(vmath.FLOAT64))
def test_float64_lanes_give_the_same_bits(name: str) -> None:
    x = np.random.default_rng(7).normal(0, 10, 1001)
    expected = compiled(name, "host", double=True, lanes=8)(x)
    np.testing.assert_array_equal(compiled(name, "host", double=True, lanes=1)(x), expected)


@pytest.mark.parametrize(("lanes", "name", "double"), [(4, "expf", False), (1, "erf", True), (8, "erf", True)])
def test_library_function_for_each_lane(lanes: int, name: str, double: bool) -> None:
    writer = vmath.Writer()
    element = "double" if double else "float"
    result = lanes_module.libm(writer, name, "%x", lanes, element)
    kind = element if lanes == 1 else f"<{lanes} x {element}>"
    body = "\n".join([*writer.lines, f"  ret {kind} {result}"])
    loop = LOOP.format(element=element, kind=kind, align=4, symbol="f", lanes=lanes)
    text = "\n".join([*writer.needs, f"define {kind} @f({kind} %x) {{", body, "}", loop])
    module = load_object(compile_object(text, target_module.host()))
    x = np.linspace(-2, 2, 16).astype(np.float64 if double else np.float32)
    y = np.empty_like(x)
    go = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(module.address("go"))
    go(x.ctypes.data, y.ctypes.data, x.size)
    np.testing.assert_allclose(y, (special.erf if double else np.exp)(x), rtol=1e-6)


def test_constants_may_be_arguments() -> None:
    writer = vmath.Writer()
    result = vmath.exp(writer, "splat (float 1.0)", 4)
    body = "\n".join([*writer.lines, f"  ret <4 x float> {result}"])
    compile_object(f"define <4 x float> @f() {{\n{body}\n}}", target_module.host())


@pytest.mark.parametrize("name", list(vmath.FLOAT32))
def test_code_for_arm_assembles(name: str) -> None:
    _, text, needs = vmath.definition(name, 4)
    compile_object("\n".join([*sorted(needs), text.replace("define internal", "define")]), named("neon"))


@pytest.mark.parametrize("level", ["host", "plain"])
@pytest.mark.parametrize("double", [False, True])
def test_exp_of_numbers_that_are_not_positive(level: str, double: bool) -> None:
    dtype = np.float64 if double else np.float32
    bound = 708.0 if double else 87.0
    x = -np.concatenate([np.linspace(0, bound, 100_001), np.geomspace(1e-12, bound, 10_001), [0.0]]).astype(dtype)
    apply = compiled("exp_not_positive", level, double)
    worst = units(apply(x), np.exp(x.astype(np.longdouble))).max()
    fused = level == "host" and target_module.host().fma
    assert worst <= (1 if fused else 512 if double else 64)
    small = apply(np.array([-np.inf, np.finfo(dtype).min, -2 * bound, np.nan], dtype))
    assert (small[:3] == 0).all() and np.isnan(small[3])


def pairs_of_all_kinds() -> tuple[np.ndarray, np.ndarray]:
    """All pairs of special float32 numbers, and many of other sizes; the last three go lane by lane."""
    numbers = np.array([0.0, 1.0, 3.0, np.inf, 1e-45, 1e-38, 1e-30, 1e10, 2e38, 3.4028235e38, np.nan], np.float32)
    signed = np.concatenate([numbers, -numbers])
    x, y = (v.ravel() for v in np.meshgrid(signed, signed))
    rng = np.random.default_rng(0)
    usual = rng.normal(0, 1, (2, 50_003))
    wide = np.exp(rng.uniform(-100, 88, (2, 50_000))) * rng.choice([-1, 1], (2, 50_000))
    pairs = np.concatenate([np.stack([x, y]), wide.astype(np.float32), usual.astype(np.float32)], axis=1)
    return pairs[0], pairs[1]


@pytest.mark.parametrize("name", ["atan2", "hypot"])
def test_functions_of_two_numbers(name: str) -> None:
    x, y = pairs_of_all_kinds()
    compiled_function = lamina.function(getattr(lamina, name))
    got = compiled_function(x, y).numpy()
    with np.errstate(all="ignore"):
        exact = {"atan2": np.arctan2, "hypot": np.hypot}[name](x.astype(np.float64), y.astype(np.float64))
    error = units(got, exact)
    worst = int(error.argmax())
    assert error[worst] <= (2.0 if name == "atan2" else 0.501), (x[worst], y[worst], got[worst])
    known = ~np.isnan(exact)
    assert np.array_equal(np.signbit(got[known]), np.signbit(exact[known]))
    assert np.array_equal(compiled_function(x[:7], y[:7]).numpy(), got[:7], equal_nan=True)


def c_power(x: float, y: float) -> float:
    """As C defines it, where Python raises instead."""
    try:
        return math.pow(x, y)
    except (OverflowError, ValueError):
        if x < 0 and y != math.floor(y):
            return math.nan
        uneven = y == math.floor(y) and y % 2 == 1
        return math.copysign(math.inf, x if uneven else 1.0)


def test_powers_of_special_numbers() -> None:
    numbers = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 0.3, math.inf, 1e-45, 1e-30, 1e10, 3e38, 16777215.0, 16777216.0]
    signed = np.array([*numbers, *(-n for n in numbers), math.nan], np.float32)
    x, y = (v.ravel() for v in np.meshgrid(signed, signed))
    got = lamina.function(lambda x, y: lamina.pow(x, y))(x, y).numpy()
    with np.errstate(all="ignore"):
        want = np.array([c_power(float(a), float(b)) for a, b in zip(x, y, strict=True)]).astype(np.float32)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    known = ~np.isnan(want)
    assert np.array_equal(np.signbit(got[known]), np.signbit(want[known]))
    assert units(got[known], want[known].astype(np.float64)).max() <= 1


def test_powers_are_rounded_rightly() -> None:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-80, 80, 100_003)).astype(np.float32)  # the last three go lane by lane
    y = rng.uniform(-5, 5, x.size).astype(np.float32)
    power = lamina.function(lambda x, y: lamina.pow(x, y))
    got = power(x, y).numpy()
    with np.errstate(all="ignore"):
        exact = x.astype(np.float64) ** y.astype(np.float64)
    assert units(got, exact).max() <= 0.501
    assert np.array_equal(power(x[:7], y[:7]).numpy(), got[:7])
