"""The convolutional network of the transfer examples, and its training, in PyTorch."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import nn

from benchmarks.peers.engine.torch_networks import keras_weights
from benchmarks.results.peers.training import EPSILON, Arrays, History, _loss, images


class Digits(nn.Module):
    """28 x 28 pixels to ten scores; ``parts`` in the order of the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 16, 3), nn.Conv2d(16, 32, 3), nn.Conv2d(32, 64, 3)
        self.features, self.classifier = nn.Linear(576, 64), nn.Linear(64, 10)
        for part in (self.conv1, self.conv2, self.conv3, self.features, self.classifier):
            keras_weights(part)

    def seen(self, x: torch.Tensor) -> torch.Tensor:
        """What the network knows of a picture."""
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.features(self.conv3(x).relu().flatten(1)).relu()  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.seen(x))  # type: ignore[no-any-return]

    def fresh_classifier(self) -> None:
        """Forget the old task."""
        self.classifier = nn.Linear(64, 10)
        keras_weights(self.classifier)


def fit(
    model: nn.Module,
    data: tuple[Arrays, Arrays],
    groups: list[dict[str, object]],
    batch: int,
    epochs: int,
) -> History:
    """Train with Adam, each group of parameters at its rate.  Accuracies of the test data by epoch."""
    (x, y), (x_test, y_test) = images(data[0]), images(data[1])
    optimizer = torch.optim.Adam(groups, eps=EPSILON)
    history: History = {"val_loss": [], "val_accuracy": []}
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            _loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            scores = model(x_test)
        history["val_loss"].append(float(_loss(scores, y_test)))
        history["val_accuracy"].append(float((scores.argmax(1) == y_test).float().mean()))
    return history


def pretrained(example: ModuleType, seed: int) -> Digits:
    """The network after the old task."""
    torch.manual_seed(seed)
    model = Digits()
    rates: list[dict[str, object]] = [{"params": list(model.parameters()), "lr": example.RATE}]
    fit(model, example.old_data(), rates, example.BATCH, example.OLD_EPOCHS)
    return model
