"""Layers inside a model: found by name, listened to while the model runs, their outputs and kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.autodiff import GradientTape
from lamina.core.errors import ArgumentError, ArgumentTypeError, CaptureError, ShapeError
from lamina.core.messages import did_you_mean
from lamina.core.primitive import state
from lamina.core.trees import flatten, map_tree, unflatten
from lamina.graph.function import function
from lamina.inspection.kept import kept_with
from lamina.layers import (
    Attention,
    Conv2D,
    Conv2DTranspose,
    DepthwiseConv2D,
    GroupedQueryAttention,
    InputLayer,
    Layer,
    MultiHeadAttention,
    SeparableConv2D,
)
from lamina.models import Model

Place = str | int | Layer
CONVOLUTIONS = Conv2D | DepthwiseConv2D | SeparableConv2D | Conv2DTranspose
ATTENTIONS = Attention | MultiHeadAttention | GroupedQueryAttention


# --- finding ---------------------------------------------------------------------------------------
def inner_layers(model: Any) -> list[Any]:
    """All layers of a model, those of models and layers inside it too, outermost first."""
    return [layer for layer in model._flatten_layers() if layer is not model and not isinstance(layer, InputLayer)]


def find_layer(model: Any, place: Place) -> Any:
    """A layer of the model, or of a model or layer inside it.

    Args:
        model: the model.
        place: the layer's name, its number in ``model.layers``, or itself.

    Raises:
        ArgumentError: there is none, or several have this name.

    Example:
        >>> import lamina
        >>> from lamina import layers
        >>> inner = lamina.Sequential([layers.Input((4,)), layers.Dense(3, name="a")])
        >>> find_layer(lamina.Sequential([layers.Input((4,)), inner, layers.Dense(2)]), "a").name
        'a'
    """
    if isinstance(place, bool) or not isinstance(place, str | int | np.integer | Layer):
        raise ArgumentError(f"A layer is a name, a number or a layer; got {place!r}.")
    if isinstance(place, int | np.integer):
        return model.get_layer(index=int(place))
    every = inner_layers(model)
    if isinstance(place, Layer):
        if not any(layer is place for layer in every):
            raise ArgumentError(f"Model {model.name!r} has no such layer: {place!r} is not part of it.")
        return place
    found = [layer for layer in every if layer.name == place]
    if len(found) == 1:
        return found[0]
    outer = [layer for layer in found if any(layer is x for x in model.layers)]
    if len(outer) == 1:
        return outer[0]
    if found:
        raise ArgumentError(
            f"Model {model.name!r} has {len(found)} layers named {place!r}, in different layers. Give the layer itself."
        )
    names = list(dict.fromkeys(layer.name for layer in every))
    hint = did_you_mean(place, names)
    shown = ", ".join(names[:40]) + (f", ... ({len(names)} layers)" if len(names) > 40 else "")
    raise ArgumentError(f"Model {model.name!r} has no layer {place!r}.{hint} Its layers: {shown}.")


def channel_axis(model: Any, layer: Any, rank: int) -> int:
    """Which axis of a layer's feature maps, of so many axes, holds the channels: 1 or the last.

    A layer without a data format of its own, such as an activation, has that of the convolutions around it.
    """
    formats = [getattr(each, "data_format", None) for each in (layer, *inner_layers(layer), *inner_layers(model))]
    found = next((f for f in formats if f is not None), config.image_data_format())
    return 1 if found == "channels_first" else rank - 1


def image_format(model: Any) -> str:
    """The data format of the model's images."""
    return "channels_first" if channel_axis(model, model, 4) == 1 else "channels_last"


# --- listening ---------------------------------------------------------------------------------------
@contextmanager
def intercepting(wrappers: Mapping[Any, Callable[[Callable[..., Any]], Callable[..., Any]]]) -> Iterator[None]:
    """While this lasts, the ``call`` of each layer is what its wrapper makes of it.

    It sees what runs, whichever way: models inside models, subclasses, layers that are called several times,
    while a graph is captured as well as eagerly.

    Args:
        wrappers: by layer: a function from the layer's ``call`` to the one to use.
    """
    for layer, wrapper in wrappers.items():
        vars(layer)["call"] = wrapper(layer.call)
    try:
        yield
    finally:
        for layer in wrappers:
            vars(layer).pop("call", None)


