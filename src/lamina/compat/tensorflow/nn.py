"""``tf.nn``: activations, convolutions and pooling, normalisation, cross-entropies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina import ops as _ops
from lamina.compat.tensorflow._arrays import gather as _gather
from lamina.compat.tensorflow._convert import convert_to_tensor, matched, static, unary
from lamina.compat.tensorflow.math import (  # noqa: F401
    in_top_k,
    l2_normalize,
    log_sigmoid,
    log_softmax,
    softmax,
    top_k,
    zero_fraction,
)
from lamina.compat.tensorflow.random import dropout  # noqa: F401
from lamina.core.errors import ArgumentError, ShapeError

# --- activations ------------------------------------------------------------------------------------
elu = unary(_nn.elu)
relu6 = unary(_nn.relu6)
selu = unary(_nn.selu)
sigmoid = unary(_nn.sigmoid)
softplus = unary(_nn.softplus)
softsign = unary(_nn.softsign)
tanh = unary(_nn.tanh)


def relu(features: Any, name: str | None = None) -> Any:
    """``max(x, 0)``, in the dtype of ``x``."""
    return _ops.maximum(convert_to_tensor(features), 0)


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Any:
    """``x`` where it is positive, ``alpha * x`` elsewhere."""
    return _nn.leaky_relu(convert_to_tensor(features), alpha)


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """``x`` times the normal distribution function of ``x``."""
    return _nn.gelu(convert_to_tensor(features), approximate=approximate)


def silu(features: Any, beta: float = 1.0) -> Any:
    """``x * sigmoid(beta * x)``."""
    features = convert_to_tensor(features)
    return _nn.silu(features) if beta == 1 else _ops.multiply(features, _nn.sigmoid(_ops.multiply(features, beta)))


swish = silu


def crelu(features: Any, axis: int = -1, name: str | None = None) -> Any:
    """``relu(x)`` and ``relu(-x)`` side by side."""
    features = convert_to_tensor(features)
    return _ops.concat([relu(features), relu(_ops.negative(features))], axis=axis)


# --- convolution and pooling --------------------------------------------------------------------------
_FORMATS: dict[str | None, str] = {None: "channels_last"}
_FORMATS |= {"NHWC": "channels_last", "NCHW": "channels_first", "NWC": "channels_last", "NCW": "channels_first"}
_FORMATS |= {"NDHWC": "channels_last", "NCDHW": "channels_first"}


def _format(data_format: str | None) -> str:
    if data_format not in _FORMATS:
        raise ArgumentError(f"data_format is one of {', '.join(map(str, _FORMATS))}; got {data_format!r}.")
    return _FORMATS[data_format]


def _spatial(sizes: Any, rank: int, data_format: str, name: str) -> Any:
    """Sizes of the spatial dimensions from an int, a list of them, or a list with batch and channels."""
    sizes = static(sizes)
    if sizes is None or isinstance(sizes, int):
        return sizes
    sizes = list(sizes)
    if len(sizes) == rank + 2:
        outer = sizes[:1] + (sizes[-1:] if data_format == "channels_last" else sizes[1:2])
        if outer != [1, 1]:
            raise ArgumentError(f"{name} over the batch or the channels are not supported; got {sizes}.")
        sizes = sizes[1:-1] if data_format == "channels_last" else sizes[2:]
    return sizes[0] if len(sizes) == 1 else tuple(sizes)


def _padding(padding: Any, data_format: str) -> Any:
    if isinstance(padding, str):
        return padding.lower()
    pairs = [tuple(pair) for pair in static(padding)]
    return tuple(pairs[1:-1] if data_format == "channels_last" else pairs[2:])


def convolution(
    input: Any,
    filters: Any,
    strides: Any = None,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution over 1 to 3 spatial dimensions; filters ``(*sizes, channels, filters)``."""
    input, filters = matched(input, filters)
    rank, form = filters.ndim - 2, _format(data_format)
    steps, gaps = (_spatial(v, rank, form, n) or 1 for v, n in ((strides, "strides"), (dilations, "dilations")))
    return _nn.conv(input, filters, steps, _padding(padding, form), gaps, data_format=form)


def _conv(default_format: str) -> Callable[..., Any]:
    def call(
        input: Any,
        filters: Any,
        strides: Any,
        padding: Any,
        data_format: str = default_format,
        dilations: Any = None,
        name: str | None = None,
    ) -> Any:
        return convolution(input, filters, strides, padding, data_format, dilations)

    call.__doc__ = convolution.__doc__
    return call


conv2d, conv3d = _conv("NHWC"), _conv("NDHWC")


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: Any,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution along one dimension; filters ``(size, channels, filters)``."""
    return convolution(input, filters, stride, padding, data_format, dilations)


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: Any = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Transposed convolution; filters ``(height, width, filters, channels)``.

    Raises:
        ShapeError: ``output_shape`` is not what the input, the filters and the strides make.
    """
    input, filters = matched(input, filters)
    form = _format(data_format)
    steps, gaps = (_spatial(v, 2, form, n) or 1 for v, n in ((strides, "strides"), (dilations, "dilations")))
    result = _nn.conv_transpose(
        input, filters, steps, _padding(padding, form), dilation_rate=gaps, data_format=form
    )
    if result.shape != tuple(static(output_shape)):
        raise ShapeError(f"conv2d_transpose makes shape {result.shape} here, not {tuple(static(output_shape))}.")
    return result


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """Convolution of each channel on its own; filter ``(height, width, channels, multiplier)``."""
    input, filter = matched(input, filter)
    form = _format(data_format)
    steps, gaps = (_spatial(v, 2, form, n) or 1 for v, n in ((strides, "strides"), (dilations, "dilations")))
    return _nn.depthwise_conv(input, filter, steps, _padding(padding, form), gaps, data_format=form)


