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

    Args:
        dataset: the samples.
        batch_size: samples in a batch.
        args: as for ``lamina.data.DataLoader``.
        kwargs: as for ``lamina.data.DataLoader``.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, *args: Any, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size, *args, **kwargs)
        if self.collate_fn is None:
            self.collate_fn = default_convert if batch_size is None else default_collate


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
