"""Models that are built, trained and thrown away leave nothing behind: memory, threads, files, graphs."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import tell

import lamina
from lamina import layers
from lamina.core import storage
from lamina.core.errors import LaminaError
from lamina.data import DataLoader, Pipeline, TensorDataset

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")

MEGABYTES = 10.0
IMAGES = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
WORDS = np.random.default_rng(0).integers(1, 20, (32, 7))
CLASSES = np.arange(32) % 3
CROSSENTROPY = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)


def convolutional(i: int, folder: Path) -> None:
    """All of what is usual, with another width each time, so that no compiled code serves twice."""
    model = lamina.Sequential(
        [
            lamina.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(8 + i % 13, "relu"),
            layers.Dense(3),
        ]
    )
    model.compile("adam", CROSSENTROPY, metrics=["accuracy"])
    model.fit(IMAGES, CLASSES, batch_size=9, verbose=0, validation_split=0.2)
    model.evaluate(IMAGES, CLASSES, verbose=0)
    model.predict(IMAGES, verbose=0)


def sequences(i: int, folder: Path) -> None:
    words = lamina.Input((7,))
    vectors = layers.Embedding(20, 4 + i % 5)(words)
    hidden = layers.LSTM(6, return_sequences=True)(vectors)
    seen = layers.LayerNormalization()(layers.MultiHeadAttention(2, 3)(hidden, hidden) + hidden)
    model = lamina.Model(words, layers.Dense(3)(layers.GlobalAveragePooling1D()(seen)))
    model.compile("rmsprop", CROSSENTROPY)
    model.fit(WORDS, CLASSES, batch_size=8, verbose=0)


def flat() -> Any:
    model = lamina.Sequential([lamina.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", CROSSENTROPY)
    return model


def dense(i: int, folder: Path) -> None:
    flat().fit(IMAGES, CLASSES, verbose=0)


def loaders(i: int, folder: Path) -> None:
    model = flat()
    model.fit(DataLoader(TensorDataset(IMAGES, CLASSES), 8, shuffle=True), verbose=0)
    rows = Pipeline.from_tensor_slices((IMAGES, CLASSES)).map(lambda x, y: (x * 2, y), num_parallel_calls=2)
    model.fit(rows.batch(8).prefetch(2), verbose=0)


def files(i: int, folder: Path) -> None:
    model = flat()
    log = lamina.callbacks.CSVLogger(folder / "log.csv")
    last = lamina.callbacks.ModelCheckpoint(folder / "m.safetensors")
    model.fit(IMAGES, CLASSES, verbose=0, checkpoint=tempfile.mkdtemp(dir=folder), callbacks=[log, last])
    lamina.models.load_model(folder / "m.safetensors").preflight(IMAGES, CLASSES)


def failures(i: int, folder: Path) -> None:
    """Errors hold frames, and frames hold models, until they are let go."""
    model = flat()
    for x, y in ((IMAGES * np.nan, CLASSES), (IMAGES, CLASSES[:3]), (IMAGES, CLASSES + 7), (IMAGES[:, :3], CLASSES)):
        with pytest.raises(LaminaError):
            model.fit(x, y, verbose=0)


def by_hand(i: int, folder: Path) -> None:
    weights, optimizer = lamina.Variable(np.ones((4, 5 + i % 7), np.float32)), lamina.optimizers.Adam()

    @lamina.function
    def step(x: Any) -> Any:
        with lamina.GradientTape() as tape:
            loss = lamina.sum((x @ weights) ** 2)
        optimizer.apply(tape.gradient(loss, [weights]), [weights])
        return loss

    for _ in range(3):
        step(np.ones((3, 4), np.float32))


FEWER = {"convolutional": 5, "sequences": 5, "loaders": 8, "files": 12}  # where each takes a while
KINDS: dict[str, Callable[[int, Path], None]] = {
    f.__name__: f for f in (dense, convolutional, sequences, loaders, files, failures, by_hand)
}


def resident() -> float:
    """Megabytes of the process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def grow(cycle: Callable[[int, Path], None], warm: int, count: int, folder: Path) -> tuple[float, int, int]:
    """Megabytes, objects of Python and threads by which ``count`` cycles grow a process that has had ``warm``."""

    def look() -> tuple[float, int, int]:
        storage._blocks = storage._Blocks()  # what is left of the block that Variables are being cut from
        gc.collect()
        return resident(), len(gc.get_objects()), threading.active_count()

    for i in range(warm):
        cycle(i, folder)
    before, least = look(), np.inf
    for i in range(count):
        cycle(i, folder)
        if i >= count - 10:  # the allocator keeps a little now and then; the least of the last is what stays
            least = min(least, look()[0])
    after = look()
    return least - before[0], after[1] - before[1], after[2] - before[2]


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_are_thrown_away(kind: str, tmp_path: Path) -> None:
    count = FEWER.get(kind, 30)
    megabytes, objects, threads = grow(KINDS[kind], 2, count, tmp_path)
    tell(f"{count} models built, trained and discarded ({kind}): {megabytes:+.1f} MB, {objects:+} objects")
    assert megabytes < MEGABYTES and objects < 200 and threads <= 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_models_that_are_thrown_away(kind: str, tmp_path: Path) -> None:
    megabytes, objects, threads = grow(KINDS[kind], 20, 500, tmp_path)
    tell(f"500 models built, trained and discarded ({kind}): {megabytes:+.1f} MB, {objects:+} objects")
    assert megabytes < MEGABYTES and objects < 500 and threads <= 0


def retrace(count: int) -> None:
    """One function for so many shapes, and thrown away."""

    @lamina.function
    def f(x: Any) -> Any:
        return lamina.sum(lamina.exp(x) * 2)

    for k in range(count):
        f(np.ones((1 + k, 3), np.float32))
    assert len(f.captures) == count


@pytest.mark.parametrize("count", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_a_function_of_many_shapes(count: int) -> None:
    """While it lives it keeps a graph and code for each; all of it goes with it."""
    retrace(count)
    gc.collect()
    before = resident()
    for _ in range(2):
        retrace(count)
    gc.collect()
    grown = resident() - before
    tell(f"2 functions captured for {count} shapes each and discarded: {grown:+.1f} MB")
    assert grown < MEGABYTES
