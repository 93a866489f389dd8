"""A block in each of three stages; Adam on a cosine; images flipped and shifted."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch

from benchmarks.peers.engine.torch_networks import resnet
from benchmarks.results.peers.training import History, fit, images

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and accuracies of the test images by epoch."""
    torch.manual_seed(seed)
    (x_train, y_train), test = example.data()
    rng = np.random.default_rng(seed)
    model = resnet((1, 1, 1), (16, 32, 64)).to(memory_format=torch.channels_last)

    def varied(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        return images((example.varied(x_train, rng), y_train))

    return fit(model, varied, images(test), example.BATCH, epochs, 4e-3, cosine=True)
