"""The native backend against the NumPy meaning of the same graph."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.backends.native import target as targets
from lamina.backends.native.program import Compiler, NativeExecutable
from lamina.backends.native.threads import get_num_threads, set_num_threads
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph
from lamina.tensor import Variable

RNG = np.random.default_rng(0)


def normal(*shape, dtype="float32"):
    return RNG.normal(size=shape).astype(dtype)


def compare(function, *arrays, rtol=2e-5, atol=2e-5, target=None):
    """Run a function natively and by its NumPy meaning; returns the executable."""
    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    expected, _ = run_graph(graph, arrays)
    executable = NativeExecutable(graph, target)
    for want, got in zip(expected, executable.run(arrays), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
    return executable


def kinds(executable):
    return sorted(g.kind for g in executable.groups.values())


LEVELS = {"avx512": ("avx512", "avx2", "sse"), "avx2": ("avx2", "sse"), "sse": ("sse",), "neon": ("neon",)}


@pytest.fixture(params=LEVELS[targets.host().simd])
def level(request):
    return targets.named(request.param)


SIZES = [(1, 1, 1), (1, 7, 3), (5, 3, 1), (13, 17, 31), (14, 16, 32), (29, 65, 33), (128, 40, 10), (257, 600, 70)]


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_many_sizes(m, k, n, dtype):
    compare(lambda a, b: a @ b, normal(m, k, dtype=dtype), normal(k, n, dtype=dtype), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("m", "k", "n"), [(13, 17, 31), (128, 40, 10), (70, 300, 96)])
def test_products_on_every_vector_width(level, m, k, n):
    compare(
        lambda a, b, c: ops.relu(a @ b + c), normal(m, k), normal(k, n), normal(n), rtol=1e-4, atol=1e-4, target=level
    )
    compare(lambda a, b: ops.exp((a.T @ b).sum(axis=0) / 100), normal(k, m), normal(k, n), target=level)


@pytest.mark.parametrize(("left", "right"), list(itertools.product([False, True], repeat=2)))
def test_transposed_operands(left, right):
    a = normal(40, 33) if left else normal(33, 40)
    b = normal(50, 40) if right else normal(40, 50)
    compare(lambda x, y: (x.T if left else x) @ (y.T if right else y), a, b)


def test_the_same_graph_assembles_for_arm():
    dtype = np.dtype("float32")
    graph, _ = capture_graph(lambda a, b: ops.relu(a @ b), [Spec((13, 17), dtype), Spec((17, 31), dtype)])
    neon = targets.named("neon")
    listing = []
    targets.compile_object(Compiler(graph, neon).text, neon, report=listing.append)
    assert "fmla" in listing[0]


def test_large_products_are_blocked_and_packed():
    executable = compare(lambda a, b: a @ b, normal(300, 1100), normal(1100, 530), rtol=1e-3, atol=1e-3)
    assert kinds(executable) == ["contract", "map"]
    compare(lambda a, b: a.T @ b, normal(600, 2000), normal(600, 16), rtol=1e-3, atol=1e-3)
    compare(lambda a, b: a @ b, normal(64, 9000), normal(9000, 16), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("k", "m", "n"), [(9001, 100, 70), (5003, 257, 33), (70_000, 5, 1), (3000, 130, 513)])
def test_large_transposed_products_go_in_blocks_of_k(k, m, n):
    a, b = normal(k, m), normal(k, n)
    product = lamina.function(lambda a, b: ops.relu(a.T @ b))
    exact = np.maximum(a.astype(np.float64).T @ b.astype(np.float64), 0)
    found = product(a, b).numpy()
    assert np.abs(found - exact).max() < 1e-6 * np.sqrt(k) * 10
    before = get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            assert np.array_equal(product(a, b).numpy(), found)
    finally:
        set_num_threads(before)


def test_batched_products():
    compare(lambda a, b: a @ b, normal(3, 2, 33, 40), normal(3, 2, 40, 21))
    compare(lambda a, b: a @ ops.matrix_transpose(b), normal(5, 9, 7), normal(5, 11, 7))


def test_a_dense_layer_is_one_kernel():
    executable = compare(
        lambda x, w, b: ops.relu(x @ w + b), normal(64, 100), normal(100, 48), normal(48), atol=1e-4
    )
    assert kinds(executable) == ["contract"]


@pytest.mark.parametrize("width", [2, 3, 10, 16, 40, 64, 65, 301])
def test_softmax_is_one_kernel(width):
    executable = compare(lambda x: lamina.nn.softmax(x, axis=-1), normal(33, width))
    assert kinds(executable) == ["row"]


def test_normalisation_over_rows_and_columns():
    def standardise(x, axis):
        centred = x - ops.mean(x, axis=axis, keepdims=True)
        return centred / ops.sqrt(ops.mean(centred * centred, axis=axis, keepdims=True) + 1e-3)

    for shape in [(33, 70), (5, 7, 130), (64, 3)]:
        compare(lambda x: standardise(x, -1), normal(*shape))
        compare(lambda x: standardise(x, 0), normal(*shape))
        compare(lambda x: standardise(x, (0, 1)), normal(*shape))


@pytest.mark.parametrize("shape", [(7,), (33, 70), (4, 5, 6), (2, 3, 4, 50)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "prod", "argmax", "argmin"])
def test_reductions_over_every_axis(shape, name):
    reduce = getattr(ops, name)
    for axis in [None, *range(len(shape))]:
        compare(lambda x, axis=axis: reduce(x, axis=axis), normal(*shape))


def test_arg_reductions_take_the_first_of_equals_and_nan():
    x = np.array([[1, 3, 3, 0], [np.nan, 5, np.nan, 9], [2, 2, 2, 2]], "float32")
    x = np.concatenate([x, np.zeros((3, 40), "float32")], axis=1)
    compare(lambda t: (ops.argmax(t, axis=1), ops.argmin(t, axis=1), ops.argmax(t, axis=0)), x)


def test_ops_without_a_native_rule_run_in_numpy():
    executable = compare(lambda x: ops.exp(ops.sort(x, axis=0)) + 1, normal(5, 6))
    assert "opaque" in kinds(executable)


def test_an_error_in_a_node_without_lowering_comes_out_as_it_is():
    graph, _ = capture_graph(lambda x: lamina.linalg.cholesky(x) + 1, [Spec((3, 3), np.dtype("float32"))])
    executable = NativeExecutable(graph)
    with pytest.raises(lamina.LinAlgError, match="positive"):
        executable.run([-np.eye(3, dtype="float32")])
    executable.run([np.eye(3, dtype="float32")])  # and the next run is none the worse


def training_step(width=70):
    """A step with matrix products, row and column reductions, and variables updated in place."""
    rng = np.random.default_rng(1)
    w = Variable(rng.normal(size=(40, width)).astype("float32"), name="w")
    b = Variable(np.zeros(width, "float32"), name="b")
    total = Variable(0.0, name="total", trainable=False)

    def step(x, t):
        with lamina.GradientTape() as tape:
            y = ops.tanh(x @ w.value + b.value)
            loss = ops.mean((lamina.nn.softmax(y, axis=-1) - t) ** 2) * 100.0
        gw, gb = tape.gradient(loss, [w, b])
        w.assign_sub(gw * 0.5)
        b.assign_sub(gb * 0.5)
        total.assign_add(loss)
        return loss

    return step, [w, b, total]


def run_steps(times, threads=None, split=False):
    step, variables = training_step()
    rng = np.random.default_rng(2)
    x, t = rng.normal(size=(130, 40)).astype("float32"), rng.random((130, 70)).astype("float32")
    graph, _ = capture_graph(step, [Spec(x.shape, x.dtype), Spec(t.shape, t.dtype)])
    try:
        if threads is not None:
            set_num_threads(threads)
        executable = NativeExecutable(graph)
        if split:
            for _ in range(times):
                executable.run([x, t])
        else:
            executable.run([x, t], times)
    finally:
        set_num_threads(None)
    return [v.numpy() for v in variables]


def test_results_are_equal_to_the_bit_on_any_number_of_threads():
    reference = run_steps(7, threads=1)
    for threads in (2, 3, 4, 8):
        for want, got in zip(reference, run_steps(7, threads=threads), strict=True):
            np.testing.assert_array_equal(got, want)


def test_many_steps_in_one_call_equal_many_calls():
    for want, got in zip(run_steps(5), run_steps(5, split=True), strict=True):
        np.testing.assert_array_equal(got, want)


def test_variables_are_updated_in_place_without_touching_tensors_read_before():
    v = Variable(np.arange(6, dtype="float32").reshape(2, 3))
    graph, _ = capture_graph(lambda: v.assign(v.value * 2 + v.value[:, ::-1].sum()), [])
    before = v.value
    NativeExecutable(graph).run([])
    np.testing.assert_array_equal(before.numpy(), np.arange(6).reshape(2, 3))
    np.testing.assert_allclose(v.numpy(), np.arange(6).reshape(2, 3) * 2 + 15)


def test_two_variables_can_be_exchanged():
    a, b = Variable(np.ones((3, 40), "float32")), Variable(np.zeros((3, 40), "float32"))

    def swap():
        x, y = a.value, b.value
        a.assign(y)
        b.assign(x)

    graph, _ = capture_graph(lambda: swap(), [])
    executable = NativeExecutable(graph)
    executable.run([])
    assert a.numpy().max() == 0 and b.numpy().min() == 1
    executable.run([], 3)
    assert a.numpy().min() == 1 and b.numpy().max() == 0


def test_a_variable_that_others_read_transposed_is_not_overwritten_early():
    w = Variable(normal(40, 40), name="w")
    start = w.numpy()
    graph, _ = capture_graph(lambda: w.assign(w.value @ w.value.T + w.value.T), [])
    NativeExecutable(graph).run([])
    np.testing.assert_allclose(w.numpy(), start @ start.T + start.T, rtol=1e-4, atol=1e-4)


def test_products_over_gathered_wide_rows_do_not_copy_them():
    x, w, d = normal(60, 5000), normal(5000, 16), normal(33, 16)
    rows = RNG.integers(-60, 60, 33)
    executable = compare(
        lambda x, rows, w, d: (ops.take(x, rows, 0) @ w, ops.take(x, rows, 0).T @ d), x, rows, w, d,
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip
    assert executable.schedule.arena_bytes < 33 * 5000 * 4
    assert kinds(executable) == ["contract", "contract", "map"]


@pytest.mark.parametrize(
    ("shape", "indices"), [((9, 33), (50,)), ((9,), (4, 5)), ((7, 3, 20), (11,)), ((300, 64), (40, 6))]
)
def test_scatter_takes_updates_in_order(shape, indices):
    rows = RNG.integers(-shape[0], shape[0], indices)
    updates = normal(*indices, *shape[1:])
    executable = compare(
        lambda x, u: (ops.scatter_add(x, rows, u), ops.scatter_update(x, rows, u)), normal(*shape), updates
    )
    assert kinds(executable) == ["scatter", "scatter"]


def test_a_constant_that_is_a_number_here_and_an_operand_there():
    one = np.ones((1, 1), np.float32)

    def f(x):
        view = ops.permute_dims(ops.as_tensor(one), (1, 0))
        return ops.matmul(x * view, view) * view

    compare(f, normal(1, 1))


def test_a_constant_array_of_one_element_beside_a_product_of_that_shape():
    scale = np.full((1, 1), 3.0, np.float32)
    compare(lambda x, y: ops.matmul(x, y) * ops.as_tensor(scale) + 1.0, normal(1, 1), normal(1, 1))


def test_elements_by_numbers_that_are_computed_take_one_kernel():
    x, at = normal(6, 5, 7), RNG.uniform(-220, 220, (9, 28)).astype("float32")

    def f(x, at):
        i = ops.astype(ops.floor(at), "int32")
        inside = ops.logical_and(ops.greater_equal(i, 0), ops.less(i, 210))
        return ops.where(inside, ops.take(ops.reshape(x, (-1,)), ops.clip(i, 0, 209), axis=0), -1.0) * at

    executable = compare(f, x, at)
    assert kinds(executable) == ["map"]


def test_numbers_are_taken_from_what_is_computed_beside_them():
    i = RNG.integers(-5, 5, 40).astype("int32")
    compare(lambda i: ops.take(i * 2, ops.clip(i * 2, -40, 39), axis=0), i)
    compare(lambda i: ops.take(ops.clip(i, -5, 4), ops.clip(i, -5, 4), axis=0), i)
    compare(lambda x, i: ops.take(x * 2, i + 1, axis=0), normal(40), i)
    compare(lambda x, i: ops.take(ops.reshape(x, (-1,)) * 2, i + 1, axis=0), normal(8, 5), i)
    compare(lambda x, i: ops.take(ops.reshape(x + 1, (-1,)), i + 1, axis=0) * 2, normal(8, 5), i)


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
@pytest.mark.parametrize("to", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_floats_become_integers(source, to, level):
    info = np.iinfo(to)
    x = np.array([0.9, -0.9, -1.5, 100.7, info.min, info.max // 2, 127.9, 1e4, 3e9, -3e9, *normal(60) * 30])
    low, high = (-1, 2.0**32) if to == "uint32" else (-(2.0**62), 2.0**62) if to == "int64" else (-(2.0**31), 2.0**31)
    most = 6e4 if source == "float16" else np.inf
    x = x[(x > low) & (x < high) & (np.abs(x) < most)].astype(source)
    compare(lambda x: ops.astype(x, to), x, target=level)
    compare(lambda x: ops.astype(x[4], to), x, target=level)


@pytest.mark.parametrize("to", ["int32", "int64"])
def test_floats_out_of_range_become_the_nearest_integer(to, level):
    info = np.iinfo(to)
    x = np.tile(np.array([np.inf, 1e30, -np.inf, -1e30, np.nan, 2.0**63, 5.5], np.float32), 5)
    found = lamina.function(lambda x: ops.astype(x, to))
    expected = np.tile(np.array([info.max, info.max, info.min, info.min, 0, info.max, 5], to), 5)
    np.testing.assert_array_equal(found(lamina.tensor(x)).numpy(), expected)
