"""The optimizers: SGD, RMSprop, Adam and AdamW, with Keras's formulas and places of epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError
from lamina.optimizers.base import Optimizer
from lamina.serialization import Named
from lamina.tensor import Tensor, Variable

known = Named("optimizer", "lamina.optimizers")


class SGD(Optimizer):
    """``w -= learning_rate * g``; with momentum ``v = momentum * v - learning_rate * g; w += v``.

    With Nesterov's momentum ``w += momentum * v - learning_rate * g``, with the new ``v``.

    Args:
        learning_rate: see ``Optimizer``.
        momentum: from 0 to 1.
        nesterov: whether to use Nesterov's momentum.
        kwargs: the other arguments of ``Optimizer``: ``weight_decay``, ``clipnorm``, ...

    Example:
        >>> import lamina
        >>> w = lamina.Variable([1.0])
        >>> lamina.optimizers.SGD(0.1).apply([lamina.tensor([2.0])], [w])
        >>> w.numpy()
        array([0.8], dtype=float32)
    """

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"momentum is between 0 and 1; got {momentum}.")
        self.momentum, self.nesterov = float(momentum), nesterov

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        slot = self._momentums[self._get_variable_index(variable)]
        velocity = slot * self.momentum - step
        slot.assign(velocity)
        variable.assign(variable + (velocity * self.momentum - step if self.nesterov else velocity))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """``v = rho * v + (1 - rho) * g**2; w -= learning_rate * g / sqrt(v + epsilon)``.

    Args:
        learning_rate: see ``Optimizer``.
        rho: how slowly the mean of the squares follows.
        momentum: if above 0, the steps are accumulated: ``m = momentum * m + step; w -= m``.
        epsilon: inside the square root.
        centered: whether the square of the mean gradient is subtracted from ``v``.
        kwargs: the other arguments of ``Optimizer``.

    Source: Tieleman and Hinton, lecture 6.5 of "Neural Networks for Machine Learning", 2012.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
        >>> model.compile(lamina.optimizers.RMSprop(1e-3, momentum=0.9), "mse")
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._velocities = self.add_optimizer_variables(variables, "velocity")
            self._momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum > 0 else []
            self._means = self.add_optimizer_variables(variables, "average_gradient") if self.centered else []

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        velocity = self._velocities[index] * self.rho + ops.square(gradient) * (1 - self.rho)
        self._velocities[index].assign(velocity)
        if self.centered:
            mean = self._means[index] * self.rho + gradient * (1 - self.rho)
            self._means[index].assign(mean)
            velocity = velocity - ops.square(mean)
        step = gradient * learning_rate / ops.sqrt(velocity + self.epsilon)
        if self.momentum > 0:
            step = self._momentums[index] * self.momentum + step
            self._momentums[index].assign(step)
        variable.assign(variable - step)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adam(Optimizer):
    """Steps along the mean of the gradients, divided by the root of the mean of their squares.

    ``m += (g - m) * (1 - beta_1)``, ``v += (g**2 - v) * (1 - beta_2)`` and
    ``w -= m * alpha / (sqrt(v) + epsilon)`` with
    ``alpha = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` at step ``t = 1, 2, ...``

    Args:
        learning_rate: see ``Optimizer``.
        beta_1: how slowly the mean follows.
        beta_2: how slowly the mean of the squares follows.
        epsilon: beside the square root (the "epsilon hat" of the paper).
        amsgrad: whether the largest ``v`` so far is used (Reddi et al., 2018).
        kwargs: the other arguments of ``Optimizer``.

    Source: Kingma and Ba, "Adam", ICLR 2015.

    Example:
        >>> import lamina
        >>> w = lamina.Variable([1.0])
        >>> lamina.optimizers.Adam(0.1).apply([lamina.tensor([2.0])], [w])
        >>> round(w.numpy()[0].item(), 4)
        0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
            self._largest = self.add_optimizer_variables(variables, "velocity_hat") if self.amsgrad else []

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        correction = ops.sqrt(1 - ops.pow(self.beta_2, step)) / (1 - ops.pow(self.beta_1, step))
        return learning_rate * correction

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (ops.square(gradient) - v) * (1 - self.beta_2)
        self._momentums[index].assign(m)
        self._velocities[index].assign(v)
        if self.amsgrad:
            v = ops.maximum(self._largest[index], v)
            self._largest[index].assign(v)
        variable.assign(variable - m * learning_rate / (ops.sqrt(v) + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


class AdamW(Adam):
    """``Adam`` with decoupled weight decay: each step first subtracts ``w * weight_decay * learning_rate``.

    Args:
        learning_rate: see ``Optimizer``.
        weight_decay: the decay.
        beta_1: see ``Adam``.
        beta_2: see ``Adam``.
        epsilon: see ``Adam``.
        amsgrad: see ``Adam``.
        kwargs: the other arguments of ``Optimizer``.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
        >>> model.compile(lamina.optimizers.AdamW(1e-3, weight_decay=0.01), "mse")
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ArgumentError("AdamW: Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)


for _cls in (SGD, RMSprop, Adam, AdamW):
    known.add(_cls, _cls.__name__.lower())
