"""Shapes that functions of ``keras.ops`` have on placeholders where they are not found by tracing.

Results whose size depends on values have ``None`` there.  As in Keras, a placeholder of floats may stand where
integers are needed, and a few functions look at the ranks alone: what is refused is then refused when the model runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.core import dtypes
from lamina.core.errors import ArgumentError, DTypeError, LaminaError, ShapeError
from lamina.core.trees import flatten, map_tree
from lamina.layers.symbolic import Shape, SymbolicTensor, replace_symbolic, symbolic_leaves
from lamina.ops.pool import data_format_of
from lamina.ops.shape import normalize_axis

Infer = Callable[[tuple[Any, ...], dict[str, Any]], Any]
Rule = Callable[..., Any]

_INT = np.dtype(np.int32)


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype


def _common(*tensors: Any) -> np.dtype[Any]:
    found = _dtype(tensors[0])
    for x in tensors[1:]:
        found = dtypes.promote(found, _dtype(x))
    return found


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtypes.promote(dtype, dtypes.DEFAULT_FLOAT) if dtypes.is_float(dtype) else dtypes.DEFAULT_FLOAT


def _indices(x: Any) -> tuple[SymbolicTensor, ...]:
    return tuple(SymbolicTensor((None,), _INT) for _ in x.shape)


# --- sizes that depend on values ------------------------------------------------------------------------------
def _where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    return _indices(condition) if x1 is None and x2 is None else None


def _unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    shape: Shape = (size,)
    inverse: Shape = tuple(x.shape)
    if axis is not None:
        at = normalize_axis("unique", axis, len(x.shape))
        shape, inverse = tuple(size if d == at else n for d, n in enumerate(x.shape)), (x.shape[at],)
    found = [SymbolicTensor(shape, x.dtype)]
    sizes: list[tuple[bool, Shape]] = [(return_index, (size,)), (return_inverse, inverse), (return_counts, (size,))]
    found += [SymbolicTensor(own, _INT) for asked, own in sizes if asked]
    return found[0] if len(found) == 1 else tuple(found)


def _segment(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
    if len(segment_ids.shape) != 1:
        return None  # which is refused
    return SymbolicTensor((num_segments, *data.shape[1:]), _dtype(data))


def _bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    return SymbolicTensor((*x.shape[:-1], None), _INT if weights is None else _dtype(weights))


def _size(x: Any) -> Any:
    return SymbolicTensor((), _INT)


def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    rank = len(x.shape)
    if rank < 2:
        return None  # which is refused
    axes = {normalize_axis("diagonal", axis, rank) for axis in (axis1, axis2)}
    if len(axes) < 2 or None not in {x.shape[axis] for axis in axes}:
        return None
    return SymbolicTensor((*(n for axis, n in enumerate(x.shape) if axis not in axes), None), _dtype(x))


def _diag(x: Any, k: int = 0) -> Any:
    return SymbolicTensor((None,), _dtype(x)) if len(x.shape) == 2 and None in x.shape else None


def _reshape(x: Any, newshape: Any) -> Any:
    new = (newshape,) if isinstance(newshape, int) else tuple(newshape)
    known = math.prod(n for n in x.shape if n is not None)
    fits = None in x.shape and -1 not in new and None not in new and known and math.prod(new) % known == 0
    return SymbolicTensor(new, _dtype(x)) if fits else None


def _searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    if sorted_sequence.shape != (None,):
        return None
    return SymbolicTensor(np.shape(values) if not hasattr(values, "shape") else values.shape, "int64")


def _gaussian_blur(images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: Any = None) -> Any:
    if not symbolic_leaves((kernel_size, sigma)):
        return None
    return SymbolicTensor(images.shape, images.dtype)


def _ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> Any:
    if strategy not in ("greedy", "beam_search") or len(inputs.shape) != 3:
        return None
    paths = 1 if strategy == "greedy" else top_paths
    batch, steps, _ = inputs.shape
    return SymbolicTensor((paths, batch, steps), _INT), SymbolicTensor((batch, paths), _float(inputs.dtype))


def _loop_vars(cond: Any, body: Any, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    return map_tree(lambda x: SymbolicTensor(np.shape(x) if not hasattr(x, "shape") else x.shape, _dtype(x)), loop_vars)


# --- what is refused although tracing would find sizes that fit ------------------------------------------------
def _concatenate(xs: Any, axis: int | None = 0) -> None:
    if axis is None:
        raise ArgumentError("`axis` cannot be None for `concatenate` of placeholders.")
    shapes = [tuple(getattr(x, "shape", np.shape(x))) for x in xs]
    rank = len(shapes[0])
    at = normalize_axis("concatenate", axis, rank)
    for shape in shapes[1:]:
        pairs = enumerate(zip(shapes[0], shape, strict=False))
        if len(shape) != rank or any(d != at and a != b and None not in (a, b) for d, (a, b) in pairs):
            raise ShapeError(
                "Every value in `xs` must have the same shape except on the `axis` dim; "
                f"got {shapes[0]} and {shape} with axis={axis}."
            )


def _squeeze(x: Any, axis: Any = None) -> None:
    for a in [] if axis is None else [axis] if isinstance(axis, int) else axis:
        if x.shape[normalize_axis("squeeze", a, len(x.shape))] is None:
            raise ShapeError(f"Cannot squeeze axis {a} of shape {x.shape}, because the dimension is not known to be 1.")


def _square(x: Any, *args: Any, **kwargs: Any) -> None:
    if len(x.shape) >= 2 and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"Expected a square matrix. Received non-square input with shape {x.shape}")


def _qr(x: Any, mode: str = "reduced") -> None:
    if None in x.shape[-2:]:
        raise ShapeError(f"Input should have its last 2 dimensions fully-defined. Received: input.shape={x.shape}")


def _solve_triangular(a: Any, b: Any, lower: bool = False) -> None:
    rows = b.shape[-1] if len(b.shape) == len(a.shape) - 1 else b.shape[-2]
    if a.shape[-1] is not None and rows != a.shape[-1]:
        raise ShapeError(f"solve_triangular: the rows of b are as many as those of a; got {a.shape} and {b.shape}.")


def _crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> None:
    _sizes_known(images, data_format, target_height, target_width)


def _pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> None:
    height = target_height if top_padding is None or bottom_padding is None else 0
    width = target_width if left_padding is None or right_padding is None else 0
    if None in (height, width):
        _sizes_known(images, data_format, height, width)


def _sizes_known(images: Any, data_format: str | None, height: int | None, width: int | None) -> None:
    if len(images.shape) not in (3, 4):
        return  # which is refused
    at = -3 if data_format_of("keras.ops.image", data_format) == "channels_last" else -2
    for name, size, target in (("height", images.shape[at], height), ("width", images.shape[at + 1], width)):
        if size is None and target is None:
            raise ShapeError(
                f"When the {name} of the images is unknown, `target_{name}` must be specified. "
                f"Received images.shape={images.shape}"
            )


# --- functions that look at ranks alone, when tracing refuses ---------------------------------------------------
def _psnr(x1: Any, x2: Any, max_val: float) -> Any:
    return SymbolicTensor((), dtypes.DEFAULT_FLOAT) if len(x1.shape) == len(x2.shape) else None


def _dot_product_attention(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
    if not len(query.shape) == len(key.shape) == len(value.shape) == 4:
        return None
    return SymbolicTensor(query.shape, _common(query, key, value))


def _ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    batches = {x.shape[0] for x in (target, output, target_length, output_length)} - {None}
    return SymbolicTensor((target.shape[0],), _float(output.dtype)) if len(batches) < 2 else None


_FIRST: dict[str, Rule] = {
    "bincount": _bincount,
    "cholesky": _square,
    "concatenate": _concatenate,
    "ctc_decode": _ctc_decode,
    "det": _square,
    "diag": _diag,
    "diagonal": _diagonal,
    "eigh": _square,
    "image.crop_images": _crop_images,
    "image.gaussian_blur": _gaussian_blur,
    "image.pad_images": _pad_images,
    "inv": _square,
    "nonzero": _indices,
    "qr": _qr,
    "searchsorted": _searchsorted,
    "segment_max": _segment,
    "segment_min": _segment,
    "segment_prod": _segment,
    "segment_sum": _segment,
    "size": _size,
    "solve_triangular": _solve_triangular,
    "squeeze": _squeeze,
    "unique": _unique,
    "where": _where,
    "while_loop": _loop_vars,
}
_LAST: dict[str, Rule] = {
    "ctc_loss": _ctc_loss,
    "dot_product_attention": _dot_product_attention,
    "psnr": _psnr,
    "reshape": _reshape,
}


def _with_integers(infer: Infer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What comes out if placeholders of floats were integers: one of them, the last first, or all."""
    floats = [x for x in symbolic_leaves((args, kwargs)) if dtypes.is_float(x.dtype)]
    for chosen in [[x] for x in reversed(floats)] + [floats]:
        stands = {id(x): SymbolicTensor(x.shape, _INT, x.name) for x in chosen}
        own_args, own_kwargs = replace_symbolic((args, kwargs), lambda x, stands=stands: stands.get(id(x), x))  # type: ignore[misc]
        try:
            found = infer(own_args, own_kwargs)
        except LaminaError:
            continue
        if len(chosen) == len(symbolic_leaves((args, kwargs))):  # the result does not tell the dtype of any
            for x in flatten(found)[0]:
                x.dtype = _common(*floats) if x.dtype == _INT else x.dtype
        return found
    return None


def rule(name: str) -> Callable[[Infer, tuple[Any, ...], dict[str, Any]], Any]:
    """How the outputs of the function of this name in ``keras.ops`` are found on placeholders."""
    first, last = _FIRST.get(name), _LAST.get(name)

    def outputs(infer: Infer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = first(*args, **kwargs) if first is not None else None
        if found is not None:
            return found
        try:
            return infer(args, kwargs)
        except LaminaError as error:
            if last is not None:
                found = last(*args, **kwargs)
            elif isinstance(error, DTypeError):
                found = _with_integers(infer, args, kwargs)
            if found is None:
                raise
            return found

    return outputs
