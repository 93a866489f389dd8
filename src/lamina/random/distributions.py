"""Distributions that are made of several draws: gamma, beta, binomial.

They run in a fixed number of rounds, so that compiled functions can draw from them, too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError
from lamina.ops.creation import as_shape
from lamina.tensor import Tensor

_ROUNDS = 12  # a candidate of the gamma distribution is refused at most once in twenty times


def _float(dtype: Any) -> np.dtype[Any]:
    found = dtypes.DEFAULT_FLOAT if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_float(found):
        raise DTypeError(f"These random numbers are floats; got dtype {found}.")
    return found


def _keys(key: Any, count: int) -> Any:
    from lamina import random

    return random.split(random.default_generator() if key is None else _as_key(key), count)


def _as_key(key: Any) -> Any:
    from lamina import random

    return random.key(int(key)) if isinstance(key, int | np.integer) and not isinstance(key, bool) else key


def gamma(shape: Any = (), alpha: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Gamma numbers of shape parameter ``alpha`` and scale 1: density ``x**(alpha - 1) exp(-x) / Gamma(alpha)``.

    Args:
        shape: shape of the result.
        alpha: above 0, a number or a tensor that broadcasts to ``shape``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> x = lamina.random.gamma((10000,), 3.0, key=0)
        >>> round(x.mean().item(), 1)
        3.0

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
    """
    from lamina import random

    dtype = _float(dtype)
    shape = as_shape(shape)
    made = dtype if dtype.itemsize > 2 else dtypes.float32
    alpha = ops.broadcast_to(ops.astype(ops.as_tensor(alpha), made), shape)
    keys = _keys(key, 3)
    small = ops.less(alpha, 1)
    raised = ops.where(small, ops.add(alpha, 1), alpha)
    d = ops.subtract(raised, 1 / 3)
    c = ops.divide(1 / 3, ops.sqrt(d))
    # All proposals at once, and of those the first that is taken: a graph as small as that of one.
    z = random.normal((_ROUNDS, *shape), dtype=made, key=keys[0])
    u = random.uniform((_ROUNDS, *shape), dtype=made, key=keys[1])
    v = ops.pow(ops.add(1, ops.multiply(c, z)), 3)
    positive = ops.greater(v, 0)
    safe = ops.where(positive, v, 1)
    bound = ops.add(ops.multiply(ops.square(z), 0.5), ops.multiply(d, ops.add(ops.subtract(1, safe), ops.log(safe))))
    taken = ops.logical_and(positive, ops.less(ops.log(u), bound))
    first = ops.argmax(ops.astype(taken, "int32"), axis=0, keepdims=True)
    found = ops.multiply(d, ops.take_along_axis(safe, first, axis=0)[0])
    u = ops.subtract(1, random.uniform(shape, dtype=made, key=keys[2]))
    power = ops.pow(u, ops.divide(1, ops.where(small, alpha, 1)))
    return ops.astype(ops.where(small, ops.multiply(found, power), found), dtype)


def beta(shape: Any = (), alpha: Any = 1.0, beta: Any = 1.0, dtype: Any = None, key: Any = None) -> Tensor:
    """Beta numbers, between 0 and 1: ``x / (x + y)`` for gamma numbers ``x`` of ``alpha`` and ``y`` of ``beta``.

    Args:
        shape: shape of the result.
        alpha, beta: above 0, numbers or tensors that broadcast to ``shape``.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> x = lamina.random.beta((1000,), 2.0, 5.0)
        >>> bool(lamina.all((x >= 0) & (x <= 1)))
        True
    """
    dtype = _float(dtype)
    made = dtype if dtype.itemsize > 2 else dtypes.float32
    keys = _keys(key, 2)
    x, y = gamma(shape, alpha, made, keys[0]), gamma(shape, beta, made, keys[1])
    return ops.astype(ops.divide_no_nan(x, ops.add(x, y)), dtype)


def binomial(shape: Any = (), counts: Any = 1, probabilities: Any = 0.5, dtype: Any = None, key: Any = None) -> Tensor:
    """How many of ``counts`` independent trials succeed, each with a probability.

    Many trials are halved at the median of their uniform numbers, a beta number, until few are left, which
    are made one by one.

    Args:
        shape: shape of the result.
        counts: whole numbers, not negative; a number or a tensor that broadcasts to ``shape``.
        probabilities: from 0 to 1, likewise.
        dtype: a float dtype; default float32.
        key: see ``lamina.random``.

    Example:
        >>> import lamina
        >>> lamina.random.binomial((3,), 10, 1.0).tolist()
        [10.0, 10.0, 10.0]

    Source: Devroye, "Non-Uniform Random Variate Generation", 1986, X.4.3.
    """
    from lamina import random

    dtype = _float(dtype)
    shape = as_shape(shape)
    n = ops.as_tensor(counts)
    if not n.is_symbolic and n.size and float(np.min(n._data)) < 0:
        raise ArgumentError("binomial: counts are not negative.")
    most = 2.0**24 if n.is_symbolic or not n.size else float(np.max(n._data))
    rounds = max(0, math.ceil(math.log2(max(most, 1) / 15)))
    keys = _keys(key, rounds + 1)
    n = ops.broadcast_to(ops.astype(n, dtypes.float32), shape)
    p = ops.broadcast_to(ops.astype(ops.as_tensor(probabilities), dtypes.float32), shape)
    found = ops.zeros(shape)
    for i in range(rounds):
        many = ops.greater(n, 15)
        a = ops.add(ops.floor(ops.divide(n, 2)), 1)
        b = ops.subtract(ops.add(n, 1), a)
        y = beta(shape, ops.where(many, a, 1), ops.where(many, b, 1), key=keys[i])
        below = ops.less_equal(y, p)
        rest = ops.where(below, ops.divide_no_nan(ops.subtract(p, y), ops.subtract(1, y)), ops.divide_no_nan(p, y))
        found = ops.where(ops.logical_and(many, below), ops.add(found, a), found)
        n = ops.where(many, ops.subtract(ops.where(below, b, a), 1), n)
        p = ops.where(many, ops.clip(rest, 0, 1), p)
    trials = random.uniform((15, *shape), key=keys[rounds])
    number = ops.reshape(ops.arange(15, dtype="float32"), (15, *(1,) * len(shape)))
    hits = ops.logical_and(ops.less(trials, p), ops.less(number, n))
    return ops.astype(ops.add(found, ops.sum(ops.astype(hits, dtypes.float32), axis=0)), dtype)
