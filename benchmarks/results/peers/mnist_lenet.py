"""LeNet with dropout; Adam on a cosine."""

from __future__ import annotations

from types import ModuleType

import torch

from benchmarks.peers.engine.torch_networks import lenet
from benchmarks.results.peers.training import History, fit, images

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and accuracies of the test images by epoch."""
    torch.manual_seed(seed)
    train, test = (images(data) for data in example.data())
    return fit(lenet(dropout=0.4), lambda epoch: train, test, example.BATCH, epochs, 2e-3, cosine=True)
