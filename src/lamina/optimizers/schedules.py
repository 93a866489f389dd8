"""Learning rates that follow the number of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lamina import config, ops
from lamina.core.errors import ArgumentError
from lamina.serialization import register_serializable
from lamina.tensor import Tensor

_register = register_serializable("lamina.optimizers.schedules")


class LearningRateSchedule:
    """Base class: subclasses implement ``__call__(step)``, a Tensor from an integer Tensor."""

    def __call__(self, step: Any) -> Tensor:
        """The learning rate of this step."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __call__(step).")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_config().")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A schedule from what ``get_config`` returned."""
        return cls(**config)


def _steps(name: str, decay_steps: int) -> int:
    if decay_steps <= 0:
        raise ArgumentError(f"{name}: Argument `decay_steps` must be > 0; got {decay_steps}.")
    return decay_steps


def _floating(step: Any) -> Any:
    return ops.astype(ops.as_tensor(step), config.floatx())


@_register
class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: after this many steps the rate has been multiplied by ``decay_rate`` once.
        decay_rate: the factor.
        staircase: whether the exponent is rounded down, so that the rate falls in steps.
        name: a name.

    Example:
        >>> import lamina
        >>> schedule = lamina.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
        >>> round(schedule(10).item(), 4)
        0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(name, decay_steps)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Tensor:
        exponent = ops.divide(_floating(step), self.decay_steps)
        if self.staircase:
            exponent = ops.floor(exponent)
        return ops.multiply(ops.pow(self.decay_rate, exponent), self.initial_learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@_register
class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and with step ``boundaries[0]``, then ``values[1]``, and so on.

    Args:
        boundaries: increasing steps.
        values: one rate more than there are boundaries.
        name: a name.

    Raises:
        ArgumentError: the lengths do not fit together.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ArgumentError(
                f"{name}: values has one more element than boundaries; got {len(values)} and {len(boundaries)}."
            )
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: Any) -> Tensor:
        step = ops.as_tensor(step)
        rate = ops.full((), float(self.values[0]), config.floatx())
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = ops.where(ops.greater(step, boundary), float(value), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@_register
class CosineDecay(LearningRateSchedule):
    """Half a cosine from ``initial_learning_rate`` down to ``alpha`` times it, after an optional warm-up.

    With a warm-up the rate first rises in a line from ``initial_learning_rate`` to
    ``warmup_target`` and decays from there.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: length of the decay, without the warm-up.
        alpha: the last rate as a fraction.
        name: a name.
        warmup_target: rate at the end of the warm-up, or ``None`` for no warm-up.
        warmup_steps: length of the warm-up.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(name, decay_steps)
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> Tensor:
        step = _floating(step)
        if self.warmup_target is None:
            return self._decay(ops.minimum(step, self.decay_steps), self.initial_learning_rate)
        step = ops.minimum(step, self.decay_steps + self.warmup_steps)
        rise = self.warmup_target - self.initial_learning_rate
        warm = ops.divide(step, max(self.warmup_steps, 1)) * rise + self.initial_learning_rate
        decayed = self._decay(step - self.warmup_steps, self.warmup_target)
        return ops.where(step < self.warmup_steps, warm, decayed)

    def _decay(self, step: Any, start: float) -> Any:
        cosine = 0.5 * (1.0 + ops.cos(ops.divide(step, self.decay_steps) * math.pi))
        return ((1 - self.alpha) * cosine + self.alpha) * start

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


@_register
class CosineDecayRestarts(LearningRateSchedule):
    """``CosineDecay`` again and again: each period is ``t_mul`` times as long and starts at ``m_mul`` times the rate.

    Args:
        initial_learning_rate: at step 0.
        first_decay_steps: length of the first period.
        t_mul: factor of the length from period to period.
        m_mul: factor of the rate at the start from period to period.
        alpha: the last rate of a period as a fraction of the first rate.
        name: a name.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        if first_decay_steps <= 0:
            raise ArgumentError(f"{name}: Argument `first_decay_steps` must be > 0; got {first_decay_steps}.")
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> Tensor:
        done = ops.divide(_floating(step), self.first_decay_steps)
        if self.t_mul == 1.0:
            restarts = ops.floor(done)
            fraction = done - restarts
        else:  # period i begins at (1 - t_mul**i) / (1 - t_mul) and has length t_mul**i
            restarts = ops.floor(ops.log(1.0 - done * (1.0 - self.t_mul)) / math.log(self.t_mul))
            length = ops.pow(self.t_mul, restarts)
            fraction = (done - (1.0 - length) / (1.0 - self.t_mul)) / length
        cosine = 0.5 * ops.pow(self.m_mul, restarts) * (1.0 + ops.cos(fraction * math.pi))
        return ((1 - self.alpha) * cosine + self.alpha) * self.initial_learning_rate

    def get_config(self) -> dict[str, Any]:
        names = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")
        return {name: getattr(self, name) for name in names}


@_register
class PolynomialDecay(LearningRateSchedule):
    """``(initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power + end_learning_rate``.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: length of the decay.
        end_learning_rate: from then on.
        power: 1 for a line.
        cycle: whether the rate rises again at each multiple of ``decay_steps`` and falls to the next, ever slower.
        name: a name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(name, decay_steps)
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: Any) -> Tensor:
        done = ops.divide(_floating(step), self.decay_steps)
        done = done / ops.maximum(ops.ceil(done), 1.0) if self.cycle else ops.minimum(done, 1.0)
        height = ops.subtract(self.initial_learning_rate, self.end_learning_rate)
        return ops.pow(1.0 - done, self.power) * height + self.end_learning_rate

    def get_config(self) -> dict[str, Any]:
        names = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")
        return {name: getattr(self, name) for name in names}


@_register
class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``.

    Args:
        initial_learning_rate: at step 0.
        decay_steps: see the formula.
        decay_rate: see the formula.
        staircase: whether ``step / decay_steps`` is rounded down.
        name: a name.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, _steps(name, decay_steps)
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: Any) -> Tensor:
        done = ops.divide(_floating(step), self.decay_steps)
        if self.staircase:
            done = ops.floor(done)
        return ops.divide(self.initial_learning_rate, done * self.decay_rate + 1.0)

    def get_config(self) -> dict[str, Any]:
        names = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")
        return {name: getattr(self, name) for name in names}


def serialize(schedule: LearningRateSchedule) -> Any:
    """The configuration of a schedule."""
    from lamina.serialization import serialize as to_config

    return to_config(schedule)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """A schedule from its configuration."""
    from lamina.serialization import deserialize as from_config

    return from_config(config, custom_objects)
