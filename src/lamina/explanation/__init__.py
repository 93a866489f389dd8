"""``lamina.explain``: the way of a model from ``fit`` to machine code, stage by stage."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.backends.native import target as targets
from lamina.backends.native.program import Compiler
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, CaptureError
from lamina.core.messages import did_you_mean
from lamina.core.primitive import state
from lamina.explanation import text
from lamina.explanation.stages import (
    Buffer,
    Code,
    Kernel,
    Kernels,
    Memory,
    Pass,
    assembly_of,
    kernels_of,
    llvm_of,
    memory_of,
)
from lamina.graph.function import Function
from lamina.graph.ir import Graph, name_values
from lamina.graph.passes import optimize
from lamina.models import Model
from lamina.profiling import Profile, measure
from lamina.training import checks
from lamina.training.compiled import OutputLoss
from lamina.training.loop import DEFAULT_BATCH
from lamina.training.profile import step_of
from lamina.training.state import require_compiled

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["Buffer", "Code", "Explanation", "Kernel", "Kernels", "Memory", "Pass", "explain"]

STAGES = tuple(text.MAKERS)
LINES = 40


class Explanation:
    """The stages of a compiled step.  ``print`` it for the chosen ones; each is an attribute, made when asked for.

    Attributes:
        name: of the step.
        stages: names of the stages that are shown.
        kernel: which kernel's code is shown.
        lines: how much of each stage is shown at most; ``None`` for all.
        target: the CPU.
    """

    def __init__(
        self,
        function: Function,
        arguments: Sequence[Any],
        inputs: Sequence[str],
        stages: Sequence[str] = STAGES,
        kernel: int | str | None = None,
        lines: int | None = LINES,
        seconds: float = 0.2,
    ) -> None:
        self.name, self.stages, self.kernel, self.lines = function.name, tuple(stages), kernel, lines
        self.target = targets.host()
        self._seconds, self._inputs = seconds, list(inputs)
        self._captured = function.captured(*arguments)
        self._optimized, self._arrays = function.lowered(*arguments)

    def _named(self, graph: Graph) -> Graph:
        """A copy of a graph, in which the inputs have their names."""
        copy = graph.clone()
        for value, name in zip(copy.inputs, self._inputs, strict=False):
            value.name = name
        name_values(copy)
        return copy

    # --- stages -------------------------------------------------------------------------------------
    @functools.cached_property
    def captured(self) -> Graph:
        """The graph as the Python code wrote it, with the way back and the optimizer's update."""
        return self._named(self._captured)

    @functools.cached_property
    def passes(self) -> list[Pass]:
        """What each pass did to the number of nodes, in the order in which they ran."""
        graph = self._captured.clone()
        found: list[Pass] = []
        before = len(graph.nodes)

        def watch(name: str, graph: Graph) -> None:
            nonlocal before
            found.append(Pass(name, before, len(graph.nodes)))
            before = len(graph.nodes)

        optimize(graph, watch=watch)
        return found

    @functools.cached_property
    def optimized(self) -> Graph:
        """The graph after all passes."""
        return self._named(self._optimized)

    @functools.cached_property
    def _compiler(self) -> Compiler:
        compiler = Compiler(self._named(self._optimized), self.target)
        name_values(compiler.graph)
        for node in compiler.graph.nodes:
            for body in (p for p in node.params.values() if isinstance(p, Graph)):
                name_values(body)
        return compiler

    @functools.cached_property
    def kernels(self) -> Kernels:
        """What is fused into each kernel, and when it runs."""
        return kernels_of(self._compiler)

    @functools.cached_property
    def memory(self) -> Memory:
        """Where values lie between kernels, and which share a place."""
        return memory_of(self._compiler)

    @functools.cached_property
    def llvm(self) -> Code:
        """LLVM text by kernel; ``llvm.module`` is the whole program."""
        return llvm_of(self._compiler)

    @functools.cached_property
    def assembly(self) -> Code:
        """The machine code as text, by kernel."""
        return assembly_of(self._compiler, self.llvm)

    @functools.cached_property
    def timing(self) -> Profile:
        """How long each kernel takes: that of ``lamina.profile``."""
        return measure(self.name, self._optimized, self._arrays, self._seconds)

    # --- showing ------------------------------------------------------------------------------------
    @property
    def _heading(self) -> str:
        return f"{self.name}: from Python to machine code"

    def __repr__(self) -> str:
        return f"<explanation of {self.name}: {len(self.kernels)} kernels>"

    def __str__(self) -> str:
        return text.plain(self._heading, text.sections(self))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from text.coloured(self._heading, text.sections(self))

    def _repr_html_(self) -> str:
        return text.as_html(self._heading, text.sections(self))


