"""``keras.ops``: Lamina's functions under Keras's names, with Keras's arguments, also on placeholders.

Keras's results are 32 bits wide unless an argument is wider, or a dtype is asked for.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from lamina import activations, ops
from lamina import linalg as _linalg
from lamina import nn as _nn
from lamina.compat import _keras_core, _keras_image, _keras_nn, _keras_numpy, _keras_shapes
from lamina.core.trees import flatten, map_tree
from lamina.graph.custom_gradient import custom_gradient
from lamina.layers.operation import on_placeholders
from lamina.layers.symbolic import SymbolicTensor
from lamina.losses import alignment
from lamina.ops import normalization, numeric, patches, ranges, rearranging
from lamina.tensor import Tensor

_NARROW = {np.dtype(np.int64): "int32", np.dtype(np.uint64): "uint32", np.dtype(np.float64): "float32"}
_WIDE = {"int64", "uint64", "float64"}

# Functions whose results are numbers of places or counts: int32 whatever the arguments.
_COUNTS = {
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "count_nonzero",
    "digitize",
    "nanargmax",
    "nanargmin",
    "nonzero",
    "searchsorted",
}


def _is_wide(leaf: Any) -> bool:
    if isinstance(leaf, str):
        return leaf in _WIDE
    dtype = getattr(leaf, "dtype", leaf)
    return (isinstance(dtype, np.dtype) and dtype in _NARROW) or dtype in (np.int64, np.uint64, np.float64)


def _narrowed(x: Any) -> Any:
    return ops.astype(x, _NARROW[x.dtype]) if isinstance(x, Tensor) and x.dtype in _NARROW else x


def _adapted(name: str, function: Callable[..., Any], names: str = "") -> Callable[..., Any]:
    """The function under its name in Keras.

    Args:
        name: there.
        function: Lamina's.
        names: the names of its first parameters there, where they are others.
    """
    theirs = names.split()
    own = list(inspect.signature(function).parameters)[: len(theirs)] if theirs else []
    renamed = {a: b for a, b in zip(theirs, own, strict=True) if a != b}
    counts = name in _COUNTS

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if renamed:
            kwargs = {renamed.get(k, k): v for k, v in kwargs.items()}
        result = function(*args, **kwargs)
        if type(result) is Tensor:
            if result._data.dtype in _NARROW and (counts or not any(map(_is_wide, flatten((args, kwargs))[0]))):
                return _narrowed(result)
            return result
        if isinstance(result, tuple | list | dict):
            if counts or not any(map(_is_wide, flatten((args, kwargs))[0])):
                return map_tree(_narrowed, result)
        return result

    call.__name__ = name
    return on_placeholders(call, f"keras.ops.{name}", _keras_shapes.rule(name))


def _collect() -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}

    def take(module: Any, names: str, parameters: str = "") -> None:
        for entry in names.split():
            theirs, _, own = entry.partition("=")
            found[theirs] = _adapted(theirs, getattr(module, own or theirs), parameters)

    take(ops, "abs absolute=abs all any amax=max amin=min mean median ptp average sum prod logsumexp ravel squeeze")
    take(
        ops, "arccos=acos arccosh=acosh arcsin=asin arcsinh=asinh arctan=atan arctanh=atanh cos cosh sin sinh tan tanh"
    )
    take(
        ops,
        "exp exp2 expm1 log log10 log1p log2 sqrt rsqrt negative reciprocal signbit trunc erf erfc erfinv",
    )
    take(ops, "isfinite isinf isnan isneginf isposinf logical_not cbrt deg2rad rad2deg fabs sinc i0 nan_to_num")
    take(
        ops,
        "add subtract multiply divide true_divide=divide divide_no_nan power=pow mod=remainder floor_divide fmod "
        "maximum minimum fmax fmin equal not_equal greater greater_equal less less_equal logical_and logical_or "
        "logical_xor hypot logaddexp logaddexp2 nextafter heaviside gcd lcm ldexp isclose allclose arctan2=atan2 "
        "kron append",
        "x1 x2",
    )
    take(ops, "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift", "x y")
    take(ops, "left_shift=bitwise_left_shift right_shift=bitwise_right_shift", "x y")
    take(ops, "bitwise_invert bitwise_not=bitwise_invert argmax argmin count_nonzero flip fliplr flipud")
    take(
        ops,
        "nanargmax nanargmin nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar",
    )
    take(ops, "percentile quantile corrcoef trapezoid nonzero stack repeat roll swapaxes moveaxis")
    take(ops, "meshgrid")
    take(ops, "diff", "a")
    take(ops, "broadcast_to hstack vstack dstack diag diagflat tril triu unravel_index")
    take(ops, "concatenate=concat", "xs")
    take(ops, "rot90", "array")
    take(ops, "select", "condlist choicelist")
    take(ops, "bartlett blackman hamming hanning kaiser", "x")
    take(ops, "zeros ones empty full_like zeros_like ones_like empty_like array=as_tensor cast=astype")
    take(ops, "extract_sequences fft fft2 ifft2 rfft irfft stft istft")
    take(numeric, "real imag conj conjugate=conj isreal angle")
    take(ranges, "geomspace")
    own = (
        "add arange eye identity tri full linspace logspace vander view ceil floor round clip where isin max min var "
        "std cumsum cumprod nancumsum nancumprod bincount digitize copy expand_dims reshape tile pad diagonal trace "
        "transpose unstack split array_split argsort sort searchsorted unique take take_along_axis get_item slice "
        "slice_update outer cross einsum correlate histogram hsplit vsplit dsplit argpartition square "
        "sign matmul dot inner vdot tensordot"
    )
    take(_keras_numpy, own)
    take(
        _keras_core,
        "stop_gradient saturate_cast scatter scatter_update segment_sum segment_max segment_min segment_prod "
        "cond while_loop fori_loop switch scan associative_scan map vectorized_map jvp convert_to_tensor",
    )
    take(_nn, "relu sigmoid silu swish softplus softsign leaky_relu elu selu celu gelu log_sigmoid hard_sigmoid")
    take(_nn, "hard_silu hard_swish tanh_shrink hard_shrink soft_shrink")
    take(activations, "glu sparse_plus sparse_sigmoid sparsemax squareplus")
    take(
        _keras_nn,
        "conv depthwise_conv separable_conv conv_transpose max_pool average_pool adaptive_max_pool depth_to_space "
        "adaptive_average_pool space_to_depth dot_product_attention one_hot multi_hot softmax log_softmax "
        "binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy ctc_loss in_top_k top_k "
        "layer_normalization moments threshold norm svd qr eigh slogdet logdet pinv matrix_rank lstsq solve "
        "solve_triangular cdist relu6 hard_tanh",
    )
    take(normalization, "batch_normalization rms_normalization normalize psnr")
    take(patches, "fold unfold")
    take(alignment, "ctc_decode")
    take(_linalg, "cholesky cholesky_inverse det inv lu_factor")
    take(rearranging, "rearrange", "tensor")
    return found


FUNCTIONS = _collect()

_IMAGE = """
    affine_transform crop_images elastic_transform extract_patches extract_patches_3d gaussian_blur hsv_to_rgb
    map_coordinates pad_images perspective_transform resize rgb_to_grayscale rgb_to_hsv scale_and_translate
    sobel_edges ssim
    """
IMAGE = {name: _adapted(f"image.{name}", getattr(_keras_image, name)) for name in _IMAGE.split()}

# Of a placeholder it is a tensor, known when the model runs.
_count = on_placeholders(
    lambda x: ops.as_tensor(_keras_numpy.size(x), "int32"), "keras.ops.size", _keras_shapes.rule("size")
)


def _size(x: Any) -> Any:
    """The number of elements."""
    return _count(x) if isinstance(x, SymbolicTensor) else _keras_numpy.size(x)


ops_namespace = SimpleNamespace(
    **FUNCTIONS,
    convert_to_numpy=_keras_numpy.to_numpy,
    custom_gradient=custom_gradient,
    dtype=_keras_core.dtype,
    is_tensor=_keras_numpy.is_tensor,
    ndim=_keras_numpy.ndim,
    shape=_keras_numpy.shape,
    size=_size,
    vectorize=_keras_core.vectorize,
    image=SimpleNamespace(**IMAGE),
)
# Keras's functions are reached by family, too.
ops_namespace.nn = ops_namespace.numpy = ops_namespace.linalg = ops_namespace
