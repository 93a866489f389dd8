"""What a drawing of a model shows: boxes for the layers, with lines between them, and boxes in boxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten
from lamina.layers import InputLayer, Layer
from lamina.layers.symbolic import Node, SymbolicTensor
from lamina.models import Model, Sequential
from lamina.models.summary import kind_of
from lamina.plotting.layout import ranks_of

# Families by the module that a layer's class is defined in, for its colour.
FAMILIES = {
    "core": "dense", "einsum_dense": "dense", "local": "dense", "operation": "merge", "merging": "merge",
    "convolution": "convolution", "transposed": "convolution", "separable": "convolution", "pooling": "pooling",
    "normalization": "normalization", "regularization": "regularization", "activation": "activation",
    "reshaping": "reshaping", "recurrent": "recurrent", "recurrent_cells": "recurrent",
    "recurrent_convolution": "recurrent", "recurrent_wrappers": "recurrent", "attention": "attention",
    "multi_head_attention": "attention",
}  # fmt: skip
OWN_FAMILIES = {
    "Activation": "activation", "Dropout": "regularization", "Flatten": "reshaping", "Reshape": "reshaping",
    "ActivityRegularization": "regularization", "Identity": "other", "Lambda": "other", "Masking": "reshaping",
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What the boxes are to show; fields as the arguments of ``plot_model``."""

    shapes: bool = False
    dtype: bool = False
    names: bool = False
    nested: bool = False
    activations: bool = False
    trainable: bool = False


@dataclass
class Box:
    """A layer, or a model with a drawing of its own.

    Attributes:
        title: the class, or the name.
        note: the name, beside the class; empty for none.
        rows: further lines.
        family: for the colour.
        inner: what is inside, for a nested model that is shown.
    """

    title: str
    note: str = ""
    rows: list[str] = field(default_factory=list)
    family: str = "other"
    inner: Network | None = None


@dataclass
class Network:
    """Boxes and lines.

    Attributes:
        boxes: the boxes.
        edges: ``(from, to, which output, which input)``, the last two for boxes with something inside.
        inputs: for each input of the model, the boxes that take it.
        outputs: for each output, the box that makes it and which of its outputs it is.
    """

    boxes: list[Box] = field(default_factory=list)
    edges: list[tuple[int, int, int, int]] = field(default_factory=list)
    inputs: list[list[tuple[int, int]]] = field(default_factory=list)
    outputs: list[tuple[int, int]] = field(default_factory=list)


def network_of(model: Any, wanted: Wanted) -> Network:
    """The boxes and lines of a model.

    Raises:
        ArgumentError: it is no model, or not built yet.
    """
    if not isinstance(model, Model):
        raise ArgumentError(f"A drawing is made of a lamina.Model; got {type(model).__name__}.")
    if not model.built:
        raise ArgumentError(
            f"This model ({model.name!r}) has not yet been built: its layers do not know their shapes. Call it on "
            "data once, or model.build(input_shape)."
        )
    if model._graph is None:
        return Network([_box(model, wanted, [])])
    return _graph(model, wanted)


def _graph(model: Model, wanted: Wanted) -> Network:
    graph = model._graph
    assert graph is not None
    try:
        network = _boxes(model, wanted, lambda node: node.layer)
        ranks_of(len(network.boxes), [(a, b) for a, b, _, _ in network.edges], (), ())
    except ValueError:  # a layer that is applied to what it has put out: a box for each call
        network = _boxes(model, wanted, lambda node: node)
    return network


