"""Rosenblatt's perceptron tells iris setosa from the other irises, and fails at XOR.

The perceptron (Rosenblatt, 1958) has a step for its activation, so there is no gradient to follow.  Its rule
moves the weights only after a mistake, by the input itself.  If a straight line separates the two classes, the
rule finds one and makes no mistakes from then on; if none does, it never comes to rest.
"""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina import layers
from lamina.datasets import iris

PETAL = [2, 3]  # columns of the petals' length and width, in centimetres
XOR_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
XOR_Y = np.array([[0], [1], [1], [0]], np.float32)
Data = tuple[np.ndarray, np.ndarray]


def data() -> tuple[Data, Data]:
    """Lengths and widths of petals float32 (n, 2), and 1 for setosa or 0 float32 (n, 1), to train and to test."""
    (x_train, y_train), (x_test, y_test) = iris.load_data(test_split=0.3)
    return _setosa(x_train, y_train), _setosa(x_test, y_test)


def _setosa(lengths: np.ndarray, species: np.ndarray) -> Data:
    return lengths[:, PETAL], (species == 0).astype(np.float32)[:, None]


class Perceptron(lamina.Model):
    """1 where ``x @ w + b >= 0``, else 0; learns by Rosenblatt's rule.

    Inputs are float32 (batch, features), outputs (batch, 1).
    """

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1, activation="binary_step", kernel_initializer="zeros")
        self.mistakes = lamina.metrics.Sum()
        self.right = lamina.metrics.BinaryAccuracy()

    def call(self, inputs: lamina.Tensor) -> lamina.Tensor:
        return self.dense(inputs)

    def train_step(self, data: tuple[lamina.Tensor, lamina.Tensor]) -> dict[str, lamina.Tensor]:
        x, y = data
        error = y - self(x)  # 0 where it is right; else 1 or -1
        self.dense.kernel.assign_add(lamina.matmul(x.T, error))
        self.dense.bias.assign_add(lamina.sum(error, axis=0))
        self.mistakes.update_state(lamina.abs(error))
        return {"mistakes": self.mistakes.result()}

    def test_step(self, data: tuple[lamina.Tensor, lamina.Tensor]) -> dict[str, lamina.Tensor]:
        x, y = data
        self.right.update_state(y, self(x))
        return {"accuracy": self.right.result()}


def learn(train: Data, test: Data, epochs: int, verbose: int, seed: int) -> tuple[Perceptron, dict[str, list[float]]]:
    """Show a new perceptron one sample after the other.  Returns it, and its mistakes and accuracies by epoch."""
    lamina.random.seed(seed)
    model = Perceptron()
    model.compile()
    history = model.fit(*train, batch_size=1, epochs=epochs, validation_data=test, verbose=verbose)
    return model, history.history


def train(epochs: int, verbose: int = 2, seed: int = 0) -> tuple[Perceptron, dict[str, list[float]]]:
    """Learn to know setosa.  Returns the perceptron, and mistakes and ``val_accuracy`` by epoch."""
    return learn(*data(), epochs, verbose, seed)


def picture(model: lamina.Model, x: np.ndarray, y: np.ndarray) -> str:
    """The plane of the petals: S setosa, o others, and dots where the perceptron says setosa."""
    lengths, widths = np.linspace(0, 7, 57), np.linspace(2.6, 0, 14)
    grid = np.stack(np.meshgrid(lengths, widths), axis=-1).astype(np.float32)
    plane = np.where(model.predict(grid.reshape(-1, 2), verbose=0).reshape(grid.shape[:2]) > 0.5, ".", " ")
    for (length, width), setosa in zip(x, y[:, 0], strict=True):
        plane[np.abs(widths - width).argmin(), np.abs(lengths - length).argmin()] = "S" if setosa else "o"
    return "\n".join(f"{w:4.1f} |{''.join(row)}" for w, row in zip(widths, plane, strict=True))


def best_of_random_lines(x: np.ndarray, y: np.ndarray, count: int) -> int:
    """How many points the best of so many perceptrons with random weights gets right."""
    weights = np.random.default_rng(0).normal(size=(x.shape[1] + 1, count))
    said = x @ weights[:-1] + weights[-1] >= 0
    return int((said == y).sum(axis=0).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    model, history = train(options.epochs)
    print(f"\nMistakes by epoch: {', '.join(f'{n:.0f}' for n in history['mistakes'])}")
    print(f"Test accuracy: {history['val_accuracy'][-1]:.1%}\n\nPetal width over petal length (0 to 7 cm):")
    print(picture(model, *data()[1]))

    xor = XOR_X, XOR_Y
    _, history = learn(xor, xor, 100, verbose=0, seed=0)
    print(f"\nXOR: mistakes in the last of 100 epochs: {', '.join(f'{n:.0f}' for n in history['mistakes'][-10:])}, ...")
    print(f"Of 10,000 random lines, the best gets {best_of_random_lines(*xor, 10_000)} of the 4 points right.")


if __name__ == "__main__":
    main()
