"""Rosenblatt's perceptron in PyTorch, its rule by hand as in the example."""

from __future__ import annotations

from types import ModuleType

import torch

from benchmarks.results.peers.training import History

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Train on the petals.  Returns mistakes and accuracies of the test flowers by epoch."""
    torch.manual_seed(seed)
    (x, y), (x_test, y_test) = ((torch.from_numpy(a), torch.from_numpy(b)) for a, b in example.data())
    weights, bias = torch.zeros(x.shape[1], 1), torch.zeros(1)
    history: History = {"mistakes": [], "val_accuracy": []}
    for _ in range(epochs):
        mistakes = 0.0
        for i in torch.randperm(len(x)):
            error = y[i] - (x[i] @ weights + bias >= 0).float()
            weights += x[i][:, None] * error
            bias += error
            mistakes += float(error.abs())
        history["mistakes"].append(mistakes)
        right = (x_test @ weights + bias >= 0).float() == y_test
        history["val_accuracy"].append(float(right.float().mean()))
    return history
