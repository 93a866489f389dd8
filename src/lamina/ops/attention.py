"""Scaled dot-product attention: a primitive whose compiled form streams over the keys.

The weights ``softmax(scale * Q K^T + mask)`` are a matrix of queries by keys for every head.  Compiled
code never stores it: the forward keeps two numbers for each query (the largest score, and the sum of
the exponentials below it), from which the gradient computes the weights anew, block by block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Attention
from lamina.core.primitive import Primitive, Spec, bind, ndarray
from lamina.ops.creation import as_tensor
from lamina.ops.elementwise import floating
from lamina.ops.shape import size_of

# Shapes throughout: q (*lead, H, T, d), k (*lead, G, S, d), v (*lead, G, S, e), where H is a multiple of
# G: query head h reads the keys and values of head h // (H / G).  The mask has the rank of q; its sizes
# are 1 or those of (*lead, H, T, S).


# --- the NumPy meaning ----------------------------------------------------------------------------
def _by_group(x: ndarray, groups: int) -> ndarray:
    """(*lead, H, T, n) as (*lead, G, H / G * T, n): the query heads of a group one below the other."""
    return x.reshape(*x.shape[:-3], groups, x.shape[-3] // groups * x.shape[-2], x.shape[-1])


def _scores(q: ndarray, k: ndarray, mask: ndarray | None, causal: bool, scale: float) -> ndarray:
    """``scale * Q K^T + mask``, with -inf where a query may not look: (*lead, H, T, S)."""
    product = np.matmul(_by_group(q, k.shape[-3]), np.swapaxes(k, -1, -2))
    scores = product.reshape(*q.shape[:-1], k.shape[-2]) * q.dtype.type(scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = np.where(_visible(*scores.shape[-2:]), scores, -np.inf)
    return scores.astype(q.dtype, copy=False)


def _visible(queries: int, keys: int) -> ndarray:
    """Query i sees the keys up to i."""
    return np.arange(keys) <= np.arange(queries)[:, None]


def _attention_numpy(q: ndarray, k: ndarray, v: ndarray, *rest: ndarray, causal: bool, scale: float) -> Any:
    if q.dtype.itemsize == 2:  # half precision computes in float32
        wide = [x.astype(np.float32) if x.dtype == q.dtype else x for x in (q, k, v, *rest)]
        out, maximum, total = _attention_numpy(*wide, causal=causal, scale=scale)
        return out.astype(q.dtype), maximum, total
    scores = _scores(q, k, rest[0] if rest else None, causal, scale)
    maximum = scores.max(-1, initial=np.finfo(q.dtype).min)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - maximum[..., None])
    total = weights.sum(-1, dtype=q.dtype)
    out = np.matmul(_by_group(weights, k.shape[-3]), v).reshape(*q.shape[:-1], v.shape[-1])
    return out / np.where(total == 0, 1, total)[..., None], maximum, total


def _gradient_numpy(
    q: ndarray, k: ndarray, v: ndarray, out: ndarray, maximum: ndarray, total: ndarray, ct: ndarray, *rest: ndarray,
    causal: bool, scale: float,
) -> Any:  # fmt: skip
    dtype, groups = q.dtype, k.shape[-3]
    if dtype.itemsize == 2:
        wide = [x.astype(np.float32) if x.dtype == dtype else x for x in (q, k, v, out, maximum, total, ct, *rest)]
        return tuple(x.astype(dtype) for x in _gradient_numpy(*wide, causal=causal, scale=scale))
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.exp(_scores(q, k, rest[0] if rest else None, causal, scale) - maximum[..., None])
        weights *= np.where(total == 0, 0, 1 / total)[..., None]
    weights = _by_group(weights, groups)
    ct, out, rows = _by_group(ct, groups), _by_group(out, groups), _by_group(q, groups)
    slopes = np.matmul(ct, np.swapaxes(v, -1, -2)) - (ct * out).sum(-1, keepdims=True)
    slopes *= weights * dtype.type(scale)
    return (
        np.matmul(slopes, k).reshape(q.shape),
        np.matmul(np.swapaxes(slopes, -1, -2), rows),
        np.matmul(np.swapaxes(weights, -1, -2), ct),
    )


# --- shapes ---------------------------------------------------------------------------------------
def _stats_dtype(dtype: Any) -> Any:
    return dtype if dtype.itemsize > 2 else dtypes.float32


def _attention_shape(q: Any, k: Any, v: Any, *rest: Any, causal: bool, scale: float) -> list[Spec]:
    for what, x in (("key", k), ("value", v), *(("mask", m) for m in rest)):
        if len(x.shape) != len(q.shape) or len(q.shape) < 3:
            raise ShapeError(f"attention: query has shape {q.shape}, so {what} has as many sizes; got {x.shape}.")
    fits = k.shape[:-3] == q.shape[:-3] and k.shape[-1] == q.shape[-1] and v.shape[:-1] == k.shape[:-1]
    if not fits or k.shape[-3] == 0 or q.shape[-3] % k.shape[-3]:
        raise ShapeError(f"attention: query {q.shape}, key {k.shape} and value {v.shape} do not fit.")
    full = (*q.shape[:-1], k.shape[-2])
    if any(n not in (1, m) for mask in rest for n, m in zip(mask.shape, full, strict=True)):
        raise ShapeError(f"attention: the mask has shape {rest[0].shape}, which does not broadcast to {full}.")
    stats = Spec(tuple(q.shape[:-1]), _stats_dtype(q.dtype))
    return [Spec((*q.shape[:-1], v.shape[-1]), q.dtype), stats, stats]


def _gradient_shape(q: Any, k: Any, v: Any, *rest: Any, causal: bool, scale: float) -> list[Spec]:
    return [Spec(tuple(x.shape), x.dtype) for x in (q, k, v)]


# --- gradients ------------------------------------------------------------------------------------
def _t(x: Any) -> Any:
    return ops.matrix_transpose(x)


def _grouped(x: Any, groups: int) -> Any:
    """(*lead, H, T, n) as (*lead, G, H / G, T, n)."""
    return ops.reshape(x, (*x.shape[:-3], groups, x.shape[-3] // groups, *x.shape[-2:]))


def _ungrouped(x: Any) -> Any:
    return ops.reshape(x, (*x.shape[:-4], x.shape[-4] * x.shape[-3], *x.shape[-2:]))


class _Composite:
    """Attention written in ops, with all weights in memory: what second derivatives are made of."""

    def __init__(self, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float) -> None:
        self.groups, self.scale = k.shape[-3], scale
        self.q = _grouped(q, self.groups)
        self.k, self.v = ops.expand_dims(k, -3), ops.expand_dims(v, -3)
        self.p = _grouped(attention_weights(q, k, mask, causal, scale), self.groups)

    def per_key(self, x: Any) -> Any:
        """The sum over the query heads of each group, whose cotangents for keys and values add up."""
        return ops.sum(x, axis=-3)

    def softmax_gradient(self, ct: Any) -> Any:
        """The cotangent of the scores for one of the weights."""
        inner = ops.sum(ops.multiply(self.p, ct), axis=-1, keepdims=True)
        return ops.multiply(self.p, ops.subtract(ct, inner))


def _mask_gradient(ct: Any, out: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float) -> Any:
    """The cotangent of an additive mask: that of the scores, added up where the mask was broadcast."""
    c = _Composite(q, k, v, mask, causal, scale)
    scores = c.softmax_gradient(ops.matmul(_grouped(ct, c.groups), _t(c.v)))
    return _sum_to(_ungrouped(scores), mask.shape)


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    axes = tuple(i for i, (n, m) in enumerate(zip(shape, x.shape, strict=True)) if n != m)
    return ops.sum(x, axis=axes, keepdims=True) if axes else x


def _attention_vjp(cts: Any, outs: Any, q: Any, k: Any, v: Any, *rest: Any, causal: bool, scale: float) -> Any:
    ct, (out, maximum, total) = cts[0], outs
    grads = bind(ATTENTION_GRADIENT, q, k, v, out, maximum, total, ct, *rest, causal=causal, scale=scale)
    if rest and dtypes.is_float(rest[0].dtype):
        return (*grads, lambda: _mask_gradient(ct, out, q, k, v, rest[0], causal, scale))
    return (*grads, *(None for _ in rest))


def _gradient_vjp(
    cts: Any, outs: Any, q: Any, k: Any, v: Any, out: Any, maximum: Any, total: Any, ct: Any, *rest: Any,
    causal: bool, scale: float,
) -> Any:  # fmt: skip
    """``out`` and the two statistics are taken as functions of q, k, v and the mask.

    With ``S`` the scores, ``P`` the weights, ``O'`` the cotangent ``ct`` and ``P' = O' V^T``, the gradients are
    ``dQ = scale S' K``, ``dK = scale S'^T Q``, ``dV = P^T O'`` with ``S' = P (P' - rowsum(P P'))``.
    """
    mask = rest[0] if rest else None
    c = _Composite(q, k, v, mask, causal, scale)
    ct = _grouped(ct, c.groups)
    slopes = ops.matmul(ct, _t(c.v))  # P'
    inner = ops.sum(ops.multiply(c.p, slopes), axis=-1, keepdims=True)
    ds = ops.multiply(c.p, ops.subtract(slopes, inner))  # S'
    of_q = None if cts[0] is None else _grouped(cts[0], c.groups)
    of_k, of_v = (None if x is None else ops.expand_dims(x, -3) for x in cts[1:])
    gq = gk = gv = gct = to_p = None
    to_ds = None  # the cotangent of S'
    if of_q is not None:
        to_ds = ops.multiply(ops.matmul(of_q, _t(c.k)), scale)
        gk = c.per_key(ops.multiply(ops.matmul(_t(ds), of_q), scale))
    if of_k is not None:
        more = ops.multiply(ops.matmul(c.q, _t(of_k)), scale)
        to_ds = more if to_ds is None else ops.add(to_ds, more)
        gq = ops.multiply(ops.matmul(ds, of_k), scale)
    if of_v is not None:
        to_p = ops.matmul(ct, _t(of_v))
        gct = ops.matmul(c.p, of_v)
    if to_ds is not None:
        mean = ops.sum(ops.multiply(c.p, to_ds), axis=-1, keepdims=True)
        centred = ops.subtract(to_ds, mean)
        more = ops.subtract(ops.multiply(slopes, centred), ops.multiply(inner, to_ds))
        to_p = more if to_p is None else ops.add(to_p, more)
        to_slopes = ops.multiply(c.p, centred)
        more = ops.matmul(to_slopes, c.v)
        gct = more if gct is None else ops.add(gct, more)
        gv = c.per_key(ops.matmul(_t(to_slopes), ct))
    to_scores = c.softmax_gradient(to_p)
    more = ops.multiply(ops.matmul(to_scores, c.k), scale)
    gq = _ungrouped(more if gq is None else ops.add(gq, more))
    more = c.per_key(ops.multiply(ops.matmul(_t(to_scores), c.q), scale))
    gk = more if gk is None else ops.add(gk, more)
    masks = []
    if mask is not None:
        masks = [_sum_to(_ungrouped(to_scores), mask.shape) if dtypes.is_float(mask.dtype) else None]
    return (gq, gk, gv, None, None, None, _ungrouped(gct), *masks)


def _flops(node: Any, products: int) -> int:
    """Of the products alone; half of them where each query sees half of the keys."""
    q, k, v = node.inputs[:3]
    share = 2 if node.params["causal"] else 1
    return products * size_of(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1]) // share


ATTENTION = Primitive(
    "attention",
    shape=_attention_shape,
    numpy=_attention_numpy,
    vjp=_attention_vjp,
    native=Attention(gradient=False, flops=lambda node: _flops(node, 2)),
)

ATTENTION_GRADIENT = Primitive(
    "attention_gradient",
    shape=_gradient_shape,
    numpy=_gradient_numpy,
    vjp=_gradient_vjp,
    native=Attention(gradient=True, flops=lambda node: _flops(node, 5)),
)


# --- arguments ------------------------------------------------------------------------------------
def _broadcast_lead(x: Any, lead: tuple[int, ...]) -> Any:
    if tuple(x.shape[: len(lead)]) == lead:
        return x
    return ops.broadcast_to(x, (*lead, *x.shape[-3:]))


def _checked(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """The operands in one dtype, with leading dimensions of equal sizes and at least one of them (heads)."""
    given = [floating("scaled_dot_product_attention", x) for x in (query, key, value)]
    common = dtypes.promote(dtypes.promote(given[0].dtype, given[1].dtype), given[2].dtype)
    q, k, v = (x if x.dtype == common else ops.astype(x, common) for x in given)
    shapes = f"query {q.shape}, key {k.shape}, value {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2 or not q.ndim == k.ndim == v.ndim:
        raise ShapeError(
            f"scaled_dot_product_attention takes tensors (..., steps, size) of one rank of at least 2; got {shapes}."
        )
    if k.shape[-1] != q.shape[-1]:
        raise ShapeError(f"scaled_dot_product_attention: query and key have vectors of one size; got {shapes}.")
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(f"scaled_dot_product_attention: there is one value for each key; got {shapes}.")
    if q.ndim == 2:
        q, k, v = (ops.expand_dims(x, 0) for x in (q, k, v))
    heads, groups = q.shape[-3], k.shape[-3]
    if v.shape[-3] != groups or (heads != groups and (q.ndim < 4 or groups == 0 or heads % groups)):
        raise ShapeError(
            "scaled_dot_product_attention: the heads of key and value are as many as those of query, or (for tensors "
            f"of shape (..., heads, steps, size)) a divisor of them, each for a group of queries; got {shapes}."
        )
    try:
        lead = np.broadcast_shapes(q.shape[:-3], k.shape[:-3], v.shape[:-3])
    except ValueError:
        raise ShapeError(f"scaled_dot_product_attention: leading sizes do not broadcast: {shapes}.") from None
    q, k, v = (_broadcast_lead(x, lead) for x in (q, k, v))
    return q, k, v


def _checked_mask(mask: Any, q: Any, k: Any) -> Any:
    """The mask with the rank of the query, bool or in the query's dtype."""
    mask = as_tensor(mask)
    full = (*q.shape[:-1], k.shape[-2])
    if mask.ndim > len(full) or any(n not in (1, m) for n, m in zip(mask.shape[::-1], full[::-1], strict=False)):
        raise ShapeError(
            f"scaled_dot_product_attention: a mask broadcasts to (..., heads, queries, keys) = {full}; "
            f"got {mask.shape}."
        )
    if not dtypes.is_bool(mask.dtype):
        if not dtypes.is_float(mask.dtype):
            raise DTypeError(
                "scaled_dot_product_attention: a mask is bool (True: may be attended to) or floating-point (added to "
                f"the scores); got {mask.dtype}. Compare it with 0 first: mask != 0."
            )
        mask = ops.astype(mask, q.dtype)
    return ops.reshape(mask, (1,) * (len(full) - mask.ndim) + tuple(mask.shape))


