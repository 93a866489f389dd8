"""Reductions in registers: from what they start, with one more element, across lanes, over axes not in lanes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.builder import identity
from lamina.backends.native.emit import Operand, literal, scalar_type, splat
from lamina.backends.native.half import FLOAT_KINDS
from lamina.backends.native.index import INT64, Index
from lamina.backends.native.kernel import Kernel
from lamina.core.lowering import Reduction
from lamina.graph.ir import Node


class Column(NamedTuple):
    """A reduction over axes that are not in lanes, at one position of its result."""

    node: Node
    at: list[Index]
    used: int | None  # lanes in use, where not all are


def initial(node: Node, lanes: int) -> list[Operand]:
    """What a reduction starts from: the accumulator, and for arg-reductions the position."""
    native = node.primitive.native
    assert isinstance(native, Reduction)
    dtype = node.inputs[0].dtype
    text = literal(identity(native.combine, dtype), dtype)
    start = [Operand(splat(scalar_type(dtype), text, lanes), dtype, lanes)]
    if native.combine.startswith("arg"):
        start.append(Operand(splat("i64", str(2**62), lanes), INT64, lanes))
    return start


def mask_lanes(kernel: Kernel, x: Operand, fill: Operand) -> Operand:
    """The operand with the unused lanes set to the reduction's identity."""
    mask = Operand(kernel.f.lane_mask(kernel.count or 0), np.dtype(np.bool_), x.lanes)
    return kernel.b.select(mask, x, fill)


def combine(kernel: Kernel, node: Node, state: list[Operand], x: Operand, at: Index) -> list[Operand]:
    """One more element (or vector) into the state."""
    b, native = kernel.b, node.primitive.native
    assert isinstance(native, Reduction)
    if not native.combine.startswith("arg"):
        return [_join(b, native.combine, state[0], x)]
    if at.uniform:
        position = Operand(str(at.base), INT64, 1)
    else:
        wide = kernel.f.v(f"zext <{kernel.f.lanes} x i32> {at.lanes32()} to <{kernel.f.lanes} x i64>")
        position = Operand(wide, INT64, kernel.f.lanes)
    if position.lanes != x.lanes:
        position = kernel.f.spread(position, x.lanes)
    return _join_arg(kernel, native.combine, state, [x, position])


def _join(b: Any, how: str, x: Operand, y: Operand) -> Operand:
    return {"add": b.add, "mul": b.mul, "min": b.min, "max": b.max, "and": b.and_, "or": b.or_}[how](x, y)


def _join_arg(kernel: Kernel, how: str, x: list[Operand], y: list[Operand]) -> list[Operand]:
    """The better of two (value, position) pairs; ties and NaN go to the lower position."""
    b = kernel.b
    better = b.gt(y[0], x[0]) if how == "argmax" else b.lt(y[0], x[0])
    same = b.eq(x[0], y[0])
    if x[0].dtype.kind in FLOAT_KINDS:
        x_nan, y_nan = b.isnan(x[0]), b.isnan(y[0])
        better = b.or_(better, b.and_(y_nan, b.not_(x_nan)))
        same = b.or_(same, b.and_(x_nan, y_nan))
    better = b.or_(better, b.and_(same, b.lt(y[1], x[1])))
    return [b.select(better, y[0], x[0]), b.select(better, y[1], x[1])]


def horizontal(kernel: Kernel, node: Node, state: list[Operand]) -> Operand:
    """Across the lanes: halves are joined until one element is left, always in the same order."""
    native = node.primitive.native
    assert isinstance(native, Reduction)
    f = kernel.f
    lanes = state[0].lanes
    while lanes > 1:
        half = lanes // 2
        low: list[Operand] = []
        high: list[Operand] = []
        for x in state:
            kind = x.type
            for start, out in ((0, low), (half, high)):
                picks = ", ".join(f"i32 {start + i}" for i in range(half))
                if half == 1:
                    ssa = f.v(f"extractelement {kind} {x.ssa}, i64 {start}")
                else:
                    ssa = f.v(f"shufflevector {kind} {x.ssa}, {kind} poison, <{half} x i32> <{picks}>")
                out.append(Operand(ssa, x.dtype, half))
        if len(state) == 2:
            state = _join_arg(kernel, native.combine, low, high)
        else:
            state = [_join(kernel.b, native.combine, low[0], high[0])]
        lanes = half
    if len(state) == 2:
        return kernel.b.cast(state[1], node.outputs[0].dtype)
    return state[0]


def reduce_columns(kernel: Kernel, columns: list[Column]) -> list[Operand]:
    """Reductions over the same axes of values of one shape, in one nest of loops."""
    f, first = kernel.f, columns[0].node
    shape, axes = first.inputs[0].shape, first.params["axis"]
    lanes = [1 if all(i.uniform for i in c.at) else f.lanes for c in columns]
    start = [initial(c.node, n) for c, n in zip(columns, lanes, strict=True)]
    outside = kernel.count

    def element(column: Column, lanes: int, inner: list[Index], state: list[Operand]) -> list[Operand]:
        kept, reduced = iter(column.at), iter(inner)
        whole = [next(reduced) if a in axes else next(kept) for a in range(len(shape))]
        kernel.count = column.used
        x = f.spread(kernel.pull(column.node.inputs[0], whole), lanes)
        return combine(kernel, column.node, state, x, inner[-1])

    def nest(d: int, inner: list[Index], carried: list[list[Operand]]) -> list[list[Operand]]:
        if d == len(axes):
            return [element(c, n, inner, state) for c, n, state in zip(columns, lanes, carried, strict=True)]

        def body(i: str | int, values: list[str]) -> list[str]:
            kernel.push()
            out = nest(d + 1, [*inner, Index(f, i)], _states(start, values))
            kernel.pop()
            return [x.ssa for state in out for x in state]

        carry = [(x.type, x.ssa) for state in carried for x in state]
        return _states(start, f.loop(0, shape[axes[d]], 1, body, carry))

    states = nest(0, [], start)
    kernel.count = outside
    return [
        kernel.b.cast(state[1], c.node.outputs[0].dtype) if len(state) == 2 else state[0]
        for c, state in zip(columns, states, strict=True)
    ]


def _states(like: list[list[Operand]], values: list[str]) -> list[list[Operand]]:
    """Names of values, cut into states of these kinds."""
    names = iter(values)
    return [[Operand(next(names), x.dtype, x.lanes) for x in state] for state in like]
