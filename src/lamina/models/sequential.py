"""``Sequential``: layers one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lamina.core.errors import ArgumentError, CaptureError, ShapeError
from lamina.core.primitive import state
from lamina.layers import Input, InputLayer, Layer
from lamina.layers.masking import with_mask
from lamina.layers.symbolic import SymbolicTensor
from lamina.models.base import Model
from lamina.models.functional import LayerGraph
from lamina.serialization import deserialize, register_serializable, serialize


@register_serializable("lamina.models")
class Sequential(Model):
    """Layers one after another, each taking the output of the one before.

    Args:
        layers: the layers; the first may be ``Input(shape)``, which makes the weights at once.
            Otherwise they are made at the first call.
        name: name of the model.
        trainable: whether training changes its weights.

    Example:
        >>> import lamina
        >>> model = lamina.Sequential([
        ...     lamina.Input((4,)),
        ...     lamina.layers.Dense(8, activation="relu"),
        ...     lamina.layers.Dense(3),
        ... ])
        >>> model.output_shape
        (None, 3)
    """

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name, trainable=trainable)
        self._stack: list[Layer] = []
        self._flow: list[SymbolicTensor] = []  # the placeholder after each layer, once the input is known
        self._shaped_by_data = False  # not by an Input
        self._plain = False  # run as a plain loop: some layer cannot be called on placeholders
        self.autocast = False  # the layers cast
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end.

        Args:
            layer: a layer, or what ``Input(shape)`` returned.

        Raises:
            ArgumentError: it is no layer, its name is taken, or it is an input after the first place.
            ShapeError: the layer does not take what the one before it gives.
        """
        if isinstance(layer, SymbolicTensor):
            if layer.node is None or not isinstance(layer.node.layer, InputLayer):
                raise ArgumentError("Sequential.add takes layers, or what Input(shape) returned.")
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise ArgumentError(
                f"Sequential takes layers and got {layer!r}."
                + (" Make an instance: put () behind the class." if isinstance(layer, type) else "")
            )
        if isinstance(layer, InputLayer) and self._stack:
            raise ArgumentError("An Input stands at the beginning of a Sequential; this one has layers already.")
        if not self._stack and not isinstance(layer, InputLayer) and layer._batch_input_shape is not None:
            self.add(Input(batch_shape=layer._batch_input_shape, dtype=layer.dtype))
        if any(other.name == layer.name for other in self._stack):
            raise ArgumentError(f"Names of layers are unique within a model; {layer.name!r} is used twice.")
        if not self._stack and isinstance(layer, Model) and layer._graph is not None and len(layer._graph.inputs) == 1:
            first = layer._graph.inputs[0]
            self.add(Input(batch_shape=first.shape, dtype=first.dtype))
        self._stack.append(layer)
        if isinstance(layer, InputLayer):
            self._flow = [layer.output]
        elif self._flow:
            try:
                with self._in_scope():
                    self._flow.append(layer(self._flow[-1]))
            except Exception:
                self._stack.pop()
                raise
        self._update_graph()

    @contextmanager
    def _in_scope(self) -> Iterator[None]:
        """Inside, errors name layers with the path through this model."""
        scope, state.scope = state.scope, (*state.scope, self.name)
        try:
            yield
        finally:
            state.scope = scope

    def pop(self) -> Layer | None:
        """Take the last layer away and return it."""
        if not self.layers:
            return None
        layer = self._stack.pop()
        self._flow = self._flow[: len(self._stack)]
        self._update_graph()
        return layer

    def _update_graph(self) -> None:
        self._plain = False
        complete = len(self._flow) == len(self._stack) > 1
        self._set_graph(LayerGraph(self._flow[0], self._flow[-1]) if complete else None)
        self.autocast = False
        self._training = None  # steps made for other layers no longer fit

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input."""
        return [layer for layer in self._stack if not isinstance(layer, InputLayer)]

    operations = layers

    @property
    def _functional(self) -> Model | None:
        """The same layers as a functional model, ``None`` until the input is known."""
        return None if self._graph is None else Model(self.input, self.output, name=self.name)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, given with the batch."""
        if self._graph is not None:
            return
        if input_shape is None or not self._stack:
            raise ArgumentError(
                f"Sequential {self.name!r} cannot be built: "
                + ("it has no layers." if not self._stack else "give the shape of the input, with None for the batch.")
            )
        self._start_from(Input(batch_shape=tuple(input_shape), dtype=self._stack[0].dtype))

    def _start_from(self, placeholder: SymbolicTensor) -> None:
        flow = [placeholder]
        layers = self.layers
        for layer in layers:
            with self._in_scope():
                result = layer(flow[-1])
            if not isinstance(result, SymbolicTensor):
                raise ShapeError(f"Layer {layer.name} returns several tensors; Sequential passes one on. Use Model.")
            flow.append(result)
        assert placeholder.node is not None
        training = self._training
        self._stack, self._flow = [placeholder.node.layer, *layers], flow
        self._update_graph()
        self._training = training

    def _build(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = args[0]
        if not self._stack:
            raise ArgumentError(f"Sequential {self.name!r} has no layers.")
        if hasattr(x, "shape") and len(x.shape) > 0:
            shape = (None, *x.shape[1:])
            dtype = x.dtype if x.dtype.kind in "iub" else self._stack[0].dtype
            try:
                self._start_from(Input(batch_shape=shape, dtype=dtype))
                self._shaped_by_data = True
                return
            except (CaptureError, NotImplementedError):  # a layer cannot be called on placeholders
                pass
        self._plain = True
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        x = inputs
        if self._graph is not None and not isinstance(x, SymbolicTensor):
            try:
                x = self._graph.match_inputs(x, self._path_in_call(), mask)[0]
            except ShapeError:
                if not self._shaped_by_data:
                    raise
                x = with_mask(x, mask) if mask is not None else x  # the layers say whether they take other sizes
        elif mask is not None:
            x = with_mask(x, mask)
        for layer in self.layers:
            x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "trainable": self._trainable,
            "layers": [serialize(layer) for layer in self._stack],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if not isinstance(config, dict) or not {"name", "layers"} <= set(config):
            raise ArgumentError(
                "A Sequential model configuration must be a dictionary containing the 'name' and 'layers' keys; "
                f"got {config!r}."
            )
        for layer in config["layers"]:
            if not isinstance(layer, dict) or "config" not in layer:
                raise ArgumentError(f"Expected a dictionary containing a 'config' key. Sequential got {layer!r}.")
        model = cls([deserialize(layer) for layer in config["layers"]], name=config["name"])
        model._trainable = bool(config.get("trainable", True))
        return model
