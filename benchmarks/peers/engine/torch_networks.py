"""LeNet, VGG-small, ResNet-18 and the network for sentences as ``torch.nn`` modules; all return logits."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from benchmarks import engine


def keras_weights(model: nn.Module) -> nn.Module:
    """Glorot's uniform weights and biases of 0, as the other frameworks begin."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def lenet(dropout: float = 0.0) -> nn.Module:
    """Two convolutions of 5 x 5 with pooling, two dense layers."""
    drop = [nn.Dropout(dropout)] if dropout else []
    model = nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *drop,
        nn.Linear(7 * 7 * 64, 128),
        nn.ReLU(),
        *drop,
        nn.Linear(128, engine.CLASSES),
    )
    return keras_weights(model)


def vgg() -> nn.Module:
    """64, 64, pool, 128, 128, pool, 256, classes."""
    parts: list[nn.Module] = []
    for inputs, filters in pairwise((3, 64, 64, 128, 128)):
        parts += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU()]
        if inputs == filters:
            parts.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(8 * 8 * 128, 256), nn.ReLU(), nn.Linear(256, engine.CLASSES)]
    return keras_weights(nn.Sequential(*parts, *head))


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != filters:
            conv = nn.Conv2d(inputs, filters, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return functional.relu(self.shortcut(x) + y, inplace=True)


def resnet(blocks: tuple[int, ...], widths: tuple[int, ...]) -> nn.Module:
    """A residual network for small images."""
    parts: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0])]
    parts.append(nn.ReLU(inplace=True))
    inputs = widths[0]
    for stage, (count, filters) in enumerate(zip(blocks, widths)):
        for block in range(count):
            parts.append(Block(inputs, filters, 2 if stage and not block else 1))
            inputs = filters
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, engine.CLASSES)]
    model = keras_weights(nn.Sequential(*parts))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return model


def resnet18() -> nn.Module:
    """Four stages of two blocks."""
    return resnet((2, 2, 2, 2), (64, 128, 256, 512))


class Sentences(nn.Module):
    """Embedding, LSTM, one unit."""

    def __init__(self, words: int, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 1)
        self.dropout = dropout

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.embedding(words)
        if self.dropout:
            x = functional.dropout1d(x.transpose(1, 2), self.dropout, self.training).transpose(1, 2)
        state = self.lstm(x)[1][0][0]
        if self.dropout:
            state = functional.dropout(state, 0.5, self.training)
        return self.head(state)


BUILDERS = {"lenet": lenet, "vgg": vgg, "resnet18": resnet18}
