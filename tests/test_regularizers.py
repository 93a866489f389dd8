"""Penalties and constraints: values against Keras, and their way into the loss and the update."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import constraints, layers, regularizers
from lamina.core.errors import ArgumentError, ShapeError

os.environ.setdefault("KERAS_BACKEND", "jax")
RNG = np.random.default_rng(3)

REGULARIZERS: list[tuple[str, dict[str, Any]]] = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.7}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.2, "l2": 0.1}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
CONSTRAINTS: list[tuple[str, dict[str, Any]]] = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.5, "axis": 1}),
]


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_regularizers_against_keras(name: str, arguments: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    x = RNG.normal(size=(4, 3)).astype("float32")
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    np.testing.assert_allclose(
        ours(x).numpy(), keras.ops.convert_to_numpy(theirs(keras.ops.convert_to_tensor(x))), rtol=1e-5
    )
    assert ours.get_config() == pytest.approx(theirs.get_config())
    again = regularizers.deserialize(regularizers.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS)
def test_constraints_against_keras(name: str, arguments: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    x = RNG.normal(size=(4, 3)).astype("float32") * 2
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    np.testing.assert_allclose(
        ours(x).numpy(), keras.ops.convert_to_numpy(theirs(keras.ops.convert_to_tensor(x))), rtol=1e-5
    )
    assert ours.get_config() == theirs.get_config()
    again = constraints.deserialize(constraints.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


def test_get() -> None:
    assert regularizers.get(None) is None and constraints.get(None) is None
    assert regularizers.get("l1_l2").get_config() == {"l1": 0.0, "l2": 0.0}
    assert isinstance(constraints.get("UnitNorm"), constraints.UnitNorm)
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
    penalty = abs
    assert regularizers.get(penalty) is penalty
    for module in (regularizers, constraints):
        with pytest.raises(ArgumentError, match="Use one of"):
            module.get("nonsense")
        with pytest.raises(ArgumentError, match="give a name"):
            module.get(3)


def test_bad_arguments() -> None:
    for value in (-1.0, float("inf"), "1", True):
        with pytest.raises(ArgumentError, match="finite number"):
            regularizers.L2(value)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="argument `mode`"):
        regularizers.OrthogonalRegularizer(mode="diagonal")
    with pytest.raises(ShapeError, match="matrix"):
        regularizers.OrthogonalRegularizer()(np.ones(3))
    with pytest.raises(ArgumentError, match="kernel_regularizer"):
        layers.Dense(2, kernel_regulariser="l2")


def test_losses_of_a_layer() -> None:
    layer = layers.Dense(
        5,
        kernel_initializer="ones",
        kernel_regularizer=regularizers.L1(0.01),
        activity_regularizer=regularizers.L2(0.01),
    )
    layer(2.0 * np.ones((5, 5), np.float32))
    assert sum(loss.item() for loss in layer.losses) == pytest.approx(5.25)
    layer(2.0 * np.ones((5, 5), np.float32))
    assert len(layer.losses) == 2  # those of the last call only
    layer.trainable = False
    assert len(layer.losses) == 1  # frozen weights are not penalised


LAYERS: list[tuple[Any, dict[str, Any], tuple[int, ...], list[str]]] = [
    (layers.Dense, {"units": 3}, (2, 4), ["kernel", "bias"]),
    (layers.Embedding, {"input_dim": 3, "output_dim": 2}, (2, 4), ["embeddings"]),
    (layers.Conv1D, {"filters": 3, "kernel_size": 2}, (2, 4, 2), ["kernel", "bias"]),
    (layers.Conv2DTranspose, {"filters": 3, "kernel_size": 2}, (2, 4, 4, 2), ["kernel", "bias"]),
    (layers.DepthwiseConv1D, {"kernel_size": 2}, (2, 4, 2), ["depthwise", "bias"]),
    (layers.SeparableConv2D, {"filters": 3, "kernel_size": 2}, (2, 4, 4, 2), ["depthwise", "pointwise", "bias"]),
    (layers.BatchNormalization, {}, (2, 4), ["beta", "gamma"]),
    (layers.LayerNormalization, {}, (2, 4), ["beta", "gamma"]),
    (layers.GroupNormalization, {"groups": 2}, (2, 4), ["beta", "gamma"]),
    (layers.PReLU, {}, (2, 4), ["alpha"]),
]


@pytest.mark.parametrize(("cls", "arguments", "shape", "names"), LAYERS, ids=lambda x: getattr(x, "__name__", None))
def test_every_weight_of_every_layer(cls: Any, arguments: dict[str, Any], shape: Any, names: list[str]) -> None:
    given = {f"{n}_regularizer": "l2" for n in names} | {f"{n}_constraint": "non_neg" for n in names}
    layer = cls.from_config(cls(**arguments, **given).get_config())
    layer(np.zeros(shape, "int32" if cls is layers.Embedding else "float32"))
    assert len(layer.losses) == len(names)
    assert all(isinstance(v.regularizer, regularizers.L2) for v in layer.trainable_weights)
    assert all(isinstance(v.constraint, constraints.NonNeg) for v in layer.trainable_weights)


@pytest.mark.parametrize("eager", [True, False])
def test_training_with_penalties_and_constraints_against_keras(eager: bool) -> None:
    keras = pytest.importorskip("keras")
    x = RNG.normal(size=(16, 6)).astype("float32")
    y = RNG.normal(size=(16, 2)).astype("float32")
    start = [RNG.normal(size=s).astype("float32") for s in ((6, 5), (5,), (5, 2), (2,))]

    def run(k: Any) -> tuple[list[float], list[np.ndarray]]:
        model = k.Sequential(
            [
                k.Input((6,)),
                k.layers.Dense(
                    5,
                    "tanh",
                    kernel_regularizer=k.regularizers.L1L2(1e-3, 1e-2),
                    kernel_constraint=k.constraints.MaxNorm(1.0),
                    activity_regularizer="l2",
                ),
                k.layers.Dense(2, bias_constraint="non_neg", kernel_regularizer="orthogonal_regularizer"),
            ]
        )
        model.set_weights(start)
        model.compile(k.optimizers.SGD(0.1), "mse", run_eagerly=eager)
        losses = [float(np.ravel(model.train_on_batch(x, y))[0]) for _ in range(5)]
        return losses, model.get_weights()

    from lamina.compat import keras as ours

    found, expected = run(ours), run(keras)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_add_loss_in_call_joins_the_loss() -> None:
    class Penalised(layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(3.0 * lamina.mean(inputs))
            return inputs

    model = lamina.Sequential([Penalised(), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    assert model.train_on_batch(np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)) == pytest.approx(3.0)
    model(np.ones((1, 2), np.float32))
    assert [loss.item() for loss in model.losses] == [3.0]
