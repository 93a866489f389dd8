"""The parts of the attention kernels: functions over pointers that products and softmax are made of.

Everything between memory and memory is in scratch of fixed pitches, so the functions have constant
strides.  Scores are kept transposed, one row of queries for each key: then a lane is a query, the
softmax needs nothing across lanes, and K and V are read as they lie, element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.backends.native import vmath
from lamina.backends.native.builder import Builder
from lamina.backends.native.emit import Function, Operand, literal, scalar_type, splat, vector_type

INT32 = np.dtype(np.int32)


@dataclass(frozen=True)
class Masking:
    """What hides keys from queries: ``kind`` "", "bool" or "float", in lanes or one for all queries; causal or not."""

    kind: str = ""
    lanes: bool = False
    causal: bool = False


class Parts:
    """Writes the functions on first use.

    Args:
        name: what their names begin with.
        dtype: float32 or float64.
        lanes: lanes of a vector.
        vectors: vectors of queries in a strip.
    """

    def __init__(self, name: str, dtype: np.dtype[Any], lanes: int, vectors: int) -> None:
        self.name, self.dtype, self.lanes, self.vectors = name, dtype, lanes, vectors
        self.element = scalar_type(dtype)
        self.vector = vector_type(self.element, lanes)
        self.width = lanes * vectors
        self.texts: list[str] = []
        self.needs: set[str] = set()
        self._known: dict[Any, str] = {}

    def _write(self, key: Any, parameters: list[tuple[str, str]], body: Callable[[Function], None]) -> str:
        if key not in self._known:
            name = f"{self.name}_{key[0]}{len(self._known)}"
            self._known[key] = name
            f = Function(name, parameters, self.lanes)
            body(f)
            self.texts.append(f.text().replace(") #0", ") noinline #0", 1))
            self.needs |= f.needs
        return self._known[key]

    def call(self, f: Function, name: str, **arguments: str | int) -> None:
        """Call a function; arguments in order, pointers as ``p_name``, integers as ``i_name``."""
        parts = [f"{'ptr' if key.startswith('p_') else 'i64'} {value}" for key, value in arguments.items()]
        f.e(f"call void @{name}({', '.join(parts)})")

    def _fma(self, f: Function, a: str, b: str, c: str) -> str:
        suffix = "f32" if self.element == "float" else "f64"
        kind = self.vector
        overload = f"v{self.lanes}{suffix}" if self.lanes > 1 else suffix
        return f.v(f"call {kind} @llvm.fmuladd.{overload}({kind} {a}, {kind} {b}, {kind} {c})")

    def _exp(self, f: Function, x: str) -> str:
        function = vmath.exp_not_positive if self.element == "float" else vmath.exp_not_positive_f64
        return function(f, x, self.lanes)

    def constant(self, value: float) -> str:
        return splat(self.element, literal(value, self.dtype), self.lanes)

    # --- products -------------------------------------------------------------------------------
    def product(
        self, rows: int, columns: int, a_row: int, a_k: int, b_k: int, c_row: int, depth: int | None, mode: str
    ) -> str:
        """``C[r, j] = sum over k of A[r, k] B[k, j]`` (``mode`` "set"), added to ``C[r, j]`` ("add") or to
        ``alpha[r] C[r, j]`` ("scaled").  ``depth``: the count of k, or None for one that is given at run time.

        Call with ``p_a, p_b, p_c, p_alpha, i_depth``.
        """
        key = ("mm", rows, columns, a_row, a_k, b_k, c_row, depth, mode)
        parameters = [("ptr", "a"), ("ptr", "b"), ("ptr", "c"), ("ptr", "alpha"), ("i64", "depth")]
        counts = [min(self.lanes, columns - at) for at in range(0, columns, self.lanes)]
        wide = len(counts)

        def step(f: Function, pa: str, pb: str, sums: list[str]) -> list[str]:
            b = [f.load(f.address(pb, v * self.lanes, self.element), self.dtype, self.lanes, n).ssa
                 for v, n in enumerate(counts)]  # fmt: skip
            out = []
            for r in range(rows):
                a = f.spread(f.load(f.address(pa, r * a_row, self.element), self.dtype)).ssa
                out += [self._fma(f, a, b[v], sums[r * wide + v]) for v in range(wide)]
            return out

        def body(f: Function) -> None:
            def run(times: int) -> Callable[[str | int, list[str]], list[str]]:
                def turn(_: str | int, carried: list[str]) -> list[str]:
                    pa, pb, sums = carried[0], carried[1], carried[2:]
                    for _u in range(times):
                        sums = step(f, pa, pb, sums)
                        pa, pb = f.address(pa, a_k, self.element), f.address(pb, b_k, self.element)
                    return [pa, pb, *sums]

                return turn

            unroll = 4 if rows * wide <= 8 else 1  # the turns of large tiles are long enough
            kinds = ["ptr", "ptr", *[self.vector] * (rows * wide)]
            state = ["%a", "%b", *["zeroinitializer"] * (rows * wide)]
            end: str | int = "%depth" if depth is None else depth
            whole = end
            if unroll > 1:
                whole = depth - depth % unroll if depth is not None else f.v(f"and i64 %depth, {-unroll}")
            state = f.loop(0, whole, unroll, run(unroll), list(zip(kinds, state, strict=True)))
            if whole != end:
                state = f.loop(whole, end, 1, run(1), list(zip(kinds, state, strict=True)))
            for r in range(rows):
                scale = ""
                if mode == "scaled":
                    scale = f.spread(f.load(f.address("%alpha", r, self.element), self.dtype)).ssa
                for v, n in enumerate(counts):
                    x = state[2 + r * wide + v]
                    at = f.address("%c", r * c_row + v * self.lanes, self.element)
                    if mode != "set":
                        old = f.load(at, self.dtype, self.lanes, n).ssa
                        x = f.v(f"fadd {self.vector} {x}, {old}") if mode == "add" else self._fma(f, scale, old, x)
                    f.store(Operand(x, self.dtype, self.lanes), at, n)

        return self._write(key, parameters, body)

    # --- moving ---------------------------------------------------------------------------------
    def pack(self, size: int, row: int, scale: float) -> str:
        """The rows of a strip transposed: ``out[j, r] = scale * x[min(r, rows - 1), j]``.

        Call with ``p_x, p_out, i_rows``; lanes beyond the rows repeat the last.
        """
        lanes = self.lanes

        def body(f: Function) -> None:
            last = f.isub("%rows", 1)

            def vector(first: str | int, _: list[str]) -> None:
                rows = [f.imin(f.iadd(first, i), last) for i in range(lanes)]
                starts = [f.address("%x", f.imul(r, row), self.element) for r in rows]

                def block(j: str | int, count: int) -> None:
                    xs = [f.load(f.address(p, j, self.element), self.dtype, lanes, count).ssa for p in starts]
                    for i, x in enumerate(self._transposed(f, xs)[:count]):
                        if scale != 1:
                            x = f.v(f"fmul {self.vector} {x}, {self.constant(scale)}")
                        at = f.iadd(f.imul(f.iadd(j, i), self.width), first)
                        f.store(Operand(x, self.dtype, lanes), f.address("%out", at, self.element))

                self.each_vector(f, size, block)

            f.loop(0, self.width, lanes, vector)

        return self._write(("pack", size, row, scale), [("ptr", "x"), ("ptr", "out"), ("i64", "rows")], body)

    def _transposed(self, f: Function, xs: list[str]) -> list[str]:
        """A square of vectors, transposed by exchanging halves, quarters, ..."""
        n = len(xs)
        half = n // 2
        while half:
            kind = self.vector
            low = [i if not i & half else n + i - half for i in range(n)]
            high = [i + half if not i & half else n + i for i in range(n)]
            masks = ["<" + ", ".join(f"i32 {i}" for i in order) + ">" for order in (low, high)]
            out = list(xs)
            for i in range(n):
                if not i & half:
                    pair = f"{kind} {xs[i]}, {kind} {xs[i + half]}"
                    out[i] = f.v(f"shufflevector {pair}, <{n} x i32> {masks[0]}")
                    out[i + half] = f.v(f"shufflevector {pair}, <{n} x i32> {masks[1]}")
            xs = out
            half //= 2
        return xs

    def copy(self, size: int, row: int, pitch: int) -> str:
        """The rows of a strip as they are: ``out[r, j] = x[min(r, rows - 1), j]``.

        Call with ``p_x, p_out, i_rows``.
        """

        def body(f: Function) -> None:
            last = f.isub("%rows", 1)

            def one(r: str | int, _: list[str]) -> None:
                source = f.address("%x", f.imul(f.imin(r, last), row), self.element)
                target = f.address("%out", f.imul(r, pitch), self.element)
                self.each_vector(f, size, lambda j, n: self._move(f, source, target, j, n))

            f.loop(0, self.width, 1, one)

        return self._write(("copy", size, row, pitch), [("ptr", "x"), ("ptr", "out"), ("i64", "rows")], body)

    def _move(self, f: Function, source: str, target: str, j: str | int, count: int) -> None:
        x = f.load(f.address(source, j, self.element), self.dtype, self.lanes, count)
        f.store(x, f.address(target, j, self.element), count)

    def each_vector(self, f: Function, size: int, visit: Callable[[str | int, int], None]) -> None:
        """``visit(position, lanes in use)`` for the vectors of a row."""
        whole = size - size % self.lanes
        f.loop(0, whole, self.lanes, lambda j, _: visit(j, self.lanes))
        if size % self.lanes:
            visit(whole, size % self.lanes)

    def fill(self, f: Function, pointer: str, count: int, value: float) -> None:
        """Set ``count`` elements of scratch, a multiple of the lanes."""
        x = Operand(self.constant(value), self.dtype, self.lanes)
        f.loop(0, count, self.lanes, lambda j, _: f.store(x, f.address(pointer, j, self.element)))

    # --- softmax --------------------------------------------------------------------------------
    MASKED = (("ptr", "mask"), ("i64", "step"), ("i64", "row"), ("i64", "key"))

    def _masked(self, f: Function, how: Masking, x: str, v: int, c: str | int, rows: list[str]) -> str:
        """The scores of key ``c`` with what the mask hides at -inf."""
        b, n = Builder(f), self.lanes
        score = Operand(x, self.dtype, n)
        hidden = b.const(-np.inf, self.dtype)
        if how.kind:
            dtype = np.dtype(np.bool_) if how.kind == "bool" else self.dtype
            memory = "i8" if how.kind == "bool" else self.element
            at = f.imul(c, "%step")
            at = f.address("%mask", f.iadd(at, v * n) if how.lanes else at, memory)
            value = f.load(at, dtype, n if how.lanes else 1)
            score = b.select(value, score, hidden) if how.kind == "bool" else b.add(score, value)
        if how.causal:
            number = f.v(f"trunc i64 {f.iadd('%key', c)} to i32")
            visible = b.ge(Operand(rows[v], INT32, n), Operand(number, INT32, 1))
            score = b.select(visible, score, hidden)
        return score.ssa

    def _row_numbers(self, f: Function, how: Masking) -> list[str]:
        """The numbers of the strip's queries, in lanes."""
        if not how.causal:
            return []
        first = f.spread(Operand(f.v("trunc i64 %row to i32"), INT32, 1)).ssa
        kind = vector_type("i32", self.lanes)
        out = []
        for v in range(self.vectors):
            steps = ", ".join(f"i32 {v * self.lanes + i}" for i in range(self.lanes))
            out.append(f.v(f"add {kind} {first}, " + (f"<{steps}>" if self.lanes > 1 else str(v))))
        return out

    def _vectors(self, f: Function, pointer: str) -> list[str]:
        return [
            f.load(f.address(pointer, v * self.lanes, self.element), self.dtype, self.lanes).ssa
            for v in range(self.vectors)
        ]

    def softmax(self, how: Masking) -> str:
        """Scores of some keys, a strip of queries wide, become exponentials; the maximum and the sum go along.

        Call with ``p_s, i_keys, p_max, p_total, p_alpha, p_mask, i_step, i_row, i_key``.  ``alpha`` gets the
        factor of what was summed before.
        """
        parameters = [("ptr", "s"), ("i64", "keys"), ("ptr", "max"), ("ptr", "total"), ("ptr", "alpha"), *self.MASKED]
        kind, width = self.vector, self.width

        def body(f: Function) -> None:
            rows = self._row_numbers(f, how)
            before = self._vectors(f, "%max")

            def place(c: str | int, v: int) -> str:
                return f.address("%s", f.iadd(f.imul(c, width), v * self.lanes), self.element)

            def largest(c: str | int, carried: list[str]) -> list[str]:
                out = []
                for v, top in enumerate(carried):
                    x = f.load(place(c, v), self.dtype, self.lanes).ssa
                    if how != Masking():
                        x = self._masked(f, how, x, v, c, rows)
                        f.store(Operand(x, self.dtype, self.lanes), place(c, v))
                    more = f.v(f"fcmp ogt {kind} {x}, {top}")
                    out.append(f.v(f"select {vector_type('i1', self.lanes)} {more}, {kind} {x}, {kind} {top}"))
                return out

            tops = f.loop(0, "%keys", 1, largest, [(kind, x) for x in before])
            totals = self._vectors(f, "%total")
            for v, (old, new) in enumerate(zip(before, tops, strict=True)):
                alpha = self._exp(f, f.v(f"fsub {kind} {old}, {new}"))
                totals[v] = f.v(f"fmul {kind} {totals[v]}, {alpha}")
                for name, x in (("%alpha", alpha), ("%max", new)):
                    f.store(Operand(x, self.dtype, self.lanes), f.address(name, v * self.lanes, self.element))

            def exponentials(c: str | int, carried: list[str]) -> list[str]:
                out = []
                for v, total in enumerate(carried):
                    x = f.load(place(c, v), self.dtype, self.lanes).ssa
                    p = self._exp(f, f.v(f"fsub {kind} {x}, {tops[v]}"))
                    f.store(Operand(p, self.dtype, self.lanes), place(c, v))
                    out.append(f.v(f"fadd {kind} {total}, {p}"))
                return out

            sums = f.loop(0, "%keys", 1, exponentials, [(kind, "zeroinitializer")] * self.vectors)
            for v, (total, more) in enumerate(zip(totals, sums, strict=True)):
                x = f.v(f"fadd {kind} {total}, {more}")
                f.store(Operand(x, self.dtype, self.lanes), f.address("%total", v * self.lanes, self.element))

        return self._write(("soft", how), parameters, body)

    def slopes(self, how: Masking, pitch: int, scale: float) -> str:
        """Scores and the weights' cotangents of some keys become weights and the scores' cotangents.

        Call with ``p_s, p_g, i_keys, p_max, p_inverse, p_inner, p_mask, i_step, i_row, i_key``.
        """
        parameters = [
            ("ptr", "s"), ("ptr", "g"), ("i64", "keys"), ("ptr", "max"), ("ptr", "inverse"), ("ptr", "inner"),
            *self.MASKED,
        ]  # fmt: skip
        kind = self.vector

        def body(f: Function) -> None:
            rows = self._row_numbers(f, how)
            top, inverse, inner = (self._vectors(f, name) for name in ("%max", "%inverse", "%inner"))

            def one(c: str | int, _: list[str]) -> None:
                for v in range(self.vectors):
                    at = f.iadd(f.imul(c, pitch), v * self.lanes)
                    ps, pg = f.address("%s", at, self.element), f.address("%g", at, self.element)
                    x = f.load(ps, self.dtype, self.lanes).ssa
                    if how != Masking():
                        x = self._masked(f, how, x, v, c, rows)
                    p = self._exp(f, f.v(f"fsub {kind} {x}, {top[v]}"))
                    p = f.v(f"fmul {kind} {p}, {inverse[v]}")
                    g = f.load(pg, self.dtype, self.lanes).ssa
                    g = f.v(f"fsub {kind} {g}, {inner[v]}")
                    g = f.v(f"fmul {kind} {f.v(f'fmul {kind} {p}, {g}')}, {self.constant(scale)}")
                    f.store(Operand(p, self.dtype, self.lanes), ps)
                    f.store(Operand(g, self.dtype, self.lanes), pg)

            f.loop(0, "%keys", 1, one)

        return self._write(("slope", how, pitch, scale), parameters, body)

    def inner(self, size: int) -> str:
        """``inner[r] = sum over j of x[j, r] y[j, r]``, both transposed strips.  Call with ``p_x, p_y, p_inner``."""

        def body(f: Function) -> None:
            def add(j: str | int, carried: list[str]) -> list[str]:
                out = []
                for v, total in enumerate(carried):
                    at = f.iadd(f.imul(j, self.width), v * self.lanes)
                    x, y = (f.load(f.address(p, at, self.element), self.dtype, self.lanes).ssa for p in ("%x", "%y"))
                    out.append(self._fma(f, x, y, total))
                return out

            sums = f.loop(0, size, 1, add, [(self.vector, "zeroinitializer")] * self.vectors)
            for v, x in enumerate(sums):
                f.store(Operand(x, self.dtype, self.lanes), f.address("%inner", v * self.lanes, self.element))

        return self._write(("inner", size), [("ptr", "x"), ("ptr", "y"), ("ptr", "inner")], body)
