"""Changing shape: reshape, transpose, broadcast, concatenate, pad, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ShapeError
from lamina.core.lowering import View
from lamina.core.primitive import Primitive, Spec, bind
from lamina.ops.creation import as_shape, as_tensor


def size_of(shape: Sequence[int]) -> int:
    """Number of elements of an array of this shape."""
    n = 1
    for s in shape:
        n *= s
    return n


def normalize_axis(name: str, axis: int, ndim: int) -> int:
    """A non-negative axis.

    Raises:
        ShapeError: the axis does not exist.
    """
    axis = axis.__index__()
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name}: axis {axis} does not exist in a tensor of {ndim} dimensions.")
    return axis % ndim if ndim else 0


# --- reshape ------------------------------------------------------------------------------------
def _reshape_strides(shape: Any, strides: Any, node: Any) -> tuple[int, tuple[int, ...]] | None:
    """Strides of the reshaped view: groups of dimensions of equal size must each be regular."""
    new = node.outputs[0].shape
    out = [0] * len(new)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    i, j = len(old) - 1, len(new) - 1
    while j >= 0:
        if new[j] == 1:
            j -= 1
            continue
        if i < 0:
            return None
        block, step = old[i]
        while j >= 0 and block > 1:
            if new[j] == 1:
                j -= 1
                continue
            while block < new[j] or block % new[j]:  # join the next outer dimension
                i -= 1
                if i < 0 or old[i][1] != old[i + 1][1] * old[i + 1][0]:
                    return None
                block *= old[i][0]
            out[j] = step
            step *= new[j]
            block //= new[j]
            j -= 1
        i -= 1
    return 0, tuple(out)


def _reshape_element(c: Any, index: Any, node: Any) -> Any:
    shape, new = node.inputs[0].shape, node.outputs[0].shape
    # Equal leading and trailing dimensions pass unchanged; only the middle is flattened and cut again.
    lead = 0
    while lead < min(len(shape), len(new)) and shape[lead] == new[lead]:
        lead += 1
    trail = 0
    while trail < min(len(shape), len(new)) - lead and shape[-1 - trail] == new[-1 - trail]:
        trail += 1
    flat: Any = 0
    for i, n in zip(index[lead : len(new) - trail], new[lead : len(new) - trail], strict=True):
        if n != 1:
            flat = i + flat * n if not isinstance(flat, int) or flat else i
    middle = shape[lead : len(shape) - trail]
    outermost = next((d for d, n in enumerate(middle) if n != 1), 0)
    cut: list[Any] = []
    for d in range(len(middle) - 1, -1, -1):
        n = middle[d]
        if n == 1:
            cut.append(0)
        elif d == outermost:
            cut.append(flat)
        else:
            cut.append(flat % n)
            flat = flat // n
    return c.pull(0, [*index[:lead], *cut[::-1], *index[len(new) - trail :]])


RESHAPE = Primitive(
    "reshape",
    shape=lambda x, shape: _check_reshape(x, shape),
    numpy=lambda x, shape: x.reshape(shape).view(),
    vjp=lambda ct, out, x, shape: (reshape(ct, x.shape),),
    native=View(_reshape_element, _reshape_strides),
)


def _check_reshape(x: Any, shape: tuple[int, ...]) -> Spec:
    if size_of(x.shape) != size_of(shape):
        raise ShapeError(
            f"reshape: a tensor of shape {tuple(x.shape)} has {size_of(x.shape)} elements "
            f"and {shape} takes {size_of(shape)}."
        )
    return Spec(shape, x.dtype)


def reshape(x: Any, shape: Any) -> Any:
    """The same elements in row-major order under another shape; one size may be -1.

    Raises:
        ShapeError: the shape holds another number of elements.

    Example:
        >>> import lamina
        >>> lamina.reshape([[1, 2], [3, 4]], (-1,)).shape
        (4,)
    """
    x = as_tensor(x)
    try:
        wanted = (shape,) if isinstance(shape, int | np.integer) else tuple(s.__index__() for s in shape)
    except (AttributeError, TypeError):
        raise ShapeError(f"reshape: a shape is made of integers; got {shape!r}.") from None
    if -1 in wanted:
        known = size_of([s for s in wanted if s != -1])
        total = size_of(x.shape)
        if wanted.count(-1) > 1 or known == 0 or total % known:
            raise ShapeError(f"reshape: {wanted} cannot be completed for a tensor of shape {x.shape}.")
        wanted = tuple(total // known if s == -1 else s for s in wanted)
    wanted = as_shape(wanted)
    return x if wanted == x.shape else bind(RESHAPE, x, shape=wanted)


def expand_dims(x: Any, axis: int | Sequence[int] = 0) -> Any:
    """A new dimension of size 1 at ``axis`` of the result.

    Example:
        >>> import lamina
        >>> lamina.expand_dims(lamina.ones((2, 3)), axis=1).shape
        (2, 1, 3)
    """
    x = as_tensor(x)
    axes = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    ndim = x.ndim + len(axes)
    places = {normalize_axis("expand_dims", a, ndim) for a in axes}
    if len(places) != len(axes):
        raise ShapeError(f"expand_dims: an axis is named twice in {axes}.")
    sizes = iter(x.shape)
    return reshape(x, [1 if d in places else next(sizes) for d in range(ndim)])


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Without the dimensions of size 1 at ``axis`` (all of them by default).

    Example:
        >>> import lamina
        >>> lamina.squeeze(lamina.ones((1, 3, 1)), axis=0).shape
        (3, 1)
    """
    x = as_tensor(x)
    if axis is None:
        return reshape(x, [n for n in x.shape if n != 1])
    axes = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    places = {normalize_axis("squeeze", a, x.ndim) for a in axes}
    for a in places:
        if x.shape[a] != 1:
            raise ShapeError(f"squeeze: axis {a} has size {x.shape[a]}, not 1 (shape {x.shape}).")
    return reshape(x, [n for d, n in enumerate(x.shape) if d not in places])


