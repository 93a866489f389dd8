"""Data: datasets, ``DataLoader`` and pipelines.

``Dataset``, ``DataLoader`` and their family have PyTorch's names and habits; ``Pipeline`` those of ``tf.data``.  Both
give Tensors, both can be given to ``fit``, ``evaluate`` and ``predict``, and both can be saved and restored in the
middle of an epoch.
"""

from __future__ import annotations

from lamina.data.buckets import boundaries_of
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
from lamina.data.directories import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from lamina.data.keys import rng
from lamina.data.loader import DataLoader
from lamina.data.pipeline import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Options, Pipeline, TensorSpec
from lamina.data.readers import (
    ImageFolder,
    csv_rows,
    memory_mapped,
    parquet_rows,
    read_csv,
    read_parquet,
    text_lines,
)
from lamina.data.samplers import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from lamina.data.splits import Grouped, Split, Stratified, TimeOrdered, split_dataset
from lamina.data.timeseries import timeseries_dataset_from_array
from lamina.data.transforms import AUTOTUNE
from lamina.data.worker_main import WorkerInfo, get_worker_info

__all__ = [
    "AUTOTUNE",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Grouped",
    "INFINITE_CARDINALITY",
    "ImageFolder",
    "IterableDataset",
    "Options",
    "Pipeline",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Split",
    "StackDataset",
    "Stratified",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TensorSpec",
    "TimeOrdered",
    "UNKNOWN_CARDINALITY",
    "WeightedRandomSampler",
    "WorkerInfo",
    "audio_dataset_from_directory",
    "boundaries_of",
    "csv_rows",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "image_dataset_from_directory",
    "memory_mapped",
    "parquet_rows",
    "random_split",
    "read_csv",
    "read_parquet",
    "rng",
    "split_dataset",
    "text_dataset_from_directory",
    "text_lines",
    "timeseries_dataset_from_array",
]
