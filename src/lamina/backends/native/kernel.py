"""One kernel being written: where values are stored, and pulling them through their rules.

``Kernel.pull(value, index)`` gives a value at a position: from registers if it was computed there
already, from memory if it is stored, else by its primitive's rule, which pulls its inputs in
turn.  That is all that fusion is at this level.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lamina.backends.native.builder import Builder
from lamina.backends.native.emit import Function, Operand, literal, memory_type
from lamina.backends.native.half import is_half
from lamina.backends.native.index import INT32, INT64, FlatIndex, Index
from lamina.backends.native.layout import through_views
from lamina.core.errors import GraphError
from lamina.core.lowering import Elementwise, Indexed, Reduction, View
from lamina.graph.ir import Node, Value
from lamina.graph.passes.fusion import source_of


class Storage(NamedTuple):
    """Where a value lies: an entry of the pointer table, a byte offset, and element strides."""

    slot: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def contiguous(self) -> bool:
        expected = 1
        for n, s in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if n != 1 and s != expected:
                return False
            expected *= n
        return True


FLOAT32 = np.dtype(np.float32)
# Rules whose results are among their operands, or need no more digits than these: nothing to round.
EXACT = frozenset({"copy", "cast", "negative", "abs", "maximum", "minimum", "clip", "where", "relu", "sign"})

PARAMETERS = [("ptr", "table"), ("i64", "c0"), ("i64", "c1")]


class Kernel:
    """The writing of one kernel function ``void name(table, first chunk, last chunk)``.

    The text says nothing of where the values lie: ``table`` holds their addresses in the order of
    ``places``.  So kernels that do the same work on other values have the same text.

    Args:
        name: the function's name.
        lanes: vector lanes.
        storage: where values that memory holds are to be found, by ``id(value)``.
        own: ids of the nodes that this kernel computes.
        places: the ``(slot, byte offset)`` of what the table points to; grows as values are used.
        hardware: the half dtypes that the CPU converts by an instruction.
    """

    def __init__(
        self,
        name: str,
        lanes: int,
        storage: dict[int, Storage],
        own: set[int],
        places: list[tuple[int, int]],
        hardware: frozenset[str] = frozenset(),
    ) -> None:
        self.f = Function(name, PARAMETERS, lanes, hardware=hardware)
        self.b = Builder(self.f)
        self.storage, self.own, self.places = storage, own, places
        self._memo: list[dict[Any, Operand]] = [{}]
        self._pointers: dict[tuple[int, int], str] = {}
        self.count: int | None = None  # lanes in use, where not all are
        self.ready: set[int] = set()  # ids of own values that an earlier stage has stored
        self.head: list[str] = []

    # --- scopes of what is in registers -----------------------------------------------------------
    def push(self) -> None:
        self._memo.append({})

    def pop(self) -> None:
        self._memo.pop()

    def remember(self, value: Value, index: list[Index], operand: Operand) -> None:
        self._memo[-1][(id(value), tuple(i.key for i in index))] = operand

    def _recall(self, key: Any) -> Operand | None:
        for scope in reversed(self._memo):
            found = scope.get(key)
            if found is not None:
                return found
        return None

    # --- memory ---------------------------------------------------------------------------------
    def pointer(self, storage: Storage) -> str:
        """The address of a value's first element; loaded once, at the head of the function."""
        key = (storage.slot, storage.offset)
        if key not in self._pointers:
            if key not in self.places:
                self.places.append(key)
            n = self.f.fresh()
            self.head.append(f"  %s{n} = getelementptr ptr, ptr %table, i64 {self.places.index(key)}")
            self.head.append(f"  %b{n} = load ptr, ptr %s{n}, align 8")
            self._pointers[key] = f"%b{n}"
        return self._pointers[key]

    def offset(self, storage: Storage, index: list[Index]) -> Index:
        if isinstance(index, FlatIndex):
            return index[-1]
        total = Index(self.f, 0)
        for i, n, s in zip(index, storage.shape, storage.strides, strict=True):
            if n != 1 and s != 0:
                total = total + i * s
        return total

    def load(self, storage: Storage, index: list[Index]) -> Operand:
        at = self.offset(storage, index)
        base = self.pointer(storage)
        memory = memory_type(storage.dtype)
        if at.uniform:
            return self.f.load(self.f.address(base, at.base, memory), storage.dtype)
        if at.vector is None and at.step == 1:
            return self.f.load(self.f.address(base, at.base, memory), storage.dtype, self.f.lanes, self.count)
        return self.f.gather(base, at.lanes32(), storage.dtype, self.count)

    def store(self, value: Value, index: list[Index], operand: Operand) -> None:
        storage = self.storage[id(value)]
        at = self.offset(storage, index)
        memory = memory_type(storage.dtype)
        if at.uniform:
            if operand.lanes != 1:
                raise GraphError("a vector cannot be stored at one position")
            self.f.store(operand, self.f.address(self.pointer(storage), at.base, memory))
        elif at.vector is None and at.step == 1:
            self.f.store(self.f.spread(operand), self.f.address(self.pointer(storage), at.base, memory), self.count)
        else:
            raise GraphError(f"a stored value must be contiguous along its lanes, not step {at.step}")

    # --- pulling --------------------------------------------------------------------------------
    def pull(self, value: Value, index: list[Index]) -> Operand:
        """The value at ``index`` (one entry for each of its dimensions)."""
        if value.constant is not None and value.constant.size == 1:
            return Operand(literal(value.constant.reshape(()).item(), value.dtype), value.dtype, 1)
        key = (id(value), tuple(i.key for i in index))
        found = self._recall(key)
        if found is not None:
            return found
        node = value.node
        inside = node is not None and (id(node) in self.own or isinstance(node.primitive.native, View))
        if id(value) in self.storage and (not inside or id(value) in self.ready):
            result = self.load(self.storage[id(value)], index)
        elif inside:
            assert node is not None
            found = self._viewed(value, index)
            result = self._by_rule(node, index) if found is None else found
        else:
            raise GraphError(f"{value!r} is neither stored nor computed in this kernel")
        self._memo[-1][key] = result
        return result

    def _viewed(self, value: Value, index: list[Index]) -> Operand | None:
        """What a view shows of memory, at positions without a form: by its strides, which takes no divisions."""
        if all(i.vector is None for i in index):
            return None
        source = source_of(value)
        where = self.storage.get(id(source))
        if where is None or (source.node is not None and id(source.node) in self.own and id(source) not in self.ready):
            return None
        found = through_views(value, lambda _: where.strides)
        if found is None or found[1] != 0:
            return None
        return self.load(where._replace(shape=value.shape, strides=found[2]), index)

    def _by_rule(self, node: Node, index: list[Index]) -> Operand:
        native = node.primitive.native
        if isinstance(native, Elementwise):
            operands = [self.pull(v, self.broadcast(index, v.shape)) for v in node.inputs]
            return self._elementwise(native, operands, node)
        if isinstance(native, Indexed | View):
            result = native.emit(Pull(self, node), list(index), node)
            assert isinstance(result, Operand)
            return result
        if isinstance(native, Reduction):
            from lamina.backends.native.reductions import Column, reduce_columns

            return reduce_columns(self, [Column(node, index, self.count)])[0]
        raise GraphError(f"{node.primitive.name} is pulled before it was computed")

    def _elementwise(self, native: Elementwise, operands: list[Operand], node: Node) -> Operand:
        """A rule's result.  Half dtypes: the rule computes in float32, its result is rounded once."""
        if not any(is_half(x.dtype) for x in operands) or node.primitive.name in EXACT:
            result = native.emit(self.b, *operands, **node.params)
        else:
            wide = [Operand(x.ssa, FLOAT32, x.lanes) if is_half(x.dtype) else x for x in operands]
            result = native.emit(self.b, *wide, **node.params)
            if result.dtype == FLOAT32:
                result = self.b.cast(result, node.outputs[0].dtype)
        assert isinstance(result, Operand)
        return result

    def broadcast(self, index: list[Index], shape: tuple[int, ...]) -> list[Index]:
        """The index into an operand of ``shape`` that is broadcast to the index's dimensions."""
        if isinstance(index, FlatIndex):  # all operands have the iteration shape
            return index
        kept = index[len(index) - len(shape) :]
        zero = Index(self.f, 0)
        return [zero if n == 1 else i for i, n in zip(kept, shape, strict=True)]

    def text(self) -> str:
        """The function's text, with the addresses it needs loaded at its head."""
        self.f.lines[:0] = self.head
        self.head = []
        return self.f.text()


class Pull:
    """What an ``Indexed`` or ``View`` rule sees (``c`` in ``lamina.core.lowering``)."""

    def __init__(self, kernel: Kernel, node: Node) -> None:
        self.kernel, self.node, self.b = kernel, node, kernel.b

    def pull(self, i: int, index: list[Any]) -> Operand:
        whole = [j if isinstance(j, Index) else Index(self.kernel.f, int(j)) for j in index]
        return self.kernel.pull(self.node.inputs[i], whole)

    def index(self, x: Operand) -> Index:
        """An integer operand as a position."""
        f = self.kernel.f
        if x.lanes == 1:
            wide = self.b.cast(x, INT64)
            base: str | int = int(wide.ssa) if not wide.ssa.startswith("%") else wide.ssa
            return Index(f, base)
        return Index(f, 0, vector=self.b.cast(x, INT32).ssa)

    def operand(self, index: Index, dtype: Any) -> Operand:
        """A position as an operand of ``dtype``."""
        dtype = np.dtype(dtype)
        if index.uniform:
            return self.b.cast(Operand(str(index.base), INT64, 1), dtype)
        return self.b.cast(Operand(index.lanes32(), INT32, self.kernel.f.lanes), dtype)
