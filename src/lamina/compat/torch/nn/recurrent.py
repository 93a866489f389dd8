"""Recurrent modules: ``RNN``, ``LSTM``, ``GRU`` and their cells, with PyTorch's weights and orders of gates."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina import ops, random
from lamina.compat.torch.nn.layers import _parameter
from lamina.compat.torch.nn.module import Module
from lamina.compat.torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from lamina.core.errors import ArgumentError, ShapeError


def _kernel(weight: Any, gru: bool) -> Any:
    """(gates * units, inputs) as Lamina's (inputs, gates * units)."""
    return _gates(ops.matrix_transpose(weight), gru)


def _gates(x: Any, gru: bool) -> Any:
    """PyTorch's gates of a GRU are reset, update, new; Lamina's update, reset, new."""
    if not gru:
        return x
    reset, update, new = ops.split(x, 3, axis=-1)
    return ops.concat([update, reset, new], axis=-1)


def _run(
    mode: str, x: Any, state: list[Any], weights: list[Any], backwards: bool, mask: Any = None
) -> tuple[Any, list[Any]]:
    """One layer in one direction on (batch, steps, features)."""
    gru = mode == "GRU"
    kernel, recurrent = _kernel(weights[0], gru), _kernel(weights[1], gru)
    biases = [_gates(b, gru) for b in weights[2:]]
    settings: dict[str, Any] = {"initial_state": state, "return_sequences": True, "go_backwards": backwards}
    settings["mask"] = mask
    if gru:
        bias = ops.stack(biases) if biases else None
        out, last = _nn.gru(x, kernel, recurrent, bias, **settings)
    else:
        bias = ops.add(*biases) if biases else None
        if mode == "LSTM":
            out, last = _nn.lstm(x, kernel, recurrent, bias, **settings)
        else:
            activation = ops.tanh if mode == "RNN_TANH" else ops.relu
            out, last = _nn.simple_rnn(x, kernel, recurrent, bias, activation=activation, **settings)
    return (ops.flip(out, axis=1) if backwards else out), list(last)


