"""Functions of ``keras.ops`` for networks, linear algebra and signals, in Keras's arguments."""

from __future__ import annotations

import warnings
from typing import Any

from lamina import config, ops
from lamina import linalg as _linalg
from lamina import nn as _nn
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.losses import alignment
from lamina.ops import nn as _functions
from lamina.ops import patches


# --- convolution and pooling --------------------------------------------------------------------------------
def _format(data_format: str | None) -> str:
    return data_format or config.image_data_format()


def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """See ``lamina.nn.conv``."""
    return _nn.conv(inputs, kernel, strides, _lower(padding), dilation_rate, data_format=_format(data_format))


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """See ``lamina.nn.depthwise_conv``."""
    return _nn.depthwise_conv(inputs, kernel, strides, _lower(padding), dilation_rate, _format(data_format))


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """A depthwise convolution and a mixing of channels."""
    data_format = _format(data_format)
    x = _nn.depthwise_conv(inputs, depthwise_kernel, strides, _lower(padding), dilation_rate, data_format)
    return _nn.conv(x, pointwise_kernel, 1, "valid", data_format=data_format)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """See ``lamina.nn.conv_transpose``."""
    return _nn.conv_transpose(
        inputs, kernel, strides, _lower(padding), output_padding, dilation_rate, _format(data_format)
    )


def _lower(padding: Any) -> Any:
    return padding.lower() if isinstance(padding, str) else padding


def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """See ``lamina.nn.max_pool``."""
    return _nn.max_pool(inputs, pool_size, strides, _lower(padding), _format(data_format))


def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """See ``lamina.nn.average_pool``."""
    return _nn.average_pool(inputs, pool_size, strides, _lower(padding), _format(data_format))


def adaptive_max_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """See ``lamina.nn.adaptive_max_pool``."""
    return _nn.adaptive_max_pool(inputs, output_size, _format(data_format))


def adaptive_average_pool(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
    """See ``lamina.nn.adaptive_average_pool``."""
    return _nn.adaptive_average_pool(inputs, output_size, _format(data_format))


def _channels_last(function: Any, x: Any, block_size: int, data_format: str) -> Any:
    if block_size < 2:
        raise ArgumentError(f"`block_size` must be at least 2. Received: block_size={block_size}")
    if data_format == "channels_first":
        return ops.moveaxis(function(ops.moveaxis(x, 1, -1), block_size), -1, 1)
    return function(x, block_size)


def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """See ``lamina.ops.patches.depth_to_space``."""
    return _channels_last(patches.depth_to_space, x, block_size, data_format)


def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """See ``lamina.ops.patches.space_to_depth``."""
    return _channels_last(patches.space_to_depth, x, block_size, data_format)


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """See ``lamina.nn.dot_product_attention``."""
    for name, x in (("query", query), ("key", key), ("value", value)):
        if len(x.shape) != 4:
            raise ShapeError(
                "`dot_product_attention` only supports 4D inputs. "
                f"Received: query.shape={query.shape}, key.shape={key.shape}, value.shape={value.shape} ({name})."
            )
    return _nn.dot_product_attention(query, key, value, bias, mask, scale, is_causal)


# --- classes -------------------------------------------------------------------------------------------------
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """See ``lamina.one_hot``."""
    x = ops.as_tensor(x)
    if not dtypes.is_integer(x.dtype):
        x = ops.astype(x, "int32")
    return ops.one_hot(x, num_classes, dtype or config.floatx(), axis)


def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False, **kwargs: Any
) -> Any:
    """Ones at the classes that occur along the last axis of the inputs."""
    classes = kwargs.pop("num_tokens", num_classes)
    if classes is None:
        raise ArgumentError("Argument `num_classes` must be specified.")
    hot = one_hot(inputs, classes, axis, dtype)
    rank = len(ops.as_tensor(inputs).shape)
    return ops.max(hot, axis=1 if rank > 1 else 0)


def softmax(x: Any, axis: Any = -1) -> Any:
    """See ``lamina.nn.softmax``."""
    return _functions.softmax(x, tuple(axis) if isinstance(axis, list) else axis)


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """See ``lamina.nn.log_softmax``."""
    return _functions.log_softmax(x, tuple(axis) if isinstance(axis, list) else axis)


