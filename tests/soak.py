"""A program that interrupts ``fit``, ``evaluate`` and ``predict`` with Ctrl-C at random moments, and looks for damage.

Usage: ``soak.py FOLDER ROUNDS SEED HOGS KIND...``; HOGS processes keep the CPU busy meanwhile.  Prints the counts as
JSON.  After every round:

- weights and optimizer are those after some whole number of steps, to the bit;
- no graph is being captured, no tape records, Ctrl-C does what it did before;
- there are no new processes, threads, open files or pieces of shared memory;
- the model trains on, evaluates, is saved and read back; a run with checkpoints goes on and ends to the bit as one
  that was never interrupted.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from loader_datasets import Labelled

import lamina
from lamina import layers
from lamina.core.primitive import state
from lamina.data import DataLoader, Pipeline

EPOCHS = 3
X = np.random.default_rng(0).normal(size=(400, 20)).astype("float32")
Y = np.arange(400) % 3


def build(kind: str) -> Any:
    lamina.random.seed(5)
    start = [] if kind == "unbuilt" else [lamina.Input((20,))]
    inner = [layers.Dense(16, "relu"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(3)]
    model = lamina.Sequential([*start, *inner])
    loss = lamina.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], run_eagerly=kind == "eager")
    if start:
        model.optimizer.build(model.trainable_variables)
    return model


class Stream(lamina.utils.PyDataset):
    """Batches one after the other."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return X[index * 40 : index * 40 + 40], Y[index * 40 : index * 40 + 40]


def mapped() -> Any:
    rows = Pipeline.from_tensor_slices((X, Y)).shuffle(400, seed=1)
    return rows.map(lambda x, y: (x * 1.5, y), num_parallel_calls=2).batch(40).prefetch(2)


# What is given to fit, by the kind of the round.
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 40, "validation_split": 0.1},
    "eager": lambda: {"x": X, "y": Y, "batch_size": 100},
    "stream": lambda: {"x": Stream()},
    "pipeline": lambda: {"x": mapped()},
    "workers": lambda: {"x": DataLoader(Labelled(400, 20), 40, shuffle=True, num_workers=2, seed=1)},
    "unbuilt": lambda: {"x": X, "y": Y, "batch_size": 200},  # whose layers are built by fit
    "checkpoint": lambda: {"x": X, "y": Y, "batch_size": 40},
}


def digest(model: Any) -> str:
    total = hashlib.sha256()
    for variable in [*model.variables, *model.optimizer.variables]:
        total.update(variable.numpy().tobytes())
    return total.hexdigest()


def fit(model: Any, kind: str, folder: Path, **more: Any) -> Any:
    if kind == "checkpoint":
        more["checkpoint"] = lamina.training.Checkpoint(folder, every=3)
    return model.fit(**KINDS[kind](), epochs=EPOCHS, verbose=0, **more)


def reference(kind: str, folder: Path) -> tuple[set[str], str, float]:
    """The digests after each step, that at the end, and the seconds that a run takes."""
    model = build(kind)
    seen = {digest(model)}
    watch = lamina.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.add(digest(model)))
    fit(model, kind, folder / "watched", callbacks=[watch])
    last = digest(model)
    plain = build(kind)
    started = time.perf_counter()
    fit(plain, kind, folder / "plain")
    assert digest(plain) == last, f"{kind}: two runs differ"
    return seen, last, time.perf_counter() - started


def interrupted(call: Callable[[], Any], delay: float) -> bool:
    """Call with a Ctrl-C after so many seconds; whether it came through."""
    stop = threading.Event()

    def press() -> None:
        if not stop.wait(delay):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    finger = threading.Thread(target=press)
    try:
        try:
            finger.start()
            call()
        finally:
            stop.set()
            finger.join()
    except KeyboardInterrupt:
        finger.join()
        return True
    return False


def family() -> set[int]:
    """All processes below this one."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state_of, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state_of != "Z":
            parents[int(path.parent.name)] = int(parent)
    found, level = set(), {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found |= level
    return found


def leftovers() -> dict[str, Any]:
    gc.collect()
    return {
        "processes": family(),
        "threads": {t.name for t in threading.enumerate()},
        "files": len(os.listdir("/proc/self/fd")),
        "memory": {n for n in os.listdir("/dev/shm") if n.startswith(("lamina", "psm_", "sem.mp-"))},
    }


def check_nothing_left(before: dict[str, Any], kind: str) -> None:
    deadline = time.monotonic() + 120  # workers take a moment to end on a busy machine
    while (now := leftovers()) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now["processes"] <= before["processes"], f"{kind}: processes left: {now['processes'] - before['processes']}"
    assert now["threads"] <= before["threads"], f"{kind}: threads left: {now['threads'] - before['threads']}"
    assert now["files"] <= before["files"], f"{kind}: {now['files'] - before['files']} open files left"
    assert now["memory"] <= before["memory"], f"{kind}: shared memory left: {now['memory'] - before['memory']}"
    assert state.capture is None and not state.tapes, f"{kind}: a capture or tape is still open"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, f"{kind}: Ctrl-C was not given back"


def check_usable(model: Any, folder: Path) -> None:
    history = model.fit(X, Y, batch_size=40, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and np.isfinite(model.evaluate(X, Y, verbose=0)).all()
    model.save(folder / "model.safetensors")
    again = lamina.models.load_model(folder / "model.safetensors")
    assert np.array_equal(again.predict(X[:40], verbose=0), model.predict(X[:40], verbose=0))


def main(folder: Path, rounds: int, seed: int, hogs: int, kinds: list[str]) -> None:
    chance, counts = random.Random(seed), {"rounds": 0, "interrupted": 0, "resumed": 0}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(hogs)]
    try:
        references = {kind: reference(kind, folder / kind) for kind in kinds}
        before, shapes = leftovers(), [w.shape for w in build("arrays").weights]
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            seen, last, seconds = references[kind]
            place = folder / f"round-{number}"
            place.mkdir()
            model = build(kind)
            delay = chance.uniform(0, 1.1 * seconds) * chance.choice([1, 1, 0.1, 0.02])
            counts["rounds"] += 1
            hit = interrupted(lambda: fit(model, kind, place / "run"), delay)
            counts["interrupted"] += hit
            if not hit:
                assert digest(model) == last, f"{kind}: ended otherwise"
            elif model.built and model.optimizer.built:
                assert digest(model) in seen, f"{kind}: interrupted within a step"
            check_nothing_left(before, kind)
            if kind == "checkpoint" and hit:
                again = build(kind)
                if any((place / "run").glob("*.safetensors")):
                    lamina.random.seed(99)  # what was saved counts, and nothing is equal by chance
                fit(again, kind, place / "run", resume=True)
                assert digest(again) == last, "checkpoint: the run that went on ended otherwise"
                counts["resumed"] += 1
            for call in (model.evaluate, model.predict) if kind != "unbuilt" else ():
                weights = digest(model)
                given = (X, Y) if call == model.evaluate else (X,)
                counts["rounds"] += 1
                counts["interrupted"] += interrupted(lambda: call(*given, verbose=0), chance.uniform(0, 0.05))
                assert digest(model) == weights
            check_usable(model, place)
            assert [w.shape for w in model.weights] == shapes, f"{kind}: {[w.path for w in model.weights]}"
            check_nothing_left(before, kind)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(json.dumps(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), sys.argv[5:])
