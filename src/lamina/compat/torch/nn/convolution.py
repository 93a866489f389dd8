"""Convolution and pooling, channels first, as functions of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import nn as _nn
from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.primitive import wrap


# --- convolution ------------------------------------------------------------------------------------
def each(value: Any, rank: int) -> tuple[int, ...]:
    """One number for each spatial dimension."""
    sizes: tuple[Any, ...] = (value,) * rank if isinstance(value, int | np.integer) else tuple(value)
    return sizes * rank if len(sizes) == 1 else sizes


def _with_batch(x: Any, rank: int, name: str) -> tuple[Any, bool]:
    """Inputs may come without the dimension of the batch."""
    if len(x.shape) == rank + 2:
        return x, False
    if len(x.shape) == rank + 1:
        return ops.expand_dims(x, 0), True
    raise ShapeError(
        f"{name} takes (batch, channels, {', '.join(['size'] * rank)}), or that without the batch; "
        f"got shape {tuple(x.shape)}."
    )


def conv(rank: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Convolution in ``rank`` dimensions: see ``conv2d``."""
    x, alone = _with_batch(x, rank, f"conv{rank}d")
    steps, spacing = each(stride, rank), each(dilation, rank)
    if isinstance(padding, str):
        if padding == "same" and set(steps) != {1}:
            raise ArgumentError("padding='same' is for a stride of 1.")
        reach = [d * (k - 1) if padding == "same" else 0 for k, d in zip(weight.shape[2:], spacing)]
        sides = [(r // 2, r - r // 2) for r in reach]
    else:
        sides = [(p, p) for p in each(padding, rank)]
    if x.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"conv{rank}d: the weight of shape {tuple(weight.shape)} with groups={groups} takes "
            f"{weight.shape[1] * groups} channels, and the input of shape {tuple(x.shape)} has {x.shape[1]}."
        )
    kernel = ops.permute_dims(weight, (*range(2, rank + 2), 1, 0))
    last = ops.permute_dims(x, (0, *range(2, rank + 2), 1))
    out = _nn.conv(last, kernel, steps, sides, spacing, groups)
    out = ops.permute_dims(out if bias is None else ops.add(out, bias), (0, rank + 1, *range(1, rank + 1)))
    return ops.squeeze(out, axis=0) if alone else out


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of (batch, channels, length) with a weight of shape (filters, channels / groups, size)."""
    return conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution of (batch, channels, height, width) with a weight of shape (filters, channels / groups, h, w)."""
    return conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution in three dimensions, like ``conv2d``."""
    return conv(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose(
    rank: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """Transposed convolution in ``rank`` dimensions: see ``conv_transpose2d``."""
    x, alone = _with_batch(x, rank, f"conv_transpose{rank}d")
    steps, extra = each(stride, rank), each(output_padding, rank)
    last = ops.permute_dims(x, (0, *range(2, rank + 2), 1))
    kernel = ops.permute_dims(weight, (*range(2, rank + 2), 1, 0))
    parts = [
        _nn.conv_transpose(xs, ks, steps, "valid", extra, each(dilation, rank))
        for xs, ks in zip(ops.split(last, groups, axis=-1), ops.split(kernel, groups, axis=-1))
    ]
    out = parts[0] if groups == 1 else ops.concat(parts, axis=-1)
    cut = [slice(p, n - p) for p, n in zip(each(padding, rank), out.shape[1:-1])]
    out = out[(slice(None), *cut)]
    out = ops.permute_dims(out if bias is None else ops.add(out, bias), (0, rank + 1, *range(1, rank + 1)))
    return ops.squeeze(out, axis=0) if alone else out


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of ``conv1d`` with respect to its input; the weight has shape (channels, filters / groups, size)."""
    return conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The gradient of ``conv2d`` with respect to its input; the weight has shape (channels, filters / groups, h, w)."""
    return conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """``conv_transpose2d`` in three dimensions."""
    return conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# --- pooling ----------------------------------------------------------------------------------------
def _windows(
    rank: int, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, fill: float
) -> tuple[Any, tuple[int, ...], tuple[int, ...], list[int]]:
    """The input, channels last, padded so that all windows fit; window, strides, sizes of the output."""
    window, pads = each(kernel, rank), each(padding, rank)
    steps = window if stride is None or stride == () else each(stride, rank)
    if any(2 * p > k for p, k in zip(pads, window)):
        raise ArgumentError(f"pooling: padding {pads} is at most half of the window {window}.")
    sides, sizes = [], []
    for n, k, s, p, d in zip(x.shape[2:], window, steps, pads, each(dilation, rank)):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1  # the last window would lie in the padding
        sizes.append(count)
        sides.append((p, max(0, (count - 1) * s + d * (k - 1) + 1 - n - p)))
    last = ops.permute_dims(x, (0, *range(2, rank + 2), 1))
    if any(a or b for a, b in sides):
        last = ops.pad(last, [(0, 0), *sides, (0, 0)], constant_values=fill)
    cut = tuple(
        slice(0, (c - 1) * s + d * (k - 1) + 1) for c, s, k, d in zip(sizes, steps, window, each(dilation, rank))
    )
    return last[(slice(None), *cut)], window, steps, sizes


def _first(out: Any, rank: int, alone: bool) -> Any:
    out = ops.permute_dims(out, (0, rank + 1, *range(1, rank + 1)))
    return ops.squeeze(out, axis=0) if alone else out


def _max_pool(rank: int, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    x, alone = _with_batch(x, rank, f"max_pool{rank}d")
    lowest = float(np.finfo(x.dtype).min)
    last, window, steps, sizes = _windows(rank, x, kernel, stride, padding, dilation, ceil_mode, lowest)
    spacing = each(dilation, rank)
    if set(spacing) == {1}:
        return _first(_nn.max_pool(last, window, steps), rank, alone)
    best = None
    for tap in np.ndindex(*window):  # one strided slice for each element of the window
        cut = tuple(slice(t * d, t * d + (c - 1) * s + 1, s) for t, d, c, s in zip(tap, spacing, sizes, steps))
        part = last[(slice(None), *cut)]
        best = part if best is None else ops.maximum(best, part)
    return _first(best, rank, alone)


def _avg_pool(
    rank: int, x: Any, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, counted: bool, divisor: int | None
) -> Any:
    x, alone = _with_batch(x, rank, f"avg_pool{rank}d")
    last, window, steps, _ = _windows(rank, x, kernel, stride, padding, 1, ceil_mode, 0.0)
    out = _nn.average_pool(last, window, steps)
    whole = int(np.prod(window))
    if divisor is not None:
        out = ops.multiply(out, whole / divisor)
    elif any(each(padding, rank)) or ceil_mode:
        # What the windows' elements count: the input, and the padding too if it is counted, but not what lies beyond.
        pads = each(padding, rank)
        inside = np.pad(np.ones(x.shape[2:]), [(p, p) for p in pads], constant_values=float(counted))
        beyond = [(0, max(0, n - m)) for n, m in zip(last.shape[1:-1], inside.shape, strict=True)]
        cut = tuple(slice(0, n) for n in last.shape[1:-1])
        real = np.pad(inside, beyond)[(None, *cut, None)]
        share = np.asarray(_nn.average_pool(wrap(real), window, steps))
        out = ops.divide(out, wrap(share.astype(x.dtype)))
    return _first(out, rank, alone)


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of (batch, channels, length)."""
    _no_indices(return_indices)
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of (batch, channels, height, width)."""
    _no_indices(return_indices)
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """``max_pool2d`` in three dimensions."""
    _no_indices(return_indices)
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode)


def _no_indices(wanted: bool) -> None:
    if wanted:
        raise ArgumentError("Pooling here does not return indices; leave return_indices out.")


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of (batch, channels, length)."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (batch, channels, height, width)."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """``avg_pool2d`` in three dimensions."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive(rank: int, pool: Any, x: Any, output_size: Any) -> Any:
    x, alone = _with_batch(x, rank, "adaptive pooling")
    sizes = each(output_size, rank) if output_size is not None else (None,) * rank
    wanted = tuple(n if s is None else s for s, n in zip(sizes, x.shape[2:]))
    out = pool(x, wanted, data_format="channels_first")
    return ops.squeeze(out, axis=0) if alone else out


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The means of so many windows that cover the input."""
    return _adaptive(1, _nn.adaptive_average_pool, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The means of so many windows, by height and width, that cover the input."""
    return _adaptive(2, _nn.adaptive_average_pool, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """``adaptive_avg_pool2d`` in three dimensions."""
    return _adaptive(3, _nn.adaptive_average_pool, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """The largest elements of so many windows that cover the input."""
    return _adaptive(1, _nn.adaptive_max_pool, input, output_size)


def adaptive_max_pool2d(input: Any, output_size: Any) -> Any:
    """The largest elements of so many windows, by height and width, that cover the input."""
    return _adaptive(2, _nn.adaptive_max_pool, input, output_size)


def adaptive_max_pool3d(input: Any, output_size: Any) -> Any:
    """``adaptive_max_pool2d`` in three dimensions."""
    return _adaptive(3, _nn.adaptive_max_pool, input, output_size)
