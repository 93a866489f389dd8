"""The work of ``python -m benchmarks engine``: convolutions, networks for pictures and sequences, attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SEED = 20
LEARNING_RATE = 1e-3
CLASSES = 10
WORDS, WIDTH, HIDDEN = 10_000, 32, 32  # of the network for sentences
SENTENCE_STEPS, SENTENCE_BATCH = 200, 64


@dataclass(frozen=True)
class Convolution:
    """A square convolution with as much padding as keeps the size, divided by the stride.

    Attributes:
        size: rows and columns of the input.
        inputs: its channels.
        filters: channels of the output.
        kernel: rows and columns of the window.
        batch: images.
        stride: of the window.
        groups: ``inputs`` for a depthwise convolution.
    """

    size: int
    inputs: int
    filters: int
    kernel: int
    batch: int
    stride: int = 1
    groups: int = 1

    @property
    def padding(self) -> int:
        """On each side, the same for all frameworks."""
        return self.kernel // 2

    @property
    def out(self) -> int:
        """Rows and columns of the output."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def flops(self) -> int:
        """Multiplications and additions in each of the three directions."""
        window = self.kernel**2 * self.inputs // self.groups
        return 2 * self.batch * self.out**2 * window * self.filters

    def __str__(self) -> str:
        shape = f"{self.kernel} × {self.kernel}, {self.inputs} → {self.filters}"
        if self.groups > 1:
            shape = f"depthwise {self.kernel} × {self.kernel}, {self.inputs}"
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"conv {shape} on {self.size} × {self.size}{stride}, batch {self.batch}"

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Input (batch, size, size, inputs), kernel (k, k, inputs / groups, filters), cotangent of the output."""
        rng = np.random.default_rng(SEED)
        x = rng.standard_normal((self.batch, self.size, self.size, self.inputs), np.float32)
        kernel = rng.standard_normal((self.kernel, self.kernel, self.inputs // self.groups, self.filters), np.float32)
        return x, kernel, rng.standard_normal((self.batch, self.out, self.out, self.filters), np.float32)


CONVOLUTIONS = (
    Convolution(28, 1, 32, 5, 128),
    Convolution(14, 32, 64, 5, 128),
    Convolution(32, 64, 64, 3, 32),
    Convolution(8, 256, 256, 3, 32),
    Convolution(56, 64, 64, 3, 8),
    Convolution(14, 1024, 256, 1, 8),
    Convolution(32, 64, 128, 3, 32, stride=2),
    Convolution(112, 3, 64, 7, 4, stride=2),
    Convolution(28, 128, 128, 3, 32, groups=128),
)


@dataclass(frozen=True)
class Pictures:
    """A network for pictures, and how it is trained.

    Attributes:
        network: ``"lenet"``, ``"vgg"`` or ``"resnet18"``, or a name in ``lamina.applications``.
        title: for the table.
        shape: of a picture.
        batch: pictures per step.
        rows: pictures per epoch, whole batches.
    """

    network: str
    title: str
    shape: tuple[int, int, int]
    batch: int
    rows: int

    def smaller(self) -> Pictures:
        """Two steps, to see that everything works."""
        return Pictures(**{**asdict(self), "rows": 2 * self.batch})

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Pictures float32 (rows, *shape) with a pattern of their class, labels int64."""
        rng = np.random.default_rng(SEED)
        y = rng.integers(0, CLASSES, self.rows)
        patterns = rng.standard_normal((CLASSES, *self.shape), np.float32)
        x = rng.standard_normal((self.rows, *self.shape), np.float32)
        x += 0.3 * patterns[y]
        return x, y


PICTURES = (
    Pictures("lenet", "LeNet", (28, 28, 1), 128, 12_800),
    Pictures("vgg", "VGG-small", (32, 32, 3), 64, 1_280),
    Pictures("resnet18", "ResNet-18 for 32 × 32", (32, 32, 3), 32, 640),
)


# Networks as they were published, for a thousand classes: too large for whole epochs and for compilers that take
# minutes; some steps with plain momentum, as their papers trained them.
PUBLISHED = (
    Pictures("AlexNet", "AlexNet", (227, 227, 3), 32, 64),
    Pictures("VGG16", "VGG-16", (224, 224, 3), 8, 8),
    Pictures("ResNet50", "ResNet-50", (224, 224, 3), 8, 16),
    Pictures("InceptionV3", "Inception v3", (299, 299, 3), 8, 16),
)
MOMENTUM = 0.9


def pictures(network: str) -> Pictures:
    """The work of that name."""
    return next(work for work in PICTURES if work.network == network)


@dataclass(frozen=True)
class Recurrence:
    """An LSTM over whole sequences, forward and backward, with the gradients of input and weights."""

    batch: int
    steps: int
    inputs: int
    hidden: int

    @property
    def flops(self) -> int:
        """Multiplications and additions of the matrix products, forward and backward."""
        return 3 * 2 * self.batch * self.steps * 4 * self.hidden * (self.inputs + self.hidden)

    def __str__(self) -> str:
        return f"LSTM {self.inputs} → {self.hidden}, {self.steps} steps, batch {self.batch}, forward and backward"

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Input (batch, steps, inputs) and cotangent of the output (batch, steps, hidden)."""
        rng = np.random.default_rng(SEED)
        shapes = ((self.batch, self.steps, n) for n in (self.inputs, self.hidden))
        x, ct = (rng.standard_normal(shape, np.float32) for shape in shapes)
        return x, ct


RECURRENCES = (
    Recurrence(32, 50, 32, 32),
    Recurrence(64, 200, 32, 32),
    Recurrence(64, 100, 128, 128),
    Recurrence(32, 100, 256, 512),
)


def sentences(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of words int32 (rows, SENTENCE_STEPS), frequent ones more often, and labels float32 (rows, 1)."""
    rng = np.random.default_rng(SEED)
    words = (WORDS * rng.random((rows, SENTENCE_STEPS)) ** 2).astype(np.int32)
    score = (words % 2 * np.linspace(0, 1, SENTENCE_STEPS)).sum(1)
    return words, (score > np.median(score)).astype(np.float32)[:, None]


@dataclass(frozen=True)
class Attention:
    """softmax(Q K^T / sqrt(size)) V, with the gradients of all three."""

    batch: int
    heads: int
    steps: int
    size: int

    @property
    def flops(self) -> int:
        """Multiplications and additions of two products forward and four backward; computing anew not counted."""
        return 6 * 2 * self.batch * self.heads * self.steps**2 * self.size

    def __str__(self) -> str:
        return (
            f"attention, batch {self.batch}, {self.heads} heads of {self.size}, {self.steps:,} steps, "
            "forward and backward"
        )

    def arrays(self) -> Iterator[np.ndarray]:
        """Query, key, value and the cotangent of the output, each (batch, heads, steps, size)."""
        rng = np.random.default_rng(SEED)
        for _ in range(4):
            yield rng.standard_normal((self.batch, self.heads, self.steps, self.size), np.float32)


ATTENTIONS = (Attention(4, 8, 512, 64), Attention(4, 8, 2048, 64))


def forward_flops(model: Any) -> tuple[int, int]:
    """Multiplications and additions that a Lamina model of convolutions and dense layers does for one sample.

    Returns:
        Those of all layers, and those of the first, whose input needs no gradient.
    """
    found = []
    for layer in model.layers:
        if hasattr(layer, "kernel"):
            places = int(np.prod([n for n in layer.output.shape[1:-1] if n]))
            found.append(2 * places * int(np.prod(layer.kernel.shape)))
    return sum(found), found[0]
