"""Activation functions by name: ``Dense(10, activation="relu")``.

These are the functions of ``lamina.nn`` with Keras's names and defaults.  ``softmax`` and
``sigmoid`` also remember which logits their output was made from, so that a cross-entropy on
that output can be computed from the logits, which does not lose precision near 0 and 1.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from math import inf
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops import nn
from lamina.serialization import Named, is_serialized, registered_name
from lamina.serialization import deserialize as _deserialize
from lamina.serialization import serialize as _serialize
from lamina.tensor import Tensor

_known = Named("activation", "lamina.activations")

# id of an output -> (weak reference to it, how it was made, its logits).  An entry goes with its output.
_made_from: dict[int, tuple[weakref.ref[Tensor], str, Tensor]] = {}


def _remember(output: Tensor, kind: str, logits: Tensor) -> Tensor:
    key = id(output)

    def forget(_: Any) -> None:
        _made_from.pop(key, None)

    _made_from[key] = (weakref.ref(output, forget), kind, logits)
    return output


def logits_of(output: Any, kind: str) -> Tensor | None:
    """The logits that ``softmax`` (along the last axis) or ``sigmoid`` turned into this very Tensor.

    Args:
        output: what a cross-entropy was given as probabilities.
        kind: ``"softmax"`` or ``"sigmoid"``.
    """
    found = _made_from.get(id(output))
    if found is None or found[0]() is not output or found[1] != kind:
        return None
    return found[2]


def linear(x: Any) -> Tensor:
    """``x`` as it is."""
    return ops.as_tensor(x)


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """``max(x, 0)``; with arguments, ``x`` above the threshold, capped, and a slope below.

    Args:
        x: tensor of any shape.
        negative_slope: slope below ``threshold``.
        max_value: the largest value given out, or ``None``.
        threshold: below it the output is ``negative_slope * (x - threshold)``.

    Example:
        >>> import lamina
        >>> lamina.activations.relu([-1.0, 2.0]).tolist()
        [0.0, 2.0]
    """
    x = ops.as_tensor(x)
    if threshold == 0.0 and max_value is None:
        return nn.relu(x) if negative_slope == 0.0 else nn.leaky_relu(x, negative_slope)
    above = ops.where(x > threshold, x, 0.0)
    if max_value is not None:
        above = ops.minimum(above, max_value)
    if negative_slope == 0.0:
        return above
    return ops.where(x > threshold, above, (x - threshold) * negative_slope)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``axis``: probabilities from logits.

    Example:
        >>> import lamina
        >>> lamina.activations.softmax([[0.0, 0.0]]).tolist()
        [[0.5, 0.5]]
    """
    logits = ops.as_tensor(x)
    output = nn.softmax(logits, axis=axis)
    return _remember(output, "softmax", logits) if axis in (-1, logits.ndim - 1) else output


def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + exp(-x))``: a probability from a logit."""
    logits = ops.as_tensor(x)
    return _remember(ops.sigmoid(logits), "sigmoid", logits)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """``x`` where positive, ``negative_slope * x`` elsewhere."""
    return nn.leaky_relu(x, negative_slope)


def relu6(x: Any) -> Tensor:
    """``min(max(x, 0), 6)``."""
    return nn.relu6(x)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` where positive, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al., 2016)."""
    return nn.elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """``max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))`` (Barron, 2017)."""
    return nn.celu(x, alpha)


