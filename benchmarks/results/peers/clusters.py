"""Contrastive learning of features in PyTorch; the example's k-means puts them into clusters."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.generation import channels_first, keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


def distort(x: torch.Tensor) -> torch.Tensor:
    """Each image shifted, turned and resized in its own way, in one sampling."""
    count = len(x)
    shift = torch.empty(count, 2).uniform_(-0.24, 0.24)  # affine_grid counts from -1 to 1
    angle = torch.empty(count).uniform_(-0.06, 0.06) * 2 * math.pi
    zoom = 1 + torch.empty(count, 2).uniform_(-0.25, 0.25)
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    grid = functional.affine_grid(torch.cat([turn * zoom[:, :, None], shift[:, :, None]], 2), list(x.shape), False)
    return functional.grid_sample(x, grid, align_corners=False)


def encoder(features: int) -> nn.Module:
    """Images in, features out."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 64, features),
        nn.ReLU(),
    )


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses by epoch, and what clusters of test images are like at the end."""
    torch.manual_seed(seed)
    (x_train, _), (x_test, y_test) = example.data()
    x = channels_first(x_train)
    encode = encoder(example.FEATURES)
    model = keras_weights(nn.Sequential(encode, nn.Linear(example.FEATURES, example.PROJECTED)))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // example.BATCH))
    history: History = {"loss": []}
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            count = len(chosen)
            directions = functional.normalize(model(torch.cat([distort(x[chosen]), distort(x[chosen])])))
            cosines = directions @ directions.T / example.TEMPERATURE
            cosines.fill_diagonal_(-1e9)
            loss = functional.cross_entropy(cosines, torch.arange(2 * count).roll(count))
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * count
        history["loss"].append(total / len(x))
    with torch.inference_mode():
        features = encode(channels_first(x_test)).numpy()
    _, measured = example.cluster(features, y_test)
    return history | {f"val_{name}": [value] for name, value in measured.items()}
