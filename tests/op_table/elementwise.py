"""Rows of elementwise ops."""

from __future__ import annotations

import numpy as np
import scipy.special as sp

import lamina
from op_table.case import FLOATS, INTS, NUMBERS, S, V, away, both, fixed, normal, row, truth, uniform, whole

# --- arithmetic -------------------------------------------------------------------------------------
row("add", lamina.add, np.add, normal(S, S))
row("add/broadcast", lamina.add, np.add, normal((2, 1), (3,)))
row("add/integers", lamina.add, np.add, whole(0, 50, V, V), dtypes=INTS, differentiable=False)
row("add/bools", lamina.add, np.add, truth(V, V), dtypes=None, differentiable=False)
row("subtract", lamina.subtract, np.subtract, normal(S, (3,)))
row("subtract/integers", lamina.subtract, np.subtract, whole(0, 50, V, V), dtypes=INTS, differentiable=False)
row("multiply", lamina.multiply, np.multiply, normal(S, (2, 1)))
row("multiply/integers", lamina.multiply, np.multiply, whole(0, 12, V, V), dtypes=INTS, differentiable=False)
row("multiply/bools", lamina.multiply, np.multiply, truth(V, V), dtypes=None, differentiable=False)
row("divide", lamina.divide, np.divide, away(S, (3,)))
row("floor_divide", lamina.floor_divide, np.floor_divide, away(S, (3,)), differentiable=False)
row(
    "floor_divide/integers",
    lamina.floor_divide,
    np.floor_divide,
    both(whole(-40, 40, (40,)), whole(1, 7, (40,))),
    dtypes=("int8", "int32", "int64"),
    differentiable=False,
)
row("remainder", lamina.remainder, np.remainder, away(S, (3,)), tolerance=64)
row(
    "remainder/integers",
    lamina.remainder,
    np.remainder,
    both(whole(-40, 40, (40,)), whole(1, 7, (40,))),
    dtypes=("int8", "int32", "int64"),
    differentiable=False,
)
row("power", lamina.pow, np.power, uniform(0.3, 2.0, S, (3,)), tolerance=32)
row("power/integers", lamina.pow, np.power, whole(0, 4, V, V), dtypes=INTS, differentiable=False)
for _n in (-2, -1, -0.5, 0.5, 1, 2, 3, 4, 2.5):
    row(f"power/{_n}", lambda x, n=_n: x**n, lambda x, n=_n: x**n, uniform(0.4, 2.0, V))
row("power/base", lambda x: 2.0**x, lambda x: 2.0**x, normal(V))
row("square", lamina.square, np.square, normal(V))
row("square/integers", lamina.square, np.square, whole(0, 12, V), dtypes=INTS, differentiable=False)
row("sqrt", lamina.sqrt, np.sqrt, uniform(0.2, 3, V))
row("rsqrt", lamina.rsqrt, lambda x: 1 / np.sqrt(x), uniform(0.2, 3, V))
row("reciprocal", lamina.reciprocal, lambda x: 1 / x, away(V))
row("negative", lamina.negative, np.negative, normal(V))
row("positive", lambda x: lamina.positive(x) * 1, np.positive, normal(V))
row("abs", lamina.abs, np.abs, away(V))
row("abs/integers", lamina.abs, np.abs, whole(-9, 9, V), dtypes=("int32", "int64"), differentiable=False)
row("sign", lamina.sign, np.sign, away(V), dtypes=(*FLOATS, "int32"))
for _name, _oracle in dict(floor=np.floor, ceil=np.ceil, round=np.rint, trunc=np.trunc).items():
    row(_name, getattr(lamina, _name), _oracle, away((9,)))
    row(f"{_name}/halves", getattr(lamina, _name), _oracle, fixed(np.arange(-3, 3, 0.5)), differentiable=False)

# --- comparison, logic, bits ------------------------------------------------------------------------
for _name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    row(
        _name,
        getattr(lamina, _name),
        getattr(np, _name),
        whole(0, 3, (4, 5), (5,)),
        dtypes=NUMBERS,
        differentiable=False,
    )
for _name in ("logical_and", "logical_or", "logical_xor"):
    row(_name, getattr(lamina, _name), getattr(np, _name), truth((8,), (8,)), dtypes=None, differentiable=False)
row("logical_not", lamina.logical_not, np.logical_not, truth((8,)), dtypes=None, differentiable=False)
row("logical_and/numbers", lamina.logical_and, np.logical_and, whole(0, 2, V, V), dtypes=NUMBERS, differentiable=False)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    row(_name, getattr(lamina, _name), getattr(np, _name), whole(0, 99, V, V), dtypes=INTS, differentiable=False)
    row(f"{_name}/bools", getattr(lamina, _name), getattr(np, _name), truth(V, V), dtypes=None, differentiable=False)
row("bitwise_invert", lamina.bitwise_invert, np.invert, whole(0, 99, V), dtypes=INTS, differentiable=False)
row(
    "bitwise_left_shift",
    lamina.bitwise_left_shift,
    np.left_shift,
    both(whole(0, 99, (8,)), whole(0, 8, (8,))),
    dtypes=INTS,
    differentiable=False,
)
row(
    "bitwise_right_shift",
    lamina.bitwise_right_shift,
    np.right_shift,
    both(whole(-99, 99, (8,)), whole(0, 8, (8,))),
    dtypes=("int32", "int64"),
    differentiable=False,
)
SPECIAL = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan])
for _name in ("isnan", "isinf", "isfinite", "signbit"):
    row(_name, getattr(lamina, _name), getattr(np, _name), fixed(SPECIAL[:6]), differentiable=False)
