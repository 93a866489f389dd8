"""Transforms of single images, from arrays (height, width[, channels]) to tensors (channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import random
from lamina.compat.torch.nn import functional as F
from lamina.compat.torch.tensor import Tensor, adopt
from lamina.core import dtypes
from lamina.core.errors import ArgumentError


def _as_tensor(image: Any) -> Tensor:
    """The image as it is, channels first."""
    if isinstance(image, Tensor):
        return image
    array = np.asarray(image)
    if array.ndim not in (2, 3):
        raise ArgumentError(f"An image has two or three dimensions; got shape {array.shape}.")
    return adopt(np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1)))


class Compose:
    """Transforms one after the other.

    Example:
        >>> import numpy as np
        >>> from lamina.compat.torchvision import transforms
        >>> prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
        >>> prepare(np.full((2, 2), 255, np.uint8)).tolist()
        [[[1.0, 1.0], [1.0, 1.0]]]
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "Compose(\n" + "\n".join(f"    {t!r}" for t in self.transforms) + "\n)"


class _Transform:
    """A transform whose arguments are its attributes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in vars(self).items())})"


class ToTensor(_Transform):
    """A tensor of float32, channels first; bytes become numbers from 0 to 1."""

    def __call__(self, pic: Any) -> Tensor:
        image = _as_tensor(pic)
        data = image._data
        return adopt(data.astype(np.float32) / np.float32(255)) if data.dtype == np.uint8 else image


class PILToTensor(_Transform):
    """A tensor of the image's own dtype, channels first."""

    def __call__(self, pic: Any) -> Tensor:
        return _as_tensor(pic)


class ToImage(PILToTensor):
    """The same as ``PILToTensor``."""


class ToDtype(_Transform):
    """Another dtype; with ``scale`` bytes become numbers from 0 to 1."""

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = dtypes.as_dtype(dtype), scale

    def __call__(self, img: Any) -> Tensor:
        image = _as_tensor(img)
        if self.scale and image.dtype == np.uint8 and dtypes.is_float(self.dtype):
            return adopt((image._data.astype(np.float32) / np.float32(255)).astype(self.dtype))
        return adopt(image._data.astype(self.dtype))


class Normalize(_Transform):
    """``(x - mean) / std`` for each channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        self.mean, self.std = mean, std

    def __call__(self, tensor: Any) -> Tensor:
        image = _as_tensor(tensor)
        mean, std = (np.asarray(v, image.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if not std.all():
            raise ArgumentError(f"Normalize: std is nowhere 0; got {self.std}.")
        return adopt((image._data - mean) / std)


class Lambda(_Transform):
    """Any function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))


class Resize(_Transform):
    """Another (height, width), by bilinear interpolation."""

    def __init__(self, size: Any) -> None:
        self.size = _pair(size)

    def __call__(self, img: Any) -> Tensor:
        image = _as_tensor(img)
        whole = image.dtype == np.uint8
        x = adopt(image._data[None].astype(np.float32))
        found = F.interpolate(x, size=self.size, mode="bilinear")._data[0]
        return adopt(np.clip(np.rint(found), 0, 255).astype(np.uint8) if whole else found)


class CenterCrop(_Transform):
    """The middle of the image."""

    def __init__(self, size: Any) -> None:
        self.size = _pair(size)

    def __call__(self, img: Any) -> Tensor:
        image = _as_tensor(img)
        top, left = ((n - m) // 2 for n, m in zip(image.shape[1:], self.size, strict=True))
        return image[:, top : top + self.size[0], left : left + self.size[1]]


class RandomCrop(_Transform):
    """A part of this size at random, after padding with zeros."""

    def __init__(self, size: Any, padding: int = 0) -> None:
        self.size, self.padding = _pair(size), padding

    def __call__(self, img: Any) -> Tensor:
        p = self.padding
        data = np.pad(_as_tensor(img)._data, [(0, 0), (p, p), (p, p)])
        room = [n - m for n, m in zip(data.shape[1:], self.size, strict=True)]
        if min(room) < 0:
            raise ArgumentError(f"RandomCrop: {self.size} does not fit into an image of {data.shape[1:]}.")
        top, left = (int(random.randint((), 0, n + 1)) for n in room)
        return adopt(np.ascontiguousarray(data[:, top : top + self.size[0], left : left + self.size[1]]))


class RandomHorizontalFlip(_Transform):
    """Left and right exchanged, with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, img: Any) -> Tensor:
        image = _as_tensor(img)
        return adopt(image._data[:, :, ::-1].copy()) if float(random.uniform(())) < self.p else image
