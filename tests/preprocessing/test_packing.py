"""Several sequences in one row: each is found again, and a model computes for each what it computes for it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.preprocessing.sequence import pack_sequences, segment_mask


def sequences(count: int = 60, longest: int = 12) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(0.25, count), longest)
    return [rng.integers(1, 20, n).astype(np.int32) for n in lengths]


def test_each_sequence_is_in_one_place() -> None:
    given = sequences()
    packing = pack_sequences(given, 12)
    assert packing.values.dtype == np.int32
    for one, part in zip(given, packing.unpack(packing.values), strict=True):
        np.testing.assert_array_equal(one, part)
    total = sum(map(len, given))
    assert (packing.segments > 0).sum() == (packing.values > 0).sum() == total
    assert len(packing.values) <= 11 / 9 * -(-total // 12) + 4  # what best fit decreasing promises
    assert len(packing.values) * 12 < 0.5 * len(given) * 12  # of the steps of a row for each
    for one, segment, position in zip(given, packing.unpack(packing.segments), packing.unpack(packing.positions)):
        assert len(set(segment.tolist())) == 1 and position.tolist() == list(range(len(one)))
    for row in packing.segments:
        assert [n for n in dict.fromkeys(row.tolist()) if n] == list(range(1, row.max() + 1))


def test_labels_go_to_the_same_places() -> None:
    given = sequences()
    packing = pack_sequences(given, 12, value=-1)
    doubled = packing.place([one * 2.0 for one in given], value=-2)
    assert doubled.dtype == np.float64
    np.testing.assert_array_equal(doubled, packing.values * 2)
    vectors = packing.place([np.stack([one, one], axis=1) for one in given], dtype="float32")
    assert vectors.shape == (*packing.values.shape, 2) and vectors.dtype == np.float32


def test_mistakes() -> None:
    for wrong, said in (
        ([[1, 2], []], "number 1 has length 0"),
        ([[1, 2, 3]], "length 3"),
        ([4], "single"),
        ([], "no"),
    ):
        with pytest.raises(ArgumentError, match=said):
            pack_sequences(wrong, 2)
    with pytest.raises(ShapeError, match="sequence 1"):
        pack_sequences([np.ones((2, 2)), np.ones((2, 3))], 4)
    packing = pack_sequences([[1, 2], [3]], 4)
    with pytest.raises(ShapeError, match="sequence 1 of length 2"):
        packing.place([[1, 2], [3, 4]])
    with pytest.raises(ShapeError, match="1 sequences for 2"):
        packing.place([[1, 2]])
    with pytest.raises(ShapeError, match=r"expected shape \(1, 4"):
        packing.unpack(np.zeros((1, 5)))
    with pytest.raises(ShapeError, match="rows, length"):
        segment_mask([1, 2])


def network(causal: bool) -> lamina.Model:
    tokens, segments, positions = (layers.Input((None,), dtype="int32") for _ in range(3))
    x = layers.Embedding(20, 16)(tokens) + layers.Embedding(12, 16)(positions)
    mask = segment_mask(segments, causal)
    x = x + layers.MultiHeadAttention(2, 8)(x, x, attention_mask=mask)
    return lamina.Model([tokens, segments, positions], layers.Dense(3)(layers.LayerNormalization()(x)))


@pytest.mark.parametrize("causal", [False, True])
def test_a_model_computes_the_same_as_for_each_alone(causal: bool) -> None:
    given = sequences(20)
    packing = pack_sequences(given, 12)
    lamina.random.seed(0)
    model = network(causal)
    found = packing.unpack(model([packing.values, packing.segments, packing.positions]).numpy())
    for one, part in zip(given, found, strict=True):
        alone = model([one[None], np.ones((1, len(one)), np.int32), np.arange(len(one), dtype=np.int32)[None]])
        np.testing.assert_allclose(part, alone.numpy()[0], atol=1e-5)


def test_training_on_packed_rows_is_that_on_padded_ones() -> None:
    given = sequences(40)
    packing = pack_sequences(given, 12)
    padded = [lamina.utils.pad_sequences(s, 12, padding="post") for s in (
        given, [np.ones_like(one) for one in given], [np.arange(len(one)) for one in given]
    )]  # fmt: skip
    labels = [one % 3 for one in given]

    def trained(x: Any, y: Any) -> Any:
        lamina.random.seed(0)
        model = network(False)
        # A sum over all steps is the same however many rows they stand in.
        loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        model.compile(lamina.optimizers.SGD(0.002), loss=loss)
        weights = (x[1] > 0).astype(np.float32)
        model.fit(x, y, sample_weight=weights, batch_size=len(y), epochs=5, shuffle=False, verbose=0)
        return model.get_weights()

    first = network(False).get_weights()
    packed_weights = trained([packing.values, packing.segments, packing.positions], packing.place(labels))
    padded_weights = trained(padded, lamina.utils.pad_sequences(labels, 12, padding="post"))
    for a, b in zip(packed_weights, padded_weights, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert max(np.abs(a - b).max() for a, b in zip(packed_weights, first, strict=True)) > 0.02
