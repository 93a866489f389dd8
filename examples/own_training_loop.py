"""A training loop of your own: one step as a function, captured once and compiled.

``fit`` does the same and more; write the loop yourself when a step is not the usual one.
"""

from __future__ import annotations

import time

import numpy as np

import lamina
from lamina import layers


def moons(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of two half circles that reach into each other, and which one each belongs to."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 2, count)
    angle = rng.uniform(0, np.pi, count)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    points = np.where(which[:, None] == 0, upper, lower) + rng.normal(0, 0.15, (count, 2))
    return points.astype(np.float32), which.astype(np.float32)[:, None]


def main() -> None:
    lamina.random.seed(0)
    x, y = moons(1000, seed=0)
    x_test, y_test = moons(1000, seed=1)
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(1)])
    optimizer = lamina.optimizers.Adam(0.01)
    loss_function = lamina.losses.BinaryCrossentropy(from_logits=True)

    @lamina.function
    def step(x: lamina.Tensor, y: lamina.Tensor) -> lamina.Tensor:
        with lamina.GradientTape() as tape:
            loss = loss_function(y, model(x, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    started = time.perf_counter()
    for epoch in range(1, 21):
        order = np.random.default_rng(epoch).permutation(len(x))
        for start in range(0, len(x), 50):
            rows = order[start : start + 50]
            loss = step(x[rows], y[rows])
        if epoch % 5 == 0:
            print(f"epoch {epoch:2}  loss of the last batch {loss.item():.4f}")
    print(f"400 steps in {time.perf_counter() - started:.2f} s, with the time to compile the step")

    right = (model(x_test).numpy() > 0) == (y_test > 0)
    print(f"Test accuracy: {right.mean():.1%}")


if __name__ == "__main__":
    main()
