"""A model that reads a sequence in pieces gives what it gives for the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from language_models import MODELS, SIZE, WORDS, transformer

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError


@pytest.fixture
def tokens(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, WORDS, (3, 12)).astype(np.int32)


def in_pieces(cache: Any, model: Any, tokens: np.ndarray, sizes: list[int]) -> np.ndarray:
    ends = np.cumsum(sizes).tolist()
    return np.concatenate(
        [cache.read(model, tokens[:, b - n : b]).numpy() for n, b in zip(sizes, ends, strict=True)], axis=1
    )


@pytest.mark.parametrize("name", MODELS)
def test_pieces_are_the_whole(name: str, tokens: np.ndarray) -> None:
    lamina.random.seed(0)
    model = MODELS[name]()
    whole = model(tokens).numpy()
    cache = layers.Cache(3, 14)
    for sizes in ([5, 1, 6], [1] * 12, [12]):
        cache.reset()
        np.testing.assert_allclose(in_pieces(cache, model, tokens, sizes), whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("name", ["attention", "LSTM", "causal convolutions"])
def test_one_compiled_step_serves_all(name: str, tokens: np.ndarray) -> None:
    lamina.random.seed(0)
    model = MODELS[name]()
    whole = model(tokens).numpy()
    cache = layers.Cache(3, 12)
    step = lamina.function(lambda column: cache.read(model, column))
    found = np.concatenate([step(tokens[:, i : i + 1]).numpy() for i in range(12)], axis=1)
    np.testing.assert_allclose(found, whole, atol=1e-5 * np.abs(whole).max())
    assert len(step.captures) == 1


def test_padding_is_not_attended_to(tokens: np.ndarray) -> None:
    lamina.random.seed(0)
    inputs = layers.Input((None,), dtype="int32")
    x = layers.Embedding(WORDS, SIZE, mask_zero=True)(inputs)
    x = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    model = lamina.Model(inputs, x)
    tokens[:, [2, 7]] = 0
    whole = model(tokens).numpy()
    found = in_pieces(layers.Cache(3, 12), model, tokens, [4, 1, 1, 6])
    np.testing.assert_allclose(found, whole, atol=1e-5 * np.abs(whole).max())


def test_a_given_first_state_counts_at_the_beginning_only(rng: np.random.Generator) -> None:
    layer = layers.GRU(4, return_sequences=True)
    x, state = (rng.normal(size=s).astype(np.float32) for s in ((2, 6, 3), (2, 4)))
    whole = layer(x, initial_state=lamina.tensor(state)).numpy()
    cache = layers.Cache(2, 6)
    parts = [cache.read(lambda p: layer(p, initial_state=lamina.tensor(state)), x[:, a : a + 2]) for a in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate([p.numpy() for p in parts], 1), whole, atol=1e-6)


def test_a_layer_called_twice_keeps_two_states(tokens: np.ndarray) -> None:
    inputs = layers.Input((None, 3))
    layer = layers.SimpleRNN(3, return_sequences=True)
    model = lamina.Model(inputs, layer(layer(inputs)))
    x = lamina.one_hot(tokens, 3)
    found = np.concatenate([c.numpy() for c in _read(layers.Cache(3, 12), model, x)], axis=1)
    np.testing.assert_allclose(found, model(x).numpy(), atol=1e-6)


def _read(cache: Any, model: Any, x: Any) -> list[Any]:
    return [cache.read(model, x[:, i : i + 1]) for i in range(x.shape[1])]


def test_a_model_may_be_built_by_its_first_step(tokens: np.ndarray) -> None:
    model = lamina.Sequential([layers.Embedding(WORDS, SIZE), layers.GRU(4, return_sequences=True)])
    cache = layers.Cache(3, 12)
    found = np.concatenate([part.numpy() for part in _read(cache, model, tokens)], axis=1)
    np.testing.assert_allclose(found, model(tokens).numpy(), atol=1e-6)
    kept = [variable.shape for of_call in cache._kept.values() for _, variable in of_call.variables]
    assert kept == [(3, 4)]  # and nothing from finding out shapes


def test_rows_can_be_exchanged(tokens: np.ndarray) -> None:
    for name in ("attention", "LSTM"):
        lamina.random.seed(0)
        model = MODELS[name]()
        cache = layers.Cache(3, 12)
        cache.read(model, tokens[:, :5])
        rows = np.array([2, 0, 0])
        cache.take(rows)
        found = cache.read(model, tokens[:, 5:]).numpy()
        mixed = np.concatenate([tokens[rows, :5], tokens[:, 5:]], axis=1)
        np.testing.assert_allclose(found, model(mixed).numpy()[:, 5:], atol=1e-5)


def test_stateful_layers_keep_their_own_states() -> None:
    layer = layers.LSTM(3, stateful=True, return_sequences=True)
    layer(lamina.ones((2, 4, 3)))
    before = [v.numpy().copy() for v in layer.states]
    layers.Cache(1, 4).read(layer, lamina.ones((1, 2, 3)))  # of another batch size
    for state, old in zip(layer.states, before, strict=True):
        np.testing.assert_array_equal(state.numpy(), old)


def test_mistakes_are_named(tokens: np.ndarray) -> None:
    model = transformer(length=6)
    with pytest.raises(ShapeError, match=r"reads \(3, n\) with n up to 4; got shape \(3, 5\)"):
        layers.Cache(3, 4).read(model, tokens[:, :5])
    cache = layers.Cache(3, 12)
    cache.read(model, tokens[:, :5])
    assert cache.limit == 6
    with pytest.raises(ShapeError, match="longer than 6 steps: 5 are read and 2 come"):
        cache.read(model, tokens[:, 5:7])
    with pytest.raises(ArgumentError, match="batch_size is a positive int; got 0"):
        layers.Cache(0, 4)
    attention = layers.MultiHeadAttention(1, 2)
    x = lamina.ones((1, 3, 2))
    with pytest.raises(ArgumentError, match="attention_mask says nothing of the steps"):
        layers.Cache(1, 4).read(
            lambda x: attention(x, x, use_causal_mask=True, attention_mask=np.ones((1, 3, 3), bool)), x
        )
