"""Random graphs, natively and by their NumPy meaning: fusion, scheduling and memory planning hold together."""

from __future__ import annotations

import os

import numpy as np
import pytest

from lamina import nn, ops
from lamina.backends.native.program import NativeExecutable
from lamina.core.primitive import Spec, bind, wrap
from lamina.graph.capture import capture_graph
from lamina.graph.interpret import run_graph
from lamina.graph.passes import optimize
from lamina.ops.indexing import SCATTER_ADD
from lamina.tensor import Variable

SIZES = (1, 2, 3, 5, 16, 17, 33, 70)
ROUNDS = int(os.environ.get("LAMINA_FUZZ_ROUNDS", 60))


def shrink(x):
    """Keep values small so that errors stay comparable after many steps."""
    return ops.tanh(x * 0.5)


class Builder:
    """Grows a random computation from Tensors; every choice comes from ``rng``."""

    def __init__(self, rng, tensors):
        self.rng, self.pool = rng, list(tensors)

    def pick(self):
        return self.pool[self.rng.integers(len(self.pool))]

    def step(self):
        choice = self.rng.choice(
            ["unary", "binary", "scale", "reduce", "keep", "transpose", "reshape", "slice", "matmul", "take", "concat",
             "where", "softmax", "column", "cast", "spread", "flip", "scatter", "windows", "resize", "convolve",
             "product", "running"]
        )  # fmt: skip
        made = getattr(self, choice)()
        if made is not None and made.size <= 30000:
            self.pool.append(made)

    def unary(self):
        x = self.pick()
        return [ops.exp, ops.tanh, ops.relu, ops.negative, ops.square, ops.abs][self.rng.integers(6)](shrink(x))

    def binary(self):
        x = self.pick()
        fits = [y for y in self.pool if y.shape == x.shape or y.size == 1 or y.shape == x.shape[1:]]
        y = fits[self.rng.integers(len(fits))]
        return shrink([ops.add, ops.subtract, ops.multiply, ops.maximum, ops.minimum][self.rng.integers(5)](x, y))

    def scale(self):
        return self.pick() * 0.5 + 0.25

    def reduce(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        axis = tuple(np.flatnonzero(self.rng.random(x.ndim) < 0.6).tolist())
        name = ["mean", "max", "min", "sum"][self.rng.integers(4)]
        return shrink(getattr(ops, name)(x, axis=axis or None))

    def keep(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        return x - ops.mean(x, axis=int(self.rng.integers(x.ndim)), keepdims=True)

    def column(self):
        x = self.pick()
        if x.ndim < 2:
            return None
        centred = x - ops.mean(x, axis=0)
        return centred / ops.sqrt(ops.mean(centred * centred, axis=0) + 0.5)

    def softmax(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        e = ops.exp(x - ops.max(x, axis=-1, keepdims=True))
        return e / ops.sum(e, axis=-1, keepdims=True)

    def transpose(self):
        x = self.pick()
        return ops.permute_dims(x, self.rng.permutation(x.ndim).tolist())

    def reshape(self):
        x = self.pick()
        if x.ndim >= 2 and self.rng.random() < 0.7:
            at = int(self.rng.integers(x.ndim - 1))
            return ops.reshape(x, (*x.shape[:at], x.shape[at] * x.shape[at + 1], *x.shape[at + 2 :]))
        return ops.expand_dims(x, int(self.rng.integers(x.ndim + 1)))

    def slice(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        cuts = []
        for n in x.shape:
            start = int(self.rng.integers(n))
            cuts.append(slice(start, int(self.rng.integers(start + 1, n + 1)), int(self.rng.integers(1, 3))))
        return x[tuple(cuts)]

    def matmul(self):
        x = self.pick()
        if x.ndim < 2:
            return None
        fits = [y for y in self.pool if y.ndim == 2 and x.shape[-1] in y.shape]
        if not fits:
            return None
        y = fits[self.rng.integers(len(fits))]
        y = y if y.shape[0] == x.shape[-1] else ops.permute_dims(y, (1, 0))
        return shrink(ops.matmul(x, y) * 0.1)

    def take(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        axis = int(self.rng.integers(x.ndim))
        rows = self.rng.integers(-x.shape[axis], x.shape[axis], int(self.rng.integers(1, 20)))
        return ops.take(x, rows, axis=axis)

    def concat(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        return ops.concat([x, x * 2.0], axis=int(self.rng.integers(x.ndim)))

    def where(self):
        x = self.pick()
        return ops.where(x > 0, x, x * 0.1)

    def spread(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        axis = int(self.rng.integers(x.ndim))
        one = ops.take(x, np.array([int(self.rng.integers(x.shape[axis]))]), axis=axis)
        size = SIZES[self.rng.integers(len(SIZES))] if self.rng.random() < 0.5 else x.shape[axis]
        return ops.broadcast_to(one, (*x.shape[:axis], size, *x.shape[axis + 1 :]))

    def running(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        axis = int(self.rng.integers(x.ndim))
        if self.rng.random() < 0.5:
            return ops.cumulative_prod(ops.tanh(x), axis=axis)
        return shrink(ops.cumulative_sum(x, axis=axis))

    def flip(self):
        x = self.pick()
        return ops.flip(x, axis=int(self.rng.integers(x.ndim))) if x.ndim else None

    def scatter(self):
        x = self.pick()
        if x.ndim == 0:
            return None
        axis = int(self.rng.integers(x.ndim))
        rows = self.rng.integers(-x.shape[axis], x.shape[axis], int(self.rng.integers(1, 20)))
        updates = ops.take(x, rows, axis=axis)
        return shrink(bind(SCATTER_ADD, x, wrap(rows), updates, axis=axis))

    def image(self):
        """A tensor as images."""
        x = self.pick()
        while x.ndim > 4:
            x = x[0]
        return ops.reshape(x, (1,) * (4 - x.ndim) + x.shape)

    def windows(self):
        x = self.image()
        pooling = [nn.max_pool, nn.average_pool][self.rng.integers(2)]
        return pooling(x, int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3)), padding="same")

    def resize(self):
        return nn.resize(self.image(), [int(n) for n in self.rng.integers(1, 9, 2)])

    def convolve(self):
        x = self.image()
        kernel = self.rng.normal(size=(*self.rng.integers(1, 4, 2), x.shape[-1], SIZES[self.rng.integers(6)])) * 0.1
        return shrink(nn.conv(x, kernel.astype("float32"), int(self.rng.integers(1, 3)), padding="same"))

    def product(self):
        """Of two results, each seen from either side."""
        x = self.pick()
        if x.ndim < 2:
            return None
        fits = [y for y in self.pool if y.ndim == x.ndim and y.shape[:-2] == x.shape[:-2]]
        y = fits[self.rng.integers(len(fits))]
        for left in (x, ops.matrix_transpose(x)):
            for right in (y, ops.matrix_transpose(y)):
                if left.shape[-1] == right.shape[-2]:
                    return shrink(ops.matmul(left, right) * 0.1)
        return None

    def cast(self):
        x = self.pick()
        return ops.astype(ops.astype(x > 0.1, "int64"), "float32")


def build(seed):
    rng = np.random.default_rng(seed)
    shapes = [tuple(rng.choice(SIZES, size=rng.integers(1, 4)).tolist()) for _ in range(3)]
    arrays = [rng.normal(size=s).astype("float32") for s in shapes]
    variables = [Variable(rng.normal(size=s).astype("float32"), name=f"v{i}") for i, s in enumerate(shapes[:2])]

    def function(*tensors):
        grow = Builder(np.random.default_rng(seed + 1), [*tensors, *(v.value for v in variables)])
        for _ in range(int(rng.integers(4, 25))):
            grow.step()
        for v in variables:
            fits = [t for t in grow.pool if t.shape == v.shape]
            v.assign(fits[-1] * 0.5 + v.value * 0.1)
        return grow.pool[-4:]

    graph, _ = capture_graph(function, [Spec(a.shape, a.dtype) for a in arrays])
    return graph, arrays


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_graph(seed):
    graph, arrays = build(seed)
    expected, written = run_graph(graph, arrays)
    expected = [e.copy() for e in expected]
    targets = [variable for variable, _ in graph.writes]
    written = [w.copy() for w in written]
    if seed % 2:
        graph = optimize(graph)
    got = NativeExecutable(graph).run(arrays)
    for want, have in zip(expected, got, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-3, atol=2e-4)
    for want, variable in zip(written, targets, strict=True):
        np.testing.assert_allclose(variable.numpy(), want, rtol=2e-3, atol=2e-4)
