"""Elements of different sizes, padded to one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lamina.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from lamina.core.trees import flatten, unflatten
from lamina.data.nodes import Batch, Node, Rows, Run


class PaddedBatch(Batch):
    """Elements put together after they were padded to one shape."""

    def __init__(self, above: Node, size: int, drop_remainder: bool, shapes: Any, values: Any) -> None:
        super().__init__(above, size, drop_remainder)
        check_shapes(shapes)
        self.shapes, self.values = shapes, values

    def source(self) -> Rows | None:
        return None

    def iterate(self, run: Run, skip: int) -> Iterator[Any]:
        elements = self.above.elements(run, skip * self.size)
        while group := list(itertools.islice(elements, self.size)):
            if len(group) == self.size or not self.drop_remainder:
                yield self.put_together(group)

    def put_together(self, group: list[Any]) -> Any:
        return pad_elements(group, self.shapes, self.values)

    def spec(self) -> Any:
        return None


def pad_elements(group: list[Any], shapes: Any = None, values: Any = None, fill: int | None = None) -> Any:
    """Elements of one structure padded at their ends and stacked leaf by leaf.

    With ``fill``, axes of unknown size get it: those that are ``None`` in the shapes, or else all first axes.
    """
    structure = flatten(group[0])[1]
    columns = list(zip(*(flatten(element)[0] for element in group), strict=True))
    wanted = _spread(shapes, len(columns), is_shape=True)
    if fill is not None:
        wanted = [_filled(shape, column[0], fill) for shape, column in zip(wanted, columns, strict=True)]
    padded = zip(columns, wanted, _spread(values, len(columns)), strict=True)
    return unflatten(structure, [_padded(c, s, v) for c, s, v in padded])


def _filled(shape: Any, array: np.ndarray, fill: int) -> Any:
    if shape is None:
        return (fill, *[None] * (array.ndim - 1)) if array.ndim else ()
    return tuple(fill if n in (None, -1) else n for n in shape)


def _spread(given: Any, count: int, is_shape: bool = False) -> list[Any]:
    """What was given for all leaves, or for each."""
    if given is None or (count == 1 and (not isinstance(given, dict) and not (isinstance(given, tuple) and is_shape))):
        found = [given]
    elif is_shape:
        found = _shapes_in(given)
    else:
        found = list(flatten(given)[0]) if isinstance(given, dict | tuple | list) else [given]
    if len(found) not in (1, count):
        what = "padded_shapes" if is_shape else "padding_values"
        raise ShapeError(
            f"padded_batch: {what}={given!r} is for {len(found)} parts, and an element has {count}. "
            "Give one for each part, or one for all."
        )
    return found * count if len(found) == 1 else found


def check_shapes(given: Any) -> None:
    """Raise if ``padded_shapes`` is no shape, nor a tuple, list or dict of such.

    Raises:
        ArgumentTypeError: it holds something else; says how a shape is written.
        ArgumentError: a size is negative.
    """
    if given is None:
        return
    sizes = given if isinstance(given, list | tuple) else None
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, tuple) else ()
    if sizes is not None and all(_is_size(n) for n in sizes):
        wrong = [n for n in sizes if n is not None and n < -1]
        if wrong:
            raise ArgumentError(f"padded_batch: padded_shapes: a size is at least 0, or None; got {wrong[0]}.")
    elif isinstance(given, dict | tuple):
        for part in parts:
            if isinstance(part, int | np.integer):
                raise ArgumentTypeError(_HOW.format(part))
            check_shapes(part)
    else:
        raise ArgumentTypeError(_HOW.format(repr(given)))


_HOW = (
    "padded_batch: padded_shapes is a shape, such as [None, 3] (None for the largest of the batch), or one for each "
    "part of an element: ([None], []). A part without axes has the shape []; a vector of five the shape [5]. Got {}."
)


def _is_size(n: Any) -> bool:
    return n is None or (isinstance(n, int | np.integer) and not isinstance(n, bool))


def _shapes_in(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [shape for part in tree.values() for shape in _shapes_in(part)]
    if isinstance(tree, list) or tree is None or all(_is_size(n) for n in tree):
        return [None if tree is None else tuple(tree)]
    return [shape for part in tree for shape in _shapes_in(part)]


def _padded(arrays: Sequence[np.ndarray], shape: Any, value: Any) -> np.ndarray:
    ndim = arrays[0].ndim
    wanted = [None] * ndim if shape is None else [None if n in (None, -1) else int(n) for n in shape]
    if len(wanted) != ndim:
        raise ShapeError(
            f"padded_batch: the shape {list(shape)} in padded_shapes has {len(wanted)} axes, and an element {ndim}."
        )
    largest = [max(a.shape[axis] for a in arrays) for axis in range(ndim)]
    full = [big if n is None else n for big, n in zip(largest, wanted, strict=True)]
    if any(big > n for big, n in zip(largest, full, strict=True)):
        raise ShapeError(f"padded_batch: an element of shape {tuple(largest)} does not fit into {tuple(full)}.")
    dtype = arrays[0].dtype
    if value is None:
        value = "" if dtype.hasobject else 0
    out = np.full((len(arrays), *full), value if dtype.hasobject else np.asarray(value).item(), dtype)
    for row, array in zip(out, arrays, strict=True):
        if ndim:
            row[tuple(slice(n) for n in array.shape)] = array
    if not ndim:
        out[:] = [array[()] for array in arrays]
    return out
