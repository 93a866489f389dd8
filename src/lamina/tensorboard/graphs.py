"""Graphs as TensorBoard draws them: a node for each op, in boxes for the layers that they come from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lamina.core.errors import LaminaError
from lamina.core.primitive import Spec
from lamina.core.trees import unflatten
from lamina.graph.capture import capture_graph
from lamina.graph.ir import Graph, Value
from lamina.models.base import Model
from lamina.models.keras_config import to_keras
from lamina.serialization import serialize
from lamina.tensorboard.events import module

PRODUCER = 22  # the version of GraphDef that is written

TYPES = {
    "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF", "bfloat16": "DT_BFLOAT16", "bool": "DT_BOOL",
    "int8": "DT_INT8", "int16": "DT_INT16", "int32": "DT_INT32", "int64": "DT_INT64",
    "uint8": "DT_UINT8", "uint16": "DT_UINT16", "uint32": "DT_UINT32", "uint64": "DT_UINT64",
}  # fmt: skip


class _Builder:
    def __init__(self) -> None:
        self.graph_def = module("compat.proto.graph_pb2").GraphDef()
        self.graph_def.versions.producer = PRODUCER
        self.types = module("compat.proto.types_pb2")
        self.places: dict[int, str] = {}  # id of a value -> name of its node, with the output's number
        self.taken: set[str] = set()

    def name(self, wanted: str) -> str:
        name, n = wanted, 0
        while name in self.taken:
            n += 1
            name = f"{wanted}_{n}"
        self.taken.add(name)
        return name

    def add(self, wanted: str, op: str, inputs: list[str], outputs: list[Value], params: dict[str, Any]) -> str:
        node = self.graph_def.node.add()
        node.name, node.op = self.name(wanted), op
        node.input.extend(inputs)
        if outputs:
            node.attr["dtype"].type = getattr(self.types, TYPES.get(outputs[0].dtype.name, "DT_INVALID"))
        for i, value in enumerate(outputs):
            shape = node.attr["_output_shapes"].list.shape.add()
            for size in value.shape:
                shape.dim.add().size = size
            self.places[id(value)] = node.name if i == 0 else f"{node.name}:{i}"
        for key, param in params.items():
            text = f"graph of {len(param.nodes)} ops" if isinstance(param, Graph) else str(param)
            node.attr[key].s = text[:200].encode()
        return str(node.name)

    def inputs(self, values: Any) -> list[str]:
        return [self.places[id(v)] for v in values if id(v) in self.places]


def graph_def(graph: Graph) -> Any:
    """A captured graph as a ``GraphDef``: ops in the boxes of their layers, variables, inputs and outputs."""
    b = _Builder()
    for i, value in enumerate(graph.inputs):
        b.add(f"inputs/{value.name or f'input_{i}'}", "Placeholder", [], [value], {})
    for variable, value in graph.reads:
        b.add(f"variables/{variable.path}", "Variable", [], [value], {})
    for value in graph.constants():
        constant = value.constant
        assert constant is not None
        shown = {"value": np.array2string(constant, threshold=8, separator=", ")}
        b.add("constants/constant", "Const", [], [value], shown)
    for node in graph.nodes:
        scope = "/".join(node.scope)
        name = f"{scope}/{node.primitive.name}" if scope else node.primitive.name
        b.add(name, node.primitive.name, b.inputs(node.inputs), list(node.outputs), node.params)
    for variable, value in graph.writes:
        b.add(f"assign/{variable.path}", "Assign", b.inputs([value]), [], {})
    for i, value in enumerate(graph.outputs):
        b.add(f"outputs/output_{i}", "Identity", b.inputs([value]), [], {})
    return b.graph_def


def model_graph(model: Model) -> Graph | None:
    """The ops of a built model on a batch of one; ``None`` where it cannot be captured by itself."""
    layers = model._graph
    if layers is None:
        return None
    specs = [Spec(tuple(1 if n is None else n for n in t.shape), t.dtype) for t in layers.inputs]
    structure = layers.input_structure

    def run(*tensors: Any) -> Any:
        return model(unflatten(structure, tensors), training=False)

    return capture_graph(run, specs, name=model.name)[0]


def compiled_train_step(model: Any) -> Any:
    """What ``fit`` has captured of a training step (forward, backward, update), ``None`` before it has.

    Its ``captured`` is the graph as it was written, its ``graph`` the optimized one.
    """
    steps = getattr(model._training, "steps", None)
    for key, step in getattr(steps, "_made", {}).items():
        if key[0] == "train" and step.compiled is not None:
            for special in step.compiled._cache.values():
                return special
    return None


def layers_as_json(model: Any) -> str | None:
    """The layers and how they are connected, in the form that TensorBoard knows; ``None`` for other models."""
    if model._graph is None:
        return None
    try:
        return json.dumps(to_keras(serialize(model)), default=str)
    except LaminaError:  # a layer that has no configuration
        return None
