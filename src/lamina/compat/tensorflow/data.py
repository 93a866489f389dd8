"""``tf.data``: pipelines (``lamina.data.Pipeline``) under TensorFlow's name, with its dtypes for Python numbers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from os import PathLike
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamina.compat.tensorflow._convert import convert_to_tensor
from lamina.core.errors import ArgumentError, DTypeError
from lamina.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Options, Pipeline


class _DatasetType(type):
    """Every pipeline is an instance of ``tf.data.Dataset``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Pipeline)


class Dataset(Pipeline, metaclass=_DatasetType):
    """``tf.data.Dataset``: a ``lamina.data.Pipeline`` whose sources make int32 of Python integers.

    Example:
        >>> data = Dataset.from_tensor_slices([1, 2, 3]).map(lambda x: x * x).batch(2)
        >>> [batch.tolist() for batch in data]
        [[1, 4], [9]]
    """

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: str | None = None) -> Any:
        """The rows of arrays."""
        return super().from_tensor_slices(_converted(tensors), name)

    @classmethod
    def from_tensors(cls, tensors: Any, name: str | None = None) -> Any:
        """One element."""
        return super().from_tensors(_converted(tensors), name)


def _converted(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_converted(v) for v in value)
    if isinstance(value, dict):
        return {key: _converted(v) for key, v in value.items()}
    if isinstance(value, list | int | float):
        try:
            return np.asarray(convert_to_tensor(value))
        except DTypeError:  # strings
            return value
    return value


def TextLineDataset(
    filenames: Any,
    compression_type: str | None = None,
    buffer_size: int | None = None,
    num_parallel_reads: int | None = None,
    name: str | None = None,
) -> Any:
    """The lines of text files as bytes, without their ends.

    Args:
        filenames: a path or a list of them.
        compression_type: ``"GZIP"``, or nothing.

    Raises:
        ArgumentError: another compression.
    """
    if compression_type not in (None, "", "GZIP"):
        raise ArgumentError(f"TextLineDataset: compression_type is 'GZIP' or nothing; got {compression_type!r}.")
    paths = [filenames] if isinstance(filenames, str | PathLike) else list(filenames)

    def lines() -> Iterator[bytes]:
        for path in paths:
            with gzip.open(path) if compression_type else open(path, "rb") as file:
                for line in file:
                    yield line.removesuffix(b"\n").removesuffix(b"\r")

    return Dataset.from_generator(lines)


def cardinality(dataset: Pipeline) -> Any:
    """How many elements there are."""
    return dataset.cardinality()


experimental = SimpleNamespace(AUTOTUNE=AUTOTUNE, cardinality=cardinality)

__all__ = [
    "AUTOTUNE",
    "Dataset",
    "INFINITE_CARDINALITY",
    "Options",
    "TextLineDataset",
    "UNKNOWN_CARDINALITY",
    "cardinality",
    "experimental",
]
