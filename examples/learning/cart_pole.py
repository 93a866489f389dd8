"""REINFORCE learns to balance a pole on a cart, which it pushes to the left or to the right.

The environment is that of Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning
control problems" (1983), with the constants and limits of Gymnasium's CartPole-v1.  It is written in ops, and so is
the rule of learning: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement
learning" (1992), with a learned baseline.  Playing 32 episodes, the gradient and the update are one compiled function,
whose loop over the 500 steps is a ``scan``.

After 8 epochs of 10 updates each the policy holds the pole for nearly all of the 500 steps.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import Tensor, layers

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02  # m/s2, kg, kg, m, N, s
FARTHEST, STEEPEST = 2.4, np.deg2rad(12)  # m from the middle, angle from upright
STEPS = 500  # then an episode ends in any case
EPISODES, UPDATES = 32, 10  # played side by side for an update; updates in an epoch
UNITS, RATE, DISCOUNT = 64, 0.01, 0.99


def push(state: Tensor, right: Tensor) -> Tensor:
    """The states (n, 4) after 0.02 s (Euler's method): position, velocity, angle, angular velocity."""
    velocity, angle, spin = (state[:, i] for i in (1, 2, 3))
    force = lamina.where(right, FORCE, -FORCE)
    sine, cosine, total = lamina.sin(angle), lamina.cos(angle), CART + POLE
    share = (force + POLE * HALF_LENGTH * spin**2 * sine) / total
    turning = (GRAVITY * sine - cosine * share) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / total))
    speeding = share - POLE * HALF_LENGTH * turning * cosine / total
    change = lamina.stack([velocity, speeding, spin, turning], axis=1)
    return state + SECONDS * change


def stands(state: Tensor) -> Tensor:
    """Whether the pole is up and the cart on its track."""
    return (lamina.abs(state[:, 0]) <= FARTHEST) & (lamina.abs(state[:, 2]) <= STEEPEST)


def network() -> lamina.Model:
    """States (..., 4) in; out come the logit of pushing to the right and what the rest of the episode is worth."""
    state = layers.Input((None, 4))
    policy = layers.Dense(1)(layers.Dense(UNITS, activation="tanh")(state))
    worth = layers.Dense(1)(layers.Dense(UNITS, activation="tanh")(state))
    return lamina.Model(state, [policy, worth])


def play(model: lamina.Model, state: Tensor, chances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Episodes from the states (n, 4), pushing right where a chance (STEPS, n) is less than the policy's probability.

    Returns for each step the states (STEPS, n, 4), whether the push was to the right, and whether the pole stood.
    """

    def turn(carry: tuple[Tensor, Tensor], chance: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, ...]]:
        state, up = carry
        right = chance < lamina.nn.sigmoid(model(state[None])[0][0, :, 0])
        after = lamina.where(up[:, None], push(state, right), state)
        return (after, up & stands(after)), (state, right, up)

    return lamina.scan(turn, (state, stands(state)), chances)[1]


def returns(up: Tensor) -> Tensor:
    """Discounted sums of the rewards (STEPS, n) from each step on, as shares of the greatest: 1 for each step up."""
    rewards = (1 - DISCOUNT) * lamina.astype(up, "float32")

    def turn(later: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
        now = reward + DISCOUNT * later
        return now, now

    return lamina.scan(turn, lamina.zeros_like(rewards[0]), rewards, reverse=True)[1]


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train.  Returns the model and by epoch the mean return of the episodes played, and of 100 more after them."""
    lamina.random.seed(seed)
    rng = np.random.default_rng(seed)
    model = network()
    optimizer = lamina.optimizers.Adam(RATE)

    @lamina.function
    def update(first: Tensor, chances: Tensor) -> Tensor:
        states, rights, up = play(model, first, chances)
        real = lamina.astype(up, "float32")
        with lamina.GradientTape() as tape:
            policy, worth = (output[..., 0] for output in model(states))
            better = returns(up) - worth  # than expected
            surprise = lamina.nn.softplus(lamina.where(rights, -policy, policy))  # -log of the push's probability
            loss = lamina.sum(real * (lamina.stop_gradient(better) * surprise + better**2)) / lamina.sum(real)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return lamina.sum(real) / up.shape[1]

    @lamina.function
    def test(first: Tensor, chances: Tensor) -> Tensor:
        return lamina.mean(lamina.sum(lamina.astype(play(model, first, chances)[2], "float32"), axis=0))

    history: dict[str, list[float]] = {"return": [], "val_return": []}
    for epoch in range(epochs):
        played = [update(start(rng, EPISODES), rng.random((STEPS, EPISODES), "float32")) for _ in range(UPDATES)]
        history["return"].append(float(np.mean([value.item() for value in played])))
        history["val_return"].append(test(start(rng, 100), rng.random((STEPS, 100), "float32")).item())
        if verbose:
            print(f"epoch {epoch + 1:2}  " + "  ".join(f"{name} {values[-1]:5.1f}" for name, values in history.items()))
    return model, history


def start(rng: np.random.Generator, episodes: int) -> np.ndarray:
    """First states (episodes, 4): nearly at rest."""
    return rng.uniform(-0.05, 0.05, (episodes, 4)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nMean return of 100 episodes: {history['val_return'][-1]:.0f} of {STEPS}")
    states, _, up = play(model, lamina.asarray(start(np.random.default_rng(1), 1)), lamina.full((STEPS, 1), 0.5))
    for t in range(0, int(up.numpy().sum()), 50):
        x, angle = states.numpy()[t, 0, [0, 2]]
        cart = round(30 + 20 * x / FARTHEST)
        print(f"{t * SECONDS:4.0f} s |{' ' * cart}{'/' if angle > 0.01 else chr(92) if angle < -0.01 else '|'}")


if __name__ == "__main__":
    main()
