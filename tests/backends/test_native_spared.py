"""What a compiled program need not do: panels of weights are made once and kept; outputs are computed in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.backends.native import prepare
from lamina.backends.native.schedule import FRESH

RNG = np.random.default_rng(7)


def convolution(seed: int = 0) -> tuple[Any, Any, np.ndarray]:
    """A kernel that is read in panels, a compiled convolution with it, and an image."""
    rng = np.random.default_rng(seed)
    kernel = lamina.Variable(rng.standard_normal((3, 3, 16, 64), np.float32))
    x = rng.standard_normal((1, 9, 9, 16), np.float32)
    return kernel, lamina.function(lambda x: lamina.nn.conv(x, kernel)), x


def expected(x: np.ndarray, kernel: Any) -> np.ndarray:
    return lamina.nn.conv(lamina.tensor(x), lamina.tensor(np.asarray(kernel))).numpy()


def kept(function: Any, x: np.ndarray) -> list[Any]:
    found: list[Any] = function.executable(x)._kept
    return found


def fresh(function: Any, x: np.ndarray) -> int:
    return int(function.executable(x)._table[FRESH])


def test_panels_are_made_once() -> None:
    kernel, f, x = convolution()
    np.testing.assert_allclose(f(x), expected(x, kernel), rtol=1e-4, atol=1e-4)
    assert fresh(f, x) == 1
    for _ in range(3):
        other = RNG.standard_normal(x.shape, np.float32)
        np.testing.assert_allclose(f(other), expected(other, kernel), rtol=1e-4, atol=1e-4)
        assert fresh(f, x) == 0


@pytest.mark.parametrize("way", ["assign", "assign_add", "shared", "compiled", "repeat"])
def test_a_write_makes_them_again(way: str) -> None:
    kernel, f, x = convolution(1)
    f(x)
    held = kernel.value if way == "shared" else None  # then an assignment moves to other memory
    change = np.float32(RNG.standard_normal())
    step = lamina.function(lambda: kernel.assign(kernel * change))
    if way == "assign" or way == "shared":
        kernel.assign(kernel * change)
    elif way == "assign_add":
        kernel.assign_add(change)
    elif way == "compiled":
        step()
    else:
        step.repeat(3)
    np.testing.assert_allclose(f(x), expected(x, kernel), rtol=1e-4, atol=1e-4)
    assert fresh(f, x) == 1
    f(x)
    assert fresh(f, x) == 0
    assert held is None or not np.array_equal(held.numpy(), kernel.numpy())


def test_a_write_that_was_interrupted_makes_them_again() -> None:
    kernel, f, x = convolution(6)
    f(x)
    kernel.storage()[...] *= -1  # what a compiled step does, and does not come to say that it wrote
    np.testing.assert_allclose(f(x), expected(x, kernel), rtol=1e-4, atol=1e-4)


def test_each_function_sees_a_write() -> None:
    kernel, f, x = convolution(2)
    g = lamina.function(lambda x: lamina.nn.conv(x, kernel) * 2)
    f(x), g(x), f(x), g(x)
    kernel.assign(-kernel)
    wanted = expected(x, kernel)
    np.testing.assert_allclose(g(x), 2 * wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(f(x), wanted, rtol=1e-4, atol=1e-4)


def test_what_the_graph_writes_is_not_kept() -> None:
    kernel, _, x = convolution(3)

    @lamina.function
    def step(x: Any) -> Any:
        y = lamina.nn.conv(x, kernel)
        kernel.assign_sub(0.5)
        return y

    for _ in range(3):
        wanted = expected(x, kernel)
        np.testing.assert_allclose(step(x), wanted, rtol=1e-4, atol=1e-4)
    assert kept(step, x) == []


def test_kept_in_an_inner_run_of_several() -> None:
    kernel, _, x = convolution(4)
    total = lamina.Variable(np.zeros((1, 7, 7, 64), np.float32))
    step = lamina.function(lambda x: total.assign_add(lamina.nn.conv(x, kernel)))
    step.repeat(4, x)
    np.testing.assert_allclose(total.numpy(), 4 * expected(x, kernel), rtol=1e-4, atol=1e-3)
    kernel.assign(-kernel)
    step.repeat(4, x)
    np.testing.assert_allclose(total.numpy(), 0, atol=1e-3)


def test_beyond_the_room_they_are_made_in_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "MOST_KEPT", 3 * 3 * 16 * 64 * 4)  # one of the two
    a, b = (lamina.Variable(RNG.standard_normal((3, 3, 16, 64), np.float32)) for _ in range(2))
    f = lamina.function(lambda x: (lamina.nn.conv(x, a), lamina.nn.conv(x, b)))
    x = RNG.standard_normal((1, 9, 9, 16), np.float32)
    for _ in range(2):
        for got, kernel in zip(f(x), (a, b), strict=True):
            np.testing.assert_allclose(got, expected(x, kernel), rtol=1e-4, atol=1e-4)
    assert len(kept(f, x)) == 1


def test_predictions_between_steps_of_training() -> None:
    model = lamina.Sequential([
        layers.Input((8, 8, 4)), layers.Conv2D(48, 3, activation="relu"), layers.Flatten(), layers.Dense(3)
    ])  # fmt: skip
    model.compile("sgd", "mse")
    x, y = RNG.standard_normal((16, 8, 8, 4), np.float32), RNG.standard_normal((16, 3), np.float32)
    for _ in range(3):
        model.fit(x, y, batch_size=8, verbose=0)
        wanted = model(x).numpy()
        np.testing.assert_allclose(model.predict(x, verbose=0), wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(model.predict_on_batch(x), wanted, rtol=1e-4, atol=1e-4)
    weights = [-w for w in model.get_weights()]
    model.set_weights(weights)
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x).numpy(), rtol=1e-4, atol=1e-4)


def test_a_parameter_that_shares_its_memory_is_not_kept() -> None:
    from lamina.compat import torch

    net = torch.nn.Conv2d(16, 64, 3)
    run = torch.compile(net)
    x = torch.randn(1, 16, 9, 9)
    with torch.no_grad():
        run(x)
        net.weight.detach().numpy()[...] *= -1.0
        np.testing.assert_allclose(run(x).numpy(), net(x).numpy(), rtol=1e-4, atol=1e-4)


def test_kept_by_a_program_from_the_cache(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    for seed in range(3):
        kernel, f, x = convolution(seed)
        for _ in range(2):
            np.testing.assert_allclose(f(x), expected(x, kernel), rtol=1e-4, atol=1e-4)
        kernel.assign(kernel * 2)
        np.testing.assert_allclose(f(x), expected(x, kernel), rtol=1e-4, atol=1e-4)
        assert f.executable(x).from_cache == (seed > 0)
        assert len(kept(f, x)) == 1


def test_an_output_of_another_shape_is_computed_in_its_place() -> None:
    def f(x: Any, w: Any) -> Any:
        product = x @ w
        return lamina.reshape(product, (4, 5, 3, 11)), product, lamina.reshape(lamina.exp(x), (-1,))

    compiled = lamina.function(f)
    x, w = RNG.standard_normal((20, 512), np.float32), RNG.standard_normal((512, 33), np.float32)
    for _ in range(2):
        for got, wanted in zip(compiled(x, w), f(lamina.tensor(x), lamina.tensor(w)), strict=True):
            assert got.shape == wanted.shape
            np.testing.assert_allclose(got.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-4)
    executable: Any = lamina.function(lambda x, w: lamina.reshape(x @ w, (4, 5, 33))).executable(x, w)
    kinds = [group.kind for phase in executable.schedule.phases for group in phase]
    assert kinds == ["contract"]
