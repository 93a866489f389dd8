"""Keras's first weights for PyTorch's recurrent networks."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.peers.engine.torch_networks import keras_weights


@torch.no_grad()
def first_weights(model: nn.Module) -> nn.Module:
    """Embeddings uniform in ±0.05, Glorot's uniform and orthogonal kernels, biases 0, forget gates 1."""
    keras_weights(model)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.uniform_(-0.05, 0.05)
        elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
            for name, weight in module.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weight)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weight)
                else:
                    weight.zero_()
                    if isinstance(module, nn.LSTM | nn.LSTMCell) and name.startswith("bias_ih"):
                        weight[module.hidden_size : 2 * module.hidden_size] = 1
    return model
