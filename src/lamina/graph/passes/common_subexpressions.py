"""Common subexpressions: equal nodes on equal inputs are computed once.  Every primitive is pure."""

from __future__ import annotations

from typing import Any

from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.rewriting import Emitter, rewrite
from lamina.ops.elementwise import ADD, MULTIPLY

COMMUTATIVE = (ADD, MULTIPLY)
COMPARED_BYTES = 64  # constants up to this size are compared by content, larger ones by identity


def merge_common_subexpressions(graph: Graph) -> bool:
    """Replace each node that repeats an earlier one by the earlier one's outputs."""
    seen: dict[Any, tuple[Value, ...]] = {}

    def rule(node: Node, emitter: Emitter) -> tuple[Value, ...] | None:
        inputs = [_identity(v) for v in node.inputs]
        if node.primitive in COMMUTATIVE:
            inputs.sort(key=hash)
        key = (node.primitive.name, tuple(inputs), _token(node.params) if node.params else None)
        try:
            return _other(seen.setdefault(key, node.outputs), node)
        except TypeError:  # a parameter without a hash: such nodes are all taken as different
            return None

    return rewrite(graph, rule)


def _other(found: tuple[Value, ...], node: Node) -> tuple[Value, ...] | None:
    return None if found is node.outputs else found


def _identity(value: Value) -> Any:
    array = value.constant
    if array is None:
        return value
    if array.nbytes > COMPARED_BYTES:
        return id(array)
    return array.shape, array.dtype, array.tobytes()


def _token(param: Any) -> Any:
    """A key for a parameter that keeps apart what compares equal: 0.0 and -0.0, 1 and True."""
    kind = type(param)
    if kind is float:
        return param.hex()
    if kind is tuple or kind is list:
        return kind, tuple([_token(p) for p in param])
    if kind is dict:
        return tuple([(k, _token(param[k])) for k in sorted(param)])
    return kind, param
