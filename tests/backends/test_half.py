"""float16 and bfloat16 in native code against NumPy and ml_dtypes, bit by bit where both round once."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from op_table import CASES, Case

import lamina
from lamina import ops
from lamina.backends.native import target as targets
from lamina.backends.native.program import Compiler, NativeExecutable
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph

ml_dtypes = pytest.importorskip("ml_dtypes")

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = (np.dtype(np.float16), BFLOAT16)
LEVELS = {"avx512": ("avx512", "avx2", "sse"), "avx2": ("avx2", "sse"), "sse": ("sse",), "neon": ("neon",)}
RNG = np.random.default_rng(0)


@pytest.fixture(params=["host", *LEVELS[targets.host().simd]])
def target(request):
    return targets.host() if request.param == "host" else targets.named(request.param)


@pytest.fixture(params=HALVES, ids=str)
def dtype(request):
    return request.param


def compiled(function, *arrays, target=None):
    """``(what NumPy gives, what native code gives, the executable)``."""
    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    with np.errstate(all="ignore"):
        expected, _ = run_graph(graph, arrays)
    executable = NativeExecutable(graph, target)
    return expected, executable.run(arrays), executable


def steps_apart(a, b):
    """How many numbers of the dtype lie between; 0 where both are NaN, very many where one is."""
    nan = [np.isnan(x.astype(np.float32)) for x in (a, b)]
    places = []
    for x in (a, b):
        bits = x.view(np.int16).astype(np.int64)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    return np.where(nan[0] | nan[1], (nan[0] != nan[1]) * 1_000_000, np.abs(places[0] - places[1]))


def every_number(dtype):
    """All numbers of a dtype, but the bfloat16 ones below 2**-126, which some CPUs round to zero."""
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    small = np.abs(x.astype(np.float32)) < 2.0**-126
    return np.where(small & (dtype == BFLOAT16), np.zeros_like(x), x)


def agree(function, *arrays, target=None, steps=0):
    expected, got, executable = compiled(function, *arrays, target=target)
    for e, g in zip(expected, got, strict=True):
        assert e.dtype == g.dtype and e.shape == g.shape
        far = steps_apart(e, g)
        if e.dtype == BFLOAT16:
            far[np.abs(e.astype(np.float32)) < 2.0**-118] = 0  # a step on the way may have been below 2**-126
        assert far.max(initial=0) <= steps
    assert all(group.kind != "opaque" for group in executable.groups.values())
    return executable


# --- conversions ------------------------------------------------------------------------------------
def test_rounding_from_float32(dtype, target):
    bits = RNG.integers(0, 1 << 32, 40_000, dtype=np.uint64).astype(np.uint32)
    x = bits.view(np.float32)
    ordinary = (RNG.normal(size=40_000) * 10.0 ** RNG.integers(-9, 6, 40_000)).astype(np.float32)
    halfway = (np.abs(every_number(dtype).astype(np.float32)).view(np.uint32) + (1 << 15)).view(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 2.0**-24, 2.0**-25], np.float32)
    with np.errstate(all="ignore"):
        agree(lambda x: ops.astype(x, dtype), np.concatenate([x, ordinary, halfway, special]), target=target)


def test_rounding_from_float64_happens_as_in_numpy(dtype, target):
    near = every_number(np.dtype(np.float16)).astype(np.float64)
    with np.errstate(all="ignore"):
        x = np.concatenate([near * (1 + 2.0**-11 + 2.0**-40), near * (1 + 2.0**-9 - 2.0**-40), near])
    agree(lambda x: ops.astype(x, dtype), x, target=target)


def test_widening_is_exact(dtype, target):
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    for wide in ("float32", "float64"):
        (expected,), (got,), _ = compiled(lambda x, w=wide: ops.astype(x, w), x, target=target)
        np.testing.assert_array_equal(expected, got)


@pytest.mark.parametrize("other", ["int8", "int32", "int64", "uint8", "bool"])
def test_integers_and_back(dtype, other):
    x = RNG.integers(0, 100, 333).astype(other)
    agree(lambda x: ops.astype(x, dtype), x)
    (expected,), (got,), _ = compiled(lambda x: ops.astype(ops.astype(x, dtype) + 1, other), x)
    np.testing.assert_array_equal(expected, got)


def test_code_for_arm_calls_no_library(dtype):
    """LLVM would call functions that may not be there for conversions that it cannot write out."""
    neon, listing = targets.named("neon"), []

    def function(x, y):
        z = ops.astype(x, "float64") * 0.1
        return ops.exp(x) + 1, ops.astype(z, dtype), ops.matrix_transpose(x) @ y, ops.sum(y, axis=0), x[:, ::3] * 2

    graph, _ = capture_graph(function, [Spec((20, 33), dtype), Spec((20, 17), dtype)])
    targets.compile_object(Compiler(graph, neon).text, neon, report=listing.append)
    assert len(listing[0]) > 500
    for call in ("__trunc", "__extend", "__gnu"):
        assert call not in listing[0]


# --- ops --------------------------------------------------------------------------------------------
ONCE = ["sqrt", "square", "negative", "abs", "sign", "floor", "ceil", "round", "trunc", "reciprocal", "relu"]
NEARLY = ["exp", "log", "tanh", "sigmoid", "softplus", "expm1", "log1p", "erf", "sin", "cos", "log2", "silu", "gelu"]


@pytest.mark.parametrize("name", ONCE + NEARLY)
def test_functions_of_every_number(name, dtype):
    function = getattr(ops, name, None) or getattr(lamina.nn, name)
    agree(function, every_number(dtype), steps=1 if name in NEARLY else 0)


def test_arithmetic_of_every_number(dtype, target):
    x = every_number(dtype)
    y = np.random.default_rng(1).permutation(x)

    def function(x, y):
        return x + y, x - y, x * y, x / y, ops.maximum(x, y), ops.where(x < y, x, y), (x * y + x) * 3 - y / 7

    agree(function, x, y, target=target)


def case_arguments(case: Case, dtype: np.dtype) -> list:
    rng = np.random.default_rng(zlib.crc32(case.label.encode()))
    made = [np.asarray(a) for a in case.make(rng)]
    return [lamina.tensor(a).astype(dtype) if a.dtype == np.float64 else lamina.tensor(a) for a in made]


TABLE = [c for c in CASES if c.dtypes is not None and "float32" in c.dtypes]


@pytest.mark.parametrize("case", TABLE, ids=[c.label for c in TABLE])
def test_op_table(case, dtype):
    tensors = case_arguments(case, dtype)
    try:
        expected = case.function(*tensors)
    except lamina.core.errors.LaminaError:  # ops that take no half precision say so in both worlds
        with pytest.raises(lamina.core.errors.LaminaError):
            lamina.function(case.function)(*tensors)
        return
    got = lamina.function(case.function)(*tensors)
    assert got.dtype == expected.dtype
    e, g = expected.numpy(), got.numpy()
    if e.dtype in HALVES:
        scale = float(np.abs(e.astype(np.float32)).max(initial=0))
        near = np.abs(e.astype(np.float32) - g.astype(np.float32)) <= 1e-3 * scale * (8 if e.dtype == BFLOAT16 else 1)
        assert ((steps_apart(e, g) <= 1) | near).all()
    else:
        np.testing.assert_allclose(g, e, rtol=1e-3, atol=1e-6)


# --- memory -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("offset", [0, 1])
def test_reading_from_everywhere(dtype, target, offset):
    """Steps, turned axes and gathers; from addresses that are no multiple of 4 too."""
    x = np.arange(37 * 45 + offset).astype(np.int16).view(np.uint16).astype(np.float32).astype(dtype)
    x = x[offset:].reshape(37, 45)
    numbers = RNG.integers(0, 45, 23)

    def function(x):
        return ops.matrix_transpose(x) + 0, x[:, ::3] + 1, x[::-1, 1::2] * 2, ops.take(x, numbers, axis=1)

    agree(function, x, target=target)


def test_a_gather_stays_inside_its_page(dtype):
    import mmap

    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, page)
    x = np.frombuffer(memory, dtype)[-33:]  # ends with the page
    x[...] = RNG.normal(size=33).astype(dtype)
    agree(lambda x: ops.take(x, np.arange(32, -1, -2), axis=0) + 1, x)


# --- sums -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 2)])
def test_sums_are_rounded_once(dtype, axis):
    x = RNG.normal(size=(19, 70, 33)).astype(dtype)
    agree(lambda x: ops.sum(x, axis=axis), x, steps=1)
    agree(lambda x: ops.max(x, axis=axis), x)
    long = np.full(5000, 0.1, dtype)  # bfloat16 alone would stand still at 32
    _, (got,), _ = compiled(lambda x: ops.sum(x), long)
    assert abs(float(got) / (5000 * float(long[0])) - 1) < 0.005


def test_positions_of_extremes(dtype):
    x = RNG.normal(size=(31, 65)).astype(dtype)
    for axis in (0, 1):
        (expected,), (got,), _ = compiled(lambda x, a=axis: ops.argmax(x, axis=a), x)
        np.testing.assert_array_equal(expected, got)


# --- products ---------------------------------------------------------------------------------------
def assert_product(function, *arrays, target=None, bound=0.006):
    """Relative to the largest element: the inputs are exact, one rounding to 8 bits costs 0.4 % at most."""
    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    executable = NativeExecutable(graph, target)
    got = executable.run(arrays)
    exact = function(*[lamina.tensor(a.astype(np.float64)) for a in arrays])
    exact = exact if isinstance(exact, list | tuple) else [exact]
    for g, e in zip(got, exact, strict=True):
        assert g.shape == e.shape
        g, e = g.astype(np.float64), e.numpy()
        assert np.abs(g - e).max() <= bound * np.abs(e).max()
    assert all(group.kind != "opaque" for group in executable.groups.values())
    return {n.primitive.name for group in executable.groups.values() for n in group.nodes}


SIZES = [(1, 1, 1), (1, 7, 3), (5, 2, 1), (13, 17, 31), (14, 16, 32), (29, 65, 33), (128, 40, 10), (150, 2300, 70)]


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_products_of_many_sizes(dtype, m, k, n):
    a, b = RNG.normal(size=(m, k)).astype(dtype), RNG.normal(size=(k, n)).astype(dtype)
    turn = ops.matrix_transpose
    assert_product(lambda a, b: a @ b, a, b)
    assert_product(lambda a, b: turn(a) @ b, np.ascontiguousarray(a.T), b)
    assert_product(lambda a, b: a @ turn(b), a, np.ascontiguousarray(b.T))


def test_products_on_other_cpus(dtype, target):
    a, b = RNG.normal(size=(33, 64)).astype(dtype), RNG.normal(size=(64, 50)).astype(dtype)
    used = assert_product(lambda a, b: ops.tanh(a @ b / 8 + 1), a, b, target=target)
    assert ("matmul_pairs" in used) == (dtype == BFLOAT16 and "bfloat16" in target.hardware)


def test_products_of_parts_and_batches(dtype):
    x = RNG.normal(size=(3, 34, 64)).astype(dtype)
    w = RNG.normal(size=(3, 64, 20)).astype(dtype)
    assert_product(lambda x, w: x @ w, x, w)
    assert_product(lambda x, w: x[:, ::2, 1:6] @ w[:, 1:6], x, w)
    assert_product(lambda x, w: x[..., 2:6] @ w[:, 2:6], x, w)
    assert_product(lambda x, w: (x * 2) @ (w + 1), x, w)
    assert_product(lambda x, w: ops.flip(x, axis=-1) @ w, x, w)


def test_infinity_stays_in_its_row(dtype):
    a, b = np.ones((9, 7), dtype), np.ones((7, 40), dtype)
    a[3, 6] = np.inf
    _, (got,), _ = compiled(lambda a, b: a @ b, a, b)
    expected = np.full((9, 40), 7.0)
    expected[3] = np.inf
    np.testing.assert_array_equal(got.astype(np.float64), expected)


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("options", [{}, {"padding": "same"}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2}])
def test_convolutions_in_all_directions(dtype, channels, options):
    x = RNG.normal(size=(2, 9, 10, channels)).astype(dtype)
    w = RNG.normal(size=(3, 3, channels, 20)).astype(dtype)

    def function(x, w):
        with lamina.GradientTape() as tape:
            tape.watch([x, w])
            y = lamina.nn.conv(x, w, **options)
            total = ops.sum(y * y)
        return [y, *tape.gradient(total, [x, w])]

    assert_product(function, x, w, bound=0.02)  # gradients of rounded outputs


@pytest.mark.parametrize("options", [{}, {"padding": "same"}, {"strides": 3, "padding": "same"}, {"padding": "causal"}])
def test_convolutions_along_one_axis(dtype, options):
    x = RNG.normal(size=(3, 21, 4)).astype(dtype)
    w = RNG.normal(size=(4, 4, 9)).astype(dtype)

    def function(x, w):
        with lamina.GradientTape() as tape:
            tape.watch([x, w])
            y = lamina.nn.conv(x, w, **options)
            total = ops.sum(y * y)
        return [y, *tape.gradient(total, [x, w])]

    assert_product(function, x, w, bound=0.02)


def test_depthwise_convolutions(dtype):
    x = RNG.normal(size=(2, 9, 9, 5)).astype(dtype)
    w = RNG.normal(size=(3, 3, 5, 2)).astype(dtype)
    assert_product(lambda x, w: lamina.nn.depthwise_conv(x, w, padding="same"), x, w)
