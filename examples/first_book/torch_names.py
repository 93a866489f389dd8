"""The language of a word from its letters: Embedding and LSTM, and a step written with Lamina's tape instead."""

from __future__ import annotations

import argparse

import numpy as np

import lamina
from lamina.compat import torch
from lamina.compat.torch import nn

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Syllables from which made-up languages build their words.
LANGUAGES = {"north": "sk bj grim ulf en or vik", "south": "ari o la tto ni bella ca", "east": "shi ka ru to mi no yu"}


def words(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Words as the numbers of their letters (0 fills up), and which language each is of."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(LANGUAGES), count)
    rows = np.zeros((count, 12), np.int64)
    for row, label in zip(rows, labels):
        syllables = list(LANGUAGES.values())[label].split()
        word = "".join(rng.choice(syllables, 3))[:12]
        row[: len(word)] = [LETTERS.index(letter) + 1 for letter in word]
    return torch.from_numpy(rows), torch.from_numpy(labels)


class Classifier(nn.Module):
    """The last state of an LSTM, in one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS) + 1, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 24, batch_first=True)
        self.output = nn.Linear(24, len(LANGUAGES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(self.embedding(x))
        return self.output(hidden[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    torch.manual_seed(0)
    x, y = words(960, seed=0)
    x_test, y_test = words(300, seed=1)
    model, criterion = Classifier(), nn.CrossEntropyLoss()
    optimizer = lamina.optimizers.Adam(0.01)
    parameters = model.trainable_variables

    @lamina.function
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with lamina.GradientTape() as tape:
            loss = criterion(model(x), y)
        optimizer.apply(tape.gradient(loss, parameters), parameters)
        return loss

    for epoch in range(options.epochs):
        order = torch.randperm(len(x))
        losses = [step(x[rows], y[rows]).item() for rows in order.split(32)]
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}")
    model.eval()
    with torch.no_grad():
        right = (model(x_test).argmax(dim=1) == y_test).float().mean()
    print(f"Test accuracy: {right.item():.3f}")


if __name__ == "__main__":
    main()
