"""Keras: ``fit`` without a progress bar, on TensorFlow where that is installed, else on JAX.

XLA is tried for the network of sentences; for convolutions on CPUs TensorFlow's own kernels are the faster ones.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any

if importlib.util.find_spec("tensorflow"):
    os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras import layers

from benchmarks import engine
from benchmarks.peers import Measurement, fastest, timed

TRIAL_STEPS = 5


def _lenet(x: Any) -> Any:
    for filters in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 5, padding="same", activation="relu")(x))
    return layers.Dense(128, activation="relu")(layers.Flatten()(x))


def _vgg(x: Any) -> Any:
    for filters in (64, 128):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    return layers.Dense(256, activation="relu")(layers.Flatten()(x))


def _resnet18(x: Any) -> Any:
    def conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    x = layers.ReLU()(conv(x, 64, 3))
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            short = conv(x, filters, 1, strides) if strides > 1 else x
            y = conv(layers.ReLU()(conv(x, filters, 3, strides)), filters, 3)
            x = layers.ReLU()(layers.Add()([short, y]))
    return layers.GlobalAveragePooling2D()(x)


BUILDERS = {"lenet": _lenet, "vgg": _vgg, "resnet18": _resnet18}


def _how(xla: bool) -> str:
    name = {"tensorflow": "TensorFlow", "jax": "JAX"}.get(keras.backend.backend(), keras.backend.backend())
    return f"on {name}, jit_compile={xla}"


def _forms(convolutions: bool) -> tuple[bool, ...]:
    """Values of ``jit_compile`` that are worth a trial."""
    if keras.backend.backend() != "tensorflow":
        return (True,)
    return (False,) if convolutions else (False, True)


def _picture_model(network: str, xla: bool) -> Any:
    inputs = layers.Input(engine.pictures(network).shape)
    model = keras.Model(inputs, layers.Dense(engine.CLASSES)(BUILDERS[network](inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(engine.LEARNING_RATE), loss=loss, jit_compile=xla)
    return model


def _epochs(
    build: Callable[[bool], Any], x: np.ndarray, y: np.ndarray, batch: int, forms: tuple[bool, ...]
) -> tuple[Measurement, dict[str, Any]]:
    """Epochs in the form, with or without XLA, that is fastest in a few steps."""
    few = min(len(x), TRIAL_STEPS * batch)
    models, trials = {}, {}
    for xla in forms:
        model = models[_how(xla)] = build(xla)
        model.fit(x[:few], y[:few], batch_size=batch, verbose=0)
        trials[_how(xla)] = _fit(model, x[:few], y[:few], batch)
    name, _ = fastest(trials, "seconds", 2)
    model = models.pop(name)
    models.clear()
    model.set_weights(build(forms[0]).get_weights())
    loss = model.fit(x, y, batch_size=batch, verbose=0).history["loss"][0]
    run = _fit(model, x, y, batch)
    weights = sum(int(np.prod(w.shape)) for w in model.trainable_variables)
    return run, {"how": name, "weights": weights, "loss": loss}


def _fit(model: Any, x: np.ndarray, y: np.ndarray, batch: int) -> Measurement:
    return timed(lambda: model.fit(x, y, batch_size=batch, verbose=0))


def pictures(trial: bool, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``."""
    work = engine.Pictures(**case)
    x, y = work.data()
    return _epochs(lambda xla: _picture_model(work.network, xla), x, y, work.batch, _forms(True))


def sentences(rows: int, trial: bool) -> tuple[Measurement, dict[str, Any]]:
    """Epochs of ``fit``."""
    x, y = engine.sentences(rows)

    def build(xla: bool) -> Any:
        embedding = layers.Embedding(engine.WORDS, engine.WIDTH)
        model = keras.Sequential([layers.Input((engine.SENTENCE_STEPS,), dtype="int32"), embedding])
        model.add(layers.LSTM(engine.HIDDEN))
        model.add(layers.Dense(1))
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.RMSprop(engine.LEARNING_RATE), loss=loss, jit_compile=xla)
        return model

    forms = _forms(False)
    return _epochs(build, x, y, engine.SENTENCE_BATCH, forms if trial else forms[:1])


def first_step(x: np.ndarray, y: np.ndarray, form: str) -> tuple[float, Callable[[], Any]]:
    """Seconds from ResNet-18's first call of ``fit`` to the end of its first step, and what trains one more step."""

    class FirstStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise StopIteration

    batch = engine.pictures("resnet18").batch
    model = _picture_model("resnet18", keras.backend.backend() != "tensorflow")
    started = time.perf_counter()
    with contextlib.suppress(StopIteration):  # the other steps are not waited for
        model.fit(x, y, batch_size=batch, verbose=0, callbacks=[FirstStep()])
    seconds = time.perf_counter() - started
    return seconds, lambda: model.train_on_batch(x[:batch], y[:batch])
