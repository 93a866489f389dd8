"""``torch.nn.functional``: layers and activations as functions of tensors, channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina import ops, random
from lamina.compat.torch.functions import log_softmax, relu, sigmoid, softmax, tanh
from lamina.compat.torch.nn.convolution import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    each,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from lamina.compat.torch.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cross_entropy,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    triplet_margin_loss,
)
from lamina.compat.torch.shapes import flatten
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import wrap
from lamina.layers.normalization import group_normalized

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "flatten",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
]


# --- products ---------------------------------------------------------------------------------------
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias`` with a weight of shape (outputs, inputs)."""
    out = ops.matmul(input, ops.matrix_transpose(weight)) if len(weight.shape) > 1 else ops.matmul(input, weight)
    return out if bias is None else ops.add(out, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``input1 @ weight[k] @ input2`` for each output ``k``."""
    out = ops.einsum("...i,kij,...j->...k", input1, weight, input2)
    return out if bias is None else ops.add(out, bias)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of ``weight``; that of ``padding_idx`` gets no gradient."""
    out = ops.take(weight, input, axis=0)
    if padding_idx is None:
        return out
    here = ops.expand_dims(ops.equal(input, padding_idx % weight.shape[0]), -1)
    return ops.where(here, ops.stop_gradient(out), out)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """1 at the class that an integer names, else 0, as int64."""
    classes = int(np.asarray(tensor).max()) + 1 if num_classes < 0 else num_classes
    return ops.one_hot(tensor, classes, dtype="int64")


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """``softmax(query @ key.T * scale) @ value`` with tensors of shape (..., steps, features)."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = ops.multiply(ops.matmul(query, ops.matrix_transpose(key)), scale)
    if is_causal:
        below = np.tril(np.ones(tuple(scores.shape[-2:]), bool))
        scores = ops.where(wrap(below), scores, -np.inf)
    if attn_mask is not None:
        allowed = ops.as_tensor(attn_mask)
        scores = ops.where(allowed, scores, -np.inf) if allowed.dtype == np.bool_ else ops.add(scores, allowed)
    weights = _nn.softmax(scores, axis=-1)
    return ops.matmul(random.dropout(weights, dropout_p) if dropout_p else weights, value)


# --- shapes -----------------------------------------------------------------------------------------
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Elements added to the last dimensions: ``(before, after)`` of the last, then of the one before, ...

    Args:
        input: a tensor.
        pad: an even number of widths; negative ones cut off.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: what ``"constant"`` adds; default 0.
    """
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in modes:
        raise ArgumentError(f"pad: mode is one of {', '.join(modes)}; got {mode!r}.")
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    widths = [*[(0, 0)] * (len(input.shape) - len(pairs)), *pairs]
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, input.shape))
    return ops.pad(
        input[cut], [(max(a, 0), max(b, 0)) for a, b in widths], mode=modes[mode], constant_values=value or 0
    )


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """(batch, channels, \\*sizes) in another size: ``"nearest"``, or ``"bilinear"`` for images.

    Args:
        input: a tensor.
        size: the new sizes; or
        scale_factor: how many times larger.
        mode: see above.
        align_corners: ``False`` or ``None``.
    """
    rank = len(input.shape) - 2
    if align_corners:
        raise ArgumentError("interpolate: align_corners=True is not offered.")
    if size is None:
        factors = (scale_factor,) * rank if isinstance(scale_factor, int | float) else tuple(scale_factor)
        size = tuple(int(n * f) for n, f in zip(input.shape[2:], factors))
    wanted = each(size, rank)
    if mode == "nearest":
        out = input
        for axis, (n, m) in enumerate(zip(input.shape[2:], wanted), start=2):
            out = ops.take(out, wrap(np.floor(np.arange(m) * (n / m)).astype(np.int64)), axis=axis)
        return out
    if mode in ("linear", "bilinear", "trilinear"):
        out = input
        for axis, (n, m) in enumerate(zip(input.shape[2:], wanted), start=2):
            at = np.clip((np.arange(m) + 0.5) * (n / m) - 0.5, 0, n - 1)
            low = np.floor(at).astype(np.int64)
            high = np.minimum(low + 1, n - 1)
            share = wrap((at - low).astype(input.dtype).reshape((-1, *(1,) * (len(input.shape) - axis - 1))))
            a, b = ops.take(out, wrap(low), axis=axis), ops.take(out, wrap(high), axis=axis)
            out = ops.add(a, ops.multiply(ops.subtract(b, a), share))
        return out
    raise ArgumentError(f"interpolate: mode is 'nearest', 'linear', 'bilinear' or 'trilinear'; got {mode!r}.")


