"""``torch.nn.init``: first values of parameters, set in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops, random
from lamina.compat.torch.autograd import no_grad
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import wrap


def _set(tensor: Any, value: Any) -> Any:
    with no_grad():
        tensor._set(value)
    return tensor


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor by which a layer's weights grow for the activation that follows."""
    gains = {"relu": math.sqrt(2.0), "tanh": 5 / 3, "selu": 3 / 4, "sigmoid": 1.0, "linear": 1.0}
    if nonlinearity in gains:
        return gains[nonlinearity]
    if nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    raise ArgumentError(f"There is no gain for {nonlinearity!r}; known: leaky_relu, {', '.join(gains)}.")


def _calculate_fan_in_and_fan_out(tensor: Any) -> tuple[int, int]:
    shape = tuple(tensor.shape)
    if len(shape) < 2:
        raise ShapeError(f"Fans are those of a tensor of two or more dimensions; got shape {shape}.")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def uniform_(tensor: Any, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Any:
    """Uniform numbers from ``a`` to ``b``."""
    return _set(tensor, random.uniform(tuple(tensor.shape), a, b, tensor.dtype, key=generator))


def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Any:
    """Normal numbers."""
    return _set(tensor, random.normal(tuple(tensor.shape), mean, std, tensor.dtype, key=generator))


def trunc_normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Any:
    """Normal numbers that lie from ``a`` to ``b``."""
    low, high = [0.5 * (1 + math.erf((limit - mean) / std / math.sqrt(2))) for limit in (a, b)]
    share = np.asarray(random.uniform(tuple(tensor.shape), low, high, "float64", key=generator))
    from statistics import NormalDist

    inverse = np.vectorize(NormalDist().inv_cdf, otypes=[np.float64])
    values = inverse(np.clip(share, 1e-12, 1 - 1e-12)) if share.size else share
    return _set(tensor, wrap(np.clip(values * std + mean, a, b).astype(tensor.dtype)))


def constant_(tensor: Any, val: float) -> Any:
    """One number everywhere."""
    return _set(tensor, ops.full(tuple(tensor.shape), val, tensor.dtype))


def ones_(tensor: Any) -> Any:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Any) -> Any:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Any) -> Any:
    """Ones on the diagonal of a matrix."""
    return _set(tensor, ops.eye(tensor.shape[0], tensor.shape[1], dtype=tensor.dtype))


def xavier_uniform_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Uniform within ``gain * sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio, 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """Normal with a deviation of ``gain * sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio, 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor))), generator)


def _kaiming_deviation(tensor: Any, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode is 'fan_in' or 'fan_out'; got {mode!r}.")
    fan = _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Uniform within ``gain * sqrt(3 / fan)`` (He et al., 2015)."""
    bound = math.sqrt(3.0) * _kaiming_deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Any, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Any:
    """Normal with a deviation of ``gain / sqrt(fan)`` (He et al., 2015)."""
    return normal_(tensor, 0.0, _kaiming_deviation(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Any, gain: float = 1.0, generator: Any = None) -> Any:
    """A matrix (the first dimension by the rest) with orthogonal rows or columns of length ``gain``."""
    shape = tuple(tensor.shape)
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = np.asarray(random.normal((max(rows, columns), min(rows, columns)), dtype="float64", key=generator))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r))
    return _set(tensor, wrap((gain * (q if rows >= columns else q.T)).reshape(shape).astype(tensor.dtype)))


def sparse_(tensor: Any, sparsity: float, std: float = 0.01, generator: Any = None) -> Any:
    """Normal numbers, of which a share ``sparsity`` of each column is 0."""
    rows, columns = tensor.shape
    values = np.array(random.normal((rows, columns), 0.0, std, tensor.dtype, key=generator))
    order = np.argsort(np.asarray(random.uniform((rows, columns), key=generator)), axis=0)
    np.put_along_axis(values, order[: math.ceil(sparsity * rows)], 0.0, axis=0)
    return _set(tensor, wrap(values))
