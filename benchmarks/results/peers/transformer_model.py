"""Blocks of causal attention and dense layers behind layer normalisation, over learned positions."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.engine.torch_networks import keras_weights
from benchmarks.results.peers.language import fit
from benchmarks.results.peers.training import History

FRAMEWORK = "PyTorch"
EPSILON = 1e-3  # of the normalisation, Keras's default


class Block(nn.Module):
    """Attention and two dense layers, each added to its input."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(size, EPSILON) for _ in range(2)])
        self.inward, self.outward = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.dense = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, size = x.shape
        parts = self.inward(self.norms[0](x)).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(*parts, is_causal=True)
        x = x + self.outward(y.transpose(1, 2).reshape(batch, steps, size))
        return x + self.dense(self.norms[1](x))


class Transformer(nn.Module):
    """Numbers of letters in, logits of the next letters out."""

    def __init__(self, letters: int, context: int, size: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.letters, self.positions = nn.Embedding(letters, size), nn.Parameter(torch.empty(context, size))
        self.blocks = nn.Sequential(*[Block(size, heads) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(size, EPSILON), nn.Linear(size, letters)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.blocks(self.letters(x) + self.positions[: x.shape[1]])))


def train(example: ModuleType, epochs: int, seed: int) -> History:
    """Losses for each letter of the end of the text by epoch."""
    torch.manual_seed(seed)
    model = Transformer(len(example.data()[2]), example.CONTEXT, example.SIZE, example.HEADS, example.BLOCKS)
    keras_weights(model)
    heads, size, each = example.HEADS, example.SIZE, example.SIZE // example.HEADS
    for block in model.blocks:
        # Keras counts the sizes of kernels (size, heads, each) and (heads, each, size) as a convolution's.
        nn.init.uniform_(block.inward.weight, *_limits(size * heads, size * each))
        nn.init.uniform_(block.outward.weight, *_limits(heads * each, heads * size))
    nn.init.normal_(model.letters.weight, std=0.02)
    nn.init.normal_(model.positions, std=0.02)
    return fit(model, example, epochs)


def _limits(fan_in: int, fan_out: int) -> tuple[float, float]:
    limit = math.sqrt(6 / (fan_in + fan_out))
    return -limit, limit
