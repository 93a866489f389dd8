"""Recurrent layers whose products are convolutions: ``ConvLSTM1D``, ``ConvLSTM2D`` and ``ConvLSTM3D``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lamina import nn, ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.graph.recurrence import Step
from lamina.layers.recurrent import RecurrentLayer
from lamina.layers.recurrent_cells import RecurrentCell, forget_bias_of_one
from lamina.layers.spec import InputSpec
from lamina.layers.symbolic import Shape
from lamina.ops.indexing import narrow
from lamina.ops.pool import data_format_of, sizes_of, spatial_axes, window_count
from lamina.serialization import register_serializable

_register = register_serializable("lamina.layers")
Sizes = int | Sequence[int]


class ConvLSTMCell(RecurrentCell):
    """One step of a ``ConvLSTM`` layer; its states are ``h`` (the output) and ``c``, of the output's shape.

    Args:
        rank: number of spatial dimensions.
        filters: channels of the output.
        kernel_size: size of the window, of both convolutions.
        strides: how far the window moves, in the convolution of the inputs.
        padding: ``"valid"`` or ``"same"``, in the convolution of the inputs.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, in the convolution of the inputs.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        options: the other arguments, as those of ``LSTMCell``.
    """

    _gates = 4

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
        unit_forget_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(filters, **{**options, "implementation": 1})
        name, self.rank, self.filters = type(self).__name__, rank, self.units
        self.kernel_size = sizes_of(name, "kernel_size", kernel_size, rank)
        self.strides = sizes_of(name, "strides", strides, rank)
        self.dilation_rate = sizes_of(name, "dilation_rate", dilation_rate, rank)
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise ArgumentError(f"{name}: padding is 'valid' or 'same'; got {padding!r}.")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                f"{name}: Specifying `strides > 1` is not compatible with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )
        self.data_format = data_format_of(name, data_format)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.filters, self.filters]

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[self._channel_axis]
        if None in input_shape[1:]:
            raise ShapeError(
                f"sizes of images and channels are known when the layer is built; got {tuple(input_shape)}."
            )
        self._step_shape = tuple(input_shape[1:])
        for name, inputs in (("kernel", channels), ("recurrent_kernel", self.filters)):
            shape = (*self.kernel_size, inputs, 4 * self.filters)
            first = self.kernel_initializer if name == "kernel" else self.recurrent_initializer
            penalties = self._penalties(name.removesuffix("_kernel"))
            setattr(self, name, self.add_weight(shape, first, name=name, **penalties))
        self.bias = None
        if self.use_bias:
            first = self.bias_initializer
            first = forget_bias_of_one(first, self.filters) if self.unit_forget_bias else first
            self.bias = self.add_weight((4 * self.filters,), first, name="bias", **self._penalties("bias"))
        self.built = True

    @property
    def _channel_axis(self) -> int:
        return self.rank + 1 if self.data_format == "channels_last" else 1

    def _split(self, z: Any, axis: int) -> list[Any]:
        """The four gates along an axis."""
        return [narrow(z, axis, g * self.filters, (g + 1) * self.filters) for g in range(4)]

    def _kernel(self, kernel: Any, dropout: Any) -> Any:
        """The kernel, or with dropout those of the gates."""
        return kernel if dropout is None else self._split(kernel, kernel.ndim - 1)

    def _by_gate(self, x: Any, kernel: Any, dropout: Any, **windows: Any) -> Any:
        """The convolution with the kernels of all gates; with dropout each gate has its own kernel and inputs."""
        windows["data_format"] = self.data_format
        if dropout is None:
            return nn.conv(x, kernel, **windows)
        parts = [nn.conv(ops.multiply(x, d), k, **windows) for d, k in zip(dropout, kernel, strict=True)]
        return ops.concat(parts, axis=self._channel_axis)

    def _project(self, inputs: Any, training: bool) -> Any:
        steps = inputs.shape[1] if inputs.ndim > self.rank + 2 else None
        dropout = None
        if training and 0 < self.dropout < 1:
            dropout = self.get_dropout_mask(inputs if steps is None else inputs[:, 0])
        x = inputs
        if steps is not None:  # all steps in one convolution
            x = ops.reshape(inputs, (-1, *inputs.shape[2:]) if inputs.size else (0, *inputs.shape[2:]))
            if dropout is not None:
                dropout = [ops.reshape(ops.broadcast_to(d[:, None], inputs.shape), x.shape) for d in dropout]
        windows = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        z = self._by_gate(x, self._kernel(self.kernel.value, dropout), dropout, **windows)
        if self.bias is not None:
            last = self.data_format == "channels_last"
            z = ops.add(z, self.bias.value if last else ops.reshape(self.bias.value, (-1, *(1,) * self.rank)))
        return z if steps is None else ops.reshape(z, (inputs.shape[0], steps, *z.shape[1:]))

    def _stepper(self, states: Any, training: bool) -> Step:
        dropout = self._state_dropout(states[0], training)
        kernel = self._kernel(self.recurrent_kernel.value, dropout)
        activation, gate, axis = self.activation, self.recurrent_activation, self._channel_axis

        def step(x: Any, now: Any) -> tuple[Any, list[Any]]:
            h, c = now
            z = ops.add(x, self._by_gate(h, kernel, dropout, padding="same"))
            i, f, g, o = self._split(z, axis)
            c = ops.add(ops.multiply(gate(f), c), ops.multiply(gate(i), activation(g)))
            h = ops.multiply(gate(o), activation(c))
            return h, [h, c]

        return step

    def output_shape(self, step_shape: Sequence[Any]) -> tuple[Any, ...]:
        """Shape of the output of a step for inputs of this shape, both without the batch."""
        axes = spatial_axes(self.rank + 2, self.data_format)
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        sizes = [step_shape[axis - 1] for axis in axes]
        found = [
            None if n is None else window_count(n, k, s, self.padding)
            for n, k, s in zip(sizes, reach, self.strides, strict=True)
        ]
        return (*found, self.filters) if self.data_format == "channels_last" else (self.filters, *found)

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Zeros for ``h`` and ``c``."""
        return [ops.zeros((batch_size, *self.output_shape(self._step_shape)), dtype=self.compute_dtype)] * 2

    def compute_output_shape(self, input_shape: Any, states_shape: Any = None) -> Any:
        """Shape of the output and of the states."""
        shape = (input_shape[0], *self.output_shape(input_shape[1:]))
        return shape, [shape, shape]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "rank": self.rank,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "unit_forget_bias": self.unit_forget_bias,
        }


