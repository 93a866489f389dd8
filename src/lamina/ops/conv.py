"""Convolutions in 1 to 3 dimensions.

Two pairs of primitives carry all of it, both on channels-last arrays: ``conv`` and the gradient with
respect to its kernel, and the same for windows of each channel's own.  Groups, channels-first and
transposed convolution are composites, and so is the gradient with respect to the input, which is a
convolution of the cotangent with the flipped kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.lowering import Contraction
from lamina.core.primitive import Primitive, Spec, bind, ndarray
from lamina.ops.creation import operands
from lamina.ops.elementwise import half_in_float32
from lamina.ops.joining import PAD

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


# --- the primitives ---------------------------------------------------------------------------
def out_sizes(spatial: Sizes, kernel: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes) -> Sizes:
    """How many windows fit along each spatial dimension; 0 where not even one does."""
    out = []
    for n, k, s, (low, high), d in zip(spatial, kernel, strides, padding, dilation, strict=True):
        room = n + low + high - (k - 1) * d - 1
        out.append(room // s + 1 if room >= 0 else 0)
    return tuple(out)


def _conv_shape(x: Any, w: Any, strides: Sizes, padding: Pairs, dilation: Sizes) -> Spec:
    if x.shape[-1] != w.shape[-2]:
        raise ShapeError(
            f"conv: the input has {x.shape[-1]} channels (shape {tuple(x.shape)}) and the kernel takes "
            f"{w.shape[-2]} (shape {tuple(w.shape)})."
        )
    out = out_sizes(tuple(x.shape[1:-1]), tuple(w.shape[:-2]), strides, padding, dilation)
    if 0 in out:
        raise ShapeError(f"conv: a kernel of size {tuple(w.shape[:-2])} does not fit into {tuple(x.shape[1:-1])}.")
    return Spec((x.shape[0], *out, w.shape[-1]), x.dtype)


def _windows(x: ndarray, kernel: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes) -> ndarray:
    """A view of shape (batch, *out, *kernel, channels): every window of the padded x."""
    out = out_sizes(x.shape[1:-1], kernel, strides, padding, dilation)
    if any(low or high for low, high in padding):
        x = np.pad(x, [(0, 0), *padding, (0, 0)])
    steps = x.strides[1:-1]
    return np.lib.stride_tricks.as_strided(
        x,
        (x.shape[0], *out, *kernel, x.shape[-1]),
        (
            x.strides[0],
            *(p * s for p, s in zip(steps, strides, strict=True)),
            *(p * d for p, d in zip(steps, dilation, strict=True)),
            x.strides[-1],
        ),
        writeable=False,
    )


def _conv_numpy(x: ndarray, w: ndarray, strides: Sizes, padding: Pairs, dilation: Sizes) -> ndarray:
    _conv_shape(x, w, strides, padding, dilation)
    d = w.ndim - 1
    return np.tensordot(_windows(x, w.shape[:-2], strides, padding, dilation), w, (range(d, 2 * d), range(d)))


def _weights_numpy(
    x: ndarray, ct: ndarray, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes, out: Sizes
) -> ndarray:
    d = len(kernel) + 1
    return np.tensordot(_windows(x, kernel, strides, padding, dilation), ct, (range(d), range(d)))


def _input_gradient(ct: Any, w: Any, spatial: Sizes, strides: Sizes, padding: Pairs, dilation: Sizes) -> Any:
    """The gradient with respect to the input of a convolution, whose spatial sizes are ``spatial``.

    The kernel has the shape (*sizes, channels, filters), or (*sizes, channels) for ``depthwise``.

    With stride 1 it is the convolution of ``ct`` with the flipped kernel.  With stride ``s`` the inputs
    at positions ``s * i + r`` meet only every ``s``-th tap of the kernel: one small convolution for
    each phase ``r``, and their results interleaved, instead of one over zeros.
    """
    rank = len(spatial)
    kernel, channels = w.shape[:rank], w.shape[rank]
    if set(strides) == {1}:
        sides = []
        for n, m, k, (low, _), d in zip(spatial, ct.shape[1:-1], kernel, padding, dilation, strict=True):
            before = (k - 1) * d - low
            sides.append((before, n - m - before + (k - 1) * d))
        return _conv_any_padding(ct, _flipped(w, rank), sides, dilation)
    if set(dilation) != {1}:
        interior = (0, *(s - 1 for s in strides), 0)
        spread = bind(PAD, ct, low=(0,) * ct.ndim, high=(0,) * ct.ndim, interior=interior, value=0.0)
        return _input_gradient(spread, w, spatial, (1,) * rank, padding, dilation)
    # Position p of the padded input is s * i + r: rows i = 0 .. count - 1 of every phase r.
    counts = [-(-(n + low + high) // s) for n, s, (low, high) in zip(spatial, strides, padding, strict=True)]
    parts = []
    for phase in np.ndindex(*strides):
        taps = w[tuple(slice(r, None, s) for r, s in zip(phase, strides, strict=True))]
        if 0 in taps.shape:
            parts.append(ops.zeros((ct.shape[0], *counts, channels), ct.dtype))
            continue
        sides = [(k - 1, c - m) for k, c, m in zip(taps.shape, counts, ct.shape[1:-1], strict=False)]
        parts.append(_conv_any_padding(ct, _flipped(taps, rank), sides, (1,) * rank))
    # (phases, batch, *counts, c) -> (batch, count, phase, count, phase, ..., c) -> the padded input
    stacked = ops.reshape(ops.stack(parts), (*strides, ct.shape[0], *counts, channels))
    order = [rank]
    for axis in range(rank):
        order += [rank + 1 + axis, axis]
    whole = ops.permute_dims(stacked, (*order, 2 * rank + 1))
    whole = ops.reshape(whole, (ct.shape[0], *(c * s for c, s in zip(counts, strides, strict=True)), channels))
    inner = tuple(slice(low, low + n) for n, (low, _) in zip(spatial, padding, strict=True))
    return whole[(slice(None), *inner)]


def _flipped(w: Any, rank: int) -> Any:
    """The kernel turned round in space, with its channels and filters exchanged."""
    axes = tuple(range(rank))
    w = ops.flip(w, axis=axes)
    return ops.permute_dims(w, (*axes, rank + 1, rank)) if w.ndim == rank + 2 else w


def _conv_any_padding(x: Any, w: Any, sides: Sequence[Sizes], dilation: Sizes) -> Any:
    """Stride 1; negative padding crops."""
    crop = [(max(-a, 0), max(-b, 0)) for a, b in sides]
    if any(a or b for a, b in crop):
        cut = tuple(slice(a, n - b) for (a, b), n in zip(crop, x.shape[1:-1], strict=True))
        x = x[(slice(None), *cut)]
    padding = tuple((max(a, 0), max(b, 0)) for a, b in sides)
    strides = (1,) * len(dilation)
    if w.ndim == len(dilation) + 1:
        return _bind_depthwise(x, w, strides, padding, dilation)
    return bind(CONV, x, w, strides=strides, padding=padding, dilation=dilation)


CONV = Primitive(
    "conv",
    shape=_conv_shape,
    numpy=half_in_float32(_conv_numpy),
    vjp=lambda ct, out, x, w, strides, padding, dilation: (
        lambda: _input_gradient(ct, w, x.shape[1:-1], strides, padding, dilation),
        lambda: _kernel_gradient(x, ct, strides, padding, dilation, w.shape[:-2]),
    ),
    native=Contraction(),
)


def _kernel_gradient(x: Any, ct: Any, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes) -> Any:
    return bind(
        CONV_WEIGHTS, x, ct, strides=strides, padding=padding, dilation=dilation, kernel=kernel, out=ct.shape[1:-1]
    )


CONV_WEIGHTS = Primitive(
    "conv_weights",
    shape=lambda x, ct, strides, padding, dilation, kernel, out: Spec(
        (*kernel, x.shape[-1], ct.shape[-1]), x.dtype
    ),
    numpy=half_in_float32(_weights_numpy),
    vjp=lambda ct, out_, x, y, strides, padding, dilation, kernel, out: (
        lambda: _input_gradient(y, ct, x.shape[1:-1], strides, padding, dilation),
        lambda: bind(CONV, x, ct, strides=strides, padding=padding, dilation=dilation),
    ),
    native=Contraction(),
)


def _bind_depthwise(x: Any, w: Any, strides: Sizes, padding: Pairs, dilation: Sizes) -> Any:
    """``w`` has the shape (*sizes, channels); the primitive takes it as a matrix."""
    kernel = tuple(w.shape[:-1])
    w = ops.reshape(w, (math.prod(kernel), w.shape[-1]))
    return bind(DEPTHWISE, x, w, strides=strides, padding=padding, dilation=dilation, kernel=kernel)


def _depthwise_shape(x: Any, w: Any, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes) -> Spec:
    out = out_sizes(tuple(x.shape[1:-1]), kernel, strides, padding, dilation)
    if 0 in out:
        raise ShapeError(f"conv: a kernel of size {kernel} does not fit into {tuple(x.shape[1:-1])}.")
    return Spec((x.shape[0], *out, x.shape[-1]), x.dtype)


def _depthwise_numpy(
    x: ndarray, w: ndarray, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes
) -> ndarray:
    windows = _windows(x, kernel, strides, padding, dilation)
    every = (slice(None),) * (len(kernel) + 1)
    total = sum(windows[(*every, *tap)] * row for tap, row in zip(np.ndindex(*kernel), w, strict=True))
    return np.asarray(total)


def _depthwise_weights_numpy(
    x: ndarray, ct: ndarray, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes, out: Sizes
) -> ndarray:
    windows = _windows(x, kernel, strides, padding, dilation)
    every = (slice(None),) * (len(kernel) + 1)
    axes = tuple(range(len(kernel) + 1))
    sums = [(windows[(*every, *tap)] * ct).sum(axes) for tap in np.ndindex(*kernel)]
    return np.reshape(sums, (*kernel, x.shape[-1]))


DEPTHWISE = Primitive(
    "depthwise",
    shape=_depthwise_shape,
    numpy=half_in_float32(_depthwise_numpy),
    vjp=lambda ct, out, x, w, strides, padding, dilation, kernel: (
        lambda: _input_gradient(
            ct, ops.reshape(w, (*kernel, w.shape[-1])), x.shape[1:-1], strides, padding, dilation
        ),
        lambda: ops.reshape(_depthwise_kernel_gradient(x, ct, strides, padding, dilation, kernel), w.shape),
    ),
    native=Contraction(),
)


def _depthwise_kernel_gradient(
    x: Any, ct: Any, strides: Sizes, padding: Pairs, dilation: Sizes, kernel: Sizes
) -> Any:
    params: dict[str, Any] = {"strides": strides, "padding": padding, "dilation": dilation}
    return bind(DEPTHWISE_WEIGHTS, x, ct, **params, kernel=kernel, out=ct.shape[1:-1])


DEPTHWISE_WEIGHTS = Primitive(
    "depthwise_weights",
    shape=lambda x, ct, strides, padding, dilation, kernel, out: Spec((*kernel, x.shape[-1]), x.dtype),
    numpy=half_in_float32(_depthwise_weights_numpy),
    vjp=lambda ct, out_, x, y, strides, padding, dilation, kernel, out: (
        lambda: _input_gradient(y, ct, x.shape[1:-1], strides, padding, dilation),
        lambda: _bind_depthwise(x, ct, strides, padding, dilation),
    ),
    native=Contraction(),
)


# --- arguments ------------------------------------------------------------------------------------
def spatial_sizes(name: str, value: Any, rank: int) -> Sizes:
    """One positive integer for each spatial dimension, from an integer or a sequence."""
    sizes = (value,) * rank if isinstance(value, int | np.integer) else tuple(value)
    if len(sizes) != rank or any(not isinstance(s, int | np.integer) or s < 1 for s in sizes):
        raise ArgumentError(f"{name} is a positive integer or {rank} of them, got {value!r}.")
    return tuple(int(s) for s in sizes)


def padding_amounts(padding: Any, spatial: Sizes, kernel: Sizes, strides: Sizes, dilation: Sizes) -> Pairs:
    """``(low, high)`` for each spatial dimension."""
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if not isinstance(padding, str):
        return tuple((int(low), int(high)) for low, high in padding)
    if padding.lower() == "valid":
        return ((0, 0),) * len(kernel)
    if padding.lower() == "causal":
        if len(kernel) != 1:
            raise ArgumentError("padding='causal' is for 1-D convolution: only time has a past.")
        return ((reach[0], 0),)
    if padding.lower() == "same":
        out = []
        for n, r, s in zip(spatial, reach, strides, strict=True):
            total = max((-(-n // s) - 1) * s + r + 1 - n, 0)
            out.append((total // 2, total - total // 2))
        return tuple(out)
    raise ArgumentError(f"padding is 'valid', 'same', 'causal' or pairs of integers, got {padding!r}.")


def channels_last(x: Any, data_format: str | None) -> tuple[Any, bool]:
    """``x`` with its channels last, and whether they came first."""
    if data_format in (None, "channels_last"):
        return x, False
    if data_format != "channels_first":
        raise ArgumentError(f"data_format is 'channels_last' or 'channels_first', got {data_format!r}.")
    return ops.permute_dims(x, (0, *range(2, x.ndim), 1)), True


def channels_back(x: Any, first: bool) -> Any:
    """The inverse of ``channels_last``."""
    return ops.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1))) if first else x


def _rank(x: Any, kernel: Any, name: str) -> int:
    rank = x.ndim - 2
    if rank not in (1, 2, 3) or kernel.ndim != rank + 2:
        raise ShapeError(
            f"{name}: the input (batch, *spatial, channels) has shape {x.shape} and the kernel (*sizes, channels, "
            f"filters) {kernel.shape}; both need the same number, 1 to 3, of spatial dimensions."
        )
    return rank


# --- public functions -----------------------------------------------------------------------------
def conv(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    dilation_rate: Any = 1,
    groups: int | None = None,
    data_format: str | None = None,
) -> Any:
    """Convolution: ``out[b, p, f] = sum over w, c of x[b, p * stride + w * dilation, c] * kernel[w, c, f]``.

    Args:
        x: shape (batch, \\*spatial, channels) with 1 to 3 spatial dimensions.
        kernel: shape (\\*sizes, channels / groups, filters).
        strides: steps between windows, an integer or one for each dimension.
        padding: ``"valid"``, ``"same"``, ``"causal"`` (1-D), or ``(low, high)`` for each dimension.
        dilation_rate: steps between the elements of a window.
        groups: the channels are cut into so many groups, each convolved with its own filters.
            Default: as many as the shapes say.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Returns:
        Shape (batch, \\*out, filters), channels where those of ``x`` are.

    Example:
        >>> import lamina
        >>> lamina.nn.conv(lamina.ones((1, 5, 1)), lamina.ones((3, 1, 1)))[0, :, 0].numpy()
        array([3., 3., 3.], dtype=float32)
    """
    x, kernel = operands(x, kernel)
    rank = _rank(x, kernel, "conv")
    x, first = channels_last(x, data_format)
    steps, spacing = spatial_sizes("strides", strides, rank), spatial_sizes("dilation_rate", dilation_rate, rank)
    groups = groups if groups is not None else max(1, x.shape[-1] // max(1, kernel.shape[-2]))
    if x.shape[-1] != groups * kernel.shape[-2] or kernel.shape[-1] % groups:
        raise ShapeError(
            f"conv: {x.shape[-1]} channels in {groups} groups need a kernel for {x.shape[-1] / groups:g} channels "
            f"and a multiple of {groups} filters; the kernel has shape {kernel.shape}."
        )
    pads = padding_amounts(padding, x.shape[1:-1], kernel.shape[:-2], steps, spacing)
    if groups == 1:
        out = _one_group(x, kernel, steps, pads, spacing)
    elif kernel.shape[-2] == 1:
        multiplier = kernel.shape[-1] // groups
        window = ops.reshape(kernel, (*kernel.shape[:-2], groups, multiplier))
        out = _depthwise(x, window, steps, pads, spacing)
    else:
        parts = [
            _one_group(xs, ws, steps, pads, spacing)
            for xs, ws in zip(ops.split(x, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
        ]
        out = ops.concat(parts, axis=-1)
    return channels_back(out, first)


def _one_group(x: Any, kernel: Any, strides: Sizes, padding: Pairs, dilation: Sizes) -> Any:
    # A window of one element is a matrix product.
    if set(kernel.shape[:-2]) == {1} and not any(low or high for low, high in padding):
        if set(strides) != {1}:
            cut = tuple(slice(None, None, s) for s in strides)
            x = x[(slice(None), *cut)]
        return ops.matmul(x, ops.reshape(kernel, kernel.shape[-2:]))
    return bind(CONV, x, kernel, strides=strides, padding=padding, dilation=dilation)


def _depthwise(x: Any, window: Any, strides: Sizes, padding: Pairs, dilation: Sizes) -> Any:
    """Each channel with windows of its own: one primitive for each of the outputs that a channel has.

    ``window`` has shape (*sizes, channels, multiplier); the output's channels are channel-major.
    """
    multiplier = window.shape[-1]
    parts = [_bind_depthwise(x, window[..., i], strides, padding, dilation) for i in range(multiplier)]
    if multiplier == 1:
        return parts[0]
    out = ops.stack(parts, axis=-1)
    return ops.reshape(out, (*out.shape[:-2], out.shape[-2] * multiplier))


def depthwise_conv(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: Any = "valid",
    dilation_rate: Any = 1,
    data_format: str | None = None,
) -> Any:
    """Convolution of each channel with its own windows.

    Args:
        x: shape (batch, \\*spatial, channels).
        kernel: shape (\\*sizes, channels, multiplier): so many outputs for each channel.
        strides, padding, dilation_rate, data_format: as for ``conv``.

    Returns:
        Shape (batch, \\*out, channels * multiplier).
    """
    x, kernel = operands(x, kernel)
    rank = _rank(x, kernel, "depthwise_conv")
    x, first = channels_last(x, data_format)
    if x.shape[-1] != kernel.shape[-2]:
        raise ShapeError(f"depthwise_conv: {x.shape[-1]} channels do not fit a kernel of shape {kernel.shape}.")
    steps, spacing = spatial_sizes("strides", strides, rank), spatial_sizes("dilation_rate", dilation_rate, rank)
    pads = padding_amounts(padding, x.shape[1:-1], kernel.shape[:-2], steps, spacing)
    return channels_back(_depthwise(x, kernel, steps, pads, spacing), first)


def conv_transpose(
    x: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    dilation_rate: Any = 1,
    data_format: str | None = None,
) -> Any:
    """Transposed convolution: the gradient of ``conv`` with respect to its input, as a function.

    Args:
        x: shape (batch, \\*spatial, channels).
        kernel: shape (\\*sizes, filters, channels), as that of the convolution it transposes.
        strides, padding, dilation_rate, data_format: of that convolution.
        output_padding: extra size on the far side, for each dimension; default: what makes the output
            as large as Keras makes it.

    Returns:
        Shape (batch, \\*out, filters); without ``output_padding`` ``out = spatial * stride`` for
        ``"same"`` and ``spatial * stride + max(reach + 1 - stride, 0)`` for ``"valid"``.
    """
    x, kernel = operands(x, kernel)
    rank = _rank(x, kernel, "conv_transpose")
    x, first = channels_last(x, data_format)
    if x.shape[-1] != kernel.shape[-1]:
        raise ShapeError(
            f"conv_transpose: the input channels must match the kernel; {x.shape[-1]} do not fit shape {kernel.shape}."
        )
    steps, spacing = spatial_sizes("strides", strides, rank), spatial_sizes("dilation_rate", dilation_rate, rank)
    extra = None if output_padding is None else (
        (output_padding,) * rank if isinstance(output_padding, int) else tuple(output_padding)
    )
    sizes, pads = [], []
    for d in range(rank):
        n, s, r = x.shape[1 + d], steps[d], (kernel.shape[d] - 1) * spacing[d]
        if padding.lower() not in ("valid", "same"):
            raise ArgumentError(f"padding is 'valid' or 'same', got {padding!r}.")
        same = padding.lower() == "same"
        if extra is None:
            size = n * s if same else n * s + max(r + 1 - s, 0)
            low = max(r + 1 - s, 0) // 2 if same else 0
        else:
            odd = (r + 1) % 2
            low = max((r + 1 - odd - extra[d]) // 2, 0) if same else 0
            size = (n - 1) * s + (odd if same else r + 1) + extra[d]
        sizes.append(size)
        pads.append((low, max((n - 1) * s + r + 1 - size - low, 0)))
    return channels_back(_input_gradient(x, kernel, tuple(sizes), steps, tuple(pads), spacing), first)
