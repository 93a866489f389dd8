"""The variational autoencoder in PyTorch."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.generation import keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class VariationalAutoencoder(nn.Module):
    """Images in, logits of images and the divergence of the codes out."""

    def __init__(self, pixels: int, units: tuple[int, ...], latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_hidden((pixels, *units)), nn.Linear(units[-1], 2 * latent))
        self.decoder = nn.Sequential(*_hidden((latent, *units[::-1])), nn.Linear(units[0], pixels))
        keras_weights(self)
        for half in self.encoder[-1].weight.split(latent):  # two layers in one
            nn.init.xavier_uniform_(half)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        divergence = (mean**2 + log_variance.exp() - log_variance - 1).sum(1).mean() / 2
        return self.decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean)), divergence


def _hidden(sizes: tuple[int, ...]) -> list[nn.Module]:
    return [part for inputs, outputs in pairwise(sizes) for part in (nn.Linear(inputs, outputs), nn.ReLU())]


def _loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    logits, divergence = model(x)
    return functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + divergence


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Negative ELBO of the test images in nats, by epoch."""
    torch.manual_seed(seed)
    x, x_test = (torch.from_numpy(images) for images in example.data())
    model = VariationalAutoencoder(example.PIXELS, example.UNITS, example.LATENT)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    history: History = {"val_loss": []}
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            _loss(model, x[chosen]).backward()
            optimizer.step()
        with torch.inference_mode():
            history["val_loss"].append(float(_loss(model, x_test)))
    return history
