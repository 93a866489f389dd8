"""Training of classifiers in PyTorch, as the examples' classifiers are trained in Lamina."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

History = dict[str, list[float]]
Arrays = tuple[np.ndarray, np.ndarray]
EPSILON = 1e-7  # of Adam, Keras's default


def images(data: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Images channels-last in memory, and labels int64."""
    x, y = data
    channels_first = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)
    return channels_first.contiguous(memory_format=torch.channels_last), torch.from_numpy(y.astype(np.int64))


def fit(
    model: nn.Module,
    data: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
    test: tuple[torch.Tensor, torch.Tensor],
    batch: int,
    epochs: int,
    rate: float,
    cosine: bool,
) -> History:
    """Train with Adam.  Returns losses and accuracies of the test data by epoch."""
    optimizer = torch.optim.Adam(model.parameters(), rate, eps=EPSILON)
    history: History = {"val_loss": [], "val_accuracy": []}
    step = 0
    for epoch in range(epochs):
        x, y = data(epoch)
        model.train()
        order = torch.randperm(len(x))
        per_epoch = -(-len(x) // batch)
        for start in range(0, len(x), batch):
            if cosine:
                now = rate * 0.5 * (1 + math.cos(math.pi * step / (epochs * per_epoch)))
                optimizer.param_groups[0]["lr"] = now
            chosen = order[start : start + batch]
            optimizer.zero_grad()
            _loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            step += 1
        model.eval()
        with torch.inference_mode():
            logits = torch.cat([model(part) for part in test[0].split(500)])
        right = (logits > 0) == (test[1] > 0.5) if logits.shape[1] == 1 else logits.argmax(1) == test[1]
        history["val_loss"].append(float(_loss(logits, test[1])))
        history["val_accuracy"].append(float(right.float().mean()))
    return history


def _loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits, y)
    return functional.cross_entropy(logits, y)
