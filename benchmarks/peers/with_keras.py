"""Keras on JAX: ``fit`` without a progress bar, in as many steps per call as suit it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks import work
from benchmarks.peers import Measurement, fastest, timed


def build(network: work.Network, folder: str, steps: int = 1) -> Any:
    """The compiled model with the first weights."""
    model = keras.Sequential([layers.Input((network.sizes[0],))])
    for units in network.sizes[1:-1]:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(network.sizes[-1]))  # logits: the faster form of the loss
    if network.optimizer == "adam":
        optimizer = keras.optimizers.Adam(work.LEARNING_RATE, epsilon=work.EPSILON)
    else:
        optimizer = keras.optimizers.RMSprop(work.LEARNING_RATE, rho=work.RHO, epsilon=work.EPSILON)
    if network.loss == "classes":
        loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=True, steps_per_execution=steps)
    weights = work.read_weights(folder)
    model.set_weights([a for w in weights for a in (w, np.zeros(w.shape[1], np.float32))])
    return model


def training(network: dict[str, Any], folder: str) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``, with one or with eight steps in a compiled call."""
    net = work.from_json(network)
    x, y = work.read_data(folder)
    few = min(net.rows, 150 * net.batch)
    models = {"fit": build(net, folder), "fit, steps_per_execution=8": build(net, folder, 8)}

    def short(model: Any) -> Measurement:
        run = timed(lambda: model.fit(x[:few], y[:few], batch_size=net.batch, verbose=0))
        run()
        return run

    name, _ = fastest({name: short(model) for name, model in models.items()}, "seconds")
    model = models[name]
    model.set_weights(build(net, folder).get_weights())
    first = build(net, folder).fit(x, y, batch_size=net.batch, verbose=0).history["loss"][0]
    model.fit(x, y, batch_size=net.batch, verbose=0)

    def run() -> dict[str, Any]:
        started = time.perf_counter()
        model.fit(x, y, batch_size=net.batch, epochs=net.epochs, verbose=0)
        return {"seconds": (time.perf_counter() - started) / net.epochs}

    return run, {"loss": first, "how": name}


def keeping(rows: int, features: int, units: int, batch: int, epochs: int) -> tuple[Measurement, dict[str, Any]]:
    """``fit`` alone and with ``BackupAndRestore``."""
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, features), np.float32), rng.integers(0, 10, rows)
    model = keras.Sequential([layers.Input((features,)), layers.Dense(units, activation="relu"), layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=True, steps_per_execution=8)
    model.fit(x, y, batch_size=batch, verbose=0)

    def run() -> dict[str, Any]:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, callbacks in (("fit", []), ("fit, kept", [keras.callbacks.BackupAndRestore(folder)])):
                started = time.perf_counter()
                model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=callbacks)
                found[name] = time.perf_counter() - started
        return found

    run()
    return run, {}


def first_step(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds from the call of a new model's first ``fit`` to the end of its first step."""

    class FirstStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise StopIteration

    model = build(network, folder)
    started = time.perf_counter()
    with contextlib.suppress(StopIteration):  # the other steps are not waited for
        model.fit(x, y, batch_size=network.batch, verbose=0, callbacks=[FirstStep()])
    return time.perf_counter() - started


def epochs(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> None:
    """Two epochs, for the memory that they take."""
    build(network, folder).fit(x, y, batch_size=network.batch, epochs=2, verbose=0)
