"""Pooling over windows of 1-D, 2-D and 3-D data: maximum and average, global and adaptive.

The maximum is a primitive, because its gradient wants to know which place of each window has won,
in one byte.  The others are composites: one strided slice for each place in the window, combined
one after another in row-major order.  The slices are views, so a compiled graph reads each window
in one loop and stores only the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Indexed
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray, wrap
from lamina.ops.band import weighted_sums
from lamina.ops.creation import as_tensor
from lamina.ops.indexing import narrow, strided_slice
from lamina.ops.joining import PAD

DATA_FORMATS = ("channels_last", "channels_first")
MANY = 16  # a window of more places is pooled along one axis after the other
Combine = Callable[[Any, Any], Any]


# --- the primitives -------------------------------------------------------------------------------
# ``sizes`` and ``strides`` have one entry for each dimension of x, 1 for the batch and the channels.
Sizes = tuple[int, ...]


def _pooled_shape(x: Any, sizes: Sizes, strides: Sizes) -> Sizes:
    return tuple((n - k) // s + 1 for n, k, s in zip(x.shape, sizes, strides, strict=True))


def _winner_dtype(sizes: Sizes) -> np.dtype[Any]:
    return np.dtype(np.uint8 if math.prod(sizes) < 255 else np.int32)


def _window_numpy(x: ndarray, sizes: Sizes, strides: Sizes) -> tuple[ndarray, ndarray]:
    """The maximum of each window, and its place."""
    counts = _pooled_shape(x, sizes, strides)
    best = np.full(counts, 0, x.dtype)
    winner = np.zeros(counts, _winner_dtype(sizes))
    for i, place in enumerate(np.ndindex(*sizes)):
        part = x[tuple(slice(o, o + (m - 1) * s + 1, s) for o, m, s in zip(place, counts, strides, strict=True))]
        better = (part > best) | (part != part) if i else np.ones(counts, bool)
        np.copyto(best, part, where=better)
        winner[better] = i
    return best, winner


def _window_element(c: Any, index: Any, node: Any) -> tuple[Any, Any]:
    """As ``_window_numpy``, for one window."""
    b, x, dtype = c.b, node.inputs[0], _winner_dtype(node.params["sizes"])
    best = winner = None
    for i, place in enumerate(np.ndindex(*node.params["sizes"])):
        part = c.pull(0, [at * s + o for at, s, o in zip(index, node.params["strides"], place, strict=True)])
        number = b.const(i, dtype)
        if best is None:
            best, winner = part, number
            continue
        better = b.gt(part, best)
        if dtypes.is_float(x.dtype):
            better = b.or_(better, b.ne(part, part))
        best, winner = b.select(better, part, best), b.select(better, number, winner)
    return best, winner


def _max_pool_vjp(ct: Any, out: Any, x: Any, sizes: Sizes, strides: Sizes) -> tuple[Any]:
    winner = bind(WINDOW_ARGMAX, x, sizes=sizes, strides=strides)
    if sizes == strides:
        return (_side_by_side(ct, winner, x.shape, sizes),)
    return (_overlapping(ct, winner, x.shape, sizes, strides),)


def _overlapping(ct: Any, winner: Any, shape: Sizes, sizes: Sizes, strides: Sizes) -> Any:
    """The gradient for windows that overlap: each element asks every window that holds it who has won there.

    Place ``k`` of window ``o`` is element ``o * s + k``, so elements with the same remainder by the
    stride are held by the same places: they are worked out together, and interleaved at the end.
    """
    steps = tuple(-(-n // s) for n, s in zip(shape, strides, strict=True))  # elements of each remainder
    numbers = {place: i for i, place in enumerate(np.ndindex(*sizes))}
    phases = []
    for phase in np.ndindex(*strides):
        total: Any = None
        for place, number in numbers.items():
            if tuple(k % s for k, s in zip(place, strides, strict=True)) != phase:
                continue
            low = tuple(k // s for k, s in zip(place, strides, strict=True))
            high = tuple(j - t - m for j, t, m in zip(steps, low, ct.shape, strict=True))
            widths = {"low": low, "high": high, "interior": (0,) * len(shape)}
            mine = ops.equal(bind(PAD, winner, value=len(numbers), **widths), number)
            part = ops.where(mine, bind(PAD, ct, value=0.0, **widths), 0)
            total = part if total is None else ops.add(total, part)
        phases.append(ops.zeros(steps, ct.dtype) if total is None else total)
    out = phases[0]
    if len(phases) > 1:
        d = len(shape)
        out = ops.reshape(ops.stack(phases), (*strides, *steps))
        out = ops.permute_dims(out, [axis for i in range(d) for axis in (d + i, i)])
        out = ops.reshape(out, [j * s for j, s in zip(steps, strides, strict=True)])
    return strided_slice(out, (0,) * len(shape), tuple(shape), (1,) * len(shape))


def _side_by_side(ct: Any, winner: Any, shape: Sizes, sizes: Sizes) -> Any:
    """The gradient for windows that do not overlap: each window's place beside the winner's number."""
    one = [(m,) if k == 1 else (m, 1) for m, k in zip(ct.shape, sizes, strict=True)]
    all_places = [(1,) if k == 1 else (1, k) for k in sizes]
    flat = [sum(parts, ()) for parts in (one, all_places)]
    places = np.arange(math.prod(sizes), dtype=winner.dtype).reshape(flat[1])
    mine = ops.equal(ops.reshape(winner, flat[0]), wrap(places))
    spread = ops.where(mine, ops.reshape(ct, flat[0]), 0)
    covered = tuple(m * k for m, k in zip(ct.shape, sizes, strict=True))
    return ops.pad(ops.reshape(spread, covered), [(0, n - m) for n, m in zip(shape, covered, strict=True)])


MAX_POOL = Primitive(
    "max_pool",
    shape=lambda x, sizes, strides: Spec(_pooled_shape(x, sizes, strides), x.dtype),
    numpy=lambda x, sizes, strides: _window_numpy(x, sizes, strides)[0],
    vjp=_max_pool_vjp,
    native=Indexed(lambda c, index, node: _window_element(c, index, node)[0]),
)

WINDOW_ARGMAX = Primitive(
    "window_argmax",
    shape=lambda x, sizes, strides: Spec(_pooled_shape(x, sizes, strides), _winner_dtype(sizes)),
    numpy=lambda x, sizes, strides: _window_numpy(x, sizes, strides)[1],
    vjp=NOT_DIFFERENTIABLE,
    native=Indexed(lambda c, index, node: _window_element(c, index, node)[1]),
)


# --- arguments ------------------------------------------------------------------------------------
def sizes_of(name: str, argument: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """One size for each spatial dimension, from an int or a sequence of ints.

    Args:
        name: the function or layer, for messages.
        argument: the argument, for messages.
        value: what was given.
        rank: the number of spatial dimensions.
        least: the smallest size allowed.

    Raises:
        ArgumentError: there are more or fewer, or one is not an int of at least ``least``.

    Example:
        >>> sizes_of("max_pool", "pool_size", 2, 3)
        (2, 2, 2)
    """
    given = list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * rank
    what = f"{name}: The `{argument}` argument must be a tuple of {rank} integers. Received {argument}={value!r}"
    if any(isinstance(n, bool) or not hasattr(n, "__index__") for n in given):
        raise ArgumentError(f"{what}, which are no integers.")
    small = {int(n) for n in given if int(n) < least}
    if small:
        raise ArgumentError(f"{what}, including values {small} that do not satisfy `value >{'=' * (least == 0)} 0`.")
    if len(given) != rank:
        raise ArgumentError(f"{what}, {len(given)} of them.")
    return tuple(int(n) for n in given)


def data_format_of(name: str, data_format: str | None) -> str:
    """The data format, ``lamina.config.image_data_format()`` if none was given.

    Raises:
        ArgumentError: it is neither ``"channels_last"`` nor ``"channels_first"``.
    """
    if data_format not in (None, *DATA_FORMATS):
        raise ArgumentError(f"{name}: data_format is 'channels_last' or 'channels_first'; got {data_format!r}.")
    return data_format or config.image_data_format()


def spatial_axes(ndim: int, data_format: str) -> tuple[int, ...]:
    """The axes that are neither the batch nor the channels."""
    return tuple(range(1, ndim - 1)) if data_format == "channels_last" else tuple(range(2, ndim))


def same_padding(n: int, size: int, stride: int) -> tuple[int, int]:
    """How much ``"same"`` pads before and after: the output has ``ceil(n / stride)`` elements."""
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    return total // 2, total - total // 2


def window_count(n: int, size: int, stride: int, padding: str) -> int:
    """The number of windows along a dimension of ``n`` elements; not positive if none fits."""
    return -(-n // stride) if padding == "same" else (n - size) // stride + 1


class _Windows:
    """The arguments of a pooling function, checked."""

    def __init__(self, name: str, x: Any, size: Any, strides: Any, padding: str, data_format: str | None) -> None:
        self.x = as_tensor(x)
        self.format = data_format_of(name, data_format)
        rank = self.x.ndim - 2
        if not 1 <= rank <= 3:
            raise ShapeError(
                f"{name} takes (batch, *spatial, channels) with 1 to 3 spatial dimensions; got shape {self.x.shape}."
            )
        self.axes = spatial_axes(self.x.ndim, self.format)
        self.sizes = sizes_of(name, "pool_size", size, rank)
        self.strides = sizes_of(name, "strides", self.sizes if strides is None else strides, rank)
        self.padding = str(padding).lower()
        if self.padding not in ("valid", "same"):
            raise ArgumentError(f"{name}: padding is 'valid' or 'same'; got {padding!r}.")
        self.counts = []
        for axis, size, stride in zip(self.axes, self.sizes, self.strides, strict=True):
            count = window_count(self.x.shape[axis], size, stride, self.padding)
            if count < 1:
                raise ShapeError(
                    f"{name}: a window of {self.sizes} does not fit into shape {self.x.shape} ({self.format}). "
                    "Use padding='same', a smaller pool_size, or larger images."
                )
            self.counts.append(count)

    def padded(self, value: float) -> Any:
        """The input with ``"same"``'s padding."""
        if self.padding == "valid":
            return self.x
        widths = [(0, 0)] * self.x.ndim
        for axis, size, stride in zip(self.axes, self.sizes, self.strides, strict=True):
            widths[axis] = same_padding(self.x.shape[axis], size, stride)
        return ops.pad(self.x, widths, constant_values=value)

    def combined(self, x: Any, combine: Combine) -> Any:
        """Each window of the padded input combined in row-major order."""
        if math.prod(self.sizes) <= MANY:
            return self._combine(x, self.axes, self.sizes, self.strides, self.counts, combine)
        for i in reversed(range(len(self.axes))):  # last axis first: the order of equals stays row-major
            axis, size, stride, count = self.axes[i], self.sizes[i], self.strides[i], self.counts[i]
            if size > MANY and 2 * stride < size:
                x = narrow(_combine_runs(x, axis, size, combine), axis, 0, (count - 1) * stride + 1, stride)
            else:
                x = self._combine(x, (axis,), (size,), (stride,), (count,), combine)
        return x

    def _combine(self, x: Any, axes: Any, sizes: Any, strides: Any, counts: Any, combine: Combine) -> Any:
        if combine is not _larger:
            if tuple(sizes) == tuple(strides):
                return _combine_tiles(x, axes, sizes, counts, combine)
            return _combine_slices(x, axes, sizes, strides, counts, combine)
        by_axis = dict(zip(axes, zip(sizes, strides, strict=True), strict=True))
        pairs = [by_axis.get(axis, (1, 1)) for axis in range(x.ndim)]
        return bind(MAX_POOL, x, sizes=tuple(k for k, _ in pairs), strides=tuple(s for _, s in pairs))