def explain(
    model: Any,
    *data: Any,
    batch_size: int | None = None,
    stages: str | Sequence[str] | None = None,
    kernel: int | str | None = None,
    lines: int | None = LINES,
    seconds: float = 0.2,
    verbose: bool | None = None,
) -> Explanation:
    """Show the way of a training step from Python to machine code.

    ==============  ==============================================================================
    stage           what it shows
    ==============  ==============================================================================
    ``captured``    the operations that the Python code did
    ``optimized``   the same after the passes, and what each pass did
    ``kernels``     which operations are fused, the layer they came from, and the order of the kernels
    ``memory``      the buffers between kernels, their bytes and which share a place
    ``llvm``        the code of a kernel as LLVM text
    ``assembly``    the same for this CPU
    ``timing``      the time of each kernel, as ``lamina.profile`` measures it
    ==============  ==============================================================================

    The model stays as it is: weights, optimizer and metrics are put back.

    Args:
        model: a compiled model whose input shapes are known, or a ``lamina.function``.
        data: ``x, y`` as in ``fit``, or ``x`` for the step of a prediction; without data a batch of the right shapes
            is made up.  For a function: its arguments.
        batch_size: samples of the step; default 32.
        stages: names of the stages to show; default all.
        kernel: whose code to show: its position, the name of its function, or its layer; default the kernel with the
            most arithmetic.
        lines: how much of each stage to show; ``None`` for all of it.
        seconds: about how long to measure.
        verbose: whether to print; default yes, except in a notebook, where the result shows itself.

    Returns:
        An ``Explanation``: ``captured``, ``passes``, ``optimized``, ``kernels``, ``memory``, ``llvm``, ``assembly``
        and ``timing``.

    Raises:
        ArgumentError: an unknown stage or kernel; or the model is not compiled, not built, or runs op by op.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([lamina.Input((4,)), lamina.layers.Dense(3, "relu", name="hidden")])
        >>> model.compile("sgd", "mse")
        >>> found = lamina.explain(model, verbose=False)
        >>> "relu" in found.kernels.find("hidden").ops  # fused with the product
        True
        >>> found.memory.arena_bytes <= found.memory.buffer_bytes
        True
    """
    if state.capture is not None:
        raise CaptureError("lamina.explain looks into a compiled function and cannot be part of a captured one.")
    chosen = _stages(stages)
    if isinstance(model, Model):
        function, arguments, names = _step_of_model(model, data, batch_size)
    elif callable(model) and not isinstance(model, type):
        if batch_size is not None:
            raise ArgumentError("explain: batch_size is for models; a function is explained for the arguments given.")
        function, arguments, names = (model if isinstance(model, Function) else Function(model)), data, ()
    else:
        raise ArgumentError(f"explain takes a compiled model or a lamina.function; got {type(model).__name__}.")
    if function.backend != "native":
        raise ArgumentError(f"lamina.explain shows native code; {function.name} uses {function.backend!r}.")
    found = Explanation(function, arguments, names, chosen, kernel, lines, seconds)
    if kernel is not None:
        found.kernels.find(kernel)
    if _prints() if verbose is None else verbose:
        from rich.console import Console

        console = Console()
        if console.is_terminal:
            console.print(found)
        else:
            console.print(str(found), markup=False, highlight=False, soft_wrap=True)
    return found


def _stages(chosen: str | Sequence[str] | None) -> tuple[str, ...]:
    names = STAGES if chosen is None else (chosen,) if isinstance(chosen, str) else tuple(chosen)
    for name in names:
        if name not in STAGES:
            hint = did_you_mean(name, STAGES)
            raise ArgumentError(f"explain: there is no stage {name!r}.{hint} There are: {', '.join(STAGES)}.")
    return names


def _prints() -> bool:
    """Whether nobody else shows the result: a notebook does."""
    shell = sys.modules.get("IPython")
    return shell is None or not hasattr(shell.get_ipython(), "kernel")


# --- the step of a model ----------------------------------------------------------------------------
def _step_of_model(
    model: Any, data: Sequence[Any], batch_size: int | None
) -> tuple[Function, Sequence[Any], Sequence[str]]:
    """The compiled step, its arrays, and what to call them."""
    if len(data) > 2:
        raise ArgumentError(f"explain takes x, or x and y, for a model; got {len(data)} arguments.")
    batch = checks.check_positive("batch_size", DEFAULT_BATCH if batch_size is None else batch_size)
    compiled = None if len(data) == 1 else require_compiled(model, "explain")
    x, y = (*data, None, None)[:2] if data else _sample(model, compiled, batch)
    function, arrays = step_of(model, x, y, batch, "explain")
    inputs, targets = _names("x", x), _names("y", y)
    return function, arrays, inputs if y is None else ["order", *inputs, *targets]


def _names(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}[{key!r}]" for key in value]
    return [f"{name}[{i}]" for i in range(len(value))] if isinstance(value, list | tuple) else [name]


def _sample(model: Any, compiled: Any, batch: int) -> tuple[Any, Any]:
    """A batch that the model can be trained on: random numbers, classes in turn."""
    advice = "give it data: lamina.explain(model, x, y)"
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ArgumentError(f"The model {model.name!r} is not built, its input shapes are not known: {advice}.")
    if len(inputs) > 1 or len(model.outputs) > 1 or isinstance(compiled.loss, dict | list | tuple):
        raise ArgumentError(f"The model {model.name!r} has several inputs or outputs: {advice}.")
    (given,), (output,) = inputs, model.outputs
    shape, result = (batch, *given.shape[1:]), (batch, *output.shape[1:])
    if None in shape or None in result:
        raise ArgumentError(f"The model {model.name!r} takes inputs of the shape {tuple(given.shape)}: {advice}.")
    rng = np.random.default_rng(0)
    x = rng.random(shape).astype(given.dtype) if dtypes.is_float(given.dtype) else np.zeros(shape, given.dtype)
    loss = None if compiled.loss is None else OutputLoss(compiled.loss, None, result)
    if loss is not None and loss.targets == "classes":
        count = int(np.prod(result[:-1]))
        return x, (np.arange(count) % result[-1]).reshape(result[:-1])
    return x, np.zeros(result, np.float32)
