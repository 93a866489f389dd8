"""TensorFlow's names: ``from lamina.compat import tensorflow as tf`` in place of ``import tensorflow as tf``.

What a first book on deep learning uses.  Functions take numbers, lists, arrays and tensors, with TensorFlow's
dtypes for them; results are ``lamina.Tensor``.  Where Lamina does otherwise on purpose:

* tensors of different dtypes are promoted, where TensorFlow raises; functions of floats take integers;
* shapes are tuples and dtypes NumPy's; there are no strings, complex numbers, ragged or sparse tensors;
* ``tf.function`` captures and does not rewrite Python: a branch or loop over tensors is ``tf.cond``,
  ``tf.where`` or ``tf.while_loop``;
* random numbers follow the same distributions, with the same rules for seeds, and are others.
"""

from __future__ import annotations

import builtins as _builtins
import logging as _logging
from types import SimpleNamespace as _Namespace

from lamina import ops as _ops
from lamina.compat import keras
from lamina.compat._modules import as_submodules as _as_submodules
from lamina.compat.tensorflow import config, data, debugging, image, linalg, math, nn, random, summary, test, train
from lamina.compat.tensorflow._arrays import (
    TensorShape,
    argsort,
    boolean_mask,
    broadcast_to,
    case,
    cast,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    concat,
    cond,
    constant,
    ensure_shape,
    expand_dims,
    eye,
    fill,
    foldl,
    foldr,
    gather,
    gather_nd,
    identity,
    is_tensor,
    linspace,
    map_fn,
    meshgrid,
    one_hot,
    ones,
    ones_like,
    pad,
    range,
    rank,
    repeat,
    reshape,
    reverse,
    roll,
    saturate_cast,
    scan,
    scatter_nd,
    searchsorted,
    sequence_mask,
    shape,
    size,
    slice,
    sort,
    split,
    squeeze,
    stack,
    stop_gradient,
    switch_case,
    tensor_scatter_nd_add,
    tensor_scatter_nd_max,
    tensor_scatter_nd_min,
    tensor_scatter_nd_sub,
    tensor_scatter_nd_update,
    tile,
    transpose,
    unique,
    unique_with_counts,
    unstack,
    vectorized_map,
    where,
    while_loop,
    zeros,
    zeros_like,
)
from lamina.compat.tensorflow._convert import binary as _binary
from lamina.compat.tensorflow._convert import convert_to_tensor
from lamina.compat.tensorflow._convert import unary as _unary
from lamina.compat.tensorflow._state import (
    GradientTape,
    Module,
    UnconnectedGradients,
    Variable,
    device,
    executing_eagerly,
    function,
    name_scope,
)
from lamina.compat.tensorflow.linalg import einsum, matmul, norm, tensordot
from lamina.compat.tensorflow.math import (
    abs,
    acos,
    acosh,
    add,
    add_n,
    argmax,
    argmin,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    cumsum,
    divide,
    equal,
    exp,
    floor,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    pow,
    reduce_all,
    reduce_any,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_sum,
    round,
    scalar_mul,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    truediv,
    truncatediv,
    truncatemod,
)
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
from lamina.core.errors import LaminaError as _LaminaError
from lamina.core.primitive import outside_capture as init_scope
from lamina.data import TensorSpec
from lamina.graph.custom_gradient import custom_gradient
from lamina.tensor import Tensor
from lamina.version import __version__

half, double = float16, float64
newaxis = None
ceil = math.ceil
print = _builtins.print

realdiv = truediv
nest = keras.tree
constant_initializer, ones_initializer, zeros_initializer = (
    keras.initializers.Constant,
    keras.initializers.Ones,
    keras.initializers.Zeros,
)
random_normal_initializer = keras.initializers.RandomNormal
random_uniform_initializer = keras.initializers.RandomUniform
assert_equal, assert_greater = debugging.assert_equal, debugging.assert_greater
assert_less, assert_rank = debugging.assert_less, debugging.assert_rank
bitwise = _Namespace(
    bitwise_and=_binary(_ops.bitwise_and),
    bitwise_or=_binary(_ops.bitwise_or),
    bitwise_xor=_binary(_ops.bitwise_xor),
    invert=_unary(_ops.bitwise_invert),
    left_shift=_binary(_ops.bitwise_left_shift),
    right_shift=_binary(_ops.bitwise_right_shift),
)

initializers, losses, metrics, optimizers = keras.initializers, keras.losses, keras.metrics, keras.optimizers

dtypes = _Namespace(
    as_dtype=as_dtype, bool=bool, cast=cast, double=double, float16=float16, float32=float32,
    float64=float64, half=half, int8=int8, int16=int16, int32=int32, int64=int64, saturate_cast=saturate_cast,
    uint8=uint8, uint16=uint16, uint32=uint32, uint64=uint64,
)  # fmt: skip

# Every error of Lamina's that comes of wrong arguments counts as TensorFlow's for them.
errors = _Namespace(InvalidArgumentError=_LaminaError, OpError=_LaminaError)

version = _Namespace(VERSION=__version__)
# `from tensorflow.python.client import device_lib`, by which older books ask for devices.
python = _Namespace(client=_Namespace(device_lib=_Namespace(list_local_devices=config.list_logical_devices)))


def get_logger() -> _logging.Logger:
    """The logger of Lamina's messages."""
    return _logging.getLogger("lamina")


_as_submodules(__name__, globals(), depth=3)


def __getattr__(name: str) -> object:
    if name == "bfloat16":  # needs the extra "bfloat16"
        return as_dtype("bfloat16")
    raise AttributeError(f"module 'lamina.compat.tensorflow' has no attribute {name!r}")
