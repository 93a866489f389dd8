"""Transposes sink through elementwise work until they meet their inverse.

A network written channels first is, op by op, a chain of transposes there and back around work that does not care
about the order of dimensions.  Written as ``transpose(f(x))`` in place of ``f(transpose(x))`` each meets the next one's
inverse, and both go away.  The graph is left as it was where nothing goes away.

A sum over several dimensions may differ in a rounding: it is taken in the order in which the dimensions lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lamina.core.lowering import Elementwise, Reduction
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, rewrite
from lamina.ops.joining import CONCAT, PAD
from lamina.ops.shape import RESHAPE, TRANSPOSE

Axes = tuple[int, ...]


def sink_transposes(graph: Graph, clean: Callable[[Graph], None]) -> bool:
    """Move transposes behind the work on their outputs, if that makes some of them vanish.

    Args:
        graph: rewritten in place.
        clean: the passes that merge what has come together.

    Returns:
        Whether the graph was changed.
    """
    before = _work(graph)
    if not before:
        return False
    trial = graph.clone()
    while rewrite(trial, _sunk):
        clean(trial)
        if not _work(trial):
            break
    if _work(trial) >= before:
        return False
    graph.inputs, graph.reads, graph.nodes = trial.inputs, trial.reads, trial.nodes
    graph.outputs, graph.writes = trial.outputs, trial.writes
    return True


def _work(graph: Graph) -> int:
    """How many elements are put in another order."""
    return sum(n.outputs[0].size for n in graph.nodes if _axes(n.outputs[0]) is not None)


def _axes(value: Value) -> Axes | None:
    """The order of dimensions that a transpose gives, ``None`` for any other value and where no element moves."""
    node = value.node
    if node is None or node.primitive is not TRANSPOSE:
        return None
    axes, shape = tuple(node.params["axes"]), node.inputs[0].shape
    moved = [a for a in axes if shape[a] != 1]
    return axes if moved != sorted(moved) else None


def _sunk(node: Node, emitter: Emitter) -> list[Value] | None:
    native = node.primitive.native
    if not node.single:
        return None
    if isinstance(native, Elementwise):
        found = _elementwise(node, emitter)
    elif isinstance(native, Reduction):
        found = _reduction(node, emitter)
    elif node.primitive is CONCAT:
        found = _concat(node, emitter)
    elif node.primitive is PAD:
        found = _pad(node, emitter)
    else:
        found = None
    return None if found is None else [found]


def _elementwise(node: Node, emitter: Emitter) -> Value | None:
    """``f(transpose(x), y)`` as ``transpose(f(x, y'))``, where ``y`` has the same order or is small."""
    shape = node.outputs[0].shape
    axes = next((a for v in node.inputs if v.shape == shape and (a := _axes(v)) is not None), None)
    if axes is None:
        return None
    inputs = [_in_order(v, axes, shape, emitter) for v in node.inputs]
    if None in inputs:
        return None
    inner = emitter.emit(node.primitive, *[v for v in inputs if v is not None], **node.params)
    return emitter.emit(TRANSPOSE, inner, axes=axes)


def _in_order(value: Value, axes: Axes, shape: Axes, emitter: Emitter) -> Value | None:
    """The operand as it is wanted beside the transpose's input; ``None`` where that would move many elements."""
    node = value.node
    if value.shape == shape and _axes(value) == axes and node is not None:
        return node.inputs[0]
    if node is not None and node.primitive.name == "broadcast_to" and value.shape == shape:
        return _in_order(node.inputs[0], axes, shape, emitter)
    if math.prod(value.shape) == 1:
        return value if len(value.shape) <= len(shape) else None
    if sum(n != 1 for n in value.shape) != 1:
        return None
    full = (1,) * (len(shape) - len(value.shape)) + value.shape  # one dimension: it moves without its elements moving
    return emitter.emit(RESHAPE, value, shape=tuple(full[axes.index(d)] for d in range(len(axes))))


def _reduction(node: Node, emitter: Emitter) -> Value | None:
    """The same reduction before the transpose, and what is left of the dimensions in their order."""
    axes = _axes(node.inputs[0])
    if axes is None or node.inputs[0].node is None:
        return None
    gone = set(node.params["axis"])
    params = {**node.params, "axis": tuple(sorted(axes[a] for a in gone))}
    inner = emitter.emit(node.primitive, node.inputs[0].node.inputs[0], **params)
    kept = [axes[d] for d in range(len(axes)) if d not in gone]
    order = tuple(sorted(kept).index(a) for a in kept)
    return inner if order == tuple(range(len(order))) else emitter.emit(TRANSPOSE, inner, axes=order)


def _concat(node: Node, emitter: Emitter) -> Value | None:
    axes = _axes(node.inputs[0])
    if axes is None or any(_axes(v) != axes for v in node.inputs):
        return None
    parts = [v.node.inputs[0] for v in node.inputs if v.node is not None]
    inner = emitter.emit(CONCAT, *parts, **{**node.params, "axis": axes[node.params["axis"]]})
    return emitter.emit(TRANSPOSE, inner, axes=axes)


def _pad(node: Node, emitter: Emitter) -> Value | None:
    axes, producer = _axes(node.inputs[0]), node.inputs[0].node
    if axes is None or producer is None:
        return None
    moved = {
        key: tuple(node.params[key][axes.index(d)] for d in range(len(axes))) for key in ("low", "high", "interior")
    }
    return emitter.emit(TRANSPOSE, emitter.emit(PAD, producer.inputs[0], **{**node.params, **moved}), axes=axes)
