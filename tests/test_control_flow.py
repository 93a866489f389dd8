"""cond, while_loop, scan and map: eager, captured, and differentiated both ways."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina.graph.verify import verify

BACKENDS = ["eager", "native"]


def numeric(f, x, eps=1e-5):
    """Central differences of a function of one array that returns a float."""
    x = np.asarray(x, np.float64)
    result = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = eps
        result[i] = (float(f(x + step)) - float(f(x - step))) / (2 * eps)
    return result


def branches(x):
    return lamina.cond(lamina.sum(x) > 0, lambda v: lamina.sum(v * v * v), lambda v: lamina.sum(lamina.sin(v)), x)


def closing_over(x):
    w = x * 2.0
    return lamina.cond(x[0] > 0, lambda: lamina.sum(w * x), lambda: lamina.sum(lamina.exp(w)))


def nested(x):
    y = x * x

    def inner(v):
        return lamina.cond(v[1] > 0, lambda: lamina.sum(v * y), lambda: lamina.sum(v / (y + 1.0)))

    return lamina.cond(x[0] > 0, inner, lambda v: lamina.sum(v), x)


def power_loop(x):
    """The sum of x**8 by three squarings."""
    _, y = lamina.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * y), (0, x), maximum_iterations=5)
    return lamina.sum(y)


def data_dependent(x):
    """Double until the norm passes a bound; how often depends on x."""
    (y,) = lamina.while_loop(lambda y: lamina.sum(y * y) < 50.0, lambda y: (y * (1.0 + y * y),), (x,), 20)
    return lamina.sum(y)


def recurrence(x):
    w = x[0] * 0.5 + 0.3

    def turn(carry, row):
        carry = lamina.tanh(carry * w + row)
        return carry, carry * row

    last, ys = lamina.scan(turn, lamina.zeros((), "float64"), x)
    return last + lamina.sum(ys * ys)


def backwards(x):
    def turn(carry, row):
        a, n = carry
        return (a * 0.5 + row * row, n + 1), {"a": a, "n": n}

    (last, _), ys = lamina.scan(turn, (x[0], 0), x, reverse=True)
    return last + lamina.sum(ys["a"] * lamina.astype(ys["n"], "float64"))


def no_xs(x):
    last, _ = lamina.scan(lambda c, _: (c * x[1] + x[0], None), x[0], length=4)
    return last


def mapped(x):
    return lamina.sum(lamina.map(lambda v: lamina.exp(v) * x[0], x))


def scan_of_scan(x):
    def outer(carry, row):
        inner, _ = lamina.scan(lambda c, v: (c * 0.9 + v * row, None), carry, x)
        return inner, inner

    return lamina.sum(lamina.scan(outer, lamina.zeros((), "float64"), x)[1])


def cond_in_scan(x):
    def turn(c, v):
        return lamina.cond(v > 0, lambda: c + v * v, lambda: c * v), ()

    return lamina.scan(turn, lamina.ones((), "float64"), x)[0]


FUNCTIONS = [
    branches, closing_over, nested, power_loop, data_dependent, recurrence, backwards, no_xs, mapped, scan_of_scan,
    cond_in_scan,
]  # fmt: skip
POINTS = [np.array([0.7, 0.4, 0.3]), np.array([0.6, -0.4, 0.9]), np.array([-0.7, -0.4, 0.5])]


@pytest.mark.parametrize("x", POINTS, ids=["plus", "mixed", "minus"])
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_gradients_agree_with_differences_eagerly_and_captured(f, x):
    eager = f(lamina.tensor(x))
    slope = lamina.grad(f)(x)
    np.testing.assert_allclose(slope.numpy(), numeric(lambda v: f(lamina.tensor(v)).item(), x), rtol=1e-6, atol=1e-8)

    captured = lamina.function(f, backend="eager")
    verify(captured.graph(x))
    np.testing.assert_allclose(captured(x).numpy(), eager.numpy(), rtol=1e-12)
    # The gradient inside the capture, the gradient of the captured function, and the captured gradient of it.
    for gradient in (
        lamina.function(lamina.grad(f), backend="eager"),
        lamina.grad(captured),
        lamina.function(lamina.grad(captured), backend="eager"),
    ):
        np.testing.assert_allclose(gradient(x).numpy(), slope.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_second_derivatives(f):
    x = POINTS[1]
    eager = lamina.hessian(f)(x).numpy()
    expected = np.stack([numeric(lambda v, i=i: lamina.grad(f)(v).numpy()[i], x) for i in range(3)])
    np.testing.assert_allclose(eager, expected, rtol=1e-5, atol=1e-7)
    captured = lamina.function(lamina.hessian(f), backend="eager")
    verify(captured.graph(x))
    np.testing.assert_allclose(captured(x).numpy(), eager, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_both_backends(f, backend):
    x = POINTS[0]
    compiled = lamina.function(lamina.value_and_grad(f), backend=backend)
    for found, expected in zip(compiled(x), lamina.value_and_grad(f)(x), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)


def newton(x0):
    """Newton's method inside a loop, its derivatives taken in the body."""

    def f(x):
        return lamina.sum(lamina.exp(x) - 2.0 * x * x)

    def turn(x, _):
        slope = lamina.grad(f)(x)
        return x - slope / lamina.sum(lamina.hessian(f)(x), axis=1), lamina.sum(slope)

    return lamina.scan(turn, x0, length=3)[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_derivatives_inside_bodies_and_of_them(backend):
    x = np.array([0.3, 0.9])
    eager = newton(lamina.tensor(x)).numpy()
    np.testing.assert_allclose(np.exp(eager) - 4 * eager, 0, atol=1e-3)
    np.testing.assert_allclose(lamina.function(newton, backend=backend)(x).numpy(), eager, rtol=1e-12)

    def last(x):
        return lamina.sum(newton(x)[1:])

    expected = numeric(lambda v: last(lamina.tensor(v)).item(), x)
    np.testing.assert_allclose(lamina.grad(last)(x).numpy(), expected, rtol=1e-5, atol=1e-9)
    compiled = lamina.function(lamina.grad(last), backend=backend)
    np.testing.assert_allclose(compiled(x).numpy(), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tape_inside_a_branch_reaches_variables(backend):
    w = lamina.Variable([1.0, 2.0])

    @lamina.function(backend=backend)
    def f(x):
        def slope():
            with lamina.GradientTape() as tape:
                y = lamina.sum(w * w * x)
            return tape.gradient(y, w)

        return lamina.cond(lamina.sum(x) > 0, slope, lambda: x)

    np.testing.assert_array_equal(f(np.array([1.0, 2.0], np.float32)).numpy(), [2, 8])
    np.testing.assert_array_equal(f(np.array([-1.0, 0.0], np.float32)).numpy(), [-1, 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loop_in_a_map_runs_as_often_as_each_slice_needs(backend):
    @lamina.function(backend=backend)
    def collatz(n):
        def halve_or_triple(v, i):
            return lamina.where(v % 2 == 0, v // 2, 3 * v + 1), i + 1

        return lamina.map(lambda v: lamina.while_loop(lambda v, i: v != 1, halve_or_triple, (v, 0))[1], n)

    np.testing.assert_array_equal(collatz(np.arange(1, 10)).numpy(), [0, 1, 7, 2, 5, 8, 16, 3, 19])


def test_captured_loops_are_one_node():
    text = str(lamina.function(recurrence).graph(POINTS[0]))
    assert text.count("scan(") == 1
    assert "graph body:" in text


def test_only_the_chosen_branch_runs():
    ran = []
    lamina.cond(lamina.tensor(1.0) > 0, lambda: ran.append("true") or 1.0, lambda: ran.append("false") or 0.0)
    assert ran == ["true"]

    @lamina.function(backend="eager")
    def safe_root(x):
        return lamina.cond(x > 0, lambda: lamina.linalg.inv(lamina.reshape(x, (1, 1)))[0, 0], lambda: x)

    assert safe_root(np.array(4.0)).item() == 0.25
    assert safe_root(np.array(0.0)).item() == 0.0  # the inverse of a singular matrix would raise


def test_a_pred_known_at_capture_keeps_one_branch():
    f = lamina.function(lambda x, training: lamina.cond(training, lambda: x * 2.0, lambda: x), backend="eager")
    assert "cond" not in str(f.graph(np.ones(2), True))
    np.testing.assert_array_equal(f(np.ones(2), True).numpy(), [2, 2])
    np.testing.assert_array_equal(f(np.ones(2), False).numpy(), [1, 1])


def test_variables_are_read_inside_bodies_and_get_gradients():
    v = lamina.Variable(np.array([2.0, 3.0]), name="v")

    def f(x):
        return lamina.sum(lamina.scan(lambda c, row: (c + row * v, None), lamina.zeros((2,), "float64"), x)[0])

    x = np.array([1.0, 5.0])
    for g in (f, lamina.function(f, backend="eager")):
        with lamina.GradientTape() as tape:
            y = g(x)
        assert y.item() == 30.0
        np.testing.assert_array_equal(tape.gradient(y, v).numpy(), [6.0, 6.0])

    @lamina.function(backend="eager")
    def inside(x):
        with lamina.GradientTape() as tape:
            y = f(x)
        return tape.gradient(y, v)

    np.testing.assert_array_equal(inside(x).numpy(), [6.0, 6.0])


def test_assigning_a_variable_in_a_captured_body_is_an_error():
    v = lamina.Variable(1.0, name="total")

    @lamina.function(backend="eager")
    def f(x):
        def turn(c, row):
            v.assign_add(row)
            return c, None

        return lamina.scan(turn, 0.0, x)[0]

    with pytest.raises(lamina.CaptureError, match=r"'total' is assigned inside cond.*test_control_flow.py:\d+"):
        f(np.ones(3, np.float32))


def test_while_without_a_bound_runs_and_says_why_it_has_no_gradient():
    def f(x):
        return lamina.while_loop(lambda y: y < 100.0, lambda y: (y * 2.0,), (x,))[0]

    assert lamina.function(f, backend="eager")(np.array(3.0)).item() == 192.0
    assert lamina.grad(f)(np.array(3.0)).item() == 64.0  # eagerly the tape sees every turn
    with pytest.raises(lamina.DifferentiationError, match="maximum_iterations"):
        lamina.function(lamina.grad(f), backend="eager")(np.array(3.0))


def test_maximum_iterations_bounds_the_turns():
    def f(x):
        return lamina.while_loop(lambda y: y < 100.0, lambda y: y * 2.0, x, maximum_iterations=2)

    assert f(lamina.tensor(3.0)).item() == 12.0
    assert lamina.function(f, backend="eager")(np.float32(3.0)).item() == 12.0


def test_finished_turns_leave_no_nan_in_the_gradient():
    def f(x):
        # The turn after the last one would divide by zero.
        return lamina.while_loop(lambda y: y > 0.0, lambda y: (y - 1.0 / y,), (x,), maximum_iterations=6)[0]

    x = np.array(1.0)
    assert lamina.grad(f)(x).item() == 2.0
    assert lamina.function(lamina.grad(f), backend="eager")(x).item() == 2.0


@pytest.mark.parametrize("captured", [False, True])
def test_empty_loops(captured):
    def f(x):
        carry, ys = lamina.scan(lambda c, v: (c + v, v * 2.0), lamina.zeros((), "float64"), x)
        return carry, ys

    carry, ys = (lamina.function(f, backend="eager") if captured else f)(np.zeros((0,)))
    assert carry.item() == 0.0
    assert ys.shape == (0,)
    assert ys.dtype == np.float64


def test_structures_pass_through():
    def turn(carry, x):
        return {"sum": carry["sum"] + x["a"], "last": x["b"]}, (x["a"], [x["b"]])

    xs = {"a": np.arange(3.0), "b": np.arange(6.0).reshape(3, 2)}
    init = {"sum": np.array(0.0), "last": np.zeros(2)}

    def f(init, xs):
        return lamina.scan(turn, init, xs)

    for run in (f, lamina.function(f, backend="eager")):
        carry, (a, (b,)) = run(init, xs)
        assert carry["sum"].item() == 3.0
        np.testing.assert_array_equal(carry["last"].numpy(), [4, 5])
        np.testing.assert_array_equal(a.numpy(), xs["a"])
        np.testing.assert_array_equal(b.numpy(), xs["b"])


ONES = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: lamina.cond(x > 0, lambda: 1, lambda: 2), lamina.ShapeError, "one truth value"),
        (lambda x: lamina.cond(x[0] > 0, lambda: x, lambda: x[0]), lamina.ShapeError, "output 0 is float32"),
        (lambda x: lamina.cond(x[0] > 0, lambda: x, lambda: (x, x)), lamina.ShapeError, "structures"),
        (lambda x: lamina.cond(x[0] > 0, lambda: x, lambda: x.astype("int32")), lamina.DTypeError, "output 0"),
        (lambda x: lamina.while_loop(lambda y: True, lambda y: y.sum(), x), lamina.ShapeError, "loop variable 0"),
        (lambda x: lamina.while_loop(lambda y: True, lambda y: (y, y), (x,)), lamina.ShapeError, "structure"),
        (lambda x: lamina.scan(lambda c, v: (c.astype("int32"), v), x, x), lamina.DTypeError, "carry 0 has dtype"),
        (lambda x: lamina.scan(lambda c, v: c, x, x), lamina.ArgumentError, "pair"),
        (lambda x: lamina.scan(lambda c, v: (c, v), x), lamina.ArgumentError, "length="),
        (lambda x: lamina.scan(lambda c, v: (c, v), x, x, length=4), lamina.ShapeError, "length=4"),
        (lambda x: lamina.scan(lambda c, v: (c, v), x, (x, x[:2])), lamina.ShapeError, "different first sizes"),
        (lambda x: lamina.scan(lambda c, v: (c, v), x, x[0]), lamina.ShapeError, "scalar"),
        (lambda x: lamina.map(lambda v: v, ()), lamina.ArgumentError, "at least one"),
    ],
)
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        lamina.function(call, backend="eager")(ONES)
