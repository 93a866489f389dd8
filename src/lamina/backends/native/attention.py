"""Attention kernels: forward and gradient, streamed over blocks of keys.

A *strip* is as many queries as a register tile has columns; a *block* is a few strips.  The forward
goes through the keys for each block of queries: scores, softmax with a running maximum and sum, and
the weighted values added to what was there, scaled down where the maximum has grown.  The gradient goes
through the queries for each head of keys: it computes scores and weights again from the kept maximum
and sum, and adds to the gradients of keys and values where they lie.  A chunk of the forward is
a block of queries of a head; of the gradient, a head of keys, or a range of its keys where heads are
few (then each range gives a part of the query's gradient).  So no two chunks write to one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.backends.native.attention_plan import AttentionPlan
from lamina.backends.native.attention_tiles import Masking, Parts
from lamina.backends.native.contraction import panel_vectors
from lamina.backends.native.emit import Operand
from lamina.backends.native.index import Index, unflatten_index
from lamina.backends.native.kernel import Kernel, Storage
from lamina.backends.native.layout import through_views
from lamina.graph.ir import Value


def emit_attention(
    name: str, plan: AttentionPlan, storage: dict[int, Storage]
) -> tuple[str, list[tuple[int, int]], set[str]]:
    """The text of all functions, the places of the values, and what the text needs declared."""
    return (_Gradient if plan.gradient else _Forward)(name, plan, storage).write()


@dataclass
class _Place:
    """A value in memory: the address of its first element, and its element strides."""

    pointer: str
    strides: tuple[int, ...]

    @property
    def row(self) -> int:
        """Elements from one step of the sequence to the next."""
        return self.strides[-2]


class _Emitter:
    """What forward and gradient share."""

    def __init__(self, name: str, plan: AttentionPlan, storage: dict[int, Storage]) -> None:
        self.plan, self.storage = plan, storage
        self.places: list[tuple[int, int]] = []
        self.kernel = Kernel(name, plan.lanes, storage, {id(plan.node)}, self.places)
        self.f = self.kernel.f
        self.parts = Parts(name, plan.dtype, plan.lanes, plan.vectors)
        self.element = self.parts.element
        inputs = plan.node.inputs
        self.q, self.k, self.v = (self.place(x) for x in inputs[:3])
        values = inputs[7:] if plan.gradient else inputs[3:]
        self.mask = self.place(values[0]) if values else None
        self.how = Masking(causal=bool(plan.node.params["causal"]))
        if self.mask is not None:
            kind = "bool" if values[0].dtype.kind == "b" else "float"
            self.how = Masking(kind, values[0].shape[-2] != 1, self.how.causal)
            self.mask.strides = tuple(
                0 if n == 1 else s for n, s in zip(values[0].shape, self.mask.strides, strict=True)
            )

    def write(self) -> tuple[str, list[tuple[int, int]], set[str]]:
        self.f.loop("%c0", "%c1", 1, lambda c, _: self.chunk(c))
        text = self.kernel.text()
        return "\n".join([*self.parts.texts, text]), self.places, self.parts.needs | self.f.needs

    def chunk(self, c: str | int) -> None:
        raise NotImplementedError

    # --- memory ---------------------------------------------------------------------------------
    def place(self, value: Value) -> _Place:
        """Where a value can be read, through views."""
        found = through_views(value, lambda v: self.storage[id(v)].strides)
        assert found is not None
        source, offset, strides = found
        element = "i8" if value.dtype.kind == "b" else self.parts.element
        return _Place(self.f.address(self.kernel.pointer(self.storage[id(source)]), offset, element), strides)

    def output(self, i: int) -> _Place | None:
        """Where an output is to be written, if anybody wants it."""
        value = self.plan.node.outputs[i]
        where = self.storage.get(id(value))
        if where is None:
            return None
        strides = where.strides
        if i in self.plan.node.params["steps"]:  # stored as (..., steps, heads, size)
            strides = (*strides[:-3], strides[-2], strides[-3], strides[-1])
        return _Place(self.kernel.pointer(where), strides)

    def scratch(self, name: str, elements: int) -> str:
        n = -(-elements // 16) * 16
        self.kernel.head.append(f"  %{name} = alloca {self.element}, i64 {n}, align 64")
        return f"%{name}"

    def at(self, pointer: str, *terms: tuple[str | int, int]) -> str:
        """``pointer + sum of position * stride``."""
        total: str | int = 0
        for position, stride in terms:
            total = self.f.iadd(total, self.f.imul(position, stride))
        return self.f.address(pointer, total, self.element)

    def head(self, place: _Place, index: list[Index], grouped: bool = False) -> str:
        """The first element of a head; ``grouped`` values have one for several query heads."""
        f = self.f
        positions = [i.base for i in index]
        if grouped:
            positions[-1] = f.idiv(positions[-1], self.plan.heads // self.plan.groups)
        return self.at(place.pointer, *zip(positions, place.strides, strict=False))

    def pitch(self, size: int) -> int:
        return -(-size // self.plan.lanes) * self.plan.lanes

    # --- keys in tiles ----------------------------------------------------------------------------
    def tile_start(self, t: str | int) -> str | int:
        base, extra = self.plan.key_tiles()
        return self.f.iadd(self.f.imul(t, base), self.f.imin(t, extra) if extra else 0)

    def tile_end(self, key: str | int) -> str | int:
        """One more than the number of the tile that holds a key, which may lie behind all of them."""
        f, (base, extra) = self.f, self.plan.key_tiles()
        larger = f.idiv(key, base + 1 if extra else base)
        smaller = f.idiv(f.v(f"call i64 @llvm.smax.i64(i64 {f.isub(key, extra)}, i64 0)"), base)
        tile = f.v(f"call i64 @llvm.smax.i64(i64 {larger}, i64 {smaller})") if extra else larger
        return f.imin(f.iadd(tile, 1), self.plan.tiles)

    def each_tile(self, low: str | int, high: str | int, visit: Callable[[str | int, int], None]) -> None:
        """``visit(first key, keys)`` for the tiles from ``low`` on, below ``high``."""
        f, (base, extra) = self.f, self.plan.key_tiles()
        if extra:
            f.loop(low, f.imin(high, extra), 1, lambda t, _: visit(self.tile_start(t), base + 1))
            low = f.v(f"call i64 @llvm.smax.i64(i64 {low}, i64 {extra})")
        f.loop(low, high, 1, lambda t, _: visit(self.tile_start(t), base))

    def panels(self, size: int) -> list[tuple[int, int]]:
        """``(first, columns)`` of the tiles along the vectors of keys and values."""
        per = panel_vectors(size, self.plan.lanes, 32 if self.plan.rows > 6 else 16) * self.plan.lanes
        return [(j, min(per, size - j)) for j in range(0, size, per)]

    def strip_tiles(self, columns: int) -> list[tuple[int, int]]:
        """``(first, rows)`` of the tiles of the queries of a strip."""
        del columns
        width, tiles = self.plan.width, -(-self.plan.width // self.plan.rows)
        base, extra = divmod(width, tiles)
        return [(t * base + min(t, extra), base + (t < extra)) for t in range(tiles)]

    # --- steps ----------------------------------------------------------------------------------
    def product(self, rows: int, columns: int, strides: tuple[int, int, int, int], mode: str, a: str, b: str, c: str,
                depth: str | int, alpha: str = "null") -> None:  # fmt: skip
        fixed = depth if isinstance(depth, int) else None
        name = self.parts.product(rows, columns, *strides, fixed, mode)
        self.parts.call(self.f, name, p_a=a, p_b=b, p_c=c, p_alpha=alpha, i_depth=depth)

    def mask_at(self, index: list[Index], key: str | int, row: str | int) -> tuple[str, int]:
        """The mask's element for a key and a query, and the step from one key to the next."""
        if self.mask is None:
            return "null", 0
        f, strides = self.f, self.mask.strides
        total: str | int = f.iadd(f.imul(key, strides[-1]), f.imul(row, strides[-2]))
        for i, s in zip(index, strides, strict=False):
            total = f.iadd(total, f.imul(i.base, s))
        return f.address(self.mask.pointer, total, "i8" if self.how.kind == "bool" else self.element), strides[-1]

    def masked_call(self, make: Callable[[Masking], str], index: list[Index], key: str | int, row: str | int,
                    last: str | int, arguments: dict[str, Any]) -> None:  # fmt: skip
        """Call the softmax (or its gradient), without the causal comparison where all keys are visible."""
        mask, step = self.mask_at(index, key, row)
        more: dict[str, Any] = {"p_mask": mask, "i_step": step, "i_row": row, "i_key": key}

        def run(how: Masking) -> None:
            self.parts.call(self.f, make(how), **arguments, **more)

        if not self.how.causal:
            run(self.how)
            return
        border = self.f.v(f"icmp sgt i64 {last}, {row}")
        self.f.when(border, lambda: run(self.how))
        free = self.f.v(f"xor i1 {border}, true")
        self.f.when(free, lambda: run(Masking(self.how.kind, self.how.lanes)))

    def in_turn(self, i: str | int, count: int) -> str | int:
        """Under a causal mask the first and the last in turn, so that chunks in a row have even work."""
        f = self.f
        if not self.how.causal or count == 1:
            return i
        half = f.idiv(i, 2)
        odd = f.v(f"trunc i64 {i} to i1")
        return f.v(f"select i1 {odd}, i64 {f.isub(count - 1, half)}, i64 {half}")

    def query_block(self, i: str | int) -> tuple[str | int, str | int, str | int]:
        """First query of a block, its queries, and its strips."""
        f, plan = self.f, self.plan
        first = f.imul(i, plan.block)
        rows = f.imin(plan.block, f.isub(plan.queries, first))
        return first, rows, f.idiv(f.iadd(rows, plan.width - 1), plan.width)


