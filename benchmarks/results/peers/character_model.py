"""Embedding, LSTM over the letters, logits of the next letter."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn

from benchmarks.results.peers.language import fit
from benchmarks.results.peers.recurrent import first_weights
from benchmarks.results.peers.training import History

FRAMEWORK = "PyTorch"


class Letters(nn.Module):
    """Numbers of letters in, logits of the next letters out."""

    def __init__(self, letters: int, embedding: int, units: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, embedding)
        self.lstm = nn.LSTM(embedding, units, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False)  # one bias, as in Keras
        self.head = nn.Linear(units, letters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embedding(x))[0])


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses for each letter of the end of the text by epoch."""
    torch.manual_seed(seed)
    model = Letters(len(example.data()[2]), example.EMBEDDING, example.UNITS)
    return fit(first_weights(model), example, epochs)
