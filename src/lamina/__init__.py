"""Lamina: a deep-learning framework with a compiler of its own.

Tensors, ops and differentiation are here; layers, models, training and the rest load when they
are first used (``lamina.layers``, ``lamina.Sequential``, ...).
"""

from __future__ import annotations

import importlib
from math import e, inf, nan, pi
from typing import Any

from lamina import nn, random
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
    StateDictError,
    UnsupportedError,
)
from lamina.graph.control_flow import cond, while_loop
from lamina.graph.custom_gradient import custom_gradient
from lamina.graph.function import explain_recompiles, function
from lamina.graph.scan import map, scan
from lamina.ops import (
    abs,
    acos,
    acosh,
    add,
    all,
    any,
    arange,
    argmax,
    argmin,
    argsort,
    asarray,
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
    broadcast_arrays,
    broadcast_to,
    ceil,
    clip,
    concat,
    copysign,
    cos,
    cosh,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diagonal,
    digamma,
    divide,
    dot,
    dynamic_slice,
    dynamic_update_slice,
    einsum,
    empty,
    empty_like,
    equal,
    erf,
    exp,
    exp2,
    expand_dims,
    expm1,
    eye,
    flatten,
    flip,
    floor,
    floor_divide,
    fmax,
    fmin,
    full,
    full_like,
    gather,
    greater,
    greater_equal,
    hypot,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    lgamma,
    linalg,
    linspace,
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
    matmul,
    matrix_transpose,
    max,
    maximum,
    mean,
    meshgrid,
    min,
    minimum,
    moveaxis,
    multiply,
    nan_to_num,
    negative,
    nextafter,
    nonzero,
    not_equal,
    one_hot,
    ones,
    ones_like,
    outer,
    pad,
    permute_dims,
    polygamma,
    positive,
    pow,
    prod,
    ravel,
    reciprocal,
    remainder,
    repeat,
    reshape,
    roll,
    round,
    rsqrt,
    scatter_add,
    scatter_update,
    searchsorted,
    segment_sum,
    sign,
    signbit,
    sin,
    sinh,
    sort,
    split,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    stop_gradient,
    subtract,
    sum,
    swapaxes,
    take,
    take_along_axis,
    tan,
    tanh,
    tensor,
    tensordot,
    tile,
    top_k,
    tril,
    triu,
    trunc,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    unstack,
    var,
    vecdot,
    where,
    zeros,
    zeros_like,
)
from lamina.ops import permute_dims as transpose
from lamina.tensor import Tensor, Variable

newaxis = None

__version__ = "0.1.0"

# Submodules that load when they are first asked for.
_SUBMODULES = (
    "activations",
    "applications",
    "array_api",
    "backends",
    "callbacks",
    "config",
    "constraints",
    "data",
    "datasets",
    "dtype_policies",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "optimizers",
    "plotting",
    "preprocessing",
    "regularizers",
    "serialization",
    "sklearn",
    "training",
    "utils",
)

# Public names that live in such a submodule: name -> module.
_LAZY_NAMES: dict[str, str] = {
    "Input": "lamina.layers",
    "Model": "lamina.models",
    "Sequential": "lamina.models",
    "get_num_threads": "lamina.backends.native.threads",
    "profile": "lamina.profiling",
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
