"""Mistakes that a run on one batch shows: units, gradients, outputs and inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.primitive import wrap
from lamina.core.trees import flatten
from lamina.layers import Layer
from lamina.training.arrays import Data
from lamina.training.data_checks import labels_of
from lamina.training.problems import Problem

WEIGHTED = ("Dense", "Conv1D", "Conv2D", "Conv3D", "LSTM", "GRU", "SimpleRNN", "EinsumDense")
BOUNDED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "hard_sigmoid": (0.0, 1.0), "softmax": (0.0, 1.0)}
SILENT = ("relu", "relu6")


def activation_of(layer: Layer) -> str:
    """Name of what a layer does last."""
    found = getattr(layer, "activation", None)
    return getattr(found, "__name__", type(layer).__name__.lower())


def _adds_nothing_yet(traces: Sequence[Any], output: Any) -> bool:
    """Whether an output of zeros is added to something: the branch of a residual network that begins with nothing."""
    if output.any():
        return False
    sums = [trace for trace in traces if type(trace.layer).__name__ == "Add"]
    return any(x.shape == output.shape and not np.asarray(x).any() for trace in sums for x in trace.inputs)


# --- layers -------------------------------------------------------------------------------------------
def check_layers(model: Any, traces: Sequence[Any], rows: int) -> list[Problem]:
    """Units that are dead or saturated, inputs that are not scaled, layers that do nothing."""
    problems: list[Problem] = []
    scaled = False
    for i, trace in enumerate(traces):
        layer, name, kind = trace.layer, trace.layer.name, type(trace.layer).__name__
        function, output = activation_of(layer), trace.output
        if kind in WEIGHTED and not scaled:
            problems += scale_of_inputs(name, trace.inputs)
        scaled = scaled or kind in WEIGHTED or kind == "Embedding"
        if not dtypes.is_float(output.dtype) or not output.size:
            continue
        if kind in WEIGHTED and layer.weights and output.ndim > 1:
            kernel = next((w._data for w in layer.weights if w.ndim >= 2), None)
            constant = kernel is not None and kernel.shape[-1] > 1 and (kernel == kernel.flat[0]).all()
            if constant and not trace.is_output and not _adds_nothing_yet(traces, output):
                assert kernel is not None
                text = f"All weights of {name!r} are {float(kernel.flat[0]):g}: its units learn the same."
                problems.append(Problem("symmetry", text, "start from random weights"))
                continue
        units = output.reshape(-1, output.shape[-1])
        if function in SILENT and not trace.is_output and rows >= 8:
            dead = float((units <= 0).all(axis=0).mean())
            if dead > 0.9:
                text = f"{dead:.0%} of the units of {name!r} are 0 for every sample."
                problems.append(Problem("dead", text, "look at its bias and at the scale of its inputs"))
        if function in ("sigmoid", "tanh", "hard_sigmoid") and rows >= 8:
            low, high = BOUNDED[function]
            edge = 0.005 * (high - low)
            stuck = float(((units < low + edge) | (units > high - edge)).mean())
            if stuck > 0.9:
                text = f"{stuck:.0%} of the outputs of {name!r} lie at the ends of {function}."
                problems.append(Problem("saturated", text, "scale its inputs, or start with smaller weights"))
        if kind == "Softmax" or (function == "softmax" and kind in ("Dense", "Activation")):
            if not trace.is_output and kind == "Dense":
                text = f"{name!r} has softmax inside of the model."
                problems.append(Problem("activation", text, "softmax belongs to the output; take relu"))
            if output.shape[-1] == 1:
                text = f"Softmax over the one unit of {name!r} is always 1."
                problems.append(Problem("activation", text, "take sigmoid"))
        if "Dropout" in kind and getattr(layer, "rate", 0) is not None:
            rate = float(getattr(layer, "rate", 0))
            if trace.is_output and rate:
                text = f"{name!r} drops outputs of the model."
                problems.append(Problem("dropout", text, "put it before the last layer"))
            elif rate >= 0.9:
                problems.append(Problem("dropout", f"{name!r} drops {rate:.0%} of its inputs.", "0.2 to 0.5 is usual"))
        if kind == "Dense" and function == "linear" and i + 1 < len(traces):
            after = [t for t in traces[i + 1 :] if "Dropout" not in type(t.layer).__name__]
            if after and type(after[0].layer).__name__ == "Dense" and any(a is output for a in after[0].inputs):
                if kernel_sizes(layer)[1] >= min(kernel_sizes(layer)[0], kernel_sizes(after[0].layer)[1]):
                    text = f"{name!r} has no activation and {after[0].layer.name!r} follows: they are one layer."
                    problems.append(Problem("activation", text, "give it one, such as relu"))
    return problems


def kernel_sizes(layer: Layer) -> tuple[int, int]:
    """Inputs and units of a dense layer."""
    shape = next((w.shape for w in layer.weights if w.ndim == 2), (1, 1))
    return shape[0], shape[1]


def scale_of_inputs(name: str, inputs: Sequence[np.ndarray]) -> list[Problem]:
    """What comes to the first layer with weights."""
    for array in inputs[:1]:
        if not dtypes.is_float(array.dtype) and array.dtype.kind not in "iu":
            continue
        values = np.abs(array.astype(np.float64))
        most = int(0.95 * (values.size - 1))  # of 100 values the 95th
        size = float(np.partition(values.reshape(-1), most)[most]) if values.size else 0.0
        if size > 30:
            text = f"The inputs of {name!r} are as large as {size:.4g}."
            advice = "bring them near 0 with a spread of about 1: x / 255 for images, layers.Normalization for others"
            return [Problem("scale", text, advice)]
        if 0 < float(values.max()) < 1e-4:
            return [Problem("scale", f"The inputs of {name!r} are as small as {values.max():.1e}.", "scale them up")]
        if array.ndim == 2 and 1 < array.shape[1] <= 1000:
            spreads = array.astype(np.float64).std(axis=0)
            spreads = spreads[spreads > 0]
            if len(spreads) > 1 and spreads.max() / spreads.min() > 1000 and spreads.max() > 5:
                text = f"The spreads of the inputs of {name!r} go from {spreads.min():.1e} to {spreads.max():.1e}."
                return [Problem("scale", text, "bring each column to a spread of 1: layers.Normalization")]
    return []


# --- outputs and losses ---------------------------------------------------------------------------------
def check_outputs(
    compiled: Any,
    data: Data,
    traces: Sequence[Any],
    predictions: Sequence[Any],
    labels: np.ndarray | None = None,
    rows: int | None = None,
) -> list[Problem]:
    """The last activations against losses and targets.

    Args:
        compiled: how the model was compiled.
        data: the data, or some rows of them.
        traces: a call of the model.
        predictions: what it gave.
        labels: the classes of all samples; default those of ``data``.
        rows: how many samples there are in all.
    """
    problems: list[Problem] = []
    rows = data.rows if rows is None else rows
    if labels is None and rows == data.rows:
        labels = labels_of(compiled, data)
    for loss, place, prediction in zip(compiled.losses, data.places, predictions, strict=True):
        if loss is None or place is None:
            continue
        last = [t for t in traces if t.output is prediction._data]
        function = activation_of(last[-1].layer) if last else ""
        name = last[-1].layer.name if last else "the output"
        target = data.y[place]
        if getattr(loss.loss, "from_logits", False) and function in ("softmax", "sigmoid"):
            text = f"{name!r} ends with {function}, and the loss takes logits (from_logits=True): it is applied twice."
            problems.append(Problem("logits", text, "leave out the one or the other"))
        if loss.kind is None and loss.known and dtypes.is_float(prediction.dtype):
            lowest, highest = float(target.min()), float(target.max())
            bounds = BOUNDED.get(function, (0.0, math.inf) if function in SILENT else None)
            if bounds is not None and (lowest < bounds[0] - 1e-3 or highest > bounds[1] + 1e-3):
                text = f"{name!r} ends with {function}, and targets run from {lowest:.4g} to {highest:.4g}."
                problems.append(Problem("activation", text, "take no activation for a number to predict"))
            whole = target.dtype.kind in "iu" and target.size == len(target) and 2 < len(np.unique(target)) <= 20
            if whole and any("accuracy" in m.name for lists in (compiled.metrics, compiled.weighted) for made in lists
                             for m in made):
                text = f"The targets are {len(np.unique(target))} classes, and {loss.name} compares numbers."
                problems.append(Problem("loss", text, "use sparse_categorical_crossentropy and a unit for each class"))
        if loss.kind == "binary" and target.ndim == 2 and target.shape[1] > 2 and (target.sum(axis=1) == 1).all():
            if function == "softmax":
                text = f"{name!r} ends with softmax, the targets are one-hot, and the loss is {loss.name}."
                problems.append(Problem("loss", text, "use categorical_crossentropy"))
        if loss.kind == "categorical" and function == "sigmoid":
            text = f"{name!r} ends with sigmoid, and {loss.name} takes probabilities that add up to 1."
            problems.append(Problem("activation", text, "take softmax, or binary_crossentropy for labels that overlap"))
        if loss.kind == "sparse" and function == "sigmoid":
            text = f"{name!r} ends with sigmoid, and {loss.name} takes probabilities that add up to 1."
            problems.append(Problem("activation", text, "take softmax"))
        classes = prediction.shape[-1]
        if labels is not None and loss.kind in ("sparse", "categorical") and classes <= 100:
            used = int(np.count_nonzero(np.bincount(labels, minlength=classes)[:classes]))
            if used < classes and rows >= 20 * classes:
                text = f"The output has {classes} classes, and {classes - used} of them never occur in the targets."
                problems.append(Problem("classes", text, "are the data complete, and the labels counted from 0?"))
    return problems


def check_first_loss(compiled: Any, data: Data, first: float) -> list[Problem]:
    """A classifier that knows nothing has a loss near log(number of classes)."""
    labels = labels_of(compiled, data)
    if labels is None or data.weights or len(np.unique(labels)) < 2:
        return []
    expected = math.log(max(2, len(np.unique(labels))))
    if first > 10 * expected:
        text = f"The first loss is {first:.4g}; guessing would have {expected:.3g}."
        return [Problem("loss", text, "the outputs start too large: scale the inputs, or start with smaller weights")]
    return []


# --- gradients and inputs ---------------------------------------------------------------------------------
def check_gradients(
    model: Any, variables: Sequence[Any], gradients: Sequence[Any], vanished: float = 1e6
) -> list[Problem]:
    """Weights that the loss does not depend on, gradients that vanish or explode."""
    problems: list[Problem] = []
    sizes: dict[str, float] = {}
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            text = f"The loss does not depend on {variable.path!r}."
            problems.append(Problem("unused", text, "is an output or a layer not connected?"))
            continue
        array = np.asarray(gradient, np.float64)
        if not np.isfinite(array).all():
            text = f"The gradient of {variable.path!r} is not finite."
            problems.append(Problem("gradients", text, "scale the inputs"))
            continue
        if variable.ndim >= 2 and variable.name.rpartition("/")[2].endswith("kernel"):
            sizes[variable.path] = float(np.sqrt((array**2).mean()))
    if not problems and sizes and not any(sizes.values()):
        return [Problem("gradients", "Every gradient is 0: nothing will be learned.", "look for dead units")]
    kept = [(path, size) for path, size in sizes.items() if size > 0]
    if len(kept) > 1:
        (low_path, low), (high_path, high) = min(kept, key=lambda p: p[1]), max(kept, key=lambda p: p[1])
        if high > 1e4:
            text = f"The gradient of {high_path!r} is {high:.1e}."
            problems.append(Problem("exploding", text, "smaller weights to start with, normalization, or clipnorm=1"))
        elif high / low > vanished:
            text = f"The gradient of {low_path!r} is {low:.1e}, that of {high_path!r} {high:.1e}."
            problems.append(Problem("vanishing", text, "take relu, normalization, or connections that skip layers"))
    elif kept and kept[0][1] > 1e4:
        problems.append(Problem("exploding", f"The gradient of {kept[0][0]!r} is {kept[0][1]:.1e}.", "scale the data"))
    return problems


def check_inputs(model: Any, data: Data, x: Any, predictions: Sequence[Any]) -> list[Problem]:
    """Inputs of which nothing depends."""
    leaves = flatten(x)[0]
    if len(leaves) < 2:
        return []
    from lamina.core.trees import unflatten

    problems: list[Problem] = []
    quiet = [np.asarray(p) for p in flatten(model(x, training=False))[0]]
    for i, leaf in enumerate(leaves):
        array = np.asarray(leaf)
        turned = np.roll(array, 1, axis=0)
        if (turned == array).all():
            continue
        changed = [*leaves[:i], wrap(np.ascontiguousarray(turned)), *leaves[i + 1 :]]
        again = flatten(model(unflatten(data.x_structure, changed), training=False))[0]
        if all((np.asarray(a) == q).all() for a, q in zip(again, quiet, strict=True)):
            problems.append(Problem("unused", f"No output depends on input {i}.", "is it connected?"))
    return problems
