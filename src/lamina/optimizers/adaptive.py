"""Optimizers that scale each weight's step by its own history: Adagrad, Adadelta, Ftrl, Adafactor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import initializers, ops
from lamina.core.errors import ArgumentError
from lamina.optimizers.base import Optimizer
from lamina.optimizers.optimizers import known
from lamina.tensor import Tensor, Variable


class Adagrad(Optimizer):
    """``a += g**2; w -= learning_rate * g / sqrt(a + epsilon)``.

    Args:
        learning_rate: see ``Optimizer``.
        initial_accumulator_value: what ``a`` starts from.
        epsilon: inside the square root.
        kwargs: the other arguments of ``Optimizer``.

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods", JMLR 12, 2011.

    Example:
        >>> import lamina
        >>> w = lamina.Variable([1.0])
        >>> lamina.optimizers.Adagrad(0.1, initial_accumulator_value=0.0).apply([lamina.tensor([2.0])], [w])
        >>> round(w.numpy()[0].item(), 4)
        0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            start = initializers.Constant(self.initial_accumulator_value)
            self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        slot = self._accumulators[self._get_variable_index(variable)]
        total = slot + ops.square(gradient)
        slot.assign(total)
        variable.assign(variable - gradient * learning_rate / ops.sqrt(total + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }


class Adadelta(Optimizer):
    """``a = rho * a + (1 - rho) * g**2``, ``step = g * rms(d) / rms(a)``, ``d = rho * d + (1 - rho) * step**2``.

    Then ``w -= learning_rate * step``, with ``rms(x) = sqrt(x + epsilon)``.

    Args:
        learning_rate: see ``Optimizer``; 1 is that of the paper.
        rho: how slowly both means follow.
        epsilon: inside the square roots.
        kwargs: the other arguments of ``Optimizer``.

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._squares, self._steps = self.add_optimizer_variables(
                variables, ["accumulated_grad", "accumulated_delta_var"]
            )

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, steps = self._squares[index], self._steps[index]
        mean = squares * self.rho + ops.square(gradient) * (1 - self.rho)
        step = gradient * ops.sqrt(steps + self.epsilon) / ops.sqrt(mean + self.epsilon)
        squares.assign(mean)
        steps.assign(steps * self.rho + ops.square(step) * (1 - self.rho))
        variable.assign(variable - step * learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}


class Ftrl(Optimizer):
    """Follow the regularised leader: weights are worked out anew from all gradients, with an L1 that makes zeros.

    With ``p = -learning_rate_power``: ``n' = n + g**2``, ``z += g - (n'**p - n**p) / learning_rate * w`` and
    ``w = (clip(z, -l1, l1) - z) / (n'**p / learning_rate + 2 * l2 + beta / learning_rate)``.

    Args:
        learning_rate: see ``Optimizer``.
        learning_rate_power: at most 0; how the rate falls with the gradients seen.
        initial_accumulator_value: what ``n`` starts from.
        l1_regularization_strength: ``l1``.
        l2_regularization_strength: ``l2``.
        l2_shrinkage_regularization_strength: a penalty on large weights that adds
            ``2 * strength * w`` to the gradient (not to ``n``).
        beta: see the formula.
        kwargs: the other arguments of ``Optimizer``.

    Raises:
        ArgumentError: a strength or the initial value is negative, or the power positive.

    Source: McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if learning_rate_power > 0:
            raise ArgumentError(
                f"`learning_rate_power` needs to be negative or zero. Received: {learning_rate_power=}."
            )
        for name, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise ArgumentError(f"`{name}` needs to be positive or zero. Received: {name}={value}.")
        self.learning_rate_power, self.beta = learning_rate_power, beta
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            start = initializers.Constant(self.initial_accumulator_value)
            self._accumulators, self._linears = self.add_optimizer_variables(
                variables, ["accumulator", "linear"], [start, "zeros"]
            )

    def _powered(self, x: Any) -> Any:
        return ops.sqrt(x) if self.learning_rate_power == -0.5 else ops.pow(x, -self.learning_rate_power)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        accumulator, linear = self._accumulators[index], self._linears[index]
        l1, shrinkage = self.l1_regularization_strength, self.l2_shrinkage_regularization_strength
        total = accumulator + ops.square(gradient)
        powered = self._powered(total)
        if shrinkage:
            gradient = gradient + variable.value * (2 * shrinkage)
        z = linear + gradient - (powered - self._powered(accumulator.value)) / learning_rate * variable
        quadratic = (powered + self.beta) / learning_rate + 2 * self.l2_regularization_strength
        accumulator.assign(total)
        linear.assign(z)
        variable.assign((ops.clip(z, -l1, l1) - z if l1 else -z) / quadratic)

    def get_config(self) -> dict[str, Any]:
        names = (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
            "beta",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class Adafactor(Optimizer):
    """Like ``RMSprop``, but of the squares of a matrix's gradient it keeps row and column means only.

    The mean of the squares is ``v = r * c / mean(r)`` for matrices (and stacks of them), held in full for
    vectors; its decay at step ``t`` is ``1 - t**beta_2_decay``.  The step ``u = g / sqrt(v)`` is scaled down to a
    root mean square of at most ``clip_threshold`` and multiplied by ``max(epsilon_2, rms(w)) * rho``, where
    ``rho = min(learning_rate, 1 / sqrt(t))``.

    Args:
        learning_rate: see ``Optimizer``.
        beta_2_decay: see above.
        epsilon_1: added to the squares.
        epsilon_2: least scale of a weight.
        clip_threshold: see above.
        relative_step: kept for Keras's sake; the rate is at most ``1 / sqrt(t)`` either way, as there.
        kwargs: the other arguments of ``Optimizer``.

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._slots: list[list[Variable]] = []  # row and column means of a matrix, or the mean itself
        for v in variables:
            shapes = [v.shape] if v.ndim < 2 else [v.shape[:-1], (*v.shape[:-2], v.shape[-1])]
            names = ["velocity"] if v.ndim < 2 else ["row_mean", "column_mean"]
            stem = v.path.replace("/", "_")
            self._slots.append(
                [self.add_variable(s, "zeros", v.dtype, f"{stem}_{n}") for s, n in zip(shapes, names, strict=True)]
            )

    def step_size(self, learning_rate: Any) -> Any:
        step = self._step_number(learning_rate)
        return ops.minimum(learning_rate, ops.rsqrt(step)), ops.pow(step, self.beta_2_decay)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Any) -> None:
        rate, fresh = learning_rate
        squares = ops.square(gradient) + self.epsilon_1
        slots = self._slots[self._get_variable_index(variable)]
        found = [squares] if len(slots) == 1 else [ops.mean(squares, axis=-1), ops.mean(squares, axis=-2)]
        means = [slot * (1 - fresh) + new * fresh for slot, new in zip(slots, found, strict=True)]
        for slot, mean in zip(slots, means, strict=True):
            slot.assign(mean)
        if len(means) == 1:
            v = means[0]
        else:
            rows = means[0] / ops.mean(means[0], axis=-1, keepdims=True)
            v = ops.expand_dims(rows, axis=-1) * ops.expand_dims(means[1], axis=-2)
        u = gradient / ops.sqrt(v)
        scale = ops.maximum(_rms(variable.value), self.epsilon_2) * rate
        variable.assign(variable - u * (scale / ops.maximum(_rms(u) / self.clip_threshold, 1.0)))

    def get_config(self) -> dict[str, Any]:
        names = ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _rms(x: Any) -> Any:
    return ops.sqrt(ops.mean(ops.square(x)))


for _cls in (Adagrad, Adadelta, Ftrl, Adafactor):
    known.add(_cls, _cls.__name__.lower())
