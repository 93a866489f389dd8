"""Choosing the next token: temperature, top-k, top-p.  Ops like all others, so they run in compiled steps too."""

from __future__ import annotations

from typing import Any

from lamina import nn, ops, random
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.tensor import Tensor


def sample(logits: Any, temperature: Any = 1.0, top_k: Any = None, top_p: Any = None, key: Any = None) -> Tensor:
    """Token numbers drawn with probabilities ``softmax(logits / temperature)`` along the last axis.

    Args:
        logits: floats of shape ``(..., vocabulary)``.
        temperature: below 1 the likely tokens become likelier, above 1 rarer; at 0 the likeliest is taken.
            A number, or a scalar tensor.
        top_k: draw among the ``top_k`` likeliest tokens only; default all.  An int, or an integer scalar tensor.
        top_p: draw among the fewest likeliest tokens whose probabilities add up to ``top_p`` or more, as they are
            after ``temperature`` and ``top_k``; default all.  A number in ``(0, 1]``, or a scalar tensor.
        key: see ``lamina.random``; the same key draws the same tokens.

    Tokens exactly as likely as the last one that counts are kept too.

    Returns:
        int64 of shape ``logits.shape[:-1]``.

    Raises:
        ArgumentError: an argument is out of range.

    Example:
        >>> import lamina
        >>> logits = lamina.tensor([[0.0, 3.0, 2.9, -1.0]])
        >>> lamina.generation.sample(logits, temperature=0).tolist()
        [1]
        >>> tokens = [lamina.generation.sample(logits, top_k=2, key=i).item() for i in range(20)]
        >>> sorted(set(tokens))
        [1, 2]

    Source: top-p is Holtzman et al., "The curious case of neural text degeneration", ICLR 2020.
    """
    logits = ops.as_tensor(logits)
    if logits.ndim < 1 or not dtypes.is_float(logits.dtype):
        raise ShapeError(f"sample takes float logits of shape (..., vocabulary); got {logits.dtype} {logits.shape}.")
    check_choice(temperature, top_k, top_p)
    if logits.dtype.itemsize < 4:  # a step of bfloat16 is coarser than most differences between tokens
        logits = ops.astype(logits, dtypes.float32)
    temperature = ops.as_tensor(temperature, dtype=logits.dtype)
    if top_k is not None or top_p is not None:
        logits = _likeliest(logits, temperature, top_k, top_p)
    # The largest of logits / t + Gumbel noise is a draw from softmax(logits / t); this form allows t = 0.
    noise = random.gumbel(logits.shape, logits.dtype, key)
    return ops.argmax(ops.add(logits, ops.multiply(noise, temperature)), axis=-1)


def _likeliest(logits: Any, temperature: Any, top_k: Any, top_p: Any) -> Any:
    """The logits, those of tokens that are left out at minus infinity."""
    ordered = ops.sort(logits, axis=-1, descending=True)
    ranks = ops.arange(logits.shape[-1])
    if top_k is not None:
        ordered = ops.where(ops.less(ranks, top_k), ordered, -float("inf"))
    kept = ops.greater(ordered, -float("inf"))
    if top_p is not None:
        probabilities = nn.softmax(ops.divide(ordered, ops.maximum(temperature, 1e-6)), axis=-1)
        before = ops.subtract(ops.cumulative_sum(probabilities, axis=-1), probabilities)
        kept = ops.logical_and(kept, ops.logical_or(ops.less(before, top_p), ops.equal(ranks, 0)))
    lowest = ops.min(ops.where(kept, ordered, float("inf")), axis=-1, keepdims=True)
    return ops.where(ops.greater_equal(logits, lowest), logits, -float("inf"))


def check_choice(temperature: Any, top_k: Any, top_p: Any) -> None:
    """Raise ``ArgumentError`` for numbers that are out of range; tensors are taken as they are."""
    if isinstance(temperature, int | float) and not temperature >= 0:
        raise ArgumentError(f"temperature is 0 (the likeliest token) or more; got {temperature!r}.")
    if top_k is not None and not isinstance(top_k, Tensor):
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ArgumentError(f"top_k is a positive int, the number of tokens to draw among, or None; got {top_k!r}.")
    if isinstance(top_p, bool | int | float) and not 0 < top_p <= 1:
        raise ArgumentError(f"top_p is a probability above 0 and up to 1, or None; got {top_p!r}.")
