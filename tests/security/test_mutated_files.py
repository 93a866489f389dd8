"""Thousands of damaged files: each loads, or fails with an error of Lamina's, in bounded memory and time."""

from __future__ import annotations

import gzip
import io
import random
import resource
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counting import tell
from mutations import mutate_archive, mutate_bytes, mutate_event, mutate_header

import lamina
from lamina import layers
from lamina.core.errors import LaminaError, NonFiniteError
from lamina.data import caching
from lamina.datasets import idx
from lamina.datasets._object_arrays import read_npz
from lamina.models import load_model
from lamina.tensorboard import SummaryWriter, read_events, read_scalars
from lamina.training import Checkpoint, replay
from lamina.training.checkpoint import read_state

SECONDS = 5.0  # of the CPU for one file, on a slow machine
MEGABYTES = 400  # that the process may grow by

X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
Y = np.arange(8) % 3


def classifier() -> Any:
    x = layers.Input((6,))
    hidden = layers.BatchNormalization()(layers.Dense(5, "relu")(x * 2 + 1))
    model = lamina.Model(x, layers.Dense(3)(layers.Dropout(0.2)(hidden)))
    model.compile(
        lamina.optimizers.Adam(lamina.optimizers.schedules.CosineDecay(0.1, 50)),
        lamina.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


def recurrent() -> Any:
    return lamina.Sequential(
        [
            layers.Input((5,)),
            layers.Embedding(9, 4),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            layers.Conv1D(2, 3, padding="same"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(1),
        ]
    )


def model_file(folder: Path) -> Path:
    model = classifier()
    model.fit(X, Y, verbose=0)
    model.save(folder / "model.safetensors")
    return folder / "model.safetensors"


def recurrent_file(folder: Path) -> Path:
    recurrent().save(folder / "recurrent.safetensors")
    return folder / "recurrent.safetensors"


def weights_file(folder: Path) -> Path:
    classifier().save_weights(folder / "w.safetensors")
    return folder / "w.safetensors"


def checkpoint_file(folder: Path) -> Path:
    classifier().fit(X, Y, verbose=0, checkpoint=Checkpoint(folder / "c", asynchronous=False))
    return max((folder / "c").iterdir())


def replay_file(folder: Path) -> Path:
    model = lamina.Sequential([layers.Input((6,)), layers.Dense(2, "exponential"), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(NonFiniteError) as caught:
        model.fit(X * 1e30, Y, verbose=0, checkpoint=folder / "replay")
    return Path(caught.value.replay)


def idx_file(folder: Path) -> Path:
    content = bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 5]) + bytes(range(100))
    (folder / "idx").write_bytes(content)
    return folder / "idx"


def idx_gz_file(folder: Path) -> Path:
    (folder / "idx.gz").write_bytes(gzip.compress(idx_file(folder).read_bytes(), mtime=0))
    return folder / "idx.gz"


def npz_file(folder: Path) -> Path:
    buffer = io.BytesIO()
    lists = np.empty(3, object)
    lists[:] = [[1, 2], [3], [4, 5, 6]]
    np.savez(buffer, x=lists, y=np.arange(4.0))
    (folder / "lists.npz").write_bytes(buffer.getvalue())
    return folder / "lists.npz"


def csv_file(folder: Path) -> Path:
    rows = ["a,b,name", *(f"{i},{i / 3},word {i}" for i in range(20)), '3,,"quoted, ""text"""']
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"


def npy_file(folder: Path) -> Path:
    np.save(folder / "rows.npy", np.arange(60.0, dtype=np.float32).reshape(20, 3))
    return folder / "rows.npy"


def cache_file(folder: Path) -> Path:
    rows = lamina.data.Pipeline.from_tensor_slices((X, Y)).batch(3).map(lambda x, y: {"x": x * 2, "y": (y, "text")})
    list(rows.cache(str(folder / "cache")))
    return next(path for path in folder.iterdir() if path.is_file())


def load_cache(path: Path) -> Any:
    path.replace(caching._path(str(path)))
    return caching.read(str(path))


def parquet_file(folder: Path) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="tables need pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="tables need pyarrow")
    columns = {"a": range(20), "b": np.linspace(0, 1, 20), "name": [f"word {i}" for i in range(20)]}
    parquet.write_table(arrow.table({**columns, "list": [[1, 2]] * 20}), folder / "table.parquet")
    return folder / "table.parquet"


def event_file(folder: Path) -> Path:
    pytest.importorskip("tensorboard", reason="event files are written with tensorboard")
    with SummaryWriter(folder) as writer:
        for step in range(5):
            writer.add_scalar("loss", 1 / (1 + step), step)
        writer.add_histogram("weights", np.arange(30.0), 1)
        writer.add_text("note", "the *first* run", 2)
        writer.add_image("picture", np.linspace(0, 1, 12).reshape(2, 2, 3), 3)
    return next(folder.glob("*tfevents*"))


def keras_file(folder: Path, ending: str = ".keras") -> Path:
    pytest.importorskip("h5py", reason="files of Keras need h5py")
    model = classifier()
    model.fit(X, Y, verbose=0)
    path = folder / f"model{ending}"
    (model.save_weights if "weights" in ending else model.save)(path)
    return path


def load_csv(path: Path) -> Any:
    pytest.importorskip("pyarrow", reason="tables need pyarrow")
    return lamina.data.read_csv(path)


def load_parquet(path: Path) -> Any:
    return lamina.data.read_parquet(path)


def load_npy(path: Path) -> Any:
    return np.array(lamina.data.memory_mapped(path))  # of whatever dtype it is


def load_events(path: Path) -> Any:
    return list(read_events(path)), read_scalars(path)


def load_weights(path: Path) -> Any:
    return _target().load_weights(path)


def load_checkpoint(path: Path) -> Any:
    """As ``fit`` does when it goes on."""
    path.rename(path.parent / "checkpoint-0000000000.safetensors")
    try:
        return _target().fit(X, Y, verbose=0, checkpoint=Checkpoint(path.parent, asynchronous=False), resume=True)
    finally:
        for left in path.parent.iterdir():
            left.unlink()


_kept: list[Any] = []


def _target() -> Any:
    """One model for all loads: a failed load leaves it usable, or the next would fail."""
    if not _kept:
        _kept.append(classifier())
    return _kept[0]


# What is made, how it is loaded, how often in `make test`.
KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any], int]] = {
    "model": (model_file, load_model, 600),
    "recurrent": (recurrent_file, load_model, 300),
    "weights": (weights_file, load_weights, 600),
    "state": (checkpoint_file, read_state, 600),
    "checkpoint": (checkpoint_file, load_checkpoint, 300),
    "replay": (replay_file, replay, 150),
    "idx": (idx_file, idx.read, 1000),
    "idx.gz": (idx_gz_file, idx.read, 500),
    "csv": (csv_file, load_csv, 600),
    "npz": (npz_file, lambda path: read_npz(path, ("x", "y")), 600),
    "npy": (npy_file, load_npy, 400),
    "cache": (cache_file, load_cache, 300),
    "parquet": (parquet_file, load_parquet, 400),
    "event": (event_file, load_events, 800),
    ".keras": (keras_file, load_model, 60),
    ".h5": (lambda folder: keras_file(folder, ".h5"), load_model, 30),
    ".weights.h5": (lambda folder: keras_file(folder, ".weights.h5"), load_weights, 30),
}
INSIDE: dict[str, Callable[[bytes, random.Random], bytes]] = {"event": mutate_event, ".keras": mutate_archive}
# Seconds on the clock for what is read in a process of its own: it may use 4 s of the CPU, and is ended after 60.
SLOWER = {".keras": 300.0, ".h5": 300.0, ".weights.h5": 300.0}


