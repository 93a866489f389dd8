"""An LSTM that forecasts the change after each window."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class Forecaster(nn.Module):
    """The example's network of the kind "lstm", with Keras's first weights."""

    def __init__(self, example: ModuleType) -> None:
        super().__init__()
        self.scale = example.SCALE
        self.lstm = nn.LSTM(1, example.UNITS, batch_first=True)
        self.change = nn.Linear(example.UNITS, 1)
        nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        nn.init.orthogonal_(self.lstm.weight_hh_l0)
        nn.init.xavier_uniform_(self.change.weight)
        with torch.no_grad():
            self.change.bias.zero_()
            self.lstm.bias_hh_l0.zero_()
            self.lstm.bias_ih_l0.zero_()[example.UNITS : 2 * example.UNITS] = 1.0

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Forecasts (n, 1) for windows (n, steps)."""
        last = windows[:, -1:]
        outputs, _ = self.lstm(((windows - last) / self.scale)[..., None])
        return last + self.scale * self.change(outputs[:, -1])


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Mean absolute errors in ppm by epoch."""
    torch.manual_seed(seed)
    model = Forecaster(example)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    (x, y), (x_test, y_test) = (
        [torch.from_numpy(np.concatenate(parts)) for parts in zip(*batches, strict=True)]
        for batches in example.data(seed)
    )
    steps = epochs * -(-len(x) // example.BATCH)
    history: History = {"loss": [], "val_loss": []}
    step = 0
    for _ in range(epochs):
        losses = []
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            now = example.RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimizer.param_groups[0]["lr"] = now
            optimizer.zero_grad()
            loss = functional.l1_loss(model(x[chosen]), y[chosen])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        with torch.inference_mode():
            history["loss"].append(float(np.mean(losses)))
            history["val_loss"].append(functional.l1_loss(model(x_test), y_test).item())
    return history
