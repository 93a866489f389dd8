"""One step of recurrent layers: ``SimpleRNNCell``, ``LSTMCell``, ``GRUCell``, and several as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import activations, initializers, ops, random
from lamina.core.errors import ArgumentError
from lamina.core.trees import flatten
from lamina.graph import recurrence
from lamina.layers.base import Layer
from lamina.layers.core import _positive
from lamina.layers.symbolic import Shape
from lamina.serialization import deserialize, register_serializable, serialize
from lamina.tensor import Tensor

_register = register_serializable("lamina.layers")


class DropoutRNNCell:
    """Dropout that is the same at every step of a sequence; to be mixed into a cell.

    The cell sets ``dropout``, ``recurrent_dropout`` and ``seed_generator``.  The ``RNN`` layer around it has the
    factors drawn before it walks and forgotten afterwards.
    """

    dropout: float
    recurrent_dropout: float
    seed_generator: Any
    dropout_mask_count: int | None = None  # so many different draws, one for each gate; None for one for all
    _dropout_mask: Any = None
    _recurrent_dropout_mask: Any = None

    def _draw(self, like: Any, rate: float) -> Any:
        ones = ops.ones_like(like)
        draws = [random.dropout(ones, rate, key=self.seed_generator) for _ in range(self.dropout_mask_count or 1)]
        return draws if self.dropout_mask_count else draws[0]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """The factors of the inputs of a step: 0, or ``1 / (1 - dropout)``; ``None`` without dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self._dropout_mask = self._draw(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """The factors of the state, given a state."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self._draw(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Forget the factors of the inputs: the next ones will be others."""
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the factors of the state."""
        self._recurrent_dropout_mask = None


class RecurrentCell(DropoutRNNCell, Layer):
    """What the cells of this module share: a product of the inputs, then a step with the state.

    Args:
        units: size of the state and of the output.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``.
        recurrent_initializer: initial ``recurrent_kernel``.
        bias_initializer: initial ``bias``.
        dropout: share of the inputs to drop in training; the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        implementation: 1 to drop different inputs for each gate.
    """

    _gates = 1
    _penalized = ("kernel", "recurrent", "bias")
    _untracked = Layer._untracked | {"_dropout_mask", "_recurrent_dropout_mask"}

    def __init__(
        self,
        units: int,
        activation: Any,
        recurrent_activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        implementation: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = _positive(type(self).__name__, "units", units)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.dropout = min(1.0, max(0.0, float(dropout)))
        self.recurrent_dropout = min(1.0, max(0.0, float(recurrent_dropout)))
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.implementation = 1 if self.recurrent_dropout and self._gates > 1 else implementation
        if self.implementation == 1 and self._gates > 1:
            self.dropout_mask_count = self._gates
        self.state_size: Any = self.units
        self.output_size = self.units

    def build(self, input_shape: Shape) -> None:
        size = self._gates * self.units
        self.kernel = self.add_weight(
            (input_shape[-1], size),
            self.kernel_initializer,
            name="kernel",
            **self._penalties("kernel"),
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, size), self.recurrent_initializer, name="recurrent_kernel", **self._penalties("recurrent")
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(self._bias_shape(), self._first_bias(), name="bias", **self._penalties("bias"))
        self.built = True

    def _bias_shape(self) -> tuple[int, ...]:
        return (self._gates * self.units,)

    def _first_bias(self) -> Any:
        return self.bias_initializer

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        many = isinstance(states, list | tuple)
        states = states if many else [states]
        output, new = self._stepper(states, training)(self._project(inputs, training), states)
        return output, new if many else output

    def _project(self, inputs: Any, training: bool) -> Any:
        """What the inputs contribute to the gates, at one step (batch, features) or at all (batch, steps, features)."""
        dropout = None
        if training and 0 < self.dropout < 1:
            dropout = self.get_dropout_mask(inputs if inputs.ndim == 2 else inputs[:, 0])
        return recurrence.project(inputs, self.kernel.value, self._input_bias(), dropout)

    def _input_bias(self) -> Any:
        return None if self.bias is None else self.bias.value

    def _stepper(self, states: Any, training: bool) -> recurrence.Step:
        """The step from projected inputs and states; what all steps share is made here, once."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _stepper.")

    def _state_dropout(self, state: Any, training: bool) -> Any:
        return self.get_recurrent_dropout_mask(state) if training and 0 < self.recurrent_dropout < 1 else None

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Zeros for each state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, n), dtype=self.compute_dtype) for n in sizes]

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        """Shape of the output and of the states."""
        states = [(input_shape[0], n) for n in flatten(self.state_size)[0]]
        return (input_shape[0], self.units), states

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": initializers.serialize(self.recurrent_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }
        if self._gates > 1:
            config["recurrent_activation"] = activations.serialize(self.recurrent_activation)
        return config


