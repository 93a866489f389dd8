"""Loops compiled to native code: what they compute, how they are cut, and what is in memory where."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.backends.native import threads
from lamina.backends.native.loops import LoopPlan
from lamina.backends.native.program import Compiler, NativeExecutable
from lamina.backends.native.target import host
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph
from lamina.graph.passes import optimize

RNG = np.random.default_rng(3)


def normal(*shape, dtype=np.float32):
    return RNG.normal(size=shape).astype(dtype)


def graph_of(function, arrays):
    return optimize(capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])[0])


def compare(function, *arrays, tolerance=2e-6):
    """Native against NumPy in float64; returns the executable's compiler for a look inside."""
    graph = graph_of(function, arrays)
    compiler = Compiler(graph, host())
    found = NativeExecutable(graph).run(list(arrays))
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    expected, _ = run_graph(graph_of(function, wide), wide)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))
    return compiler


def sweeps(compiler):
    return [compiler.plans[i] for i in compiler.sweeps]


def lstm(xz, recurrent, h, c):
    """The recurrent part of an LSTM, all hidden states and the last states."""
    units = h.shape[1]

    def turn(state, z):
        h, c = state
        z = z + ops.matmul(h, recurrent)
        i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
        c = lamina.nn.sigmoid(f) * c + lamina.nn.sigmoid(i) * ops.tanh(g)
        h = lamina.nn.sigmoid(o) * ops.tanh(c)
        return (h, c), h

    return lamina.scan(turn, (h, c), xz)


def lstm_gradient(xz, recurrent, h, c, weight):
    def loss(xz, recurrent, h, c):
        (h, c), hidden = lstm(xz, recurrent, h, c)
        return (hidden * weight).sum() + (c * c).sum()

    return lamina.grad(loss, argnums=(0, 1, 2, 3))(xz, recurrent, h, c)


def lstm_arrays(batch, steps, units, dtype=np.float32):
    return [
        normal(steps, batch, 4 * units, dtype=dtype),
        normal(units, 4 * units, dtype=dtype) / np.float32(2),
        normal(batch, units, dtype=dtype),
        normal(batch, units, dtype=dtype),
    ]


SIZES = [(1, 1, 1), (2, 3, 5), (7, 4, 16), (16, 5, 33), (37, 3, 17), (64, 6, 32)]


@pytest.mark.parametrize(("batch", "steps", "units"), SIZES)
def test_a_recurrent_layer_forward(batch, steps, units):
    compiler = compare(lambda *a: lstm(*a), *lstm_arrays(batch, steps, units))
    (plan,) = sweeps(compiler)
    assert not plan.together
    assert "opaque" not in {g.kind for g in compiler.fusion.groups.values()}


@pytest.mark.parametrize(("batch", "steps", "units"), SIZES)
def test_a_recurrent_layer_backward(batch, steps, units):
    arrays = [*lstm_arrays(batch, steps, units), normal(steps, batch, units)]
    compiler = compare(lambda *a: lstm_gradient(*a), *arrays, tolerance=2e-5)
    assert len(compiler.sweeps) == 2  # the loop there is run once, with what the loop back needs
    # One unit's product is a multiplication of elements, so that each thread goes through all steps by itself.
    assert any(plan.together for plan in sweeps(compiler)) == (units == 1)
    assert "opaque" not in {g.kind for g in compiler.fusion.groups.values()}


def test_float64_agrees_closely():
    compare(lambda *a: lstm_gradient(*a), *lstm_arrays(9, 4, 12, np.float64), normal(4, 9, 12, dtype=np.float64),
            tolerance=1e-12)  # fmt: skip


def test_weights_get_their_gradient_from_one_product_after_the_loop():
    arrays = [*lstm_arrays(8, 5, 16), normal(5, 8, 16)]
    graph = graph_of(lambda *a: lstm_gradient(*a)[1], arrays)
    back = [n for n in graph.nodes if n.primitive.name == "scan"][-1]
    shapes = [v.shape for v in back.outputs]
    assert (16, 64) not in shapes  # no matrix is summed from turn to turn
    assert [n.outputs[0].shape for n in graph.nodes if n.primitive.name == "matmul"] == [(16, 64)]


