"""What a step written by hand costs beside a step of ``fit``: CPU time on one thread, the ways in turn.

python benchmarks/steps_by_hand.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import lamina
from lamina import layers
from lamina.compat import torch
from lamina.compat.torch import nn

BATCH = 64


def networks(kind: str) -> tuple[Any, Any]:
    """The same network as layers, channels last, and as modules, channels first."""
    if kind == "mlp":
        dense = [layers.Flatten(), layers.Dense(512, "relu"), layers.Dense(512, "relu"), layers.Dense(10)]
        model = lamina.Sequential([layers.Input((28, 28, 1)), *dense])
        module = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
        return model, module
    body = [
        layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(),
        layers.Dense(120, "relu"), layers.Dense(84, "relu"), layers.Dense(10),
    ]  # fmt: skip
    module = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    return lamina.Sequential([layers.Input((28, 28, 1)), *body]), module


def ways(kind: str, x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], None]]:
    """An epoch in each of the ways."""
    model, module = networks(kind)
    model.compile("adam", lamina.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    rows = range(0, len(x), BATCH)
    batches = [(torch.from_numpy(x[i : i + BATCH]), torch.from_numpy(y[i : i + BATCH])) for i in rows]
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(module.parameters())
    other = networks(kind)[1]
    weights, adam = other.trainable_variables, lamina.optimizers.Adam()

    @torch.compile
    def compiled(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = criterion(module(x), y)
        loss.backward()
        optimizer.step()
        return loss

    @lamina.function
    def with_tape(x: Any, y: Any) -> Any:
        with lamina.GradientTape() as tape:
            loss = criterion(other(x), y)
        adam.apply(tape.gradient(loss, weights), weights)
        return loss

    def each(step: Callable[..., Any]) -> Callable[[], None]:
        def epoch() -> None:
            for a, b in batches:
                step(a, b)

        return epoch

    fit = lambda: model.fit(images, y, batch_size=BATCH, epochs=1, verbose=0, shuffle=False)  # noqa: E731
    return {"fit": fit, "torch.compile": each(compiled), "tape and lamina.function": each(with_tape)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    lamina.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.steps * BATCH, 1, 28, 28)).astype(np.float32)
    y = rng.integers(0, 10, len(x))
    for kind in ("mlp", "lenet"):
        runs = ways(kind, x, y)
        least = dict.fromkeys(runs, float("inf"))
        for round_ in range(options.rounds + 1):
            for name, run in runs.items():
                start = time.process_time()
                run()
                if round_:  # the first compiles
                    least[name] = min(least[name], time.process_time() - start)
        for name, seconds in least.items():
            print(f"{kind:6} {name:25} {seconds / options.steps * 1e6:8.0f} µs of CPU a step")


if __name__ == "__main__":
    main()
