"""The scatter kernel: updates join slices of a copy of ``x``, in the order of the indices.

Along the first axis each chunk owns a range of rows and goes through all indices, taking those that fall into it;
along another axis it owns a range of the positions before that axis, each with all of its indices.  So no two threads
meet in a slice, and every slice gets its updates in the same order whatever the number of threads.
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
    """Cut the rows of the result, or the positions before the axis, into ranges."""
    node = group.nodes[0]
    out, axis = node.outputs[0], node.params["axis"]
    owned = size_of(out.shape[:axis]) if axis else out.shape[0]
    most = owned if axis else min(MOST_CHUNKS, owned)
    work = size_of(out.shape) + size_of(node.inputs[2].shape)
    chunks = max(1, min(most, work // CHUNK_WORK))
    per = -(-owned // chunks)
    return LoopPlan(group, [out], False, False, -(-owned // per), per)


def emit_scatter(kernel: Kernel, plan: LoopPlan) -> None:
    """Write the kernel's body for chunks ``[c0, c1)``."""
    f, b = kernel.f, kernel.b
    node = plan.group.nodes[0]
    native = node.primitive.native
    assert isinstance(native, Scatter)
    x, indices, updates = node.inputs
    out, axis = node.outputs[0], node.params["axis"]
    size, rest = out.shape[axis], out.shape[axis + 1 :]
    lead_shape = out.shape[:axis]
    owned = size_of(lead_shape) if axis else size
    first = f.imul("%c0", plan.per_chunk)
    last = f.imin(f.imul("%c1", plan.per_chunk), owned)
    source, place = kernel.storage.get(id(x)), kernel.storage[id(out)]
    in_place = source is not None and (source.slot, source.offset) == (place.slot, place.offset)

    def copy(lead: list[Index], r: str | int) -> None:
        def element(index: list[Index]) -> None:
            whole = [*lead, Index(f, r), *index]
            kernel.store(out, whole, kernel.pull(x, whole))

        each_vector(kernel, rest, element)

    def update(lead: list[Index], i: str | int) -> None:
        kernel.push()
        place = unflatten_index(Index(f, i), indices.shape) if indices.shape else []
        row = b.cast(kernel.pull(indices, place), INT64)
        wrapped = b.add(row, b.const(size, INT64))
        row = b.select(b.lt(row, b.const(0, INT64)), wrapped, row)
        low, high = (0, size) if axis else (first, last)
        mine = b.and_(b.ge(row, Operand(str(low), INT64, 1)), b.lt(row, Operand(str(high), INT64, 1)))

        def join() -> None:
            def element(index: list[Index]) -> None:
                whole = [*lead, Index(f, row.ssa), *index]
                old = kernel.load(kernel.storage[id(out)], whole)
                kernel.store(out, whole, native.emit(b, old, kernel.pull(updates, [*lead, *place, *index])))

            each_vector(kernel, rest, element)

        f.when(mine.ssa, join)
        kernel.pop()

    def slices(lead: list[Index], low: str | int, high: str | int) -> None:
        if not in_place:
            f.loop(low, high, 1, lambda r, _: copy(lead, r))
        f.loop(0, size_of(indices.shape), 1, lambda i, _: update(lead, i))

    def position(at: str | int, _: list[str]) -> None:
        kernel.push()
        slices(unflatten_index(Index(f, at), lead_shape), 0, size)
        kernel.pop()

    if axis:
        f.loop(first, last, 1, position)
    else:
        slices([], first, last)


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
