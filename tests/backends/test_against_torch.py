"""Compiled kernels and their gradients against PyTorch, in float64, over generated shapes and options."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn, ops

torch = pytest.importorskip("torch", reason="comparison with PyTorch, which is not installed")
F = torch.nn.functional

ROUNDS = int(os.environ.get("LAMINA_FUZZ_ROUNDS", 20))
FUZZ = settings(
    max_examples=ROUNDS, deadline=None, derandomize="LAMINA_FUZZ_ROUNDS" not in os.environ, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def first(x):
    """Channels first, as PyTorch has them."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1)).contiguous()


def last(x):
    return x.permute(0, *range(2, x.ndim), 1)


def kernel_first(w):
    """(*sizes, channels, filters) -> (filters, channels, *sizes)."""
    return w.permute(w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)).contiguous()


def agree(ours, theirs, *arrays):
    """Values and gradients of a weighted sum, ours compiled."""

    def run(*tensors):
        with lamina.GradientTape() as tape:
            tape.watch(tensors)
            y = ours(*tensors)
            weights = ops.reshape(ops.sin(ops.arange(y.size, dtype="float64")), y.shape)
            total = (y * weights).sum()
        return [y, *tape.gradient(total, tensors)]

    got = lamina.function(run)(*arrays)
    sources = [torch.tensor(a, requires_grad=True) for a in arrays]
    y = theirs(*sources)
    weights = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
    (y * weights).sum().backward()
    for mine, expected in zip(got, [y, *(s.grad for s in sources)], strict=True):
        expected = expected.detach().numpy()
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(mine.numpy(), expected, rtol=1e-10, atol=1e-11 * scale)


def padded_same(x, sizes, strides, dilation, value=0.0):
    """Padding so that there are ``ceil(n / stride)`` windows, the odd element at the end."""
    pads = []
    for n, k in zip(x.shape[2:], sizes, strict=True):
        total = max((-(-n // strides) - 1) * strides + (k - 1) * dilation + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


ranks = st.sampled_from([1, 2, 2, 3])
seeds = st.integers(0, 1000)


@FUZZ
@given(st.data(), ranks, seeds, st.sampled_from([1, 1, 2, 4]), st.booleans(), st.integers(1, 3), st.integers(1, 2))
def test_convolutions(data, rank, seed, groups, same, strides, dilation):
    if strides > 1:
        dilation = 1
    sizes = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    spatial = [dilation * (k - 1) + data.draw(st.integers(1, 7)) for k in sizes]
    channels, filters = (groups * data.draw(st.sampled_from([1, 2, 5])) for _ in range(2))
    x = normal(seed, data.draw(st.integers(1, 3)), *spatial, channels)
    w = normal(seed + 1, *sizes, channels // groups, filters)

    def theirs(x, w):
        x = first(x)
        x = padded_same(x, sizes, strides, dilation) if same else x
        return last(CONV[rank](x, kernel_first(w), stride=strides, dilation=dilation, groups=groups))

    padding = "same" if same else "valid"
    agree(lambda x, w: nn.conv(x, w, strides, padding, dilation_rate=dilation), theirs, x, w)


@FUZZ
@given(st.data(), ranks, seeds, st.integers(1, 3))
def test_depthwise_convolutions(data, rank, seed, strides):
    sizes = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    spatial = [k - 1 + data.draw(st.integers(1, 7)) for k in sizes]
    channels, multiplier = data.draw(st.sampled_from([1, 3, 8, 17])), data.draw(st.integers(1, 2))
    x, w = normal(seed, 2, *spatial, channels), normal(seed + 1, *sizes, channels, multiplier)

    def theirs(x, w):
        x, kernel = padded_same(first(x), sizes, strides, 1), kernel_first(w.reshape(*sizes, 1, channels * multiplier))
        return last(CONV[rank](x, kernel, stride=strides, groups=channels))

    agree(lambda x, w: nn.depthwise_conv(x, w, strides, "same"), theirs, x, w)


@FUZZ
@given(st.data(), ranks, seeds, st.integers(1, 3))
def test_transposed_convolutions(data, rank, seed, strides):
    sizes = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    spatial = [data.draw(st.integers(1, 5)) for _ in sizes]
    channels, filters = (data.draw(st.sampled_from([1, 2, 5])) for _ in range(2))
    x, w = normal(seed, 2, *spatial, channels), normal(seed + 1, *sizes, filters, channels)

    def theirs(x, w):
        y = TRANSPOSED[rank](first(x), kernel_first(w), stride=strides)
        extra = [n for k in reversed(sizes) for n in (0, max(strides - k, 0))]  # rows that no window reaches
        return last(F.pad(y, extra))

    agree(lambda x, w: nn.conv_transpose(x, w, strides), theirs, x, w)


@FUZZ
@given(st.data(), ranks, seeds, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_largest_of_windows_with_ties(data, rank, seed, window, strides, same):
    spatial = [window - 1 + data.draw(st.integers(1, 7)) for _ in range(rank)]
    x = np.random.default_rng(seed).integers(0, 3, (2, *spatial, 5)).astype("float64")

    def theirs(x):
        x = first(x)
        x = padded_same(x, [window] * rank, strides, 1, -np.inf) if same else x
        return last(POOL[rank](x, window, strides))

    agree(lambda x: nn.max_pool(x, window, strides, "same" if same else "valid"), theirs, x)


@FUZZ
@given(seeds, st.integers(1, 40), st.integers(2, 70))
def test_cross_entropy_and_normalisation_of_rows(seed, rows, classes):
    labels = np.random.default_rng(seed).integers(0, classes, rows)
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    x = 3 * normal(seed, rows, classes)
    agree(lambda x: loss(labels, x), lambda x: F.cross_entropy(x, torch.tensor(labels)), x)

    def standardise(x):
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        return centred / ops.sqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + 1e-5)

    agree(standardise, lambda x: F.layer_norm(x, (classes,)), x)
