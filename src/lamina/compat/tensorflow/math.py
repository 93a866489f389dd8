"""``tf.math``: elementwise functions, reductions, running sums, and what ``tf`` itself has of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from lamina import nn as _nn
from lamina import ops as _ops
from lamina.compat.tensorflow._convert import axes, binary, convert_to_tensor, matched, static, unary
from lamina.core import dtypes as _dtypes
from lamina.core.errors import ArgumentError

# --- elementwise ------------------------------------------------------------------------------------
abs = unary(_ops.abs)
acos = unary(_ops.acos)
acosh = unary(_ops.acosh)
asin = unary(_ops.asin)
asinh = unary(_ops.asinh)
atan = unary(_ops.atan)
atanh = unary(_ops.atanh)
ceil = unary(_ops.ceil)
cos = unary(_ops.cos)
cosh = unary(_ops.cosh)
digamma = unary(_ops.digamma)
erf = unary(_ops.erf)
erfc = unary(_ops.erfc)
erfinv = unary(_ops.erfinv)
exp = unary(_ops.exp)
expm1 = unary(_ops.expm1)
floor = unary(_ops.floor)
is_finite = unary(_ops.isfinite)
is_inf = unary(_ops.isinf)
is_nan = unary(_ops.isnan)
lgamma = unary(_ops.lgamma)
log = unary(_ops.log)
log1p = unary(_ops.log1p)
log_sigmoid = unary(_nn.log_sigmoid)
logical_not = unary(_ops.logical_not)
negative = unary(_ops.negative)
reciprocal = unary(_ops.reciprocal)
rint = unary(_ops.round)
round = unary(_ops.round)
rsqrt = unary(_ops.rsqrt)
sigmoid = unary(_nn.sigmoid)
sign = unary(_ops.sign)
sin = unary(_ops.sin)
sinh = unary(_ops.sinh)
softplus = unary(_nn.softplus)
softsign = unary(_nn.softsign)
sqrt = unary(_ops.sqrt)
square = unary(_ops.square)
tan = unary(_ops.tan)
tanh = unary(_ops.tanh)

add = binary(_ops.add)
atan2 = binary(_ops.atan2)
equal = binary(_ops.equal)
floordiv = binary(_ops.floor_divide)
floormod = mod = binary(_ops.remainder)
greater = binary(_ops.greater)
greater_equal = binary(_ops.greater_equal)
less = binary(_ops.less)
less_equal = binary(_ops.less_equal)
logical_and = binary(_ops.logical_and)
logical_or = binary(_ops.logical_or)
logical_xor = binary(_ops.logical_xor)
maximum = binary(_ops.maximum)
minimum = binary(_ops.minimum)
multiply = binary(_ops.multiply)
nextafter = binary(_ops.nextafter)
not_equal = binary(_ops.not_equal)
pow = binary(_ops.pow)
subtract = binary(_ops.subtract)


def truediv(x: Any, y: Any, name: str | None = None) -> Any:
    """``x / y``; integers of up to 16 bits divide in float32, wider ones in float64."""
    x, y = matched(x, y)
    if not _dtypes.is_float(x.dtype) and not _dtypes.is_float(y.dtype):
        wide = _dtypes.float32 if max(x.dtype.itemsize, y.dtype.itemsize) <= 2 else _dtypes.float64
        x, y = _ops.astype(x, wide), _ops.astype(y, wide)
    return _ops.divide(x, y)


divide = truediv


def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """``x / y``, and 0 where ``y`` is 0."""
    x, y = matched(x, y)
    zero = _ops.equal(y, 0)
    return _ops.where(zero, 0, truediv(x, _ops.where(zero, 1, y)))


def multiply_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """``x * y``, and 0 where ``y`` is 0, whatever ``x`` is."""
    x, y = matched(x, y)
    return _ops.where(_ops.equal(y, 0), 0, _ops.multiply(x, y))


def truncatediv(x: Any, y: Any, name: str | None = None) -> Any:
    """The quotient of integers, rounded towards zero."""
    x, y = matched(x, y)
    quotient = _ops.floor_divide(_ops.abs(x), _ops.abs(y))
    return _ops.multiply(quotient, _ops.multiply(_ops.sign(x), _ops.sign(y)))


def truncatemod(x: Any, y: Any, name: str | None = None) -> Any:
    """What ``truncatediv`` leaves: it has the sign of ``x``."""
    x, y = matched(x, y)
    return _ops.subtract(x, _ops.multiply(truncatediv(x, y), y))


def squared_difference(x: Any, y: Any, name: str | None = None) -> Any:
    """``(x - y) ** 2``."""
    return _ops.square(_ops.subtract(*matched(x, y)))


def xlogy(x: Any, y: Any, name: str | None = None) -> Any:
    """``x * log(y)``, and 0 where ``x`` is 0."""
    x, y = matched(x, y)
    zero = _ops.equal(x, 0)
    return _ops.where(zero, 0, _ops.multiply(x, _ops.log(_ops.where(zero, 1, y))))


def xdivy(x: Any, y: Any, name: str | None = None) -> Any:
    """``x / y``, and 0 where ``x`` is 0."""
    x, y = matched(x, y)
    zero = _ops.equal(x, 0)
    return _ops.where(zero, 0, _ops.divide(x, _ops.where(zero, 1, y)))


def xlog1py(x: Any, y: Any, name: str | None = None) -> Any:
    """``x * log(1 + y)``, and 0 where ``x`` is 0."""
    x, y = matched(x, y)
    zero = _ops.equal(x, 0)
    return _ops.where(zero, 0, _ops.multiply(x, _ops.log1p(_ops.where(zero, 1, y))))


def reciprocal_no_nan(x: Any, name: str | None = None) -> Any:
    """``1 / x``, and 0 where ``x`` is 0."""
    return divide_no_nan(1.0, x)


def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Any:
    """A number times a tensor."""
    x, scalar = matched(x, scalar)
    return _ops.multiply(scalar, x)


def polygamma(a: Any, x: Any, name: str | None = None) -> Any:
    """The derivative of order ``a`` of the digamma function."""
    return _ops.polygamma(int(static(a)), convert_to_tensor(x))


def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """``exp(x) / sum(exp(x))`` along an axis (default the last)."""
    return _nn.softmax(convert_to_tensor(logits), axis=-1 if axis is None else axis)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """The logarithm of ``softmax``."""
    return _nn.log_softmax(convert_to_tensor(logits), axis=-1 if axis is None else axis)


def add_n(inputs: Any, name: str | None = None) -> Any:
    """The sum of tensors of one shape."""
    values = matched(*(inputs if isinstance(inputs, list | tuple) else [inputs]))
    total = values[0]
    for value in values[1:]:
        total = _ops.add(total, value)
    return total


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Any:
    """The sum of tensors of one shape."""
    return add_n(inputs)


def polyval(coeffs: Any, x: Any, name: str | None = None) -> Any:
    """A polynomial by Horner's rule; ``coeffs`` begins with that of the highest power."""
    *values, x = matched(*coeffs, x)
    total = values[0]
    for value in values[1:]:
        total = _ops.add(_ops.multiply(total, x), value)
    return total


