"""Layers around layers for sequences: ``Bidirectional`` and ``TimeDistributed``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import flatten, map_tree
from lamina.layers.base import Layer
from lamina.layers.spec import signature_of
from lamina.layers.symbolic import Shape
from lamina.serialization import custom_object_scope, deserialize, register_serializable, serialize

_register = register_serializable("lamina.layers")


@_register
class Wrapper(Layer):
    """Base of layers that do something with one other layer.

    Args:
        layer: the layer; it is built with this one.
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ArgumentError(
                f"Layer {layer!r} supplied to {type(self).__name__} isn't a supported layer type. "
                "Please ensure wrapped layer is a valid Keras layer."
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{**config, "layer": deserialize(config["layer"])})


def _copy(layer: Layer, **changes: Any) -> Any:
    """A new layer with the configuration of another, changed here and there."""
    with custom_object_scope({type(x).__name__: type(x) for x in layer._flatten_layers()}):
        return type(layer).from_config({**layer.get_config(), **changes})


MERGES: dict[Any, Any] = {
    "concat": lambda x, y: ops.concat([x, y], axis=-1),
    "sum": ops.add,
    "ave": lambda x, y: ops.divide(ops.add(x, y), 2),
    "mul": ops.multiply,
    None: lambda x, y: (x, y),
}


