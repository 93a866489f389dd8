"""Rows of reductions, cumulative ops and sorting."""

from __future__ import annotations

import numpy as np
import scipy.special as sp

import lamina
from op_table.case import INTS, NUMBERS, M, V, away, fixed, normal, row, truth, uniform, whole

# --- reductions -----------------------------------------------------------------------------------------
for _name in ("sum", "mean", "prod", "max", "min", "var", "std"):
    _oracle = getattr(np, _name)
    _make = away((3, 4, 2)) if _name in ("max", "min") else uniform(0.5, 1.5, (3, 4, 2))
    for _axis in (None, 0, -1, (0, 2)):
        row(
            f"{_name}/axis={_axis}",
            lambda x, f=getattr(lamina, _name), a=_axis: f(x, axis=a),
            lambda x, f=_oracle, a=_axis: f(x, axis=a),
            _make,
            tolerance=64,
        )
    row(
        f"{_name}/keepdims",
        lambda x, f=getattr(lamina, _name): f(x, axis=1, keepdims=True),
        lambda x, f=_oracle: f(x, axis=1, keepdims=True),
        _make,
        tolerance=64,
    )
row("var/correction", lambda x: lamina.var(x, correction=1), lambda x: np.var(x, ddof=1), normal(V), tolerance=64)
row(
    "prod/zeros",
    lambda x: lamina.prod(x, axis=1),
    lambda x: np.prod(x, axis=1),
    fixed(np.array([[2.0, 0, 3], [0, 0, 2]])),
)
row("sum/integers", lamina.sum, np.sum, whole(0, 99, M), dtypes=("int8", "int32", "int64"), differentiable=False)
row(
    "sum/bools",
    lambda x: lamina.sum(x, axis=0),
    lambda x: np.sum(x, axis=0),
    truth(M),
    dtypes=None,
    differentiable=False,
)
row(
    "sum/large",
    lambda x: lamina.sum(x, axis=1),
    lambda x: np.sum(x, axis=1),
    uniform(0, 1, (3, 1000)),
    differentiable=False,
)
row("max/integers", lamina.max, np.max, whole(0, 99, M), dtypes=INTS, differentiable=False)
for _name in ("all", "any"):
    for _axis in (None, 1):
        row(
            f"{_name}/axis={_axis}",
            lambda x, f=getattr(lamina, _name), a=_axis: f(x, axis=a),
            lambda x, f=getattr(np, _name), a=_axis: f(x, axis=a),
            truth((4, 2)),
            dtypes=None,
            differentiable=False,
        )
row("max/bools", lamina.max, np.max, truth(M), dtypes=None, differentiable=False)
for _name in ("argmax", "argmin"):
    for _axis in (None, 0, -1):
        row(
            f"{_name}/axis={_axis}",
            lambda x, f=getattr(lamina, _name), a=_axis: f(x, axis=a),
            lambda x, f=getattr(np, _name), a=_axis: f(x, axis=a),
            whole(0, 5, (4, 7)),  # with ties: the first one counts
            dtypes=NUMBERS,
            differentiable=False,
        )
row(
    "count_nonzero",
    lambda x: lamina.count_nonzero(x, axis=0),
    lambda x: np.count_nonzero(x, axis=0),
    whole(0, 2, M),
    dtypes=NUMBERS,
    differentiable=False,
)
row("logsumexp", lamina.logsumexp, sp.logsumexp, normal(M))
row("logsumexp/axis", lambda x: lamina.logsumexp(x, axis=1), lambda x: sp.logsumexp(x, axis=1), normal(M))
row(
    "logsumexp/keepdims",
    lambda x: lamina.logsumexp(x, axis=0, keepdims=True),
    lambda x: sp.logsumexp(x, axis=0, keepdims=True),
    normal(M),
)
for _axis in (0, 1):
    row(
        f"cumulative_sum/{_axis}",
        lambda x, a=_axis: lamina.cumulative_sum(x, axis=a),
        lambda x, a=_axis: np.cumsum(x, a),
        normal(M),
    )
    row(
        f"cumulative_prod/{_axis}",
        lambda x, a=_axis: lamina.cumulative_prod(x, axis=a),
        lambda x, a=_axis: np.cumprod(x, a),
        away(M),
    )
row(
    "cumulative_sum/initial",
    lambda x: lamina.cumulative_sum(x, include_initial=True),
    lambda x: np.concatenate([[0.0], np.cumsum(x)]),
    normal(V),
)
row("cumulative_prod/zeros", lamina.cumulative_prod, np.cumprod, fixed(np.array([2.0, 0, 3, 0, 5])))

# --- sorting ----------------------------------------------------------------------------------------------
row("sort", lamina.sort, np.sort, away(M))
row("sort/axis", lambda x: lamina.sort(x, axis=0, descending=True), lambda x: -np.sort(-x, axis=0), away(M))
row(
    "argsort",
    lamina.argsort,
    lambda x: np.argsort(x, kind="stable"),
    whole(0, 4, (3, 9)),
    dtypes=NUMBERS,
    differentiable=False,
)
row(
    "argsort/descending",
    lambda x: lamina.argsort(x, descending=True),
    lambda x: np.argsort(-x.astype(np.float64), kind="stable"),
    whole(0, 4, (3, 9)),
    dtypes=NUMBERS,
    differentiable=False,
)
row("top_k", lambda x: lamina.top_k(x, 2)[0], lambda x: -np.sort(-x)[..., :2], away(M))
row(
    "top_k/indices",
    lambda x: lamina.top_k(x, 3)[1],
    lambda x: np.argsort(-x, kind="stable")[..., :3],
    away(M),
    differentiable=False,
)
for _side in ("left", "right"):
    row(
        f"searchsorted/{_side}",
        lambda x, v, s=_side: lamina.searchsorted(lamina.sort(x), v, side=s),
        lambda x, v, s=_side: np.searchsorted(np.sort(x), v, side=s),
        whole(0, 6, (9,), (2, 3)),
        dtypes=NUMBERS,
        differentiable=False,
    )
row(
    "bincount",
    lambda x: lamina.bincount(x, 6),
    lambda x: np.bincount(x, minlength=6),
    whole(0, 6, (9,)),
    dtypes=("int32", "int64"),
    differentiable=False,
)
