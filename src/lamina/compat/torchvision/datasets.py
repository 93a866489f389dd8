"""Image data sets with transforms: ``MNIST``, ``FashionMNIST``, ``CIFAR10``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.compat.torch.creation import from_numpy
from lamina.compat.torch.utils.data import Dataset
from lamina.datasets import cifar10, fashion_mnist, mnist


class _Images(Dataset):
    """Pairs of an image and its class.

    Args:
        root: accepted; ``lamina.datasets`` says where files are looked for and kept.
        train: whether the training images are wanted, or those to test.
        transform: applied to each image, an array of uint8 (height, width) or (height, width, 3).
        target_transform: applied to each class, an int.
        download: accepted; what is missing is downloaded.
    """

    _load: Callable[..., Any]
    classes: tuple[str, ...] = tuple(str(i) for i in range(10))

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        images, labels = type(self)._load()[0 if train else 1]
        self.root, self.train, self.transform, self.target_transform = root, train, transform, target_transform
        self._images = images
        self.targets = from_numpy(np.asarray(labels).reshape(-1).astype(np.int64))

    @property
    def data(self) -> Any:
        """All images, as they are."""
        return from_numpy(self._images)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        image, target = self._images[index], int(self.targets[index].item())
        image = image if self.transform is None else self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __repr__(self) -> str:
        part = "Train" if self.train else "Test"
        return f"Dataset {type(self).__name__}\n    Number of datapoints: {len(self)}\n    Split: {part}"


class MNIST(_Images):
    """Handwritten digits, 28 by 28 pixels.  Arguments: ``root, train, transform, target_transform, download``."""

    _load = staticmethod(mnist.load_data)


class FashionMNIST(_Images):
    """Clothes, 28 by 28 pixels.  Arguments: ``root, train, transform, target_transform, download``."""

    _load = staticmethod(fashion_mnist.load_data)
    classes = tuple(fashion_mnist.CLASS_NAMES)


class CIFAR10(_Images):
    """Small colour pictures, 32 by 32 pixels.  Arguments: ``root, train, transform, target_transform, download``."""

    _load = staticmethod(cifar10.load_data)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
