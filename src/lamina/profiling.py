"""``lamina.profile``: where the time of a compiled function goes, kernel by kernel."""

from __future__ import annotations

import io
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.backends.native.contraction import ContractPlan
from lamina.backends.native.peak import Peak, measure_peak
from lamina.backends.native.program import NativeExecutable
from lamina.backends.native.support import why_unsupported
from lamina.backends.native.threads import get_num_threads
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, CaptureError
from lamina.core.lowering import Contraction, Cumulative, Elementwise, Indexed, Reduction, Scatter
from lamina.core.primitive import state, wrap
from lamina.graph.function import Function
from lamina.graph.ir import Graph, Node, Value
from lamina.graph.passes.fusion import Group, is_view, source_of

if TYPE_CHECKING:
    from rich.table import Table

# Every kernel's time is its least over the rounds: short ones, so that other work does not get into all of them.
ROUND_SECONDS = 5e-4
MOST_ROUNDS = 500
SHOWN = 0.002  # kernels with a smaller share of the time are summed up in the printed table
WIDTH = 150  # of the table as text
KERNEL_WIDTH = 46


@dataclass(frozen=True)
class Row:
    """One kernel of a profile.

    Attributes:
        kind: ``map``, ``row``, ``column``, ``contract``, ... (see ``graph/passes/fusion.py``), or ``numpy``.
        ops: the primitives that it computes, in order.
        shape: what it iterates over.
        layer: path of the layer that the kernel's main op comes from; empty for none.
        source: ``file:line`` of the user's code that the main op comes from.
        seconds: of one run of the step, waiting included.
        share: of the whole step, from 0 to 1.
        waiting: share of ``seconds`` in which threads waited for others at the barrier behind the kernel.
        flops: floating-point operations: two for each multiplication with addition of a contraction, one for
            each element of anything else.
        bytes: bytes that come in and go out, each value once.
        of_peak: the larger of the shares of this machine's peaks (see ``bound``).
        bound: ``"compute"`` or ``"memory"``: the peak that the kernel is closer to.
        reason: why it runs in NumPy; empty where it does not.
        group: number of the group of nodes that it computes (see ``graph/passes/fusion.py``).
    """

    kind: str
    ops: tuple[str, ...]
    shape: tuple[int, ...]
    layer: str
    source: str
    seconds: float
    share: float
    waiting: float
    flops: int
    bytes: int
    of_peak: float
    bound: str
    reason: str
    group: int

    @property
    def text(self) -> str:
        """What the kernel does, in a line."""
        shape = "x".join(map(str, self.shape)) or "scalar"
        work = f"runs in NumPy ({self.reason})" if self.reason else self.kind
        return f"{work} {shape}: {ops_text(self.ops)}"

    @property
    def gflops(self) -> float:
        """Billions of floating-point operations a second."""
        return self.flops / self.seconds / 1e9 if self.seconds else 0.0

    @property
    def gbytes(self) -> float:
        """Billions of bytes a second."""
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


