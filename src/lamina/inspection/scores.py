"""The score of a sample that is to be explained, and its gradient with respect to what stands before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina import activations as functions
from lamina import ops
from lamina.autodiff import GradientTape, alias
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten, unflatten
from lamina.graph.function import function
from lamina.inspection.kept import EAGER_ROWS, kept_with
from lamina.inspection.layers import as_tensors, find_layer, inner_layers, intercepting, with_batch
from lamina.layers import Activation, Dense, EinsumDense, Layer, Softmax
from lamina.layers.convolution import Convolution
from lamina.models import Model

BEST = np.iinfo(np.int64).min  # in the place of a target: the highest output of the sample


class Scores:
    """The computation: scores of a batch and their gradients, for one model and one choice of what to explain.

    Args:
        model: any model.
        structure: the nesting of its inputs.
        floating: which of the inputs' leaves are floating-point numbers.
        output: which output of several: number or key.
        logits: take scores from before the softmax or sigmoid at the end of the model, where there is one.
        layer: gradients with respect to this layer's output; default to the inputs.
        choose: a function from the model's outputs to scores, in the place of targets.

    Attributes:
        count: how many outputs there are to choose from, known when it has run.
        rank: dimensions of the output that is explained, known when it has run.
    """

    def __init__(
        self, model: Model, structure: Any, floating: Sequence[int], output: Any, logits: bool, layer: Any, choose: Any
    ) -> None:
        self.model, self.structure, self.floating, self.output = model, structure, floating, output
        self.logits, self.layer, self.choose = logits, layer, choose
        self.count = self.rank = 1
        self.expected = 0  # samples that go through it, those to come included
        self._last: list[Any] | None = None
        self._compiled = function(name=f"explain_{model.name}")(self._gradients)

    def __call__(self, chosen: Any, given: Any, *tensors: Any) -> tuple[Any, list[Any], Any, Any]:
        """Scores ``(rows,)``, gradients, what the layer put out, and which outputs were explained.

        Args:
            chosen: numbers of outputs ``(rows,)``, or ``BEST``.
            given: what to put in the place of the layer's output, or ``None``.
            tensors: the inputs' leaves.
        """
        if self._last is None:
            one = [t[:1] for t in tensors]
            self._last = last_activations(self.model, lambda: self._call(one)) if self.logits else []
        eager = self.expected <= EAGER_ROWS or getattr(self.model, "run_eagerly", False)
        found: tuple[Any, list[Any], Any, Any] = (self._gradients if eager else self._compiled)(chosen, given, *tensors)
        return found

    def _call(self, tensors: Sequence[Any]) -> Any:
        return self.model(unflatten(self.structure, tensors), training=False)

    def _pick(self, outputs: Any) -> Any:
        """The output that is explained, of several."""
        leaves = flatten(outputs)[0]
        if self.output is None:
            if len(leaves) != 1:
                keys = list(outputs) if isinstance(outputs, dict) else list(range(len(leaves)))
                raise ArgumentError(f"Model {self.model.name!r} has {len(leaves)} outputs; say output= one of {keys}.")
            return leaves[0]
        names = getattr(self.model, "output_names", [])
        try:
            if isinstance(self.output, str) and not isinstance(outputs, dict):
                return leaves[names.index(self.output)]
            return outputs[self.output] if isinstance(outputs, dict | list | tuple) else [outputs][self.output]
        except (KeyError, IndexError, ValueError, TypeError):
            keys = list(outputs) if isinstance(outputs, dict) else names or list(range(len(leaves)))
            raise ArgumentError(f"Model {self.model.name!r} has no output {self.output!r}; it has: {keys}.") from None

    def _gradients(self, chosen: Any, given: Any, *tensors: Any) -> tuple[Any, list[Any], Any, Any]:
        seen: list[Any] = []

        def watching(call: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **kwargs: Any) -> Any:
                output = call(*args, **kwargs)
                if len(flatten(output)[0]) != 1:
                    raise ArgumentError(f"Layer {self.layer.name!r} has several outputs; choose one with one.")
                seen.append(alias(flatten(output)[0][0] if given is None else given))
                tape.watch(seen[-1])
                return seen[-1]

            return run

        with GradientTape(watch_accessed_variables=False) as tape:
            wanted = [tensors[i] for i in self.floating]
            if self.layer is None:
                tape.watch(wanted)
            wrappers = {} if self.layer is None else {self.layer: watching}
            with intercepting(wrappers), without_activations(self._last or []):
                outputs = self._call(tensors)
            if self.layer is not None:
                if len(seen) != 1:
                    times = f"runs {len(seen)} times" if seen else "does not run"
                    raise ArgumentError(f"Layer {self.layer.name!r} {times} when the model is called; choose another.")
                wanted = seen
            scores, chosen = self._scores(outputs, chosen)
            total = ops.sum(scores)
        gradients = tape.gradient(total, wanted, unconnected_gradients="zero")
        return scores, gradients, seen[0] if seen else None, chosen

    def _scores(self, outputs: Any, chosen: Any) -> tuple[Any, Any]:
        """The score of each sample, and the number of the output that it is."""
        if self.choose is not None:
            scores = ops.as_tensor(self.choose(outputs))
        else:
            picked = self._pick(outputs)
            self.rank, self.count = picked.ndim, picked.shape[-1] if picked.ndim > 1 else 1
            if picked.ndim < 2:
                scores, chosen = picked, ops.zeros_like(chosen)
            else:
                best = ops.argmax(picked, axis=-1) if picked.ndim == 2 else 0
                chosen = ops.where(chosen == BEST, best, ops.remainder(chosen, self.count))
                shape = (-1, *[1] * (picked.ndim - 2), picked.shape[-1])
                mask = ops.reshape(ops.one_hot(chosen, picked.shape[-1], dtype=picked.dtype), shape)
                scores = ops.sum(picked * mask, axis=-1)
        many = scores.ndim > 1
        return (ops.sum(ops.reshape(scores, (scores.shape[0], -1)), axis=-1) if many else scores), chosen


class Scorer:
    """Scores of samples, and their gradients with respect to the inputs or to what a layer puts out.

    What computes them stays with the model (``kept_with``), so that a second call is quick.  That of a target that is
    a function is made anew: what the function refers to may change.

    Args:
        model: any model.
        x: inputs of some samples, in the nesting that the model takes.
        target: the output to explain: its number, one for each sample, or a function from the model's outputs to
            scores; default the highest of each sample.
        output: which output of several: number or key.
        logits: take scores from before the softmax or sigmoid at the end of the model, where there is one.
        layer: gradients with respect to this layer's output; default to the inputs.
        repeats: how often the samples will be gone through; decides whether it is worth compiling.

    Attributes:
        inputs: the inputs' leaves.
        floating: which of them are floating-point numbers.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        target: Any = None,
        output: Any = None,
        logits: bool = True,
        layer: Any = None,
        repeats: int = 1,
    ) -> None:
        tensors, self.structure = flatten(as_tensors(with_batch(model, x)))
        self.model, self.inputs = model, [np.asarray(t) for t in tensors]
        if not self.inputs or any(a.ndim == 0 for a in self.inputs):
            shapes = [a.shape for a in self.inputs]
            raise ShapeError(f"Model {model.name!r} takes a batch of samples; got shapes {shapes}.")
        self.rows = len(self.inputs[0])
        self.layer: Any = None if layer is None else find_layer(model, layer)
        self.floating = [i for i, a in enumerate(self.inputs) if dtypes.is_float(a.dtype)]
        if self.layer is None and not self.floating:
            raise ArgumentError(
                f"The inputs of model {model.name!r} are integers, along which nothing has a gradient. Name the layer "
                "that makes numbers of them, such as the Embedding: layer=..."
            )
        self._target = None if callable(target) else target
        self._chosen = self._wanted(target)
        choose = target if callable(target) else None

        def make() -> Scores:
            return Scores(model, self.structure, self.floating, output, logits, self.layer, choose)

        key = "scores", self.structure, tuple(self.floating), repr(output), bool(logits), self.layer
        self._scores: Scores = make() if choose is not None else kept_with(model, key, make)
        self._scores.expected += self.rows * repeats

    def _wanted(self, target: Any) -> np.ndarray:
        """The number of the output for each sample; ``BEST`` where it is to be the highest."""
        if target is None or callable(target):
            return np.full(self.rows, BEST)
        wanted = np.asarray(target)
        if wanted.dtype.kind not in "iu" or wanted.ndim > 1 or (wanted.ndim == 1 and len(wanted) != self.rows):
            raise ArgumentError(
                f"target is the number of an output, one for each of the {self.rows} samples, or a function from the "
                f"model's outputs to scores; got {target!r}."
            )
        return np.broadcast_to(wanted, (self.rows,)).astype(np.int64)

    def _check(self) -> None:
        """What can be said of the target only when the outputs are known."""
        count, target = self._scores.count, self._target
        if self._scores.choose is not None:
            return
        if target is None and self._scores.rank > 2:
            raise ArgumentError(
                f"Model {self.model.name!r} has an output of {self._scores.rank} dimensions; say what to explain: "
                "target= the number of an output, of which all places are summed, or a function from the outputs to "
                "scores."
            )
        if target is not None and self.rows and not -count <= np.min(target) <= np.max(target) < count:
            raise ArgumentError(f"target: model {self.model.name!r} has {count} outputs, from 0; got {target!r}.")

    def __call__(
        self, inputs: Sequence[np.ndarray] | None = None, value: np.ndarray | None = None, batch_size: int = 32
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
        """Scores, gradients and the layer's output, batch by batch.

        The highest output, where no target was given, is that of the samples' own inputs.

        Args:
            inputs: other inputs of the same shapes; default the samples'.
            value: what to put in the place of the layer's output.
            batch_size: samples at a time.

        Returns:
            Scores ``(rows,)``; gradients, one array for each floating-point input, or for the layer; what the layer
            put out.
        """
        own = inputs is None and value is None
        if not own and self._scores.choose is None and BEST in self._chosen:
            self(batch_size=batch_size)
        arrays = list(self.inputs if inputs is None else inputs)
        columns: list[Any] = [self._chosen, value, *arrays]
        found: list[list[np.ndarray]] = []
        size = min(batch_size, self.rows)
        for start in range(0, self.rows, size):
            rows = np.minimum(np.arange(start, start + size), self.rows - 1)  # every batch of one size
            part = [None if a is None else ops.as_tensor(a[rows]) for a in columns]
            scores, gradients, output, chosen = self._scores(*part)
            self._check()
            keep = min(size, self.rows - start)
            one = [chosen, scores, *gradients] + ([] if output is None else [output])
            found.append([np.asarray(a)[:keep] for a in one])
        chosen, *joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        if own and self._scores.choose is None:
            self._chosen = chosen
        if self.layer is None:
            return joined[0], joined[1:], None
        return joined[0], joined[1:-1], joined[-1]

    def of_inputs(self, gradients: Sequence[np.ndarray]) -> Any:
        """Arrays for the floating-point inputs in the nesting of the inputs, ``None`` for the others."""
        if self.layer is not None:
            return gradients[0]
        leaves: list[Any] = [None] * len(self.inputs)
        for i, gradient in zip(self.floating, gradients, strict=True):
            leaves[i] = gradient
        return unflatten(self.structure, leaves)


# --- the activation at the end ---------------------------------------------------------------------------
def last_activations(model: Any, run: Callable[[], Any]) -> list[Any]:
    """The layers that make the model's outputs with a softmax or sigmoid.

    Args:
        model: any model.
        run: calls it; for models whose layers do not say how they are connected.
    """
    able = [layer for layer in inner_layers(model) if _squashes(layer)]
    ends = _ends(model)
    if not able or ends is not None:
        return [layer for layer in able if ends and any(layer is end for end in ends)]
    made: list[tuple[Any, Any]] = []

    def listening(layer: Any) -> Callable[..., Any]:
        def wrapper(call: Callable[..., Any]) -> Callable[..., Any]:
            def listen(*args: Any, **kwargs: Any) -> Any:
                made.append((layer, call(*args, **kwargs)))
                return made[-1][1]

            return listen

        return wrapper

    with intercepting({layer: listening(layer) for layer in able}):
        outputs = flatten(run())[0]
    return list(dict.fromkeys(layer for layer, value in made if any(value is output for output in outputs)))


def _ends(model: Any) -> list[Any] | None:
    """The layers that make the outputs; ``None`` where only running the model would tell."""
    if not isinstance(model, Model):
        return [model] if not model._sublayers() else None
    if model._graph is None:
        return None
    found: list[Any] = []
    for tensor in model._graph.outputs:
        inner = None if tensor.node is None else _ends(tensor.node.layer)
        if inner is None:
            return None
        found += inner
    return found


def _squashes(layer: Any) -> bool:
    """Whether a softmax or sigmoid is the last thing that a layer does, and can be left out."""
    if isinstance(layer, Softmax):
        return True
    able = isinstance(layer, Activation | Dense | EinsumDense | Convolution)
    return able and layer.activation in (functions.softmax, functions.sigmoid)


@contextmanager
def without_activations(layers: Sequence[Layer]) -> Iterator[None]:
    """While this lasts, these layers leave out their activation."""
    softmaxes = [layer for layer in layers if isinstance(layer, Softmax)]
    others: list[Any] = [layer for layer in layers if not isinstance(layer, Softmax)]
    saved = [layer.activation for layer in others]
    for layer in others:
        vars(layer)["activation"] = functions.linear
    try:
        with intercepting({layer: lambda call: lambda inputs, *args, **kwargs: inputs for layer in softmaxes}):
            yield
    finally:
        for layer, activation in zip(others, saved, strict=True):
            vars(layer)["activation"] = activation
