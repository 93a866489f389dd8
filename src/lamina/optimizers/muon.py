"""Muon: steps on matrices that are made orthogonal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.optimizers.base import Optimizer
from lamina.optimizers.optimizers import known
from lamina.tensor import Tensor, Variable


class Muon(Optimizer):
    """Momentum whose step on a matrix is replaced by the nearest orthogonal matrix; ``AdamW`` for other weights.

    ``m = momentum * m + g`` and ``w -= learning_rate * rms_rate * sqrt(max(rows, columns)) * orthogonal(m)``
    (with Nesterov's momentum ``orthogonal(g + momentum * m)``).  The orthogonal matrix is found by
    ``ns_steps`` Newton-Schulz iterations ``x = a * x + (b * s + c * s @ s) @ x`` with ``s = x @ x.T``.

    Args:
        learning_rate: see ``Optimizer``.
        adam_beta_1: of ``AdamW``, which updates what is no matrix, and what is excluded.
        adam_beta_2: likewise.
        adam_weight_decay: likewise.
        epsilon: likewise.
        weight_decay: of the matrices.
        exclude_layers: regular expressions; a matrix with one of them in its path is left to ``AdamW``.
        exclude_embeddings: whether embeddings are left to ``AdamW``.
        muon_a: ``a`` of the iteration.
        muon_b: ``b``.
        muon_c: ``c``.
        adam_lr_ratio: factor of the learning rate for ``AdamW``.
        momentum: from 0 to 1.
        ns_steps: number of iterations.
        nesterov: whether to use Nesterov's momentum.
        rms_rate: makes a step as large as one of ``AdamW``; ``None`` leaves its size as it is.
        kwargs: the other arguments of ``Optimizer``.

    Source: Jordan et al., "Muon", 2024; Liu et al., "Muon is Scalable for LLM Training", 2025.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.adam_beta_1, self.adam_beta_2, self.epsilon = adam_beta_1, adam_beta_2, epsilon
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.exclude_layers, self.exclude_embeddings = list(exclude_layers or ()), exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov, self.rms_rate = momentum, ns_steps, nesterov, rms_rate

    def _should_use_adamw(self, variable: Variable) -> bool:
        if variable.ndim != 2 or (self.exclude_embeddings and "embedding" in variable.path.lower()):
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._velocities = [
            self.add_variable_from_reference(v, "velocity") if self._should_use_adamw(v) else None for v in variables
        ]

    def _decay_of(self, variable: Variable) -> float | None:
        if self._without_decay(variable):
            return None
        return self.adam_weight_decay if self._should_use_adamw(variable) else self.weight_decay

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        correction = ops.sqrt(1 - ops.pow(self.adam_beta_2, step)) / (1 - ops.pow(self.adam_beta_1, step))
        return learning_rate, learning_rate * correction * self.adam_lr_ratio

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        rate, adam_rate = learning_rate
        index = self._get_variable_index(variable)
        slot, squares = self._momentums[index], self._velocities[index]
        if squares is None:
            m = slot * self.momentum + gradient
            slot.assign(m)
            m = gradient + m * self.momentum if self.nesterov else m
            update = self.zeropower_via_newtonschulz5(m, self.ns_steps)
            variable.assign(variable - self.lr_adjust(update * rate))
            return
        m = slot + (gradient - slot) * (1 - self.adam_beta_1)
        v = squares + (ops.square(gradient) - squares) * (1 - self.adam_beta_2)
        slot.assign(m)
        squares.assign(v)
        variable.assign(variable - m * adam_rate / (ops.sqrt(v) + self.epsilon))

    def lr_adjust(self, x: Any) -> Any:
        """A step of the size that ``rms_rate`` asks for."""
        return x if self.rms_rate is None else x * (self.rms_rate * math.sqrt(max(x.shape)))

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """About ``u @ v.T`` of the singular value decomposition ``u @ s @ v.T`` of a matrix."""
        x = ops.as_tensor(x)
        tall = x.shape[0] > x.shape[1]
        x = ops.matrix_transpose(x) if tall else x
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(steps):
            s = ops.matmul(x, ops.matrix_transpose(x))
            x = x * self.muon_a + ops.matmul(s * self.muon_b + ops.matmul(s, s) * self.muon_c, x)
        return ops.matrix_transpose(x) if tall else x

    def get_config(self) -> dict[str, Any]:
        names = (
            "adam_beta_1",
            "adam_beta_2",
            "adam_weight_decay",
            "epsilon",
            "exclude_layers",
            "exclude_embeddings",
            "muon_a",
            "muon_b",
            "muon_c",
            "adam_lr_ratio",
            "momentum",
            "ns_steps",
            "nesterov",
            "rms_rate",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


known.add(Muon, "muon")
