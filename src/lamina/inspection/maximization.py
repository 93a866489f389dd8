"""Images that a layer, a channel or a class answers to most: gradient ascent on the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.autodiff import GradientTape
from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten
from lamina.graph.function import function
from lamina.inspection.layers import Place, channel_axis, find_layer, image_format, intercepting
from lamina.inspection.scores import last_activations, without_activations
from lamina.models import Model
from lamina.optimizers import Adam
from lamina.tensor import Variable

# Square root of the covariance of red, green and blue in photographs (ImageNet), as published with Olah and others
# (2017) in the package lucid; scaled so that the longest column has length 1.
_COLORS = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLORS = (_COLORS / np.linalg.norm(_COLORS, axis=0).max()).astype(np.float32)


def maximize_activation(
    model: Model,
    layer: Place | None = None,
    channels: Sequence[int] | np.ndarray | int = 0,
    steps: int = 256,
    learning_rate: float = 0.05,
    size: tuple[int, int] | None = None,
    value_range: Any = (0.0, 1.0),
    jitter: int | None = None,
    smoothness: float = 1.0,
    l2: float = 0.0,
    natural_colors: bool = True,
    logits: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Images that make the mean of a channel over all places (or a unit, or a class's score) as large as possible.

    Adam climbs on the image's cosine coefficients, divided by their frequency: without that, ascent on pixels ends in
    patterns of high frequency that no photograph has.  The image moves a little at random before each step, so that
    it cannot rest on where single pixels are.

    Args:
        model: a model of images.
        layer: whose output; default the model's.
        channels: of the layer's channels, units, or the classes: one, or several, which get an image each.
        steps: steps of Adam.
        learning_rate: of Adam.
        size: rows and columns; default those of the model's input.
        value_range: what black and white are in the model's inputs: two numbers, or two arrays with one for each
            color.  Pixels stay between them.
        jitter: how many pixels the image moves at most; default a 24th of its size.
        smoothness: the power of the frequency by which coefficients are divided: 0 for none.
        l2: penalty on the squared distance of pixels from grey, as in the paper of 2013.
        natural_colors: let the three colors vary together as they do in photographs.
        logits: of a class, the score from before the softmax or sigmoid.
        seed: of the noise that ascent begins with, and of the movements.

    Returns:
        float32 ``(len(channels), rows, columns, colors)``, or with the colors first as the model takes them, from
        black to white of ``value_range``.

    Raises:
        ArgumentError: the model does not take images, has no such layer or channel, or ``size`` is missing.

    Source: Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2013; Olah, Mordvintsev and
    Schubert, "Feature visualization", 2017.

    Example:
        >>> import lamina
        >>> maximize_activation(lamina.applications.LeNet(), channels=[3, 7], steps=2).shape
        (2, 28, 28, 1)
    """
    wanted = np.atleast_1d(np.asarray(channels))
    if wanted.dtype.kind not in "iu" or wanted.ndim != 1 or not wanted.size:
        raise ArgumentError(f"channels is a number or several; got {channels!r}.")
    rows, columns, colors = _frame(model, size)
    if steps < 1 or smoothness < 0 or l2 < 0:
        raise ArgumentError(f"maximize_activation: steps >= 1, smoothness, l2 >= 0; got {steps}, {smoothness}, {l2}.")
    border = max(rows, columns) // 24 if jitter is None else int(jitter)
    place = None if layer is None else find_layer(model, layer)
    first = image_format(model) == "channels_first"
    low, high = (np.asarray(v, np.float32) for v in value_range)
    rng = np.random.default_rng(seed)
    tall, wide = rows + 2 * border, columns + 2 * border
    draw = _painter(tall, wide, colors, smoothness, natural_colors)
    coefficients = Variable(rng.normal(0, 0.02, (len(wanted), colors, tall, wide)).astype(np.float32))
    optimizer = Adam(learning_rate)
    optimizer.build([coefficients])

    def blank() -> Any:
        x = np.zeros((1, rows, columns, colors), np.float32)
        return model(x.transpose(0, 3, 1, 2) if first else x, training=False)

    last = last_activations(model, blank) if logits and place is None else []

    def step(starts: Any) -> Any:
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(coefficients)
            whole = draw(coefficients.value)  # 0...1, colors last
            crop = ops.dynamic_slice(whole, [0, starts[0], starts[1], 0], (len(wanted), rows, columns, colors))
            x = crop * (high - low) + low
            scores = _channel_means(model, place, ops.permute_dims(x, (0, 3, 1, 2)) if first else x, wanted, last)
            loss = -ops.sum(scores)
            if l2:
                loss = loss + l2 * ops.sum((crop - 0.5) ** 2)
        optimizer.apply(tape.gradient(loss, [coefficients]), [coefficients])
        return scores

    climb = function(name="maximize_activation")(step)
    for start in rng.integers(0, 2 * border + 1, (steps, 2)).astype(np.int32):
        climb(start)
    found = np.asarray(draw(coefficients.value))[:, border : border + rows, border : border + columns]
    found = (found * (high - low) + low).astype(np.float32)
    return found.transpose(0, 3, 1, 2) if first else found


