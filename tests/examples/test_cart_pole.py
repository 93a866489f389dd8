"""REINFORCE on the cart-pole."""

from __future__ import annotations

import numpy as np
import pytest
from example_files import load_example

import lamina


def test_it_learns_to_balance() -> None:
    example = load_example("learning/cart_pole")
    _, history = example.train(4, verbose=0, seed=0)
    # Pushes at random hold the pole for some 20 steps, and without learning it stays at that.
    assert history["return"][0] < 60
    assert history["return"][-1] > 150 and history["val_return"][-1] > 200


@pytest.mark.slow
def test_it_balances_whatever_the_seed() -> None:
    example = load_example("learning/cart_pole")
    last = [example.train(8, verbose=0, seed=seed)[1]["val_return"][-3:] for seed in range(5)]
    assert np.mean(last) > 450 and np.min(last) > 400


def test_a_push_moves_cart_and_pole_as_the_equations_say() -> None:
    example = load_example("learning/cart_pole")
    # From rest, by hand: the pole turns against the cart, which moves to where it is pushed.
    turning = -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1))
    after = [0, 0.02 * (10 / 1.1 - 0.05 * turning / 1.1), 0, 0.02 * turning]
    rest = lamina.zeros((2, 4))
    pushed = example.push(rest, lamina.asarray([True, False])).numpy()
    np.testing.assert_allclose(pushed, [after, np.negative(after)], rtol=1e-5)


def test_the_environment_is_gymnasiums() -> None:
    gymnasium = pytest.importorskip("gymnasium", reason="the oracle of the environment")
    example = load_example("learning/cart_pole")
    environment = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(0)
    ends = 0
    for seed in range(5):
        state, _ = environment.reset(seed=seed)
        fallen = False
        while not fallen:
            right = bool(rng.integers(2))
            mine = example.push(lamina.asarray(state[None], "float32"), lamina.asarray([right]))
            state, reward, fallen, _, _ = environment.step(int(right))
            np.testing.assert_allclose(mine.numpy()[0], state, rtol=1e-5, atol=1e-6)
            assert reward == 1 and bool(example.stands(mine).numpy()[0]) != fallen
        ends += 1
    assert ends == 5


def test_returns_are_discounted_sums() -> None:
    example = load_example("learning/cart_pole")
    up = np.array([[True, True], [True, False], [True, False]])
    wanted = 0.01 * np.array([[1 + 0.99 + 0.99**2, 1], [1 + 0.99, 0], [1, 0]])
    np.testing.assert_allclose(example.returns(lamina.asarray(up)).numpy(), wanted, rtol=1e-5)


def test_an_episode_stands_still_when_the_pole_has_fallen() -> None:
    example = load_example("learning/cart_pole")
    model = example.network()
    first = lamina.asarray(example.start(np.random.default_rng(0), 3))
    always_right = lamina.zeros((example.STEPS, 3))
    states, rights, up = (value.numpy() for value in example.play(model, first, always_right))
    assert rights.all() and up[0].all() and not up[-1].any() and (np.diff(up.astype(int), axis=0) <= 0).all()
    for i in range(3):
        length = up[:, i].sum()
        assert 8 <= length <= 12  # pushed to one side only, the pole falls at once
        assert (states[length:, i] == states[length, i]).all()
