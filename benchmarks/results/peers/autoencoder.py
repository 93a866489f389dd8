"""The convolutional autoencoder in PyTorch."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.generation import channels_first, keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


def network(example: ModuleType) -> nn.Module:
    """Images in, logits of images out."""
    first, second = example.FILTERS
    return nn.Sequential(
        nn.Conv2d(1, first, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(first, second, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(49 * second, example.CODE),
        nn.Linear(example.CODE, 49 * second),
        nn.ReLU(),
        nn.Unflatten(1, (second, 7, 7)),
        nn.ConvTranspose2d(second, first, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(first, 1, 3, stride=2, padding=1, output_padding=1),
    )


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Cross-entropy of a pixel of the test images, by epoch."""
    torch.manual_seed(seed)
    x, x_test = (channels_first(images) for images in example.data())
    model = keras_weights(network(example)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // example.BATCH))
    history: History = {"val_loss": []}
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(model(x[chosen]), x[chosen]).backward()
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            history["val_loss"].append(float(functional.binary_cross_entropy_with_logits(model(x_test), x_test)))
    return history
