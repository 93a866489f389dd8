"""Batches that come one after the other, and models with steps of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, metrics
from lamina.core.errors import ArgumentError, DataError
from lamina.training.streams import PyDataset

RNG = np.random.default_rng(3)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X @ np.array([[1.0], [-2.0], [0.5]], np.float32)).astype(np.float32)
W = RNG.uniform(0.5, 2, 40).astype(np.float32)


def regressor(**options: Any) -> Any:
    model = lamina.Sequential([lamina.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(**{"optimizer": "adam", "loss": "mse", "metrics": ["mae"], **options})
    return model


def batches(weights: bool = False) -> Iterator[Any]:
    for at in range(0, 40, 8):
        rows = slice(at, at + 8)
        yield (X[rows], Y[rows], W[rows]) if weights else (X[rows], Y[rows])


class Numbered(PyDataset):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ended = 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return list(batches())[index]

    def on_epoch_end(self) -> None:
        self.ended += 1


class Loader:
    """Like PyTorch's ``DataLoader``: can be iterated again, gives lists."""

    def __iter__(self) -> Iterator[Any]:
        return (list(batch) for batch in batches())


def assert_same_history(a: Any, b: Any) -> None:
    assert a.history.keys() == b.history.keys()
    for name in a.history:
        np.testing.assert_allclose(a.history[name], b.history[name], rtol=1e-6)


@pytest.mark.parametrize("source", [Numbered, lambda: Numbered(workers=3), Loader])
def test_fit_is_that_on_arrays(source: Any) -> None:
    one, other = regressor(), regressor()
    expected = one.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y))
    given = source()
    history = other.fit(given, epochs=3, shuffle=False, verbose=0, validation_data=source())
    assert_same_history(history, expected)
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    assert other.evaluate(given, verbose=0) == pytest.approx(one.evaluate(X, Y, verbose=0), rel=1e-6)
    np.testing.assert_allclose(other.predict(given, verbose=0), one.predict(X, verbose=0), rtol=1e-6)
    assert getattr(given, "ended", 4) == 4  # three epochs and an evaluation


def test_weights_in_batches() -> None:
    one, other = regressor(weighted_metrics=["mse"]), regressor(weighted_metrics=["mse"])
    expected = one.fit(X, Y, sample_weight=W, batch_size=8, shuffle=False, verbose=0)
    assert_same_history(other.fit(batches(weights=True), verbose=0), expected)


def test_class_weights_in_batches() -> None:
    labels = (Y[:, 0] > 0).astype(np.int32)

    def source() -> Iterator[Any]:
        return ((X[at : at + 8], labels[at : at + 8]) for at in range(0, 40, 8))

    def model() -> Any:
        made = lamina.Sequential([lamina.Input((3,)), layers.Dense(2, "softmax", kernel_initializer="zeros")])
        made.compile("sgd", "sparse_categorical_crossentropy")
        return made

    expected = model().fit(X, labels, class_weight={0: 1, 1: 3}, batch_size=8, shuffle=False, verbose=0)
    assert_same_history(model().fit(source(), class_weight={0: 1, 1: 3}, verbose=0), expected)


def test_a_generator_without_end() -> None:
    def forever() -> Iterator[Any]:
        while True:
            yield from batches()

    one, other = regressor(), regressor()
    expected = one.fit(X, Y, batch_size=8, steps_per_epoch=5, epochs=2, shuffle=False, verbose=0)
    history = other.fit(
        forever(), steps_per_epoch=5, epochs=2, validation_data=forever(), validation_steps=2, verbose=0
    )
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-6)
    assert len(history.history["val_loss"]) == 2
    assert other.predict(forever(), steps=2, verbose=0).shape == (16, 1)


def test_a_generator_that_ends() -> None:
    with pytest.warns(UserWarning, match="ran out"):
        history = regressor().fit(batches(), epochs=3, verbose=0)
    assert history.epoch == [0]  # there is nothing to say of epochs without data
    with pytest.warns(UserWarning, match="steps_per_epoch=9 and there were 5 batches left"):
        regressor().fit(batches(), steps_per_epoch=9, verbose=0)


def test_batches_of_several_sizes_and_batch_events() -> None:
    seen: list[tuple[int, float]] = []

    class Watch(lamina.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, logs["loss"]))

    source = [(X[:3], Y[:3]), (X[3:11], Y[3:11]), (X[11:14], Y[11:14])]
    regressor().fit(iter(source), callbacks=[Watch()], verbose=0)
    assert [b for b, _ in seen] == [0, 1, 2]
    regressor(steps_per_execution=2).fit(iter(source), callbacks=[Watch()], verbose=0)
    assert [b for b, _ in seen[3:]] == [1, 2]


