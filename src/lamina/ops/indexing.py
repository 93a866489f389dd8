"""Indexing, gathering and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, ShapeError
from lamina.core.lowering import Indexed
from lamina.core.primitive import NOT_DIFFERENTIABLE, Primitive, Spec, bind, ndarray, unsupported
from lamina.ops.creation import as_tensor
from lamina.ops.shape import normalize_axis


# --- take ---------------------------------------------------------------------------------------
def _take_numpy(x: ndarray, indices: ndarray, axis: int) -> ndarray:
    size = x.shape[axis]
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        bad = indices[(indices < 0) | (indices >= size)].reshape(-1)[0]
        raise ArgumentError(f"take: index {bad} is outside axis {axis} of size {size}.")
    return np.take(x, indices, axis=axis)


def _take_element(c: Any, index: Any, node: Any) -> Any:
    axis, rank = node.params["axis"], len(node.inputs[1].shape)
    position = c.index(c.pull(1, list(index[axis : axis + rank])))
    return c.pull(0, [*index[:axis], position, *index[axis + rank :]])


TAKE = Primitive(
    "take",
    shape=lambda x, indices, axis: Spec((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype),
    numpy=_take_numpy,
    vjp=lambda ct, out, x, indices, axis: (bind(TAKE_ADJOINT, ct, indices, axis=axis, size=x.shape[axis]), None),
    native=Indexed(_take_element),
)


def _take_adjoint_numpy(ct: ndarray, indices: ndarray, axis: int, size: int) -> ndarray:
    rank = indices.ndim
    out = np.zeros((*ct.shape[:axis], size, *ct.shape[axis + rank :]), ct.dtype)
    np.add.at(np.moveaxis(out, axis, 0), indices, np.moveaxis(ct, range(axis, axis + rank), range(rank)))
    return out


TAKE_ADJOINT = Primitive(
    "take_adjoint",
    shape=lambda ct, indices, axis, size: Spec(
        (*ct.shape[:axis], size, *ct.shape[axis + len(indices.shape) :]), ct.dtype
    ),
    numpy=_take_adjoint_numpy,
    vjp=lambda ct, out, x, indices, axis, size: (bind(TAKE, ct, indices, axis=axis), None),
    native=unsupported("rows that are hit twice must be added in order"),
)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements (or whole slices) at integer positions along an axis.

    Args:
        x: tensor of shape (..., n, ...).
        indices: integers of any shape; negative ones count from the end.
        axis: the axis of size n; by default ``x`` is flattened first.

    Raises:
        ArgumentError: an index lies outside the axis.
    """
    x, indices = as_tensor(x), as_tensor(indices)
    if not dtypes.is_integer(indices.dtype):
        raise DTypeError(f"take: indices are integers, not {indices.dtype}.")
    if axis is None:
        x, axis = ops.reshape(x, (-1,)), 0
    axis = normalize_axis("take", axis, x.ndim)
    if indices.is_symbolic:
        if indices.dtype.kind == "i":
            indices = ops.where(indices < 0, indices + x.shape[axis], indices)
    elif indices.size and indices._data.min() < 0:
        indices = ops.where(indices < 0, indices + x.shape[axis], indices)
    return bind(TAKE, x, indices, axis=axis)


# --- dynamic_slice ------------------------------------------------------------------------------
def _dynamic_slice_numpy(x: ndarray, *starts: ndarray, sizes: tuple[int, ...]) -> ndarray:
    at = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, x.shape, sizes, strict=True)]
    return x[tuple(slice(a, a + size) for a, size in zip(at, sizes, strict=True))].copy()


def _dynamic_slice_element(c: Any, index: Any, node: Any) -> Any:
    position = []
    for d, (i, n, size) in enumerate(zip(index, node.inputs[0].shape, node.params["sizes"], strict=True)):
        start = c.b.cast(c.pull(d + 1, []), "int64")
        start = c.b.max(c.b.const(0, "int64"), c.b.min(start, c.b.const(n - size, "int64")))
        position.append(c.index(start) + i)
    return c.pull(0, position)


DYNAMIC_SLICE = Primitive(
    "dynamic_slice",
    shape=lambda x, *starts, sizes: Spec(sizes, x.dtype),
    numpy=_dynamic_slice_numpy,
    vjp=lambda ct, out, x, *starts, sizes: (
        bind(DYNAMIC_SLICE_ADJOINT, ct, *starts, shape=x.shape),
        *[None for _ in starts],
    ),
    native=Indexed(_dynamic_slice_element),
)


def _dynamic_slice_adjoint_numpy(ct: ndarray, *starts: ndarray, shape: tuple[int, ...]) -> ndarray:
    out = np.zeros(shape, ct.dtype)
    at = [min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, ct.shape, strict=True)]
    out[tuple(slice(a, a + size) for a, size in zip(at, ct.shape, strict=True))] = ct
    return out


DYNAMIC_SLICE_ADJOINT = Primitive(
    "dynamic_slice_adjoint",
    shape=lambda ct, *starts, shape: Spec(shape, ct.dtype),
    numpy=_dynamic_slice_adjoint_numpy,
    vjp=lambda ct, out, x, *starts, shape: (
        bind(DYNAMIC_SLICE, ct, *starts, sizes=x.shape),
        *[None for _ in starts],
    ),
    native=unsupported("it is rare: NumPy's meaning is called in place"),
)


def dynamic_slice(x: Any, starts: Any, sizes: Any) -> Any:
    """A block of fixed sizes whose start is computed: ``x[s0:s0+n0, s1:s1+n1, ...]``.

    A start that would leave the array is moved so that the block fits, as in XLA.

    Args:
        x: tensor.
        starts: for each dimension an integer or an integer tensor of shape ().
        sizes: for each dimension how many elements.
    """
    x = as_tensor(x)
    begin = [as_tensor(s) for s in starts]
    sizes = tuple(s.__index__() for s in sizes)
    if len(begin) != x.ndim or len(sizes) != x.ndim:
        raise ShapeError(f"dynamic_slice: {x.ndim} starts and sizes are needed for shape {x.shape}.")
    if any(n > m for n, m in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"dynamic_slice: sizes {sizes} are larger than shape {x.shape}.")
    return bind(DYNAMIC_SLICE, x, *begin, sizes=sizes)


__all__ = ["NOT_DIFFERENTIABLE", "dynamic_slice", "take"]