def _checked_scale(scale: Any, q: Any) -> float:
    if scale is None:
        return 1 / math.sqrt(max(q.shape[-1], 1))
    if isinstance(scale, bool) or not isinstance(scale, int | float | np.number):
        raise ArgumentError(f"scaled_dot_product_attention: scale is a number or None; got {scale!r}.")
    return float(scale)


# --- functions ------------------------------------------------------------------------------------
def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, mask: Any = None, causal: bool = False, scale: float | None = None
) -> Any:
    """``softmax(scale * query @ key^T + mask) @ value``: the values, weighted by how well each key fits the query.

    Compiled, memory grows with the number of queries and keys, not with their product.

    Args:
        query: shape (..., heads, queries, size); also (batch, queries, size) or (queries, size).
        key: shape (..., heads, keys, size).  With four or more dimensions it may have fewer heads than
            the query, a divisor of them: then each serves a group of neighbouring query heads.
        value: shape (..., heads, keys, value size), with as many heads as ``key``.
        mask: bool, ``True`` where a query may attend to a key, or floating-point numbers that are added to
            the scaled scores.  Broadcasts to (..., heads, queries, keys); for padding pass
            (batch, 1, 1, keys).
        causal: query ``i`` attends to the keys 0 to ``i`` only.
        scale: factor of the scores; default ``1 / sqrt(size)``.

    Returns:
        Shape (..., heads, queries, value size).  A query that may attend to nothing gets zeros.

    Raises:
        ShapeError: the shapes do not fit.
        DTypeError: the mask is neither bool nor floating-point.

    Example:
        >>> import lamina
        >>> q = lamina.tensor([[1.0, 0.0]])
        >>> k = lamina.tensor([[9.0, 0.0], [0.0, 9.0]])
        >>> v = lamina.tensor([[1.0], [2.0]])
        >>> lamina.nn.scaled_dot_product_attention(q, k, v).numpy().round(3)
        array([[1.002]], dtype=float32)

    Source: Vaswani et al., "Attention is all you need" (2017).  The compiled form follows Milakov and
    Gimelshein, "Online normalizer calculation for softmax" (2018), and Dao et al., "FlashAttention" (2022).
    """
    rank = as_tensor(query).ndim
    q, k, v = _checked(query, key, value)
    rest = () if mask is None else (_checked_mask(mask, q, k),)
    out = bind(ATTENTION, q, k, v, *rest, causal=bool(causal), scale=_checked_scale(scale, q))[0]
    return ops.squeeze(out, 0) if rank == 2 else out


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
) -> Any:
    """``scaled_dot_product_attention`` of heads beside each other, with Keras's and JAX's names.

    Args:
        query: shape (batch, queries, heads, size).
        key: shape (batch, keys, heads, size); fewer heads each serve a group of query heads.
        value: shape (batch, keys, heads, value size).
        bias: numbers to add to the scores; broadcasts to (batch, heads, queries, keys).
        mask: bool, ``True`` where a query may attend to a key; broadcasts likewise.
        scale: factor of the scores; default ``1 / sqrt(size)``.
        is_causal: query ``i`` attends to the keys 0 to ``i`` only.

    Returns:
        Shape (batch, queries, heads, value size).

    Example:
        >>> import lamina
        >>> q = lamina.ones((2, 5, 4, 8))
        >>> lamina.nn.dot_product_attention(q, q, q, is_causal=True).shape
        (2, 5, 4, 8)
    """
    q, k, v = (as_tensor(x) for x in (query, key, value))
    if not q.ndim == k.ndim == v.ndim == 4:
        raise ShapeError(
            "dot_product_attention takes tensors of shape (batch, steps, heads, size); got "
            f"query {q.shape}, key {k.shape}, value {v.shape}."
        )
    if bias is not None:
        bias = floating("dot_product_attention", bias)
        mask = bias if mask is None else ops.where(mask, bias, -math.inf)
    q, k, v = (ops.permute_dims(x, (0, 2, 1, 3)) for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, mask, causal=is_causal, scale=scale)
    return ops.permute_dims(out, (0, 2, 1, 3))