def attack(kind: str, count: int, folder: Path, seed: int) -> str:
    """Load so many mutated files; what happened."""
    make, load, _ = KINDS[kind]
    whole = make(folder).read_bytes()
    for path in [*folder.rglob("*")]:
        if path.is_file():
            path.unlink()
    chance = random.Random(f"{kind} {seed}")
    outcomes = {"loaded": 0, "refused": 0}
    longest, before = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    inside, clock = folder / "mutated", time.monotonic if kind in SLOWER else time.process_time
    inside.mkdir()
    for i in range(count):
        deep = INSIDE.get(kind, mutate_header if whole[8:9] == b"{" else None)
        data = deep(whole, chance) if deep is not None and i % 2 else mutate_bytes(whole, chance)
        path = inside / f"mutated{kind if kind in SLOWER else '.safetensors'}"
        path.write_bytes(data)
        started = clock()
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                load(path)
            outcomes["loaded"] += 1
        except LaminaError as error:
            outcomes["refused"] += 1
            cause = error.__cause__
            assert not isinstance(cause, MemoryError), f"{kind} {seed} {i}: the memory was filled"
        except Exception as error:
            (folder / "finding").write_bytes(data)
            raise AssertionError(f"{kind}, seed {seed}, file {i} ({folder / 'finding'}): {error!r}") from error
        longest = max(longest, clock() - started)
        assert longest < SLOWER.get(kind, SECONDS), f"{kind}, seed {seed}, file {i} took {longest:.1f} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, f"{kind}: {grown:.0f} MB"
    return (
        f"{count:,} mutated {kind} files: {outcomes['loaded']:,} loaded, {outcomes['refused']:,} refused; "
        f"at most {longest:.2f} s and {grown:.0f} MB"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind: str, tmp_path: Path) -> None:
    tell(attack(kind, KINDS[kind][2], tmp_path, 0), mutated_files_tried=KINDS[kind][2])


