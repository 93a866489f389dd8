"""``x[key]``: NumPy's indexing, taken apart into slices, reshapes and one gather."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core import primitive as core
from lamina.core.errors import CaptureError, DTypeError, OutOfBoundsError, ShapeError
from lamina.core.primitive import bind, user_location, wrap
from lamina.ops.creation import as_tensor
from lamina.ops.shape import size_of


def index_array(item: Any) -> Any:
    """An index that is an array, as a Tensor of integers or bools; ``None`` for any other kind.

    Raises:
        DTypeError: it is an array of something else.
    """
    if item is None or item is Ellipsis or isinstance(item, slice | tuple):
        return None
    if isinstance(item, int | np.integer) and type(item) is not bool:
        return None
    tensor = as_tensor(item)
    if dtypes.is_bool(tensor.dtype):
        return tensor
    return ops.indexing.integer_indices("x[...]", tensor)


def getitem(x: Any, key: Any) -> Any:
    """``x[key]`` as in NumPy.

    Args:
        x: tensor.
        key: integers, slices, ``...``, ``None``, integer arrays and boolean masks, or a tuple of them.

    Raises:
        OutOfBoundsError: an index lies outside its dimension.  (Compiled code takes the nearest element in place of
            one that an integer tensor points outside to.)
        ShapeError: more indices than dimensions, or arrays that do not broadcast.
        CaptureError: a boolean mask whose values are not known yet (the shape would depend on them).

    Example:
        >>> import lamina
        >>> x = lamina.tensor([[1, 2, 3], [4, 5, 6]])
        >>> x[1, ::2].tolist(), x[:, [2, 0]].tolist()
        ([4, 6], [[3, 1], [6, 4]])
        >>> x[x > 3].tolist()
        [4, 5, 6]
    """
    x = as_tensor(x)
    items = _expand(key if type(key) is tuple else (key,), x)
    if any(isinstance(item, core._tensor_class | _NewAxis) for item in items):
        return _gather(x, items)
    return _basic(x, items)


def _expand(key: tuple[Any, ...], x: Any) -> list[Any]:
    """The key with the ellipsis written out, and arrays as Tensors of integers.

    What comes back takes one dimension each, except ``None`` and ``...``, which take none.
    """
    items: list[Any] = []
    for item in key:
        array = index_array(list(item) if isinstance(item, tuple) else item)
        items.append(item if array is None else array)
    taken = sum(_dimensions(item) for item in items)
    if taken > x.ndim:
        raise ShapeError(f"x[...]: {taken} indices for a tensor of {x.ndim} dimensions (shape {x.shape}).")
    dots = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise ShapeError("x[...]: an index holds at most one ellipsis.")
    place = dots[0] if dots else len(items)
    # An ellipsis that stands for nothing stays: it still parts the arrays on its two sides.
    items[place : place + 1] = [slice(None)] * (x.ndim - taken) or items[place : place + 1]
    out: list[Any] = []
    dimension = 0
    for item in items:
        if isinstance(item, core._tensor_class) and dtypes.is_bool(item.dtype):
            out += _mask_to_indices(item, x.shape[dimension : dimension + item.ndim], dimension)
        else:
            out.append(item)
        dimension += _dimensions(item)
    return out


def _dimensions(item: Any) -> int:
    """How many dimensions of the tensor an index takes."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, core._tensor_class) and dtypes.is_bool(item.dtype):
        return int(item.ndim)
    return 1


def _mask_to_indices(mask: Any, shape: tuple[int, ...], dimension: int) -> list[Any]:
    """The positions where a mask is true, one integer array for each of its dimensions."""
    if mask.is_symbolic:
        raise CaptureError(
            f"A boolean mask of shape {mask.shape} selects elements while a graph is being captured "
            f"(at {user_location()}); the shape of the result would depend on its values. "
            "Use lamina.where(mask, x, other), which keeps the shape."
        )
    if mask.shape != shape:
        raise ShapeError(
            f"x[mask]: the mask has shape {mask.shape} and the dimensions it selects from "
            f"(from dimension {dimension}) have {shape}."
        )
    if mask.ndim == 0:  # a new dimension of size 1 or 0
        return [_NewAxis(wrap(np.zeros(int(mask._data), np.int64)))]
    return [wrap(i) for i in np.nonzero(mask._data)]


