"""ResNets and VGGs as torchvision writes them: the same modules with the same names, for reference predictions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

VGG = {"VGG11": (1, 1, 2, 2, 2), "VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}
RESNET = {
    "ResNet18": ((2, 2, 2, 2), False),
    "ResNet34": ((3, 4, 6, 3), False),
    "ResNet50": ((3, 4, 6, 3), True),
    "ResNet101": ((3, 4, 23, 3), True),
}


class Block(nn.Module):
    """Two convolutions, or three with a bottleneck, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        out = 4 * width if bottleneck else width
        shapes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        self.parts = 3 if bottleneck else 2
        for i, (before, after, size, step) in enumerate(
            shapes if bottleneck else [(channels, width, 3, stride), (width, width, 3, 1)], 1
        ):
            setattr(self, f"conv{i}", nn.Conv2d(before, after, size, step, size // 2, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(after))
        self.downsample: Any = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Any) -> Any:
        short = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.parts + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            x = functional.relu(x) if i < self.parts else x
        return functional.relu(x + short)


class ResNet(nn.Module):
    """For images of 224 x 224."""

    def __init__(self, blocks: tuple[int, ...], bottleneck: bool, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for i, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
            stage = []
            for block in range(count):
                stage.append(Block(channels, width, 2 if i and not block else 1, bottleneck))
                channels = 4 * width if bottleneck else width
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Any) -> Any:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3)))


class Vgg(nn.Module):
    """Blocks of convolutions, three dense layers."""

    def __init__(self, counts: tuple[int, ...], classes: int, places: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for count, width in zip(counts, (64, 128, 256, 512, 512), strict=True):
            for _ in range(count):
                parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            parts.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            nn.Linear(512 * places, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.features(x), 1))


def network(name: str, classes: int = 1000, places: int = 49) -> nn.Module:
    """The network in evaluation mode, its statistics and biases away from their first values."""
    torch.manual_seed(0)
    made = Vgg(VGG[name], classes, places) if name in VGG else ResNet(*RESNET[name], classes)
    with torch.no_grad():
        for key, value in made.state_dict().items():
            if key.endswith(("bias", "running_mean")):
                value.normal_(0.0, 0.1)
            elif key.endswith("running_var") or ("bn" in key and key.endswith("weight")):
                value.uniform_(0.5, 1.5)
    return made.eval()
