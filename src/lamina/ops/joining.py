"""Putting tensors together and taking them apart: concat, stack, split, pad, tile, repeat, flip, roll."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Indexed, View
from lamina.core.primitive import Primitive, Spec, bind, ndarray, wrap
from lamina.ops.creation import as_tensor
from lamina.ops.shape import normalize_axis, size_of


def inside(c: Any, position: Any, size: int) -> Any:
    """An operand of a signed integer dtype as an index that is kept within ``0 .. size - 1``."""
    b, dtype = c.b, position.dtype.name
    return c.index(b.min(b.max(position, b.const(0, dtype)), b.const(size - 1, dtype)))


# --- concatenation ------------------------------------------------------------------------------
def _concat_shape(*xs: Any, axis: int) -> Spec:
    first = xs[0]
    for x in xs[1:]:
        same = len(x.shape) == len(first.shape) and all(
            n == m for d, (n, m) in enumerate(zip(x.shape, first.shape, strict=True)) if d != axis
        )
        if not same:
            raise ShapeError(
                f"concat: shapes {tuple(first.shape)} and {tuple(x.shape)} must be equal except along axis {axis}."
            )
    total = sum(x.shape[axis] for x in xs)
    return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def _concat_vjp(ct: Any, out: Any, *xs: Any, axis: int) -> list[Any]:
    ends = list(itertools.accumulate(x.shape[axis] for x in xs))
    return [ops.indexing.narrow(ct, axis, end - x.shape[axis], end) for x, end in zip(xs, ends, strict=True)]


def _concat_element(c: Any, index: Any, node: Any) -> Any:
    b, axis = c.b, node.params["axis"]
    position = c.operand(index[axis], "int64")
    result, offset = None, 0
    for i, value in enumerate(node.inputs):
        n = value.shape[axis]
        if n == 0:
            continue
        start = b.const(offset, "int64")
        part = c.pull(i, [*index[:axis], inside(c, b.sub(position, start), n), *index[axis + 1 :]])
        result = part if result is None else b.select(b.lt(position, start), result, part)
        offset += n
    return result


CONCAT = Primitive(
    "concat",
    shape=_concat_shape,
    numpy=lambda *xs, axis: np.concatenate(xs, axis),
    vjp=_concat_vjp,
    native=Indexed(_concat_element),
)


def _of_one_dtype(name: str, arrays: Any) -> list[Any]:
    """The arrays as Tensors of their common dtype."""
    tensors = [as_tensor(a) for a in arrays]
    if not tensors:
        raise ArgumentError(f"{name} needs at least one tensor.")
    common = tensors[0].dtype
    for t in tensors[1:]:
        common = dtypes.promote(common, t.dtype)
    return [ops.astype(t, common) for t in tensors]


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Tensors one after another along an axis that they have.

    Args:
        arrays: tensors of equal shapes except along ``axis``; their dtypes promote.
        axis: which axis; ``None`` flattens each tensor first.

    Raises:
        ShapeError: the other sizes differ.

    Example:
        >>> import lamina
        >>> lamina.concat([[[1, 2]], [[3, 4]]], axis=0).tolist()
        [[1, 2], [3, 4]]
    """
    tensors = _of_one_dtype("concat", arrays)
    if axis is None:
        tensors, axis = [ops.reshape(t, (-1,)) for t in tensors], 0
    if tensors[0].ndim == 0:
        raise ShapeError("concat: 0-d tensors have no axis to go along. Use lamina.stack.")
    axis = normalize_axis("concat", axis, tensors[0].ndim)
    return bind(CONCAT, *tensors, axis=axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Tensors of one shape side by side along a new axis.

    Args:
        arrays: tensors of equal shape; their dtypes promote.
        axis: where the new axis stands in the result.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> import lamina
        >>> lamina.stack([[1, 2], [3, 4]], axis=1).tolist()
        [[1, 3], [2, 4]]
    """
    tensors = _of_one_dtype("stack", arrays)
    first = tensors[0].shape
    for t in tensors[1:]:
        if t.shape != first:
            raise ShapeError(f"stack: all tensors need one shape; got {first} and {t.shape}.")
    axis = normalize_axis("stack", axis, len(first) + 1)
    return bind(CONCAT, *[ops.expand_dims(t, axis) for t in tensors], axis=axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Any, ...]:
    """Pieces of ``x`` along an axis.

    Args:
        x: tensor of at least one dimension.
        indices_or_sections: a number of equal pieces, or the positions at which to cut.
        axis: the axis that is cut.

    Raises:
        ShapeError: the axis does not divide into that many equal pieces.

    Example:
        >>> import lamina
        >>> [p.tolist() for p in lamina.split([1, 2, 3, 4, 5], [2])]
        [[1, 2], [3, 4, 5]]
    """
    x = as_tensor(x)
    axis = normalize_axis("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, int | np.integer):
        pieces = int(indices_or_sections)
        if pieces < 1 or n % pieces:
            raise ShapeError(f"split: axis {axis} has size {n}, which does not make {pieces} equal pieces.")
        cuts = [n // pieces * k for k in range(1, pieces)]
    else:
        cuts = [int(i) for i in indices_or_sections]
    ends = [slice(None, c).indices(n)[1] for c in cuts] + [n]  # as Python's slices clamp them
    starts = [0, *ends[:-1]]
    return tuple(ops.indexing.narrow(x, axis, a, max(a, b)) for a, b in zip(starts, ends, strict=True))


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices of ``x`` along an axis, without that axis: the inverse of ``stack``.

    Example:
        >>> import lamina
        >>> [row.tolist() for row in lamina.unstack([[1, 2], [3, 4]])]
        [[1, 2], [3, 4]]
    """
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError("unstack: a 0-d tensor has no axis to take apart.")
    axis = normalize_axis("unstack", axis, x.ndim)
    return tuple(ops.squeeze(ops.indexing.narrow(x, axis, i, i + 1), axis) for i in range(x.shape[axis]))


# --- padding --------------------------------------------------------------------------------------
def _pad_shape(x: Any, low: Any, high: Any, interior: Any, value: Any) -> Spec:
    if not len(low) == len(high) == len(interior) == len(x.shape):
        raise ShapeError(f"pad: {len(low)} pairs of widths do not fit shape {tuple(x.shape)}.")
    if min((*low, *high, *interior), default=0) < 0:
        raise ShapeError(f"pad: widths are not negative; got low={low}, high={high}, interior={interior}.")
    sizes = zip(x.shape, low, high, interior, strict=True)
    return Spec(tuple(a + n + max(n - 1, 0) * i + b for n, a, b, i in sizes), x.dtype)


def _pad_numpy(x: ndarray, low: Any, high: Any, interior: Any, value: Any) -> ndarray:
    out = np.full(_pad_shape(x, low, high, interior, value).shape, value, x.dtype)
    if x.size:
        steps = zip(x.shape, low, interior, strict=True)
        out[tuple(slice(a, a + (n - 1) * (i + 1) + 1, i + 1) for n, a, i in steps)] = x
    return out


def _pad_vjp(ct: Any, out: Any, x: Any, low: Any, high: Any, interior: Any, value: Any) -> tuple[Any]:
    if size_of(x.shape) == 0:
        return (ops.zeros_like(x),)
    stops = tuple(a + (n - 1) * (i + 1) + 1 for n, a, i in zip(x.shape, low, interior, strict=True))
    return (ops.indexing.strided_slice(ct, low, stops, tuple(i + 1 for i in interior)),)


def _pad_element(c: Any, index: Any, node: Any) -> Any:
    b, x = c.b, node.inputs[0]
    low, high, interior = (node.params[k] for k in ("low", "high", "interior"))
    outside = b.const(node.params["value"], x.dtype)
    if size_of(x.shape) == 0:
        return outside
    zero = b.const(0, "int64")
    wanted: Any = None
    source = []
    for i, n, before, after, between in zip(index, x.shape, low, high, interior, strict=True):
        if before == after == between == 0:
            source.append(i)
            continue
        position = b.sub(c.operand(i, "int64"), b.const(before, "int64"))
        conditions = []
        if before:
            conditions.append(b.ge(position, zero))
        if between:
            period = b.const(between + 1, "int64")
            conditions.append(b.eq(b.mod(position, period), zero))
            position = b.floordiv(position, period)
        if after:
            conditions.append(b.lt(position, b.const(n, "int64")))
        for condition in conditions:
            wanted = condition if wanted is None else b.and_(wanted, condition)
        source.append(inside(c, position, n))
    element = c.pull(0, source)
    return element if wanted is None else b.select(wanted, element, outside)


PAD = Primitive(
    "pad",
    shape=_pad_shape,
    numpy=_pad_numpy,
    vjp=_pad_vjp,
    native=Indexed(_pad_element),
)


def _pad_widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """One pair of widths for each dimension, from an int, a pair or a sequence of pairs."""
    try:
        pairs = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    except ValueError:
        raise ShapeError(
            f"pad: pad_width is an int, a pair (before, after), or one pair for each of the {ndim} dimensions; "
            f"got {pad_width!r}."
        ) from None
    if ndim and pairs.dtype.kind not in "iu":
        raise ArgumentError(f"pad: widths are integers; got {pad_width!r}.")
    if (pairs < 0).any():
        raise ArgumentError(f"pad: widths are not negative; got {pad_width!r}.")
    return [(int(a), int(b)) for a, b in pairs]


PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
    """Add elements before and after each dimension.

    Args:
        x: tensor of any shape.
        pad_width: ``(before, after)`` for each dimension; one pair or one int serves them all.
        mode: ``"constant"``, ``"edge"``, ``"reflect"`` (without repeating the edge),
            ``"symmetric"`` (repeating it) or ``"wrap"``.
        constant_values: the value that ``"constant"`` adds, a Python number.

    Raises:
        ArgumentError: an unknown mode or a negative width.

    Example:
        >>> import lamina
        >>> lamina.pad([1, 2, 3], (1, 2)).tolist()
        [0, 1, 2, 3, 0, 0]
        >>> lamina.pad([1, 2, 3], 2, mode="reflect").tolist()
        [3, 2, 1, 2, 3, 2, 1]
    """
    x = as_tensor(x)
    widths = _pad_widths(pad_width, x.ndim)
    if mode not in PAD_MODES:
        raise ArgumentError(f"pad: mode is one of {', '.join(PAD_MODES)}, not {mode!r}.")
    if mode != "constant":
        for axis, pair in enumerate(widths):
            if pair != (0, 0):
                if x.shape[axis] == 0:
                    raise ShapeError(f"pad: mode {mode!r} has nothing to repeat along axis {axis} of size 0.")
                rows = np.pad(np.arange(x.shape[axis]), pair, mode=mode)  # type: ignore[call-overload]
                x = ops.indexing.take(x, wrap(rows), axis)
        return x
    if all(pair == (0, 0) for pair in widths):
        return x
    low, high = tuple(a for a, _ in widths), tuple(b for _, b in widths)
    value = x.dtype.type(constant_values).item()
    return bind(PAD, x, low=low, high=high, interior=(0,) * x.ndim, value=value)


# --- repetition -----------------------------------------------------------------------------------
def tile(x: Any, repetitions: Sequence[int]) -> Any:
    """The whole tensor repeated along each dimension, as often as ``repetitions`` says.

    The shorter of the shape and ``repetitions`` is filled up with ones on the left.

    Example:
        >>> import lamina
        >>> lamina.tile([1, 2], (2, 2)).tolist()
        [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    x = as_tensor(x)
    times = (repetitions,) if isinstance(repetitions, int) else tuple(int(r) for r in repetitions)
    if any(r < 0 for r in times):
        raise ArgumentError(f"tile: repetitions are not negative; got {times}.")
    ndim = max(x.ndim, len(times))
    shape = (1,) * (ndim - x.ndim) + x.shape
    times = (1,) * (ndim - len(times)) + times
    apart = ops.reshape(x, [s for n in shape for s in (1, n)])
    spread = ops.broadcast_to(apart, [s for n, r in zip(shape, times, strict=True) for s in (r, n)])
    return ops.reshape(spread, [n * r for n, r in zip(shape, times, strict=True)])


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated along an axis.

    Args:
        x: tensor of any shape.
        repeats: how often: one integer, or one for each element along the axis.
        axis: the axis; ``None`` flattens first.

    Raises:
        CaptureError: ``repeats`` is a tensor whose values are not known yet (the shape depends on them).

    Example:
        >>> import lamina
        >>> lamina.repeat([1, 2], 2).tolist()
        [1, 1, 2, 2]
        >>> lamina.repeat([1, 2], [3, 1]).tolist()
        [1, 1, 1, 2]
    """
    x = as_tensor(x)
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    axis = normalize_axis("repeat", axis, x.ndim)
    counts = as_tensor(repeats)
    if not dtypes.is_integer(counts.dtype):
        raise DTypeError(f"repeat: repeats are integers; got dtype {counts.dtype}.")
    times = counts._concrete("repeat (whose shape depends on the repeats)")
    if (times < 0).any():
        raise ArgumentError("repeat: repeats are not negative.")
    n = x.shape[axis]
    if times.size == 1:
        r = int(times.item())
        apart = ops.expand_dims(x, axis + 1)
        spread = ops.broadcast_to(apart, (*x.shape[: axis + 1], r, *x.shape[axis + 1 :]))
        return ops.reshape(spread, (*x.shape[:axis], n * r, *x.shape[axis + 1 :]))
    if times.shape != (n,):
        raise ShapeError(f"repeat: axis {axis} has size {n} and repeats has shape {times.shape}.")
    return ops.indexing.take(x, wrap(np.repeat(np.arange(n), times)), axis)


# --- order ----------------------------------------------------------------------------------------
def _flip_element(c: Any, index: Any, node: Any) -> Any:
    axes, shape = node.params["axes"], node.inputs[0].shape
    return c.pull(0, [(n - 1) - i if d in axes else i for d, (i, n) in enumerate(zip(index, shape, strict=True))])


FLIP = Primitive(
    "flip",
    shape=lambda x, axes: Spec(tuple(x.shape), x.dtype),
    numpy=lambda x, axes: np.flip(x, axes),
    vjp=lambda ct, out, x, axes: (flip(ct, axes),),
    native=View(_flip_element, lambda *_: None),  # kernels turn indices round; it has no strides that count upwards
)


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """The order of the elements reversed along ``axis`` (along all axes by default).

    Example:
        >>> import lamina
        >>> lamina.flip([1, 2, 3]).tolist()
        [3, 2, 1]
    """
    x = as_tensor(x)
    wanted = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
    axes = tuple(sorted({normalize_axis("flip", a, x.ndim) for a in wanted}))
    return bind(FLIP, x, axes=axes) if axes else x


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """Elements moved along an axis; those that fall off the end come back at the start.

    Args:
        x: tensor of any shape.
        shift: by how many places towards higher indices; one integer for each axis.
        axis: the axis or axes; ``None`` rolls the flattened tensor and restores its shape.

    Example:
        >>> import lamina
        >>> lamina.roll([1, 2, 3, 4], 1).tolist()
        [4, 1, 2, 3]
    """
    x = as_tensor(x)
    if axis is None:
        if not isinstance(shift, int | np.integer):
            raise ArgumentError("roll: several shifts need as many axes.")
        return ops.reshape(roll(ops.reshape(x, (-1,)), shift, 0), x.shape)
    axes = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    shifts = (shift,) * len(axes) if isinstance(shift, int | np.integer) else tuple(shift)
    if len(axes) != len(shifts):
        raise ArgumentError(f"roll: {len(shifts)} shifts do not fit {len(axes)} axes.")
    for by, a in zip(shifts, axes, strict=True):
        a = normalize_axis("roll", a, x.ndim)
        n = x.shape[a]
        cut = int(by) % n if n else 0
        if cut:
            tail, head = ops.indexing.narrow(x, a, n - cut, n), ops.indexing.narrow(x, a, 0, n - cut)
            x = bind(CONCAT, tail, head, axis=a)
    return x
