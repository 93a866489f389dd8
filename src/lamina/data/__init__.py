"""Data: datasets, ``DataLoader`` and pipelines.

``Dataset``, ``DataLoader`` and their family have PyTorch's names and habits; ``Pipeline`` those of ``tf.data``.  Both
give Tensors, both can be given to ``fit``, ``evaluate`` and ``predict``, and both can be saved and restored in the
middle of an epoch.
"""

from __future__ import annotations

from lamina.data.collate import default_collate, default_convert
from lamina.data.datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from lamina.data.keys import rng
from lamina.data.loader import DataLoader
from lamina.data.pipeline import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Options, Pipeline, TensorSpec
from lamina.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from lamina.data.transforms import AUTOTUNE
from lamina.data.worker_main import WorkerInfo, get_worker_info

__all__ = [
    "AUTOTUNE",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "INFINITE_CARDINALITY",
    "IterableDataset",
    "Options",
    "Pipeline",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TensorSpec",
    "UNKNOWN_CARDINALITY",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
    "rng",
]