def selu(x: Any) -> Tensor:
    """``elu`` scaled so that activations keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return nn.selu(x)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """``x * Phi(x)`` with the normal distribution function ``Phi`` (Hendrycks and Gimpel, 2016).

    Args:
        x: tensor of any shape.
        approximate: whether to use the tanh approximation.
    """
    return nn.gelu(x, approximate=approximate)


def silu(x: Any) -> Tensor:
    """``x * sigmoid(x)``, also called swish."""
    return nn.silu(x)


def softplus(x: Any) -> Tensor:
    """``log(1 + exp(x))``."""
    return nn.softplus(x)


def softsign(x: Any) -> Tensor:
    """``x / (1 + |x|)``."""
    return nn.softsign(x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


def exponential(x: Any) -> Tensor:
    """``exp(x)``."""
    return ops.exp(x)


def hard_sigmoid(x: Any) -> Tensor:
    """``min(max(x / 6 + 1/2, 0), 1)``."""
    return nn.hard_sigmoid(x)


def hard_silu(x: Any) -> Tensor:
    """``x * hard_sigmoid(x)``."""
    return nn.hard_silu(x)


def mish(x: Any) -> Tensor:
    """``x * tanh(softplus(x))`` (Misra, 2019)."""
    return nn.mish(x)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """``x - logsumexp(x)`` along ``axis``."""
    return nn.log_softmax(x, axis=axis)


def log_sigmoid(x: Any) -> Tensor:
    """``log(sigmoid(x))``."""
    return nn.log_sigmoid(x)


def squareplus(x: Any, b: float = 4) -> Tensor:
    """``(x + sqrt(x**2 + b)) / 2``: a smooth ``relu`` (Barron, 2021)."""
    x = ops.as_tensor(x)
    return 0.5 * (x + ops.sqrt(ops.square(x) + b))


def glu(x: Any, axis: int = -1) -> Tensor:
    """``a * sigmoid(b)``, with ``a`` and ``b`` the halves of ``x`` along ``axis`` (Dauphin et al., 2017).

    Raises:
        ShapeError: the size along ``axis`` is odd.
    """
    x = ops.as_tensor(x)
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: the size along axis {axis} must be even; got shape {x.shape}.")
    a, b = ops.split(x, 2, axis=axis)
    return ops.multiply(a, ops.sigmoid(b))


def sparsemax(x: Any, axis: int = -1) -> Tensor:
    """The distribution nearest to ``x``: like ``softmax``, with exact zeros (Martins and Astudillo, 2016).

    Example:
        >>> import lamina
        >>> lamina.activations.sparsemax([1.0, 0.5, -1.0]).tolist()
        [0.75, 0.25, 0.0]
    """
    x = ops.moveaxis(ops.as_tensor(x), axis, -1)
    falling = ops.flip(ops.sort(ops.stop_gradient(x), axis=-1), axis=-1)
    ranks = ops.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    inside = 1.0 + ranks * falling > ops.cumulative_sum(falling, axis=-1)  # the largest k for which this holds
    least = ops.min(ops.where(inside, falling, inf), axis=-1, keepdims=True)
    support = ops.greater_equal(ops.stop_gradient(x), least)
    count = ops.sum(ops.astype(support, x.dtype), axis=-1, keepdims=True)
    excess = (ops.sum(ops.where(support, x, 0), axis=-1, keepdims=True) - 1.0) / count
    return ops.moveaxis(ops.where(support, x - excess, 0), -1, axis)


def sparse_plus(x: Any) -> Tensor:
    """0 up to -1, ``(x + 1)**2 / 4`` up to 1, ``x`` beyond."""
    x = ops.as_tensor(x)
    return ops.where(x >= 1, x, ops.square(ops.maximum(x + 1, 0)) * 0.25)


def sparse_sigmoid(x: Any) -> Tensor:
    """``(x + 1) / 2``, kept between 0 and 1."""
    return ops.clip(0.5 * (ops.as_tensor(x) + 1.0), 0.0, 1.0)


def hard_tanh(x: Any) -> Tensor:
    """``x``, kept between -1 and 1."""
    return ops.clip(x, -1.0, 1.0)


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` where ``|x| > threshold``, else 0."""
    return nn.hard_shrink(x, threshold)


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by ``threshold``, and 0 where it would pass it."""
    return nn.soft_shrink(x, threshold)


def tanh_shrink(x: Any) -> Tensor:
    """``x - tanh(x)``."""
    return nn.tanh_shrink(x)


def threshold(x: Any, threshold: float, default_value: float) -> Tensor:
    """``x`` where ``x > threshold``, else ``default_value``."""
    return nn.threshold(x, threshold, default_value)


def binary_step(x: Any) -> Tensor:
    """1 where ``x >= 0``, else 0: the perceptron's activation.  Its gradient is 0 everywhere."""
    x = ops.as_tensor(x)
    return ops.astype(x >= 0, x.dtype)


def _taking_placeholders(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function, which of a placeholder of the functional API makes a layer, as the operators do."""
    name = f"lamina.activations.{function.__name__}"

    @functools.wraps(function)
    def activation(x: Any, *args: Any, **kwargs: Any) -> Tensor:
        if hasattr(type(x), "through"):
            return x.through(name, *args, **kwargs)
        return function(x, *args, **kwargs)

    return activation


for _function, *_names in (
    (linear,),
    (relu,),
    (softmax,),
    (sigmoid,),
    (leaky_relu,),
    (relu6,),
    (elu,),
    (celu,),
    (selu,),
    (gelu,),
    (silu, "swish"),
    (softplus,),
    (softsign,),
    (tanh,),
    (exponential,),
    (hard_sigmoid,),
    (hard_silu, "hard_swish"),
    (mish,),
    (log_softmax,),
    (log_sigmoid,),
    (squareplus,),
    (glu,),
    (sparsemax,),
    (sparse_plus,),
    (sparse_sigmoid,),
    (hard_tanh,),
    (hard_shrink,),
    (soft_shrink,),
    (tanh_shrink,),
    (threshold,),
    (binary_step,),
):
    globals()[_function.__name__] = _known.add(_taking_placeholders(_function), *_names)

swish = silu
hard_swish = hard_silu


def get(identifier: Any) -> Callable[..., Any]:
    """An activation from a name, a configuration or a callable; ``None`` is ``linear``.

    Raises:
        ArgumentError: the name is unknown or the object is not callable.

    Example:
        >>> import lamina
        >>> lamina.activations.get("relu")([-1.0, 1.0]).tolist()
        [0.0, 1.0]
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        identifier = _known.find(identifier)
    elif is_serialized(identifier):
        identifier = _deserialize(identifier)
    if not callable(identifier):
        raise ArgumentError(f"{identifier!r} is not an activation: give a name or a callable of one tensor.")
    return identifier


def serialize(activation: Any) -> Any:
    """The name of a built-in activation; the registered configuration of any other."""
    name = registered_name(activation)
    if name is not None and name.startswith("lamina.activations>"):
        return name.split(">")[1]
    return _serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The activation of a name, or of what ``serialize`` gave."""
    return get(config) if isinstance(config, str) and not custom_objects else _deserialize(config, custom_objects)
