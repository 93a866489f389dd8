"""PyTorch's weights in safetensors form give PyTorch's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import applications
from lamina.applications import pytorch
from lamina.core.errors import FileFormatError

torch = pytest.importorskip("torch")
from benchmarks.peers.engine.torch_published import network  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def written(module: Any, path: Path) -> Path:
    save_file(module.state_dict(), path)
    return path


def predicted(module: Any, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))))


def same_predictions(name: str, size: int, path: Path, rng: np.random.Generator, classes: int = 7) -> None:
    module = network(name, classes, (size // 32) ** 2)
    build, images = getattr(applications, name), rng.standard_normal((2, size, size, 3), np.float32)
    options: dict[str, Any] = {"input_shape": (size, size, 3), "classes": classes, "classifier_activation": None}
    model = build(weights=written(module, path / "weights.safetensors"), **options)
    want = predicted(module, images)
    assert want.std() > 1e-3
    assert np.abs(model.predict(images, verbose=0) - want).max() < 1e-4 * np.abs(want).max()
    if name.startswith("ResNet"):
        body = build(weights=path / "weights.safetensors", include_top=False, input_shape=(size, size, 3))
        assert [w.shape for w in body.weights] == [w.shape for w in model.weights[:-2]]


def test_a_resnet_of_torchvision(rng: np.random.Generator, tmp_path: Path) -> None:
    same_predictions("ResNet18", 65, tmp_path, rng)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("ResNet18", 224), ("ResNet34", 64), ("ResNet50", 64), ("ResNet101", 70), ("VGG11", 64), ("VGG16", 32),
     ("VGG19", 96)],
)  # fmt: skip
def test_networks_of_torchvision(name: str, size: int, rng: np.random.Generator, tmp_path: Path) -> None:
    same_predictions(name, size, tmp_path, rng)


def test_published_numbers_of_weights() -> None:
    for name, count in (("ResNet18", 11_689_512), ("ResNet34", 21_797_672), ("EfficientNetLite0", 4_652_008)):
        model = getattr(applications, name)()
        assert sum(w.size for w in model.trainable_weights) == count
    for name, count in (("ResNet18", 11_689_512), ("ResNet50", 25_557_032)):
        assert sum(w.numel() for w in network(name).parameters()) == count


@pytest.mark.parametrize("bottleneck", [False, True])
def test_the_second_form(bottleneck: bool, rng: np.random.Generator) -> None:
    """Against the formulas, written with PyTorch's functions."""
    model = applications.ResNet(
        (1, 2), (4, 8), (37, 40, 3), 3, False, None, bottleneck=bottleneck, preactivated=True
    )  # fmt: skip
    for w in model.weights:
        w.assign(np.abs(rng.normal(1, 0.3, w.shape)) if w.ndim == 1 else rng.normal(0, 0.3, w.shape))
    values = {layer.name: [torch.from_numpy(w.numpy()) for w in layer.weights] for layer in model.layers}
    F = torch.nn.functional

    def conv(x: Any, name: str, stride: int = 1) -> Any:
        kernel = values[name][0].permute(3, 2, 0, 1)
        return F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    def active(x: Any, name: str) -> Any:
        gamma, beta, mean, variance = values[name]
        return F.relu(F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5))

    images = rng.random((2, 37, 40, 3), np.float32)
    x = conv(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), "conv1", 2)
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
    for name in ("layer1_0", "layer2_0", "layer2_1"):
        stride = 2 if name == "layer2_0" else 1
        y, short = x, x
        for i in range(3 if bottleneck else 2):
            y = active(y, f"{name}_bn{i + 1}")
            if not i and f"{name}_downsample_0" in values:
                short = conv(y, f"{name}_downsample_0", stride)
            y = conv(y, f"{name}_conv{i + 1}", stride if i == (1 if bottleneck else 0) else 1)
        x = short + y
    kernel, bias = values["predictions"]
    want = (active(x, "norm").mean((2, 3)) @ kernel + bias).numpy()
    assert np.abs(model.predict(images, verbose=0) - want).max() < 1e-4 * np.abs(want).max()


def test_forms_for_small_and_large_images() -> None:
    assert applications.ResNet18(input_shape=(32, 32, 3), classes=10).count_params() == 11_183_562
    assert applications.ResNet18(small_images=True, classes=10).input_shape == (None, 32, 32, 3)
    assert applications.ResNet18V2(include_top=False).output_shape == (None, 7, 7, 512)
    assert applications.ResNet34V2(input_shape=(32, 32, 3), classes=10).output_shape == (None, 10)
    anysize = applications.ResNet18(include_top=False, input_shape=(None, None, 3), pooling="avg")
    assert anysize.predict(np.zeros((1, 70, 50, 3), np.float32), verbose=0).shape == (1, 512)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    module = network("ResNet18", 7)
    path = written(module, tmp_path / "weights.safetensors")
    with pytest.raises(FileFormatError, match=r"predictions/kernel has shape \(512, 5\).*\(512, 7\)"):
        applications.ResNet18(weights=path, classes=5)
    save_file({**module.state_dict(), "layer1.2.conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(FileFormatError, match="only in the file: layer1.2.conv1.weight"):
        applications.ResNet18(weights=path, classes=7)
    with pytest.raises(FileFormatError, match="not in the file"):
        applications.MobileNetV2(weights=path, alpha=0.35, input_shape=(32, 32, 3))
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(FileFormatError, match="pickles.*save_file"):
        applications.ResNet18(weights=tmp_path / "weights.pth")


def test_a_model_of_ones_own_takes_a_state_dict(rng: np.random.Generator, tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, groups=3), torch.nn.ReLU(), torch.nn.Conv2d(6, 4, 1), torch.nn.Flatten(),
        torch.nn.Linear(4 * 6 * 5, 3),
    )  # fmt: skip
    inputs = lamina.Input((8, 7, 3))
    x = lamina.layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")(inputs)
    x = lamina.layers.Flatten()(lamina.layers.Conv2D(4, 1)(x))
    model = lamina.Model(inputs, lamina.layers.Dense(3)(x))
    report = pytorch.load_state_dict(model, written(module, tmp_path / "own.safetensors"))
    assert report.complete and len(report.loaded) == 6
    images = rng.random((2, 8, 7, 3), np.float32)
    np.testing.assert_allclose(model.predict(images, verbose=0), predicted(module, images), rtol=1e-4, atol=1e-5)
