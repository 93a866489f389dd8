"""Masks: who makes them, who passes them on, who heeds them; eagerly, compiled, and in models."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ShapeError
from lamina.core.masks import carried, get_mask, set_mask

IDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 1]])
MASK = IDS != 0


def embedding(**more: Any) -> layers.Embedding:
    return layers.Embedding(10, 4, mask_zero=True, **more)


def mask_of(x: Any) -> Any:
    mask = get_mask(x)
    return None if mask is None else mask.tolist()


def test_a_mask_goes_with_its_tensor() -> None:
    gc.collect()
    before = len(carried)
    x = lamina.ones((2, 3))
    set_mask(x, lamina.ones((2,), dtype="bool"))
    assert mask_of(x) == [True, True] and get_mask(lamina.ones((2, 3))) is None
    set_mask(x, None)
    assert get_mask(x) is None
    set_mask(x, lamina.ones((2,), dtype="bool"))
    set_mask(x, lamina.zeros((2,), dtype="bool"))
    assert mask_of(x) == [False, False]
    del x
    assert len(carried) == before


def test_layers_that_make_masks() -> None:
    layer = embedding()
    assert mask_of(layer(IDS)) == MASK.tolist() == layer.compute_mask(lamina.tensor(IDS)).tolist()
    assert get_mask(layers.Embedding(10, 4)(IDS)) is None and layers.Embedding(10, 4).compute_mask(IDS) is None
    x = np.array([[[1.0, 0.0], [0.0, 0.0], [2.0, -1.0]]], np.float32)
    y = layers.Masking()(x)
    assert mask_of(y) == [[True, False, True]] and y.tolist() == x.tolist()
    y = layers.Masking(mask_value=-1.0)(np.array([[[-1.0, -1.0], [-1.0, 0.0]]], np.float32))
    assert mask_of(y) == [[False, True]] and y.tolist() == [[[0.0, 0.0], [-1.0, 0.0]]]


PASSING = [
    layers.Dense(3),
    layers.Activation("relu"),
    layers.Activation("linear"),
    layers.Dropout(0.5),
    layers.SpatialDropout1D(0.5),
    layers.GaussianNoise(0.1),
    layers.GaussianDropout(0.1),
    layers.ReLU(),
    layers.LeakyReLU(),
    layers.LayerNormalization(),
    layers.BatchNormalization(),
    layers.UnitNormalization(),
]


@pytest.mark.parametrize("layer", PASSING, ids=lambda layer: layer.name)
@pytest.mark.parametrize("training", [False, True])
def test_layers_that_pass_masks_on(layer: Any, training: bool) -> None:
    assert layer.supports_masking
    assert mask_of(layer(embedding()(IDS), training=training)) == MASK.tolist()


@pytest.mark.parametrize("layer", [layers.Flatten(), layers.Conv1D(2, 2), layers.MaxPooling1D()], ids=lambda x: x.name)
def test_a_layer_that_drops_a_mask_says_so_once(layer: Any) -> None:
    x = embedding()(IDS)
    with pytest.warns(UserWarning, match=f"Layer '{layer.name}'.*does not support masking"):
        y = layer(x)
    assert get_mask(y) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x)
        type(layer).from_config(layer.get_config())(lamina.ones((3, 4, 4)))  # no mask, no warning


def test_merging() -> None:
    a, b = embedding()(IDS), embedding()(IDS[::-1].copy())
    other = MASK[::-1]
    plain = lamina.ones((3, 4, 4))
    for merge in (layers.Add(), layers.Subtract(), layers.Multiply(), layers.Average(), layers.Maximum()):
        assert mask_of(merge([a, b])) == (MASK | other).tolist()
        assert get_mask(merge([a, plain])) is None
    assert mask_of(layers.Concatenate()([a, b])) == (MASK | other).tolist()
    assert mask_of(layers.Concatenate()([a, plain])) == np.ones_like(MASK).tolist()
    assert mask_of(layers.Concatenate(axis=1)([a, b])) == np.concatenate([MASK, other], axis=1).tolist()
    assert get_mask(layers.Concatenate()([plain, plain])) is None


def test_layers_that_heed_masks() -> None:
    x = embedding()(IDS)
    mean = layers.GlobalAveragePooling1D()(x)
    assert get_mask(mean) is None
    values = x.numpy()
    np.testing.assert_allclose(mean.numpy(), [v[m].mean(axis=0) for v, m in zip(values, MASK, strict=True)], rtol=1e-6)
    norm = layers.BatchNormalization(momentum=0.0, epsilon=1e-6)
    norm(x, training=True)
    np.testing.assert_allclose(norm.moving_mean.numpy(), values[MASK].mean(axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(norm.moving_variance.numpy(), values[MASK].var(axis=0), rtol=1e-4)


class Seen(layers.Layer):
    """Remembers the mask it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True
        self.seen: Any = "nothing"

    def call(self, inputs: Any, mask: Any = None) -> Any:
        self.seen = mask
        return lamina.ops.add(inputs[0] if isinstance(inputs, list) else inputs, 1.0)


