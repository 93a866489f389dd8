"""All layers trained on, the old ones more slowly."""

from __future__ import annotations

from types import ModuleType

from benchmarks.results.peers.digits_network import fit, pretrained
from benchmarks.results.peers.training import History

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses and accuracies of the test digits by epoch."""
    model = pretrained(example, seed)
    model.fresh_classifier()
    first, middle, last = example.FACTORS.values()
    parts = ((first, (model.conv1, model.conv2)), (middle, (model.conv3, model.features)), (last, (model.classifier,)))
    rates: list[dict[str, object]] = [
        {"params": [p for layer in layers for p in layer.parameters()], "lr": example.RATE * factor}
        for factor, layers in parts
    ]
    return fit(model, example.data(), rates, example.BATCH, epochs)
