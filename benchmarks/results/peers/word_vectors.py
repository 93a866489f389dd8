"""Skip-gram with negative sampling; Adam on a cosine."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class SkipGram(nn.Module):
    """The logit of a true pair."""

    def __init__(self, words: int, units: int) -> None:
        super().__init__()
        self.vectors, self.around, self.frequency = (nn.Embedding(words, n) for n in (units, units, 1))
        nn.init.uniform_(self.vectors.weight, -0.05, 0.05)
        nn.init.zeros_(self.around.weight)
        nn.init.zeros_(self.frequency.weight)

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        word, other = pairs.unbind(1)
        return (self.vectors(word) * self.around(other)).sum(1) + self.frequency(other)[:, 0]


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Loss of the test pairs by epoch."""
    torch.manual_seed(seed)
    *parts, vocabulary = example.data()
    (x, y), (x_test, y_test) = ([torch.from_numpy(a) for a in part] for part in parts)
    model = SkipGram(len(vocabulary), example.UNITS)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // example.BATCH))
    history: History = {"val_loss": []}
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            history["val_loss"].append(float(functional.binary_cross_entropy_with_logits(model(x_test), y_test)))
    return history
