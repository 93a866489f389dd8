"""The stages between Python and machine code, each as data that prints itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from lamina.backends.native import target as targets
from lamina.backends.native.program import Compiler
from lamina.backends.native.schedule import Slot
from lamina.backends.native.support import why_unsupported
from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import Group, is_view, source_of
from lamina.graph.printing import constant_text, node_text
from lamina.profiling import count_flops, main_node

FUNCTION = re.compile(r"^define [^@]*@([\w.]+)\(", re.MULTILINE)
CALLED = re.compile(r"call [^@\n]*@(k\d+\w*)\(")
ASSEMBLY_FUNCTION = re.compile(r"^_?(k\d+\w*):", re.MULTILINE)
LLVM_LABEL = re.compile(r"^(\w+):", re.MULTILINE)
ASSEMBLY_LABEL = re.compile(r"^(\.?L?BB\d+_\d+):", re.MULTILINE)
ARITHMETIC = re.compile(r"fma|fmul|fadd|vmul|vadd|fmla|mulps|addps")
WIDTH = 118  # of lines that list several things
WIDEST_MAP = 48  # characters of the picture of lifetimes


@dataclass(frozen=True)
class Pass:
    """One pass over the graph: how many nodes there were before and after it."""

    name: str
    before: int
    after: int


# --- kernels ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Kernel:
    """Nodes of the graph that one loop nest computes.

    Attributes:
        name: its function in the machine code; kernels that do the same work on other values share one.  Empty
            where there is none: an op that runs in NumPy, or values that are already in their place.
        kind: ``map``, ``row``, ``column``, ``contract``, ... (see ``graph/passes/fusion.py``).
        shape: what it iterates over.
        layer: path of the layer that its main op comes from.
        ops: the primitives in it, in order.
        lines: their text.
        reads: names of what it takes from memory.
        writes: names of what it leaves in memory.
        phase: when it runs, from 0; kernels of one phase run side by side.
        chunks: pieces that threads can do on their own.
        flops: floating-point operations.
        reason: why it runs in NumPy; empty where it does not.
        group: number of the group of nodes, as in ``lamina.profile``'s rows.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layer: str
    ops: tuple[str, ...]
    lines: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    phase: int
    chunks: int
    flops: int
    reason: str
    group: int

    def __str__(self) -> str:
        size = "x".join(map(str, self.shape)) or "one number"
        cut = f", {self.chunks} chunks" if self.chunks > 1 else ""
        what = f"in NumPy: {self.reason}" if self.reason else f"{self.kind} {size}{cut}"
        head = f"{self.name or '-':5} {what:28} {self.layer}".rstrip()
        body = [f"        {line}" for line in self.lines]
        ends = [*_listed("reads", self.reads), *_listed("writes", self.writes)]
        return "\n".join([head, *body, *(f"        {line}" for line in ends)])


class Kernels(Sequence[Kernel]):
    """The kernels of a step in the order in which they run."""

    def __init__(self, kernels: Sequence[Kernel]) -> None:
        self._kernels = tuple(kernels)

    @overload
    def __getitem__(self, index: int) -> Kernel: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Kernel, ...]: ...

    def __getitem__(self, index: int | slice) -> Kernel | tuple[Kernel, ...]:
        return self._kernels[index]

    def __len__(self) -> int:
        return len(self._kernels)

    def __repr__(self) -> str:
        return f"<{len(self)} kernels>"

    @property
    def phases(self) -> list[list[Kernel]]:
        """Those that run side by side, phase by phase."""
        found: list[list[Kernel]] = [[] for _ in range(1 + max((k.phase for k in self), default=-1))]
        for kernel in self:
            found[kernel.phase].append(kernel)
        return found

    def find(self, wanted: int | str | None) -> Kernel:
        """A kernel by its position, the name of its function or its layer; by default the one with most arithmetic."""
        with_code = [k for k in self if k.name]
        if not with_code:
            raise ArgumentError("This step has no kernel: nothing in it is computed by machine code.")
        if wanted is None:
            return max(with_code, key=lambda k: k.flops)
        if isinstance(wanted, int):
            if not -len(self) <= wanted < len(self):
                raise ArgumentError(f"There are {len(self)} kernels and none with number {wanted}.")
            return self[wanted]
        for kernel in sorted(with_code, key=lambda k: -k.flops):
            if wanted in (kernel.name, kernel.layer, kernel.layer.partition("/")[2]):
                return kernel
        names = [k.name for k in with_code] + sorted({k.layer for k in with_code if k.layer})
        hint = did_you_mean(wanted, names)
        raise ArgumentError(f"There is no kernel {wanted!r}.{hint} There are: {', '.join(names)}.")

    def __str__(self) -> str:
        lines = []
        for number, kernels in enumerate(self.phases):
            lines += [f"phase {number}", *(f"  {line}" for kernel in kernels for line in str(kernel).splitlines())]
        return "\n".join(lines)


