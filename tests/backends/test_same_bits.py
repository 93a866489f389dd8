"""Results are the same to the bit on 1, 2, 4 and 8 threads, and in every run."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import layers, nn, ops
from lamina.backends.native.threads import set_num_threads

THREADS = (1, 2, 4, 8)


def gradients(function):
    def run(*tensors):
        sources = [t for t in tensors if t.dtype.kind == "f"]
        with lamina.GradientTape() as tape:
            tape.watch(sources)
            y = function(*tensors)
            total = (y * ops.sin(y)).sum()
        return [y, total, *tape.gradient(total, sources)]

    return run


def standardise(x):
    centred = x - ops.mean(x, axis=(0, 1, 2), keepdims=True)
    return centred / ops.sqrt(ops.mean(ops.square(centred), axis=(0, 1, 2), keepdims=True) + 1e-3)


PROBLEMS = {
    "product": (lambda a, b: ops.tanh(a @ b), [(300, 700), (700, 130)]),
    "tall product": (lambda a, b: a.T @ b, [(3000, 20), (3000, 33)]),
    "convolution": (lambda x, w: nn.conv(x, w, padding="same"), [(9, 17, 19, 24), (3, 3, 24, 40)]),
    "one channel": (lambda x, w: nn.conv(x, w), [(33, 28, 28, 1), (5, 5, 1, 32)]),
    "strides": (lambda x, w: nn.conv(x, w, strides=2, padding="same"), [(8, 31, 32, 16), (3, 3, 16, 33)]),
    "depthwise": (lambda x, w: nn.depthwise_conv(x, w, padding="same"), [(6, 20, 21, 48), (3, 3, 48, 1)]),
    "pooling": (lambda x: nn.max_pool(x, 3, strides=2, padding="same") * 1.5, [(8, 33, 32, 20)]),
    "mean pooling": (lambda x: nn.average_pool(x, 2), [(8, 32, 32, 20)]),
    "normalisation": (standardise, [(16, 15, 14, 37)]),
    "softmax": (nn.softmax, [(700, 301)]),
    "whole sum": (lambda x: ops.sum(x * x) / 100, [(1003, 317)]),
    "recurrence": (lambda x, w, u, b: nn.lstm(x, w, u, b)[0], [(37, 9, 20), (20, 96), (24, 96), (96,)]),
    "attention": (nn.scaled_dot_product_attention, [(3, 4, 130, 32), (3, 4, 90, 32), (3, 4, 90, 32)]),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_kernels(name):
    function, shapes = PROBLEMS[name]
    rng = np.random.default_rng(0)
    tensors = [lamina.tensor((0.5 * rng.normal(size=s)).astype("float32")) for s in shapes]
    compiled = lamina.function(gradients(function))
    results = []
    try:
        for threads in (*THREADS, THREADS[-1]):
            set_num_threads(threads)
            results.append([t.numpy().copy() for t in compiled(*tensors)])
    finally:
        set_num_threads(None)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_rows_that_are_scattered():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 50, 4000)  # many updates for each row
    updates = rng.normal(size=(4000, 33)).astype("float32")
    compiled = lamina.function(lambda u: ops.scatter_add(ops.zeros((50, 33)), rows, u))
    results = []
    try:
        for threads in THREADS:
            set_num_threads(threads)
            results.append(compiled(updates).numpy().copy())
    finally:
        set_num_threads(None)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_training_a_network_of_many_kinds_of_layers():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(96, 16, 16, 3)).astype("float32"), rng.integers(0, 5, 96)
    results = []
    try:
        for threads in (1, 3, 8):
            set_num_threads(threads)
            lamina.random.seed(3)
            model = lamina.Sequential(
                [
                    lamina.Input((16, 16, 3)),
                    layers.Conv2D(24, 3, padding="same", activation="relu"),
                    layers.BatchNormalization(),
                    layers.MaxPooling2D(),
                    layers.SeparableConv2D(40, 3, strides=2, padding="same", activation="gelu"),
                    layers.LayerNormalization(),
                    layers.Dropout(0.3),
                    layers.Flatten(),
                    layers.Dense(70, "tanh"),
                    layers.Dense(5, "softmax"),
                ]
            )
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            history = model.fit(x, y, batch_size=48, epochs=2, verbose=0).history
            predictions = model.predict(x, batch_size=96, verbose=0)
            results.append([*model.get_weights(), np.asarray(history["loss"]), predictions])
    finally:
        set_num_threads(None)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
