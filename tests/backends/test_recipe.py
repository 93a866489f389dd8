"""Programs that run by a recipe give what freshly compiled ones give."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.backends.native import program, recipe
from lamina.backends.native.program import NativeExecutable
from lamina.backends.native.target import host
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.passes import optimize


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))


def graph_of(function, *arrays):
    return optimize(capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])[0])


X = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")


def test_the_second_time_nothing_is_planned(monkeypatch):
    def f(x):
        return ops.tanh(ops.matmul(x, ops.as_tensor(X))) + 1.0

    (first,) = NativeExecutable(graph_of(f, X)).run([X])
    monkeypatch.setattr(program, "Compiler", None)  # it is not needed any more
    again = NativeExecutable(graph_of(f, X))
    assert again.from_cache
    np.testing.assert_array_equal(first, again.run([X])[0])


def test_constants_are_those_of_the_graph_at_hand_however_they_lie():
    def by(constant):
        return lambda x: x + ops.as_tensor(constant)

    for constant in (X.copy(), X.T, X[::-1], np.ones((4, 4), np.float32)):
        (out,) = NativeExecutable(graph_of(by(constant), X)).run([X])
        np.testing.assert_array_equal(out, X + constant)


def test_loops_variables_and_their_constants():
    table = X[:, ::-1]

    def new():
        state = lamina.Variable(np.zeros((4, 4), np.float32), name="state")

        @lamina.function
        def step(x):
            last, ys = lamina.scan(lambda h, v: (h * 0.5 + v * ops.as_tensor(table), h), state.value, x)
            state.assign(last)
            return ys

        return state, step

    x = np.stack([X, X + 1])
    results = []
    for _ in range(2):
        state, step = new()
        ys = step(x).numpy().copy()
        results.append((ys, step(x).numpy().copy(), state.numpy().copy()))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_changes_the_program_changes_the_key():
    def key(function, *arrays):
        return recipe.recipe_key(graph_of(function, *arrays), host())

    base = key(lambda x: x * 2.0, X)
    assert base == key(lambda x: x * 2.0, X)
    others = [
        key(lambda x: x * 3.0, X),
        key(lambda x: x + 2.0, X),
        key(lambda x: x * 2.0, X[:2]),
        key(lambda x: x * 2.0, X.astype(np.float64)),
        key(lambda x: (x * 2.0, x), X),
        key(lambda x: ops.sum(x * 2.0, axis=0), X),
        key(lambda x: ops.sum(x * 2.0, axis=1), X),
    ]
    assert len({base, *others}) == 8


def captured(function, *arrays):
    return capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])[0]


def run_captured(function, *arrays):
    graph = captured(function, *arrays)
    executable = NativeExecutable(graph, optimized=lambda: optimize(graph.clone()))
    return executable, executable.run(list(arrays))[0]


def test_the_second_time_no_pass_runs(monkeypatch):
    table = np.arange(4, dtype=np.float32)

    @lamina.custom_gradient
    def doubled(x):
        return x * 2.0, lambda ct: ct * ops.as_tensor(X)

    def f(x):
        return doubled(x) + ops.full((), 3.0) * ops.as_tensor(table) + ops.stop_gradient(x) * 0.5

    first = run_captured(f, X)[1]
    monkeypatch.setattr(program, "Compiler", None)
    graph = captured(f, X)
    again = NativeExecutable(graph, optimized=None)  # nothing to compile
    np.testing.assert_array_equal(first, again.run([X])[0])
    np.testing.assert_allclose(first, X * 2.5 + 3 * table, rtol=1e-5)


def test_constants_that_the_passes_look_into_belong_to_the_key():
    def key(function, *arrays):
        return recipe.recipe_key(captured(function, *arrays), host())

    def folded(table):  # a filled array is a node, and becomes a constant in the passes
        return lambda x: x + ops.full((), 3.0) * ops.as_tensor(table)

    def behind_a_marker(table):
        return lambda x: x + ops.stop_gradient(ops.full((), 3.0)) * ops.as_tensor(table)

    def as_it_is(table):
        return lambda x: x + ops.as_tensor(table)

    tables = np.arange(32, dtype=np.float32), np.arange(1, 33, dtype=np.float32)
    x = np.zeros((2, 32), np.float32)
    for make in (folded, behind_a_marker):
        assert key(make(tables[0]), x) == key(make(tables[0].copy()), x) != key(make(tables[1]), x)
        for table in tables:
            np.testing.assert_array_equal(run_captured(make(table), x)[1], x + 3 * table)
    assert key(as_it_is(tables[0]), x) == key(as_it_is(tables[1]), x)
    for table in tables:
        np.testing.assert_array_equal(run_captured(as_it_is(table), x)[1], x + table)


def test_one_constant_in_two_places_is_not_two():
    one, other = X.copy(), X + 1

    def twice(first, second):
        return lambda x: ops.matmul(x, ops.as_tensor(first)) - ops.matmul(x, ops.as_tensor(second))

    np.testing.assert_array_equal(run_captured(twice(one, one), X)[1], np.zeros((4, 4)))
    np.testing.assert_allclose(run_captured(twice(one, other), X)[1], X @ one - X @ other, rtol=1e-4, atol=1e-4)


def test_a_damaged_recipe_is_made_again(tmp_path):
    def f(x):
        return x * 5.0

    graph = graph_of(f, X)
    NativeExecutable(graph)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-3] + b"abc")
    np.testing.assert_array_equal(NativeExecutable(graph_of(f, X)).run([X])[0], X * 5)
