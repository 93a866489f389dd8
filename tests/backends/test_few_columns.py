"""Products and convolutions with few columns, whose lanes go along k."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.backends.native.contraction import lanes_along_k
from lamina.backends.native.prepare import prepare
from lamina.backends.native.target import host

TOLERANCE = {np.float32: 2e-4, np.float64: 1e-11}


def primitives(function: Any, *arguments: Any) -> set[str]:
    target = host()
    graph = prepare(function.graph(*arguments), target.lanes(np.float32), target.registers)
    return {node.primitive.name for node in graph.nodes}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [16, 17, 31, 100, 513])
def test_products(dtype: Any, k: int) -> None:
    rng = np.random.default_rng(k)

    @lamina.function
    def f(a: Any, b: Any, c: Any) -> Any:
        return lamina.tanh(a @ b + c)

    for m, n in itertools.product((1, 3, 27, 130), (1, 2, 3, 5, 10)):
        a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (n,)))
        want = np.tanh(a.astype(np.float64) @ b.astype(np.float64) + c)
        assert np.abs(f(a, b, c).numpy() - want).max() < TOLERANCE[dtype]
    assert ("matmul_turned" in primitives(f, a, b[:, :1].copy(), c[:1])) == lanes_along_k(1, k, k, host().lanes(dtype))


SEEN = {
    "as it is": lambda x: x,
    "one row": lambda x: lamina.broadcast_to(x[..., :1, :], x.shape),
    "one column": lambda x: lamina.broadcast_to(x[..., :1], x.shape),
    "one number": lambda x: lamina.broadcast_to(x[..., :1, :1], x.shape),
    "backwards": lambda x: lamina.flip(x, axis=-1),
    "turned": lambda x: lamina.matrix_transpose(lamina.reshape(x, (*x.shape[:-2], x.shape[-1], x.shape[-2]))),
}


@pytest.mark.parametrize("left", SEEN)
@pytest.mark.parametrize("right", SEEN)
def test_products_of_views(left: str, right: str) -> None:
    rng = np.random.default_rng(3)

    @lamina.function
    def f(a: Any, b: Any) -> Any:
        return SEEN[left](a) @ SEEN[right](b)

    for batch, m, k, n in [((), 1, 64, 1), ((), 40, 300, 4), ((2,), 20, 70, 33), ((3,), 5, 1, 6)]:
        a, b = rng.standard_normal((*batch, m, k)), rng.standard_normal((*batch, k, n))
        want = SEEN[left](lamina.tensor(a)).numpy() @ SEEN[right](lamina.tensor(b)).numpy()
        np.testing.assert_allclose(f(a.astype("float32"), b.astype("float32")), want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("channels", "filters"), [(16, 1), (19, 2), (40, 3), (64, 5)])
def test_convolutions(dtype: Any, channels: int, filters: int) -> None:
    rng = np.random.default_rng(channels)
    for size, stride, padding in itertools.product((1, 3, 5), (1, 2), ("same", "valid")):
        f = lamina.function(lambda x, w: nn.conv(x, w, strides=stride, padding=padding))
        x = rng.standard_normal((2, 9, 11, channels)).astype(dtype)
        w = rng.standard_normal((size, size, channels, filters)).astype(dtype)
        exact = (lamina.Tensor(v.astype(np.float64)) for v in (x, w))
        want = nn.conv(*exact, strides=stride, padding=padding).numpy()
        assert np.abs(f(x, w).numpy() - want).max() < TOLERANCE[dtype]


def test_the_gradient_of_a_picture() -> None:
    """The gradient to an input of three channels is such a convolution."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 12, 12, 3))
    w = rng.standard_normal((5, 5, 3, 48))

    def gradient(x: Any, w: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(x)
            loss = lamina.sum(lamina.tanh(nn.conv(x, w, strides=2, padding="same")))
        return tape.gradient(loss, x)

    compiled = lamina.function(gradient)
    got = compiled(x.astype(np.float32), w.astype(np.float32)).numpy()
    want = gradient(lamina.Tensor(x), lamina.Tensor(w)).numpy()
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 512, 801), (8, 300, 77), (33, 1000, 31), (64, 513, 257), (5, 65, 16)])
def test_few_rows_read_a_transposed_matrix_where_it_lies(dtype: Any, m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(m)
    f = lamina.function(lambda a, b, c: nn.relu(a @ lamina.matrix_transpose(b) + c))
    for batch in ((), (3,)):
        a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((*batch, m, k), (*batch, n, k), (n,)))
        want = np.maximum(a.astype(np.float64) @ np.swapaxes(b, -1, -2).astype(np.float64) + c, 0)
        assert np.abs(f(a, b, c).numpy() - want).max() < TOLERANCE[dtype]
        assert "matmul_turned" in primitives(f, a, b, c)
        assert "panels" not in primitives(f, a, b, c)