def as_tensors(x: Any) -> Any:
    """Arrays, in any nesting, as tensors; floats in the default dtype.  A list of numbers is one array."""
    if isinstance(x, list) and all(isinstance(leaf, bool | int | float) for leaf in flatten(x)[0]):
        x = np.asarray(x)

    def convert(leaf: Any) -> Any:
        array = np.asarray(leaf)
        if array.dtype.kind in "USO":
            raise ArgumentTypeError(f"Inputs are arrays of numbers; got {leaf!r:.80}.")
        return ops.as_tensor(array, dtype=config.floatx() if array.dtype == np.float64 else None)

    return map_tree(convert, x)


def activations(model: Model, x: Any, layers: Sequence[Place] | Place | None = None) -> dict[str, Any]:
    """What layers put out when the model is called on ``x``.

    Args:
        model: any model; layers of models and layers inside it count too.
        x: inputs, as for ``predict``: few samples, for all outputs are kept.
        layers: names, numbers, or layers themselves; default all.

    Returns:
        By the layer's name (its path in the model, where it stands inside another), in the order of computation:
        its output as an array, a list of arrays if it has several or was called several times.

    Raises:
        ArgumentError: the model has no such layer, or it did not run.

    Example:
        >>> import lamina
        >>> from lamina import layers
        >>> model = lamina.Sequential([layers.Input((2,)), layers.Dense(3, name="a"), layers.Dense(1, name="b")])
        >>> {name: value.shape for name, value in activations(model, [[1.0, 2.0]]).items()}
        {'a': (1, 3), 'b': (1, 1)}
    """
    wanted = None if layers is None else [find_layer(model, place) for place in _several(layers)]
    found: dict[str, list[Any]] = {}
    runs = outputs_of(model, x, wanted)
    for _, path, arrays in runs:
        found.setdefault(path, []).extend(arrays)
    for layer in wanted or ():
        if not any(each is layer for each, _, _ in runs):
            raise ArgumentError(f"Layer {layer.name!r} does not run when model {model.name!r} is called.")
    return {path: values[0] if len(values) == 1 else values for path, values in found.items() if values}


def outputs_of(model: Model, x: Any, layers: Sequence[Any] | None = None) -> list[tuple[Any, str, list[np.ndarray]]]:
    """Layer, its path in the model, and its outputs, for each time that a layer ran, in the order of computation.

    The first time the model is called as it is; from the second call for the same layers on, compiled.
    """
    wanted = inner_layers(model) if layers is None else list(layers)
    leaves, structure = flatten(as_tensors(x))
    listener = kept_with(model, ("outputs", structure, *wanted), lambda: _Listener(model, structure, wanted))
    return [(layer, path, [np.asarray(t) for t in tensors]) for layer, path, tensors in listener(leaves)]


class _Listener:
    """What some layers of a model put out."""

    def __init__(self, model: Any, structure: Any, wanted: Sequence[Any]) -> None:
        self._model, self._structure, self._wanted = model, structure, wanted
        self._compiled: Callable[..., Any] | None = None
        self._calls = 0
        self._runs: list[tuple[Any, str, int]] = []  # layer, path and number of outputs of the latest run or capture
        self._captured: dict[Any, list[tuple[Any, str, int]]] = {}  # by the inputs' shapes and dtypes

    def __call__(self, leaves: Sequence[Any]) -> list[tuple[Any, str, list[Any]]]:
        self._calls += 1
        tensors, runs = None, self._runs
        if self._calls > 1 and not getattr(self._model, "run_eagerly", False):
            tensors, runs = self._run_compiled(leaves)
        if tensors is None:
            tensors = self._listen(*leaves)
            runs = self._runs
        found, start = [], 0
        for layer, path, count in runs:
            found.append((layer, path, tensors[start : start + count]))
            start += count
        return found

    def _run_compiled(self, leaves: Sequence[Any]) -> tuple[Any, Any]:
        if self._compiled is None:
            self._compiled = function(name=f"layers_of_{self._model.name}")(self._listen)
        kinds = tuple((t.shape, t.dtype) for t in leaves)
        try:
            tensors = self._compiled(*leaves)
        except CaptureError:  # a call that looks at numbers
            return None, None
        return tensors, self._captured.setdefault(kinds, self._runs)

    def _listen(self, *leaves: Any) -> list[Any]:
        runs: list[tuple[Any, str, int]] = []
        found: list[Any] = []

        def keeping(layer: Any) -> Callable[..., Any]:
            def wrapper(call: Callable[..., Any]) -> Callable[..., Any]:
                def run(*args: Any, **kwargs: Any) -> Any:
                    output = call(*args, **kwargs)
                    tensors = [t for t in flatten(output)[0] if hasattr(t, "shape")]
                    runs.append((layer, "/".join(state.scope[1:]), len(tensors)))
                    found.extend(tensors)
                    return output

                return run

            return wrapper

        with intercepting({layer: keeping(layer) for layer in self._wanted}):
            self._model(unflatten(self._structure, leaves), training=False)
        self._runs = runs
        return found