def header(*sizes: int) -> bytes:
    """That of an IDX file."""
    return bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)


@pytest.mark.parametrize(
    "content",
    [
        header(0, 2**32 - 1, 2**32 - 1, 2**32 - 1),  # nothing, in a shape that no array can have
        header(*[1] * 255) + b"x",  # more dimensions than an array can have
        header(2**32 - 1, 2**32 - 1),
    ],
)
def test_what_mutations_have_found(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "idx").write_bytes(content)
    with pytest.raises(LaminaError):
        idx.read(tmp_path / "idx")


def test_a_file_in_which_the_hdf5_library_does_not_end(tmp_path: Path) -> None:
    """A damaged heap sends it round in circles; its process is ended after four seconds of work."""
    pytest.importorskip("h5py", reason="files of Keras need h5py")
    path = tmp_path / "endless.h5"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "corpus" / "endless.h5.gz").read_bytes()))
    with pytest.raises(LaminaError, match="crashes or does not end|takes too long"):
        load_model(path)


@pytest.mark.parametrize(
    "header", ["{'descr': '<f4', 'fortran_order': False, 'shape': (20, 3", "{,", "{'descr': [], 'shape': 3}", ")"]
)
def test_headers_of_npy_files_that_are_no_python(header: str, tmp_path: Path) -> None:
    text = header.encode().ljust(117) + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(240))
    with pytest.raises(LaminaError, match="does not hold an array"):
        lamina.data.memory_mapped(tmp_path / "x.npy")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_thousand_mutated_files(kind: str, tmp_path: Path) -> None:
    shares = {"idx": 50_000, "idx.gz": 30_000, "npz": 30_000, "state": 30_000, "weights": 24_000, "model": 24_000}
    shares |= {"recurrent": 6_000, "checkpoint": 4_000, "replay": 2_000, "csv": 20_000, "npy": 10_000, "cache": 8_000}
    shares |= {"parquet": 8_000, "event": 30_000, ".keras": 1_000, ".h5": 500, ".weights.h5": 500}
    assert sum(shares.values()) >= 200_000 and shares.keys() == KINDS.keys()
    tell(attack(kind, shares[kind], tmp_path, 1), mutated_files_tried=shares[kind])
