"""Branches and loops that the native backend walks in Python: their bodies are compiled where that pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers, ops
from lamina.backends.native import program
from lamina.backends.native.program import NativeExecutable
from lamina.backends.native.target import compile_object, host
from lamina.core.errors import OutOfBoundsError

X = np.linspace(-2, 2, 30_000, dtype=np.float32).reshape(100, 300)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that were compiled."""
    names: list[str] = []
    before = NativeExecutable.__init__

    def init(self: Any, graph: Any, *args: Any, **kwargs: Any) -> None:
        names.append(graph.name)
        before(self, graph, *args, **kwargs)

    monkeypatch.setattr(NativeExecutable, "__init__", init)
    return names


def chosen(which: Any, x: Any) -> Any:
    return lamina.cond(which > 0, lambda: ops.exp(x) * 2 + x, lambda: ops.sum(ops.sin(x)) + x)


def test_only_the_branch_that_is_taken_is_compiled_and_once(made: list[str]) -> None:
    f = lamina.function(chosen, backend="native")
    for _ in range(3):
        np.testing.assert_allclose(f(lamina.tensor(1), X), chosen(1, lamina.tensor(X)), rtol=1e-5, atol=1e-6)
    assert made == ["chosen", "true"]
    np.testing.assert_allclose(f(lamina.tensor(-1), X), chosen(-1, lamina.tensor(X)), rtol=1e-4, atol=1e-4)
    assert made == ["chosen", "true", "false"]


def test_small_bodies_are_not(made: list[str]) -> None:
    lamina.function(chosen, backend="native")(lamina.tensor(1), X[:2])
    assert made == ["chosen"]


def test_loops_and_branches_in_them(made: list[str]) -> None:
    def walk(x: Any) -> Any:
        def turn(i: Any, v: Any) -> Any:
            return i + 1, lamina.cond(i % 2 == 0, lambda: ops.tanh(v) + v, lambda: v * 0.5 + ops.cos(v))

        return lamina.while_loop(lambda i, v: i < 5, turn, (lamina.tensor(0), x))[1]

    f = lamina.function(walk, backend="native")
    first = f(X).numpy()
    np.testing.assert_allclose(first, walk(lamina.tensor(X)), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(f(X), first)
    assert sorted(made[1:]) == ["false", "true"]


def test_gradients_of_a_branch() -> None:
    def gradient(which: Any, x: Any) -> Any:
        with lamina.GradientTape() as tape:
            tape.watch(x)
            y = ops.sum(chosen(which, x))
        return tape.gradient(y, x)

    f = lamina.function(gradient, backend="native")
    for which in (1, -1):
        np.testing.assert_allclose(
            f(lamina.tensor(which), X), gradient(lamina.tensor(which), lamina.tensor(X)), rtol=1e-4
        )


def test_results_do_not_depend_on_how_bodies_run(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = lamina.function(chosen, backend="native")(lamina.tensor(1), X).numpy()
    monkeypatch.setattr(program, "BODY_WORK", 1 << 60)
    np.testing.assert_allclose(
        lamina.function(chosen, backend="native")(lamina.tensor(1), X), compiled, rtol=1e-5, atol=1e-6
    )


def test_an_error_in_a_body_arrives() -> None:
    @lamina.function(backend="native")
    def f(which: Any, x: Any, places: Any) -> Any:
        return lamina.cond(which > 0, lambda: ops.take(ops.argsort(x), places, axis=1), lambda: ops.argsort(x))

    with pytest.raises(OutOfBoundsError, match="take"):
        f(lamina.tensor(1), X[:2], np.full(300, 999))


@pytest.mark.parametrize("kind", [layers.RandAugment, layers.AugMix])
def test_layers_that_choose(kind: Any, rng: np.random.Generator) -> None:
    images = (rng.random((8, 16, 16, 3)) * 255).astype(np.float32)
    plain, traced = kind((0, 255), seed=3), kind((0, 255), seed=3)
    f = lamina.function(lambda x: traced(x, training=True), backend="native")
    for _ in range(4):
        difference = np.abs(np.asarray(f(images)) - np.asarray(plain(images, training=True)))
        assert np.median(difference) < 0.01 and difference.mean() < 0.5  # but for pixels at the edge of a step


def test_many_random_numbers_are_one_function() -> None:
    def draw() -> Any:
        return [lamina.random.uniform((64,), key=lamina.random.Generator(i)) for i in range(40)]

    graph = lamina.function(draw).graph()
    text = program.Compiler(graph, host()).text
    assert text.count("define internal") < 20 and len(text) < 400_000
    compile_object(text, host())
    for compiled, eager in zip(lamina.function(draw, backend="native")(), draw(), strict=True):
        np.testing.assert_array_equal(compiled, eager)
