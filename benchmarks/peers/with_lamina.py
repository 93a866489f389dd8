"""Lamina: models through ``fit`` with its progress bar on, as a book writes them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from typing import Any

import numpy as np

import lamina
from benchmarks import work
from benchmarks.peers import Measurement, per_call
from benchmarks.peers.loading import Samples
from lamina import data, layers


def build(network: work.Network, folder: str) -> Any:
    """The compiled model with the first weights."""
    model = lamina.Sequential([layers.Input((network.sizes[0],))])
    for units in network.sizes[1:-1]:
        model.add(layers.Dense(units, activation="relu"))
    classes = network.loss == "classes"
    model.add(layers.Dense(network.sizes[-1], activation="softmax" if classes else "sigmoid"))
    if network.optimizer == "adam":
        optimizer = lamina.optimizers.Adam(work.LEARNING_RATE, epsilon=work.EPSILON)
    else:
        optimizer = lamina.optimizers.RMSprop(work.LEARNING_RATE, rho=work.RHO, epsilon=work.EPSILON)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy" if classes else "binary_crossentropy")
    weights = work.read_weights(folder)
    model.set_weights([a for w in weights for a in (w, np.zeros(w.shape[1], np.float32))])
    return model


def training(network: dict[str, Any], folder: str) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``."""
    net = work.from_json(network)
    x, y = work.read_data(folder)
    model = build(net, folder)
    first = model.fit(x, y, batch_size=net.batch, epochs=1, verbose=1).history["loss"][0]

    def run() -> dict[str, Any]:
        started = time.perf_counter()
        model.fit(x, y, batch_size=net.batch, epochs=net.epochs, verbose=1)
        return {"seconds": (time.perf_counter() - started) / net.epochs}

    return run, {"loss": first, "how": "fit, verbose=1"}


def matmul(sizes: list[int], seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """Products of square matrices, inside ``lamina.function`` and eagerly."""
    rng = np.random.default_rng(0)
    pairs = {}
    for n in sizes:
        pairs[n] = [lamina.asarray(rng.standard_normal((n, n), np.float32)) for _ in range(2)]
    product = lamina.function(lamina.matmul)
    for a, b in pairs.values():
        product(a, b)

    def run() -> dict[str, Any]:
        found = {}
        for n, (a, b) in pairs.items():
            found[str(n)] = per_call(lambda a=a, b=b: product(a, b), seconds)
        # Eager products come last: the threads of NumPy's BLAS stay busy for a tenth of a second after each.
        for n, (a, b) in pairs.items():
            found[f"eager {n}"] = per_call(lambda a=a, b=b: lamina.matmul(a, b), seconds)
        return found

    return run, {}


def eager(size: int, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """A sum of two small matrices; a product, tanh and sum with the gradients of both matrices."""
    rng = np.random.default_rng(0)
    a, b = (lamina.asarray(rng.standard_normal((size, size), np.float32)) for _ in range(2))
    v, w = lamina.Variable(a), lamina.Variable(b)

    def gradients() -> Any:
        with lamina.GradientTape() as tape:
            total = lamina.sum(lamina.tanh(v @ w))
        return tape.gradient(total, [v, w])

    def run() -> dict[str, Any]:
        return {"add": per_call(lambda: a + b, seconds), "gradient": per_call(gradients, seconds)}

    return run, {}


def loading(rows: int, features: int, batch: int) -> tuple[Measurement, dict[str, Any]]:
    """Epochs over batches of arrays, of samples, and of samples in workers; fits on arrays and on a loader."""
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, features), np.float32), rng.integers(0, 10, rows)
    loaders = {
        "rows": data.DataLoader(data.TensorDataset(x, y), batch, shuffle=True),
        "samples": data.DataLoader(Samples(x, y), batch, shuffle=True),
        "workers": data.DataLoader(Samples(x, y), batch, shuffle=True, num_workers=2, persistent_workers=True),
    }
    model = lamina.Sequential([lamina.Input((features,)), layers.Dense(64, "relu"), layers.Dense(10)])
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    fits = {
        "fit arrays": lambda: model.fit(x, y, batch_size=batch, verbose=0),
        "fit loader": lambda: model.fit(loaders["rows"], verbose=0),
    }
    for fit in fits.values():
        fit()  # compiles
    next(iter(loaders["workers"]))  # starts them

    def run() -> dict[str, Any]:
        found = {}
        for name, loader in loaders.items():
            started = time.perf_counter()
            for _ in loader:
                pass
            found[name] = time.perf_counter() - started
        for name, fit in fits.items():
            started = time.process_time()
            fit()
            found[name] = time.process_time() - started
        return found

    return run, {}


def keeping(rows: int, features: int, units: int, batch: int, epochs: int) -> tuple[Measurement, dict[str, Any]]:
    """``fit`` alone, with checkpoints, and watching for NaN; ``preflight``."""
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, features), np.float32), rng.integers(0, 10, rows)
    model = lamina.Sequential([lamina.Input((features,)), layers.Dense(units, "relu"), layers.Dense(10)])
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=batch, verbose=0)

    def run() -> dict[str, Any]:
        found = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, more in (
                ("fit", {"stop_on_nan": False}),
                ("fit, watched", {}),
                ("fit, kept", {"stop_on_nan": False, "checkpoint": folder + "/run"}),
            ):
                started, used = time.perf_counter(), time.process_time()
                model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, **more)
                found[name] = time.perf_counter() - started
                found[f"cpu of {name}"] = time.process_time() - used
        started = time.perf_counter()
        model.preflight(x, y, batch_size=batch, validation_split=0.1)
        found["preflight"] = time.perf_counter() - started
        return found

    run()
    return run, {}


def first_step(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds from the call of a new model's first ``fit`` to the end of its first step."""

    class FirstStep(lamina.callbacks.Callback):
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
