"""The tape and the transforms built on it, checked against differences and against each other."""

from __future__ import annotations

import numpy as np
import pytest

import lamina

X = np.array([0.3, -0.8, 1.4])
WAYS = ["eager", "captured", "of captured"]


def numeric_jacobian(f, x, eps=1e-6):
    """Central differences: shape ``f(x).shape + x.shape``."""
    x = np.asarray(x, np.float64)
    columns = []
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = eps
        columns.append((f(lamina.tensor(x + step)).numpy() - f(lamina.tensor(x - step)).numpy()) / (2 * eps))
    out = f(lamina.tensor(x)).shape
    return np.moveaxis(np.array(columns).reshape(*x.shape, *out), range(x.ndim), range(-x.ndim, 0))


def in_way(way, transform, f):
    """The transform of f run eagerly, inside a captured function, or of a captured function."""
    if way == "captured":
        return lamina.function(transform(f), backend="eager")
    return transform(lamina.function(f, backend="eager") if way == "of captured" else f)


def scalar(x):
    return lamina.sum(lamina.sin(x) * x * x) + lamina.exp(x[0] * x[1])


def vector(x):
    return lamina.stack([x[0] * x[1], lamina.sin(x[2]), lamina.sum(x * x * x), x[0] / (x[2] + 3.0)])


