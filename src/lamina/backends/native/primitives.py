"""Primitives that only the native backend has: what products read, made after differentiation."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.core.lowering import Contraction, Elementwise, Indexed, Joined
from lamina.core.primitive import Primitive, Spec, unsupported
from lamina.graph.ir import Node
from lamina.ops.attention import ATTENTION, ATTENTION_GRADIENT
from lamina.ops.conv import CONV, CONV_WEIGHTS
from lamina.ops.joining import CONCAT

COPY = Primitive(
    "copy",
    shape=lambda x: Spec(x.shape, x.dtype),
    numpy=lambda x: x.copy(),
    vjp=lambda ct, out, x: (ct,),
    native=Elementwise(lambda b, x: x),
)


def _to_panels(x: np.ndarray, width: int) -> np.ndarray:
    *batch, k, n = x.shape
    count = -(-n // width)
    padded = np.zeros((*batch, k, count * width), x.dtype)
    padded[..., :n] = x
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*batch, k, count, width), -2, -3))


def _panel_element(c: Any, index: list[Any], node: Node) -> Any:
    """Panel ``p``, row ``k``, lane ``j`` is element ``(k, p * width + j)``; past the end, the last column."""
    *batch, p, k, j = index
    n, width = node.inputs[0].shape[-1], node.params["width"]
    column = p * width + j
    if n % width:
        b = c.b
        column = c.index(b.min(c.operand(column, "int64"), b.const(n - 1, "int64")))
    return c.pull(0, [*batch, k, column])


PANELS, KEPT_PANELS = (  # the second of weights that the graph does not write: made once and kept until somebody does
    Primitive(
        name,
        shape=lambda x, width: Spec((*x.shape[:-2], -(-x.shape[-1] // width), x.shape[-2], width), x.dtype),
        numpy=_to_panels,
        vjp=unsupported("it is made after differentiation"),
        native=Indexed(_panel_element),
    )
    for name in ("panels", "kept_panels")
)

MATMUL_PANELS = Primitive(
    "matmul_panels",
    shape=lambda a, b, n: Spec((*a.shape[:-1], n), a.dtype),
    numpy=lambda a, b, n: a @ np.moveaxis(b, -3, -2).reshape(*b.shape[:-3], b.shape[-2], -1)[..., :n],
    vjp=unsupported("it is made after differentiation"),
    native=Contraction(),
)


def _row_numbers(b: Any, i: Any, size: int) -> Any:
    """Row numbers in bounds, as int64; negative ones count from the end."""
    zero = b.const(0, np.int64)
    i = b.cast(i, np.int64)
    i = b.select(b.lt(i, zero), b.add(i, b.const(size, np.int64)), i)
    return b.max(zero, b.min(i, b.const(size - 1, np.int64)))


ROW_NUMBERS = Primitive(
    "row_numbers",
    shape=lambda rows, size: Spec(rows.shape, np.dtype(np.int64)),
    numpy=lambda rows, size: np.clip(np.where(rows < 0, rows + size, rows), 0, size - 1).astype(np.int64),
    vjp=unsupported("it is made after differentiation"),
    native=Elementwise(_row_numbers),
)

MATMUL_ROWS = Primitive(
    "matmul_rows",
    shape=lambda x, rows, b, transposed: Spec(
        (x.shape[1] if transposed else rows.shape[0], b.shape[-1]), x.dtype
    ),
    numpy=lambda x, rows, b, transposed: (x[rows].T if transposed else x[rows]) @ b,
    vjp=unsupported("it is made after differentiation"),
    native=Contraction(),
)

MATMUL_TURNED = Primitive(
    "matmul_turned",
    shape=lambda a, b: Spec((*a.shape[:-1], b.shape[-2]), a.dtype),
    numpy=lambda a, b: a @ np.swapaxes(b, -1, -2),
    vjp=unsupported("it is made after differentiation"),
    native=Contraction(),
)


def _as_matrix(w: np.ndarray, form: str, columns: int) -> np.ndarray:
    """A right operand as windows by filters."""
    if form == "turned":
        return w.T
    return np.moveaxis(w, -3, -2).reshape(w.shape[-2], -1)[:, :columns] if form == "panels" else w


# ``form`` says how the kernel lies: "rows" (windows by filters), "panels" of that, or "turned" (filters by windows).
CONV_PANELS = Primitive(
    "conv_panels",
    shape=lambda x, w, strides, padding, dilation, kernel, out, filters, form: Spec(
        (x.shape[0], *out, filters), x.dtype
    ),
    numpy=lambda x, w, strides, padding, dilation, kernel, out, filters, form: CONV.numpy(
        x,
        _as_matrix(w, form, filters).reshape(*kernel, x.shape[-1], filters),
        strides=strides,
        padding=padding,
        dilation=dilation,
    ),
    vjp=unsupported("it is made after differentiation"),
    native=Contraction(),
)

CONV_WEIGHTS_PANELS = Primitive(
    "conv_weights_panels",
    shape=lambda x, ct, filters, **params: Spec((*params["kernel"], x.shape[-1], filters), x.dtype),
    numpy=lambda x, ct, filters, **params: CONV_WEIGHTS.numpy(
        x,
        np.moveaxis(ct, -3, -2).reshape(ct.shape[-2], -1)[:, :filters].reshape(x.shape[0], *params["out"], filters),
        **params,
    ),
    vjp=unsupported("it is made after differentiation"),
    native=Contraction(),
)

JOIN = Primitive(
    "join",
    shape=lambda *parts, axis: CONCAT.shape(*parts, axis=axis),
    numpy=lambda *parts, axis: CONCAT.numpy(*parts, axis=axis),
    vjp=unsupported("it is made after differentiation"),
    native=Joined(),
)


def _steps_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(..., heads, steps, size) as (..., steps, heads, size)."""
    return (*shape[:-3], shape[-2], shape[-3], shape[-1])


