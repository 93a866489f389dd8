"""``torch.utils.data``: Lamina's data sets and ``DataLoader``; batches are PyTorch's tensors."""

from __future__ import annotations

from typing import Any

from lamina import data as _data
from lamina.compat.torch.tensor import as_torch
from lamina.core.trees import map_tree
from lamina.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)
from lamina.tensor import Tensor


def _with_methods(batch: Any) -> Any:
    return map_tree(lambda x: as_torch(x) if isinstance(x, Tensor) else x, batch)


def default_collate(batch: Any) -> Any:
    """A batch of samples: tensors, arrays and numbers are stacked, containers are gone into."""
    return _with_methods(_data.default_collate(batch))


def default_convert(sample: Any) -> Any:
    """A sample with tensors for arrays."""
    return _with_methods(_data.default_convert(sample))


class DataLoader(_data.DataLoader):
    """``lamina.data.DataLoader``, whose batches have PyTorch's methods.

    The arguments are the same.
    """

    def __iter__(self) -> Any:
        batches = super().__iter__()
        return batches if self.collate_fn is not None else map(_with_methods, batches)


__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "default_collate",
    "default_convert",
    "random_split",
]
