"""Lamina: a deep-learning framework with a compiler of its own.

Tensors, ops and differentiation are here; layers, models, training and the rest load when they
are first used (``lamina.layers``, ``lamina.Sequential``, ...).
"""

from __future__ import annotations

import importlib
from typing import Any

from lamina.autodiff import GradientTape, grad, hessian, jacobian, jvp, value_and_grad, vjp
from lamina.core.dtypes import (
    as_dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lamina.core.dtypes import bool_ as bool
from lamina.core.errors import (
    ArgumentError,
    CaptureError,
    DataError,
    DifferentiationError,
    DTypeError,
    FileFormatError,
    GraphError,
    LaminaError,
    LinAlgError,
    MissingExtraError,
    OutOfBoundsError,
    RecompileError,
    ShapeError,
    UnsupportedError,
)
from lamina.ops import (
    abs,
    acos,
    acosh,
    add,
    all,
    any,
    argmax,
    argmin,
    argsort,
    asin,
    asinh,
    astype,
    atan,
    atan2,
    atanh,
    bincount,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    ceil,
    clip,
    copysign,
    cos,
    cosh,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    digamma,
    divide,
    equal,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmax,
    fmin,
    full,
    full_like,
    greater,
    greater_equal,
    hypot,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    max,
    maximum,
    mean,
    min,
    minimum,
    multiply,
    nan_to_num,
    negative,
    nextafter,
    nonzero,
    not_equal,
    ones,
    ones_like,
    polygamma,
    positive,
    pow,
    prod,
    reciprocal,
    remainder,
    round,
    rsqrt,
    searchsorted,
    sign,
    signbit,
    sin,
    sinh,
    sort,
    sqrt,
    square,
    std,
    stop_gradient,
    subtract,
    sum,
    tan,
    tanh,
    top_k,
    trunc,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    var,
    where,
    zeros,
    zeros_like,
)
from lamina.tensor import Tensor, Variable

# --- other families: one import block for each, below this line ---------------------------------------
from lamina import nn, random
from lamina.ops import (
    arange,
    asarray,
    broadcast_arrays,
    broadcast_to,
    concat,
    diagonal,
    dot,
    dynamic_slice,
    dynamic_update_slice,
    empty,
    empty_like,
    expand_dims,
    einsum,
    eye,
    flatten,
    flip,
    gather,
    linalg,
    linspace,
    matmul,
    matrix_transpose,
    meshgrid,
    moveaxis,
    one_hot,
    outer,
    pad,
    permute_dims,
    ravel,
    repeat,
    reshape,
    roll,
    scatter_add,
    scatter_update,
    segment_sum,
    split,
    squeeze,
    stack,
    swapaxes,
    take,
    take_along_axis,
    tensor,
    tensordot,
    tile,
    tril,
    triu,
    unstack,
    vecdot,
)
from lamina.ops import permute_dims as transpose
from lamina.graph.control_flow import cond, map, scan, while_loop
from lamina.graph.custom_gradient import custom_gradient
from lamina.graph.function import explain_recompiles, function

__version__ = "0.1.0"

# Submodules that load when they are first asked for.
_SUBMODULES = (
    "activations",
    "array_api",
    "backends",
    "callbacks",
    "config",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plotting",
    "serialization",
    "training",
)

# Public names that live in such a submodule: name -> module.
_LAZY_NAMES: dict[str, str] = {
    "Input": "lamina.layers",
    "Model": "lamina.models",
    "Sequential": "lamina.models",
    "get_num_threads": "lamina.backends.native.threads",
    "register_serializable": "lamina.serialization",
    "set_num_threads": "lamina.backends.native.threads",
}


def __getattr__(name: str) -> Any:
    if name == "bfloat16":  # needs the extra "bfloat16"
        from lamina.core.dtypes import bfloat16

        value: Any = bfloat16()
    elif name in _SUBMODULES:
        value = importlib.import_module(f"lamina.{name}")
    elif name in _LAZY_NAMES:
        value = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    else:
        raise AttributeError(f"module 'lamina' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LAZY_NAMES, "bfloat16"})
