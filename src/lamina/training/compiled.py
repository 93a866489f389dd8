"""What ``compile`` set up: optimizer, losses and metrics, resolved for the shapes of the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina import losses, metrics, ops, optimizers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten
from lamina.training import checks
from lamina.training.arrays import Data

CHOSEN_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")


class OutputLoss:
    """The loss of one output, and what it wants of targets and predictions."""

    def __init__(self, identifier: Any, target: Any = None, prediction: Any = None) -> None:
        self.loss = losses.as_loss(identifier, target, prediction)
        self.name = self.loss.name
        # What a loss of the user's own takes, nobody knows.
        self.known = type(self.loss).__module__.startswith("lamina.losses") and not isinstance(
            self.loss, losses.LossFunctionWrapper
        )
        self.targets = self.loss.targets if self.known else "values"
        if getattr(self.loss, "axis", -1) != -1:
            self.known = False

    @property
    def wants_probabilities(self) -> bool:
        """Whether predictions must lie between 0 and 1."""
        crossentropy = self.known and self.targets in ("probabilities", "classes")
        return crossentropy and not getattr(self.loss, "from_logits", False)

    @property
    def binary(self) -> bool:
        """Whether each output is a probability of its own, rather than one of several that add up to 1."""
        return type(self.loss) is losses.BinaryCrossentropy

    def check(self, name: str, target: np.ndarray, prediction: tuple[int, ...]) -> None:
        """Raise if these targets cannot be compared with an output of this shape."""
        if not self.known:
            return
        if self.targets == "classes":
            checks.check_class_labels(name, target, prediction, getattr(self.loss, "ignore_class", None))
            return
        checks.check_same_shape(name, target, prediction, self.name)
        if self.targets == "probabilities":
            checks.check_probabilities(name, target, self.name)

    def aligned(self, target: np.ndarray, prediction: tuple[int, ...]) -> np.ndarray:
        """The target in the rank that the loss compares without broadcasting."""
        return target if self.targets == "classes" else checks.align_target(target, prediction)


class Compiled:
    """Optimizer, losses and metrics of a model, and the variables that count them.

    Losses and metrics can be given by output in several ways; ``bind`` turns them into lists once
    the outputs are known.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        loss_weights: Any,
        metric: Any,
        weighted_metric: Any,
        run_eagerly: bool,
        steps_per_execution: int,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.loss, self.loss_weights = loss, loss_weights
        self.user_metrics, self.user_weighted = metric, weighted_metric
        self.run_eagerly = bool(run_eagerly)
        self.steps_per_execution = checks.check_positive("steps_per_execution", steps_per_execution)
        for item in flatten(loss)[0]:
            losses.get(item if item not in ("crossentropy", "ce") else None)  # a wrong name is an error now
        for item in flatten([metric, weighted_metric])[0]:
            if not isinstance(item, str) or item.lower() not in CHOSEN_BY_SHAPE:
                metrics.get(item)
        self.bound = False
        self.losses: list[OutputLoss | None] = []
        self.weights: list[float] = []
        self.output_names: list[str] = []
        self.loss_tracker: Any = metrics.Mean(name="loss")
        self.output_trackers: list[Any] = []
        self.metrics: list[list[Any]] = []
        self.weighted: list[list[Any]] = []

    # --- binding to the outputs -------------------------------------------------------------------
    def bind(self, output_names: Sequence[str], predictions: Sequence[Any], targets: Sequence[np.ndarray]) -> None:
        """Make one list entry per output; metrics chosen by shapes are chosen here."""
        if self.bound:
            return
        self.output_names = list(output_names)
        count = len(predictions)
        spread = _by_output("loss", self.loss, self.output_names)
        self.losses = []
        for i, item in enumerate(spread):
            target = targets[i].shape if i < len(targets) else None
            self.losses.append(None if item is None else OutputLoss(item, target, predictions[i].shape))
        given = _by_output("loss_weights", self.loss_weights, self.output_names)
        self.weights = [1.0 if w is None else float(w) for w in given]
        self.metrics = self._make_metrics("metrics", self.user_metrics, predictions, targets)
        self.weighted = self._make_metrics("weighted_metrics", self.user_weighted, predictions, targets)
        used = [name for name, loss in zip(self.output_names, self.losses, strict=True) if loss is not None]
        self.output_trackers = [metrics.Mean(name=f"{name}_loss") for name in used] if count > 1 else []
        self.bound = True

    def _make_metrics(
        self, what: str, given: Any, predictions: Sequence[Any], targets: Sequence[np.ndarray]
    ) -> list[list[Any]]:
        names = self.output_names
        if given is None:
            return [[] for _ in names]
        if len(names) == 1 and isinstance(given, list | tuple):
            given = [given] if not (len(given) == 1 and isinstance(given[0], list | tuple)) else given
        elif isinstance(given, str) or callable(given):
            given = [[given]] if len(names) == 1 else given
        made = []
        for i, item in enumerate(_by_output(what, given, names)):
            items = item if isinstance(item, list | tuple) else [] if item is None else [item]
            target = targets[i] if i < len(targets) else None
            made.append([self._make_metric(m, i, predictions[i], target) for m in items])
        return made

    def _make_metric(self, identifier: Any, output: int, prediction: Any, target: np.ndarray | None) -> Any:
        loss = self.losses[output]
        if target is None:
            raise ArgumentError(f"The metric {identifier!r} compares the output {self.output_names[output]!r} with y.")
        return metrics.as_metric(identifier, target, prediction, None if loss is None else loss.loss)

    # --- inside the step --------------------------------------------------------------------------
    def compute_loss(self, targets: Sequence[Any], predictions: Sequence[Any], weights: Sequence[Any]) -> Any:
        """``(total, loss of each output that has one)`` for one batch."""
        total: Any = None
        parts: list[Any] = []
        found = iter(range(len(targets)))
        for i, loss in enumerate(self.losses):
            if loss is None:
                if len(targets) == len(self.losses):
                    next(found)
                continue
            k = next(found)
            weight = weights[k if len(weights) > 1 else 0] if weights else None
            value = loss.loss(targets[k], predictions[i], sample_weight=weight)
            parts.append(value)
            scaled = value if self.weights[i] == 1.0 else ops.multiply(value, self.weights[i])
            total = scaled if total is None else ops.add(total, scaled)
        return total, parts

    def update_trackers(self, total: Any, parts: Sequence[Any], rows: int) -> None:
        """Count a batch's losses, weighted by its rows."""
        self.loss_tracker.update_state(total, sample_weight=float(rows))
        for tracker, part in zip(self.output_trackers, parts, strict=False):
            tracker.update_state(part, sample_weight=float(rows))

    def update_metrics(self, targets: Sequence[Any], predictions: Sequence[Any], weights: Sequence[Any]) -> None:
        """Count a batch in every metric."""
        for i, (plain, weighted) in enumerate(zip(self.metrics, self.weighted, strict=True)):
            if not plain and not weighted:
                continue
            k = i if len(targets) == len(self.losses) else [j for j, o in enumerate(self.losses) if o].index(i)
            for metric in plain:
                metric.update_state(targets[k], predictions[i])
            weight = weights[k if len(weights) > 1 else 0] if weights else None
            for metric in weighted:
                metric.update_state(targets[k], predictions[i], sample_weight=weight)

    # --- around the step --------------------------------------------------------------------------
    def all_metrics(self) -> list[Any]:
        """Every metric, the loss first."""
        found = [self.loss_tracker, *self.output_trackers]
        for plain, weighted in zip(self.metrics, self.weighted, strict=True):
            found += [*plain, *weighted]
        return list({id(m): m for m in found}.values())

    def reset(self) -> None:
        """Forget what the metrics have counted."""
        for metric in self.all_metrics():
            metric.reset_state()

    def names(self) -> list[tuple[str, Any]]:
        """``(name, metric)`` in the order of ``evaluate``'s result; names are unique."""
        found = [("loss", self.loss_tracker)] + [(t.name, t) for t in self.output_trackers]
        several = len(self.output_names) > 1
        taken = {name for name, _ in found}
        for output, plain, weighted in zip(self.output_names, self.metrics, self.weighted, strict=True):
            for metric in [*plain, *weighted]:
                base = f"{output}_{metric.name}" if several else metric.name
                name, n = base, 1
                while name in taken:
                    n += 1
                    name = f"{base}_{n}"
                taken.add(name)
                found.append((name, metric))
        return found

    def results(self) -> dict[str, float]:
        """The values of all losses and metrics so far."""
        logs: dict[str, float] = {}
        for name, metric in self.names():
            value = metric.result()
            if isinstance(value, Mapping):
                logs.update({k: _as_number(v) for k, v in value.items()})
            else:
                logs[name] = _as_number(value)
        return logs

    # --- before the step --------------------------------------------------------------------------
    def check_predictions(self, predictions: Sequence[np.ndarray]) -> None:
        """Outputs for a sample are probabilities where the loss wants them."""
        for loss, prediction, name in zip(self.losses, predictions, self.output_names, strict=True):
            if loss is not None and loss.wants_probabilities:
                checks.check_prediction_probabilities(prediction, loss.name, name, loss.binary)

    def check_data(self, data: Data, predictions: Sequence[Any], where: str) -> Data:
        """Check targets against outputs, and bring them to the outputs' rank."""
        with_loss = [i for i, loss in enumerate(self.losses) if loss is not None]
        outputs = list(range(len(self.losses))) if len(data.y) == len(self.losses) else with_loss
        if len(data.y) != len(outputs):
            raise ShapeError(
                f"{where}y holds {len(data.y)} arrays and the model has {len(self.losses)} outputs "
                f"({', '.join(self.output_names)}), {len(with_loss)} of them with a loss."
            )
        if len(data.weights) not in (0, 1, len(outputs)):
            raise ShapeError(
                f"{where}sample_weight holds {len(data.weights)} arrays; give one, or one for each of the "
                f"{len(outputs)} outputs."
            )
        aligned = []
        for k, i in enumerate(outputs):
            loss, shape = self.losses[i], predictions[i].shape
            name = f"{where}y" if len(outputs) == 1 else f"{where}y for output {self.output_names[i]!r}"
            target = checks.align_target(data.y[k], shape) if loss is None else loss.aligned(data.y[k], shape)
            if loss is not None:
                loss.check(name, target, shape)
            aligned.append(target)
        for weight in data.weights:
            if weight.ndim > 1 and weight.shape[1:] not in ((1,), *(y.shape[1:] for y in aligned)):
                raise ShapeError(
                    f"{where}sample_weight has shape {weight.shape}; expected one weight per sample, "
                    f"shape ({data.rows},)."
                )
        weights = [w[:, 0] if w.ndim == 2 and w.shape[1] == 1 else w for w in data.weights]
        return Data(data.x, data.x_structure, data.rows, aligned, data.y_structure, weights)


def _as_number(value: Any) -> float:
    return float(np.asarray(value))


def _by_output(what: str, given: Any, names: Sequence[str]) -> list[Any]:
    """One entry per output from a single value, a list in the outputs' order, or a dict by name."""
    if isinstance(given, Mapping):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ArgumentError(f"{what} names the output {unknown[0]!r}; the model's outputs: {', '.join(names)}.")
        return [given.get(name) for name in names]
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise ArgumentError(f"{what} has {len(given)} entries and the model has {len(names)} outputs.")
        return list(given)
    return [given] * len(names)