@_register
class Bidirectional(Layer):
    """Walks along sequences in both directions with two layers, and puts their outputs together.

    With ``return_sequences`` the outputs of the backward layer are turned round, so that those of one step meet.
    Where a mask is false, both give out 0 then.

    Args:
        layer: the forward layer, an ``RNN`` or another layer with its arguments.  It is copied, without its weights.
        merge_mode: ``"concat"`` (along the features), ``"sum"``, ``"mul"``, ``"ave"``, or ``None`` for both outputs.
        weights: initial weights, those of the forward layer first.
        backward_layer: the backward layer, with ``go_backwards=True``; default a copy of ``layer``.

    Called like ``layer``; ``initial_state`` holds the states of the forward layer, then those of the backward layer,
    and so do the states that are returned with ``return_state``.

    Raises:
        ArgumentError: the layers do not go in opposite directions, or differ in what they return.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.Bidirectional(lamina.layers.LSTM(4, return_sequences=True))
        >>> layer(lamina.ones((2, 5, 3))).shape
        (2, 5, 8)

    Source: Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", IEEE Transactions on Signal
    Processing 45, 1997.
    """

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        for what, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(given, Layer) and not (given is None and what == "backward_layer"):
                raise ArgumentError(f"Bidirectional: {what} is a layer; got {given!r}.")
        if merge_mode not in MERGES:
            raise ArgumentError(
                f"Bidirectional: merge_mode is one of {', '.join(map(repr, MERGES))}; got {merge_mode!r}."
            )
        super().__init__(**kwargs)
        name = layer.name
        self.forward_layer = _copy(layer, name=f"forward_{name.removeprefix('forward_')}")
        if backward_layer is None:
            backward_layer = _copy(layer, name=f"backward_{name.removeprefix('backward_')}", go_backwards=True)
        self.backward_layer = backward_layer
        self._check_layers()
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = one.return_sequences
            if hasattr(layer, "use_cudnn"):
                one.use_cudnn = layer.use_cudnn
        self.merge_mode = merge_mode
        self._first_weights = weights
        self.stateful, self.return_sequences = layer.stateful, layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_layers(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ArgumentError(
                "Bidirectional: the layers walk in opposite directions: one has go_backwards=True, the other False; "
                f"got {forward.go_backwards} for both."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ArgumentError(
                    f"Bidirectional: {name} is the same for both layers; the forward layer has "
                    f"{getattr(forward, name)} and the backward layer {getattr(backward, name)}."
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for one in (self.forward_layer, self.backward_layer):
            if not one.built:
                one.build(sequences_shape)
                one.built = True
        if self._first_weights is not None:
            half = len(self._first_weights) // 2
            self.forward_layer.set_weights(self._first_weights[:half])
            self.backward_layer.set_weights(self._first_weights[half:])
            self._first_weights = None
        self.built = True

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None) -> Any:
        given: list[Any] = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            given = [initial_state[:half], initial_state[half:]]
        more = {} if mask is None else {"mask": mask}
        results = [
            one(sequences, **({} if states is None else {"initial_state": states}), training=training, **more)
            for one, states in zip((self.forward_layer, self.backward_layer), given, strict=True)
        ]
        states = ()
        if self.return_state:
            states = (*results[0][1:], *results[1][1:])
            results = [result[0] for result in results]
        x, y = results
        if self.return_sequences:
            y = ops.flip(y, axis=1)
        output = MERGES[self.merge_mode](x, y)
        if not self.return_state:
            return output
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the steps, where all outputs are returned."""
        mask = next(iter(flatten(previous_mask)[0]), None) if self.return_sequences else None
        return (mask, mask) if self.merge_mode is None else (mask,)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Placeholders for the outputs, given placeholders for the inputs."""
        return self._trace_outputs(args, kwargs)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """Shape of the output, or a tuple of it and those of the states."""
        shapes = [one.compute_output_shape(sequences_shape) for one in (self.forward_layer, self.backward_layer)]
        (x, *states), (y, *more) = shapes if self.return_state else [[shape] for shape in shapes]
        if self.merge_mode is None:
            return x, y, *states, *more
        if self.merge_mode == "concat":
            x = (*x[:-1], x[-1] + y[-1])
        return (x, *states, *more) if self.return_state else x

    @property
    def states(self) -> Any:
        """The states of stateful layers, the forward layer's first; ``None`` for others."""
        if not self.forward_layer.states or not self.backward_layer.states:
            return None
        return (*self.forward_layer.states, *self.backward_layer.states)

    def reset_state(self) -> None:
        """Set the states of stateful layers to 0.

        Raises:
            ArgumentError: the layers are not stateful.
        """
        if not self.stateful:
            raise ArgumentError(f"Layer {self.name!r} keeps no states: its layers are not stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as ``reset_state()``."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": serialize(self.forward_layer),
            "backward_layer": serialize(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        layers = {name: deserialize(config.get(name)) for name in ("layer", "backward_layer")}
        return cls(**{**config, **layers})


@_register
class TimeDistributed(Wrapper):
    """Applies a layer to every step of sequences, with the same weights.

    The steps of all sequences go through the layer as one batch, except where the layer looks at the batch as a
    whole or keeps a state (batch normalization, stateful layers): that takes one step after the other.

    Args:
        layer: the layer, for inputs of shape ``(batch, ...)``.

    Input shape ``(batch, steps, ...)``, output shape ``(batch, steps, ...)``.  A mask of shape ``(batch, steps, ...)``
    is handed to the layer step by step, if it takes one.

    Example:
        >>> import lamina
        >>> layer = lamina.layers.TimeDistributed(lamina.layers.Conv2D(8, 3))
        >>> layer(lamina.ones((2, 5, 10, 10, 3))).shape
        (2, 5, 8, 8, 8)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, shape: Any) -> Any:
        if not isinstance(shape, list | tuple) or len(shape) < 3:
            raise ShapeError(f"expected inputs of shape (batch, steps, ...) with at least 3 dimensions, got {shape}.")
        return (shape[0], *shape[2:])

    def build(self, input_shape: Any = None) -> None:
        super().build(self._step_shape(input_shape))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        self._step_shape(inputs.shape)
        batch, steps = inputs.shape[:2]
        if mask is not None and mask.shape[:2] != (batch, steps):
            raise ShapeError(
                f"The `mask` passed to the `TimeDistributed` layer has a shape {mask.shape} that does not begin with "
                f"the batch and the steps of the inputs, {(batch, steps)}."
            )
        if _looks_at_batches(self.layer):
            outputs = [self._apply(inputs[:, t], training, None if mask is None else mask[:, t]) for t in range(steps)]
            return map_tree(lambda *parts: ops.stack(list(parts), axis=1), outputs[0], *outputs[1:])

        def fold(x: Any) -> Any:
            return ops.reshape(x, (batch * steps, *x.shape[2:]))

        output = self._apply(fold(inputs), training, None if mask is None else fold(mask))
        return map_tree(lambda y: ops.reshape(y, (batch, steps, *y.shape[1:])), output)

    def _apply(self, x: Any, training: Any, mask: Any) -> Any:
        takes_mask = mask is not None and "mask" in signature_of(type(self.layer)).mask_names
        return self.layer(x, training=training, **({"mask": mask} if takes_mask else {}))

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """That of the layer's output, with the steps."""
        shape = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (shape[0], input_shape[1], *shape[1:])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Placeholders for the outputs, given placeholders for the inputs."""
        return self._trace_outputs(args, kwargs)


def _looks_at_batches(layer: Layer) -> bool:
    """Whether rows of a batch are not independent, or batches follow each other."""
    return any(
        getattr(inner, "stateful", False) or any(not inner._initially_trainable[id(v)] for v in inner._own_variables())
        for inner in layer._flatten_layers()
    )
