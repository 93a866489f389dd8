"""Functions of shapes and positions under PyTorch's names, and conversions of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina import ops
from lamina.compat.torch import creation
from lamina.compat.torch.tensor import Tensor, adopt, as_torch, device, give_methods, numpy_names
from lamina.core import dtypes
from lamina.core.errors import ArgumentError, ShapeError


def _sizes(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else given


# --- shapes -----------------------------------------------------------------------------------------
def reshape(input: Any, *shape: Any) -> Any:
    """The same elements in another shape; one size may be -1."""
    return ops.reshape(input, tuple(int(n) for n in _sizes(shape)))


def view(self: Any, *shape: Any) -> Any:
    """The same memory in another shape, or (given a dtype) of that dtype."""
    if len(shape) == 1 and isinstance(shape[0], np.dtype):
        return adopt(self._concrete("view()").view(shape[0]))
    return reshape(self, *shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dimensions from ``start_dim`` to ``end_dim`` joined into one."""
    shape = tuple(input.shape)
    if not shape:
        return ops.reshape(input, (1,))
    start, end = start_dim % len(shape), end_dim % len(shape)
    return (
        ops.reshape(input, (*shape[:start], -1, *shape[end + 1 :]))
        if input.size
        else ops.reshape(input, (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :]))
    )


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension taken apart into several."""
    shape = tuple(input.shape)
    dim %= len(shape)
    return ops.reshape(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@numpy_names
def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of size 1 (those at ``dim``, if they are)."""
    if dim is None:
        return ops.squeeze(input)
    shape = tuple(input.shape)
    wanted = [d % max(len(shape), 1) for d in ((dim,) if isinstance(dim, int) else dim)]
    return ops.reshape(input, tuple(n for i, n in enumerate(shape) if i not in wanted or n != 1))


@numpy_names
def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of size 1 at ``dim``."""
    return ops.expand_dims(input, axis=dim)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return ops.swapaxes(input, dim0, dim1)


swapaxes = swapdims = transpose


def t(input: Any) -> Any:
    """The transpose of a matrix; a vector as it is."""
    if len(input.shape) > 2:
        raise ShapeError(f"t() takes at most two dimensions; got shape {tuple(input.shape)}. Use transpose or permute.")
    return ops.permute_dims(input, tuple(reversed(range(len(input.shape)))))


def permute(input: Any, *dims: Any) -> Any:
    """The dimensions in another order."""
    order = _sizes(dims)
    return ops.permute_dims(input, tuple(d % len(order) for d in order))


movedim = moveaxis = ops.moveaxis


def expand(self: Any, *sizes: Any) -> Any:
    """Dimensions of size 1 repeated (without a copy) to these sizes; -1 leaves one as it is."""
    wanted, shape = _sizes(sizes), tuple(self.shape)
    own = (*(None,) * (len(wanted) - len(shape)), *shape)
    return ops.broadcast_to(self, tuple(o if n == -1 else n for n, o in zip(wanted, own)))


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """``input.expand(size)``."""
    return expand(input, tuple(size))


def repeat(self: Any, *sizes: Any) -> Any:
    """The whole tensor repeated so often along each dimension."""
    return ops.tile(self, _sizes(sizes))


def tile(input: Any, *dims: Any) -> Any:
    """``input.repeat(dims)``."""
    return ops.tile(input, _sizes(dims))


@numpy_names
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Each element repeated along ``dim``."""
    return ops.repeat(input, repeats, axis=dim)


@numpy_names
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension that they have."""
    return ops.concat(list(tensors), axis=dim)


concat = concatenate = cat


@numpy_names
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    return ops.stack(list(tensors), axis=dim)


def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors one below the other; vectors are rows."""
    return cat([x if len(x.shape) > 1 else ops.reshape(x, (1, -1)) for x in tensors], 0)


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors side by side."""
    return cat(tensors, 0 if len(tensors[0].shape) < 2 else 1)


@numpy_names
def split(input: Any, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of one size along ``dim`` (the last may be smaller), or of the sizes in a list."""
    size = input.shape[dim]
    if isinstance(split_size, int):
        cuts = list(range(split_size, size, split_size))
    else:
        if sum(split_size) != size:
            raise ShapeError(f"split: the sizes {list(split_size)} do not add up to {size}.")
        cuts = np.cumsum(split_size)[:-1].tolist()
    return tuple(ops.split(input, cuts, axis=dim)) if cuts else (input,)


