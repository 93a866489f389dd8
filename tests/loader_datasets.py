"""Datasets that workers can import."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lamina
from lamina.data import Dataset, IterableDataset, get_worker_info, rng


class Noisy(Dataset):
    """Samples with random numbers from three generators, and an array large enough for shared memory."""

    def __init__(self, size: int = 60, elements: int = 8192) -> None:
        self.size, self.elements = size, elements

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        image = np.full(self.elements, index, np.float32)
        noise = rng().random(), random.random(), np.random.rand(), float(lamina.random.normal(()))
        return {"image": image, "label": index, "noise": noise}


class Stream(IterableDataset):
    """Numbers, each with a random one."""

    def __init__(self, size: int = 50) -> None:
        self.size = size

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.size):
            yield i, rng().random()


class SharedStream(IterableDataset):
    """Numbers that are shared out among the workers by the stream itself."""

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        yield from range(50) if info is None else range(info.id, 50, info.num_workers)


class Failing(Dataset):
    """One sample cannot be made."""

    def __init__(self, how: str, at: int = 37) -> None:
        self.how, self.at = how, at

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> int:
        if index == self.at:
            if self.how == "raise":
                raise LookupError("no such file")
            if self.how == "exit":
                os._exit(3)
            if self.how == "sleep":
                time.sleep(60)
            os.kill(os.getpid(), getattr(signal, self.how))
        return index


class Slow(Dataset):
    """Samples that take a while."""

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.01)
        return np.zeros(50_000, np.float32)


class ForgetfulError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Odd(Dataset):
    """Raises what cannot be sent."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        raise ForgetfulError(1, 2)


class Pids(Dataset):
    """Which process made the sample."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def note_worker(number: int) -> None:
    os.environ["LOADER_TEST_WORKER"] = str(number)


class Noted(Dataset):
    """What ``note_worker`` left."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return int(os.environ["LOADER_TEST_WORKER"])


def doubled(samples: list[int]) -> Any:
    return np.asarray(samples) * 2


class Pairs(Dataset):
    """Inputs and targets."""

    def __init__(self, size: int = 400) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        x = rng().random(50, np.float32)
        return x, x[:1]


class Labelled(Dataset):
    """Inputs and one of three classes, the same in every epoch."""

    def __init__(self, size: int, features: int) -> None:
        self.x = np.random.default_rng(0).normal(size=(size, features)).astype("float32")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return self.x[index], index % 3