def test_the_mask_argument() -> None:
    layer = Seen()
    x = embedding()(IDS)
    assert mask_of(layer(x)) == MASK.tolist() and layer.seen.tolist() == MASK.tolist()
    given = lamina.tensor(~MASK)
    assert mask_of(layer(x, mask=given)) == (~MASK).tolist() and layer.seen is given
    plain = lamina.ones((3, 4, 4))
    assert get_mask(layer(plain)) is None and layer.seen is None
    assert mask_of(layer(plain, mask=~MASK)) == (~MASK).tolist()
    layer([x, plain])
    assert isinstance(layer.seen, list) and layer.seen[0].tolist() == MASK.tolist() and layer.seen[1] is None
    layer([plain, plain])
    assert layer.seen == [None, None]


class Two(layers.Layer):
    def call(self, query: Any, value: Any, query_mask: Any = None, value_mask: Any = None) -> Any:
        self.seen = (query_mask, value_mask)
        return query + value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return lamina.ops.logical_not(previous_mask)


def test_masks_of_several_arguments_and_a_mask_of_ones_own() -> None:
    layer = Two()
    assert layer.supports_masking
    x, plain = embedding()(IDS), lamina.ones((3, 4, 4))
    y = layer(x, plain)
    assert layer.seen[0].tolist() == MASK.tolist() and layer.seen[1] is None
    assert mask_of(y) == (~MASK).tolist()
    layer(x, value=x)
    assert layer.seen[1].tolist() == MASK.tolist()


def test_the_callers_tensor_gets_no_mask() -> None:
    """Even where a layer hands its input through."""

    class Through(layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            return inputs

    layer, x = Through(), lamina.ones((3, 4))
    layer.supports_masking = True
    assert layer(x) is x
    with lamina.GradientTape() as tape:
        tape.watch(x)
        z = layer(x, mask=lamina.tensor(MASK[:, 0]))
        loss = (z * z).sum()
    assert get_mask(x) is None and mask_of(z) == MASK[:, 0].tolist()
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), 2 * np.ones((3, 4)))


def test_a_mask_outlives_a_change_of_dtype() -> None:
    x = embedding(dtype="float64")(IDS)
    assert x.dtype == np.float64 and mask_of(layers.Dense(2)(x)) == MASK.tolist()
    inner = lamina.Sequential([lamina.Input((4, 4)), layers.Dense(2)])
    assert mask_of(inner(x)) == MASK.tolist()