def attention_weights(
    query: Any, key: Any, mask: Any = None, causal: bool = False, scale: float | None = None
) -> Any:
    """``softmax(scale * query @ key^T + mask)``: what ``scaled_dot_product_attention`` weights the values with.

    It holds all weights, so memory grows with queries times keys.

    Args:
        query: shape (..., heads, queries, size).
        key: shape (..., heads, keys, size).
        mask: as for ``scaled_dot_product_attention``, like the arguments after it.
        causal: query ``i`` attends to the keys 0 to ``i`` only.
        scale: factor of the scores; default ``1 / sqrt(size)``.

    Returns:
        Shape (..., heads, queries, keys).  The weights of a query sum to 1, or are all 0 where it may
        attend to nothing.

    Example:
        >>> import lamina
        >>> lamina.nn.attention_weights([[0.0]], [[1.0], [2.0]]).numpy()
        array([[0.5, 0.5]], dtype=float32)
    """
    rank = as_tensor(query).ndim
    q, k, _ = _checked(query, key, key)
    factor = _checked_scale(scale, q)
    scores = ops.multiply(_ungrouped(ops.matmul(_grouped(q, k.shape[-3]), _t(ops.expand_dims(k, -3)))), factor)
    weights = masked_softmax(scores, None if mask is None else _checked_mask(mask, q, k), causal)
    return ops.squeeze(weights, 0) if rank == 2 else weights


def masked_softmax(scores: Any, mask: Any = None, causal: bool = False) -> Any:
    """Softmax over the last axis of what a mask leaves; rows of which it leaves nothing are 0.

    Args:
        scores: shape (..., queries, keys).
        mask: bool, or floating-point numbers to add; broadcasts to the scores.
        causal: query ``i`` sees the keys 0 to ``i`` only.
    """
    if mask is not None:
        scores = ops.where(mask, scores, -math.inf) if dtypes.is_bool(mask.dtype) else ops.add(scores, mask)
    if causal:
        queries, keys = (ops.arange(n, dtype=dtypes.int32) for n in scores.shape[-2:])  # no array in compiled code
        scores = ops.where(ops.less_equal(keys, ops.expand_dims(queries, 1)), scores, -math.inf)
    if mask is None:
        return ops.nn.softmax(scores)
    lowest = float(np.finfo(scores.dtype if scores.dtype.itemsize > 2 else np.float32).min)
    top = ops.stop_gradient(ops.maximum(ops.max(scores, axis=-1, keepdims=True), lowest))
    exponentials = ops.exp(ops.subtract(scores, top))
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    return ops.divide(exponentials, ops.where(ops.equal(total, 0), 1, total))