def kernels_of(compiler: Compiler) -> Kernels:
    """The kernels of a compiled graph, whose values have names."""
    numbers = {id(v): constant_text(v) for v in compiler.graph.constants() if v.size == 1}
    found = []
    for number, phase in enumerate(compiler.schedule.phases):
        for group in phase:
            plan, main = compiler.plans[group.index], main_node(group)
            inside = {id(v) for n in group.nodes for v in n.outputs}
            sources = [source_of(v) for n in group.nodes for v in n.inputs]
            taken = [v for v in sources if id(v) not in inside | set(numbers) and id(v) in compiler.schedule.storage]
            outside = dict.fromkeys(f"%{v.name}" for v in taken)
            written = [v for n in group.nodes for v in n.outputs if id(v) in compiler.schedule.storage]
            found.append(
                Kernel(
                    name=compiler.names.get(group.index, ""),
                    kind=group.kind,
                    shape=group.shape,
                    layer="/".join(main.scope),
                    ops=tuple(n.primitive.name for n in group.nodes),
                    lines=tuple(_lines(group, numbers)),
                    reads=tuple(outside),
                    writes=tuple(f"%{v.name}" for v in written),
                    phase=number,
                    chunks=plan.chunks if plan is not None else 1,
                    flops=sum(count_flops(n) for n in group.nodes),
                    reason=(why_unsupported(main) or "no native rule") if group.kind == "opaque" else "",
                    group=group.index,
                )
            )
    return Kernels(found)


def _lines(group: Group, numbers: Mapping[int, str]) -> Iterator[str]:
    """The text of a group's nodes, and of the views through which it reads, with the layers that differ."""
    seen: set[int] = set()
    layer = "/".join(main_node(group).scope)

    def views(value: Value) -> Iterator[str]:
        node = value.node
        if node is not None and is_view(node) and id(node) not in seen:
            seen.add(id(node))
            for inner in node.inputs:
                yield from views(inner)
            yield f"({node_text(node, numbers)})"

    for node in group.nodes:
        for value in node.inputs:
            yield from views(value)
        own = "/".join(node.scope)
        first, *body = _bodied(node, numbers).splitlines()
        yield first + (f"  # {own}" if own and own != layer else "")
        yield from body


