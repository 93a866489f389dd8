"""The one table of ops that drives their tests: values, dtypes, compiled against eager, gradients.

A row names an op, makes its arguments, and gives the same function written with NumPy or SciPy,
which knows nothing of Lamina.  ``tests/ops/test_op_table.py`` runs every row through eager mode,
through each backend, and through numerical differentiation to second order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special as sp

import lamina
from lamina import nn

Arguments = tuple[Any, ...]
Maker = Callable[[np.random.Generator], Arguments]

FLOATS = ("float32", "float64")
INTS = ("int32", "int64", "uint8")
NUMBERS = FLOATS + INTS


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        label: unique name of the row.
        function: takes the arguments as Tensors (or whatever else the maker gives).
        oracle: takes the same arguments as arrays of float64 (or of their integer dtype).
        make: makes the arguments; float arrays are float64 and are cast to each dtype under test.
        dtypes: dtypes of the array arguments to test; ``None`` leaves them as they are made.
        differentiable: check gradients numerically to first and second order.
        tolerance: relative error of values, in units in the last place of the dtype.
    """

    label: str
    function: Callable[..., Any]
    oracle: Callable[..., Any]
    make: Maker
    dtypes: tuple[str, ...] | None = FLOATS
    differentiable: bool = True
    tolerance: float = 16


CASES: list[Case] = []


def row(label: str, function: Any, oracle: Any, make: Maker, **flags: Any) -> None:
    """Add a row to the table."""
    assert all(c.label != label for c in CASES), f"two rows are labelled {label!r}"
    CASES.append(Case(label, function, oracle, make, **flags))


# --- makers of arguments ----------------------------------------------------------------------------
Shapes = Sequence[tuple[int, ...]]


def normal(*shapes: tuple[int, ...]) -> Maker:
    """Standard normal numbers."""
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def uniform(low: float, high: float, *shapes: tuple[int, ...]) -> Maker:
    """Numbers spread evenly over an interval."""
    return lambda rng: tuple(rng.uniform(low, high, size=s) for s in shapes)


def away(*shapes: tuple[int, ...]) -> Maker:
    """Numbers of both signs, at least 0.2 from 0 and from each other: no ties and no kinks nearby."""

    def make(rng: np.random.Generator) -> Arguments:
        sizes = [int(np.prod(s)) for s in shapes]
        n = sum(sizes)
        values = (0.2 + 0.25 * np.arange(n)) * rng.choice([-1.0, 1.0], n)
        values = rng.permutation(values) / max(1, n / 12)
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return tuple(p.reshape(s) for p, s in zip(parts, shapes, strict=True))

    return make


def whole(low: int, high: int, *shapes: tuple[int, ...]) -> Maker:
    """Whole numbers in ``[low, high)``, which every dtype under test holds exactly."""
    return lambda rng: tuple(rng.integers(low, high, size=s).astype(np.float64) for s in shapes)


def truth(*shapes: tuple[int, ...]) -> Maker:
    """Bools."""
    return lambda rng: tuple(rng.integers(0, 2, size=s).astype(bool) for s in shapes)


def both(*makers: Maker) -> Maker:
    """The arguments of several makers in a row."""
    return lambda rng: tuple(a for make in makers for a in make(rng))


def fixed(*values: Any) -> Maker:
    """These very arguments."""
    return lambda rng: values


S, V, M = (2, 3), (5,), (3, 4)


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


# --- neural networks ----------------------------------------------------------------------------------------
def _gelu(x: Any) -> Any:
    return x * sp.ndtr(x)


def _gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0)


for _name, _oracle in {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    "celu": _elu,
    "silu": lambda x: x * sp.expit(x),
    "gelu": _gelu_tanh,
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "sigmoid": sp.expit,
    "log_sigmoid": sp.log_expit,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "step": lambda x: (x > 0) * 1.0,
    "softmax": lambda x: sp.softmax(x, -1),
    "log_softmax": lambda x: sp.log_softmax(x, -1),
}.items():
    # Beyond 6 and below -3, with no number on a kink.
    row(
        f"nn.{_name}",
        getattr(nn, _name),
        _oracle,
        lambda rng: (np.concatenate([away((12,))(rng)[0], [6.3, -3.7, 3.9]]),),
        tolerance=64,
    )
row("nn.gelu/erf", lambda x: nn.gelu(x, approximate=False), _gelu, normal((9,)), tolerance=64)
row(
    "nn.celu/alpha",
    lambda x: nn.celu(x, 0.5),
    lambda x: np.where(x > 0, x, 0.5 * np.expm1(np.minimum(x, 0) / 0.5)),
    away((9,)),
)
row("nn.threshold", lambda x: nn.threshold(x, 0.1, 7.0), lambda x: np.where(x > 0.1, x, 7.0), away((9,)))
row("nn.softmax/axis", lambda x: nn.softmax(x, axis=0), lambda x: sp.softmax(x, 0), normal(M))
row(
    "nn.log_softmax/axes",
    lambda x: nn.log_softmax(x, axis=(0, 1)),
    lambda x: sp.log_softmax(x, (0, 1)),
    normal((3, 2, 2)),
)
row(
    "nn.sparse_softmax_cross_entropy_with_logits",
    nn.sparse_softmax_cross_entropy_with_logits,
    lambda labels, x: -np.take_along_axis(sp.log_softmax(x, -1), labels[..., None], -1)[..., 0],
    lambda rng: (rng.integers(0, 4, (3,)), rng.normal(size=M)),
)
row(
    "nn.softmax_cross_entropy_with_logits",
    nn.softmax_cross_entropy_with_logits,
    lambda labels, x: -(labels * sp.log_softmax(x, -1)).sum(-1),
    lambda rng: (sp.softmax(rng.normal(size=M), -1), rng.normal(size=M)),
)
row(
    "nn.binary_cross_entropy_with_logits",
    nn.binary_cross_entropy_with_logits,
    lambda z, x: -z * sp.log_expit(x) - (1 - z) * sp.log_expit(-x),
    lambda rng: (rng.uniform(size=V), rng.normal(size=V) * 3),
)
