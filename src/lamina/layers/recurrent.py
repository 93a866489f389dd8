"""Recurrent layers: ``RNN`` around any cell, ``SimpleRNN``, ``LSTM`` and ``GRU``."""

from __future__ import annotations

from typing import Any

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.masks import get_mask
from lamina.core.trees import flatten, map_tree
from lamina.graph.recurrence import walk
from lamina.layers import recurrent_cells as cells
from lamina.layers.base import Layer
from lamina.layers.calls import calls
from lamina.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from lamina.layers.spec import InputSpec
from lamina.serialization import deserialize, register_serializable, serialize
from lamina.tensor import Variable

_register = register_serializable("lamina.layers")


@_register
class RNN(Layer):
    """Walks along sequences with a cell, which takes one step.

    A cell is any object with ``call(inputs, states)``, which returns the output and a list of new states, and
    ``state_size``, an int or a list of one for each state.  It may have ``output_size`` (default the size of the
    first state) and ``get_initial_state(batch_size)`` (default zeros); if it is a ``Layer``, its weights belong to
    this layer.

    Args:
        cell: the cell, or a list of cells, each of which takes the output of the one before.
        return_sequences: return the output of every step, and not only the last one's.
        return_state: return the last states beside the output.
        go_backwards: walk from the last step to the first; outputs come in that order.
        stateful: begin each batch with the states in which the batch before ended (row by row), until
            ``reset_state()``.  The size of the batch has to be known when the layer is built.
        unroll: accepted for Keras's sake; loops are compiled without unrolling.
        zero_output_for_mask: where the mask is false give out 0 instead of the output of the step before.

    Called with sequences of shape ``(batch, steps, ...)``, and if wanted ``initial_state``, a list of tensors, and
    ``mask``, bools of shape ``(batch, steps)``: where it is false the step changes nothing.

    Output shape ``(batch, output_size)``, with ``return_sequences`` ``(batch, steps, output_size)``; with
    ``return_state`` a tuple of this and the states.

    Raises:
        ArgumentError: the cell lacks something.

    Example:
        >>> import lamina
        >>> class Leaky(lamina.layers.Layer):
        ...     state_size = 3
        ...     def call(self, inputs, states):
        ...         output = 0.5 * states[0] + inputs
        ...         return output, [output]
        >>> lamina.layers.RNN(Leaky())(lamina.ones((1, 2, 3))).tolist()
        [[1.5, 1.5, 1.5]]
    """

    _untracked = Layer._untracked | {"states"}

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        many = isinstance(cell, list | tuple)
        self.cell: Any = StackedRNNCells(cell, dtype=kwargs.get("dtype")) if many else cell
        cells.check_cell(self.cell)
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful, self.unroll = bool(go_backwards), bool(stateful), bool(unroll)
        self.zero_output_for_mask = bool(zero_output_for_mask)
        self.supports_masking = True
        self.states: Any = None  # the Variables of a stateful layer

    @property
    def state_size(self) -> list[Any]:
        """The size of each state."""
        size = self.cell.state_size
        return list(size) if isinstance(size, list | tuple) else [size]

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        cells.build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            if sequences_shape[0] is None:
                raise ShapeError(
                    "a stateful layer needs to know the size of the batch: give it in Input(shape, batch_size=...)."
                )
            self.states = map_tree(
                lambda x: Variable(x, dtype=self.variable_dtype, name="rnn_state", trainable=False),
                self.get_initial_state(sequences_shape[0]),
            )
        self.built = True

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states before the first step, unless others are given."""
        states = cells.initial_state_of(self.cell, batch_size, self.compute_dtype)
        return list(states) if isinstance(states, list | tuple) else [states]

    def reset_state(self) -> None:
        """Set the states of a stateful layer to 0."""
        for v in flatten(self.states)[0]:
            v.assign(ops.zeros(v.shape, dtype=v.dtype))

    def reset_states(self) -> None:
        """The same as ``reset_state()``."""
        self.reset_state()

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        cache = None if calls.cache is None else calls.cache.of(self)
        states = self._first_states(sequences, initial_state, cache)
        mask = next(iter(flatten(mask)[0]), None)
        if mask is None:  # with initial states, the call has several tensors, and the mask is not filled in
            mask = get_mask(sequences)
        batch, _, *features = sequences.shape
        first_output = None
        if mask is not None and not cells.returns_state(self.cell):
            shape = (batch, cells.output_size_of(self.cell))
            first = flatten(states)[0][0]
            first_output = first if first.shape == shape else ops.zeros(shape, dtype=first.dtype)
        try:
            cells.draw_dropout(self.cell, (batch, *features), states, training, sequences.dtype)
            projected, step = cells.prepare_walk(self.cell, sequences, states, training)
            output, states = walk(
                step,
                projected,
                states,
                mask=mask,
                first_output=first_output,
                go_backwards=self.go_backwards,
                return_sequences=self.return_sequences,
                zero_output_for_mask=self.zero_output_for_mask,
            )
        finally:
            cells.forget_dropout(self.cell)
        if cache is not None:
            cache.keep(states)
        elif self.stateful:
            map_tree(lambda v, x: v.assign(ops.astype(x, v.dtype)), self.states, states)
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences: Any, given: Any, cache: Any = None) -> Any:
        stateful = self.stateful and cache is None
        if stateful:
            wanted = flatten(self.states)[0][0].shape[0]
            if sequences.shape[0] != wanted:
                raise ShapeError(
                    f"a stateful layer takes batches of the size it was built for, {wanted}; got {sequences.shape[0]}."
                )
        if given is None:
            states = self.states if stateful else self.get_initial_state(sequences.shape[0])
        else:
            states = list(given) if isinstance(given, list | tuple) else [given]
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        states = map_tree(lambda x: ops.as_tensor(x, dtype=dtype), states)
        return states if cache is None else cache.states(states)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the steps, where all outputs are returned."""
        mask = next(iter(flatten(previous_mask)[0]), None) if self.return_sequences else None
        return [mask] + [None] * len(self.state_size) if self.return_state else mask

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """Shape of the output, or a tuple of it and those of the states."""
        batch, steps = sequences_shape[:2]
        size = cells.output_size_of(self.cell)
        output = (batch, steps, size) if self.return_sequences else (batch, size)
        if not self.return_state:
            return output
        return output, *[
            [(batch, m) for m in n] if isinstance(n, list | tuple) else (batch, n) for n in self.state_size
        ]

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Placeholders for the outputs, given placeholders for the inputs."""
        return self._trace_outputs(args, kwargs)

    def _walk_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
        }

    def get_config(self) -> dict[str, Any]:
        return {**self._walk_config(), "cell": serialize(self.cell)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**{**config, "cell": deserialize(config["cell"])})


# Arguments of the cell that are arguments and attributes of the layer around it.
_PENALTIES = [f"{w}_{kind}" for w in ("kernel", "recurrent", "bias") for kind in ("regularizer", "constraint")]
_CELL_ARGUMENTS = {
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "unit_forget_bias",
    "dropout",
    "recurrent_dropout",
    "reset_after",
    "seed",
    "implementation",
    *_PENALTIES,
}


class RecurrentLayer(RNN):
    """An ``RNN`` that makes its own cell, and shows its arguments as attributes.

    Args:
        options: the arguments of the cell.
        kwargs: the arguments of ``RNN``, and ``use_cudnn`` (of ``LSTM`` and ``GRU``), accepted for Keras's sake.
    """

    _cell_class: type[cells.RecurrentCell]
    _cell_name = ""
    _takes_cudnn = False
    _cell_arguments = _CELL_ARGUMENTS

    def __init__(self, options: dict[str, Any], **kwargs: Any) -> None:
        use_cudnn = kwargs.pop("use_cudnn", "auto") if self._takes_cudnn else "auto"
        if use_cudnn not in ("auto", True, False):
            raise ArgumentError(f"{type(self).__name__}: use_cudnn is 'auto', True or False; got {use_cudnn!r}.")
        for argument in (*_PENALTIES, "implementation"):
            if argument in kwargs:
                options[argument] = kwargs.pop(argument)
        cell = self._cell_class(
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name=self._cell_name,
            **options,
        )
        super().__init__(cell, **kwargs)
        if self._takes_cudnn:
            self.use_cudnn = use_cudnn
        self.input_spec = InputSpec(ndim=3)

    def __getattr__(self, name: str) -> Any:
        if name in self._cell_arguments and "cell" in vars(self):
            return getattr(self.cell, name)
        return super().__getattr__(name)

    def get_config(self) -> dict[str, Any]:
        of_cell = self.cell.get_config()
        return {**{k: v for k, v in of_cell.items() if k in self._cell_arguments}, **self._walk_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


@_register
class SimpleRNN(RecurrentLayer):
    """``h = activation(x_t @ kernel + bias + h @ recurrent_kernel)`` at each step; the output is ``h``.

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
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, features)``, output shape ``(batch, units)``, with ``return_sequences``
    ``(batch, steps, units)``.

    Example:
        >>> import lamina
        >>> lamina.layers.SimpleRNN(4, return_sequences=True)(lamina.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    _cell_class = SimpleRNNCell
    _cell_name = "simple_rnn_cell"

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
        options = {
            "units": units,
            "activation": activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "seed": seed,
        }
        super().__init__(options, **kwargs)


@_register
class LSTM(RecurrentLayer):
    """Long short-term memory.

    With ``i, f, g, o`` the four parts of ``x_t @ kernel + bias + h @ recurrent_kernel`` and ``s`` the recurrent
    activation: ``c = s(f) * c + s(i) * activation(g)``, then ``h = s(o) * activation(c)``; the output is ``h``.

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
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, features)``, output shape ``(batch, units)``, with ``return_sequences``
    ``(batch, steps, units)``; with ``return_state`` a tuple of the output, ``h`` and ``c``.

    Example:
        >>> import lamina
        >>> lamina.layers.LSTM(4)(lamina.ones((2, 5, 3))).shape
        (2, 4)

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9, 1997.
    """

    _cell_class = LSTMCell
    _cell_name = "lstm_cell"
    _takes_cudnn = True

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
        options = {
            "units": units,
            "activation": activation,
            "recurrent_activation": recurrent_activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
            "unit_forget_bias": unit_forget_bias,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "seed": seed,
        }
        super().__init__(options, **kwargs)


@_register
class GRU(RecurrentLayer):
    """Gated recurrent unit: ``h = z * h + (1 - z) * g`` at each step, with an update gate ``z``; the output is ``h``.

    ``z = s(x_z + h_z)``, ``r = s(x_r + h_r)`` and ``g = activation(x_g + r * h_g)``, where ``x_*`` are the three parts
    of ``x_t @ kernel + bias[0]``, ``h_*`` those of ``h @ recurrent_kernel + bias[1]`` and ``s`` the recurrent
    activation.  Without ``reset_after`` there is one bias, and ``h_g`` is ``(r * h) @ recurrent_kernel_g``.

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
        seed: an int, or ``None`` for one from the default generator.
        reset_after: whether the reset gate is applied after the product with the recurrent kernel.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, features)``, output shape ``(batch, units)``, with ``return_sequences``
    ``(batch, steps, units)``.

    Example:
        >>> import lamina
        >>> output, state = lamina.layers.GRU(4, return_state=True)(lamina.ones((2, 5, 3)))
        >>> output.shape, state.shape
        ((2, 4), (2, 4))

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014.
    """

    _cell_class = GRUCell
    _cell_name = "gru_cell"
    _takes_cudnn = True

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
        seed: int | None = None,
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        options = {
            "units": units,
            "activation": activation,
            "recurrent_activation": recurrent_activation,
            "use_bias": use_bias,
            "kernel_initializer": kernel_initializer,
            "recurrent_initializer": recurrent_initializer,
            "bias_initializer": bias_initializer,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "reset_after": reset_after,
            "seed": seed,
        }
        super().__init__(options, **kwargs)
