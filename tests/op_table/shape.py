"""Rows of ops that move elements: shape, joining, indexing, creation; and of products."""

from __future__ import annotations

import numpy as np

import lamina
from op_table.case import NUMBERS, M, S, V, both, fixed, normal, row, truth, whole

# --- shape --------------------------------------------------------------------------------------------
T = (2, 3, 4)
row("reshape", lambda x: lamina.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), normal(T), dtypes=NUMBERS)
row("expand_dims", lambda x: lamina.expand_dims(x, 1), lambda x: x[:, None], normal(S))
row("squeeze", lambda x: lamina.squeeze(x, axis=1), lambda x: x[:, 0], normal((2, 1, 3)))
row("permute_dims", lambda x: lamina.permute_dims(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), normal(T))
row("matrix_transpose", lamina.matrix_transpose, lambda x: np.swapaxes(x, -1, -2), normal(T))
row("moveaxis", lambda x: lamina.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), normal(T))
row("swapaxes", lambda x: lamina.swapaxes(x, 0, 2), lambda x: np.swapaxes(x, 0, 2), normal(T))
row("flatten", lamina.flatten, np.ravel, normal(T))
row(
    "broadcast_to", lambda x: lamina.broadcast_to(x, (4, 2, 3)), lambda x: np.broadcast_to(x, (4, 2, 3)), normal((2, 1))
)
row("concat", lambda x, y: lamina.concat([x, y], axis=1), lambda x, y: np.concatenate([x, y], 1), normal(S, (2, 2)))
row(
    "concat/integers",
    lambda x, y: lamina.concat([x, y]),
    lambda x, y: np.concatenate([x, y]),
    whole(0, 9, V, V),
    dtypes=NUMBERS,
)
row("stack", lambda x, y: lamina.stack([x, y], axis=1), lambda x, y: np.stack([x, y], 1), normal(S, S))
row("split", lambda x: lamina.split(x, 2, axis=1)[1] * 2, lambda x: np.split(x, 2, 1)[1] * 2, normal(M))
row("unstack", lambda x: lamina.unstack(x, axis=1)[2], lambda x: x[:, 2], normal(M))
row("pad", lambda x: lamina.pad(x, ((1, 0), (2, 1))), lambda x: np.pad(x, ((1, 0), (2, 1))), normal(S))
row("tile", lambda x: lamina.tile(x, (2, 2)), lambda x: np.tile(x, (2, 2)), normal(S))
row("repeat", lambda x: lamina.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, 1), normal(S))
row("flip", lambda x: lamina.flip(x, axis=1), lambda x: np.flip(x, 1), normal(M))
row("flip/all", lamina.flip, np.flip, normal(M), dtypes=NUMBERS)
row("roll", lambda x: lamina.roll(x, 2, axis=1), lambda x: np.roll(x, 2, 1), normal(M))
row("tril", lambda x: lamina.tril(x, k=1), lambda x: np.tril(x, 1), normal(M))
row("triu", lamina.triu, np.triu, normal(M))
row("astype", lambda x: lamina.astype(x, "float64").astype(x.dtype) * 2, lambda x: x * 2, normal(V))
row(
    "astype/integers",
    lambda x: lamina.astype(x, "int32"),
    lambda x: x.astype(np.int32),
    fixed(np.array([1.7, -1.7, 0.2, 90.0])),
    dtypes=("float32", "float64", "int64", "int8"),
    differentiable=False,
)
row(
    "astype/bool",
    lambda x: lamina.astype(x, "bool"),
    lambda x: x != 0,
    whole(0, 2, V),
    dtypes=NUMBERS,
    differentiable=False,
)
row(
    "astype/from bool",
    lambda x: lamina.astype(x, "int64"),
    lambda x: x.astype(np.int64),
    truth(V),
    dtypes=None,
    differentiable=False,
)

# --- indexing -----------------------------------------------------------------------------------------
row("getitem/slices", lambda x: x[1:, ::2], lambda x: x[1:, ::2], normal(M))
row("getitem/backwards", lambda x: x[::-1, -3:-1], lambda x: x[::-1, -3:-1], normal(M))
row("getitem/integer", lambda x: x[-1], lambda x: x[-1], normal(M))
row("getitem/newaxis", lambda x: x[..., None, 0], lambda x: x[..., None, 0], normal(M))
row("getitem/array", lambda x, i: x[i], lambda x, i: x[i], both(normal(M), fixed(np.array([2, 0, 2, -1]))))
row(
    "getitem/arrays",
    lambda x, i, j: x[i, j],
    lambda x, i, j: x[i, j],
    both(normal(M), fixed(np.array([2, 0, 2]), np.array([1, 3, 1]))),
)
row(
    "take",
    lambda x, i: lamina.take(x, i, axis=1),
    lambda x, i: np.take(x, i, 1),
    both(normal(M), fixed(np.array([[3, 0], [3, -1]]))),
)
for _axis in (1, 2):
    row(
        f"take/axis {_axis} of 3",
        lambda x, i, axis=_axis: lamina.take(x, i, axis=axis),
        lambda x, i, axis=_axis: np.take(x, i, axis),
        both(normal((3, 4, 5)), fixed(np.array([2, -2, 0, 2]))),
    )