# --- normalisation ------------------------------------------------------------------------------------
def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """``input / max(norm, eps)`` with the norm over ``dim``."""
    from lamina.compat.torch.functions import norm

    return ops.divide(input, ops.maximum(norm(input, p, dim, True), eps))


def _scaled(x: Any, mean: Any, variance: Any, eps: float, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    out = ops.multiply(ops.subtract(x, mean), ops.rsqrt(ops.add(variance, eps)))
    out = out if weight is None else ops.multiply(out, ops.reshape(weight, shape))
    return out if bias is None else ops.add(out, ops.reshape(bias, shape))


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel (dimension 1) shifted and scaled to mean 0 and variance 1, then ``* weight + bias``.

    In training the statistics are those of the batch, and the running ones (if any) move by ``momentum`` towards
    them; the variance that they keep is the unbiased one.
    """
    axes = tuple(i for i in range(len(input.shape)) if i != 1)
    shape = tuple(n if i == 1 else 1 for i, n in enumerate(input.shape))
    if not training and running_mean is not None:
        mean, variance = ops.reshape(running_mean, shape), ops.reshape(running_var, shape)
        return _scaled(input, mean, variance, eps, weight, bias, shape)
    count = int(np.prod([input.shape[a] for a in axes]))
    if count <= 1:
        raise ArgumentError(f"batch_norm: more than 1 value per channel is needed in training; got {input.shape}.")
    mean, variance = ops.mean(input, axis=axes, keepdims=True), ops.var(input, axis=axes, keepdims=True)
    if running_mean is not None:
        for running, now in ((running_mean, mean), (running_var, ops.multiply(variance, count / (count - 1)))):
            flat = wrap(ops.reshape(now, tuple(running.shape))._data)
            old = wrap(ops.as_tensor(running)._data)
            running._set(ops.add(ops.multiply(old, 1 - momentum), ops.multiply(flat, momentum)))
    return _scaled(input, mean, variance, eps, weight, bias, shape)


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """The last dimensions shifted and scaled to mean 0 and variance 1, then ``* weight + bias``."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(f"layer_norm: the input of shape {tuple(input.shape)} does not end in {shape}.")
    axes = tuple(range(-len(shape), 0))
    mean, variance = ops.mean(input, axis=axes, keepdims=True), ops.var(input, axis=axes, keepdims=True)
    return _scaled(input, mean, variance, eps, weight, bias, shape)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Groups of channels shifted and scaled to mean 0 and variance 1, then ``* weight + bias``."""
    channels = input.shape[1]
    if channels % num_groups:
        raise ArgumentError(f"group_norm: {channels} channels do not divide into {num_groups} groups.")
    wide = ops.astype(input, "float32") if input.dtype.itemsize < 4 else input
    return ops.astype(group_normalized(wide, 1, num_groups, weight, bias, eps), input.dtype)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each sample shifted and scaled to mean 0 and variance 1, then ``* weight + bias``."""
    if running_mean is not None:
        raise ArgumentError("instance_norm keeps no running statistics here.")
    return group_norm(input, input.shape[1], weight, bias, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """``x / (k + alpha * mean)**beta`` with the mean of the squares of ``size`` neighbouring channels."""
    widths = [(0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (len(input.shape) - 2)]
    squares, channels = ops.pad(ops.square(input), widths), input.shape[1]
    total = sum((squares[:, i : i + channels] for i in range(1, size)), squares[:, :channels])
    return ops.divide(input, ops.pow(ops.add(ops.multiply(total, alpha / size), k), beta))


# --- dropout ------------------------------------------------------------------------------------------
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element 0 with probability ``p``, else divided by ``1 - p``."""
    return random.dropout(input, p) if training else input


def _channel_dropout(input: Any, p: float, training: bool, rank: int) -> Any:
    if not training:
        return input
    keep = len(input.shape) - rank
    return random.dropout(input, p, noise_shape=(*input.shape[:keep], *(1,) * rank))


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (batch, channels, length) 0."""
    return _channel_dropout(input, p, training, 1)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (batch, channels, height, width) 0."""
    return _channel_dropout(input, p, training, 2)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Whole channels of (batch, channels, depth, height, width) 0."""
    return _channel_dropout(input, p, training, 3)


# --- activations --------------------------------------------------------------------------------------
relu6, selu, mish, softsign = _nn.relu6, _nn.selu, _nn.mish, _nn.softsign
tanhshrink, logsigmoid = _nn.tanh_shrink, _nn.log_sigmoid
hardsigmoid, hardswish = _nn.hard_sigmoid, _nn.hard_silu


def silu(input: Any, inplace: bool = False) -> Any:
    """``x * sigmoid(x)``."""
    return _nn.silu(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` where it is positive, else ``negative_slope * x``."""
    return _nn.leaky_relu(input, negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """``x`` where it is positive, else ``weight * x``, with one weight for all or one for each channel."""
    if weight.shape[0] != 1:
        weight = ops.reshape(weight, (-1, *(1,) * (len(input.shape) - 2)))
    return ops.where(ops.greater(input, 0), input, ops.multiply(weight, input))


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""
    return _nn.elu(input, alpha)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``."""
    return _nn.celu(input, alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """``x * Phi(x)``; with ``approximate="tanh"`` by a formula with tanh."""
    return _nn.gelu(input, approximate=approximate == "tanh")


def glu(input: Any, dim: int = -1) -> Any:
    """The first half along ``dim`` times the sigmoid of the second."""
    a, b = ops.split(input, 2, axis=dim)
    return ops.multiply(a, ops.sigmoid(b))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` limited to ``[min_val, max_val]``."""
    return ops.clip(input, min_val, max_val)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 where ``|x| <= lambd``, else ``x``."""
    return _nn.hard_shrink(input, lambd)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """``x`` moved towards 0 by ``lambd``, and 0 within."""
    return _nn.soft_shrink(input, lambd)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """``log(1 + exp(beta * x)) / beta``."""
    return _nn.softplus(input) if beta == 1 else ops.divide(_nn.softplus(ops.multiply(input, beta)), beta)


def softmax2d(input: Any) -> Any:
    """``softmax`` over the channels of (batch, channels, height, width)."""
    return softmax(input, -3)


def softmin(input: Any, dim: int | None = None) -> Any:
    """``softmax(-x)``."""
    return softmax(ops.negative(input), dim)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """``x`` where it is above the threshold, else ``value``."""
    return _nn.threshold(input, threshold, value)


# --- distances ------------------------------------------------------------------------------------------
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """``x1 . x2 / (|x1| |x2|)`` over ``dim``."""
    from lamina.compat.torch.functions import norm

    lengths = [ops.maximum(norm(x, 2, dim), eps) for x in (x1, x2)]
    return ops.divide(ops.sum(ops.multiply(x1, x2), axis=dim), ops.multiply(*lengths))


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The norm of ``x1 - x2 + eps`` over the last dimension."""
    from lamina.compat.torch.functions import norm

    return norm(ops.add(ops.subtract(x1, x2), eps), p, -1, keepdim)
