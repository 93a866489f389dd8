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
from lamina.inspection.kept import kept_with
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
    key = (
        "maximize", place, len(wanted), learning_rate, (rows, columns, colors), low.tobytes(), high.tobytes(),
        border, smoothness, l2, natural_colors, bool(logits),
    )  # fmt: skip

    def make() -> _Climb:
        options = learning_rate, low, high, border, smoothness, l2, natural_colors, logits
        return _Climb(model, place, len(wanted), (rows, columns, colors), first, *options)

    climb: _Climb = kept_with(model, key, make)
    found = climb(wanted, steps, rng)
    return found.transpose(0, 3, 1, 2) if first else found


class _Climb:
    """Gradient ascent on images of one size, for one layer.  See ``maximize_activation`` for the arguments."""

    def __init__(
        self,
        model: Any,
        place: Any,
        images: int,
        frame: tuple[int, int, int],
        first: bool,
        learning_rate: float,
        low: np.ndarray,
        high: np.ndarray,
        border: int,
        smoothness: float,
        l2: float,
        natural_colors: bool,
        logits: bool,
    ) -> None:
        rows, columns, colors = frame
        self._frame, self._border, self._range = frame, border, (low, high)
        tall, wide = rows + 2 * border, columns + 2 * border
        self._draw = draw = _painter(tall, wide, colors, smoothness, natural_colors)
        self._coefficients = coefficients = Variable(np.zeros((images, colors, tall, wide), np.float32))
        optimizer = Adam(learning_rate)
        optimizer.build([coefficients])
        self._state = [(v, v.numpy()) for v in optimizer.variables]  # as it is before the first step

        def blank() -> Any:
            x = np.zeros((1, rows, columns, colors), np.float32)
            return model(x.transpose(0, 3, 1, 2) if first else x, training=False)

        last = last_activations(model, blank) if logits and place is None else []

        def step(starts: Any, channels: Any) -> Any:
            with GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(coefficients)
                whole = draw(coefficients.value)  # 0...1, colors last
                crop = ops.dynamic_slice(whole, [0, starts[0], starts[1], 0], (images, rows, columns, colors))
                x = crop * (high - low) + low
                values, self._count = _channel_means(
                    model, place, ops.permute_dims(x, (0, 3, 1, 2)) if first else x, channels, last
                )
                loss = -ops.sum(values)
                if l2:
                    loss = loss + l2 * ops.sum((crop - 0.5) ** 2)
            optimizer.apply(tape.gradient(loss, [coefficients]), [coefficients])
            return values

        self._count = 0  # channels, known when it has run
        self._where = f"layer {place.name!r}" if place is not None else f"model {model.name!r}"
        self._step = function(name="maximize_activation")(step)

    def __call__(self, channels: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
        """The images, with the colors last."""
        rows, columns, _ = self._frame
        border, (low, high) = self._border, self._range
        for variable, value in self._state:
            variable.assign(value)
        self._coefficients.assign(rng.normal(0, 0.02, self._coefficients.shape).astype(np.float32))
        for start in rng.integers(0, 2 * border + 1, (steps, 2)).astype(np.int32):
            self._step(start, channels)
            if not -self._count <= channels.min() <= channels.max() < self._count:
                raise ArgumentError(
                    f"maximize_activation: {self._where} has {self._count} channels, from 0; got {channels.tolist()}."
                )
        found = np.asarray(self._draw(self._coefficients.value))[:, border : border + rows, border : border + columns]
        return (found * (high - low) + low).astype(np.float32)


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


def _channel_means(model: Any, layer: Any, x: Any, channels: Any, last: Sequence[Any]) -> tuple[Any, int]:
    """For each image the mean over all places of its channel, and how many channels there are."""
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
    others = tuple(a for a in range(1, value.ndim) if a != axis)
    means = ops.mean(value, axis=others) if others else value
    return ops.sum(means * ops.one_hot(ops.remainder(channels, count), count), axis=-1), count