# --- memory -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Buffer:
    """A piece of the arena.

    Attributes:
        name: the value in it.
        shape: of the value; empty for partial sums.
        dtype: of the value, by name.
        bytes: its size.
        offset: where it begins, in bytes.
        first: the phase that fills it.
        last: the last phase that reads it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """Where all values of a step lie.

    Attributes:
        arena_bytes: size of the one block of memory that all values between kernels share.
        buffers: the pieces of it.
        phases: how many phases the step has.
        outside: bytes of the arrays that are there before and after the step, by kind: ``input``, ``variable``,
            ``constant`` and ``output``.
    """

    arena_bytes: int
    buffers: tuple[Buffer, ...]
    phases: int
    outside: dict[str, int]

    @property
    def buffer_bytes(self) -> int:
        """The sizes of all buffers together: what the arena would take if nothing were shared."""
        return sum(b.bytes for b in self.buffers)

    @property
    def busiest_bytes(self) -> int:
        """The bytes in use in the phase that needs most: no plan can take less."""
        alive = [sum(b.bytes for b in self.buffers if b.first <= p <= b.last) for p in range(self.phases)]
        return max(alive, default=0)

    def __str__(self) -> str:
        lines = [f"{kind + 's':12}{size:>12,} bytes" for kind, size in self.outside.items() if size]
        lines.append(f"{'arena':12}{self.arena_bytes:>12,} bytes hold {len(self.buffers)} buffers")
        lines.append(f"{'':12}{self.buffer_bytes:>12,} bytes are all buffers together")
        lines += [f"{'':12}{self.busiest_bytes:>12,} bytes are in use in the busiest phase", ""]
        width = max([len(b.name) for b in self.buffers], default=0)
        pictured = self.phases <= WIDEST_MAP
        lines.append(f"  {'buffer':{width}}  {'bytes':>10}  {'offset':>10}  phases in use")
        for b in sorted(self.buffers, key=lambda b: (b.offset, b.first)):
            picture = f"  |{' ' * b.first}{'#' * (b.last - b.first + 1)}{' ' * (self.phases - 1 - b.last)}|"
            used = f"{b.first}-{b.last}" if b.first < b.last else f"{b.first}"
            lines.append(f"  {b.name:{width}}  {b.bytes:>10,}  {b.offset:>10,}{picture if pictured else ''}  {used}")
        return "\n".join(lines)


def memory_of(compiler: Compiler) -> Memory:
    """The memory plan of a compiled graph, whose values have names."""
    schedule = compiler.schedule
    outside = dict.fromkeys(("input", "variable", "constant", "output"), 0)
    for slot in schedule.slots:
        outside[slot.kind] += _slot_bytes(slot, compiler.graph)
    buffers = [
        Buffer(
            name=f"%{b.value.name}" if b.value is not None else f"partial sums of {compiler.names[b.group]}",
            shape=() if b.value is None else b.value.shape,
            dtype="float32" if b.value is None else b.value.dtype.name,
            bytes=b.lifetime.size,
            offset=b.offset,
            first=b.lifetime.first,
            last=b.lifetime.last,
        )
        for b in schedule.buffers
    ]
    return Memory(schedule.arena_bytes, tuple(buffers), len(schedule.phases), outside)


def _slot_bytes(slot: Slot, graph: Graph) -> int:
    if slot.kind == "variable":
        return int(slot.which.size) * int(np.dtype(slot.which.dtype).itemsize)
    if slot.kind == "constant":
        return int(slot.which.nbytes)
    value = (graph.inputs if slot.kind == "input" else graph.outputs)[slot.which]
    return value.size * value.dtype.itemsize


# --- code -------------------------------------------------------------------------------------------
class Code(dict[str, str]):
    """The text of each kernel's functions, by the kernel's name, with what they call.

    Attributes:
        module: the text of the whole program.
        language: ``"llvm"`` or ``"asm"``.
    """

    def __init__(self, functions: Mapping[str, str], module: str, language: str) -> None:
        super().__init__(functions)
        self.module, self.language = module, language

    def __repr__(self) -> str:
        return f"<{self.language} of {len(self)} kernels, {len(self.module.splitlines())} lines>"

    def __str__(self) -> str:
        return "\n".join(self.values())

    def innermost(self, name: str) -> str:
        """The loop of a kernel with most arithmetic in it, or where it has no loop the whole kernel."""
        text = self[name]
        label = LLVM_LABEL if self.language == "llvm" else ASSEMBLY_LABEL
        starts = [(found.start(), found.group(1)) for found in label.finditer(text)]
        ends = [at for at, _ in starts[1:]] + [len(text)]
        loops = []
        for (at, own), end in zip(starts, ends, strict=False):
            back = [found.end() for found in re.finditer(rf"(?<![\w.]){re.escape(own)}(?!\w).*", text[at:end])]
            if len(back) > 1:  # the label itself, and the jumps to it
                loops.append(text[at : at + back[-1]])
        return max(loops, key=lambda block: len(ARITHMETIC.findall(block)), default=text).expandtabs().rstrip()


def llvm_of(compiler: Compiler) -> Code:
    """The LLVM text of every kernel."""
    texts = {name: text for text in compiler.book.texts for name in FUNCTION.findall(text)}
    found = {}
    for name in dict.fromkeys(compiler.names.values()):
        wanted, parts = [name], []
        for each in wanted:  # a loop's function calls kernels of its own
            if each in texts and texts[each] not in parts:
                parts.append(texts[each])
                wanted += [other for other in CALLED.findall(texts[each]) if other not in wanted]
        found[name] = "\n".join(parts)
    return Code(found, compiler.text, "llvm")


def assembly_of(compiler: Compiler, llvm: Code) -> Code:
    """The machine code of every kernel as text."""
    written: list[str] = []
    targets.compile_object(compiler.text, compiler.target, report=written.append)
    module = written[0]
    functions = {}
    for start in ASSEMBLY_FUNCTION.finditer(module):
        end = re.compile(r"^\.?Lfunc_end\d+:", re.MULTILINE).search(module, start.end())
        functions[start.group(1)] = module[start.start() : end.start() if end else len(module)]
    found = {name: "\n".join(functions[n] for n in FUNCTION.findall(llvm[name]) if n in functions) for name in llvm}
    return Code(found, module, "asm")


def readable(graph: Graph) -> str:
    """A graph layer by layer, with numbers in place of the constants that have one element."""
    numbers = {id(v): constant_text(v) for v in graph.constants() if v.size == 1}
    assigned = {id(variable) for variable, _ in graph.writes}
    lines = _listed("inputs", [_described(v) for v in graph.inputs])
    lines += _listed("variables", [_described(v) + " =" * (id(w) in assigned) for w, v in graph.reads])
    before: str | None = None
    for node in graph.nodes:
        layer = "/".join(node.scope) or "(no layer)"
        if layer != before:
            lines.append(f"{layer}:")
        before = layer
        lines.append(f"    {_bodied(node, numbers)}")
    lines += _listed("assigned", [f"{w.path} = {numbers.get(id(v), '%' + v.name)}" for w, v in graph.writes])
    lines += _listed("returned", [f"%{v.name}" for v in graph.outputs])
    return "\n".join(lines)


def _described(value: Value) -> str:
    return f"%{value.name}: {value.dtype}[{','.join(map(str, value.shape))}]"


def _listed(what: str, items: Sequence[str]) -> list[str]:
    """Items behind a heading, as many to a line as fit."""
    lines: list[str] = []
    for i, item in enumerate(items):
        item += "," * (i + 1 < len(items))
        if not lines or len(lines[-1]) + len(item) >= WIDTH:
            lines.append(f"{'' if lines else what + ':':11}{item}")
        else:
            lines[-1] += f" {item}"
    return lines


def _bodied(node: Node, numbers: Mapping[int, str]) -> str:
    """A node's text, and below it that of the graphs inside it."""
    text = node_text(node, numbers)
    for param in node.params.values():
        if isinstance(param, Graph):
            text += "".join(f"\n        {line}" for line in readable(param).splitlines())
    return text
