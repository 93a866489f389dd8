"""Rows of the recurrent layers, and of those that make masks for them."""

from __future__ import annotations

from typing import Any

import lamina
from lamina import layers
from layer_table.case import Case

CASES: list[Case] = []


def row(
    name: str, cls: type, arguments: dict[str, Any], shape: tuple[int, ...], output: tuple[int, ...], **more: Any
) -> None:
    CASES.append(Case(name, cls, arguments, shape, output, **more))


@lamina.register_serializable("tests")
class Leaky(layers.Layer):
    """A cell of one's own: its output is no state, and it has a state besides."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.state_size = units, [units, units]

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")
        self.rate = self.add_weight((), "ones", name="rate")

    def call(self, inputs: Any, states: Any) -> Any:
        level, count = states
        level = lamina.tanh(level * self.rate) + lamina.matmul(inputs, self.kernel)
        return level * 2.0 + count, [level, count + 1.0]


# --- recurrent layers -----------------------------------------------------------------------------
SEQUENCES = {"return_sequences": True}
row("simple-rnn", layers.SimpleRNN, {"units": 3}, (4, 5, 2), (4, 3), weights=3)
row(
    "simple-rnn-relu",
    layers.SimpleRNN,
    {"units": 3, "activation": "softplus", "use_bias": False, "go_backwards": True, **SEQUENCES},
    (4, 5, 2),
    (4, 5, 3),
    weights=2,
)
row("lstm", layers.LSTM, {"units": 3}, (4, 5, 2), (4, 3), weights=3)
row(
    "lstm-sequences",
    layers.LSTM,
    {"units": 3, "activation": "softsign", "recurrent_activation": "hard_sigmoid", **SEQUENCES},
    (4, 5, 2),
    (4, 5, 3),
    weights=3,
)
row(
    "lstm-dropout",
    layers.LSTM,
    {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.3, "seed": 1, "unit_forget_bias": False},
    (4, 5, 2),
    (4, 3),
    weights=3,
    random=True,
)
row("gru", layers.GRU, {"units": 3}, (4, 5, 2), (4, 3), weights=3)
row("gru-before", layers.GRU, {"units": 3, "reset_after": False, **SEQUENCES}, (4, 5, 2), (4, 5, 3), weights=3)
row(
    "gru-dropout",
    layers.GRU,
    {"units": 3, "dropout": 0.3, "recurrent_dropout": 0.3, "reset_after": False, "seed": 1},
    (4, 5, 2),
    (4, 3),
    weights=3,
    random=True,
)
row("rnn-own-cell", layers.RNN, {"cell": lambda dtype: Leaky(3, dtype=dtype)}, (4, 5, 2), (4, 3), weights=2)
row(
    "rnn-stack",
    layers.RNN,
    {
        "cell": lambda dtype: [
            layers.LSTMCell(3, dtype=dtype),
            Leaky(2, dtype=dtype),
            layers.GRUCell(2, dtype=dtype),
            layers.SimpleRNNCell(4, dtype=dtype),
        ],
        **SEQUENCES,
    },
    (4, 5, 2),
    (4, 5, 4),
    weights=11,
)
for _merge, _size in (("concat", 6), ("sum", 3), ("mul", 3), ("ave", 3)):
    row(
        f"bidirectional-{_merge}",
        layers.Bidirectional,
        {"layer": lambda dtype: layers.GRU(3, return_sequences=True, dtype=dtype), "merge_mode": _merge},
        (4, 5, 2),
        (4, 5, _size),
        weights=6,
    )
row(
    "bidirectional-last",
    layers.Bidirectional,
    {
        "layer": lambda dtype: layers.LSTM(3, dtype=dtype),
        "backward_layer": lambda dtype: layers.SimpleRNN(2, go_backwards=True, dtype=dtype),
    },
    (4, 5, 2),
    (4, 5),
    weights=6,
)
row(
    "time-distributed",
    layers.TimeDistributed,
    {"layer": lambda dtype: layers.Dense(3, dtype=dtype)},
    (4, 5, 2),
    (4, 5, 3),
    weights=2,
)
row(
    "time-distributed-norm",
    layers.TimeDistributed,
    {"layer": lambda dtype: layers.BatchNormalization(dtype=dtype)},
    (4, 3, 2),
    (4, 3, 2),
    weights=4,
    frozen=2,
)
row("conv-lstm-1d", layers.ConvLSTM1D, {"filters": 2, "kernel_size": 3}, (4, 3, 5, 2), (4, 3, 2), weights=3)
row(
    "conv-lstm-2d",
    layers.ConvLSTM2D,
    {"filters": 2, "kernel_size": (3, 2), "strides": 2, "padding": "same", **SEQUENCES},
    (4, 3, 5, 4, 2),
    (4, 3, 3, 2, 2),
    weights=3,
)
row(
    "conv-lstm-2d-first",
    layers.ConvLSTM2D,
    {"filters": 2, "kernel_size": 2, "dilation_rate": 2, "data_format": "channels_first", "go_backwards": True},
    (4, 3, 3, 5, 4),
    (4, 2, 3, 2),
    weights=3,
)
row(
    "conv-lstm-2d-dropout",
    layers.ConvLSTM2D,
    {"filters": 2, "kernel_size": 2, "dropout": 0.3, "recurrent_dropout": 0.3, "seed": 1, "use_bias": False},
    (4, 3, 4, 4, 2),
    (4, 3, 3, 2),
    weights=2,
    random=True,
)
row("conv-lstm-3d", layers.ConvLSTM3D, {"filters": 2, "kernel_size": 2}, (4, 2, 3, 3, 3, 1), (4, 2, 2, 2, 2), weights=3)

# --- masks ----------------------------------------------------------------------------------------
row("masking", layers.Masking, {"mask_value": 0.5}, (4, 5, 3), (4, 5, 3))
row(
    "embedding-mask",
    layers.Embedding,
    {"input_dim": 7, "output_dim": 3, "mask_zero": True},
    (4, 5),
    (4, 5, 3),
    integers=7,
    weights=1,
)
