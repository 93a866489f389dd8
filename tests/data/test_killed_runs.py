"""Runs over every kind of loader are killed at any moment, and go on to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from counting import tell
from loader_datasets import Pairs

import lamina
from lamina import layers
from lamina.data import DataLoader, Dataset, IterableDataset, Pipeline, TensorDataset, rng
from lamina.testing import crash_equivalence

X = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)
Y = X[:, :1]


def build() -> Any:
    model = lamina.Sequential([lamina.Input((50,)), layers.Dense(4, "relu"), layers.Dropout(0.3), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


class Noisy(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index] + np.float32(rng().normal()), Y[index]


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return ((x + np.float32(rng().normal()), y) for x, y in zip(X, Y, strict=True))


def slices() -> Pipeline:
    return Pipeline.from_tensor_slices((X, Y))


SOURCES = {
    "arrays": lambda: DataLoader(TensorDataset(X, Y), 8, shuffle=True),
    "samples": lambda: DataLoader(Noisy(), 8, shuffle=True),
    "stream": lambda: DataLoader(Stream(), 8),
    "rows": lambda: slices().shuffle(20).batch(8),
    "mapped": lambda: slices().map(lambda x, y: (x + lamina.random.normal(()), y)).shuffle(20).batch(8).prefetch(2),
    "filtered": lambda: slices().filter(lambda x, y: float(y[0]) > -1).cache().shuffle(20).batch(8),
    "repeated": lambda: slices().cache().shuffle(20).repeat().batch(8),
    "workers": lambda: DataLoader(Pairs(40), 8, shuffle=True, num_workers=2),
}
FAST = ("arrays", "samples", "mapped")


@pytest.mark.parametrize("source", [s if s in FAST else pytest.param(s, marks=pytest.mark.slow) for s in SOURCES])
def test_killed_runs_end_as_those_never_killed(source: str) -> None:
    limit = {"steps_per_epoch": 4} if source == "repeated" else {}
    report = crash_equivalence(build, SOURCES[source], kills=3, epochs=2, **limit)
    tell(f"loader over {source}: {report}", kills_survived=report.kills)
    assert report.kills >= 3 and not report.differences, report
