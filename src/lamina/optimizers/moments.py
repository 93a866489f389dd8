"""Optimizers that follow means of the gradients: Adamax, Nadam, Lion, Lamb, ScheduleFreeAdamW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.optimizers.base import Optimizer
from lamina.optimizers.optimizers import known
from lamina.tensor import Tensor, Variable


class _Moments(Optimizer):
    """Two slots for each variable, and the arguments of ``Adam``."""

    _slot_names = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._momentums, self._velocities = self.add_optimizer_variables(variables, self._slot_names)

    def _moments(self, gradient: Any, variable: Variable) -> tuple[Any, Any]:
        """The new means of the gradients and of their squares, assigned to the slots."""
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (ops.square(gradient) - v) * (1 - self.beta_2)
        self._momentums[index].assign(m)
        self._velocities[index].assign(v)
        return m, v

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class Adamax(_Moments):
    """``Adam`` with the largest gradient in place of the root of the mean square.

    ``m += (g - m) * (1 - beta_1)``, ``u = max(beta_2 * u, |g|)`` and
    ``w -= learning_rate / (1 - beta_1**t) * m / (u + epsilon)``.

    Args:
        learning_rate: see ``Optimizer``.
        beta_1: how slowly the mean follows.
        beta_2: how slowly the largest gradient is forgotten.
        epsilon: see the formula.
        kwargs: the other arguments of ``Optimizer``.

    Source: Kingma and Ba, "Adam", ICLR 2015, section 7.
    """

    _slot_names = ("momentum", "norm")

    def step_size(self, learning_rate: Any) -> Any:
        return learning_rate / (1 - ops.pow(self.beta_1, self._step_number(learning_rate)))

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, u = self._momentums[index].value, self._velocities[index].value
        m = m + (gradient - m) * (1 - self.beta_1)
        u = ops.maximum(u * self.beta_2, ops.abs(gradient))
        self._momentums[index].assign(m)
        self._velocities[index].assign(u)
        variable.assign(variable - m * learning_rate / (u + self.epsilon))


class Nadam(_Moments):
    """``Adam`` with Nesterov's momentum: the step already holds the next step's share of the mean.

    With ``u_t = beta_1 * (1 - 0.96**t / 2)``:
    ``m_hat = u_(t+1) * m / (1 - u_1...u_(t+1)) + (1 - u_t) * g / (1 - u_1...u_t)`` and
    ``w -= learning_rate * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)``.

    Args:
        learning_rate: see ``Optimizer``.
        beta_1: how slowly the mean follows.
        beta_2: how slowly the mean of the squares follows.
        epsilon: see the formula.
        kwargs: the other arguments of ``Optimizer``.

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.
    """

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            dtype = variables[0].dtype if variables else None
            self._u_product = self.add_variable((), "ones", dtype, "u_product")

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        now = self.beta_1 * (1.0 - 0.5 * ops.pow(0.96, step))
        following = self.beta_1 * (1.0 - 0.5 * ops.pow(0.96, step + 1))
        product = self._u_product.value * ops.astype(now, self._u_product.dtype)
        self._u_product.assign(product)
        product = ops.astype(product, learning_rate.dtype)
        of_mean = learning_rate * following / (1 - product * following)
        of_gradient = learning_rate * (1 - now) / (1 - product)
        return of_mean, of_gradient, ops.rsqrt(1 - ops.pow(self.beta_2, step))

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        of_mean, of_gradient, correction = learning_rate
        m, v = self._moments(gradient, variable)
        step = (m * of_mean + gradient * of_gradient) / (ops.sqrt(v) * correction + self.epsilon)
        variable.assign(variable - step)


class Lamb(_Moments):
    """``Adam`` whose step on each weight has the length of the weight: for very large batches.

    ``u = m_hat / (sqrt(v_hat) + epsilon)`` with Adam's corrected means and
    ``w -= learning_rate * norm(w) / norm(u) * u`` (a ratio of 1 where a norm is 0).

    Args:
        learning_rate: see ``Optimizer``.
        beta_1: see ``Adam``.
        beta_2: see ``Adam``.
        epsilon: see the formula.
        kwargs: the other arguments of ``Optimizer``.

    Source: You et al., "Large Batch Optimization for Deep Learning", ICLR 2020.
    """

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        return learning_rate, 1 - ops.pow(self.beta_1, step), 1 - ops.pow(self.beta_2, step)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        rate, share_1, share_2 = learning_rate
        m, v = self._moments(gradient, variable)
        update = m / share_1 / (ops.sqrt(v / share_2) + self.epsilon)
        of_weight = ops.sqrt(ops.sum(ops.square(variable)))
        of_update = ops.sqrt(ops.sum(ops.square(update)))
        defined = ops.logical_and(of_weight > 0, of_update > 0)
        ratio = ops.where(defined, of_weight / ops.where(of_update > 0, of_update, 1.0), 1.0)
        variable.assign(variable - update * (ratio * rate))


class Lion(Optimizer):
    """Steps of one size, in the direction of the sign: ``w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)``.

    Then ``m = beta_2 * m + (1 - beta_2) * g``.

    Args:
        learning_rate: see ``Optimizer``; three to ten times smaller than for ``Adam``.
        beta_1: share of the mean in the direction, above 0 and at most 1.
        beta_2: how slowly the mean follows.
        kwargs: the other arguments of ``Optimizer``.

    Raises:
        ArgumentError: ``beta_1`` is out of its range.

    Source: Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
    """

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ArgumentError(f"Argument `beta_1` must be in the [0, 1] range and not 0; got {beta_1}.")
        self.beta_1, self.beta_2 = beta_1, beta_2

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        slot = self._momentums[self._get_variable_index(variable)]
        direction = ops.sign(slot * self.beta_1 + gradient * (1 - self.beta_1))
        variable.assign(variable - direction * learning_rate)
        slot.assign(slot * self.beta_2 + gradient * (1 - self.beta_2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}


class ScheduleFreeAdamW(_Moments):
    """``Adam`` on a point ``z``, while the weights are a mean of all points so far: no schedule is needed.

    ``v += (g**2 - v) * (1 - beta_2)``, ``z -= learning_rate * g / (sqrt(v / (1 - beta_2**t)) + epsilon)``, ``x``
    moves a ``t``-th of the way to ``z``, and the weights are ``(1 - beta_1) * z + beta_1 * x``.

    Args:
        learning_rate: see ``Optimizer``.
        beta_1: share of the mean point in the weights.
        beta_2: how slowly the mean of the squares follows.
        epsilon: see the formula.
        warmup_steps: over how many steps the rate rises in a line to ``learning_rate``.
        kwargs: the other arguments of ``Optimizer``.

    Source: Defazio et al., "The Road Less Scheduled", NeurIPS 2024.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.warmup_steps = warmup_steps

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            for slot, variable in zip(self._momentums, variables, strict=True):
                slot.assign(variable.numpy())

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        if self.warmup_steps > 0:
            learning_rate = learning_rate * ops.minimum(step / self.warmup_steps, 1.0)
        return learning_rate, 1 - ops.pow(self.beta_2, step), 1.0 / step

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        rate, share, weight = learning_rate
        index = self._get_variable_index(variable)
        z, v = self._momentums[index].value, self._velocities[index].value
        x = (variable - z * (1 - self.beta_1)) / self.beta_1
        v = v + (ops.square(gradient) - v) * (1 - self.beta_2)
        z = z - gradient * rate / (ops.sqrt(v / share) + self.epsilon)
        self._momentums[index].assign(z)
        self._velocities[index].assign(v)
        x = x * (1 - weight) + z * weight
        variable.assign(z * (1 - self.beta_1) + x * self.beta_1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "warmup_steps": self.warmup_steps}


for _cls in (Adamax, Nadam, Lamb, Lion, ScheduleFreeAdamW):
    known.add(_cls, _cls.__name__.lower())
