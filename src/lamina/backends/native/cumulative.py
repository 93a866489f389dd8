"""The kernel of running sums and products.

Each adds up one element after the other, as NumPy does, so results are the same to the last bit.  What runs side by
side are independent lines: vectors of them where the axis is not the last, else a few rows at a time, which hide the
time that one addition takes.  Totals stay in registers; those of two-byte floats are float32, and each result is
rounded once.
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.backends.native.builder import FLOAT32
from lamina.backends.native.emit import Operand
from lamina.backends.native.half import is_half
from lamina.backends.native.index import Index, unflatten_index
from lamina.backends.native.kernel import Kernel
from lamina.backends.native.loops import CHUNK_WORK, MAX_CHUNKS, LoopPlan
from lamina.core.lowering import Cumulative
from lamina.graph.ir import Node
from lamina.graph.passes.fusion import Group
from lamina.ops.shape import size_of

ROWS = 4  # that are walked side by side; more would meet in one set of the cache
VECTORS = 8  # of four bytes a lane, side by side

Line = Callable[[str | int], list[Index]]  # the index of the element at a position along the axis


class _Cut:
    """How a node's lines are cut into blocks that are walked side by side.

    The first blocks are full; each place of the dimensions other than the lines' has then one of what is left over.
    """

    def __init__(self, node: Node, lanes: int) -> None:
        out = node.outputs[0]
        self.shape, self.axis = out.shape, node.params["axis"]
        self.size = self.shape[self.axis]
        self.vector = self.axis < len(self.shape) - 1 and self.shape[-1] > 1
        others = (*self.shape[: self.axis], *self.shape[self.axis + 1 :])
        if self.vector:
            self.width = lanes * max(1, VECTORS * 4 // max(4, out.dtype.itemsize))
            self.others, lines = others[:-1], others[-1]
        else:
            self.width = ROWS
            self.others, lines = (), size_of(others)
        self.places = size_of(self.others)
        self.blocks, self.rest = divmod(lines, self.width)
        self.full = self.places * self.blocks
        self.tasks = self.full + (self.places if self.rest else 0)


def plan_cumulative(group: Group, lanes: int) -> LoopPlan:
    """Cut the blocks of lines into chunks."""
    node = group.nodes[0]
    cut = _Cut(node, lanes)
    per = max(1, CHUNK_WORK // (cut.size * cut.width), -(-cut.tasks // MAX_CHUNKS))
    return LoopPlan(group, [node.outputs[0]], False, False, -(-cut.tasks // per), per)


def emit_cumulative(kernel: Kernel, plan: LoopPlan) -> None:
    """Write the kernel's body for chunks ``[c0, c1)``."""
    f, node = kernel.f, plan.group.nodes[0]
    cut = _Cut(node, f.lanes)
    first = f.imul("%c0", plan.per_chunk)
    last = f.imin(f.imul("%c1", plan.per_chunk), cut.tasks)

    def block(task: str | int, width: int) -> None:
        kernel.push()
        place = f.idiv(task, cut.blocks) if width == cut.width else f.isub(task, cut.full)
        start = f.imul(f.imod(task, cut.blocks), cut.width) if width == cut.width else cut.blocks * cut.width
        if not cut.vector:
            start = f.imul(task, cut.width)
            _walk(kernel, node, [(_row(kernel, cut, f.iadd(start, i)), None) for i in range(width)])
        else:
            others = unflatten_index(Index(f, place), cut.others) if cut.others else []
            _walk(kernel, node, [_vector(kernel, cut, others, start, i, width) for i in range(0, width, f.lanes)])
        kernel.pop()

    if cut.blocks:
        f.loop(first, f.imin(last, cut.full), 1, lambda t, _: block(t, cut.width))
    if cut.rest:
        f.loop(f.imax(first, cut.full), last, 1, lambda t, _: block(t, cut.rest))


def _row(kernel: Kernel, cut: _Cut, line: str | int) -> Line:
    f, axis = kernel.f, cut.axis
    others = (*cut.shape[:axis], *cut.shape[axis + 1 :])
    index = unflatten_index(Index(f, line), others) if others else []
    return lambda at: [*index[:axis], Index(f, at), *index[axis:]]


def _vector(
    kernel: Kernel, cut: _Cut, others: list[Index], start: str | int, i: int, width: int
) -> tuple[Line, int | None]:
    f = kernel.f
    lead, trail = others[: cut.axis], others[cut.axis :]
    lane = Index(f, f.iadd(start, i), 1, align=f.lanes)
    return lambda at: [*lead, Index(f, at), *trail, lane], None if width - i >= f.lanes else width - i


def _walk(kernel: Kernel, node: Node, lines: list[tuple[Line, int | None]]) -> None:
    """Go along the axis on these lines side by side; of a vector's lanes, the number in use is given."""
    f, b = kernel.f, kernel.b
    native, (x,), out = node.primitive.native, node.inputs, node.outputs[0]
    assert isinstance(native, Cumulative)
    combine = getattr(b, native.combine)
    n = out.shape[node.params["axis"]]

    def step(i: str | int, totals: list[Operand] | None) -> list[Operand]:
        at = f.isub(n - 1, i) if node.params["reverse"] else i
        kernel.push()
        indices = [line(at) for line, _ in lines]
        found = []
        for index, (_, count) in zip(indices, lines, strict=True):
            kernel.count = count
            found.append(kernel.pull(x, index))
            if not index[-1].uniform:
                found[-1] = f.spread(found[-1])
        if is_half(out.dtype):
            found = [Operand(v.ssa, FLOAT32, v.lanes) for v in found]
        if totals is not None:
            found = [combine(total, v) for total, v in zip(totals, found, strict=True)]
        for index, (_, count), total in zip(indices, lines, found, strict=True):
            kernel.count = count
            kernel.store(out, index, b.cast(total, out.dtype))
        kernel.count = None
        kernel.pop()
        return found

    start = step(0, None)

    def body(i: str | int, carried: list[str]) -> list[str]:
        totals = [Operand(ssa, s.dtype, s.lanes) for ssa, s in zip(carried, start, strict=True)]
        return [t.ssa for t in step(i, totals)]

    f.loop(1, n, 1, body, [(s.type, s.ssa) for s in start])
