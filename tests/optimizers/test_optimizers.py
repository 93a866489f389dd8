"""Optimizers against formulas in NumPy, step by step, and against Keras; schedules."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import optimizers
from lamina.core.errors import ArgumentError, DifferentiationError
from lamina.optimizers import schedules

STEPS = 5


def gradients(shape: tuple[int, ...] = (3, 2)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for _ in range(STEPS)]


def run(optimizer: Any, start: np.ndarray | None = None, compiled: bool = False) -> np.ndarray:
    """The variable after STEPS steps in float64."""
    w = lamina.Variable(np.ones((3, 2)) if start is None else start, dtype="float64", name="w")
    optimizer.build([w])
    step = lambda g: optimizer.apply([g], [w])  # noqa: E731
    step = lamina.function(step) if compiled else step
    for g in gradients():
        step(lamina.Tensor(g))
    return w.numpy()


# --- the formulas in NumPy ----------------------------------------------------------------------------
def sgd(lr: float, momentum: float = 0.0, nesterov: bool = False) -> np.ndarray:
    w, v = np.ones((3, 2)), np.zeros((3, 2))
    for g in gradients():
        v = momentum * v - lr * g
        w = w + (momentum * v - lr * g if nesterov else v)
    return w


def rmsprop(lr: float, rho: float = 0.9, momentum: float = 0.0, eps: float = 1e-7, centered: bool = False) -> Any:
    w, v, a, m = np.ones((3, 2)), 0.0, 0.0, 0.0
    for g in gradients():
        v = rho * v + (1 - rho) * g**2
        a = rho * a + (1 - rho) * g
        step = lr * g / np.sqrt((v - a**2 if centered else v) + eps)
        m = momentum * m + step
        w = w - (m if momentum else step)
    return w


def adam(
    lr: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7, amsgrad: bool = False, decay: float = 0
) -> Any:
    w, m, v, top = np.ones((3, 2)), 0.0, 0.0, 0.0
    for t, g in enumerate(gradients(), 1):
        w = w - decay * lr * w
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v)
        alpha = lr * np.sqrt(1 - b2**t) / (1 - b1**t)
        w = w - alpha * m / (np.sqrt(top if amsgrad else v) + eps)
    return w


CASES: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
    ("sgd", lambda: optimizers.SGD(0.1), lambda: sgd(0.1)),
    ("momentum", lambda: optimizers.SGD(0.1, momentum=0.8), lambda: sgd(0.1, 0.8)),
    ("nesterov", lambda: optimizers.SGD(0.1, momentum=0.8, nesterov=True), lambda: sgd(0.1, 0.8, True)),
    ("rmsprop", lambda: optimizers.RMSprop(0.01), lambda: rmsprop(0.01)),
    (
        "rmsprop-all",
        lambda: optimizers.RMSprop(0.01, rho=0.8, momentum=0.5, epsilon=1e-3, centered=True),
        lambda: rmsprop(0.01, 0.8, 0.5, 1e-3, True),
    ),
    ("adam", lambda: optimizers.Adam(0.01), lambda: adam(0.01)),
    (
        "adam-all",
        lambda: optimizers.Adam(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-3, amsgrad=True),
        lambda: adam(0.01, 0.8, 0.9, 1e-3, True),
    ),
    ("adamw", lambda: optimizers.AdamW(0.01, weight_decay=0.1), lambda: adam(0.01, decay=0.1)),
]


@pytest.fixture(autouse=True)
def in_float64() -> Any:
    """Learning rates are held in the default float dtype."""
    lamina.config.set_floatx("float64")
    yield
    lamina.config.set_floatx("float32")


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize(("name", "make", "formula"), CASES, ids=[c[0] for c in CASES])
def test_formulas(name: str, make: Any, formula: Any, compiled: bool) -> None:
    optimizer = make()
    np.testing.assert_allclose(run(optimizer, compiled=compiled), formula(), rtol=1e-12)
    assert int(optimizer.iterations.numpy()) == STEPS


def test_against_keras() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    both = [
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("SGD", {"learning_rate": 0.1, "clipnorm": 0.5}),
        ("SGD", {"learning_rate": 0.1, "clipvalue": 0.3}),
        ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.4}),
        ("Adam", {"learning_rate": 0.01, "amsgrad": True, "global_clipnorm": 0.7}),
        ("Adam", {"learning_rate": 0.01, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2}),
        ("Adam", {"learning_rate": 0.01, "gradient_accumulation_steps": 2}),
        ("SGD", {"learning_rate": 0.1, "loss_scale_factor": 4.0}),
        ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.2}),
    ]
    for name, arguments in both:
        theirs = getattr(keras.optimizers, name)(**arguments)
        w = keras.Variable(np.ones((3, 2)), dtype="float32")
        for g in gradients():
            theirs.apply([keras.ops.convert_to_tensor(g, "float32")], [w])
        for compiled in (False, True):
            ours = run(getattr(optimizers, name)(**arguments), compiled=compiled)
            np.testing.assert_allclose(ours, np.asarray(w), rtol=2e-5, atol=1e-6, err_msg=f"{name} {arguments}")


# --- what all share -----------------------------------------------------------------------------------
def test_clipping() -> None:
    big, small = lamina.tensor([3.0, 4.0]), lamina.tensor([0.3, 0.4])
    for arguments, wanted in (
        ({"clipnorm": 1.0}, ([0.6, 0.8], [0.3, 0.4])),
        ({"clipvalue": 0.35}, ([0.35, 0.35], [0.3, 0.35])),
        ({"global_clipnorm": 1.0}, (np.array([3, 4]) / np.sqrt(25.25), np.array([0.3, 0.4]) / np.sqrt(25.25))),
    ):
        a, b = lamina.Variable([0.0, 0.0], name="a"), lamina.Variable([0.0, 0.0], name="b")
        optimizers.SGD(1.0, **arguments).apply([big, small], [a, b])
        np.testing.assert_allclose(-a.numpy(), wanted[0], rtol=1e-6)
        np.testing.assert_allclose(-b.numpy(), wanted[1], rtol=1e-6)
    with pytest.raises(ArgumentError, match="Only one of `clipnorm`"):
        optimizers.SGD(0.1, clipnorm=1.0, clipvalue=1.0)


def test_a_zero_gradient_is_clipped_to_zero() -> None:
    w = lamina.Variable([1.0])
    optimizers.SGD(1.0, clipnorm=1.0).apply([lamina.tensor([0.0])], [w])
    assert w.numpy()[0] == 1


def test_weight_decay_leaves_out_what_is_excluded() -> None:
    kernel, bias = lamina.Variable([1.0], name="kernel"), lamina.Variable([1.0], name="bias")
    optimizer = optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([lamina.tensor([0.0])] * 2, [kernel, bias])
    assert kernel.numpy()[0] == pytest.approx(0.95) and bias.numpy()[0] == 1
    with pytest.raises(ArgumentError, match="before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_accumulation_updates_with_the_mean() -> None:
    w = lamina.Variable([1.0], dtype="float64")
    optimizer = optimizers.SGD(0.1, gradient_accumulation_steps=3)
    seen = []
    for g in (1.0, 2.0, 6.0, 3.0):
        optimizer.apply([lamina.tensor([g], dtype="float64")], [w])
        seen.append(float(w.numpy()[0]))
    assert seen == pytest.approx([1, 1, 0.7, 0.7])
    assert int(optimizer.iterations) == 1


def test_learning_rate_can_be_set() -> None:
    w = lamina.Variable([1.0], dtype="float64")
    optimizer = optimizers.SGD(0.1)
    step = lamina.function(lambda g: optimizer.apply([g], [w]))
    optimizer.build([w])
    step(lamina.tensor([1.0], dtype="float64"))
    optimizer.learning_rate = 0.5
    step(lamina.tensor([1.0], dtype="float64"))
    assert w.numpy()[0] == pytest.approx(0.4) and float(optimizer.learning_rate.numpy()) == 0.5


def test_missing_gradients() -> None:
    a, b = lamina.Variable([1.0], name="a"), lamina.Variable([1.0], name="b")
    optimizer = optimizers.Adam(0.1)
    with pytest.warns(UserWarning, match="does not depend on b"):
        optimizer.apply([lamina.tensor([1.0]), None], [a, b])
    assert a.numpy()[0] < 1 and b.numpy()[0] == 1
    with pytest.raises(DifferentiationError, match="No gradients provided.*a, b"):
        optimizer.apply([None, None], [a, b])
    with pytest.raises(ArgumentError, match="built without variable 'c'"):
        optimizer.apply([lamina.tensor([1.0])], [lamina.Variable([1.0], name="c")])


@pytest.mark.parametrize("make", [c[1] for c in CASES], ids=[c[0] for c in CASES])
def test_configuration_and_state(make: Any) -> None:
    optimizer = make()
    w = lamina.Variable(np.ones((3, 2)), dtype="float64")
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    grads = gradients()
    for g in grads[:3]:
        optimizer.apply([lamina.Tensor(g)], [w])
    copy = lamina.Variable(w, dtype="float64")
    again.build([copy])
    again.set_weights([v.numpy() for v in optimizer.variables])
    for g in grads[3:]:
        optimizer.apply([lamina.Tensor(g)], [w])
        again.apply([lamina.Tensor(g)], [copy])
    np.testing.assert_array_equal(copy.numpy(), w.numpy())


def test_names_and_wrong_arguments() -> None:
    assert isinstance(optimizers.get("adam"), optimizers.Adam) and isinstance(optimizers.get("SGD"), optimizers.SGD)
    for call, words in (
        (lambda: optimizers.get("adem"), "no optimizer named 'adem'.*adam"),
        (lambda: optimizers.SGD(momentum=2.0), "momentum is between 0 and 1"),
        (lambda: optimizers.SGD("fast"), "learning_rate is a number"),
        (lambda: optimizers.Adam(decay=1e-6), "has no argument 'decay'"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()


# --- schedules --------------------------------------------------------------------------------------
SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 7], "values": [0.1, 0.05, 0.01]}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 8, "warmup_target": 0.3, "warmup_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 3}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4, "t_mul": 1.0, "m_mul": 0.5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 3, "t_mul": 1.5, "alpha": 0.2}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "end_learning_rate": 0.02, "power": 2.0}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "power": 0.5, "cycle": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 4, "decay_rate": 2.0, "staircase": True}),
]


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_schedules_against_keras(name: str, arguments: dict[str, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
    ours, theirs = getattr(schedules, name)(**arguments), getattr(keras.optimizers.schedules, name)(**arguments)
    for step in range(15):
        assert ours(step).item() == pytest.approx(float(theirs(step)), rel=1e-5)
    again = schedules.deserialize(schedules.serialize(ours))
    assert again.get_config() == ours.get_config()


def test_an_optimizer_follows_its_schedule() -> None:
    w = lamina.Variable([0.0], dtype="float64")
    optimizer = optimizers.SGD(schedules.PiecewiseConstantDecay([0, 2], [1.0, 0.5, 0.25]))
    optimizer.build([w])
    step = lamina.function(lambda g: optimizer.apply([g], [w]))
    seen = []
    for _ in range(5):
        step(lamina.tensor([1.0], dtype="float64"))
        seen.append(-float(w.numpy()[0]))
    assert seen == [1, 1.5, 2, 2.25, 2.5]
    with pytest.raises(ArgumentError, match="created with a `LearningRateSchedule`"):
        optimizer.learning_rate = 0.1
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
