"""A multilayer perceptron solves XOR, which no single perceptron can, and shows how.

Each hidden unit cuts the plane with one straight line.  The output unit puts the halves together, and the boundary
bends.  The network learns from the four corners alone; it is tested on points scattered around them.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers

HIDDEN = 4
RATE = 0.05
SCATTER = 0.15  # standard deviation of the test points around their corner
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Data = tuple[np.ndarray, np.ndarray]


def xor(corners: np.ndarray) -> np.ndarray:
    """1 where one coordinate is 1 and the other 0, else 0: float32 (n, 1)."""
    return (corners[:, :1] != corners[:, 1:]).astype(np.float32)


def data() -> tuple[Data, Data]:
    """The four corners, and 400 points around them: float32 (n, 2) with targets float32 (n, 1)."""
    corners = np.repeat(CORNERS, 100, axis=0)
    points = corners + np.random.default_rng(0).normal(0, SCATTER, corners.shape)
    return (CORNERS, xor(CORNERS)), (points.astype(np.float32), xor(corners))


def network() -> lamina.Sequential:
    """Points (2,) in, probability of a 1 out."""
    return lamina.Sequential(
        [
            layers.Input((2,)),
            layers.Dense(HIDDEN, activation="tanh", name="hidden"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[lamina.Model, dict[str, list[float]]]:
    """Train on the corners.  Returns the model, and losses and accuracies by epoch, ``val_`` those of the points."""
    lamina.random.seed(seed)
    model = network()
    corners, points = data()
    model.compile(lamina.optimizers.Adam(RATE), loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(*corners, batch_size=4, epochs=epochs, validation_data=points, verbose=verbose)
    return model, history.history


def picture(model: lamina.Model) -> str:
    """Where each hidden unit, and then the network, is on: the plane from -0.5 to 1.5 both ways, corners marked."""
    across, down = np.linspace(-0.5, 1.5, 17), np.linspace(1.5, -0.5, 9)
    grid = np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32).reshape(-1, 2)
    inside = lamina.Model(model.inputs, [model.get_layer("hidden").output, model.output])
    hidden, output = inside.predict(grid, verbose=0)
    blocks = []
    for title, on in [(f"unit {k}", hidden[:, k] > 0) for k in range(HIDDEN)] + [("output", output[:, 0] > 0.5)]:
        plane = np.where(on, "#", ".").reshape(len(down), len(across))
        for x, y in CORNERS:
            plane[np.abs(down - y).argmin(), np.abs(across - x).argmin()] = str(int(x != y))
        blocks.append([title.ljust(len(across)), *("".join(row) for row in plane)])
    return "\n".join(" | ".join(rows) for rows in zip(*blocks, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs, verbose=0)
    for i in range(0, options.epochs, max(1, options.epochs // 8)):
        print(f"epoch {i + 1:3}  loss {history['loss'][i]:.4f}  right {4 * history['accuracy'][i]:.0f} of 4")
    print(f"\nTest accuracy: {history['val_accuracy'][-1]:.1%}\n")
    for corner, probability in zip(CORNERS, model.predict(CORNERS, verbose=0)[:, 0], strict=True):
        print(f"  {corner[0]:.0f} xor {corner[1]:.0f} is 1 with probability {probability:.3f}")
    print(f"\n{picture(model)}")


if __name__ == "__main__":
    main()
