"""Functions of ``keras.ops`` for control flow, scattering and whole programs, in Keras's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina import config, ops
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError
from lamina.core.trees import map_tree
from lamina.graph import control_flow as _control
from lamina.graph import loops as _loops
from lamina.graph import scan as _scan


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """The tensor of these values."""
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype)
    if isinstance(x, bool | int | float) and dtype is None:
        return ops.as_tensor(x)
    found = ops.as_tensor(x)
    return found if dtype is None else ops.astype(found, dtype)


def dtype(x: Any) -> str:
    """The name of a tensor's dtype."""
    return str(np.dtype(x.dtype).name if hasattr(x, "dtype") else ops.as_tensor(x).dtype.name)


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype; that of ``floatx`` for ``None``."""
    if dtype is None:
        return config.floatx()
    return "int32" if dtype is int else str(dtypes.as_dtype(dtype).name)


def is_int_dtype(dtype: Any) -> bool:
    """Whether it is an integer dtype."""
    return dtypes.is_integer(dtypes.as_dtype(standardize_dtype(dtype)))


def is_float_dtype(dtype: Any) -> bool:
    """Whether it is a floating-point dtype."""
    return dtypes.is_float(dtypes.as_dtype(standardize_dtype(dtype)))


def result_type(*of: Any) -> str:
    """The name of the dtype in which values of several dtypes meet; Python's number types are weak."""
    if not of:
        return config.floatx()
    found: Any = None
    for strong in (True, False):
        for d in of:
            weak = d in (bool, int, float) or d in ("int", "float")
            if weak is strong:
                continue
            if not weak:
                own = dtypes.as_dtype(standardize_dtype(d))
                found = own if found is None else dtypes.promote(found, own)
                continue
            value = {bool: False, int: 0, float: 0.0, "int": 0, "float": 0.0}[d]
            found = dtypes.scalar_dtype(value, found)
            found = np.dtype(np.int32) if found == np.int64 and all(x in (bool, int, "int") for x in of) else found
    return str(found.name)


def stop_gradient(variable: Any) -> Any:
    """See ``lamina.stop_gradient``."""
    return ops.stop_gradient(variable)


def saturate_cast(x: Any, dtype: Any) -> Any:
    """See ``lamina.saturate_cast``."""
    return ops.saturate_cast(x, config.floatx() if dtype is None else dtype)


# --- scattering -------------------------------------------------------------------------------------------
def _places(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The columns of an index matrix, one for each leading axis of the shape."""
    indices = ops.as_tensor(indices)
    if indices.shape[-1] > len(shape):
        raise ShapeError(f"Indices of {indices.shape[-1]} numbers do not fit shape {tuple(shape)}.")
    return tuple(indices[..., d] for d in range(indices.shape[-1]))


def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Zeros of a shape to which values are added at index rows."""
    values = ops.as_tensor(values)
    shape = tuple(int(n) for n in shape)
    return ops.scatter_add(ops.zeros(shape, values.dtype), _places(indices, shape), values)


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """A copy of the inputs in which the elements (or slices) at index rows are replaced, added to, ..."""
    x = ops.as_tensor(inputs)
    updates = ops.astype(ops.as_tensor(updates), x.dtype)
    places = _places(indices, x.shape)
    if reduction is None:
        return ops.scatter_update(x, places, updates)
    if reduction == "add":
        return ops.scatter_add(x, places, updates)
    kinds = {"max": ops.segments.scatter_max, "min": ops.segments.scatter_min, "mul": ops.segments.scatter_prod}
    if reduction not in kinds:
        raise ArgumentError(f"Unsupported reduction: {reduction!r}. It is one of None, 'add', 'max', 'min', 'mul'.")
    return kinds[reduction](x, places, updates)


def _segment(function: Callable[..., Any]) -> Callable[..., Any]:
    def segment(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Any:
        ids = ops.as_tensor(segment_ids)
        if ids.ndim != 1:
            raise ShapeError(
                f"Argument `segment_ids` should be an 1-D vector, got shape: {ids.shape}. Consider either flatten "
                "input with segment_ids.reshape((-1)) and data.reshape((-1, ) + data.shape[len(segment_ids.shape):]) "
                "or vectorize with vmap."
            )
        if num_segments is None:
            if ids.is_symbolic:
                raise ArgumentError(
                    "Argument `num_segments` must be set when using the JAX backend or in a captured function. "
                    f"Received: num_segments={num_segments}"
                )
            num_segments = int(np.max(ids._data)) + 1
        return function(data, ids, num_segments)

    segment.__doc__ = function.__doc__
    segment.__name__ = function.__name__
    return segment


segment_sum = _segment(ops.segments.segment_sum)
segment_max = _segment(ops.segments.segment_max)
segment_min = _segment(ops.segments.segment_min)
segment_prod = _segment(ops.segments.segment_prod)


# --- loops --------------------------------------------------------------------------------------------------
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """See ``lamina.cond``."""
    return _control.cond(pred, true_fn, false_fn)


def while_loop(cond: Any, body: Any, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """See ``lamina.while_loop``."""
    return _control.while_loop(cond, body, map_tree(ops.as_tensor, loop_vars), maximum_iterations)


def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """See ``lamina.graph.loops.fori_loop``."""
    return _loops.fori_loop(lower, upper, lambda i, value: body_fun(ops.astype(i, "int32"), value), init_val)


def switch(index: Any, branches: Any, *operands: Any) -> Any:
    """See ``lamina.graph.loops.switch``."""
    return _loops.switch(index, branches, *operands)


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> Any:
    """See ``lamina.scan``."""
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    if xs is None and length is None:
        raise ArgumentError("Got no `xs` to scan over and `length` not provided.")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ArgumentError(f"`unroll` must be an positive integer or boolean. Received: unroll={unroll}")
    return _scan.scan(f, map_tree(ops.as_tensor, init), map_tree(ops.as_tensor, xs), length, reverse)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """See ``lamina.graph.loops.associative_scan``."""
    return _loops.associative_scan(f, elems, reverse, axis)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """See ``lamina.map``."""
    return _scan.map(f, map_tree(ops.as_tensor, xs))


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """``map``: one call for each slice, the results stacked."""
    return _scan.map(function, map_tree(ops.as_tensor, elements))


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """See ``lamina.graph.loops.vectorize``."""
    return _loops.vectorize(pyfunc, excluded=excluded, signature=signature)


# --- derivatives ----------------------------------------------------------------------------------------------
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """See ``lamina.autodiff.jvp``."""
    return _loops.jvp(fun, tuple(primals), tuple(tangents), has_aux)
