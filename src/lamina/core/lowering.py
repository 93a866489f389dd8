"""How a primitive declares its native lowering.

These are descriptions only; ``backends/native`` reads them.  They live in ``core`` so that an
op's file can state its lowering beside its other rules without importing the backend.

Two kinds of object reach a rule:

* an **operand**: a value in registers, of one dtype, for one element or for a vector of lanes.
  Rules never look inside; they combine operands through the builder ``b``, which spreads
  scalars over lanes by itself.
* an **index**: the position of the wanted element (or lanes) along one dimension.  Indices
  take ``+ - * // %`` with Python ints and with each other; they are never negative.

Builder methods (dtype-generic; float or integer instructions are chosen by the operand):
``add sub mul div`` (float only) ``floordiv mod`` (as Python) ``neg abs sqrt fma floor ceil trunc round``
``min max`` (NaN propagates) ``exp log tanh erf sin cos`` and ``call(name, *xs)`` (a function of
the C math library, by its float64 name) ``eq ne lt le gt ge`` ``select(cond, x, y)``
``and_ or_ xor not_ shl shr`` ``cast(x, dtype)`` ``bitcast(x, dtype)`` ``const(value, dtype)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Elementwise:
    """``emit(b, *operands, **params) -> operand``: inputs broadcast against each other."""

    emit: Callable[..., Any]
    expensive: bool = False  # worth keeping rather than computing twice


@dataclass(frozen=True)
class Indexed:
    """``emit(c, index, node) -> operand``: the output at ``index``, a list with one index per dimension.

    ``c.pull(i, index)`` gives input ``i`` at another index (a list for that input's dimensions),
    ``c.b`` is the builder, ``c.index(operand)`` turns an integer operand into an index,
    ``c.operand(index, dtype)`` the reverse; ``node.inputs[i].shape``, ``node.outputs[0].shape``
    and ``node.params`` say the rest.
    """

    emit: Callable[..., Any]


@dataclass(frozen=True)
class View:
    """An ``Indexed`` rule that often needs no copy.

    ``strides(shape, strides, node) -> (offset, strides) | None`` gives the output's element
    offset and strides over the input's memory, or ``None`` where these do not exist.
    """

    emit: Callable[..., Any]
    strides: Callable[..., Any]


@dataclass(frozen=True)
class Reduction:
    """Reduces the dimensions in ``params["axis"]`` (a sorted tuple), keeping none of them.

    ``combine`` is one of ``add mul min max and or argmax argmin`` (the last two over one axis).
    """

    combine: str


@dataclass(frozen=True)
class Contraction:
    """``matmul`` of inputs with equal leading (batch) dimensions."""


@dataclass(frozen=True)
class Scatter:
    """``scatter(x, indices, updates)`` along ``params["axis"]``: updates join rows of ``x`` in order.

    ``emit(b, old, update) -> new`` says how.  Only axis 0 is compiled.
    """

    emit: Callable[..., Any]


@dataclass(frozen=True)
class Cumulative:
    """Running results along ``params["axis"]``, from the end if ``params["reverse"]``.

    ``combine`` is ``add`` or ``mul``.
    """

    combine: str


@dataclass(frozen=True)
class Joined:
    """The inputs lie side by side along ``params["axis"]``: each is computed into its part of the output."""


@dataclass(frozen=True)
class Sweep:
    """A loop whose turn is the sub-graph ``params["body"]``, as ``lamina.graph.scan`` describes it."""


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention streamed over the keys, or its ``gradient``.

    Both take query, key and value, shapes (*lead, heads, steps, size), and as last input, if there is one, a mask.
    ``flops(node)`` counts the arithmetic, for the profile.
    """

    gradient: bool
    flops: Callable[..., int]