def _several(layers: Any) -> list[Any]:
    return list(layers) if isinstance(layers, list | tuple) else [layers]


def feature_maps(model: Model, x: Any, layers: Sequence[Place] | Place | None = None) -> dict[str, np.ndarray]:
    """The feature maps that convolutions and what follows them make of images, channels last.

    Args:
        model: the model.
        x: images, a batch or one.
        layers: names, numbers, or layers themselves; default all convolutions.

    Returns:
        By the layer's name: ``(n, height, width, channels)``.

    Raises:
        ArgumentError: the model has no such layer, or it puts out no feature maps.

    Example:
        >>> import lamina
        >>> model = lamina.applications.LeNet()
        >>> [maps.shape for maps in feature_maps(model, lamina.zeros((1, 28, 28, 1))).values()]
        [(1, 28, 28, 32), (1, 14, 14, 64)]
    """
    if layers is None:
        chosen: list[Any] = [layer for layer in inner_layers(model) if is_convolution(layer)]
        if not chosen:
            raise ArgumentError(f"Model {model.name!r} has no convolutions. Name layers with feature maps.")
    else:
        chosen = [find_layer(model, place) for place in _several(layers)]
    maps: dict[str, np.ndarray] = {}
    for layer, path, values in outputs_of(model, with_batch(model, x), chosen):
        if len(values) != 1 or values[0].ndim != 4:
            shapes = ", ".join(str(value.shape) for value in values)
            raise ArgumentError(f"Layer {path!r} puts out {shapes}, not feature maps (n, height, width, channels).")
        maps[path] = np.moveaxis(values[0], channel_axis(model, layer, 4), -1)
    return maps


def with_batch(model: Any, x: Any) -> Any:
    """``x`` as a batch, if it is one sample of a model with one input; grey images get their axis of one channel."""
    graph = getattr(model, "_graph", None)
    if graph is None or len(graph.inputs) != 1 or isinstance(x, dict | list | tuple):
        return x
    array, wanted = np.asarray(x), graph.inputs[0].shape[1:]

    def fits(sizes: Sequence[int], shape: Sequence[int | None]) -> bool:
        return len(sizes) == len(shape) and all(n in (None, size) for n, size in zip(shape, sizes, strict=True))

    axis = 0 if image_format(model) == "channels_first" else len(wanted) - 1
    if len(wanted) == 3 and wanted[axis] == 1 and not fits(array.shape, wanted):
        spatial = wanted[:axis] + wanted[axis + 1 :]
        if fits(array.shape, spatial):
            return np.expand_dims(array, axis)[None]
        if fits(array.shape[1:], spatial):
            return np.expand_dims(array, axis + 1)
    return array[None] if array.ndim == len(wanted) else x


# --- weights -------------------------------------------------------------------------------------------
def is_convolution(layer: Any) -> bool:
    """Whether a layer has a kernel over two spatial dimensions."""
    return isinstance(layer, CONVOLUTIONS)


def kernels(model: Any, layer: Place | None = None) -> np.ndarray:
    """The kernels of a convolution, one after another.

    Args:
        model: a model, or the layer itself.
        layer: a convolution in it; default the first.

    Returns:
        ``(filters, rows, columns, channels)``; of depthwise convolutions one channel each.

    Raises:
        ArgumentError: there is no such layer, or it is no convolution over images.
        ShapeError: the layer is not built.

    Example:
        >>> import lamina
        >>> kernels(lamina.applications.LeNet()).shape
        (32, 5, 5, 1)
    """
    if layer is not None:
        found = find_layer(model, layer)
    elif is_convolution(model):
        found = model
    else:
        found = next((each for each in inner_layers(model) if is_convolution(each)), None)
    if found is None or not is_convolution(found):
        what = f"Model {model.name!r} has none" if found is None else f"{found.name!r} is a {type(found).__name__}"
        known = [each.name for each in inner_layers(model) if is_convolution(each)]
        where = f" Convolutions: {', '.join(known[:20])}{', ...' if len(known) > 20 else ''}." if known else ""
        raise ArgumentError(f"kernels takes a convolution over images; {what}.{where}")
    if not found.built:
        raise ShapeError(f"Layer {found.name!r} has no kernel yet: build it, or call the model on a batch.")
    kernel = found.depthwise_kernel if isinstance(found, SeparableConv2D) else found.kernel
    array = np.asarray(kernel).astype(np.float32)  # (rows, columns, channels, filters), transposed ones the reverse
    if isinstance(found, DepthwiseConv2D | SeparableConv2D):
        return np.moveaxis(array.reshape(*array.shape[:2], 1, -1), -1, 0)
    return np.moveaxis(array, 2 if isinstance(found, Conv2DTranspose) else 3, 0)


