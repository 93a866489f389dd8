"""``model.summary()``: a table of layers, output shapes and parameters."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.optional import require
from lamina.core.trees import flatten
from lamina.layers import InputLayer, Layer
from lamina.models.base import Model


def output_shapes(layer: Layer) -> str:
    """The layer's output shape or shapes as text; ``?`` while they are not known."""
    if layer._nodes:
        outputs: Any = layer._nodes[0].outputs
    elif isinstance(layer, Model) and layer._graph is not None:
        outputs = layer.outputs
    elif layer._seen is not None:
        outputs = flatten(layer._seen[1])[0]
    else:
        return "?"
    return ", ".join(str(t.shape) for t in outputs if hasattr(t, "shape"))


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


def _size(count: int, itemsize_total: int) -> str:
    size = float(itemsize_total)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{count:,} ({size:.2f} {unit})"
        size /= 1024
    return f"{count:,}"


def _chosen(layers: list[Layer], layer_range: Any) -> list[Layer]:
    if layer_range is None:
        return layers
    names = [layer.name for layer in layers]
    if len(layer_range) != 2 or any(n not in names for n in layer_range):
        raise ArgumentError(f"layer_range holds the names of the first and the last layer; got {layer_range!r}.")
    first, last = sorted(names.index(n) for n in layer_range)
    return layers[first : last + 1]


def print_summary(
    model: Model,
    line_length: int | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the summary of a model; see ``Model.summary``."""
    console_module = require("rich.console", "cli", "model.summary()")
    table_module = require("rich.table", "cli", "model.summary()")
    box = require("rich.box", "cli", "model.summary()")
    text = require("rich.text", "cli", "model.summary()").Text

    connected = not _is_chain(model)
    table = table_module.Table(box=box.SQUARE, show_lines=False, header_style="bold", pad_edge=True)
    table.add_column("Layer (type)", overflow="fold")
    table.add_column("Output shape", overflow="fold")
    table.add_column("Parameters", justify="right")
    if connected:
        table.add_column("Connected to", overflow="fold")
    if show_trainable:
        table.add_column("Trainable", justify="center")

    def add(owner: Model, layer: Layer, indent: str) -> None:
        known = layer.built or layer.weights
        row = [
            text(f"{indent}{layer.name} ({type(layer).__name__})"),
            text(output_shapes(layer)),
            f"{sum(math.prod(v.shape) for v in layer.weights):,}" if known else "? (not built)",
        ]
        if connected:
            row.append(text(_connections(owner, layer)))
        if show_trainable:
            row.append("yes" if layer.trainable and layer.weights else "-" if not layer.weights else "no")
        table.add_row(*row)
        if expand_nested and isinstance(layer, Model):
            for inner in layer.operations:
                add(layer, inner, indent + "  ")

    for layer in _chosen(model.operations, layer_range):
        add(model, layer, "")

    def line(label: str, variables: list[Any]) -> str:
        count = sum(math.prod(v.shape) for v in variables)
        return f" {label}: {_size(count, sum(math.prod(v.shape) * v.dtype.itemsize for v in variables))}"

    lines = [
        line("Total parameters", model.weights),
        line("Trainable", model.trainable_weights),
        line("Not trainable", model.non_trainable_weights),
    ]
    if model.optimizer is not None and getattr(model.optimizer, "built", False):
        lines.append(line("Optimizer", model.optimizer.variables))

    buffer = io.StringIO() if print_fn is not None else None
    options = {"file": buffer, "width": line_length or 100} if buffer is not None else {"width": line_length}
    console = console_module.Console(highlight=False, **options)
    console.print(text(f'Model "{model.name}"', style="bold"))
    console.print(table)
    for item in lines:
        console.print(text(item))
    if print_fn is not None and buffer is not None:
        print_fn(buffer.getvalue().rstrip("\n"))
