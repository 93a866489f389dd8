"""The networks that are trained, with data and first weights that are equal for all frameworks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20
LEARNING_RATE = 1e-3
EPSILON = 1e-7  # of Adam and RMSprop, Keras's default
RHO = 0.9  # of RMSprop


@dataclass(frozen=True)
class Network:
    """A stack of dense layers with ReLU between them, and how it is trained.

    Attributes:
        name: of the work.
        sizes: features of the input and of each layer.
        loss: ``"classes"`` (softmax and cross-entropy with integer labels) or ``"binary"`` (sigmoid and
            binary cross-entropy).
        optimizer: ``"adam"`` or ``"rmsprop"``.
        batch: samples per step.
        rows: samples per epoch.
        epochs: in one measurement, so that it lasts a few tenths of a second.
    """

    name: str
    sizes: tuple[int, ...]
    loss: str
    optimizer: str
    batch: int
    rows: int
    epochs: int

    def smaller(self, factor: int) -> Network:
        """The same network with fewer rows, to see that everything works."""
        rows = max(self.rows // factor, 4 * self.batch)
        return Network(**{**asdict(self), "sizes": tuple(self.sizes), "rows": rows, "epochs": 1})

    @property
    def steps(self) -> int:
        return -(-self.rows // self.batch)

    @property
    def flops(self) -> int:
        """Multiplications and additions of an epoch's matrix products, forward and backward."""
        products = [2 * self.rows * k * n for k, n in zip(self.sizes, self.sizes[1:])]
        return 3 * sum(products) - products[0]  # nobody asks for the gradient of the data

    @property
    def bytes_read(self) -> int:
        """What an epoch must at least read from memory: each row of the data once."""
        return 4 * self.rows * self.sizes[0]


NETWORKS = {
    network.name: network
    for network in (
        Network("mlp", (784, 512, 10), "classes", "adam", 128, 60_000, 2),
        Network("small", (784, 64, 64, 10), "classes", "rmsprop", 64, 60_000, 3),
        Network("multihot", (10_000, 16, 16, 1), "binary", "rmsprop", 512, 8_000, 8),
        Network("tiny", (4, 8, 1), "binary", "adam", 32, 320_000, 1),
    )
}


def write_data(network: Network, folder: Path) -> None:
    """Make data that can be learned, but not perfectly, and the first weights, and write them to ``folder``."""
    rng = np.random.default_rng(SEED)
    features, rows = network.sizes[0], network.rows
    if network.name == "multihot":  # texts: each row has the words that occur, frequent ones more often
        x = np.zeros((rows, features), np.float32)
        words = (features * rng.random((rows, 200)) ** 2).astype(np.int64)
        x[np.arange(rows)[:, None], words] = 1.0
        score = x @ rng.standard_normal(features, np.float32)
    elif network.loss == "classes":  # pictures: a pattern of its class with noise, cut to [0, 1], much of it black
        score = rng.integers(0, network.sizes[-1], rows)
        patterns = np.maximum(rng.standard_normal((network.sizes[-1], features), np.float32), 0)
        x = rng.standard_normal((rows, features), np.float32)
        x += patterns[score] * 0.3 - 0.5
        np.clip(x, 0, 1, out=x)
    else:
        x = rng.standard_normal((rows, features), np.float32)
        score = x @ rng.standard_normal(features, np.float32)
    wrong = rng.random(rows) < 0.1  # a tenth of the labels is wrong, so that the loss does not vanish
    if network.loss == "classes":
        y = np.where(wrong, rng.integers(0, network.sizes[-1], rows), score).astype(np.int64)
    else:
        y = ((score > np.median(score)) ^ wrong).astype(np.float32)[:, None]
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    for i, (k, n) in enumerate(zip(network.sizes, network.sizes[1:])):
        limit = np.sqrt(6 / (k + n))
        np.save(folder / f"w{i}.npy", rng.uniform(-limit, limit, (k, n)).astype(np.float32))


def read_data(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """The data, float32[rows, features], and the labels, int64[rows] or float32[rows, 1]."""
    return np.load(Path(folder) / "x.npy"), np.load(Path(folder) / "y.npy")


def read_weights(folder: str) -> list[np.ndarray]:
    """The first weights of the layers, float32[inputs, outputs] each; all biases begin at 0."""
    return [np.load(path) for path in sorted(Path(folder).glob("w*.npy"))]


def from_json(description: dict[str, Any]) -> Network:
    """The network that ``dataclasses.asdict`` described."""
    return Network(**{**description, "sizes": tuple(description["sizes"])})