def _combine_tiles(x: Any, axes: Sequence[int], sizes: Sequence[int], counts: Sequence[int], combine: Combine) -> Any:
    """Windows side by side: each place is an index into axes of their own, which makes the gradient cheap."""
    by_axis = dict(zip(axes, zip(counts, sizes, strict=True), strict=True))
    keep = [slice(0, by_axis[a][0] * by_axis[a][1]) if a in by_axis else slice(None) for a in range(x.ndim)]
    x = ops.getitem(x, tuple(keep))
    x = ops.reshape(x, [m for a, n in enumerate(x.shape) for m in by_axis.get(a, (n,))])
    result = None
    for place in np.ndindex(*sizes):
        at = dict(zip(axes, place, strict=True))
        key = [i for a in range(len(keep)) for i in ((slice(None), at[a]) if a in at else (slice(None),))]
        part = ops.getitem(x, tuple(key))
        result = part if result is None else combine(result, part)
    return result


def _combine_slices(
    x: Any,
    axes: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int],
    counts: Sequence[int],
    combine: Combine,
) -> Any:
    """One slice for each place in the window, combined one after another."""
    result = None
    for place in np.ndindex(*sizes):
        starts, stops, steps = [0] * x.ndim, list(x.shape), [1] * x.ndim
        for axis, offset, stride, count in zip(axes, place, strides, counts, strict=True):
            starts[axis], stops[axis], steps[axis] = offset, offset + (count - 1) * stride + 1, stride
        part = strided_slice(x, tuple(starts), tuple(stops), tuple(steps))
        result = part if result is None else combine(result, part)
    return result


