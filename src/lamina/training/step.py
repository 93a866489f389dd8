"""One step of training, evaluation or prediction as a function of arrays and variables.

A training step is the whole of it: the rows of the shuffled batch, forward, loss, backward, update and
metrics.  Captured, it is one graph whose inputs are the whole data arrays and the order of the rows;
the variable ``position`` says where the batch starts, and every step moves it on.  So a compiled call
can run any number of steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.autodiff import GradientTape
from lamina.core.errors import ArgumentError
from lamina.core.primitive import scope, wrap
from lamina.core.trees import flatten, unflatten
from lamina.graph.function import Function
from lamina.layers.weights import replacements
from lamina.models.trainer import Trainer
from lamina.tensor import Variable
from lamina.training.arrays import Data, pack
from lamina.training.compiled import Compiled, spread_weights

# Methods of a model that, overridden, take the place of what is written here.  Of training and evaluation, one that
# is the model's own makes both go through the model's methods: only those find out by themselves what its outputs are.
_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics", "get_metrics_result", "metrics")
OVERRIDABLE = {"train": _STEPS, "test": _STEPS, "predict": ("predict_step",)}


class Step:
    """A step at one batch size, run compiled or as plain Python.

    Args:
        function: takes Tensors (the data arrays) and assigns Variables or returns Tensors.
        eager: run ``function`` op by op instead of compiling it.
        name: name of the graph.
    """

    def __init__(self, function: Callable[..., Any], eager: bool, name: str) -> None:
        self.python = function
        self.compiled = None if eager else Function(function, name=name)
        self._prepared: set[Any] = set()  # shapes and dtypes that are compiled
        self._pending: _Pending | None = None

    def is_prepared(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether nothing is left to compile for arrays of these shapes."""
        return self.compiled is None or _kinds(arrays) in self._prepared

    def prepare(self, arrays: Sequence[np.ndarray]) -> None:
        """Capture and compile for arrays of these shapes, if that is not done yet."""
        if self.compiled is not None and not self.is_prepared(arrays):
            self.compiled.prepare(*arrays)
            self._prepared.add(_kinds(arrays))

    def wait(self) -> None:
        """Wait for a compilation that goes on in another thread, and raise what went wrong there."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.done.wait()
            if pending.problem is not None:
                raise pending.problem

    def run(self, arrays: Sequence[np.ndarray], times: int = 1) -> Any:
        """Run the step ``times`` times; returns what the last one returned."""
        if self.compiled is not None:
            self.wait()
            return self.compiled(*arrays) if times == 1 else self.compiled.repeat(times, *arrays)
        tensors = [wrap(a) for a in arrays]
        result = None
        for _ in range(times):
            result = self.python(*tensors)
        return result


class _Pending:
    """A compilation that another thread does."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.problem: BaseException | None = None


def prepare_in_background(jobs: Sequence[tuple[Step, Sequence[np.ndarray]]]) -> None:
    """Compile steps one after the other in another thread; each step's ``run`` waits for its own turn only."""
    todo = []
    for step, arrays in jobs:
        if step._pending is None and not step.is_prepared(arrays):
            step._pending = _Pending()
            todo.append((step, arrays, step._pending))

    def work() -> None:
        for step, arrays, pending in todo:
            try:
                step.prepare(arrays)
            except BaseException as error:  # handed to the thread that waits
                pending.problem = error
            finally:
                pending.done.set()

    if todo:
        threading.Thread(target=work, name="lamina-compile").start()


class Parts:
    """The layers and Variables of a model, which may be replaced by others after steps were made."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._found: list[Any] = []
        self._looked = -1  # the number of replacements in all layers when they were looked at
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows when one of them was replaced: what was made before is not for this model any more."""
        if self._looked != replacements.count:
            self._looked = replacements.count
            found = [x for layer in self.model._flatten_layers() for x in (layer, *layer._own_variables())]
            rest = iter(found)  # all that were there, in the same order, beside what was built since?
            if not all(any(part is before for part in rest) for before in self._found):
                self._generation += 1
            self._found = found
        return self._generation