# --- attention -------------------------------------------------------------------------------------------
def attention_weights(model: Any, x: Any, layers: Sequence[Place] | Place | None = None) -> dict[str, np.ndarray]:
    """How much each place attends to each other place, in the attention layers of a model.

    Args:
        model: any model with ``Attention``, ``AdditiveAttention``, ``MultiHeadAttention`` or
            ``GroupedQueryAttention`` inside.
        x: inputs, as for ``predict``.
        layers: names, numbers, or layers themselves; default all that attend.

    Returns:
        By the layer's name: ``(n, heads, queries, keys)``, the last axis summing to 1.

    Raises:
        ArgumentError: the model has no such layer, or it does not attend.

    Example:
        >>> import lamina
        >>> from lamina import layers
        >>> inputs = layers.Input((5, 8))
        >>> model = lamina.Model(inputs, layers.MultiHeadAttention(2, 4, name="look")(inputs, inputs))
        >>> attention_weights(model, lamina.ones((1, 5, 8)))["look"].shape
        (1, 2, 5, 5)
    """
    able = [layer for layer in inner_layers(model) if _attends(layer)]
    chosen = able if layers is None else [find_layer(model, place) for place in _several(layers)]
    wrong = [layer.name for layer in chosen if not _attends(layer)]
    if wrong or not chosen:
        what = f"Layer {wrong[0]!r} does not attend." if wrong else f"No layer of model {model.name!r} attends."
        hint = f" Those that do: {', '.join(layer.name for layer in able)}." if able else ""
        raise ArgumentError(what + hint)
    found: dict[str, list[np.ndarray]] = {}

    def keeping(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            output, weights = call(*args, **{**kwargs, "return_attention_scores": True})
            array = np.asarray(weights).astype(np.float32)
            found.setdefault("/".join(state.scope[1:]), []).append(array[:, None] if array.ndim == 3 else array)
            return (output, weights) if kwargs.get("return_attention_scores") else output

        return run

    flash = [layer for layer in chosen if getattr(layer, "_flash_attention", False)]
    for layer in flash:
        layer._flash_attention = False  # which keeps no weights
    try:
        with intercepting(dict.fromkeys(chosen, keeping)):
            model(as_tensors(x), training=False)
    finally:
        for layer in flash:
            layer._flash_attention = True
    return {
        (name if len(values) == 1 else f"{name} ({i + 1})"): value
        for name, values in found.items()
        for i, value in enumerate(values)
    }


def _attends(layer: Any) -> bool:
    return isinstance(layer, ATTENTIONS)


# --- gradients -------------------------------------------------------------------------------------------
def weight_gradients(model: Any, x: Any, y: Any, sample_weight: Any = None) -> dict[str, np.ndarray]:
    """The gradients of the compiled loss on some samples with respect to each trained weight, by the weight's path.

    The model's state (metrics, statistics) stays as it is.

    Args:
        model: a compiled model.
        x: inputs.
        y: targets.
        sample_weight: weights of the samples.
    """
    variables = list(model.trainable_variables)
    if not variables:
        return {}
    x, y = (map_tree(lambda a: ops.as_tensor(np.asarray(a)), side) for side in (x, y))
    sample_weight = None if sample_weight is None else map_tree(lambda a: ops.as_tensor(np.asarray(a)), sample_weight)
    saved = [(v, v.numpy().copy()) for v in model.metrics_variables + list(model.non_trainable_variables)]
    try:
        with GradientTape() as tape:
            y_pred = model(x, training=False)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False)
        gradients = tape.gradient(loss, variables)
    finally:
        for variable, value in saved:
            variable.assign(value)
    return {v.path: np.asarray(g) for v, g in zip(variables, gradients, strict=True) if g is not None}
