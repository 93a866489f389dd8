"""Recurrent layers beside Keras on the same weights: outputs, states, gradients, masks, models, configurations."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.trees import flatten

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras", reason="comparison with Keras, which is not installed")
jax = pytest.importorskip("jax", reason="Keras computes its gradients with JAX, which is not installed")
pytestmark = pytest.mark.slow
if keras.backend.backend() != "jax":
    pytest.skip("Keras computes its gradients with JAX here", allow_module_level=True)

B, T, F = 3, 5, 4
MASK = np.array([[1, 1, 1, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]], bool)
WALKS: list[dict[str, Any]] = [
    {},
    {"return_sequences": True},
    {"go_backwards": True, "return_state": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"return_sequences": True, "zero_output_for_mask": True},
    {"zero_output_for_mask": True},
]
KINDS: dict[str, Callable[..., Any]] = {
    "simple": lambda L, **o: L.SimpleRNN(3, **o),
    "simple-relu": lambda L, **o: L.SimpleRNN(3, activation="relu", use_bias=False, **o),
    "lstm": lambda L, **o: L.LSTM(3, **o),
    "lstm-gates": lambda L, **o: L.LSTM(
        3, activation="softsign", recurrent_activation="hard_sigmoid", use_bias=False, implementation=1, **o
    ),
    "gru": lambda L, **o: L.GRU(3, **o),
    "gru-before": lambda L, **o: L.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid", **o),
    "gru-bare": lambda L, **o: L.GRU(3, use_bias=False, **o),
    "cell": lambda L, **o: L.RNN(L.LSTMCell(3), **o),
    "cells": lambda L, **o: L.RNN([L.GRUCell(2), L.LSTMCell(3), L.SimpleRNNCell(2)], **o),
    "both": lambda L, **o: L.Bidirectional(L.LSTM(3, **{**o, "go_backwards": False})),
    "both-sum": lambda L, **o: L.Bidirectional(L.GRU(3, **{**o, "go_backwards": False}), merge_mode="sum"),
    "both-apart": lambda L, **o: L.Bidirectional(L.GRU(3, **{**o, "go_backwards": False}), merge_mode=None),
    "both-mixed": lambda L, **o: L.Bidirectional(
        L.LSTM(3, **{**o, "go_backwards": False}),
        backward_layer=L.LSTM(3, activation="relu", **{**o, "go_backwards": True}),
        merge_mode="mul",
    ),
}
IMAGES: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "conv1d": (lambda L, **o: L.ConvLSTM1D(2, 3, padding="same", **o), (B, T, 4, 2)),
    "conv2d": (lambda L, **o: L.ConvLSTM2D(2, 2, strides=2, **o), (B, T, 4, 5, 2)),
    "conv2d-wide": (lambda L, **o: L.ConvLSTM2D(2, (2, 1), dilation_rate=2, use_bias=False, **o), (B, T, 4, 5, 2)),
    "conv3d": (lambda L, **o: L.ConvLSTM3D(1, 2, **o), (B, T, 2, 3, 2, 1)),
}


def pair(make: Callable[..., Any], shape: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
    """The layer in both libraries, with the same random weights."""
    ours, theirs = make(layers, **options), make(keras.layers, **options)
    x = np.zeros(shape, np.float32)
    ours(x)
    theirs(x)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    rng = np.random.default_rng(3)
    weights = [(rng.normal(size=w.shape) * 0.6).astype(np.float32) for w in ours.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def compare(ours: Any, theirs: Any, x: np.ndarray, mask: np.ndarray | None, **more: Any) -> None:
    """Outputs, states, and the gradients of a random projection of all of them."""
    rng = np.random.default_rng(4)
    outputs = flatten(ours(x, mask=mask, **more))[0]
    projections = [rng.normal(size=y.shape).astype(np.float32) for y in outputs]

    def loss(weights: Any, x: Any) -> Any:
        state = [v.value for v in theirs.non_trainable_variables]
        found, _ = theirs.stateless_call(weights, state, x, mask=mask, **more)
        found = jax.tree.leaves(found)
        return sum((y * p).sum() for y, p in zip(found, projections, strict=True)), found

    given = [v.value for v in theirs.trainable_variables]
    grads, expected = jax.grad(loss, argnums=(0, 1), has_aux=True)(given, x)
    tensor = lamina.tensor(x)
    with lamina.GradientTape() as tape:
        tape.watch(tensor)
        outputs = flatten(ours(tensor, mask=mask, **more))[0]
        total = sum((y * p).sum() for y, p in zip(outputs, projections, strict=True))
    found = tape.gradient(total, [*ours.trainable_variables, tensor])
    for got, want in zip([*outputs, *found], [*expected, *grads[0], grads[1]], strict=True):
        np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("walk", range(len(WALKS)))
@pytest.mark.parametrize("kind", ["lstm"])
def test_all_ways_to_walk(kind: str, walk: int, masked: bool) -> None:
    ours, theirs = pair(KINDS[kind], (B, T, F), **WALKS[walk])
    x = np.random.default_rng(5).normal(size=(B, T, F)).astype(np.float32)
    compare(ours, theirs, x, MASK if masked else None)


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_layers(kind: str) -> None:
    ours, theirs = pair(KINDS[kind], (B, T, F), return_sequences=True, return_state=True, go_backwards=True)
    x = np.random.default_rng(5).normal(size=(B, T, F)).astype(np.float32)
    compare(ours, theirs, x, MASK)
    ours, theirs = pair(KINDS[kind], (B, T, F))
    for got, want in zip(flatten(ours(x))[0], jax.tree.leaves(theirs(x)), strict=True):
        np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", IMAGES)
def test_convolutions(kind: str, sequences: bool) -> None:
    make, shape = IMAGES[kind]
    ours, theirs = pair(make, shape, return_sequences=sequences, return_state=sequences)
    compare(ours, theirs, np.random.default_rng(5).normal(size=shape).astype(np.float32), None)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "both"])
def test_initial_states(kind: str, masked: bool) -> None:
    ours, theirs = pair(KINDS[kind], (B, T, F), return_sequences=True, return_state=True)
    rng = np.random.default_rng(5)
    count = {"lstm": 2, "both": 4}.get(kind, 1)
    states = [rng.normal(size=(B, 3)).astype(np.float32) for _ in range(count)]
    x = rng.normal(size=(B, T, F)).astype(np.float32)
    compare(ours, theirs, x, MASK if masked else None, initial_state=states)


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "both"])
def test_stateful_layers(kind: str) -> None:
    ours, theirs = pair(KINDS[kind], (B, T, F), stateful=True, return_sequences=True)
    rng = np.random.default_rng(5)
    for layer in (ours, theirs):
        layer.reset_state()
    for turn in range(4):
        if turn == 3:
            ours.reset_states()
            theirs.reset_states()
        x = rng.normal(size=(B, T, F)).astype(np.float32)
        np.testing.assert_allclose(ours(x).numpy(), np.asarray(theirs(x)), rtol=1e-4, atol=1e-5)


def text_models() -> list[Callable[..., Any]]:
    def sequential(K: Any) -> Any:
        L = K.layers
        return K.Sequential(
            [L.Input((6,)), L.Embedding(9, 4, mask_zero=True), L.LSTM(3, return_sequences=True), L.GRU(4), L.Dense(2)]
        )

    def tagging(K: Any) -> Any:
        L = K.layers
        x = L.Input((6,))
        h = L.Embedding(9, 4, mask_zero=True)(x)
        h = L.Bidirectional(L.LSTM(3, return_sequences=True))(h)
        h = L.Add()([L.TimeDistributed(L.Dense(6, activation="tanh"))(h), h])
        return K.Model(x, L.Dense(2)(L.LayerNormalization()(h)))

    def seq2seq(K: Any) -> Any:
        L = K.layers
        x, y = L.Input((6,)), L.Input((6, 3))
        _, h, c = L.LSTM(4, return_state=True)(L.Embedding(9, 4, mask_zero=True)(x))
        return K.Model([x, y], L.Dense(2)(L.LSTM(4, return_sequences=True)(y, initial_state=[h, c])))

    def averaged(K: Any) -> Any:
        L = K.layers
        x = L.Input((6, 2))
        h = L.SimpleRNN(4, return_sequences=True, go_backwards=True)(L.Masking()(x))
        return K.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(h)))

    return [sequential, tagging, seq2seq, averaged]


@pytest.mark.parametrize("kind", range(4))
def test_models_with_masks_train_alike(kind: int) -> None:
    from lamina.compat import keras as compat

    rng = np.random.default_rng(7)
    make = text_models()[kind]
    ids = np.where(np.arange(6) < rng.integers(1, 7, (16, 1)), rng.integers(1, 9, (16, 6)), 0)
    x: Any = ids
    if kind == 2:
        x = [ids, rng.normal(size=(16, 6, 3)).astype(np.float32)]
    if kind == 3:
        x = (rng.normal(size=(16, 6, 2)) * (ids != 0)[..., None]).astype(np.float32)
    ours, theirs = make(compat), make(keras)
    weights = [(rng.normal(size=w.shape) * 0.5).astype(np.float32) for w in theirs.get_weights()]
    y = rng.normal(size=(16, *theirs.output_shape[1:])).astype(np.float32)
    found = []
    for model in (ours, theirs):
        model.set_weights(weights)
        # Compiled with JAX, Keras loses the masks of predictions on the way to the loss, and to metrics in any case.
        model.compile("sgd", "mse", metrics=["mae"], run_eagerly=kind == 1 and model is theirs)
        history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        found.append((history.history, model.predict(x, verbose=0), model.get_weights()))
    for name in ("loss", "mae") if kind != 1 else ("loss",):
        np.testing.assert_allclose(found[0][0][name], found[1][0][name], rtol=1e-4)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-4)
    for a, b in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, *IMAGES])
def test_configurations_hold_what_keras_holds(kind: str) -> None:
    make = KINDS[kind] if kind in KINDS else IMAGES[kind][0]
    ours, theirs = make(layers).get_config(), make(keras.layers).get_config()

    def check(ours: Any, theirs: Any) -> None:
        missing = set(theirs) - set(ours) - {"build_config", "activity_regularizer"}
        assert not missing
        for key in set(theirs) - {"name", "dtype", "module"}:
            if isinstance(theirs[key], str | int | float | bool) and key != "registered_name":
                assert ours[key] == theirs[key], key
            elif key in ("layer", "backward_layer", "cell") and "units" in theirs[key]["config"]:
                check(ours[key]["config"], theirs[key]["config"])

    check(ours, theirs)
    first = {v.name: v.numpy() for v in _built(make).weights}
    assert all(np.isfinite(v).all() for v in first.values())
    if kind == "lstm":
        assert first["bias"].tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
        np.testing.assert_allclose(first["recurrent_kernel"] @ first["recurrent_kernel"].T, np.eye(3), atol=1e-5)


def _built(make: Callable[..., Any]) -> Any:
    layer = make(layers)
    shape = next((shape for other, shape in IMAGES.values() if other is make), (B, T, F))
    layer(np.zeros(shape, np.float32))
    return layer
