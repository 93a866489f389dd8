"""The generator and its discriminator in PyTorch; the example's classifier judges the images."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.generation import channels_first, keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"
NORM = {"eps": 1e-3, "momentum": 0.01}  # Keras's defaults


def generator(example: ModuleType) -> nn.Module:
    """Noise in, images out."""
    first, second = example.FILTERS
    return nn.Sequential(
        nn.Linear(example.LATENT, 49 * first, bias=False),
        nn.BatchNorm1d(49 * first, **NORM),
        nn.ReLU(),
        nn.Unflatten(1, (first, 7, 7)),
        nn.ConvTranspose2d(first, second, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(second, **NORM),
        nn.ReLU(),
        nn.ConvTranspose2d(second, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )


def discriminator(example: ModuleType) -> nn.Module:
    """Images in, logits out."""
    second, first = example.FILTERS
    return nn.Sequential(
        nn.Conv2d(1, first, 4, stride=2, padding=1),
        nn.LeakyReLU(example.SMOOTH),
        nn.Dropout(example.DROPOUT),
        nn.Conv2d(first, second, 4, stride=2, padding=1),
        nn.LeakyReLU(example.SMOOTH),
        nn.Dropout(example.DROPOUT),
        nn.Flatten(),
        nn.Linear(49 * second, 1),
    )


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """What the classifier says of the images, by epoch."""
    torch.manual_seed(seed)
    (x_train, _), _ = example.data()
    x = channels_first(x_train)
    networks = [keras_weights(make(example)) for make in (discriminator, generator)]
    judge, make = (network.to(memory_format=torch.channels_last) for network in networks)
    adam = {"lr": example.RATE, "betas": (example.BETA, 0.999), "eps": EPSILON}
    optimizers = [torch.optim.Adam(network.parameters(), **adam) for network in (judge, make)]
    history: History = {}
    for _ in range(epochs):
        make.train()
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            of_generated = judge(make(torch.randn(len(chosen), example.LATENT)))
            judging = functional.softplus(-judge(x[chosen])).mean() + functional.softplus(of_generated).mean()
            deceiving = functional.softplus(-of_generated).mean()
            for loss, network in ((judging, judge), (deceiving, make)):
                parameters = list(network.parameters())
                gradients = torch.autograd.grad(loss, parameters, retain_graph=network is judge)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
            for optimizer in optimizers:
                optimizer.step()
        make.eval()
        noise = np.random.default_rng(seed).normal(size=(example.JUDGED, example.LATENT)).astype(np.float32)
        with torch.inference_mode():
            images = make(torch.from_numpy(noise)).permute(0, 2, 3, 1).contiguous().numpy()
        for name, value in example.judge(images).items():
            history.setdefault(name, []).append(value)
    return history