def test_each_gradient_of_a_gate_is_computed_into_its_place():
    arrays = [*lstm_arrays(8, 5, 16), normal(5, 8, 16)]
    compiler = Compiler(graph_of(lambda *a: lstm_gradient(*a)[0], arrays), host())
    kinds = [g.kind for s in compiler.sweeps.values() for level in s.levels for g in level]
    assert "joined" in kinds
    names = {n.primitive.name for s in compiler.sweeps.values() for n in s.body.nodes}
    assert "pad" not in names and "concat" not in names


def test_what_is_the_same_in_every_turn_is_computed_once():
    def f(x, w, h):
        return lamina.scan(lambda h, v: (ops.tanh(ops.matmul(h, ops.exp(w).T) + v), ()), h, x)[0]

    compiler = compare(f, normal(6, 5, 8), normal(8, 8) / 4, normal(5, 8))
    (sweep,) = compiler.sweeps.values()
    assert "exp" not in {n.primitive.name for n in sweep.body.nodes}


def test_a_reversed_loop_and_slices_that_are_views():
    def f(x, h):  # x is batch-major
        return lamina.scan(lambda h, v: (h * 0.5 + v, h - v), h, ops.permute_dims(x, (1, 0, 2)), reverse=True)

    compare(f, normal(6, 7, 9), normal(6, 9))


def test_masks_keep_the_state():
    def f(x, mask, h):
        def turn(h, now):
            v, m = now
            h = ops.where(m, ops.tanh(h + v), h)
            return h, h

        return lamina.scan(turn, h, (x, mask))

    mask = RNG.integers(0, 2, (5, 4, 1)).astype(bool)
    compiler = compare(f, normal(5, 4, 11), mask, normal(4, 11))
    assert [plan.together for plan in sweeps(compiler)] == [False]


def test_rows_that_meet_are_done_by_all_threads_together():
    def f(x, h):  # every row sees the mean of all
        return lamina.scan(lambda h, v: (ops.tanh(h - ops.mean(h, axis=0, keepdims=True) + v), h), h, x)

    compiler = compare(f, normal(9, 40, 30), normal(40, 30))
    assert [plan.together for plan in sweeps(compiler)] == [True]


def test_products_between_states_are_done_together():
    def f(x, h):
        return lamina.scan(lambda h, v: (ops.matmul(h, h) / 8.0 + v, ()), h, x)[0]

    compiler = compare(f, normal(4, 24, 24) / 4, normal(24, 24) / 4, tolerance=1e-5)
    assert [plan.together for plan in sweeps(compiler)] == [True]


def test_states_of_any_rank_and_dtype():
    def f(x, count, total, grid):
        def turn(state, v):
            count, total, grid = state
            return (count + 1, total + v.sum(), grid * 0.5 + v), (count, grid.sum(axis=-1))

        return lamina.scan(turn, (count, total, grid), x)

    compare(f, normal(6, 3, 4, 5), np.array(7), np.array(0.5, np.float32), normal(3, 4, 5))


def test_constants_in_the_body_and_one_turn():
    table = normal(4, 6)
    compare(lambda x, h: lamina.scan(lambda h, v: (h * table + v, h), h, x), normal(1, 4, 6), normal(4, 6))


def test_no_state_at_all():
    compare(lambda x, w: lamina.map(lambda row: ops.tanh(ops.matmul(row, w)), x), normal(5, 3, 4), normal(4, 4))


def test_second_derivatives():
    def f(x, w, h):
        def loss(w):
            return (lamina.scan(lambda h, v: (ops.tanh(ops.matmul(h, w) + v), h), h, x)[1] ** 2).sum()

        return lamina.grad(lambda w: (lamina.grad(loss)(w) ** 2).sum())(w)

    compare(f, normal(4, 3, 5), normal(5, 5) / 3, normal(3, 5), tolerance=1e-4)


