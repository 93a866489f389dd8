"""float64 is float64 all the way: compiled code agrees with NumPy to about twelve digits."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import layers, losses, nn, ops, optimizers
from lamina.backends.native.program import NativeExecutable
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph

RNG = np.random.default_rng(0)
DIGITS = 1e-12


def normal(*shape):
    return RNG.normal(size=shape)


def close(got, want, digits=DIGITS):
    assert got.dtype == want.dtype == np.float64
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=digits, atol=digits * scale)


def compare(function, *arrays):
    """Compiled against NumPy; nothing falls back to NumPy, nothing goes through float32."""
    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    expected, _ = run_graph(graph, arrays)
    executable = NativeExecutable(graph)
    assert all(g.kind != "opaque" for g in executable.groups.values())
    for value in (v for n in executable.graph.nodes for v in n.outputs):
        assert value.dtype != np.float32
    for got, want in zip(executable.run(arrays), expected, strict=True):
        close(got, want)


def with_gradients(function):
    """The function's result and the gradients of its weighted sum."""

    def run(*tensors):
        sources = [t for t in tensors if t.dtype == np.float64]
        with lamina.GradientTape() as tape:
            tape.watch(sources)
            y = function(*tensors)
            total = (y * ops.reshape(ops.cos(ops.arange(y.size, dtype="float64")), y.shape)).sum()
        return [y, *tape.gradient(total, sources)]

    return run


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (13, 17, 31), (64, 700, 48), (300, 37, 5), (7, 1030, 257)])
def test_products(m, k, n):
    compare(with_gradients(lambda a, b: a @ b), normal(m, k), normal(k, n))
    compare(lambda a, b: a.T @ b.T, normal(k, m), normal(n, k))


@pytest.mark.parametrize(
    ("image", "kernel", "options"),
    [
        ((2, 9, 9, 3), (3, 3, 3, 5), {"padding": "same"}),
        ((2, 9, 11, 1), (5, 5, 1, 20), {}),
        ((1, 8, 8, 6), (3, 3, 6, 4), {"strides": 2, "padding": "same"}),
        ((2, 10, 10, 4), (1, 1, 4, 33), {}),
        ((2, 17, 5), (3, 5, 7), {"dilation_rate": 2}),
        ((1, 5, 6, 4, 2), (2, 3, 2, 2, 3), {"padding": "same"}),
    ],
)
def test_convolutions(image, kernel, options):
    compare(with_gradients(lambda x, w: nn.conv(x, w, **options)), normal(*image), normal(*kernel))


@pytest.mark.parametrize("make", [nn.max_pool, nn.average_pool])
def test_pooling(make):
    compare(with_gradients(lambda x: make(x, 2)), normal(2, 8, 9, 5))
    compare(with_gradients(lambda x: make(x, 3, strides=2, padding="same")), normal(2, 8, 9, 5))


@pytest.mark.parametrize("shape", [(33, 70), (5, 7, 13), (4, 6, 5, 16)])
def test_normalisations(shape):
    def standardise(axis):
        def run(x):
            centred = x - ops.mean(x, axis=axis, keepdims=True)
            return centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + 1e-5)

        return run

    for axis in (-1, 0, tuple(range(len(shape) - 1))):
        compare(with_gradients(standardise(axis)), normal(*shape) * 3 + 5)
    compare(with_gradients(nn.softmax), normal(*shape) * 4)
    compare(with_gradients(nn.log_softmax), normal(*shape) * 4)


FUNCTIONS = [
    ops.exp, ops.log1p, ops.tanh, ops.erf, ops.sin, ops.expm1, nn.sigmoid, nn.softplus, nn.gelu, nn.silu, nn.elu,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions(function):
    compare(with_gradients(function), ops.abs(lamina.tensor(normal(7, 301))).numpy())


CLASSES = RNG.integers(0, 7, 20)
LOSSES = [
    (losses.MeanSquaredError, {}, normal(20, 7), normal(20, 7)),
    (losses.MeanAbsoluteError, {}, normal(20, 7), normal(20, 7)),
    (losses.BinaryCrossentropy, {}, (normal(20, 3) > 0) * 1.0, RNG.uniform(0.01, 0.99, (20, 3))),
    (losses.BinaryCrossentropy, {"from_logits": True}, (normal(20, 3) > 0) * 1.0, normal(20, 3)),
    (losses.CategoricalCrossentropy, {"from_logits": True}, np.eye(7)[CLASSES], normal(20, 7)),
    (losses.SparseCategoricalCrossentropy, {}, CLASSES, RNG.dirichlet(np.ones(7), 20)),
    (losses.SparseCategoricalCrossentropy, {"from_logits": True}, CLASSES, normal(20, 7)),
]


@pytest.mark.parametrize(("cls", "options", "targets", "outputs"), LOSSES)
def test_losses(cls, options, targets, outputs):
    loss = cls(dtype="float64", **options)

    def run(prediction):
        with lamina.GradientTape() as tape:
            tape.watch(prediction)
            value = loss(targets, prediction)
        return [value, tape.gradient(value, prediction)]

    compare(run, outputs)


OPTIMIZERS = [
    lambda: optimizers.SGD(0.05, momentum=0.9),
    lambda: optimizers.Adam(0.01),
    lambda: optimizers.RMSprop(0.01),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_training(make):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(48, 10, 10, 2)), rng.integers(0, 4, 48)
    results = []
    for run_eagerly in (False, True):
        lamina.random.seed(7)
        network = [
            lamina.Input((10, 10, 2), dtype="float64"),
            layers.Conv2D(6, 3, padding="same", use_bias=False, dtype="float64"),
            layers.BatchNormalization(dtype="float64"),
            layers.MaxPooling2D(dtype="float64"),
            layers.LayerNormalization(dtype="float64"),
            layers.Flatten(dtype="float64"),
            layers.Dense(19, "tanh", dtype="float64"),
            layers.Dense(4, "softmax", dtype="float64"),
        ]
        model = lamina.Sequential(network)
        model.compile(make(), "sparse_categorical_crossentropy", run_eagerly=run_eagerly)
        model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
        results.append([*model.get_weights(), model.predict(x, verbose=0)])
    for got, want in zip(*results, strict=True):
        close(got, want, 1e-9)  # six steps carry rounding on
