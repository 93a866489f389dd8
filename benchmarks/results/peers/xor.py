"""The multilayer perceptron for XOR in PyTorch."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn

from benchmarks.peers.engine.torch_networks import keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Train on the corners.  Returns losses and accuracies by epoch, those of the scattered points under ``val_``."""
    torch.manual_seed(seed)
    corners, points = ((torch.from_numpy(x), torch.from_numpy(y)) for x, y in example.data())
    model = keras_weights(nn.Sequential(nn.Linear(2, example.HIDDEN), nn.Tanh(), nn.Linear(example.HIDDEN, 1)))
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    loss_of = nn.BCEWithLogitsLoss()
    history: History = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for _ in range(epochs):
        optimizer.zero_grad()
        loss_of(model(corners[0]), corners[1]).backward()
        optimizer.step()
        with torch.inference_mode():
            for prefix, (x, y) in (("", corners), ("val_", points)):
                logits = model(x)
                history[f"{prefix}loss"].append(float(loss_of(logits, y)))
                history[f"{prefix}accuracy"].append(float(((logits > 0) == (y > 0.5)).float().mean()))
    return history