class Profile:
    """The times of a compiled function's kernels.  ``print`` it to see them as a table.

    Attributes:
        name: the function's name.
        rows: a ``Row`` for each kernel, the longest first.
        total: seconds of one run of the whole step.
        threads: how many threads it runs on.
        peak: what this machine can do at most on that many threads (``peak.flops``, ``peak.bytes`` a second).
    """

    def __init__(self, name: str, rows: Sequence[Row], total: float, threads: int, peak: Peak) -> None:
        self.name, self.total, self.threads, self.peak = name, total, threads, peak
        self.rows = sorted(rows, key=lambda row: -row.seconds)

    def __repr__(self) -> str:
        return f"<profile of {self.name}: {len(self.rows)} kernels, {time_text(self.total)}>"

    def by_layer(self) -> dict[str, float]:
        """Seconds of each layer (and of each layer's gradient), the longest first."""
        found: dict[str, float] = {}
        for row in self.rows:
            found[row.layer] = found.get(row.layer, 0.0) + row.seconds
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def table(self, limit: int | None = None) -> Table:
        """The profile as a ``rich`` table.

        Args:
            limit: how many kernels to show; default those of some weight.
        """
        from rich import box
        from rich.table import Table
        from rich.text import Text

        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        table = Table(
            title=f"{self.name}: {time_text(self.total)} on {threads}",
            caption=f"measured peak: {self.peak.flops / 1e9:.0f} GFLOP/s float32, {self.peak.bytes / 1e9:.0f} GB/s",
            box=box.SIMPLE_HEAD,
            header_style="bold",
        )
        for column in ("time", "share", "GFLOP/s", "GB/s", "of peak", "waiting"):
            table.add_column(column, justify="right", no_wrap=True)
        for column in ("layer", "kernel", "line"):
            table.add_column(column, overflow="fold")
        common = _common_prefix([row.layer for row in self.rows])
        shown = [row for row in self.rows if row.share >= SHOWN] if limit is None else self.rows[:limit]
        for row in shown:
            numbers = (
                time_text(row.seconds),
                f"{row.share:.1%}",
                f"{row.gflops:.1f}" if row.flops else "-",
                f"{row.gbytes:.1f}" if row.bytes else "-",
                "-" if row.reason else f"{row.of_peak:.0%} {row.bound}",
                f"{row.waiting:.0%}",
            )
            work = Text(row.text, style="bold red" if row.reason else "")
            work.truncate(KERNEL_WIDTH, overflow="ellipsis")
            table.add_row(*numbers, Text(row.layer.removeprefix(common)), work, Text(_line(row.source), style="dim"))
        rest = self.rows[len(shown) :]
        if rest:
            seconds = sum(row.seconds for row in rest)
            note = f"{len(rest)} more kernel{'s' if len(rest) > 1 else ''}"
            table.add_row(time_text(seconds), f"{seconds / self.total:.1%}", "", "", "", "", "", note, "")
        return table

    def __str__(self) -> str:
        from rich.console import Console

        buffer = io.StringIO()
        Console(file=buffer, width=WIDTH, color_system=None, force_jupyter=False).print(self.table())
        return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def profile(step: Callable[..., Any], *args: Any, seconds: float = 0.5, verbose: bool = True) -> Profile:
    """Measure, kernel by kernel, where the time of a compiled function goes.

    Every thread reads a clock after each of its kernels and at each barrier while the step runs as it
    always does: with its fusion, its threads, its caches.  A kernel's time is its part of the time
    between two barriers, so the times add up to that of the whole step.  The step runs many times; each
    kernel's time is the least of several rounds, because other work on the machine can only add to it.

    A step may assign Variables: their values are put back afterwards.

    Args:
        step: a ``lamina.function``, or a function that can become one.
        args: its arguments: tensors, arrays, or static values.
        seconds: about how long to measure.
        verbose: whether to print the table.

    Returns:
        A ``Profile``: ``rows``, ``total``, ``by_layer()``; ``str()`` gives the table.

    Raises:
        ArgumentError: this is no function, or it runs on another backend than the native one.

    Example:
        >>> import lamina
        >>> @lamina.function
        ... def hidden(x, w, b):
        ...     return lamina.nn.relu(x @ w + b)
        >>> found = lamina.profile(
        ...     hidden, lamina.ones((64, 100)), lamina.ones((100, 32)), lamina.ones(32), seconds=0.01, verbose=False
        ... )
        >>> [(row.kind, row.ops, row.flops) for row in found.rows]
        [('contract', ('matmul', 'add', 'relu'), 413696)]
    """
    if state.capture is not None:
        raise CaptureError("lamina.profile runs a compiled function and cannot be part of a captured one.")
    if not callable(step):
        raise ArgumentError(f"lamina.profile takes a lamina.function or another function; got {type(step).__name__}.")
    function = step if isinstance(step, Function) else Function(step)
    if function.backend != "native":
        raise ArgumentError(f"lamina.profile measures native code; {function.name} uses {function.backend!r}.")
    graph, arrays = function.lowered(*args)
    measured = measure(function.name, graph, arrays, seconds)
    if verbose:
        from rich.console import Console

        console = Console()
        (console if console.is_terminal else Console(width=WIDTH)).print(measured.table())
    return measured