def test_wrong_sources() -> None:
    model = regressor()
    with pytest.raises(ArgumentError, match="y cannot be given where x is a Loader"):
        model.fit(Loader(), Y, verbose=0)
    with pytest.raises(ArgumentError, match="validation_split cannot"):
        model.fit(Loader(), validation_split=0.5, verbose=0)
    with pytest.raises(DataError, match="4 parts"):
        model.fit(iter([(X, Y, W, W)]), verbose=0)
    with pytest.raises(DataError, match="NaN"):
        model.fit(iter([(X * np.nan, Y)]), verbose=0)


# --- models with steps of their own ---------------------------------------------------------------------
class Stepping(lamina.Model):
    """A model that writes out what ``fit`` does."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1, kernel_initializer="ones")
        self.tracker = metrics.Mean(name="loss")
        self.error = metrics.MeanAbsoluteError(name="mae")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with lamina.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = lamina.mean((y_pred - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.tracker.update_state(loss, sample_weight=x.shape[0])
        self.error.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, data: Any) -> Any:
        x, y = data
        self.error.update_state(y, self(x, training=False))
        return {"mae": self.error.result(), "constant": 5.0}

    @property
    def metrics(self) -> Any:
        return [self.tracker, self.error]


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_custom_steps(stream: bool, eager: bool) -> None:
    one, other = regressor(), Stepping()
    other.compile("adam", run_eagerly=eager)
    expected = one.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    if stream:
        history = other.fit(Loader(), epochs=2, verbose=0)
    else:
        history = other.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_history(history, expected)
    results = other.evaluate(X, Y, verbose=0, return_dict=True)
    assert results == {"mae": pytest.approx(one.evaluate(X, Y, verbose=0)[1], rel=1e-6), "constant": 5.0}


@pytest.mark.parametrize("own", ["train_step", "test_step"])
def test_one_step_of_its_own(own: str) -> None:
    """The other one still counts the loss and the metrics of ``compile``."""

    class Half(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1, kernel_initializer="ones")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    def step(self: Any, data: Any) -> Any:
        return getattr(lamina.Model, own)(self, data)

    setattr(Half, own, step)
    one, other = regressor(), Half()
    other.compile("adam", "mse", metrics=["mae"])
    given: Any = {"batch_size": 8, "epochs": 2, "shuffle": False, "validation_data": (X, Y), "verbose": 0}
    expected, history = one.fit(X, Y, **given), other.fit(X, Y, **given)
    assert_same_history(history, expected)
    assert other.evaluate(X, Y, verbose=0) == pytest.approx(one.evaluate(X, Y, verbose=0), rel=1e-6)


class Extended(lamina.Model):
    """Overrides parts of the step and leaves the rest to the base class."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1, kernel_initializer="ones")
        self.outputs_seen = metrics.Mean(name="outputs")

    def call(self, inputs: Any) -> Any:
        outputs = self.dense(inputs)
        self.outputs_seen.update_state(outputs)
        return outputs

    def train_step(self, data: Any) -> Any:
        return {**super().train_step(data), "extra": 10.0}

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, **rest: Any) -> Any:
        return super().compute_loss(x, y, y_pred, **rest) + 1.0

    def predict_step(self, data: Any) -> Any:
        return -super().predict_step(data)


def test_extended_steps() -> None:
    one, other = regressor(), Extended()
    other.compile("adam", "mse", metrics=["mae"])
    expected = one.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    history = other.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "mae", "outputs", "extra"} and history["extra"] == [10.0, 10.0]
    np.testing.assert_allclose(np.array(history["loss"]) - 1, expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["mae"], expected["mae"], rtol=1e-6)
    np.testing.assert_allclose(other.predict(X, verbose=0), -one.predict(X, verbose=0), rtol=1e-6)
    assert other.train_on_batch(X, Y, return_dict=True).keys() == history.keys()


def test_a_model_without_call() -> None:
    """Two networks that train against each other are no function of one input."""

    class Pair(lamina.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = layers.Dense(3), layers.Dense(1)

        def compile(self, first: Any, second: Any) -> None:
            super().compile()
            self.first_optimizer, self.second_optimizer = first, second

        def train_step(self, data: Any) -> Any:
            with lamina.GradientTape(persistent=True) as tape:
                loss = lamina.mean(self.second(self.first(data)) ** 2)
            for layer, optimizer in ((self.first, self.first_optimizer), (self.second, self.second_optimizer)):
                optimizer.apply(tape.gradient(loss, layer.trainable_weights), layer.trainable_weights)
            return {"loss": loss}

    model = Pair()
    model.compile(lamina.optimizers.SGD(0.1), lamina.optimizers.Adam())
    losses = model.fit(X, batch_size=20, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_metrics_of_the_model_and_its_layers_are_in_the_logs() -> None:
    class Watching(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.largest = metrics.Mean(name="activity")

        def call(self, inputs: Any) -> Any:
            self.largest.update_state(inputs)
            return inputs

    model = lamina.Sequential([lamina.Input((3,)), Watching(), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["activity"], [X.mean()] * 2, rtol=1e-4)
    assert [m.name for m in model.metrics] == ["loss", "activity"]
