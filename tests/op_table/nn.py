"""Rows of the functions of neural networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special as sp

from lamina import nn
from op_table.case import M, V, away, normal, row


def _gelu(x: Any) -> Any:
    return x * sp.ndtr(x)


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


for _name, _oracle in {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    "celu": _elu,
    "silu": lambda x: x * sp.expit(x),
    "gelu": _gelu_tanh,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "sigmoid": sp.expit,
    "log_sigmoid": sp.log_expit,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "step": lambda x: (x > 0) * 1.0,
    "softmax": lambda x: sp.softmax(x, -1),
    "log_softmax": lambda x: sp.log_softmax(x, -1),
}.items():
    # Beyond 6 and below -3, with no number on a kink.
    row(
        f"nn.{_name}",
        getattr(nn, _name),
        _oracle,
        lambda rng: (np.concatenate([away((12,))(rng)[0], [6.3, -3.7, 3.9]]),),
        tolerance=64,
    )
row("nn.gelu/erf", lambda x: nn.gelu(x, approximate=False), _gelu, normal((9,)), tolerance=64)
row(
    "nn.celu/alpha",
    lambda x: nn.celu(x, 0.5),
    lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0) / 0.5)),
    away((9,)),
)
row("nn.threshold", lambda x: nn.threshold(x, 0.1, 7.0), lambda x: np.where(x > 0.1, x, 7.0), away((9,)))
row("nn.softmax/axis", lambda x: nn.softmax(x, axis=0), lambda x: sp.softmax(x, 0), normal(M))
row(
    "nn.log_softmax/axes",
    lambda x: nn.log_softmax(x, axis=(0, 1)),
    lambda x: sp.log_softmax(x, (0, 1)),
    normal((3, 2, 2)),
)
row(
    "nn.sparse_softmax_cross_entropy_with_logits",
    nn.sparse_softmax_cross_entropy_with_logits,
    lambda labels, x: -np.take_along_axis(sp.log_softmax(x, -1), labels[..., None], -1)[..., 0],
    lambda rng: (rng.integers(0, 4, (3,)), rng.normal(size=M)),
)
row(
    "nn.softmax_cross_entropy_with_logits",
    nn.softmax_cross_entropy_with_logits,
    lambda labels, x: -(labels * sp.log_softmax(x, -1)).sum(-1),
    lambda rng: (sp.softmax(rng.normal(size=M), -1), rng.normal(size=M)),
)
row(
    "nn.binary_cross_entropy_with_logits",
    nn.binary_cross_entropy_with_logits,
    lambda z, x: -z * sp.log_expit(x) - (1 - z) * sp.log_expit(-x),
    lambda rng: (rng.uniform(size=V), rng.normal(size=V) * 3),
)
