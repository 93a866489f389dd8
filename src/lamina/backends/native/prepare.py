"""Bringing a graph into the form that the kernels take.

* A reduction over the last axis and others is split: rows first, then the rest.
* Every value that leaves the graph is a value of its own (a copy where it is a view, an input, a
  constant, or leaves twice).
* The operands of a matrix product are reachable by strides: A any strides, B contiguous along
  its columns or copied into panels; rows that are gathered first are read where they are.
* Reductions and contractions of float16 and bfloat16 add up in float32: their inputs are widened,
  their result is rounded.
"""

from __future__ import annotations

from typing import Any

from lamina.backends.native.attention_plan import gradient_splits
from lamina.backends.native.contraction import (
    FEW_POSITIONS,
    lanes_along_k,
    panel_vectors,
    reads_transposed,
    wants_panels,
)
from lamina.backends.native.half import is_half
from lamina.backends.native.layout import Layouts, dense_strides
from lamina.backends.native.pairs import paired
from lamina.backends.native.primitives import (
    ATTENTION_GRADIENT_LAID_OUT,
    ATTENTION_LAID_OUT,
    CONV_PANELS,
    CONV_WEIGHTS_PANELS,
    COPY,
    JOIN,
    KEPT_PANELS,
    MATMUL_PANELS,
    MATMUL_ROWS,
    MATMUL_TURNED,
    PANELS,
    ROW_NUMBERS,
)
from lamina.backends.native.support import supported
from lamina.core import dtypes
from lamina.core.lowering import Attention, Contraction, Elementwise, Indexed, Joined, Reduction, Sweep, View
from lamina.core.primitive import Primitive
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import SMALL
from lamina.ops.conv import CONV, CONV_WEIGHTS, DEPTHWISE, DEPTHWISE_WEIGHTS
from lamina.ops.creation import CAST
from lamina.ops.indexing import SLICE
from lamina.ops.joining import CONCAT, PAD
from lamina.ops.reduction import SUM
from lamina.ops.shape import RESHAPE, TRANSPOSE, size_of

WIDE_ROW_BYTES = 1 << 14  # rows from here on are worth gathering inside the product instead of before it

SPLIT_ROWS = 1 << 10  # column reductions over so many rows are done in two steps,
SPLIT_PARTS = 8  # the first of which leaves at least so many
MOST_KEPT = 1 << 28  # bytes of panels that are kept from run to run
LITTLE = 16  # an operand is small beside one of so many times its size


def prepare(graph: Graph, lanes: int, registers: int, hardware: frozenset[str] = frozenset()) -> Graph:
    """A new graph in the form described at the head of this file.  The old one is left as it is.

    Args:
        graph: what to prepare.
        lanes: of a vector of float32.
        registers: how many vectors the CPU holds.
        hardware: the dtypes of two bytes that it has instructions for.
    """
    return _Preparation(graph, lanes, registers, hardware).run()


def _last_two_exchanged(rank: int) -> tuple[int, ...]:
    """The axes of the transpose of matrices."""
    return (*range(rank - 2), rank - 1, rank - 2)


def _heads_and_steps(rank: int) -> tuple[int, ...]:
    """The axes of a transpose of (..., heads, steps, size) to (..., steps, heads, size), and back."""
    return (*range(rank - 3), rank - 2, rank - 3, rank - 1)


