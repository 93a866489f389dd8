"""Callbacks that watch a loss or a metric, or set the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError
from lamina.core.messages import say
from lamina.training.callbacks import Callback, Logs

# Metrics of which more is better; of the other built-in ones less is.
MORE_IS_BETTER = (
    "accuracy", "auc", "precision", "recall", "score", "iou", "true_positives", "true_negatives", "sensitivity",
    "specificity", "similarity", "correlation",
)  # fmt: skip
LESS_IS_BETTER = (
    "loss", "error", "crossentropy", "hinge", "poisson", "divergence", "false_positives", "false_negatives", "logcosh",
    "log_cosh", "huber", "dice", "tversky",
)  # fmt: skip


class MonitorCallback(Callback):
    """Base of callbacks that compare a loss or a metric with its best value so far.

    Args:
        monitor: its name in the logs.
        mode: ``"min"`` if less is better, ``"max"`` if more is, ``"auto"`` to tell by the metric.
        baseline: a value to be better than.
        min_delta: how much better counts as an improvement.
    """

    def __init__(self, monitor: str = "val_loss", mode: str = "auto", baseline: Any = None, min_delta: float = 0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(f"{type(self).__name__} mode {mode!r} is unknown, 'auto' is used in its place.", stacklevel=2)
            mode = "auto"
        self.monitor, self.mode, self.best, self.min_delta = monitor, mode, baseline, abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None  # whether a value is better than another

    def _set_monitor_op(self) -> None:
        more = self._more_is_better() if self.mode == "auto" else self.mode == "max"
        self.monitor_op = np.greater if more else np.less

    def _more_is_better(self) -> bool:
        name = self.monitor.removeprefix("val_")
        if name == "loss" or name.endswith("_loss"):
            return False
        found = [m for n, m in _named_metrics(self.model) if name in (n, m.name)]
        for metric in found:
            direction = getattr(metric, "_direction", None)
            kind = _kind(metric)
            if direction is not None or any(word in kind for word in MORE_IS_BETTER + LESS_IS_BETTER):
                return direction == "up" if direction else not any(word in kind for word in LESS_IS_BETTER)
        raise ArgumentError(
            f"{type(self).__name__} cannot tell whether more or less of {self.monitor!r} is better. "
            "Give mode='max' or mode='min'."
        )

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        assert self.monitor_op is not None
        margin = self.min_delta if self.monitor_op is np.greater else -self.min_delta
        return bool(self.monitor_op(value - margin, reference))

    def _current(self, logs: Logs | None, what: str) -> Any:
        """The watched value, with a warning if it is not in the logs."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{what} depends on {self.monitor!r}, which is not in the logs; those hold: {', '.join(logs or ())}.",
                stacklevel=3,
            )
        return value


def _named_metrics(model: Any) -> list[tuple[str, Any]]:
    compiled = getattr(getattr(model, "_training", None), "compiled", None)
    return compiled.names() if compiled is not None else []


def _kind(metric: Any) -> str:
    from lamina.config import snake_case

    function = getattr(metric, "_fn", None)
    return f"{snake_case(type(metric).__name__)} {getattr(function, '__name__', '')}".lower()


class EarlyStopping(MonitorCallback):
    """Ends training when a loss or metric has not improved for ``patience`` epochs.

    Args:
        monitor: its name in the logs.
        min_delta: how much better counts as an improvement.
        patience: epochs without improvement to wait for.
        verbose: 1 to print when training ends.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to tell by the metric.
        baseline: a value that must be beaten within ``patience`` epochs.
        restore_best_weights: whether to put back the weights of the best epoch at the end.
        start_from_epoch: epochs to let pass before watching.

    Example:
        >>> stopping = EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        current = self._current(logs, "Early stopping")
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(f"The weights are those of the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by ``factor`` when a loss or metric has not improved for ``patience`` epochs.

    Args:
        monitor: its name in the logs.
        factor: below 1.
        patience: epochs without improvement to wait for.
        verbose: 1 to print each reduction.
        mode: ``"min"``, ``"max"``, or ``"auto"`` to tell by the metric.
        min_delta: how much better counts as an improvement.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: the learning rate goes no lower.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ArgumentError(
                f"ReduceLROnPlateau does not support a factor >= 1.0, which would not reduce anything; got {factor}."
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.cooldown_counter, self.wait = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.monitor_op is None:
            self._set_monitor_op()
        logs = {} if logs is None else logs
        log_learning_rates(self.model.optimizer, logs)
        current = self._current(logs, "The reduction of the learning rate")
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                reduced = [self._reduce(part, epoch) for part in parts_of(self.model.optimizer)]
                if any(reduced):
                    self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, optimizer: Any, epoch: int) -> bool:
        rate = float(np.asarray(optimizer.learning_rate))
        if rate <= np.float32(self.min_lr):
            return False
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        if self.verbose > 0:
            say(f"Epoch {epoch + 1}: the learning rate is now {float(np.asarray(optimizer.learning_rate)):.6g}.")
        return True

    def in_cooldown(self) -> bool:
        """Whether a reduction was so recent that nothing is counted."""
        return self.cooldown_counter > 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch to ``schedule(epoch, learning_rate)``.

    Args:
        schedule: a function of the epoch (from 0) and the learning rate, or of the epoch alone; gives a float.
        verbose: 1 to print the learning rate of each epoch.

    Example:
        >>> halving = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for optimizer in parts_of(self.model.optimizer):
            try:
                rate = self.schedule(epoch, float(np.asarray(optimizer.learning_rate)))
            except TypeError:  # a function of the epoch alone
                rate = self.schedule(epoch)
            if np.ndim(rate) or np.asarray(rate).dtype.kind != "f":
                raise ArgumentError(f"The schedule of a LearningRateScheduler gives a float; it gave {rate!r}.")
            optimizer.learning_rate = float(np.asarray(rate))
            if self.verbose > 0:
                say(f"Epoch {epoch + 1}: the learning rate is {float(np.asarray(rate)):.6g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        log_learning_rates(self.model.optimizer, {} if logs is None else logs)


def parts_of(optimizer: Any) -> list[Any]:
    """The optimizers of a ``MultiOptimizer``, or the one."""
    return list(getattr(optimizer, "optimizers", None) or [optimizer])


def log_learning_rates(optimizer: Any, logs: Logs) -> None:
    """Add the learning rate to the logs of an epoch."""
    several = parts_of(optimizer)
    for part in several:
        name = "learning_rate" if len(several) == 1 else f"learning_rate_{part.name}"
        logs[name] = float(np.asarray(part.learning_rate))
