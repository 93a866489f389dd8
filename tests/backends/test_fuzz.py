"""Generated shapes, layouts and options: compiled kernels against the same ops run eagerly."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina import nn, ops

ROUNDS = int(os.environ.get("LAMINA_FUZZ_ROUNDS", 25))
FUZZ = settings(
    max_examples=ROUNDS, deadline=None, derandomize="LAMINA_FUZZ_ROUNDS" not in os.environ, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip

sizes = st.sampled_from([1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 64, 67])
maybe_empty = st.sampled_from([0, 1, 1, 2, 3, 5, 16, 19])
small = st.integers(1, 9)
dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def arrays(draw, shape, dtype="float32"):
    """Normal numbers of a shape, in memory in some way: plain, transposed, reversed, cut out of more, repeated."""
    rng = np.random.default_rng(draw(seeds))
    layout = draw(st.sampled_from(["plain", "fortran", "reversed", "every second", "inner part", "repeated"]))
    if layout == "repeated" and shape:
        x = np.broadcast_to(rng.normal(size=(1, *shape[1:])), shape)
        return x.astype(dtype) if dtype != "float64" else x
    if layout == "fortran":
        return np.asfortranarray(rng.normal(size=shape).astype(dtype))
    if layout == "reversed":
        return rng.normal(size=shape).astype(dtype)[tuple(slice(None, None, -1) for _ in shape)]
    if layout == "every second":
        return rng.normal(size=[2 * n for n in shape]).astype(dtype)[tuple(slice(None, None, 2) for _ in shape)]
    if layout == "inner part":
        return rng.normal(size=[n + 3 for n in shape]).astype(dtype)[tuple(slice(1, n + 1) for n in shape)]
    return rng.normal(size=shape).astype(dtype)


def agree(function, *given_arrays, bound=256):
    """Compiled and eager agree, and so do the gradients; the arrays are left alone."""
    kept = [a.copy() for a in given_arrays]
    tensors = [lamina.tensor(a) if i % 2 else a for i, a in enumerate(given_arrays)]  # both ways in

    def with_gradients(*inputs):
        sources = [t for t in map(lamina.asarray, inputs) if t.dtype.kind == "f"]
        others = [t for t in map(lamina.asarray, inputs) if t.dtype.kind != "f"]
        with lamina.GradientTape() as tape:
            tape.watch(sources)
            y = function(*sources, *others)
            total = (y * y).sum()
        return [y, *tape.gradient(total, sources, unconnected_gradients="zero")]

    compiled = lamina.function(with_gradients)(*tensors)
    for got, want in zip(compiled, with_gradients(*tensors), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        got, want = got.numpy(), want.numpy()
        scale = max(1.0, float(np.abs(want).max(initial=0)))
        eps = bound * float(np.finfo(want.dtype).eps)
        np.testing.assert_allclose(got, want, rtol=eps, atol=eps * scale)
    for array, before in zip(given_arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)


@FUZZ
@given(st.data(), dtypes, sizes, st.sampled_from([1, 2, 7, 40, 129, 600]), sizes, st.booleans(), st.booleans())
def test_products(data, dtype, m, k, n, left, right):
    a = data.draw(arrays((k, m) if left else (m, k), dtype))
    b = data.draw(arrays((n, k) if right else (k, n), dtype))
    bias = data.draw(arrays((n,), dtype))
    agree(lambda a, b, c: ops.tanh((a.T if left else a) @ (b.T if right else b) * 0.1 + c), a, b, bias, bound=2048)


@FUZZ
@given(st.data(), maybe_empty, st.integers(1, 4), sizes, sizes, sizes)
def test_batched_products(data, batch, heads, m, k, n):
    a, b = data.draw(arrays((batch, heads, m, k))), data.draw(arrays((batch, heads, k, n)))
    agree(lambda a, b: a @ b, a, b, bound=2048)


@st.composite
def convolutions(draw):
    """``(image, kernel, options)`` of a convolution that has an output."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    kernel = [draw(st.integers(1, 5 if rank < 3 else 3)) for _ in range(rank)]
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = groups * draw(st.sampled_from([1, 2, 3, 5, 8, 17]))
    filters = groups * draw(st.sampled_from([1, 2, 5, 16, 33]))
    strides, dilation = 1, 1
    if draw(st.booleans()):
        strides = draw(st.integers(1, 3))
    else:
        dilation = draw(st.integers(1, 2))
    spatial = [dilation * (k - 1) + draw(st.integers(1, 12 if rank < 3 else 5)) for k in kernel]
    padding = draw(st.sampled_from(["valid", "same"]))
    options = {"strides": strides, "dilation_rate": dilation, "padding": padding}
    return [draw(maybe_empty), *spatial, channels], [*kernel, channels // groups, filters], options


@FUZZ
@given(st.data(), convolutions(), dtypes)
def test_convolutions(data, problem, dtype):
    image, kernel, options = problem
    agree(
        lambda x, w, b: ops.relu(nn.conv(x, w, **options) + b),
        data.draw(arrays(tuple(image), dtype)), data.draw(arrays(tuple(kernel), dtype)),
        data.draw(arrays((kernel[-1],), dtype)), bound=2048,
    )  # fmt: skip


@FUZZ
@given(st.data(), maybe_empty, small, small, sizes, st.integers(1, 3), st.integers(1, 3), st.booleans(), st.booleans())
def test_pooling(data, batch, height, width, channels, window, strides, same, largest):
    padding = "same" if same else "valid"
    x = data.draw(arrays((batch, height + window - 1, width + window - 1, channels)))
    pool = nn.max_pool if largest else nn.average_pool
    agree(lambda x: pool(x, window, strides=strides, padding=padding), x)


@FUZZ
@given(st.data(), st.lists(sizes, min_size=1, max_size=3), dtypes)
def test_rows_and_columns(data, shape, dtype):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = data.draw(arrays(tuple(shape), dtype))

    def standardise(x):
        centred = x - ops.mean(x, axis=axis, keepdims=True)
        return centred / ops.sqrt(ops.mean(ops.square(centred), axis=axis, keepdims=True) + 0.1)

    agree(standardise, x)
    agree(lambda x: nn.log_softmax(x, axis=axis), x)
    agree(lambda x: ops.max(x, axis=axis) + ops.sum(ops.exp(x), axis=axis), x, bound=1024)


@FUZZ
@given(st.data(), maybe_empty, sizes, sizes, st.integers(0, 40))
def test_rows_by_number(data, batch, width, height, count):
    table, x = data.draw(arrays((height, width))), data.draw(arrays((batch, count, width)))
    rows = np.random.default_rng(data.draw(seeds)).integers(-height, height, (batch, count))
    agree(lambda table, x, rows: ops.take(table, rows, axis=0) * x, table, x, rows)
    first = rows[:1].reshape(-1)
    updates = np.ones((len(first), width), "float32")
    agree(lambda table, updates, rows: ops.scatter_add(table, rows, updates), table, updates, first)


@FUZZ
@given(st.data(), st.lists(maybe_empty, min_size=1, max_size=4))
def test_broadcasting_joining_and_views(data, shape):
    other = [n if data.draw(st.booleans()) else 1 for n in shape]
    x, y = data.draw(arrays(tuple(shape))), data.draw(arrays(tuple(other[data.draw(st.integers(0, len(other) - 1)) :])))
    axis = data.draw(st.integers(0, len(shape) - 1))
    order = data.draw(st.permutations(range(len(shape))))

    def run(x, y):
        z = ops.where(x > y, x * y, x - y)
        z = ops.concat([z, ops.flip(x, axis=axis)], axis=axis)
        return ops.permute_dims(z, order)[..., ::-1] * 0.5

    agree(run, x, y)
