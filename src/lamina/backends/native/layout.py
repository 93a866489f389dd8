"""How values lie in memory: the strides of what is stored, and of views of it."""

from __future__ import annotations

from collections.abc import Callable

from lamina.core.lowering import View
from lamina.graph.ir import Graph, Node, Value
from lamina.tensor import row_pitch


def dense_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Element strides of a stored value: row-major, the rows of a matrix padded (see ``row_pitch``)."""
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        inner = shape[d + 1] * strides[d + 1]
        if d == 0 and len(shape) == 2:
            inner = row_pitch(shape[1], itemsize)
        strides[d] = inner
    return tuple(strides)


def compact_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Element strides of a C-contiguous array, which inputs, outputs and constants are."""
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = shape[d + 1] * strides[d + 1]
    return tuple(strides)


class Layouts:
    """How values can be reached in memory, before anything is placed.

    Args:
        graph: its inputs are C-contiguous arrays,
        given: but those that this names by ``id`` have the strides that it says.
    """

    def __init__(self, graph: Graph, given: dict[int, tuple[int, ...]] | None = None) -> None:
        self.compact = {id(v) for v in graph.inputs}
        self.given = given or {}

    def own(self, value: Value) -> tuple[int, ...]:
        """The strides of a value that is no view."""
        if id(value) in self.given:
            return self.given[id(value)]
        if id(value) in self.compact or value.constant is not None:
            return compact_strides(value.shape)
        return dense_strides(value.shape, value.dtype.itemsize)

    def strides(self, value: Value) -> tuple[Value, int, tuple[int, ...]] | None:
        """``(stored value, element offset, strides)`` by which a value can be read, or None."""
        return through_views(value, self.own)


def through_views(
    value: Value, own: Callable[[Value], tuple[int, ...]]
) -> tuple[Value, int, tuple[int, ...]] | None:
    """The value behind views, and the offset and strides by which they read it; None where there are none.

    Args:
        value: a view or what is none.
        own: the strides of the value behind the views.
    """
    chain: list[Node] = []
    while value.node is not None and isinstance(value.node.primitive.native, View):
        if not value.node.inputs:  # full, iota: nothing is stored
            return None
        chain.append(value.node)
        value = value.node.inputs[0]
    offset, shape, strides = 0, value.shape, own(value)
    for node in reversed(chain):
        native = node.primitive.native
        assert isinstance(native, View)
        found = native.strides(shape, strides, node)
        if found is None:
            return None
        more, strides = found
        offset += more
        shape = node.outputs[0].shape
    return value, offset, tuple(strides)
