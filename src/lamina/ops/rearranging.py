"""Reordering, splitting and joining axes by a pattern of names."""

from __future__ import annotations

import re
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.ops.creation import as_tensor
from lamina.ops.shape import size_of


def _groups(side: str) -> list[list[str]]:
    """``"(h w) c"`` as ``[["h", "w"], ["c"]]``."""
    found = []
    for token in re.findall(r"\([^()]*\)|\S+", side):
        names = token[1:-1].split() if token.startswith("(") else [token]
        if any(re.fullmatch(r"[A-Za-z_]\w*|1|\.\.\.", n) is None for n in names):
            raise ArgumentError(f"rearrange: {token!r} is no name of an axis, nor a group of names in parentheses.")
        found.append([n for n in names if n != "1"])
    return found


def rearrange(x: Any, pattern: str, **axes_lengths: int) -> Any:
    """A tensor whose axes are named, and then reordered, split or joined.

    Args:
        x: tensor.
        pattern: names of its axes, ``->``, and names of the result's axes.  Parentheses hold axes that
            are one; ``...`` stands for any others.
        axes_lengths: sizes of named axes, where a split leaves them open.

    Raises:
        ArgumentError: the pattern cannot be read, or its two sides have not the same names.
        ShapeError: the sizes do not fit.

    Example:
        >>> import lamina
        >>> lamina.ops.rearranging.rearrange(lamina.zeros((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
        (2, 3, 2, 3)
    """
    x = as_tensor(x)
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ArgumentError(f"rearrange: a pattern has two sides around '->'; got {pattern!r}.")
    given, wanted = _groups(sides[0]), _groups(sides[1])
    if ["..."] in given:
        at = given.index(["..."])
        rest = [f"_{i}" for i in range(x.ndim - len(given) + 1)]
        given[at : at + 1] = [[name] for name in rest]
        wanted = [
            part
            for group in wanted
            for part in (
                [[n] for n in rest] if group == ["..."] else [[m for n in group for m in (rest if n == "..." else [n])]]
            )
        ]
    if len(given) != x.ndim:
        raise ShapeError(f"rearrange: {sides[0].strip()!r} names {len(given)} axes, and the shape is {x.shape}.")
    before, after = [n for g in given for n in g], [n for g in wanted for n in g]
    if sorted(before) != sorted(after) or len(set(before)) != len(before):
        raise ArgumentError(f"rearrange: the two sides of {pattern!r} name each axis once.")
    sizes = dict(axes_lengths)
    for group, n in zip(given, x.shape, strict=True):
        open_names = [name for name in group if name not in sizes]
        known = size_of([sizes[name] for name in group if name in sizes])
        if len(open_names) > 1:
            raise ArgumentError(f"rearrange: give the sizes of all but one of {' '.join(open_names)}.")
        if n % max(known, 1) or (not open_names and known != n):
            raise ShapeError(f"rearrange: an axis of size {n} does not divide into ({' '.join(group)}) by {sizes}.")
        for name in open_names:
            sizes[name] = n // max(known, 1)
    apart = ops.permute_dims(ops.reshape(x, [sizes[n] for n in before]), [before.index(n) for n in after])
    return ops.reshape(apart, [size_of([sizes[n] for n in g]) for g in wanted])