def _attention_specs(specs: list[Spec], steps: tuple[int, ...], splits: int = 1) -> list[Spec]:
    specs = [Spec(_steps_first(s.shape), s.dtype) if i in steps else s for i, s in enumerate(specs)]
    return [Spec((splits, *specs[0].shape), specs[0].dtype), *specs[1:]] if splits > 1 else specs


def _attention_arrays(arrays: tuple[np.ndarray, ...], steps: tuple[int, ...], splits: int = 1) -> Any:
    arrays = tuple(np.swapaxes(a, -3, -2) if i in steps else a for i, a in enumerate(arrays))
    if splits == 1:
        return arrays
    parts = np.zeros((splits, *arrays[0].shape), arrays[0].dtype)
    parts[0] = arrays[0]
    return parts, *arrays[1:]


# The outputs with the numbers in ``steps`` are stored with the heads of each step beside each other.
ATTENTION_LAID_OUT = Primitive(
    "attention_laid_out",
    shape=lambda *xs, steps, **params: _attention_specs(ATTENTION.shape(*xs, **params), steps),
    numpy=lambda *xs, steps, **params: _attention_arrays(ATTENTION.numpy(*xs, **params), steps),
    vjp=unsupported("it is made after differentiation"),
    native=ATTENTION.native,
)

# The query's gradient comes in as many parts as ranges of keys are worked on apart; the parts are to be added up.
ATTENTION_GRADIENT_LAID_OUT = Primitive(
    "attention_gradient_laid_out",
    shape=lambda *xs, steps, splits, **params: _attention_specs(
        ATTENTION_GRADIENT.shape(*xs, **params), steps, splits
    ),
    numpy=lambda *xs, steps, splits, **params: _attention_arrays(
        ATTENTION_GRADIENT.numpy(*xs, **params), steps, splits
    ),
    vjp=unsupported("it is made after differentiation"),
    native=ATTENTION_GRADIENT.native,
)
