"""Functions of neural networks: activations, softmax and the cross-entropies.

Two are primitives because training runs through them all the time and their gradients are best
written from the output; the rest are compositions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import DTypeError, ShapeError
from lamina.core.lowering import Elementwise
from lamina.core.primitive import Primitive, bind, ndarray
from lamina.ops.creation import IOTA, as_tensor, operands
from lamina.ops.elementwise import (
    add,
    constant,
    divide,
    floating,
    half_in_float32,
    multiply,
    negative,
    quiet_call,
    shape_rule,
    subtract,
)
from lamina.ops.math_functions import erf, exp, expm1, log, log1p, tanh
from lamina.ops.reduction import logsumexp, normalize_axes, one_axis
from lamina.ops.reduction import max as max_
from lamina.ops.reduction import sum as sum_
from lamina.ops.selection import clip, where

# --- primitives -----------------------------------------------------------------------------------
RELU = Primitive(
    "relu",
    shape=shape_rule("relu", "iuf"),
    numpy=lambda x: np.maximum(x, 0),
    vjp=lambda ct, out, x: (where(ops.greater(out, 0), ct, 0),),
    native=Elementwise(lambda b, x: b.max(x, constant(b, 0, x))),
)


def _sigmoid_native(b: Any, x: Any) -> Any:
    one = constant(b, 1, x)
    return b.div(one, b.add(one, b.exp(b.neg(x))))


SIGMOID = Primitive(
    "sigmoid",
    shape=shape_rule("sigmoid", "f"),
    # exp may overflow to inf: then this is 0
    numpy=half_in_float32(lambda x: np.reciprocal(1 + quiet_call(np.exp, -x))),
    vjp=lambda ct, out, x: (multiply(ct, multiply(out, subtract(1, out))),),
    native=Elementwise(_sigmoid_native, expensive=True),
)


def _softplus_native(b: Any, x: Any) -> Any:
    return b.add(b.max(x, constant(b, 0, x)), b.call("log1p", b.exp(b.neg(b.abs(x)))))


def _softplus_numpy(x: ndarray) -> ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


SOFTPLUS = Primitive(
    "softplus",
    shape=shape_rule("softplus", "f"),
    numpy=half_in_float32(_softplus_numpy),
    vjp=lambda ct, out, x: (multiply(ct, sigmoid(x)),),
    native=Elementwise(_softplus_native, expensive=True),
)


def relu(x: Any) -> Any:
    """``max(x, 0)``.  Its gradient at 0 is 0.

    Args:
        x: tensor of any shape.

    Example:
        >>> import lamina
        >>> lamina.nn.relu([-1.0, 2.0]).numpy()
        array([0., 2.], dtype=float32)
    """
    return bind(RELU, as_tensor(x))


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``.

    Example:
        >>> import lamina
        >>> lamina.nn.sigmoid([-1000.0, 0.0]).numpy()
        array([0. , 0.5], dtype=float32)
    """
    return bind(SIGMOID, floating("sigmoid", x))


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))`` without overflow.

    Example:
        >>> import lamina
        >>> lamina.nn.softplus([-1000.0, 1000.0]).numpy()
        array([   0., 1000.], dtype=float32)
    """
    return bind(SOFTPLUS, floating("softplus", x))


# --- rectifiers -----------------------------------------------------------------------------------
def relu6(x: Any) -> Any:
    """``min(max(x, 0), 6)``.  Its gradient is 0 at both bounds."""
    x = floating("relu6", x)
    return where(ops.less(x, 6), relu(x), where(ops.isnan(x), x, 6))


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """``x`` where positive, else ``negative_slope * x``.

    Example:
        >>> import lamina
        >>> lamina.nn.leaky_relu([-1.0, 2.0]).numpy()
        array([-0.2,  2. ], dtype=float32)
    """
    x = floating("leaky_relu", x)
    return where(ops.greater(x, 0), x, multiply(x, negative_slope))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015, arXiv:1511.07289)."""
    x = floating("elu", x)
    # The branch that is not taken gets a harmless argument: exp of a large number has no finite gradient.
    positive = ops.greater(x, 0)
    return where(positive, x, multiply(expm1(where(positive, 0, x)), alpha))


SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def selu(x: Any) -> Any:
    """The scaled ``elu`` that keeps mean 0 and variance 1 (Klambauer et al. 2017, arXiv:1706.02515)."""
    return multiply(elu(x, SELU_ALPHA), SELU_SCALE)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """``max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`` (Barron 2017, arXiv:1704.07483)."""
    x = floating("celu", x)
    positive = ops.greater(x, 0)
    return where(positive, x, multiply(expm1(divide(where(positive, 0, x), alpha)), alpha))


