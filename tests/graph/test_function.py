"""lamina.function: what is captured, when again, and what a caller sees."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import numpy as np
import pytest

import lamina
from lamina.backends.eager import EagerExecutable

X = np.arange(3, dtype=np.float32)


def function(f=None, **options):
    options.setdefault("backend", "eager")
    return lamina.function(f, **options) if f is not None else lamina.function(**options)


# --- what is captured -----------------------------------------------------------------------------
def test_the_python_code_runs_once_for_each_kind_of_arguments():
    runs = []

    @function
    def f(x, scale=2.0):
        runs.append((x.shape, scale))
        return x * scale

    for _ in range(3):
        np.testing.assert_array_equal(f(X).numpy(), [0, 2, 4])
    f(lamina.tensor(X))  # a Tensor and an array of one shape and dtype share a graph
    f(X, scale=2.0)  # a default that is given, by name or by position, is the same call
    f(X, 2.0)
    f(x=X)
    assert len(runs) == 1
    f(X[:2])
    f(X.astype(np.float64))
    f(X, 3.0)
    assert len(runs) == 4


def test_results_keep_their_structure_and_static_objects_pass_through():
    marker = object()

    @function
    def f(x, n):
        return {"double": x * 2.0, "rest": [(x, n), None, marker, "text"]}

    result = f(X, 7)
    np.testing.assert_array_equal(result["double"].numpy(), X * 2)
    (same, n), nothing, found, text = result["rest"]
    np.testing.assert_array_equal(same.numpy(), X)
    assert (n, nothing, found, text) == (7, None, marker, "text")


def test_arguments_may_be_nested():
    @function
    def f(batch, *rest, scale):
        return batch["x"] * scale + batch["more"][0] + rest[0]

    result = f({"x": X, "more": [X, None]}, np.float32(1.0), scale=2.0)
    np.testing.assert_array_equal(result.numpy(), 3 * X + 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [(0.0, -0.0), (1, True), (1, 1.0), ("a", "b"), (float("inf"), float("-inf")), ((1, 2), (2, 1)), (None, 0)],
)
def test_static_values_that_differ_get_graphs_of_their_own(first, second):
    seen = []

    @function
    def f(x, static):
        seen.append(static)
        return x + 1.0

    for _ in range(2):
        f(X, first)
        f(X, second)
    assert [repr(s) for s in seen] == [repr(first), repr(second)]


def test_nan_and_unhashable_static_values_are_found_again():
    class Settings:
        __hash__ = None  # type: ignore[assignment]

    settings = Settings()
    f = function(lambda x, a, b: x + 1.0)
    for _ in range(3):
        f(X, float("nan"), settings)
    assert len(f.captures) == 1


def test_numpy_scalars_are_arrays():
    f = function(lambda x, s: x * s)
    np.testing.assert_array_equal(f(X, np.float32(2)).numpy(), X * 2)
    np.testing.assert_array_equal(f(X, np.float32(3)).numpy(), X * 3)
    assert len(f.captures) == 1


def test_other_byte_orders_and_strides_of_numpy_arrays_work():
    f = function(lambda x: x * 2.0)
    for array in (X.astype(">f4"), np.arange(6, dtype=np.float32)[::2], np.arange(3, dtype=np.float32)[::-1]):
        for _ in range(2):
            result = f(array)
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result.numpy(), array * 2)


def test_results_share_no_memory_with_arguments_or_variables():
    v = lamina.Variable(np.ones(3, np.float32))
    f = function(lambda x: (x, lamina.reshape(x, (3, 1)), v.value))
    x = X.copy()
    same, column, value = f(x)
    x[:] = 99
    v.assign(np.zeros(3))
    np.testing.assert_array_equal(same.numpy(), X)
    np.testing.assert_array_equal(column.numpy()[:, 0], X)
    np.testing.assert_array_equal(value.numpy(), np.ones(3))


def test_python_scalars_in_the_result_are_those_of_the_capture():
    f = function(lambda x: (x.shape[0], x + 1.0))
    assert f(X)[0] == 3
    assert f(X[:2])[0] == 2


# --- variables --------------------------------------------------------------------------------------
def test_variables_are_read_and_assigned_by_each_call():
    count = lamina.Variable(0, name="count", trainable=False)
    total = lamina.Variable(np.zeros(3, np.float32), name="total")

    @function
    def step(x):
        count.assign_add(1)
        total.assign(total + x * lamina.astype(count, "float32"))
        return total * 1.0

    for n in (1, 3, 6):
        np.testing.assert_array_equal(step(X).numpy(), n * X)
    assert count.numpy() == 3
    graph = step.graph(X)
    assert [v.name for v, _ in graph.reads] == ["count", "total"]
    assert [v.name for v, _ in graph.writes] == ["count", "total"]


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_variables_swap(backend):
    a, b = lamina.Variable([1.0, 2.0]), lamina.Variable([3.0, 4.0])

    @function(backend=backend)
    def swap():
        old = a.value
        a.assign(b.value)
        b.assign(old)

    swap()
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([3.0, 4.0], [1.0, 2.0])
    swap()
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([1.0, 2.0], [3.0, 4.0])


def test_variables_as_arguments_count_by_identity():
    @function
    def bump(v, x):
        v.assign_add(x)

    a, b = lamina.Variable(X), lamina.Variable(X)
    for _ in range(2):
        bump(a, X)
        bump(b, X)
    np.testing.assert_array_equal(a.numpy(), 3 * X)
    np.testing.assert_array_equal(b.numpy(), 3 * X)
    assert len(bump.captures) == 2


def test_repeat_runs_the_graph_several_times():
    position = lamina.Variable(0, trainable=False)

    @function
    def walk(data):
        position.assign_add(1)
        return lamina.take(data, position - 1, axis=0) * 1.0

    assert walk.repeat(3, X).item() == 2.0
    assert position.numpy() == 3
    with pytest.raises(lamina.ArgumentError, match="at least 1"):
        walk.repeat(0, X)


def test_creating_a_variable_inside_is_an_error():
    @function
    def f(x):
        return lamina.Variable(np.zeros(3), name="late") + x

    with pytest.raises(lamina.CaptureError, match=r"'late' is created inside.*test_function.py:\d+"):
        f(X)


# --- errors on capture --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (lambda x: x if x[0] > 0 else -x, "lamina.cond"),
        (lambda x: x * float(x[0]), "float"),
        (lambda x: x + x.numpy(), "numpy"),
        (lambda x: x * np.asarray(x), "NumPy array"),
        (lambda x: [v for v in range(3) if x[v] > 1], "lamina.where"),
    ],
)
def test_asking_for_numbers_names_the_line_and_what_to_use(code, advice):
    with pytest.raises(lamina.CaptureError, match=advice) as info:
        function(code)(X)
    assert "test_function.py:" in str(info.value)


def test_errors_of_ops_name_the_line():
    with pytest.raises(lamina.ShapeError, match=r"do not broadcast.*\(at .*test_function.py:\d+\)"):
        function(lambda x: x + np.ones(4, np.float32))(X)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_errors_of_a_run_name_the_line_too(backend):
    f = lamina.function(lambda x, i: lamina.linalg.inv(x) * 2.0, backend=backend)
    with pytest.raises(lamina.LaminaError, match=r"\(at .*test_function.py:\d+\)"):
        f(np.zeros((2, 2), np.float32), 0)


def test_symbolic_tensors_do_not_leave_their_capture():
    stored = []

    @function
    def f(x):
        stored.append(x)
        return x + 1.0

    f(X)
    with pytest.raises(lamina.CaptureError, match="return them"):
        f(stored[0])
    with pytest.raises(lamina.CaptureError, match="another captured function"):
        function(lambda x: x + stored[0])(X)
    f(X[:2])  # the failures left no capture open
    assert lamina.core.primitive.state.capture is None


def test_wrong_calls_raise_what_python_raises():
    f = function(lambda x: x)
    with pytest.raises(TypeError, match="missing"):
        f()
    with pytest.raises(TypeError, match="unexpected"):
        f(X, y=1)
    with pytest.raises(lamina.ArgumentError, match="backend"):
        lamina.function(lambda x: x, backend="tpu")
    with pytest.raises(lamina.ArgumentError, match="takes a function"):
        lamina.function(3)
    with pytest.raises(lamina.ArgumentError, match="max_recompiles"):
        lamina.function(lambda x: x, max_recompiles=-1)


# --- captures again ---------------------------------------------------------------------------------
def test_recompiles_are_explained():
    @function(name="explained")
    def f(x, batch, training=False):
        return x + batch["y"]

    y = {"y": np.float32(1)}
    f(X, y)
    f(X[:2], y)
    f(np.ones((3, 1), np.float32), y)
    f(X, {"y": np.int64(1)})
    f(X, y, training=True)
    f(X, {"y": np.float32(1), "z": 1})
    text = lamina.explain_recompiles()
    for line in (
        "explained: captured 6 times",
        "1. first call",
        "2. argument 'x': dimension 0 was 3, is now 2",
        "number of dimensions was 1",
        "argument \"batch['y']\": dtype was float32, is now int64",
        "argument 'training': static value was False, is now True",
        "argument \"batch['z']\" is new",
    ):
        assert line in text, text
    assert f.captures[0] == ["first call"]


def test_max_recompiles_raises_with_the_facts():
    f = function(lambda x: x * 2.0, name="strict", max_recompiles=1)
    f(X)
    f(X[:2])
    with pytest.raises(lamina.RecompileError, match="strict.*argument 'x': dimension 0 was 2, is now 1"):
        f(X[:1])
    f(X)  # known shapes still run
    once = function(lambda x: x, max_recompiles=0)
    once(X)
    with pytest.raises(lamina.RecompileError, match="captured 1 time and"):
        once.prepare(X[:2])


# --- nesting, methods, threads --------------------------------------------------------------------------
def test_a_function_inside_another_becomes_part_of_its_graph():
    inner = function(lambda x: x * 2.0)
    outer = function(lambda x: inner(x) + 1.0)
    np.testing.assert_array_equal(outer(X).numpy(), X * 2 + 1)
    assert len(inner.captures) == 0
    assert [n.primitive.name for n in outer.graph(X).nodes] == ["multiply", "add"]


class Scaler:
    def __init__(self, scale):
        self.scale = lamina.Variable(scale)

    @function
    def apply(self, x, power=1):
        return (x * self.scale) ** power


def test_a_method_keeps_its_instance():
    class Scale:
        def __init__(self) -> None:
            self.factor = lamina.Variable(2.0)

        @lamina.function
        def apply(self, x):
            return x * self.factor

    assert float(Scale().apply(3.0)) == 6.0  # nobody else has the instance
    method = Scale().apply
    gc.collect()
    assert float(method(4.0)) == 8.0
    gone = weakref.ref(method.__self__)
    del method
    gc.collect()
    assert gone() is None


def test_methods_have_a_cache_for_each_instance():
    a, b = Scaler(2.0), Scaler(3.0)
    for _ in range(2):
        np.testing.assert_array_equal(a.apply(X).numpy(), X * 2)
        np.testing.assert_array_equal(b.apply(X, power=2).numpy(), (X * 3) ** 2)
    assert len(a.apply.captures) == len(b.apply.captures) == 1
    c = copy.copy(a)
    c.scale = lamina.Variable(5.0)
    np.testing.assert_array_equal(c.apply(X).numpy(), X * 5)


def test_copies_start_with_an_empty_cache():
    f = function(lambda x: x * 2.0, name="doubler", max_recompiles=3)
    f(X)
    for g in (copy.copy(f), copy.deepcopy({"f": f})["f"]):
        assert (g.name, g.max_recompiles, g.captures) == ("doubler", 3, [])
        np.testing.assert_array_equal(g(X).numpy(), X * 2)


def test_functions_keep_no_instance_alive():
    a = Scaler(2.0)
    a.apply(X)
    reference = weakref.ref(a)
    del a
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_threads_share_the_cache_and_capture_once(backend):
    captures = []
    started = threading.Barrier(4)

    @function(backend=backend)
    def f(x):
        captures.append(x.shape)
        return x * 2.0

    def work():
        started.wait()
        for n in (1, 2, 3) * 20:
            np.testing.assert_array_equal(f(np.full(n, n, np.float32)).numpy(), np.full(n, 2.0 * n))

    errors = []

    def guarded():
        try:
            work()
        except BaseException as error:  # reported by the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert sorted(captures) == [(1,), (2,), (3,)]


def test_prepare_compiles_in_the_background_while_other_shapes_run():
    inside, release = threading.Event(), threading.Event()

    @function
    def f(x):
        if x.shape == (2,):
            inside.set()
            assert release.wait(120)
        return x * 2.0

    f(X)
    thread = threading.Thread(target=f.prepare, args=(X[:2],))
    thread.start()
    assert inside.wait(120)
    np.testing.assert_array_equal(f(X).numpy(), X * 2)  # neither a known shape waits
    np.testing.assert_array_equal(f(X[:1]).numpy(), X[:1] * 2)  # nor a new one
    release.set()
    thread.join()
    assert len(f.captures) == 3


def test_the_environment_chooses_the_backend(monkeypatch):
    monkeypatch.setenv("LAMINA_BACKEND", "eager")
    f = lamina.function(lambda x: x + 1.0, backend="native")
    assert f.backend == "eager"
    assert isinstance(f.executable(X), EagerExecutable)
    monkeypatch.delenv("LAMINA_BACKEND")
    assert f.backend == "native"
    assert lamina.function(lambda x: x).backend == "native"


# --- under tapes ------------------------------------------------------------------------------------
def test_tapes_differentiate_through_calls_to_any_order():
    v = lamina.Variable(np.array([2.0, 3.0, 4.0]), name="v")

    @function
    def f(x, scale):
        return lamina.sum(lamina.sin(x * v) * scale), x * x

    def plain(x, scale):
        return f.python_function(x, scale)

    x = lamina.tensor(np.array([0.1, 0.5, 0.9]))
    found = []
    for call in (f, plain):
        with lamina.GradientTape() as outer:
            outer.watch(x)
            with lamina.GradientTape() as tape:
                tape.watch(x)
                a, b = call(x, 2.0)
                y = a + lamina.sum(b * b)
            gx, gv = tape.gradient(y, [x, v])
            z = lamina.sum(gx * gx) + lamina.sum(gv)
        found.append([gx, gv, *outer.gradient(z, [x, v])])
    for compiled, eager in zip(*found, strict=True):
        np.testing.assert_allclose(compiled.numpy(), eager.numpy(), rtol=1e-12)


def test_the_same_tensor_as_two_arguments():
    f = function(lambda a, b: a * b)
    x = lamina.tensor(3.0)
    with lamina.GradientTape() as tape:
        tape.watch(x)
        y = f(x, x)
    assert tape.gradient(y, x).item() == 6.0


def test_closed_over_tensors_get_gradients():
    w = lamina.tensor([2.0, 3.0, 4.0])
    f = function(lambda x: lamina.sum(x * w))
    f(X)
    with lamina.GradientTape() as tape:
        tape.watch(w)
        y = f(X)
    np.testing.assert_array_equal(tape.gradient(y, w).numpy(), X)


def test_a_watched_tensor_hidden_in_a_loop_body_is_named():
    w = lamina.tensor(2.0)
    f = function(lambda x: lamina.scan(lambda c, v: (c * w + v, None), 0.0, x)[0])
    with lamina.GradientTape() as tape:
        tape.watch(w)
        with pytest.raises(lamina.DifferentiationError, match="as an argument"):
            f(X)


def test_the_values_of_the_call_count_not_later_ones():
    v = lamina.Variable(3.0)
    f = function(lambda x: x * v)
    x = lamina.tensor(2.0)
    with lamina.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
        v.assign(100.0)
    assert tape.gradient(y, x).item() == 3.0


def test_no_gradient_flows_through_an_assignment():
    v = lamina.Variable(3.0, trainable=False)

    def f(x):
        v.assign(x * 2.0)
        return v * x

    for slope in (lamina.grad(f), lamina.grad(function(f)), function(lamina.grad(f))):
        assert slope(lamina.tensor(2.0)).item() == 4.0


def test_a_trainable_variable_used_after_its_assignment_is_refused():
    v = lamina.Variable(3.0, name="v")

    @function
    def f(x):
        v.assign(v + 1.0)
        return v * x

    with lamina.GradientTape(), pytest.raises(lamina.DifferentiationError, match="assigns variable 'v'"):
        f(X)


def test_repeat_under_a_tape_is_refused():
    v = lamina.Variable(3.0)
    f = function(lambda x: x * v)
    with lamina.GradientTape(), pytest.raises(lamina.DifferentiationError, match="Python loop"):
        f.repeat(2, X)


def test_stop_gradient_and_integers_inside_a_call():
    f = function(lambda x, n: (x * lamina.stop_gradient(x) * lamina.astype(n, "float32"), n + 1))
    x, n = lamina.tensor(3.0), lamina.tensor(2)
    with lamina.GradientTape() as tape:
        tape.watch(x)
        y, m = f(x, n)
    assert m.item() == 3
    assert tape.gradient(y, x).item() == 6.0


# --- looking inside -----------------------------------------------------------------------------------
def test_graphs_run_with_feeds_and_fetches():
    @function
    def f(x, y):
        hidden = x * 2.0
        return hidden + y

    graph = f.graph(X, X)
    hidden = graph.nodes[0].outputs[0]
    (a, b) = graph.run({"x": X, "y": np.ones(3)}, [hidden, graph.outputs[0]])
    np.testing.assert_array_equal(a, X * 2)
    np.testing.assert_array_equal(b, X * 2 + 1)
    np.testing.assert_array_equal(graph.run({"%" + hidden.name: np.zeros(3), "y": X})[0], X)
    with pytest.raises(lamina.ArgumentError, match="'y' is needed"):
        graph.run({"x": X})
    with pytest.raises(lamina.ArgumentError, match="no value named"):
        graph.run({"z": X})
    with pytest.raises(lamina.ArgumentError, match="expected shape"):
        graph.run({"x": X[:2]})


def test_graphs_remember_lines_and_scopes():
    @function
    def f(x):
        lamina.core.primitive.state.scope = ("model", "dense")
        try:
            y = x * 2.0
        finally:
            lamina.core.primitive.state.scope = ()
        return y

    (node,) = f.graph(X).nodes
    assert node.scope == ("model", "dense")
    assert "test_function.py:" in node.source
    assert "# model/dense" in str(f.graph(X))
