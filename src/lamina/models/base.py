"""``Model``: a layer that can be trained, saved and summarised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

from lamina.core.errors import ArgumentError
from lamina.core.messages import did_you_mean
from lamina.core.primitive import outside_capture, state
from lamina.core.trees import map_tree, unflatten
from lamina.layers import Layer
from lamina.layers.calls import calls
from lamina.layers.operation import GetItem, Operation
from lamina.layers.spec import map_shapes
from lamina.layers.symbolic import SymbolicTensor, infer_outputs
from lamina.models import state_tree
from lamina.models.functional import LayerGraph
from lamina.models.trainer import Trainer
from lamina.serialization import register_serializable, serialize


class NotAGraphError(ArgumentError, AttributeError):
    """A model that is not built yet, or no graph of layers, was asked for its placeholders."""


@register_serializable("lamina.models")
class Model(Trainer, Layer):
    """A network: inputs and outputs of a graph of layers, or a subclass with its own ``call``.

    Args:
        inputs: placeholders made by ``Input``, one or a list or dict of them.
        outputs: placeholders that layers made from them.
        name: name of the model.
        trainable: whether training changes its weights.
        dtype: dtype for subclasses that make weights of their own.

    Example:
        >>> import lamina
        >>> inputs = lamina.Input((4,))
        >>> hidden = lamina.layers.Dense(8, activation="relu")(inputs)
        >>> outputs = lamina.layers.Dense(3)(hidden)
        >>> model = lamina.Model(inputs, outputs)
        >>> model(lamina.ones((2, 4))).shape
        (2, 3)
        >>> model.count_params()
        67
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, **kwargs: Any) -> None:
        Trainer.__init__(self)
        like = "functional" if inputs is not None else type(self).__name__
        Layer.__init__(self, **{"_name_like": like, **kwargs})
        if (inputs is None) != (outputs is None):
            raise ArgumentError("Model takes both inputs and outputs, or neither (a subclass that has a call method).")
        self._makes_masks = type(self).compute_mask is not Model.compute_mask
        self._graph: LayerGraph | None = None
        if inputs is not None:
            self._set_graph(LayerGraph(inputs, outputs))

    _untracked = Trainer._untracked | {"_graph"}

    def _set_graph(self, graph: LayerGraph | None) -> None:
        self._graph = graph
        self.built = graph is not None
        self.autocast = graph is None  # a graph casts each input to the dtype of its placeholder

    def _contents(self) -> Iterator[Any]:
        seen: set[int] = set()
        for layer in self._graph.layers if self._graph is not None else []:
            seen.add(id(layer))
            yield layer
        for item in super()._contents():
            if id(item) not in seen:
                yield item

    # --- what it consists of ------------------------------------------------------------------------
    @property
    def layers(self) -> list[Layer]:
        """The layers, in order; those inside nested models, and operators between placeholders, are not listed."""
        return [layer for layer in self._sublayers() if not isinstance(layer, Operation | GetItem)]

    @property
    def operations(self) -> list[Layer]:
        """The layers and the operators between placeholders, in order."""
        return self._sublayers()

    @property
    def _operations(self) -> list[Layer]:
        return self.operations

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this place in ``layers``.

        Raises:
            ArgumentError: there is none.
        """
        layers = self.layers
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes a name or an index.")
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(f"Model {self.name!r} has {len(layers)} layers and no layer number {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ArgumentError(
            f"Model {self.name!r} has no layer {name!r}.{did_you_mean(name, [x.name for x in layers])} "
            f"Its layers: {', '.join(x.name for x in layers)}."
        )

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The placeholders of the inputs (of a graph of layers; other models have no such attribute)."""
        if self._graph is None:
            raise AttributeError  # which makes Python ask __getattr__, where the words are
        return self._graph.inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The placeholders of the outputs (of a graph of layers; other models have no such attribute)."""
        if self._graph is None:
            raise AttributeError
        return self._graph.outputs

    @property
    def input(self) -> Any:
        """The placeholder of the input, or those of the inputs in their structure."""
        return self._side("input")

    @property
    def output(self) -> Any:
        """The placeholder of the output, or those of the outputs in their structure."""
        return self._side("output")

    def _side(self, side: str) -> Any:
        graph = self._graph
        if graph is None:
            raise AttributeError
        return unflatten(getattr(graph, f"{side}_structure"), getattr(graph, f"{side}s"))

    @property
    def input_shape(self) -> Any:
        """Shape of the input, or of the inputs in their structure."""
        return map_tree(lambda t: t.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """Shape of the output, or of the outputs in their structure."""
        return map_tree(lambda t: t.shape, self.output)

    def __getattr__(self, name: str) -> Any:
        if name in ("input", "output", "inputs", "outputs", "input_shape", "output_shape") and "_graph" in vars(self):
            raise NotAGraphError(f"Model {self.name!r} has no {name}: it is not built, or no graph of layers.")
        return super().__getattr__(name)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in order."""
        return _names(self._graph.inputs, self._graph.input_structure) if self._graph is not None else []

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order: the keys of a dict, or the names of the layers that make them."""
        return _names(self._graph.outputs, self._graph.output_structure) if self._graph is not None else []

    # --- calling ------------------------------------------------------------------------------------
    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: the layers inside have put masks on the outputs, or not."""
        return None

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph of layers; a subclass without a graph overrides this."""
        if self._graph is None:
            raise NotImplementedError(
                f"Model {type(self).__name__} has neither inputs and outputs nor a call(self, inputs) method."
            )
        return self._graph.run(self._graph.match_inputs(args[0], self._path_in_call(), kwargs.get("mask")))

    def _path_in_call(self) -> str:
        return "/".join(state.scope) or self.name

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layers by calling the model on placeholders.

        Args:
            input_shape: shape of the input with the batch (which may be ``None``), or a list or dict of shapes.
        """
        if self.built and self._graph is not None:
            return
        self._call_abstractly(map_shapes(lambda s: SymbolicTensor(s, self._dtype, "input"), input_shape))

    def _call_abstractly(self, placeholders: Any) -> Any:
        self.built = True
        before, calls.inferring = calls.inferring, True
        try:
            with outside_capture():
                return infer_outputs(self._run, (placeholders,), {}, self.name)
        except Exception:
            self.built = False
            raise
        finally:
            calls.inferring = before
            self._clear_losses()

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if type(self).build is Model.build:
            self.built = True  # the layers inside are built when the call reaches them
        else:
            super()._build(args, kwargs)

    @property
    def _has_its_weights(self) -> bool:
        """Whether nothing is left to build, in a model that was never called too."""
        inner = self._flatten_layers()[1:]
        parts = type(self).build is Model.build and bool(inner) and all(layer.built for layer in inner)
        return self.built or parts

    # --- configuration ------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The graph of layers; for a subclass the constructor's arguments."""
        if type(self) is Model and self._graph is not None:
            return {"name": self.name, "trainable": self._trainable, **self._graph.get_config()}
        return self._arguments_config()

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new model from what ``get_config`` returned."""
        if "layers" in config and "inputs" in config and "outputs" in config:
            graph = LayerGraph.from_config(config)
            model = Model.__new__(cls)
            Model.__init__(model, name=config.get("name"))
            model._set_graph(graph)
            model._trainable = bool(config.get("trainable", True))
            return model
        return super().from_config(config)

    def to_json(self, **kwargs: Any) -> str:
        """The configuration as JSON text, for ``lamina.models.model_from_json``."""
        return json.dumps(serialize(self), **kwargs)

    def __reduce__(self) -> Any:
        from lamina.models.pickling import put_together, take_apart

        return put_together, (take_apart(self),)

    # --- state as a tree ----------------------------------------------------------------------------
    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Weights, optimizer and metrics as nested dicts, by the parts of their paths.

        Args:
            value_format: ``"backend_tensor"`` for Tensors, ``"numpy_array"`` for arrays.

        Returns:
            A dict with ``trainable_variables``, ``non_trainable_variables``, ``optimizer_variables`` and
            ``metrics_variables``.

        Raises:
            ArgumentError: two variables have the same path.

        Example:
            >>> import lamina
            >>> model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1, name="d")], name="m")
            >>> model.get_state_tree()["trainable_variables"]["m"]["d"]["bias"].tolist()
            [0.0]
        """
        return state_tree.get_state_tree(self, value_format)

    def set_state_tree(self, tree: dict[str, Any]) -> None:
        """Set what ``get_state_tree`` returned, or parts of it.

        Raises:
            ArgumentError: there is no variable at a path.
        """
        state_tree.set_state_tree(self, tree)

    # --- summary and files ------------------------------------------------------------------------------
    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers with their output shapes, numbers of parameters, operations and memory.

        ``FLOPs`` are the floating-point operations of a forward pass on one sample, a multiplication with an
        addition counting as two; ``Memory`` is that of a layer's outputs for one sample.

        Args:
            line_length: width in characters; default that of the terminal.
            positions: where each column ends, in characters or as shares of the line; default as the contents ask.
            print_fn: what to print with, a function of one string; default the terminal.
            expand_nested: whether to list the layers of nested models.
            show_trainable: whether to add a column that says which layers are trained.
            layer_range: names of the first and the last layer to show.
        """
        from lamina.models.summary import print_summary

        print_summary(self, line_length, print_fn, expand_nested, show_trainable, layer_range, positions)

    def save(
        self, filepath: str | PathLike[str], overwrite: bool = True, include_optimizer: bool = True, **kwargs: Any
    ) -> None:
        """Write configuration, weights and how the model was compiled to one file.

        The file is written beside its place and renamed when it is complete, so that a crash leaves
        the old file or the new one.

        Args:
            filepath: where to.  The ending says what is written: ``.safetensors``, or ``.keras`` or ``.h5``, which
                Keras reads too (needs ``h5py``).
            overwrite: whether a file there may be replaced.
            include_optimizer: whether to save the state of the optimizer.
            kwargs: none; here for messages about arguments of old.

        Raises:
            ArgumentError: the model cannot be saved (a class that is not registered), or the file exists.
        """
        from lamina.models.saving import save_model

        save_model(self, filepath, overwrite=overwrite, include_optimizer=include_optimizer, **kwargs)

    def save_weights(
        self, filepath: str | PathLike[str], overwrite: bool = True, max_shard_size: float | None = None
    ) -> None:
        """Write the weights to a ``.safetensors`` file, or a ``.weights.h5`` file, which Keras reads too.

        Args:
            filepath: where to.
            overwrite: whether a file there may be replaced.
            max_shard_size: gigabytes; the weights go to several ``.weights.h5`` files of at most this size beside
                ``filepath``, which then ends in ``.weights.json`` and says which holds what.
        """
        from lamina.models.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(
        self, filepath: str | PathLike[str], skip_mismatch: bool = False, strict: bool | None = None
    ) -> Any:
        """Set the weights from a file.

        Args:
            filepath: written by ``save_weights`` or ``save``, or by Keras (``.weights.h5``, ``.keras``, ``.h5``).
            skip_mismatch: load what fits.
            strict: whether every weight must be in the file with its shape, and nothing else; default the
                opposite of ``skip_mismatch``.

        Returns:
            A ``LoadReport``: the names of weights loaded, missing, unexpected and mismatched.

        Raises:
            FileFormatError: the file is damaged, or (with ``strict``) does not fit; nothing is changed then.
        """
        from lamina.models.saving import load_weights

        return load_weights(self, filepath, strict=not skip_mismatch if strict is None else strict)


def _names(tensors: list[SymbolicTensor], structure: Any) -> list[str]:
    if isinstance(structure, tuple) and structure[0] == "dict" and len(structure[1]) == len(tensors):
        return [str(key) for key, _ in structure[1]]
    return [t.name for t in tensors]