def _targets(target: Any, output: Any) -> tuple[Any, Any]:
    target, output = ops.as_tensor(target), ops.elementwise.floating("output", output)
    if target.shape != output.shape:
        raise ShapeError(
            "Arguments `target` and `output` must have the same shape. "
            f"Received: target.shape={target.shape}, output.shape={output.shape}"
        )
    return ops.astype(target, output.dtype), output


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The cross-entropy of each element."""
    target, output = _targets(target, output)
    if from_logits:
        return _functions.binary_cross_entropy_with_logits(target, output)
    p = ops.clip(output, config.epsilon(), 1.0 - config.epsilon())
    apart = ops.multiply(ops.subtract(1, target), ops.log(ops.subtract(1, p)))
    return ops.negative(ops.add(ops.multiply(target, ops.log(p)), apart))


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return _functions.log_softmax(output, axis)
    p = ops.divide(output, ops.sum(output, axis=axis, keepdims=True))
    return ops.log(ops.clip(p, config.epsilon(), 1.0 - config.epsilon()))


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross-entropy of distributions along an axis."""
    target, output = _targets(target, output)
    if output.ndim < 1:
        raise ShapeError(
            "Arguments `target` and `output` must be at least rank 1. "
            f"Received: target.shape={target.shape}, output.shape={output.shape}"
        )
    log_p = _log_probabilities(output, from_logits, axis)
    return ops.negative(ops.sum(ops.multiply(target, log_p), axis=axis))


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross-entropy of classes given by number."""
    target, output = ops.as_tensor(target), ops.elementwise.floating("output", output)
    if output.ndim < 1:
        raise ShapeError(f"Argument `output` must be at least rank 1. Received: output.shape={output.shape}")
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = ops.squeeze(target, -1)
    place = ops.shape.normalize_axis("sparse_categorical_crossentropy", axis, output.ndim)
    rest = tuple(n for d, n in enumerate(output.shape) if d != place)
    if target.shape != rest:
        raise ShapeError(
            "Arguments `target` and `output` must have the same shape up until the last dimension: "
            f"target.shape={target.shape}, output.shape={output.shape}"
        )
    log_p = _log_probabilities(output, from_logits, axis)
    hot = ops.one_hot(ops.astype(target, "int32"), output.shape[place], log_p.dtype, axis=place)
    return ops.negative(ops.sum(ops.multiply(hot, log_p), axis=place))


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """See ``lamina.losses.alignment.ctc_loss``."""
    target, output = ops.as_tensor(target), ops.as_tensor(output)
    if target.ndim != 2:
        raise ShapeError(
            f"Targets `target` are expected to be a tensor of shape `(batch_size, max_length)` in integer format. "
            f"Received: target.shape={target.shape}"
        )
    if output.ndim != 3:
        raise ShapeError(
            "Logits `output` are expected to be a tensor of shape `(batch_size, max_length, num_classes)`. "
            f"Received: output.shape={output.shape}"
        )
    if dtypes.is_float(output.dtype) and output.dtype.itemsize == 2:
        output = ops.astype(output, dtypes.float32)
    return alignment.ctc_loss(target, output, target_length, output_length, mask_index)


def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Whether each target is among the ``k`` largest predictions."""
    predictions = ops.as_tensor(predictions)
    targets = ops.astype(ops.as_tensor(targets), "int32")
    own = ops.take_along_axis(predictions, ops.expand_dims(targets, -1), axis=-1)
    larger = ops.sum(ops.astype(ops.greater(predictions, own), "int32"), axis=-1)
    return ops.logical_and(ops.less(larger, k), ops.isfinite(ops.squeeze(own, -1)))


def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """See ``lamina.top_k``."""
    return ops.top_k(x, k, sorted=sorted)


# --- activations that keep integers -----------------------------------------------------------------------------
def relu6(x: Any) -> Any:
    """``min(max(x, 0), 6)``; of integers in their dtype."""
    x = ops.as_tensor(x)
    return ops.clip(x, 0, 6) if dtypes.is_integer(x.dtype) else _nn.relu6(x)


def hard_tanh(x: Any) -> Any:
    """``min(max(x, -1), 1)``; of signed integers in their dtype."""
    x = ops.as_tensor(x)
    return ops.clip(x, -1, 1) if x.dtype.kind == "i" else _nn.hard_tanh(x)