@numpy_names
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most so many pieces of one size along ``dim``."""
    return split(input, max(1, -(-input.shape[dim] // chunks)), dim)


@numpy_names
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along ``dim``."""
    return tuple(ops.unstack(input, axis=dim))


def select(input: Any, dim: int, index: int) -> Any:
    """One slice along ``dim``."""
    dim %= len(input.shape)
    return input[(*(slice(None),) * dim, index)]


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """``length`` slices along ``dim`` from ``start`` on."""
    dim %= len(input.shape)
    return input[(*(slice(None),) * dim, slice(start, start + length))]


def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """The order of the elements reversed along dimensions (a copy)."""
    found = ops.flip(input, axis=_sizes(axes) if dims is None else _sizes((dims,)))
    return found if found.is_symbolic else clone(found)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements moved along dimensions; what falls off comes back at the other end."""
    return ops.roll(input, shifts, axis=dims)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the matrix with a vector as its diagonal."""
    if len(input.shape) == 2:
        return ops.diagonal(input, diagonal)
    n = input.shape[0] + abs(diagonal)
    return ops.multiply(ops.eye(n, k=diagonal, dtype=input.dtype), _along_diagonal(input, diagonal))


def _along_diagonal(vector: Any, k: int) -> Any:
    pads = (k, 0) if k > 0 else (0, 0)
    padded = ops.pad(vector, [(pads[0], abs(k) - pads[0])])
    return padded


def fliplr(input: Any) -> Any:
    """The columns in reverse order."""
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """The rows in reverse order."""
    return flip(input, 0)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Tensors side by side; vectors are columns."""
    return cat([x if len(x.shape) > 1 else ops.reshape(x, (-1, 1)) for x in tensors], 1)


def diagonal(input: Any, offset: int = 0) -> Any:
    """The diagonal of a matrix."""
    return ops.diagonal(input, offset)


def ravel(input: Any) -> Any:
    """All elements as a vector."""
    return ops.reshape(input, (-1,))


tril, triu = ops.tril, ops.triu


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid."""
    return tuple(as_torch(g) for g in ops.meshgrid(*_sizes(tensors), indexing=indexing))


# --- positions --------------------------------------------------------------------------------------
@numpy_names
def gather(input: Any, dim: int, index: Any) -> Any:
    """``out[i, j] = input[i, index[i, j]]`` (for two dimensions and ``dim=1``)."""
    shape = tuple(index.shape)
    cut = tuple(slice(None) if i == dim % len(shape) else slice(n) for i, n in enumerate(shape))
    return ops.take_along_axis(input[cut], index, axis=dim)


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices at these positions along ``dim``."""
    return ops.take(input, index, axis=dim)


def take(input: Any, index: Any) -> Any:
    """Elements of the flattened tensor."""
    return ops.take(ops.reshape(input, (-1,)), index, axis=0)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value`` where the mask is true."""
    return ops.where(mask, ops.astype(ops.as_tensor(value, like=input), input.dtype), input)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, as a vector."""
    return ops.broadcast_to(input, np.broadcast_shapes(tuple(input.shape), tuple(mask.shape)))[
        ops.broadcast_to(mask, np.broadcast_shapes(tuple(input.shape), tuple(mask.shape)))
    ]


def scatter(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of ``input`` with ``src`` at the positions ``index`` along ``dim``."""
    return clone(input).scatter_(dim, index, src)


# --- copies and conversions ---------------------------------------------------------------------------
def clone(input: Any, memory_format: Any = None) -> Any:
    """A copy with the same history."""
    x = ops.as_tensor(input)
    return ops.logical_or(x, x) if x.dtype == np.bool_ else ops.multiply(x, 1)


def detach(input: Any) -> Any:
    """The same numbers without the history."""
    return as_torch(input).detach()


