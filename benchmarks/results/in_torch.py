"""The examples' models in PyTorch, trained on the same arrays in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.engine.torch_networks import Sentences, keras_weights, lenet, resnet

History = dict[str, list[float]]
Arrays = tuple[np.ndarray, np.ndarray]
EPSILON = 1e-7  # of Adam, Keras's default


def mnist_lenet(example: ModuleType, epochs: int, seed: int) -> History:
    """LeNet with dropout; Adam on a cosine."""
    torch.manual_seed(seed)
    train, test = (_images(data) for data in example.data())
    model = lenet(dropout=0.4)
    return _fit(model, lambda epoch: train, test, example.BATCH, epochs, 2e-3, cosine=True)


def cifar_resnet(example: ModuleType, epochs: int, seed: int) -> History:
    """A block in each of three stages; Adam on a cosine; images flipped and shifted."""
    torch.manual_seed(seed)
    (x_train, y_train), test = example.data()
    rng = np.random.default_rng(seed)
    model = resnet((1, 1, 1), (16, 32, 64)).to(memory_format=torch.channels_last)

    def varied(epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        return _images((example.varied(x_train, rng), y_train))

    return _fit(model, varied, _images(test), example.BATCH, epochs, 4e-3, cosine=True)


def movie_reviews_lstm(example: ModuleType, epochs: int, seed: int) -> History:
    """Embedding, LSTM, one unit, with dropout."""
    torch.manual_seed(seed)
    train, test = (
        (torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))[:, None]) for x, y in example.data()[:2]
    )
    model = Sentences(example.WORDS, example.UNITS, example.UNITS, dropout=example.DROPOUT)
    with torch.no_grad():  # Keras's first weights
        model.embedding.weight.uniform_(-0.05, 0.05)
        nn.init.xavier_uniform_(model.lstm.weight_ih_l0)
        nn.init.orthogonal_(model.lstm.weight_hh_l0)
        model.lstm.bias_hh_l0.zero_()
        model.lstm.bias_ih_l0.zero_()[example.UNITS : 2 * example.UNITS] = 1.0
    keras_weights(model.head)
    return _fit(model, lambda epoch: train, test, example.BATCH, epochs, example.RATE, cosine=False)


def _images(data: Arrays) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = data
    images = torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(y.astype(np.int64))


def _fit(
    model: nn.Module,
    data: Callable[[int], tuple[torch.Tensor, torch.Tensor]],
    test: tuple[torch.Tensor, torch.Tensor],
    batch: int,
    epochs: int,
    rate: float,
    cosine: bool,
) -> History:
    """Train with Adam.  Returns losses and accuracies of the test data by epoch."""
    optimizer = torch.optim.Adam(model.parameters(), rate, eps=EPSILON)
    history: History = {"val_loss": [], "val_accuracy": []}
    step = 0
    for epoch in range(epochs):
        x, y = data(epoch)
        model.train()
        order = torch.randperm(len(x))
        per_epoch = -(-len(x) // batch)
        for start in range(0, len(x), batch):
            if cosine:
                now = rate * 0.5 * (1 + math.cos(math.pi * step / (epochs * per_epoch)))
                optimizer.param_groups[0]["lr"] = now
            chosen = order[start : start + batch]
            optimizer.zero_grad()
            _loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
            step += 1
        model.eval()
        with torch.inference_mode():
            logits = torch.cat([model(part) for part in test[0].split(500)])
        right = (logits > 0) == (test[1] > 0.5) if logits.shape[1] == 1 else logits.argmax(1) == test[1]
        history["val_loss"].append(float(_loss(logits, test[1])))
        history["val_accuracy"].append(float(right.float().mean()))
    return history


def _loss(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits, y)
    return functional.cross_entropy(logits, y)
