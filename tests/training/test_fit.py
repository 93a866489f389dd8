"""``fit``, ``evaluate`` and ``predict``: what they compute, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_helpers import blobs, classifier, line, regressor

import lamina
from lamina import layers
from lamina.core.errors import ArgumentError
from lamina.training.history import History


class Reference:
    """The linear model of ``regressor`` trained with NumPy in float64."""

    def __init__(self, features: int = 3, rate: float = 0.05) -> None:
        self.w = np.linspace(-0.5, 0.5, features)[:, None]
        self.b = np.zeros(1)
        self.rate = rate

    def loss(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
        errors = ((x @ self.w + self.b - y) ** 2).mean(axis=1)
        return float((errors if weight is None else errors * weight).mean())

    def step(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> float:
        x, y = x.astype(np.float64), y.astype(np.float64)
        loss = self.loss(x, y, weight)
        error = 2 * (x @ self.w + self.b - y) / len(x)
        if weight is not None:
            error = error * weight[:, None]
        self.w, self.b = self.w - self.rate * x.T @ error, self.b - self.rate * error.sum(0)
        return loss

    def epoch(self, x: np.ndarray, y: np.ndarray, batch: int, weight: np.ndarray | None = None) -> float:
        total = 0.0
        for i in range(0, len(x), batch):
            part = slice(i, i + batch)
            total += self.step(x[part], y[part], None if weight is None else weight[part]) * len(x[part])
        return total / len(x)


def assert_weights(model: Any, reference: Reference) -> None:
    w, b = model.get_weights()
    np.testing.assert_allclose(w, reference.w, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(b, reference.b, rtol=2e-5, atol=1e-6)


# --- training -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("rows", "batch"), [(48, 16), (50, 16), (49, 16), (7, 16), (33, 1), (17, 17)])
def test_fit_is_exact_with_any_last_batch(rows: int, batch: int, run_eagerly: bool) -> None:
    x, y = line(rows)
    model, reference = regressor(run_eagerly=run_eagerly), Reference()
    history = model.fit(x, y, batch_size=batch, epochs=3, shuffle=False, verbose=0)
    expected = [reference.epoch(x, y, batch) for _ in range(3)]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=2e-5)
    assert_weights(model, reference)


def test_fit_with_sample_weight() -> None:
    x, y = line(50)
    weight = np.random.default_rng(1).uniform(0, 2, 50)
    model, reference = regressor(), Reference()
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, sample_weight=weight, verbose=0)
    expected = [reference.epoch(x, y, 16, weight) for _ in range(2)]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=2e-5)
    assert_weights(model, reference)


def test_class_weight_is_the_sample_weight_of_each_class() -> None:
    x, y = blobs(90)
    lamina.random.seed(3)
    by_class = classifier()
    start = by_class.get_weights()
    by_class.fit(x, y, epochs=2, shuffle=False, class_weight={0: 2.0, 2: 0.5}, verbose=0)
    by_sample = classifier()
    by_sample.set_weights(start)
    by_sample.fit(x, y, epochs=2, shuffle=False, sample_weight=np.array([2.0, 1.0, 0.5])[y], verbose=0)
    for a, b in zip(by_class.get_weights(), by_sample.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shuffling_visits_every_row_once() -> None:
    """With a learning rate of 0 the epoch's loss is the mean over the rows, in whatever order."""
    x, y = line(50)
    for shuffle in (True, "batch"):
        model = regressor(optimizer=lamina.optimizers.SGD(0.0))
        history = model.fit(x, y, batch_size=16, epochs=2, shuffle=shuffle, verbose=0)
        np.testing.assert_allclose(history.history["loss"], [Reference().loss(x, y)] * 2, rtol=1e-5)


def test_shuffling_changes_the_order() -> None:
    x, y = line(64)
    lamina.random.seed(0)
    shuffled = regressor()
    shuffled.fit(x, y, batch_size=8, epochs=1, verbose=0)
    plain = regressor()
    plain.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    assert not np.array_equal(shuffled.get_weights()[0], plain.get_weights()[0])