# --- normalising ------------------------------------------------------------------------------------------------
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None, **kwargs: Any
) -> Any:
    """See ``lamina.ops.normalization.layer_normalization``."""
    if kwargs.pop("rms_scaling", False):
        warnings.warn(
            "You passed `rms_scaling=True`, which is deprecated: use rms_normalization.", UserWarning, stacklevel=3
        )
        x = ops.elementwise.floating("layer_normalization", x)
        variance = ops.var(x, axis=axis, keepdims=True)
        scale = ops.rsqrt(ops.add(variance, config.epsilon() if epsilon is None else epsilon))
        return ops.multiply(ops.multiply(x, scale), 1 if gamma is None else gamma)
    return ops.normalization.layer_normalization(x, gamma, beta, axis, config.epsilon() if epsilon is None else epsilon)


def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """See ``lamina.moments``."""
    return ops.moments(x, tuple(axes) if isinstance(axes, list) else axes, keepdims)


# --- activations ------------------------------------------------------------------------------------------------
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """See ``lamina.nn.threshold``."""
    return _functions.threshold(x, threshold, default_value)


# --- linear algebra ---------------------------------------------------------------------------------------------
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """See ``lamina.linalg.norm``."""
    return _linalg.norm(x, ord, tuple(axis) if isinstance(axis, list) else axis, keepdims)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """See ``lamina.linalg.svd``."""
    return tuple(_linalg.svd(x, full_matrices)) if compute_uv else _linalg.svdvals(x)


def qr(x: Any, mode: str = "reduced") -> Any:
    """See ``lamina.linalg.qr``."""
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"`mode` argument value not supported. Expected one of {{'reduced', 'complete'}}: {mode}")
    return tuple(_linalg.qr(x, mode))


def eigh(x: Any) -> Any:
    """See ``lamina.linalg.eigh``."""
    return tuple(_linalg.eigh(x))


def slogdet(x: Any) -> Any:
    """See ``lamina.linalg.slogdet``."""
    return tuple(_linalg.slogdet(x))


def logdet(x: Any) -> Any:
    """The logarithm of the determinant of a positive-definite matrix."""
    return _linalg.slogdet(x).logabsdet


def pinv(x: Any, rcond: float | None = None) -> Any:
    """See ``lamina.linalg.pinv``."""
    return _linalg.pinv(x, rcond)


def matrix_rank(x: Any, tol: float | None = None) -> Any:
    """See ``lamina.linalg.matrix_rank``; ``tol`` is absolute."""
    if tol is None:
        return _linalg.matrix_rank(x)
    return ops.count_nonzero(ops.greater(_linalg.svdvals(x), tol), axis=-1)


def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """See ``lamina.linalg.lstsq``."""
    return _linalg.lstsq(a, b, rcond)


def solve(a: Any, b: Any) -> Any:
    """See ``lamina.linalg.solve``; also vectors, one for each matrix of a stack."""
    a, b = ops.elementwise.floating_operands(a, b)
    _one_more(a, b, "solve")
    if b.ndim == a.ndim - 1 and b.ndim > 1:
        return ops.squeeze(_linalg.solve(a, ops.expand_dims(b, -1)), -1)
    return _linalg.solve(a, b)


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """See ``lamina.linalg.solve_triangular``."""
    a, b = ops.elementwise.floating_operands(a, b)
    _one_more(a, b, "solve_triangular")
    if b.ndim == a.ndim - 1:
        return ops.squeeze(_linalg.solve_triangular(a, ops.expand_dims(b, -1), lower), -1)
    return _linalg.solve_triangular(a, b, lower)


def _one_more(a: Any, b: Any, name: str) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"{name} takes square matrices; got shape {a.shape}.")
    if b.ndim not in (a.ndim, a.ndim - 1) or b.shape[b.ndim - 1 if b.ndim == a.ndim - 1 else -2] != a.shape[-1]:
        raise ShapeError(f"Incompatible shapes between `a` {a.shape} and `b` {b.shape}.")


def cdist(x: Any, y: Any) -> Any:
    """Euclidean distances between the rows of two matrices (or stacks of them)."""
    x, y = ops.elementwise.floating_operands(x, y)
    gap = ops.subtract(ops.expand_dims(x, -2), ops.expand_dims(y, -3))
    return _linalg.vector_norm(gap, axis=-1)