# --- transforms -------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_grad(way):
    slope = in_way(way, lamina.grad, scalar)(X)
    np.testing.assert_allclose(slope.numpy(), numeric_jacobian(scalar, X), rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_value_and_grad_has_both(way):
    value, slope = in_way(way, lamina.value_and_grad, scalar)(X)
    np.testing.assert_allclose(value.numpy(), scalar(lamina.tensor(X)).numpy(), rtol=1e-14)
    np.testing.assert_allclose(slope.numpy(), lamina.grad(scalar)(X).numpy(), rtol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_jacobian(way):
    result = in_way(way, lamina.jacobian, vector)(X)
    assert result.shape == (4, 3)
    np.testing.assert_allclose(result.numpy(), numeric_jacobian(vector, X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_hessian(way):
    result = in_way(way, lamina.hessian, scalar)(X)
    expected = numeric_jacobian(lamina.grad(scalar), X)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(result.numpy(), result.numpy().T, rtol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_third_and_fourth_derivatives(way):
    def polynomial(x):
        return x * x * x * x * x

    def fourth(f):
        return lamina.grad(lamina.grad(lamina.grad(lamina.grad(f))))

    assert in_way(way, fourth, polynomial)(np.array(2.0)).item() == 240.0


@pytest.mark.parametrize("way", WAYS)
def test_vjp_and_jvp_are_the_jacobian_from_both_sides(way, rng):
    j = numeric_jacobian(vector, X)
    ct, t = rng.normal(size=4), rng.normal(size=3)

    def both(f):
        def run(x, ct, t):
            y, pullback = lamina.vjp(f, x)
            return y, pullback(ct)[0], pullback(2.0 * ct)[0], lamina.jvp(f, (x,), (t,))[1]

        return run

    y, back, twice, forward = in_way(way, both, vector)(X, ct, t)
    np.testing.assert_allclose(y.numpy(), vector(lamina.tensor(X)).numpy(), rtol=1e-14)
    np.testing.assert_allclose(back.numpy(), ct @ j, rtol=1e-6)
    np.testing.assert_allclose(twice.numpy(), 2 * back.numpy(), rtol=1e-12)
    np.testing.assert_allclose(forward.numpy(), j @ t, rtol=1e-6)


def test_argnums_choose_and_may_be_several():
    def f(a, b, c):
        return lamina.sum(a * b * b) * c

    a, b = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(lamina.grad(f, argnums=1)(a, b, 2.0).numpy(), 4 * a * b)
    first, last = lamina.grad(f, argnums=(0, -1))(a, b, 2.0)
    np.testing.assert_array_equal(first.numpy(), 2 * b * b)
    assert last.item() == 41.0
    (block,) = lamina.jacobian(lambda a, b: a * b, argnums=(1,))(a, b)
    np.testing.assert_array_equal(block.numpy(), np.diag(a))


def test_arguments_and_results_may_be_nested():
    def f(p, x):
        return {"y": p["w"] * x + p["b"][0], "n": lamina.sum(p["w"])}

    p = {"w": np.array([1.0, 2.0]), "b": [np.array(3.0)]}
    x = np.array([5.0, 7.0])
    slope = lamina.grad(lambda p, x: lamina.sum(f(p, x)["y"]))(p, x)
    np.testing.assert_array_equal(slope["w"].numpy(), x)
    assert slope["b"][0].item() == 2.0
    j = lamina.jacobian(f)(p, x)
    np.testing.assert_array_equal(j["y"]["w"].numpy(), np.diag(x))
    np.testing.assert_array_equal(j["y"]["b"][0].numpy(), [1, 1])
    np.testing.assert_array_equal(j["n"]["w"].numpy(), [1, 1])
    assert j["n"]["b"][0].item() == 0.0
    h = lamina.hessian(lambda p: lamina.sum(p["w"] * p["w"]) * p["b"][0])(p)
    np.testing.assert_array_equal(h["w"]["w"].numpy(), 6 * np.eye(2))
    np.testing.assert_array_equal(h["w"]["b"][0].numpy(), 2 * p["w"])


def test_has_aux_passes_anything_along():
    def f(x):
        return lamina.sum(x * x), {"name": "aux", "x": x}

    slope, aux = lamina.grad(f, has_aux=True)(X)
    np.testing.assert_array_equal(slope.numpy(), 2 * X)
    assert aux["name"] == "aux"
    (value, aux), slope = lamina.value_and_grad(f, has_aux=True)(X)
    np.testing.assert_allclose(value.item(), np.sum(X * X))
    _, pullback, aux = lamina.vjp(f, X, has_aux=True)
    np.testing.assert_array_equal(pullback(1.0)[0].numpy(), 2 * X)
    j, aux = lamina.jacobian(lambda x: (x * x, "aux"), has_aux=True)(X)
    np.testing.assert_array_equal(j.numpy(), np.diag(2 * X))
    assert aux == "aux"


def test_only_the_argument_counts_not_the_same_tensor_elsewhere():
    x = lamina.tensor(3.0)
    assert lamina.grad(lambda a: a * x)(x).item() == 3.0
    first, second = lamina.grad(lambda a, b: a * a * b, argnums=(0, 1))(x, x)
    assert (first.item(), second.item()) == (18.0, 9.0)
    # d/dx of (d/da of a * x at a = x), which is x: 1
    assert lamina.grad(lambda x: lamina.grad(lambda a: a * x)(x))(x).item() == 1.0


def test_variables_as_arguments():
    v = lamina.Variable([1.0, 2.0])
    for f in (lambda v: lamina.sum(v * v), lamina.function(lambda v: lamina.sum(v * v), backend="eager")):
        np.testing.assert_array_equal(lamina.grad(f)(v).numpy(), [2, 4])


def test_unconnected_arguments_get_zeros():
    np.testing.assert_array_equal(lamina.grad(lambda x: lamina.tensor(1.0))(X).numpy(), np.zeros(3))
    np.testing.assert_array_equal(lamina.jvp(lambda x: lamina.ones((2,)), (X,), (X,))[1].numpy(), np.zeros(2))


def test_wrong_uses_of_transforms_are_named():
    with pytest.raises(lamina.DifferentiationError, match=r"returned float64 of shape \(3,\)"):
        lamina.grad(lambda x: x * x)(X)
    with pytest.raises(lamina.DifferentiationError, match="returned tuple"):
        lamina.grad(lambda x: (x, x))(X)
    with pytest.raises(lamina.DifferentiationError, match="dtype int64"):
        lamina.grad(lambda x: lamina.sum(x))(np.arange(3))
    with pytest.raises(lamina.ArgumentError, match="argnums=2"):
        lamina.grad(lambda x: lamina.sum(x), argnums=2)(X)
    with pytest.raises(lamina.ArgumentError, match="pair"):
        lamina.grad(lambda x: lamina.sum(x), has_aux=True)(X)
    with pytest.raises(lamina.ShapeError, match="cotangent"):
        lamina.vjp(lambda x: x, X)[1](np.ones(2))
    with pytest.raises(lamina.ArgumentError, match="1 cotangents"):
        lamina.vjp(lambda x: x, X)[1]((X, X))
    with pytest.raises(lamina.ShapeError, match="tangent"):
        lamina.jvp(lambda x: x, (X,), (np.ones(2),))


# --- the tape -----------------------------------------------------------------------------------------
def test_trainable_variables_are_watched_by_themselves():
    v, fixed = lamina.Variable(2.0), lamina.Variable(3.0, trainable=False)
    with lamina.GradientTape() as tape:
        y = v * v * fixed
    assert [None if g is None else g.item() for g in tape.gradient(y, [v, fixed])] == [12.0, None]
    with lamina.GradientTape(watch_accessed_variables=False) as tape:
        y = v * v
    assert tape.gradient(y, v) is None
    with lamina.GradientTape() as tape:
        tape.watch(fixed)
        y = v * v * fixed
    assert tape.gradient(y, fixed).item() == 4.0


def test_a_tape_is_used_up_unless_persistent():
    x = lamina.tensor(3.0)
    with lamina.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(lamina.DifferentiationError, match="persistent=True"):
        tape.gradient(y, x)
    with lamina.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * x
    assert (tape.gradient(y, x).item(), tape.gradient(z, x).item(), tape.gradient(z, y).item()) == (6.0, 27.0, 3.0)


def test_nested_tapes_give_higher_derivatives():
    x = lamina.tensor(2.0)
    with lamina.GradientTape() as outer:
        outer.watch(x)
        with lamina.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        first = inner.gradient(y, x)
    assert outer.gradient(first, x).item() == 12.0
    # A persistent tape may be asked inside its own block and then once more.
    with lamina.GradientTape(persistent=True) as tape:
        tape.watch(x)
        first = tape.gradient(x * x * x, x)
    assert tape.gradient(first, x).item() == 12.0


def test_targets_add_up_and_cotangents_can_be_given():
    x = lamina.tensor(X)
    with lamina.GradientTape(persistent=True) as tape:
        tape.watch(x)
        a, b = x * x, lamina.sin(x)
    np.testing.assert_allclose(tape.gradient([a, b], x).numpy(), 2 * X + np.cos(X), rtol=1e-12)
    weighted = tape.gradient([a, b], x, output_gradients=[np.full(3, 2.0), np.zeros(3)])
    np.testing.assert_allclose(weighted.numpy(), 4 * X, rtol=1e-12)
    np.testing.assert_allclose(tape.gradient([a, a], x).numpy(), 4 * X, rtol=1e-12)


def test_sources_without_a_connection():
    x, y = lamina.tensor(1.0), lamina.tensor([1.0, 2.0])
    with lamina.GradientTape(persistent=True) as tape:
        tape.watch([x, y])
        z = x * 2.0
    assert tape.gradient(z, y) is None
    np.testing.assert_array_equal(tape.gradient(z, y, unconnected_gradients="zero").numpy(), [0, 0])
    with pytest.raises(lamina.ArgumentError, match="'none' or 'zero'"):
        tape.gradient(z, y, unconnected_gradients="ones")


def test_tape_jacobian():
    x, w = lamina.tensor(X), lamina.tensor([1.0])
    with lamina.GradientTape(persistent=True) as tape:
        tape.watch([x, w])
        y = vector(x)
    j = tape.jacobian(y, {"x": x, "w": w})
    np.testing.assert_allclose(j["x"].numpy(), lamina.jacobian(vector)(X).numpy(), rtol=1e-12)
    assert j["w"] is None
    assert tape.jacobian(y, w, unconnected_gradients="zero").shape == (4, 1)


def test_only_floats_are_watched():
    with lamina.GradientTape() as tape:
        with pytest.raises(lamina.DifferentiationError, match="dtype int64"):
            tape.watch(lamina.tensor([1, 2]))
        with pytest.raises(lamina.ArgumentError, match="got str"):
            tape.watch("text")


def test_stop_gradient_stops():
    slope = lamina.grad(lambda x: lamina.sum(x * lamina.stop_gradient(x)))
    np.testing.assert_array_equal(slope(X).numpy(), X)
    captured = lamina.function(lamina.grad(lambda x: lamina.sum(x * lamina.stop_gradient(x))), backend="eager")
    np.testing.assert_array_equal(captured(X).numpy(), X)


# --- custom gradients -----------------------------------------------------------------------------------
@lamina.custom_gradient
def softplus(x):
    e = lamina.exp(x)
    return lamina.log1p(e), lambda ct: ct * (1.0 - 1.0 / (1.0 + e))


@lamina.custom_gradient
def doubled_slope(x, y, scale):
    def gradient(cts):
        a, b = cts
        return 2.0 * (a * y + b), 2.0 * a * x, None

    return (x * y, x + scale), gradient


@pytest.mark.parametrize("way", WAYS)
def test_custom_gradients_and_their_derivatives(way):
    def loss(x):
        return lamina.sum(softplus(x) * x)

    for transform in (lamina.grad, lamina.hessian):
        expected = transform(lambda x: lamina.sum(lamina.log1p(lamina.exp(x)) * x))(X).numpy()
        np.testing.assert_allclose(in_way(way, transform, loss)(X).numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_custom_gradients_replace_the_ordinary_ones(way):
    def loss(x):
        a, b = doubled_slope(x, x * x, 3)
        return lamina.sum(a) + lamina.sum(b)

    # 2 (y + 1) + 2 x * dy/dx with y = x * x
    np.testing.assert_allclose(in_way(way, lamina.grad, loss)(X).numpy(), 2 * (X * X + 1) + 4 * X * X, rtol=1e-12)


def test_custom_gradients_inside_loops_survive_the_replay():
    def loss(x):
        return lamina.scan(lambda c, v: (c + doubled_slope(v, c, 0)[0], None), lamina.ones((), "float64"), x)[0]

    eager = lamina.grad(loss)(X).numpy()
    captured = lamina.function(lamina.grad(loss), backend="eager")(X).numpy()
    ordinary = lamina.grad(lambda x: lamina.prod(1.0 + x))(X).numpy()
    np.testing.assert_allclose(captured, eager, rtol=1e-12)
    assert not np.allclose(eager, ordinary)


def test_custom_gradients_leave_no_node_in_what_runs():
    graph = lamina.function(lambda x: softplus(x), backend="eager").graph(X)
    assert [n.primitive.name for n in graph.nodes] == ["exp", "log1p"]


def test_wrong_custom_gradients_are_named():
    @lamina.custom_gradient
    def short(x, y):
        return x * y, lambda ct: ct * y

    with pytest.raises(lamina.DifferentiationError, match="1 cotangents for 2"):
        lamina.grad(lambda x: lamina.sum(short(x, lamina.tensor(X))))(X)

    @lamina.custom_gradient
    def misshapen(x):
        return lamina.sum(x), lambda ct: ct

    with pytest.raises(lamina.ShapeError, match="misshapen"):
        lamina.grad(misshapen)(X)