row("isnan/nan", lamina.isnan, np.isnan, fixed(SPECIAL), differentiable=False)
row("copysign", lamina.copysign, np.copysign, away(S, (3,)))
row("nextafter", lamina.nextafter, np.nextafter, away(V, V), dtypes=("float64",), differentiable=False)
row(
    "nan_to_num",
    lambda x: lamina.nan_to_num(x, 7.0, 8.0, 9.0),
    lambda x: np.nan_to_num(x, True, 7, 8, 9),
    fixed(SPECIAL),
    differentiable=False,
)
row("nan_to_num/numbers", lamina.nan_to_num, np.nan_to_num, normal(V))

# --- mathematical functions ---------------------------------------------------------------------------
for _name, _oracle, _make in (
    ("exp", np.exp, normal(V)),
    ("expm1", np.expm1, uniform(-3, 3, (40,))),
    ("exp2", np.exp2, normal(V)),
    ("log", np.log, uniform(0.2, 3, V)),
    ("log1p", np.log1p, uniform(-0.8, 3, (40,))),
    ("log2", np.log2, uniform(0.2, 0.9, V)),
    ("log10", np.log10, uniform(0.2, 0.9, V)),
    ("sin", np.sin, uniform(-3, 3, V)),
    ("cos", np.cos, uniform(-1.4, 1.4, V)),
    ("tan", np.tan, uniform(-1.2, 1.2, V)),
    ("asin", np.arcsin, uniform(-0.9, 0.9, V)),
    ("acos", np.arccos, uniform(-0.9, 0.9, V)),
    ("atan", np.arctan, normal(V)),
    ("sinh", np.sinh, normal(V)),
    ("cosh", np.cosh, normal(V)),
    ("tanh", np.tanh, uniform(-6, 6, (40,))),
    ("asinh", np.arcsinh, normal(V)),
    ("acosh", np.arccosh, uniform(1.2, 4, V)),
    ("atanh", np.arctanh, uniform(-0.9, 0.9, V)),
    ("erf", sp.erf, uniform(-4, 4, (40,))),
    ("lgamma", sp.gammaln, uniform(0.3, 5, V)),
    ("digamma", sp.digamma, uniform(0.3, 5, V)),
):
    _tolerance = 64 if _name in ("lgamma", "digamma", "tan") else 16
    row(_name, getattr(lamina, _name), _oracle, _make, tolerance=_tolerance)
row("lgamma/negative", lamina.lgamma, sp.gammaln, fixed(np.array([-0.5, -1.3, -2.7])), tolerance=64)
row("digamma/negative", lamina.digamma, sp.digamma, fixed(np.array([-0.45, -1.3, -2.7])), tolerance=256)
row("polygamma", lambda x: lamina.polygamma(1, x), lambda x: sp.polygamma(1, x), uniform(0.3, 5, V))
row("atan2", lamina.atan2, np.arctan2, away(S, (3,)))
row("hypot", lamina.hypot, np.hypot, away(S, (3,)))
row("logaddexp", lamina.logaddexp, np.logaddexp, normal(S, (3,)))

# --- choosing -----------------------------------------------------------------------------------------
row("maximum", lamina.maximum, np.maximum, away(S, (3,)), dtypes=(*FLOATS, "int32"))
row("minimum", lamina.minimum, np.minimum, away(S, (3,)), dtypes=(*FLOATS, "int32"))
row("maximum/bools", lamina.maximum, np.maximum, truth(V, V), dtypes=None, differentiable=False)
row("fmax", lamina.fmax, np.fmax, away(S, (3,)))
row("fmin", lamina.fmin, np.fmin, away(S, (3,)))
row("fmin/nan", lamina.fmin, np.fmin, fixed(np.array([1.0, np.nan]), np.array([np.nan, 2.0])), differentiable=False)
row("clip", lambda x: lamina.clip(x, -0.6, 0.8), lambda x: np.clip(x, -0.6, 0.8), away((9,)))
row("clip/low", lambda x: lamina.clip(x, 0.1), lambda x: np.clip(x, 0.1, None), away((9,)))
row("clip/high", lambda x: lamina.clip(x, max=0.1), lambda x: np.clip(x, None, 0.1), away((9,)))
row("clip/tensors", lamina.clip, np.clip, away((4, 5), (5,), (4, 1)))
row(
    "clip/integers",
    lambda x: lamina.clip(x, 2, 5),
    lambda x: np.clip(x, 2, 5),
    whole(0, 9, V),
    dtypes=INTS,
    differentiable=False,
)
row("where", lamina.where, np.where, both(truth(S), normal(S, (3,))))
row("where/scalar", lambda c, x: lamina.where(c, x, 0), lambda c, x: np.where(c, x, 0), both(truth(S), normal(S)))
row("stop_gradient", lambda x: lamina.stop_gradient(x) * x, np.square, normal(V), differentiable=False)