def _boxes(model: Model, wanted: Wanted, owner: Callable[[Node], Any]) -> Network:
    graph = model._graph
    assert graph is not None
    network, place = Network(), {}
    outer_inputs = {id(t): k for k, t in enumerate(graph.inputs)}
    network.inputs = [[] for _ in graph.inputs]
    show_inputs = not isinstance(model, Sequential)
    made: dict[int, tuple[int, int]] = {}  # placeholder -> box, which output
    calls: dict[int, list[Node]] = {}
    for node in graph.nodes:
        calls.setdefault(id(owner(node)), []).append(node)

    def add(layer: Layer, key: int, nodes: list[Node]) -> int:
        if key not in place:
            place[key] = len(network.boxes)
            network.boxes.append(_box(layer, wanted, nodes))
        return place[key]

    for k, tensor in enumerate(graph.inputs):
        start = tensor.node
        if show_inputs and start is not None and isinstance(start.layer, InputLayer):
            box = add(start.layer, id(start.layer), [start])
            made[id(tensor)] = (box, 0)
            network.inputs[k].append((box, 0))
    for node in graph.nodes:
        key = id(owner(node))
        box = add(node.layer, key, calls[key])
        made.update((id(t), (box, t.index)) for t in node.outputs)
        for k, tensor in enumerate(node.inputs):
            if id(tensor) in made:
                edge = (made[id(tensor)][0], box, made[id(tensor)][1], k)
                if edge not in network.edges:
                    network.edges.append(edge)
            elif id(tensor) in outer_inputs:
                network.inputs[outer_inputs[id(tensor)]].append((box, k))
    network.outputs = [made[id(t)] for t in graph.outputs if id(t) in made]
    return network


# --- what a box says --------------------------------------------------------------------------------------
def _box(layer: Layer, wanted: Wanted, nodes: list[Node]) -> Box:
    box = Box(kind_of(layer), layer.name if wanted.names else "", family=_family(layer))
    if wanted.activations:
        name = _activation(layer)
        if name:
            box.rows.append(f"activation  {name}")
    if wanted.shapes:
        box.rows += _shapes(layer, nodes)
    if wanted.dtype:
        box.rows.append(_dtypes(layer, nodes))
    if wanted.trainable and layer.weights:
        box.rows.append("trainable" if layer.trainable_weights else "frozen")
    if wanted.nested and isinstance(layer, Model) and layer._graph is not None:
        box.inner = _graph(layer, wanted)
    return box


def _family(layer: Layer) -> str:
    if isinstance(layer, InputLayer):
        return "input"
    if isinstance(layer, Model):
        return "model"
    module = type(layer).__module__
    if not module.startswith("lamina.layers"):
        return "other"
    parts = module.split(".")
    own = OWN_FAMILIES.get(type(layer).__name__)
    if own is not None:
        return own
    return "preprocessing" if parts[2] == "preprocessing" else FAMILIES.get(parts[2], "other")


def _activation(layer: Any) -> str:
    activation = getattr(layer, "activation", None)
    if activation is None or isinstance(layer, Model):
        return ""
    return str(getattr(activation, "__name__", None) or getattr(activation, "name", type(activation).__name__))


def _sides(layer: Layer, nodes: list[Node]) -> tuple[list[Any], list[Any]]:
    """The placeholders that go in and come out, at the first call."""
    if nodes:
        return list(nodes[0].inputs), list(nodes[0].outputs)
    if isinstance(layer, Model) and layer._graph is not None:
        return list(layer.inputs), list(layer.outputs or [])
    seen = layer._seen
    if seen is None:
        return [], []
    return tuple([t for t in flatten(side)[0] if isinstance(t, SymbolicTensor)] for side in seen)  # type: ignore[return-value]


def _shapes(layer: Layer, nodes: list[Node]) -> list[str]:
    before, after = (", ".join(str(t.shape) for t in side) for side in _sides(layer, nodes))
    if isinstance(layer, InputLayer) or not before:
        return [after or "?"]
    if len(before) + len(after) <= 46:
        return [f"{before} → {after}"]
    return [f"in  {before}", f"out  {after}"]


def _dtypes(layer: Layer, nodes: list[Node]) -> str:
    before, after = ([t.dtype.name for t in side] for side in _sides(layer, nodes))
    kinds = [", ".join(dict.fromkeys(side)) for side in (before, after) if side]
    return " → ".join(dict.fromkeys(kinds)) or str(layer.dtype)
