"""Every optimizer against Keras after several steps, over its arguments, on a matrix and a vector."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import optimizers
from lamina.core.errors import ArgumentError

os.environ.setdefault("KERAS_BACKEND", "jax")
STEPS = 6

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.3, "epsilon": 1e-2}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-3}),
    ("Adamax", {"learning_rate": 0.1}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1}),
    ("Nadam", {"learning_rate": 0.1}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1}),
    ("Nadam", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.3, "beta_2": 0.8}),
    ("Lamb", {"learning_rate": 0.1}),
    ("Lamb", {"learning_rate": 0.1, "weight_decay": 0.1, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1}),
    ("Ftrl", {"learning_rate": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.3,
            "initial_accumulator_value": 0.2,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.2,
            "beta": 0.3,
        },
    ),
    ("Adafactor", {"learning_rate": 0.5}),
    (
        "Adafactor",
        {
            "learning_rate": 0.1,
            "beta_2_decay": -0.5,
            "epsilon_1": 1e-3,
            "epsilon_2": 0.1,
            "clip_threshold": 0.5,
            "relative_step": False,
        },
    ),
    ("Muon", {"learning_rate": 0.1}),
    ("Muon", {"learning_rate": 0.1, "nesterov": False, "rms_rate": None, "ns_steps": 2, "weight_decay": 0.1}),
    ("Muon", {"learning_rate": 0.1, "exclude_layers": ["va"], "adam_lr_ratio": 0.3, "adam_weight_decay": 0.2}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1}),
    ("ScheduleFreeAdamW", {"learning_rate": 0.1, "warmup_steps": 4, "beta_1": 0.5, "beta_2": 0.6, "epsilon": 0.1}),
    ("Adagrad", {"learning_rate": 0.1, "use_ema": True, "ema_overwrite_frequency": 2, "weight_decay": 0.01}),
    ("Adadelta", {"learning_rate": 1.0, "clipnorm": 0.5, "gradient_accumulation_steps": 3}),
]


def gradients(shape: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype("float32") for _ in range(STEPS)]


@pytest.mark.parametrize("shape", [(3, 2), (2, 4), (6,)], ids=str)
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_several_steps(name: str, arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    keras = pytest.importorskip("keras")
    theirs = getattr(keras.optimizers, name)(**arguments)
    expected = keras.Variable(np.ones(shape), dtype="float32", name="var")
    for g in gradients(shape):
        theirs.apply([keras.ops.convert_to_tensor(g)], [expected])
    for compiled in (False, True):
        ours = getattr(optimizers, name)(**arguments)
        w = lamina.Variable(np.ones(shape, "float32"), name="var")
        ours.build([w])
        step = lambda g, o=ours, w=w: o.apply([g], [w])  # noqa: E731
        step = lamina.function(step) if compiled else step
        for g in gradients(shape):
            step(lamina.Tensor(g))
        np.testing.assert_allclose(w.numpy(), np.asarray(expected), rtol=2e-5, atol=2e-6)
    assert set(ours.get_config()) == set(theirs.get_config())
    again = optimizers.deserialize(optimizers.serialize(ours))
    assert again.get_config() == ours.get_config()


def test_every_optimizer_of_keras_by_name() -> None:
    keras = pytest.importorskip("keras")
    for name, item in vars(keras.optimizers).items():
        if isinstance(item, type) and issubclass(item, keras.optimizers.Optimizer):
            assert hasattr(optimizers, name), name
            if name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer"):
                assert type(optimizers.get(name.lower())).__name__ == name
                expected, found = item().get_config(), getattr(optimizers, name)().get_config()
                for key in expected.keys() - {"name", "learning_rate"}:
                    assert found[key] == expected[key], (name, key)
                assert found["learning_rate"] == pytest.approx(expected["learning_rate"])


@pytest.mark.parametrize("compiled", [False, True])
def test_loss_scale(compiled: bool) -> None:
    w = lamina.Variable([1.0, 2.0])
    optimizer = optimizers.LossScaleOptimizer(
        optimizers.SGD(0.5, momentum=0.9), initial_scale=4.0, dynamic_growth_steps=2
    )
    optimizer.build([w])
    step: Any = lambda g: optimizer.apply([g], [w])  # noqa: E731
    step = lamina.function(step) if compiled else step
    seen = []
    for g in ([4.0, 8.0], [np.inf, 0.0], [2.0, 0.0], [2.0, 0.0], [np.nan, 0.0]):
        step(lamina.tensor(g, dtype="float32"))
        seen.append((w.numpy().tolist(), float(optimizer.dynamic_scale.numpy()), int(optimizer.iterations)))
    assert seen[0] == ([0.5, 1.0], 4.0, 1)
    assert seen[1] == ([0.5, 1.0], 2.0, 1)  # nothing has changed but the scale
    assert seen[2][1:] == (2.0, 2) and seen[3][1:] == (4.0, 3) and seen[4][1:] == (2.0, 3)
    assert np.isfinite(w.numpy()).all()
    assert optimizer.scale_loss(lamina.tensor(3.0)).item() == 6.0
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    with pytest.raises(ArgumentError, match="inner_optimizer"):
        optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0)


def test_several_optimizers_in_one() -> None:
    make = optimizers.OptimizerMap(optimizers.SGD(0.1), {".*embedding.*": optimizers.SGD(1.0)})
    optimizer = optimizers.MultiOptimizer(make)
    a, b = lamina.Variable([1.0], name="embedding"), lamina.Variable([1.0], name="kernel")
    optimizer.build([a, b])
    step = lamina.function(lambda g: optimizer.apply([g, g], [a, b]))
    step(lamina.tensor([1.0]))
    step(lamina.tensor([1.0]))
    assert a.numpy()[0] == pytest.approx(-1.0) and b.numpy()[0] == pytest.approx(0.8)
    assert int(optimizer.iterations) == 2
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    with pytest.raises(AttributeError, match="no learning rate"):
        _ = optimizer.learning_rate
    with pytest.raises(ArgumentError, match="cannot be MultiOptimizer"):
        make["x"] = optimizer
    make["embed.*"] = optimizers.SGD()
    with pytest.raises(ArgumentError, match="Multiple optimizers"):
        make(a)


def test_stateless_apply_changes_nothing() -> None:
    w = lamina.Variable([1.0])
    optimizer = optimizers.Adam(0.1)
    with pytest.raises(ArgumentError, match="after optimizer.build"):
        optimizer.stateless_apply([], [], [])
    optimizer.build([w])
    before = [v.numpy().copy() for v in optimizer.variables]
    new, state = optimizer.stateless_apply(optimizer.variables, [lamina.tensor([2.0])], [lamina.tensor([5.0])])
    assert new[0].numpy()[0] == pytest.approx(4.9) and w.numpy()[0] == 1.0
    assert state[0].item() == 1
    for v, old in zip(optimizer.variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), old)


def test_a_variable_that_takes_its_gradient() -> None:
    v = lamina.Variable([1.0])
    v.overwrite_with_gradient = True
    optimizers.SGD(0.1).apply([lamina.tensor([7.0])], [v])
    assert v.numpy()[0] == 7.0
    optimizer = optimizers.SGD(0.1, gradient_accumulation_steps=2)
    for g, expected in ((3.0, 7.0), (2.0, 3.0), (1.0, 3.0)):
        optimizer.apply([lamina.tensor([g])], [v])
        assert v.numpy()[0] == expected
