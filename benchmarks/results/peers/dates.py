"""Sequence to sequence with additive attention; Adam on a cosine."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.results.peers.recurrent import first_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class Translator(nn.Module):
    """Logits of each next character, of what was read and of the characters before it."""

    def __init__(self, source: int, target: int, units: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(source, units)
        self.reader = nn.GRU(units, units, batch_first=True, bidirectional=True)
        self.written = nn.Embedding(target, units)
        self.writer = nn.GRU(units, 2 * units, batch_first=True)
        self.query, self.key = nn.Linear(2 * units, units), nn.Linear(2 * units, units)
        self.scale = nn.Parameter(torch.empty(units))
        self.head = nn.Linear(4 * units, target - 1)
        first_weights(self)
        bound = math.sqrt(3 / units)  # Glorot's of a vector: it has as many inputs as outputs
        nn.init.uniform_(self.scale, -bound, bound)

    def read(self, source: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features of each character, which of them are real, and the writer's first state."""
        mask = source != 0
        packed = pack_padded_sequence(
            self.characters(source), mask.sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, state = self.reader(packed)
        features, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])
        return features, mask, torch.cat([state[0], state[1]], dim=-1)[None]

    def write(
        self, before: torch.Tensor, state: torch.Tensor, features: torch.Tensor, keys: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the next characters, and the new state."""
        outputs, state = self.writer(self.written(before), state)
        both = torch.tanh(self.query(outputs)[:, :, None] + keys[:, None])
        scores = (both @ self.scale).masked_fill(~mask[:, None], -torch.inf)
        seen = scores.softmax(-1) @ features
        return self.head(torch.cat([outputs, seen], dim=-1)), state

    def forward(self, source: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        features, mask, state = self.read(source)
        return self.write(before, state, features, self.key(features), mask)[0]

    @torch.inference_mode()
    def translate(self, source: torch.Tensor, start: int, steps: int) -> torch.Tensor:
        """Each time the likeliest character."""
        features, mask, state = self.read(source)
        keys, found = self.key(features), [torch.full((len(source), 1), start)]
        for _ in range(steps):
            logits, state = self.write(found[-1], state, features, keys, mask)
            found.append(logits.argmax(-1))
        return torch.cat(found[1:], dim=1)


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Share of the test dates that are written without fault, by epoch."""
    torch.manual_seed(seed)
    (x, y), (x_test, y_test), _ = example.data()
    before = example.shifted(y)
    x, y, before, x_test, y_test = (torch.from_numpy(a).long() for a in (x, y, before, x_test, y_test))
    model = Translator(len(example.SOURCE), len(example.TARGET), example.UNITS)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // example.BATCH))
    history: History = {"val_exact": []}
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            logits = model(x[chosen], before[chosen])
            functional.cross_entropy(logits.flatten(0, 1), y[chosen].flatten()).backward()
            optimizer.step()
            schedule.step()
        found = model.translate(x_test, example.TARGET.index(">"), example.STEPS)
        history["val_exact"].append(float((found == y_test).all(1).float().mean()))
    return history
