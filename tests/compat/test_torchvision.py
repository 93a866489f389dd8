"""Data sets and transforms under torchvision's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dataset_files import idx

from lamina.compat import torch
from lamina.compat.torch.utils.data import DataLoader
from lamina.compat.torchvision import datasets, transforms
from lamina.compat.torchvision.transforms import ToTensor, v2

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 28, 28)).astype(np.uint8)
LABELS = np.array([9, 0, 0, 3, 0, 2], np.uint8)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "fashion_mnist"
    folder.mkdir()
    for part, n in (("train", 6), ("t10k", 2)):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(IMAGES[:n]))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(LABELS[:n]))
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    return tmp_path


def test_fashion_mnist(data: Path) -> None:
    training = datasets.FashionMNIST(root="data", train=True, download=True, transform=ToTensor())
    test = datasets.FashionMNIST(root="data", train=False, download=True, transform=ToTensor())
    assert (len(training), len(test)) == (6, 2) and training.classes[9] == "ankle boot"
    image, label = training[0]
    assert image.shape == (1, 28, 28) and image.dtype == torch.float32 and label == 9
    np.testing.assert_allclose(image.numpy()[0], IMAGES[0] / np.float32(255))
    assert training.data.shape == (6, 28, 28) and training.targets.tolist() == LABELS.tolist()
    x, y = next(iter(DataLoader(training, batch_size=4)))
    assert x.shape == torch.Size([4, 1, 28, 28]) and y.tolist() == [9, 0, 0, 3] and y.dtype == torch.int64
    one_hot = transforms.Lambda(lambda y: torch.zeros(10).scatter_(0, torch.tensor(y), value=1))
    with_target = datasets.FashionMNIST(root="data", target_transform=one_hot)
    assert with_target[3][1].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0] and with_target[3][0].shape == (28, 28)


def test_transforms() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    prepare = transforms.Compose([ToTensor(), transforms.Normalize((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))])
    expected = (image.transpose(2, 0, 1) / 255 - np.array([0.5, 0.4, 0.3]).reshape(3, 1, 1)) / np.array(
        [0.1, 0.2, 0.3]
    ).reshape(3, 1, 1)
    np.testing.assert_allclose(prepare(image).numpy(), expected, rtol=1e-5, atol=1e-5)
    scaled = transforms.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(image)
    np.testing.assert_allclose(scaled.numpy(), image.transpose(2, 0, 1) / np.float32(255))
    assert transforms.PILToTensor()(image).dtype == torch.uint8
    np.testing.assert_array_equal(transforms.CenterCrop(4)(image).numpy(), image.transpose(2, 0, 1)[:, 2:6, 1:5])
    assert transforms.Resize((4, 3))(image).shape == (3, 4, 3)
    assert transforms.RandomCrop(8, padding=2)(image).shape == (3, 8, 8)
    flipped = transforms.RandomHorizontalFlip(p=1.0)(image)
    np.testing.assert_array_equal(flipped.numpy(), image.transpose(2, 0, 1)[:, :, ::-1])
    assert transforms.RandomHorizontalFlip(p=0.0)(image).tolist() == image.transpose(2, 0, 1).tolist()
    assert "ToTensor()" in repr(prepare) and "mean=(0.5, 0.4, 0.3)" in repr(prepare)
    with pytest.raises(ValueError, match="nowhere 0"):
        transforms.Normalize(0.0, 0.0)(ToTensor()(image))
    with pytest.raises(ValueError, match="does not fit"):
        transforms.RandomCrop(20)(image)