class _Recurrent(Module):
    """What the recurrent modules share.  Their weights start uniform within ``1 / sqrt(hidden_size)``.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: how many layers, each on the outputs of the one before.
        bias: whether there are biases.
        batch_first: whether sequences are (batch, steps, features) instead of (steps, batch, features).
        dropout: share of the outputs that is dropped between layers, in training.
        bidirectional: whether there is a second walk from the end.
    """

    _gate_count = 1
    _states = 1
    mode = ""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"dropout is between 0 and 1; got {dropout}.")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        bound, rows = 1 / math.sqrt(hidden_size), self._gate_count * hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * self._directions
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden_size)}
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
                for name, shape in shapes.items():
                    setattr(
                        self, f"{name}_{suffix}", _parameter(shape, dtype, bound, (1, 0) if len(shape) == 2 else None)
                    )

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self, layer: int) -> list[str]:
        return [f"l{layer}", f"l{layer}_reverse"][: self._directions]

    def _weights(self, suffix: str) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return [getattr(self, f"{name}_{suffix}") for name in names]

    def flatten_parameters(self) -> None:
        """Nothing: the weights lie well as they are."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """All outputs of the last layer, and the last states of all layers.

        Args:
            input: (steps, batch, features), (batch, steps, features) with ``batch_first``, or (steps, features); or a
                ``PackedSequence``, and then so are the outputs.
            hx: the first states, (layers * directions, batch, hidden_size); default zeros.  For an LSTM a pair.
        """
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input, batch_first=self.batch_first)
            mask = ops.less(ops.arange(int(np.max(lengths))), ops.expand_dims(lengths, 1))
            out, states = self._walk(x, hx, mask)
            packed = pack_padded_sequence(out, lengths, self.batch_first, enforce_sorted=False)
            return input._replace(data=packed.data), states
        return self._walk(input, hx, None)

    def _walk(self, input: Any, hx: Any, mask: Any) -> Any:
        alone = len(input.shape) == 2
        if len(input.shape) not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__} takes sequences of {self.input_size} features; got {tuple(input.shape)}."
            )
        batch_axis = 0 if self.batch_first else 1
        x = ops.expand_dims(input, batch_axis) if alone else input
        x = x if self.batch_first else ops.swapaxes(x, 0, 1)
        first = None if hx is None else [hx] if self._states == 1 else list(hx)
        if first is not None and alone:
            first = [ops.expand_dims(s, 1) for s in first]
        lasts: list[list[Any]] = [[] for _ in range(self._states)]
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                at = layer * self._directions + direction
                state = self._zeros(x) if first is None else [s[at] for s in first]
                out, last = _run(self.mode, x, state, self._weights(suffix), direction == 1, mask)
                outputs.append(out)
                for found, s in zip(lasts, last):
                    found.append(s)
            x = outputs[0] if len(outputs) == 1 else ops.concat(outputs, axis=-1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = random.dropout(x, self.dropout)
        x = x if self.batch_first else ops.swapaxes(x, 0, 1)
        states = [ops.stack(found) for found in lasts]
        if alone:
            x, states = ops.squeeze(x, axis=batch_axis), [ops.squeeze(s, axis=1) for s in states]
        return x, states[0] if self._states == 1 else tuple(states)

    def _zeros(self, x: Any) -> list[Any]:
        return [ops.zeros((x.shape[0], self.hidden_size), x.dtype)] * self._states

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        text += f", num_layers={self.num_layers}" if self.num_layers != 1 else ""
        text += ", bias=False" if not self.bias else ""
        text += ", batch_first=True" if self.batch_first else ""
        text += f", dropout={self.dropout}" if self.dropout else ""
        return text + (", bidirectional=True" if self.bidirectional else "")


class RNN(_Recurrent):
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``, or with ``nonlinearity="relu"``."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        args = list(args)  # type: ignore[assignment]
        if len(args) > 3 and isinstance(args[3], str):
            nonlinearity = args.pop(3)  # type: ignore[attr-defined]
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"nonlinearity is 'tanh' or 'relu'; got {nonlinearity!r}.")
        self.mode = f"RNN_{nonlinearity.upper()}"
        self.nonlinearity = nonlinearity
        super().__init__(*args, **kwargs)


class LSTM(_Recurrent):
    """Long short-term memory; gates in the order input, forget, cell, output."""

    _gate_count, _states, mode = 4, 2, "LSTM"


class GRU(_Recurrent):
    """Gated recurrent unit; gates in the order reset, update, new."""

    _gate_count, mode = 3, "GRU"


class _Cell(Module):
    """One step of a recurrent module on (batch, features)."""

    _gate_count, _states, mode = 1, 1, "RNN_TANH"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, **kwargs: Any) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self._gate_count == 1:
            self.__dict__["mode"] = f"RNN_{nonlinearity.upper()}"
        bound, rows = 1 / math.sqrt(hidden_size), self._gate_count * hidden_size
        self.weight_ih, self.weight_hh = (
            _parameter((rows, input_size), None, bound, (1, 0)),
            _parameter((rows, hidden_size), None, bound),
        )
        if bias:
            self.bias_ih, self.bias_hh = _parameter((rows,), None, bound), _parameter((rows,), None, bound)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state (of an LSTM the pair of states)."""
        alone = len(input.shape) == 1
        x = ops.expand_dims(input, 0) if alone else input
        if hx is None:
            state = [ops.zeros((x.shape[0], self.hidden_size), x.dtype)] * self._states
        else:
            state = [hx] if self._states == 1 else list(hx)
            state = [ops.expand_dims(s, 0) for s in state] if alone else state
        weights = [self.weight_ih, self.weight_hh, *([self.bias_ih, self.bias_hh] if self.bias else [])]
        _, last = _run(self.mode, ops.expand_dims(x, 1), state, weights, False)
        last = [ops.squeeze(s, axis=0) for s in last] if alone else last
        return last[0] if self._states == 1 else tuple(last)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of ``RNN``."""


class LSTMCell(_Cell):
    """One step of ``LSTM``."""

    _gate_count, _states, mode = 4, 2, "LSTM"


class GRUCell(_Cell):
    """One step of ``GRU``."""

    _gate_count, mode = 3, "GRU"
