"""Lamina: compiled functions, and models through ``fit`` and ``predict`` as a book writes them."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lamina
from benchmarks import engine
from benchmarks.peers import Measurement, per_call, timed
from lamina import applications, layers

BUILDERS = {
    "lenet": applications.LeNet,
    "vgg": applications.VGGSmall,
    "resnet18": functools.partial(applications.ResNet18, input_shape=(32, 32, 3), classes=10),
}


def convolution(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """A convolution and its two gradients, each a compiled function."""
    work = engine.Convolution(**case)
    x, w, ct = map(lamina.asarray, work.arrays())
    sides = ((work.padding, work.padding),) * 2

    def conv(x: Any, w: Any) -> Any:
        return lamina.nn.conv(x, w, strides=work.stride, padding=sides, groups=work.groups)

    @lamina.function
    def input_gradient(x: Any, w: Any, ct: Any) -> Any:
        return lamina.vjp(lambda v: conv(v, w), x)[1](ct)[0]

    @lamina.function
    def kernel_gradient(x: Any, w: Any, ct: Any) -> Any:
        return lamina.vjp(lambda v: conv(x, v), w)[1](ct)[0]

    forward = lamina.function(conv)
    calls = {
        "forward": lambda: forward(x, w),
        "input": lambda: input_gradient(x, w, ct),
        "kernel": lambda: kernel_gradient(x, w, ct),
    }
    return _sum_of(calls, seconds), {}


def _sum_of(calls: dict[str, Callable[[], Any]], seconds: float) -> Measurement:
    for call in calls.values():
        call()

    def run() -> dict[str, Any]:
        found = {name: per_call(call, seconds) for name, call in calls.items()}
        return {**found, "seconds": sum(found.values())}

    return run


def _compiled(network: str) -> Any:
    model = BUILDERS[network]()
    optimizer = lamina.optimizers.Adam(engine.LEARNING_RATE)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


def pictures(trial: bool, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``."""
    work = engine.Pictures(**case)
    return _fitting(_compiled(work.network), work, *work.data())


def _fitting(model: Any, work: engine.Pictures, x: np.ndarray, y: np.ndarray) -> tuple[Measurement, dict[str, Any]]:
    first = model.fit(x, y, batch_size=work.batch, verbose=1).history["loss"][0]
    run = timed(lambda: model.fit(x, y, batch_size=work.batch, verbose=1))
    return run, {"loss": first} | _said(model, work)


def published(**case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Steps of a large network by ``train_on_batch``.

    ``fit`` first keeps a copy of the state, to find what made a NaN: 1.1 GB for VGG-16, which is nothing beside
    hours of steps and would be most of the time here.
    """
    work = engine.Pictures(**case)
    x, y = work.data()
    model = getattr(applications, work.network)()
    optimizer = lamina.optimizers.SGD(engine.LEARNING_RATE, momentum=engine.MOMENTUM)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")

    def epoch() -> float:
        order = np.random.default_rng().permutation(work.rows)
        batches = [order[start : start + work.batch] for start in range(0, work.rows, work.batch)]
        return float(np.mean([model.train_on_batch(x[rows], y[rows]) for rows in batches]))

    first = epoch()
    return timed(epoch), {"loss": first} | _said(model, work)


def _said(model: Any, work: engine.Pictures) -> dict[str, Any]:
    forward, entry = engine.forward_flops(model)
    weights = sum(w.size for w in model.trainable_variables)
    return {"weights": weights, "flops": work.rows * (3 * forward - entry)}


def recurrence(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """The layer in a compiled function, with the gradients of its input and weights."""
    work = engine.Recurrence(**case)
    x, ct = map(lamina.asarray, work.arrays())
    layer = layers.LSTM(work.hidden, return_sequences=True)
    layer(x)

    @lamina.function
    def gradients(x: Any, ct: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(x)
            out = layer(x, training=True)
        return out, tape.gradient(out, [x, *layer.trainable_variables], output_gradients=ct)

    gradients(x, ct)
    return lambda: {"seconds": per_call(lambda: gradients(x, ct), seconds)}, {}


def sentences(rows: int, trial: bool) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``."""
    x, y = engine.sentences(rows)
    model = lamina.Sequential(
        [
            layers.Input((engine.SENTENCE_STEPS,), dtype="int32"),
            layers.Embedding(engine.WORDS, engine.WIDTH),
            layers.LSTM(engine.HIDDEN),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=lamina.optimizers.RMSprop(engine.LEARNING_RATE), loss="binary_crossentropy")
    first = model.fit(x, y, batch_size=engine.SENTENCE_BATCH, verbose=1).history["loss"][0]
    run = timed(lambda: model.fit(x, y, batch_size=engine.SENTENCE_BATCH, verbose=1))
    flops = engine.Recurrence(rows, engine.SENTENCE_STEPS, engine.WIDTH, engine.HIDDEN).flops
    return run, {"loss": first, "weights": model.count_params(), "flops": flops}


def attention(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """A compiled function of the output and three gradients."""
    q, k, v, ct = map(lamina.asarray, engine.Attention(**case).arrays())

    @lamina.function
    def gradients(q: Any, k: Any, v: Any, ct: Any) -> Any:
        out, pull = lamina.vjp(lamina.nn.scaled_dot_product_attention, q, k, v)
        return out, pull(ct)

    gradients(q, k, v, ct)
    return lambda: {"seconds": per_call(lambda: gradients(q, k, v, ct), seconds)}, {}


def predict(network: str, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """``model.predict`` of one picture."""
    x = engine.pictures(network).smaller().data()[0][:1]
    model = BUILDERS[network]()
    model.predict(x, batch_size=1, verbose=0)
    model.predict_on_batch(x)

    def run() -> dict[str, Any]:
        return {
            "seconds": per_call(lambda: model.predict(x, batch_size=1, verbose=0), seconds),
            "predict_on_batch": per_call(lambda: model.predict_on_batch(x), seconds),
        }

    return run, {"flops": engine.forward_flops(model)[0]}


def first_step(x: np.ndarray, y: np.ndarray, form: str) -> tuple[float, Callable[[], Any]]:
    """Seconds from ResNet-18's first call of ``fit`` to the end of its first step, and what trains one more step."""

    class FirstStep(lamina.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise StopIteration

    batch = engine.pictures("resnet18").batch
    model = _compiled("resnet18")
    started = time.perf_counter()
    with contextlib.suppress(StopIteration):  # the other steps are not waited for
        model.fit(x, y, batch_size=batch, verbose=0, callbacks=[FirstStep()])
    seconds = time.perf_counter() - started
    return seconds, lambda: model.fit(x, y, batch_size=batch, steps_per_epoch=1, verbose=0)
