"""Well-known networks, built from layers, with fresh weights or those of a file.

Published sizes: ``AlexNet``, ``VGG11``, ``VGG16``, ``VGG19``, ``ResNet18``, ``ResNet34``, ``ResNet50``,
``ResNet101`` and their second forms ``ResNet18V2``..., ``InceptionV1``, ``InceptionV3``, ``MobileNetV2``,
``EfficientNetLite0``.  For small images: ``LeNet``, ``VGGSmall``, ``ResNet20``, ``ResNet18``.

Each is a function that returns a functional ``Model``.  Images are channels-last, on the scale that
``preprocess_input`` makes; ``decode_predictions`` names the classes of ImageNet.
"""

from __future__ import annotations

from lamina.applications.alexnet import AlexNet
from lamina.applications.bottleneck import ResNet50, ResNet50V2, ResNet101, ResNet101V2
from lamina.applications.efficientnet import EfficientNetLite0
from lamina.applications.imagenet import decode_predictions, preprocess_input
from lamina.applications.inception import InceptionV1, InceptionV3
from lamina.applications.lenet import LeNet
from lamina.applications.mobilenet import MobileNetV2
from lamina.applications.resnet import ResNet, ResNet18, ResNet18V2, ResNet20, ResNet34, ResNet34V2
from lamina.applications.vgg import VGG11, VGG16, VGG19, VGGSmall

__all__ = [
    "AlexNet", "EfficientNetLite0", "InceptionV1", "InceptionV3", "LeNet", "MobileNetV2", "ResNet", "ResNet101",
    "ResNet101V2", "ResNet18", "ResNet18V2", "ResNet20", "ResNet34", "ResNet34V2", "ResNet50", "ResNet50V2", "VGG11",
    "VGG16", "VGG19", "VGGSmall", "decode_predictions", "preprocess_input",
]  # fmt: skip
