"""Places: rows of a table, whatever the input; pairs of features turned, also in attention; places further on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.generation import generate
from lamina.preprocessing.packing import segment_mask


def test_it_gives_the_rows_of_a_table(rng: np.random.Generator) -> None:
    layer = layers.PositionEmbedding(7, initializer="glorot_uniform")
    x = rng.normal(size=(2, 4, 3)).astype(np.float32)
    first = layer(x).numpy()
    table = layer.position_embeddings.numpy()
    assert table.shape == (7, 3)
    np.testing.assert_array_equal(first, np.broadcast_to(table[:4], x.shape))
    for start in (3, lamina.tensor(3)):
        np.testing.assert_array_equal(layer(x, start_index=start).numpy(), np.broadcast_to(table[3:], x.shape))
    step = lamina.function(lambda x, start: layer(x, start_index=start))
    for start in (0, 2):
        np.testing.assert_array_equal(step(x, np.int32(start)).numpy()[1], table[start : start + 4])


def test_each_row_gets_the_gradient_of_its_step(rng: np.random.Generator) -> None:
    layer = layers.PositionEmbedding(5)
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    layer(x)
    for start in (0, lamina.tensor(0)):
        with lamina.GradientTape() as tape:
            loss = lamina.sum(layer(x, start_index=start) * x)
        gradient = tape.gradient(loss, layer.position_embeddings).numpy()
        np.testing.assert_allclose(gradient[:3], x.sum(0), rtol=1e-5)
        assert not gradient[3:].any()


def test_mistakes_are_named() -> None:
    layer = layers.PositionEmbedding(5)
    with pytest.raises(ShapeError, match="expected at most 5 steps; got 6"):
        layer(lamina.ones((1, 6, 2)))
    with pytest.raises(ShapeError, match="3 steps from 4 on do not lie in a table of 5 rows"):
        layer(lamina.ones((1, 3, 2)), start_index=4)
    with pytest.raises(ShapeError, match=r"inputs of shape \(batch, steps, size\); got \(1, 3\)"):
        layers.PositionEmbedding(5)(lamina.ones((1, 3)))
    with pytest.raises(ArgumentError, match="sequence_length is a positive int; got 0"):
        layers.PositionEmbedding(0)


class TestRotary:
    def test_pairs_are_turned_by_the_place(self, rng: np.random.Generator) -> None:
        x = rng.normal(size=(2, 5, 3, 8)).astype(np.float32)
        got = layers.RotaryEmbedding(100.0, scaling_factor=2.0)(x).numpy()
        angles = np.arange(5)[:, None] / 2 / 100.0 ** (np.arange(4) / 4)
        pairs = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angles)[:, None]
        np.testing.assert_allclose(got, np.concatenate([pairs.real, pairs.imag], -1), rtol=1e-5, atol=1e-6)
        other = layers.RotaryEmbedding(100.0, 2.0, sequence_axis=-1, feature_axis=1)
        np.testing.assert_allclose(other(x.transpose(0, 3, 2, 1)).numpy().transpose(0, 3, 2, 1), got, atol=1e-6)

    def test_products_depend_on_the_distance(self, rng: np.random.Generator) -> None:
        q, k = rng.normal(size=(2, 1, 1, 6)).astype(np.float32)
        layer = layers.RotaryEmbedding()
        near = [float((layer(q, start_index=i + 3) * layer(k, start_index=i)).sum()) for i in (0, 4, 100)]
        np.testing.assert_allclose(near, near[0], rtol=1e-3)
        assert abs(near[0] - float((layer(q, start_index=1) * layer(k, start_index=0)).sum())) > 1e-3

    def test_errors(self) -> None:
        with pytest.raises(ShapeError, match="even number of features.*got 3"):
            layers.RotaryEmbedding()(lamina.ones((1, 2, 3)))
        with pytest.raises(ShapeError, match="steps along axis 1 and features along axis -1"):
            layers.RotaryEmbedding()(lamina.ones((4, 2)))
        with pytest.raises(ArgumentError, match="max_wavelength is a positive number; got 0"):
            layers.RotaryEmbedding(0)
        with pytest.raises(ArgumentError, match="position_embedding is a layer"):
            layers.MultiHeadAttention(2, 4, position_embedding="rotary")


ATTENTION = {
    "multi": lambda **more: layers.MultiHeadAttention(2, 4, **more),
    "grouped": lambda **more: layers.GroupedQueryAttention(4, 4, 2, **more),
}


@pytest.mark.parametrize("kind", ATTENTION)
class TestAttentionWithRotaryPlaces:
    def test_what_is_seen_is_the_order(self, kind: str, rng: np.random.Generator) -> None:
        x = rng.normal(size=(2, 6, 8)).astype(np.float32)
        attend = ATTENTION[kind](position_embedding=layers.RotaryEmbedding())
        plain = ATTENTION[kind]()
        y = attend(x, x).numpy()
        plain.build(x.shape, x.shape)
        plain.set_weights(attend.get_weights())
        turned = x[:, ::-1]
        np.testing.assert_allclose(plain(turned, turned).numpy()[:, ::-1], plain(x, x).numpy(), atol=1e-5)
        assert not np.allclose(attend(turned, turned).numpy()[:, ::-1], y, atol=1e-3)
        assert len(attend.weights) == len(plain.weights)
        compiled = lamina.function(lambda v: attend(v, v))(x)
        np.testing.assert_allclose(compiled.numpy(), y, rtol=1e-4, atol=1e-5)

    def test_places_go_on_where_a_cache_reads_on(self, kind: str, rng: np.random.Generator) -> None:
        x = rng.normal(size=(2, 7, 8)).astype(np.float32)
        attend = ATTENTION[kind](position_embedding=layers.RotaryEmbedding())
        whole = attend(x, x, use_causal_mask=True).numpy()
        cache = layers.Cache(2, 7)

        def read(v: Any) -> Any:
            return attend(v, v, use_causal_mask=True)

        parts = [cache.read(read, x[:, a:b]).numpy() for a, b in ((0, 3), (3, 4), (4, 7))]
        np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-4, atol=1e-5)

    def test_packed_rows_need_no_places_of_their_own(self, kind: str, rng: np.random.Generator) -> None:
        x = rng.normal(size=(1, 6, 8)).astype(np.float32)
        attend = ATTENTION[kind](position_embedding=layers.RotaryEmbedding())
        mask = segment_mask(np.array([[1, 1, 1, 1, 2, 2]]))
        packed = attend(x, x, attention_mask=mask, use_causal_mask=True).numpy()
        alone = [attend(v, v, use_causal_mask=True).numpy() for v in (x[:, :4], x[:, 4:])]
        np.testing.assert_allclose(packed, np.concatenate(alone, 1), rtol=1e-4, atol=1e-5)

    def test_configuration(self, kind: str) -> None:
        layer = ATTENTION[kind](position_embedding=layers.RotaryEmbedding(50))
        again = type(layer).from_config(layer.get_config())
        assert again.position_embedding.max_wavelength == 50
        assert "position_embedding" not in ATTENTION[kind]().get_config()


def test_a_model_with_rotary_places_writes_the_same_with_a_cache(tmp_path: Path) -> None:
    numbers = layers.Input((None,), dtype="int32")
    x = layers.Embedding(11, 16)(numbers)
    for _ in range(2):
        x = x + layers.MultiHeadAttention(2, 8, position_embedding=layers.RotaryEmbedding())(x, x, use_causal_mask=True)
    model = lamina.Model(numbers, layers.Dense(11)(x))
    cached, whole = (generate(model, np.array([1, 2, 3]), 12, seed=3, cached=flag) for flag in (True, False))
    assert list(cached) == list(whole)
    model.save(tmp_path / "model.safetensors")
    again = lamina.models.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(np.array([[1, 2, 3]])), model(np.array([[1, 2, 3]])))
