"""A convolutional network, its whole training step compiled: batch normalisation, dropout, a schedule, checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from at_hand import clothes

import lamina.compat.torch.nn.functional as F
from lamina.compat import torch
from lamina.compat.torch import nn, optim
from lamina.compat.torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """Two convolutions and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.batch1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 6 * 6, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.batch1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(x.view(-1, 32 * 6 * 6))
        return self.fc2(F.relu(self.fc1(x)))


def dataset(images: np.ndarray, labels: np.ndarray) -> TensorDataset:
    """Images (1, 28, 28) with mean 0 and deviation 1, about, and their classes."""
    x = (torch.from_numpy(images).float().unsqueeze(1) / 255 - 0.3) / 0.35
    return TensorDataset(x, torch.from_numpy(labels).long())


def accuracy(model: nn.Module, loader: DataLoader) -> float:
    """The share of a data set that the model gets right."""
    model.eval()
    with torch.no_grad():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    model.train()
    return right / len(loader.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("demo-output"))
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    torch.manual_seed(0)
    (x_train, y_train), (x_test, y_test), _ = clothes()
    train_loader = DataLoader(dataset(x_train, y_train), batch_size=64, shuffle=True, drop_last=True)
    test_loader = DataLoader(dataset(x_test, y_test), batch_size=200)

    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)

    @torch.compile
    def step(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    for epoch in range(options.epochs):
        running_loss = 0.0
        for inputs, labels in train_loader:
            running_loss += step(inputs, labels).item()
        rate = optimizer.param_groups[0]["lr"]
        scheduler.step()
        print(f"[{epoch + 1}] loss: {running_loss / len(train_loader):.3f}, learning rate {rate:.5f}")

    options.folder.mkdir(exist_ok=True)
    path = options.folder / "checkpoint.safetensors"
    torch.save(
        {
            "epoch": options.epochs,
            "model_state_dict": net.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "loss": running_loss,
        },
        path,
    )
    again = Net()
    optimizer = optim.Adam(again.parameters())
    checkpoint = torch.load(path)
    again.load_state_dict(checkpoint["model_state_dict"])
    optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
    print(f"checkpoint of epoch {checkpoint['epoch']}, learning rate {optimizer.param_groups[0]['lr']:.5f}")
    print(f"Test accuracy: {accuracy(again, test_loader):.3f}")


if __name__ == "__main__":
    main()