def test_the_same_seed_gives_the_same_bits() -> None:
    x, y = blobs(150)

    def train(seed: int) -> tuple[list[np.ndarray], dict[str, list[float]]]:
        lamina.random.seed(seed)
        model = lamina.Sequential(
            [layers.Input((4,)), layers.Dense(16, "relu"), layers.Dropout(0.3), layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch_size=32, epochs=3, validation_split=0.2, verbose=0)
        return model.get_weights(), history.history

    first, second, other = train(5), train(5), train(6)
    assert first[1] == second[1] and first[1] != other[1]
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_learns() -> None:
    x, y = blobs(300)
    lamina.random.seed(0)
    model = classifier()
    history = model.fit(x, y, epochs=20, validation_split=0.2, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] / 3
    assert history.history["val_accuracy"][-1] >= 0.97
    assert model.history is history and isinstance(history, History)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_integer_inputs_are_taken_as_they_are() -> None:
    x = np.random.default_rng(0).integers(0, 255, (40, 3)).astype(np.uint8)
    a, b = regressor(optimizer=lamina.optimizers.SGD(1e-6)), regressor(optimizer=lamina.optimizers.SGD(1e-6))
    y = line(40)[1]
    a.fit(x, y, shuffle=False, verbose=0)
    b.fit(x.astype(np.float32), y, shuffle=False, verbose=0)
    np.testing.assert_allclose(a.get_weights()[0], b.get_weights()[0], rtol=1e-6)


def test_targets_without_their_last_axis_do_not_broadcast() -> None:
    x, y = line(40)
    a, b = regressor(metrics=["mae"]), regressor(metrics=["mae"])
    ha = a.fit(x, y[:, 0], shuffle=False, verbose=0)
    hb = b.fit(x, y, shuffle=False, verbose=0)
    assert ha.history == hb.history
    custom = regressor(loss=lambda y_true, y_pred: lamina.mean(lamina.square(y_true - y_pred), axis=-1))
    assert custom.fit(x, y[:, 0], shuffle=False, verbose=0).history["loss"] == pytest.approx(ha.history["loss"])


# --- the options of fit -------------------------------------------------------------------------------
def test_validation_split_is_the_end_of_the_data() -> None:
    x, y = line(50)
    split = regressor()
    a = split.fit(x, y, epochs=2, shuffle=False, validation_split=0.3, verbose=0)
    given = regressor()
    b = given.fit(x[:35], y[:35], epochs=2, shuffle=False, validation_data=(x[35:], y[35:]), verbose=0)
    assert a.history == b.history
    assert split.evaluate(x[35:], y[35:], verbose=0) == pytest.approx(a.history["val_loss"][-1], rel=1e-6)


def test_validation_frequency() -> None:
    x, y = line(20)
    model = regressor()
    history = model.fit(x, y, epochs=5, validation_data=(x, y), validation_freq=2, verbose=0)
    assert len(history.history["val_loss"]) == 2
    history = model.fit(x, y, epochs=5, validation_data=(x, y, np.ones(20)), validation_freq=[1, 5], verbose=0)
    assert len(history.history["val_loss"]) == 2


def test_initial_epoch_and_steps_per_epoch() -> None:
    x, y = line(50)
    model, reference = regressor(), Reference()
    history = model.fit(x, y, batch_size=10, initial_epoch=3, epochs=5, steps_per_epoch=2, shuffle=False, verbose=0)
    assert history.epoch == [3, 4]
    for part in (slice(0, 20), slice(20, 40)):  # an epoch goes on where the one before ended
        reference.epoch(x[part], y[part], 10)
    assert_weights(model, reference)
    with pytest.warns(UserWarning, match="steps_per_epoch=9 and there were 5 batches left"):
        model.fit(x, y, batch_size=10, steps_per_epoch=9, verbose=0)
    assert model.fit(x, y, epochs=0, verbose=0).history == {}


def test_fit_again_goes_on() -> None:
    x, y = line(40)
    twice, once = regressor(optimizer="adam"), regressor(optimizer="adam")
    for _ in range(2):
        twice.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    once.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(twice.get_weights()[0], once.get_weights()[0])


def test_the_learning_rate_can_change_between_fits() -> None:
    x, y = line(40)
    model, reference = regressor(), Reference()
    for rate in (0.05, 0.01):
        model.optimizer.learning_rate = reference.rate = rate
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        reference.epoch(x, y, 16)
    assert_weights(model, reference)


def test_frozen_layers_stay() -> None:
    x, y = blobs(60)
    model = classifier()
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])


# --- evaluate, predict, one batch -------------------------------------------------------------------
def test_evaluate_forms() -> None:
    x, y = line(50)
    plain, with_metrics, reference = regressor(), regressor(metrics=["mae", "mse"]), Reference()
    assert plain.evaluate(x, y, verbose=0) == pytest.approx(reference.loss(x, y), rel=1e-5)
    values = with_metrics.evaluate(x, y, batch_size=16, verbose=0)
    named = with_metrics.evaluate(x, y, batch_size=50, verbose=0, return_dict=True)
    assert list(named) == ["loss", "mae", "mse"]
    assert values == pytest.approx(list(named.values()), rel=1e-5)
    errors = np.abs(x @ reference.w + reference.b - y)
    assert named["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    assert with_metrics.evaluate(x, y, batch_size=16, steps=2, verbose=0, return_dict=True)["mae"] == pytest.approx(
        errors[:32].mean(), rel=1e-5
    )


