"""Two layers of GRU in both directions over packed sequences in buckets; Adam on a cosine."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.results.peers.recurrent import first_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


class Tagger(nn.Module):
    """Logits of the classes of each character."""

    def __init__(self, characters: int, classes: int, units: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, 32)
        self.reader = nn.GRU(32, units, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * units, classes)
        first_weights(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(self.embedding(x), (x != 0).sum(1), batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.head(outputs)


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Share of the test lines' vowels that are right, by epoch."""
    torch.manual_seed(seed)
    example.lamina.random.seed(seed)  # which orders the batches
    lines, test = example.data()
    batches, test_batches = (example.batches(part, shuffle=i == 0) for i, part in enumerate((lines, test)))
    model = Tagger(len(example.CHARACTERS), len(example.VOWELS) + 1, example.UNITS)
    optimizer = torch.optim.Adam(model.parameters(), example.RATE, eps=EPSILON)
    steps = epochs * len(lines) // example.BATCH
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + torch.cos(torch.tensor(min(step / steps, 1.0) * torch.pi)).item())
    )
    history: History = {"val_vowels": []}
    for _ in range(epochs):
        for x, y in batches.as_numpy_iterator():
            optimizer.zero_grad()
            logits = model(torch.from_numpy(x)).flatten(0, 1)
            functional.cross_entropy(logits, torch.from_numpy(y).long().flatten(), ignore_index=0).backward()
            optimizer.step()
            schedule.step()
        right = total = 0
        with torch.inference_mode():
            for x, y in test_batches.as_numpy_iterator():
                found, wanted = model(torch.from_numpy(x)).argmax(-1), torch.from_numpy(y)
                right += int(((found == wanted) & (wanted > 0)).sum())
                total += int((wanted > 0).sum())
        history["val_vowels"].append(right / total)
    return history
