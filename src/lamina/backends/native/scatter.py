"""The scatter kernel: updates join rows of a copy of ``x``, in the order of the indices.

Each chunk owns a range of rows and goes through all indices, taking those that fall into it.  So
no two threads meet in a row, and every row gets its updates in the same order whatever the number
of threads.
"""

from __future__ import annotations

from collections.abc import Callable

from lamina.backends.native.emit import Operand
from lamina.backends.native.index import INT64, Index, unflatten_index
from lamina.backends.native.kernel import Kernel
from lamina.backends.native.loops import LoopPlan
from lamina.core.lowering import Scatter
from lamina.graph.passes.fusion import Group
from lamina.ops.shape import size_of

MOST_CHUNKS = 8  # every chunk reads all indices
CHUNK_WORK = 4096


def plan_scatter(group: Group) -> LoopPlan:
    """Cut the rows of the result into ranges."""
    node = group.nodes[0]
    rows = node.outputs[0].shape[0]
    work = size_of(node.outputs[0].shape) + size_of(node.inputs[2].shape)
    chunks = max(1, min(MOST_CHUNKS, rows, work // CHUNK_WORK))
    per = -(-rows // chunks)
    return LoopPlan(group, [node.outputs[0]], False, False, -(-rows // per), per)


def emit_scatter(kernel: Kernel, plan: LoopPlan) -> None:
    """Write the kernel's body for chunks ``[c0, c1)``."""
    f, b = kernel.f, kernel.b
    node = plan.group.nodes[0]
    native = node.primitive.native
    assert isinstance(native, Scatter)
    x, indices, updates = node.inputs
    out = node.outputs[0]
    rest = out.shape[1:]
    first = f.imul("%c0", plan.per_chunk)
    last = f.imin(f.imul("%c1", plan.per_chunk), out.shape[0])

    def copy_row(r: str | int, _: list[str]) -> None:
        def element(index: list[Index]) -> None:
            whole = [Index(f, r), *index]
            kernel.store(out, whole, kernel.pull(x, whole))

        each_vector(kernel, rest, element)

    source, place = kernel.storage.get(id(x)), kernel.storage[id(out)]
    if source is None or (source.slot, source.offset) != (place.slot, place.offset):
        f.loop(first, last, 1, copy_row)

    def update(i: str | int, _: list[str]) -> None:
        kernel.push()
        place = unflatten_index(Index(f, i), indices.shape) if indices.shape else []
        row = b.cast(kernel.pull(indices, place), INT64)
        wrapped = b.add(row, b.const(out.shape[0], INT64))
        row = b.select(b.lt(row, b.const(0, INT64)), wrapped, row)
        mine = b.and_(b.ge(row, Operand(str(first), INT64, 1)), b.lt(row, Operand(str(last), INT64, 1)))

        def join() -> None:
            def element(index: list[Index]) -> None:
                whole = [Index(f, row.ssa), *index]
                old = kernel.load(kernel.storage[id(out)], whole)
                kernel.store(out, whole, native.emit(b, old, kernel.pull(updates, [*place, *index])))

            each_vector(kernel, rest, element)

        f.when(mine.ssa, join)
        kernel.pop()

    f.loop(0, size_of(indices.shape), 1, update)


def each_vector(kernel: Kernel, shape: tuple[int, ...], visit: Callable[[list[Index]], None]) -> None:
    """Call ``visit(index)`` for every vector of an array of this shape, lanes along its last axis."""
    f, lanes = kernel.f, kernel.f.lanes

    def visit_fresh(index: list[Index]) -> None:
        kernel.push()
        visit(index)
        kernel.pop()

    def last_axis(lead: list[Index]) -> None:
        length = shape[-1]
        if length == 1:
            visit_fresh([*lead, Index(f, 0)])
            return
        whole, tail = divmod(length, lanes)

        def vector(j: str | int, _: list[str]) -> None:
            visit_fresh([*lead, Index(f, j, 1, align=lanes)])

        f.loop(0, whole * lanes, lanes, vector)
        if tail:
            kernel.count = tail
            visit_fresh([*lead, Index(f, whole * lanes, 1)])
            kernel.count = None

    if not shape:
        visit_fresh([])
        return

    def row(r: str | int, _: list[str]) -> None:
        last_axis(unflatten_index(Index(f, r), shape[:-1]))

    if len(shape) == 1:
        last_axis([])
    else:
        f.loop(0, size_of(shape[:-1]), 1, row)
