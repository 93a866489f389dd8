"""A linear classifier on frozen features."""

from __future__ import annotations

from types import ModuleType

from benchmarks.results.peers.digits_network import fit, pretrained
from benchmarks.results.peers.training import History

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and accuracies of the test digits by epoch."""
    model = pretrained(example, seed)
    model.requires_grad_(False)
    model.fresh_classifier()
    rates: list[dict[str, object]] = [{"params": list(model.classifier.parameters()), "lr": example.LINEAR_RATE}]
    return fit(model, example.data(), rates, example.BATCH, epochs)
