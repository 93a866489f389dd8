"""Algebraic simplification, keeping every result to the last bit.

So ``x * 0`` stays (it is NaN for infinite x), and so does ``x + 0.0`` for floats (it turns -0.0 into
0.0), while ``x - 0.0``, ``x * 1`` and ``x / 1`` are ``x`` for every x.  Division by a constant stays a division.
Two rules may change the sign of a zero: pieces that are padded with zeros and added up are put side by side, and the
product of a column and a row, which sums one number, is a product of elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core.dtypes import is_float
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, rewrite
from lamina.ops.creation import FULL
from lamina.ops.elementwise import ADD, MULTIPLY
from lamina.ops.joining import CONCAT, PAD
from lamina.ops.shape import BROADCAST

Simplified = Value | None


def simplify(graph: Graph) -> bool:
    """Replace nodes by simpler ones that give the same bits."""
    return rewrite(graph, _rule)


def _rule(node: Node, emitter: Emitter) -> list[Value] | None:
    rule = RULES.get(node.primitive.name)
    if rule is None:
        return None
    found = rule(node, emitter)
    if found is None or found.shape != node.outputs[0].shape or found.dtype != node.outputs[0].dtype:
        return None  # an operand that was broadcast to the output's shape cannot stand for the output
    return [found]


def uniform(value: Value) -> Any:
    """The number that fills a constant or a filled array, else ``None``."""
    if value.constant is not None:
        return value.constant.item() if value.constant.size == 1 else None
    producer = value.node
    if producer is None:
        return None
    if producer.primitive.name == "full":
        return producer.params["value"]
    if producer.primitive.name in ("broadcast_to", "reshape"):
        return uniform(producer.inputs[0])
    return None


def _made_by(value: Value, name: str) -> Node | None:
    producer = value.node
    return producer if producer is not None and producer.primitive.name == name else None


# --- arithmetic ---------------------------------------------------------------------------------
def _add(node: Node, emitter: Emitter) -> Simplified:
    for x, other in (node.inputs, node.inputs[::-1]):
        number = uniform(other)
        if number is not None and number == 0 and (not is_float(other.dtype) or np.signbit(number)):
            return x
    return _side_by_side(node, emitter)


def _side_by_side(node: Node, emitter: Emitter) -> Simplified:
    """A sum of arrays that are zero everywhere but in pieces that do not overlap: the gradient of a split."""
    pieces = _pieces(node.outputs[0])
    if pieces is None or len(pieces) < 2:
        return None
    shape = node.outputs[0].shape
    axes = {d for pad in pieces for d, edges in enumerate(zip(*_edges(pad), strict=True)) if any(edges)}
    if len(axes) != 1:
        return None
    (axis,) = axes
    pieces.sort(key=lambda pad: _edges(pad)[0][axis])
    end = 0
    for pad in pieces:
        if _edges(pad)[0][axis] != end:
            return None
        end += pad.inputs[0].shape[axis]
    return emitter.emit(CONCAT, *[pad.inputs[0] for pad in pieces], axis=axis) if end == shape[axis] else None


def _pieces(value: Value) -> list[Node] | None:
    """The pads of which a value is the sum; ``None`` where there is anything else in it."""
    node = value.node
    if node is not None and node.primitive is ADD and all(v.shape == value.shape for v in node.inputs):
        parts = [_pieces(v) for v in node.inputs]
        return None if None in parts else [pad for part in parts if part is not None for pad in part]
    if node is None or node.primitive is not PAD or any(node.params["interior"]) or node.params["value"] != 0:
        return None
    return [node]


def _edges(pad: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return pad.params["low"], pad.params["high"]


def _subtract(node: Node, emitter: Emitter) -> Simplified:
    x, y = node.inputs
    number = uniform(y)
    return x if number is not None and number == 0 and not np.signbit(number) else None


def _multiply(node: Node, emitter: Emitter) -> Simplified:
    for x, other in (node.inputs, node.inputs[::-1]):
        if uniform(other) == 1:
            return x
    return None


def _divide(node: Node, emitter: Emitter) -> Simplified:
    x, y = node.inputs
    return x if uniform(y) == 1 else None


def _negative(node: Node, emitter: Emitter) -> Simplified:
    inner = _made_by(node.inputs[0], "negative")
    return inner.inputs[0] if inner is not None else None


def _power(node: Node, emitter: Emitter) -> Simplified:
    x, y = node.inputs
    number = uniform(y)
    if number == 1:
        return x
    return emitter.emit(MULTIPLY, x, x) if number == 2 else None  # as NumPy does for float and integer squares


def _where(node: Node, emitter: Emitter) -> Simplified:
    condition, x, y = node.inputs
    chosen = uniform(condition)
    if chosen is None:
        return x if x is y else None
    return x if chosen else y


# --- dtype and shape ------------------------------------------------------------------------------
def _cast(node: Node, emitter: Emitter) -> Simplified:
    (x,) = node.inputs
    if x.dtype == node.outputs[0].dtype:
        return x
    inner = _made_by(x, "cast")
    if inner is None:
        return None
    origin = inner.inputs[0]
    # There and back through a dtype that holds every value of the first one.
    return origin if origin.dtype == node.outputs[0].dtype and _holds(x.dtype, origin.dtype) else None


def _holds(wide: np.dtype[Any], narrow: np.dtype[Any]) -> bool:
    if "bfloat16" in (wide.name, narrow.name):
        return wide.name in ("float32", "float64")
    return bool(np.can_cast(narrow, wide, "safe"))


def _reshape(node: Node, emitter: Emitter) -> Simplified:
    (x,) = node.inputs
    if x.shape == node.outputs[0].shape:
        return x
    inner = _made_by(x, "reshape")
    return emitter.emit(node.primitive, inner.inputs[0], **node.params) if inner is not None else None


def _transpose(node: Node, emitter: Emitter) -> Simplified:
    (x,), axes = node.inputs, tuple(node.params["axes"])
    if axes == tuple(range(len(axes))):
        return x
    inner = _made_by(x, "transpose")
    if inner is None:
        return None
    combined = tuple(inner.params["axes"][a] for a in axes)
    if combined == tuple(range(len(axes))):
        return inner.inputs[0]
    return emitter.emit(node.primitive, inner.inputs[0], axes=combined)


def _broadcast(node: Node, emitter: Emitter) -> Simplified:
    (x,) = node.inputs
    if x.shape == node.outputs[0].shape:
        return x
    number = uniform(x)
    if number is not None:
        return emitter.emit(FULL, shape=node.outputs[0].shape, value=number, dtype=x.dtype)
    inner = _made_by(x, "broadcast_to")
    return emitter.emit(node.primitive, inner.inputs[0], **node.params) if inner is not None else None


def _reduction(node: Node, emitter: Emitter) -> Simplified:
    return node.inputs[0] if node.params["axis"] == () else None


def _matmul(node: Node, emitter: Emitter) -> Simplified:
    x, y = node.inputs
    out = node.outputs[0]
    if x.shape[-1] != 1 or x.dtype != out.dtype or y.dtype != out.dtype:
        return None
    return emitter.emit(MULTIPLY, *(emitter.emit(BROADCAST, v, shape=out.shape) for v in (x, y)))


RULES: dict[str, Callable[[Node, Emitter], Simplified]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negative": _negative,
    "power": _power,
    "where": _where,
    "cast": _cast,
    "matmul": _matmul,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast,
    "sum": _reduction,
    "prod": _reduction,
    "max": _reduction,
    "min": _reduction,
}
