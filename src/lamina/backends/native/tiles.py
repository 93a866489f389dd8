"""The contraction kernel: register tiles of ``out[z, m, n] = sum_k A[z, m, k] B[z, k, n]``.

A tile holds ``rows x vectors`` sums in registers.  ``A`` may have any strides (its elements are
broadcast), ``B`` is contiguous along ``n``.  The epilogue is whatever the group's other nodes
compute at the same point, pulled while the sums are still in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lamina.backends.native.contraction import ContractPlan, M, Operand2D, Window
from lamina.backends.native.emit import Function, Operand, memory_type, scalar_type, vector_type
from lamina.backends.native.index import Index, unflatten_index
from lamina.backends.native.kernel import Kernel, Storage
from lamina.backends.native.pairs import PAIRED, multiply_add
from lamina.graph.ir import Node
from lamina.ops.shape import size_of

TILE_PARAMETERS = [
    ("ptr", "table"), ("ptr", "a"), ("ptr", "b"), ("ptr", "s"), ("i64", "z"), ("i64", "m"), ("i64", "n"),
    ("i64", "depth"), ("i1", "more"), ("ptr", "rows"),
]  # fmt: skip


UNROLLED_EPILOGUE = 64  # so many operations after the sums are written out; more are a loop over the rows
UNROLLED_FMAS = 256  # inner loops of up to so many multiply-adds are written out

# Which rows of a tile meet which steps of a windowed dimension of k: (first step, steps, first row, last row).
Pattern = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Dim:
    """A dimension of k as a tile walks it: how many steps, and how far each goes in A and in B."""

    steps: int | str
    a: int
    b: int
    pattern: Pattern | None = None


def emit_contract(
    name: str,
    plan: ContractPlan,
    storage: dict[int, Storage],
    nodes: list[Node],
    hardware: frozenset[str] = frozenset(),
) -> tuple[str, list[tuple[int, int]], set[str]]:
    """The text of all functions of a contraction, the places of its values, and what it needs declared."""
    emitter = _Emitter(name, plan, storage, nodes, hardware)
    emitter.walk()
    return "\n".join(emitter.parts), emitter.places, emitter.needs


class _Emitter:
    """Writes the functions of one contraction: its tiles, and the walk over chunks."""

    def __init__(
        self,
        name: str,
        plan: ContractPlan,
        storage: dict[int, Storage],
        nodes: list[Node],
        hardware: frozenset[str],
    ) -> None:
        self.name, self.plan, self.storage, self.hardware = name, plan, storage, hardware
        self.group_nodes, self.own = nodes, {id(n) for n in nodes}
        self.places: list[tuple[int, int]] = []
        self.element = scalar_type(plan.dtype)
        self.pairs = plan.node.primitive in PAIRED
        self.parts: list[str] = []
        self.needs: set[str] = set()
        self._tiles: dict[tuple[int, int, bool, Pattern], str] = {}
        self.a, self.b = plan.a, plan.b
        self.turned = plan.b.column is not None  # lanes go along k
        self.along_m = next((w for w in plan.windows if w.out == M), None)
        self.along_z = [w for w in plan.windows if w.out != M]
        # Dimensions of k whose steps a tile is told.
        self.counted = [w.k for w in self.along_z]
        if plan.rows_per_block and 1 not in self.counted:
            self.counted.append(1)
        self._tables: set[str] = set()
        self.numbers = "null"  # where the row numbers of a gathered A are
        # Rows of A that are copied first lie in blocks of k, at a pitch that does not collide in the cache.
        self.a_row = plan.k_block + 16 if plan.copy_a else self.a.row
        self.a_k = ((self.a.k[0][0], 1),) if plan.copy_a else self.a.k

    def _kernel(self, name: str) -> Kernel:
        return Kernel(name, self.plan.lanes, self.storage, self.own, self.places, self.hardware)

    # --- one tile -------------------------------------------------------------------------------
    def tile(self, rows: int, columns: int, final: bool, pattern: Pattern = ()) -> str:
        """The name of the tile function for this size; written on first use.

        ``final`` tiles add what earlier blocks of k left in the scratch and run the epilogue.
        """
        key = (rows, columns, final, pattern)
        if key in self._tiles:
            return self._tiles[key]
        name = f"{self.name}_t{rows}x{columns}{'' if final else 'p'}{len(self._tiles)}"
        self._tiles[key] = name
        lanes = self.plan.lanes
        kernel = self._kernel(name)
        f = kernel.f
        f.parameters = TILE_PARAMETERS + [("i64", f"steps{d}") for d in self.counted]
        counts = [min(lanes, columns - v * lanes) for v in range(-(-columns // lanes))]
        if final:
            self._prefetch(kernel, rows, len(counts))
        if self.turned:
            sums = self._across(f, self._accumulate(f, rows, [lanes] * columns, pattern))
        else:
            sums = self._accumulate(f, rows, counts, pattern)
        if self.plan.k_blocks > 1:
            sums = self._add_scratch(f, rows, counts, sums)
        if final:
            self._epilogue(kernel, rows, counts, sums)
        else:
            for r in range(rows):
                for v, count in enumerate(counts):
                    f.store(sums[r][v], self._scratch(f, r, v), count)
        self.parts.append(kernel.text().replace(") #0", ") noinline #0", 1))
        self.needs |= f.needs
        return name

    def _index(self, f: Function, row: str | int, lane: Index) -> list[Index]:
        """The position in the output of a row of the tile."""
        axis = self.plan.m_axis
        z = unflatten_index(Index(f, "%z"), self.plan.batch) if self.plan.batch else []
        return [*z[:axis], Index(f, f.iadd("%m", row)), *z[axis:], lane]

    def _prefetch(self, kernel: Kernel, rows: int, vectors: int) -> None:
        """Ask for what the epilogue will read (weights, optimizer state) while the sums are computed."""
        f, shape = kernel.f, self.plan.node.outputs[0].shape
        seen: set[int] = set()
        wanted: list[Storage] = []
        for node in self.group_nodes:
            for value in node.inputs:
                where = self.storage.get(id(value))
                if node is self.plan.node or where is None or value.shape != shape or id(value) in seen:
                    continue
                if value.constant is not None and value.constant.size == 1:  # it is part of the code
                    continue
                if value.node is not None and id(value.node) in self.own:
                    continue
                seen.add(id(value))
                wanted.append(where)
        if not wanted:
            return

        def line(r: str | int, _: list[str]) -> None:
            for where in wanted:
                for v in range(vectors):
                    index = self._index(f, r, Index(f, f.iadd("%n", v * self.plan.lanes), 1))
                    at = kernel.offset(where, index)
                    address = f.address(kernel.pointer(where), at.base, memory_type(where.dtype))
                    f.e(f"call void @llvm.prefetch.p0(ptr {address}, i32 1, i32 3, i32 1)")

        f.loop(0, rows, 1, line)

    def _dims(self, rows: int, pattern: Pattern) -> list[Dim]:
        """The dimensions of k for a tile: joined where one runs on into the next, the innermost perhaps split."""
        plan, out = self.plan, list[Dim]()
        inner = plan.k
        joinable = False
        for d, (count, stride) in enumerate(self.a_k):
            inner //= count
            dim = Dim(count, stride, self.b.row * inner)
            free = False
            if d in self.counted:
                dim = replace(dim, steps=f"%steps{d}")
            elif self.along_m is not None and d == self.along_m.k and pattern != ((0, count, 0, rows),):
                dim = replace(dim, pattern=pattern)
            elif d == 0 and plan.rows_per_block:
                dim = replace(dim, steps=1)
            elif d == 0 and plan.k_blocks > 1:
                dim = replace(dim, steps="%depth" if plan.k % plan.k_block else plan.k_block // plan.k_inner)
            else:
                free = True
                if joinable and out[-1].a == count * stride:
                    dim = replace(dim, steps=int(out.pop().steps) * count)
            out.append(dim)
            joinable = free
        return out

    def _accumulate(self, f: Function, rows: int, counts: list[int], pattern: Pattern) -> list[list[Operand]]:
        """The sums over one block of k."""
        plan, lanes, wide = self.plan, self.plan.lanes, len(counts)
        kind = vector_type(self.element, lanes)
        numbers = self.a.gathered == "k"
        dims = self._dims(rows, pattern)
        tail = 0
        if self.turned:
            last = dims[-1]
            assert isinstance(last.steps, int) and last.a == last.b == 1
            whole, tail = divmod(last.steps, lanes)
            dims[-1] = replace(last, steps=whole, a=lanes, b=lanes)

        def nest(d: int, pa: str, pb: str, sums: list[str], active: tuple[int, int]) -> list[str]:
            """Loops over the dimensions of k from ``d`` on, for the active rows of the tile."""
            if d == len(dims):
                return self._step(f, active, counts, pa, pb, sums)
            dim = dims[d]
            if dim.pattern is None:
                sums = walk(d, dim.steps, pa, pb, sums, active)
                if tail and d == len(dims) - 1:
                    pa, pb = (f.address(p, whole * lanes, self.element) for p in (pa, pb))
                    sums = self._step(f, active, [tail] * wide, pa, pb, sums)
                return sums
            sums = list(sums)
            for first, count, r0, r1 in dim.pattern:
                a = f.opaque(f.address(pa, first * dim.a, self.element))
                b = f.address(pb, first * dim.b, self.element)
                sums[r0 * wide : r1 * wide] = walk(d, count, a, b, sums[r0 * wide : r1 * wide], (r0, r1))
            return sums

        def walk(
            d: int, steps: int | str, pa: str, pb: str, sums: list[str], active: tuple[int, int]
        ) -> list[str]:
            dim, work = dims[d], len(sums)
            if d < len(dims) - 1 or (isinstance(steps, str) and steps != "%depth"):
                times = 1
            elif isinstance(steps, int) and steps * work <= UNROLLED_FMAS:
                times = steps
            else:
                times = 4 if work <= 8 else 2
                times = times if isinstance(steps, str) or steps % times == 0 else 1

            def body(times: int) -> Callable[[str | int, list[str]], list[str]]:
                def run(_: str | int, carried: list[str]) -> list[str]:
                    a, b, sums = carried[0], carried[1], carried[2:]
                    for _u in range(times):
                        sums = nest(d + 1, a, b, sums, active)
                        a = f.address(a, 1, "i64") if numbers else f.address(a, dim.a, self.element)
                        if times * dim.a > self.a_row:
                            a = f.opaque(a)
                        b = f.address(b, dim.b, self.element)
                    return [a, b, *sums]

                return run

            carry = [("ptr", pa), ("ptr", pb), *((kind, x) for x in sums)]
            if isinstance(steps, int) or times == 1:
                return f.loop(0, steps, times, body(times), carry)[2:]
            whole = f.v(f"and i64 {steps}, {-times}")
            values = f.loop(0, whole, times, body(times), carry)
            carry = [(t, v) for (t, _), v in zip(carry, values, strict=True)]
            return f.loop(whole, steps, 1, body(1), carry)[2:]

        start = ["zeroinitializer"] * (rows * wide)
        flat = nest(0, "%rows" if numbers else "%a", "%b", start, (0, rows))
        return [[Operand(flat[r * wide + v], plan.dtype, lanes) for v in range(wide)] for r in range(rows)]

    def _step(
        self, f: Function, active: tuple[int, int], counts: list[int], pa: str, pb: str, sums: list[str]
    ) -> list[str]:
        """One step of k: each active row's element of A (or its vectors) with every vector of B."""
        dtype, lanes = self.plan.dtype, self.plan.lanes
        kind = vector_type(self.element, lanes)
        suffix = "f32" if self.element == "float" else "f64"
        if self.a.gathered == "k":  # here pa walks over the row numbers
            number = f.v(f"load i64, ptr {pa}, align 8")
            pa = f.address("%a", f.imul(number, self.a.rows_stride), self.element)
            ahead = f.address(pa, 4 * active[1], self.element)  # what a later tile reads of this row
            f.e(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 3, i32 1)")
        between = lanes if self.b.column is None else self.b.column
        b = [f.load(f.address(pb, v * between, self.element), dtype, lanes, count) for v, count in enumerate(counts)]
        out = []
        for r in range(*active):
            if self.turned:
                a = f.load(f.address(pa, r * self.a_row, self.element), dtype, lanes, counts[0])
            elif not self.a.in_lanes:
                a = f.spread(f.load(f.address(pa, r * self.a_row, self.element), dtype))
            for v, count in enumerate(counts):
                if self.a.in_lanes:
                    a = f.load(f.address(pa, r * self.a_row + v * lanes, self.element), dtype, lanes, count)
                c = sums[(r - active[0]) * len(counts) + v]
                if self.pairs:
                    out.append(multiply_add(f, lanes, a.ssa, b[v].ssa, c))
                    continue
                out.append(
                    f.v(f"call {kind} @llvm.fmuladd.v{lanes}{suffix}({kind} {a.ssa}, {kind} {b[v].ssa}, {kind} {c})")
                )
        return out

    def _across(self, f: Function, sums: list[list[Operand]]) -> list[list[Operand]]:
        """Sums whose lanes went along k: each added up, those of a row put side by side."""
        lanes, kind = self.plan.lanes, vector_type(self.element, self.plan.lanes)
        suffix = "f32" if self.element == "float" else "f64"
        out = []
        for row in sums:
            joined = "zeroinitializer"
            for v, x in enumerate(row):
                reduce = f"@llvm.vector.reduce.fadd.v{lanes}{suffix}({self.element} -0.0, {kind} {x.ssa})"
                total = f.v(f"call reassoc {self.element} {reduce}")
                joined = f.v(f"insertelement {kind} {joined}, {self.element} {total}, i64 {v}")
            out.append([Operand(joined, self.plan.dtype, lanes)])
        return out

    def _scratch(self, f: Function, r: int, v: int) -> str:
        assert self.plan.scratch is not None
        return f.address("%s", r * self.plan.scratch.strides[0] + v * self.plan.lanes, self.element)

    def _add_scratch(self, f: Function, rows: int, counts: list[int], sums: list[list[Operand]]) -> list[list[Operand]]:
        """``sums + scratch`` where an earlier block of k has been there (``%more``)."""
        n, before = f.fresh(), f.block
        f.e(f"br i1 %more, label %M{n}, label %J{n}")
        f.label(f"M{n}")
        added = [
            [
                f.v(f"fadd {x.type} {x.ssa}, {f.load(self._scratch(f, r, v), x.dtype, x.lanes, counts[v]).ssa}")
                for v, x in enumerate(row)
            ]
            for r, row in enumerate(sums)
        ]
        f.e(f"br label %J{n}")
        f.label(f"J{n}")
        return [
            [
                Operand(f.v(f"phi {x.type} [{x.ssa}, %{before}], [{added[r][v]}, %M{n}]"), x.dtype, x.lanes)
                for v, x in enumerate(row)
            ]
            for r, row in enumerate(sums)
        ]

    def _epilogue(self, kernel: Kernel, rows: int, counts: list[int], sums: list[list[Operand]]) -> None:
        f, plan = kernel.f, self.plan

        def part(row: str | int, v: int, x: Operand) -> None:
            """Everything else that the group computes at one vector of sums."""
            count = counts[v]
            kernel.count = None if count == plan.lanes else count
            lane = Index(f, f.iadd("%n", v * plan.lanes), 1, align=plan.lanes if plan.width % plan.lanes == 0 else 1)
            if plan.n == 1:  # one column is one number a row, not a vector
                x = Operand(f.v(f"extractelement {x.type} {x.ssa}, i64 0"), x.dtype, 1)
                lane = Index(f, 0)
            # Dimensions of size 1 are at position 0, as rules that broadcast will ask for them.
            root = plan.node.outputs[0]
            index = kernel.broadcast(self._index(f, row, lane), root.shape)
            kernel.remember(root, index, x)
            # All reads come before the writes: two variables may be exchanged here.
            results = [kernel.pull(value, index) for value in plan.stored]
            for value, result in zip(plan.stored, results, strict=True):
                kernel.store(value, index, result)

        if rows * len(counts) * (len(self.group_nodes) - 1) > UNROLLED_EPILOGUE:
            kind, wide = sums[0][0].type, len(counts)
            kernel.head.append(f"  %sums = alloca {kind}, i64 {rows * wide}, align 64")
            for r in range(rows):
                for v, x in enumerate(sums[r]):
                    f.store(x, f.address("%sums", r * wide + v, kind))

            def line(r: str | int, _: list[str]) -> None:
                kernel.push()
                for v, x in enumerate(sums[0]):
                    at = f.address("%sums", f.iadd(f.imul(r, wide), v), kind)
                    part(r, v, f.load(at, x.dtype, x.lanes))
                kernel.pop()

            f.loop(0, rows, 1, line)
        else:
            for v in range(len(counts)):
                for r in range(rows):
                    part(r, v, sums[r][v])
        kernel.count = None

    # --- chunks ---------------------------------------------------------------------------------
    def walk(self) -> None:
        """``void name(table, c0, c1)``: the tiles of chunks ``[c0, c1)``."""
        plan = self.plan
        kernel = self._kernel(self.name)
        f = kernel.f
        if plan.copy_a:
            base, extra = plan.tile_rows()
            rows = plan.tiles_per_block * (base + (extra > 0))
            kernel.head.append(f"  %copy = alloca {self.element}, i64 {rows * self.a_row + 64}, align 64")
        a_pointer = f.address(kernel.pointer(self.a.storage), self.a.offset, self.element)
        b_pointer = f.address(kernel.pointer(self.b.storage), self.b.offset, self.element)
        scratch = kernel.pointer(plan.scratch) if plan.scratch is not None else "null"
        self.numbers = kernel.pointer(self.a.rows) if self.a.rows is not None else "null"

        def blocks(visit: Callable[[str | int, bool], None]) -> None:
            """Call ``visit(block, final)`` for the blocks of k; the last one runs the epilogue."""
            last = plan.k_blocks - 1
            f.loop(0, last, 1, lambda block, _: visit(block, False))
            visit(last, True)

        def chunks(visit: Callable[[str | int], None]) -> None:
            f.loop("%c0", "%c1", 1, lambda c, _: visit(c))

        def work(c: str | int, block: str | int, final: bool) -> None:
            self._chunk(kernel, c, block, (a_pointer, b_pointer, scratch), final)

        if plan.k_outermost:
            blocks(lambda block, final: chunks(lambda c: work(c, block, final)))
        else:
            chunks(lambda c: blocks(lambda block, final: work(c, block, final)))
        self.parts.append(kernel.text())

    def _chunk(
        self, kernel: Kernel, c: str | int, k_number: str | int, pointers: tuple[str, str, str], final: bool
    ) -> None:
        """One block of k of one chunk: for each panel of columns, each z and each tile of rows."""
        f, plan, a, b = kernel.f, self.plan, self.a, self.b
        # Where the block begins: in k, and which row that is of a step of the outermost dimension.
        first_k = f.imul(f.idiv(k_number, plan.blocks_per_step), plan.k_inner)
        top: str | int = f.imul(f.imod(k_number, plan.blocks_per_step), plan.rows_per_block)
        if not plan.rows_per_block:
            first_k = f.imul(k_number, plan.k_block)
        group = f.imod(c, plan.panel_groups)
        rest = f.idiv(c, plan.panel_groups)
        block = f.imod(rest, plan.row_blocks)
        z0 = f.imul(f.idiv(rest, plan.row_blocks), plan.z_per_block)
        z1 = f.imin(f.iadd(z0, plan.z_per_block), plan.count)
        t0 = f.imul(block, plan.tiles_per_block)
        t1 = f.imin(f.iadd(t0, plan.tiles_per_block), plan.tiles)
        p0 = f.imul(group, plan.panels_per_group)
        p1 = f.imin(f.iadd(p0, plan.panels_per_group), plan.panels)
        a_start, numbers = pointers[0], "null"
        if a.gathered == "k":
            numbers = f.address(self.numbers, first_k, "i64")
        else:
            a_start = f.address(a_start, f.imul(f.idiv(first_k, plan.k_inner), a.k[0][1]), self.element)
        b_start = f.address(pointers[1], f.imul(first_k, b.row), self.element)
        depth = (plan.k - (plan.k_blocks - 1) * plan.k_block if final else plan.k_block) // plan.k_inner
        more = "false" if plan.k_blocks == 1 else "true" if final else f.v(f"icmp ne i64 {k_number}, 0")
        width = plan.width
        first_row = self._tile_start(f, t0)

        def at(z: str | int, p: str | int, columns: int) -> None:
            skip_a, skip_b, steps = self._bounds(f, z, top)
            own = f.imul(p, width) if a.in_lanes else 0
            za = f.address(a_start, f.iadd(f.iadd(self._batch_offset(f, z, a), skip_a), own), self.element)
            between = b.panel or width * (1 if b.column is None else b.column)
            zb = f.iadd(self._batch_offset(f, z, b), f.imul(p, between))
            zb = f.address(b_start, f.iadd(zb, skip_b), self.element)
            n0 = f.imul(p, width)

            def run(t: str | int, rows: int, pattern: Pattern) -> None:
                m0 = self._tile_start(f, t)
                if plan.copy_a:
                    tile_a = f.address("%copy", f.imul(f.isub(m0, first_row), self.a_row), self.element)
                else:
                    tile_a = f.address(za, f.imul(m0, a.row), self.element)
                s = "null"
                if plan.scratch is not None:
                    row = f.iadd(f.imul(z, plan.m), m0)
                    s = f.address(pointers[2], f.iadd(f.imul(row, plan.scratch.strides[0]), n0), self.element)
                f.e(
                    f"call void @{self.tile(rows, columns, final, pattern)}(ptr %table, ptr {tile_a}, ptr {zb}, "
                    f"ptr {s}, i64 {z}, i64 {m0}, i64 {n0}, i64 {depth}, i1 {more}, ptr {numbers}{steps})"
                )

            for first, last, rows, pattern in self._tile_runs():
                low = t0 if first == 0 else f.imax(t0, first)
                high = t1 if last == plan.tiles else f.imin(t1, last)
                f.loop(low, high, 1, lambda t, _, rows=rows, pattern=pattern: run(t, rows, pattern))  # type: ignore[misc]

        def panels(low: str | int, high: str | int) -> None:
            """All panels of columns for positions ``[low, high)``."""

            def panel(p: str | int, columns: int) -> None:
                f.loop(low, high, 1, lambda z, _: at(z, p, columns))

            whole, tail = divmod(plan.n, width)
            f.loop(p0, f.imin(p1, whole), 1, lambda p, _: panel(p, width))
            if tail:
                mine = f.v(f"icmp sgt i64 {p1}, {whole}")
                f.when(mine, lambda: panel(whole, tail))

        if plan.copy_a:  # then a chunk has one z
            source = f.address(a_start, self._batch_offset(f, z0, a), self.element)
            self._copy_rows(kernel, source, first_row, self._tile_start(f, t1), depth)
        if a.in_lanes:  # nothing of B is worth keeping, and a panel of A is part of each cache line's neighbourhood
            f.loop(z0, z1, 1, lambda z, _: panels(z, f.iadd(z, 1)))
        else:
            panels(z0, z1)

    def _tile_runs(self) -> list[tuple[int, int, int, Pattern]]:
        """``(first, last, rows, pattern)``: the tiles ``[first, last)`` share a function."""
        base, extra = self.plan.tile_rows()
        runs: list[tuple[int, int, int, Pattern]] = []
        start = 0
        for t in range(self.plan.tiles if self.along_m is not None else 0):
            rows = base + (t < extra)
            pattern = _pattern(self.along_m, start, rows) if self.along_m is not None else ()
            start += rows
            if runs and runs[-1][2:] == (rows, pattern):
                runs[-1] = (runs[-1][0], t + 1, rows, pattern)
            else:
                runs.append((t, t + 1, rows, pattern))
        if self.along_m is None:
            runs = [(0, extra, base + 1, ())] if extra else []
            runs.append((extra, self.plan.tiles, base, ()))
        return runs

    def _bounds(self, f: Function, z: str | int, top: str | int) -> tuple[str | int, str | int, str]:
        """Where the windows of position z begin, as offsets into A and B, and the tile's arguments for them.

        Args:
            f: the function.
            z: the position.
            top: where a block that is a part of a step begins, along the second dimension of k.
        """
        skip_a: str | int = 0
        skip_b: str | int = 0
        arguments = ""
        index = unflatten_index(Index(f, z), self.plan.batch) if self.along_z else []
        windows = {w.k: w for w in self.along_z}
        for d in self.counted:
            first: str | int = 0
            steps: str | int = self.a_k[d][0]
            if d in windows:
                at = f.imul(index[windows[d].out].base, 2)
                table = self._table(windows[d])
                first, steps = (f.v(f"load i64, ptr {f.address(table, f.iadd(at, i), 'i64')}, align 8") for i in (0, 1))
            if d == 1 and self.plan.rows_per_block:
                end = f.imin(f.iadd(first, steps), f.iadd(top, self.plan.rows_per_block))
                first = f.imax(first, top)
                steps = f.imax(f.isub(end, first), 0)
            inner = size_of([n for n, _ in self.a_k[d + 1 :]])
            skip_a = f.iadd(skip_a, f.imul(first, self.a_k[d][1]))
            skip_b = f.iadd(skip_b, f.imul(first, self.b.row * inner))
            arguments += f", i64 {steps}"
        return skip_a, skip_b, arguments

    def _table(self, window: Window) -> str:
        """The name of a constant with the first step and the number of steps for each position."""
        name = f"@{self.name}_window{window.k}"
        if name not in self._tables:
            self._tables.add(name)
            numbers = [n for first, last in window.bounds for n in (first, last - first)]
            content = ", ".join(f"i64 {n}" for n in numbers)
            self.parts.append(f"{name} = internal constant [{len(numbers)} x i64] [{content}]\n")
        return name

    def _batch_offset(self, f: Function, z: str | int, x: Operand2D) -> str | int:
        total: str | int = 0
        if not any(x.batch):
            return 0
        for i, s in zip(unflatten_index(Index(f, z), self.plan.batch), x.batch, strict=True):
            total = f.iadd(total, f.imul(i.base, s))
        return total

    def _tile_start(self, f: Function, t: str | int) -> str | int:
        base, extra = self.plan.tile_rows()
        return f.iadd(f.imul(t, base), f.imin(t, extra) if extra else 0)

    def _copy_rows(self, kernel: Kernel, source: str, first: str | int, last: str | int, depth: int) -> None:
        """Rows ``[first, last)`` of a block of A, copied to where they do not collide in the cache."""
        f, plan, a = kernel.f, self.plan, self.a
        whole, tail = divmod(depth, plan.lanes)

        def row(i: str | int, _: list[str]) -> None:
            number, pitch = i, a.row
            if a.gathered:
                number, pitch = f.v(f"load i64, ptr {f.address(self.numbers, i, 'i64')}, align 8"), a.rows_stride
            s = f.address(source, f.imul(number, pitch), self.element)
            d = f.address("%copy", f.imul(f.isub(i, first), self.a_row), self.element)

            def vector(j: str | int, _: list[str]) -> None:
                if a.gathered:  # the same columns of the next block, while this one is computed
                    ahead = f.address(s, f.iadd(j, depth), self.element)
                    f.e(f"call void @llvm.prefetch.p0(ptr {ahead}, i32 0, i32 2, i32 1)")
                x = f.load(f.address(s, j, self.element), plan.dtype, plan.lanes)
                f.store(x, f.address(d, j, self.element))

            f.loop(0, whole * plan.lanes, plan.lanes, vector)
            if tail:
                at = whole * plan.lanes
                x = f.load(f.address(s, at, self.element), plan.dtype, plan.lanes, tail)
                f.store(x, f.address(d, at, self.element), tail)

        f.loop(first, last, 1, row)


def _pattern(window: Window, start: int, rows: int) -> Pattern:
    """Which of the rows from ``start`` on meet which steps; steps that no row meets are left out."""
    bounds = window.bounds[start : start + rows]
    out: list[tuple[int, int, int, int]] = []
    for step in range(min(b[0] for b in bounds), max(b[1] for b in bounds)):
        rows_met = [first <= step < last for first, last in bounds]
        for r0 in (r for r in range(rows) if rows_met[r] and (r == 0 or not rows_met[r - 1])):
            r1 = next((r for r in range(r0, rows) if not rows_met[r]), rows)
            if out and out[-1][2:] == (r0, r1) and sum(out[-1][:2]) == step:
                out[-1] = (out[-1][0], out[-1][1] + 1, r0, r1)
            else:
                out.append((step, 1, r0, r1))
    return tuple(out)
