"""Running sums and products as native kernels: NumPy's results to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina.backends.native.support import supported
from lamina.core.primitive import bind
from lamina.graph.capture import capture_graph
from lamina.ops.reduction import CUMPROD, CUMSUM

# Lines of all kinds: a vector, few and many rows, vectors with a rest, blocks of vectors, a last dimension of one.
SHAPES = [(1,), (1000,), (7, 3), (9, 33), (3, 5, 7), (2, 9, 140), (3, 6, 2, 17), (5, 4, 1), (64, 300)]


def check(primitive: Any, x: np.ndarray, axis: int, reverse: bool, view: Any = lambda x: x) -> None:
    def run(x: Any) -> Any:
        return bind(primitive, view(x), axis=axis, reverse=reverse)

    compiled = lamina.function(run)
    got, expected = compiled(x).numpy(), run(lamina.tensor(x)).numpy()
    assert got.dtype == expected.dtype
    assert got.tobytes() == expected.tobytes()
    assert all(supported(node) for node in capture_graph(run, [x])[0].nodes)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [(s, a) for s in SHAPES for a in range(len(s))])
def test_sums_along_every_axis(shape: tuple[int, ...], axis: int, reverse: bool) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[0] = -0.0  # a sum that began with 0 would lose the sign
    check(CUMSUM, x, axis, reverse)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32", "int64", "uint8"])
def test_products_of_every_dtype(dtype: str, axis: int) -> None:
    x = np.random.default_rng(1).uniform(-1.5, 1.5, (17, 37)) * (3 if "int" in dtype else 1)
    check(CUMPROD, lamina.tensor(np.trunc(np.abs(x)) if "int" in dtype else x).astype(dtype).numpy(), axis, False)


def test_what_is_read_through_a_view() -> None:
    x = np.random.default_rng(2).normal(size=(40, 30)).astype(np.float32)
    check(CUMSUM, x, 0, False, lambda x: lamina.permute_dims(x, (1, 0)))
    check(CUMSUM, x, 1, False, lambda x: lamina.flip(x, axis=1))
    check(CUMSUM, x, 0, True, lambda x: x[3::2, :9])


def test_in_a_loop() -> None:
    def body(total: Any, x: Any) -> Any:
        total = lamina.cumulative_sum(total, axis=1) * 0.1 + x
        return total, lamina.cumulative_prod(total, axis=0)

    def run(start: Any, xs: Any) -> Any:
        return lamina.scan(body, start, xs)

    rng = np.random.default_rng(3)
    start, xs = rng.normal(size=(6, 35)).astype(np.float32), rng.normal(size=(4, 6, 35)).astype(np.float32)
    for got, expected in zip(lamina.function(run)(start, xs), run(start, xs), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_the_number_of_threads_changes_nothing() -> None:
    x = np.random.default_rng(4).normal(size=(300, 500)).astype(np.float32)
    run = lamina.function(lambda x: (lamina.cumulative_sum(x, axis=0), lamina.cumulative_sum(x, axis=1)))
    before = lamina.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            lamina.set_num_threads(threads)
            results.append([y.numpy() for y in run(x)])
    finally:
        lamina.set_num_threads(before)
    for a, b, axis in zip(*results, (0, 1), strict=True):
        assert a.tobytes() == b.tobytes() == np.cumsum(x, axis).tobytes()
