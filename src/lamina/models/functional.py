"""``LayerGraph``: the layer calls between some inputs and some outputs, found, ordered, run and described."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, DTypeError, FileFormatError, ShapeError
from lamina.core.masks import keep_mask
from lamina.core.trees import flatten, leaves_like, paths, unflatten
from lamina.layers import InputLayer, Layer
from lamina.layers.calls import calls as layer_calls
from lamina.layers.masking import with_mask
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Node, SymbolicTensor, replace_symbolic
from lamina.serialization import deserialize, serialize


class LayerGraph:
    """The part of a graph of layer calls that computes ``outputs`` from ``inputs``.

    Args:
        inputs: placeholders, in any nesting.
        outputs: placeholders, in any nesting.

    Attributes:
        nodes: the layer calls in an order in which they can run.
        layers: the layers, each once, in Keras's order: those furthest from the outputs first.

    Raises:
        ArgumentError: an output does not come from the inputs, or two layers share a name.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs, self.input_structure = flatten(inputs)
        self.outputs, self.output_structure = flatten(outputs)
        for what, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for t in tensors:
                if not isinstance(t, SymbolicTensor):
                    raise ArgumentError(
                        f"All `{what}` values must be KerasTensors: placeholders made by Input() and by calling "
                        f"layers on them; got a {type(t).__name__}."
                    )
        self._warned = False  # of inputs in another structure
        self.nodes = self._find_nodes()
        self.layers = self._order_layers()
        names = [layer.name for layer in self.layers]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ArgumentError(f"Names of layers are unique within a model; {sorted(twice)[0]!r} is used twice.")

    def _find_nodes(self) -> list[Node]:
        """Nodes that the outputs depend on, inputs of a node before the node."""
        given = {id(t) for t in self.inputs}
        done: set[int] = set()
        found: list[Node] = []
        stack: list[tuple[SymbolicTensor, bool]] = [(t, False) for t in reversed(self.outputs)]
        while stack:
            tensor, expanded = stack.pop()
            node = tensor.node
            if id(tensor) in given or node is None or id(node) in done:
                continue
            if not node.inputs:
                raise ArgumentError(
                    f"Output with path `{self._output_from(tensor)}` is not connected to the inputs alone: it depends "
                    f"on the input {tensor.name!r}, which is not among them. "
                    f"Add it: Model(inputs=[..., {tensor.name}], ...)."
                )
            if expanded:
                done.add(id(node))
                found.append(node)
            else:
                stack.append((tensor, True))
                stack.extend((t, False) for t in reversed(node.inputs))
        return found

    def _output_from(self, source: SymbolicTensor) -> str:
        """The path of an output that depends on this placeholder."""
        for output, path in zip(self.outputs, paths(self.output_structure), strict=True):
            seen, stack = set(), [output]
            while stack:
                tensor = stack.pop()
                if tensor is source:
                    return ".".join(map(str, path)) or output.name
                if id(tensor) not in seen and tensor.node is not None:
                    seen.add(id(tensor))
                    stack.extend(tensor.node.inputs)
        return ""

    def _order_layers(self) -> list[Layer]:
        depth_of_node: dict[int, int] = {}
        depth_of_layer: dict[int, int] = {}
        layers: dict[int, Layer] = {}
        for tensor in self.inputs:  # inputs come first, in the order in which they were given
            if tensor.node is not None and isinstance(tensor.node.layer, InputLayer):
                layers[id(tensor.node.layer)] = tensor.node.layer
        for node in self.nodes:
            layers.setdefault(id(node.layer), node.layer)
        for node in reversed(self.nodes):
            depth = max(depth_of_node.get(id(node), 0), depth_of_layer.get(id(node.layer), 0))
            depth_of_node[id(node)] = depth
            depth_of_layer[id(node.layer)] = depth
            for tensor in node.inputs:
                if tensor.node is not None:
                    before = depth_of_node.get(id(tensor.node), 0)
                    depth_of_node[id(tensor.node)] = max(before, depth + 1)
        for tensor in self.inputs:
            if tensor.node is not None and id(tensor.node.layer) in layers:
                depth_of_layer[id(tensor.node.layer)] = depth_of_node.get(id(tensor.node), 0)
        return sorted(layers.values(), key=lambda layer: -depth_of_layer.get(id(layer), 0))

    # --- running ------------------------------------------------------------------------------------
    def match_inputs(self, inputs: Any, model: str, mask: Any = None) -> list[Any]:
        """The tensors for ``self.inputs`` from what the model was called on, in rank and dtype, with their masks.

        Raises:
            ShapeError: there are more or fewer than inputs, or one has another shape.
        """
        tensors = leaves_like(self.input_structure, inputs)
        if tensors is None:
            tensors = self._in_order(inputs, model)
        if len(tensors) != len(self.inputs):
            wanted = ", ".join(f"{t.name} {t.shape}" for t in self.inputs)
            raise ShapeError(f"Model {model}: expected {len(self.inputs)} inputs ({wanted}), got {len(tensors)}.")
        matched = [self._match(x, t, model) for x, t in zip(tensors, self.inputs, strict=True)]
        if mask is None:
            return matched
        masks = mask if isinstance(mask, list | tuple) else [mask]
        return [with_mask(x, m) for x, m in zip(matched, masks, strict=True)]

    def _in_order(self, inputs: Any, model: str) -> list[Any]:
        """The tensors of inputs that are nested in another way than the model's: by name, or in their order."""
        by_key = isinstance(self.input_structure, tuple) and self.input_structure[0] == "dict"
        if by_key and isinstance(inputs, list | tuple):
            keys = list(dict(self.input_structure[1]))
            message = (
                f"The structure of `inputs` doesn't match the expected structure of model {model}: its inputs are "
                f"a dict with the keys {', '.join(map(repr, keys))}, and a {type(inputs).__name__} was given"
            )
            if keys != sorted(keys):
                raise ArgumentError(f"{message}, whose order says nothing.")
            if not self._warned:
                self._warned = True
                warnings.warn(f"{message}; its items are taken in this order.", stacklevel=2)
        if isinstance(inputs, dict):
            names = list(dict(self.input_structure[1])) if by_key else [t.name for t in self.inputs]
            inputs = [inputs[name] for name in names if name in inputs]
        return flatten(inputs)[0]

    def _match(self, x: Any, wanted: SymbolicTensor, model: str) -> Any:
        if x is None and getattr(wanted.node and wanted.node.layer, "optional", False):
            return None
        if not hasattr(x, "shape"):
            raise DTypeError(f"Model {model}: input {wanted.name!r} is a {type(x).__name__}, not a tensor or an array.")
        if not isinstance(x, SymbolicTensor):
            x = ops.as_tensor(x)
            if len(x.shape) == len(wanted.shape) - 1 and wanted.shape[-1] == 1:
                x = ops.reshape(x, (*x.shape, 1))
            elif len(x.shape) == len(wanted.shape) + 1 and x.shape[-1] == 1:
                x = ops.reshape(x, x.shape[:-1])
        shape = wanted.shape
        if layer_calls.cache is not None:  # a piece of a sequence, of a batch of another size
            shape = (*(None for _ in shape[:2]), *shape[2:])
        if InputSpec(shape=shape).problem(x.shape) is not None:
            raise ShapeError(
                f"Model {model}: input {wanted.name!r} expected shape {wanted.shape}, got {tuple(x.shape)}. "
                "The first axis is the batch size; reshape the data or change Input(shape=...)."
            )
        if isinstance(x, SymbolicTensor) or x.dtype == wanted.dtype:
            return x
        return keep_mask(ops.astype(x, wanted.dtype), x)

    def run(self, tensors: Sequence[Any]) -> Any:
        """The outputs, in their structure, for tensors that match ``inputs``."""
        values: dict[int, Any] = {id(t): x for t, x in zip(self.inputs, tensors, strict=True)}
        for node in self.nodes:
            args, kwargs = replace_symbolic((node.args, node.kwargs), lambda t: values[id(t)])
            results = flatten(node.layer(*args, **kwargs))[0]
            values.update((id(t), r) for t, r in zip(node.outputs, results, strict=True))
        outputs = unflatten(self.output_structure, [values[id(t)] for t in self.outputs])
        return outputs[0] if type(outputs) in (list, tuple) and len(outputs) == 1 else outputs  # as Keras does

    # --- configuration --------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """Layers, their calls, and which placeholders are inputs and outputs."""
        calls: dict[int, list[Node]] = {id(layer): [] for layer in self.layers}
        for node in self.nodes:
            calls[id(node.layer)].append(node)
        place: dict[int, list[Any]] = {}
        for layer in self.layers:
            for i, node in enumerate(calls[id(layer)]):
                place.update({id(t): [layer.name, i, t.index] for t in node.outputs})
        descriptions = []
        for t in self.inputs:  # an input in the middle of another model becomes an Input of its own
            start: Any = t.node.layer if t.node is not None else None
            if not isinstance(start, InputLayer):
                start = InputLayer(batch_shape=t.shape, dtype=t.dtype, name=f"{t.name}_input")
                descriptions.append({**serialize(start), "name": start.name, "inbound_nodes": []})
            place[id(t)] = [start.name, 0, 0]

        def encode(tree: Any) -> Any:
            if isinstance(tree, SymbolicTensor):
                return {"class_name": "__tensor__", "config": place[id(tree)]}
            if isinstance(tree, list | tuple):
                return [encode(x) for x in tree]
            if isinstance(tree, dict):
                return {k: encode(v) for k, v in tree.items()}
            return serialize(tree)

        for layer in self.layers:
            nodes = [{"args": encode(n.args), "kwargs": encode(n.kwargs)} for n in calls[id(layer)]]
            descriptions.append({**serialize(layer), "name": layer.name, "inbound_nodes": nodes})
        return {
            "layers": descriptions,
            "inputs": encode(unflatten(self.input_structure, self.inputs)),
            "outputs": encode(unflatten(self.output_structure, self.outputs)),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LayerGraph:
        """A graph of new layers from what ``get_config`` returned.

        Raises:
            FileFormatError: the calls do not fit together.
        """
        layers: dict[str, Layer] = {}
        made: dict[tuple[str, int, int], SymbolicTensor] = {}
        waiting: list[tuple[str, int, dict[str, Any]]] = []
        for description in config["layers"]:
            layer = deserialize(description)
            layers[description["name"]] = layer
            if isinstance(layer, InputLayer):
                made[(layer.name, 0, 0)] = layer.output
            waiting += [(layer.name, i, n) for i, n in enumerate(description["inbound_nodes"])]

        def known(tree: Any) -> bool:
            if isinstance(tree, dict):
                if _is_place(tree):
                    return tuple(tree["config"]) in made
                return all(known(v) for v in tree.values())
            return all(known(v) for v in tree) if isinstance(tree, list) else True

        def decode(tree: Any) -> Any:
            if isinstance(tree, dict):
                if _is_place(tree):
                    return made[tuple(tree["config"])]
                return deserialize(tree) if "class_name" in tree else {k: decode(v) for k, v in tree.items()}
            return [decode(v) for v in tree] if isinstance(tree, list) else tree

        done: dict[str, int] = dict.fromkeys(layers, 0)
        while waiting:
            left = []
            for name, i, node in waiting:
                if i != done[name] or not known(node["args"]) or not known(node["kwargs"]):
                    left.append((name, i, node))
                    continue
                outputs = flatten(layers[name](*decode(node["args"]), **decode(node["kwargs"])))[0]
                made.update({(name, i, k): t for k, t in enumerate(outputs)})
                done[name] += 1
            if len(left) == len(waiting):
                raise FileFormatError(f"The model's configuration is damaged: layer {left[0][0]!r} has no inputs.")
            waiting = left
        for side in ("inputs", "outputs"):
            if not known(config[side]):
                raise FileFormatError(f"The model's configuration is damaged: its {side} are not made by any layer.")
        return cls(decode(config["inputs"]), decode(config["outputs"]))


def _is_place(config: dict[str, Any]) -> bool:
    """Whether this stands for a placeholder: layer, call and index of the output; a constant is a dict there."""
    return config.get("class_name") == "__tensor__" and isinstance(config.get("config"), list)
