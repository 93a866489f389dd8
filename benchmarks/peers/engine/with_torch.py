"""PyTorch: the better of two memory formats, and torch.compile where it is faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import engine
from benchmarks.peers import Measurement, fastest, per_call, timed
from benchmarks.peers.engine import torch_published
from benchmarks.peers.engine.torch_networks import BUILDERS, Sentences

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
SHORT = 0.02  # seconds of each call in a trial
TRIAL_STEPS = 5
Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def _images(x: np.ndarray, form: str) -> torch.Tensor:
    """Channels-last pixels as (n, channels, rows, columns) in the memory format."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=FORMATS[form])


def convolution(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """A convolution and its two gradients, with both memory formats in a trial."""
    work = engine.Convolution(**case)
    variants = {form: _convolution(work, form) for form in FORMATS}
    short = {form: _sum_of(calls, SHORT) for form, calls in variants.items()}
    name, _ = fastest(short, "seconds")
    return _sum_of(variants[name], seconds), {"how": name}


def _convolution(work: engine.Convolution, form: str) -> dict[str, Callable[[], Any]]:
    x, w, ct = work.arrays()
    xs, cts = _images(x, form), _images(ct, form)
    ws = torch.from_numpy(w).permute(3, 2, 0, 1).contiguous(memory_format=FORMATS[form])
    stride, padding = [work.stride] * 2, [work.padding] * 2

    def gradient(*wanted: bool) -> Any:
        return torch.ops.aten.convolution_backward(
            cts, xs, ws, None, stride, padding, [1, 1], False, [0, 0], work.groups, wanted
        )

    return {
        "forward": lambda: functional.conv2d(xs, ws, None, stride, padding, 1, work.groups),
        "input": lambda: gradient(True, False, False),
        "kernel": lambda: gradient(False, True, False),
    }


def _sum_of(calls: dict[str, Callable[[], Any]], seconds: float) -> Measurement:
    def run() -> dict[str, Any]:
        found = {name: per_call(call, seconds) for name, call in calls.items()}
        return {**found, "seconds": sum(found.values())}

    return run


def _training(model: nn.Module, criterion: nn.Module, optimizer: torch.optim.Optimizer, compiled: bool) -> Step:
    """One step."""

    def loss_of(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return criterion(model(x), y)

    function = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = function(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _epoch(step: Step, x: torch.Tensor, y: torch.Tensor, batch: int, rows: int) -> float:
    """One pass over the first ``rows`` samples in a new order.  Returns the mean loss."""
    order, total = torch.randperm(rows), torch.zeros(())
    for start in range(0, rows, batch):
        chosen = order[start : start + batch]
        total += step(x[chosen], y[chosen])
    return float(total) * batch / rows


def _picture_step(network: str, form: str) -> tuple[nn.Module, Step]:
    layout = "contiguous" if form == "contiguous" else "channels_last"
    model = BUILDERS[network]().to(memory_format=FORMATS[layout])
    optimizer = torch.optim.Adam(model.parameters(), engine.LEARNING_RATE, eps=1e-7, fused=True)
    return model, _training(model, nn.CrossEntropyLoss(), optimizer, form == "torch.compile")


def pictures(trial: bool, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Epochs in the fastest of three forms: eager in each memory format, compiled in channels_last."""
    work = engine.Pictures(**case)
    x, y = work.data()
    ys = torch.from_numpy(y)
    images = {form: _images(x, form) for form in FORMATS}
    if trial:
        images["torch.compile"] = images["channels_last"]
    few = min(work.rows, TRIAL_STEPS * work.batch)
    steps: dict[str, Step] = {}
    trials: dict[str, Measurement] = {}
    weights = 0
    for form in images:
        model, step = _picture_step(work.network, form)
        try:
            _epoch(step, images[form], ys, work.batch, work.batch)  # compiles
        except Exception as error:  # no C++ compiler, for instance
            print(form, error)
            continue
        weights = sum(p.numel() for p in model.parameters())
        steps[form] = step
        trials[form] = timed(lambda s=step, f=form: _epoch(s, images[f], ys, work.batch, few))
    name, _ = fastest(trials, "seconds", 2)
    loss = _epoch(_picture_step(work.network, "channels_last")[1], images["channels_last"], ys, work.batch, work.rows)
    run = timed(lambda: _epoch(steps[name], images[name], ys, work.batch, work.rows))
    return run, {"loss": loss, "weights": weights, "how": name}


def published(**case: Any) -> tuple[Measurement, dict[str, Any]]:
    """Steps of a large network, eagerly, in the better memory format."""
    work = engine.Pictures(**case)
    x, y = work.data()
    ys, epochs, weights = torch.from_numpy(y), {}, 0
    for form in FORMATS:
        model = torch_published.build(work.network).to(memory_format=FORMATS[form])
        weights = sum(p.numel() for p in model.parameters())
        optimizer = torch.optim.SGD(model.parameters(), engine.LEARNING_RATE, engine.MOMENTUM, foreach=True)
        step, images = _training(model, nn.CrossEntropyLoss(), optimizer, compiled=False), _images(x, form)
        epochs[form] = timed(lambda s=step, i=images: _epoch(s, i, ys, work.batch, work.rows))
        epochs[form]()
    name, _ = fastest(epochs, "seconds", 1)
    return epochs[name], {"weights": weights, "how": name}


def recurrence(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """``torch.nn.LSTM`` with the gradients of its input and weights; time first or batch first."""
    work = engine.Recurrence(**case)

    def variant(batch_first: bool) -> Callable[[], Any]:
        lstm = nn.LSTM(work.inputs, work.hidden, batch_first=batch_first)
        x, ct = map(torch.from_numpy, work.arrays())
        if not batch_first:
            x, ct = x.transpose(0, 1).contiguous(), ct.transpose(0, 1).contiguous()
        x.requires_grad_()
        return lambda: torch.autograd.grad(lstm(x)[0], [x, *lstm.parameters()], ct)

    calls = {"batch_first": variant(True), "time first": variant(False)}
    name, _ = fastest({k: lambda c=c: {"seconds": per_call(c, 5 * SHORT)} for k, c in calls.items()}, "seconds")
    return lambda: {"seconds": per_call(calls[name], seconds)}, {"how": name}


def sentences(rows: int, trial: bool) -> tuple[Measurement, dict[str, Any]]:
    """Epochs, eager, with a grouped optimizer."""
    x, y = map(torch.from_numpy, engine.sentences(rows))

    def new() -> tuple[nn.Module, Step]:
        model = Sentences(engine.WORDS, engine.WIDTH, engine.HIDDEN)
        with torch.no_grad():
            model.embedding.weight.uniform_(-0.05, 0.05)
        optimizer = torch.optim.RMSprop(model.parameters(), engine.LEARNING_RATE, 0.9, 1e-7, foreach=True)
        return model, _training(model, nn.BCEWithLogitsLoss(), optimizer, compiled=False)

    model, step = new()
    loss = _epoch(step, x, y, engine.SENTENCE_BATCH, rows)
    # PyTorch keeps two biases for each gate, of which one is enough.
    weights = sum(p.numel() for p in model.parameters()) - 4 * engine.HIDDEN
    run = timed(lambda: _epoch(step, x, y, engine.SENTENCE_BATCH, rows))
    return run, {"loss": loss, "weights": weights, "how": "eager"}


def attention(seconds: float, **case: Any) -> tuple[Measurement, dict[str, Any]]:
    """``scaled_dot_product_attention`` and three gradients."""
    q, k, v, ct = map(torch.from_numpy, engine.Attention(**case).arrays())
    inputs = [t.requires_grad_() for t in (q, k, v)]

    def gradients() -> Any:
        return torch.autograd.grad(functional.scaled_dot_product_attention(*inputs), inputs, ct)

    return lambda: {"seconds": per_call(gradients, seconds)}, {}


def predict(network: str, seconds: float) -> tuple[Measurement, dict[str, Any]]:
    """The module in eval mode, eagerly, in the better memory format."""
    x = engine.pictures(network).smaller().data()[0][:1]

    def variant(form: str) -> Callable[[], Any]:
        model = BUILDERS[network]().eval().to(memory_format=FORMATS[form])
        image = _images(x, form)

        def call() -> Any:
            with torch.inference_mode():
                return functional.softmax(model(image), dim=-1)

        return call

    calls = {form: variant(form) for form in FORMATS}
    name, _ = fastest({k: lambda c=c: {"seconds": per_call(c, 5 * SHORT)} for k, c in calls.items()}, "seconds")
    return lambda: {"seconds": per_call(calls[name], seconds)}, {"how": name}


def first_step(x: np.ndarray, y: np.ndarray, form: str) -> tuple[float, Callable[[], Any]]:
    """Seconds of the first step of a new ResNet-18, and what trains one more step."""
    batch = engine.pictures("resnet18").batch
    _, step = _picture_step("resnet18", form)
    started = time.perf_counter()
    xs, ys = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)
    layout = FORMATS.get(form, torch.channels_last)

    def again() -> Any:
        chosen = torch.randperm(len(xs))[:batch]
        return step(xs[chosen].contiguous(memory_format=layout), ys[chosen]).item()

    again()
    return time.perf_counter() - started, again