def silu(x: Any) -> Any:
    """``x * sigmoid(x)``, also called swish (Ramachandran et al. 2017, arXiv:1710.05941).

    Example:
        >>> import lamina
        >>> lamina.nn.silu([0.0, 1.0]).numpy().round(4)
        array([0.    , 0.7311], dtype=float32)
    """
    x = floating("silu", x)
    return multiply(x, sigmoid(x))


swish = silu


def gelu(x: Any, approximate: bool = True) -> Any:
    """``x * Phi(x)`` with the normal distribution function ``Phi`` (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    Args:
        x: tensor of any shape.
        approximate: use ``0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`` instead of ``erf``.

    Example:
        >>> import lamina
        >>> lamina.nn.gelu([1.0], approximate=False).numpy().round(4)
        array([0.8413], dtype=float32)
    """
    x = floating("gelu", x)
    half = multiply(x, 0.5)
    if not approximate:
        return multiply(half, add(erf(multiply(x, math.sqrt(0.5))), 1))
    inner = multiply(multiply(x, math.sqrt(2 / math.pi)), add(multiply(ops.square(x), 0.044715), 1))
    return multiply(half, add(tanh(inner), 1))


def mish(x: Any) -> Any:
    """``x * tanh(softplus(x))`` (Misra 2019, arXiv:1908.08681)."""
    x = floating("mish", x)
    return multiply(x, tanh(softplus(x)))


# --- other activations ------------------------------------------------------------------------------
def log_sigmoid(x: Any) -> Any:
    """``log(sigmoid(x))`` without overflow."""
    return negative(softplus(negative(floating("log_sigmoid", x))))


def softsign(x: Any) -> Any:
    """``x / (1 + |x|)``."""
    x = floating("softsign", x)
    return divide(x, add(ops.abs(x), 1))


def _ramp(x: Any, low: float, high: float) -> Any:
    """``x`` between the bounds and the bound beyond, with gradient 0 at the bounds themselves."""
    inside = ops.logical_and(ops.greater(x, low), ops.less(x, high))
    return where(inside, x, clip(ops.stop_gradient(x), low, high))


def hard_sigmoid(x: Any) -> Any:
    """``min(max(x / 6 + 1/2, 0), 1)``."""
    x = floating("hard_sigmoid", x)
    return divide(add(_ramp(x, -3.0, 3.0), 3), 6)


def hard_silu(x: Any) -> Any:
    """``x * hard_sigmoid(x)``, also called hard swish (Howard et al. 2019, arXiv:1905.02244)."""
    x = floating("hard_silu", x)
    return multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


def hard_tanh(x: Any) -> Any:
    """``min(max(x, -1), 1)``."""
    return _ramp(floating("hard_tanh", x), -1.0, 1.0)


def tanh_shrink(x: Any) -> Any:
    """``x - tanh(x)``."""
    x = floating("tanh_shrink", x)
    return subtract(x, tanh(x))


def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x`` where ``|x| > threshold``, else 0."""
    x = floating("hard_shrink", x)
    return where(ops.less_equal(ops.abs(x), threshold), 0, x)


def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x`` moved towards 0 by ``threshold``, and 0 within it."""
    x = floating("soft_shrink", x)
    return where(ops.less_equal(ops.abs(x), threshold), 0, subtract(x, multiply(ops.sign(x), threshold)))


def threshold(x: Any, threshold: float, value: float) -> Any:
    """``x`` where it is above ``threshold``, else ``value``."""
    x = floating("threshold", x)
    return where(ops.greater(x, threshold), x, value)


def step(x: Any, threshold: float = 0.0) -> Any:
    """1 where ``x > threshold``, else 0, in the dtype of ``x``: the perceptron's output.

    Example:
        >>> import lamina
        >>> lamina.nn.step([-0.5, 0.0, 2.0]).numpy()
        array([0., 0., 1.], dtype=float32)
    """
    x = floating("step", x)
    return ops.astype(ops.greater(x, threshold), x.dtype)


