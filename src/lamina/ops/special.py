"""Special functions with NumPy: erf, lgamma and polygamma of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

ndarray = np.ndarray


def _in_double(x: ndarray) -> ndarray:
    return x.astype(np.float64)


def erf(x: ndarray) -> ndarray:
    """The error function, to the precision of the dtype.

    Near 0 the series ``2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (2n+1)!!`` (Abramowitz and Stegun,
    7.1.6), which has no cancellation; beyond, ``1 - erfc`` by the continued fraction 7.1.14.
    """
    # Where the two meet, and the terms that each needs there.
    limit, terms, levels = (2.5, 34, 40) if x.dtype == np.float64 else (2.0, 19, 12)
    wide = _in_double(x)
    size = np.minimum(np.abs(wide), 6.0)  # erf(6) is 1 to double precision
    near = np.minimum(size, limit)
    near_square = near * near
    total = np.ones_like(size)
    for n in range(terms, 0, -1):
        total *= near_square * (2 / (2 * n + 1))
        total += 1
    result = np.exp(-near_square) * (2 / math.sqrt(math.pi)) * near * total
    beyond = size > limit
    if beyond.any():
        far = size[beyond]
        fraction = far
        for n in range(levels, 0, -1):
            fraction = far + (n / 2) / fraction
        result = np.asarray(result)
        result[beyond] = 1 - np.exp(-far * far) / (math.sqrt(math.pi) * fraction)
    return np.copysign(result, wide).astype(x.dtype)


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def lgamma(x: ndarray) -> ndarray:
    """``log|gamma(x)|`` element by element through the C library, which is exact near its zeros."""
    result = np.empty(x.shape, np.float64)
    flat = result.reshape(-1)
    for i, value in enumerate(_in_double(x).reshape(-1).tolist()):
        try:
            flat[i] = math.lgamma(value)
        except (ValueError, OverflowError):  # the poles 0, -1, -2, ... and beyond the largest number
            flat[i] = math.inf
    return result.astype(x.dtype)


def polygamma(order: int, x: ndarray) -> ndarray:
    """The derivative of ``log gamma`` of order ``order + 1``.

    Recurrence up to ``x >= 16`` and the asymptotic series there (Abramowitz and Stegun 6.3.18
    and 6.4.11); reflection for negative arguments.
    """
    wide = _in_double(x)
    with np.errstate(all="ignore"):
        negative = wide <= 0
        z = np.where(negative, 1 - wide, wide)
        result = _polygamma_positive(order, z)
        if negative.any():
            result = np.where(negative, _reflected(order, wide, result), result)
        return result.astype(x.dtype)


def _polygamma_positive(order: int, z: ndarray) -> ndarray:
    total = np.zeros_like(z)
    sign = -1.0 if order == 0 else (-1.0) ** (order + 1) * math.factorial(order)
    for _ in range(16):  # polygamma(z) = polygamma(z + 1) + its step
        low = z < 16
        total += np.where(low, sign * z ** -(order + 1.0), 0)
        z = np.where(low, z + 1, z)
    if order == 0:
        series = np.log(z) - 0.5 / z
        for k, bernoulli in enumerate(_BERNOULLI, 1):
            series -= bernoulli / (2 * k * z ** (2 * k))
        return total + series
    series = math.factorial(order - 1) / z**order + math.factorial(order) / (2 * z ** (order + 1))
    for k, bernoulli in enumerate(_BERNOULLI, 1):
        coefficient = bernoulli * math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        series += coefficient / z ** (2 * k + order)
    return total + (-1.0) ** (order + 1) * series


def _reflected(order: int, x: ndarray, at_reflection: ndarray) -> ndarray:
    """``psi_n(1 - x) + (-1)^(n+1) psi_n(x) = (-1)^n pi d^n/dx^n cot(pi x)``, solved for ``psi_n(x)``."""
    # Derivatives of cot(pi x) are polynomials p in c = cot(pi x): p' = -pi (1 + c^2) dp/dc.
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(order):
        polynomial = -math.pi * polynomial.deriv() * np.polynomial.Polynomial([1.0, 0.0, 1.0])
    fraction = x - np.round(x)
    c: Any = np.cos(math.pi * fraction) / np.sin(math.pi * fraction)
    sign = (-1.0) ** order
    value = sign * at_reflection - math.pi * polynomial(c)
    return np.where(fraction == 0, np.nan if order == 0 else np.inf, value)