class _Preparation:
    def __init__(
        self,
        graph: Graph,
        lanes: int,
        registers: int,
        hardware: frozenset[str],
        given: dict[int, tuple[int, ...]] | None = None,
        times: int = 1,
    ) -> None:
        self.hardware = hardware
        self.old, self.lanes, self.registers = graph, lanes, registers
        self.given = given or {}
        self.times = times  # how often the graph runs with the same constants
        written = {id(variable) for variable, _ in graph.writes}
        self.unwritten = {id(v) for variable, v in graph.reads if id(variable) not in written and not variable._aliased}
        self.room = MOST_KEPT
        self.joined: set[int] = set()  # ids of values that are part of another
        self.new = Graph(graph.name)
        self.map: dict[int, Value] = {}
        self.own: set[int] = set()  # ids of values that only one node uses, made again for it
        self.made: dict[tuple[str, int], Value] = {}  # conversions, by the value that they convert
        self.layouts: Layouts
        self.users: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.users.setdefault(id(value), []).append(node)

    def run(self) -> Graph:
        old, new = self.old, self.new
        new.inputs, new.reads = list(old.inputs), list(old.reads)
        self.layouts = Layouts(new, self.given)
        for node in old.nodes:
            inputs = [self.map.get(id(v), v) for v in node.inputs]
            outputs = self._node(node, inputs)
            for before, after in zip(node.outputs, outputs, strict=True):
                self.map[id(before)] = after
        taken: set[int] = set()
        new.outputs = [self._leaving(v, taken) for v in old.outputs]
        new.writes = [(variable, self._leaving(v, taken, True)) for variable, v in old.writes]
        self._sweep()
        return new

    def _add(self, primitive: Primitive, inputs: list[Value], origin: Node | None, **params: Any) -> Value:
        spec = primitive.shape(*inputs, **params)
        value = Value(spec.shape, spec.dtype)
        source, scope = (origin.source, origin.scope) if origin is not None else (None, ())
        self.new.nodes.append(Node(primitive, inputs, params, [value], True, source, scope))
        return value

    def _node(self, node: Node, inputs: list[Value]) -> list[Value]:
        native = node.primitive.native
        if isinstance(native, Reduction) and supported(node):
            value = inputs[0]
            if len(value.shape) - 1 not in node.params["axis"]:
                value = self._recomputed(node.inputs[0], value)
            if is_half(value.dtype):
                return [self._rounded(self._reduction(node, self._widened(value)), node)]
            return [self._reduction(node, value)]
        if isinstance(native, Contraction) and supported(node):
            return [self._contraction(node, inputs)]
        if node.primitive is CONCAT and supported(node) and node.outputs[0].size > SMALL:
            return [self._joined(node, inputs)]
        if isinstance(native, Sweep) and supported(node):
            return self._loop(node, inputs)
        if isinstance(native, Attention) and supported(node):
            return self._attention(node, inputs, native)
        if isinstance(native, Elementwise) and node.outputs[0].size > SMALL:
            given = {id(old): (old, new) for old, new in zip(node.inputs, inputs, strict=True)}
            again = {
                key: self._recomputed(old, new) if old.shape == node.outputs[0].shape else new
                for key, (old, new) in given.items()
            }
            inputs = [again[id(old)] for old in node.inputs]
        outputs = [Value(v.shape, v.dtype) for v in node.outputs]
        self.new.nodes.append(
            Node(node.primitive, inputs, node.params, outputs, node.single, node.source, node.scope)
        )
        return outputs

    def _reduction(self, node: Node, value: Value) -> Value:
        """Rows first, then the rest."""
        axes, last = node.params["axis"], len(value.shape) - 1
        if last not in axes:
            return self._columns(node, value)
        for part in ((last,), axes[:-1]):
            if part:
                value = self._add(node.primitive, [value], node, **{**node.params, "axis": part})
        return value

    def _columns(self, node: Node, value: Value) -> Value:
        """A reduction over leading axes: parts of them first, so that there are parts for many threads."""
        native, axes = node.primitive.native, node.params["axis"]
        assert isinstance(native, Reduction)
        leading = axes == tuple(range(len(axes))) and not native.combine.startswith("arg")
        if leading and size_of(value.shape[: len(axes)]) >= SPLIT_ROWS:
            parts = next(p for p in range(1, len(axes) + 1) if size_of(value.shape[:p]) >= SPLIT_PARTS)
            if parts < len(axes):
                value = self._add(node.primitive, [value], node, **{**node.params, "axis": axes[parts:]})
                axes = axes[:parts]
        return self._add(node.primitive, [value], node, **{**node.params, "axis": axes})

    def _recomputed(self, old: Value, new: Value) -> Value:
        """What a node reads, with a node of its own for what is cheaper to compute again than to read back.

        These are elementwise results of one array that is stored anyway and of small ones, such as
        ``x - mean`` in a variance, in the normalized value and in its gradient.
        """
        before, node = old.node, new.node
        if before is None or node is None or before.primitive is not node.primitive or id(new) in self.own:
            return new
        native = node.primitive.native
        if not isinstance(native, Elementwise) or native.expensive or not supported(before):
            return new
        pairs = list(zip(before.inputs, node.inputs, strict=True))
        inputs = [self._recomputed(o, n) if o.shape == old.shape and o is not n else n for o, n in pairs]
        if len(self.users[id(old)]) > 1:
            large = [o for o in {id(o): o for o in before.inputs}.values() if o.size * LITTLE > old.size]
            if len(large) != 1 or not self._is_stored(large[0]):
                return new
        elif all(i is n for i, n in zip(inputs, node.inputs, strict=True)):
            return new
        again = self._add(node.primitive, inputs, before, **node.params)
        self.own.add(id(again))
        return again

    def _is_stored(self, value: Value) -> bool:
        """Whether a value is surely in memory, whatever becomes of those who use it."""
        if value.node is None:
            return True
        return any(
            isinstance(user.primitive.native, Reduction) and len(value.shape) - 1 not in user.params["axis"]
            for user in self.users[id(value)]
        )

    def _attention(self, node: Node, inputs: list[Value], native: Attention) -> list[Value]:
        """Every operand contiguous along its vectors; a mask of single queries along the queries, with room for
        whole vectors of them; in float32 what is half as wide."""
        inputs = [self._widened(v) if is_half(v.dtype) else v for v in inputs]
        count = 7 if native.gradient else 3
        rows = [self._contiguous(v, node, any_step=len(v.shape) < len(inputs[0].shape)) for v in inputs[:count]]
        masks = [self._attention_mask(v, node, inputs[0].dtype.itemsize) for v in inputs[count:]]
        steps = tuple(i for i, v in enumerate(node.outputs) if self._is_turned(v))
        primitive, params, splits = ATTENTION_LAID_OUT, {**node.params, "steps": steps}, 1
        if native.gradient:
            primitive, splits = ATTENTION_GRADIENT_LAID_OUT, gradient_splits(rows[0].shape, rows[1].shape)
            params["splits"] = splits
        outputs = [Value(spec.shape, spec.dtype) for spec in primitive.shape(*rows, *masks, **params)]
        self.new.nodes.append(Node(primitive, [*rows, *masks], params, outputs, False, node.source, node.scope))
        if splits > 1:
            outputs[0] = self._add(SUM, [outputs[0]], node, axis=(0,))
        for i in steps:
            outputs[i] = self._add(TRANSPOSE, [outputs[i]], node, axes=_heads_and_steps(len(outputs[i].shape)))
        return [
            v if v.dtype == wanted.dtype else self._add(CAST, [v], node, dtype=wanted.dtype)
            for v, wanted in zip(outputs, node.outputs, strict=True)
        ]

    def _is_turned(self, value: Value) -> bool:
        """Whether (..., heads, steps, size) is wanted as (..., steps, heads, size)."""
        if any(v is value for v in self.old.outputs) or any(v is value for _, v in self.old.writes):
            return False
        axes = _heads_and_steps(len(value.shape))
        return any(u.primitive is TRANSPOSE and u.params["axes"] == axes for u in self.users.get(id(value), []))

    def _contiguous(self, value: Value, node: Node, any_step: bool = False) -> Value:
        """The value, or a copy where it has no strides, or its last axis has another than 1 (unless ``any_step``)."""
        found = self.layouts.strides(value)
        if found is None or not (any_step or found[2][-1] == 1 or value.shape[-1] == 1):
            return self._add(COPY, [value], node)
        return value

    def _attention_mask(self, mask: Value, node: Node, itemsize: int) -> Value:
        queries, rank = mask.shape[-2], len(mask.shape)
        if queries == 1:
            return self._contiguous(mask, node, any_step=True)
        key = (f"attention mask {itemsize}", id(mask))
        if key not in self.made:
            exchange = _last_two_exchanged(rank)
            turned = self._add(TRANSPOSE, [mask], node, axes=exchange)
            lanes = self.lanes * 4 // itemsize
            room = -queries % (lanes * panel_vectors(queries, lanes, self.registers))
            if room:
                none = (0,) * (rank - 1)
                turned = self._add(
                    PAD, [turned], node, low=(*none, 0), high=(*none, room), interior=(*none, 0),
                    value=False if mask.dtype.kind == "b" else 0.0,
                )  # fmt: skip
                starts, stops = (0,) * rank, (*turned.shape[:-1], queries)
                turned = self._add(SLICE, [turned], node, starts=starts, stops=stops, steps=(1,) * rank)
            else:
                turned = self._add(COPY, [turned], node)
            self.made[key] = self._add(TRANSPOSE, [turned], node, axes=exchange)
        return self.made[key]

    def _joined(self, node: Node, inputs: list[Value]) -> Value:
        """Every part is a value of its own, which then is computed where it belongs."""
        parts = []
        for value in inputs:
            part = value
            if not self._computed(part) or id(part) in self.joined:
                part = self._add(COPY, [value], node)
            self.joined.add(id(part))
            parts.append(part)
        return self._add(JOIN, parts, node, axis=node.params["axis"])

    def _computed(self, value: Value) -> bool:
        """Whether a kernel writes this value, to any place that it is given."""
        node = value.node
        kinds = Elementwise | Indexed | Reduction | Contraction
        return node is not None and isinstance(node.primitive.native, kinds) and supported(node)

    def _loop(self, node: Node, inputs: list[Value]) -> list[Value]:
        """A loop whose body is prepared too; what is the same in every turn is computed before it."""
        params = dict(node.params)
        body, carried, walked = params["body"], params["carried"], params["walked"]
        outer = list(inputs)
        for i, value in enumerate(outer):
            found = self.layouts.strides(value)
            dense = 0, dense_strides(value.shape, value.dtype.itemsize)
            if found is None or (i < carried and found[1:] != dense):  # states move between places of one form
                outer[i] = self._add(COPY, [value], node)
        body = body.clone()
        for value in body.constants():
            if value.size > 1:
                outside = Value(value.shape, value.dtype)
                outside.constant, value.constant = value.constant, None
                body.inputs.append(value)
                outer.append(outside)
        given = {}
        for i, (inner, value) in enumerate(zip(body.inputs, outer, strict=True)):
            found = self.layouts.strides(value)
            assert found is not None
            given[id(inner)] = found[2][1:] if carried <= i < carried + walked else found[2]
        made = _Preparation(body, self.lanes, self.registers, self.hardware, given, params["length"]).run()
        self._hoist(made, carried + walked, outer)
        params["body"] = made
        outputs = [Value(v.shape, v.dtype) for v in node.outputs]
        self.new.nodes.append(Node(node.primitive, outer, params, outputs, False, node.source, node.scope))
        return outputs

    def _hoist(self, body: Graph, first: int, outer: list[Value]) -> None:
        """Move nodes of a loop's body that only need what comes from outside (inputs from ``first`` on) out of it."""
        outside: dict[Value, Value] = dict(zip(body.inputs[first:], outer[first:], strict=True))
        kept: list[Node] = []
        for node in body.nodes:
            fixed = bool(node.inputs) and all(v in outside or v.constant is not None for v in node.inputs)
            if not fixed or not node.single:
                kept.append(node)
                continue
            sources = [outside.get(v, v) for v in node.inputs]
            if node.primitive is PANELS:
                outside[node.outputs[0]] = self._panels(sources[0], node.params["width"], node)
            else:
                outside[node.outputs[0]] = self._add(node.primitive, sources, node, **node.params)
        body.nodes = kept
        used = set(body.used_values())
        for inner, value in outside.items():
            if inner in body.inputs or inner not in used:
                continue
            inner.node = None
            body.inputs.append(inner)
            outer.append(value if self.layouts.strides(value) is not None else self._add(COPY, [value], value.node))

    def _reachable(self, value: Value, node: Node) -> Value:
        """The value, by strides: of a chain of views the first that has none is copied, once for all who ask."""
        view = value.node
        if self.layouts.strides(value) is not None:
            return value
        key = ("reachable", id(value))
        if key not in self.made:
            copied = value
            if view is not None and len(view.inputs) == 1 and self.layouts.strides(view.inputs[0]) is None:
                source = self._reachable(view.inputs[0], node)
                copied = self._add(view.primitive, [source], view, **view.params)
            self.made[key] = copied if self.layouts.strides(copied) is not None else self._add(COPY, [value], node)
        return self.made[key]

    def _panels(self, value: Value, width: int, node: Node) -> Value:
        """The matrix in panels; one node for all products with it."""
        key = (f"panels of {width}", id(value))
        if key not in self.made:
            kept = self._can_be_kept(value)
            self.room -= kept * value.size * value.dtype.itemsize
            self.made[key] = self._add(KEPT_PANELS if kept else PANELS, [value], node, width=width)
        return self.made[key]

    def _can_be_kept(self, value: Value) -> bool:
        """Whether what is made of this value can serve later runs: it is a variable that the graph does not write."""
        fits = value.size * value.dtype.itemsize <= self.room
        while value.node is not None and isinstance(value.node.primitive.native, View) and len(value.node.inputs) == 1:
            value = value.node.inputs[0]
        return fits and id(value) in self.unwritten

    def _turned(self, value: Value, node: Node) -> Value:
        """The matrix with its rows as columns, each contiguous; one node for all who ask."""
        key = ("turned", id(value))
        if key not in self.made:
            turned = self._add(TRANSPOSE, [value], node, axes=_last_two_exchanged(len(value.shape)))
            self.made[key] = self._contiguous(turned, node)
        return self.made[key]

    def _widened(self, value: Value) -> Value:
        """The value in float32; one node for all who ask."""
        key = ("float32", id(value))
        if key not in self.made:
            self.made[key] = self._add(CAST, [value], value.node, dtype=dtypes.float32)
        return self.made[key]

    def _rounded(self, value: Value, node: Node) -> Value:
        """A result in float32 in the dtype that the node gives."""
        dtype = node.outputs[0].dtype
        return value if value.dtype == dtype else self._add(CAST, [value], node, dtype=dtype)

    def _convolution(self, node: Node, inputs: list[Value]) -> Value:
        """Both operands by strides; the kernel as a matrix of windows by filters, in panels if it is wide."""
        x, other = inputs
        found = self.layouts.strides(x)
        if found is None or found[2][-1] != 1:
            x = self._add(COPY, [x], node)
        matrix = self._add(RESHAPE, [other], node, shape=(size_of(other.shape[:-1]), other.shape[-1]))
        found = self.layouts.strides(matrix)
        contiguous = found is not None and found[2][-1] == 1
        lanes = self.lanes * 4 // x.dtype.itemsize
        width = lanes * panel_vectors(matrix.shape[1], lanes, self.registers)
        if node.primitive is not CONV:
            # Rows at such a distance fall into the same sets of the cache.
            collides = matrix.shape[1] > width and matrix.shape[1] * x.dtype.itemsize % 1024 == 0
            if node.primitive is CONV_WEIGHTS and collides:
                matrix = self._panels(matrix, width, node)
                return self._add(CONV_WEIGHTS_PANELS, [x, matrix], node, **node.params, filters=other.shape[-1])
            if not contiguous:
                matrix = self._add(RESHAPE, [self._add(COPY, [other], node)], node, shape=matrix.shape)
                if self.layouts.strides(matrix) is None:
                    matrix = self._add(COPY, [matrix], node)
            return self._add(node.primitive, [x, matrix], node, **node.params)
        few = size_of(node.outputs[0].shape[:-1]) <= FEW_POSITIONS and not self._can_be_kept(matrix)
        form = "rows"
        if not self.given and lanes_along_k(matrix.shape[1], matrix.shape[0], x.shape[-1], lanes):
            form, matrix = "turned", self._turned(matrix, node)
        elif (matrix.shape[1] > width and not few) or not contiguous:
            form, matrix = "panels", self._panels(matrix, width, node)
        return self._add(
            CONV_PANELS, [x, matrix], node, **node.params,
            kernel=other.shape[:-2], out=node.outputs[0].shape[1:-1], filters=other.shape[-1], form=form,
        )  # fmt: skip

    def _contraction(self, node: Node, inputs: list[Value]) -> Value:
        if is_half(inputs[0].dtype):
            sums = None
            if inputs[0].dtype.name == "bfloat16" and "bfloat16" in self.hardware:
                sums = paired(node, inputs, self._add, self.layouts.strides, self.lanes, self.registers)
            if sums is None:
                sums = self._contraction(node, [self._widened(v) for v in inputs])
            return self._rounded(sums, node)
        if node.primitive in (CONV, CONV_WEIGHTS, DEPTHWISE, DEPTHWISE_WEIGHTS):
            return self._convolution(node, inputs)
        a, b = inputs
        gathered = self._gathered(node) if a.dtype == node.inputs[0].dtype else None
        if gathered is None:
            a = self._reachable(a, node)
        m, k = a.shape[-2:]
        n, size = b.shape[-1], b.dtype.itemsize
        lanes = self.lanes * 4 // size
        found = self.layouts.strides(b)
        contiguous = found is not None and (found[2][-1] == 1 or n == 1)
        width = panel_vectors(n, lanes, self.registers) * lanes
        turned = found is not None and not contiguous and found[2][-2] == 1 and reads_transposed(m, k, lanes)
        if gathered is None and not self.given and (turned or (m >= n and lanes_along_k(n, k, k, lanes))):
            placed = self.layouts.strides(a)
            if placed is not None and placed[2][-1] == 1:
                return self._add(MATMUL_TURNED, [a, self._turned(b, node)], node)
        if not contiguous or wants_panels(m * self.times, n, k, size, width):
            if gathered is not None:
                b = self._add(COPY, [b], node)
            else:
                return self._add(MATMUL_PANELS, [a, self._panels(b, width, node)], node, n=n)
        if gathered is not None:
            x, rows, transposed = gathered
            return self._add(MATMUL_ROWS, [x, rows, b], node, transposed=transposed)
        return self._add(node.primitive, [a, b], node, **node.params)

    def _gathered(self, node: Node) -> tuple[Value, Value, bool] | None:
        """``(x, rows, transposed)`` where A is ``take(x, rows, axis=0)`` of wide rows, or its transpose.

        Then the product reads the rows where they are: a batch of wide rows is never copied.
        """
        a = node.inputs[0]
        transposed = a.node is not None and a.node.primitive.name == "transpose" and len(a.shape) == 2
        if transposed:
            assert a.node is not None
            a = a.node.inputs[0]
        take = a.node
        if take is None or take.primitive.name != "take" or take.params["axis"] != 0 or not supported(take):
            return None
        x, rows = take.inputs
        if len(x.shape) != 2 or len(rows.shape) != 1 or x.shape[1] * x.dtype.itemsize < WIDE_ROW_BYTES:
            return None
        if not self._only_feeds_products(a):
            return None
        x, rows = (self.map.get(id(v), v) for v in (x, rows))
        found = self.layouts.strides(x)
        if found is None or found[2][-1] != 1:
            return None
        key = -id(rows)  # one node for all products over the same rows
        if key not in self.map:
            self.map[key] = self._add(ROW_NUMBERS, [rows], take, size=x.shape[0])
        return x, self.map[key], transposed

    def _only_feeds_products(self, a: Value) -> bool:
        if any(v is a for v in self.old.outputs) or any(v is a for _, v in self.old.writes):
            return False
        for user in self.users.get(id(a), []):
            if user.primitive.name == "transpose":
                after = user.outputs[0]
                for last in self.users.get(id(after), []):
                    if not isinstance(last.primitive.native, Contraction) or last.inputs[0] is not after:
                        return False
            elif not isinstance(user.primitive.native, Contraction) or user.inputs[0] is not a or user.inputs[1] is a:
                return False
        return True

    def _sweep(self) -> None:
        """Drop nodes that nobody uses any more (gathers that moved into products)."""
        used = {id(v) for v in self.new.outputs} | {id(v) for _, v in self.new.writes}
        kept: list[Node] = []
        for node in reversed(self.new.nodes):
            if any(id(v) in used for v in node.outputs):
                kept.append(node)
                used |= {id(v) for v in node.inputs}
        self.new.nodes = kept[::-1]

    def _leaving(self, value: Value, taken: set[int], written: bool = False) -> Value:
        value = self.map.get(id(value), value)
        whole = value
        if not (written or self.given):  # an output that only has another shape is computed in its place all the same
            while whole.node is not None and whole.node.primitive is RESHAPE:
                whole = whole.node.inputs[0]
        node = whole.node
        fresh = node is not None and not isinstance(node.primitive.native, View) and id(whole) not in self.joined
        if node is not None and isinstance(node.primitive.native, Joined):
            fresh = fresh and not written  # its parts would overwrite what others may still read
        if node is not None and isinstance(node.primitive.native, Sweep):
            fresh = fresh and whole not in node.outputs[: node.params["carried"]]  # they need rows of their own pitch
        if not fresh or id(whole) in taken:
            value = whole = self._add(COPY, [value], value.node)
        taken.add(id(whole))
        return value
