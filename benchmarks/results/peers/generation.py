"""Parts of the generative models in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def channels_first(images: np.ndarray) -> torch.Tensor:
    """Images (n, height, width, channels) as PyTorch counts them, channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def keras_weights(model: nn.Module) -> nn.Module:
    """Glorot's uniform weights and biases of 0, of transposed convolutions too."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
