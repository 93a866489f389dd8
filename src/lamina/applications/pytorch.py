"""Weights of PyTorch networks, from a state dict in a ``.safetensors`` file.

Written there by ``safetensors.torch.save_file(module.state_dict(), "weights.safetensors")``.  PyTorch's own files
(``.pth``, ``.pt``) are pickles, which run code when they are read, and are refused.

Modules and layers are matched by name: ``layer1.0.conv1`` is the layer ``layer1_0_conv1``, ``_blocks.3._bn0`` is
``blocks_3_bn0``, and ``fc`` is ``predictions``.  Where the names differ, as in VGG's ``features.0``, the modules are
taken in the order of their numbers, ``classifier`` last.  Of a module:

==================================  ===========================================================
in PyTorch                          here
==================================  ===========================================================
convolution ``weight`` (o, i, h, w)  ``kernel`` (h, w, i, o); of a depthwise one (h, w, i, o / i)
linear ``weight`` (o, i)            ``kernel`` (i, o); behind ``Flatten`` also from (c, h, w) to (h, w, c)
normalization ``weight``            ``gamma``
``bias``                            ``bias``, of a normalization ``beta``
``running_mean``, ``running_var``   ``moving_mean``, ``moving_variance``
``num_batches_tracked``             nothing
==================================  ===========================================================

Networks whose PyTorch weights fit: ``ResNet18``, ``ResNet34``, ``ResNet50`` and ``ResNet101`` (these two are built
in PyTorch's form then), ``VGG11``, ``VGG16``, ``VGG19`` (torchvision) and ``EfficientNetLite0``
(efficientnet-lite-pytorch).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lamina import layers
from lamina.core.errors import FileFormatError
from lamina.models.file_format import read_tensors
from lamina.models.saving import LoadReport, assign
from lamina.tensor import Variable

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle")
HEADS = ("fc", "_fc", "classifier", "head")
NORMALIZATION = {
    "weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip
PRODUCT = {"weight": "kernel", "bias": "bias"}


def is_state_dict(weights: Any) -> bool:
    """Whether this is the path of a ``.safetensors`` file that was not written by Lamina.

    Raises:
        FileFormatError: it is the path of a pickle, or a damaged file.
    """
    if not isinstance(weights, str | PathLike) or not Path(weights).is_file():
        return False
    path = Path(weights)
    if path.suffix in PICKLES:
        raise FileFormatError(
            f"{path}: files of this kind are pickles, which run code when they are read. Convert it where it comes "
            "from: safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')."
        )
    return path.suffix == ".safetensors" and read_tensors(path)[1].get("format") != "lamina"


def load_state_dict(model: Any, filepath: str | PathLike[str]) -> LoadReport:
    """Set the weights of a network from a PyTorch state dict in a ``.safetensors`` file.

    The last layers of the file are left out if the model ends before them.

    Args:
        model: a network of ``lamina.applications``, or one whose layers have the names of the modules or
            their order.
        filepath: the file.

    Returns:
        The names of the weights set.

    Raises:
        FileFormatError: the file is damaged, or does not fit the model; nothing is changed then.
    """
    path = Path(filepath)
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, array in read_tensors(path)[0].items():
        module, _, leaf = key.rpartition(".")
        modules.setdefault(module, {})[leaf] = array
    named = {layer.name: layer for layer in model.layers if layer.weights}
    if not any(isinstance(layer, layers.Dense) for layer in named.values()):
        modules = {name: parts for name, parts in modules.items() if name.split(".")[0] not in HEADS}
    variables: dict[str, Variable] = {}
    arrays: dict[str, np.ndarray] = {}
    for module, name in _places(list(modules), list(named)).items():
        layer = named.get(name)
        for leaf, array in modules[module].items():
            if layer is None:
                arrays[f"{module}.{leaf}"] = array  # unexpected: assign() says so
            elif leaf != "num_batches_tracked":
                weight, change = _weight(layer, leaf)
                arrays[f"{name}/{weight}"] = change(array) if array.ndim > 1 else array
    for name, layer in named.items():
        for variable in layer.weights:
            key = f"{name}/{variable.name.rpartition('/')[2]}"
            variables[key] = variable
            if key in arrays:
                arrays[key] = arrays[key].astype(variable.dtype)
    return assign(variables, arrays, path, strict=True)


def _places(modules: list[str], names: list[str]) -> dict[str, str]:
    """The layer of each module: by name, or else by number."""
    plain = {module: re.sub(r"[._]+", "_", module).strip("_") for module in modules}
    plain = {module: "predictions" if name == "fc" else name for module, name in plain.items()}
    if set(plain.values()) & (set(names) - {"predictions"}) or len(modules) != len(names):
        return plain
    return dict(zip(sorted(modules, key=_number), names, strict=True))


def _number(module: str) -> tuple[Any, ...]:
    parts = module.split(".")
    return (parts[0] in HEADS, *((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts))


def _weight(layer: Any, leaf: str) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """The name that a tensor of a module has in the layer, and how its axes are turned."""
    if isinstance(layer, layers.BatchNormalization):
        return NORMALIZATION.get(leaf, leaf), np.asarray
    name = PRODUCT.get(leaf, leaf)
    if isinstance(layer, layers.Dense):
        before = layer.input.node.layer
        if isinstance(before, layers.Flatten) and len(before.input.shape) == 4:
            rows, columns, channels = before.input.shape[1:]

            def turn(array: np.ndarray) -> np.ndarray:
                if array.shape[1] != rows * columns * channels:
                    return array.T
                maps = array.reshape(-1, channels, rows, columns)
                return maps.transpose(2, 3, 1, 0).reshape(rows * columns * channels, -1)

            return name, turn
        return name, np.transpose
    if isinstance(layer, layers.DepthwiseConv2D):
        shape = layer.kernel.shape
        return name, lambda array: array.transpose(2, 3, 1, 0).reshape(*array.shape[2:], -1, shape[-1])
    return name, lambda array: array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