# --- measuring --------------------------------------------------------------------------------------
def measure(name: str, graph: Graph, arrays: Sequence[np.ndarray], seconds: float) -> Profile:
    """The profile of an optimized graph on these arrays; Variables that it assigns are put back."""
    executable = NativeExecutable(graph, timed=True)
    saved = [(variable, np.array(variable.numpy())) for variable, _ in graph.writes]
    try:
        times = _least_times(executable, arrays, seconds)
    finally:
        for variable, array in saved:
            variable.assign(wrap(array))
    compiler = executable.compiler
    assert compiler is not None
    threads = 1 if executable.serial else get_num_threads()
    peak = measure_peak(threads)
    total = float(sum(spent for spent, _ in times.values()))
    rows = []
    for group in compiler.fusion.groups.values():
        if group.kind == "joined":  # its parts lie in place already
            continue
        spent, waiting = times[group.index]
        rows.append(_row(group, compiler.plans[group.index], compiler.stored, spent, waiting, total, peak))
    return Profile(name, rows, total, threads, peak)


def _least_times(
    executable: NativeExecutable, arrays: Sequence[np.ndarray], seconds: float
) -> dict[int, tuple[float, float]]:
    """``(seconds, share of waiting)`` of each group in one run: the least of several rounds."""
    assert executable.laps is not None
    executable.run(arrays)  # pages are touched, caches are warm
    started = time.perf_counter()
    executable.run(arrays)
    once = max(time.perf_counter() - started, 1e-7)
    runs = max(1, int(ROUND_SECONDS / once))
    rounds = min(max(3, int(seconds / (runs * once))), MOST_ROUNDS)
    measured = []
    for _ in range(rounds):
        executable.laps.start()
        executable.run(arrays, runs)
        measured.append(executable.laps.stop()[0].mean(axis=0) / runs)
    best: dict[int, tuple[float, float]] = {}
    for laps in measured:
        for index, found in _attribute(executable, laps).items():
            best[index] = min(found, best.get(index, found))
    return best


def _attribute(executable: NativeExecutable, laps: np.ndarray) -> dict[int, tuple[float, float]]:
    """Share out the waiting at each barrier among the kernels before it, by the time that they took."""
    compiler = executable.compiler
    assert compiler is not None
    found = {}
    for number, phase in enumerate(compiler.schedule.phases):
        own = {g.index: float(laps[compiler.lap_of[g.index] - 1]) for g in phase}
        waited = float(laps[len(compiler.lap_of) + number])
        busy = sum(own.values())
        for index, spent in own.items():
            part = waited * (spent / busy if busy else 1 / len(phase))
            found[index] = spent + part, part / (spent + part) if part else 0.0
    return found


# --- counting ---------------------------------------------------------------------------------------
def _row(
    group: Group, plan: Any, stored: set[int], seconds: float, waiting: float, total: float, peak: Peak
) -> Row:
    main = main_node(group)
    opaque = group.kind == "opaque"
    flops = sum(count_flops(n) for n in group.nodes)
    if isinstance(plan, ContractPlan):
        flops += 2 * plan.count * plan.m * plan.n * plan.k - count_flops(plan.node)
    moved = count_bytes(group, stored)
    size = main.outputs[0].dtype.itemsize
    compute = flops / seconds / peak.flops_for(size) if seconds else 0.0
    memory = moved / seconds / peak.bytes if seconds else 0.0
    return Row(
        kind="numpy" if opaque else group.kind,
        ops=tuple(n.primitive.name for n in group.nodes),
        shape=group.shape,
        layer="/".join(main.scope),
        source=main.source or "",
        seconds=seconds,
        share=seconds / total if total else 0.0,
        waiting=waiting,
        flops=flops,
        bytes=moved,
        of_peak=max(compute, memory),
        bound="compute" if compute > memory else "memory",
        reason=(why_unsupported(main) or "no native rule") if opaque else "",
        group=group.index,
    )


