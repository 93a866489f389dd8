"""Training of language models in PyTorch, as the examples' are trained in Lamina."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.training import EPSILON, History


def fit(model: nn.Module, example: ModuleType, epochs: int) -> History:
    """Train with Adam on a cosine.  Returns losses for each token of the test text by epoch."""
    (x, y), (x_test, y_test), _ = (tuple(map(_tensor, part)) if len(part) == 2 else part for part in example.data())
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    steps = epochs * -(-len(x) // example.BATCH)
    cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    history: History = {"val_loss": []}
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            _loss(model, x[chosen], y[chosen]).backward()
            optimizer.step()
            cosine.step()
        model.eval()
        with torch.inference_mode():
            losses = [
                _loss(model, *part) * len(part[0]) for part in zip(x_test.split(256), y_test.split(256), strict=True)
            ]
        history["val_loss"].append(float(sum(losses)) / len(x_test))
    return history


def _tensor(numbers: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(numbers.astype(np.int64))


def _loss(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