# --- transpose ----------------------------------------------------------------------------------
TRANSPOSE = Primitive(
    "transpose",
    shape=lambda x, axes: Spec(tuple(x.shape[a] for a in axes), x.dtype),
    numpy=lambda x, axes: x.transpose(axes),
    vjp=lambda ct, out, x, axes: (permute_dims(ct, tuple(axes.index(d) for d in range(len(axes)))),),
    native=View(
        lambda c, index, node: c.pull(0, [index[node.params["axes"].index(d)] for d in range(len(index))]),
        lambda shape, strides, node: (0, tuple(strides[a] for a in node.params["axes"])),
    ),
)


def permute_dims(x: Any, axes: Sequence[int] | None = None) -> Any:
    """The dimensions in another order (reversed by default): ``out.shape[i] == x.shape[axes[i]]``.

    Example:
        >>> import lamina
        >>> lamina.permute_dims(lamina.ones((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    x = as_tensor(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(axes)
    order = tuple(normalize_axis("permute_dims", a, x.ndim) for a in order)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute_dims: {axes} is not an order of the dimensions of shape {x.shape}.")
    return x if order == tuple(range(x.ndim)) else bind(TRANSPOSE, x, axes=order)


def matrix_transpose(x: Any) -> Any:
    """The last two dimensions swapped.

    Example:
        >>> import lamina
        >>> lamina.matrix_transpose(lamina.ones((4, 2, 3))).shape
        (4, 3, 2)
    """
    x = as_tensor(x)
    rank = len(x._data.shape)
    if rank < 2:
        raise ShapeError(f"matrix_transpose takes at least 2 dimensions and got shape {x.shape}.")
    return bind(TRANSPOSE, x, axes=(1, 0) if rank == 2 else (*range(rank - 2), rank - 1, rank - 2))


# --- broadcast ----------------------------------------------------------------------------------
def _broadcast_numpy(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if x.ndim == 0 and x.dtype.kind == "f":  # the seed of a gradient: several times as fast as NumPy's function
        spread: np.ndarray = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        spread.flags.writeable = False
        return spread
    return np.broadcast_to(x, shape)


BROADCAST = Primitive(
    "broadcast_to",
    shape=lambda x, shape: _check_broadcast(x, shape),
    numpy=_broadcast_numpy,
    vjp=lambda ct, out, x, shape: (ops.elementwise.unbroadcast(ct, x),),
    native=View(
        lambda c, index, node: c.pull(0, c.kernel.broadcast(index, node.inputs[0].shape)),
        lambda shape, strides, node: (
            0,
            (0,) * (len(node.outputs[0].shape) - len(shape))
            + tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True)),
        ),
    ),
)


def _check_broadcast(x: Any, shape: tuple[int, ...]) -> Spec:
    kept = shape[len(shape) - len(x.shape) :]
    if len(x.shape) > len(shape) or any(n not in (1, s) for n, s in zip(x.shape, kept, strict=True)):
        raise ShapeError(f"broadcast_to: shape {tuple(x.shape)} does not broadcast to {shape}.")
    return Spec(shape, x.dtype)


def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeat along dimensions of size 1 (and new leading ones) up to ``shape``, by NumPy's rule.

    Example:
        >>> import lamina
        >>> lamina.broadcast_to([1, 2], (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    x, shape = as_tensor(x), as_shape(shape)
    return x if x.shape == shape else bind(BROADCAST, x, shape=shape)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Several tensors, each broadcast to the shape that they have in common.

    Raises:
        ShapeError: the shapes do not broadcast.

    Example:
        >>> import lamina
        >>> [x.shape for x in lamina.broadcast_arrays(lamina.ones((3, 1)), lamina.ones(2))]
        [(3, 2), (3, 2)]
    """
    tensors = [as_tensor(a) for a in arrays]
    if not tensors:
        return ()
    shape = ops.elementwise.broadcast_shapes("broadcast_arrays", *[t.shape for t in tensors])
    return tuple(broadcast_to(t, shape) for t in tensors)