class ConvLSTM(RecurrentLayer):
    """What ``ConvLSTM1D``, ``2D`` and ``3D`` share."""

    _rank = 2
    _cell_class = ConvLSTMCell
    _cell_name = "conv_lstm_cell"
    _cell_arguments = RecurrentLayer._cell_arguments - {"units"} | {
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "data_format",
        "dilation_rate",
    }

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = 1,
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
            "rank": self._rank,
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": strides,
            "padding": padding,
            "data_format": data_format,
            "dilation_rate": dilation_rate,
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
        self.input_spec = InputSpec(ndim=self._rank + 3)

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        """Shape of the output, or a tuple of it and those of the states."""
        batch, steps = sequences_shape[:2]
        image = self.cell.output_shape(sequences_shape[2:])
        output = (batch, steps, *image) if self.return_sequences else (batch, *image)
        return (output, (batch, *image), (batch, *image)) if self.return_state else output


@_register
class ConvLSTM1D(ConvLSTM):
    """An ``LSTM`` for sequences of rows: the products of inputs and state with the kernels are 1-D convolutions.

    Args:
        filters: channels of the output.
        kernel_size: size of the window, of both convolutions.
        strides: how far the window moves, in the convolution of the inputs.
        padding: ``"valid"`` or ``"same"``, in the convolution of the inputs; that of the state is ``"same"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, in the convolution of the inputs.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels, 4 * filters)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(*kernel_size, filters, 4 * filters)``.
        bias_initializer: initial ``bias``, of shape ``(4 * filters,)``.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, length, channels)``; the output has ``filters`` channels,
    and steps with ``return_sequences``.

    Example:
        >>> import lamina
        >>> lamina.layers.ConvLSTM1D(4, 3)(lamina.ones((2, 3, 8, 1))).shape
        (2, 6, 4)

    Source: Shi et al., "Convolutional LSTM Network", NeurIPS 2015.
    """

    _rank = 1


@_register
class ConvLSTM2D(ConvLSTM):
    """An ``LSTM`` for films: the products of inputs and state with the kernels are 2-D convolutions.

    Args:
        filters: channels of the output.
        kernel_size: size of the window, of both convolutions.
        strides: how far the window moves, in the convolution of the inputs.
        padding: ``"valid"`` or ``"same"``, in the convolution of the inputs; that of the state is ``"same"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, in the convolution of the inputs.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels, 4 * filters)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(*kernel_size, filters, 4 * filters)``.
        bias_initializer: initial ``bias``, of shape ``(4 * filters,)``.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, rows, columns, channels)``; the output has ``filters`` channels,
    and steps with ``return_sequences``.

    Example:
        >>> import lamina
        >>> lamina.layers.ConvLSTM2D(4, 3)(lamina.ones((2, 3, 8, 8, 1))).shape
        (2, 6, 6, 4)

    Source: Shi et al., "Convolutional LSTM Network", NeurIPS 2015.
    """

    _rank = 2


@_register
class ConvLSTM3D(ConvLSTM):
    """An ``LSTM`` for sequences of volumes: the products of inputs and state with the kernels are 3-D convolutions.

    Args:
        filters: channels of the output.
        kernel_size: size of the window, of both convolutions.
        strides: how far the window moves, in the convolution of the inputs.
        padding: ``"valid"`` or ``"same"``, in the convolution of the inputs; that of the state is ``"same"``.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        dilation_rate: steps between the elements of a window, in the convolution of the inputs.
        activation: name or function.
        recurrent_activation: name or function, of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: initial ``kernel``, of shape ``(*kernel_size, channels, 4 * filters)``.
        recurrent_initializer: initial ``recurrent_kernel``, of shape ``(*kernel_size, filters, 4 * filters)``.
        bias_initializer: initial ``bias``, of shape ``(4 * filters,)``.
        unit_forget_bias: whether the forget gate's bias starts at 1.
        dropout: share of the inputs to drop in training, the same ones at every step of a sequence.
        recurrent_dropout: likewise of the state.
        seed: an int, or ``None`` for one from the default generator.
        kwargs: ``kernel_regularizer``, ``recurrent_regularizer``, ``bias_regularizer``, the same with
            ``_constraint``, and the arguments of ``RNN`` (``return_sequences``, ...) and ``Layer``.

    Input shape ``(batch, steps, depth, rows, columns, channels)``; the output has ``filters`` channels,
    and steps with ``return_sequences``.

    Example:
        >>> import lamina
        >>> lamina.layers.ConvLSTM3D(4, 3)(lamina.ones((2, 3, 5, 5, 5, 1))).shape
        (2, 3, 3, 3, 4)

    Source: Shi et al., "Convolutional LSTM Network", NeurIPS 2015.
    """

    _rank = 3
