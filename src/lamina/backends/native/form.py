"""The form of a group: what its kernel's text depends on, and nothing else.

Groups of one form differ only in where their values lie (a network's equal layers, for one), and
share a kernel.
"""

from __future__ import annotations

from typing import Any

from lamina.backends.native.kernel import Storage
from lamina.core.lowering import Attention, Contraction
from lamina.graph.ir import Node, Value
from lamina.graph.passes.fusion import Group, is_view


def describe(group: Group, storage: dict[int, Storage], scratch: Storage | None) -> tuple[Any, list[tuple[int, int]]]:
    """A key that is equal for groups of one form, and the places of their values in one order.

    Returns:
        ``(key, places)``: a place is a ``(slot, byte offset)``; place ``i`` of one group plays the
        part of place ``i`` of every other group with this key.
    """
    walk = _Walk({id(n) for n in group.nodes}, storage)
    nodes = tuple(walk.node(n) for n in group.nodes)
    inlined = tuple(i for i, n in enumerate(group.nodes) if id(n) in group.inlined)
    extra = None if scratch is None else (walk.place(scratch), scratch.shape, scratch.strides)
    return (group.kind, group.shape, nodes, inlined, extra), walk.places


class _Walk:
    """Numbers values and places in the order in which they are met."""

    def __init__(self, own: set[int], storage: dict[int, Storage]) -> None:
        self.own, self.storage = own, storage
        self.numbers: dict[int, int] = {}
        self.reached: set[int] = set()  # ids of numbered values that are known down to their place in memory
        self.places: list[tuple[int, int]] = []

    def place(self, where: Storage) -> int:
        key = (where.slot, where.offset)
        if key not in self.places:
            self.places.append(key)
        return self.places.index(key)

    def _memory(self, value: Value) -> Any:
        where = self.storage.get(id(value))
        return None if where is None else (self.place(where), where.strides)

    def node(self, node: Node, in_memory: bool = False) -> Any:
        # Their operands are read by address.
        in_memory = in_memory or isinstance(node.primitive.native, Attention | Contraction)
        inputs = tuple(self.value(v, in_memory) for v in node.inputs)
        for value in node.outputs:
            self.numbers[id(value)] = len(self.numbers)
            if in_memory or not is_view(node):
                self.reached.add(id(value))
        outputs = tuple((self._memory(v), v.shape, v.dtype) for v in node.outputs)
        params = tuple(sorted((k, repr(p)) for k, p in node.params.items()))
        return node.primitive.name, params, inputs, outputs

    def value(self, value: Value, in_memory: bool) -> Any:
        if value.constant is not None and value.constant.size == 1 and not in_memory:
            return "constant", value.constant.item().__repr__(), value.shape, value.dtype
        number = self.numbers.get(id(value))
        # A view that was looked through before may not have its source's place yet.
        if number is not None and (not in_memory or id(value) in self.reached):
            return number
        node = value.node
        if node is not None and is_view(node):
            return "view", self.node(node, in_memory)
        self.numbers[id(value)] = len(self.numbers)
        self.reached.add(id(value))
        return "outside", self._memory(value), value.shape, value.dtype
