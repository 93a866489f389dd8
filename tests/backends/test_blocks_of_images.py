"""Weight gradients over images so large that blocks of k are parts of them."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import nn
from lamina.backends.native.contraction import plan_contract
from lamina.backends.native.operands import problem_of
from lamina.backends.native.prepare import prepare
from lamina.backends.native.target import host
from lamina.backends.native.threads import get_num_threads, set_num_threads

# Images, kernel, filters, stride, padding, dilation.
CASES = {
    "one sample": ((1, 91, 53, 8), (3, 3), 48, 1, "same", 1),
    "rows do not divide": ((2, 97, 53, 8), (3, 3), 33, 1, "same", 1),
    "no padding": ((2, 97, 53, 8), (3, 3), 33, 1, "valid", 1),
    "every second place": ((3, 129, 129, 8), (5, 5), 32, 2, "same", 1),
    "holes": ((2, 80, 80, 8), (3, 3), 32, 1, "same", 7),
    "a kernel wider than a block": ((1, 20, 2000, 8), (9, 3), 32, 1, "same", 1),
    "signals": ((2, 5001, 8), (5,), 40, 1, "same", 1),
    "volumes": ((1, 21, 23, 25, 4), (3, 3, 3), 32, 1, "same", 1),
    "panels": ((2, 64, 64, 16), (3, 3), 256, 1, "same", 1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_blocks(name, dtype):
    shape, kernel, filters, stride, padding, dilation = CASES[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(dtype)
    w = rng.standard_normal((*kernel, shape[-1], filters)).astype(dtype)

    def conv(x, w):
        return nn.conv(x, w, strides=stride, padding=padding, dilation_rate=dilation)

    def gradient(x, w, ct):
        return lamina.vjp(lambda v: conv(x, v), w)[1](ct)[0]

    ct = rng.standard_normal(conv(x, w).shape).astype(dtype)
    compiled = lamina.function(gradient)
    target = host()
    lanes = target.lanes(np.float32)
    graph = prepare(compiled.graph(x, w, ct), lanes, target.registers)
    (node,) = (n for n in graph.nodes if n.primitive.name.startswith("conv_weights"))
    itemsize = np.dtype(dtype).itemsize
    plan = plan_contract(problem_of(node, graph, None), node.outputs, lanes * 4 // itemsize, target.registers)
    assert plan.k_blocks > 1 and (plan.rows_per_block > 0 or shape[1] * shape[2] <= 1024)

    exact = gradient(*(lamina.asarray(v.astype("float64")) for v in (x, w, ct))).numpy()
    tolerance = (1e-5 if dtype == "float32" else 1e-13) * np.abs(exact).max()
    threads, first = get_num_threads(), None
    try:
        for n in (1, 2, 3):
            set_num_threads(n)
            found = compiled(x, w, ct).numpy()
            first = found if first is None else first
            assert np.abs(found - exact).max() < tolerance
            assert np.array_equal(found, first)
    finally:
        set_num_threads(threads)