@_register
class SimpleRNNCell(RecurrentCell):
    """One step of a ``SimpleRNN``: ``h = activation(x @ kernel + bias + h @ recurrent_kernel)``.

    Args:
        units: size of the state and of the output.
        activation: name or function.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(features, units)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(units, units)``.
        bias_initializer: initial ``bias``, of shape ``(units,)``.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``Layer``.

    Called with the inputs of one step, ``(batch, features)``, and a list of one state; returns output and new states.

    Example:
        >>> import lamina
        >>> cell = lamina.layers.SimpleRNNCell(4)
        >>> output, states = cell(lamina.ones((2, 3)), [lamina.zeros((2, 4))])
        >>> output.shape, len(states)
        ((2, 4), 1)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, None, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip

    def _stepper(self, states: Any, training: bool) -> recurrence.Step:
        kernel, dropout = self.recurrent_kernel.value, self._state_dropout(states[0], training)
        return lambda x, s: recurrence.simple_rnn_step(x, s, kernel, self.activation, dropout)


@_register
class LSTMCell(RecurrentCell):
    """One step of an ``LSTM``; its states are ``h`` (the output) and ``c``.

    Args:
        units: size of the states and of the output.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(features, 4 * units)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(units, 4 * units)``.
        bias_initializer: initial ``bias``, of shape ``(4 * units,)``.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``Layer``.

    Called with the inputs of one step, ``(batch, features)``, and ``[h, c]``; returns output and new states.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.

    Example:
        >>> import lamina
        >>> cell = lamina.layers.LSTMCell(4)
        >>> output, states = cell(lamina.ones((2, 3)), [lamina.zeros((2, 4)), lamina.zeros((2, 4))])
        >>> output.shape, len(states)
        ((2, 4), 2)
    """

    _gates = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def _first_bias(self) -> Any:
        return forget_bias_of_one(self.bias_initializer, self.units) if self.unit_forget_bias else self.bias_initializer

    def _stepper(self, states: Any, training: bool) -> recurrence.Step:
        dropout = self._state_dropout(states[0], training)
        kernel = recurrence.split_kernel(self.recurrent_kernel.value, 4, dropout)
        activation, gate = self.activation, self.recurrent_activation
        return lambda x, s: recurrence.lstm_step(x, s, kernel, activation, gate, dropout)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unit_forget_bias": self.unit_forget_bias}


def forget_bias_of_one(initializer: Any, units: int) -> Any:
    """An initializer of four gates' biases that makes the second gate's 1."""

    def make(shape: Sequence[int], dtype: Any = None) -> Tensor:
        parts = [
            initializer((units,), dtype=dtype),
            ops.ones((units,), dtype=dtype),
            initializer((2 * units,), dtype=dtype),
        ]
        return ops.concat(parts)

    return make


@_register
class GRUCell(RecurrentCell):
    """One step of a ``GRU``.

    Args:
        units: size of the state and of the output.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(features, 3 * units)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(units, 3 * units)``.
        bias_initializer: initial ``bias``, of shape ``(2, 3 * units)``, or ``(3 * units,)`` without ``reset_after``.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        reset_after: whether the reset gate is applied after the product with the recurrent kernel.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``Layer``.

    Called with the inputs of one step, ``(batch, features)``, and a list of one state; returns output and new states.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014.

    Example:
        >>> import lamina
        >>> cell = lamina.layers.GRUCell(4)
        >>> output, state = cell(lamina.ones((2, 3)), [lamina.zeros((2, 4))])
        >>> output.shape
        (2, 4)
    """

    _gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units, activation, recurrent_activation, use_bias, kernel_initializer, recurrent_initializer,
            bias_initializer, dropout, recurrent_dropout, seed, **kwargs,
        )  # fmt: skip
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _input_bias(self) -> Any:
        return self.bias.value[0] if self.bias is not None and self.reset_after else super()._input_bias()

    def _stepper(self, states: Any, training: bool) -> recurrence.Step:
        dropout = self._state_dropout(states[0], training)
        kernel = recurrence.split_kernel(self.recurrent_kernel.value, 3, dropout, self.reset_after)
        bias = self.bias.value[1] if self.bias is not None and self.reset_after else None
        activation, gate, after = self.activation, self.recurrent_activation, self.reset_after
        return lambda x, s: recurrence.gru_step(x, s, kernel, bias, activation, gate, after, dropout)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reset_after": self.reset_after}


@_register
class StackedRNNCells(Layer):
    """Several cells as one: each takes the output of the one before.

    Args:
        cells: the cells, first to last.

    Raises:
        ArgumentError: one of them has no ``call`` or no ``state_size``.

    Example:
        >>> import lamina
        >>> cells = [lamina.layers.LSTMCell(4), lamina.layers.GRUCell(5)]
        >>> lamina.layers.RNN(lamina.layers.StackedRNNCells(cells))(lamina.ones((2, 6, 3))).shape
        (2, 5)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states of each cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """The size of the last cell's output."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            build_cell(cell, input_shape)
            input_shape = (input_shape[0], output_size_of(cell))
        self.built = True

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states of each cell before the first step."""
        return [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        return self._through(0, inputs, states, training)

    def _through(self, first: int, inputs: Any, states: Any, training: bool, done: Sequence[Any] = ()) -> Any:
        """The output of the last cell, and the new states of those ``done`` already and of the others."""
        new_states = list(done)
        for cell, own in zip(self.cells[first:], states[first:], strict=True):
            inputs, new = call_cell(cell, inputs, own if isinstance(own, list | tuple) else [own], training)
            new_states.append(new if isinstance(own, list | tuple) else flatten(new)[0][0])
        return inputs, new_states

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{**config, "cells": [deserialize(cell) for cell in config["cells"]]})


