"""``keras.applications``: Lamina's networks with Keras's names, defaults and order of arguments."""

from __future__ import annotations

from collections.abc import Callable as _Callable
from types import SimpleNamespace as _SimpleNamespace
from typing import Any

import numpy as _np

from lamina import applications as _applications
from lamina import config as _config
from lamina.applications import imagenet as _imagenet


def _shape(input_shape: Any, input_tensor: Any, include_top: bool) -> Any:
    """What the network continues: a tensor, or images of a shape; without classifier of any size."""
    if input_tensor is not None:
        return input_tensor
    return (None, None, 3) if input_shape is None and not include_top else input_shape


def _network(build: _Callable[..., Any], default_name: str) -> _Callable[..., Any]:
    def network(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Any = None,
        input_shape: Any = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        name: str = default_name,
    ) -> Any:
        return build(
            include_top, weights, _shape(input_shape, input_tensor, include_top), pooling, classes,
            classifier_activation, name,
        )  # fmt: skip

    network.__name__ = network.__qualname__ = build.__name__
    network.__doc__ = f"``lamina.applications.{build.__name__}``; ``input_tensor``: a symbolic tensor to continue."
    return network


def MobileNetV2(
    input_shape: Any = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Any:
    """``lamina.applications.MobileNetV2``; ``input_tensor``: a symbolic tensor to continue."""
    shape = _shape(input_shape, input_tensor, include_top)
    return _applications.MobileNetV2(
        include_top, weights, shape, alpha, pooling, classes, classifier_activation,
        f"mobilenetv2_{alpha:0.2f}_224" if name is None else name,
    )  # fmt: skip


def _module(mode: str, **networks: Any) -> _SimpleNamespace:
    """A module of Keras: some networks, the scale of their images, and the names of classes."""

    def preprocess_input(x: Any, data_format: str | None = None) -> Any:
        return _preprocess_input(x, data_format, mode)

    preprocess_input.__doc__ = f"``lamina.applications.preprocess_input`` with mode {mode!r}."
    return _SimpleNamespace(
        **networks, preprocess_input=preprocess_input, decode_predictions=_imagenet.decode_predictions
    )


def _preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """``lamina.applications.preprocess_input``; as in Keras, an array of floats is written over."""
    made = _imagenet.preprocess_input(x, mode, data_format)
    if not (isinstance(x, _np.ndarray) and x.dtype.kind == "f" and x.flags.writeable):
        return made
    channels = slice(None, None, -1 if mode == "caffe" else 1)
    first = (_config.image_data_format() if data_format is None else data_format) == "channels_first"
    view = x[(..., channels, slice(None), slice(None)) if first else (..., channels)]
    view[...] = made
    return view


VGG16 = _network(_applications.VGG16, "vgg16")
VGG19 = _network(_applications.VGG19, "vgg19")
ResNet50 = _network(_applications.ResNet50, "resnet50")
ResNet101 = _network(_applications.ResNet101, "resnet101")
ResNet50V2 = _network(_applications.ResNet50V2, "resnet50v2")
ResNet101V2 = _network(_applications.ResNet101V2, "resnet101v2")
InceptionV3 = _network(_applications.InceptionV3, "inception_v3")

imagenet_utils = _SimpleNamespace(preprocess_input=_preprocess_input, decode_predictions=_imagenet.decode_predictions)
inception_v3 = _module("tf", InceptionV3=InceptionV3)
mobilenet_v2 = _module("tf", MobileNetV2=MobileNetV2)
resnet = _module("caffe", ResNet50=ResNet50, ResNet101=ResNet101)
resnet50 = _module("caffe", ResNet50=ResNet50)
resnet_v2 = _module("tf", ResNet50V2=ResNet50V2, ResNet101V2=ResNet101V2)
vgg16 = _module("caffe", VGG16=VGG16)
vgg19 = _module("caffe", VGG19=VGG19)
