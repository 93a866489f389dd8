"""Rows of the op table: convolutions, against sums written out as loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import lamina
from op_table.case import normal, row


def reference(x: Any, w: Any, strides: tuple[int, ...], low: Any, high: Any, dilation: tuple[int, ...]) -> Any:
    """Convolution of padded, channels-last arrays, one output position at a time."""
    rank = w.ndim - 2
    x = np.pad(x, [(0, 0), *zip(low, high, strict=True), (0, 0)])
    axes = zip(x.shape[1:-1], w.shape, dilation, strides, strict=False)
    sizes = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in axes]
    out = np.zeros((x.shape[0], *sizes, w.shape[-1]), np.result_type(x, w))
    for at in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, w.shape[:rank])):
            place = tuple(a * s + t * d for a, s, t, d in zip(at, strides, tap, dilation, strict=True))
            out[(slice(None), *at)] += x[(slice(None), *place)] @ w[tap]
    return out


def conv_row(name: str, shapes: Any, low: Any, high: Any, strides: Any, dilation: Any, **options: Any) -> None:
    row(
        name,
        lambda x, w: lamina.nn.conv(x, w, strides=strides, dilation_rate=dilation, **options),
        lambda x, w: reference(x, w, strides, low, high, dilation),
        normal(*shapes),
        tolerance=256,
    )


conv_row("conv/1d", ((2, 6, 2), (3, 2, 3)), (0,), (0,), (1,), (1,))
conv_row("conv/1d causal", ((2, 6, 2), (3, 2, 3)), (4,), (0,), (1,), (2,), padding="causal")
conv_row("conv/2d", ((1, 4, 5, 2), (3, 2, 2, 3)), (0, 0), (0, 0), (1, 1), (1, 1))
conv_row("conv/2d same", ((1, 4, 5, 2), (3, 2, 2, 3)), (1, 0), (1, 1), (1, 1), (1, 1), padding="same")
conv_row("conv/2d strides", ((1, 6, 5, 2), (3, 2, 2, 3)), (0, 0), (0, 0), (2, 3), (1, 1))
conv_row("conv/2d dilated", ((1, 6, 5, 2), (3, 2, 2, 3)), (0, 0), (0, 0), (1, 1), (2, 3))
conv_row("conv/2d one element", ((1, 3, 2, 4), (1, 1, 4, 3)), (0, 0), (0, 0), (1, 1), (1, 1))
conv_row("conv/3d", ((1, 3, 3, 4, 2), (2, 2, 3, 2, 2)), (0, 0, 0), (0, 0, 0), (1, 1, 1), (1, 1, 1))
row(
    "conv/groups",
    lambda x, w: lamina.nn.conv(x, w, groups=2),
    lambda x, w: np.concatenate(
        [reference(x[..., 2 * g : 2 * g + 2], w[..., 3 * g : 3 * g + 3], (1,), (0,), (0,), (1,)) for g in range(2)], -1
    ),
    normal((2, 5, 4), (3, 2, 6)),
    tolerance=256,
)
row(
    "depthwise_conv",
    lambda x, w: lamina.nn.depthwise_conv(x, w, strides=2),
    lambda x, w: np.concatenate(
        [reference(x[..., c : c + 1], w[..., c : c + 1, :], (2, 2), (0, 0), (0, 0), (1, 1)) for c in range(2)], -1
    ),
    normal((1, 5, 6, 2), (3, 2, 2, 2)),
    tolerance=256,
)


def channelwise(x: Any, w: Any, strides: Any, low: Any, high: Any, dilation: Any) -> Any:
    """Each channel with its own window."""
    parts = [
        reference(x[..., c : c + 1], w[..., c : c + 1, :], strides, low, high, dilation) for c in range(x.shape[-1])
    ]
    return np.concatenate(parts, -1)


row(
    "depthwise_conv/one output a channel",
    lambda x, w: lamina.nn.depthwise_conv(x, w, padding="same"),
    lambda x, w: channelwise(x, w, (1, 1), (1, 0), (1, 1), (1, 1)),
    normal((2, 5, 6, 3), (3, 2, 3, 1)),
    tolerance=256,
)
row(
    "depthwise_conv/strides and padding",
    lambda x, w: lamina.nn.depthwise_conv(x, w, strides=(2, 1), padding=((2, 1), (0, 1))),
    lambda x, w: channelwise(x, w, (2, 1), (2, 0), (1, 1), (1, 1)),
    normal((2, 5, 6, 3), (3, 2, 3, 1)),
    tolerance=256,
)
row(
    "depthwise_conv/dilated",
    lambda x, w: lamina.nn.conv(x, w, groups=3, dilation_rate=2, padding=((1, 3),)),
    lambda x, w: channelwise(x, np.reshape(w, (3, 3, 1)), (1,), (1,), (3,), (2,)),
    normal((2, 7, 3), (3, 1, 3)),
    tolerance=256,
)


def scattered(x: Any, w: Any, strides: tuple[int, ...], size: tuple[int, ...]) -> Any:
    """Transposed convolution without padding: every input element adds its scaled window."""
    out = np.zeros((x.shape[0], *size, w.shape[-2]), np.result_type(x, w))
    for at in itertools.product(*map(range, x.shape[1:-1])):
        for tap in itertools.product(*map(range, w.shape[:-2])):
            place = tuple(a * s + t for a, s, t in zip(at, strides, tap, strict=True))
            out[(slice(None), *place)] += x[(slice(None), *at)] @ w[tap].T
    return out


row(
    "conv_transpose",
    lambda x, w: lamina.nn.conv_transpose(x, w, strides=2),
    lambda x, w: scattered(x, w, (2, 2), (7, 8)),
    normal((1, 3, 4, 2), (3, 2, 3, 2)),
    tolerance=256,
)
