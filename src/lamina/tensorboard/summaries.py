"""Summaries: a number, a histogram, pictures, text or hyper-parameters in the form that TensorBoard's plugins read."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.optional import require
from lamina.inspection import distributions
from lamina.tensorboard.events import PURPOSE, module

LAYOUTS = "NHWC"


def as_array(value: Any) -> np.ndarray:
    """A tensor, an array or numbers as an array; bfloat16 as float32."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind not in "biufUSO" else array


def _value(tag: str, plugin: str, array: Any, data_class: str, content: bytes = b"", dtype: Any = None) -> Any:
    proto = module("compat.proto.summary_pb2")
    metadata = proto.SummaryMetadata(
        plugin_data=proto.SummaryMetadata.PluginData(plugin_name=plugin, content=content),
        data_class=getattr(proto, f"DATA_CLASS_{data_class}"),
    )
    tensor = module("util.tensor_util").make_tensor_proto(array, dtype=dtype)
    return proto.Summary(value=[proto.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def scalar(tag: str, value: Any) -> Any:
    """A number over the steps.

    Raises:
        ShapeError: it is more than one number.
    """
    array = as_array(value)
    if array.size != 1:
        raise ShapeError(f"The scalar {tag!r} is one number; got shape {array.shape}. Take its mean, or add_histogram.")
    return _value(tag, "scalars", np.float32(array.reshape(())), "SCALAR")


def histogram(tag: str, values: Any, bins: int = 30) -> Any:
    """How the values are distributed: rows of left edge, right edge and count.  NaN and infinities are left out."""
    edges, counts = distributions.histogram(as_array(values), bins)
    rows = np.stack([edges[:-1], edges[1:], counts], axis=1)
    return _value(tag, "histograms", rows, "TENSOR")


def text(tag: str, value: Any) -> Any:
    """A string, which may be Markdown, or several."""
    array = np.asarray(value if isinstance(value, str) else [str(v) for v in value], dtype=object)
    return _value(tag, "text", array, "TENSOR")


def images(tag: str, values: Any, layout: str = "NHWC", most: int = 10) -> Any:
    """Pictures side by side.

    Args:
        tag: name.
        values: uint8 from 0 to 255, or floats from 0 to 1; 1, 2 (grey and alpha), 3 or 4 channels.
        layout: the order of the axes, letters of ``"NHWC"``; without ``C`` they are grey, without ``N`` it is one.
        most: how many to show.

    Raises:
        ArgumentError: the layout is none.
        ShapeError: the values have other axes, or another number of channels.
    """
    array = as_array(values)
    layout = layout.upper()
    if len(set(layout)) != len(layout) or not {"H", "W"} <= set(layout) <= set(LAYOUTS):
        raise ArgumentError(
            f"layout names each axis once, with letters of {LAYOUTS}, as 'HWC' or 'NCHW'; got {layout!r}."
        )
    if array.ndim != len(layout):
        raise ShapeError(f"The images {tag!r} have shape {array.shape}, which is not {layout}. Say so with layout=.")
    for letter in LAYOUTS:
        if letter not in layout:
            array, layout = array[..., None], layout + letter
    array = array.transpose([layout.index(letter) for letter in LAYOUTS])
    if array.shape[-1] not in (1, 2, 3, 4):
        raise ShapeError(f"The images {tag!r} have {array.shape[-1]} channels; an image has 1, 2, 3 or 4. See layout=.")
    encoded = [png(picture) for picture in array[:most]]
    height, width = array.shape[1:3]
    content = [str(width).encode(), str(height).encode(), *encoded]
    return _value(tag, "images", np.asarray(content, dtype=object), "BLOB_SEQUENCE")


def png(picture: np.ndarray) -> bytes:
    """``(height, width, channels)`` as a PNG file; floats are cut to 0 to 1."""
    if picture.dtype.kind == "f":
        picture = np.rint(np.clip(np.nan_to_num(picture), 0, 1) * 255)
    elif picture.dtype == bool:
        picture = picture * 255
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[picture.shape[-1]]
    image = require("PIL.Image", "tensorboard", PURPOSE)
    buffer = io.BytesIO()
    flat = picture[..., 0] if mode == "L" else picture
    image.frombytes(mode, picture.shape[1::-1], np.ascontiguousarray(flat).tobytes()).save(buffer, "PNG")
    return buffer.getvalue()


def weight_pictures(weight: Any) -> np.ndarray | None:
    """A weight as pictures ``NHWC`` scaled to 0 to 1, as Keras lays it out; ``None`` if it has too many axes."""
    array = np.squeeze(as_array(weight)).astype(np.float32)
    if array.ndim == 0:
        array = array[None]
    if array.ndim == 1:
        array = array[None, None, :, None]
    elif array.ndim == 2:
        array = (array.T if array.shape[0] > array.shape[1] else array)[None, :, :, None]
    elif array.ndim == 3:
        array = array.transpose(2, 0, 1)[..., None]  # a picture for each filter
    elif array.ndim != 4 or array.shape[-1] not in (1, 3, 4):
        return None
    low, high = float(array.min()), float(array.max())
    return (array - low) / (high - low) if math.isfinite(high - low) and high > low else np.zeros_like(array)


def hyperparameters(values: Mapping[str, Any], metrics: Sequence[tuple[str, str]]) -> list[Any]:
    """What the run was made with, and which of its scalars count.

    Args:
        values: bools, numbers and strings by name.
        metrics: ``(tag, group)`` of scalars; the group is a folder below that of the run, or ``""``.

    Returns:
        The summaries of the experiment and of the start of this run.
    """
    plugin = module("plugins.hparams.summary_v2")
    plain = {}
    for name, value in values.items():
        value = value.item() if isinstance(value, np.generic) else value
        plain[name] = value if isinstance(value, bool | int | float | str) else str(value)
    config = plugin.hparams_config_pb(
        hparams=[plugin.HParam(name) for name in plain],
        metrics=[plugin.Metric(tag, group=group) for tag, group in metrics],
    )
    return [config, plugin.hparams_pb(plain, start_time_secs=time.time())]


def keras_graph(tag: str, text: str) -> Any:
    """The configuration of a model, which TensorBoard draws as its conceptual graph."""
    return _value(tag, "graph_keras_model", np.asarray(text, dtype=object), "BLOB_SEQUENCE", b"1")
