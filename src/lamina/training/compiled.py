"""What ``compile`` set up: optimizer, losses and metrics, resolved for the shapes of the outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lamina import losses, metrics, ops, optimizers
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import Leaf, flatten
from lamina.losses.functions import unchecked_probabilities
from lamina.metrics.base import current_value
from lamina.training import checks
from lamina.training.arrays import Data, keys_of
from lamina.training.outputs import Outputs, Part, by_output, find_places, known, pick, plan_losses
from lamina.training.problems import Problem

MOST_LOOKS = 4  # at arrays, for one call of compile
CHOSEN_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")
KINDS: dict[type, str] = {
    losses.BinaryCrossentropy: "binary",
    losses.CategoricalCrossentropy: "categorical",
    losses.SparseCategoricalCrossentropy: "sparse",
    losses.BinaryFocalCrossentropy: "binary",
    losses.CategoricalFocalCrossentropy: "categorical",
    losses.CategoricalGeneralizedCrossEntropy: "sparse",
}
CROSSENTROPIES: dict[str, Callable[[], losses.Loss]] = {
    "binary": losses.BinaryCrossentropy,
    "categorical": losses.CategoricalCrossentropy,
    "sparse": losses.SparseCategoricalCrossentropy,
}
CLASSES: Mapping[Any, Callable[[], losses.Loss]] = losses.CLASS_OF


class OutputLoss:
    """The loss of one output, and what it wants of targets and predictions."""

    def __init__(self, identifier: Any, target: Sequence[int] | None, prediction: Sequence[int]) -> None:
        if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
            identifier = CROSSENTROPIES[_kind_by_shape(target, prediction)]
        found = losses.get(identifier)
        if not isinstance(found, losses.Loss):
            found = CLASSES[found]() if found in CLASSES else losses.LossFunctionWrapper(found)
        self.loss = found
        self.loss._keeps_float64 = True
        self.name = self.loss.name
        # What a loss of the user's own takes, nobody knows.
        self.known = type(self.loss).__module__.startswith("lamina.losses") and not isinstance(
            self.loss, losses.LossFunctionWrapper
        )
        self.targets = self.loss.targets if self.known else "values"
        if self.targets == "any" or getattr(self.loss, "axis", -1) not in (-1, None):
            self.known = False

    @property
    def wants_probabilities(self) -> bool:
        """Whether predictions must lie between 0 and 1."""
        crossentropy = self.known and self.targets in ("probabilities", "classes")
        return crossentropy and not getattr(self.loss, "from_logits", False)

    @property
    def kind(self) -> str | None:
        """``binary``, ``categorical`` or ``sparse`` for the cross-entropies, else ``None``."""
        return KINDS.get(type(self.loss))

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


class CompiledMetrics(metrics.Metric):
    """All metrics given to ``compile`` as one, which ``Model.metrics`` lists."""

    def __init__(self, compiled: Compiled, model: Any) -> None:
        super().__init__(name="compile_metrics")
        self._compiled, self._model = compiled, model

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs; none before the model has seen data."""
        pairs = zip(self._compiled.metrics, self._compiled.weighted, strict=True)
        return [m for plain, weighted in pairs for m in (*plain, *weighted)]

    @property
    def variables(self) -> list[Any]:
        return [v for m in self.metrics for v in m.variables]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._compiled.update_metrics(*self._compiled.arrange(self._model, y_true, y_pred, sample_weight))

    def result(self) -> dict[str, Any]:
        known = self.metrics
        return {name: m.result() for name, m in self._compiled.names() if any(m is other for other in known)}

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()


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
        self._as_metric: CompiledMetrics | None = None
        self._own: list[Any] = []
        self._named: list[tuple[str, Any]] | None = None
        self.own_known = False
        self.told: set[str] = set()  # kinds of problems of which there was a warning
        self._looked: set[Any] = set()  # arrays that fit has looked at
        self.outputs = Outputs(None, ())
        self.parts: list[tuple[Part, OutputLoss]] = []  # the losses, each with the outputs it takes
        self.losses: list[OutputLoss | None] = []  # the first loss of each output
        self.loss_tracker: Any = metrics.Mean(name="loss")
        self.output_trackers: list[Any] = []  # for the losses of one name each, where there are several losses
        self.metrics: list[list[Any]] = []
        self.weighted: list[list[Any]] = []

    @property
    def own(self) -> list[Any]:
        """Metrics that the model keeps itself, beside those given to ``compile``."""
        return self._own

    @own.setter
    def own(self, metrics: list[Any]) -> None:
        self._own, self._named = metrics, None

    def is_new(self, data: Data) -> bool:
        """Whether ``fit`` has to look at these arrays: not again and again in a loop around it."""
        arrays = tuple((a.shape, a.ctypes.data) for a in data.arrays())
        if arrays in self._looked or len(self._looked) >= MOST_LOOKS:
            return False
        self._looked.add(arrays)
        return True

    # --- binding to the outputs -------------------------------------------------------------------
    def bind(self, predictions: Sequence[Any], data: Data) -> None:
        """Make one list entry per output; metrics chosen by shapes are chosen here."""
        if self.bound:
            return
        targets = [None if place is None else data.y[place] for place in data.places]
        self.losses = [None] * len(predictions)
        self.parts = []
        for part in plan_losses(self.loss, self.loss_weights, self.outputs):
            first = part.outputs[0]
            target = targets[first]
            shape = None if target is None else target.shape
            loss = OutputLoss(part.identifier, shape, predictions[first].shape)
            self.parts.append((part, loss))
            if isinstance(part.structure, Leaf) and self.losses[first] is None:
                self.losses[first] = loss
        self.metrics = self._make_metrics("metrics", self.user_metrics, predictions, targets)
        self.weighted = self._make_metrics("weighted_metrics", self.user_weighted, predictions, targets)
        names = dict.fromkeys(part.name for part, _ in self.parts) if len(self.parts) > 1 else {}
        self.output_trackers = [metrics.Mean(name=f"{name}_loss") for name in names]
        self.bound, self._named = True, None

    def _make_metrics(
        self, what: str, given: Any, predictions: Sequence[Any], targets: Sequence[np.ndarray | None]
    ) -> list[list[Any]]:
        names = self.outputs.names
        if given is None:
            return [[] for _ in names]
        if len(names) == 1 and isinstance(given, list | tuple):
            return [self._make_list(given[0] if len(given) == 1 else given, 0, predictions, targets)]
        spread = by_output(what, given, self.outputs)
        return [self._make_list(item, i, predictions, targets) for i, item in enumerate(spread)]

    def _make_list(self, given: Any, output: int, predictions: Sequence[Any], targets: Sequence[Any]) -> list[Any]:
        items = given if isinstance(given, list | tuple) else [] if given is None else [given]
        return [self._make_metric(m, output, predictions[output], targets[output]) for m in items if m is not None]

    def _make_metric(self, identifier: Any, output: int, prediction: Any, target: np.ndarray | None) -> Any:
        loss = self.losses[output]
        if target is None:
            raise ArgumentError(f"The metric {identifier!r} compares the output {self.outputs.names[output]!r} with y.")
        if isinstance(identifier, str) and identifier.lower() in CHOSEN_BY_SHAPE:
            choose = choose_accuracy if identifier.lower() in ("accuracy", "acc") else choose_crossentropy
            return choose(identifier, loss, prediction.shape, target)
        metric = metrics.get(identifier)
        if isinstance(metric, metrics.Metric):
            if isinstance(identifier, str):
                metric.name = identifier
            return metric
        return metrics.MeanMetricWrapper(metric, name=identifier if isinstance(identifier, str) else None)

    # --- inside the step --------------------------------------------------------------------------
    def compute_loss(self, targets: Sequence[Any], predictions: Sequence[Any], weights: Sequence[Any]) -> Any:
        """``(total, losses)`` of one batch; the losses in the order of ``parts``.

        Args:
            targets: one for each output, ``None`` where there is none.
            predictions: the outputs.
            weights: sample weights, likewise.
        """
        total: Any = None
        values: list[Any] = []
        for part, loss in self.parts:
            weight = weights[part.outputs[0]]
            with unchecked_probabilities():
                value = loss.loss(pick(part, targets), pick(part, predictions), sample_weight=weight)
            values.append(value)
            scaled = value if part.weight == 1.0 else ops.multiply(value, part.weight)
            total = scaled if total is None else ops.add(total, scaled)
        return total, values

    def update_trackers(self, total: Any, values: Sequence[Any], rows: int) -> None:
        """Count a batch's losses, weighted by its rows."""
        self.loss_tracker.update_state(total, sample_weight=float(rows))
        self.update_output_trackers(values, rows)

    def update_output_trackers(self, values: Sequence[Any], rows: int) -> None:
        """Count the losses one by one, where there are several; those of one output are added."""
        if not self.output_trackers:
            return
        sums: dict[str, Any] = {}
        for (part, _), value in zip(self.parts, values, strict=True):
            sums[part.name] = value if part.name not in sums else ops.add(sums[part.name], value)
        for tracker, value in zip(self.output_trackers, sums.values(), strict=True):
            tracker.update_state(value, sample_weight=float(rows))

    def update_metrics(self, targets: Sequence[Any], predictions: Sequence[Any], weights: Sequence[Any]) -> None:
        """Count a batch in every metric; the arguments are those of ``compute_loss``."""
        for plain, weighted, y, prediction, weight in zip(
            self.metrics, self.weighted, targets, predictions, weights, strict=True
        ):
            for metric in plain:
                metric.update_state(y, prediction)
            for metric in weighted:
                metric.update_state(y, prediction, sample_weight=weight)

    def arrange(self, model: Any, y: Any, y_pred: Any, sample_weight: Any) -> tuple[list[Any], list[Any], list[Any]]:
        """Targets, predictions and sample weights, one of each for every output, from what a step was given."""
        predictions, structure = flatten(y_pred)
        if not self.bound:
            self.outputs = Outputs.of(model, structure, len(predictions))
        targets, y_structure = flatten(y)
        weights, weights_structure = flatten(sample_weight)
        rows = predictions[0].shape[0] if predictions and predictions[0].shape else 1
        data = Data([], None, rows, targets, y_structure if targets else None, weights, weights_structure)
        data = self.place(data, "")
        self.bind(predictions, data)
        by_output = [None if place is None else data.y[place] for place in data.places]
        for i, (loss, y_true) in enumerate(zip(self.losses, by_output, strict=True)):
            if y_true is not None:
                align = checks.align_target if loss is None else loss.aligned
                by_output[i] = align(y_true, predictions[i].shape)
        return by_output, predictions, spread_weights(data.weights, data.places)

    # --- around the step --------------------------------------------------------------------------
    def as_metric(self, model: Any) -> CompiledMetrics | None:
        """The metrics as one, ``None`` if there are none."""
        if self._as_metric is None and (self.user_metrics or self.user_weighted):
            self._as_metric = CompiledMetrics(self, model)
        return self._as_metric

    def all_metrics(self) -> list[Any]:
        """Every metric, the loss first."""
        found = [self.loss_tracker, *self.output_trackers]
        for plain, weighted in zip(self.metrics, self.weighted, strict=True):
            found += [*plain, *weighted]
        found += self.own
        return list({id(m): m for m in found}.values())

    def reset(self) -> None:
        """Forget what the metrics have counted."""
        for metric in self.all_metrics():
            metric.reset_state()

    def names(self) -> list[tuple[str, Any]]:
        """``(name, metric)`` in the order of ``evaluate``'s result; names are unique, as Keras makes them."""
        if self._named is None:
            self._named = self._find_names()
        return self._named

    def _find_names(self) -> list[tuple[str, Any]]:
        found = [("loss", self.loss_tracker)] + [(t.name, t) for t in self.output_trackers]
        prefixes = [f"{n}_" for n in self.outputs.names] if len(self.outputs.names) > 1 else [""]
        uses = {name: 1 for name, _ in found}
        for lists, again in ((self.metrics, ""), (self.weighted, "weighted_")):
            for prefix, made in zip(prefixes, lists, strict=True):
                for metric in made:
                    name = prefix + metric.name
                    if name in uses:
                        name = prefix + again + metric.name
                    if name in uses:
                        name, uses[name] = f"{name}_{uses[name]}", uses[name] + 1
                    uses.setdefault(name, 1)
                    found.append((name, metric))
        return found + [(metric.name, metric) for metric in self.own]

    def results(self) -> dict[str, Any]:
        """The values of all losses and metrics so far."""
        return as_logs({name: current_value(metric) for name, metric in self.names()})

    # --- before the step --------------------------------------------------------------------------
    def doubts_of(self, predictions: Sequence[np.ndarray]) -> list[Problem]:
        """Outputs for a sample that are no probabilities where the loss wants them."""
        found = []
        for loss, prediction, name in zip(self.losses, predictions, self.outputs.names, strict=True):
            if loss is not None and loss.wants_probabilities:
                wrong = checks.outside_probabilities(prediction, loss.name, name, loss.kind == "binary")
                found += [] if wrong is None else [wrong]
        return found

    def place(self, data: Data, where: str) -> Data:
        """Find the target of each output: by its name in a dict, else by its place.

        Raises:
            ShapeError: there are too few or too many.
            ArgumentError: a name that is no output's.
        """
        names = self.outputs.names
        with_loss = sorted({i for part in plan_losses(self.loss, None, self.outputs) for i in part.outputs})
        found = find_places(self.outputs, data.y_structure, len(data.y)) or [None] * len(names)
        if not any(place is not None for place in found):  # in order: one for each output, or for each with a loss
            order = range(len(names)) if len(data.y) == len(names) else with_loss
            if len(data.y) == len(order):
                for place, i in enumerate(order):
                    found[i] = place
        missing = [names[i] for i in with_loss if found[i] is None]
        if missing or (data.y and all(place is None for place in found)):
            outputs = "1 output" if len(names) == 1 else f"{len(names)} outputs"
            raise ShapeError(
                f"{where}y holds {len(data.y)} arrays and the model has {outputs} ({', '.join(names)}), "
                f"{len(with_loss)} of them with a loss"
                + (f"; there is none for {missing[0]!r}." if missing and data.y else ".")
            )
        places = tuple(found)
        weights, keys = data.weights, keys_of(data.weights_structure)
        if keys is not None:
            given = dict(zip(known(f"{where}sample_weight", keys, names), weights, strict=True))
            ones = np.ones(data.rows, weights[0].dtype)
            weights = [given.get(names[places.index(j)], ones) for j in range(len(data.y))]
        elif len(weights) not in (0, 1, len(data.y)):
            raise ShapeError(
                f"{where}sample_weight holds {len(weights)} arrays; give one, or one for each of the "
                f"{len(data.y)} targets."
            )
        return replace(data, places=places, weights=weights)

    def check_data(self, data: Data, predictions: Sequence[Any], where: str) -> Data:
        """Check targets (that ``place`` has placed) against outputs, and bring them to the outputs' rank."""
        aligned = list(data.y)
        for i, (loss, place) in enumerate(zip(self.losses, data.places, strict=True)):
            if place is None:
                continue
            name = f"{where}y" if len(self.losses) == 1 else f"{where}y for output {self.outputs.names[i]!r}"
            shape, target = predictions[i].shape, data.y[place]
            target = checks.align_target(target, shape) if loss is None else loss.aligned(target, shape)
            if loss is not None:
                loss.check(name, target, shape)
            aligned[place] = target
        for weight in data.weights:
            inner = weight.shape[1:]
            if inner not in ((), (1,)) and all(inner != y.shape[1 : weight.ndim] for y in aligned):
                raise ShapeError(
                    f"{where}sample_weight has shape {weight.shape}; expected one weight per sample, "
                    f"shape ({data.rows},), or with further axes of the targets {aligned[0].shape}: one per step, ..."
                )
        weights = [w[:, 0] if w.ndim == 2 and w.shape[1] == 1 else w for w in data.weights]
        return replace(data, y=aligned, weights=weights)


