"""``model.summary()``: a table of layers with their output shapes, parameters, operations and memory."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.optional import require
from lamina.core.trees import flatten
from lamina.layers import InputLayer, Layer
from lamina.layers.operation import Operation
from lamina.models.base import Model
from lamina.models.sequential import Sequential
from lamina.models.work import Work, work_of


def kind_of(layer: Layer) -> str:
    """The layer's class; of a function on placeholders, its name written like one: ``Multiply``."""
    if isinstance(layer, Operation):
        return layer.function.split(".")[-1].replace("_", " ").title().replace(" ", "")
    return type(layer).__name__


def listed_layers(model: Model) -> list[Layer]:
    """The layers, and in a graph the functions between them."""
    return model.layers if model._graph is None or isinstance(model, Sequential) else model.operations


def output_shapes(layer: Layer) -> str:
    """The layer's output shape or shapes as text; ``?`` while they are not known."""
    outputs = _outputs(layer)
    return "?" if outputs is None else ", ".join(str(t.shape) for t in outputs if hasattr(t, "shape"))


def _outputs(layer: Layer) -> list[Any] | None:
    """Placeholders of what the layer puts out at one call."""
    if layer._nodes:
        return layer._nodes[0].outputs
    if isinstance(layer, Model) and layer._graph is not None:
        return list(layer._graph.outputs)
    return flatten(layer._seen[1])[0] if layer._seen is not None else None


def output_bytes(layer: Layer, calls: int = 1) -> int | None:
    """Bytes of the layer's outputs for one sample, of all its calls; a size that is not known counts as 1."""
    outputs = _outputs(layer)
    if outputs is None:
        return None
    known = [t for t in outputs if hasattr(t, "shape")]
    return calls * sum(math.prod(n or 1 for n in t.shape[1:]) * t.dtype.itemsize for t in known)


def _connections(model: Model, layer: Layer) -> str:
    if model._graph is None:
        return "-"
    names = []
    for node in model._graph.nodes:
        if node.layer is layer:
            names += [
                f"{t.name}[{t.index}]" if t.node is not None and len(t.node.outputs) > 1 else t.name
                for t in node.inputs
            ]
    return ", ".join(names) or "-"


def _is_chain(model: Model) -> bool:
    """Whether every layer takes just the output of the one listed before it."""
    if model._graph is None:
        return True
    before: Any = None
    for layer in model._graph.layers:
        nodes = [n for n in model._graph.nodes if n.layer is layer]
        if isinstance(layer, InputLayer) and before is None:
            before = layer
            continue
        if len(nodes) != 1 or len(nodes[0].inputs) != 1:
            return False
        producer = nodes[0].inputs[0].node
        if producer is None or producer.layer is not before:
            return False
        before = layer
    return True


LEAST = {"Output Shape": 18, "Param #": 10, "Connected to": 16, "FLOPs": 6, "Memory": 9, "Trainable": 9}
EXTRA = 13  # characters of a column that Keras does not have


