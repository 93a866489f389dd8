"""Processes killed by SIGKILL at random moments, and started again until they are through."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from counting import tell

SCRIPT = '''
import sys, hashlib, json
import numpy as np
import lamina
from lamina import layers

folder, kind, pace = sys.argv[1:]
rng = np.random.default_rng(0)
X = rng.uniform(size=(96, 6, 6, 1)).astype("float32")
Y = np.arange(96) % 3
lamina.random.seed(7)
model = lamina.Sequential([
    layers.Input((6, 6, 1)), layers.RandomFlip(), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(),
    layers.Dropout(0.4), layers.Dense(3),
])
schedule = lamina.optimizers.schedules.ExponentialDecay(0.02, 10, 0.9)
model.compile(
    lamina.optimizers.Adam(schedule, gradient_accumulation_steps=2),
    lamina.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
    run_eagerly=kind == "workers",
)

class Noisy(lamina.data.Dataset):
    def __len__(self):
        return 96
    def __getitem__(self, index):
        return X[index] + np.float32(0.1) * np.random.normal(size=(6, 6, 1)).astype("float32"), Y[index]

class Slow(lamina.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        import time
        time.sleep(float(pace))

if __name__ == "__main__":
    data = (X, Y)
    if kind == "workers":
        data = (lamina.data.DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=2, persistent_workers=True),)
    history = model.fit(
        *data, batch_size=8, epochs=6, verbose=0, checkpoint=lamina.training.Checkpoint(folder, every=2, keep=2),
        resume=True, callbacks=[lamina.callbacks.CSVLogger(folder + ".csv"), Slow()],
    )
    digest = hashlib.sha256(json.dumps(history.history).encode())
    for variable in [*model.variables, *model.optimizer.variables]:
        digest.update(variable.numpy().tobytes())
    print(digest.hexdigest())
'''


def until_done(
    script: Path, folder: Path, kind: str, kills: int, chance: random.Random, pace: float = 0.004
) -> tuple[str, str, int]:
    """The digest that the run prints, its CSV file, and how often it was killed; each step waits for ``pace`` s."""
    killed = 0
    while True:
        command = [sys.executable, str(script), str(folder), kind, str(pace)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            if killed < kills:  # not before it has begun to train, else this takes long
                before, started = newest(folder), time.monotonic()
                while newest(folder) == before and process.poll() is None and time.monotonic() - started < 60:
                    time.sleep(0.002)
                time.sleep(chance.random() ** 2 * 0.05)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # its workers too
                    process.wait()
                    killed += 1
                    continue
            output, _ = process.communicate(timeout=600)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert process.returncode == 0
        return output.strip(), hashlib.sha256(Path(f"{folder}.csv").read_bytes()).hexdigest(), killed


def newest(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix == ".safetensors")[-1:] if folder.exists() else []


def survive(tmp_path: Path, kind: str, kills: int) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    chance = random.Random(1)
    wanted = until_done(script, tmp_path / "reference", kind, 0, chance)
    for pace in (0.004, 0.03, 0.2):  # on a busy machine a quick run may be through before it is killed
        found = until_done(script, tmp_path / f"killed{pace}", kind, kills, chance, pace)
        if found[2] >= min(kills, 2):
            break
    tell(f"{kind}: {found[2]} SIGKILLs survived", kills_survived=found[2])
    assert found[2] >= min(kills, 2)
    assert found[:2] == wanted[:2]


def test_sigkill(tmp_path: Path) -> None:
    survive(tmp_path, "arrays", 3)


def test_sigkill_with_workers(tmp_path: Path) -> None:
    survive(tmp_path, "workers", 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "workers"])
def test_many_sigkills(tmp_path: Path, kind: str) -> None:
    survive(tmp_path, kind, 25)
