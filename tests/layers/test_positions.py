"""``PositionEmbedding``: rows of a table, whatever the input; places further on; errors."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError


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
