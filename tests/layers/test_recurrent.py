"""Recurrent layers: masks and lengths, states that are kept, dropout, cells of one's own, directions, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.masks import get_mask, set_mask
from lamina.preprocessing.packing import segment_mask

B, T, F = 3, 6, 4
LENGTHS = [3, 6, 1]
MASK = np.arange(T) < np.array(LENGTHS)[:, None]


class Plain:
    """A cell that is no layer."""

    state_size = 4

    def call(self, inputs: Any, states: Any) -> Any:
        output = lamina.tanh(inputs + 0.5 * states[0])
        return output, [output]


@lamina.register_serializable("tests")
class Counting(layers.Layer):
    """A cell whose output is none of its states, and of another size."""

    state_size = (4, 1)
    output_size = 2

    def call(self, inputs: Any, states: Any) -> Any:
        total, count = states
        total, count = total + inputs, count + 1.0
        return lamina.ops.concat([total.sum(axis=-1, keepdims=True), count], axis=-1), (total, count)


RECURRENT: dict[str, Any] = {
    "simple": lambda **o: layers.SimpleRNN(3, **o),
    "lstm": lambda **o: layers.LSTM(3, **o),
    "gru": lambda **o: layers.GRU(3, **o),
    "gru-before": lambda **o: layers.GRU(3, reset_after=False, **o),
    "stack": lambda **o: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], **o),
    "own": lambda **o: layers.RNN(Counting(), **o),
    "plain": lambda **o: layers.RNN(Plain(), **o),
    "both": lambda **o: layers.Bidirectional(layers.LSTM(3, **o)),
    "stack-of-own": lambda **o: layers.RNN([layers.GRUCell(4), Counting()], **o),
}


def data() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(B, T, F)).astype(np.float32)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
def test_a_padded_batch_gives_what_each_sequence_gives_alone(kind: str, compiled: bool) -> None:
    last, steps = RECURRENT[kind](), RECURRENT[kind](return_sequences=True)
    x = data()
    last(x)
    steps(x)
    steps.set_weights(last.get_weights())
    results = []
    for layer in (last, steps):
        run = lamina.function(lambda x, m, layer=layer: layer(x, mask=m)) if compiled else layer
        results.append(run(lamina.tensor(x), lamina.tensor(MASK)) if compiled else layer(x, mask=MASK))
    for row, n in enumerate(LENGTHS):
        alone = x[row : row + 1, :n]
        np.testing.assert_allclose(results[0].numpy()[row], last(alone).numpy()[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(results[1].numpy()[row, :n], steps(alone).numpy()[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_mask_that_came_with_the_input(kind: str) -> None:
    layer = RECURRENT[kind](return_sequences=True)
    x = lamina.tensor(data())
    expected = layer(x, mask=MASK).numpy()
    set_mask(x, lamina.tensor(MASK))
    output = layer(x)
    np.testing.assert_array_equal(output.numpy(), expected)
    assert get_mask(output).tolist() == MASK.tolist()
    assert get_mask(RECURRENT[kind]()(x)) is None


@pytest.mark.parametrize("kind", RECURRENT)
def test_packed_rows_are_refused(kind: str) -> None:
    """Their mask, read as one of steps, would be true everywhere, and states would go on into the next sequence."""
    x = np.zeros((2, 6, 4), np.float32)
    mask = segment_mask(np.array([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 2, 2]]))
    with pytest.raises(ShapeError, match=r"\(2, 6, 6\) says what attends.*shape \(2, 6\).*bucket_by"):
        RECURRENT[kind]()(x, mask=mask)
    padding = np.ones((2, 6, 1), bool)
    assert RECURRENT[kind]()(x, mask=padding) is not None


def test_a_mask_reaches_a_layer_that_is_given_states() -> None:
    layer = layers.LSTM(3)
    x = lamina.tensor(data())
    states = [lamina.ones((B, 3)), lamina.ones((B, 3))]
    expected = layer(x, initial_state=states, mask=MASK).numpy()
    set_mask(x, lamina.tensor(MASK))
    np.testing.assert_array_equal(layer(x, initial_state=states).numpy(), expected)


@pytest.mark.parametrize("kind", [k for k in RECURRENT if k != "both"])
def test_two_halves_with_the_state_between_give_the_whole(kind: str) -> None:
    layer = RECURRENT[kind](return_state=True)
    x = data()
    whole = layer(x)
    _, *states = layer(x[:, :4])
    parts = layer(x[:, 4:], initial_state=states)
    for a, b in zip(lamina.core.trees.flatten(whole)[0], lamina.core.trees.flatten(parts)[0], strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
def test_stateful_layers_go_on_where_they_stopped(kind: str, compiled: bool) -> None:
    layer = RECURRENT[kind](stateful=True)
    free = RECURRENT[kind](return_state=True)
    x = data()
    layer.build(x.shape)
    free(x)
    free.set_weights(layer.get_weights())
    run = lamina.function(lambda x: layer(x)) if compiled else layer
    states = None
    for turn in range(4):
        if turn == 3:
            layer.reset_state()
            states = None
        expected, *states = free(x, **({} if states is None else {"initial_state": states}))
        np.testing.assert_allclose(run(lamina.tensor(x)).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert len(layer.weights) == len(free.weights)  # the states are none
    with pytest.raises(ShapeError, match="batches of the size it was built for, 3; got 2"):
        layer(x[:2])


def test_stateful_layers_in_fit_and_predict() -> None:
    model = lamina.Sequential([lamina.Input((T, F), batch_size=B), layers.GRU(3, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.concatenate([data(), data() + 1])
    model.fit(x, np.ones((6, 1), np.float32), batch_size=B, shuffle=False, verbose=0)
    recurrent = model.layers[0]
    recurrent.reset_states()
    first = model.predict(x[:B], batch_size=B, verbose=0)
    assert not np.array_equal(model.predict(x[:B], batch_size=B, verbose=0), first)
    recurrent.reset_states()
    np.testing.assert_array_equal(model.predict(x[:B], batch_size=B, verbose=0), first)
    with pytest.raises(ShapeError, match="size of the batch"):
        lamina.Sequential([lamina.Input((T, F)), layers.GRU(3, stateful=True)])


@pytest.mark.parametrize("make", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_dropout_drops_the_same_inputs_at_every_step(make: Any) -> None:
    """With the identity for a kernel and no recurrence, the output shows what was dropped."""
    layer = make(F, activation="linear", dropout=0.5, return_sequences=True, use_bias=False, seed=3)
    x = np.ones((64, T, F), np.float32)
    layer(x)
    kernel, recurrent = layer.get_weights()
    gates = kernel.shape[1] // F
    values = [np.eye(F) if g == gates - (2 if gates == 4 else 1) else np.zeros((F, F)) for g in range(gates)]
    layer.set_weights([np.concatenate(values, axis=1), 0 * recurrent])
    steps = layer(x, training=True).numpy() != 0
    assert (steps == steps[:, :1]).all()
    assert 0.35 < steps.mean() < 0.65 and not (steps[0] == steps[1:]).all()
    assert not np.array_equal(layer(x, training=True).numpy() != 0, steps)
    assert (layer(x, training=False).numpy() != 0).all() and (layer(x).numpy() != 0).all()


@pytest.mark.parametrize("make", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_dropout_keeps_the_mean_and_compiles(make: Any) -> None:
    layer = make(3, dropout=0.2, recurrent_dropout=0.2, seed=1)
    x = np.repeat(data()[:1], 512, axis=0)
    layer(x)
    run = lamina.function(lambda x: layer(x, training=True))
    a, b = run(lamina.tensor(x)).numpy(), run(lamina.tensor(x)).numpy()
    assert not np.array_equal(a, b) and a.std(axis=0).min() > 1e-3
    np.testing.assert_allclose(a.mean(axis=0), layer(x).numpy()[0], atol=0.1)
    assert layer.cell._dropout_mask is None and layer.cell._recurrent_dropout_mask is None
    assert len(layer.variables) == len(layer.weights) + 2  # the key and the counter


def test_a_cell_with_dropout_of_its_own() -> None:
    class Noisy(layers.recurrent_cells.DropoutRNNCell, layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seed_generator = lamina.random.SeedGenerator(5)
            self.dropout, self.recurrent_dropout, self.state_size = 0.5, 0.5, F

        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            if training:
                inputs = inputs * self.get_dropout_mask(inputs)
                states = [states[0] * self.get_recurrent_dropout_mask(states[0])]
            output = inputs + states[0]
            return output, [output]

    layer = layers.RNN(Noisy(), return_sequences=True)
    x = np.ones((32, T, F), np.float32)
    assert layer(x).numpy()[:, -1].tolist() == [[T] * F] * 32
    for run in (layer, lamina.function(lambda x, training: layer(x, training=True))):
        steps = run(lamina.tensor(x), training=True).numpy()
        assert set(np.unique(steps[:, 0])) == {0.0, 2.0}
        dropped = steps[:, 0] == 0
        assert not steps[dropped[:, None].repeat(T, axis=1)].any()


def test_cells_alone() -> None:
    x = data()[:, 0]
    for cell, count in ((layers.SimpleRNNCell(3), 1), (layers.GRUCell(3), 1), (layers.LSTMCell(3), 2)):
        first = cell.get_initial_state(batch_size=B)
        output, states = cell(x, first)
        assert output.shape == (B, 3) and len(states) == count and states[0] is output
        np.testing.assert_allclose(
            layers.RNN(cell)(np.stack([x, x], axis=1)).numpy(), cell(x, states)[0].numpy(), rtol=1e-6
        )
        again = type(cell).from_config(cell.get_config())
        assert again.get_config() == cell.get_config()
    output, state = layers.GRUCell(3)(x, lamina.zeros((B, 3)))
    assert output is state


def test_a_cell_whose_call_is_overridden_is_called() -> None:
    class Doubled(layers.LSTMCell):
        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            output, states = super().call(inputs, states, training)
            return output * 2.0, states

    cell, x = Doubled(3), data()
    plain = layers.LSTM(3)
    doubled = layers.RNN(cell)(x)
    plain(x)
    plain.set_weights(cell.get_weights())
    np.testing.assert_allclose(doubled.numpy(), 2 * plain(x).numpy(), rtol=1e-6)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional_is_two_layers(mode: str | None) -> None:
    layer = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode=mode)
    x = data()
    output = layer(x)
    forward = layer.forward_layer(x).numpy()
    backward = layer.backward_layer(x).numpy()[:, ::-1]
    expected = {
        "concat": np.concatenate([forward, backward], axis=-1),
        "sum": forward + backward,
        "mul": forward * backward,
        "ave": (forward + backward) / 2,
    }
    if mode is None:
        np.testing.assert_array_equal(output[0].numpy(), forward)
        np.testing.assert_array_equal(output[1].numpy(), backward)
    else:
        np.testing.assert_allclose(output.numpy(), expected[mode], rtol=1e-6)
    turned = layers.LSTM(3, return_sequences=True)
    turned(x)
    turned.set_weights(layer.backward_layer.get_weights())
    np.testing.assert_allclose(backward, turned(x[:, ::-1].copy()).numpy()[:, ::-1], rtol=1e-6)


def test_bidirectional_options() -> None:
    inner = layers.GRU(2)
    reference = layers.Bidirectional(inner)
    reference(data())
    copied = layers.Bidirectional(inner, weights=reference.get_weights())
    np.testing.assert_array_equal(copied(data()).numpy(), reference(data()).numpy())
    assert not inner.built  # it is copied
    assert [x.name.split("_")[0] for x in (reference.forward_layer, reference.backward_layer)] == [
        "forward",
        "backward",
    ]
    output, *states = layers.Bidirectional(layers.LSTM(2, return_state=True))(data())
    assert output.shape == (B, 4) and [s.shape for s in states] == [(B, 2)] * 4
    again = layers.Bidirectional(layers.LSTM(2, return_state=True))
    again(data(), initial_state=states)
    with pytest.raises(ArgumentError, match="opposite directions"):
        layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2))
    with pytest.raises(ArgumentError, match="return_sequences is the same"):
        layers.Bidirectional(layers.GRU(2), backward_layer=layers.GRU(2, go_backwards=True, return_sequences=True))
    with pytest.raises(ArgumentError, match="merge_mode"):
        layers.Bidirectional(layers.GRU(2), merge_mode="max")
    with pytest.raises(ArgumentError, match="keeps no states"):
        reference.reset_state()


def test_time_distributed() -> None:
    x = np.random.default_rng(2).normal(size=(B, T, 5, 4)).astype(np.float32)
    inner = layers.Conv1D(2, 2)
    output = layers.TimeDistributed(inner)(x)
    for t in range(T):
        np.testing.assert_allclose(output.numpy()[:, t], inner(x[:, t]).numpy(), rtol=1e-5, atol=1e-6)

    class Passing(layers.Layer):
        def call(self, inputs: Any, mask: Any = None) -> Any:
            return lamina.where(mask[:, None], inputs, 0.0) if mask is not None else inputs

    y = layers.TimeDistributed(Passing())(x[:, :, 0], mask=MASK)
    np.testing.assert_array_equal(y.numpy(), x[:, :, 0] * MASK[..., None])
    assert get_mask(y).tolist() == MASK.tolist()
    norm = layers.BatchNormalization(momentum=0.5)
    layers.TimeDistributed(norm)(x[:, :2, 0], training=True)  # each step moves the statistics
    mean = 0.5 * (0.5 * 0 + 0.5 * x[:, 0, 0].mean(axis=0)) + 0.5 * x[:, 1, 0].mean(axis=0)
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, rtol=1e-4, atol=1e-6)
    with pytest.raises(ShapeError, match="at least 3 dimensions"):
        layers.TimeDistributed(layers.Dense(1))(x[:, 0, 0])


def test_models_with_recurrent_layers_on_disk(tmp_path: Path) -> None:
    inputs = lamina.Input((T,), dtype="int64")
    h = layers.Embedding(9, 4, mask_zero=True)(inputs)
    h = layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.1))(h)
    h, state = layers.GRU(2, return_sequences=True, return_state=True)(h)
    h = layers.RNN([layers.SimpleRNNCell(4), Counting()], return_sequences=True)(h[:, :, :1])
    model = lamina.Model(inputs, [layers.TimeDistributed(layers.Dense(2))(h), state])
    model.save(tmp_path / "model.safetensors")
    again = lamina.models.load_model(tmp_path / "model.safetensors")
    ids = np.where(MASK, np.arange(1, 1 + T), 0)
    for a, b in zip(again(ids), model(ids), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert [w.path for w in again.weights] == [w.path for w in model.weights]


@pytest.mark.parametrize("kind", ["simple", "lstm", "gru", "both", "stack"])
def test_unknown_lengths_in_functional_models(kind: str) -> None:
    inputs = lamina.Input((None, F))
    layer = RECURRENT[kind](return_sequences=True)
    hidden = layer(inputs)
    assert hidden.shape[:2] == (None, None) and layer.compute_output_shape((None, None, F)) == hidden.shape
    model = lamina.Model(inputs, RECURRENT[kind]()(hidden))
    x = data()
    assert model(x).shape == model(x[:, :2]).shape


def test_regularizers_and_constraints_of_the_cell() -> None:
    layer = layers.LSTM(
        3, kernel_regularizer="l2", recurrent_regularizer="l1", bias_regularizer="l2", kernel_constraint="non_neg",
        activity_regularizer="l2",
    )  # fmt: skip
    layer(data())
    assert len(layer.losses) == 4
    model = lamina.Sequential([layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data(), np.zeros((B, 1), np.float32), verbose=0)
    assert (layer.cell.kernel.numpy() >= 0).all()
    again = layers.LSTM.from_config(layer.get_config())
    assert again.get_config() == layer.get_config() and again.kernel_regularizer is not None


def test_attributes_of_the_cell_are_the_layers() -> None:
    layer = layers.LSTM(3, dropout=0.1, implementation=1)
    assert (layer.units, layer.dropout, layer.implementation, layer.unit_forget_bias) == (3, 0.1, 1, True)
    with pytest.raises(AttributeError):
        _ = layer.filters
    assert layers.ConvLSTM2D(2, 3).kernel_size == (3, 3)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ArgumentError, match="has no state_size"):
        layers.RNN(layers.Dense(2))
    with pytest.raises(ArgumentError, match="has no call"):
        layers.RNN(object())
    with pytest.raises(ArgumentError, match="`units` must be a positive integer"):
        layers.LSTM(-1)
    with pytest.raises(ArgumentError, match="use_cudnn"):
        layers.GRU(1, use_cudnn="maybe")
    with pytest.raises(ArgumentError, match="no argument 'unitz'"):
        layers.LSTM(3, unitz=4)
    with pytest.raises(ShapeError, match="expected 3 dimensions"):
        layers.LSTM(3)(np.ones((2, 4)))
    with pytest.raises(ShapeError, match="mask of shape"):
        layers.LSTM(3)(data(), mask=MASK[:, :2])
    with pytest.raises(ArgumentError, match="isn't a supported layer type"):
        layers.TimeDistributed(lambda x: x)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="is not compatible with"):
        layers.ConvLSTM2D(2, 3, strides=2, dilation_rate=2)
