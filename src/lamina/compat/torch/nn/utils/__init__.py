"""``torch.nn.utils``: clipping of gradients, parameters as one vector, ``rnn``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lamina import ops
from lamina.compat.torch.autograd import no_grad
from lamina.compat.torch.nn.utils import rnn
from lamina.compat.torch.shapes import cat
from lamina.compat.torch.tensor import as_torch
from lamina.core.errors import DifferentiationError

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "rnn", "vector_to_parameters"]


def _with_gradients(parameters: Any) -> list[Any]:
    found = [parameters] if hasattr(parameters, "grad") else list(parameters)
    return [p for p in found if p.grad is not None]


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Any:
    """Scale all gradients down so that together they have at most this norm; returns the norm before.

    Raises:
        DifferentiationError: the norm is not finite, if ``error_if_nonfinite``.
    """
    owners = _with_gradients(parameters)
    with no_grad():
        if not owners:
            return as_torch(0.0)
        if norm_type == float("inf"):
            total = ops.max(ops.stack([ops.max(ops.abs(p.grad)) for p in owners]))
        else:
            powers = [ops.sum(ops.pow(ops.abs(p.grad), float(norm_type))) for p in owners]
            total = ops.pow(ops.sum(ops.stack(powers)), 1.0 / norm_type)
        if error_if_nonfinite and not total.is_symbolic and not np.isfinite(np.asarray(total)):
            raise DifferentiationError("The total norm of the gradients is not finite.")
        factor = ops.minimum(ops.divide(max_norm, ops.add(total, 1e-6)), 1.0)
        for p in owners:
            p.grad = ops.multiply(p.grad, factor)
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Limit each element of the gradients to ``[-clip_value, clip_value]``."""
    with no_grad():
        for p in _with_gradients(parameters):
            p.grad = ops.clip(p.grad, -clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters as one vector."""
    return cat([ops.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Set all parameters from one vector."""
    start = 0
    with no_grad():
        for p in parameters:
            count = int(np.prod(tuple(p.shape)))
            p._set(ops.reshape(vec[start : start + count], tuple(p.shape)))
            start += count