row(
    "take_along_axis",
    lambda x, i: lamina.take_along_axis(x, i, axis=1),
    lambda x, i: np.take_along_axis(x, i, 1),
    both(normal(M), fixed(np.array([[0, 3], [1, 1], [2, 0]]))),
)
row(
    "dynamic_slice",
    lambda x, i: lamina.dynamic_slice(x, [i, 1], (2, 2)),
    lambda x, i: x[i : i + 2, 1:3],
    both(normal(M), fixed(np.array(1))),
)
row(
    "dynamic_update_slice",
    lambda x, y, i: lamina.dynamic_update_slice(x, y, [i, 1]),
    lambda x, y, i: np.concatenate([x[:1], np.concatenate([x[1:, :1], y, x[1:, 3:]], 1)]),
    both(normal(M, (2, 2)), fixed(np.array(1))),
)


def _segments(x: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.stack([x[ids == k].sum(0) for k in range(4)])


def _updated(x: np.ndarray, i: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[i] = y
    return x


def _added(x: np.ndarray, i: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = x.copy()
    np.add.at(x, i, y)
    return x


row(
    "segment_sum",
    lambda x, i: lamina.segment_sum(x, i, 4),
    _segments,
    both(normal((5, 2)), fixed(np.array([0, 2, 0, 3, 2]))),
)
row(
    "scatter_update",
    lambda x, i, y: lamina.scatter_update(x, i, y),
    _updated,
    lambda rng: (rng.normal(size=M), np.array([2, 0]), rng.normal(size=(2, 4))),
)
row(
    "scatter_add",
    lambda x, i, y: lamina.scatter_add(x, i, y),
    _added,
    lambda rng: (rng.normal(size=M), np.array([2, 0, 2]), rng.normal(size=(3, 4))),
)
row(
    "one_hot",
    lambda i: lamina.one_hot(i, 4),
    lambda i: np.eye(4)[i],
    fixed(np.array([[0, 3], [1, 1]])),
    dtypes=None,
    differentiable=False,
)
row("diagonal", lambda x: lamina.diagonal(x, offset=1), lambda x: np.diagonal(x, 1), normal(M))

# --- creation -----------------------------------------------------------------------------------------
row("arange", lambda x: lamina.arange(1, 7, 2) + x, lambda x: np.arange(1, 7, 2) + x, normal((3,)), dtypes=("float64",))
row("linspace", lambda x: lamina.linspace(0, 1, 5, dtype=x.dtype) * x, lambda x: np.linspace(0, 1, 5) * x, normal(V))
row("eye", lambda x: lamina.eye(2, 3, dtype=x.dtype) * x, lambda x: np.eye(2, 3) * x, normal(S))
row("full", lambda x: lamina.full((2, 3), 2.5, dtype=x.dtype) * x, lambda x: 2.5 * x, normal(S))

# --- products ---------------------------------------------------------------------------------------------
row("matmul", lamina.matmul, np.matmul, normal((3, 4), (4, 2)), tolerance=64)
row("matmul/vectors", lamina.matmul, np.matmul, normal(V, V), tolerance=64)
row("matmul/matrix vector", lamina.matmul, np.matmul, normal(M, (4,)), tolerance=64)
row("matmul/stacks", lamina.matmul, np.matmul, normal((2, 3, 4), (2, 4, 2)), tolerance=64)
row("matmul/one matrix", lamina.matmul, np.matmul, normal((2, 3, 4), (4, 2)), tolerance=64)
row("matmul/broadcast", lamina.matmul, np.matmul, normal((2, 1, 2, 3), (3, 3, 2)), tolerance=64)
row("matmul/transposed", lambda x, y: x.T @ y, lambda x, y: x.T @ y, normal((4, 3), (4, 2)), tolerance=64)
row(
    "matmul/integers",
    lamina.matmul,
    np.matmul,
    whole(0, 9, (3, 4), (4, 2)),
    dtypes=("int32", "int64"),
    differentiable=False,
)