# --- reductions -------------------------------------------------------------------------------------
def _reduction(function: Callable[..., Any], keeps_dtype: bool = False) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        x = convert_to_tensor(input_tensor)
        result = function(x, axis=axes(axis), keepdims=keepdims)
        return _ops.astype(result, x.dtype) if keeps_dtype else result

    return call


reduce_all = _reduction(_ops.all)
reduce_any = _reduction(_ops.any)
reduce_logsumexp = _reduction(_ops.logsumexp)
reduce_max = _reduction(_ops.max)
reduce_min = _reduction(_ops.min)
reduce_prod = _reduction(_ops.prod, keeps_dtype=True)
reduce_std = _reduction(_ops.std)
reduce_sum = _reduction(_ops.sum, keeps_dtype=True)
reduce_variance = _reduction(_ops.var)


def reduce_mean(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The mean over ``axis``; that of integers is an integer, rounded towards zero."""
    x = convert_to_tensor(input_tensor)
    if _dtypes.is_float(x.dtype):
        return _ops.mean(x, axis=axes(axis), keepdims=keepdims)
    total = _ops.sum(x, axis=axes(axis), keepdims=keepdims)
    count = x.size // total.size if total.size else 1
    return _ops.astype(truncatediv(total, count), x.dtype)


def reduce_euclidean_norm(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The root of the sum of squares."""
    x = convert_to_tensor(input_tensor)
    return _ops.sqrt(_ops.sum(_ops.square(x), axis=axes(axis), keepdims=keepdims))


def argmax(input: Any, axis: Any = None, output_type: Any = "int64", name: str | None = None) -> Any:
    """Where the largest element along ``axis`` (default the first) stands."""
    found = _ops.argmax(convert_to_tensor(input), axis=0 if axis is None else static(axis))
    return _ops.astype(found, output_type)


def argmin(input: Any, axis: Any = None, output_type: Any = "int64", name: str | None = None) -> Any:
    """Where the smallest element along ``axis`` (default the first) stands."""
    found = _ops.argmin(convert_to_tensor(input), axis=0 if axis is None else static(axis))
    return _ops.astype(found, output_type)


def count_nonzero(
    input: Any, axis: Any = None, keepdims: bool = False, dtype: Any = "int64", name: str | None = None
) -> Any:
    """How many elements along ``axis`` are not 0."""
    return _ops.astype(_ops.count_nonzero(convert_to_tensor(input), axis=axes(axis), keepdims=keepdims), dtype)


def _running(function: Callable[..., Any], x: Any, axis: Any, exclusive: bool, reverse: bool) -> Any:
    x, axis = convert_to_tensor(x), static(axis)
    x = _ops.flip(x, axis) if reverse else x
    result = function(x, axis=axis, include_initial=exclusive, dtype=x.dtype)
    if exclusive:
        result = _ops.take(result, _ops.arange(x.shape[axis]), axis=axis)
    return _ops.flip(result, axis) if reverse else result


def cumsum(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """Running sums; ``exclusive`` leaves out the element itself, ``reverse`` runs from the end."""
    return _running(_ops.cumulative_sum, x, axis, exclusive, reverse)


def cumprod(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
    """Running products; ``exclusive`` leaves out the element itself, ``reverse`` runs from the end."""
    return _running(_ops.cumulative_prod, x, axis, exclusive, reverse)


# --- counting ---------------------------------------------------------------------------------------
def bincount(
    arr: Any,
    weights: Any = None,
    minlength: Any = None,
    maxlength: Any = None,
    dtype: Any = "int32",
    name: str | None = None,
    axis: int | None = None,
    binary_output: bool = False,
) -> Any:
    """How often each of 0, 1, 2, ... occurs (or whether), or the sum of the weights that stand there.

    Args:
        arr: integers.
        weights: a number for each of them.
        minlength, maxlength: least and greatest size of the result.
        dtype: of the counts.
        name: not used.
        axis: ``None`` counts all, -1 each row on its own.
        binary_output: 1 for what occurs, however often.
    """
    values = convert_to_tensor(arr)
    values = _ops.reshape(values, (-1,) if axis is None else (-1, values.shape[-1]))
    length = int(_ops.max(values)) + 1 if values.size else 0
    length = max(length, static(minlength) or 0)
    length = length if maxlength is None else min(length, static(maxlength))
    hits = _ops.one_hot(values, length, dtype="bool")
    if weights is not None and not binary_output:
        amounts = convert_to_tensor(weights)
        spread = _ops.reshape(amounts, (*values.shape, 1))
        return _ops.astype(_ops.sum(_ops.where(hits, spread, 0), axis=-2), amounts.dtype)
    found = _ops.any(hits, axis=-2) if binary_output else _ops.count_nonzero(hits, axis=-2)
    return _ops.astype(found, dtype)


def confusion_matrix(
    labels: Any,
    predictions: Any,
    num_classes: int | None = None,
    weights: Any = None,
    dtype: Any = "int32",
    name: str | None = None,
) -> Any:
    """How often a label (row) was predicted as each class (column).

    Raises:
        ArgumentError: there is not one prediction for each label.
    """
    labels, predictions = convert_to_tensor(labels), convert_to_tensor(predictions)
    if labels.shape != predictions.shape:
        raise ArgumentError(f"confusion_matrix: {labels.shape} labels and {predictions.shape} predictions.")
    classes = num_classes or int(_ops.max(_ops.stack([_ops.max(labels), _ops.max(predictions)]))) + 1
    cells = _ops.add(_ops.multiply(_ops.astype(labels, "int64"), classes), predictions)
    counts = _ops.bincount(cells, classes * classes, None if weights is None else convert_to_tensor(weights))
    return _ops.astype(_ops.reshape(counts, (classes, classes)), dtype)


def in_top_k(targets: Any, predictions: Any, k: int, name: str | None = None) -> Any:
    """Whether fewer than ``k`` classes have a larger prediction than the target."""
    predictions = convert_to_tensor(predictions)
    own = _ops.take_along_axis(predictions, _ops.expand_dims(convert_to_tensor(targets), -1), axis=-1)
    larger = _ops.count_nonzero(_ops.greater(predictions, own), axis=-1)
    return _ops.logical_and(_ops.less(larger, k), _ops.isfinite(own[..., 0]))


class TopK(NamedTuple):
    """The largest elements, and where they stand."""

    values: Any
    indices: Any


def top_k(input: Any, k: Any = 1, sorted: bool = True, index_type: Any = "int32", name: str | None = None) -> TopK:
    """The ``k`` largest elements of the last axis, and where they stand."""
    values, indices = _ops.top_k(convert_to_tensor(input), static(k))
    return TopK(values, _ops.astype(indices, index_type))


def segment_sum(data: Any, segment_ids: Any, name: str | None = None) -> Any:
    """Sums of the rows that carry the same number; the numbers are in order."""
    ids = convert_to_tensor(segment_ids)
    return _ops.segment_sum(convert_to_tensor(data), ids, int(ids[-1]) + 1)


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    """Sums of the rows that carry the same number."""
    return _ops.segment_sum(convert_to_tensor(data), convert_to_tensor(segment_ids), static(num_segments))


def segment_mean(data: Any, segment_ids: Any, name: str | None = None) -> Any:
    """Means of the rows that carry the same number; the numbers are in order."""
    ids = convert_to_tensor(segment_ids)
    return unsorted_segment_mean(data, ids, int(ids[-1]) + 1)


def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    """Means of the rows that carry the same number."""
    data, ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
    counts = _ops.maximum(_ops.bincount(ids, static(num_segments)), 1)
    counts = _ops.reshape(_ops.astype(counts, data.dtype), (-1, *(1,) * (data.ndim - 1)))
    return truediv(_ops.segment_sum(data, ids, static(num_segments)), counts)


def invert_permutation(x: Any, name: str | None = None) -> Any:
    """Where each of 0, 1, 2, ... stands."""
    x = convert_to_tensor(x)
    return _ops.astype(_ops.argsort(x), x.dtype)


def zero_fraction(value: Any, name: str | None = None) -> Any:
    """The share of zeros."""
    value = convert_to_tensor(value)
    return _ops.mean(_ops.astype(_ops.equal(value, 0), "float32"))


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Any:
    """``x / sqrt(max(sum(x ** 2), epsilon))`` along ``axis``."""
    x = convert_to_tensor(x)
    total = _ops.sum(_ops.square(x), axis=axes(axis), keepdims=True)
    return _ops.multiply(x, _ops.rsqrt(_ops.maximum(total, epsilon)))