# --- softmax ----------------------------------------------------------------------------------------
def _shifted(name: str, x: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """``x`` minus its maximum, which changes no softmax and keeps ``exp`` finite."""
    x = floating(name, x)
    axes = normalize_axes(name, axis, x.ndim)
    if x.size == 0:  # nothing has no maximum
        return x, axes
    return subtract(x, ops.stop_gradient(max_(x, axis=axes, keepdims=True))), axes


def softmax(x: Any, axis: Any = -1) -> Any:
    """``exp(x) / sum(exp(x))`` along ``axis``, without overflow.

    Args:
        x: tensor of any shape.
        axis: an axis, a tuple of axes, or ``None`` for all.

    Example:
        >>> import lamina
        >>> lamina.nn.softmax([0.0, 0.0]).numpy()
        array([0.5, 0.5], dtype=float32)
    """
    shifted, axes = _shifted("softmax", x, axis)
    powers = exp(shifted)
    return divide(powers, sum_(powers, axis=axes, keepdims=True))


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """``x - log(sum(exp(x)))`` along ``axis``, without overflow."""
    shifted, axes = _shifted("log_softmax", x, axis)
    return subtract(shifted, log(sum_(exp(shifted), axis=axes, keepdims=True)))


# --- cross-entropies from logits ----------------------------------------------------------------------
def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Any:
    """``logsumexp(logits) - logits[label]`` for each row: the cross-entropy of integer labels.

    Args:
        labels: integers ``[...]`` in ``[0, classes)``; a label outside chooses nothing, so check first.
        logits: ``[..., classes]``.

    Returns:
        One loss for each row, ``[...]``.

    Raises:
        ShapeError: the labels are not shaped like the rows of the logits.
        DTypeError: the labels are not integers.

    Example:
        >>> import lamina
        >>> lamina.nn.sparse_softmax_cross_entropy_with_logits([1], [[0.0, 0.0]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    labels, logits = as_tensor(labels), floating("sparse_softmax_cross_entropy_with_logits", logits)
    if not dtypes.is_integer(labels.dtype):
        raise DTypeError(f"sparse_softmax_cross_entropy_with_logits takes integer labels and got {labels.dtype}.")
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            "sparse_softmax_cross_entropy_with_logits: the labels have shape "
            f"{labels.shape} and the logits {logits.shape}; expected labels of shape {logits.shape[:-1]}."
        )
    # Choosing by comparison keeps forward and backward elementwise, so that both fuse; a gather
    # would make a scatter of its gradient.
    classes = bind(IOTA, size=logits.shape[-1], dtype=labels.dtype)
    chosen = ops.equal(ops.expand_dims(labels, -1), classes)
    return subtract(logsumexp(logits, axis=-1), sum_(where(chosen, logits, 0), axis=-1))


def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Any:
    """``-sum(labels * log_softmax(logits))`` along ``axis``: the cross-entropy of distributions.

    Args:
        labels: probabilities or one-hot rows, shaped like ``logits``.
        logits: scores of the classes.
        axis: the axis of the classes.

    Returns:
        One loss for each row; ``axis`` is gone.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> import lamina
        >>> lamina.nn.softmax_cross_entropy_with_logits([[0.0, 1.0]], [[0.0, 0.0]]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    logits = floating("softmax_cross_entropy_with_logits", logits)
    labels, logits = operands(labels, logits)
    if labels.shape != logits.shape:
        raise ShapeError(
            f"softmax_cross_entropy_with_logits: labels have shape {labels.shape} and logits {logits.shape}; "
            "expected the same shape."
        )
    axis = one_axis("softmax_cross_entropy_with_logits", axis, logits.ndim)
    return negative(sum_(multiply(labels, log_softmax(logits, axis=axis)), axis=axis))


def binary_cross_entropy_with_logits(labels: Any, logits: Any) -> Any:
    """``max(x, 0) - x z + log(1 + exp(-|x|))`` with logits ``x`` and labels ``z``, elementwise.

    This is ``-z log(sigmoid(x)) - (1 - z) log(1 - sigmoid(x))`` without overflow.

    Args:
        labels: probabilities, shaped like ``logits``.
        logits: tensor of any shape.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> import lamina
        >>> lamina.nn.binary_cross_entropy_with_logits([1.0], [0.0]).numpy().round(4)
        array([0.6931], dtype=float32)
    """
    logits = floating("binary_cross_entropy_with_logits", logits)
    labels, logits = operands(labels, logits)
    if labels.shape != logits.shape:
        raise ShapeError(
            f"binary_cross_entropy_with_logits: labels have shape {labels.shape} and logits {logits.shape}; "
            "expected the same shape."
        )
    # where, not maximum and abs: one side of 0 owns it, so that every derivative is right there too.
    positive = ops.greater_equal(logits, 0)
    linear = subtract(where(positive, logits, 0), multiply(logits, labels))
    return add(linear, log1p(exp(where(positive, negative(logits), logits))))
