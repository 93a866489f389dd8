"""Weighted sums of a few neighbours along one axis, which is what resizing and adaptive pooling are."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.lowering import Indexed
from lamina.core.primitive import Primitive, Spec, bind, ndarray, wrap


def weighted_sums(x: Any, places: ndarray, weights: ndarray, axis: int) -> Any:
    """``out[..., o, ...] = sum over k of weights[o, k] * x[..., places[o, k], ...]``.

    The gradient is such a sum again, of the outputs that an input counts in: nothing is scattered.

    Args:
        x: tensor of floats; half precision is summed in float32.
        places: integers, ``(out, k)``, from 0; known when a graph is captured.
        weights: numbers of that shape.
        axis: the axis, from 0.
    """
    if x.dtype.itemsize < 4:
        return ops.astype(weighted_sums(ops.astype(x, "float32"), places, weights, axis), x.dtype)
    tables = (*_tables(places, weights, x.dtype), *_tables(*_turned(places, weights, x.shape[axis]), x.dtype))
    return bind(WEIGHTED_SUMS, x, *tables, axis=axis)


def _tables(places: ndarray, weights: ndarray, dtype: Any) -> tuple[Any, Any]:
    return wrap(places.astype(np.int64)), wrap(weights.astype(dtype))


def _turned(places: ndarray, weights: ndarray, n: int) -> tuple[ndarray, ndarray]:
    """For each of ``n`` inputs the outputs that it counts in, and their weights; short rows end in weights of 0."""
    outputs, turns = np.nonzero(weights)
    inputs, values = places[outputs, turns], weights[outputs, turns]
    order = np.argsort(inputs, kind="stable")
    inputs, outputs, values = inputs[order], outputs[order], values[order]
    counts = np.bincount(inputs, minlength=n)
    rank = np.arange(len(inputs)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (n, max(1, int(counts.max(initial=0))))
    back, factors = np.zeros(shape, np.int64), np.zeros(shape)
    back[inputs, rank], factors[inputs, rank] = outputs, values
    return back, factors


def _numpy(x: ndarray, places: ndarray, weights: ndarray, back: ndarray, factors: ndarray, axis: int) -> ndarray:
    shape = [-1 if d == axis else 1 for d in range(x.ndim)]
    total: Any = None
    for k in range(places.shape[1]):
        weight, part = weights[:, k].reshape(shape), np.take(x, places[:, k], axis)
        part = np.multiply(part, weight, out=np.zeros_like(part), where=weight != 0)  # then no infinity counts
        total = part if total is None else total + part
    return total


def _element(c: Any, index: Any, node: Any) -> Any:
    b, axis, total = c.b, node.params["axis"], None
    zero = b.const(0, node.inputs[0].dtype)
    for k in range(node.inputs[1].shape[1]):
        at = [index[axis], index[axis] * 0 + k]
        weight = c.pull(2, at)
        part = c.pull(0, [*index[:axis], c.index(c.pull(1, at)), *index[axis + 1 :]])
        part = b.select(b.eq(weight, zero), zero, b.mul(part, weight))
        total = part if total is None else b.add(total, part)
    return total


def _vjp(ct: Any, out: Any, x: Any, places: Any, weights: Any, back: Any, factors: Any, axis: int) -> tuple[Any, ...]:
    return bind(WEIGHTED_SUMS, ct, back, factors, places, weights, axis=axis), None, None, None, None


WEIGHTED_SUMS = Primitive(
    "weighted_sums",
    shape=lambda x, places, *tables, axis: Spec((*x.shape[:axis], places.shape[0], *x.shape[axis + 1 :]), x.dtype),
    numpy=_numpy,
    vjp=_vjp,
    native=Indexed(_element),
)
