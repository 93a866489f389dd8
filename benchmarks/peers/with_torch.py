"""PyTorch: shuffled index tensors instead of a loader, a fused optimizer, and torch.compile where it is faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import data

from benchmarks import work
from benchmarks.peers import Measurement, fastest, per_call, timed
from benchmarks.peers.loading import Samples

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build(network: work.Network, folder: str, compiled: bool) -> tuple[Step, Step]:
    """The training step, and one for a last batch of another size; both share weights and optimizer."""
    parts: list[nn.Module] = []
    for weight in work.read_weights(folder):
        layer = nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.zero_()
        parts += [layer, nn.ReLU()]
    model = nn.Sequential(*parts[:-1])
    criterion = nn.CrossEntropyLoss() if network.loss == "classes" else nn.BCEWithLogitsLoss()
    parameters = list(model.parameters())
    optimizer: torch.optim.Optimizer
    if network.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, work.LEARNING_RATE, eps=work.EPSILON, fused=True)
    else:
        optimizer = torch.optim.RMSprop(parameters, work.LEARNING_RATE, work.RHO, work.EPSILON, foreach=not compiled)

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return criterion(model(x), y)

    def step_with(loss_function: Step, update: Callable[[], Any]) -> Step:
        def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(x, y)
            loss.backward()
            update()
            return loss.detach()

        return step

    plain = step_with(loss_of, optimizer.step)
    if not compiled:
        return plain, plain
    update = optimizer.step if network.optimizer == "adam" else torch.compile(optimizer.step)  # fused is one call
    return step_with(torch.compile(loss_of, dynamic=False), update), plain


def epoch(network: work.Network, step: Step, tail: Step, x: torch.Tensor, y: torch.Tensor, rows: int) -> float:
    """One pass over the first ``rows`` samples in a new order.  Returns the mean loss of the samples."""
    order, total = torch.randperm(rows), torch.zeros(())
    whole = rows - rows % network.batch
    for start in range(0, whole, network.batch):
        chosen = order[start : start + network.batch]
        total += step(x[chosen], y[chosen])
    total *= network.batch
    if whole < rows:
        chosen = order[whole:]
        total += tail(x[chosen], y[chosen]) * len(chosen)
    return float(total) / rows


def training(network: dict[str, Any], folder: str) -> tuple[Measurement, dict[str, Any]]:
    """Epochs in the faster of two forms: eager with a fused or grouped optimizer, or compiled."""
    net = work.from_json(network)
    x, y = (torch.from_numpy(a) for a in work.read_data(folder))
    few = min(net.rows, 150 * net.batch)

    def trial(compiled: bool) -> tuple[Measurement, Measurement]:
        step, tail = build(net, folder, compiled)
        epoch(net, step, tail, x, y, min(few, 3 * net.batch))  # compiles
        short = timed(lambda: epoch(net, step, tail, x, y, few))

        def run() -> dict[str, Any]:
            started = time.perf_counter()
            for _ in range(net.epochs):
                epoch(net, step, tail, x, y, net.rows)
            return {"seconds": (time.perf_counter() - started) / net.epochs}

        return short, run

    forms = {"eager": trial(compiled=False)}
    try:
        forms["torch.compile"] = trial(compiled=True)
    except Exception as error:  # no C++ compiler, for instance
        print("torch.compile:", error)
    name, _ = fastest({k: short for k, (short, _) in forms.items()}, "seconds")
    loss = epoch(net, *build(net, folder, compiled=False), x, y, net.rows)
    return forms[name][1], {"loss": loss, "how": name}


def matmul(sizes: list[int], seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """Products of square matrices, into new or into given memory, whichever is faster."""
    rng = np.random.default_rng(0)
    triples = {}
    for n in sizes:
        triples[n] = [torch.from_numpy(rng.standard_normal((n, n), np.float32)) for _ in range(3)]

    def run() -> dict[str, Any]:
        found = {}
        for n, (a, b, c) in triples.items():
            fresh = per_call(lambda a=a, b=b: a @ b, seconds / 2)
            found[str(n)] = min(fresh, per_call(lambda a=a, b=b, c=c: torch.mm(a, b, out=c), seconds / 2))
        return found

    return run, {}


def eager(size: int, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """A sum of two small matrices; a product, tanh and sum with the gradients of both matrices."""
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.standard_normal((size, size), np.float32)) for _ in range(2))
    v, w = a.clone().requires_grad_(), b.clone().requires_grad_()

    def gradients() -> Any:
        return torch.autograd.grad(torch.tanh(v @ w).sum(), (v, w))

    def run() -> dict[str, Any]:
        return {"add": per_call(lambda: a + b, seconds), "gradient": per_call(gradients, seconds)}

    return run, {}


def loading(rows: int, features: int, batch: int) -> tuple[Measurement, dict[str, Any]]:
    """Epochs over batches of arrays, of samples, and of samples in workers."""
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, features), np.float32), rng.integers(0, 10, rows)
    tensors = data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loaders: dict[str, Any] = {
        "rows": data.DataLoader(tensors, batch, shuffle=True),
        "samples": data.DataLoader(Samples(x, y), batch, shuffle=True),  # type: ignore[arg-type]
        "workers": data.DataLoader(  # type: ignore[arg-type]
            Samples(x, y), batch, shuffle=True, num_workers=2, persistent_workers=True
        ),
    }
    next(iter(loaders["workers"]))  # starts them

    def run() -> dict[str, Any]:
        found = {}
        for name, loader in loaders.items():
            started = time.perf_counter()
            for _ in loader:
                pass
            found[name] = time.perf_counter() - started
        return found

    return run, {}


def first_step(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> float:
    """Seconds from a new model to the end of its first step."""
    step, _ = build(network, folder, compiled=False)
    started = time.perf_counter()
    xs, ys = torch.from_numpy(x), torch.from_numpy(y)
    chosen = torch.randperm(len(xs))[: network.batch]
    step(xs[chosen], ys[chosen]).item()
    return time.perf_counter() - started


def epochs(network: work.Network, folder: str, x: np.ndarray, y: np.ndarray) -> None:
    """Two epochs, for the memory that they take."""
    step, tail = build(network, folder, compiled=False)
    for _ in range(2):
        epoch(network, step, tail, torch.from_numpy(x), torch.from_numpy(y), network.rows)