def main_node(group: Group) -> Node:
    """The node that stands for a kernel: its contraction, else its reduction, else the last that has a layer."""
    for kind in (Contraction, Reduction):
        for node in group.nodes:
            if isinstance(node.primitive.native, kind):
                return node
    return next((n for n in reversed(group.nodes) if n.scope), group.nodes[-1])


def count_flops(node: Node) -> int:
    """Floating-point operations of a node: 2 m n k of a contraction, else one for each element that it makes."""
    native = node.primitive.native
    out = node.outputs[0]
    counted = getattr(native, "flops", None)
    if counted is not None:
        return int(counted(node))
    bodies = [p for p in node.params.values() if isinstance(p, Graph)]
    if bodies:
        return int(node.params.get("length") or 1) * sum(count_flops(n) for body in bodies for n in body.nodes)
    if isinstance(native, Contraction):
        pairs = 2 if node.inputs[0].dtype.name == "uint32" else 1  # of bfloat16, where these were made before
        return pairs * 2 * out.size * _depth(node)
    if isinstance(native, Reduction):
        return node.inputs[0].size
    if isinstance(native, Scatter):
        return node.inputs[-1].size
    return out.size if isinstance(native, Elementwise | Cumulative) and dtypes.is_float(out.dtype) else 0


def _depth(node: Node) -> int:
    """How many products each element of a contraction adds up."""
    a, b = node.inputs[0], node.inputs[-1]
    if node.primitive.name == "matmul_rows":
        return node.inputs[1].shape[0] if node.params["transposed"] else a.shape[1]
    if node.primitive.name == "depthwise":  # each channel by itself
        return math.prod(node.params["kernel"])
    if "weights" in node.primitive.name:  # the gradient of a kernel: all output positions
        return a.shape[0] * math.prod(node.params["out"])
    if "kernel" in node.params:
        return math.prod(node.params["kernel"]) * a.shape[-1]
    if node.primitive.name.startswith("conv"):
        return b.size // max(1, b.shape[-1])
    return a.shape[-1]


def count_bytes(group: Group, stored: set[int]) -> int:
    """Bytes that a kernel reads and writes, each value once."""
    inside = {id(v) for n in group.nodes for v in n.outputs}
    read: dict[int, int] = {}
    for node in group.nodes:
        gathers = isinstance(node.primitive.native, Indexed)
        for i, value in enumerate(node.inputs):
            source = source_of(value)
            if id(source) in inside or is_view(source.node) or (value.constant is not None and value.size == 1):
                continue
            size = min(value.size, source.size)
            if gathers and i == 0:
                size = min(size, node.outputs[0].size)
            if node.primitive.name == "matmul_rows" and i == 0:
                size = node.inputs[1].size * value.shape[1]
            read[id(source)] = max(read.get(id(source), 0), size * source.dtype.itemsize)
    written = [v for n in group.nodes for v in n.outputs if id(v) in stored or group.kind == "opaque"]
    return sum(read.values()) + sum(_bytes(v) for v in written)


def _bytes(value: Value) -> int:
    return value.size * value.dtype.itemsize


# --- text -------------------------------------------------------------------------------------------
def time_text(seconds: float) -> str:
    """A time with three digits in a fitting unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}" if seconds * scale < 100 else f"{seconds * scale:.0f} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _line(source: str) -> str:
    path, _, number = source.rpartition(":")
    return f"{Path(path).name}:{number}" if path else source


def ops_text(names: Sequence[str]) -> str:
    """The names in order, equal neighbours counted."""
    return ", ".join(
        name if (count := len(list(same))) == 1 else f"{count} {name}" for name, same in itertools.groupby(names)
    )


def _common_prefix(layers: Sequence[str]) -> str:
    """The model's name and a slash, where all layers are of one model; else nothing."""
    heads = {layer.split("/")[0] for layer in layers if "/" in layer and not layer.startswith("loss/")}
    return f"{heads.pop()}/" if len(heads) == 1 else ""