@pytest.mark.parametrize("batch", [1, 7, 32, 50, 100])
def test_predict(batch: int) -> None:
    x, _ = line(50)
    model, reference = regressor(), Reference()
    got = model.predict(x, batch_size=batch, verbose=0)
    assert isinstance(got, np.ndarray) and got.shape == (50, 1) and got.dtype == np.float32
    np.testing.assert_allclose(got, x @ reference.w + reference.b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(x), got, rtol=1e-6, atol=1e-7)
    assert model.predict(x, batch_size=batch, steps=1, verbose=0).shape == (min(batch, 50), 1)


def test_predict_needs_no_compile() -> None:
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(2)])
    assert model.predict(np.ones((5, 3)), verbose=0).shape == (5, 2)


def test_train_on_batch_is_one_step() -> None:
    x, y = line(32)
    model, reference = regressor(metrics=["mae"]), Reference()
    loss, mae = model.train_on_batch(x, y)
    assert loss == pytest.approx(reference.step(x, y), rel=1e-5)
    assert_weights(model, reference)
    logs = model.test_on_batch(x[:10], y[:10], return_dict=True)
    assert list(logs) == ["loss", "mae"] and mae > 0
    fresh = model.test_on_batch(x[:10], y[:10], sample_weight=np.full(10, 2.0))
    assert fresh[0] == pytest.approx(2 * reference.loss(x[:10], y[:10]), rel=1e-4)


def test_metrics_of_train_on_batch_count_one_batch() -> None:
    x, y = line(30)
    model = regressor(optimizer=lamina.optimizers.SGD(0.0))
    reference = Reference()
    model.train_on_batch(x[:20], y[:20])
    after = model.train_on_batch(x[20:], y[20:])
    assert after == pytest.approx(reference.loss(x[20:], y[20:]), rel=1e-5)


def test_weighted_metrics_count_with_the_weights() -> None:
    x, y = line(30)
    weight = np.linspace(0, 2, 30)
    model = regressor(metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    errors = np.abs(x @ Reference().w - y)[:, 0]
    values = list(logs.values())
    assert len(values) == 3
    assert values[1] == pytest.approx(errors.mean(), rel=1e-5)
    assert values[2] == pytest.approx((errors * weight).sum() / weight.sum(), rel=1e-5)


# --- several inputs and outputs -----------------------------------------------------------------------
def two_by_two() -> Any:
    a, b = layers.Input((2,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate()([a, b])
    value = layers.Dense(1, name="value")(joined)
    kind = layers.Dense(3, "softmax", name="kind")(joined)
    return lamina.Model([a, b], [value, kind])


def two_by_two_data(rows: int = 40) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(rows, 2)).astype(np.float32), rng.normal(size=(rows, 3)).astype(np.float32)]
    return x, [x[0].sum(1), rng.integers(0, 3, rows)]


def test_several_outputs() -> None:
    x, y = two_by_two_data()
    model = two_by_two()
    model.compile(
        "sgd",
        loss={"value": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"value": 0.5, "kind": 2.0},
        metrics={"kind": ["accuracy"], "value": "mae"},
    )
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "value_loss", "kind_loss", "value_mae", "kind_accuracy"]
    assert logs["loss"] == pytest.approx(0.5 * logs["value_loss"] + 2 * logs["kind_loss"], rel=1e-5)
    history = model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    value, kind = model.predict(x, verbose=0)
    assert value.shape == (40, 1) and kind.shape == (40, 3)
    in_order = two_by_two()
    in_order.set_weights(model.get_weights())
    in_order.compile("sgd", ["mse", "sparse_categorical_crossentropy"], [0.5, 2.0], [["mae"], ["accuracy"]])
    assert in_order.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)


def test_inputs_by_name() -> None:
    x, y = two_by_two_data()
    model = two_by_two()
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
    by_list = model.evaluate(x, y, verbose=0)
    assert model.evaluate({"a": x[0], "b": x[1]}, y, verbose=0) == pytest.approx(by_list, rel=1e-6)
    assert model.evaluate({"a": x[0], "b": x[1]}, {"value": y[0], "kind": y[1]}, verbose=0) == pytest.approx(
        by_list, rel=1e-6
    )
    assert model.evaluate(x, {"kind": y[1], "value": y[0]}, verbose=0) == pytest.approx(by_list, rel=1e-6)