class _Forward(_Emitter):
    """Output, and the maximum and sum of each query."""

    def __init__(self, name: str, plan: AttentionPlan, storage: dict[int, Storage]) -> None:
        super().__init__(name, plan, storage)
        self.out, self.top, self.sum = (self.output(i) for i in range(3))
        self.packed = self.scratch("packed", plan.block * plan.size)
        self.scores = self.scratch("scores", plan.block_keys * plan.width)
        self.sums = self.scratch("sums", plan.block * self.pitch(plan.value_size))
        self.maximum, self.total = self.scratch("maximum", plan.block), self.scratch("total", plan.block)
        self.alpha = self.scratch("alpha", plan.width)

    def chunk(self, c: str | int) -> None:
        f, plan, parts = self.f, self.plan, self.parts
        i = f.imod(c, plan.blocks)
        i = self.in_turn(i, plan.blocks)
        index = unflatten_index(Index(f, f.idiv(c, plan.blocks)), (*plan.lead, plan.heads))
        first, rows, strips = self.query_block(i)
        q = self.at(self.head(self.q, index), (first, self.q.row))
        k, v = self.head(self.k, index, True), self.head(self.v, index, True)
        pack = parts.pack(plan.size, self.q.row, plan.node.params["scale"])

        def pack_strip(s: str | int, _: list[str]) -> None:
            at = f.imul(s, plan.width)
            parts.call(
                f, pack, p_x=self.at(q, (at, self.q.row)), p_out=self.at(self.packed, (at, plan.size)),
                i_rows=f.isub(rows, at),
            )  # fmt: skip

        f.loop(0, strips, 1, pack_strip)
        parts.fill(f, self.sums, plan.block * self.pitch(plan.value_size), 0)
        parts.fill(f, self.maximum, plan.block, float(np.finfo(plan.dtype).min))
        parts.fill(f, self.total, plan.block, 0)
        end = self.tile_end(f.isub(f.iadd(first, rows), 1)) if self.how.causal else plan.tiles

        def key_block(t0: str | int, _: list[str]) -> None:
            t1 = f.imin(f.iadd(t0, plan.tiles_per_block), end)

            def strip(s: str | int, _: list[str]) -> None:
                row = f.iadd(first, f.imul(s, plan.width))
                if not self.how.causal:
                    self.strip(index, s, row, t0, t1, k, v)
                    return
                own = f.imin(t1, self.tile_end(f.iadd(row, plan.width - 1)))
                some = f.v(f"icmp sgt i64 {own}, {t0}")
                f.when(some, lambda: self.strip(index, s, row, t0, own, k, v))

            f.loop(0, strips, 1, strip)

        f.loop(0, end, plan.tiles_per_block, key_block)
        self.finish(index, first, rows)

    def strip(
        self, index: list[Index], s: str | int, row: str | int, t0: str | int, t1: str | int, k: str, v: str
    ) -> None:
        """A strip of queries meets the keys of some tiles."""
        f, plan, width = self.f, self.plan, self.plan.width
        key = self.tile_start(t0)
        keys = f.isub(self.tile_start(t1), key)
        at = f.imul(s, width)
        packed = self.at(self.packed, (at, plan.size))

        def tile(start: str | int, rows: int) -> None:
            self.product(
                rows, width, (self.k.row, 1, width, width), "set", self.at(k, (start, self.k.row)), packed,
                self.at(self.scores, (f.isub(start, key), width)), plan.size,
            )  # fmt: skip

        self.each_tile(t0, t1, tile)
        arguments = {
            "p_s": self.scores, "i_keys": keys, "p_max": self.at(self.maximum, (at, 1)),
            "p_total": self.at(self.total, (at, 1)), "p_alpha": self.alpha,
        }  # fmt: skip
        last = f.isub(f.iadd(key, keys), 1)
        self.masked_call(self.parts.softmax, index, key, row, last, arguments)
        pitch = self.pitch(plan.value_size)
        sums, values = self.at(self.sums, (at, pitch)), self.at(v, (key, self.v.row))
        for j, columns in self.panels(plan.value_size):
            for r, rows in self.strip_tiles(columns):
                self.product(
                    rows, columns, (1, width, self.v.row, pitch), "scaled", self.at(self.scores, (r, 1)),
                    self.at(values, (j, 1)), self.at(sums, (r, pitch), (j, 1)), keys, self.at(self.alpha, (r, 1)),
                )  # fmt: skip

    def finish(self, index: list[Index], first: str | int, rows: str | int) -> None:
        """Divide by the sums, and store."""
        f, plan, parts = self.f, self.plan, self.parts
        pitch = self.pitch(plan.value_size)

        def row(r: str | int, _: list[str]) -> None:
            total = f.load(self.at(self.total, (r, 1)), plan.dtype)
            at = f.iadd(first, r)
            for place, source in ((self.top, self.maximum), (self.sum, self.total)):
                if place is not None:
                    target = self.at(self.head(place, index), (at, place.strides[-1]))
                    f.store(f.load(self.at(source, (r, 1)), plan.dtype), target)
            if self.out is None:
                return
            b = self.kernel.b
            one, zero = b.const(1, plan.dtype), b.const(0, plan.dtype)
            inverse = f.spread(b.select(b.eq(total, zero), one, b.div(one, total)))
            target = self.at(self.head(self.out, index), (at, self.out.row))

            def vector(j: str | int, count: int) -> None:
                x = f.load(self.at(self.sums, (r, pitch), (j, 1)), plan.dtype, plan.lanes)
                f.store(b.mul(x, inverse), f.address(target, j, self.element), count)

            parts.each_vector(f, plan.value_size, vector)

        f.loop(0, rows, 1, row)


