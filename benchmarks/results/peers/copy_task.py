"""A neural Turing machine, step by step in a loop of Python."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.engine.torch_networks import keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"
State = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class TuringMachine(nn.Module):
    """The example's cell, with its sizes."""

    def __init__(self, example: ModuleType) -> None:
        super().__init__()
        self.slots, self.width, self.address_size = example.SLOTS, example.WIDTH, example.ADDRESS
        self.key_sizes = [example.WIDTH, 1, 1, example.SHIFTS, 1]
        self.controller = nn.Linear(example.BITS + 1 + example.WIDTH, example.UNITS)
        self.heads = nn.Linear(example.UNITS, 2 * example.ADDRESS + 2 * example.WIDTH)
        self.output = nn.Linear(example.UNITS + example.WIDTH, example.BITS)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Logits of the bits to put out, by step."""
        count = len(sequences)
        at_start = torch.zeros(count, self.slots)
        at_start[:, 0] = 1
        memory = torch.full((count, self.slots, self.width), 1e-6)
        state: State = (memory, torch.zeros(count, self.width), at_start, at_start)
        outputs = []
        for inputs in sequences.unbind(1):
            output, state = self.turn(inputs, state)
            outputs.append(output)
        return torch.stack(outputs, 1)

    def turn(self, inputs: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """One step."""
        memory, seen, reading, writing = state
        hidden = torch.tanh(self.controller(torch.cat([inputs, seen], 1)))
        sizes = [self.address_size, self.address_size, self.width, self.width]
        to_write, to_read, erased, added = self.heads(hidden).split(sizes, 1)
        writing = self.address(to_write, memory, writing)
        place = writing[:, :, None]
        memory = memory * (1 - place * torch.sigmoid(erased)[:, None]) + place * torch.tanh(added)[:, None]
        reading = self.address(to_read, memory, reading)
        seen = torch.bmm(reading[:, None], memory)[:, 0]
        return self.output(torch.cat([hidden, seen], 1)), (memory, seen, reading, writing)

    def address(self, command: torch.Tensor, memory: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """How much a head is at each slot."""
        key, strength, gate, shift, sharpness = command.split(self.key_sizes, 1)
        likeness = torch.bmm(unit(memory), unit(torch.tanh(key))[:, :, None])[:, :, 0]
        content = torch.softmax(functional.softplus(strength) * likeness, 1)
        mixed = torch.lerp(before, content, torch.sigmoid(gate))
        shift = torch.softmax(shift, 1)
        moved = sum(torch.roll(mixed, i - 1, 1) * shift[:, i : i + 1] for i in range(shift.shape[1]))
        return torch.softmax((1 + functional.softplus(sharpness)) * torch.log(moved + 1e-8), 1)


def unit(x: torch.Tensor) -> torch.Tensor:
    """Vectors along the last axis of length 1."""
    return x * torch.rsqrt((x**2).sum(-1, keepdim=True) + 1e-8)


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and shares of right bits by epoch, those of the longer sequences under ``val_``."""
    torch.manual_seed(seed)
    model = keras_weights(TuringMachine(example))
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    test = [torch.from_numpy(part) for part in example.test_sequences()]
    history: History = {"loss": [], "val_loss": [], "val_binary_accuracy": []}
    step = 0
    for epoch in range(epochs):
        parts = [torch.from_numpy(part) for part in example.training_sequences(epoch, seed)]
        losses = []
        for x, y, counts in zip(*(part.split(example.BATCH) for part in parts), strict=True):
            now = example.RATE * 0.5 * (1 + math.cos(math.pi * step / (epochs * example.BATCHES)))
            optimizer.param_groups[0]["lr"] = now
            optimizer.zero_grad()
            loss = _loss(model(x), y, counts)
            loss.backward()
            for parameter in model.parameters():
                nn.utils.clip_grad_norm_(parameter, example.CLIP)
            optimizer.step()
            losses.append(loss.item())
            step += 1
        with torch.inference_mode():
            logits = model(test[0])
            right = ((logits > 0) == (test[1] > 0.5)).float().mean(-1)
            history["loss"].append(float(np.mean(losses)))
            history["val_loss"].append(float(_loss(logits, test[1], test[2])))
            history["val_binary_accuracy"].append(float((right * test[2]).sum() / test[2].sum()))
    return history


def _loss(logits: torch.Tensor, y: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    losses = functional.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(-1)
    return (losses * counts).mean()