def _combine_runs(x: Any, axis: int, size: int, combine: Combine) -> Any:
    """Windows of stride 1 along an axis, put together from runs of 1, 2, 4, ... elements."""
    count = x.shape[axis] - size + 1
    result, offset, run, width = None, 0, x, 1
    while True:
        if size & width:
            part = narrow(run, axis, offset, offset + count)
            result = part if result is None else combine(result, part)
            offset += width
        if 2 * width > size:
            return result
        n = run.shape[axis]
        run = combine(narrow(run, axis, 0, n - width), narrow(run, axis, width, n))
        width *= 2


def _larger(best: Any, candidate: Any) -> Any:
    """The larger of two, the first of equals, and NaN if either is: as NumPy's ``argmax`` picks."""
    better = ops.greater(candidate, best)
    if dtypes.is_float(best.dtype):
        better = ops.logical_or(better, ops.isnan(candidate))
    return ops.where(better, candidate, best)


def _lowest(dtype: Any) -> float:
    """The number that is not larger than any other of this dtype."""
    return -math.inf if dtypes.is_float(dtype) else int(np.iinfo(dtype).min)


# --- windows --------------------------------------------------------------------------------------
def max_pool(
    x: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The largest element of each window.  Of equals the first gets the whole gradient.

    Args:
        x: ``(batch, *spatial, channels)``, with 1 to 3 spatial dimensions.
        pool_size: size of the window, an int or one for each spatial dimension.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(n / stride)`` windows.
        data_format: ``"channels_last"`` (default), or ``"channels_first"``: ``(batch, channels, *spatial)``.

    Returns:
        a tensor like ``x`` with as many elements along the spatial dimensions as there are windows.

    Raises:
        ShapeError: no window fits.

    Example:
        >>> import lamina
        >>> x = lamina.reshape(lamina.arange(16.0), (1, 4, 4, 1))
        >>> lamina.nn.max_pool(x, 2)[0, :, :, 0].tolist()
        [[5.0, 7.0], [13.0, 15.0]]
    """
    windows = _Windows("max_pool", x, pool_size, strides, padding, data_format)
    if dtypes.is_bool(windows.x.dtype):
        raise DTypeError("max_pool takes numbers and got bools. Convert with .astype first.")
    return windows.combined(windows.padded(_lowest(windows.x.dtype)), _larger)


def average_pool(
    x: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Any:
    """The mean of each window.  With ``padding="same"`` only elements of ``x`` count, not the padding.

    Args:
        x: ``(batch, *spatial, channels)``, with 1 to 3 spatial dimensions; integers become floats.
        pool_size: size of the window, an int or one for each spatial dimension.
        strides: how far the window moves; default ``pool_size``.
        padding: ``"valid"`` for windows that lie inside, ``"same"`` for ``ceil(n / stride)`` windows.
        data_format: ``"channels_last"`` (default), or ``"channels_first"``.

    Raises:
        ShapeError: no window fits.

    Example:
        >>> import lamina
        >>> lamina.nn.average_pool(lamina.reshape([1.0, 2.0, 6.0], (1, 3, 1)), 2, 1, "same")[0, :, 0].tolist()
        [1.5, 4.0, 6.0]
    """
    windows = _Windows("average_pool", _floating(x), pool_size, strides, padding, data_format)
    total = windows.combined(windows.padded(0.0), ops.add)
    return ops.divide(total, _real_elements(windows))


def _real_elements(windows: _Windows) -> Any:
    """How many elements each window has without the padding: a number, or a tensor that broadcasts."""
    x, full = windows.x, math.prod(windows.sizes)
    if windows.padding == "valid":
        return full
    counts = np.ones((1,) * x.ndim)
    for axis, size, stride, count in zip(windows.axes, windows.sizes, windows.strides, windows.counts, strict=True):
        starts = np.arange(count) * stride - same_padding(x.shape[axis], size, stride)[0]
        real = np.minimum(starts + size, x.shape[axis]) - np.maximum(starts, 0)
        counts = counts * real.reshape([-1 if d == axis else 1 for d in range(x.ndim)])
    return full if (counts == full).all() else wrap(counts.astype(x.dtype))


def _floating(x: Any) -> Any:
    x = as_tensor(x)
    return x if dtypes.is_float(x.dtype) else ops.astype(x, "float32")


# --- all of the image -----------------------------------------------------------------------------
def global_max_pool(x: Any, data_format: str | None = None, keepdims: bool = False) -> Any:
    """The largest element of each channel: ``(batch, *spatial, channels)`` becomes ``(batch, channels)``.

    Args:
        x: tensor with at least one spatial dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.
    """
    x, axes = _global("global_max_pool", x, data_format)
    return ops.max(x, axis=axes, keepdims=keepdims)


def global_average_pool(x: Any, data_format: str | None = None, keepdims: bool = False) -> Any:
    """The mean of each channel: ``(batch, *spatial, channels)`` becomes ``(batch, channels)``.

    Args:
        x: tensor with at least one spatial dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.
        keepdims: whether the spatial dimensions stay, with size 1.

    Example:
        >>> import lamina
        >>> lamina.nn.global_average_pool(lamina.ones((2, 4, 4, 3))).shape
        (2, 3)
    """
    x, axes = _global("global_average_pool", _floating(x), data_format)
    return ops.mean(x, axis=axes, keepdims=keepdims)


def _global(name: str, x: Any, data_format: str | None) -> tuple[Any, tuple[int, ...]]:
    x = as_tensor(x)
    if x.ndim < 3:
        raise ShapeError(f"{name} takes (batch, *spatial, channels); got shape {x.shape}.")
    return x, spatial_axes(x.ndim, data_format_of(name, data_format))


# --- a given number of windows --------------------------------------------------------------------
def adaptive_max_pool(x: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The largest element of each of ``output_size`` windows that cover the image.

    Window ``i`` of ``m`` reaches from ``floor(i n / m)`` up to ``ceil((i + 1) n / m)``.

    Args:
        x: ``(batch, *spatial, channels)``.
        output_size: the number of windows, an int or one for each spatial dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.nn.adaptive_max_pool(lamina.reshape(lamina.arange(5.0), (1, 5, 1)), 2)[0, :, 0].tolist()
        [2.0, 4.0]
    """
    x = as_tensor(x)
    out = x
    for axis, count in reversed(_adaptive("adaptive_max_pool", x, output_size, data_format)):
        starts, ends = _adaptive_windows(x.shape[axis], count)
        # A window that is shorter than the longest repeats its last element, which changes nothing.
        places = [np.minimum(starts + i, ends - 1) for i in range(int((ends - starts).max()))]
        source, best = out, None
        for place in places:
            part = _pick(source, place, axis)
            best = part if best is None else _larger(best, part)
        out = best
    return out


def adaptive_average_pool(x: Any, output_size: Any, data_format: str | None = None) -> Any:
    """The mean of each of ``output_size`` windows that cover the image.

    Window ``i`` of ``m`` reaches from ``floor(i n / m)`` up to ``ceil((i + 1) n / m)``.

    Args:
        x: ``(batch, *spatial, channels)``; integers become floats.
        output_size: the number of windows, an int or one for each spatial dimension.
        data_format: ``"channels_last"`` (default) or ``"channels_first"``.

    Example:
        >>> import lamina
        >>> lamina.nn.adaptive_average_pool(lamina.reshape(lamina.arange(5.0), (1, 5, 1)), 2)[0, :, 0].tolist()
        [1.0, 3.0]
    """
    x = _floating(x)
    out = x
    for axis, count in reversed(_adaptive("adaptive_average_pool", x, output_size, data_format)):
        starts, ends = _adaptive_windows(x.shape[axis], count)
        lengths = (ends - starts)[:, None]
        turns = np.arange(lengths.max())
        places = np.minimum(starts[:, None] + turns, ends[:, None] - 1)
        out = weighted_sums(out, places, (turns < lengths) / lengths, axis)
    return out


def _adaptive(name: str, x: Any, output_size: Any, data_format: str | None) -> list[tuple[int, int]]:
    """Each spatial axis with its number of windows."""
    axes = spatial_axes(x.ndim, data_format_of(name, data_format))
    if not axes:
        raise ShapeError(f"{name} takes (batch, *spatial, channels); got shape {x.shape}.")
    if 0 in [x.shape[a] for a in axes]:
        raise ShapeError(f"{name}: there is nothing to pool in shape {x.shape}.")
    return list(zip(axes, sizes_of(name, "output_size", output_size, len(axes)), strict=True))


def _adaptive_windows(n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    i = np.arange(count)
    return i * n // count, -(-(i + 1) * n // count)


def _pick(x: Any, places: np.ndarray, axis: int) -> Any:
    """``take`` of places known now; a slice where they are evenly spaced."""
    steps = np.unique(np.diff(places))
    if len(places) == 1 or (len(steps) == 1 and steps[0] > 0):
        step = int(steps[0]) if len(steps) else 1
        return narrow(x, axis, int(places[0]), int(places[-1]) + 1, step)
    return ops.take(x, wrap(places), axis=axis)
