"""Small helpers, under the names that Keras gives them in ``keras.utils``."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.data.directories import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from lamina.data.splits import split_dataset
from lamina.data.timeseries import timeseries_dataset_from_array
from lamina.layers.preprocessing import bounding_boxes
from lamina.layers.preprocessing.feature_space import FeatureSpace
from lamina.ops import linalg
from lamina.plotting import model_to_dot, plot_model
from lamina.preprocessing.image import array_to_img, img_to_array, load_img, save_img
from lamina.preprocessing.sequence import pad_sequences
from lamina.tensor import Tensor
from lamina.training.streams import PyDataset
from lamina.utils.download import get_file
from lamina.utils.inspecting import (
    get_source_inputs,
    is_keras_tensor,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from lamina.utils.progbar import Progbar
from lamina.utils.settings import Config

__all__ = [
    "Config",
    "Progbar",
    "FeatureSpace",
    "PyDataset",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "get_file",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "save_img",
    "split_dataset",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Rows with a 1 in the column of the class: ``out[..., i] = (x[...] == i)``.

    Args:
        x: class numbers from 0; a last axis of size 1 is dropped.
        num_classes: number of columns; default the largest number plus one.

    Returns:
        float32 ``(*x.shape, num_classes)``; a Tensor if ``x`` is one.

    Raises:
        ArgumentError: a number is negative or too large.

    Example:
        >>> to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(x, Tensor):
        return ops.as_tensor(to_categorical(np.asarray(x), num_classes))
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = int(labels.max()) + 1 if num_classes is None else int(num_classes)
    if labels.size and not (labels.min() >= 0 and labels.max() < count):
        raise ArgumentError(f"Class numbers run from {labels.min()} to {labels.max()}, and there are {count} classes.")
    return (labels[..., None] == np.arange(count)).astype(np.float32)


def normalize(x: Any, axis: int = -1, order: float = 2) -> Any:
    """``x`` divided by its norm along an axis; where the norm is 0, unchanged.  A Tensor stays one.

    Args:
        x: the array.
        axis: along which.
        order: of the norm: 2 for the Euclidean one.

    Example:
        >>> normalize([[3.0, 4.0], [0.0, 0.0]]).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    if isinstance(x, Tensor):
        size = linalg.vector_norm(ops.elementwise.floating("normalize", x), axis=axis, keepdims=True, ord=order)
        return ops.divide(x, ops.where(ops.equal(size, 0), 1, size))
    array = np.atleast_1d(np.asarray(x))
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis))
    norm[norm == 0] = 1
    result: np.ndarray = array / np.expand_dims(norm, axis)
    return result