def size_text(size: float) -> str:
    """Bytes in a unit that suits: ``1.54 MB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"


def count_text(count: float) -> str:
    """A number of operations in three digits: ``401 K``, ``1.23 G``."""
    for unit in ("", "K", "M", "G", "T"):
        if count < 999.5 or unit == "T":
            break
        count /= 1000
    return f"{count:.0f}" if not unit else f"{count:.{max(0, 2 - int(math.log10(max(count, 1))))}f} {unit}"


def _chosen(layers: list[Layer], layer_range: Any) -> list[Layer]:
    if layer_range is None:
        return layers
    names = [layer.name for layer in layers]
    if len(layer_range) != 2 or any(n not in names for n in layer_range):
        raise ArgumentError(f"layer_range holds the names of the first and the last layer; got {layer_range!r}.")
    first, last = sorted(names.index(n) for n in layer_range)
    return layers[first : last + 1]


def _widths(positions: Sequence[float] | None, width: int, columns: int) -> list[int | None]:
    """Widths of the first columns: ``positions`` say where each ends, in characters or as shares of ``width``."""
    if positions is None:
        return [None] * columns
    ends = [int(p * width) if p <= 1 else int(p) for p in positions]
    if len(ends) < 1 or any(b <= a for a, b in zip([0, *ends], ends, strict=False)):
        raise ArgumentError(f"positions say where each column ends, from left to right; got {positions!r}.")
    found: list[int | None] = [b - a - 3 for a, b in zip([0, *ends], ends, strict=False)]  # less border and padding
    return [*(max(w, 1) if w is not None else None for w in found), *[None] * columns][:columns]


def print_summary(
    model: Model,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
    positions: Sequence[float] | None = None,
) -> None:
    """Print the summary of a model; see ``Model.summary``."""
    console_module = require("rich.console", "cli", "model.summary()")
    text = require("rich.text", "cli", "model.summary()").Text
    buffer = io.StringIO() if print_fn is not None else None
    options: dict[str, Any] = {"width": line_length}
    if buffer is not None:  # in a notebook, rich would show it there instead of writing it
        options = {"file": buffer, "width": line_length or 100, "force_jupyter": False}
    console = console_module.Console(highlight=False, **options)
    layers = _chosen(listed_layers(model), layer_range)
    work = work_of(model)
    console.print(text(f'Model: "{model.name}"', style="bold"))
    console.print(_table(model, layers, work, console.width, expand_nested, show_trainable, positions))
    for line in _totals(model, work):
        console.print(text(line))
    if print_fn is not None and buffer is not None:
        print_fn(buffer.getvalue().rstrip("\n"))


def _table(
    model: Model,
    layers: list[Layer],
    work: Work | None,
    width: int,
    expand_nested: bool,
    show_trainable: bool,
    positions: Sequence[float] | None,
) -> Any:
    table_module = require("rich.table", "cli", "model.summary()")
    box = require("rich.box", "cli", "model.summary()")
    text = require("rich.text", "cli", "model.summary()").Text
    connected = not _is_chain(model)
    table = table_module.Table(box=box.SQUARE, show_lines=False, header_style="bold", pad_edge=True)
    titles = ["Layer (type)", "Output Shape", "Param #", *(["Connected to"] if connected else [])]
    titles += ["FLOPs", "Memory", *(["Trainable"] if show_trainable else [])]
    sizes = _widths(positions, width - EXTRA * (len(titles) - 3 - connected), len(titles))
    names = [word for layer in layers for word in (layer.name, f"({kind_of(layer)})")]
    others = sum(LEAST[title] + 3 for title in titles[1:]) + 4
    longest = min(max(map(len, names), default=0), max(12, width - others))  # names are cut only where they must be
    for title, size in zip(titles, sizes, strict=True):
        right = title in ("Param #", "FLOPs", "Memory")
        table.add_column(
            title,
            overflow="fold",
            width=size,
            min_width=longest if title == titles[0] and size is None else None,
            no_wrap=right,
            justify="right" if right else "center" if title == "Trainable" else "left",
        )

    def add(owner: Model, layer: Layer, path: tuple[str, ...], depth: int) -> None:
        known = layer.built or layer.weights
        flops = work.of(path) if work is not None else None
        calls = sum(node.layer is layer for node in owner._graph.nodes) if owner._graph is not None else 1
        memory = output_bytes(layer, max(calls, 1))
        row = [
            text.assemble(f"{'  ' * depth}{layer.name} ", (f"({kind_of(layer)})", "dim")),
            text(output_shapes(layer)),
            f"{sum(math.prod(v.shape) for v in layer.weights):,}" if known else "? (unbuilt)",
        ]
        if connected:
            row.append(text(_connections(owner, layer)))
        row += ["-" if not flops else count_text(flops), "-" if memory is None else size_text(memory)]
        if show_trainable:
            row.append("-" if not layer.weights else "Y" if layer.trainable else "N")
        table.add_row(*row)
        if expand_nested and isinstance(layer, Model):
            for inner in listed_layers(layer):
                add(layer, inner, (*path, inner.name), depth + 1)

    for layer in layers:
        add(model, layer, (layer.name,), 0)
    return table


def _totals(model: Model, work: Work | None) -> list[str]:
    def line(label: str, variables: list[Any]) -> str:
        count = sum(math.prod(v.shape) for v in variables)
        return f" {label}: {count:,} ({size_text(sum(math.prod(v.shape) * v.dtype.itemsize for v in variables))})"

    optimizer = model.optimizer.variables if model.optimizer is not None and model.optimizer.built else []
    total = [*model.weights, *optimizer]
    lines = [line("Total params", total)]
    lines.append(line("Trainable params", model.trainable_weights))
    lines.append(line("Non-trainable params", model.non_trainable_weights))
    if optimizer:
        lines.append(line("Optimizer params", optimizer))
    if work is not None:
        assumed = f" ({work.assumed})" if work.assumed else ""
        lines.append(f" FLOPs of a forward pass: {count_text(work.total)} a sample{assumed}")
    if model._graph is not None:
        kept = sum(output_bytes(n.layer) or 0 for n in model._graph.nodes)
        lines.append(f" Memory of the outputs of all layers: {size_text(kept)} a sample")
    return lines
