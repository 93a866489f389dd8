"""Pictures of functions: activations, decision boundaries, surfaces, and the ways of optimizers over them."""

from __future__ import annotations

import numpy as np
from common import save

import lamina
from lamina import layers, optimizers, plotting


def spirals(count: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Points on three arms of a spiral."""
    rng = np.random.default_rng(0)
    classes = np.arange(count) % 3
    radius = rng.uniform(0.15, 1, count)
    angle = 2 * np.pi * classes / 3 + 3.4 * radius + rng.normal(0, 0.16, count)
    return (radius * [np.cos(angle), np.sin(angle)]).T.astype(np.float32), classes


def main() -> None:
    lamina.random.seed(0)
    save(plotting.plot_activations(["relu", "gelu", "tanh", "sigmoid", "elu", "softplus"]), "activations")

    x, classes = spirals()
    model = lamina.Sequential(
        [layers.Input((2,)), layers.Dense(32, "tanh"), layers.Dense(32, "tanh"), layers.Dense(3, "softmax")]
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, classes, batch_size=32, epochs=150, verbose=0)
    save(plotting.plot_decision_boundary(model, x, classes, labels=["first", "second", "third"]), "boundary", 560)

    heights = np.sin(3 * x[:, 0]) * np.cos(3 * x[:, 1])
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(48, "tanh"), layers.Dense(1)])
    model.compile(optimizers.Adam(0.02), "mse")
    model.fit(x, heights, batch_size=32, epochs=200, verbose=0)
    save(plotting.plot_decision_boundary(model, x, heights), "regression", 560)

    save(plotting.plot_surface("rosenbrock", logarithmic=True, title="Rosenbrock's valley"), "surface", 560)
    ways = {
        "SGD": optimizers.SGD(0.005),
        "momentum 0.9": optimizers.SGD(0.005, momentum=0.9),
        "RMSprop": optimizers.RMSprop(0.05),
        "Adam": optimizers.Adam(0.1),
    }
    save(plotting.plot_optimizer_paths("beale", ways, steps=150), "optimizers")


if __name__ == "__main__":
    main()
