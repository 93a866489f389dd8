"""Buckets of sequences: what they hold, how they are resumed, and that a model computes the same in fewer steps."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, DataError
from lamina.data import Pipeline, boundaries_of

LENGTHS = [1, 3, 2, 7, 2, 1, 5, 3, 1, 6, 4]


def sequences(lengths: Any = LENGTHS) -> list[tuple[np.ndarray, np.int32]]:
    return [(np.arange(1, n + 1, dtype=np.int32), np.int32(i)) for i, n in enumerate(lengths)]


def bucketed(data: Pipeline, **options: Any) -> Pipeline:
    return data.bucket_by_sequence_length(lambda x, y: len(x), [3, 5, 8], [3, 2, 2, 1], **options)


def plain(data: Any) -> list[Any]:
    return [(np.asarray(x).tolist(), np.asarray(y).tolist()) for x, y in data]


def test_batches_are_padded_to_their_bucket() -> None:
    data = Pipeline.from_dataset(sequences())
    options: dict[str, Any] = {"padded_shapes": ([None], []), "padding_values": (9, 0)}
    found = plain(bucketed(data, pad_to_bucket_boundary=True, **options))
    assert {len(x[0]) for x, _ in found} == {2, 4, 7}
    assert found[0] == ([[1, 9], [1, 2], [1, 2]], [0, 2, 4])
    loose = plain(bucketed(data, **options))
    assert [y for _, y in loose] == [y for _, y in found]
    assert {len(x[0]) for x, _ in loose} <= {1, 2, 3, 4, 5, 6, 7}
    assert sorted(i for _, y in found for i in y) == list(range(len(LENGTHS)))
    full = plain(bucketed(data, drop_remainder=True, **options))
    assert full == [(x, y) for x, y in loose if len(y) == (3 if len(x[0]) < 3 else 2)]


def test_parts_with_a_first_axis_are_padded_without_shapes() -> None:
    tagged = Pipeline.from_dataset([(x, x * 2) for x, _ in sequences([1, 2, 4])])
    found = plain(bucketed(tagged, pad_to_bucket_boundary=True))
    assert found == [([[1, 0], [1, 2]], [[2, 0], [2, 4]]), ([[1, 2, 3, 4]], [[2, 4, 6, 8]])]


@pytest.mark.slow
def test_against_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    spec = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32))
    theirs = tf.data.Dataset.from_generator(lambda: iter(sequences()), output_signature=spec)
    for to_boundary, drop in itertools.product((False, True), repeat=2):
        options: dict[str, Any] = {
            "pad_to_bucket_boundary": to_boundary, "drop_remainder": drop, "padded_shapes": ([None], [])
        }  # fmt: skip
        own = plain(bucketed(Pipeline.from_generator(sequences), **options))
        peer = plain(theirs.bucket_by_sequence_length(lambda x, y: tf.size(x), [3, 5, 8], [3, 2, 2, 1], **options))
        assert sorted(own) == sorted(peer)  # what is left at the end comes in another order


@pytest.mark.parametrize("had", [0, 1, 4, 7])
def test_resumed_in_the_middle(had: int) -> None:
    def make() -> Pipeline:
        rng = np.random.default_rng(0)
        data = Pipeline.from_dataset(sequences(rng.integers(1, 8, 20))).shuffle(20, seed=4)
        return bucketed(data, padded_shapes=([None], []), pad_to_bucket_boundary=True).repeat(2)

    data = make()
    list(data)  # a pass before
    elements = iter(data)
    for _ in range(had):
        next(elements)
    state = json.loads(json.dumps(data.state_dict()))
    other = make()
    other.load_state_dict(state)
    rest = plain(elements)
    assert rest and plain(other) == rest
    assert plain(other) == plain(data) != rest  # the next pass, in another order


@pytest.mark.parametrize(
    ("boundaries", "sizes"),
    [([], [1]), ([3, 3], [1, 1, 1]), ([5, 3], [1, 1, 1]), ([0], [1, 1]), ([3], [1]), ([3], [1, 0])],
)
def test_wrong_buckets(boundaries: list[int], sizes: list[int]) -> None:
    with pytest.raises(ArgumentError, match="bucket_by_sequence_length"):
        Pipeline.range(3).bucket_by_sequence_length(lambda x: 1, boundaries, sizes)


def test_an_element_that_fits_no_boundary() -> None:
    with pytest.raises(DataError, match="length 8"):
        list(bucketed(Pipeline.from_dataset(sequences([1, 8])), pad_to_bucket_boundary=True))


def test_boundaries_pad_least() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = rng.integers(1, 12, size=12)
        different = sorted({*lengths.tolist()})
        buckets = min(int(rng.integers(1, 5)), len(different))

        def steps(boundaries: list[int], lengths: Any = lengths) -> int:
            return sum(min(b - 1 for b in boundaries if b > n) for n in lengths)

        inner = itertools.combinations(different[:-1], buckets - 1)
        least = min(steps([*(n + 1 for n in some), different[-1] + 1]) for some in inner)
        found = boundaries_of(lengths, buckets)
        assert len(found) == buckets and steps(found) == least
    assert boundaries_of([4, 4], 3) == [5]
    with pytest.raises(ArgumentError, match="no lengths"):
        boundaries_of([], 2)
    with pytest.raises(ArgumentError, match="positive"):
        boundaries_of([1], 0)


def test_a_model_computes_the_same_in_fewer_steps() -> None:
    """A batch in a bucket has the loss and the gradients that it has padded to the longest of all."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(3 + rng.geometric(0.1, size=400), 40)
    rows = [(rng.integers(1, 9, size=n).astype(np.int32), np.float32(n % 2)) for n in lengths]
    boundaries = boundaries_of(lengths, 4)
    data = Pipeline.from_dataset(rows).shuffle(400, seed=1)
    sizes = [20] * len(boundaries) + [20]
    buckets = data.bucket_by_sequence_length(
        lambda x, y: len(x), boundaries, sizes, ([None], []), pad_to_bucket_boundary=True
    )
    longest = int(lengths.max())

    def trained(pipeline: Pipeline) -> Any:
        lamina.random.seed(0)
        model = lamina.Sequential(
            [
                layers.Input((None,), dtype="int32"),
                layers.Embedding(9, 8, mask_zero=True),
                layers.Bidirectional(layers.GRU(8)),
                layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        loss = model.fit(pipeline, epochs=1, verbose=0).history["loss"][0]
        return loss, model.get_weights()

    def widened(x: Any, y: Any) -> Any:
        return np.pad(x.numpy(), ((0, 0), (0, longest - x.shape[1]))), y

    steps = sum(x.shape[0] * x.shape[1] for x, _ in buckets)
    assert steps < 0.45 * len(rows) * longest  # of the steps of one length for all
    wide = buckets.map(widened)
    buckets.seek(0, 0)
    loss, weights = trained(buckets)
    wide.seek(0, 0)
    same, others = trained(wide)
    assert loss == pytest.approx(same, rel=1e-5)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
