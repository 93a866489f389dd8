"""Freezing to the bit, features, learning rates by layer, gradual unfreezing and updates of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import applications, layers, optimizers, transfer
from lamina.core.errors import ArgumentError


def network() -> Any:
    inputs = layers.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization(name="n1")(layers.Conv2D(4, 3, name="c1")(inputs)))
    x = layers.ReLU()(layers.BatchNormalization(name="n2")(layers.Conv2D(6, 3, name="c2")(x)))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return lamina.Model(inputs, layers.Dense(3, name="out")(x))


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.random((24, 8, 8, 3), np.float32), rng.integers(0, 3, 24)


def values(model: Any) -> dict[str, np.ndarray]:
    return {v.path: v.numpy().copy() for v in model.weights}


def changed(model: Any, before: dict[str, np.ndarray]) -> set[str]:
    after = values(model)
    return {path for path, value in before.items() if value.tobytes() != after[path].tobytes()}


def train(model: Any, data: Any, optimizer: Any = "adamw", **options: Any) -> None:
    model.compile(optimizer, lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*data, batch_size=8, verbose=0, **options)


def of(*names: str) -> set[str]:
    parts = {"c": ("kernel", "bias"), "o": ("kernel", "bias"), "n": ("gamma", "beta", "moving_mean", "moving_variance")}
    return {f"{name}/{part}" for name in names for part in parts[name[0]]}


@pytest.mark.parametrize("eagerly", [False, True])
def test_what_is_frozen_stays_to_the_bit(data: Any, eagerly: bool) -> None:
    model = network()
    before = values(model)
    transfer.freeze(model, "n1")
    model.compile("adamw", "mse", run_eagerly=eagerly)
    train(model, data)
    assert changed(model, before) == of("c2", "n2", "out")
    before = values(model)
    transfer.freeze(model)
    model.fit(*data, verbose=0)  # takes effect without compiling again
    assert changed(model, before) == set()
    transfer.unfreeze(model, "n2")
    train(model, data, optimizers.SGD(0.1, momentum=0.9, weight_decay=0.1))
    assert changed(model, before) == of("n2", "out")
    before = values(model)
    transfer.unfreeze(model, normalization=False)
    train(model, data)
    assert changed(model, before) == of("c1", "c2", "out")


def test_layers_of_inner_models_count_one_by_one(data: Any) -> None:
    inner = network()
    model = lamina.Sequential([layers.Input((8, 8, 3)), inner, layers.Dense(3, name="o2")])
    before = values(model)
    transfer.unfreeze(model, inner.get_layer("n2"))
    train(model, data)
    assert {path.removeprefix(f"{model.name}/") for path in changed(model, before)} == of("n2", "out", "o2")
    transfer.freeze(model, -2)
    assert model.trainable_variables == model.get_layer("o2").weights
    transfer.unfreeze(model)
    assert len(model.trainable_variables) == 12


def test_layers_that_are_not_there() -> None:
    model = network()
    with pytest.raises(ArgumentError, match="no layer 'c3'. Those with weights: c1, n1, c2"):
        transfer.freeze(model, "c3")
    with pytest.raises(ArgumentError, match="no layer number 9"):
        transfer.unfreeze(model, 9)
    with pytest.raises(ArgumentError, match="pooling is"):
        transfer.features(model, "c1", pooling="sum")


def test_features_are_what_the_layer_puts_out(data: Any) -> None:
    model = network()
    early = transfer.features(model, "c1")
    want = layers.Conv2D(4, 3)
    want.build((None, 8, 8, 3))
    want.set_weights(model.get_layer("c1").get_weights())
    np.testing.assert_allclose(early.predict(data[0], verbose=0), want(data[0]).numpy(), rtol=1e-5, atol=1e-6)
    pooled = transfer.features(model, model.get_layer("c1"), pooling="avg").predict(data[0], verbose=0)
    np.testing.assert_allclose(pooled, want(data[0]).numpy().mean((1, 2)), rtol=1e-4, atol=1e-5)
    assert transfer.features(model).output_shape == (None, 6)
    early.layers[1].kernel.assign(np.zeros((3, 3, 3, 4)))
    assert not model.get_layer("c1").kernel.numpy().any()


@pytest.mark.parametrize(
    ("case", "trained"),
    [
        ({"data": "small"}, ()),
        ({"data": "large"}, ("c1", "c2")),
        ({"data": "small", "task": "different", "layer": "c1"}, ()),
        ({"data": "large", "task": "different"}, ("c1", "n1", "c2", "n2")),
    ],
)
def test_the_four_cases(case: dict[str, Any], trained: tuple[str, ...], data: Any) -> None:
    base = transfer.features(network(), "n2")
    model = transfer.adapt(base, 3, classifier_activation=None, **case)
    before = values(model)
    train(model, data)
    assert changed(model, before) == of(*trained) | {"classifier/kernel", "classifier/bias"}
    assert model.output_shape == (None, 3)
    assert model.get_layer("classifier").kernel.shape[0] == (4 if "layer" in case else 6)


def test_cases_that_are_none() -> None:
    with pytest.raises(ArgumentError, match="one of"):
        transfer.adapt(network(), 3, data="medium")
    with pytest.raises(ArgumentError, match="give layer="):
        transfer.adapt(network(), 3, task="different")


def test_each_part_has_its_learning_rate() -> None:
    model = network()
    optimizer = transfer.learning_rates(model, optimizers.SGD(1.0), {"c1": 0.0, "c2": 0.25, -1: 1.0})
    before = values(model)
    variables = model.trainable_variables
    optimizer.apply([lamina.ones(v.shape) for v in variables], variables)
    for v in variables:
        want = {"1": 0.0, "2": 0.25, "t": 1.0}[v.path.split("/")[0][-1]]
        np.testing.assert_allclose(before[v.path] - v.numpy(), np.full(v.shape, want), atol=1e-6)


def test_rates_that_fall_from_layer_to_layer(data: Any) -> None:
    model = transfer.freeze(network(), "n1")
    schedule = optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer = transfer.learning_rates(model, optimizers.SGD(schedule), 0.1)
    before = values(model)
    variables = model.trainable_variables
    for _ in range(2):
        optimizer.apply([lamina.ones(v.shape) for v in variables], variables)
    for v in variables:
        factor = {"c2": 0.01, "n2": 0.1, "out": 1.0}[v.path.split("/")[0]]
        np.testing.assert_allclose(before[v.path] - v.numpy(), np.full(v.shape, 0.75 * factor), atol=1e-6)
    train(model, data, optimizer)
    again = optimizers.deserialize(optimizers.serialize(transfer.learning_rates(model, optimizers.Adam(schedule), 0.1)))
    again.build(model.trainable_variables)
    assert [round(float(part.learning_rate), 6) for part in again.optimizers] in (
        [0.005, 0.05, 0.5],
        [0.5, 0.005, 0.05],
    )


def test_rates_that_cannot_be() -> None:
    model = network()
    with pytest.raises(ArgumentError, match="no factor is given for layer 'c1'"):
        transfer.learning_rates(model, optimizers.SGD(0.1), {"c2": 0.1})
    with pytest.raises(ArgumentError, match="a number or a schedule"):
        transfer.learning_rates(model, optimizers.SGD(lambda: 0.1), 0.5)


def test_gradual_unfreezing(data: Any) -> None:
    model = network()
    steps: list[set[str]] = []
    before = values(model)

    def look(epoch: int, logs: Any) -> None:
        nonlocal before
        steps.append(changed(model, before))
        before = values(model)

    unfreezing = transfer.GradualUnfreezing(["out", "n2", "c1"], epochs=2, normalization=True)
    train(model, data, epochs=6, callbacks=[unfreezing, lamina.callbacks.LambdaCallback(on_epoch_end=look)])
    last, more, all_of_them = of("out"), of("n2", "out"), of("c1", "n1", "c2", "n2", "out")
    assert steps == [last, last, more, more, all_of_them, all_of_them]
    with pytest.raises(ArgumentError, match="some layers"):
        transfer.GradualUnfreezing([])


def test_updates_of_low_rank(data: Any) -> None:
    inputs = layers.Input((64, 3))
    x = layers.Dense(8, name="dense")(inputs)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.BatchNormalization(name="norm")(layers.GlobalAveragePooling1D()(x))
    model = lamina.Model(inputs, layers.Dense(3, name="head")(x))
    images = data[0].reshape(-1, 64, 3)
    want = model.predict(images, verbose=0)
    transfer.add_lora(model, 2, train=["head"])
    np.testing.assert_allclose(model.predict(images, verbose=0), want, rtol=1e-5, atol=1e-6)
    names = {v.path for v in model.trainable_variables}
    assert {n for n in names if "lora" not in n} == {"head/kernel", "head/bias"}
    assert len(names) == 2 + 2 * 5  # dense; query, key, value and output of the attention
    before = values(model)
    train(model, (images, data[1]))
    assert changed(model, before) == names
    with pytest.raises(ArgumentError, match="no dense or attention layer"):
        transfer.add_lora(lamina.Sequential([layers.Input((4, 4, 1)), layers.Conv2D(2, 3)]), 2)


@pytest.mark.slow
def test_a_classifier_on_a_network_of_applications(rng: np.random.Generator) -> None:
    """Bright squares left or right: random features of a frozen network are enough, and it stays as it was."""
    base = applications.MobileNetV2(include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    x = rng.normal(0, 0.2, (96, 32, 32, 3)).astype(np.float32)
    y = rng.integers(0, 2, 96)
    x[np.arange(96), 8:24, :, 0] += y[:, None, None]
    model = transfer.adapt(base, 2, layer="expanded_conv_depthwise_relu", task="different")
    before = values(base)
    model.compile(optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] > 0.9
    assert changed(base, before) == set()
