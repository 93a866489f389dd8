"""What networks trained on ImageNet need: the scale of their pixels, the names of the classes, published weights.

The class names and the weights are the files that Keras publishes; they are looked for in the folder
``LAMINA_DATA`` (there directly or in ``imagenet/``), then in the cache, and downloaded otherwise.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lamina import config
from lamina.core.errors import ArgumentError, FileFormatError, ShapeError
from lamina.core.limits import read_json
from lamina.core.messages import did_you_mean
from lamina.datasets.files import RemoteFile, find_files
from lamina.layers.operation import on_placeholders
from lamina.tensor import Tensor

CLASSES = 1000
CLASS_INDEX = RemoteFile("imagenet_class_index.json", None, "c2c37ea517e94d9795004a39431a14cb")
CLASS_INDEX_FOLDER = "https://storage.googleapis.com/download.tensorflow.org/data"
WEIGHTS_FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications"
# network -> folder, ending without classifier, MD5 with classifier, MD5 without (none is published for MobileNetV2)
WEIGHTS: dict[str, tuple[str, str, str | None, str | None]] = {
    "vgg16": ("vgg16", "_notop", "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": ("vgg19", "_notop", "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
    "resnet50": ("resnet", "_notop", "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": ("resnet", "_notop", "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet50v2": ("resnet", "_notop", "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": ("resnet", "_notop", "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "inception_v3": ("inception_v3", "_notop", "9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
    "mobilenet_v2": ("mobilenet_v2", "_no_top", None, None),
}
MODES = ("caffe", "tf", "torch", "lite")
NETWORKS = {  # how the published weights of each network want their images
    "AlexNet": "caffe", "EfficientNetLite0": "lite", "InceptionV1": "caffe", "InceptionV3": "tf", "MobileNetV2": "tf",
    "ResNet18": "torch", "ResNet34": "torch", "ResNet50": "caffe", "ResNet101": "caffe", "ResNet18V2": "torch",
    "ResNet34V2": "torch", "ResNet50V2": "tf", "ResNet101V2": "tf", "VGG11": "torch", "VGG16": "caffe",
    "VGG19": "caffe",
}  # fmt: skip
_layer_on_placeholders = partial(on_placeholders, name="lamina.applications.preprocess_input")
BLUE_GREEN_RED = (103.939, 116.779, 123.68)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@_layer_on_placeholders
def preprocess_input(x: Any, mode: str = "caffe", data_format: str | None = None) -> Any:
    """Images with channels red, green and blue from 0 to 255 on the scale that a network was trained with.

    - ``"caffe"``: the channels in the order blue, green, red, less their means over ImageNet.
    - ``"tf"``: ``x / 127.5 - 1``.
    - ``"torch"``: ``(x / 255 - mean) / deviation`` with each channel's over ImageNet; what PyTorch's weights expect,
      of whichever network.
    - ``"lite"``: ``(x - 127) / 128``.

    Args:
        x: images (..., rows, columns, 3), or (..., 3, rows, columns) for ``"channels_first"``: array or tensor,
            also a symbolic one.  Whole numbers become floats.
        mode: one of these, or the name of a network of ``lamina.applications``.
        data_format: where the channels are; default as configured.

    Returns:
        A new array or tensor of the same shape.

    Raises:
        ArgumentError: there is no such mode or network, or no such format.

    Example:
        >>> import numpy as np
        >>> from lamina.applications import preprocess_input
        >>> preprocess_input(np.array([[[255, 0, 51]]]), "InceptionV3").round(2)
        array([[[ 1. , -1. , -0.6]]], dtype=float32)
    """
    mode = NETWORKS.get(mode, mode)
    if mode not in MODES:
        allowed = (*MODES, *NETWORKS)
        names = ", ".join(map(repr, allowed))
        raise ArgumentError(f"Expected mode to be one of {names}; got {mode!r}.{did_you_mean(mode, allowed)}")
    data_format = config.image_data_format() if data_format is None else data_format
    if data_format not in ("channels_first", "channels_last"):
        raise ArgumentError(f"Expected data_format to be 'channels_first' or 'channels_last'; got {data_format!r}.")
    if not isinstance(x, Tensor):
        x = np.asarray(x)
    if x.dtype.kind in "biu":
        x = x.astype(config.floatx())
    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "lite":
        return (x - 127.0) / 128.0
    shape = (3,) if data_format == "channels_last" else (3, 1, 1)

    def each(values: tuple[float, ...]) -> np.ndarray:
        return np.reshape(values, shape).astype(x.dtype)

    if mode == "torch":
        return (x / 255.0 - each(MEAN)) / each(DEVIATION)
    reverse = (..., slice(None, None, -1), *[slice(None)] * (len(shape) - 1))
    return x[reverse] - each(BLUE_GREEN_RED)


def class_index() -> list[tuple[str, str]]:
    """The thousand classes: for each its identifier in WordNet and its name.

    Raises:
        MissingDataError: the file ``imagenet_class_index.json`` is not here and cannot be downloaded.
        FileFormatError: it holds something else.
    """
    (path,) = find_files("imagenet", [CLASS_INDEX], [CLASS_INDEX_FOLDER], in_root=True)
    found = read_json(path.read_text("utf-8"), str(path))
    try:
        classes = [(found[str(i)][0], found[str(i)][1]) for i in range(CLASSES)]
    except (KeyError, IndexError, TypeError):
        raise FileFormatError(f"{path} is not the list of ImageNet's classes, from '0' to '{CLASSES - 1}'.") from None
    if not all(isinstance(word, str) for pair in classes for word in pair):
        raise FileFormatError(f"{path}: identifiers and names of classes are text.")
    return classes


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """The most likely classes of ImageNet, by name.

    Args:
        preds: probabilities or other scores, of shape (batch, 1000).
        top: how many classes of each image.

    Returns:
        For each image ``(identifier, name, score)`` of its ``top`` classes, the highest score first.

    Raises:
        ShapeError: there are not a thousand scores for each image.
        MissingDataError: the names are not on this machine and cannot be downloaded.
    """
    shape = tuple(getattr(preds, "shape", np.shape(preds)))
    if len(shape) != 2 or shape[1] != CLASSES:
        raise ShapeError(
            f"`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, {CLASSES})). "
            f"Received array with shape: {shape}"
        )
    classes = class_index()
    rows = np.asarray(preds)
    return [[(*classes[i], row[i]) for i in np.argsort(-row, kind="stable")[:top]] for row in rows]


def find_weights(network: str, include_top: bool, variant: str = "") -> Path:
    """The published file with the weights of a network in ``WEIGHTS``, downloaded if need be.

    Args:
        network: its name there.
        include_top: whether with the classifier.
        variant: what the name of the file says about its size.

    Raises:
        MissingDataError: it is not here and cannot be downloaded; the message says what to put where.
    """
    folder, without, *sums = WEIGHTS[network]
    name = f"{network}_weights_tf_dim_ordering_tf_kernels{variant}{'' if include_top else without}.h5"
    file = RemoteFile(name, None, sums[0] if include_top else sums[1])
    (path,) = find_files("imagenet", [file], [f"{WEIGHTS_FOLDER}/{folder}"], in_root=True)
    return path
