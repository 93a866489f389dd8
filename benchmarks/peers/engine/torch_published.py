"""Published networks in PyTorch; ResNets and VGGs with the names of modules that torchvision gives them."""

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


class AlexNet(nn.Module):
    """For images of 227 x 227, with groups and response normalization as in the paper."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, 96, 11, 4), *self._normalized()]
        parts += [nn.Conv2d(96, 256, 5, padding=2, groups=2), *self._normalized()]
        for before, after, groups in ((256, 384, 1), (384, 384, 2), (384, 256, 2)):
            parts += [nn.Conv2d(before, after, 3, padding=1, groups=groups), nn.ReLU()]
        self.features = nn.Sequential(*parts, nn.MaxPool2d(3, 2))
        self.classifier = nn.Sequential(
            nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    @staticmethod
    def _normalized() -> list[nn.Module]:
        return [nn.ReLU(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.MaxPool2d(3, 2)]  # alpha is divided by 5

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.features(x), 1))


def _chain(channels: int, *convolutions: tuple[Any, ...]) -> nn.Sequential:
    """Convolutions ``(filters, size, stride, padded)``, each with batch normalization and ReLU."""
    parts: list[nn.Module] = []
    for filters, size, *rest in convolutions:
        stride, padded = rest or (1, True)
        sizes = size if isinstance(size, tuple) else (size, size)
        padding = tuple(n // 2 for n in sizes) if padded else 0
        norm = nn.BatchNorm2d(filters, eps=1e-3)
        parts += [nn.Conv2d(channels, filters, sizes, stride, padding, bias=False), norm, nn.ReLU()]
        channels = filters
    return nn.Sequential(*parts)


class Branches(nn.Module):
    """What several modules make of one input, channels after channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        return torch.cat([branch(x) for branch in self.branches], 1)


def inception_v3(classes: int) -> nn.Module:
    """For images of 299 x 299, without the classifier on the way."""

    def pooled(channels: int, filters: int) -> nn.Module:
        around = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        return nn.Sequential(around, _chain(channels, (filters, 1)))

    def forked(before: nn.Module, channels: int) -> nn.Module:
        return nn.Sequential(before, Branches(_chain(channels, (384, (1, 3))), _chain(channels, (384, (3, 1)))))

    row, column = (1, 7), (7, 1)
    parts: list[nn.Module] = [_chain(3, (32, 3, 2, False), (32, 3, 1, False), (64, 3)), nn.MaxPool2d(3, 2)]
    parts += [_chain(64, (80, 1, 1, False), (192, 3, 1, False)), nn.MaxPool2d(3, 2)]
    for n, filters in ((192, 32), (256, 64), (288, 64)):
        five, three = _chain(n, (48, 1), (64, 5)), _chain(n, (64, 1), (96, 3), (96, 3))
        parts.append(Branches(_chain(n, (64, 1)), five, three, pooled(n, filters)))
    three = _chain(288, (64, 1), (96, 3), (96, 3, 2, False))
    parts.append(Branches(_chain(288, (384, 3, 2, False)), three, nn.MaxPool2d(3, 2)))
    for n in (128, 160, 160, 192):
        once = _chain(768, (n, 1), (n, row), (192, column))
        twice = _chain(768, (n, 1), (n, column), (n, row), (n, column), (192, row))
        parts.append(Branches(_chain(768, (192, 1)), once, twice, pooled(768, 192)))
    seven = _chain(768, (192, 1), (192, row), (192, column), (192, 3, 2, False))
    parts.append(Branches(_chain(768, (192, 1), (320, 3, 2, False)), seven, nn.MaxPool2d(3, 2)))
    for n in (1280, 2048):
        one, two = forked(_chain(n, (384, 1)), 384), forked(_chain(n, (448, 1), (384, 3)), 384)
        parts.append(Branches(_chain(n, (320, 1)), one, two, pooled(n, 192)))
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, classes))


def build(name: str, classes: int = 1000, places: int = 49) -> nn.Module:
    """A new network; ``places`` are those of the last feature maps of a VGG."""
    if name in VGG:
        return Vgg(VGG[name], classes, places)
    if name in RESNET:
        return ResNet(*RESNET[name], classes)
    return {"AlexNet": AlexNet, "InceptionV3": inception_v3}[name](classes)


def network(name: str, classes: int = 1000, places: int = 49) -> nn.Module:
    """The network in evaluation mode, its statistics and biases away from their first values."""
    torch.manual_seed(0)
    made = build(name, classes, places)
    with torch.no_grad():
        for key, value in made.state_dict().items():
            if key.endswith(("bias", "running_mean")):
                value.normal_(0.0, 0.1)
            elif key.endswith("running_var") or ("bn" in key and key.endswith("weight")):
                value.uniform_(0.5, 1.5)
    return made.eval()
