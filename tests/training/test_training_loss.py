"""``callbacks.TrainingLoss``: the training loss as validation measures it."""

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