def separable_conv2d(
    input: Any,
    depthwise_filter: Any,
    pointwise_filter: Any,
    strides: Any,
    padding: Any,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """``depthwise_conv2d``, then a product over the channels."""
    inner = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
    return convolution(inner, pointwise_filter, 1, "VALID", data_format)


def _pool(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(
        input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None, name: str | None = None
    ) -> Any:
        input, form = convert_to_tensor(input), _format(data_format)
        rank = input.ndim - 2
        window = _spatial(ksize, rank, form, "windows")
        steps = _spatial(strides, rank, form, "strides")
        if not isinstance(padding, str):  # of max_pool: what is added is never the largest
            lowest = np.finfo(input.dtype).min if input.dtype.kind == "f" else np.iinfo(input.dtype).min
            input = _ops.pad(input, [tuple(pair) for pair in static(padding)], constant_values=lowest)
            padding = "VALID"
        return function(input, window, steps, padding.lower(), form)

    return call


max_pool = max_pool1d = max_pool2d = max_pool3d = _pool(_nn.max_pool)
avg_pool = avg_pool1d = avg_pool2d = avg_pool3d = _pool(_nn.average_pool)


def pool(
    input: Any,
    window_shape: Any,
    pooling_type: str,
    strides: Any = None,
    padding: str = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Any:
    """The largest element (``pooling_type="MAX"``) or the mean (``"AVG"``) of each window.

    Raises:
        ArgumentError: another type, or dilations.
    """
    functions = {"MAX": max_pool, "AVG": avg_pool}
    if pooling_type not in functions or (dilations is not None and set(np.ravel(static(dilations))) != {1}):
        raise ArgumentError(f"pool: the types are MAX and AVG, without dilations; got {pooling_type!r}, {dilations}.")
    return functions[pooling_type](input, window_shape, 1 if strides is None else strides, padding, data_format)


# --- normalisation ------------------------------------------------------------------------------------
def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """One number added to each channel."""
    value, bias = matched(value, bias)
    if data_format is not None and data_format.startswith("NC"):
        bias = _ops.reshape(bias, (-1, *(1,) * (value.ndim - 2)))
    return _ops.add(value, bias)


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Any, Any]:
    """Mean and variance over some axes."""
    x = convert_to_tensor(x)
    over = tuple(static(axes)) if isinstance(axes, list | tuple) else static(axes)
    return _ops.mean(x, axis=over, keepdims=keepdims), _ops.var(x, axis=over, keepdims=keepdims)


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any,
    scale: Any,
    variance_epsilon: float,
    name: str | None = None,
) -> Any:
    """``scale * (x - mean) / sqrt(variance + epsilon) + offset``."""
    x, mean, variance = matched(x, mean, variance)
    factor = _ops.rsqrt(_ops.add(variance, variance_epsilon))
    factor = factor if scale is None else _ops.multiply(factor, scale)
    centred = _ops.multiply(_ops.subtract(x, mean), factor)
    return centred if offset is None else _ops.add(centred, offset)


def local_response_normalization(
    input: Any,
    depth_radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
    name: str | None = None,
) -> Any:
    """``x / (bias + alpha * sum of squares of the channels up to depth_radius away) ** beta``."""
    x = convert_to_tensor(input)
    squares = _ops.pad(_ops.square(x), [(0, 0)] * (x.ndim - 1) + [(depth_radius + 1, depth_radius)])
    sums = _ops.cumulative_sum(squares, axis=-1)
    near = _ops.subtract(sums[..., 2 * depth_radius + 1 :], sums[..., : -2 * depth_radius - 1])
    return _ops.divide(x, _ops.pow(_ops.add(bias, _ops.multiply(alpha, near)), beta))


lrn = local_response_normalization


def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None
) -> Any:
    """The sum of the losses (with weights) divided by the size of the batch."""
    losses = convert_to_tensor(per_example_loss)
    weighted = losses if sample_weight is None else _ops.multiply(losses, matched(losses, sample_weight)[1])
    return _ops.divide(_ops.sum(weighted), static(global_batch_size) or losses.shape[0])


def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half the sum of squares."""
    return _ops.divide(_ops.sum(_ops.square(convert_to_tensor(t))), 2)


def embedding_lookup(params: Any, ids: Any, max_norm: float | None = None, name: str | None = None) -> Any:
    """The rows with the given numbers, scaled down to ``max_norm`` if it is given."""
    rows = _gather(params, ids)
    if max_norm is None:
        return rows
    norm = _ops.sqrt(_ops.sum(_ops.square(rows), axis=-1, keepdims=True))
    return _ops.multiply(rows, _ops.divide(max_norm, _ops.maximum(norm, max_norm)))


# --- cross-entropies ----------------------------------------------------------------------------------
def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """``-sum(labels * log_softmax(logits))`` along an axis."""
    logits, labels = matched(logits, labels)
    return _nn.softmax_cross_entropy_with_logits(labels, logits, axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """Minus the log-probability of the class with the label's number."""
    return _nn.sparse_softmax_cross_entropy_with_logits(convert_to_tensor(labels), convert_to_tensor(logits))


def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """The cross-entropy of each element on its own."""
    logits, labels = matched(logits, labels)
    return _nn.binary_cross_entropy_with_logits(labels, logits)


def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Any:
    """As ``sigmoid_cross_entropy_with_logits``, with positive labels counted ``pos_weight`` times."""
    logits, labels, weight = matched(logits, labels, pos_weight)
    factor = _ops.add(1, _ops.multiply(_ops.subtract(weight, 1), labels))
    return _ops.add(
        _ops.multiply(_ops.subtract(1, labels), logits),
        _ops.multiply(factor, _nn.softplus(_ops.negative(logits))),
    )