class _Gradient(_Emitter):
    """Gradients of query, key and value."""

    def __init__(self, name: str, plan: AttentionPlan, storage: dict[int, Storage]) -> None:
        super().__init__(name, plan, storage)
        self.out, self.top, self.sum, self.ct = (self.place(x) for x in plan.node.inputs[3:7])
        self.dq, self.dk, self.dv = (self.output(i) for i in range(3))
        d, e, block = plan.size, plan.value_size, plan.block
        self.q_packed, self.ct_packed = self.scratch("q_packed", block * d), self.scratch("ct_packed", block * e)
        self.q_rows, self.ct_rows = self.scratch("q_rows", block * self.pitch(d)), self.scratch(
            "ct_rows", block * self.pitch(e)
        )
        self.dq_rows = self.scratch("dq_rows", block * self.pitch(d))
        # The output's strip is transposed into the weights' place first.
        self.weights = self.scratch("weights", max(plan.block_keys * block, e * plan.width))
        self.slopes = self.scratch("slopes", plan.block_keys * block)
        self.maximum, self.inverse, self.inner = (self.scratch(n, block) for n in ("maximum", "inverse", "inner"))

    def chunk(self, c: str | int) -> None:
        f, plan = self.f, self.plan
        split = self.in_turn(f.imod(c, plan.splits), plan.splits)
        *lead, group = unflatten_index(Index(f, f.idiv(c, plan.splits)), (*plan.lead, plan.groups))
        own = [*lead, group]
        self.low = f.idiv(f.imul(split, plan.tiles), plan.splits)
        self.high = f.idiv(f.imul(f.iadd(split, 1), plan.tiles), plan.splits)
        start, stop = self.tile_start(self.low), self.tile_start(self.high)
        k, v = self.head(self.k, own), self.head(self.v, own)
        targets = []
        for place, size in ((self.dk, plan.size), (self.dv, plan.value_size)):
            target = "" if place is None else self.head(place, own)
            targets.append(target)
            if place is not None:
                self.clear(target, place.row, size, start, stop)
        each = plan.heads // plan.groups

        def head(h: str | int, _: list[str]) -> None:
            index = [*lead, Index(f, f.iadd(f.imul(group.base, each), h))]
            dq = ""
            if self.dq is not None:
                dq = self.head(self.dq, [Index(f, split), *index] if plan.splits > 1 else index)
            first: str | int = 0
            if self.how.causal and plan.splits > 1:  # queries before all these keys have no part in it
                first = f.imin(f.idiv(start, plan.block), plan.blocks)
                if self.dq is not None:
                    self.clear(dq, self.dq.row, plan.size, 0, f.imin(f.imul(first, plan.block), plan.queries))
            f.loop(first, plan.blocks, 1, lambda i, _: self.block(index, i, k, v, targets, dq))

        f.loop(0, each, 1, head)

    def clear(self, target: str, pitch: int, size: int, start: str | int, stop: str | int) -> None:
        f, plan = self.f, self.plan
        zero = Operand(self.parts.constant(0), plan.dtype, plan.lanes)

        def row(r: str | int, _: list[str]) -> None:
            at = self.at(target, (r, pitch))
            self.parts.each_vector(f, size, lambda j, n: f.store(zero, f.address(at, j, self.element), n))

        f.loop(start, stop, 1, row)

    def block(self, index: list[Index], i: str | int, k: str, v: str, targets: list[str], dq: str) -> None:
        """A block of queries meets the chunk's keys."""
        f, plan = self.f, self.plan
        first, rows, strips = self.query_block(i)
        f.loop(0, strips, 1, lambda s, _: self.load_strip(index, first, rows, s))
        if self.dq is not None:
            self.parts.fill(f, self.dq_rows, plan.block * self.pitch(plan.size), 0)
        end = self.high
        if self.how.causal:
            end = f.imin(end, self.tile_end(f.isub(f.iadd(first, rows), 1)))
        f.loop(
            self.low, end, plan.tiles_per_block, lambda t0, _: self.keys(index, first, strips, t0, end, k, v, targets)
        )
        if self.dq is not None:
            self.store_rows(dq, first, rows)

    def load_strip(self, index: list[Index], first: str | int, rows: str | int, s: str | int) -> None:
        """Queries and the output's cotangents as rows and transposed; the numbers that each query has."""
        f, plan, parts = self.f, self.plan, self.parts
        at = f.imul(s, plan.width)
        own = f.isub(rows, at)
        start = f.iadd(first, at)
        q = self.at(self.head(self.q, index), (start, self.q.row))
        ct = self.at(self.head(self.ct, index), (start, self.ct.row))
        out = self.at(self.head(self.out, index), (start, self.out.row))
        d, e = plan.size, plan.value_size
        for place, x, size, scale, packed, copied in (
            (self.q, q, d, plan.node.params["scale"], self.q_packed, self.q_rows),
            (self.ct, ct, e, 1.0, self.ct_packed, self.ct_rows),
        ):
            pack, pitch = parts.pack(size, place.row, scale), self.pitch(size)
            parts.call(f, pack, p_x=x, p_out=self.at(packed, (at, size)), i_rows=own)
            copy = parts.copy(size, place.row, pitch)
            parts.call(f, copy, p_x=x, p_out=self.at(copied, (at, pitch)), i_rows=own)
        parts.call(f, parts.pack(e, self.out.row, 1.0), p_x=out, p_out=self.weights, i_rows=own)
        inner, ct_packed = self.at(self.inner, (at, 1)), self.at(self.ct_packed, (at, e))
        parts.call(f, parts.inner(e), p_x=self.weights, p_y=ct_packed, p_inner=inner)
        b = self.kernel.b
        zero = b.const(0, plan.dtype)

        def numbers(r: str | int, _: list[str]) -> None:
            """Lanes behind the last query have the inverse 0, so that their weights are 0."""
            inside = f.imin(r, f.isub(own, 1))
            position = f.iadd(start, inside)
            top = f.load(self.at(self.head(self.top, index), (position, self.top.strides[-1])), plan.dtype)
            total = f.load(self.at(self.head(self.sum, index), (position, self.sum.strides[-1])), plan.dtype)
            real = Operand(f.v(f"icmp slt i64 {r}, {own}"), np.dtype(np.bool_), 1)
            none = b.eq(total, zero)
            inverse = b.select(none, zero, b.div(b.const(1, plan.dtype), total))
            f.store(top, self.at(self.maximum, (f.iadd(at, r), 1)))
            f.store(b.select(real, inverse, zero), self.at(self.inverse, (f.iadd(at, r), 1)))

        f.loop(0, plan.width, 1, numbers)

    def keys(self, index: list[Index], first: str | int, strips: str | int, t0: str | int, end: str | int, k: str,
             v: str, targets: list[str]) -> None:  # fmt: skip
        """A block of queries meets the keys of some tiles."""
        f, plan, width, block = self.f, self.plan, self.plan.width, self.plan.block
        t1 = f.imin(f.iadd(t0, plan.tiles_per_block), end)
        key = self.tile_start(t0)
        keys = f.isub(self.tile_start(t1), key)
        last = f.isub(f.iadd(key, keys), 1)
        s0: str | int = 0
        if self.how.causal:  # strips whose queries come before all these keys have no part in it
            ahead = f.v(f"call i64 @llvm.smax.i64(i64 {f.isub(key, first)}, i64 0)")
            s0 = f.idiv(ahead, width)
        d, e = plan.size, plan.value_size

        def strip(s: str | int, _: list[str]) -> None:
            at = f.imul(s, width)

            def tile(start: str | int, rows: int) -> None:
                for x, row, packed, size, target in (
                    (k, self.k.row, self.q_packed, d, self.weights), (v, self.v.row, self.ct_packed, e, self.slopes)
                ):  # fmt: skip
                    self.product(
                        rows, width, (row, 1, width, block), "set", self.at(x, (start, row)),
                        self.at(packed, (at, size)), self.at(target, (f.isub(start, key), block), (at, 1)), size,
                    )  # fmt: skip

            self.each_tile(t0, t1, tile)
            arguments = {
                "p_s": self.at(self.weights, (at, 1)), "p_g": self.at(self.slopes, (at, 1)), "i_keys": keys,
                "p_max": self.at(self.maximum, (at, 1)), "p_inverse": self.at(self.inverse, (at, 1)),
                "p_inner": self.at(self.inner, (at, 1)),
            }  # fmt: skip
            make = lambda how: self.parts.slopes(how, block, plan.node.params["scale"])  # noqa: E731
            self.masked_call(make, index, key, f.iadd(first, at), last, arguments)

        f.loop(s0, strips, 1, strip)
        q0 = f.imul(s0, width)
        depth = f.isub(f.imul(strips, width), q0)
        for place, target, source, rows_of, size in (
            (self.dv, targets[1], self.weights, self.ct_rows, e), (self.dk, targets[0], self.slopes, self.q_rows, d)
        ):  # fmt: skip
            if place is not None:
                self.to_keys(t0, t1, key, place, target, source, rows_of, size, q0, depth)
        if self.dq is None:
            return
        pitch = self.pitch(d)
        columns_of_k = self.at(k, (key, self.k.row))

        def to_queries(s: str | int, _: list[str]) -> None:
            at = f.imul(s, width)
            for j, columns in self.panels(d):
                for r, rows in self.strip_tiles(columns):
                    self.product(
                        rows, columns, (1, block, self.k.row, pitch), "add", self.at(self.slopes, (at, 1), (r, 1)),
                        self.at(columns_of_k, (j, 1)), self.at(self.dq_rows, (at, pitch), (r, pitch), (j, 1)), keys,
                    )  # fmt: skip

        f.loop(s0, strips, 1, to_queries)

    def to_keys(self, t0: str | int, t1: str | int, key: str | int, place: _Place, target: str, source: str,
                rows_of: str, size: int, q0: str | int, depth: str | int) -> None:  # fmt: skip
        """Add what this block of queries gives to the gradient of keys or values."""
        f, block, pitch = self.f, self.plan.block, self.pitch(size)

        def tile(start: str | int, rows: int) -> None:
            for j, columns in self.panels(size):
                self.product(
                    rows, columns, (block, 1, pitch, place.row), "add",
                    self.at(source, (f.isub(start, key), block), (q0, 1)), self.at(rows_of, (q0, pitch), (j, 1)),
                    self.at(target, (start, place.row), (j, 1)), depth,
                )  # fmt: skip

        self.each_tile(t0, t1, tile)

    def store_rows(self, base: str, first: str | int, rows: str | int) -> None:
        f, plan, pitch = self.f, self.plan, self.pitch(self.plan.size)
        assert self.dq is not None
        place = self.dq

        def row(r: str | int, _: list[str]) -> None:
            target = self.at(base, (f.iadd(first, r), place.row))

            def vector(j: str | int, count: int) -> None:
                x = f.load(self.at(self.dq_rows, (r, pitch), (j, 1)), plan.dtype, plan.lanes)
                f.store(x, f.address(target, j, self.element), count)

            self.parts.each_vector(f, plan.size, vector)

        f.loop(0, rows, 1, row)