@pytest.mark.parametrize("together", [False, True])
def test_the_same_bits_on_any_number_of_threads(together):
    def f(x, w, h):
        def turn(h, v):
            h = ops.tanh(ops.matmul(h, w) + v)
            return (h - ops.mean(h, axis=0, keepdims=True) if together else h), h

        return lamina.scan(turn, h, x)

    arrays = [normal(12, 45, 70), normal(70, 70) / 8, normal(45, 70)]
    executable = NativeExecutable(graph_of(f, arrays))
    before = threads.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3, 4, 8):
            threads.set_num_threads(count)
            results.append([np.array(r) for r in executable.run(arrays)])
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_state_that_is_a_variable_is_read_before_it_is_written():
    state = lamina.Variable(normal(5, 8), name="state", trainable=False)
    start = state.numpy().copy()

    @lamina.function
    def step(x):
        h, ys = lamina.scan(lambda h, v: (h * 0.5 + v, h), state.value, x)
        state.assign(h)
        return ys

    x = normal(1, 5, 8)
    np.testing.assert_array_equal(step(x).numpy()[0], start)
    np.testing.assert_allclose(state.numpy(), start * 0.5 + x[0], rtol=1e-6)


def test_a_loop_with_a_sort_in_it_runs_in_numpy():
    def f(x, h):
        return lamina.scan(lambda h, v: (ops.sort(h + v, axis=-1), ()), h, x)[0]

    compiler = compare(f, normal(3, 4, 5), normal(4, 5))
    assert "opaque" in {g.kind for g in compiler.fusion.groups.values()}


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_of_a_concatenation_are_computed_in_place(axis):
    def f(x, y):
        whole = ops.concat([ops.exp(x), x, ops.tanh(y)], axis=axis)
        return whole, whole.sum(axis=0), ops.exp(x) + 1

    compiler = compare(f, normal(20, 20), normal(20, 20))
    assert "joined" in {g.kind for g in compiler.fusion.groups.values()}


def test_a_concatenation_of_concatenations():
    def f(x):
        inner = ops.concat([ops.exp(x), ops.tanh(x)], axis=1)
        return ops.concat([inner, inner * 2.0, x], axis=0 if x.shape[1] == inner.shape[1] else 1) * 1.0

    compare(f, normal(9, 10))


def test_a_concatenation_written_to_a_variable_that_it_reads():
    state = lamina.Variable(normal(4, 40), name="ring", trainable=False)
    start = state.numpy().copy()

    @lamina.function
    def push(x):
        state.assign(ops.concat([state[:, 10:] * 1.0, ops.exp(x)], axis=1))

    x = normal(4, 10)
    push(x)
    np.testing.assert_allclose(state.numpy(), np.concatenate([start[:, 10:], np.exp(x)], 1), rtol=1e-6)


def test_a_value_that_is_read_early_and_late_keeps_its_place_until_then():
    """The nodes of a body do not stand in the order in which their kernels run."""

    def f(x, keep, count, kernel):
        def turn(state, now):
            h, count, total = state
            x, k = now
            new = ops.tanh(x + ops.matmul(h, kernel)[:, :4])
            more = count + 1.0
            both = ops.concat([new[:, :1], more], axis=1)  # in a later kernel than the next line
            return (ops.where(k, new, h), ops.where(k, more, count), total + both), None

        return lamina.scan(turn, (x[0], count, ops.zeros((3, 2), dtype=x.dtype)), (x, keep))[0]

    compare(f, normal(6, 3, 4), RNG.random((6, 3, 1)) > 0.4, normal(3, 1), normal(4, 12))


FAR = [((512, 1024), (1, 0)), ((37, 512), (1, 0)), ((3, 40, 5, 512), (0, 3, 2, 1)), ((2, 9, 1024), (2, 0, 1))]


@pytest.mark.parametrize(("shape", "axes"), FAR)
def test_maps_that_read_across_far_rows_walk_down_them(shape, axes):
    """Elements 2,048 bytes apart share places of the cache: vectors of lanes go through tiles of rows."""
    x, y = normal(*shape), normal(*(shape[a] for a in axes))
    compiler = compare(lambda x, y: ops.permute_dims(x, axes) * 2.0 + y, x, y)
    plans = [p for p in compiler.plans.values() if isinstance(p, LoopPlan)]
    assert [p.along is not None for p in plans] == [y.shape[-1] >= host().lanes(np.float32)]