def _frame(model: Any, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Rows, columns and colors of the images."""
    graph = model._graph
    if graph is None or len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4:
        raise ArgumentError(
            f"maximize_activation takes a functional or sequential model of images; model {model.name!r} is not. "
            "Wrap it: inputs = Input(shape); Model(inputs, model(inputs))."
        )
    shape = graph.inputs[0].shape[1:]
    rows, columns, colors = (*shape[1:], shape[0]) if image_format(model) == "channels_first" else shape
    if size is not None:
        if any(known not in (None, wanted) for known, wanted in zip((rows, columns), size, strict=True)):
            raise ArgumentError(f"Model {model.name!r} takes images of {rows} x {columns}; got size={size}.")
        rows, columns = size
    if rows is None or columns is None:
        raise ArgumentError(f"Model {model.name!r} takes images of any size: say size=(rows, columns).")
    return int(rows), int(columns), int(colors)


def _painter(rows: int, columns: int, colors: int, smoothness: float, natural: bool) -> Callable[[Any], Any]:
    """From cosine coefficients ``(n, colors, rows, columns)`` to images ``(n, rows, columns, colors)`` from 0 to 1."""
    left, right = cosines(rows), cosines(columns)
    frequency = np.sqrt(np.arange(rows)[:, None] ** 2.0 + np.arange(columns) ** 2.0)
    scale = (np.sqrt(rows * columns) / 2 / np.maximum(frequency, 1) ** smoothness).astype(np.float32)
    mix = COLORS.T if natural and colors == 3 else None

    def paint(coefficients: Any) -> Any:
        x = ops.matmul(ops.matmul(left.T, coefficients * scale), right)
        x = ops.permute_dims(x, (0, 2, 3, 1))
        return ops.sigmoid(x if mix is None else ops.matmul(x, mix))

    return paint


def cosines(count: int) -> np.ndarray:
    """The orthonormal matrix of the discrete cosine transform (type II): row ``k`` is the wave of frequency ``k``."""
    k, i = np.arange(count)[:, None], np.arange(count)
    waves = np.sqrt(2 / count) * np.cos(np.pi * k * (2 * i + 1) / (2 * count))
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _channel_means(model: Any, layer: Any, x: Any, channels: np.ndarray, last: Sequence[Any]) -> Any:
    """For each image the mean over all places of its channel."""
    seen: list[Any] = []

    def keeping(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            seen.append(call(*args, **kwargs))
            return seen[-1]

        return run

    with intercepting({} if layer is None else {layer: keeping}), without_activations(last):
        output = model(x, training=False)
    values = flatten(output if layer is None else seen)[0]
    if len(values) != 1:
        what = f"layer {layer.name!r}" if layer is not None else f"model {model.name!r}"
        raise ArgumentError(f"maximize_activation: {what} has {len(values)} outputs here; choose a layer that has one.")
    value = values[0]
    axis = channel_axis(model, layer, value.ndim) if layer is not None and value.ndim > 2 else value.ndim - 1
    count = value.shape[axis]
    if not -count <= channels.min() <= channels.max() < count:
        where = f"layer {layer.name!r}" if layer is not None else f"model {model.name!r}"
        raise ArgumentError(f"maximize_activation: {where} has {count} channels, from 0; got {channels.tolist()}.")
    others = tuple(a for a in range(1, value.ndim) if a != axis)
    means = ops.mean(value, axis=others) if others else value
    return ops.sum(means * np.eye(count, dtype=np.float32)[channels % count], axis=-1)
