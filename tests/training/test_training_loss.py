"""The training loss as validation measures it: ``History.train_loss`` and ``callbacks.TrainingLoss``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.callbacks import EarlyStopping, TrainingLoss
from lamina.core.errors import ArgumentError

X = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
Y = X**2


def network() -> lamina.Model:
    lamina.random.seed(0)
    model = lamina.Sequential([layers.Input((1,)), layers.Dense(16, "relu"), layers.Dropout(0.5), layers.Dense(1)])
    model.compile(lamina.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def test_it_is_what_evaluate_says_and_changes_nothing() -> None:
    model = network()
    seen: list[Any] = []
    watch = lamina.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.evaluate(X, Y, verbose=0, return_dict=True))
    )
    history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[TrainingLoss(X, Y), watch]).history
    assert np.allclose(history["train_loss"], [s["loss"] for s in seen], rtol=1e-5)
    assert np.allclose(history["train_mae"], [s["mae"] for s in seen], rtol=1e-5)
    assert not np.allclose(history["train_loss"], history["loss"], rtol=1e-2)  # which is measured with dropout
    plain = network()
    alone = plain.fit(X, Y, epochs=3, batch_size=16, verbose=0).history
    assert alone["loss"] == history["loss"]
    assert all(np.array_equal(a, b) for a, b in zip(plain.get_weights(), model.get_weights(), strict=True))


def test_other_callbacks_see_it() -> None:
    stop = EarlyStopping(monitor="train_loss", min_delta=1e9, patience=1, mode="min")
    callbacks = [TrainingLoss((X, Y), samples=10, freq=1), stop]
    history = network().fit(X, Y, epochs=9, verbose=0, callbacks=callbacks)
    assert 1 <= len(history.epoch) < 9 and len(history.history["train_loss"]) == len(history.epoch)


def test_every_so_many_epochs_and_nested_inputs() -> None:
    a, b = layers.Input((1,), name="a"), layers.Input((1,), name="b")
    model = lamina.Model({"a": a, "b": b}, layers.Dense(1)(layers.Add()([a, b])))
    model.compile("sgd", "mse")
    x = {"a": X, "b": X}
    history = model.fit(x, Y, epochs=4, verbose=0, callbacks=[TrainingLoss(x, Y, samples=7, freq=2)]).history
    assert len(history["train_loss"]) == 2 and len(history["loss"]) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((X,), "x and y"), ((X, Y[:3]), r"\[3, 64\]"), ((X, Y, 0), "samples"), ((X[:0], Y[:0]), "rows")],
)
def test_mistakes(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        TrainingLoss(*arguments)


# --- History.train_loss -----------------------------------------------------------------------------------
def long_data(rows: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, (rows, 1)).astype(np.float32)
    return x, x**2


class Evaluates(lamina.callbacks.Callback):
    """What ``evaluate`` says of the rows after each epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y, self.seen = x, y, []  # type: ignore[var-annotated]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rows = self.model.history._part.rows
        self.seen.append(self.model.evaluate(self.x[rows], self.y[rows], verbose=0, return_dict=True))


@pytest.mark.parametrize("batch", [16, 50])
def test_history_measures_a_fixed_part_in_evaluation_mode(batch: int) -> None:
    (x, y), held = long_data(), (X[:60], Y[:60])
    model, watch = network(), Evaluates(x, y)
    history = model.fit(x, y, batch, 3, 0, callbacks=[watch], validation_data=held)
    assert np.allclose(history.train_loss, [s["loss"] for s in watch.seen], rtol=1e-5)
    assert np.allclose(history.evaluated["mae"], [s["mae"] for s in watch.seen], rtol=1e-5)
    assert not np.allclose(history.train_loss, history.history["loss"], rtol=1e-2)
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]  # the keys of Keras, and no more


class Sampling(layers.Layer):
    """Draws in evaluation mode too."""

    def call(self, inputs: Any) -> Any:
        return inputs + 0.1 * lamina.random.normal(inputs.shape)


def test_measuring_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = long_data(512)

    def run() -> tuple[Any, Any, Any]:
        lamina.random.seed(3)
        inner = [Sampling(), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
        model = lamina.Sequential([layers.Input((1,)), *inner])
        model.compile("adam", "mse", metrics=[lamina.metrics.AUC(name="auc")])
        seen: list[float] = []
        watch = lamina.callbacks.LambdaCallback(
            on_epoch_end=lambda e, logs: seen.append(float(model.metrics[-1].metrics[0].result()))
        )
        history = model.fit(x, y > 0.3, 32, 3, 0, [watch], validation_data=(X, Y > 0.3))
        return history, seen, model.get_weights()

    with_it, seen, weights = run()
    assert len(with_it.train_loss) == 3
    monkeypatch.setattr("lamina.training.fixed_part._fits", lambda *_: False)
    without, seen_without, weights_without = run()
    assert without.train_loss == [] and with_it.history == without.history and seen == seen_without
    assert all(np.array_equal(a, b) for a, b in zip(weights, weights_without, strict=True))


def test_it_is_kept_in_checkpoints(tmp_path: Any) -> None:
    x, y = long_data(256)

    def run(folder: str, epochs: int, resume: bool) -> Any:
        model = network()
        where = tmp_path / folder
        return model.fit(x, y, 16, epochs, 0, validation_split=0.25, checkpoint=where, resume=resume)

    whole = run("a", 4, False)
    run("b", 2, False)
    resumed = run("b", 4, True)
    assert resumed.train_loss == whole.train_loss and len(whole.train_loss) == 4


def test_it_is_measured_where_validation_is() -> None:
    x, y = long_data(256)
    assert network().fit(x, y, epochs=2, verbose=0).train_loss == []
    often = network().fit(x, y, epochs=4, verbose=0, validation_split=0.25, validation_freq=2)
    assert len(often.train_loss) == len(often.history["val_loss"]) == 2
    batches = [(x[:32], y[:32])] * 3
    assert network().fit(iter(batches), epochs=1, verbose=0, validation_data=(x, y)).train_loss == []


def test_overfitting_is_told_by_it() -> None:
    history = lamina.callbacks.History()
    history.history = {"loss": [3, 2, 1, 1, 1.1, 1.2], "val_loss": [3, 2, 1.5, 1.7, 1.9, 2.2]}
    assert history.overfitting_from() is None
    history.evaluated = {"loss": [3, 2, 1, 0.5, 0.2, 0.1]}
    assert history.overfitting_from() == 2


def test_it_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    x, y = long_data(256)
    history = network().fit(x, y, epochs=2, verbose=0, validation_split=0.25)
    loss = history.plot().axes[0]
    assert [line.get_label() for line in loss.lines] == ["training", "training, evaluated", "validation"]
    assert "train_loss" in history._repr_html_()
