"""Compiled convolutions against NumPy in float64, over generated shapes; what is fused with them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.backends.native.program import Compiler
from lamina.backends.native.target import host
from lamina.backends.native.threads import get_num_threads, set_num_threads
from lamina.ops.conv import out_sizes

ROUNDS = int(os.environ.get("LAMINA_FUZZ_ROUNDS", "12"))


@pytest.fixture(autouse=True)
def same_threads_after():
    before = get_num_threads()
    yield
    set_num_threads(before)


def a_case(seed: int, depthwise: bool) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Input, kernel, cotangent and arguments: odd sizes, strides, holes and paddings, also wider than the image."""
    rng = np.random.default_rng(seed)
    while True:
        rank = int(rng.integers(1, 4))
        kernel = tuple(int(n) for n in rng.integers(1, (8, 6, 4)[rank - 1], rank))
        dilation = tuple(int(n) for n in rng.choice([1, 1, 1, 2, 3], rank))
        strides = tuple(int(n) for n in rng.choice([1, 1, 2, 3], rank))
        reach = [k * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        padding = tuple((int(rng.integers(0, r)), int(rng.integers(0, r))) for r in reach)
        spatial = tuple(int(n) for n in rng.integers(1, (60, 24, 9)[rank - 1], rank))
        out = out_sizes(spatial, kernel, strides, padding, dilation)
        if 0 not in out:
            break
    dtype = rng.choice(["float32", "float32", "float64"])
    batch, channels = int(rng.choice([1, 2, 7])), int(rng.choice([1, 2, 3, 5, 8, 16, 33]))
    filters = channels if depthwise else int(rng.choice([1, 2, 4, 16, 17, 40, 256]))
    x = rng.standard_normal((batch, *spatial, channels)).astype(dtype)
    w = rng.standard_normal((*kernel, 1 if depthwise else channels, filters)).astype(dtype)
    ct = rng.standard_normal((batch, *out, filters)).astype(dtype)
    groups = channels if depthwise else 1
    return x, w, ct, {"strides": strides, "padding": padding, "dilation_rate": dilation, "groups": groups}


def directions(x: Any, w: Any, ct: Any, **arguments: Any) -> Any:
    with lamina.GradientTape() as tape:
        tape.watch(x)
        tape.watch(w)
        y = lamina.nn.conv(x, w, **arguments)
    return y, *tape.gradient(y, (x, w), output_gradients=ct)


@pytest.mark.parametrize("depthwise", [False, True])
def test_all_directions_over_generated_shapes(depthwise):
    for seed in range(ROUNDS):
        x, w, ct, arguments = a_case(seed, depthwise)
        wide = [lamina.tensor(v.astype("float64")) for v in (x, w, ct)]
        expected = [v.numpy() for v in directions(*wide, **arguments)]
        compiled = lamina.function(lambda x, w, ct, arguments=arguments: directions(x, w, ct, **arguments))
        first = None
        for threads in (1, 2, 4, 8):
            set_num_threads(threads)
            found = [v.numpy().copy() for v in compiled(x, w, ct)]
            first = first or found
            for got, same, true in zip(found, first, expected, strict=True):
                assert got.shape == true.shape
                tolerance = (2e-5 if x.dtype == np.float32 else 1e-12) * max(1, np.abs(true).max())
                assert np.abs(got - true).max() <= tolerance, (seed, x.shape, w.shape, arguments)
                assert np.array_equal(got, same), f"{threads} threads: {seed}"


def kinds_of(function: Any, *arguments: Any) -> list[str]:
    """The groups of the compiled graph that go over large arrays, in order."""
    compiler = Compiler(function.graph(*arguments), host())
    groups = [g for phase in compiler.schedule.phases for g in phase]
    return [f"{g.kind} {' '.join(n.primitive.name for n in g.nodes)}" for g in groups if np.prod(g.shape) > 1000]


def test_padding_is_not_stored():
    conv = lamina.function(lambda x, w: lamina.nn.conv(x, w, padding="same"))
    assert kinds_of(conv, np.ones((2, 30, 30, 3), "f"), np.ones((3, 3, 3, 8), "f")) == ["contract conv_panels"]


def test_batch_normalization_reads_its_input_as_often_as_it_must():
    layer = layers.BatchNormalization()
    x = np.random.default_rng(0).standard_normal((16, 16, 16, 32), np.float32)
    layer(lamina.tensor(x), training=True)

    @lamina.function
    def gradient(x, ct):
        with lamina.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return y, *tape.gradient(y, [x, layer.gamma.value, layer.beta.value], output_gradients=ct)

    whole = [k for k in kinds_of(gradient, x, x) if not k.startswith("column")]
    assert len(whole) == 2, whole  # the output, and the gradient; the variance and both sums store nothing


def test_batch_normalization_against_the_derivative_of_its_formula():
    rng = np.random.default_rng(1)
    for axis, shape in ((-1, (6, 5, 4, 3)), (1, (4, 3, 5))):
        layer = layers.BatchNormalization(axis=axis)
        x, ct = (lamina.tensor(rng.standard_normal(shape).astype("float64") + 3) for _ in range(2))
        layer(lamina.astype(x, "float32"), training=True)
        layer.gamma.assign(rng.standard_normal(3).astype("float32"))
        layer.beta.assign(rng.standard_normal(3).astype("float32"))
        reduced = tuple(i for i in range(len(shape)) if i != axis % len(shape))

        def formula(x, gamma, beta, reduced=reduced, layer=layer):
            mean = lamina.mean(x, axis=reduced, keepdims=True)
            centered = x - mean
            variance = lamina.mean(centered * centered, axis=reduced, keepdims=True)
            gamma, beta = (lamina.reshape(v, mean.shape) for v in (gamma, beta))
            return gamma * centered / lamina.sqrt(variance + layer.epsilon) + beta

        def gradients(function, variables, x=x, ct=ct):
            with lamina.GradientTape() as tape:
                for v in (x, *variables):
                    tape.watch(v)
                y = function(x)
            return [y, *tape.gradient(y, (x, *variables), output_gradients=ct)]

        weights = [lamina.astype(v.value, "float64") for v in (layer.gamma, layer.beta)]
        expected = gradients(lambda x, w=weights: formula(x, *w), weights)
        low = [lamina.astype(v, "float32") for v in (x, ct)]
        variables = [layer.gamma, layer.beta]
        found = gradients(lambda x, layer=layer: layer(x, training=True), variables, *low)
        for got, true in zip(found, expected, strict=True):
            np.testing.assert_allclose(got.numpy(), true.numpy(), rtol=2e-4, atol=2e-4)
