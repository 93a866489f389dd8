"""Functions of tensors under PyTorch's names: elementwise, comparisons, reductions, products.

Most are Lamina's own, with ``dim`` and ``keepdim`` in place of ``axis`` and ``keepdims``.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from lamina import nn as _nn
from lamina import ops
from lamina.compat.torch.tensor import Tensor, as_torch, give_methods, numpy_names
from lamina.core import dtypes
from lamina.core.errors import ArgumentError
from lamina.ops import linalg as _linalg
from lamina.ops.elementwise import floating_operands
from lamina.tensor import Tensor as _Tensor
from lamina.tensor import Variable


class Extremum(NamedTuple):
    """What ``max``, ``min``, ``sort`` and the like return along a dimension."""

    values: Any
    indices: Any


# --- elementwise ------------------------------------------------------------------------------------
abs = absolute = ops.abs
acos = arccos = ops.acos
asin = arcsin = ops.asin
atan = arctan = ops.atan
atan2 = arctan2 = ops.atan2
ceil = ops.ceil
cos, cosh = ops.cos, ops.cosh
digamma = ops.digamma
erf = ops.erf
exp, exp2, expm1 = ops.exp, ops.exp2, ops.expm1
floor = ops.floor
hypot = ops.hypot
isfinite, isinf, isnan = ops.isfinite, ops.isinf, ops.isnan
lgamma = ops.lgamma
log, log10, log1p, log2 = ops.log, ops.log10, ops.log1p, ops.log2
logaddexp = ops.logaddexp
logical_and, logical_not, logical_or, logical_xor = ops.logical_and, ops.logical_not, ops.logical_or, ops.logical_xor
maximum, minimum = ops.maximum, ops.minimum
neg = negative = ops.negative
positive = ops.positive
pow = ops.pow
reciprocal = ops.reciprocal
relu = ops.relu
remainder = ops.remainder
rsqrt = ops.rsqrt
sigmoid = ops.sigmoid
sign = ops.sign
sin, sinh = ops.sin, ops.sinh
sqrt, square = ops.sqrt, ops.square
tan, tanh = ops.tan, ops.tanh
trunc = fix = ops.trunc

eq, ne, lt, le, gt, ge = ops.equal, ops.not_equal, ops.less, ops.less_equal, ops.greater, ops.greater_equal
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
bitwise_and, bitwise_or, bitwise_xor = ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor
bitwise_not = ops.bitwise_invert
nan_to_num = ops.nan_to_num


def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``."""
    return ops.add(input, other if alpha == 1 else ops.multiply(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input - alpha * other``."""
    return ops.subtract(input, other if alpha == 1 else ops.multiply(other, alpha))


mul = multiply = ops.multiply
subtract = sub


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """``input / other``; with ``rounding_mode`` ``"floor"`` or ``"trunc"`` rounded that way."""
    if rounding_mode is None:
        return ops.divide(input, other)
    if rounding_mode == "floor":
        return ops.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ArgumentError(f"rounding_mode is None, 'floor' or 'trunc'; got {rounding_mode!r}.")
    whole = ops.trunc(ops.divide(*floating_operands(input, other)))
    return ops.astype(whole, dtypes.promote(_dtype(input), _dtype(other)))


divide = true_divide = div


def _dtype(x: Any) -> Any:
    return ops.as_tensor(x).dtype


def floor_divide(input: Any, other: Any) -> Any:
    """``floor(input / other)``."""
    return ops.floor_divide(input, other)


def round(input: Any, *, decimals: int = 0) -> Any:
    """Rounded to so many decimals; halves go to the even neighbour."""
    return ops.round(input, decimals)


def fmod(input: Any, other: Any) -> Any:
    """The remainder of a division, with the sign of ``input``."""
    return sub(input, ops.multiply(div(input, other, rounding_mode="trunc"), other))


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """``input`` limited to ``[min, max]``."""
    return ops.clip(input, min, max)


clip = clamp


def clamp_min(input: Any, min: Any) -> Any:
    """``max(input, min)``."""
    return ops.maximum(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """``min(input, max)``."""
    return ops.minimum(input, max)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    return ops.add(input, ops.multiply(ops.multiply(tensor1, tensor2), value))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 / tensor2``."""
    return ops.add(input, ops.multiply(ops.divide(tensor1, tensor2), value))


def diff(input: Any, n: int = 1, dim: int = -1) -> Any:
    """Differences of neighbours along ``dim``, ``n`` times."""
    for _ in range(n):
        x = ops.moveaxis(input, dim, -1)
        input = ops.moveaxis(ops.subtract(x[..., 1:], x[..., :-1]), -1, dim)
    return input


def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The value below which a share ``q`` of the elements lies, between neighbours by a line."""
    data = np.asarray(input)
    return as_torch(np.asarray(np.quantile(data, np.asarray(q), dim, keepdims=keepdim)).astype(data.dtype))


def searchsorted(sorted_sequence: Any, input: Any, *, right: bool = False) -> Any:
    """Where elements would go in a sorted vector."""
    return as_torch(ops.searchsorted(sorted_sequence, input, side="right" if right else "left"))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; alone, the indices where it holds."""
    if input is None:
        return tuple(as_torch(i) for i in ops.nonzero(condition))
    return ops.where(condition, input, other)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return ops.add(input, ops.multiply(ops.subtract(end, input), weight))


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where ``|input - other| <= atol + rtol * |other|``."""
    return as_torch(np.isclose(np.asarray(input), np.asarray(other), rtol, atol, equal_nan))


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether ``isclose`` holds everywhere."""
    return bool(np.allclose(np.asarray(input), np.asarray(other), rtol, atol, equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same numbers."""
    return bool(np.array_equal(np.asarray(input), np.asarray(other)))


# --- reductions -------------------------------------------------------------------------------------
def _axis(dim: Any) -> Any:
    """All dimensions for ``None`` and for an empty list."""
    return (
        None
        if dim is None or (isinstance(dim, list | tuple) and not dim)
        else (tuple(dim) if isinstance(dim, list) else dim)
    )


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over ``dim``, all of them by default; of bools and integers as int64."""
    x = ops.as_tensor(input)
    if dtype is not None or not dtypes.is_float(x.dtype):
        x = ops.astype(x, dtype or np.int64)
    return ops.sum(x, axis=_axis(dim), keepdims=keepdim)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over ``dim``."""
    x = ops.as_tensor(input) if dtype is None else ops.astype(input, dtype)
    if not dtypes.is_float(x.dtype):
        raise ArgumentError(f"mean() takes floating-point numbers; the tensor is {x.dtype}. Call .float() first.")
    return ops.mean(x, axis=_axis(dim), keepdims=keepdim)


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product over ``dim``."""
    x = ops.as_tensor(input)
    if dtype is not None or not dtypes.is_float(x.dtype):
        x = ops.astype(x, dtype or np.int64)
    return ops.prod(x, axis=dim, keepdims=keepdim)


def _deviation(name: str, input: Any, dim: Any, unbiased: Any, correction: Any, keepdim: bool) -> Any:
    if isinstance(dim, bool):  # std(unbiased)
        dim, unbiased = None, dim
    correction = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    return getattr(ops, name)(input, axis=_axis(dim), correction=correction, keepdims=keepdim)


def var(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance over ``dim``, divided by one less than the count unless ``correction`` or ``unbiased`` say else."""
    return _deviation("var", input, dim, unbiased, correction, keepdim)


def std(input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The root of ``var``."""
    return _deviation("std", input, dim, unbiased, correction, keepdim)


def _extremum(name: str, input: Any, dim: Any, keepdim: bool) -> Any:
    x = ops.as_tensor(input)
    if dim is None:
        return getattr(ops, name)(x)
    if not isinstance(dim, int | np.integer):
        return (maximum if name == "max" else minimum)(x, dim)
    indices = getattr(ops, f"arg{name}")(x, axis=int(dim), keepdims=True)
    values = ops.take_along_axis(x, indices, axis=int(dim))
    if not keepdim:
        values, indices = ops.squeeze(values, axis=int(dim)), ops.squeeze(indices, axis=int(dim))
    return Extremum(values, indices)


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along ``dim`` also where it is; with another tensor, elementwise."""
    return _extremum("max", input, dim, keepdim)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along ``dim`` also where it is; with another tensor, elementwise."""
    return _extremum("min", input, dim, keepdim)


def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element over ``dim``."""
    return ops.max(input, axis=_axis(dim), keepdims=keepdim)


def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element over ``dim``."""
    return ops.min(input, axis=_axis(dim), keepdims=keepdim)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the largest element is."""
    return ops.argmax(input, axis=dim, keepdims=keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the smallest element is."""
    return ops.argmin(input, axis=dim, keepdims=keepdim)


def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements over ``dim`` are true."""
    return ops.all(input, axis=_axis(dim), keepdims=keepdim)


def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element over ``dim`` is true."""
    return ops.any(input, axis=_axis(dim), keepdims=keepdim)


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """``log(sum(exp(input)))`` over ``dim``."""
    return ops.logsumexp(input, axis=_axis(dim), keepdims=keepdim)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements over ``dim`` are not 0."""
    return ops.count_nonzero(input, axis=_axis(dim))


def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """``(sum |x|^p)^(1/p)`` over ``dim``, all of them by default."""
    x = ops.as_tensor(input)
    order = 2 if p in ("fro", None) else p
    if dim is None:
        x, dim = ops.reshape(x, (-1,)), 0
    if order == 2:
        return ops.sqrt(ops.sum(ops.square(x), axis=_axis(dim), keepdims=keepdim))
    return _linalg.vector_norm(x, ord=order, axis=_axis(dim), keepdims=keepdim)


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two); along ``dim`` also where it is."""
    x = ops.as_tensor(input)
    if dim is None:
        return ops.sort(ops.reshape(x, (-1,)))[(builtins.max(x.size, 1) - 1) // 2]
    order = ops.argsort(x, axis=dim)
    middle = ops.take(order, ops.as_tensor([(x.shape[dim] - 1) // 2]), axis=dim)
    values = ops.take_along_axis(x, middle, axis=dim)
    return Extremum(values, middle) if keepdim else Extremum(ops.squeeze(values, dim), ops.squeeze(middle, dim))


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running sums along ``dim``."""
    return ops.cumulative_sum(input, axis=dim, dtype=dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running products along ``dim``."""
    return ops.cumulative_prod(input, axis=dim, dtype=dtype)


def softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """``exp(x) / sum(exp(x))`` over ``dim``."""
    return _nn.softmax(input if dtype is None else ops.astype(input, dtype), axis=_soft_axis(input, dim))


def log_softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """The logarithm of ``softmax``."""
    return _nn.log_softmax(input if dtype is None else ops.astype(input, dtype), axis=_soft_axis(input, dim))


def _soft_axis(input: Any, dim: int | None) -> int:
    """PyTorch's guess where no dimension is given."""
    return (0 if len(input.shape) in (0, 1, 3) else 1) if dim is None else dim


# --- order ------------------------------------------------------------------------------------------
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The sorted elements along ``dim``, and where they were."""
    order = ops.argsort(input, axis=dim, descending=descending)
    return Extremum(ops.take_along_axis(input, order, axis=dim), order)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices that sort along ``dim``."""
    return ops.argsort(input, axis=dim, descending=descending)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The ``k`` largest (or smallest) elements along ``dim``, and where they are."""
    if largest:
        return Extremum(*ops.top_k(input, k, axis=dim))
    order = ops.take(ops.argsort(input, axis=dim), ops.as_tensor(np.arange(k)), axis=dim)
    return Extremum(ops.take_along_axis(input, order, axis=dim), order)


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different elements in order, if wanted with where each came from and how often."""
    wanted: dict[str, Any] = {"return_inverse": return_inverse, "return_counts": return_counts}
    found: Any = np.unique(np.asarray(input), axis=dim, **wanted)
    return tuple(as_torch(f) for f in found) if isinstance(found, tuple) else as_torch(found)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, ... occurs."""
    return as_torch(np.bincount(np.asarray(input), None if weights is None else np.asarray(weights), minlength))


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of ``bins`` equal ranges."""
    values = np.asarray(input)
    limits = (values.min(), values.max()) if min == max == 0 else (min, max)
    return as_torch(np.histogram(values, bins, limits)[0].astype(values.dtype))


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: one row for each."""
    found = np.nonzero(np.asarray(input))
    return tuple(as_torch(f) for f in found) if as_tuple else as_torch(np.stack(found, -1).astype(np.int64))


# --- products ---------------------------------------------------------------------------------------
matmul = ops.matmul
einsum = ops.einsum
outer = ger = ops.outer
tensordot = ops.tensordot


def _of_ranks(name: str, x: Any, y: Any, ranks: tuple[int, int]) -> Any:
    a, b = ops.as_tensor(x), ops.as_tensor(y)
    if (a.ndim, b.ndim) != ranks:
        raise ArgumentError(f"{name} takes tensors of {ranks[0]} and {ranks[1]} dimensions; got {a.shape}, {b.shape}.")
    return ops.matmul(a, b)


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices."""
    return _of_ranks("mm", input, mat2, (2, 2))


def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices."""
    return _of_ranks("bmm", input, mat2, (3, 3))


def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector."""
    return _of_ranks("mv", input, vec, (2, 1))


def dot(input: Any, other: Any) -> Any:
    """The sum of the products of two vectors' elements."""
    return _of_ranks("dot", input, other, (1, 1))


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    return ops.add(ops.multiply(input, beta), ops.multiply(mm(mat1, mat2), alpha))


def det(input: Any) -> Any:
    """The determinant."""
    return _linalg.det(input)


def inverse(input: Any) -> Any:
    """The inverse of a matrix."""
    return _linalg.inv(input)


def trace(input: Any) -> Any:
    """The sum of the diagonal."""
    return _linalg.trace(input)


def cross(input: Any, other: Any, dim: int = -1) -> Any:
    """The cross product of vectors of three elements."""
    return _linalg.cross(input, other, axis=dim)


def cdist(x1: Any, x2: Any, p: float = 2.0) -> Any:
    """Distances between all rows of one matrix and all rows of another."""
    return norm(ops.subtract(ops.expand_dims(x1, -2), ops.expand_dims(x2, -3)), p, -1)


# --- tests ------------------------------------------------------------------------------------------
def is_tensor(obj: Any) -> bool:
    """Whether this is a tensor (a parameter is one)."""
    return isinstance(obj, _Tensor | Variable)


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a floating-point one."""
    return dtypes.is_float(input.dtype)


def numel(input: Any) -> int:
    """The number of elements."""
    return int(np.prod(tuple(input.shape), dtype=np.int64))


_SAME = (  # functions that are methods, too, with the tensor first
    "addcdiv addcmul clamp_max clamp_min diff quantile "
    "abs absolute acos add addmm all allclose amax amin any arccos arcsin arctan argmax argmin argsort asin atan "
    "atan2 bincount bitwise_and bitwise_not bitwise_or bitwise_xor bmm ceil clamp clip cos cosh count_nonzero "
    "cross cumprod cumsum det digamma div divide dot eq equal erf exp exp2 expm1 fix floor floor_divide fmod ge "
    "greater gt histc inverse isclose isfinite isinf isnan is_floating_point le lerp less lgamma log log10 log1p "
    "log2 log_softmax logaddexp logical_and logical_not logical_or logical_xor logsumexp lt matmul max maximum "
    "mean median min minimum mm mul multiply mv nan_to_num ne neg negative nonzero norm numel outer positive pow "
    "prod reciprocal relu remainder round rsqrt sigmoid sign sin sinh softmax sort sqrt square std sub subtract "
    "sum tan tanh topk trace trunc unique var"
)
_IN_PLACE = (  # those that are methods with an underscore, too
    "addcdiv addcmul lerp clamp_max clamp_min "
    "abs add addmm ceil clamp clip cos div divide exp floor log mul multiply neg pow reciprocal relu remainder "
    "round rsqrt sigmoid sin sqrt square sub subtract tanh trunc"
)
_OVER_DIMENSIONS = (
    "sum mean prod var std max min amax amin argmax argmin all any logsumexp count_nonzero norm median cumsum cumprod "
    "softmax log_softmax sort argsort topk"
)
for _name in _OVER_DIMENSIONS.split():
    globals()[_name] = numpy_names(globals()[_name])
give_methods({n: globals()[n] for n in _SAME.split()}, {n: globals()[n] for n in _IN_PLACE.split()})
Tensor.nelement = numel  # type: ignore[attr-defined]
