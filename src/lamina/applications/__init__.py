"""Well-known networks, built from layers, with fresh weights: ``LeNet``, ``VGGSmall``, ``ResNet18``, ``ResNet20``.

Each is a function that returns a functional ``Model``.  Images are channels-last.
"""

from __future__ import annotations

from lamina.applications.lenet import LeNet
from lamina.applications.resnet import ResNet, ResNet18, ResNet20
from lamina.applications.vgg import VGGSmall

__all__ = ["LeNet", "ResNet", "ResNet18", "ResNet20", "VGGSmall"]
