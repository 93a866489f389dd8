"""``torch.optim.lr_scheduler``: learning rates that change from epoch to epoch."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from lamina.compat.torch.optim.optimizer import Optimizer
from lamina.core.errors import ArgumentError


class LRScheduler:
    """Base class: ``step()`` sets the learning rates of the groups to what ``get_lr`` says for the next epoch.

    Args:
        optimizer: whose groups' ``lr`` change.
        last_epoch: the last epoch that is over; -1 to start.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"A scheduler takes an optimizer; got {type(optimizer).__name__}.")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rates of the groups at ``last_epoch``; the subclass's formula."""
        raise NotImplementedError(f"{type(self).__name__} does not implement get_lr.")

    def _now(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = self._now()

    def get_last_lr(self) -> list[float]:
        """The learning rates that the last ``step`` set."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """What is to be saved."""
        return {k: v for k, v in vars(self).items() if k != "optimizer" and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        vars(self).update(state_dict)


class LambdaLR(LRScheduler):
    """``initial_lr * lr_lambda(epoch)``."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        count = len(optimizer.param_groups)
        self._functions: list[Callable[[int], float]] = (
            list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * count
        )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self._functions, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        return {k: v for k, v in super().state_dict().items() if k != "_functions"}


class MultiplicativeLR(LambdaLR):
    """Each epoch ``lr * lr_lambda(epoch)``."""

    def get_lr(self) -> list[float]:
        if self.last_epoch <= 0:
            return self._now()
        return [rate * f(self.last_epoch) for rate, f in zip(self._now(), self._functions, strict=True)]


class _Factor(LRScheduler):
    """Schedules that multiply the rate by a factor at each epoch."""

    def _factor(self, epoch: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        factor = self._factor(self.last_epoch)
        return [rate * factor for rate in self._now()]

    def step(self, epoch: int | None = None) -> None:
        if epoch is not None:  # a jump: from the start again
            before = math.prod(self._factor(i) for i in range(epoch))
            for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                group["lr"] = base * before
        super().step(epoch)


class StepLR(_Factor):
    """Every ``step_size`` epochs the rate times ``gamma``."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch > 0 and epoch % self.step_size == 0 else 1.0


class MultiStepLR(_Factor):
    """At each of the ``milestones`` the rate times ``gamma``."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return float(self.gamma ** self.milestones.count(epoch))


class ExponentialLR(_Factor):
    """Every epoch the rate times ``gamma``."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch > 0 else 1.0


class ConstantLR(LRScheduler):
    """``initial_lr * factor`` for ``total_iters`` epochs, then ``initial_lr``."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * (self.factor if self.last_epoch < self.total_iters else 1.0) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """A factor that goes in a line from ``start_factor`` to ``end_factor`` over ``total_iters`` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = min(self.last_epoch, self.total_iters) / self.total_iters
        factor = self.start_factor + (self.end_factor - self.start_factor) * share
        return [base * factor for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """``initial_lr * (1 - epoch / total_iters)**power``."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        left = 1 - min(self.last_epoch, self.total_iters) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from ``initial_lr`` down to ``eta_min`` in ``T_max`` epochs, and up again.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine down in ``T_0`` epochs, then from the top again, each time ``T_mult`` times longer."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: Any = None) -> None:
        super().step(epoch)

    def get_lr(self) -> list[float]:
        at, length = float(self.last_epoch), self.T_0
        while at >= length:
            at -= length
            length *= self.T_mult
        share = (1 + math.cos(math.pi * at / length)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down to almost nothing in one run of ``total_steps`` steps, by cosines or lines.

    Args:
        optimizer: whose rates change.
        max_lr: the top, one number or one for each group.
        total_steps: number of steps; or
        epochs: number of epochs, with
        steps_per_epoch: their steps.
        pct_start: share of the steps on the way up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        div_factor: ``max_lr`` divided by it is the first rate.
        final_div_factor: the first rate divided by it is the last.
        cycle_momentum: accepted; momentum stays as it is.

    Source: Smith and Topin, "Super-Convergence", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = False,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR takes total_steps, or epochs and steps_per_epoch.")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy is 'cos' or 'linear'; got {anneal_strategy!r}.")
        self.total_steps, self.pct_start, self.anneal_strategy = total_steps, pct_start, anneal_strategy
        tops = list(max_lr) if isinstance(max_lr, list | tuple) else [max_lr] * len(optimizer.param_groups)
        self._points = [(top / div_factor, top, top / div_factor / final_div_factor) for top in tops]
        super().__init__(optimizer, last_epoch)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    def get_lr(self) -> list[float]:
        up = self.pct_start * self.total_steps - 1
        if self.last_epoch > self.total_steps:
            raise ArgumentError(f"OneCycleLR was made for {self.total_steps} steps and is asked for more.")
        if self.last_epoch <= up:
            return [self._between(low, top, self.last_epoch / up) for low, top, _ in self._points]
        share = (self.last_epoch - up) / (self.total_steps - 1 - up)
        return [self._between(top, last, share) for _, top, last in self._points]


class SequentialLR:
    """Schedules one after the other, the next from each of the ``milestones`` on."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError("SequentialLR takes one milestone fewer than schedulers.")
        self.optimizer, self._schedulers, self._milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        first = self._schedulers[0]
        first.last_epoch = -1
        first.step()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        which = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[which]
        if which > 0 and self._milestones[which - 1] == self.last_epoch:
            scheduler.step(0)
        else:
            scheduler.step()

    def get_last_lr(self) -> list[float]:
        """The learning rates now."""
        return [group["lr"] for group in self.optimizer.param_groups]


class ReduceLROnPlateau:
    """The rate times ``factor`` when a value has not become better for more than ``patience`` epochs.

    Args:
        optimizer: whose rates change.
        mode: ``"min"`` or ``"max"``: what is better.
        factor: see above.
        patience: see above.
        threshold: by how much a value must be better to count.
        threshold_mode: ``"rel"`` or ``"abs"``: whether ``threshold`` is a share.
        cooldown: epochs after a change in which nothing is counted.
        min_lr: least rate.
        eps: smaller changes are left out.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"mode is 'min' or 'max', threshold_mode 'rel' or 'abs'; got {mode!r}, {threshold_mode!r}."
            )
        if factor >= 1:
            raise ArgumentError(f"factor is below 1; got {factor}.")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lr, self.eps = min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if math.isinf(self.best):
            return value * sign > self.best * sign
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        return value * sign > self.best * sign + margin

    def step(self, metrics: Any) -> None:
        """Look at the value of an epoch."""
        value = float(metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                rate = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The learning rates now."""
        return [group["lr"] for group in self.optimizer.param_groups]