def models() -> list[Any]:
    inputs = lamina.Input((4,), dtype="int64")
    table = embedding(name="table")
    functional = lamina.Model(inputs, layers.Dense(2)(layers.Dropout(0.1)(table(inputs))))

    class Own(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.dense = embedding(), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(self.table(x))

    sequential = lamina.Sequential([embedding(), layers.Dropout(0.1), layers.Dense(2)])
    nested = lamina.Sequential([embedding(), lamina.Sequential([layers.Dense(3)]), layers.Dense(2)])
    return [functional, Own(), sequential, nested]


@pytest.mark.parametrize("kind", range(4))
def test_masks_in_models(kind: int) -> None:
    model = models()[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mask_of(model(IDS)) == MASK.tolist()
        compiled = lamina.function(lambda x: get_mask(model(x)))
        np.testing.assert_array_equal(compiled(lamina.tensor(IDS)).numpy(), MASK)


def test_placeholders_carry_masks() -> None:
    """So a layer that cannot do without its mask can be part of a functional model."""

    class Softmax(layers.Layer):
        def call(self, inputs: Any, mask: Any) -> Any:
            real = lamina.ops.astype(lamina.ops.expand_dims(mask, -1), inputs.dtype)
            exp = lamina.ops.exp(inputs) * real
            return exp / exp.sum(axis=1, keepdims=True)

    inputs = lamina.Input((None,), dtype="int64")
    hidden = layers.Dense(2)(layers.Dropout(0.1)(embedding()(inputs)))
    assert get_mask(hidden).shape == (None, None) and get_mask(hidden).dtype == bool
    both = layers.Concatenate()([hidden, hidden])
    assert get_mask(layers.Add()([both, both])).shape == (None, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the layer has used the mask, so there is nothing to warn of
        output = Softmax()(both)
        assert get_mask(output) is None
        model = lamina.Model(inputs, output)
        np.testing.assert_allclose(model(IDS).numpy().sum(axis=1), np.ones((3, 4)), rtol=1e-6)
        assert not model(IDS).numpy()[~MASK].any()
        sequential = lamina.Sequential([embedding(), layers.Dense(2), Softmax()])
        assert sequential(IDS).shape == (3, 4, 2)
    seen = Seen()
    assert get_mask(seen(layers.Masking()(lamina.Input((4, 3))))).shape == (None, 4)
    outer = lamina.Sequential([lamina.Input((4,), dtype="int64"), embedding(), lamina.Sequential([layers.Dense(2)])])
    assert get_mask(outer.output).shape == (None, 4)


def test_a_mask_for_a_model() -> None:
    x = np.ones((3, 4, 4), np.float32)
    seen = Seen()
    for model in (
        lamina.Sequential([lamina.Input((4, 4)), layers.Dense(2), seen]),
        lamina.Model(i := lamina.Input((4, 4)), seen(layers.Dense(2)(i))),
    ):
        assert mask_of(model(x, mask=lamina.tensor(MASK))) == MASK.tolist() and seen.seen.tolist() == MASK.tolist()
        model(x)
        assert seen.seen is None


@pytest.mark.parametrize("kind", range(4))
def test_masked_steps_do_not_count_in_loss_metrics_and_training(kind: int) -> None:
    """Training on padded data equals training on data whose padding was something else."""
    rng = np.random.default_rng(2)
    y = rng.normal(size=(3, 4, 2)).astype(np.float32)
    other = np.where(MASK[..., None], y, 100.0).astype(np.float32)
    results = []
    for targets in (y, other):
        lamina.random.seed(1)
        model = models()[kind]
        model(IDS)
        for v in model.weights:
            v.assign(np.linspace(-0.3, 0.4, v.size, dtype=np.float32).reshape(v.shape))
        model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mse"])
        first = model.evaluate(IDS, targets, verbose=0)
        history = model.fit(IDS, targets, epochs=2, batch_size=3, verbose=0, shuffle=False)
        results.append((first, history.history, model.get_weights()))
        predicted = model(IDS).numpy()
    assert results[0][0] == results[1][0] and results[0][1] == results[1][1]
    for a, b in zip(results[0][2], results[1][2], strict=True):
        np.testing.assert_array_equal(a, b)
    expected = np.abs(predicted - y).mean(axis=-1)[MASK].mean()
    assert model.evaluate(IDS, y, verbose=0, return_dict=True)["mae"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weights", [None, (3, 4), (3, 1), (3,)])
def test_masked_losses(reduction: str, weights: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(3)
    y, p = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    values = ((y - p) ** 2).mean(axis=-1)
    weight = None if weights is None else rng.random(weights).astype(np.float32)
    full = np.ones((3, 4)) if weight is None else np.broadcast_to(weight.reshape(3, -1), (3, 4))
    counted = full * MASK
    kept = values * counted
    expected = {
        "sum": kept.sum(),
        "none": kept,
        "mean_with_sample_weight": kept.sum() / counted.sum(),
    }.get(reduction, kept.sum() / MASK.sum())
    tensor = lamina.tensor(p)
    set_mask(tensor, lamina.tensor(MASK))
    found = lamina.losses.MeanSquaredError(reduction=reduction)(y, tensor, sample_weight=weight)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    if weights != (3,):
        metric = lamina.metrics.MeanMetricWrapper(lamina.losses.mean_squared_error)
        metric.update_state(y, tensor, sample_weight=weight)
        assert metric.result().item() == pytest.approx(kept.sum() / counted.sum(), rel=1e-5)


def test_a_loss_with_a_mask_of_its_own_joins_both() -> None:
    labels = np.array([[0, 1, -1, 0], [1, -1, 1, 1], [0, 0, 1, -1]])
    p = lamina.tensor(np.random.default_rng(4).normal(size=(3, 4, 2)).astype(np.float32))
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    each = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1, reduction="none")
    values = each(labels, p).numpy()
    set_mask(p, lamina.tensor(MASK))
    kept = MASK & (labels != -1)
    assert loss(labels, p).item() == pytest.approx(values[kept].mean(), rel=1e-5)


def test_nothing_left_after_a_mask_is_a_loss_of_zero() -> None:
    p = lamina.ones((2, 3))
    set_mask(p, lamina.zeros((2, 3), dtype="bool"))
    assert lamina.losses.MeanSquaredError()(lamina.zeros((2, 3, 1)), p[..., None]).item() == 1.0  # another tensor
    q = lamina.ones((2, 3, 1))
    set_mask(q, lamina.zeros((2, 3), dtype="bool"))
    assert lamina.losses.MeanSquaredError()(lamina.zeros((2, 3, 1)), q).item() == 0.0


def test_a_mask_that_does_not_fit() -> None:
    q = lamina.ones((2, 3, 1))
    set_mask(q, lamina.ones((2, 5), dtype="bool"))
    with pytest.raises(ShapeError):
        lamina.losses.MeanSquaredError()(lamina.zeros((2, 3, 1)), q)


def test_weights_of_an_embedding_and_old_arguments() -> None:
    table = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    for weights in (table, [table]):
        layer = layers.Embedding(4, 3, weights=weights, input_length=7)
        np.testing.assert_array_equal(layer(np.array([[3, 1]])).numpy()[0], table[[3, 1]])
