"""Matrix products and what is written with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina import ops
from lamina.core.errors import ShapeError
from lamina.core.lowering import Contraction
from lamina.core.primitive import Primitive, Spec, bind
from lamina.ops.creation import operands


def _matmul_shape(x: Any, y: Any) -> Spec:
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul: shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit: "
            f"the last size of the first ({x.shape[-1]}) must equal the last but one of the second ({y.shape[-2]})."
        )
    return Spec((*x.shape[:-1], y.shape[-1]), x.dtype)


MATMUL = Primitive(
    "matmul",
    shape=_matmul_shape,
    numpy=np.matmul,
    vjp=lambda ct, out, x, y: (matmul(ct, ops.matrix_transpose(y)), matmul(ops.matrix_transpose(x), ct)),
    native=Contraction(),
)


def matmul(x: Any, y: Any) -> Any:
    """The matrix product; vectors and leading batch dimensions as in NumPy.

    Args:
        x: shape (..., m, k) or (k,).
        y: shape (..., k, n) or (k,).
    """
    x, y = operands(x, y)
    if x.ndim == 2 and y.ndim == 2:
        return bind(MATMUL, x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"matmul takes no scalars; got shapes {x.shape} and {y.shape}. Use * for scaling.")
    if x.ndim == 1 and y.ndim == 1:
        return ops.reshape(matmul(ops.reshape(x, (1, -1)), ops.reshape(y, (-1, 1))), ())
    if x.ndim == 1:
        return ops.squeeze(matmul(ops.expand_dims(x, 0), y), -2)
    if y.ndim == 1:
        return ops.squeeze(matmul(x, ops.expand_dims(y, -1)), -1)
    if y.ndim == 2:
        if x.shape[-1] != y.shape[0]:
            _matmul_shape(x, y)
        flat = bind(MATMUL, ops.reshape(x, (ops.shape.size_of(x.shape[:-1]), x.shape[-1])), y)
        return ops.reshape(flat, (*x.shape[:-1], y.shape[-1]))
    batch = ops.elementwise.broadcast_shapes("matmul", x.shape[:-2], y.shape[:-2])
    x = ops.broadcast_to(x, batch + x.shape[-2:])
    y = ops.broadcast_to(y, batch + y.shape[-2:])
    return bind(MATMUL, x, y)