class _NewAxis:
    """An array index into a new dimension of size 1: what a 0-d mask is."""

    def __init__(self, indices: Any) -> None:
        self.indices = indices


def _position(item: Any, n: int, dimension: int) -> int:
    """A Python integer index, wrapped and checked."""
    i = int(item)
    if not -n <= i < n:
        raise OutOfBoundsError(f"x[...]: index {i} is out of bounds for dimension {dimension} with size {n}.")
    return i + n if i < 0 else i


def _basic(x: Any, items: list[Any]) -> Any:
    """Slices, integers and ``None``."""
    starts, stops, steps, flipped, shape = [], [], [], [], []
    dimension = 0
    for item in items:
        if item is None:
            shape.append(1)
        if item is None or item is Ellipsis:
            continue
        n = x.shape[dimension]
        if isinstance(item, slice):
            start, stop, step = _slice_bounds(item, n)
            count = len(range(start, stop, step))
            shape.append(count)
            if step < 0:  # the same elements in ascending order, then flipped
                start, stop, step = start + (count - 1) * step, start + 1, -step
                if count > 1:
                    flipped.append(dimension)
            start, stop = (start, start + (count - 1) * step + 1) if count else (0, 0)
        else:
            start = _position(item, n, dimension)
            stop, step = start + 1, 1
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        dimension += 1
    out = ops.indexing.strided_slice(x, tuple(starts), tuple(stops), tuple(steps))
    if flipped:
        out = bind(ops.joining.FLIP, out, axes=tuple(flipped))
    return ops.reshape(out, shape)


def _slice_bounds(item: slice, n: int) -> tuple[int, int, int]:
    try:
        return item.indices(n)
    except TypeError:
        raise DTypeError(f"x[...]: the bounds of a slice are integers or None; got {item}.") from None
    except ValueError:
        raise ShapeError(f"x[...]: the step of a slice is not zero; got {item}.") from None


def _gather(x: Any, items: list[Any]) -> Any:
    """An index that holds integer arrays: slices first, then one ``take`` over the joined dimensions.

    As in NumPy, integers beside arrays count as arrays, and the arrays' dimensions stand where the
    arrays stood if these were neighbours, else first.
    """
    basic: list[Any] = []
    arrays: list[tuple[int, Any]] = []  # dimension after the basic part, indices
    places: list[int] = []  # where the arrays stand in the key
    dimension = 0  # of x
    for place, item in enumerate(items):
        if item is Ellipsis:
            continue
        if item is None or isinstance(item, slice):
            basic.append(item)
        else:
            if isinstance(item, _NewAxis):
                indices = item.indices
            elif isinstance(item, core._tensor_class):
                indices = item
            else:
                indices = wrap(np.asarray(_position(item, x.shape[dimension], dimension)))
            arrays.append((len(basic), indices))
            places.append(place)
            basic.append(None if isinstance(item, _NewAxis) else slice(None))
        dimension += 0 if item is None or isinstance(item, _NewAxis) else 1
    x = _basic(x, basic)
    axes = [d for d, _ in arrays]
    sizes = [x.shape[d] for d in axes]
    adjacent = places == list(range(places[0], places[-1] + 1))
    indices = _joined_indices([i for _, i in arrays], sizes, axes)
    if len(arrays) == 1:
        return ops.indexing.take(x, indices, axes[0])
    front = axes[0] if adjacent else 0
    rest = [d for d in range(x.ndim) if d not in axes]
    x = ops.permute_dims(x, [*rest[:front], *axes, *rest[front:]])
    x = ops.reshape(x, (*x.shape[:front], size_of(sizes), *x.shape[front + len(axes) :]))
    return bind(ops.indexing.TAKE, x, indices, axis=front)


def _joined_indices(arrays: list[Any], sizes: list[int], axes: list[int]) -> Any:
    """One array of row-major positions for several index arrays."""
    if len(arrays) == 1:
        return arrays[0]
    try:
        shape = np.broadcast_shapes(*[a.shape for a in arrays])
    except ValueError:
        listed = ", ".join(str(a.shape) for a in arrays)
        raise ShapeError(f"x[...]: index arrays of shapes {listed} do not broadcast against each other.") from None
    total: Any = None
    for array, n, axis in zip(arrays, sizes, axes, strict=True):
        position = ops.indexing._in_bounds("x[...]", array, n, axis)
        total = position if total is None else ops.add(ops.multiply(total, n), position)
    return ops.broadcast_to(total, shape)
