"""Attention layers: masks, what compiled code stores, dropout, configurations, errors."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.masks import get_mask
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph


def call(layer, x, **options):
    return layer([x, x], **options) if isinstance(layer, layers.Attention) else layer(x, x, **options)


MAKERS = {
    "attention": lambda **more: layers.Attention(**more),
    "additive": lambda **more: layers.AdditiveAttention(**more),
    "multi": lambda **more: layers.MultiHeadAttention(2, 4, **more),
    "grouped": lambda **more: layers.GroupedQueryAttention(4, 4, 2, **more),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@each
@pytest.mark.parametrize("compiled", [False, True])
def test_padding_changes_nothing(make, compiled, rng):
    """A sequence gives the same, alone or padded in a batch with a longer one."""
    layer, embed = make(), layers.Embedding(20, 8, mask_zero=True)
    tokens = rng.integers(1, 20, (3, 9))
    tokens[0, 5:] = 0

    def run(tokens):
        return call(layer, embed(tokens))

    padded = (lamina.function(run) if compiled else run)(tokens)
    alone = run(tokens[:1, :5])
    np.testing.assert_allclose(padded.numpy()[0, :5], alone.numpy()[0], rtol=1e-5, atol=1e-6)
    if not compiled:
        assert get_mask(padded).tolist() == (tokens != 0).tolist()


@each
def test_causal_outputs_know_nothing_of_later_steps(make, rng):
    layer = make()
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    whole = call(layer, x, use_causal_mask=True).numpy()
    for n in (1, 4):
        part = call(layer, x[:, :n], use_causal_mask=True).numpy()
        np.testing.assert_allclose(part, whole[:, :n], rtol=1e-5, atol=1e-6)


@each
def test_returned_weights_are_those_that_were_used(make, rng):
    layer = make()
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    plain = call(layer, x, use_causal_mask=True).numpy()
    output, weights = call(layer, x, use_causal_mask=True, return_attention_scores=True)
    np.testing.assert_allclose(output.numpy(), plain, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1, rtol=1e-5)
    assert (np.triu(weights.numpy(), 1) == 0).all()


@each
def test_dropout_of_weights(make, rng):
    layer = make(dropout=0.5, seed=1)
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    still = call(layer, x).numpy()
    np.testing.assert_array_equal(call(layer, x, training=False).numpy(), still)
    draws = [call(layer, x, training=True).numpy() for _ in range(400)]
    assert not np.array_equal(draws[0], draws[1])
    np.testing.assert_allclose(np.mean(draws, 0), still, atol=0.2)  # the expected weights are those without


def test_rows_that_see_nothing_are_zero(rng):
    x = lamina.tensor(rng.normal(size=(2, 3, 8)).astype("float32"))
    nothing = np.array([[True, True, False], [False, False, False]])
    out = layers.Attention()([x, x], mask=[None, nothing]).numpy()
    assert (out[1] == 0).all() and (out[0] != 0).any()
    layer = layers.MultiHeadAttention(2, 4, use_bias=False)
    out = layer(x, x, attention_mask=nothing[:, :, None]).numpy()
    assert (out[1] == 0).all() and (out[0, 2] == 0).all() and (out[0, 0] != 0).any()
    out = layer(x, x, query_mask=nothing).numpy()
    assert (out[1] == 0).all() and (out[0, 2] == 0).all() and (out[0, 0] != 0).any()


def test_a_training_step_stores_no_weights():
    """The largest value of a compiled step is far below queries x keys."""
    layer = layers.MultiHeadAttention(2, 4)
    x = lamina.ones((1, 512, 8))
    layer(x, x)

    def step(x, mask):
        with lamina.GradientTape() as tape:
            loss = layer(x, x, value_mask=mask, use_causal_mask=True).sum()
        return tape.gradient(loss, layer.trainable_variables)

    graph, _ = capture_graph(step, [Spec((1, 512, 8), np.dtype("float32")), Spec((1, 512), np.dtype("bool"))])
    assert max(v.size for node in graph.nodes for v in node.outputs) <= 512 * 16
    assert sum(node.primitive.name.startswith("attention") for node in graph.nodes) == 2


def test_weights_have_keras_names_and_shapes():
    layer = layers.MultiHeadAttention(2, 4, value_dim=3, output_shape=5, name="mine")
    layer.build((None, None, 8), (None, None, 7))
    assert {w.path: w.shape for w in layer.weights} == {
        "mine/query/kernel": (8, 2, 4),
        "mine/query/bias": (2, 4),
        "mine/key/kernel": (7, 2, 4),
        "mine/key/bias": (2, 4),
        "mine/value/kernel": (7, 2, 3),
        "mine/value/bias": (2, 3),
        "mine/attention_output/kernel": (2, 3, 5),
        "mine/attention_output/bias": (5,),
    }
    layer = layers.GroupedQueryAttention(4, 6, 3, use_gate=True, use_bias=False)
    layer.build((None, None, 8), (None, None, 7))
    assert [w.shape for w in layer.weights] == [(8, 6, 4), (7, 3, 4), (8, 6, 4), (7, 3, 4), (6, 4, 8)]
    assert layers.GroupQueryAttention is layers.GroupedQueryAttention


def test_regularizers_reach_the_projections():
    penalties = {"kernel_regularizer": "l2", "activity_regularizer": "l1", "bias_constraint": "non_neg"}
    layer = layers.MultiHeadAttention(2, 4, **penalties)
    x = lamina.ones((2, 3, 8))
    layer(x, x)
    assert len(layer.losses) == 8  # four kernels, four outputs
    again = layers.MultiHeadAttention.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again(x, x)
    assert len(again.losses) == 8


def test_sequences_of_any_length():
    layer = layers.MultiHeadAttention(2, 4)
    query, value = lamina.Input((None, 8)), lamina.Input((None, 6))
    assert layer(query, value).shape == (None, None, 8)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (None, None, 8) and weights.shape == (None, 2, None, None)
    for n in (3, 5):
        assert layer(lamina.ones((2, n, 8)), lamina.ones((2, 7, 6))).shape == (2, n, 8)


def test_mixed_precision():
    layer = layers.MultiHeadAttention(2, 4, dtype="mixed_float16")
    x = lamina.ones((2, 3, 8))
    assert layer(x, x).dtype == np.float16 and layer.weights[0].dtype == np.float32


def test_wrong_arguments():
    x = lamina.ones((2, 3, 8))
    with pytest.raises(ArgumentError, match=r"\[query, value\]"):
        layers.Attention()(x)
    with pytest.raises(ArgumentError, match="score_mode"):
        layers.Attention(score_mode="cosine")
    with pytest.raises(ArgumentError, match="dropout"):
        layers.AdditiveAttention(dropout=2)
    with pytest.raises(ArgumentError, match="num_heads"):
        layers.MultiHeadAttention(0, 4)
    with pytest.raises(ArgumentError, match="divisible"):
        layers.GroupedQueryAttention(4, 3, 2)
    with pytest.raises(ArgumentError, match="attention_axes"):
        layers.MultiHeadAttention(2, 4, attention_axes=2)(x, x)
    with pytest.raises(ArgumentError, match="Dropout is not supported"):
        layers.MultiHeadAttention(2, 4, dropout=0.1, flash_attention=True)
    with pytest.raises(ShapeError, match="except the last one, must be equal"):
        layers.MultiHeadAttention(2, 4)(x, x, lamina.ones((2, 4, 8)))
    with pytest.raises(ShapeError, match="rank"):
        layers.MultiHeadAttention(2, 4)(x, lamina.ones((2, 8)))
    with pytest.raises(ArgumentError, match="written"):
        layers.EinsumDense("abc->ab", 3)
    with pytest.raises(ShapeError, match="open"):
        layers.EinsumDense("abc,cd->abd", (None, None))(x)
    with pytest.raises(ShapeError, match="does not fit"):
        layers.EinsumDense("ab,bc->ac", 3)(x)


def test_all_causal_weights_of_a_sequence_of_unknown_length() -> None:
    """The shape of a functional model is found on a stand-in of a million steps: no mask of that size is made."""
    x = layers.Input((None, 4))
    layer = layers.MultiHeadAttention(2, 3, flash_attention=False)
    output, weights = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    assert output.shape == (None, None, 4) and weights.shape == (None, 2, None, None)
    model = lamina.Model(x, weights)
    assert np.triu(model(lamina.ones((1, 5, 4))).numpy(), 1).max() == 0
