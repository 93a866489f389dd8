"""Every row of the op table: values, dtypes, backends, and gradients to second order."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from op_table import CASES, Case
from op_table.case import FLOATS

import lamina
from lamina.core.primitive import PRIMITIVES
from lamina.graph.capture import capture_graph

IDS = [c.label for c in CASES]
BY_DTYPE = [(c, d) for c in CASES for d in (c.dtypes or (None,))]
DIFFERENTIABLE = [c for c in CASES if c.differentiable]


def arguments(case: Case, dtype: str | None) -> list[np.ndarray]:
    """The row's arguments; its float arrays get the dtype under test."""
    rng = np.random.default_rng(zlib.crc32(case.label.encode()))
    made = [np.asarray(a) for a in case.make(rng)]
    return [a.astype(dtype) if dtype and a.dtype == np.float64 else a for a in made]


def close(case: Case, got: np.ndarray, expected: np.ndarray) -> None:
    """Within the row's tolerance: relative to the element, and absolute relative to the largest one."""
    assert got.shape == expected.shape
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, expected)
        return
    ulp = float(np.finfo(got.dtype).eps)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(got, expected, rtol=case.tolerance * ulp, atol=4 * ulp * max(scale, 1.0))


@pytest.mark.parametrize(("case", "dtype"), BY_DTYPE, ids=[f"{c.label}-{d}" for c, d in BY_DTYPE])
def test_values_are_the_oracles(case: Case, dtype: str | None) -> None:
    arrays = arguments(case, dtype)
    kept = [a.copy() for a in arrays]
    result = case.function(*[lamina.tensor(a) for a in arrays])
    with np.errstate(all="ignore"):
        expected = np.asarray(case.oracle(*[a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]))
    if dtype in ("float32", "float64") and expected.dtype.kind == "f":
        assert result.dtype == dtype
    close(case, result.numpy(), expected)
    for a, b in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(a, b)  # the op left its inputs alone


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_compiled_is_eager(case: Case, backend: str) -> None:
    for dtype in case.dtypes or (None,):
        tensors = [lamina.tensor(a) for a in arguments(case, dtype)]
        expected = case.function(*tensors)
        got = lamina.function(backend=backend)(case.function)(*tensors)
        assert got.dtype == expected.dtype
        close(case, got.numpy(), expected.numpy())


# Primitives of lamina.ops whose tests need more than a row: control flow and random numbers.
ELSEWHERE = {"cond", "while_loop", "scan", "custom_gradient"}
ELSEWHERE |= {"random_bits", "random_unit", "random_normal", "random_exponential", "random_gumbel"}


def test_every_primitive_has_a_row() -> None:
    used = set()
    for case in CASES:
        graphs = [capture_graph(case.function, arguments(case, (case.dtypes or (None,))[0]))[0]]
        if case.differentiable:
            graphs.append(capture_graph(lambda *xs, c=case: gradients(c, list(xs)), few(case))[0])
        used.update(node.primitive.name for graph in graphs for node in graph.nodes)
    own = {name for name, p in PRIMITIVES.items() if p.shape.__module__.startswith("lamina.ops")}
    assert own - used - ELSEWHERE == set()
    assert not used & ELSEWHERE


# --- gradients --------------------------------------------------------------------------------------
def weights(shape: tuple[int, ...], seed: int) -> Any:
    return lamina.tensor(np.random.default_rng(seed).normal(size=shape))


def gradients(case: Case, tensors: list[Any]) -> list[Any]:
    """Gradients of a weighted sum of the op's output with respect to its float inputs."""
    sources = [t for t in tensors if t.dtype.kind == "f"]
    with lamina.GradientTape() as tape:
        tape.watch(sources)
        out = case.function(*tensors)
        total = (out * weights(out.shape, 1).astype(out.dtype)).sum()
    return tape.gradient(total, sources, unconnected_gradients="zero")  # type: ignore[no-any-return]


def differences(function: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Central differences of a scalar function with respect to each element of the float64 arrays."""
    found = []
    for i, array in enumerate(arrays):
        if array.dtype != np.float64:
            continue
        slope = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            h = 1e-6 * max(1.0, abs(float(array[index])))
            values = []
            for step in (h, -h):
                moved = array.copy()
                moved[index] += step
                values.append(function([*arrays[:i], moved, *arrays[i + 1 :]]))
            slope[index] = (values[0] - values[1]) / (2 * h)
        found.append(slope)
    return found


def few(case: Case) -> list[np.ndarray]:
    """The row's arguments in float64; long vectors are cut, which keeps the differences quick."""
    arrays = arguments(case, "float64")
    return [a[:9] if a.ndim == 1 and len(a) > 20 else a for a in arrays]


def assert_slopes(got: list[Any], expected: list[np.ndarray]) -> None:
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g.numpy(), e, rtol=2e-6, atol=2e-7 * max(1.0, float(np.abs(e).max(initial=0))))


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=[c.label for c in DIFFERENTIABLE])
def test_first_gradient(case: Case) -> None:
    arrays = few(case)

    def total(values: list[np.ndarray]) -> float:
        out = case.function(*[lamina.tensor(v) for v in values])
        return float((out * weights(out.shape, 1)).sum().item())

    assert_slopes(gradients(case, [lamina.tensor(a) for a in arrays]), differences(total, arrays))


def directional(case: Case, tensors: list[Any]) -> Any:
    """The first gradients, weighted and added up: a scalar whose own gradient is second order."""
    total = lamina.tensor(np.float64(0))
    for i, g in enumerate(gradients(case, tensors)):
        total = total + (g * weights(g.shape, 2 + i)).sum()
    return total


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=[c.label for c in DIFFERENTIABLE])
def test_second_gradient(case: Case) -> None:
    arrays = few(case)
    tensors = [lamina.tensor(a) for a in arrays]
    sources = [t for t in tensors if t.dtype == np.float64]
    with lamina.GradientTape() as tape:
        tape.watch(sources)
        total = directional(case, tensors)
    second = tape.gradient(total, sources, unconnected_gradients="zero")
    expected = differences(lambda values: float(directional(case, [lamina.tensor(v) for v in values]).item()), arrays)
    assert_slopes(second, expected)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=[c.label for c in DIFFERENTIABLE])
def test_compiled_gradient_is_eager(case: Case) -> None:
    dtype = "float32" if "float32" in (case.dtypes or FLOATS) else "float64"
    tensors = [lamina.tensor(a) for a in arguments(case, dtype)]
    compiled = lamina.function(lambda *xs: gradients(case, list(xs)))(*tensors)
    for got, expected in zip(compiled, gradients(case, tensors), strict=True):
        scale = max(1.0, float(np.abs(expected.numpy()).max(initial=0)))
        bound = 64 * case.tolerance * float(np.finfo(dtype).eps)
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=bound, atol=bound * scale / 8)