# --- any object as a cell -----------------------------------------------------------------------------
def check_cell(cell: Any) -> None:
    """Raise unless this is a cell.

    Raises:
        ArgumentError: it has no ``call``, or no ``state_size`` of integers.
    """
    for what in ("call", "state_size"):
        if not hasattr(cell, what):
            raise ArgumentError(
                f"A cell has call(inputs, states), which returns output and new states, and state_size; "
                f"{type(cell).__name__} has no {what}."
            )
    if not isinstance(cell.state_size, int | list | tuple):
        raise ArgumentError(
            f"state_size of a cell is an integer, or a list of one for each state; got {cell.state_size!r}."
        )


def build_cell(cell: Any, input_shape: Any) -> None:
    """Make the weights of a cell for the inputs of one step."""
    if isinstance(cell, Layer) and not cell.built:
        cell.build(input_shape)
        cell.built = True


def output_size_of(cell: Any) -> Any:
    """Size of the last axis of a cell's output: its ``output_size``, or else the first of its states'."""
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, list | tuple) else cell.state_size


def initial_state_of(cell: Any, batch_size: int | None, dtype: Any) -> Any:
    """The states before the first step: what ``get_initial_state`` says, or zeros, in the structure of the sizes."""
    if hasattr(cell, "get_initial_state"):
        return cell.get_initial_state(batch_size=batch_size)
    sizes, dtype = cell.state_size, getattr(cell, "compute_dtype", dtype)
    if isinstance(sizes, int):
        return ops.zeros((batch_size, sizes), dtype=dtype)
    return [ops.zeros((batch_size, n), dtype=dtype) for n in sizes]


def call_cell(cell: Any, inputs: Any, states: Any, training: bool) -> tuple[Any, Any]:
    """Output and new states (a list or tuple) of one step."""
    if isinstance(cell, Layer):
        output, new = cell(inputs, states, training=training)
    else:
        output, new = cell.call(inputs, states)
    return output, new if isinstance(new, list | tuple) else [new]


# --- cells in a walk ------------------------------------------------------------------------------------
def prepare_walk(cell: Any, sequences: Any, states: Any, training: bool) -> tuple[Any, recurrence.Step]:
    """What to walk along, and the step; where the cell allows, its inputs are projected for all steps at once."""
    if projects(cell):
        return cell._project(sequences, training), cell._stepper(states, training)
    if isinstance(cell, StackedRNNCells) and type(cell).call is StackedRNNCells.call and projects(cell.cells[0]):
        projected, step = prepare_walk(cell.cells[0], sequences, states[0], training)

        def step_through(x: Any, now: Any) -> tuple[Any, Any]:
            output, new = step(x, now[0])
            return cell._through(1, output, now, training, [new])

        return projected, step_through
    return sequences, lambda x, now: call_cell(cell, x, now, training)


def projects(cell: Any) -> bool:
    """Whether a cell is one of those above, with their own ``call``: it can project all steps at once."""
    return isinstance(cell, RecurrentCell) and type(cell).call is RecurrentCell.call


def returns_state(cell: Any) -> bool:
    """Whether it is known that the cell's output is one of its new states."""
    if isinstance(cell, StackedRNNCells):
        return type(cell).call is StackedRNNCells.call and returns_state(cell.cells[-1])
    return projects(cell)


def draw_dropout(cell: Any, step_shape: Sequence[int], states: Any, training: bool, dtype: Any) -> None:
    """Have each cell draw its dropout for a walk."""
    if isinstance(cell, StackedRNNCells):
        for inner, own in zip(cell.cells, states, strict=True):
            draw_dropout(inner, step_shape, own, training, dtype)
            step_shape = (step_shape[0], output_size_of(inner))
    elif isinstance(cell, RecurrentCell):
        if training and 0 < cell.dropout < 1:
            cell.get_dropout_mask(ops.zeros(step_shape, dtype=dtype))
        cell._state_dropout(flatten(states)[0][0], training)
    elif isinstance(cell, DropoutRNNCell):
        cell.get_dropout_mask(ops.zeros(step_shape, dtype=dtype))
        cell.get_recurrent_dropout_mask(flatten(states)[0][0])


def forget_dropout(cell: Any) -> None:
    """Have each cell forget what it drew."""
    if isinstance(cell, StackedRNNCells):
        for inner in cell.cells:
            forget_dropout(inner)
    elif isinstance(cell, DropoutRNNCell):
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()