def test_an_output_without_a_loss() -> None:
    x, y = two_by_two_data()
    model = two_by_two()
    model.compile("sgd", loss={"kind": "sparse_categorical_crossentropy"})
    full = model.evaluate(x, y, verbose=0)
    assert model.evaluate(x, {"kind": y[1]}, verbose=0) == pytest.approx(full, rel=1e-6)


# --- layers that add to the loss ----------------------------------------------------------------------
class Pull(layers.Layer):
    """Adds a term to the loss that pulls its weight towards 3."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        self.add_loss(lamina.square(self.w - 3.0))
        return inputs


def test_losses_that_layers_add() -> None:
    x, y = line(32)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1), Pull()])
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    first = model.evaluate(x, y, verbose=0)
    only_mse = float(((model.predict(x, verbose=0) - y) ** 2).mean())
    assert first == pytest.approx(only_mse + 9.0, rel=1e-5)
    model.fit(x, y, epochs=30, verbose=0)
    assert model.layers[-1].w.numpy() == pytest.approx(3.0, abs=0.05)


# --- refusals -------------------------------------------------------------------------------------------
# --- the same bits ------------------------------------------------------------------------------------
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(threads: int) -> None:
    x, y = blobs(300, features=40)
    before = lamina.get_num_threads()

    def train(count: int) -> tuple[list[np.ndarray], dict[str, list[float]]]:
        lamina.set_num_threads(count)
        lamina.random.seed(5)
        model = lamina.Sequential(
            [layers.Input((40,)), layers.Dense(128, "relu"), layers.Dropout(0.2), layers.Dense(3, "softmax")]
        )
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch_size=64, epochs=2, validation_split=0.2, verbose=0)
        return [*model.get_weights(), model.predict(x, verbose=0)], history.history

    try:
        one, several = train(1), train(threads)
    finally:
        lamina.set_num_threads(before)
    assert one[1] == several[1]
    for a, b in zip(one[0], several[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_compiled_and_eager_training_agree() -> None:
    x, y = blobs(100)
    histories = []
    for run_eagerly in (False, True):
        lamina.random.seed(5)
        model = classifier(run_eagerly=run_eagerly)
        histories.append(model.fit(x, y, batch_size=32, epochs=3, verbose=0).history)
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-4)


# --- what compile left out ------------------------------------------------------------------------------
def test_without_a_loss() -> None:
    x, y = line(32)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", metrics=["mae"])
    with pytest.raises(ArgumentError, match="has no loss to minimise"):
        model.fit(x, y, verbose=0)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == 0 and logs["mae"] > 0


def test_only_a_loss_that_a_layer_adds() -> None:
    x, _ = line(32)
    model = lamina.Sequential([layers.Input((3,)), layers.Dense(1), Pull()])
    model.compile(lamina.optimizers.SGD(0.1))
    model.fit(x, epochs=30, verbose=0)
    assert model.layers[-1].w.numpy() == pytest.approx(3.0, abs=0.05)


def test_arrays_laid_out_otherwise() -> None:
    x, y = line(40, features=6)
    expected = regressor(6).fit(x, y, epochs=2, shuffle=False, verbose=0).history
    wide = np.zeros((40, 12), np.float32)
    wide[:, ::2] = x
    for same in (np.asfortranarray(x), wide[:, ::2], x.astype(">f4"), x.astype(np.float64), lamina.tensor(x)):
        assert regressor(6).fit(same, y, epochs=2, shuffle=False, verbose=0).history == expected


def test_moving_averages_are_taken_over_at_the_end() -> None:
    x, y = line(64)
    model = regressor(optimizer=lamina.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.5))
    reference, average = Reference(), Reference()
    for i in range(0, 64, 16):
        reference.step(x[i : i + 16], y[i : i + 16])
        share = 1.0 if i == 0 else 0.5
        average.w = (1 - share) * average.w + share * reference.w
        average.b = (1 - share) * average.b + share * reference.b
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert_weights(model, average)


def test_names_of_metrics_are_unique() -> None:
    x, y = line(20)
    model = regressor(metrics=["mae", "mse", "mae"], weighted_metrics=["mse"])
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", "mae", "mse", "mae_1", "weighted_mse"]


def test_looking_at_the_model_leaves_its_counts_alone() -> None:
    class Counting(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, inputs: Any) -> Any:
            self.calls.assign(self.calls + 1)
            return self.dense(inputs)

    model = Counting()
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=2, verbose=0)
    assert int(model.calls.numpy()) == 4