# --- written with the above -----------------------------------------------------------------------
def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes at ``source`` moved to ``destination``; the others keep their order.

    Example:
        >>> import lamina
        >>> lamina.moveaxis(lamina.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = as_tensor(x)
    given = [(a,) if isinstance(a, int | np.integer) else tuple(a) for a in (source, destination)]
    origins, targets = ([normalize_axis("moveaxis", a, x.ndim) for a in axes] for axes in given)
    if len(origins) != len(targets) or len(set(origins)) != len(origins) or len(set(targets)) != len(targets):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must pair distinct axes.")
    order = [d for d in range(x.ndim) if d not in origins]
    for target, origin in sorted(zip(targets, origins, strict=True)):
        order.insert(target, origin)
    return permute_dims(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged.

    Example:
        >>> import lamina
        >>> lamina.swapaxes(lamina.ones((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    x = as_tensor(x)
    a, b = (normalize_axis("swapaxes", axis, x.ndim) for axis in (axis1, axis2))
    order = list(range(x.ndim))
    order[a], order[b] = b, a
    return permute_dims(x, order)


def flatten(x: Any, start_axis: int = 0) -> Any:
    """All dimensions from ``start_axis`` on joined into one.

    Example:
        >>> import lamina
        >>> lamina.flatten(lamina.zeros((2, 3, 4)), start_axis=1).shape
        (2, 12)
    """
    x = as_tensor(x)
    start = normalize_axis("flatten", start_axis, max(x.ndim, 1))
    return reshape(x, (*x.shape[:start], size_of(x.shape[start:])))


def ravel(x: Any) -> Any:
    """All elements in one dimension, in row-major order.

    Example:
        >>> import lamina
        >>> lamina.ravel([[1, 2], [3, 4]]).tolist()
        [1, 2, 3, 4]
    """
    return flatten(x)