def spread_weights(weights: Sequence[Any], places: Sequence[int | None]) -> list[Any]:
    """The sample weights of each output: one array serves all of them."""
    if not weights:
        return [None] * len(places)
    if len(weights) == 1:
        return [weights[0]] * len(places)
    return [None if place is None else weights[place] for place in places]


def as_logs(returned: Any) -> dict[str, Any]:
    """What a step returned as plain numbers; dicts in it are spread."""
    logs: dict[str, Any] = {}
    for name, value in (returned or {}).items():
        if isinstance(value, Mapping):
            logs.update(as_logs(value))
        else:
            logs[name] = _as_number(value)
    return logs


def _as_number(value: Any) -> Any:
    """A float, or an array for a metric that is one number for each class or threshold."""
    if type(value) is float:
        return value
    array = np.asarray(value)
    return float(array.reshape(())) if array.size == 1 else array


def choose_accuracy(name: str, loss: OutputLoss | None, shape: tuple[int, ...], target: np.ndarray) -> Any:
    """The accuracy that fits the loss, or where that leaves it open, the shapes; with a warning if y has no classes."""
    kind = (loss.kind if loss is not None else None) or _kind_by_shape(target.shape, shape)
    if kind == "sparse":
        return metrics.SparseCategoricalAccuracy(name=name)
    if kind == "categorical" and shape[-1] > 1:
        return metrics.CategoricalAccuracy(name=name)
    binary_loss = loss is not None and loss.kind == "binary"
    if not binary_loss and isinstance(target, np.ndarray) and not np.isin(target[:10_000], (0, 1)).all():
        warnings.warn(
            f"The metric {name!r} counts how often a class is right, and y holds other numbers than the classes 0 "
            f"and 1 (the first is {np.ravel(target)[0]}), for one output. For a number to predict use 'mae' or 'mse'.",
            stacklevel=2,
        )
    # A logit above 0 is a probability above one half.
    from_logits = loss is not None and getattr(loss.loss, "from_logits", False)
    return metrics.BinaryAccuracy(name=name, threshold=0.0 if from_logits else 0.5)


def choose_crossentropy(name: str, loss: OutputLoss | None, shape: tuple[int, ...], target: np.ndarray) -> Any:
    """The cross-entropy that fits the loss or the shapes, from logits where the loss is."""
    kind = (loss.kind if loss is not None else None) or _kind_by_shape(target.shape, shape)
    functions = {
        "sparse": metrics.sparse_categorical_crossentropy,
        "categorical": metrics.categorical_crossentropy,
        "binary": metrics.binary_crossentropy,
    }
    from_logits = loss is not None and getattr(loss.loss, "from_logits", False)
    return metrics.MeanMetricWrapper(functions[kind], name=name, from_logits=from_logits)


def _kind_by_shape(target: Sequence[int] | None, prediction: Sequence[int]) -> str:
    if len(prediction) == 1 or prediction[-1] == 1:
        return "binary"
    if target is not None and (len(target) < len(prediction) or target[-1] == 1):
        return "sparse"
    return "categorical"
