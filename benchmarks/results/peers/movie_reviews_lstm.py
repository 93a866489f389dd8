"""Embedding, LSTM, one unit, with dropout."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch
from torch import nn

from benchmarks.peers.engine.torch_networks import Sentences, keras_weights
from benchmarks.results.peers.training import History, fit

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and accuracies of the test sentences by epoch."""
    torch.manual_seed(seed)
    train, test = (
        (torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))[:, None]) for x, y in example.data()[:2]
    )
    model = Sentences(example.WORDS, example.UNITS, example.UNITS, dropout=example.DROPOUT)
    with torch.no_grad():  # Keras's first weights
        model.embedding.weight.uniform_(-0.05, 0.05)
        nn.init.xavier_uniform_(model.lstm.weight_ih_l0)
        nn.init.orthogonal_(model.lstm.weight_hh_l0)
        model.lstm.bias_hh_l0.zero_()
        model.lstm.bias_ih_l0.zero_()[example.UNITS : 2 * example.UNITS] = 1.0
    keras_weights(model.head)
    return fit(model, lambda epoch: train, test, example.BATCH, epochs, example.RATE, cosine=False)