class Steps:
    """The steps of one model, made when they are first needed and kept."""

    def __init__(self, model: Any, compiled: Compiled | None, parts: Parts) -> None:
        self.model, self.compiled, self.parts = model, compiled, parts
        self.position = Variable(np.asarray(0, np.int64), name="position", trainable=False)
        self._made: dict[Any, Step] = {}
        self._custom: dict[str, bool] = {}

    def _get(self, key: Any, make: Callable[[], Callable[..., Any]], eager: bool) -> Step:
        if key not in self._made:
            for stale in [k for k in self._made if k[-1] != key[-1]]:  # of another generation of layers
                del self._made[stale]
            self._made[key] = Step(make(), eager, f"{key[0]}_step")
        return self._made[key]

    @property
    def _eager(self) -> bool:
        return bool(self.model.run_eagerly)

    def train(self, data: Data, batch: int, shuffled: bool) -> Step:
        """The training step.  Its arrays: the order of the rows if ``shuffled``, then ``data.arrays()``."""
        trainable = tuple(id(v) for v in self.model.trainable_variables)
        frozen = tuple(not layer.trainable for layer in self.model._flatten_layers())  # BatchNormalization asks
        key = ("train", batch, shuffled, *_layout(data), trainable, frozen, self._eager, self.parts.generation)
        if self.is_custom("train"):
            return self._get(key, lambda: self._custom_function("train", data, batch, shuffled), self._eager)
        return self._get(key, lambda: self._train_function(data, batch, shuffled), self._eager)

    def test(self, data: Data, batch: int) -> Step:
        """The evaluation step.  Its arrays: ``data.arrays()``."""
        key = ("test", batch, *_layout(data), self._eager, self.parts.generation)
        if self.is_custom("test"):
            return self._get(key, lambda: self._custom_function("test", data, batch, False), self._eager)
        return self._get(key, lambda: self._test_function(data, batch), self._eager)

    def predict(self, data: Data, batch: int) -> Step:
        """The prediction step, which takes the inputs of one batch of this size and returns the outputs."""
        key = ("predict", batch, data.x_structure, self._eager, self.parts.generation)
        return self._get(key, lambda: self._predict_function(data.x_structure), self._eager)

    # --- models with steps of their own -------------------------------------------------------------
    def is_custom(self, kind: str) -> bool:
        """Whether the model's class overrides how it is trained, tested or used for prediction."""
        if kind not in self._custom:
            cls = type(self.model)
            self._custom[kind] = any(getattr(cls, name) is not getattr(Trainer, name) for name in OVERRIDABLE[kind])
        return self._custom[kind]

    def _custom_function(self, kind: str, data: Data, batch: int, shuffled: bool) -> Callable[..., Any]:
        """The model's own ``train_step`` or ``test_step``, on the rows of this step."""
        method = getattr(self.model, f"{kind}_step")
        n_x, n_y = len(data.x), len(data.y)
        has_y, has_weights = data.y_structure is not None, bool(data.weights)
        structures = data.x_structure, data.y_structure, data.weights_structure

        def custom_step(*arrays: Any) -> Any:
            order, arrays = (arrays[0], arrays[1:]) if shuffled else (None, arrays)
            rows = self._batch(arrays, order, batch)
            x = unflatten(structures[0], rows[:n_x])
            y = unflatten(structures[1], rows[n_x : n_x + n_y]) if has_y else None
            weights: Any = rows[n_x + n_y :] if has_weights else None
            if weights is not None:  # those of classes are one array without a structure
                weights = weights[0] if structures[2] is None else unflatten(structures[2], weights)
            return method(pack(x, y, weights))

        return custom_step

    # --- the steps as plain functions ---------------------------------------------------------------
    def _split(self, data: Data) -> Callable[[Sequence[Any]], tuple[Any, Sequence[Any], Sequence[Any]]]:
        structure, n_x, n_y, places = data.x_structure, len(data.x), len(data.y), data.places

        def split(arrays: Sequence[Any]) -> tuple[Any, Sequence[Any], Sequence[Any]]:
            y, weights = arrays[n_x : n_x + n_y], arrays[n_x + n_y :]
            targets = [None if p is None else y[p] for p in places]
            return unflatten(structure, arrays[:n_x]), targets, spread_weights(weights, places)

        return split

    def _batch(self, arrays: Sequence[Any], order: Any, batch: int) -> Sequence[Any]:
        """The rows of this step, and ``position`` moved past them."""
        if order is None and arrays[0].shape[0] == batch:
            return arrays
        with scope("batch"):
            start = self.position.value
            self.position.assign_add(batch)
            if order is not None:
                rows = ops.dynamic_slice(order, [start], [batch])
                return [ops.take(a, rows, axis=0) for a in arrays]
            return [ops.dynamic_slice(a, [start] + [0] * (a.ndim - 1), [batch, *a.shape[1:]]) for a in arrays]

    def _train_function(self, data: Data, batch: int, shuffled: bool) -> Callable[..., Any]:
        model, compiled, split = self.model, self.compiled, self._split(data)
        assert compiled is not None
        optimizer, variables = compiled.optimizer, list(model.trainable_variables)

        def train_step(*arrays: Any) -> None:
            order, arrays = (arrays[0], arrays[1:]) if shuffled else (None, arrays)
            x, y, weights = split(self._batch(arrays, order, batch))
            with GradientTape() as tape:
                predictions = flatten(model(x, training=True))[0]
                total, parts = self._loss(y, predictions, weights)
                if total is None:
                    raise ArgumentError(
                        f"The model {model.name!r} has no loss to minimise. "
                        "Give compile() a loss, or let a layer add one."
                    )
                scaled = optimizer.scale_loss(total)
            if variables:
                gradients = tape.gradient(scaled, variables)
                with scope("optimizer"):
                    optimizer.apply(gradients, variables)
            self._count(total, parts, y, predictions, weights, batch)

        return train_step

    def _test_function(self, data: Data, batch: int) -> Callable[..., Any]:
        model, compiled, split = self.model, self.compiled, self._split(data)
        assert compiled is not None

        def test_step(*arrays: Any) -> None:
            x, y, weights = split(self._batch(arrays, None, batch))
            predictions = flatten(model(x, training=False))[0]
            total, parts = self._loss(y, predictions, weights)
            self._count(ops.zeros(()) if total is None else total, parts, y, predictions, weights, batch)

        return test_step

    def _predict_function(self, structure: Any) -> Callable[..., Any]:
        model = self.model

        custom = self.is_custom("predict")

        def predict_step(*arrays: Any) -> Any:
            x = unflatten(structure, arrays)
            return model.predict_step(pack(x)) if custom else model(x, training=False)

        return predict_step

    def _loss(self, y: Sequence[Any], predictions: Sequence[Any], weights: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss to minimise (with what layers added to it) and the losses of the outputs."""
        assert self.compiled is not None
        with scope("loss"):
            total, parts = self.compiled.compute_loss(y, predictions, weights)
            for extra in getattr(self.model, "losses", ()):
                extra = extra if not extra.shape else ops.sum(extra)
                total = extra if total is None else ops.add(total, extra)
        return total, parts

    def _count(
        self, total: Any, parts: Sequence[Any], y: Sequence[Any], predictions: Sequence[Any], weights: Any, rows: int
    ) -> None:
        """Let the metrics count the batch."""
        assert self.compiled is not None
        with scope("metrics"):
            self.compiled.update_trackers(total, parts, rows)
            self.compiled.update_metrics(y, predictions, weights)


def _kinds(arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
    return tuple((a.shape, a.dtype) for a in arrays)


def _layout(data: Data) -> tuple[Any, ...]:
    """What a step depends on beside the shapes of its arrays."""
    return data.x_structure, len(data.x), len(data.y), len(data.weights), data.places, data.y_structure
