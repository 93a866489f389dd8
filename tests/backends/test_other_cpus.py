"""Code for CPUs below this one, run here; code for ARM, assembled."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from op_table import CASES

import lamina
from lamina import layers, nn, optimizers
from lamina.backends.native import target as targets
from lamina.backends.native.program import Compiler, NativeExecutable
from lamina.core.primitive import Spec
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph

LOWER = {"avx512": ("avx2", "plain"), "avx2": ("plain",), "sse": (), "neon": ()}[targets._host("").simd]
SHARE = 6  # into how many graphs the op table goes
# What code may call from outside.
KNOWN = targets.MATH_FUNCTIONS + targets.MEMORY_FUNCTIONS


def arguments(case, dtype):
    rng = np.random.default_rng(zlib.crc32(case.label.encode()))
    return [a.astype(dtype) if a.dtype == np.float64 else a for a in map(np.asarray, case.make(rng))]


def gradients(case, tensors):
    sources = [t for t in tensors if t.dtype.kind == "f"]
    with lamina.GradientTape() as tape:
        tape.watch(sources)
        total = case.function(*tensors).sum()
    return tape.gradient(total, sources, unconnected_gradients="zero")


def several(cases, dtype, differentiate):
    """One graph of many rows of the table: ``(graph, arrays, case of each output)``."""
    arrays, owners = [], []
    for case in cases:
        arrays += arguments(case, dtype)

    def function(*tensors):
        at, results = 0, []
        for case in cases:
            count = len(arguments(case, dtype))
            mine, at = tensors[at : at + count], at + count
            found = gradients(case, list(mine)) if differentiate else [case.function(*mine)]
            results += found
            owners.extend([case] * len(found))
        return results

    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    return graph, arrays, owners


def check_rows(cases, dtype, target, differentiate=False):
    graph, arrays, owners = several(cases, dtype, differentiate)
    with np.errstate(all="ignore"):
        expected, _ = run_graph(graph, arrays)
    ulp = float(np.finfo(dtype).eps)
    for case, got, want in zip(owners, NativeExecutable(graph, target).run(arrays), expected, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape, case.label
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(got, want, err_msg=case.label)
            continue
        scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
        bound = (64 if differentiate else 1) * case.tolerance * ulp
        np.testing.assert_allclose(got, want, rtol=bound, atol=max(4 * ulp, bound / 8) * scale, err_msg=case.label)


def rows(dtype, part=None, differentiable=False):
    found = [c for c in CASES if dtype in (c.dtypes or (dtype,)) and (c.differentiable or not differentiable)]
    return found if part is None else found[part::SHARE]


@pytest.mark.parametrize("level", LOWER)
@pytest.mark.parametrize("part", range(SHARE))
def test_the_op_table(part, level):
    check_rows(rows("float32", part), "float32", targets.named(level))


@pytest.mark.slow
@pytest.mark.parametrize("level", LOWER)
@pytest.mark.parametrize("part", range(SHARE))
def test_the_op_table_in_float64_and_its_gradients(part, level):
    target = targets.named(level)
    check_rows(rows("float64", part), "float64", target)
    check_rows(rows("float32", part, True), "float32", target, differentiate=True)
    check_rows(rows("float64", part, True), "float64", target, differentiate=True)


# --- training -----------------------------------------------------------------------------------------
def dense_network():
    return [lamina.Input((13,)), layers.Dense(37, "relu"), layers.BatchNormalization(), layers.Dense(5, "softmax")]


def convolutional_network():
    return [
        lamina.Input((12, 12, 3)),
        layers.Conv2D(9, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.BatchNormalization(),
        layers.Conv2D(20, 3, strides=2, activation="tanh"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5, "softmax"),
    ]


NETWORKS = {"dense": (dense_network, (13,)), "convolutional": (convolutional_network, (12, 12, 3))}


def train(kind, run_eagerly):
    make, shape = NETWORKS[kind]
    lamina.random.seed(5)
    model = lamina.Sequential(make())
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=run_eagerly)
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(50, *shape)).astype("float32"), rng.integers(0, 5, 50)
    history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history
    return history["loss"], model.get_weights(), model.predict(x, verbose=0)


@pytest.mark.parametrize("level", LOWER)
@pytest.mark.parametrize("kind", NETWORKS)
def test_training(kind, level, monkeypatch):
    monkeypatch.setenv("LAMINA_CPU", level)
    loss, weights, predictions = train(kind, False)
    expected_loss, expected_weights, expected = train(kind, True)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-4)
    np.testing.assert_allclose(predictions, expected, rtol=1e-3, atol=1e-4)
    for got, want in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(got, want, rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize("level", LOWER)
def test_results_on_a_lower_level_do_not_depend_on_threads(level, monkeypatch):
    monkeypatch.setenv("LAMINA_CPU", level)
    results = []
    for threads in (1, 3):
        lamina.set_num_threads(threads)
        try:
            results.append(train("convolutional", False)[1])
        finally:
            lamina.set_num_threads(None)
    for one, several in zip(*results, strict=True):
        np.testing.assert_array_equal(one, several)


# --- ARM ----------------------------------------------------------------------------------------------
def assembled(graph):
    """The assembly text of a graph for ARM."""
    neon, listing = targets.named("neon"), []
    assert len(targets.compile_object(Compiler(graph, neon).text, neon, report=listing.append)) > 500
    return listing[0]


def check_calls(text):
    """Everything that the code calls is there: in it, or in the C library."""
    own = set(re.findall(r"^([\w.$]+):", text, re.M))
    called = set(re.findall(r"^\s+bl?\s+([A-Za-z_]\w*)", text, re.M)) - own
    known = {*KNOWN, *(f"{name}f" for name in KNOWN)}
    assert called <= known, called - known


@pytest.mark.parametrize("part", range(SHARE))
def test_the_op_table_assembles_for_arm(part):
    graph, _, _ = several(rows("float32", part), "float32", False)
    check_calls(assembled(graph))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SHARE))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_the_op_table_assemble_for_arm(part, dtype):
    graph, _, _ = several(rows(dtype, part, True), dtype, True)
    check_calls(assembled(graph))


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_training_step_assembles_for_arm(kind):
    make, shape = NETWORKS[kind]
    model, optimizer = lamina.Sequential(make()), optimizers.Adam()
    loss = lamina.losses.SparseCategoricalCrossentropy()

    @lamina.function
    def step(x, y):
        with lamina.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        optimizer.apply(tape.gradient(value, model.trainable_variables), model.trainable_variables)
        return value

    graph, _ = step.lowered(np.zeros((16, *shape), "float32"), np.zeros(16, "int64"))
    text = assembled(graph)
    check_calls(text)
    assert len(re.findall(r"\bfmla\b", text)) > 50  # vector multiplications with additions


# --- loops and attention ----------------------------------------------------------------------------------
def recurrence(x, w, u, b):
    return nn.lstm(x, w, u, b, return_sequences=True)[0]


def attention(q, k, v):
    return nn.scaled_dot_product_attention(q, k, v, causal=True)


def depthwise(x, w):
    return nn.depthwise_conv(x, w, padding="same")


SHAPES = {
    recurrence: [(9, 7, 13), (13, 68), (17, 68), (68,)],
    attention: [(2, 3, 37, 19), (2, 3, 45, 19), (2, 3, 45, 19)],
    depthwise: [(3, 9, 10, 37), (3, 3, 37, 1)],
}


def with_gradients(function):
    def run(*tensors):
        with lamina.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
            total = (y * y).sum()
        return [y, *tape.gradient(total, tensors)]

    return run


def operands(function, dtype):
    rng = np.random.default_rng(3)
    return [(0.3 * rng.normal(size=shape)).astype(dtype) for shape in SHAPES[function]]


@pytest.mark.parametrize("level", LOWER)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", SHAPES, ids=lambda f: f.__name__)
def test_loops_and_attention(function, dtype, level, monkeypatch):
    monkeypatch.setenv("LAMINA_CPU", level)
    tensors = [lamina.tensor(a) for a in operands(function, dtype)]
    run = with_gradients(function)
    bound = 2048 * np.finfo(dtype).eps
    for got, want in zip(lamina.function(run)(*tensors), run(*tensors), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=bound, atol=bound)


@pytest.mark.parametrize("function", SHAPES, ids=lambda f: f.__name__)
def test_loops_and_attention_assemble_for_arm(function):
    graph, _ = lamina.function(with_gradients(function)).lowered(*operands(function, "float32"))
    text = assembled(graph)
    check_calls(text)
    assert re.search(r"\bfmla\b", text)