def _cast(x: Any, dtype: Any) -> Any:
    dtype = dtypes.as_dtype(dtype)
    return x if x.dtype == dtype else ops.astype(x, dtype)


def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Another dtype, or the dtype of another tensor; a device may be named: there is one, ``"cpu"``."""
    result = self
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    kwargs.pop("memory_format", None)
    for value in (*args, *kwargs.values()):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, Tensor):
            result = _cast(result, value.dtype)
        elif isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta"):
            device(value)
        else:
            result = _cast(result, value)
    return clone(result) if copy and result is self else result


def type_(self: Any, dtype: Any = None) -> Any:
    """The name of the tensor's kind; with a dtype, the tensor in that dtype."""
    if dtype is None:
        names = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long", "int32": "Int"}
        name = names.get(self.dtype.name) or self.dtype.name.capitalize()
        return f"torch.{name}Tensor"
    return _cast(self, dtype)


def _to(dtype: str) -> Any:
    def method(self: Any) -> Any:
        return _cast(self, dtype)

    method.__doc__ = f"The numbers as {dtype}."
    return method


def _new(make: Any) -> Any:
    def method(self: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        return make(*args, dtype=dtype or self.dtype, **kwargs)

    method.__doc__ = f"``torch.{make.__name__}`` with the dtype of this tensor."
    return method


def _itself(self: Any, *args: Any, **kwargs: Any) -> Any:
    """This tensor."""
    return self


def cuda(self: Any, device_index: Any = None, **kwargs: Any) -> Any:
    """Raises ``ArgumentError``: Lamina computes on the CPU."""
    return device("cuda")


_SAME = (  # functions that are methods, too, with the tensor first
    "reshape view flatten unflatten squeeze unsqueeze transpose swapaxes swapdims t permute movedim moveaxis "
    "expand repeat tile repeat_interleave split chunk unbind select narrow flip roll diag tril triu gather "
    "index_select take masked_fill masked_select scatter clone to cuda broadcast_to diagonal ravel"
)
_METHODS: dict[str, Any] = {
    **{name: globals()[name] for name in _SAME.split()},
    "type": type_,
    "dim": lambda self: self.ndim,
    "ndimension": lambda self: self.ndim,
    "view_as": lambda self, other: reshape(self, tuple(other.shape)),
    "reshape_as": lambda self, other: reshape(self, tuple(other.shape)),
    "expand_as": lambda self, other: expand(self, tuple(other.shape)),
    "type_as": lambda self, other: _cast(self, other.dtype),
    "element_size": lambda self: self.dtype.itemsize,
    "is_contiguous": lambda self: bool(self._concrete("is_contiguous()").flags.c_contiguous),
    "get_device": lambda self: -1,
    "cpu": _itself,
    "pin_memory": _itself,
    "contiguous": lambda self: (
        self if self.is_symbolic or self._data.flags.c_contiguous or self._wants else adopt(self._data.copy())
    ),
    "float": _to("float32"),
    "double": _to("float64"),
    "half": _to("float16"),
    "long": _to("int64"),
    "int": _to("int32"),
    "short": _to("int16"),
    "char": _to("int8"),
    "byte": _to("uint8"),
    "bool": _to("bool"),
    "new_tensor": lambda self, data, dtype=None, **kw: creation.tensor(data, dtype=dtype or self.dtype, **kw),
    "new_zeros": _new(creation.zeros),
    "new_ones": _new(creation.ones),
    "new_empty": _new(creation.empty),
    "new_full": _new(creation.full),
    "is_cuda": False,
    "is_sparse": False,
    "layout": "strided",
}
give_methods(
    _METHODS,
    {"masked_fill": masked_fill},
)


def _reshaping(name: str) -> Any:
    function = globals()[name]

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self._wants:
            raise ArgumentError(
                f"{name}_() changes a tensor's shape in place, which one with a history cannot; use {name}()."
            )
        self._data, self._token = function(self, *args, **kwargs)._data, None
        return self

    method.__doc__ = f"``{name}``, in place."
    return method


for _name in ("squeeze", "unsqueeze", "transpose", "t"):
    setattr(Tensor, f"{_name}_", _reshaping(_name))
