"""Gradient descent on an embedding touches the rows that were looked up, and gives what the dense step gives."""

from __future__ import annotations

import numpy as np
import pytest

import lamina
from lamina import ops
from lamina.backends.native.program import Compiler
from lamina.backends.native.target import host

RNG = np.random.default_rng(2)


def descend(table, optimizer):
    def step(rows, weight):
        with lamina.GradientTape() as tape:
            loss = (ops.take(table.value, rows, axis=0) * weight).sum()
        optimizer.apply([tape.gradient(loss, [table])[0]], [table])
        return loss

    return step


def table():
    return lamina.Variable(np.random.default_rng(1).normal(size=(50, 7)).astype("float32"), name="table")


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_compiled_steps_equal_eager_steps(momentum):
    compiled, eager = table(), table()
    run = lamina.function(descend(compiled, lamina.optimizers.SGD(0.1, momentum=momentum)))
    same = descend(eager, lamina.optimizers.SGD(0.1, momentum=momentum))
    for _ in range(3):
        rows = RNG.integers(0, 50, (4, 6))
        rows[0, :3] = 11  # several times
        weight = RNG.normal(size=(4, 6, 7)).astype("float32")
        np.testing.assert_allclose(run(rows, weight).numpy(), same(lamina.tensor(rows), weight).numpy(), rtol=1e-5)
    np.testing.assert_allclose(compiled.numpy(), eager.numpy(), rtol=1e-5, atol=1e-6)
    names = [n.primitive.name for n in run.graph(rows, weight).nodes]
    assert ("subtract" in names) == (momentum > 0)  # with momentum every row moves


def test_the_table_is_updated_in_place():
    variable = table()
    run = lamina.function(descend(variable, lamina.optimizers.SGD(0.1)))
    rows, weight = RNG.integers(0, 50, (4, 6)), RNG.normal(size=(4, 6, 7)).astype("float32")
    run(rows, weight)
    compiler = Compiler(run.graph(rows, weight), host())
    (old,) = [v for read, v in compiler.graph.reads if read is variable]
    (new,) = [v for written, v in compiler.graph.writes if written is variable]
    assert new.node.primitive.name == "scatter_add"
    assert compiler.schedule.storage[id(old)][:2] == compiler.schedule.storage[id(new)][:2]


def test_an_update_that_reads_the_table_elsewhere_is_not_in_place():
    variable = table()
    start = variable.numpy().copy()

    @lamina.function
    def shift(rows):  # each row takes what another one had
        old = variable.value
        variable.assign(ops.indexing.scatter_add(old, rows, ops.take(old, rows[::-1], axis=0)))

    rows = np.array([3, 9, 27])
    shift(rows)
    expected = start.copy()
    expected[rows] += start[rows[::-1]]
    np.testing.assert_array_equal(variable.numpy(), expected)
