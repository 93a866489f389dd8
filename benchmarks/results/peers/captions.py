"""Convolutions and a GRU that goes on from their features; Adam on a cosine."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.results.peers.recurrent import first_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class Captions(nn.Module):
    """A picture to a state, and words and a state to logits of the next words and a new state."""

    def __init__(self, size: int, words: int, units: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, filters in ((1, 16), (16, 32), (32, 64)):
            blocks += [nn.Conv2d(before, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.encoder = nn.Sequential(
            *blocks,
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear((size // 8) ** 2 * 64, units),
            nn.Tanh(),
        )
        self.embedding = nn.Embedding(words, units)
        self.decoder = nn.GRU(units, units, batch_first=True)
        self.head = nn.Linear(units, words)
        first_weights(self)

    def speak(self, words: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the next words, and the new state."""
        outputs, state = self.decoder(self.embedding(words), state)
        return self.head(outputs), state

    def forward(self, pictures: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return self.speak(words, self.encoder(pictures)[None])[0]

    @torch.inference_mode()
    def describe(self, pictures: torch.Tensor, start: int, steps: int) -> torch.Tensor:
        """Each time the likeliest word."""
        state = torch.cat([self.encoder(part) for part in pictures.split(500)])[None]
        said = [torch.full((len(pictures), 1), start)]
        for _ in range(steps):
            logits, state = self.speak(said[-1], state)
            said.append(logits.argmax(-1))
        return torch.cat(said[1:], dim=1)


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Share of the test captions that are right in every word, by epoch."""
    torch.manual_seed(seed)
    (x, captions), (x_test, captions_test) = example.data()
    before, after = (torch.from_numpy(a).long() for a in example.numbers(captions))
    # One channel: channels first and channels last are the same in memory.
    x, x_test = (torch.from_numpy(a).permute(0, 3, 1, 2).to(memory_format=torch.channels_last) for a in (x, x_test))
    words = example.WORDS
    model = Captions(example.SIZE, len(words.word_index) + 1, example.UNITS).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // example.BATCH))
    history: History = {"val_exact": []}
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(x)).split(example.BATCH):
            optimizer.zero_grad()
            logits = model(x[chosen], before[chosen]).flatten(0, 1)
            functional.cross_entropy(logits, after[chosen].flatten(), ignore_index=0).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        said = words.sequences_to_texts(
            model.describe(x_test, words.word_index[example.START], example.LONGEST).numpy()
        )
        right = [text.split(example.END)[0].strip() == t for text, t in zip(said, captions_test, strict=True)]
        history["val_exact"].append(float(np.mean(right)))
    return history
