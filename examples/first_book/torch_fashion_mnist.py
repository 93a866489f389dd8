"""Clothes told apart by a network of one's own: Dataset, DataLoader, Module, training loop, saving, predicting."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from at_hand import clothes

from lamina.compat import torch
from lamina.compat.torch import nn
from lamina.compat.torch.utils.data import DataLoader, Dataset


class Clothes(Dataset):
    """Images (1, 28, 28) from 0 to 1, and their classes."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, idx: int) -> tuple[torch.Tensor, int]:
        image = torch.from_numpy(self.images[idx]).float().unsqueeze(0) / 255
        return image, int(self.labels[idx])


class NeuralNetwork(nn.Module):
    """Two hidden layers of 512 units."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.flatten(x)
        return self.linear_relu_stack(x)


def train(dataloader: DataLoader, model: nn.Module, loss_fn: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """One epoch."""
    size = len(dataloader.dataset)
    model.train()
    for batch, (X, y) in enumerate(dataloader):
        pred = model(X)
        loss = loss_fn(pred, y)

        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

        if batch % 20 == 0:
            print(f"loss: {loss.item():>7f}  [{(batch + 1) * len(X):>5d}/{size:>5d}]")


def test(dataloader: DataLoader, model: nn.Module, loss_fn: nn.Module) -> None:
    """The loss and the accuracy on data that was not trained on."""
    size, num_batches = len(dataloader.dataset), len(dataloader)
    model.eval()
    test_loss, correct = 0.0, 0.0
    with torch.no_grad():
        for X, y in dataloader:
            pred = model(X)
            test_loss += loss_fn(pred, y).item()
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    print(f"Test accuracy: {correct / size:.3f}, average loss: {test_loss / num_batches:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("demo-output"))
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    torch.manual_seed(0)

    (x_train, y_train), (x_test, y_test), classes = clothes()
    train_dataloader = DataLoader(Clothes(x_train, y_train), batch_size=64, shuffle=True)
    test_dataloader = DataLoader(Clothes(x_test, y_test), batch_size=64)
    for X, y in test_dataloader:
        print(f"Shape of X [N, C, H, W]: {X.shape}")
        print(f"Shape of y: {y.shape} {y.dtype}")
        break

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    print(f"Using {device} device")
    model = NeuralNetwork().to(device)
    print(model)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")

    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for t in range(options.epochs):
        print(f"Epoch {t + 1}\n-------------------------------")
        train(train_dataloader, model, loss_fn, optimizer)
        test(test_dataloader, model, loss_fn)

    options.folder.mkdir(exist_ok=True)
    torch.save(model.state_dict(), options.folder / "model.safetensors")
    model = NeuralNetwork().to(device)
    model.load_state_dict(torch.load(options.folder / "model.safetensors", weights_only=True))
    model.eval()
    x, y = test_dataloader.dataset[0]
    with torch.no_grad():
        pred = model(x.to(device))
        predicted, actual = classes[pred[0].argmax(0).item()], classes[y]
        print(f'Predicted: "{predicted}", Actual: "{actual}"')


if __name__ == "__main__":
    main()
