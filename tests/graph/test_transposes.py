"""Transposes that meet their inverse go away, and every value stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.graph.capture import capture_graph
from lamina.graph.passes import optimize

X = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
Y = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype("float32")
LAST, FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
move = lamina.permute_dims


def transposes(f: Callable[..., Any], *arrays: np.ndarray) -> int:
    """How many are left, after checking that the optimized graph gives what the captured one gives."""
    graph, _ = capture_graph(f, arrays)
    expected = graph.run(dict(zip([v.name for v in graph.inputs], arrays)))
    better = optimize(graph.clone(), verify=True)
    found = better.run(dict(zip([v.name for v in better.inputs], arrays)))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    compiled = lamina.function(f)(*arrays)
    np.testing.assert_allclose(np.asarray(compiled), expected[0], rtol=1e-5, atol=1e-5)
    return sum(n.primitive.name == "transpose" for n in better.nodes)


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x, y: move(lamina.nn.relu(move(x, LAST)), FIRST), 0),
        (lambda x, y: move(lamina.tanh(move(x, LAST)) * move(y, LAST) + 2.0, FIRST), 0),
        (lambda x, y: move(move(x, LAST) + lamina.arange(3.0), FIRST), 0),
        (lambda x, y: move(move(x, LAST) + lamina.reshape(lamina.arange(4.0), (4, 1, 1)), FIRST), 0),
        (lambda x, y: move(lamina.where(move(x, LAST) > 0, move(y, LAST), 0.0), FIRST), 0),
        (lambda x, y: move(move(x, LAST) + lamina.broadcast_to(y[0, :, 0, 0], (2, 4, 5, 3)), FIRST), 0),
        (lambda x, y: lamina.sum(lamina.exp(move(x, LAST)), axis=(0, 1, 2)), 0),
        (lambda x, y: lamina.max(move(x, (3, 2, 1, 0)) * 2, axis=(0, 3)), 1),
        (lambda x, y: lamina.argmax(move(x, LAST), axis=-1), 0),
        (lambda x, y: move(lamina.concat([move(x, LAST), move(y, LAST)], axis=3), FIRST), 0),
        (lambda x, y: move(lamina.pad(move(x, LAST), [(0, 0), (1, 2), (0, 0), (0, 1)]), FIRST), 0),
        # Where nothing meets its inverse the graph stays: the other operand lies in another order.
        (lambda x, y: lamina.nn.relu(move(x, LAST)), 1),
        (lambda x, y: move(x, LAST) * lamina.reshape(y, (2, 4, 5, 3)), 1),
        (lambda x, y: lamina.reshape(lamina.nn.relu(move(x, LAST)), (2, 60)), 1),
    ],
)
def test_what_is_left(f: Callable[..., Any], left: int) -> None:
    assert transposes(f, X, Y) == left


def test_a_network_channels_first_has_none_left_but_at_its_ends() -> None:
    torch = pytest.importorskip("lamina.compat.torch")
    nn = torch.nn
    body = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 1), nn.LeakyReLU()
    )

    @lamina.function
    def step(x: Any) -> Any:
        loss = body(x).square().sum()
        loss.backward()
        gradients = [p.grad for p in body.parameters()]
        body.zero_grad()
        return loss, gradients

    x = torch.tensor(X)
    large = [n for n in step.graph(x).nodes if n.primitive.name == "transpose" and n.outputs[0].size >= 2 * 4 * 10]
    assert len([n for n in large if len(n.outputs[0].shape) == 4 and n.outputs[0].shape[0] == 2]) <= 2
    loss, gradients = step(x)
    eager = body(x).square().sum()
    eager.backward()
    assert loss.item() == pytest.approx(eager.item(), rel=1e-5)
    for g, p in zip(gradients, body.parameters()):
        np.testing.assert_allclose(np.asarray(g), np.asarray(p.grad), rtol=1e-4, atol=1e-4)
