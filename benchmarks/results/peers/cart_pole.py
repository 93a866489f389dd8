"""REINFORCE with a learned baseline; the environment in PyTorch, many episodes side by side."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.engine.torch_networks import keras_weights
from benchmarks.results.peers.training import EPSILON, History

FRAMEWORK = "PyTorch"


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Mean returns by epoch: of the episodes played, and of 100 more after them."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    policy, worth = (
        nn.Sequential(nn.Linear(4, example.UNITS), nn.Tanh(), nn.Linear(example.UNITS, 1)) for _ in range(2)
    )
    keras_weights(policy)
    keras_weights(worth)
    optimizer = torch.optim.Adam([*policy.parameters(), *worth.parameters()], example.RATE, eps=EPSILON)

    def start(episodes: int) -> torch.Tensor:
        return torch.from_numpy(example.start(rng, episodes))

    def update() -> float:
        chances = torch.rand(example.STEPS, example.EPISODES)
        states, rights, up = play(example, policy, start(example.EPISODES), chances)
        real = up.float()
        returns = discounted((1 - example.DISCOUNT) * real, example.DISCOUNT)
        logits, values = policy(states)[..., 0], worth(states)[..., 0]
        better = returns - values
        surprise = functional.softplus(torch.where(rights, -logits, logits))
        loss = (real * (better.detach() * surprise + better**2)).sum() / real.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(real.sum()) / example.EPISODES

    history: History = {"return": [], "val_return": []}
    for _ in range(epochs):
        history["return"].append(float(np.mean([update() for _ in range(example.UPDATES)])))
        up = play(example, policy, start(100), torch.rand(example.STEPS, 100))[2]
        history["val_return"].append(float(up.sum()) / 100)
    return history


@torch.no_grad()
def play(
    example: ModuleType, policy: nn.Module, state: torch.Tensor, chances: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, pushes and whether the pole stood, by step; ends when every pole has fallen."""
    states, rights, standing = [], [], []
    up = stands(example, state)
    for chance in chances:
        if not up.any():
            break
        right = chance < torch.sigmoid(policy(state)[:, 0])
        states.append(state)
        rights.append(right)
        standing.append(up)
        state = push(example, state, right)
        up = up & stands(example, state)
    return torch.stack(states), torch.stack(rights), torch.stack(standing)


def push(example: ModuleType, state: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The states (n, 4) after a step of Euler's method."""
    _, velocity, angle, spin = state.unbind(1)
    force = torch.where(right, example.FORCE, -example.FORCE)
    sine, cosine, total = angle.sin(), angle.cos(), example.CART + example.POLE
    swing = example.POLE * example.HALF_LENGTH
    share = (force + swing * spin**2 * sine) / total
    turning = (example.GRAVITY * sine - cosine * share) / (
        example.HALF_LENGTH * (4 / 3 - example.POLE * cosine**2 / total)
    )
    speeding = share - swing * turning * cosine / total
    return state + example.SECONDS * torch.stack([velocity, speeding, spin, turning], 1)


def stands(example: ModuleType, state: torch.Tensor) -> torch.Tensor:
    """Whether the pole is up and the cart on its track."""
    return (state[:, 0].abs() <= example.FARTHEST) & (state[:, 2].abs() <= float(example.STEEPEST))


def discounted(rewards: torch.Tensor, factor: float) -> torch.Tensor:
    """Sums of the rewards from each step on, those further away counting less."""
    sums, later = [], torch.zeros_like(rewards[0])
    for reward in rewards.flip(0):
        later = reward + factor * later
        sums.append(later)
    return torch.stack(sums).flip(0)
