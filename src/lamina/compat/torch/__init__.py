"""PyTorch's names: ``from lamina.compat import torch`` in place of ``import torch``.

For the listings of a first book: tensors and their methods, ``backward()``, ``nn``, ``optim``, ``utils.data``.  What
lies behind is Lamina's: a ``torch.Tensor`` is a Lamina Tensor, a ``Parameter`` a Variable, a ``Module`` a
``lamina.nn.Module``, so tapes, transforms and ``lamina.function`` work on them.  Otherwise on purpose:

* everything is on the CPU, and random numbers are others (of the same distributions);
* dtypes are NumPy's; a view made by indexing shares memory, and in-place work on a tensor that a history still needs
  leaves the shared memory alone instead of failing in ``backward``;
* ``save`` writes ``.safetensors`` files, and ``load`` refuses pickles;
* ``compile`` captures a whole training step, the update included.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from types import SimpleNamespace as _Namespace

import numpy as _np

from lamina.compat._modules import as_submodules as _as_submodules
from lamina.compat.torch import autograd, nn, optim, utils
from lamina.compat.torch.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from lamina.compat.torch.compiling import compile
from lamina.compat.torch.creation import (
    Generator,
    arange,
    as_tensor,
    asarray,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    get_default_dtype,
    initial_seed,
    linspace,
    logspace,
    manual_seed,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    set_default_dtype,
    tensor,
    zeros,
    zeros_like,
)
from lamina.compat.torch.devices import (
    accelerator,
    backends,
    cuda,
    get_num_threads,
    mps,
    set_num_threads,
    use_deterministic_algorithms,
    xpu,
)
from lamina.compat.torch.functions import (
    abs,
    absolute,
    acos,
    add,
    addcdiv,
    addcmul,
    addmm,
    all,
    allclose,
    amax,
    amin,
    any,
    arccos,
    arcsin,
    arctan,
    arctan2,
    argmax,
    argmin,
    argsort,
    asin,
    atan,
    atan2,
    bincount,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    bmm,
    cdist,
    ceil,
    clamp,
    clamp_max,
    clamp_min,
    clip,
    cos,
    cosh,
    count_nonzero,
    cross,
    cumprod,
    cumsum,
    det,
    diff,
    digamma,
    div,
    divide,
    dot,
    einsum,
    eq,
    equal,
    erf,
    exp,
    exp2,
    expm1,
    fix,
    floor,
    floor_divide,
    fmod,
    ge,
    ger,
    greater,
    greater_equal,
    gt,
    histc,
    hypot,
    inverse,
    is_floating_point,
    is_tensor,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    lerp,
    less,
    less_equal,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    log_softmax,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    logsumexp,
    lt,
    matmul,
    max,
    maximum,
    mean,
    median,
    min,
    minimum,
    mm,
    mul,
    multiply,
    mv,
    nan_to_num,
    ne,
    neg,
    negative,
    nonzero,
    norm,
    not_equal,
    numel,
    outer,
    positive,
    pow,
    prod,
    quantile,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    searchsorted,
    sigmoid,
    sign,
    sin,
    sinh,
    softmax,
    sort,
    sqrt,
    square,
    std,
    sub,
    subtract,
    sum,
    tan,
    tanh,
    tensordot,
    topk,
    trace,
    true_divide,
    trunc,
    unique,
    var,
    where,
)
from lamina.compat.torch.nn.functional import cosine_similarity, dropout
from lamina.compat.torch.printing import set_printoptions
from lamina.compat.torch.serialization import load, save
from lamina.compat.torch.shapes import (
    broadcast_to,
    cat,
    chunk,
    clone,
    column_stack,
    concat,
    concatenate,
    detach,
    diag,
    diagonal,
    flatten,
    flip,
    fliplr,
    flipud,
    gather,
    hstack,
    index_select,
    masked_fill,
    masked_select,
    meshgrid,
    moveaxis,
    movedim,
    narrow,
    permute,
    ravel,
    repeat_interleave,
    reshape,
    roll,
    scatter,
    select,
    split,
    squeeze,
    stack,
    swapaxes,
    swapdims,
    t,
    take,
    tile,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unsqueeze,
    vstack,
)
from lamina.compat.torch.tensor import Parameter, Size, Tensor, device
from lamina.ops import linalg as _linalg
from lamina.version import __version__

float16 = half = _np.dtype("float16")
float32 = float = _np.dtype("float32")
float64 = double = _np.dtype("float64")
int8, int16, int32, int64 = (_np.dtype(f"int{n}") for n in (8, 16, 32, 64))
short, int, long = int16, int32, int64
uint8 = _np.dtype("uint8")
bool = _np.dtype("bool")
dtype = _np.dtype
finfo, iinfo = _np.finfo, _np.iinfo
strided, contiguous_format, channels_last = "strided", "contiguous_format", "channels_last"
newaxis = None


def FloatTensor(*data: object) -> Tensor:
    """A tensor of float32."""
    return Tensor(*data)


def LongTensor(data: object = ()) -> Tensor:
    """A tensor of int64."""
    return tensor(data, dtype=int64)


def IntTensor(data: object = ()) -> Tensor:
    """A tensor of int32."""
    return tensor(data, dtype=int32)


def BoolTensor(data: object = ()) -> Tensor:
    """A tensor of bools."""
    return tensor(data, dtype=bool)


linalg = _Namespace(
    cholesky=_linalg.cholesky,
    det=_linalg.det,
    eigh=_linalg.eigh,
    inv=_linalg.inv,
    matrix_norm=_linalg.matrix_norm,
    matrix_rank=_linalg.matrix_rank,
    norm=norm,
    pinv=_linalg.pinv,
    qr=_linalg.qr,
    slogdet=_linalg.slogdet,
    solve=_linalg.solve,
    svd=_linalg.svd,
    vector_norm=norm,
)
random = _Namespace(manual_seed=manual_seed, initial_seed=initial_seed)
_as_submodules(__name__, {"cuda": cuda, "backends": backends, "linalg": linalg})
